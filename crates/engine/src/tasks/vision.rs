//! A network looks at a picture.
//!
//! What it is: the way from a file of a picture to a task's answer, within the budget. What it is not: tasks of several models.
//! The one design choice: the picture is decoded and made small before a weight is read, so that what decoding takes is free
//! again when the network runs; a plan knows both moments and its account is the larger.

use super::{Pipeline, Seen, Task};
use crate::network::Beside;
use crate::{ArrayType, BuiltNetwork, Elem, Engine, Error, Extents, Feed, NetworkFile};
use host::{Part, Region};
use planner::Line;
use processors::image::{CHANNELS, Layout, Picture, Source};
use std::time::Instant;

/// A network, how it is fed and read, and a picture that was not decoded yet.
pub struct Look<'a> {
    /// The network.
    pub file: &'a NetworkFile,
    /// How it is fed and read.
    pub pipeline: &'a Pipeline,
    /// The picture.
    pub source: &'a Source,
    /// Whether the picture is wanted afterwards, to be drawn on.
    pub keep: bool,
    /// Classes that are told at most.
    pub top: usize,
}

impl Look<'_> {
    /// The input that takes the picture.
    fn input(&self) -> Result<String, Error> {
        let inputs = self.file.inputs();
        let named = self.pipeline.input.name.clone();
        let known = || inputs.iter().map(|input| &*input.name).collect::<Vec<_>>().join(", ");
        match (named, &*inputs) {
            (Some(name), _) => Ok(name),
            (None, [input]) => Ok(input.name.clone()),
            (None, _) => Err(Error::NoSuchInput { name: String::new(), inputs: known() }),
        }
    }

    /// What that input is.
    fn kind(&self) -> Result<ArrayType, Error> {
        let input = &self.pipeline.input;
        let extents = match input.layout {
            Layout::Nchw => [1, CHANNELS, input.height, input.width],
            Layout::Nhwc => [1, input.height, input.width, CHANNELS],
        };
        let extents = Extents::new(&extents).ok_or(Error::Option {
            option: "the size of the pipeline",
            value: format!("{} x {}", input.width, input.height),
            expected: "smaller",
        })?;
        Ok(ArrayType { elem: Elem::F32, extents })
    }

    /// The network, built for the picture.
    ///
    /// # Errors
    /// What the network has that is not supported.
    pub fn build(&self, engine: &Engine) -> Result<BuiltNetwork, Error> {
        let (name, kind) = (self.input()?, self.kind()?);
        let fed = kind.bytes() as u64;
        let mut built = engine.build_network(self.file, &[Feed { name, kind, bytes: None }])?;
        let small = self.pipeline.input.width * self.pipeline.input.height * CHANNELS;
        let small = small.next_multiple_of(host::page_size()) as u64;
        let whole = self.source.bytes();
        let passing = self.source.decoding_bytes().max(whole + small) + fed;
        built.beside = Beside { kept: fed + if self.keep { whole } else { 0 }, passing };
        Ok(built)
    }

    /// Looks with the network that was built; the picture comes back if it was to be kept.
    ///
    /// # Errors
    /// [`Error::Refused`], before the picture is decoded or a weight is read; a damaged picture; what is wrong with the disk;
    /// numbers that the task cannot read.
    pub fn run(&self, engine: &Engine, built: BuiltNetwork) -> Result<Looked, Error> {
        let input = self.input()?;
        let lines = engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let settings = &self.pipeline.input;
        let picture = self.source.decode(&engine.ledger)?;
        let mut small = Picture::new(&engine.ledger, settings.width, settings.height)?;
        let _placed = settings.fit(&picture.view(), &mut small);
        let picture = self.keep.then_some(picture);
        let mut fed = Region::new(&engine.ledger, Part::Data, self.kind()?.bytes())?;
        settings.canvas(fed.as_mut_slice()).put(&small.view(), 0, 0);
        drop(small);
        let mut network = engine.load_network(built)?;
        let start = Instant::now();
        network.run(&[(&input, fed.as_bytes())])?;
        let seconds = start.elapsed().as_secs_f64();
        let seen = match &self.pipeline.output {
            Task::Classify(task) => Seen::Classes(task.read(&network, self.top)?),
        };
        Ok(Looked { seen, picture, lines, seconds })
    }
}

/// What came of a look.
pub struct Looked {
    /// What was seen.
    pub seen: Seen,
    /// The picture, if it was to be kept.
    pub picture: Option<Picture>,
    /// The account, in printing order.
    pub lines: Vec<Line>,
    /// How long the network took.
    pub seconds: f64,
}
