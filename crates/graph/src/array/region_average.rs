//! Regions of a picture as grids of a few numbers, each from samples between elements (ONNX's RoiAlign).

use super::order::place;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault};
use crate::Error;

/// Regions (number, 4: x, y of two corners) of pictures (batch, channel, y, x), the third input says of which, as grids.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RegionAverage {
    /// Rows and columns of a grid.
    pub grid: [usize; 2],
    /// Whether places count from the edge of the first element; otherwise from its centre.
    pub half_pixel: bool,
    /// Whether the largest part of a sample is taken instead of the average of samples.
    pub largest: bool,
    /// Samples along each axis of a cell; 0: as many as elements.
    pub samples: usize,
    /// What corners are multiplied with.
    pub scale: f32,
}

/// Samples along an axis of a cell that a region may ask for.
const SAMPLES_MAX: f32 = 4096.0;

impl ArrayOperator for RegionAverage {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if let [input, regions, batches] = inputs
            && let ([_, channels, _, _], [count, 4], [of]) = (&*input.extents, &*regions.extents, &*batches.extents)
            && count == of
            && input.elem.is_float()
            && regions.elem.is_float()
            && !batches.elem.is_float()
        {
            let made = extents("RegionAverage", &[*count, *channels, self.grid[0], self.grid[1]])?;
            return Ok(vec![ArrayType { extents: made, ..*input }]);
        }
        fault("RegionAverage", "pictures, regions and the number of a picture for each are needed", inputs)
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input, regions, batches], [out]) = (inputs, outputs) else {
            return fault("RegionAverage", "three inputs are needed", &[]);
        };
        let [pictures, channels, high, wide] = input.kind.extents[..] else { return Ok(()) };
        let offset = if self.half_pixel { 0.5 } else { 0.0 };
        let [rows, columns] = self.grid;
        for (region, number) in batches.integers().enumerate() {
            let picture = place("RegionAverage", number, pictures)?;
            let mut corners = [0f32; 4];
            regions.load(4 * region, &mut corners);
            let [x, y, x_end, y_end] = corners.map(|corner| corner * self.scale - offset);
            let least = if self.half_pixel { f32::MIN } else { 1.0 };
            let cell_high = (y_end - y).max(least) / rows as f32;
            let cell_wide = (x_end - x).max(least) / columns as f32;
            let samples = [self.samples_of(cell_high)?, self.samples_of(cell_wide)?];
            for cell in 0..rows * columns {
                let (top, left) = (y + (cell / columns) as f32 * cell_high, x + (cell % columns) as f32 * cell_wide);
                for channel in 0..channels {
                    let (mut sum, mut most) = (0.0, None);
                    for sample in 0..samples[0] * samples[1] {
                        let part = |at: usize, of: usize, size: f32| (at as f32 + 0.5) * size / of as f32;
                        let y = top + part(sample / samples[1], samples[0], cell_high);
                        let x = left + part(sample % samples[1], samples[1], cell_wide);
                        let first = (picture * channels + channel) * high * wide;
                        let parts = parts(input, first, [high, wide], [y, x]);
                        sum += parts.iter().sum::<f32>();
                        let largest = parts.into_iter().fold(f32::MIN, f32::max);
                        most = Some(most.map_or(largest, |most: f32| most.max(largest)));
                    }
                    let count = (samples[0] * samples[1]).max(1) as f32;
                    let made = if self.largest { most.unwrap_or(0.0) } else { sum / count };
                    out.store((region * channels + channel) * rows * columns + cell, &[made]);
                }
            }
        }
        Ok(())
    }
}

impl RegionAverage {
    fn samples_of(&self, cell: f32) -> Result<usize, Error> {
        let count = if self.samples == 0 { libm::ceilf(cell) } else { self.samples as f32 };
        if count > SAMPLES_MAX {
            let what = "a region that is much too large";
            return Err(Error::Content { op: "RegionAverage", what, found: count as i64 });
        }
        Ok(count as usize)
    }
}

/// The four elements around a place, each times its weight.
fn parts(input: &View<'_>, first: usize, [high, wide]: [usize; 2], [y, x]: [f32; 2]) -> [f32; 4] {
    if !((-1.0..=high as f32).contains(&y) && (-1.0..=wide as f32).contains(&x)) || high * wide == 0 {
        return [0.0; 4];
    }
    let around = |at: f32, extent: usize| {
        let low = at.max(0.0) as usize;
        if low + 1 >= extent { (extent - 1, extent - 1, 0.0) } else { (low, low + 1, at.max(0.0) - low as f32) }
    };
    let ((top, bottom, down), (left, right, over)) = (around(y, high), around(x, wide));
    let corners = [(top, left), (top, right), (bottom, left), (bottom, right)];
    let weights = [(1.0 - down) * (1.0 - over), (1.0 - down) * over, down * (1.0 - over), down * over];
    let mut parts = weights;
    for ((row, column), part) in corners.into_iter().zip(&mut parts) {
        let mut value = [0f32];
        input.load(first + row * wide + column, &mut value);
        *part *= value[0];
    }
    parts
}
