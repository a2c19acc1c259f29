//! Numbers as bytes with a scale and a zero.
//!
//! Not the int8 activations of decoders, which are in [`crate::quantize`]. The one design choice: a quotient is held to what a byte
//! holds before it is rounded, so that its low byte is the result; what is not a number becomes the byte 0.

use crate::float::ROUND;
use crate::isa::{Isa, Kernel, LANES};

/// `out` = `x / scale`, halves to even, plus `zero`, held to what a byte holds.
pub(crate) struct Narrow<'a> {
    pub x: &'a [f32],
    pub scale: f32,
    pub zero: i8,
    /// Otherwise bytes have no sign, and neither has that of `zero`.
    pub signed: bool,
    pub out: &'a mut [u8],
}

impl<I: Isa> Kernel<I> for Narrow<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let (least, zero) = match self.signed {
            true => (-128.0, f32::from(self.zero)),
            false => (0.0, f32::from(self.zero as u8)),
        };
        let (scale, minus_one, nothing) = (isa.splat(self.scale), isa.splat(-1.0), isa.splat(0.0));
        let (least, most) = (isa.splat(least - zero), isa.splat(least + 255.0 - zero));
        let (minus_zero, zero, round) = (isa.splat(-zero), isa.splat(zero), isa.splat(ROUND));
        let ((x, tail), (out, rest)) = (self.x.as_chunks::<LANES>(), self.out.as_chunks_mut::<LANES>());
        let mut last = [0.0; LANES];
        last[..tail.len()].copy_from_slice(tail);
        for i in 0..=out.len() {
            let x = isa.div(isa.load(if i < x.len() { &x[i] } else { &last }), scale);
            let positive = isa.less(minus_one, x, isa.less(x, most, x, most), minus_zero);
            let held = isa.less(x, nothing, isa.max(x, least), positive);
            let mut bytes = [0; LANES];
            isa.store_low_bytes(isa.add(isa.add(held, round), zero), &mut bytes);
            let to = if i < out.len() { &mut out[i][..] } else { &mut rest[..] };
            for i in 0..to.len() {
                to[i] = bytes[i] as u8;
            }
        }
    }
}
