//! Rotary position embedding. (J. Su et al., "RoFormer", 2021.)
//!
//! Not a place for frequencies: the caller brings cosines and sines. A pair becomes
//! `(fma(a, cos, -(b * sin)), fma(b, cos, a * sin))`.

use crate::isa::{Isa, Kernel};

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
    fn run(self, _: I) {
        let half = self.rot / 2;
        let rows = self.x.chunks_exact_mut(self.heads * self.head_dim);
        for ((row, cos), sin) in rows.zip(self.cos.chunks_exact(half)).zip(self.sin.chunks_exact(half)) {
            for head in row.chunks_exact_mut(self.head_dim) {
                let turning = &mut head[..self.rot];
                match self.style {
                    RopeStyle::Halves => {
                        let (a, b) = turning.split_at_mut(half);
                        for (((a, b), cos), sin) in a.iter_mut().zip(b).zip(cos).zip(sin) {
                            (*a, *b) = turn(*a, *b, *cos, *sin);
                        }
                    }
                    RopeStyle::Interleaved => {
                        for (([a, b], cos), sin) in turning.as_chunks_mut().0.iter_mut().zip(cos).zip(sin) {
                            (*a, *b) = turn(*a, *b, *cos, *sin);
                        }
                    }
                }
            }
        }
    }
}

#[inline(always)]
fn turn(a: f32, b: f32, cos: f32, sin: f32) -> (f32, f32) {
    (a.mul_add(cos, -(b * sin)), b.mul_add(cos, a * sin))
}
