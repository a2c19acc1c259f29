//! Products the other way round: rows of a matrix, each times a number, added up.
//!
//! `out[i][c] += sum over r of h[i][r] * weight[r][c]`, in ascending order of `r`, one fused multiply-add each; rows with
//! `h[i][r] = 0` are left out, which changes no bit, since a sum that began at zero is never minus zero. What it is for: a
//! feed-forward of which only some neurons are awake, whose way back is stored by neuron. Weights become f32, exactly, a few
//! rows of some columns at a time, and stay in the nearest cache for all of `i`.

use super::{Target, Weights};
use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;
use tensor::DType;

/// Columns that are worked on at a time: whole blocks of every type.
pub(crate) const COLUMNS: usize = 256;
/// Rows that are worked on at a time.
const ROWS: usize = 16;
/// Vectors of a row of outputs that stay in registers.
const VECTORS: usize = 4;

/// What one thread does: all rows, some of the columns, whole blocks.
pub(crate) struct OuterSlice<'a> {
    pub weights: Weights<'a>,
    /// At most [`COLUMNS`].
    pub columns: Range<usize>,
    /// (n, weights.rows)
    pub h: &'a [f32],
    /// Where results are added, (n, weights.columns); nobody else writes to these columns meanwhile.
    pub target: Target,
}

impl<I: Isa> Kernel<I> for OuterSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let mut panel = [[0.0; COLUMNS]; ROWS];
        for first in (0..self.weights.rows).step_by(ROWS) {
            let rows = ROWS.min(self.weights.rows - first);
            for (r, row) in panel[..rows].iter_mut().enumerate() {
                self.unpack(isa, first + r, &mut row[..self.columns.len()]);
            }
            for (i, h) in self.h.chunks_exact(self.weights.rows).enumerate() {
                self.add(isa, i, &h[first..first + rows], &panel);
            }
        }
    }
}

impl OuterSlice<'_> {
    /// The columns of one row as f32, exactly.
    #[inline(always)]
    fn unpack<I: Isa>(&self, isa: I, row: usize, out: &mut [f32]) {
        let Weights { dtype, bytes, columns, .. } = self.weights;
        let bytes_of = |elements: usize| elements / dtype.block_elements() * dtype.block_bytes();
        let at = row * bytes_of(columns) + bytes_of(self.columns.start);
        let bytes = &bytes[at..at + bytes_of(self.columns.len())];
        match dtype {
            DType::F32 => {
                for (out, bytes) in out.iter_mut().zip(bytes.as_chunks().0) {
                    *out = f32::from_le_bytes(*bytes);
                }
            }
            DType::F16 => floats::<I, 32>(out, bytes, |bytes| isa.load_f16(bytes), isa),
            DType::BF16 => floats::<I, 32>(out, bytes, |bytes| isa.load_bf16(bytes), isa),
            DType::Q8_0 => {
                for (block, out) in bytes.as_chunks::<34>().0.iter().zip(out.as_chunks_mut::<32>().0) {
                    let mut q = [0; 32];
                    q.copy_from_slice(&block[2..]);
                    scaled(isa, f16(block[0], block[1]), &q, out);
                }
            }
            DType::Q4_0 => {
                for (block, out) in bytes.as_chunks::<18>().0.iter().zip(out.as_chunks_mut::<32>().0) {
                    let mut q = [0; 32];
                    for i in 0..16 {
                        (q[i], q[i + 16]) =
                            ((block[i + 2] & 15).wrapping_sub(8), (block[i + 2] >> 4).wrapping_sub(8));
                    }
                    scaled(isa, f16(block[0], block[1]), &q, out);
                }
            }
            other => {
                let Some(format) = other.block() else { unreachable!("the caller let {other} through") };
                let blocks = bytes.chunks_exact(other.block_bytes());
                let outs = out.chunks_exact_mut(other.block_elements());
                blocks.zip(outs).for_each(|(block, out)| format.dequantize(block, out));
            }
        }
    }

    /// Adds what the rows of a panel give to output `i`.
    #[inline(always)]
    fn add<I: Isa>(&self, isa: I, i: usize, h: &[f32], panel: &[[f32; COLUMNS]; ROWS]) {
        let (mut rows, mut len) = ([0; ROWS], 0);
        for (r, _) in h.iter().enumerate().filter(|(_, h)| **h != 0.0) {
            rows[len] = r;
            len += 1;
        }
        if len == 0 {
            return;
        }
        // SAFETY: these columns belong to this slice.
        let out =
            unsafe { self.target.slice(i * self.weights.columns + self.columns.start, self.columns.len()) };
        let (vectors, tail) = out.as_chunks_mut::<LANES>();
        let whole = vectors.len() / VECTORS * VECTORS;
        for (at, out) in vectors[..whole].chunks_exact_mut(VECTORS).enumerate() {
            let mut sums: [I::F; VECTORS] = std::array::from_fn(|v| isa.load(&out[v]));
            for &r in &rows[..len] {
                let factor = isa.splat(h[r]);
                let row = &panel[r].as_chunks::<LANES>().0[at * VECTORS..][..VECTORS];
                for v in 0..VECTORS {
                    sums[v] = isa.fma(isa.load(&row[v]), factor, sums[v]);
                }
            }
            (0..VECTORS).for_each(|v| isa.store(sums[v], &mut out[v]));
        }
        for (at, out) in vectors.iter_mut().enumerate().skip(whole) {
            let add = |sum, &r: &usize| isa.fma(isa.load(&panel[r].as_chunks().0[at]), isa.splat(h[r]), sum);
            let sum = rows[..len].iter().fold(isa.load(out), add);
            isa.store(sum, out);
        }
        let from = vectors.len() * LANES;
        for (at, out) in tail.iter_mut().enumerate() {
            *out = rows[..len].iter().fold(*out, |sum, &r| crate::isa::fused(panel[r][from + at], h[r], sum));
        }
    }
}

/// Vectors of sixteen floats of `BYTES` bytes together; the last may be shorter.
#[inline(always)]
fn floats<I: Isa, const BYTES: usize>(
    out: &mut [f32],
    bytes: &[u8],
    load: impl Fn(&[u8; BYTES]) -> I::F,
    isa: I,
) {
    for (out, bytes) in out.chunks_mut(LANES).zip(bytes.chunks(BYTES)) {
        let (mut padded, mut floats) = ([0; BYTES], [0.0; LANES]);
        padded[..bytes.len()].copy_from_slice(bytes);
        isa.store(load(&padded), &mut floats);
        out.copy_from_slice(&floats[..out.len()]);
    }
}

/// Thirty-two codes times their scale.
#[inline(always)]
fn scaled<I: Isa>(isa: I, scale: f32, q: &[u8; 32], out: &mut [f32; 32]) {
    let (codes, out) = (q.as_chunks().0, out.as_chunks_mut().0);
    for (codes, out) in codes.iter().zip(out) {
        isa.store(isa.mul(isa.load_i8(codes), isa.splat(scale)), out);
    }
}

#[inline(always)]
fn f16(low: u8, high: u8) -> f32 {
    half::f16::from_le_bytes([low, high]).to_f32()
}
