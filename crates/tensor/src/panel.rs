//! Sixteen rows of quantised blocks side by side: the same bytes in the order in which a product wants them.
//!
//! Not another format: no bit changes, and every row can be taken out again. A *panel* is sixteen rows of a matrix. In it come,
//! block by block, the words of the sixteen rows: the first four bytes of all blocks number 0, row after row, then the next
//! four, and so on. What of a block is no whole word (a scale of two bytes, most often) lies at [`BlockFormat::loose`] and
//! comes side by side in the same way. So bytes that begin at `j` in a block begin at `16 * j` in the block of a panel, and
//! who goes through a panel goes through memory in its own order. The idea is that of the panels of matrix products (Goto and
//! van de Geijn, 2008).

use crate::{BlockFormat, DType};
use std::ops::Range;

/// The order of the bytes in panels of one type.
#[derive(Clone, Copy, Debug)]
pub struct PanelOrder {
    /// Bytes of a block.
    block: usize,
    /// Which of them are no whole word.
    loose: (usize, usize),
}

impl PanelOrder {
    /// Rows of a panel.
    pub const ROWS: usize = 16;
    /// Bytes of the largest block, Q6_K's.
    pub const LARGEST_BLOCK: usize = 210;

    /// For a quantised type; `None` for others.
    pub fn of(dtype: DType) -> Option<PanelOrder> {
        let format = dtype.block().filter(|_| dtype.is_quantized())?;
        Some(PanelOrder::of_format(format))
    }

    fn of_format(format: &dyn BlockFormat) -> PanelOrder {
        let block = format.dtype().block_bytes();
        PanelOrder { block, loose: (format.loose(), format.loose() + block % 4) }
    }

    /// Bytes of a block.
    pub fn block_bytes(&self) -> usize {
        self.block
    }

    /// Which bytes of a block are no whole word; none, or some at its beginning or at its end.
    pub fn loose(&self) -> Range<usize> {
        self.loose.0..self.loose.1
    }

    /// The words of a block, which follow each other.
    pub fn words(&self) -> Range<usize> {
        if self.loose.0 == 0 { self.loose.1..self.block } else { 0..self.loose.0 }
    }

    /// Puts rows of `row_bytes` bytes, which lie one after another, side by side, panel by panel.
    ///
    /// # Panics
    /// If these are not panels of whole blocks, or `panels` is not as long.
    pub fn interleave(&self, rows: &[u8], row_bytes: usize, panels: &mut [u8]) {
        assert_eq!(rows.len(), panels.len(), "bytes of rows and of panels");
        let whole = row_bytes > 0 && row_bytes.is_multiple_of(self.block);
        assert!(whole && rows.len().is_multiple_of(Self::ROWS * row_bytes), "{row_bytes} bytes of a row");
        let panel = Self::ROWS * row_bytes;
        for (rows, panel) in rows.chunks_exact(panel).zip(panels.chunks_exact_mut(panel)) {
            // Block by block, so that what is written stays in the first cache.
            for (block, to) in panel.chunks_exact_mut(Self::ROWS * self.block).enumerate() {
                for (row, from) in rows.chunks_exact(row_bytes).enumerate() {
                    self.put(&from[block * self.block..][..self.block], row, to);
                }
            }
        }
    }

    /// Puts the block of row `row` where it belongs among the blocks of sixteen rows.
    fn put(&self, block: &[u8], row: usize, to: &mut [u8]) {
        let (words, loose) = (self.words(), self.loose());
        let words_to = to[Self::ROWS * words.start..].as_chunks_mut::<4>().0[row..].iter_mut();
        for (from, to) in block[words].as_chunks::<4>().0.iter().zip(words_to.step_by(Self::ROWS)) {
            *to = *from;
        }
        let at = Self::ROWS * loose.start + row * loose.len();
        to[at..at + loose.len()].copy_from_slice(&block[loose]);
    }

    /// The bytes of block `block` of row `row` of a panel, as they lie in a file.
    ///
    /// # Panics
    /// If the panel has no such row or block, or `out` is no block.
    pub fn block(&self, panel: &[u8], row: usize, block: usize, out: &mut [u8]) {
        assert!(row < Self::ROWS, "row {row} of a panel");
        let panel = &panel[Self::ROWS * self.block * block..][..Self::ROWS * self.block];
        let (words, loose) = (self.words(), self.loose());
        let words_from = panel[Self::ROWS * words.start..].as_chunks::<4>().0[row..].iter();
        for (to, from) in out[words].as_chunks_mut::<4>().0.iter_mut().zip(words_from.step_by(Self::ROWS)) {
            *to = *from;
        }
        let from = Self::ROWS * loose.start + row * loose.len();
        out[loose.clone()].copy_from_slice(&panel[from..from + loose.len()]);
    }

    /// Takes row `row` out of a panel.
    ///
    /// # Panics
    /// If the panel has no such row, or `out` is not a row of it.
    pub fn row(&self, panel: &[u8], row: usize, out: &mut [u8]) {
        assert_eq!(out.len(), self.row_bytes(panel.len()), "bytes of a row");
        for (i, out) in out.chunks_exact_mut(self.block).enumerate() {
            self.block(panel, row, i, out);
        }
    }

    fn row_bytes(&self, panel: usize) -> usize {
        assert!(panel.is_multiple_of(Self::ROWS * self.block), "{panel} bytes of a panel of {}", self.block);
        panel / Self::ROWS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BLOCK_FORMATS;

    #[test]
    fn rows_come_out_of_a_panel_as_they_went_in() {
        for format in BLOCK_FORMATS.iter().filter(|f| f.dtype().is_quantized()) {
            let panels = PanelOrder::of(format.dtype()).unwrap();
            let row_bytes = 3 * panels.block_bytes();
            let rows: Vec<u8> = (0..32 * row_bytes).map(|i| (i * 7 + i / 251) as u8).collect();
            let mut panel = vec![0; rows.len()];
            panels.interleave(&rows, row_bytes, &mut panel);
            assert_ne!(panel, rows, "{}", format.dtype());
            assert!(panels.block_bytes() <= PanelOrder::LARGEST_BLOCK, "{}", format.dtype());
            for (i, row) in rows.chunks_exact(row_bytes).enumerate() {
                let mut out = vec![0; row_bytes];
                panels.row(&panel[i / 16 * 16 * row_bytes..][..16 * row_bytes], i % 16, &mut out);
                assert_eq!(out, row, "{} row {i}", format.dtype());
            }
        }
    }

    #[test]
    fn bytes_of_a_block_lie_sixteen_times_as_far() {
        let panels = PanelOrder::of(DType::Q4_0).unwrap();
        let rows: Vec<u8> = (0..16 * 18).map(|i| (i / 18) as u8 * 16 + (i % 18 / 2) as u8).collect();
        let mut panel = vec![0; rows.len()];
        panels.interleave(&rows, 18, &mut panel);
        // The scale of row 3, and the word that begins with byte 6 of row 5.
        assert_eq!(panel[6..8], rows[3 * 18..3 * 18 + 2]);
        assert_eq!(panel[16 * 6 + 5 * 4..][..4], rows[5 * 18 + 6..][..4]);
    }

    #[test]
    fn floats_have_no_panels() {
        assert!(PanelOrder::of(DType::F16).is_none() && PanelOrder::of(DType::F32).is_none());
    }
}
