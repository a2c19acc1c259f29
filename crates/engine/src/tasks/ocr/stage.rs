//! One of the networks that read a picture: what it is fed, and what comes out.
//!
//! What it is not: the order in which they run. The one design choice: a line is never cut out by itself; the network's numbers
//! look up their pixels in the picture, so that a line of any size takes the same memory.

use super::characters::Characters;
use super::regions;
use crate::network::Beside;
use crate::tasks::Point;
use crate::tasks::values::{Activation, only};
use crate::{ArrayType, BuiltNetwork, Elem, Engine, Error, Examined, Extents, Feed, Network};
use host::{Part, Region};
use processors::image::{
    CHANNELS, Canvas, Filter, Frame, Layout, Map, Normal, Picture, Source, View, resize, resize_bytes, warp,
};
use std::path::Path;

/// The shorter side of what the detector sees is at least, and the longer one at most.
const SHORTER: usize = 736;
const LONGER: usize = 2016;
/// Sides of it are multiples of this.
const STEP: usize = 32;
/// Rows that are made of it at once.
const STRIP: usize = 32;
/// Rows of a line as it is read.
const ROWS: usize = 48;
/// Pixels of a line as it is read: at least, at most, and the steps between.
const NARROWEST: usize = 320;
pub(super) const WIDEST: usize = 2560;
const WIDER: usize = 160;
/// Heap of lines, characters, and the search for regions.
pub(super) const LISTS: u64 = (512 << 10) + regions::BYTES;

/// One of the networks, for what it is to see.
#[derive(Clone, Copy, Debug)]
pub(super) enum Stage {
    /// Finds lines on a picture of this size.
    Find((usize, usize)),
    /// Says whether a line stands on its head.
    Turn,
    /// Reads lines that are so wide.
    Read(usize),
}

/// A network that was loaded.
pub(super) struct Text {
    network: Network,
    input: String,
    width: usize,
    height: usize,
    fed: Region,
    strip: Picture,
    normal: Normal,
}

fn length(a: Point, b: Point) -> f32 {
    ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt()
}

/// Pixels along and across a line, as it is read.
fn size([a, b, c, d]: &[Point; 4]) -> (f32, f32) {
    let (along, across) = (length(*a, *b).max(length(*c, *d)), length(*a, *d).max(length(*b, *c)));
    (along.trunc().max(1.0), across.trunc().max(1.0))
}

/// The width that a line is read in.
pub(super) fn width(corners: &[Point; 4]) -> usize {
    let (along, across) = size(corners);
    let wanted = (ROWS as f32 * along / across).ceil() as usize;
    wanted.next_multiple_of(WIDER).clamp(NARROWEST, WIDEST)
}

impl Stage {
    /// The detector, for a picture of this size.
    pub fn find((width, height): (usize, usize)) -> Stage {
        let (short, long) = (width.min(height) as f64, width.max(height) as f64);
        let scale = (SHORTER as f64 / short).max(1.0).min(LONGER as f64 / long);
        let side = |side: usize| {
            let side = (side as f64 * scale).trunc() / STEP as f64;
            (side.round_ties_even() as usize * STEP).clamp(STEP, LONGER)
        };
        Stage::Find((side(width), side(height)))
    }

    /// The network, built for what it is to see of the picture.
    pub fn build(self, engine: &Engine, path: &Path, source: &Source) -> Result<BuiltNetwork, Error> {
        Ok(self.built(engine, path, source)?.0)
    }

    fn built(
        self,
        engine: &Engine,
        path: &Path,
        source: &Source,
    ) -> Result<(BuiltNetwork, String, (usize, usize)), Error> {
        let Examined::Network(file) = engine.examine(path)? else {
            let reason = "it is no network".to_string();
            return Err(Error::Pipeline { name: path.display().to_string(), reason });
        };
        let inputs = file.inputs();
        let [input] = &*inputs else {
            let names: Vec<&str> = inputs.iter().map(|input| &*input.name).collect();
            return Err(Error::NoSuchInput { name: String::new(), inputs: names.join(", ") });
        };
        let (width, height) = match (self, input.extents.as_deref()) {
            (Stage::Find(size), _) => size,
            (Stage::Turn, Some([_, _, Some(height), Some(width)])) => (*width, *height),
            (Stage::Turn, _) => (192, ROWS),
            (Stage::Read(width), _) => (width, ROWS),
        };
        let name = input.name.clone();
        let wrong = || Error::NoSuchInput { name: format!("1x3x{height}x{width}"), inputs: name.clone() };
        let extents = Extents::new(&[1, CHANNELS, height, width]).ok_or_else(wrong)?;
        let kind = ArrayType { elem: Elem::F32, extents };
        let mut built = engine.build_network(&file, &[Feed { name: name.clone(), kind, bytes: None }])?;
        let strip = width * self.strip(height) * CHANNELS;
        let pages = |bytes: usize| bytes.next_multiple_of(host::page_size()) as u64;
        let narrow = match self {
            Stage::Find(_) => {
                let frame = Frame { rows: STRIP.min(height), ..Frame::whole(width, height) };
                resize_bytes([source.width(), source.height()], Filter::Linear, &frame)
            }
            _ => 0,
        };
        let kept = source.bytes() + pages(kind.bytes()) + pages(strip) + narrow + LISTS;
        built.beside = Beside { kept, passing: 0 };
        Ok((built, name, (width, height)))
    }

    /// Rows that are made at once.
    fn strip(self, height: usize) -> usize {
        if matches!(self, Stage::Find(_)) { STRIP } else { height }
    }

    /// The network, loaded.
    pub fn load(self, engine: &Engine, path: &Path, source: &Source) -> Result<Text, Error> {
        let (built, input, (width, height)) = self.built(engine, path, source)?;
        let fed = Region::new(&engine.ledger, Part::Data, width * height * CHANNELS * size_of::<f32>())?;
        let strip = Picture::new(&engine.ledger, width, self.strip(height))?;
        // The turner of version 5 learned with the colours of ImageNet; all others, and those before, around the middle.
        let is_of_imagenet = matches!(self, Stage::Turn) && height != ROWS;
        let normal = match is_of_imagenet {
            true => Normal::new(1.0 / 255.0, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225], false),
            false => Normal::new(1.0 / 255.0, [0.5; 3], [0.5; 3], true),
        };
        Ok(Text { network: engine.load_network(built)?, input, width, height, fed, strip, normal })
    }
}

impl Text {
    /// The lines on a picture, in its pixels.
    pub fn find(mut self, picture: &View<'_>) -> Result<Vec<[Point; 4]>, Error> {
        let (width, height) = (self.width, self.height);
        for top in (0..height).step_by(STRIP) {
            let rows = STRIP.min(height - top);
            let frame = Frame { width, height, left: 0, top, columns: width, rows };
            resize(picture, Filter::Linear, &frame, self.strip.pixels_mut(), width * CHANNELS);
            self.put(top);
        }
        self.network.run(&[(&self.input, self.fed.as_bytes())])?;
        let (_, map) = only(&self.network, None)?;
        let [sx, sy] = [picture.width as f32 / width as f32, picture.height as f32 / height as f32];
        let mut lines = regions::regions(map, width);
        for corner in lines.iter_mut().flatten() {
            corner[0] = (corner[0] * sx).round().clamp(0.0, picture.width as f32);
            corner[1] = (corner[1] * sy).round().clamp(0.0, picture.height as f32);
        }
        lines.retain(|line| length(line[0], line[1]) >= 4.0 && length(line[0], line[3]) >= 4.0);
        // What stands upright is read from below.
        for line in &mut lines {
            let (along, across) = size(line);
            if across / along >= 1.5 {
                line.rotate_left(1);
            }
        }
        Ok(lines)
    }

    fn put(&mut self, top: usize) {
        let numbers = self.fed.as_mut_slice();
        let (layout, normal) = (Layout::Nchw, self.normal);
        Canvas { width: self.width, height: self.height, layout, normal, numbers }.put(
            &self.strip.view(),
            0,
            top,
        );
    }

    /// Looks at a line that becomes so wide; right of it is nothing.
    fn look(&mut self, picture: &View<'_>, corners: &[Point; 4], wide: usize) -> Result<(), Error> {
        let wide = wide.clamp(1, self.width);
        let points = corners.map(|corner| corner.map(f64::from));
        let map = Map::corners(points, wide as f64, self.height as f64);
        let map = map.unwrap_or_else(|| Map::turned(points[0], [1.0; 2], 0.0, 1.0, 1.0));
        warp(picture, &map, None, true, self.width, self.strip.pixels_mut());
        self.put(0);
        for row in self.fed.as_mut_slice::<f32>().chunks_exact_mut(self.width) {
            row[wide..].fill(0.0);
        }
        self.network.run(&[(&self.input, self.fed.as_bytes())])
    }

    /// How likely a line stands on its head.
    pub fn turned(&mut self, picture: &View<'_>, corners: &[Point; 4]) -> Result<f32, Error> {
        let (along, across) = size(corners);
        let natural = (self.height as f32 * along / across).ceil() as usize;
        let wide = if self.height == ROWS { natural } else { self.width };
        self.look(picture, corners, wide)?;
        let (_, shares) = only(&self.network, None)?;
        Ok(shares.get(1).copied().unwrap_or(0.0))
    }

    /// Characters that the reader tells apart, the blank among them.
    pub fn classes(&self) -> Result<usize, Error> {
        let extents = self.network.outputs().first().map(|output| output.kind.extents);
        Ok(extents.and_then(|extents| extents.last().copied()).unwrap_or(0))
    }

    /// What a line says.
    pub fn read(
        &mut self,
        picture: &View<'_>,
        corners: &[Point; 4],
        known: &Characters,
    ) -> Result<(String, f32), Error> {
        let (along, across) = size(corners);
        self.look(picture, corners, (ROWS as f32 * along / across).ceil() as usize)?;
        let (_, shares) = only(&self.network, None)?;
        Ok(known.read(shares, self.classes()?, Activation::None))
    }
}
