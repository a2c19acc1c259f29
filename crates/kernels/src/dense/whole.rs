//! Products of matrices of bytes, signed or not, less what counts as zero in them; the sums are exact.
//!
//! What counts as zero is taken out by sums of rows and of columns, so bytes are multiplied as they lie. The one design choice:
//! the left matrix is never changed. A panel of the right one is laid out as what an instruction set multiplies those bytes by:
//! four neighbours of the common extent to a lane, moved by 128 where the signs must differ or agree, or two of them as 16 bits.
//! Sums wrap around at 32 bits, as the definition's do.

use super::{ROWS, Scratch, WIDTH, parts};
use crate::isa::{Isa, Kernel, LANES, Words};
use std::ops::Range;

/// Elements of the common extent that are worked on at a time.
const DEPTH: usize = 768;
/// Bytes of a panel, at most: four vectors of bytes, or one of 16 bits.
const PANEL: usize = DEPTH * WIDTH;
/// Words of a row of the left matrix where it is copied.
const LEFT: usize = DEPTH / 2;

const _: () = assert!(PANEL >= 2 * DEPTH * LANES && PANEL + 4 * ROWS * LEFT <= size_of::<Scratch>());

/// Sixteen numbers.
type Numbers = [i32; LANES];
/// A word for each of sixteen columns.
type Word = [u32; LANES];

/// A matrix of bytes.
#[derive(Clone, Copy)]
pub struct Bytes<'a> {
    /// Row-major.
    pub bytes: &'a [u8],
    /// Whether they are signed.
    pub signed: bool,
    /// What counts as zero: one number, or one for each row of a left and each column of a right matrix.
    pub zeros: &'a [u8],
}

impl Bytes<'_> {
    #[inline(always)]
    fn number(&self, byte: u8) -> i32 {
        if self.signed { i32::from(byte as i8) } else { i32::from(byte) }
    }

    #[inline(always)]
    pub(super) fn zero(&self, place: usize) -> i32 {
        self.number(self.zeros[if self.zeros.len() == 1 { 0 } else { place }])
    }
}

/// What sums stand for: times a scale, plus a bias, each rounded.
#[derive(Clone, Copy)]
pub struct Meaning<'a> {
    /// One number, or one for each column.
    pub scale: &'a [f32],
    /// One for each column, or none.
    pub bias: &'a [f32],
}

/// A product: (rows, columns) = `a` (rows, common) times `b` (common, columns).
#[derive(Clone, Copy)]
pub struct Whole<'a> {
    /// (rows, common)
    pub a: Bytes<'a>,
    /// (common, columns)
    pub b: Bytes<'a>,
    /// Rows of the result.
    pub rows: usize,
    /// What is multiplied and added up.
    pub common: usize,
    /// Columns of the result.
    pub columns: usize,
    /// What sums stand for; then the bits of floats come out.
    pub meaning: Option<Meaning<'a>>,
}

impl Whole<'_> {
    /// Checks that everything is as large as it must be.
    pub(crate) fn check(&self) {
        let Whole { a, b, rows, common, columns, meaning } = *self;
        assert!(
            a.bytes.len() == rows * common && b.bytes.len() == common * columns,
            "bytes of both matrices"
        );
        assert!([1, rows].contains(&a.zeros.len()) && [1, columns].contains(&b.zeros.len()), "zeros of both");
        if let Some(Meaning { scale, bias }) = meaning {
            assert!([1, columns].contains(&scale.len()) && [0, columns].contains(&bias.len()), "factors");
        }
    }
}

/// What one thread does: some rows and some columns.
pub(crate) struct WholeSlice<'a> {
    pub product: &'a Whole<'a>,
    pub rows: Range<usize>,
    pub columns: Range<usize>,
    /// (product.rows, product.columns); nobody else writes to the rows and columns of this slice.
    pub out: *mut i32,
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

impl<I: Isa> Kernel<I> for WholeSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        if I::CHAINS >= super::MANY {
            self.panels::<I, 4>(isa);
        } else {
            self.panels::<I, 1>(isa);
        }
    }
}

/// `V` vectors of columns.
struct Panel<const V: usize> {
    columns: Range<usize>,
    /// What is taken off the sum of each column for what counts as zero on the left.
    of_left: [Numbers; V],
    /// What is taken off for each one in the sum of a row: what counts as zero on the right.
    of_right: [Numbers; V],
    /// Whether that is other than nothing.
    any: bool,
    /// Whether the result is what sums stand for: times a scale.
    meant: bool,
    scale: [[f32; LANES]; V],
    /// Whether there is a bias.
    moves: bool,
    bias: [[f32; LANES]; V],
}

impl WholeSlice<'_> {
    #[inline(always)]
    fn panels<I: Isa, const V: usize>(&self, isa: I) {
        let Whole { a, b, common, .. } = *self.product;
        let moved = match I::WORDS {
            Words::Pairs => 0,
            words if (a.signed == b.signed) == (words == Words::SameSign) => 0,
            _ if b.signed => 128,
            _ => -128,
        };
        let deep = common.div_ceil(common.div_ceil(DEPTH)).next_multiple_of(4);
        for columns in parts(&self.columns, V * LANES) {
            let mut panel = self.panel::<V>(columns);
            for i in 0..panel.columns.len() {
                let zero = b.zero(panel.columns.start + i) + moved;
                panel.of_right[i / LANES][i % LANES] = zero;
                // The sum of all differences on the right is that of the numbers without this.
                panel.of_left[i / LANES][i % LANES] = (common as i32).wrapping_mul(-zero);
                panel.any |= zero != 0;
            }
            for part in parts(&(0..common), deep) {
                self.lay_out::<I, V>(&mut panel, &part, moved);
                let mut row = self.rows.start;
                while row < self.rows.end {
                    row += match self.rows.end - row {
                        ROWS.. => self.tile::<I, ROWS, V>(isa, &panel, &part, row),
                        4.. => self.tile::<I, 4, V>(isa, &panel, &part, row),
                        2.. => self.tile::<I, 2, V>(isa, &panel, &part, row),
                        _ => self.tile::<I, 1, V>(isa, &panel, &part, row),
                    };
                }
            }
        }
    }

    /// What there is for some columns besides the right matrix.
    #[inline(always)]
    fn panel<const V: usize>(&self, columns: Range<usize>) -> Panel<V> {
        let meant = self.product.meaning.is_some();
        let nothing = Meaning { scale: &[1.0], bias: &[] };
        let Meaning { scale, bias } = self.product.meaning.unwrap_or(nothing);
        let (mut scales, mut biases) = ([[scale[0]; LANES]; V], [[0.0; LANES]; V]);
        if scale.len() > 1 {
            scales.as_flattened_mut()[..columns.len()].copy_from_slice(&scale[columns.clone()]);
        }
        if !bias.is_empty() {
            biases.as_flattened_mut()[..columns.len()].copy_from_slice(&bias[columns.clone()]);
        }
        let (of_left, of_right) = ([[0; LANES]; V], [[0; LANES]; V]);
        let (moves, any) = (!bias.is_empty(), false);
        Panel { columns, of_left, of_right, any, meant, scale: scales, moves, bias: biases }
    }

    /// Words of a panel, all that there is room for.
    #[inline(always)]
    fn words(&self) -> *mut Word {
        self.scratch.cast()
    }

    /// Lays out some of the right matrix as words, and adds up its columns.
    #[inline(always)]
    fn lay_out<I: Isa, const V: usize>(&self, panel: &mut Panel<V>, part: &Range<usize>, moved: i32) {
        let Whole { b, columns: all, .. } = *self.product;
        let Range { start: column, .. } = panel.columns;
        let columns = panel.columns.len();
        let flip = if moved == 0 { 0 } else { 0x80 };
        let signed = b.signed != (moved != 0);
        let each = I::WORDS.elements();
        let mut copies = [[[flip; LANES]; V]; 4];
        let (mut start, mut step) = (part.start, 0);
        while start < part.end {
            let mut rows: [*const [u8; LANES]; 4] = [copies[0].as_ptr(); 4];
            for k in 0..each {
                if start + k >= part.end {
                    // Nothing is there.
                    copies[k] = [[flip; LANES]; V];
                    rows[k] = copies[k].as_ptr();
                    continue;
                }
                let row = &b.bytes[(start + k) * all + column..][..columns];
                rows[k] = row.as_ptr().cast();
                if columns < V * LANES {
                    copies[k].as_flattened_mut()[..columns].copy_from_slice(row);
                    rows[k] = copies[k].as_ptr();
                }
            }
            for v in 0..V {
                // SAFETY: the rows have `V` vectors of bytes, and the scratch of this thread as many words for each step.
                let (rows, to) = unsafe {
                    let four = [&*rows[0].add(v), &*rows[1].add(v), &*rows[2].add(v), &*rows[3].add(v)];
                    (four, &mut *self.words().add(step * V + v))
                };
                let sums = &mut panel.of_left[v];
                match (each, signed) {
                    (2, true) => pairs::<true>(rows, to, sums),
                    (2, false) => pairs::<false>(rows, to, sums),
                    (_, true) => fours::<true>(rows, flip, to, sums),
                    (_, false) => fours::<false>(rows, flip, to, sums),
                }
            }
            (start, step) = (start + each, step + 1);
        }
    }

    /// Where words of each of the rows from `row` on begin: in the matrix, or in a copy behind the panel.
    #[inline(always)]
    fn left<I: Isa, const R: usize>(&self, row: usize, part: &Range<usize>) -> [*const u32; R] {
        let Whole { a, common, .. } = *self.product;
        let mut left = [std::ptr::null(); R];
        for r in 0..R {
            let bytes = &a.bytes[(row + r) * common..][part.clone()];
            left[r] = bytes.as_ptr().cast();
            if I::WORDS == Words::Pairs || !bytes.len().is_multiple_of(4) {
                // SAFETY: the scratch of this thread has room for these words behind those of a panel.
                let copy = unsafe {
                    let start = self.scratch.cast::<u32>().add(PANEL / 4 + r * LEFT);
                    std::slice::from_raw_parts_mut(start, LEFT)
                };
                match (I::WORDS, a.signed) {
                    (Words::Pairs, true) => widen::<true>(bytes, copy),
                    (Words::Pairs, false) => widen::<false>(bytes, copy),
                    _ => fill(bytes, copy),
                }
                left[r] = copy.as_ptr();
            }
        }
        left
    }

    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        &self,
        isa: I,
        panel: &Panel<V>,
        part: &Range<usize>,
        row: usize,
    ) -> usize {
        let Whole { a, common, columns, .. } = *self.product;
        let steps = part.len().div_ceil(I::WORDS.elements());
        let left = self.left::<I, R>(row, part);
        // SAFETY: both sides have as many words.
        let sums = unsafe {
            match a.signed {
                true => multiply::<I, true, R, V>(isa, left, self.words(), steps),
                false => multiply::<I, false, R, V>(isa, left, self.words(), steps),
            }
        };
        let last = part.end == common;
        for r in 0..R {
            let bytes = &a.bytes[(row + r) * common..][part.clone()];
            let zero = if last { a.zero(row + r) } else { 0 };
            let of_row = if panel.any { total(bytes, a.signed) } else { 0 };
            for v in 0..V {
                let column = panel.columns.start + v * LANES;
                let count = panel.columns.end.saturating_sub(column).min(LANES);
                // SAFETY: rows and columns of the result belong to this slice.
                let out = unsafe {
                    std::slice::from_raw_parts_mut(self.out.wrapping_add((row + r) * columns + column), count)
                };
                let mut sums = sums[r][v];
                for i in 0..LANES {
                    let off = zero.wrapping_mul(panel.of_left[v][i]);
                    let more = of_row.wrapping_mul(panel.of_right[v][i]);
                    sums[i] = sums[i].wrapping_sub(off.wrapping_add(more));
                }
                if part.start > 0 {
                    for i in 0..count {
                        sums[i] = sums[i].wrapping_add(out[i]);
                    }
                }
                if last && panel.meant {
                    meaning(&mut sums, &panel.scale[v], panel.moves.then_some(&panel.bias[v]));
                }
                if let Some(out) = out.first_chunk_mut::<LANES>() {
                    *out = sums;
                } else {
                    out.copy_from_slice(&sums[..count]);
                }
            }
        }
        R
    }
}

/// What sums stand for, as bits.
#[inline(always)]
fn meaning(sums: &mut Numbers, scale: &[f32; LANES], bias: Option<&[f32; LANES]>) {
    if let Some(bias) = bias {
        for i in 0..LANES {
            sums[i] = (sums[i] as f32 * scale[i] + bias[i]).to_bits() as i32;
        }
    } else {
        for i in 0..LANES {
            sums[i] = (sums[i] as f32 * scale[i]).to_bits() as i32;
        }
    }
}

/// A byte as a number.
#[inline(always)]
fn number<const SIGNED: bool>(byte: u8) -> i32 {
    if SIGNED { byte as i8 as i32 } else { byte as i32 }
}

/// The sum of bytes.
#[inline(always)]
fn total(bytes: &[u8], signed: bool) -> i32 {
    let mut sum = 0;
    if signed {
        for byte in bytes {
            sum += number::<true>(*byte);
        }
    } else {
        for byte in bytes {
            sum += number::<false>(*byte);
        }
    }
    sum
}

/// Four rows of sixteen bytes, their highest bits flipped or not, as words of four, and added to sums.
#[inline(always)]
fn fours<const SIGNED: bool>(rows: [&[u8; LANES]; 4], flip: u8, to: &mut Word, sums: &mut Numbers) {
    for i in 0..LANES {
        let (a, b, c, d) = (rows[0][i] ^ flip, rows[1][i] ^ flip, rows[2][i] ^ flip, rows[3][i] ^ flip);
        to[i] = a as u32 | (b as u32) << 8 | (c as u32) << 16 | (d as u32) << 24;
        let sum = number::<SIGNED>(a) + number::<SIGNED>(b) + number::<SIGNED>(c) + number::<SIGNED>(d);
        sums[i] = sums[i].wrapping_add(sum);
    }
}

/// Two rows of sixteen bytes as words of two times 16 bits, and added to sums.
#[inline(always)]
fn pairs<const SIGNED: bool>(rows: [&[u8; LANES]; 4], to: &mut Word, sums: &mut Numbers) {
    for i in 0..LANES {
        let (x, y) = (number::<SIGNED>(rows[0][i]), number::<SIGNED>(rows[1][i]));
        to[i] = (x & 0xffff | y << 16) as u32;
        sums[i] = sums[i].wrapping_add(x + y);
    }
}

/// Bytes as words of two times 16 bits; zeros fill up the last.
#[inline(always)]
fn widen<const SIGNED: bool>(bytes: &[u8], to: &mut [u32]) {
    let (whole, rest) = bytes.as_chunks::<2>();
    for (i, two) in whole.iter().enumerate() {
        to[i] = (number::<SIGNED>(two[0]) & 0xffff | number::<SIGNED>(two[1]) << 16) as u32;
    }
    if let [last] = rest {
        to[whole.len()] = (number::<SIGNED>(*last) & 0xffff) as u32;
    }
}

/// Bytes as words of four; zeros fill up the last.
#[inline(always)]
fn fill(bytes: &[u8], to: &mut [u32]) {
    let (whole, rest) = bytes.as_chunks::<4>();
    for (i, four) in whole.iter().enumerate() {
        to[i] = u32::from_le_bytes(*four);
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    to[whole.len()] = u32::from_le_bytes(last);
}

/// Sums of `steps` words of `R` rows times as many of `V` vectors.
///
/// # Safety
/// There are so many words from each of `left` on, at any address, and `V` times as many vectors from `right` on.
#[inline(always)]
unsafe fn multiply<I: Isa, const SIGNED: bool, const R: usize, const V: usize>(
    isa: I,
    left: [*const u32; R],
    right: *const Word,
    steps: usize,
) -> [[Numbers; V]; R] {
    let zero = isa.whole(&[0; LANES]);
    let mut sums = [[zero; V]; R];
    for step in 0..steps {
        let mut vectors = [zero; V];
        for v in 0..V {
            // SAFETY: the caller's.
            vectors[v] = isa.whole(unsafe { &*right.add(step * V + v) });
        }
        for r in 0..R {
            // SAFETY: the caller's.
            let word = unsafe { left[r].add(step).read_unaligned() };
            for v in 0..V {
                sums[r][v] = isa.add_products::<SIGNED>(sums[r][v], vectors[v], word);
            }
        }
    }
    let mut all = [[[0; LANES]; V]; R];
    for r in 0..R {
        for v in 0..V {
            all[r][v] = isa.numbers(sums[r][v]);
        }
    }
    all
}
