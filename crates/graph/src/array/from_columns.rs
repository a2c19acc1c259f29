//! Blocks of a picture added up where they lie on one another (ONNX's Col2Im).

use super::{ArrayOperator, ArrayType, View, ViewMut, Wide, each_wide, extents, fault, lanes};
use crate::Error;

/// Blocks (batch, channels times elements of a block, blocks) added up to pictures (batch, channel, ...).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromColumns {
    /// Extents of the picture.
    pub image: Vec<usize>,
    /// For each of its axes the extent of a block, the step to the next, the step within a block, the margin before and
    /// behind.
    pub axes: Vec<[usize; 5]>,
}

impl FromColumns {
    /// How many blocks lie along an axis.
    fn blocks(&self, axis: usize) -> usize {
        let [block, step, within, before, behind] = self.axes[axis];
        let reach = within.saturating_mul(block.saturating_sub(1)).saturating_add(1);
        let extent = self.image[axis].saturating_add(before).saturating_add(behind);
        extent.checked_sub(reach).map_or(0, |room| room / step.max(1) + 1)
    }
}

impl ArrayOperator for FromColumns {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("FromColumns", "as many blocks as the picture has are needed", inputs);
        let [input] = inputs else { return wrong() };
        let [batch, rows, count] = input.extents[..] else { return wrong() };
        let product = |numbers: Vec<usize>| numbers.into_iter().try_fold(1usize, usize::checked_mul);
        let axes = self.axes.len();
        let elements = product(self.axes.iter().map(|axis| axis[0]).collect()).filter(|elements| *elements > 0);
        let (Some(elements), true) = (elements, axes == self.image.len() && axes > 0) else { return wrong() };
        if rows % elements != 0 || product((0..axes).map(|axis| self.blocks(axis)).collect()) != Some(count) {
            return wrong();
        }
        let made = [&[batch, rows / elements], &self.image[..]].concat();
        Ok(vec![ArrayType { extents: extents("FromColumns", &made)?, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("FromColumns", "one input is needed", &[]) };
        each_wide!(input.kind.elem, W => self.run::<W>(input, out));
        Ok(())
    }
}

impl FromColumns {
    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>) {
        out.bytes.fill(0);
        let count = input.kind.extents[2];
        let elements: usize = self.axes.iter().map(|axis| axis[0]).product();
        let plane: usize = self.image.iter().product();
        for row in 0..input.kind.extents[0] * input.kind.extents[1] {
            let (channel, element) = (row / elements, row % elements);
            for block in 0..count {
                let Some(at) = self.place(element, block) else { continue };
                let (mut sum, mut x) = ([W::default()], [W::default()]);
                lanes::load(out.kind.elem, out.bytes, channel * plane + at, &mut sum);
                input.load(row * count + block, &mut x);
                out.store(channel * plane + at, &[sum[0].add(x[0])]);
            }
        }
    }

    /// Where in the picture an element of a block lies, if not in the margin.
    fn place(&self, mut element: usize, mut block: usize) -> Option<usize> {
        let (mut at, mut stride) = (0, 1);
        for axis in (0..self.axes.len()).rev() {
            let ([extent, step, within, before, _], blocks) = (self.axes[axis], self.blocks(axis));
            let place = (block % blocks * step + element % extent * within).checked_sub(before)?;
            if place >= self.image[axis] {
                return None;
            }
            at += place * stride;
            stride *= self.image[axis];
            (element, block) = (element / extent, block / blocks);
        }
        Some(at)
    }
}
