//! Points on faces, hands and people, followed from picture to picture.
//!
//! What it is: two networks, one that finds and one that marks points in a turned part of the picture. What it is not: points that
//! are smoothed over time. The one design choice: where the points were is where they are looked for on the next picture; the one
//! that finds runs, and is in memory, only when they were lost, so that the account is that of the larger of the two.
//! V. Bazarevsky et al., BlazePose, 2020; the rules are those of MediaPipe's graphs.

mod kind;

pub use self::kind::Kind;
use self::kind::Rules;
use super::eye::Eye;
use super::roi::Roi;
use super::seen::radius;
use super::values::{only, sigmoid};
use super::{Pipeline, Point, Task};
use crate::{Engine, Error};
use planner::{Line, Refusal};
use processors::image::{Picture, Source, View};
use std::path::{Path, PathBuf};

/// A point that was marked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mark {
    /// Where it is on the picture.
    pub at: Point,
    /// How far it is behind the middle, in pixels; before it, if negative.
    pub depth: f32,
    /// How likely it can be seen, if the network says.
    pub visibility: Option<f32>,
}

/// The points of a face, a hand or a person.
#[derive(Clone, Debug, PartialEq)]
pub struct Landmarks {
    /// How likely it is one.
    pub score: f32,
    /// In the network's order.
    pub marks: Vec<Mark>,
}

/// What came of a picture.
pub struct Followed {
    /// All that were found, at most as many as are followed.
    pub found: Vec<Landmarks>,
    /// Whether they had to be looked for on the whole picture.
    pub is_anew: bool,
    /// The picture.
    pub picture: Picture,
}

/// Networks that follow.
pub struct Follow {
    kind: Kind,
    detector: PathBuf,
    pipeline: Pipeline,
    marker: PathBuf,
    /// Where those of the last picture were.
    rois: Vec<Roi>,
    /// The marker, and the bytes of pictures that it was planned with.
    eye: Option<(Eye, u64)>,
}

/// At least so likely, or it is lost.
const LEAST: f32 = 0.5;

impl Follow {
    /// The networks for a kind in a folder, by their names.
    ///
    /// # Errors
    /// A folder that cannot be read or lacks one.
    pub fn in_folder(kind: Kind, folder: &Path) -> Result<Follow, Error> {
        let (detector, marker) = kind.files(folder)?;
        let stem = detector.file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
        let missing = || Error::NoPart { folder: folder.to_path_buf(), what: "detector that is known" };
        let pipeline = Pipeline::of(stem).ok_or_else(missing)?;
        Ok(Follow { kind, detector, pipeline, marker, rois: Vec::new(), eye: None })
    }

    /// The account of following on pictures like `source` in a budget, or why it does not fit.
    ///
    /// # Errors
    /// A network that is damaged or not supported.
    pub fn plan_in(
        &self,
        engine: &Engine,
        source: &Source,
        budget: u64,
    ) -> Result<Result<Vec<Line>, Refusal>, Error> {
        let held = source.decoding_bytes();
        let detector = Eye::build(engine, &self.detector, self.pipeline.picture()?, held)?.0;
        let detector = engine.plan_network_in(&detector, budget);
        let marker = Eye::build(engine, &self.marker, &self.kind.rules().input(), held)?.0;
        let marker = engine.plan_network_in(&marker, budget);
        let peak = |plan: &Result<Vec<Line>, Refusal>| match plan {
            Ok(lines) => (false, lines.iter().map(|line| line.bytes).sum()),
            Err(refused) => (true, refused.needed),
        };
        Ok(if peak(&detector) > peak(&marker) { detector } else { marker })
    }

    /// Marks the points on the next picture.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget, before the picture is decoded; damaged files.
    pub fn next(&mut self, engine: &Engine, source: &Source) -> Result<Followed, Error> {
        let held = source.decoding_bytes();
        if self.eye.as_ref().is_none_or(|(_, planned)| *planned < held) {
            self.eye = None;
            let plan = self.plan_in(engine, source, engine.budget.bytes)?;
            plan.map_err(|refused| Error::Refused(Box::new(refused)))?;
        }
        let picture = source.decode(&engine.ledger)?;
        let mut found = self.marked(engine, &picture.view(), held)?;
        let is_anew = found.is_empty();
        if is_anew {
            self.eye = None;
            self.rois = self.found(engine, &picture.view(), held)?;
            found = self.marked(engine, &picture.view(), held)?;
        }
        Ok(Followed { found, is_anew, picture })
    }

    /// Where things are on the whole picture.
    fn found(&self, engine: &Engine, picture: &View<'_>, held: u64) -> Result<Vec<Roi>, Error> {
        let Task::Detect(task) = &self.pipeline.output else { return Ok(Vec::new()) };
        let mut eye = Eye::load(engine, &self.detector, self.pipeline.picture()?, held)?;
        let map = eye.look(picture)?;
        let size = [eye.settings.width, eye.settings.height];
        let rules = self.kind.rules();
        let objects = task.read(&eye.network, size, &map)?;
        Ok(objects.iter().take(rules.most).filter_map(rules.from_object).filter(Roi::is_sound).collect())
    }

    /// The points where they are looked for; where they are looked for next.
    fn marked(&mut self, engine: &Engine, picture: &View<'_>, held: u64) -> Result<Vec<Landmarks>, Error> {
        if self.rois.is_empty() {
            return Ok(Vec::new());
        }
        let rules = self.kind.rules();
        let (eye, _) = match &mut self.eye {
            Some(eye) => eye,
            none => none.insert((Eye::load(engine, &self.marker, &rules.input(), held)?, held)),
        };
        let mut found = Vec::new();
        for roi in std::mem::take(&mut self.rois) {
            eye.look_at(picture, &roi.map(rules.side, rules.side))?;
            let Some((landmarks, next)) = rules.read(eye, &roi)? else { continue };
            self.rois.extend(next.filter(Roi::is_sound));
            found.push(landmarks);
        }
        Ok(found)
    }
}

impl Rules {
    /// The points that the network marked in a part, and where they are looked for next; `None` if they are lost.
    fn read(&self, eye: &Eye, roi: &Roi) -> Result<Option<(Landmarks, Option<Roi>)>, Error> {
        let (_, score) = only(&eye.network, Some(self.score))?;
        let score = score.first().copied().unwrap_or(0.0);
        let score = if self.is_logit { sigmoid(score) } else { score };
        if score.is_nan() || score < LEAST {
            return Ok(None);
        }
        let (_, numbers) = only(&eye.network, Some(self.points))?;
        let map = roi.map(self.side, self.side);
        let mut points: Vec<[f32; 5]> = numbers
            .chunks_exact(self.values)
            .map(|point| std::array::from_fn(|at| point.get(at).copied().unwrap_or(0.0)))
            .collect();
        if let Some(heat) = self.heat {
            let (extents, heat) = only(&eye.network, Some(heat))?;
            kind::refine(&mut points, self.side, &extents, heat);
        }
        let mark = |point: &[f32; 5]| Mark {
            at: map.place(f64::from(point[0]), f64::from(point[1])).map(|at| at as f32),
            depth: point[2] * self.depth * roi.size[0] / self.side as f32,
            visibility: (self.values > 3).then(|| sigmoid(point[3])),
        };
        let mut marks: Vec<Mark> = points.iter().map(mark).collect();
        let next = (self.from_marks)(&marks);
        marks.truncate(self.count);
        Ok(Some((Landmarks { score, marks }, next)))
    }
}

impl Landmarks {
    /// Draws the points that can be seen.
    pub fn draw(&self, picture: &mut Picture) {
        let radius = radius(picture);
        let seen = self.marks.iter().filter(|mark| mark.visibility.is_none_or(|share| share >= LEAST));
        seen.for_each(|mark| picture.draw_point(mark.at, radius, [0, 220, 255]));
    }
}
