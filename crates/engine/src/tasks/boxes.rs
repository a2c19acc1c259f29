//! Where things are on a picture, from a network that says a box for each of many places: exports of the YOLO family.
//!
//! What it is: any order of a box's numbers, which the pipeline tells, one box a row or a column, and the choice among boxes that lie
//! over one another, unless the network has chosen. What it is not: boxes around anchors, see [`Detect`](super::Detect). The one
//! design choice: what a number of a box means is a word in a list, so that the forms of exports are data.
//! J. Redmon et al., You Only Look Once, 2016; A. Neubeck and L. Van Gool, Efficient Non-Maximum Suppression, 2006.

use super::detect::{Object, labelled, shared};
use super::values::{Activation, Labels, only};
use crate::{Error, Network};
use processors::image::Map;
use serde::Deserialize;

/// How the boxes of a network are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boxes {
    /// The output's name; the network's only one, if not said.
    pub boxes: Option<String>,
    /// What the numbers of a box are, in order.
    pub numbers: Vec<Number>,
    /// Whether places are shares of the picture instead of its pixels.
    #[serde(default)]
    pub relative: bool,
    /// What makes scores shares.
    #[serde(default)]
    pub activation: Activation,
    /// The least share of a thing.
    #[serde(default = "threshold")]
    pub threshold: f32,
    /// How much of two boxes of a class lies over one another if they are of one thing; 1 if the network has chosen.
    #[serde(default = "overlap")]
    pub overlap: f32,
    /// What things are called.
    pub labels: Option<Labels>,
}

fn threshold() -> f32 {
    0.25
}

fn overlap() -> f32 {
    0.45
}

/// What a number of a box is.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Number {
    /// The middle, from the left.
    X,
    /// The middle, from the top.
    Y,
    /// How wide.
    Width,
    /// How high.
    Height,
    /// The left side.
    Left,
    /// The upper side.
    Top,
    /// The right side.
    Right,
    /// The lower side.
    Bottom,
    /// How likely there is anything; a factor of the scores.
    Object,
    /// How likely it is what its class says.
    Score,
    /// The number of its class.
    Class,
    /// How likely it is of each class: all numbers that are left. The last word.
    Scores,
    /// Nothing that is asked for.
    Other,
}

/// Things that are told at most, and boxes that are compared.
const MOST: usize = 300;
const MOST_BOXES: usize = 1024;

/// A box that may be told.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    share: f32,
    class: usize,
    corners: [f32; 4],
}

/// Where a box's numbers are among all.
#[derive(Clone, Copy, Debug)]
struct Stored {
    count: usize,
    width: usize,
    /// From one number of a box to the next, and from one box to the next.
    steps: [usize; 2],
}

impl Boxes {
    /// What is wrong with the words of a pipeline.
    pub(super) fn check(&self) -> Result<(), String> {
        let has = |number| self.numbers.iter().filter(|&&own| own == number).count() == 1;
        let all = |numbers: &[Number]| numbers.iter().all(|&number| has(number));
        use Number::{Bottom, Class, Height, Left, Right, Score, Scores, Top, Width, X, Y};
        if all(&[X, Y, Width, Height]) == all(&[Left, Top, Right, Bottom]) {
            return Err("numbers must have x, y, width and height, or left, top, right and bottom".into());
        }
        match (has(Scores), all(&[Score, Class])) {
            (true, _) if self.numbers.last() != Some(&Scores) => {
                Err("scores must be the last of numbers".into())
            }
            (true, false) | (false, true) => Ok(()),
            _ => Err("numbers must have score and class, or scores at the end".into()),
        }
    }

    /// The things that the network found on its picture of `width` x `height`, likeliest first; `map` says where that lies.
    ///
    /// # Errors
    /// An output that is missing, no array of numbers, or of other extents.
    pub fn read(&self, network: &Network, size: [usize; 2], map: &Map) -> Result<Vec<Object>, Error> {
        let (extents, numbers) = only(network, self.boxes.as_deref())?;
        let stored = self.stored(&extents).ok_or_else(|| {
            let reason = format!("its boxes are {extents:?}, not of the numbers that the pipeline names");
            Error::Pipeline { name: self.boxes.clone().unwrap_or_default(), reason }
        })?;
        let place = |x, y| map.place(f64::from(x), f64::from(y)).map(|at| at as f32);
        let told = |found: Candidate| {
            let [left, top, right, bottom] = found.corners;
            let label = labelled(self.labels.as_ref(), found.class)?;
            let corners = [place(left, top), place(right, bottom)];
            Ok(Object { label, score: found.share, corners, points: Vec::new() })
        };
        self.found(numbers, stored, size).into_iter().map(told).collect()
    }

    /// A box a row or a column: the shorter of both, if that can be.
    fn stored(&self, extents: &[usize]) -> Option<Stored> {
        let (&columns, before) = extents.split_last()?;
        let (&rows, batch) = before.split_last()?;
        let fits = |stored: &Stored| match self.numbers.last() {
            Some(Number::Scores) => stored.width >= self.numbers.len(),
            _ => stored.width == self.numbers.len(),
        };
        let mut ways = [
            Stored { count: rows, width: columns, steps: [1, columns] },
            Stored { count: columns, width: rows, steps: [columns, 1] },
        ];
        ways.sort_by_key(|stored| stored.width);
        let is_one = batch.iter().all(|&extent| extent == 1);
        ways.into_iter().find(fits).filter(|_| is_one)
    }

    fn found(&self, numbers: &[f32], stored: Stored, size: [usize; 2]) -> Vec<Candidate> {
        let mut all = Vec::new();
        for number in 0..stored.count {
            let at = |place: usize| {
                let at = number * stored.steps[1] + place * stored.steps[0];
                numbers.get(at).copied().unwrap_or_default()
            };
            all.extend(self.candidate(&at, stored.width, size));
            if all.len() >= 2 * MOST_BOXES {
                likeliest(&mut all);
            }
        }
        likeliest(&mut all);
        self.chosen(&all)
    }

    /// A box whose share is large enough.
    fn candidate(&self, at: &dyn Fn(usize) -> f32, width: usize, size: [usize; 2]) -> Option<Candidate> {
        let get = |number: Number| self.numbers.iter().position(|&own| own == number).map(at);
        let (class, score) = match get(Number::Class) {
            Some(class) => (class.max(0.0) as usize, self.share(get(Number::Score)?, at, width)),
            None => {
                let first = self.numbers.len() - 1;
                let best = (first..width).max_by(|&a, &b| at(a).total_cmp(&at(b)).then(b.cmp(&a)))?;
                (best - first, self.share(at(best), at, width))
            }
        };
        let object = get(Number::Object).map_or(1.0, |object| self.share(object, at, width));
        let share = score * object;
        let axis = |low: Number, high: Number, middle: Number, long: Number| {
            let ends = get(low).zip(get(high));
            let around = || get(middle).zip(get(long)).map(|(at, long)| (at - long / 2.0, at + long / 2.0));
            ends.or_else(around)
        };
        let (left, right) = axis(Number::Left, Number::Right, Number::X, Number::Width)?;
        let (top, bottom) = axis(Number::Top, Number::Bottom, Number::Y, Number::Height)?;
        let [width, height] = if self.relative { size.map(|side| side as f32) } else { [1.0; 2] };
        let corners = [left * width, top * height, right * width, bottom * height];
        let is_told = share >= self.threshold && corners.iter().all(|corner| corner.is_finite());
        is_told.then_some(Candidate { share, class, corners })
    }

    /// A score as a share; of softmax, among all scores of the box.
    fn share(&self, score: f32, at: &dyn Fn(usize) -> f32, width: usize) -> f32 {
        match self.activation {
            Activation::Softmax => {
                let first = self.numbers.len().saturating_sub(1);
                let most = (first..width).map(at).fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = (first..width).map(|place| libm::expf(at(place) - most)).sum();
                libm::expf(score - most) / sum
            }
            each => each.over(&[])(score),
        }
    }

    /// One for each thing, of boxes that are sorted.
    fn chosen(&self, all: &[Candidate]) -> Vec<Candidate> {
        let mut chosen: Vec<Candidate> = Vec::new();
        for one in all {
            let is_same = |other: &Candidate| {
                other.class == one.class && shared(&other.corners, &one.corners) > self.overlap
            };
            if chosen.len() < MOST && !chosen.iter().any(is_same) {
                chosen.push(*one);
            }
        }
        chosen
    }
}

/// Sorts boxes, likeliest first, and leaves the last out if they are many.
fn likeliest(all: &mut Vec<Candidate>) {
    all.sort_by(|a, b| b.share.total_cmp(&a.share));
    all.truncate(MOST_BOXES);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxes(text: &str) -> Boxes {
        toml::from_str(text).unwrap()
    }

    fn found(boxes: &Boxes, extents: &[usize], numbers: &[f32]) -> Vec<(usize, f32, [f32; 4])> {
        let stored = boxes.stored(extents).unwrap();
        let found = boxes.found(numbers, stored, [100, 50]).into_iter();
        found.map(|found| (found.class, found.share, found.corners)).collect()
    }

    #[test]
    fn boxes_are_read_however_they_are_stored() {
        // Two that lie over one another, one of another class, one that is unlikely; and enough boxes to be more than numbers.
        let rows = [
            [10.0, 10.0, 8.0, 8.0, 0.9, 0.1],
            [11.0, 10.0, 8.0, 8.0, 0.8, 0.1],
            [10.0, 10.0, 8.0, 8.0, 0.1, 0.5],
            [40.0, 20.0, 4.0, 8.0, 0.2, 0.1],
            [60.0, 20.0, 4.0, 8.0, 0.0, 0.3],
            [0.0; 6],
            [f32::NAN; 6],
        ];
        let expected = [
            (0, 0.9, [6.0, 6.0, 14.0, 14.0]),
            (1, 0.5, [6.0, 6.0, 14.0, 14.0]),
            (1, 0.3, [58.0, 16.0, 62.0, 24.0]),
        ];
        let middle = boxes("numbers = [\"x\", \"y\", \"width\", \"height\", \"scores\"]");
        assert_eq!(found(&middle, &[1, 7, 6], rows.as_flattened()), expected);
        let columns: Vec<f32> = (0..6).flat_map(|number| rows.map(|row| row[number])).collect();
        assert_eq!(found(&middle, &[1, 6, 7], &columns), expected);
        assert!(
            middle.stored(&[2, 6, 7]).is_none()
                && middle.stored(&[4, 4]).is_none()
                && middle.stored(&[7]).is_none()
        );
    }

    #[test]
    fn what_numbers_mean_is_told() {
        let object =
            boxes("numbers = [\"x\", \"y\", \"width\", \"height\", \"object\", \"scores\"]\nrelative = true");
        let row = [0.5, 0.5, 0.2, 0.4, 0.5, 0.1, 0.8];
        assert_eq!(found(&object, &[1, 7], &row)[0].0, 1);
        let numbers: Vec<f32> = row.repeat(8);
        let [(1, share, corners)] = found(&object, &[8, 7], &numbers)[..] else { panic!("one thing") };
        assert!((share - 0.4).abs() < 1e-6);
        for (corner, expected) in corners.iter().zip([40.0, 15.0, 60.0, 35.0]) {
            assert!((corner - expected).abs() < 1e-4, "{corners:?}");
        }
        let chosen = boxes(
            "numbers = [\"other\", \"left\", \"top\", \"right\", \"bottom\", \"class\", \"score\"]\noverlap = 1",
        );
        let numbers = [[0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 0.6], [0.0, 1.0, 2.0, 3.0, 4.0, 7.0, 0.5]];
        let corners = [1.0, 2.0, 3.0, 4.0];
        assert_eq!(found(&chosen, &[2, 7], numbers.as_flattened()), [(7, 0.6, corners), (7, 0.5, corners)]);
    }

    #[test]
    fn words_that_say_no_box_are_refused() {
        for (numbers, is_right) in [
            ("\"x\", \"y\", \"width\", \"height\", \"scores\"", true),
            ("\"left\", \"top\", \"right\", \"bottom\", \"score\", \"class\"", true),
            ("\"x\", \"y\", \"width\", \"scores\"", false),
            ("\"x\", \"y\", \"width\", \"height\"", false),
            ("\"scores\", \"x\", \"y\", \"width\", \"height\"", false),
            ("\"x\", \"y\", \"width\", \"height\", \"score\"", false),
        ] {
            assert_eq!(boxes(&format!("numbers = [{numbers}]")).check().is_ok(), is_right, "{numbers}");
        }
    }
}
