//! Fourier transforms along an axis, in f64.
//!
//! The one design choice: a transform of n numbers is cut by the smallest prime in n, again and again; so it is fast where
//! n has small primes and right where it is one.

use super::order::around;
use super::{ArrayOperator, ArrayType, View, ViewMut, fault};
use crate::{Cost, Error};

/// Fourier transforms along an axis of numbers whose real and imaginary parts (or only real ones) are the innermost axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fourier {
    /// The axis; not the innermost.
    pub axis: usize,
    /// Whether it is the way back.
    pub inverse: bool,
    /// Numbers that are transformed; what is missing is zero.
    pub len: usize,
    /// Whether only the first half and the middle are wanted.
    pub half: bool,
}

/// A complex number as bytes.
type Number = [u8; 16];

fn get(numbers: &[Number], at: usize) -> [f64; 2] {
    let parts = numbers[at].as_chunks::<8>().0;
    [f64::from_le_bytes(parts[0]), f64::from_le_bytes(parts[1])]
}

fn set(numbers: &mut [Number], at: usize, number: [f64; 2]) {
    let parts = numbers[at].as_chunks_mut::<8>().0;
    (parts[0], parts[1]) = (number[0].to_le_bytes(), number[1].to_le_bytes());
}

fn product(a: [f64; 2], b: [f64; 2]) -> [f64; 2] {
    [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]
}

impl ArrayOperator for Fourier {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [input]
                if self.axis + 1 < input.extents.len()
                    && matches!(input.extents.last(), Some(1 | 2))
                    && input.elem.is_float()
                    && self.len > 0 =>
            {
                let mut made = input.extents;
                let last = made.len() - 1;
                made[last] = 2;
                made[self.axis] = if self.half { self.len / 2 + 1 } else { self.len };
                Ok(vec![ArrayType { extents: super::extents("Fourier", &made)?, ..*input }])
            }
            _ => fault("Fourier", "real or complex floats with this axis are needed", inputs),
        }
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Fourier", "one input is needed", &[]) };
        let own = input.kind.extents;
        let (parts, given, wanted) = (own[own.len() - 1], own[self.axis], out.kind.extents[self.axis]);
        let (blocks, inner) = around(&own, self.axis);
        let (lanes, len) = (inner / parts, self.len);
        let numbers = scratch.as_chunks_mut::<16>().0;
        let Some((turns, numbers)) = numbers.get_mut(..4 * len).map(|numbers| numbers.split_at_mut(len)) else {
            return fault("Fourier", "scratch is needed", &[]);
        };
        let (from, numbers) = numbers.split_at_mut(len);
        let (to, spare) = numbers.split_at_mut(len);
        let (sign, scale) = if self.inverse { (1.0, 1.0 / len as f64) } else { (-1.0, 1.0) };
        for at in 0..len {
            let angle = sign * std::f64::consts::TAU * at as f64 / len as f64;
            set(turns, at, [libm::cos(angle), libm::sin(angle)]);
        }
        for lane in 0..blocks * lanes {
            let (block, lane) = (lane / lanes, lane % lanes);
            for at in 0..len {
                let mut number = [0f64; 2];
                if at < given {
                    input.load(((block * given + at) * lanes + lane) * parts, &mut number[..parts]);
                }
                set(from, at, number);
            }
            transform((from, 1), to, turns, spare);
            for at in 0..wanted {
                let number = get(to, at).map(|part| part * scale);
                out.store(2 * ((block * wanted + at) * lanes + lane), &number);
            }
        }
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let elements = inputs.first().map_or(0, |input| input.extents.elements());
        let levels = self.len.max(2).ilog2() as usize;
        Cost { float_ops: elements.saturating_mul(5 * levels) as u64, ..Cost::default() }
    }

    fn scratch(&self, _: &[ArrayType]) -> usize {
        4 * size_of::<Number>() * self.len
    }
}

/// `to` becomes the transform of every `step`-th number; `turns` are all powers of the root for `step` times as many.
fn transform((from, step): (&[Number], usize), to: &mut [Number], turns: &[Number], spare: &mut [Number]) {
    let len = to.len();
    if len == 1 {
        to[0] = from[0];
        return;
    }
    let cuts = (2..).take_while(|cut| cut * cut <= len).find(|cut| len.is_multiple_of(*cut)).unwrap_or(len);
    let part = len / cuts;
    for (cut, to) in to.chunks_exact_mut(part).enumerate() {
        transform((&from[cut * step..], step * cuts), to, turns, spare);
    }
    for at in 0..part {
        for (cut, spare) in spare[..cuts].iter_mut().enumerate() {
            let turned = product(get(to, cut * part + at), get(turns, cut * at * step));
            set(std::slice::from_mut(spare), 0, turned);
        }
        for row in 0..cuts {
            let mut sum = [0.0; 2];
            for cut in 0..cuts {
                let turned = product(get(spare, cut), get(turns, cut * row % cuts * part * step));
                sum = [sum[0] + turned[0], sum[1] + turned[1]];
            }
            set(to, row * part + at, sum);
        }
    }
}
