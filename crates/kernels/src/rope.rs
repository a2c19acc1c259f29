//! Rotary position embedding. (J. Su et al., "RoFormer", 2021.)
//!
//! Not a place for frequencies: the caller brings cosines and sines. A pair becomes
//! `(fma(a, cos, -(b * sin)), fma(b, cos, a * sin))`.

use crate::isa::{Isa, Kernel, LANES, fused};

/// Which elements of a head form a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RopeStyle {
    /// `i` and `i + rot / 2`, as GPT-NeoX and most models on Hugging Face have it.
    Halves,
    /// `2 i` and `2 i + 1`, as the original paper and llama's GGUF files have it.
    Interleaved,
}

/// Turns the first `rot` elements of every head.
pub(crate) struct Rope<'a> {
    /// (n, heads, head_dim)
    pub x: &'a mut [f32],
    pub heads: usize,
    pub head_dim: usize,
    /// (n, rot / 2)
    pub cos: &'a [f32],
    /// (n, rot / 2)
    pub sin: &'a [f32],
    pub rot: usize,
    pub style: RopeStyle,
}

impl<I: Isa> Kernel<I> for Rope<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let half = self.rot / 2;
        let rows = self.x.chunks_exact_mut(self.heads * self.head_dim);
        for ((row, cos), sin) in rows.zip(self.cos.chunks_exact(half)).zip(self.sin.chunks_exact(half)) {
            for head in row.chunks_exact_mut(self.head_dim) {
                match self.style {
                    RopeStyle::Halves => {
                        let (a, b) = head[..self.rot].split_at_mut(half);
                        halves(isa, a, b, cos, sin);
                    }
                    RopeStyle::Interleaved => interleaved(isa, &mut head[..self.rot], cos, sin),
                }
            }
        }
    }
}

/// Pairs of `a[i]` and `b[i]`.
#[inline(always)]
fn halves<I: Isa>(isa: I, a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32]) {
    let minus = isa.splat(-1.0);
    let ((cos, cos_tail), (sin, sin_tail)) = (cos.as_chunks::<LANES>(), sin.as_chunks::<LANES>());
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks_mut::<LANES>(), b.as_chunks_mut::<LANES>());
    for i in 0..a.len() {
        let (x, y) = (isa.load(&a[i]), isa.load(&b[i]));
        let (cos, sin) = (isa.load(&cos[i]), isa.load(&sin[i]));
        isa.store(isa.fma(x, cos, isa.mul(isa.mul(y, sin), minus)), &mut a[i]);
        isa.store(isa.fma(y, cos, isa.mul(x, sin)), &mut b[i]);
    }
    for i in 0..a_tail.len() {
        (a_tail[i], b_tail[i]) = turn(a_tail[i], b_tail[i], cos_tail[i], sin_tail[i]);
    }
}

/// Pairs of neighbours.
#[inline(always)]
fn interleaved<I: Isa>(isa: I, x: &mut [f32], cos: &[f32], sin: &[f32]) {
    let mut sign = [1.0; LANES];
    sign.iter_mut().step_by(2).for_each(|sign| *sign = -1.0);
    let sign = isa.load(&sign);
    let ((cos, cos_tail), (sin, sin_tail)) = (cos.as_chunks(), sin.as_chunks());
    let (x, tail) = x.as_chunks_mut::<LANES>();
    for i in 0..x.len() {
        let both = isa.load(&x[i]);
        let (cos, sin) = (isa.load_twice(&cos[i]), isa.load_twice(&sin[i]));
        isa.store(isa.fma(both, cos, isa.mul(isa.mul(isa.swap(both), sin), sign)), &mut x[i]);
    }
    for (i, [a, b]) in tail.as_chunks_mut().0.iter_mut().enumerate() {
        (*a, *b) = turn(*a, *b, cos_tail[i], sin_tail[i]);
    }
}

/// One pair.
#[inline(always)]
fn turn(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (fused(a, cos, -(b * sin)), fused(b, cos, a * sin))
}
