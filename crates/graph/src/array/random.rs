//! Numbers that look random.
//!
//! The one design choice: a number follows from the seed and its place alone, so that what comes out is the same wherever
//! and in however many pieces it is made.

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, fault};
use crate::{Cost, Error};

/// How numbers are spread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RandomKind {
    /// Around a mean, with a deviation.
    Normal(f64, f64),
    /// Evenly, from the first up to the second.
    Uniform(f64, f64),
}

/// An array of numbers that look random.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Random {
    /// What is made.
    pub made: ArrayType,
    /// How numbers are spread.
    pub kind: RandomKind,
    /// Another seed makes other numbers.
    pub seed: u64,
}

impl ArrayOperator for Random {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        if self.made.elem.is_float() { Ok(vec![self.made]) } else { fault("Random", "floats are made", inputs) }
    }

    fn evaluate(&self, _: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let [out] = outputs else { return fault("Random", "one output is made", &[]) };
        let elements = out.kind.extents.elements();
        let mut x = [0f64; LANES];
        for first in (0..elements).step_by(LANES) {
            let x = &mut x[..LANES.min(elements - first)];
            for (at, x) in (first as u64..).zip(x.iter_mut()) {
                *x = match self.kind {
                    RandomKind::Uniform(from, to) => from + (to - from) * self.even(2 * at),
                    RandomKind::Normal(mean, deviation) => {
                        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.even(2 * at)));
                        mean + deviation * radius * libm::cos(std::f64::consts::TAU * self.even(2 * at + 1))
                    }
                };
            }
            out.store(first, x);
        }
        Ok(())
    }

    fn cost(&self, _: &[ArrayType]) -> Cost {
        Cost { float_ops: self.made.extents.elements() as u64, ..Cost::default() }
    }
}

impl Random {
    /// A number from 0 up to 1: SplitMix64 at a place of its sequence.
    fn even(&self, place: u64) -> f64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mix = |mut x: u64| {
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            x ^ (x >> 31)
        };
        let start = mix(self.seed.wrapping_add(STEP));
        let bits = mix(start.wrapping_add(place.wrapping_add(1).wrapping_mul(STEP)));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::evaluate;
    use crate::{Elem, Extents};

    fn numbers(kind: RandomKind, seed: u64, count: usize) -> Vec<f64> {
        let made = ArrayType { elem: Elem::F64, extents: Extents::new(&[count]).unwrap() };
        let made = evaluate(&Random { made, kind, seed }.into(), &[]).unwrap();
        made[0].fractions()
    }

    #[test]
    fn mean_and_deviation_are_as_asked() {
        let spread = |kind| {
            let all = numbers(kind, 7, 100_000);
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let square = all.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / all.len() as f64;
            (mean, square)
        };
        let (mean, square) = spread(RandomKind::Normal(3.0, 2.0));
        assert!((mean - 3.0).abs() < 0.03 && (square - 4.0).abs() < 0.08, "{mean} {square}");
        let (mean, square) = spread(RandomKind::Uniform(-1.0, 1.0));
        assert!(mean.abs() < 0.01 && (square - 1.0 / 3.0).abs() < 0.01, "{mean} {square}");
    }

    #[test]
    fn seed_and_place_decide() {
        let kind = RandomKind::Uniform(0.0, 1.0);
        assert_eq!(numbers(kind, 1, 1000)[..100], numbers(kind, 1, 100));
        assert_ne!(numbers(kind, 1, 10), numbers(kind, 2, 10));
    }
}
