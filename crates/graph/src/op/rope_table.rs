//! Angles of the rotary embedding for the positions of a batch (Su et al., arXiv 2104.09864).
//!
//! One table serves all layers with the same base. Angles are computed in f64 by `libm`, so that they are the same
//! bits on every platform.

use super::{Cost, Operator, WeightUse, expect, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Dims, Elem, Error, Graph, Symbol, Value, WeightId};

/// How the frequencies are changed for contexts longer than those of training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Not at all.
    None,
    /// Positions divided by a factor (Chen et al., arXiv 2306.15595).
    Linear {
        /// The divisor.
        factor: f64,
    },
    /// Llama 3.1: long wavelengths divided by a factor, short ones kept, a ramp between.
    Llama3 {
        /// The divisor of the long wavelengths.
        factor: f64,
        /// `original / low` is the shortest wavelength that is divided in full.
        low: f64,
        /// `original / high` is the longest wavelength that is kept.
        high: f64,
        /// Context of the training.
        original: f64,
    },
    /// YaRN (Peng et al., arXiv 2309.00071): pairs that turn often within the training's context are kept, those that
    /// turn seldom divided by a factor, a ramp between; cosines and sines are scaled.
    Yarn {
        /// The divisor of the slow pairs.
        factor: f64,
        /// Turns from which a pair is kept.
        fast: f64,
        /// Turns up to which a pair is divided in full.
        slow: f64,
        /// Context of the training.
        original: f64,
        /// What cosines and sines are multiplied by.
        magnitude: f64,
        /// Whether the ramp begins and ends at whole pairs.
        whole: bool,
    },
}

impl RopeScaling {
    /// The magnitude that YaRN's authors found for a divisor.
    pub fn usual_magnitude(factor: f64) -> f64 {
        1.0 + 0.1 * libm::log(factor.max(1.0))
    }
}

/// Input: positions (rows). Output: (rows, `dims`): the cosines of `dims / 2` angles, then their sines.
#[derive(Clone, Debug, PartialEq)]
pub struct RopeTable {
    /// Rotated elements of a head, even.
    pub dims: u32,
    /// Base of the frequencies.
    pub base: f64,
    /// Change for long contexts.
    pub scaling: RopeScaling,
    /// Divisor of each frequency, a vector of `dims / 2`, where the file stores them.
    pub factors: Option<WeightId>,
}

impl RopeTable {
    /// All frequencies, radians a position; `factors` is the vector that [`RopeTable::factors`] names.
    pub fn frequencies(&self, factors: Option<&[f32]>) -> Vec<f64> {
        let divisor = |i: usize| factors.and_then(|f| f.get(i)).map_or(1.0, |&f| f64::from(f));
        (0..self.dims / 2).map(|i| self.frequency(i) / divisor(i as usize)).collect()
    }

    /// Frequency of pair `i` before the file's own factors.
    fn frequency(&self, i: u32) -> f64 {
        let plain = libm::pow(self.base, -2.0 * f64::from(i) / f64::from(self.dims));
        match self.scaling {
            RopeScaling::None => plain,
            RopeScaling::Linear { factor } => plain / factor,
            RopeScaling::Llama3 { factor, low, high, original } => {
                let wavelength = 2.0 * std::f64::consts::PI / plain;
                if wavelength < original / high {
                    plain
                } else if wavelength > original / low {
                    plain / factor
                } else {
                    let smooth = (original / wavelength - low) / (high - low);
                    (1.0 - smooth) * plain / factor + smooth * plain
                }
            }
            RopeScaling::Yarn { factor, fast, slow, original, whole, .. } => {
                let (first, last) =
                    (self.pair_that_turns(fast, original), self.pair_that_turns(slow, original));
                let (first, last) = if whole { (first.floor(), last.ceil()) } else { (first, last) };
                let (first, last) = (first.max(0.0), last.min(f64::from(self.dims) - 1.0));
                let divided = ((f64::from(i) - first) / (last - first).max(0.001)).clamp(0.0, 1.0);
                plain / factor * divided + plain * (1.0 - divided)
            }
        }
    }

    /// Which pair, as a real number, turns so often within `context` positions.
    fn pair_that_turns(&self, turns: f64, context: f64) -> f64 {
        let wavelength = context / turns;
        let pairs = f64::from(self.dims) / 2.0;
        pairs * libm::log(wavelength / (2.0 * std::f64::consts::PI)) / libm::log(self.base)
    }

    /// What cosines and sines are multiplied by.
    fn magnitude(&self) -> f64 {
        match self.scaling {
            RopeScaling::Yarn { magnitude, .. } => magnitude,
            _ => 1.0,
        }
    }

    /// Writes the cosines and sines of one position. `frequencies` are [`RopeTable::frequencies`].
    pub fn fill(&self, position: u32, frequencies: &[f64], cosines: &mut [f32], sines: &mut [f32]) {
        let magnitude = self.magnitude();
        for ((c, s), f) in cosines.iter_mut().zip(sines).zip(frequencies) {
            let (sine, cosine) = libm::sincos(f64::from(position) * f);
            (*c, *s) = ((cosine * magnitude) as f32, (sine * magnitude) as f32);
        }
    }
}

impl Operator for RopeTable {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let positions = expect("RopeTable", inputs, 0, Elem::Index, None)?;
        if let Some(factors) = self.factors {
            expect_vector("RopeTable", graph, factors, self.dims / 2)?;
        }
        let rows = positions.rows().unwrap_or(Symbol::ROWS);
        Ok(Value { dims: Dims::matrix(rows, self.dims), elem: Elem::F32 })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let factors = self.factors.map(|f| run.weight(f).data);
        let frequencies = self.frequencies(factors.as_deref());
        let width = self.dims as usize;
        let mut out = vec![0.0; inputs[0].data.len() * width];
        for (row, &position) in out.chunks_mut(width).zip(&inputs[0].data) {
            let (cosines, sines) = row.split_at_mut(frequencies.len());
            self.fill(position as u32, &frequencies, cosines, sines);
        }
        Tensor::new(inputs[0].data.len(), width, out)
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        let rows = inputs[0].dims.elements(bounds);
        Cost { float_ops: rows * u64::from(self.dims) * 20, ..Cost::default() }
    }

    fn weights(&self) -> Vec<WeightUse> {
        self.factors.map(WeightUse::Vector).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scaling_keeps_short_and_divides_long_wavelengths() {
        let scaling = RopeScaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 8192.0 };
        let plain = RopeTable { dims: 128, base: 5e5, scaling: RopeScaling::None, factors: None };
        let scaled = RopeTable { scaling, ..plain.clone() };
        assert_eq!(plain.frequency(0), 1.0);
        assert_eq!(scaled.frequency(0), plain.frequency(0));
        assert_eq!(scaled.frequency(63), plain.frequency(63) / 8.0);
        let middle = scaled.frequency(32) / plain.frequency(32);
        assert!(middle > 0.125 && middle < 1.0, "{middle}");
    }

    #[test]
    fn yarn_keeps_fast_pairs_divides_slow_ones_and_scales() {
        let plain = RopeTable { dims: 128, base: 1e6, scaling: RopeScaling::None, factors: None };
        let scaling = RopeScaling::Yarn {
            factor: 4.0,
            fast: 32.0,
            slow: 1.0,
            original: 32768.0,
            magnitude: 1.25,
            whole: true,
        };
        let scaled = RopeTable { scaling, ..plain.clone() };
        // 32768 positions are 32 turns of pair 23.6 and one of pair 39.6.
        assert_eq!(scaled.frequency(23), plain.frequency(23));
        assert_eq!(scaled.frequency(40), plain.frequency(40) / 4.0);
        let middle = scaled.frequency(30) / plain.frequency(30);
        assert!(middle > 0.25 && middle < 1.0, "{middle}");
        let (mut cosines, mut sines) = ([0.0], [1.0]);
        scaled.fill(0, &[1.0], &mut cosines, &mut sines);
        assert_eq!((cosines, sines), ([1.25], [0.0]));
    }
}
