//! A network looks at a picture.
//!
//! What it is: the way from a file of a picture to a task's answer, within the budget. What it is not: tasks of several models.
//! The one design choice: the picture is decoded and made small before a weight is read, so that what decoding takes is free
//! again when the network runs; a plan knows both moments and its account is the larger.

use super::values::only_input;
use super::{Pipeline, Seen, Task, eye};
use crate::network::Beside;
use crate::{BuiltNetwork, Engine, Error, Feed, NetworkFile};
use host::{Part, Region};
use planner::Line;
use processors::image::{CHANNELS, Picture, Source};
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
    /// The network, built for the picture.
    ///
    /// # Errors
    /// What the network has that is not supported.
    pub fn build(&self, engine: &Engine) -> Result<BuiltNetwork, Error> {
        let settings = self.pipeline.picture()?;
        let name = only_input(self.file, settings.name.as_deref())?.name;
        let kind = eye::kind(settings)?;
        let fed = kind.bytes() as u64;
        let mut built = engine.build_network(self.file, &[Feed { name, kind, bytes: None }])?;
        let small = settings.width * settings.height * CHANNELS;
        let small = small.next_multiple_of(host::page_size()) as u64;
        let whole = self.source.bytes();
        let fitting = settings.fitting_bytes(self.source.width(), self.source.height());
        let passing = self.source.decoding_bytes().max(whole + small + fitting) + fed;
        let told = match &self.pipeline.output {
            Task::Boxes(_) => super::Boxes::HEAP_BYTES,
            Task::Classify(task) => task.heap_bytes(),
            Task::Read(_) => super::Read::HEAP_BYTES,
            Task::Segment(_) => (settings.width * settings.height) as u64,
            _ => 0,
        };
        built.beside = Beside { kept: fed + told + if self.keep { whole } else { 0 }, passing };
        Ok(built)
    }

    /// Looks with the network that was built; the picture comes back if it was to be kept.
    ///
    /// # Errors
    /// [`Error::Refused`], before the picture is decoded or a weight is read; a damaged picture; what is wrong with the disk;
    /// numbers that the task cannot read.
    pub fn run(&self, engine: &Engine, built: BuiltNetwork) -> Result<Looked, Error> {
        let settings = self.pipeline.picture()?;
        let input = only_input(self.file, settings.name.as_deref())?.name;
        let lines = engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let picture = self.source.decode(&engine.ledger)?;
        let mut small = Picture::new(&engine.ledger, settings.width, settings.height)?;
        let map = settings.fit(&picture.view(), &mut small);
        let picture = self.keep.then_some(picture);
        let mut fed = Region::new(&engine.ledger, Part::Data, eye::kind(settings)?.bytes())?;
        settings.canvas(fed.as_mut_slice()).put(&small.view(), 0, 0);
        drop(small);
        let mut network = engine.load_network(built)?;
        let start = Instant::now();
        network.run(&[(&input, fed.as_bytes())])?;
        let seconds = start.elapsed().as_secs_f64();
        let seen = match &self.pipeline.output {
            Task::Boxes(task) => {
                let whole = [self.source.width(), self.source.height()];
                Seen::Objects(task.read(&network, [settings.width, settings.height], &map, whole)?)
            }
            Task::Classify(task) => Seen::Classes(task.read(&network, self.top)?),
            Task::Detect(task) => {
                Seen::Objects(task.read(&network, [settings.width, settings.height], &map)?)
            }
            Task::Paint(_) => return Err(Error::OtherInput { takes: "noise" }),
            Task::Points(task) => {
                Seen::Points(task.read(&network, [settings.width, settings.height], &map)?)
            }
            Task::Read(task) => Seen::Line(task.read(&network)?),
            Task::Segment(task) => {
                Seen::Mask(task.read(&network, [settings.width, settings.height], &map)?)
            }
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
