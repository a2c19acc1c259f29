//! Several weights at once by an entry of a codebook: reading them, and choosing the nearest entry.
//!
//! Not a format; the lists themselves are in [`super::grid`]. The one design choice: choosing is a plain search through
//! the list for the least squared error. ggml's own quantisers weigh errors by how much a weight matters and move the
//! scales along with the choice, which gives better files; this one is for tests and for tools in want of any.

use super::bits::through_f16;
use super::grid::index;
use super::{Groups, fit};

/// Magnitudes that the indices of IQ2 stand for.
pub(super) const IQ2_LEVELS: [i8; 3] = [8, 25, 43];

/// A list of entries and what its indices stand for.
pub(super) struct Codebook {
    pub entries: &'static [u32],
    /// Weights that an entry stands for, at most 8.
    pub width: usize,
    pub levels: &'static [i8],
}

impl Codebook {
    /// The weights of entry `at` as codes, negative where the bit of `signs` is set.
    pub(super) fn read(&self, at: usize, signs: u8, q: &mut [i8]) {
        for (i, q) in q.iter_mut().enumerate() {
            let level = self.levels[index(self.entries[at], i)];
            *q = if signs >> i & 1 == 1 { -level } else { level };
        }
    }

    /// The entry nearest to `values`, in codes, and the square of its distance.
    pub(super) fn nearest(&self, values: &[f32]) -> (usize, f32) {
        let mut costs = [[0.0; 8]; 8];
        for (costs, v) in costs.iter_mut().zip(values) {
            for (cost, &level) in costs.iter_mut().zip(self.levels) {
                *cost = (v - f32::from(level)).powi(2);
            }
        }
        // What four indices of two bits cost together, for the first four weights and for the others.
        let mut halves = [[0.0; 256]; 2];
        for (half, costs) in halves.iter_mut().zip(costs.chunks(4)).take(self.width / 8 * 2) {
            for (packed, sum) in half.iter_mut().enumerate() {
                *sum = (0..4).map(|i| costs[i][packed >> (2 * i) & 3]).sum();
            }
        }
        let (mut best, mut least) = (0, f32::INFINITY);
        for (at, &entry) in self.entries.iter().enumerate() {
            let cost = match self.width {
                8 => halves[0][packed(entry)] + halves[1][packed(entry >> 4)],
                _ => (0..4).map(|i| costs[i][index(entry, i)]).sum(),
            };
            if cost < least {
                (best, least) = (at, cost);
            }
        }
        (best, least)
    }

    /// The entry whose magnitudes are nearest to those of `values` times `to_code`, and the signs. If the number of
    /// negative weights must be `even`, the smallest gives way.
    pub(super) fn nearest_signed(&self, values: &[f32], to_code: f32, even: bool) -> (usize, u8) {
        let (mut magnitudes, mut signs) = ([0.0; 8], 0);
        for (i, (m, v)) in magnitudes.iter_mut().zip(values).enumerate() {
            signs |= u8::from(*v < 0.0) << i;
            *m = v.abs() * to_code;
        }
        let magnitudes = &mut magnitudes[..self.width];
        if even && signs.count_ones() % 2 == 1 {
            let smallest =
                (0..self.width).min_by(|&a, &b| magnitudes[a].total_cmp(&magnitudes[b])).unwrap_or(0);
            signs ^= 1 << smallest;
            magnitudes[smallest] = -magnitudes[smallest];
        }
        (self.nearest(magnitudes).0, signs)
    }

    /// The level nearest to `x`, with its sign: what a weight would be if every combination existed.
    pub(super) fn level(&self, x: f32) -> f32 {
        let levels = self.levels.iter().map(|&level| f32::from(level));
        let error = |level: &f32| (level - x.abs()).abs();
        levels.min_by(|a, b| error(a).total_cmp(&error(b))).unwrap_or(0.0).copysign(x)
    }

    /// Codes of a group at the scale `1 / to_code`.
    pub(super) fn codes(&self, values: &[f32], to_code: f32, even: bool, q: &mut [i8]) {
        for (q, values) in q.chunks_mut(self.width).zip(values.chunks(self.width)) {
            let (at, signs) = self.nearest_signed(values, to_code, even);
            self.read(at, signs, q);
        }
    }
}

/// The lowest two bits of the bytes of `entry`, side by side.
fn packed(entry: u32) -> usize {
    ((entry & 0x0303_0303).wrapping_mul(1 << 24 | 1 << 18 | 1 << 12 | 1 << 6) >> 24) as usize
}

/// Eight sign bits from the seven that are stored: the number of negative weights is even.
pub(super) fn even_signs(seven: u8) -> u8 {
    let seven = seven & 0x7f;
    seven | (seven.count_ones() as u8 & 1) << 7
}

/// Where to look for scales.
#[derive(Clone, Copy)]
pub(super) struct Search {
    /// Elements of a group, at most 32.
    pub group: usize,
    /// The largest sub-scale.
    pub top: u8,
    /// The unit is an f16 number over this power of two.
    pub parts: f32,
    /// Distance of the first guesses, in codes.
    pub step: f32,
    /// How much larger than the guess a scale may become: where large codes have few combinations, a larger scale and
    /// smaller codes are better.
    pub room: f32,
    /// Sub-scales tried on either side of the guess.
    pub reach: u8,
}

/// A super-block whose groups have the scales `unit * (2 * sub + 1)`.
pub(super) struct OddScales {
    pub unit: f32,
    pub sub: [u8; Groups::MAX_GROUPS],
}

impl OddScales {
    /// The scale of group `g`.
    pub(super) fn scale(&self, g: usize) -> f32 {
        self.unit * f32::from(2 * self.sub[g] + 1)
    }

    /// What takes the values of group `g` to codes.
    pub(super) fn to_code(&self, g: usize) -> f32 {
        fit::inverse(self.scale(g))
    }

    /// Fits the scales of a super-block.
    ///
    /// `level` rounds to the nearest code as if every combination existed; `codes` gives those that do exist, for values
    /// times its second argument.
    pub(super) fn fit(
        values: &[f32],
        search: Search,
        level: impl Fn(f32) -> f32,
        codes: impl Fn(&[f32], f32, &mut [i8]),
    ) -> OddScales {
        let Search { group, top, parts, step, room, reach } = search;
        let mut out = OddScales { unit: 0.0, sub: [0; Groups::MAX_GROUPS] };
        let mut guess = [0.0f32; Groups::MAX_GROUPS];
        for (guess, values) in guess.iter_mut().zip(values.chunks(group)) {
            *guess = fit::scale(values, step, &level).abs();
        }
        let rounded = |unit: f32| through_f16(unit * parts) / parts;
        out.unit = rounded(guess.iter().fold(0.0, |a, &b| f32::max(a, b)) * room / f32::from(2 * top + 1));
        let (mut xq, mut qq) = (0.0, 0.0);
        for (g, values) in values.chunks(group).enumerate() {
            let middle =
                fit::round_to((guess[g] * fit::inverse(out.unit) - 1.0) / 2.0, 0.0, f32::from(top)) as u8;
            let (mut best, mut least) = (middle, f64::INFINITY);
            let mut best_sums = (0.0, 0.0);
            for sub in middle.saturating_sub(reach)..=top.min(middle + reach) {
                out.sub[g] = sub;
                let (scale, mut q) = (out.scale(g), [0; 32]);
                codes(values, out.to_code(g), &mut q[..group]);
                let (mut error, mut sums) = (0.0, (0.0, 0.0));
                for (&v, &q) in values.iter().zip(&q) {
                    let (v, in_units) = (f64::from(v), f64::from(q) * f64::from(2 * sub + 1));
                    error += (v - f64::from(scale) * f64::from(q)).powi(2);
                    sums = (sums.0 + v * in_units, sums.1 + in_units * in_units);
                }
                if error < least {
                    (best, least, best_sums) = (sub, error, sums);
                }
            }
            out.sub[g] = best;
            (xq, qq) = (xq + best_sums.0, qq + best_sums.1);
        }
        if xq > 0.0 {
            out.unit = rounded((xq / qq) as f32);
        }
        out
    }
}
