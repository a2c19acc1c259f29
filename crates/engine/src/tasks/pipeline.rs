//! How a model is fed with pictures, sounds or noise and read: data in TOML.
//!
//! What it is: a closed set of tasks with settings, the catalog of those that are built in, and people's own files. What it is
//! not: a language; what takes several models is Rust. The one design choice: a pipeline is found by the beginning of the
//! model's name or given by `--pipeline`, and every word in it is known or refused.

use super::roi::Roi;
use super::{Boxes, Classify, Detect, NoiseInput, Paint, Points, Read, Segment, SoundInput};
use crate::Error;
use host::{FlashFile, ReadAt};
use processors::image::{
    CHANNELS, Canvas, Filter, Frame, Layout, Map, Normal, Picture, View, resize, resize_bytes, warp,
};
use serde::Deserialize;
use std::path::Path;

/// Pipelines that are built in, by name.
static CATALOG: &[(&str, &str)] = &[
    ("cifar10", include_str!("pipelines/cifar10.toml")),
    ("cifar10-bytes", include_str!("pipelines/cifar10-bytes.toml")),
    ("efficientnet-lite0", include_str!("pipelines/efficientnet-lite0.toml")),
    ("face-full", include_str!("pipelines/face-full.toml")),
    ("face-full-sparse", include_str!("pipelines/face-full-sparse.toml")),
    ("face-short", include_str!("pipelines/face-short.toml")),
    ("keyword-spotting", include_str!("pipelines/keyword-spotting.toml")),
    ("marvin", include_str!("pipelines/marvin.toml")),
    ("mobilenetv2", include_str!("pipelines/mobilenetv2.toml")),
    ("palm", include_str!("pipelines/palm.toml")),
    ("person", include_str!("pipelines/person.toml")),
    ("person-bytes", include_str!("pipelines/person-bytes.toml")),
    ("pose", include_str!("pipelines/pose.toml")),
    ("selfie", include_str!("pipelines/selfie.toml")),
    ("selfie-landscape", include_str!("pipelines/selfie-landscape.toml")),
    ("ssd-mobilenet", include_str!("pipelines/ssd-mobilenet.toml")),
    ("terrain", include_str!("pipelines/terrain.toml")),
    ("yolo", include_str!("pipelines/yolo.toml")),
    ("yolo-chosen", include_str!("pipelines/yolo-chosen.toml")),
    ("yolo-object", include_str!("pipelines/yolo-object.toml")),
];
/// Bytes of a pipeline of one's own at most.
const LONGEST: u64 = 64 << 10;
/// Sides that a network may want at most.
const WIDEST: usize = 4096;

/// How a model is fed and read.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Written")]
pub struct Pipeline {
    /// Beginnings of the names of models that it is for.
    pub names: Vec<String>,
    /// What the picture, the sound or the noise becomes.
    pub input: Input,
    /// What the numbers say.
    pub output: Task,
}

/// What a model is fed with.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Input {
    /// Noise, of which a picture is made.
    Noise(NoiseInput),
    /// Pictures.
    Picture(PictureInput),
    /// Sounds, in windows.
    Sound(SoundInput),
}

/// A pipeline as it is written: pictures become an `[input]`, sounds a `[sound]`, and pictures are made of `[noise]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    names: Vec<String>,
    input: Option<PictureInput>,
    sound: Option<SoundInput>,
    noise: Option<NoiseInput>,
    output: Task,
}

impl TryFrom<Written> for Pipeline {
    type Error = String;

    fn try_from(written: Written) -> Result<Pipeline, String> {
        let Written { names, input, sound, noise, output } = written;
        if noise.is_some() != matches!(output, Task::Paint(_)) {
            return Err("of [noise] a picture is painted, and of nothing else".into());
        }
        let input = match (input, sound, noise) {
            (None, None, Some(noise)) => {
                noise.check()?;
                Input::Noise(noise)
            }
            (Some(picture), None, None) => {
                picture.check()?;
                Input::Picture(picture)
            }
            (None, Some(sound), None) => {
                sound.check()?;
                if !matches!(output, Task::Classify(_)) {
                    return Err("what is heard can only be classified".into());
                }
                Input::Sound(sound)
            }
            _ => return Err("it must have either [input], for pictures, or [sound], or [noise]".into()),
        };
        match &output {
            Task::Boxes(boxes) => boxes.check()?,
            Task::Paint(paint) => paint.check()?,
            _ => {}
        }
        Ok(Pipeline { names, input, output })
    }
}

/// What the numbers of a network say.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "task", rename_all = "lowercase")]
#[non_exhaustive]
pub enum Task {
    /// Where things are on it, a box for each of many places.
    Boxes(Boxes),
    /// What is on the picture, as a whole.
    Classify(Classify),
    /// Where things are on it, in boxes around anchors.
    Detect(Detect),
    /// A picture that is made.
    Paint(Paint),
    /// Points of a thing that fills it.
    #[serde(rename = "landmarks")]
    Points(Points),
    /// What it says, as a line of text.
    Read(Read),
    /// Which part of it is what is looked for.
    Segment(Segment),
}

/// How a picture is brought to the size that the network wants.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it, stretched.
    #[default]
    Stretch,
    /// All of it, in its proportions, in the middle of what `border` says.
    Letterbox,
    /// Its middle, after the shorter side was made `shorter` pixels long.
    Crop,
}

/// What a picture becomes before a network takes it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureInput {
    /// The input's name; the network's only one, if not said.
    pub name: Option<String>,
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// How it is brought to this size.
    #[serde(default)]
    pub fit: Fit,
    /// How bright it is around the picture, of [`Fit::Letterbox`].
    #[serde(default)]
    pub border: u8,
    /// Of [`Fit::Crop`].
    #[serde(default)]
    pub shorter: usize,
    /// How pixels come out of pixels.
    #[serde(default)]
    pub filter: Filter,
    /// Whether pixels are looked up at a point each, whatever the filter, as MediaPipe does.
    #[serde(default)]
    pub sampled: bool,
    /// A factor of the bytes of colours, before the mean is taken off.
    #[serde(default = "byte")]
    pub scale: f32,
    /// What is taken off.
    #[serde(default)]
    pub mean: [f32; CHANNELS],
    /// What it is divided by then.
    #[serde(default = "ones")]
    pub std: [f32; CHANNELS],
    /// Whether blue comes first.
    #[serde(default)]
    pub bgr: bool,
    /// Where colours stand.
    #[serde(default)]
    pub layout: Layout,
}

fn byte() -> f32 {
    1.0 / 255.0
}

fn ones() -> [f32; CHANNELS] {
    [1.0; CHANNELS]
}

impl Pipeline {
    /// The built-in pipeline for a model of this name, such as that of its file.
    pub fn of(model: &str) -> Option<Pipeline> {
        let model = plain(model);
        let score = |pipeline: &Pipeline| {
            let names = pipeline.names.iter().map(|name| plain(name));
            names.filter(|name| model.starts_with(name)).map(|name| name.len()).max()
        };
        Pipeline::known()
            .filter_map(|(_, pipeline)| Some((score(&pipeline)?, pipeline)))
            .max_by_key(|(score, _)| *score)
            .map(|found| found.1)
    }

    /// The built-in pipelines, by name.
    pub fn known() -> impl Iterator<Item = (&'static str, Pipeline)> {
        CATALOG.iter().filter_map(|(name, text)| Some((*name, Pipeline::parse(text).ok()?)))
    }

    /// The pipeline that is named so in the catalog, or is in that file.
    ///
    /// # Errors
    /// A file that is not there, or not a pipeline.
    pub fn named(name: &str) -> Result<Pipeline, Error> {
        let built_in = CATALOG.iter().find(|(known, _)| *known == name);
        let failed = |reason: String| Error::Pipeline { name: name.to_string(), reason };
        let text = match built_in {
            Some((_, text)) => text.to_string(),
            None => {
                let file = FlashFile::open(Path::new(name))?;
                if file.len() > LONGEST {
                    return Err(failed(format!("it has more than {LONGEST} bytes")));
                }
                let mut bytes = vec![0; file.len() as usize];
                file.read_exact_at(0, &mut bytes).map_err(|error| failed(error.to_string()))?;
                String::from_utf8(bytes).map_err(|error| failed(error.to_string()))?
            }
        };
        Pipeline::parse(&text).map_err(failed)
    }

    fn parse(text: &str) -> Result<Pipeline, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// What a picture becomes.
    ///
    /// # Errors
    /// If it is for sounds.
    pub fn picture(&self) -> Result<&PictureInput, Error> {
        match &self.input {
            Input::Picture(picture) => Ok(picture),
            Input::Sound(_) => Err(Error::OtherInput { takes: "sounds" }),
            Input::Noise(_) => Err(Error::OtherInput { takes: "noise" }),
        }
    }

    /// The noise that a picture is made of, and how.
    ///
    /// # Errors
    /// If it is a pipeline of something else.
    pub fn noise(&self) -> Result<(&NoiseInput, &Paint), Error> {
        match (&self.input, &self.output) {
            (Input::Noise(noise), Task::Paint(paint)) => Ok((noise, paint)),
            (Input::Sound(_), _) => Err(Error::OtherInput { takes: "sounds" }),
            _ => Err(Error::OtherInput { takes: "pictures" }),
        }
    }

    /// What a sound becomes.
    ///
    /// # Errors
    /// If it is for pictures.
    pub fn sound(&self) -> Result<&SoundInput, Error> {
        match &self.input {
            Input::Sound(sound) => Ok(sound),
            Input::Picture(_) => Err(Error::OtherInput { takes: "pictures" }),
            Input::Noise(_) => Err(Error::OtherInput { takes: "noise" }),
        }
    }
}

/// A name in small letters and digits only.
fn plain(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

impl PictureInput {
    fn check(&self) -> Result<(), String> {
        let sides = [self.width, self.height, self.shorter.max(1)];
        if sides.iter().any(|side| !(1..=WIDEST).contains(side)) {
            return Err(format!("width, height and shorter must be from 1 to {WIDEST}"));
        }
        let is_small = self.shorter < self.width.max(self.height);
        if self.fit == Fit::Crop && is_small {
            return Err("shorter must be at least as long as width and height".into());
        }
        match self.std.contains(&0.0) {
            true => Err("std must not be 0".into()),
            false => Ok(()),
        }
    }

    /// Numbers as the network wants them.
    pub(crate) fn canvas<'n>(&self, numbers: &'n mut [f32]) -> Canvas<'n> {
        let normal = Normal::new(self.scale, self.mean, self.std, self.bgr);
        Canvas { width: self.width, height: self.height, layout: self.layout, normal, numbers }
    }

    /// Brings a picture to the size that the network wants; `to` is of that size, and black. Gives where it lies in the picture.
    pub(crate) fn fit(&self, from: &View<'_>, to: &mut Picture) -> Map {
        if self.sampled {
            return self.sample(from, to);
        }
        let (frame, [left, top]) = self.frame(from.width, from.height);
        if self.fit == Fit::Letterbox {
            to.pixels_mut().fill(self.border);
        }
        let stride = self.width * CHANNELS;
        let pixels = &mut to.pixels_mut()[top * stride + left * CHANNELS..];
        resize(from, self.filter, &frame, pixels, stride);
        let scale = [from.width as f64 / frame.width as f64, from.height as f64 / frame.height as f64];
        let far = [frame.left as f64 - left as f64, frame.top as f64 - top as f64];
        let [c, f] = [far[0] * scale[0], far[1] * scale[1]];
        Map([scale[0], 0.0, c, 0.0, scale[1], f, 0.0, 0.0, 1.0])
    }

    /// Bytes that this takes besides both pictures; nothing where pixels are looked up, as in pictures that are followed.
    pub(crate) fn fitting_bytes(&self, width: usize, height: usize) -> u64 {
        match self.sampled {
            true => 0,
            false => resize_bytes([width, height], self.filter, &self.frame(width, height).0),
        }
    }

    /// The part that is made of a picture, and where on what the network sees it begins.
    fn frame(&self, width: usize, height: usize) -> (Frame, [usize; 2]) {
        match self.fit {
            Fit::Stretch => (Frame::whole(self.width, self.height), [0; 2]),
            Fit::Letterbox => {
                // As Ultralytics: each side is rounded by itself, and of an odd margin the smaller part is before.
                let scale = (self.width as f64 / width as f64).min(self.height as f64 / height as f64);
                let side = |side: usize, most: usize| {
                    ((side as f64 * scale).round_ties_even() as usize).clamp(1, most)
                };
                let (w, h) = (side(width, self.width), side(height, self.height));
                (Frame::whole(w, h), [(self.width - w) / 2, (self.height - h) / 2])
            }
            Fit::Crop => {
                // As torchvision: the longer side is cut, not rounded.
                let long = |long: usize, short: usize| (self.shorter * long) / short;
                let (w, h) = match width < height {
                    true => (self.shorter, long(height, width)),
                    false => (long(width, height), self.shorter),
                };
                let middle =
                    |whole: usize, part: usize| ((whole - part) as f32 / 2.0).round_ties_even() as usize;
                let (left, top) = (middle(w, self.width), middle(h, self.height));
                (Frame { width: w, height: h, left, top, columns: self.width, rows: self.height }, [0; 2])
            }
        }
    }
}

impl PictureInput {
    fn sample(&self, from: &View<'_>, to: &mut Picture) -> Map {
        let (size, wanted) = ([from.width, from.height], [self.width, self.height]);
        let roi = match self.fit {
            Fit::Letterbox => Roi::whole(size.map(|side| side as f32), wanted.map(|side| side as f32)),
            _ => Roi {
                centre: size.map(|side| side as f32 / 2.0),
                size: size.map(|side| side as f32),
                angle: 0.0,
            },
        };
        let map = roi.map(self.width, self.height);
        let border = (self.fit == Fit::Letterbox).then_some([self.border; CHANNELS]);
        warp(from, &map, border, false, self.width, to.pixels_mut());
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalog_is_sorted_and_every_pipeline_finds_itself() {
        assert!(CATALOG.is_sorted_by_key(|(name, _)| *name));
        for (name, text) in CATALOG {
            let pipeline = Pipeline::parse(text).unwrap();
            assert!(!pipeline.names.is_empty(), "{name}");
            for own in &pipeline.names {
                assert_eq!(Pipeline::of(&format!("{own}_v1.onnx")).unwrap().names, pipeline.names, "{name}");
            }
        }
        assert!(Pipeline::of("unheard-of").is_none());
    }

    #[test]
    fn a_pipeline_of_unknown_words_is_refused() {
        let good = CATALOG.iter().find(|(name, _)| *name == "mobilenetv2").unwrap().1;
        for (from, to) in [
            ("width", "breadth"),
            ("224", "0"),
            ("classify", "guess"),
            ("[input]", "[picture]"),
            ("[input]", &"[".repeat(9999)),
        ] {
            assert!(Pipeline::parse(&good.replace(from, to)).is_err(), "{from}");
        }
    }
}
