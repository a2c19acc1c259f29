//! RMS norm of rows, in place. (B. Zhang, R. Sennrich, "Root Mean Square Layer Normalization", 2019.)
//!
//! Not LayerNorm. `r = 1 / sqrt(sum(x * x) / d + eps)`, the sum by sixteen chains; then `x = (x * r) * weight`.

use crate::elementwise::{Lanes, each, padded};
use crate::isa::{Isa, Kernel, LANES};

/// Rows of `weight.len()` elements.
pub(crate) struct RmsNorm<'a> {
    /// (n, d)
    pub x: &'a mut [f32],
    /// (d)
    pub weight: &'a [f32],
    pub eps: f32,
}

impl<I: Isa> Kernel<I> for RmsNorm<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let d = self.weight.len();
        for row in self.x.chunks_exact_mut(d) {
            let r = 1.0 / (dot(isa, row, row) / d as f32 + self.eps).sqrt();
            each(isa, Norm(r), row, self.weight);
        }
    }
}

/// The sum of products by sixteen chains.
#[inline(always)]
pub(crate) fn dot<I: Isa>(isa: I, a: &[f32], b: &[f32]) -> f32 {
    let ((a, a_tail), (b, b_tail)) = (a.as_chunks::<LANES>(), b.as_chunks::<LANES>());
    let mut chains = isa.splat(0.0);
    for (a, b) in a.iter().zip(b) {
        chains = isa.fma(isa.load(a), isa.load(b), chains);
    }
    if !a_tail.is_empty() {
        chains = isa.fma(isa.load(&padded(a_tail)), isa.load(&padded(b_tail)), chains);
    }
    isa.sum(chains)
}

/// `(x * r) * weight`.
#[derive(Clone, Copy)]
struct Norm(f32);

impl<I: Isa> Lanes<I> for Norm {
    #[inline(always)]
    fn of(self, isa: I, x: I::F, weight: I::F) -> I::F {
        isa.mul(isa.mul(x, isa.splat(self.0)), weight)
    }
}
