//! Sums of outer products: the one inner loop of attention.
//!
//! What it is: `sum += a * b` step by step, where a step has one number of each of some queries and some vectors of sixteen
//! elements. For scores the steps are elements of a head, the numbers are the query's, and the lanes are keys; for values
//! the steps are keys, the numbers are their exponentials, and the lanes are elements. Not a place for what is summed.
//! The one design choice: few shapes of sums in registers, in one function, since code is memory too.

use crate::isa::{Isa, Kernel, LANES};
use std::ops::Range;

/// Vectors of sixteen f32 or f16 at every step.
#[derive(Clone, Copy)]
pub(crate) struct Stream {
    /// Vector 0 of step 0.
    pub at: *const u8,
    /// Bytes from one step to the next.
    pub step: usize,
    /// Bytes from one vector to the next.
    pub vector: usize,
    /// Whether it is of f16.
    pub half: bool,
}

impl Stream {
    /// The same without the first vectors.
    #[inline(always)]
    pub fn from(self, vector: usize) -> Stream {
        Stream { at: self.at.wrapping_add(vector * self.vector), ..self }
    }
}

/// What will be wanted soon.
#[derive(Clone, Copy)]
pub(crate) struct Ahead {
    pub at: *const u8,
    /// Bytes of it to ask for while one vector of the stream is gone through.
    pub vector: usize,
}

/// Adds to the sums of every query the products of its numbers and the vectors, for all steps in ascending order.
pub(crate) struct Outer<'a> {
    /// The numbers of each query, by step.
    pub rows: &'a [*const f32],
    pub stream: Stream,
    pub steps: Range<usize>,
    pub vectors: usize,
    /// The sums: vector `v` of query `i` is at `i * stride + v * 16`.
    pub sums: *mut f32,
    pub stride: usize,
    /// Asked for on the way, if the stream is of f16.
    pub ahead: Ahead,
}

impl<I: Isa> Kernel<I> for Outer<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let mut first = 0;
        while first < self.rows.len() {
            let queries = queries::<I>(self.rows.len() - first, self.stream.half);
            let most = vectors::<I>(queries, self.stream.half);
            let mut vector = 0;
            while vector < self.vectors {
                let vectors = if self.vectors - vector >= most { most } else { 1 };
                let at = (first, vector);
                // SAFETY: the caller vouches for addresses; queries and vectors are those of this kernel.
                unsafe {
                    match (self.stream.half, queries, vectors) {
                        (true, 1, 4) if I::CHAINS >= 4 => self.sum::<I, 1, 4, true>(isa, at),
                        (true, 2, 4) if I::CHAINS >= 8 => self.sum::<I, 2, 4, true>(isa, at),
                        (true, 3, 4) if I::CHAINS >= 12 => self.sum::<I, 3, 4, true>(isa, at),
                        (true, 4, 4) if I::CHAINS >= 16 => self.sum::<I, 4, 4, true>(isa, at),
                        (true, 2, 2) if I::CHAINS >= 4 => self.sum::<I, 2, 2, true>(isa, at),
                        (true, 3, 2) if I::CHAINS >= 6 => self.sum::<I, 3, 2, true>(isa, at),
                        (true, 2, 1) if I::CHAINS >= 2 => self.sum::<I, 2, 1, true>(isa, at),
                        (true, 3, 1) if I::CHAINS >= 3 => self.sum::<I, 3, 1, true>(isa, at),
                        (true, 4, 1) if I::CHAINS >= 4 => self.sum::<I, 4, 1, true>(isa, at),
                        (true, _, _) => self.sum::<I, 1, 1, true>(isa, at),
                        (false, 6, 4) if I::CHAINS >= 24 => self.sum::<I, 6, 4, false>(isa, at),
                        (false, 4, 4) if I::CHAINS >= 16 => self.sum::<I, 4, 4, false>(isa, at),
                        (false, 6, 1) if I::CHAINS >= 6 => self.sum::<I, 6, 1, false>(isa, at),
                        (false, 4, 1) if I::CHAINS >= 4 => self.sum::<I, 4, 1, false>(isa, at),
                        (false, 2, 1) if I::CHAINS >= 2 => self.sum::<I, 2, 1, false>(isa, at),
                        (false, _, _) => self.sum::<I, 1, 1, false>(isa, at),
                    }
                }
                vector += vectors;
            }
            first += queries;
        }
    }
}

/// Queries to take at once of those that are left: as many as have a shape above.
#[inline(always)]
fn queries<I: Isa>(left: usize, half: bool) -> usize {
    match left {
        _ if I::CHAINS < 6 => 1,
        0..5 if half => left,
        5 | 6 if half => 3,
        _ if half => 4,
        0 | 1 => 1,
        2 | 3 => 2,
        4 | 5 | 7 | 8 => 4,
        _ => 6,
    }
}

/// Vectors to take at once for so many queries; a shape with one vector takes what is left.
#[inline(always)]
fn vectors<I: Isa>(queries: usize, half: bool) -> usize {
    match I::CHAINS / queries {
        0 | 1 => 1,
        2 | 3 if half => 2,
        4.. if half || queries >= 4 => 4,
        _ => 1,
    }
}

impl Outer<'_> {
    /// The sums of `Q` queries and `V` vectors from those.
    ///
    /// # Safety
    /// The stream, the numbers and the sums are there.
    #[inline(always)]
    unsafe fn sum<I: Isa, const Q: usize, const V: usize, const HALF: bool>(
        &self,
        isa: I,
        (first, vector): (usize, usize),
    ) {
        let stream = self.stream.from(vector);
        let ahead =
            if first == 0 { self.ahead.at.wrapping_add(vector * self.ahead.vector) } else { stream.at };
        let mut rows = [std::ptr::null(); Q];
        let mut sums = [[isa.splat(0.0); V]; Q];
        let at =
            |i: usize, v: usize| self.sums.wrapping_add((first + i) * self.stride + (vector + v) * LANES);
        // SAFETY: the caller's.
        unsafe {
            for i in 0..Q {
                rows[i] = *self.rows.get_unchecked(first + i);
                for v in 0..V {
                    sums[i][v] = isa.load(&*at(i, v).cast());
                }
            }
            for step in self.steps.clone() {
                let mut b = [isa.splat(0.0); V];
                for v in 0..V {
                    let from = stream.at.add(step * stream.step + v * stream.vector);
                    b[v] = if HALF { isa.load_f16(&*from.cast()) } else { isa.load(&*from.cast()) };
                }
                if HALF {
                    for line in (0..V).step_by(2) {
                        isa.prefetch(ahead.wrapping_add((step * V + line) * 2 * LANES));
                    }
                }
                for i in 0..Q {
                    let a = isa.splat(*rows[i].add(step));
                    for v in 0..V {
                        sums[i][v] = isa.fma(a, b[v], sums[i][v]);
                    }
                }
            }
            for i in 0..Q {
                for v in 0..V {
                    isa.store(sums[i][v], &mut *at(i, v).cast());
                }
            }
        }
    }
}
