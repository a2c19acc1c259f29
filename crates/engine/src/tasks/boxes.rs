//! Where things are on a picture, from a network that says a box for each of many places: the YOLO family, SSD and those like them.
//!
//! What it is: any order of a box's numbers, which the pipeline tells, in one output or several, one box a row or a column, and the
//! choice among boxes that lie over one another, unless the network has chosen. What it is not: boxes around anchors, see
//! [`Detect`](super::Detect). The one design choice: what a number of a box means is a word in a list, a list for each output, so that
//! the forms of exports are data.
//! J. Redmon et al., You Only Look Once, 2016; W. Liu et al., SSD, 2016; A. Neubeck and L. Van Gool, Efficient Non-Maximum
//! Suppression, 2006.

use super::detect::{Object, labelled, shared};
use super::values::{Activation, Labels};
use crate::{Elem, Error, Extents, Network};
use processors::image::Map;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// How the boxes of a network are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Boxes {
    /// The outputs that are read, by name; all of the network's, in its order, if not said.
    #[serde(default)]
    pub outputs: Vec<String>,
    /// What the numbers of a box are, in order: a list for each output, or one if there is one.
    #[serde(deserialize_with = "lists")]
    pub numbers: Vec<Vec<Number>>,
    /// The number of the first class.
    #[serde(default)]
    pub first_class: usize,
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

/// A list of words is a list of one.
fn lists<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Vec<Number>>, D::Error> {
    let said = toml::Value::deserialize(from)?;
    let is_one = said.as_array().is_some_and(|list| !list.iter().any(toml::Value::is_array));
    let lists = if is_one { said.try_into().map(|list| vec![list]) } else { said.try_into() };
    lists.map_err(D::Error::custom)
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
    /// How likely it is of each class: all numbers of the output that are left. The last word of its list.
    Scores,
    /// No number of a box, but how many of them there are; alone in its list.
    Count,
    /// Nothing that is asked for.
    Other,
}

/// Things that are told at most, and boxes that are compared.
const MOST: usize = 300;
const MOST_BOXES: usize = 1024;
/// Bytes of what a thing is called, with what an allocator keeps beside.
const LABEL: usize = 64;

/// A box that may be told.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    share: f32,
    class: usize,
    corners: [f32; 4],
}

/// The numbers of an output.
#[derive(Clone, Copy, Debug)]
enum Values<'n> {
    F32(&'n [f32]),
    I32(&'n [i32]),
    I64(&'n [i64]),
}

impl<'n> Values<'n> {
    /// What an output has, and its extents.
    fn of(network: &'n Network, name: &str) -> Result<(Extents, Values<'n>), Error> {
        let missing = || {
            let outputs: Vec<&str> = network.outputs().iter().map(|port| &*port.name).collect();
            Error::NoSuchOutput { name: name.to_string(), outputs: outputs.join(", ") }
        };
        let (kind, bytes) = network.output(name).ok_or_else(missing)?;
        let values = match kind.elem {
            Elem::F32 => host::cast(bytes).map(Values::F32),
            Elem::I32 => host::cast(bytes).map(Values::I32),
            Elem::I64 => host::cast(bytes).map(Values::I64),
            _ => None,
        };
        Ok((kind.extents, values.ok_or_else(|| Error::OutputKind { kind: Box::new(kind) })?))
    }

    fn at(self, at: usize) -> f32 {
        let number = match self {
            Values::F32(list) => list.get(at).copied(),
            Values::I32(list) => list.get(at).map(|number| *number as f32),
            Values::I64(list) => list.get(at).map(|number| *number as f32),
        };
        number.unwrap_or_default()
    }
}

/// Where numbers of boxes are among all of an output.
#[derive(Clone, Copy, Debug)]
struct Stored {
    count: usize,
    width: usize,
    /// From one number of a box to the next, and from one box to the next.
    steps: [usize; 2],
}

/// An output, and what stands where in it.
struct Part<'n> {
    words: &'n [Number],
    values: Values<'n>,
    stored: Stored,
}

/// The numbers of one box.
struct Row<'p> {
    parts: &'p [Part<'p>],
    number: usize,
}

impl<'p> Row<'p> {
    fn at(&self, part: &Part<'_>, place: usize) -> f32 {
        part.values.at(self.number * part.stored.steps[1] + place * part.stored.steps[0])
    }

    fn get(&self, word: Number) -> Option<f32> {
        let place = |part: &Part<'_>| Some(self.at(part, part.words.iter().position(|own| *own == word)?));
        self.parts.iter().find_map(place)
    }

    /// Its scores, one for each class.
    fn scores(&self) -> impl Iterator<Item = f32> + Clone + use<'p, '_> {
        let part = self.parts.iter().find(|part| part.words.last() == Some(&Number::Scores));
        let places = |part: &'p Part<'p>| (part.words.len() - 1..part.stored.width).map(move |at| (part, at));
        part.into_iter().flat_map(places).map(|(part, at)| self.at(part, at))
    }
}

impl Boxes {
    /// Heap of lists of boxes, which are sorted beside themselves, and of what is told.
    pub(super) const HEAP_BYTES: u64 = (6 * MOST_BOXES * size_of::<Candidate>()
        + MOST * (size_of::<Candidate>() + size_of::<Object>() + LABEL))
        as u64;

    /// What is wrong with the words of a pipeline.
    pub(super) fn check(&self) -> Result<(), String> {
        use Number::{Bottom, Class, Count, Height, Left, Right, Score, Scores, Top, Width, X, Y};
        let lists = &self.numbers;
        let times = |number: Number| lists.iter().flatten().filter(|own| **own == number).count();
        let all = |numbers: &[Number]| numbers.iter().all(|&number| times(number) == 1);
        let is_last = |list: &Vec<Number>| list.last() == Some(&Scores);
        if all(&[X, Y, Width, Height]) == all(&[Left, Top, Right, Bottom]) {
            return Err("numbers must have x, y, width and height, or left, top, right and bottom".into());
        }
        match [Scores, Score, Class].map(times) {
            [1, 0, 0] if lists.iter().any(is_last) => {}
            [1, 0, 0] => return Err("scores must be the last of a list of numbers".into()),
            [0, 1, 1] => {}
            _ => return Err("numbers must have score and class, or scores at the end".into()),
        }
        if times(Count) > 1 || lists.iter().any(|list| list.contains(&Count) && list.len() > 1) {
            return Err("count must be alone in a list of numbers".into());
        }
        match lists.iter().any(Vec::is_empty) || ![0, lists.len()].contains(&self.outputs.len()) {
            true => Err("numbers must have a list of words for each of the outputs".into()),
            false => Ok(()),
        }
    }

    /// The things that the network found on what it sees, which is of `size`, likeliest first, within the `picture`; `map` says where
    /// it lies there.
    ///
    /// # Errors
    /// Outputs that are missing, no arrays of numbers, or of other extents.
    pub fn read(
        &self,
        network: &Network,
        size: [usize; 2],
        map: &Map,
        picture: [usize; 2],
    ) -> Result<Vec<Object>, Error> {
        let own = || network.outputs().iter().map(|port| &*port.name).collect();
        let names: Vec<&str> =
            if self.outputs.is_empty() { own() } else { self.outputs.iter().map(|name| &**name).collect() };
        let failed = |reason| Err(Error::Pipeline { name: "boxes".into(), reason });
        let all = names.join(", ");
        if names.len() != self.numbers.len() {
            let lists = self.numbers.len();
            return failed(format!("numbers has {lists} lists for {all}; outputs names those that are read"));
        }
        let outputs = names.iter().map(|name| Values::of(network, name)).collect::<Result<Vec<_>, _>>()?;
        let Some((parts, count)) = self.parts(&outputs) else {
            let extents: Vec<&Extents> = outputs.iter().map(|(extents, _)| extents).collect();
            return failed(format!("{all} are {extents:?}, not of the numbers that it names"));
        };
        let place = |x, y| {
            let [x, y] = map.place(f64::from(x), f64::from(y)).map(|at| at as f32);
            [x.clamp(0.0, picture[0] as f32), y.clamp(0.0, picture[1] as f32)]
        };
        let told = |found: Candidate| {
            let [left, top, right, bottom] = found.corners;
            let label = labelled(self.labels.as_ref(), found.class)?;
            let corners = [place(left, top), place(right, bottom)];
            Ok(Object { label, score: found.share, corners, points: Vec::new() })
        };
        self.found(&parts, count, size).into_iter().map(told).collect()
    }

    /// Outputs with numbers of boxes, and how many boxes they have.
    fn parts<'n>(&'n self, outputs: &[(Extents, Values<'n>)]) -> Option<(Vec<Part<'n>>, usize)> {
        let pairs = || self.numbers.iter().zip(outputs).map(|(words, output)| (&words[..], output));
        let of_boxes = || pairs().filter(|(words, _)| *words != [Number::Count]);
        // Where rows and columns could be either, there are as many boxes as in the others.
        let (words, (extents, _)) = of_boxes().next()?;
        let mut counts = ways(words, extents).map(|stored| stored.count);
        let (parts, most) = counts.find_map(|count| {
            let part = |(words, (extents, values)): (&'n [Number], &(Extents, Values<'n>))| {
                let stored = ways(words, extents).find(|stored| stored.count == count)?;
                Some(Part { words, values: *values, stored })
            };
            Some((of_boxes().map(part).collect::<Option<Vec<_>>>()?, count))
        })?;
        let said = pairs().find(|(words, _)| *words == [Number::Count]).map(|(_, (_, values))| values.at(0));
        Some((parts, said.map_or(most, |said| most.min(said as usize))))
    }

    fn found(&self, parts: &[Part<'_>], count: usize, size: [usize; 2]) -> Vec<Candidate> {
        let mut all = Vec::new();
        for number in 0..count {
            all.extend(self.candidate(&Row { parts, number }, size));
            if all.len() >= 2 * MOST_BOXES {
                likeliest(&mut all);
            }
        }
        likeliest(&mut all);
        self.chosen(&all)
    }

    /// A box whose share is large enough.
    fn candidate(&self, row: &Row<'_>, size: [usize; 2]) -> Option<Candidate> {
        let (class, score) = match row.get(Number::Class) {
            Some(class) => (class.max(0.0) as usize, row.get(Number::Score)?),
            None => {
                let scores = row.scores().enumerate().skip(self.first_class);
                scores.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)))?
            }
        };
        let class = class.checked_sub(self.first_class)?;
        let object = row.get(Number::Object).map_or(1.0, |object| self.share(object, row));
        let share = self.share(score, row) * object;
        let axis = |low: Number, high: Number, middle: Number, long: Number| {
            let ends = row.get(low).zip(row.get(high));
            let around =
                || row.get(middle).zip(row.get(long)).map(|(at, long)| (at - long / 2.0, at + long / 2.0));
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
    fn share(&self, score: f32, row: &Row<'_>) -> f32 {
        match self.activation {
            Activation::Softmax => {
                let most = row.scores().fold(f32::NEG_INFINITY, f32::max);
                let sum: f32 = row.scores().map(|score| libm::expf(score - most)).sum();
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

/// How numbers of boxes may lie in an output: a box a row or a column, the fewer numbers first.
fn ways(words: &[Number], extents: &[usize]) -> impl Iterator<Item = Stored> {
    let (batch, rows, columns) = match extents {
        [batch @ .., rows, columns] => (batch, *rows, *columns),
        [rows] => (&[][..], *rows, 1),
        [] => (&[][..], 1, 1),
    };
    let mut ways = [
        Stored { count: rows, width: columns, steps: [1, columns] },
        Stored { count: columns, width: rows, steps: [columns, 1] },
    ];
    ways.sort_by_key(|stored| stored.width);
    let (len, is_open) = (words.len(), words.last() == Some(&Number::Scores));
    let (is_one, is_list) = (batch.iter().all(|&extent| extent == 1), extents.len() < 2);
    let fits = move |way: &Stored| {
        is_one && (way.width == 1 || !is_list) && (way.width == len || is_open && way.width > len)
    };
    ways.into_iter().filter(fits)
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

    type Found = Vec<(usize, f32, [f32; 4])>;

    fn found_in(boxes: &Boxes, outputs: &[(&[usize], Values<'_>)]) -> Option<Found> {
        let outputs: Vec<_> =
            outputs.iter().map(|(extents, values)| (Extents::new(extents).unwrap(), *values)).collect();
        let (parts, count) = boxes.parts(&outputs)?;
        let found = boxes.found(&parts, count, [100, 50]).into_iter();
        Some(found.map(|found| (found.class, found.share, found.corners)).collect())
    }

    fn found(boxes: &Boxes, extents: &[usize], numbers: &[f32]) -> Found {
        found_in(boxes, &[(extents, Values::F32(numbers))]).unwrap()
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
        for extents in [&[2, 6, 7][..], &[4, 4], &[7], &[]] {
            assert!(found_in(&middle, &[(extents, Values::F32(&columns))]).is_none(), "{extents:?}");
        }
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
    fn numbers_stand_in_several_outputs() {
        // As TFLite's detectors end: four boxes, of which two are meant.
        let told = boxes(
            "numbers = [[\"top\", \"left\", \"bottom\", \"right\"], [\"class\"], [\"score\"], [\"count\"]]
            relative = true",
        );
        let places = [[0.25, 0.125, 0.5, 0.25], [0.0, 0.5, 1.0, 1.0], [0.0; 4], [0.0; 4]];
        let outputs = |count| {
            let classes = Values::F32(&[3.0, 0.0, 0.0, 0.0]);
            let scores = Values::F32(&[0.5, 0.75, 0.9, 0.9]);
            [
                (&[1, 4, 4][..], Values::F32(places.as_flattened())),
                (&[1, 4], classes),
                (&[1, 4], scores),
                count,
            ]
        };
        let expected = [(0, 0.75, [50.0, 0.0, 100.0, 50.0]), (3, 0.5, [12.5, 12.5, 25.0, 25.0])];
        assert_eq!(found_in(&told, &outputs((&[1], Values::F32(&[2.0])))).unwrap(), expected);
        assert_eq!(found_in(&told, &outputs((&[], Values::I32(&[-1])))).unwrap(), []);
        // As torchvision's: classes are whole numbers from 1 on, and there may be no box at all.
        let whole = boxes(
            "numbers = [[\"left\", \"top\", \"right\", \"bottom\"], [\"class\"], [\"score\"]]\nfirst_class = 1",
        );
        let outputs = |count: usize| {
            let (classes, scores) = (Values::I64(&[0, 2][..count]), Values::F32(&[0.9, 0.8][..count]));
            (Values::F32(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0][..4 * count]), classes, scores)
        };
        for (count, expected) in [(0, vec![]), (2, vec![(1, 0.8, [5.0, 6.0, 7.0, 8.0])])] {
            let (places, classes, scores) = outputs(count);
            let list: [(&[usize], Values<'_>); 3] =
                [(&[count, 4], places), (&[count], classes), (&[count], scores)];
            assert_eq!(found_in(&whole, &list).unwrap(), expected);
        }
        // Scores of classes in an output of their own, the first of which is of nothing; fewer boxes than classes.
        let apart = boxes(
            "numbers = [[\"scores\"], [\"x\", \"y\", \"width\", \"height\"]]\nfirst_class = 1\nthreshold = 0.1",
        );
        let places = (&[1, 2, 4][..], Values::F32(&[8.0, 8.0, 4.0, 4.0, 9.0, 9.0, 2.0, 2.0]));
        let scores = (&[1, 2, 5][..], Values::F32(&[0.6, 0.1, 0.2, 0.1, 0.0, 0.9, 0.0, 0.0, 0.05, 0.0]));
        assert_eq!(found_in(&apart, &[scores, places]).unwrap(), [(1, 0.2, [6.0, 6.0, 10.0, 10.0])]);
        assert!(found_in(&apart, &[(&[1, 3, 5], scores.1), places]).is_none());
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
            ("\"x\", \"y\", \"width\", \"height\", \"class\", \"scores\"", false),
            ("[\"x\", \"y\", \"width\", \"height\"], [\"scores\"], [\"count\"]", true),
            ("[\"x\", \"y\", \"width\", \"height\"], [\"scores\", \"other\"]", false),
            ("[\"x\", \"y\", \"width\", \"height\", \"count\"], [\"scores\"]", false),
            ("[\"x\", \"y\", \"width\", \"height\"], [], [\"scores\"]", false),
        ] {
            assert_eq!(boxes(&format!("numbers = [{numbers}]")).check().is_ok(), is_right, "{numbers}");
        }
        let named = "outputs = [\"a\"]\nnumbers = [[\"x\", \"y\", \"width\", \"height\"], [\"scores\"]]";
        assert!(boxes(named).check().is_err());
        let wrong = toml::from_str::<Boxes>("numbers = [[\"x\"], [\"breadth\"]]").unwrap_err();
        assert!(wrong.to_string().contains("unknown variant `breadth`"), "{wrong}");
    }
}
