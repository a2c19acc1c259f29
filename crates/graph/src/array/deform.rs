//! What a kernel sees whose elements lie beside their places (the first half of ONNX's DeformConv).

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, extents, fault};
use crate::Error;

/// For pictures (batch, channel, y, x) and offsets (batch, groups times kernel times 2, rows, columns) what each element of
/// a kernel sees at each place: (batch, channel times kernel, rows times columns). A third input, if there is one, is
/// multiplied (batch, groups times kernel, rows, columns).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deform {
    /// Rows and columns of the kernel.
    pub kernel: [usize; 2],
    /// From one place to the next.
    pub step: [usize; 2],
    /// From one element of the kernel to the next.
    pub within: [usize; 2],
    /// The margin before.
    pub before: [usize; 2],
    /// Channels that share their offsets are a group; how many there are.
    pub groups: usize,
}

impl ArrayOperator for Deform {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let wrong = || fault("Deform", "pictures and offsets for each place of the kernel are needed", inputs);
        let (Some(input), Some(offsets)) = (inputs.first(), inputs.get(1)) else { return wrong() };
        let ([batch, channels, _, _], [of, numbers, rows, columns]) = (&input.extents[..], &offsets.extents[..])
        else {
            return wrong();
        };
        let elements = self.kernel[0].saturating_mul(self.kernel[1]);
        let in_all = self.groups.saturating_mul(elements);
        let mask = [*batch, in_all, *rows, *columns];
        let fits = batch == of
            && self.groups > 0
            && channels % self.groups == 0
            && *numbers == in_all.saturating_mul(2)
            && inputs.get(2).is_none_or(|factors| factors.extents[..] == mask);
        if !fits || !inputs.iter().all(|input| input.elem.is_float()) {
            return wrong();
        }
        let made = extents("Deform", &[*batch, channels * elements, rows * columns])?;
        Ok(vec![ArrayType { extents: made, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, offsets, factors @ ..], [out]) = (inputs, outputs) else {
            return fault("Deform", "two inputs are needed", &[]);
        };
        let ([batches, channels, high, wide], [.., columns]) = (&input.kind.extents[..], &offsets.kind.extents[..])
        else {
            return fault("Deform", "pictures are needed", &[]);
        };
        let (elements, places) = (self.kernel[0] * self.kernel[1], out.kind.extents[2]);
        let in_group = channels / self.groups;
        for row in 0..batches * channels * elements {
            let (plane, element) = (row / elements, row % elements);
            let (batch, group) = (plane / channels, plane % channels / in_group);
            let offset = (batch * self.groups + group) * elements + element;
            for first in (0..places).step_by(LANES) {
                let (mut y, mut x, mut factor) = ([0f32; LANES], [0f32; LANES], [1f32; LANES]);
                let len = LANES.min(places - first);
                offsets.load(2 * offset * places + first, &mut y[..len]);
                offsets.load((2 * offset + 1) * places + first, &mut x[..len]);
                if let Some(factors) = factors.first() {
                    factors.load(offset * places + first, &mut factor[..len]);
                }
                for i in 0..len {
                    let place = [(first + i) / columns, (first + i) % columns];
                    let inner = [element / self.kernel[1], element % self.kernel[1]];
                    let at = |axis: usize| {
                        (place[axis] * self.step[axis] + inner[axis] * self.within[axis]) as f32
                            - self.before[axis] as f32
                    };
                    let seen = between(input, plane * high * wide, [*high, *wide], [at(0) + y[i], at(1) + x[i]]);
                    factor[i] *= seen;
                }
                out.store(row * places + first, &factor[..len]);
            }
        }
        Ok(())
    }
}

/// A picture at a place between its elements; zero outside.
fn between(input: &View<'_>, first: usize, [high, wide]: [usize; 2], [y, x]: [f32; 2]) -> f32 {
    let (top, left) = (libm::floorf(y), libm::floorf(x));
    let mut sum = 0.0;
    for corner in 0..4 {
        let (row, column) = (top + (corner / 2) as f32, left + (corner % 2) as f32);
        let weight = (1.0 - (y - row).abs()) * (1.0 - (x - column).abs());
        if (0.0..high as f32).contains(&row) && (0.0..wide as f32).contains(&column) && weight != 0.0 {
            let mut value = [0f32];
            input.load(first + row as usize * wide + column as usize, &mut value);
            sum += weight * value[0];
        }
    }
    sum
}
