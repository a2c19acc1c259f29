//! One block of each of the sixteen rows of a panel, side by side, and how rows of a file come to lie like that.
//!
//! Not the order itself, which is [`tensor::PanelOrder`]'s. Formats read weights in this order only ([`crate::dot`]): weights
//! that lie as in a file pass through scratch, a chunk of a row at a time.

use super::panels::CHUNK;
use crate::isa::{self, Kernel, LANES, Panels};
use tensor::PanelOrder;

/// Bytes that a chunk of sixteen rows takes, at most: Q8_0's.
pub(super) const CHUNK_BYTES: usize = LANES * (CHUNK / 32 * 34);

/// One block of sixteen rows, side by side: bytes from `at` on of each of them.
#[derive(Clone, Copy)]
pub(crate) struct Sixteen(*const u8);

impl Sixteen {
    /// The blocks that begin at `at`.
    #[inline(always)]
    pub fn new(at: *const u8) -> Sixteen {
        Sixteen(at)
    }

    /// A word of each.
    ///
    /// # Safety
    /// Blocks have words there.
    #[inline(always)]
    pub unsafe fn word<P: Panels>(self, _: P, at: usize) -> P::V {
        const { assert!(size_of::<P::V>() == 4 * LANES) }
        // SAFETY: the caller's; any bits are sixteen words.
        unsafe { self.0.add(LANES * at).cast::<P::V>().read_unaligned() }
    }

    /// Two words of each.
    ///
    /// # Safety
    /// As for [`Sixteen::word`].
    #[inline(always)]
    pub unsafe fn two<P: Panels>(self, isa: P, at: usize) -> [P::V; 2] {
        // SAFETY: the caller's.
        unsafe { [self.word(isa, at), self.word(isa, at + 4)] }
    }

    /// Four words of each.
    ///
    /// # Safety
    /// As for [`Sixteen::word`].
    #[inline(always)]
    pub unsafe fn four<P: Panels>(self, isa: P, at: usize) -> [P::V; 4] {
        // SAFETY: the caller's.
        unsafe {
            [self.word(isa, at), self.word(isa, at + 4), self.word(isa, at + 8), self.word(isa, at + 12)]
        }
    }

    /// The f16 of each that is no word.
    ///
    /// # Safety
    /// Blocks have it there.
    #[inline(always)]
    pub unsafe fn half<P: Panels>(self, isa: P, at: usize) -> P::F {
        // SAFETY: the caller's.
        isa.load_f16(unsafe { &*self.0.add(LANES * at).cast() })
    }

    /// The byte of each that is no word, in a lane.
    ///
    /// # Safety
    /// Blocks have it there.
    #[inline(always)]
    pub unsafe fn byte<P: Panels>(self, isa: P, at: usize) -> P::V {
        // SAFETY: the caller's.
        isa.widen(unsafe { &*self.0.add(LANES * at).cast() })
    }
}

/// Whole panels: see [`crate::KernelSet::interleave`].
pub(crate) fn interleave<P: Panels>(order: PanelOrder, rows: &[u8], row_bytes: usize, panels: &mut [u8]) {
    let (panel, blocks) = (LANES * row_bytes, row_bytes / order.block_bytes());
    assert!(row_bytes == blocks * order.block_bytes() && rows.len() == panels.len(), "rows of whole blocks");
    assert!(blocks > 0 && rows.len().is_multiple_of(panel), "{} bytes of panels of {panel}", rows.len());
    for (rows, to) in rows.chunks_exact(panel).zip(panels.chunks_exact_mut(panel)) {
        let (rows, to) = (rows.as_ptr(), to.as_mut_ptr());
        isa::run::<P, _>(Interleave { order, rows, stride: row_bytes, blocks, to });
    }
}

/// Brings some blocks of sixteen rows of a file side by side.
pub(super) struct Interleave {
    pub order: PanelOrder,
    /// The first block of the first row; the next row begins `stride` bytes on.
    pub rows: *const u8,
    pub stride: usize,
    /// How many blocks of a row.
    pub blocks: usize,
    /// Room for sixteen times as many.
    pub to: *mut u8,
}

impl<P: Panels> Kernel<P> for Interleave {
    #[inline(always)]
    fn run(self, isa: P) {
        let Interleave { order, rows, stride, blocks, to } = self;
        let (words, loose, bytes) = (order.words(), order.loose(), order.block_bytes());
        // SAFETY: whoever has such a value has these rows, and the room alone.
        unsafe {
            for block in 0..blocks {
                let (from, to) = (rows.add(block * bytes), to.add(LANES * block * bytes));
                let mut at = words.start;
                while at + 16 <= words.end {
                    let side = isa.rows16(from.add(at), stride);
                    for i in 0..4 {
                        to.add(LANES * (at + 4 * i)).cast::<P::V>().write_unaligned(side[i]);
                    }
                    at += 16;
                }
                while at < words.end {
                    let side = isa.rows4(from.add(at), stride);
                    to.add(LANES * at).cast::<P::V>().write_unaligned(side);
                    at += 4;
                }
                let (from, to) = (from.add(loose.start), to.add(LANES * loose.start));
                if loose.len() == 2 {
                    for row in 0..LANES {
                        let half = from.add(row * stride).cast::<u16>().read_unaligned();
                        to.cast::<u16>().add(row).write_unaligned(half);
                    }
                } else if loose.len() == 1 {
                    for row in 0..LANES {
                        *to.add(row) = *from.add(row * stride);
                    }
                }
            }
        }
    }
}
