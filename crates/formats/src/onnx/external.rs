//! Weights in files beside the model.
//!
//! Not a way out: a name must stay below the model's folder, in words and after links are followed. The one design
//! choice: the links of a download cache, whose files all lie in one folder of their own, are followed; every
//! other link that leads away is refused. Layout: onnx/onnx, `docs/ExternalData.md`.

use std::path::{Component, Path};

use super::{Data, Model, Part, TensorInfo};
use crate::folder::{self, Folder, naming};
use crate::limits::Meter;
use crate::protobuf::Message;
use crate::{Error, FilePart, Limits};

/// The most files that weights may be spread over.
const FILES_MAX: usize = 4096;

/// What a tensor says of the file beside that it lies in.
#[derive(Default)]
pub(super) struct Entry {
    pub(super) location: Box<str>,
    pub(super) offset: u64,
    pub(super) length: Option<u64>,
}

/// Reads a `StringStringEntryProto` into `entry`; what has no meaning here (a checksum) is passed over.
pub(super) fn entry(message: Message<'_, '_>, entry: &mut Entry, meter: &mut Meter) -> Result<(), Error> {
    let (offset, key, value) = pair(message, meter)?;
    let number = || {
        let wrong =
            Error::Malformed { what: "an offset or a length in another file is not a number", offset };
        value.trim().parse::<u64>().map_err(|_| wrong)
    };
    match &*key {
        "location" => entry.location = value,
        "offset" => entry.offset = number()?,
        "length" => entry.length = Some(number()?),
        _ => {}
    }
    Ok(())
}

/// Reads a `StringStringEntryProto`, and says where it stands.
pub(super) fn pair(
    mut message: Message<'_, '_>,
    meter: &mut Meter,
) -> Result<(u64, Box<str>, Box<str>), Error> {
    let (mut offset, mut key, mut value) = (0, Box::default(), Box::default());
    while let Some(field) = message.next()? {
        offset = field.start;
        match field.number {
            1 => key = message.text(meter)?,
            2 => value = message.text(meter)?,
            _ => {}
        }
    }
    Ok((offset, key, value))
}

/// The number of the file at `location`, which is added to `files` if it is new.
pub(super) fn file(
    tensor: &str,
    location: &str,
    files: &mut Vec<FilePart>,
    meter: &mut Meter,
) -> Result<u32, Error> {
    let refuse = || Error::ExternalPath { tensor: tensor.into(), location: location.into() };
    // What is a path on one system only is none: a model is the same everywhere.
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_plain = Path::new(location).components().all(plain) && !location.contains(['\\', ':', '\0']);
    if location.is_empty() || !is_plain {
        return Err(refuse());
    }
    // Files are few, or in the order of the tensors: the latest is looked at first.
    let known = files.iter().skip(1).rposition(|part| part.path.as_os_str() == location);
    let number = match known {
        Some(before) => before + 1,
        None if files.len() > FILES_MAX => {
            return Err(Error::Malformed { what: "the weights are in too many files", offset: 0 });
        }
        None => {
            meter.make_room(files)?;
            meter.charge_block(location.len())?;
            files.push(FilePart { path: location.into(), bytes: 0 });
            files.len() - 1
        }
    };
    u32::try_from(number).map_err(|_| refuse())
}

/// Reads the model `name` in `folder` and finds the files beside it. No weight is read.
pub fn open(folder: &dyn Folder, name: &str, limits: Limits) -> Result<Model, Error> {
    let source = folder::open(folder, name)?;
    let mut model = naming(name, super::read(&*source, limits))?;
    drop(source);
    model.files[0].path = name.into();
    for part in &mut model.files[1..] {
        let file = part.path.to_str().unwrap_or_default();
        let outside = || Error::OutsideFolder { path: part.path.clone() };
        if !folder.holds(name, file).map_err(|source| folder::refused(file, source))? {
            return Err(outside());
        }
        part.bytes = folder::open(folder, file)?.len();
    }
    let fits = |part: Part<'_>| match part {
        Part::Tensor(TensorInfo { name, file, data: Data::Bytes(range), .. }) => {
            let bytes = model.files[*file as usize].bytes;
            let outside = || Error::OutOfFile { tensor: name.clone(), end: range.end, bytes };
            if range.end <= bytes { Ok(()) } else { Err(outside()) }
        }
        _ => Ok(()),
    };
    naming(name, model.walk(&mut { fits }))?;
    Ok(model)
}
