//! Products of matrices, many of them at once.
//!
//! Each element of the result is one chain of fused multiply-adds along the common extent, ascending. Where the matrices
//! of the right array come transposed, as weights do, it is sixteen chains, element `k` in number `k % 16`, which are added
//! up as a tree; kernels have such chains where the left array has few rows, and one chain where it has many.

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, broadcast, each_wide, extents, fault};
use crate::{Cost, Elem, Error, MAX_RANK};

/// `a b`, of one kind, or with transposed matrices of f16 or bf16 to the right of f32: the last two extents are matrices, the others
/// are repeated where the other array is longer. Arrays of one
/// extent are a row on the left and a column on the right. Integers that become wider may come with what counts as zero: of
/// `a` for all or for each row, of `b` for all or for each column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatMul {
    /// Whether matrices of `b` are given row by column the other way round.
    pub b_is_transposed: bool,
    /// Whether the result of narrow integers is i32.
    pub widens: bool,
}

/// Matrices of a product.
#[derive(Clone, Copy, Debug)]
pub struct Product {
    /// Rows of the result.
    pub rows: usize,
    /// What is multiplied and added up.
    pub common: usize,
    /// Columns of the result.
    pub columns: usize,
    /// Matrices.
    pub batch: usize,
}

impl MatMul {
    /// Extents of both with what a row or a column lacks.
    fn matrices(inputs: &[ArrayType]) -> Option<[ArrayType; 2]> {
        let [a, b, ..] = inputs else { return None };
        let mut pair = [*a, *b];
        if a.extents.len() == 1 {
            pair[0].extents = crate::Extents::new(&[1, a.extents[0]])?;
        }
        if b.extents.len() == 1 {
            pair[1].extents = crate::Extents::new(&[b.extents[0], 1])?;
        }
        pair.iter().all(|array| array.extents.len() >= 2).then_some(pair)
    }

    /// What is multiplied with what.
    pub fn product(&self, inputs: &[ArrayType]) -> Option<Product> {
        let [a, b] = MatMul::matrices(inputs)?;
        let (a, b) = (a.extents, b.extents);
        let [rows, common] = [a[a.len() - 2], a[a.len() - 1]];
        let [mut deep, mut columns] = [b[b.len() - 2], b[b.len() - 1]];
        if self.b_is_transposed {
            (deep, columns) = (columns, deep);
        }
        let batch = outer("MatMul", &[a, b]).ok()?.elements();
        (deep == common).then_some(Product { rows, common, columns, batch })
    }
}

/// Extents before the last two, each repeated where the other is longer.
fn outer(op: &'static str, pair: &[crate::Extents; 2]) -> Result<crate::Extents, Error> {
    let outer = pair.map(|extents| crate::Extents::new(&extents[..extents.len() - 2]).unwrap_or_default());
    broadcast(op, &outer.map(|extents| ArrayType { elem: Elem::Bool, extents }))
}

impl ArrayOperator for MatMul {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let (Some([a, b]), Some(product)) = (MatMul::matrices(inputs), self.product(inputs)) else {
            return fault("MatMul", "matrices with a common extent are needed", inputs);
        };
        let zeros = match inputs {
            [_, _] => true,
            [_, _, a_zero, b_zero] => {
                let fits = |zero: &ArrayType, of: &ArrayType, extent| {
                    zero.elem == of.elem && [1, extent].contains(&zero.extents.elements())
                };
                self.widens && fits(a_zero, &a, product.rows) && fits(b_zero, &b, product.columns)
            }
            _ => false,
        };
        if !zeros {
            return fault("MatMul", "zeros must be two and fit rows and columns", inputs);
        }
        let narrow = self.b_is_transposed && a.elem == Elem::F32 && matches!(b.elem, Elem::BF16 | Elem::F16);
        if a.elem != b.elem && !self.widens && !narrow {
            return fault("MatMul", "both must be of one kind", inputs);
        }
        let mut made = outer("MatMul", &[a.extents, b.extents])?.to_vec();
        if inputs[0].extents.len() > 1 {
            made.push(product.rows);
        }
        if inputs[1].extents.len() > 1 {
            made.push(product.columns);
        }
        let elem = if self.widens { Elem::I32 } else { a.elem };
        Ok(vec![ArrayType { elem, extents: extents("MatMul", &made)? }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([a, b, zeros @ ..], [out]) = (inputs, outputs) else {
            return fault("MatMul", "two inputs are needed", &[]);
        };
        each_wide!(out.kind.elem, W => self.run::<W>([a, b], zeros, out));
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let macs = self.product(inputs).map_or(0, |p| p.rows as u64 * p.common as u64 * p.columns as u64 * p.batch as u64);
        Cost { macs, ..Cost::default() }
    }
}

impl MatMul {
    fn run<W: Wide>(&self, views: [&View<'_>; 2], zeros: &[View<'_>], out: &mut ViewMut<'_>) {
        let kinds = views.map(|view| view.kind);
        let (Some([a, b]), Some(product)) = (MatMul::matrices(&kinds), self.product(&kinds)) else { return };
        let Ok(batches) = outer("MatMul", &[a.extents, b.extents]) else { return };
        let Product { rows, common, columns, .. } = product;
        let at = |extents: &crate::Extents, index: &[usize]| {
            let strides = extents.strides();
            let shift = batches.len() + 2 - extents.len();
            let own = extents.len() - 2;
            (0..own).map(|axis| if extents[axis] == 1 { 0 } else { index[shift + axis] * strides[axis] }).sum::<usize>()
        };
        let mut index = [0; MAX_RANK];
        for batch in 0..product.batch {
            let (a_at, b_at) = (at(&a.extents, &index), at(&b.extents, &index));
            for row in 0..rows {
                let start = a_at + row * common;
                for first in (0..columns).step_by(LANES) {
                    let mut sums = [W::default(); LANES];
                    let sums = &mut sums[..LANES.min(columns - first)];
                    if self.b_is_transposed && zeros.is_empty() {
                        for (column, sum) in sums.iter_mut().enumerate() {
                            *sum = chains(views, [start, b_at + (first + column) * common], common);
                        }
                    } else {
                        self.chain(views, zeros, ([start, b_at], row, first), (common, columns), sums);
                    }
                    out.store((batch * rows + row) * columns + first, sums);
                }
            }
            for axis in (0..batches.len()).rev() {
                index[axis] += 1;
                if index[axis] < batches[axis] {
                    break;
                }
                index[axis] = 0;
            }
        }
    }
}

impl MatMul {
    /// A row by some columns from `first` on, each added up along the common extent, less what counts as zero.
    fn chain<W: Wide>(
        &self,
        views: [&View<'_>; 2],
        zeros: &[View<'_>],
        ([a_at, b_at], row, first): ([usize; 2], usize, usize),
        (common, columns): (usize, usize),
        sums: &mut [W],
    ) {
        let (mut x, mut y) = ([W::default()], [W::default(); LANES]);
        let y = &mut y[..sums.len()];
        for k in 0..common {
            views[0].load(a_at + k, &mut x);
            if self.b_is_transposed {
                for (column, y) in y.chunks_exact_mut(1).enumerate() {
                    views[1].load(b_at + (first + column) * common + k, y);
                }
            } else {
                views[1].load(b_at + k * columns + first, y);
            }
            if let [a_zero, b_zero] = zeros {
                x[0] = x[0].sub(zero(a_zero, row));
                y.iter_mut().zip(first..).for_each(|(y, column)| *y = y.sub(zero(b_zero, column)));
            }
            sums.iter_mut().zip(&*y).for_each(|(sum, y)| *sum = x[0].mul_add(*y, *sum));
        }
    }
}

/// A row by a row in sixteen chains, added up as a tree.
fn chains<W: Wide>(views: [&View<'_>; 2], at: [usize; 2], common: usize) -> W {
    let mut sums = [W::default(); 16];
    for k in (0..common).step_by(16) {
        let (mut x, mut y) = ([W::default(); 16], [W::default(); 16]);
        let len = (common - k).min(16);
        views[0].load(at[0] + k, &mut x[..len]);
        views[1].load(at[1] + k, &mut y[..len]);
        for i in 0..len {
            sums[i] = x[i].mul_add(y[i], sums[i]);
        }
    }
    for half in [8, 4, 2, 1] {
        for i in 0..half {
            sums[i] = sums[i].add(sums[i + half]);
        }
    }
    sums[0]
}

/// What counts as zero in a row or a column.
fn zero<W: Wide>(zeros: &View<'_>, place: usize) -> W {
    let mut zero = [W::default()];
    zeros.load(if zeros.kind.extents.elements() == 1 { 0 } else { place }, &mut zero);
    zero[0]
}
