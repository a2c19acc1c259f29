//! Regions of a picture as grids of a few numbers, each the largest of whole elements (ONNX's MaxRoiPool).

use super::order::place;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::Error;

/// Regions (number, 5: picture, x, y of two corners) of pictures (batch, channel, y, x) as grids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionMax {
    /// Rows and columns of a grid.
    pub grid: [usize; 2],
    /// What corners are multiplied with.
    pub scale: f32,
}

impl ArrayOperator for RegionMax {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if let [input, regions] = inputs
            && let ([_, channels, _, _], [count, 5]) = (&*input.extents, &*regions.extents)
            && input.elem.is_float()
            && regions.elem.is_float()
        {
            let made = extents("RegionMax", &[*count, *channels, self.grid[0], self.grid[1]])?;
            return Ok(vec![ArrayType { extents: made, ..*input }]);
        }
        fault("RegionMax", "pictures and regions are needed", inputs)
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, regions], [out]) = (inputs, outputs) else {
            return fault("RegionMax", "two inputs are needed", &[]);
        };
        let [pictures, channels, high, wide] = input.kind.extents[..] else { return Ok(()) };
        let [rows, columns] = self.grid;
        for region in 0..regions.kind.extents[0] {
            let mut numbers = [0f32; 5];
            regions.load(5 * region, &mut numbers);
            let picture = place("RegionMax", numbers[0] as i64, pictures)?;
            let [_, x, y, x_end, y_end] = numbers.map(|number| libm::roundf(number * self.scale));
            // The elements of a cell along an axis.
            let cell = |at: usize, of: usize, (start, end): (f32, f32), extent: usize| {
                let size = (end - start + 1.0).max(1.0) / of as f32;
                let bound = |edge: f32| (edge + start).clamp(0.0, extent as f32) as usize;
                bound(libm::floorf(at as f32 * size))..bound(libm::ceilf((at + 1) as f32 * size))
            };
            for channel in 0..channels {
                let first = (picture * channels + channel) * high * wide;
                for number in 0..rows * columns {
                    let mut most = f64::NEG_INFINITY;
                    for row in cell(number / columns, rows, (y, y_end), high) {
                        for column in cell(number % columns, columns, (x, x_end), wide) {
                            let mut value = [0f64];
                            input.load(first + row * wide + column, &mut value);
                            most = most.max(value[0]);
                        }
                    }
                    let most = if most == f64::NEG_INFINITY { 0.0 } else { most };
                    out.store((region * channels + channel) * rows * columns + number, &[most]);
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, evaluate};
    use crate::{Elem, Extents};

    fn array(extents: &[usize], numbers: &[f32]) -> Array {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Array { kind: ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() }, bytes }
    }

    #[test]
    fn the_largest_of_each_cell() {
        let numbers: Vec<f32> = (0..16).map(|number| number as f32).collect();
        let (picture, regions) = (array(&[1, 1, 4, 4], &numbers), array(&[1, 5], &[0.0, 0.0, 0.0, 6.0, 6.0]));
        let op = RegionMax { grid: [2, 2], scale: 0.5 };
        assert_eq!(evaluate(&op.into(), &[&picture, &regions]).unwrap()[0].fractions(), [5.0, 7.0, 13.0, 15.0]);
        let beyond = array(&[1, 5], &[3.0, 0.0, 0.0, 6.0, 6.0]);
        assert!(matches!(evaluate(&op.into(), &[&picture, &beyond]), Err(Error::Content { .. })));
    }
}
