//! How often short sequences of numbers are in longer ones (the first half of ONNX's TfIdfVectorizer).

use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault, lanes};
use crate::{Elem, Error};

/// For each row of the first input how often sequences are in it, as f32. Sequences are in the second input, those of one
/// number first; the third says for each length where they begin, the fourth for each sequence where it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grams {
    /// Lengths that are counted, from and to.
    pub lengths: [usize; 2],
    /// Numbers that may lie between neighbours of a sequence.
    pub skips: usize,
    /// Counts in a row.
    pub counts: usize,
}

impl ArrayOperator for Grams {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input, sequences, starts, places]
                if input.extents.len() <= 2
                    && [sequences, starts, places].iter().all(|list| list.extents.len() == 1)
                    && inputs.iter().all(|input| !input.elem.is_float()) =>
            {
                let rows = input.extents.len().saturating_sub(1);
                let made = [&input.extents[..rows], &[self.counts]].concat();
                Ok(vec![ArrayType { elem: Elem::F32, extents: extents("Grams", &made)? }])
            }
            _ => fault("Grams", "rows of whole numbers and three lists are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, sequences, starts, places], [out]) = (inputs, outputs) else {
            return fault("Grams", "four inputs are needed", &[]);
        };
        out.bytes.fill(0);
        let len = input.kind.extents.last().copied().unwrap_or(1);
        let rows = input.kind.extents.elements().checked_div(len).unwrap_or(0);
        let total = sequences.kind.extents[0];
        let mut first = 0;
        let mut bounds = starts.integers().map(|start| usize::try_from(start).unwrap_or(total).min(total)).peekable();
        for size in 1.. {
            let Some(start) = bounds.next() else { break };
            let end = bounds.peek().copied().unwrap_or(total);
            let count = end.saturating_sub(start) / size;
            if (self.lengths[0]..=self.lengths[1]).contains(&size) {
                for sequence in 0..count {
                    let place = number(places, first + sequence);
                    let Some(place) = usize::try_from(place).ok().filter(|place| *place < self.counts) else {
                        return Err(Error::Content { op: "Grams", what: "a count that there is not", found: place });
                    };
                    for row in 0..rows {
                        let times = self.times((input, row * len, len), (sequences, start + sequence * size, size));
                        let mut sum = [0f32];
                        lanes::load(Elem::F32, out.bytes, row * self.counts + place, &mut sum);
                        out.store(row * self.counts + place, &[sum[0] + times as f32]);
                    }
                }
            }
            first += count;
        }
        Ok(())
    }
}

fn number(view: &View<'_>, at: usize) -> i64 {
    let mut number = [0i64];
    view.load(at, &mut number);
    number[0]
}

impl Grams {
    /// How often a sequence is in a row, with each distance between neighbours.
    fn times(&self, (input, row, len): (&View<'_>, usize, usize), (list, from, size): (&View<'_>, usize, usize)) -> usize {
        let skips = if size == 1 { 0 } else { self.skips.min(len) };
        let begins = |distance: usize| 0..len.saturating_sub((size - 1) * distance);
        let same = |at: usize, distance: usize| {
            (0..size).all(|k| number(input, row + at + k * distance) == number(list, from + k))
        };
        (1..=skips + 1).map(|distance| begins(distance).filter(|at| same(*at, distance)).count()).sum()
    }
}
