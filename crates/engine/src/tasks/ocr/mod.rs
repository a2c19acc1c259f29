//! What is written on a picture: lines of text, where they are and what they say.
//!
//! What it is: three networks of the PP-OCR family, one after another in one budget: one finds lines, one says which stand on
//! their head, one reads them. What it is not: the order of columns, or tables. The one design choice: a network is in memory
//! only while it is needed, whatever the budget, so that the account is that of the largest of the three and the answer is the
//! same everywhere. PaddleOCR; RapidOCR for the sizes.

pub(super) mod characters;
mod folder;
mod regions;
mod shape;
mod stage;

use self::characters::Characters;
use self::stage::{Stage, Text};
use super::Point;
use crate::{Engine, Error};
use host::{Ledger, Part, Reservation};
use planner::{Line, Refusal};
use processors::image::{Picture, Source};
use std::path::{Path, PathBuf};

/// Where the networks are.
#[derive(Clone, Debug)]
pub struct Ocr {
    /// Finds lines.
    pub detector: PathBuf,
    /// Says which stand on their head; without it all are taken as upright.
    pub turner: Option<PathBuf>,
    /// Reads lines.
    pub reader: PathBuf,
    /// The characters that it knows, one on each line; without it they are in its own file.
    pub characters: Option<PathBuf>,
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub struct TextLine {
    /// What it says.
    pub text: String,
    /// How likely its characters are, on average.
    pub score: f32,
    /// Left top, right top, right bottom, left bottom of it as it is read, in pixels of the picture.
    pub corners: [Point; 4],
}

/// What is written on a picture.
pub struct Page {
    /// Lines from the top, as far as they say anything.
    pub lines: Vec<TextLine>,
    /// The picture.
    pub picture: Picture,
    /// The account, in printing order.
    pub account: Vec<Line>,
}

/// Lines that say something are at least so likely.
const LEAST: f32 = 0.5;
/// A line stands on its head if that is at least so likely.
const TURNED: f32 = 0.9;

impl Ocr {
    /// The networks in a folder, by their names: what has `det`, `cls` or `rec` in it, and a list with `keys` or `dict`.
    ///
    /// # Errors
    /// A folder that cannot be read, or lacks the detector or the reader.
    pub fn in_folder(folder: &Path) -> Result<Ocr, Error> {
        folder::networks(folder)
    }

    /// The account of reading a picture in a budget, or why it does not fit: that of the network that takes most.
    ///
    /// # Errors
    /// A network that is missing, damaged or not supported.
    pub fn plan_in(
        &self,
        engine: &Engine,
        source: &Source,
        budget: u64,
    ) -> Result<Result<Vec<Line>, Refusal>, Error> {
        let page = (source.width(), source.height());
        let mut largest: Option<Result<Vec<Line>, Refusal>> = None;
        let peak = |plan: &Result<Vec<Line>, Refusal>| match plan {
            Ok(lines) => lines.iter().map(|line| line.bytes).sum(),
            Err(refused) => refused.needed,
        };
        for (path, stage) in self.stages(page) {
            let mut built = stage.build(engine, path, source)?;
            built.beside.passing = match stage {
                Stage::Find(_) => source.decoding_bytes(),
                _ => 0,
            };
            let plan = engine.plan_network_in(&built, budget);
            let is_larger = largest
                .as_ref()
                .is_none_or(|other| (plan.is_err(), peak(&plan)) > (other.is_err(), peak(other)));
            if is_larger {
                largest = Some(plan);
            }
        }
        largest.ok_or(Error::NoPart { folder: self.detector.clone(), what: "network" })
    }

    /// The networks in the order in which they run, each as it takes most.
    fn stages(&self, page: (usize, usize)) -> Vec<(&Path, Stage)> {
        let mut stages = vec![(&*self.detector, Stage::find(page))];
        stages.extend(self.turner.iter().map(|path| (&**path, Stage::Turn)));
        stages.push((&self.reader, Stage::Read(stage::WIDEST)));
        stages
    }

    /// Reads a picture.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget, before the picture is decoded; damaged files.
    pub fn read(&self, engine: &Engine, source: &Source) -> Result<Page, Error> {
        let account = self.plan_in(engine, source, engine.budget.bytes)?;
        let account = account.map_err(|refused| Error::Refused(Box::new(refused)))?;
        let picture = source.decode(&engine.ledger)?;
        let _lists = reserved(&engine.ledger)?;
        let stage = Stage::find((picture.width(), picture.height()));
        let mut corners = stage.load(engine, &self.detector, source)?.find(&picture.view())?;
        regions::in_order(&mut corners);
        if let Some(turner) = &self.turner {
            let mut text = Stage::Turn.load(engine, turner, source)?;
            for line in &mut corners {
                if text.turned(&picture.view(), line)? > TURNED {
                    line.rotate_left(2);
                }
            }
        }
        let mut lines = self.texts(engine, source, &picture, &corners)?;
        lines.retain(|line| line.score >= LEAST);
        Ok(Page { lines, picture, account })
    }

    /// What the lines say: those of one width together, since the reader is built for a width.
    fn texts(
        &self,
        engine: &Engine,
        source: &Source,
        picture: &Picture,
        corners: &[[Point; 4]],
    ) -> Result<Vec<TextLine>, Error> {
        let empty = |corners: &[Point; 4]| TextLine { text: String::new(), score: 0.0, corners: *corners };
        let mut lines: Vec<TextLine> = corners.iter().map(empty).collect();
        let mut widths: Vec<usize> = corners.iter().map(stage::width).collect();
        widths.sort_unstable();
        widths.dedup();
        let mut known: Option<Characters> = None;
        for width in widths {
            let mut reader: Text = Stage::Read(width).load(engine, &self.reader, source)?;
            if known.is_none() {
                known = Some(Characters::new(folder::characters(self, engine)?, reader.classes()?)?);
            }
            let Some(known) = &known else { continue };
            for line in lines.iter_mut().filter(|line| stage::width(&line.corners) == width) {
                (line.text, line.score) = reader.read(&picture.view(), &line.corners, known)?;
            }
        }
        Ok(lines)
    }
}

/// What lists of lines and characters take.
fn reserved(ledger: &Ledger) -> Result<Reservation, Error> {
    Ok(ledger.reserve(Part::Data, stage::LISTS)?)
}
