//! Where things are on a picture: boxes, and points in them.
//!
//! What it is: detectors whose every cell of some grids proposes boxes around its middle (anchors of MediaPipe's detectors), and the
//! choice among boxes that lie over one another. What it is not: what follows a found thing. The one design choice: boxes that lie
//! over the likeliest are not dropped but averaged with it by their scores, so that it holds still from frame to frame.
//! V. Bazarevsky et al., BlazeFace, 2019.

use super::Point;
use super::values::{Activation, Labels, only};
use crate::{Error, Network};
use processors::image::Map;
use serde::Deserialize;

/// How the boxes of a detector are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// The output with boxes: middle, size, points; in pixels of what the network sees.
    pub boxes: String,
    /// The output with their scores.
    pub scores: String,
    /// Grids of anchors: pixels from one to the next, and how many are at each place.
    pub anchors: Vec<[usize; 2]>,
    /// What makes scores shares.
    #[serde(default)]
    pub activation: Activation,
    /// The least share of a thing.
    #[serde(default = "threshold")]
    pub threshold: f32,
    /// How much of two boxes lies over one another if they are of one thing.
    #[serde(default = "overlap")]
    pub overlap: f32,
    /// What things are called.
    pub labels: Option<Labels>,
}

fn threshold() -> f32 {
    0.5
}

fn overlap() -> f32 {
    0.3
}

/// Things that are told at most, and boxes that are compared.
const MOST: usize = 64;
const MOST_BOXES: usize = 1024;
/// Numbers of a box before its points.
const SIDES: usize = 4;

/// A thing on a picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// What it is called, if there are labels.
    pub label: Option<String>,
    /// From 0 to 1.
    pub score: f32,
    /// Left top, right bottom.
    pub corners: [Point; 2],
    /// Points in it, such as eyes, in the detector's order.
    pub points: Vec<Point>,
}

/// The numbers of a box: its corners, then its points.
#[derive(Clone)]
struct Candidate {
    share: f32,
    class: usize,
    numbers: Vec<f32>,
}

/// How much of two boxes, each left, top, right and bottom, lies over one another: what they share of what both cover.
pub(super) fn shared(a: &[f32], b: &[f32]) -> f32 {
    let area = |b: &[f32]| (b[2] - b[0]).max(0.0) * (b[3] - b[1]).max(0.0);
    let side = |axis: usize| (a[axis + 2].min(b[axis + 2]) - a[axis].max(b[axis])).max(0.0);
    let both = side(0) * side(1);
    let all = area(a) + area(b) - both;
    if all > 0.0 { both / all } else { 0.0 }
}

/// What a class is called.
pub(super) fn labelled(labels: Option<&Labels>, class: usize) -> Result<Option<String>, Error> {
    Ok(labels.map(|labels| labels.label(class)).transpose()?.flatten())
}

impl Detect {
    /// The things that the network found on its picture of `width` x `height`, likeliest first; `map` says where that lies.
    ///
    /// # Errors
    /// Outputs that are missing, no arrays of numbers, or not as the anchors say.
    pub fn read(
        &self,
        network: &Network,
        [width, height]: [usize; 2],
        map: &Map,
    ) -> Result<Vec<Object>, Error> {
        let (_, boxes) = only(network, Some(&self.boxes))?;
        let (_, scores) = only(network, Some(&self.scores))?;
        let found = self.found(boxes, scores, [width, height])?;
        let place = |point: &[f32]| map.place(f64::from(point[0]), f64::from(point[1])).map(|at| at as f32);
        found
            .into_iter()
            .map(|found| {
                let label = labelled(self.labels.as_ref(), found.class)?;
                let mut points = found.numbers.chunks_exact(2).map(place);
                let corners = std::array::from_fn(|_| points.next().unwrap_or_default());
                Ok(Object { label, score: found.share, corners, points: points.collect() })
            })
            .collect()
    }

    fn found(
        &self,
        boxes: &[f32],
        scores: &[f32],
        [width, height]: [usize; 2],
    ) -> Result<Vec<Candidate>, Error> {
        let grids = self.anchors.iter().map(|&[stride, each]| {
            let stride = stride.max(1);
            (stride, each, width.div_ceil(stride), height.div_ceil(stride))
        });
        let anchors: usize =
            grids.clone().map(|(_, each, columns, rows)| each.saturating_mul(columns * rows)).sum();
        let (values, classes) = (boxes.len() / anchors.max(1), scores.len() / anchors.max(1));
        let fits = values * anchors == boxes.len() && classes * anchors == scores.len();
        if !fits || values < SIDES || values % 2 != 0 || classes == 0 {
            let reason = format!(
                "{anchors} anchors are not those of {} boxes' numbers and {} scores",
                boxes.len(),
                scores.len()
            );
            return Err(Error::Pipeline { name: self.boxes.clone(), reason });
        }
        let middles = grids.flat_map(|(stride, each, columns, rows)| {
            let middle = move |at: usize| (at as f32 + 0.5) * stride as f32;
            (0..columns * rows * each)
                .map(move |at| [middle(at / each % columns), middle(at / each / columns)])
        });
        let mut all = Vec::new();
        for ((middle, numbers), scores) in
            middles.zip(boxes.chunks_exact(values)).zip(scores.chunks_exact(classes))
        {
            let shares = self.activation.over(scores);
            let best = scores.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            let Some((class, share)) = best.map(|(class, &score)| (class, shares(score))) else { continue };
            if share >= self.threshold && all.len() < MOST_BOXES {
                let mut numbers: Vec<f32> = numbers
                    .iter()
                    .enumerate()
                    .map(|(at, x)| match at {
                        2 | 3 => *x,
                        at => x + middle[at % 2],
                    })
                    .collect();
                let [x, y, w, h] = [numbers[0], numbers[1], numbers[2], numbers[3]];
                numbers[..SIDES].copy_from_slice(&[x - w / 2.0, y - h / 2.0, x + w / 2.0, y + h / 2.0]);
                all.push(Candidate { share, class, numbers });
            }
        }
        Ok(self.merged(all))
    }

    /// One for each thing.
    fn merged(&self, mut all: Vec<Candidate>) -> Vec<Candidate> {
        all.sort_by(|a, b| b.share.total_cmp(&a.share));
        let mut found = Vec::new();
        while found.len() < MOST && !all.is_empty() {
            let best = all.remove(0);
            let is_same = |other: &Candidate| {
                other.class == best.class && shared(&other.numbers, &best.numbers) > self.overlap
            };
            let (same, others): (Vec<Candidate>, Vec<Candidate>) = all.into_iter().partition(is_same);
            all = others;
            let members = || std::iter::once(&best).chain(&same);
            let sum: f32 = members().map(|member| member.share).sum();
            let mean =
                |at: usize| members().map(|member| member.numbers[at] * member.share).sum::<f32>() / sum;
            // Shares of nothing weigh nothing.
            let numbers = match sum > 0.0 {
                true => (0..best.numbers.len()).map(mean).collect(),
                false => best.numbers.clone(),
            };
            found.push(Candidate { numbers, ..best });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(text: &str) -> Detect {
        toml::from_str(&format!("boxes = \"b\"\nscores = \"s\"\n{text}")).unwrap()
    }

    #[test]
    fn boxes_over_one_another_are_one_thing() {
        let detect = detect("anchors = [[8, 1], [16, 2]]\nactivation = \"sigmoid\"");
        // A picture of 16 x 16: four anchors of one grid, two of another.
        let (mut boxes, mut scores) = (vec![0.0; 6 * 6], vec![-9.0; 6]);
        boxes[6..12].copy_from_slice(&[1.0, 2.0, 4.0, 6.0, -1.0, 0.0]);
        boxes[30..36].copy_from_slice(&[5.0, -2.0, 4.0, 6.0, 3.0, -4.0]);
        (scores[1], scores[5]) = (2.0, 1.0);
        let found = detect.found(&boxes, &scores, [16, 16]).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].numbers.len(), 6);
        // Both say the same of the picture.
        for (number, expected) in found[0].numbers.iter().zip([11.0, 3.0, 15.0, 9.0, 11.0, 4.0]) {
            assert!((number - expected).abs() < 1e-4, "{:?}", found[0].numbers);
        }
        assert!((found[0].share - 0.880_797).abs() < 1e-5);
        assert!(detect.found(&boxes[1..], &scores, [16, 16]).is_err());
    }

    #[test]
    fn a_box_of_nothing_does_not_go_on_for_ever() {
        let detect = detect("anchors = [[8, 1]]\nthreshold = 0.0");
        assert_eq!(detect.found(&[0.0; 16], &[0.0; 4], [16, 16]).unwrap().len(), 4);
        assert!(detect.found(&[f32::NAN; 16], &[0.5; 4], [16, 16]).unwrap().len() <= 4);
    }
}
