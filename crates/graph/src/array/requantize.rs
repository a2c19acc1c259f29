//! Sums of whole numbers as narrow ones: times a fraction in fixed point, to the nearest.
//!
//! The one design choice: no floats, so that the result is the same to the bit wherever it is computed. The fraction is a
//! multiplier of 31 bits and a shift (arXiv 1712.05877, 2.2); sums of 32 bits are rounded after the product and after the shift,
//! as TFLite's definitions do, or once, as the product of matrices that it borrows (google/ruy); sums of 64 bits once.

use super::order::around;
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, fault, lanes};
use crate::{Elem, Error};

/// Of `x`, offsets, multipliers and shifts, each one for all or one for each index along the axis: `(x + offset) << left`,
/// times `multiplier * 2^(shift - 31)`, plus `zero`, held between bounds. `x` may be floats that are whole numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Requantize {
    /// The kind of element of the result.
    pub to: Elem,
    /// The axis that offsets, multipliers and shifts belong to.
    pub axis: usize,
    /// Whether sums of 32 bits are rounded once.
    pub once: bool,
    /// Bits that a sum is moved to the left before.
    pub left: u32,
    /// What counts as zero in the result.
    pub zero: i64,
    /// The least and the most that comes out.
    pub bounds: [i64; 2],
}

impl ArrayOperator for Requantize {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [x, factors @ ..] = inputs else { return fault("Requantize", "four inputs are needed", inputs) };
        let extent = x.extents.get(self.axis).copied().unwrap_or(1);
        let fits = factors.len() == 3
            && factors.iter().all(|list| !list.elem.is_float() && [1, extent].contains(&list.extents.elements()))
            && !self.to.is_float()
            && self.left < 32
            && self.bounds[0] <= self.bounds[1];
        if !fits {
            return fault("Requantize", "an offset, a multiplier and a shift for all or for each are needed", inputs);
        }
        Ok(vec![ArrayType { elem: self.to, ..*x }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, offsets, multipliers, shifts], [out]) = (inputs, outputs) else {
            return fault("Requantize", "four inputs are needed", &[]);
        };
        let lists = [offsets, multipliers, shifts];
        let single = lists.iter().all(|list| list.kind.extents.elements() == 1);
        let (outer, inner) = match single {
            true => (1, x.kind.extents.elements()),
            false => around(&x.kind.extents, self.axis),
        };
        let extent = if single { 1 } else { x.kind.extents[self.axis] };
        let wide = x.kind.elem.bytes() == 8;
        let mut sums = [0i64; LANES];
        for block in 0..outer * extent {
            let [offset, multiplier, shift] = lists.map(|list| {
                let mut number = [0i64];
                let many = list.kind.extents.elements() > 1;
                list.load(if many { block % extent } else { 0 }, &mut number);
                number[0]
            });
            for first in (0..inner).step_by(LANES) {
                let sums = &mut sums[..LANES.min(inner - first)];
                let start = block * inner + first;
                lanes::load(x.kind.elem, x.bytes.unwrap_or_default(), start, sums);
                for sum in &mut *sums {
                    let moved = sum.wrapping_add(offset).wrapping_shl(self.left);
                    let scaled = match wide {
                        true => scaled_wide(moved, multiplier as i32, shift as i32),
                        false if self.once => scaled_once(moved as i32, multiplier as i32, shift as i32),
                        false => scaled(moved as i32, multiplier as i32, shift as i32),
                    };
                    *sum = i64::from(scaled).wrapping_add(self.zero).clamp(self.bounds[0], self.bounds[1]);
                }
                out.store(start, sums);
            }
        }
        Ok(())
    }
}

/// `x * multiplier * 2^(shift - 31)`, rounded after the product, halves up, and after the shift, halves away from zero.
pub fn scaled(x: i32, multiplier: i32, shift: i32) -> i32 {
    let product = i64::from(x.wrapping_shl(shift.clamp(0, 31) as u32)) * i64::from(multiplier);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    let high = ((product + nudge) / (1 << 31)).min(i64::from(i32::MAX));
    let right = (-shift).clamp(0, 31);
    let mask = (1i64 << right) - 1;
    let more = i64::from((high & mask) > (mask >> 1) + i64::from(high < 0));
    ((high >> right) + more) as i32
}

/// The same, rounded once, halves up.
fn scaled_once(x: i32, multiplier: i32, shift: i32) -> i32 {
    let right = 31 - shift.clamp(-31, 30);
    ((i64::from(x) * i64::from(multiplier) + (1 << (right - 1))) >> right) as i32
}

/// The same of sums of 64 bits, by the first 15 bits of the multiplier.
fn scaled_wide(x: i64, multiplier: i32, shift: i32) -> i32 {
    let short = if multiplier < 0x7FFF_0000 { (multiplier + (1 << 15)) >> 16 } else { 0x7FFF };
    let right = (15 - shift).clamp(1, 62);
    (x.wrapping_mul(i64::from(short)).wrapping_add(1 << (right - 1)) >> right) as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Extents;
    use crate::array::{Array, evaluate};

    #[test]
    fn products_are_rounded_twice_or_once() {
        let half = 1 << 30;
        let cases = [(3, 0, 2, 2), (-3, 0, -1, -1), (5, -1, 2, 1), (6, -1, 2, 2), (-6, -1, -2, -1), (7, 1, 7, 7)];
        for (x, shift, twice, once) in cases {
            let found = (scaled(x, half, shift), scaled_once(x, half, shift));
            assert_eq!(found, (twice, once), "{x} by half and {shift}");
        }
        assert_eq!(scaled(i32::MIN, i32::MIN, 0), i32::MAX);
        assert_eq!(scaled_wide(1 << 40, half, -10), 1 << 29);
    }

    #[test]
    fn each_index_of_the_axis_has_its_own() {
        let array = |elem, extents: &[usize], bytes: Vec<u8>| Array {
            kind: ArrayType { elem, extents: Extents::new(extents).unwrap() },
            bytes: bytes.into(),
        };
        let list = |numbers: &[i32]| -> Vec<u8> { numbers.iter().flat_map(|x| x.to_le_bytes()).collect() };
        let x = array(Elem::I32, &[1, 2, 2], list(&[10, 20, 30, 4000]));
        let factors = [&[2, -10][..], &[1 << 30, 1 << 30], &[0, 1]].map(|one| array(Elem::I32, &[2], list(one)));
        let op = Requantize { to: Elem::I8, axis: 1, once: false, left: 0, zero: -1, bounds: [-128, 127] };
        let made = evaluate(&op.into(), &[&x, &factors[0], &factors[1], &factors[2]]).unwrap();
        assert_eq!(made[0].integers(), [5, 10, 19, 127]);
    }
}
