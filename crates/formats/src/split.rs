//! GGUF in several files: `name-00001-of-00003.gguf` and its siblings.
//!
//! Not the header itself. The one design choice: whichever part is named, all are found, and what they say of
//! themselves (`split.no`, `split.count`, `split.tensors.count`) must agree with their names.
//! Layout: llama.cpp, `gguf-split`.

use host::ReadAt;

use crate::folder::{self, Folder, naming};
use crate::gguf::{self, Part};
use crate::limits::Meter;
use crate::{Error, FilePart, ModelFile, TensorInfo};

/// Reads the model that the file `name`, open as `source`, is or is a part of.
pub(crate) fn read(
    folder: &dyn Folder,
    name: &str,
    source: &dyn ReadAt,
    meter: &mut Meter,
) -> Result<ModelFile, Error> {
    let mut tensors = Vec::new();
    let part = naming(name, gguf::read_part(source, 0, &mut tensors, meter))?;
    let (number, count) = naming(name, place(&part))?;
    if count <= 1 {
        let files = vec![FilePart { path: name.into(), bytes: source.len() }];
        return naming(name, gguf::assemble(part, tensors, files, meter));
    }
    let wrong = || Error::PartName { path: name.into(), number: u64::from(number) + 1, count };
    let stem = name.strip_suffix(&ending(number, count)).ok_or_else(wrong)?;
    drop((part, tensors));
    read_parts(folder, stem, count, meter)
}

/// Reads all parts, in order. The first one's metadata is the model's.
fn read_parts(folder: &dyn Folder, stem: &str, count: u32, meter: &mut Meter) -> Result<ModelFile, Error> {
    let mut tensors: Vec<TensorInfo> = Vec::new();
    let mut files = Vec::new();
    let mut first = None;
    for number in 0..count {
        let name = format!("{stem}{}", ending(number, count));
        let source = folder::open(folder, &name)?;
        let part = naming(&name, gguf::read_part(&*source, number, &mut tensors, meter))?;
        if naming(&name, place(&part))? != (number, count) {
            return Err(Error::PartName { path: name.into(), number: u64::from(number) + 1, count });
        }
        meter.make_room(&mut files)?;
        files.push(FilePart { path: name.into(), bytes: source.len() });
        first.get_or_insert(part);
    }
    // There are at least two parts.
    let Some(first) = first else { return Err(Error::PartTensors { expected: 0, found: 0 }) };
    let found = tensors.len() as u64;
    match first.metadata.find::<u64>("split.tensors.count")? {
        Some(expected) if expected != found => Err(Error::PartTensors { expected, found }),
        _ => gguf::assemble(first, tensors, files, meter),
    }
}

/// Which part this is, from 0, and of how many.
fn place(part: &Part) -> Result<(u32, u32), Error> {
    let number = part.metadata.find::<u32>("split.no")?.unwrap_or(0);
    Ok((number, part.metadata.find::<u32>("split.count")?.unwrap_or(1)))
}

/// How the name of part `number` (from 0) of `count` ends.
fn ending(number: u32, count: u32) -> String {
    format!("-{:05}-of-{count:05}.gguf", u64::from(number) + 1)
}

#[cfg(test)]
mod tests {
    use tensor::DType;

    use super::*;
    use crate::folder::Files;
    use crate::write::Gguf;
    use crate::{Kind, Limits, read};

    fn part(number: u32, count: u32, total: u32) -> Vec<u8> {
        let mut file = Gguf::new();
        if number == 0 {
            file.set("general.architecture", "llama");
        }
        file.set("split.no", number);
        file.set("split.count", count);
        file.set("split.tensors.count", total);
        file.declare(&format!("t{number}"), DType::F32, &[4]);
        file.to_bytes(&[&[number as u8; 16]])
    }

    fn model() -> Files {
        (0..3).map(|number| (format!("m{}", ending(number, 3)), part(number, 3, 3))).collect()
    }

    #[test]
    fn any_part_stands_for_all() {
        let files = model();
        for name in files.keys() {
            let model = read(&files, name, Limits::default()).unwrap();
            let places: Vec<_> = model.tensors.iter().map(|t| (&*t.name, t.file)).collect();
            assert_eq!(places, [("t0", 0), ("t1", 1), ("t2", 2)]);
            assert_eq!(model.files.len(), 3);
            assert_eq!(&*model.architecture, "llama");
        }
    }

    #[test]
    fn refusals_name_the_part() {
        let names: Vec<String> = model().into_keys().collect();
        type Change<'a> = &'a dyn Fn(&mut Files);
        let cases: [(Change<'_>, Kind, &str); 5] = [
            (&|files| drop(files.remove(&names[1])), Kind::Missing, "m-00002-of-00003.gguf is missing"),
            (
                &|files| drop(files.insert(names[1].clone(), part(2, 3, 3))),
                Kind::Damaged,
                "m-00002-of-00003.gguf",
            ),
            (
                &|files| drop(files.insert(names[0].clone(), part(0, 3, 4))),
                Kind::Damaged,
                "should hold 4 tensors",
            ),
            (&|files| drop(files.insert(names[0].clone(), part(0, 9, 4))), Kind::Damaged, "part 1 of 9"),
            (
                &|files| drop(files.insert(names[0].clone(), part(u32::MAX, 9, 4))),
                Kind::Damaged,
                "part 4294967296 of 9",
            ),
        ];
        for (change, kind, want) in cases {
            let mut files = model();
            change(&mut files);
            let error = read(&files, &names[0], Limits::default()).unwrap_err();
            assert!(error.kind() == kind && error.to_string().contains(want), "{error}");
        }
    }
}
