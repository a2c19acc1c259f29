//! Things that boxes with scores say, likeliest first, and how many (the second half of TFLite's own `TFLite_Detection_PostProcess`).
//!
//! What it is not: boxes from what a network says around anchors, which is arithmetic. The one design choice: lists are as long as
//! can be and zeros fill them up, so that nothing behind them has extents that only a run knows.
//! Meaning: tensorflow, `lite/kernels/detection_postprocess.cc`.

use super::order::{KEYED, NOT_A_NUMBER, key, keyed, place_of, sort};
use super::suppress::{best, overlap};
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Elem, Error};
use std::iter::successors;

/// Of boxes (box, top left bottom right) with scores (box, class) as many things as there can be: their boxes, classes, scores, and
/// their number. Of equal scores that of the earlier box and class comes first.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Detections {
    /// Boxes that are told at most.
    pub most: usize,
    /// Which of several boxes on a thing is told.
    pub by: DetectionsBy,
    /// Scores of a box before that of the first class.
    pub skip: usize,
    /// The least score.
    pub score: f32,
    /// From which part of the union on an intersection is too much.
    pub overlap: f32,
}

/// Which of several boxes on a thing is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectionsBy {
    /// The likeliest by its best class, whatever class the others are of; so many of its classes are told.
    Box(usize),
    /// The likeliest of each class, so many of a class at most.
    Class(usize),
}

impl ArrayOperator for Detections {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if let [boxes, scores] = inputs
            && let ([count, 4], [of, width]) = (&*boxes.extents, &*scores.extents)
            && count == of
            && *width > self.skip
            && boxes.elem.is_float()
            && scores.elem.is_float()
        {
            let things = self.most.saturating_mul(self.each());
            let list = |list: &[usize]| {
                Ok(ArrayType { elem: Elem::F32, extents: extents("Detections", list)? })
            };
            return Ok(vec![list(&[things, 4])?, list(&[things])?, list(&[things])?, list(&[1])?]);
        }
        fault("Detections", "boxes (box, 4) and scores (box, class) are needed", inputs)
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([boxes, scores], [told, classes, shares, number]) = (inputs, outputs) else {
            return fault("Detections", "two inputs are needed", &[]);
        };
        let [count, width] = scores.kind.extents[..] else {
            return fault("Detections", "scores (box, class) are needed", &[]);
        };
        let keys = scratch.as_chunks_mut::<KEYED>().0;
        let found = match self.by {
            DetectionsBy::Box(_) => {
                let likeliest = |at: usize| Some(at * width + self.classes(scores, at).next()?);
                self.chosen(inputs, self.most, (0..count).filter_map(likeliest), keys)
            }
            DetectionsBy::Class(most) => {
                // Those of a class are put behind the best of all before it.
                let mut found = 0;
                for class in self.skip..width {
                    let rest = keys.get_mut(found..).unwrap_or_default();
                    let all = found + self.chosen(inputs, most, (0..count).map(|at| at * width + class), rest);
                    found = all.min(self.most);
                    sort(&mut keys[..all], found);
                }
                found
            }
        };
        for list in [&mut *told, &mut *classes, &mut *shares] {
            list.bytes.fill(0);
        }
        let each = self.each();
        for (first, place) in (0..).step_by(each.max(1)).zip(keys[..found].iter().map(place_of)) {
            let at = place / width;
            let alone = matches!(self.by, DetectionsBy::Class(_)).then_some(place % width);
            let ranked = self.classes(scores, at).filter(|class| alone.is_none_or(|own| own == *class));
            let mut corners = [0f32; 4];
            boxes.load(4 * at, &mut corners);
            for (to, class) in (first..).zip(ranked.take(each)) {
                let mut score = [0f32];
                scores.load(at * width + class, &mut score);
                told.store(4 * to, &corners);
                classes.store(to, &[(class - self.skip) as f32]);
                shares.store(to, &score);
            }
        }
        number.store(0, &[found as f32]);
        Ok(())
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let [boxes, scores] = inputs else { return 0 };
        let before = match self.by {
            DetectionsBy::Box(_) => 0,
            DetectionsBy::Class(_) => self.most.min(scores.extents.elements()),
        };
        boxes.extents.first().map_or(0, |count| (count + before).saturating_mul(KEYED))
    }
}

impl Detections {
    /// Classes that are told of a box.
    fn each(&self) -> usize {
        match self.by {
            DetectionsBy::Box(each) => each,
            DetectionsBy::Class(_) => 1,
        }
    }

    /// Places of scores in a row of all, likeliest first.
    fn classes<'a>(&self, scores: &'a View<'_>, at: usize) -> impl Iterator<Item = usize> + use<'a> {
        let (skip, width) = (self.skip, scores.kind.extents[1]);
        let next = move |last: Option<u128>| {
            let keys = (skip..width).map(|class| (key(scores, at * width + class), class));
            let numbers = keys.filter(|(key, _)| *key != NOT_A_NUMBER).map(|(key, class)| keyed(!key, class));
            numbers.map(u128::from_le_bytes).filter(|own| last.is_none_or(|last| *own > last)).min()
        };
        successors(next(None), move |last| next(Some(*last))).map(|own| place_of(&own.to_le_bytes()))
    }

    /// Of places of scores those that are large enough and not on a thing that another is on come to the front of `keys`; how many.
    fn chosen(
        &self,
        inputs: &[View<'_>],
        most: usize,
        places: impl Iterator<Item = usize>,
        keys: &mut [[u8; KEYED]],
    ) -> usize {
        let (boxes, scores) = (&inputs[0], &inputs[1]);
        let is_enough = |place: &usize| {
            let mut score = [0f32];
            scores.load(*place, &mut score);
            score[0] >= self.score
        };
        let mut count = 0;
        for (to, place) in keys.iter_mut().zip(places.filter(is_enough)) {
            *to = keyed(!key(scores, place), place);
            count += 1;
        }
        let corners = |place: usize| {
            let mut corners = [0f32; 4];
            boxes.load(place / scores.kind.extents[1] * 4, &mut corners);
            let [top, left, bottom, right] = corners;
            [[top, bottom], [left, right]]
        };
        best(&mut keys[..count], most, |a, b| overlap(corners(a), corners(b)) > self.overlap).len()
    }
}
