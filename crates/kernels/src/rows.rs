//! Rows of an array, each by itself: softmax, norms (arXiv 1607.06450, 1910.07467), and one number instead of all.
//!
//! Not the norm of decoders, which is in [`crate::norm`]. The one design choice: a sum over a row is sixty-four chains of every
//! sixty-fourth element, four vectors of sixteen that are added up as a tree: four additions are in flight at a time, and long
//! rows lose few bits.

use crate::elementwise::{Lanes, each_alone};
use crate::float::exp;
use crate::isa::{Isa, Kernel, LANES, first_lanes};
use crate::map::{Join, JoinKind};

/// Vectors of sums side by side.
const SIDE: usize = 4;

/// What becomes of a row.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum RowKind<'a> {
    /// A function of each element and a number beside it.
    Join {
        /// The function.
        kind: JoinKind,
        /// The numbers.
        factor: Factor<'a>,
    },
    /// Exponentials by their sum.
    Softmax,
    /// Less its mean, by the root of its variance; then times a factor and plus a number.
    Norm {
        /// Added to the variance.
        epsilon: f32,
        /// Whether the mean is taken away; the variance is the mean square otherwise.
        centers: bool,
        /// The factor, if there is one.
        scale: Option<Factor<'a>>,
        /// The number that is added, if there is one.
        bias: Option<Factor<'a>>,
    },
}

/// Numbers beside the elements of rows.
#[derive(Clone, Copy, Debug)]
pub enum Factor<'a> {
    /// One for each element of a row.
    Each(&'a [f32]),
    /// One for each row; after the last it begins again.
    Row(&'a [f32]),
}

impl<'a> Factor<'a> {
    /// The numbers beside a row, or the only one.
    #[inline(always)]
    fn of(self, row: usize) -> &'a [f32] {
        match self {
            Factor::Each(numbers) => numbers,
            Factor::Row(numbers) => {
                let place = row % numbers.len();
                &numbers[place..place + 1]
            }
        }
    }
}

/// What one number is instead of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum TotalKind {
    Max,
    Min,
    Sum,
    SumAbsolute,
    SumSquare,
}

/// Rows of `len` elements, the first of them number `first`.
pub(crate) struct Rows<'a> {
    pub kind: RowKind<'a>,
    pub x: &'a mut [f32],
    pub len: usize,
    pub first: usize,
}

/// Totals of rows of `len` elements.
pub(crate) struct Totals<'a> {
    pub kind: TotalKind,
    /// (out.len(), len)
    pub x: &'a [f32],
    pub len: usize,
    pub out: &'a mut [f32],
}

impl<I: Isa> Kernel<I> for Rows<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        for (row, x) in (self.first..).zip(self.x.chunks_exact_mut(self.len)) {
            match self.kind {
                RowKind::Join { kind, factor } => Join { kind, a: x, b: factor.of(row) }.run(isa),
                RowKind::Softmax => softmax(isa, x),
                RowKind::Norm { epsilon, centers, scale, bias } => {
                    norm(isa, x, epsilon, centers);
                    let factors = [(JoinKind::Mul, scale), (JoinKind::Add, bias)];
                    for (kind, factor) in factors {
                        if let Some(factor) = factor {
                            Join { kind, a: x, b: factor.of(row) }.run(isa);
                        }
                    }
                }
            }
        }
    }
}

impl<I: Isa> Kernel<I> for Totals<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        for (x, out) in self.x.chunks_exact(self.len).zip(self.out) {
            *out = match self.kind {
                TotalKind::Max => most(isa, x, |_, x| x),
                TotalKind::Min => -most(isa, x, |isa: I, x| isa.mul(x, isa.splat(-1.0))),
                TotalKind::Sum => sum(isa, x, |isa: I, x, sum| isa.add(x, sum)),
                TotalKind::SumAbsolute => {
                    sum(isa, x, |isa: I, x, sum| isa.add(isa.max(x, isa.mul(x, isa.splat(-1.0))), sum))
                }
                TotalKind::SumSquare => sum(isa, x, |isa: I, x, sum| isa.fma(x, x, sum)),
            };
        }
    }
}

#[inline(always)]
fn softmax<I: Isa>(isa: I, x: &mut [f32]) {
    let most = most(isa, x, |_, x| x);
    each_alone(isa, Raised(most), x);
    let factor = 1.0 / sum(isa, x, |isa: I, x, sum| isa.add(x, sum));
    each_alone(isa, Times(factor), x);
}

#[inline(always)]
fn norm<I: Isa>(isa: I, x: &mut [f32], epsilon: f32, centers: bool) {
    let len = x.len() as f32;
    if centers {
        let mean = sum(isa, x, |isa: I, x, sum| isa.add(x, sum)) / len;
        each_alone(isa, Plus(-mean), x);
    }
    let squares = sum(isa, x, |isa: I, x, sum| isa.fma(x, x, sum));
    each_alone(isa, Times(1.0 / (squares / len + epsilon).sqrt()), x);
}

/// The sum of what `f` adds for each element; `f` adds nothing for a zero.
#[inline(always)]
fn sum<I: Isa>(isa: I, x: &[f32], f: impl Fn(I, I::F, I::F) -> I::F) -> f32 {
    let mut sums = [isa.splat(0.0); SIDE];
    let (blocks, tail) = x.as_chunks::<{ SIDE * LANES }>();
    for block in blocks {
        let (vectors, _) = block.as_chunks::<LANES>();
        for v in 0..SIDE {
            sums[v] = f(isa, isa.load(&vectors[v]), sums[v]);
        }
    }
    if I::PARTS && !tail.is_empty() {
        for v in 0..SIDE {
            let (from, lanes) = (tail.as_ptr().wrapping_add(v * LANES), tail.len().saturating_sub(v * LANES));
            // SAFETY: lanes of the tail.
            sums[v] = f(isa, unsafe { isa.load_some(from, first_lanes(lanes)) }, sums[v]);
        }
    } else if !tail.is_empty() {
        let mut all = [0.0; SIDE * LANES];
        all[..tail.len()].copy_from_slice(tail);
        let (vectors, _) = all.as_chunks::<LANES>();
        for v in 0..SIDE {
            sums[v] = f(isa, isa.load(&vectors[v]), sums[v]);
        }
    }
    isa.sum(isa.add(isa.add(sums[0], sums[1]), isa.add(sums[2], sums[3])))
}

/// The largest of what `f` makes of the elements.
#[inline(always)]
fn most<I: Isa>(isa: I, x: &[f32], f: impl Fn(I, I::F) -> I::F) -> f32 {
    let least = isa.splat(f32::NEG_INFINITY);
    let mut seen = [least; SIDE];
    let (blocks, tail) = x.as_chunks::<{ SIDE * LANES }>();
    for block in blocks {
        let (vectors, _) = block.as_chunks::<LANES>();
        for v in 0..SIDE {
            seen[v] = isa.max(f(isa, isa.load(&vectors[v])), seen[v]);
        }
    }
    for part in tail.chunks(LANES) {
        // The first element once more in the lanes behind the end.
        let mut all = [part[0]; LANES];
        all[..part.len()].copy_from_slice(part);
        seen[0] = isa.max(f(isa, isa.load(&all)), seen[0]);
    }
    isa.largest(isa.max(isa.max(seen[0], seen[1]), isa.max(seen[2], seen[3])))
}

/// e to the power of what an element is above a number.
#[derive(Clone, Copy)]
struct Raised(f32);

impl<I: Isa> Lanes<I> for Raised {
    #[inline(always)]
    fn of(self, isa: I, x: I::F, _: I::F) -> I::F {
        exp(isa, isa.add(x, isa.splat(-self.0)))
    }
}

#[derive(Clone, Copy)]
struct Times(f32);

impl<I: Isa> Lanes<I> for Times {
    #[inline(always)]
    fn of(self, isa: I, x: I::F, _: I::F) -> I::F {
        isa.mul(x, isa.splat(self.0))
    }
}

#[derive(Clone, Copy)]
struct Plus(f32);

impl<I: Isa> Lanes<I> for Plus {
    #[inline(always)]
    fn of(self, isa: I, x: I::F, _: I::F) -> I::F {
        isa.add(x, isa.splat(self.0))
    }
}
