//! How each quantised format becomes panels: one file per format, one list that names them all.
//!
//! Not the arithmetic of a product, which is the same for all of them ([`crate::product::panels`]). The one design
//! choice: a format only says how one block of sixteen rows turns into integer codes and scales; vectors and matrices,
//! one column and a thousand, go through that one function. A format without a file here works through its definition.

mod q4_1;
mod q8_0;

use crate::isa::Panels;
use crate::product::{SliceFn, panels};
use tensor::DType;

/// All formats with kernels, in the order of their GGUF names.
pub(crate) const fn dots<P: Panels>() -> &'static [(DType, SliceFn)] {
    &[(DType::Q4_1, panels::product::<P, q4_1::Q4_1>), (DType::Q8_0, panels::product::<P, q8_0::Q8_0>)]
}

/// A format as panels see it: element `i` of a group is `scale * (code[i] - OFFSET) - min`.
pub(crate) trait Dot {
    /// The type that this is.
    const DTYPE: DType;
    /// Elements that share a scale: 16 or 32.
    const GROUP: usize;
    /// Codes are unsigned and below `2^BITS` (4 to 7), or signed bytes (8).
    const BITS: u32;
    /// What to take from a code.
    const OFFSET: i32;
    /// Whether groups have a minimum.
    const MIN: bool;

    /// One block of sixteen rows that begin `stride` bytes apart.
    ///
    /// # Safety
    /// Sixteen whole blocks are readable and `out` has room for one.
    unsafe fn unpack<P: Panels>(isa: P, rows: *const u8, stride: usize, out: Block<P>);
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
        let codes = isa.signed(codes);
        for step in 0..P::SIGNED_STEPS {
            // SAFETY: the caller's; a signed panel has SIGNED_STEPS vectors for four elements.
            unsafe { *self.codes.add(i * P::SIGNED_STEPS + step) = codes[step] }
        }
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
