//! How each quantised format becomes panels: one file per format, one list that names them all.
//!
//! Not the arithmetic of a product, which is the same for all of them ([`crate::product::panels`]). The one design
//! choice: a format only says how one block of sixteen rows turns into integer codes and scales; vectors and matrices,
//! one column and a thousand, go through that one function. A format without a file here works through its definition.

/// Does something for 0, 1, 2 and 3, written out: a loop that stays one would keep its vectors in memory.
macro_rules! four {
    ($i:ident => $body:expr) => {{
        {
            const $i: usize = 0;
            $body
        }
        {
            const $i: usize = 1;
            $body
        }
        {
            const $i: usize = 2;
            $body
        }
        {
            const $i: usize = 3;
            $body
        }
    }};
}

mod codebook;
mod fifth_bits;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod k_scales;
mod mxfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

use crate::isa::{Panels, Tables};
use crate::product::sixteen::Sixteen;
use crate::product::turned::Turned;
use crate::product::{SliceFn, panels};
use tensor::DType;

/// All formats with kernels, in the order of their names.
pub(crate) const fn dots<P: Panels>() -> &'static [(DType, SliceFn)] {
    &const {
        [
            dot::<P, iq1_m::IQ1M>(),
            dot::<P, iq1_s::IQ1S>(),
            dot::<P, iq2_s::IQ2S>(),
            dot::<P, iq2_xs::IQ2XS>(),
            dot::<P, iq2_xxs::IQ2XXS>(),
            dot::<P, iq3_s::IQ3S>(),
            dot::<P, iq3_xxs::IQ3XXS>(),
            dot::<P, iq4_nl::IQ4NL>(),
            dot::<P, iq4_xs::IQ4XS>(),
            dot::<P, mxfp4::MXFP4>(),
            dot::<P, q2_k::Q2K>(),
            dot::<P, q3_k::Q3K>(),
            dot::<P, q4_0::Q4_0>(),
            dot::<P, q4_1::Q4_1>(),
            dot::<P, q4_k::Q4K>(),
            dot::<P, q5_0::Q5_0>(),
            dot::<P, q5_1::Q5_1>(),
            dot::<P, q5_k::Q5K>(),
            dot::<P, q6_k::Q6K>(),
            dot::<P, q8_0::Q8_0>(),
            dot::<P, tq1_0::TQ1_0>(),
            dot::<P, tq2_0::TQ2_0>(),
        ]
    }
}

const fn dot<P: Panels, D: Dot>() -> (DType, SliceFn) {
    (D::DTYPE, panels::product::<P, D>())
}

/// A format as panels see it: element `i` of a group is `scale * (code[i] - OFFSET) - min`.
pub(crate) trait Dot {
    /// The type that this is.
    const DTYPE: DType;
    /// Elements that share a scale: 16 or 32.
    const GROUP: usize;
    /// Codes are unsigned and below `2^BITS` (4 to 7), or signed bytes (8). Few bits make a product fast where it depends on
    /// them ([`Panels::BY_BITS`]); few different shapes keep the program small.
    const BITS: u32;
    /// What to take from a code.
    const OFFSET: i32;
    /// Whether groups have a minimum.
    const MIN: bool;
    /// Whether [`Dot::turned`] is there.
    #[allow(dead_code)] // not every kind of CPU asks
    const TURNED: bool = false;

    /// One block of sixteen rows.
    ///
    /// # Safety
    /// Sixteen whole blocks are readable and `out` has room for one.
    unsafe fn unpack<P: Panels>(isa: P, block: Sixteen, out: Block<P>);

    /// The same for one column, 32 elements after the other, where a codebook is looked up in registers.
    ///
    /// # Safety
    /// Sixteen whole blocks are readable, and `out` has activations for one.
    #[inline(always)]
    unsafe fn turned<P: Panels, T: Tables<P>>(_isa: P, _tables: T, _block: Sixteen, _out: &mut Turned<P>) {
        unreachable!("`TURNED` says that this format has none")
    }
}

/// Where one block of sixteen rows is unpacked to.
pub(crate) struct Block<P: Panels> {
    /// Codes of four elements each, in the order of elements.
    pub codes: *mut P::V,
    /// Scales of the groups.
    pub scale: *mut P::F,
    /// Minimums of the groups, if the format has them.
    pub min: *mut P::F,
}

impl<P: Panels> Block<P> {
    /// Stores the unsigned codes of elements `4 * i ..`.
    ///
    /// # Safety
    /// The block has that many elements.
    #[inline(always)]
    pub(crate) unsafe fn put(&self, i: usize, codes: P::V) {
        // SAFETY: the caller's.
        unsafe { *self.codes.add(i) = codes }
    }

    /// Stores the signed codes of elements `4 * i ..`.
    ///
    /// # Safety
    /// As for [`Block::put`].
    #[inline(always)]
    pub(crate) unsafe fn put_signed(&self, isa: P, i: usize, codes: P::V) {
        // SAFETY: the caller's.
        unsafe { self.put(i, isa.signed(codes)) }
    }

    /// Stores 32 codes from vector `at`, two planes of nibbles.
    ///
    /// # Safety
    /// The block has that many elements.
    #[inline(always)]
    pub(crate) unsafe fn put_nibbles(&self, isa: P, at: usize, nibbles: [P::V; 4]) {
        let mask = isa.bytes(15);
        four!(I => {
            // SAFETY: the caller's.
            unsafe {
                self.put(at + I, isa.and(nibbles[I], mask));
                self.put(at + 4 + I, isa.and(isa.shr::<4>(nibbles[I]), mask));
            }
        });
    }

    /// Stores 32 codes from vector `at`, two planes of nibbles that choose from `levels`, which are signed or not.
    ///
    /// # Safety
    /// The block has that many elements.
    #[inline(always)]
    pub(crate) unsafe fn put_levels<const SIGNED: bool>(
        &self,
        isa: P,
        at: usize,
        nibbles: [P::V; 4],
        levels: &[i8; 16],
    ) {
        let mask = isa.bytes(15);
        four!(I => {
            let low = isa.lookup(levels, isa.and(nibbles[I], mask));
            let high = isa.lookup(levels, isa.and(isa.shr::<4>(nibbles[I]), mask));
            // SAFETY: the caller's.
            unsafe {
                self.put(at + I, if SIGNED { isa.signed(low) } else { low });
                self.put(at + 4 + I, if SIGNED { isa.signed(high) } else { high });
            }
        });
    }

    /// Stores codes of two bits, sixteen bytes of the 64 in which each half lies in four planes of 32 elements.
    ///
    /// # Safety
    /// The block has 256 elements and `piece` is less than 4.
    #[inline(always)]
    pub(crate) unsafe fn put_pairs(&self, isa: P, piece: usize, mut pairs: [P::V; 4]) {
        let (half, part, mask) = (piece / 2, piece % 2, isa.bytes(3));
        four!(PLANE => four!(I => {
            // SAFETY: the caller's.
            unsafe { self.put(32 * half + 8 * PLANE + 4 * part + I, isa.and(pairs[I], mask)) };
            pairs[I] = isa.shr::<2>(pairs[I]);
        }));
    }

    /// Stores the scale of group `g`.
    ///
    /// # Safety
    /// The block has that many groups.
    #[inline(always)]
    pub(crate) unsafe fn put_scale(&self, g: usize, scale: P::F) {
        // SAFETY: the caller's.
        unsafe { *self.scale.add(g) = scale }
    }

    /// Stores the minimum of group `g`.
    ///
    /// # Safety
    /// The block has that many groups, and the format has minimums.
    #[inline(always)]
    pub(crate) unsafe fn put_min(&self, g: usize, min: P::F) {
        // SAFETY: the caller's.
        unsafe { *self.min.add(g) = min }
    }
}
