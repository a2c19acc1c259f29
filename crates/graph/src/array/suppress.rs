//! Boxes that are left when of those that overlap much only the best stays (ONNX's NonMaxSuppression).

use super::order::{KEYED, key, keyed, place_of, sort};
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::{Elem, Error};

/// Of boxes (batch, box, 4) with scores (batch, class, box), a row of batch, class and box as i64 for each that stays. If there are
/// always as many rows, zeros fill them up, and a second output says as i64 how many are meant.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Suppress {
    /// Whether boxes are a centre, a width and a height; otherwise two opposite corners, y first.
    pub centered: bool,
    /// The most boxes of a class that stay.
    pub most: usize,
    /// From which part of the union on an intersection is too much.
    pub overlap: f32,
    /// What a score must be above.
    pub score: Option<f32>,
    /// Whether there are always as many rows.
    pub filled: bool,
}

impl ArrayOperator for Suppress {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if let [boxes, scores] = inputs
            && let ([batch, count, 4], [of, classes, scored]) = (&*boxes.extents, &*scores.extents)
            && (batch, count) == (of, scored)
            && boxes.elem.is_float()
            && scores.elem.is_float()
        {
            let most = batch.checked_mul(*classes).and_then(|n| n.checked_mul(self.most.min(*count)));
            let made = extents("Suppress", &[most.unwrap_or(usize::MAX), 3])?;
            let rows = ArrayType { elem: Elem::I64, extents: made };
            let number = ArrayType { elem: Elem::I64, extents: extents("Suppress", &[1])? };
            return Ok(if self.filled { vec![rows, number] } else { vec![rows] });
        }
        fault("Suppress", "boxes (batch, box, 4) and scores (batch, class, box) are needed", inputs)
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([boxes, scores], [out, number @ ..]) = (inputs, outputs) else {
            return fault("Suppress", "two inputs are needed", &[]);
        };
        let [batches, classes, count] = scores.kind.extents[..] else {
            return fault("Suppress", "scores (batch, class, box) are needed", &[]);
        };
        let keys = scratch.as_chunks_mut::<KEYED>().0;
        let mut rows = 0;
        for (batch, class) in (0..batches).flat_map(|batch| (0..classes).map(move |class| (batch, class))) {
            let mut candidates = 0;
            for place in 0..count {
                let at = (batch * classes + class) * count + place;
                let mut score = [0f32];
                scores.load(at, &mut score);
                if self.score.is_none_or(|least| score[0] > least) {
                    keys[candidates] = keyed(!key(scores, at), place);
                    candidates += 1;
                }
            }
            let found = keys.get_mut(..candidates).unwrap_or_default();
            let corners = |place: usize| self.corners(boxes, batch * count + place);
            let is_same = |a: usize, b: usize| overlap(corners(a), corners(b)) > self.overlap;
            for place in best(found, self.most, is_same).iter().map(place_of) {
                out.store(3 * rows, &[batch as i64, class as i64, place as i64]);
                rows += 1;
            }
        }
        match number {
            [number, ..] => {
                out.bytes[3 * rows * Elem::I64.bytes()..].fill(0);
                number.store(0, &[rows as i64]);
            }
            [] => out.kind.extents = extents("Suppress", &[rows, 3])?,
        }
        Ok(())
    }

    fn is_dynamic(&self) -> bool {
        !self.filled
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        inputs.first().and_then(|boxes| boxes.extents.get(1)).map_or(0, |count| count * KEYED)
    }
}

impl Suppress {
    /// The least and the largest place along each axis.
    fn corners(&self, boxes: &View<'_>, number: usize) -> [[f32; 2]; 2] {
        let mut box_ = [0f32; 4];
        boxes.load(4 * number, &mut box_);
        let [a, b, c, d] = box_;
        match self.centered {
            true => [[a - c / 2.0, a + c / 2.0], [b - d / 2.0, b + d / 2.0]],
            false => [[a.min(c), a.max(c)], [b.min(d), b.max(d)]],
        }
    }
}

/// Of places by their keys the first that are not of one thing with any before them, in order, `most` at most; they are put in front.
pub(super) fn best(
    keys: &mut [[u8; KEYED]],
    most: usize,
    is_same: impl Fn(usize, usize) -> bool,
) -> &[[u8; KEYED]] {
    sort(keys, keys.len());
    let mut kept = 0;
    for at in 0..keys.len() {
        if kept >= most {
            break;
        }
        let place = place_of(&keys[at]);
        if !keys[..kept].iter().any(|other| is_same(place_of(other), place)) {
            keys[kept] = keys[at];
            kept += 1;
        }
    }
    &keys[..kept]
}

/// The intersection as a part of the union.
pub(super) fn overlap(a: [[f32; 2]; 2], b: [[f32; 2]; 2]) -> f32 {
    let side = |axis: usize| (a[axis][1].min(b[axis][1]) - a[axis][0].max(b[axis][0])).max(0.0);
    let area = |own: [[f32; 2]; 2]| (own[0][1] - own[0][0]) * (own[1][1] - own[1][0]);
    let common = side(0) * side(1);
    // A box without an area overlaps nothing.
    if common <= 0.0 || area(a) <= 0.0 || area(b) <= 0.0 { f32::MIN } else { common / (area(a) + area(b) - common) }
}
