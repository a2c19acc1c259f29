//! Convolutions of 3 x 3 by tiles of 2 x 2 results, with 16 multiplications where windows one by one take 36.
//!
//! Not an operator of its own: [`Conv::tiles`] says that a convolution is made so. The one design choice: tiles lie at even rows of
//! the whole result, so rows that are made apart are the same sums of the same numbers (a row of a tile does not look at what
//! the other row alone sees). Transforms have the factors 1 and 1/2 only, so what they round is no more than what a chain of nine
//! products does; tiles of 4 x 4 would save more and lose three digits. (Winograd, "Arithmetic Complexity of Computations", 1980;
//! Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.)

use super::window::Windows;
use super::{ArrayType, Conv, View, ViewMut};
use crate::Elem;

/// Numbers of a tile that are multiplied.
pub(super) const PLACES: usize = 16;
/// Tiles of a panel.
const PANEL: usize = 64;
/// Floats between the matrices of a panel.
const APART: usize = 16;
/// Floats of what the panels of a strip see, about, if it has more than one.
const STRIP: usize = 256 << 10;
/// Channels, maps and tiles, at least, where tiles pay.
const LEAST: [usize; 3] = [8, 8, 64];

impl Conv {
    /// Whether tiles make the result sooner, in a scratch that is no more than twice of what is read and made.
    pub fn pays_in_tiles(&self, inputs: &[ArrayType], made: &ArrayType) -> bool {
        let [x, w, ..] = inputs else { return false };
        if !self.may_be_tiles() || x.elem != Elem::F32 || x.extents.len() != 4 {
            return false;
        }
        let least = [w.extents[1], w.extents[0], tiles(&made.extents[2..], 0)];
        let scratch = tiles_scratch(w, made, 0);
        least.iter().zip(LEAST).all(|(count, least)| *count >= least)
            && scratch <= 2 * (x.bytes() + w.bytes() + made.bytes())
    }

    /// Whether the windows are such that there are tiles of them.
    pub(super) fn may_be_tiles(&self) -> bool {
        let Windows { kernel, strides, dilations, .. } = &self.windows;
        self.groups == 1 && kernel[..] == [3; 2] && strides[..] == [1; 2] && dilations[..] == [1; 2]
    }

    /// The definition, of 32-bit floats; `phase` is the row of its tile that the first row of the result lies in.
    pub(super) fn run_tiles(
        &self,
        phase: usize,
        [x, w]: [&View<'_>; 2],
        factors: [Option<&View<'_>>; 2],
        out: &mut ViewMut<'_>,
    ) {
        let [high, wide] = [x.kind.extents[2], x.kind.extents[3]];
        let made = [out.kind.extents[2], out.kind.extents[3]];
        let (channels, maps) = (w.kind.extents[1], w.kind.extents[0]);
        let number = |view: &View<'_>, at: usize| {
            let mut number = [0.0_f32];
            view.load(at, &mut number);
            number[0]
        };
        let pixel = |at: usize, row: isize, column: isize| {
            let inside = (0..high as isize).contains(&row) && (0..wide as isize).contains(&column);
            if inside { number(x, at + row as usize * wide + column as usize) } else { 0.0 }
        };
        let [before, across_before] = [self.windows.before[0], self.windows.before[1]].map(|n| n as isize);
        for (image, map) in (0..x.kind.extents[0]).flat_map(|image| (0..maps).map(move |map| (image, map))) {
            let factors = factors.map(|list| list.map(|list| number(list, map)));
            for down in 0..(phase + made[0]).div_ceil(2) {
                for across in 0..made[1].div_ceil(2) {
                    let mut sums = [0.0_f32; PLACES];
                    for channel in 0..channels {
                        let own = (map * channels + channel) * 9;
                        let weights = weights_of_tile(std::array::from_fn(|i| number(w, own + i)));
                        let at = (image * channels + channel) * high * wide;
                        let seen = seen_of_tile(std::array::from_fn(|i| {
                            let row = (2 * down + i / 4) as isize - (before + phase as isize);
                            pixel(at, row, (2 * across + i % 4) as isize - across_before)
                        }));
                        (0..PLACES).for_each(|i| sums[i] = weights[i].mul_add(seen[i], sums[i]));
                    }
                    for (i, sum) in results_of_tile(sums).into_iter().enumerate() {
                        let (row, column) = ((2 * down + i / 2).wrapping_sub(phase), 2 * across + i % 2);
                        if row < made[0] && column < made[1] {
                            let at = ((image * maps + map) * made[0] + row) * made[1] + column;
                            out.store(at, &[self.finish(sum, factors)]);
                        }
                    }
                }
            }
        }
    }
}

/// Tiles of a result with such rows and columns.
pub(super) fn tiles(made: &[usize], phase: usize) -> usize {
    (phase + made[0]).div_ceil(2) * made[1].div_ceil(2)
}

/// Bytes of the weights of tiles, and of what the panels of tiles see that are worked on at once.
pub(super) fn tiles_scratch(w: &ArrayType, made: &ArrayType, phase: usize) -> usize {
    let (maps, channels) = (w.extents[0], w.extents[1]);
    let panels = tiles(&made.extents[2..], phase).div_ceil(PANEL);
    let strip = (STRIP / (PLACES * PANEL * channels.max(1))).clamp(1, panels.max(1));
    PLACES * (channels * maps + strip * (channels * PANEL + APART)) * w.elem.bytes()
}

/// What a window is multiplied by, of nine weights.
fn weights_of_tile(w: [f32; 9]) -> [f32; PLACES] {
    let of = |a: f32, b: f32, c: f32| [a, ((a + c) + b) * 0.5, ((a + c) - b) * 0.5, c];
    let columns: [[f32; 4]; 3] = std::array::from_fn(|j| of(w[j], w[3 + j], w[6 + j]));
    let rows: [[f32; 4]; 4] = std::array::from_fn(|i| of(columns[0][i], columns[1][i], columns[2][i]));
    std::array::from_fn(|i| rows[i / 4][i % 4])
}

/// What is multiplied by them, of what a tile sees.
fn seen_of_tile(x: [f32; PLACES]) -> [f32; PLACES] {
    let of = |x: [f32; 4]| [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]];
    let columns: [[f32; 4]; 4] = std::array::from_fn(|j| of(std::array::from_fn(|i| x[4 * i + j])));
    let rows: [[f32; 4]; 4] = std::array::from_fn(|i| of(std::array::from_fn(|j| columns[j][i])));
    std::array::from_fn(|i| rows[i / 4][i % 4])
}

/// The four results of a tile.
fn results_of_tile(m: [f32; PLACES]) -> [f32; 4] {
    let of = |m: [f32; 4]| [(m[0] + m[1]) + m[2], (m[1] - m[2]) - m[3]];
    let columns: [[f32; 2]; 4] = std::array::from_fn(|j| of(std::array::from_fn(|i| m[4 * i + j])));
    let rows: [[f32; 2]; 2] = std::array::from_fn(|i| of(std::array::from_fn(|j| columns[j][i])));
    [rows[0][0], rows[0][1], rows[1][0], rows[1][1]]
}

#[cfg(test)]
mod tests {
    use super::super::{Array, evaluate};
    use super::*;
    use crate::Extents;

    fn numbers(extents: &[usize], seed: u32) -> Array {
        let kind = ArrayType { elem: Elem::F32, extents: Extents::new(extents).unwrap() };
        let mut state = seed;
        let bytes = (0..kind.extents.elements()).flat_map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            ((state >> 8) as f32 / 8_388_608.0 - 1.0).to_le_bytes()
        });
        Array { kind, bytes: bytes.collect() }
    }

    /// Whole numbers are exact both ways, so every term is where it belongs.
    #[test]
    fn tiles_of_whole_numbers_are_the_windows_to_the_bit() {
        let whole = |mut array: Array, step: f32| {
            for x in array.bytes.as_chunks_mut().0 {
                *x = ((f32::from_le_bytes(*x) * step).round() * 2.0).to_le_bytes();
            }
            array
        };
        for (size, margins) in [([5, 8], [1, 1]), ([4, 7], [0, 2]), ([1, 9], [2, 1]), ([6, 3], [1, 0])] {
            let [before, behind] = margins.map(|margin| vec![margin; 2]);
            let (kernel, strides, dilations) = (vec![3; 2], vec![1; 2], vec![1; 2]);
            let windows = Windows { kernel, strides, dilations, before, behind };
            let plain = Conv { windows, groups: 1, scales: false, bounds: None, then: None, tiles: None };
            let x = whole(numbers(&[2, 3, size[0], size[1]], 1), 50.0);
            let w = whole(numbers(&[4, 3, 3, 3], 2), 9.0);
            let bias = numbers(&[4], 3);
            let expected = evaluate(&plain.clone().into(), &[&x, &w, &bias]).unwrap();
            for phase in [0, 1] {
                let tiled = Conv { tiles: Some(phase), ..plain.clone() };
                let made = evaluate(&tiled.into(), &[&x, &w, &bias]).unwrap();
                assert_eq!(made[0].fractions(), expected[0].fractions(), "{size:?} {margins:?} {phase}");
            }
        }
    }
}
