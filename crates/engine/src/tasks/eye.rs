//! A network that looks at one part of a picture after another.
//!
//! What it is: the network, and the numbers and pixels that it is fed with, made once. What it is not: a choice of the part. The
//! one design choice: it says beforehand what it holds, the picture included, so that its account is whole.

use super::PictureInput;
use super::values::only_input;
use crate::network::Beside;
use crate::{ArrayType, BuiltNetwork, Elem, Engine, Error, Examined, Extents, Feed, Network};
use host::{Part, Region};
use processors::image::{CHANNELS, Layout, Map, Picture, View, warp};
use std::path::Path;

/// What the input that takes the picture is.
pub(super) fn kind(settings: &PictureInput) -> Result<ArrayType, Error> {
    let extents = match settings.layout {
        Layout::Nchw => [1, CHANNELS, settings.height, settings.width],
        Layout::Nhwc => [1, settings.height, settings.width, CHANNELS],
    };
    let extents = Extents::new(&extents).ok_or(Error::Option {
        option: "the size of the pipeline",
        value: format!("{} x {}", settings.width, settings.height),
        expected: "smaller",
    })?;
    Ok(ArrayType { elem: Elem::F32, extents })
}

/// A network that was loaded.
pub(super) struct Eye {
    pub network: Network,
    pub settings: PictureInput,
    input: String,
    fed: Region,
    small: Picture,
}

impl Eye {
    /// The network in a file, built to look at pictures that take `held` bytes.
    pub fn build(
        engine: &Engine,
        path: &Path,
        settings: &PictureInput,
        held: u64,
    ) -> Result<(BuiltNetwork, String), Error> {
        let Examined::Network(file) = engine.examine(path)? else {
            let reason = "it is no network".to_string();
            return Err(Error::Pipeline { name: path.display().to_string(), reason });
        };
        let (name, kind) = (only_input(&file, settings.name.as_deref())?.name, kind(settings)?);
        let mut built = engine.build_network(&file, &[Feed { name: name.clone(), kind, bytes: None }])?;
        let pages = |bytes: usize| bytes.next_multiple_of(host::page_size()) as u64;
        let kept = held + pages(kind.bytes()) + pages(settings.width * settings.height * CHANNELS);
        built.beside = Beside { kept, passing: 0 };
        Ok((built, name))
    }

    /// The network, loaded.
    pub fn load(engine: &Engine, path: &Path, settings: &PictureInput, held: u64) -> Result<Eye, Error> {
        let (built, input) = Eye::build(engine, path, settings, held)?;
        let fed = Region::new(&engine.ledger, Part::Data, kind(settings)?.bytes())?;
        let small = Picture::new(&engine.ledger, settings.width, settings.height)?;
        Ok(Eye { network: engine.load_network(built)?, settings: settings.clone(), input, fed, small })
    }

    /// Looks at the whole of a picture; gives where what it sees lies.
    pub fn look(&mut self, picture: &View<'_>) -> Result<Map, Error> {
        self.small.pixels_mut().fill(0);
        let map = self.settings.fit(picture, &mut self.small);
        self.run()?;
        Ok(map)
    }

    /// Looks at a part of a picture.
    pub fn look_at(&mut self, picture: &View<'_>, map: &Map) -> Result<(), Error> {
        warp(picture, map, None, false, self.settings.width, self.small.pixels_mut());
        self.run()
    }

    fn run(&mut self) -> Result<(), Error> {
        self.settings.canvas(self.fed.as_mut_slice()).put(&self.small.view(), 0, 0);
        self.network.run(&[(&self.input, self.fed.as_bytes())])
    }
}
