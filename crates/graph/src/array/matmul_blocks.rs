//! Products with a matrix of blocks of a few bits each with a scale (onnxruntime's MatMulNBits).
//!
//! The one design choice: a column is unpacked once and multiplied with all rows, so that what it works in is one column.

use super::floats::{Float, Run, dot, each_float};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, extents, fault, lanes};
use crate::{Cost, Elem, Error};

/// `a b` plus maybe a bias, where `b` comes column by column: packed, its scales, and maybe its zeros, packed as well or floats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMulBlocks {
    /// What is multiplied and added up.
    pub common: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Bits of an element: 2, 4 or 8.
    pub bits: usize,
    /// Elements that share a scale.
    pub block: usize,
    /// Whether there are zeros; otherwise it is the number in the middle.
    pub zeros: bool,
    /// Whether there is a bias.
    pub bias: bool,
}

impl MatMulBlocks {
    fn blocks(&self) -> usize {
        self.common.div_ceil(self.block.max(1))
    }

    /// Bytes of the packed elements of a column, and of its packed zeros.
    fn packed(&self) -> [usize; 2] {
        [self.blocks() * self.block * self.bits / 8, (self.blocks() * self.bits).div_ceil(8)]
    }

    fn fits(&self, inputs: &[ArrayType]) -> bool {
        let [a, b, scales, more @ ..] = inputs else { return false };
        let sizes = matches!(self.bits, 2 | 4 | 8) && (1..1 << 20).contains(&self.block);
        if !sizes || !(self.block * self.bits).is_multiple_of(8) || a.extents.last() != Some(&self.common) {
            return false;
        }
        let factors = self.columns.saturating_mul(self.blocks());
        let [column, zeros] = self.packed();
        let (zero, bias) = more.split_at(more.len().min(usize::from(self.zeros)));
        let zero_fits = |zero: &ArrayType| match zero.elem {
            Elem::U8 => zero.extents.elements() == self.columns.saturating_mul(zeros),
            elem => elem.is_float() && zero.extents.elements() == factors,
        };
        let bias_fits = |bias: &ArrayType| bias.elem.is_float() && bias.extents.elements() == self.columns;
        a.elem.is_float()
            && b.elem == Elem::U8
            && b.extents.elements() == self.columns.saturating_mul(column)
            && scales.elem.is_float()
            && scales.extents.elements() == factors
            && more.len() == usize::from(self.zeros) + usize::from(self.bias)
            && zero.iter().all(zero_fits)
            && bias.iter().all(bias_fits)
    }
}

impl ArrayOperator for MatMulBlocks {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if !self.fits(inputs) {
            return fault("MatMulBlocks", "floats and blocks that fit them are needed", inputs);
        }
        let mut made = inputs[0].extents.to_vec();
        if let Some(last) = made.last_mut() {
            *last = self.columns;
        }
        Ok(vec![ArrayType { extents: extents("MatMulBlocks", &made)?, ..inputs[0] }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], scratch: &mut [u8]) -> Result<(), Error> {
        let [out] = outputs else { return fault("MatMulBlocks", "one output is made", &[]) };
        each_float!(out.kind.elem, W => self.run::<W>(inputs, out, scratch));
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let elements = inputs.first().map_or(0, |a| a.extents.elements());
        Cost { macs: elements as u64 * self.columns as u64, ..Cost::default() }
    }

    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let wide = if inputs.first().is_some_and(|a| a.elem == Elem::F64) { 8 } else { 4 };
        self.common * wide
    }
}

impl MatMulBlocks {
    fn run<W: Float>(&self, inputs: &[View<'_>], out: &mut ViewMut<'_>, work: &mut [u8]) {
        let rows = inputs[0].kind.extents.elements().checked_div(self.common).unwrap_or(0);
        let bias = inputs.last().filter(|_| self.bias);
        for column in 0..self.columns {
            self.unpack::<W>(inputs, column, work);
            let bias = bias.map_or(W::default(), |bias| Run::of(bias, column).at(0));
            for row in 0..rows {
                let sum: W = dot(Run::of(&inputs[0], row * self.common), Run::work::<W>(work, 0), self.common);
                out.store(row * self.columns + column, &[sum.add(bias)]);
            }
        }
    }

    /// The elements of a column.
    fn unpack<W: Float>(&self, inputs: &[View<'_>], column: usize, work: &mut [u8]) {
        let (blocks, [column_bytes, zero_bytes]) = (self.blocks(), self.packed());
        let mask = ((1u32 << self.bits) - 1) as u8;
        let number = |bytes: &[u8], place: usize| {
            let byte = bytes.get(place * self.bits / 8).copied().unwrap_or(0);
            W::of_i64(i64::from(byte >> (place * self.bits % 8) & mask))
        };
        let packed = inputs[1].bytes.unwrap_or_default().get(column * column_bytes..).unwrap_or_default();
        let scales = Run::of(&inputs[2], column * blocks);
        let zeros = inputs.get(3).filter(|_| self.zeros);
        for block in 0..blocks {
            let scale: W = scales.at(block);
            let zero = match zeros {
                None => W::of_i64(1 << (self.bits - 1)),
                Some(zeros) if zeros.kind.elem == Elem::U8 => {
                    let bytes = zeros.bytes.unwrap_or_default();
                    number(bytes.get(column * zero_bytes..).unwrap_or_default(), block)
                }
                Some(zeros) => Run::of(zeros, column * blocks).at(block),
            };
            let end = self.common.min((block + 1) * self.block);
            for first in (block * self.block..end).step_by(LANES) {
                let mut x = [W::default(); LANES];
                let x = &mut x[..LANES.min(end - first)];
                for (x, place) in x.iter_mut().zip(first..) {
                    *x = number(packed, place).sub(zero).mul(scale);
                }
                lanes::store(W::ELEM, x, first, work);
            }
        }
    }
}
