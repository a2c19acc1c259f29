//! Sums of whole numbers as bytes: times a fraction in fixed point.
//!
//! Not a definition, which is `graph`'s `Requantize`. The one design choice: a loop over numbers of 64 bits so plain that the
//! compiler makes vectors of it.

use crate::isa::{Isa, Kernel};

/// `(x + offset) * multiplier * 2^(shift - 31)`, rounded, plus `zero`, held between bounds.
#[derive(Clone, Copy, Debug)]
pub struct Fixed {
    /// What is added before.
    pub offset: i32,
    /// 31 bits of the fraction.
    pub multiplier: i32,
    /// Its power of two.
    pub shift: i32,
    /// Whether it is rounded once, halves up; else after the product, halves away from zero, and after the shift, halves away from zero.
    pub once: bool,
    /// What is added behind.
    pub zero: i32,
    /// The least and the most that comes out.
    pub bounds: [i32; 2],
}

/// Sums, whole numbers whatever holds them.
#[derive(Clone, Copy)]
pub enum Sums<'a> {
    /// In floats, each below 2^24.
    Floats(&'a [f32]),
    /// As such.
    Whole(&'a [i32]),
}

/// `out` = the low bytes of what `fixed` makes of sums.
pub(crate) struct FixedSlice<'a> {
    pub fixed: Fixed,
    pub sums: Sums<'a>,
    pub out: &'a mut [u8],
}

impl<I: Isa> Kernel<I> for FixedSlice<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        let (fixed, out) = (self.fixed, self.out);
        match self.sums {
            Sums::Floats(x) => {
                for i in 0..x.len().min(out.len()) {
                    out[i] = fixed.of(x[i] as i32);
                }
            }
            Sums::Whole(x) => {
                for i in 0..x.len().min(out.len()) {
                    out[i] = fixed.of(x[i]);
                }
            }
        }
    }
}

impl Fixed {
    #[inline(always)]
    fn of(&self, x: i32) -> u8 {
        let moved = x.wrapping_add(self.offset);
        let scaled = if self.once {
            let right = 31 - self.shift.clamp(-31, 30);
            (moved as i64 * self.multiplier as i64 + (1i64 << (right - 1))) >> right
        } else {
            let (left, right) = (self.shift.clamp(0, 31) as u32, (-self.shift).clamp(0, 31) as u32);
            let product = (moved << left) as i64 * self.multiplier as i64;
            // A number of 64 bits over 2^31, to the nearest; what is left of it goes towards zero.
            let nudged = product + (1 << 30) + ((product >> 63) & (1 - (1i64 << 31)));
            let high = (nudged + ((nudged >> 63) & ((1i64 << 31) - 1))) >> 31;
            let high = if high > i32::MAX as i64 { i32::MAX as i64 } else { high };
            let mask = (1i64 << right) - 1;
            let more = ((high & mask) > (mask >> 1) + ((high >> 63) & 1)) as i64;
            (high >> right) + more
        };
        let made = (scaled as i32 as i64) + self.zero as i64;
        let [least, most] = [self.bounds[0] as i64, self.bounds[1] as i64];
        let made = if made < least { least } else { made };
        (if made > most { most } else { made }) as u8
    }
}
