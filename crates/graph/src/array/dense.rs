//! Products with one matrix, of floats or of bytes that stand for them, and what follows: a bias for each column, a function.
//!
//! Each element is one chain of fused multiply-adds along the common extent, ascending, as [`super::MatMul`]'s. A byte is the number
//! that [`super::Quantize`] makes of it, less what counts as zero and times a scale, so the result is what those operators make one
//! after another. The one design choice: bytes stay bytes; nobody needs room for all of them as floats.

use super::walk::repeated;
use super::{
    ArrayOperator, ArrayType, LANES, MatMul, Unary, UnaryKind, View, ViewMut, fault,
};
use crate::{Cost, Elem, Error};

/// Of `a` (.., rows, common) and `w` (common, columns), floats or bytes; behind them a scale, one for all, for each row or for each
/// column of `w`, what counts as zero in it, as many, and a bias for each column, as far as there are such.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dense {
    /// Whether there is a scale.
    pub scales: bool,
    /// Whether there is what counts as zero, of the kind of `w`.
    pub zeros: bool,
    /// Whether there is a bias.
    pub biases: bool,
    /// A function of each element, behind all else.
    pub then: Option<UnaryKind>,
}

/// What is behind the two matrices.
#[derive(Clone, Copy)]
pub struct DenseFactors<'v, 'a> {
    /// Of `w`.
    pub scale: Option<&'v View<'a>>,
    /// Of `w`.
    pub zero: Option<&'v View<'a>>,
    /// Of the result.
    pub bias: Option<&'v View<'a>>,
}

impl Dense {
    /// Nothing but the product.
    pub const PLAIN: Dense = Dense { scales: false, zeros: false, biases: false, then: None };
    const PRODUCT: MatMul = MatMul { b_is_transposed: false, widens: false };

    /// What is behind the two matrices.
    pub fn factors<'v, 'a>(&self, inputs: &'v [View<'a>]) -> DenseFactors<'v, 'a> {
        let mut more = inputs.iter().skip(2);
        let mut next = |is: bool| if is { more.next() } else { None };
        DenseFactors { scale: next(self.scales), zero: next(self.zeros), bias: next(self.biases) }
    }

    /// Both matrices as if `w` were of floats.
    fn matrices(inputs: &[ArrayType]) -> Option<[ArrayType; 2]> {
        let [a, w, ..] = inputs else { return None };
        (a.extents.len() >= 2 && w.extents.len() == 2).then_some([*a, ArrayType { elem: a.elem, ..*w }])
    }
}

/// Whether factors are one for all, or differ along one axis of a matrix.
fn fit(factor: &ArrayType, matrix: &ArrayType) -> bool {
    let [rows, columns] = matrix.extents[..] else { return false };
    match factor.extents[..] {
        [] | [1] | [1, 1] => true,
        [many] | [1, many] if many == columns => true,
        [many, 1] => many == rows,
        _ => false,
    }
}

impl ArrayOperator for Dense {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let count = 2 + [self.scales, self.zeros, self.biases].iter().filter(|is| **is).count();
        let Some(pair) = Dense::matrices(inputs).filter(|_| inputs.len() == count) else {
            return fault("Dense", "a matrix and all its factors are needed", inputs);
        };
        let made = Dense::PRODUCT.infer(&pair)?;
        let (w, columns) = (&inputs[1], pair[1].extents[1]);
        let factors = &inputs[2..count - usize::from(self.biases)];
        let is_narrow = matches!(w.elem, Elem::I8 | Elem::U8);
        let of_w = factors.iter().all(|factor| fit(factor, w));
        let kinds = match factors {
            [] => w.elem == Elem::F32 && !self.scales && !self.zeros,
            [scale] => is_narrow && self.scales && scale.elem == Elem::F32,
            [scale, zero] => {
                is_narrow && scale.elem == Elem::F32 && zero.elem == w.elem && zero.extents.elements() == scale.extents.elements()
            }
            _ => false,
        };
        let bias = inputs.last().filter(|_| self.biases);
        let moves = bias.is_none_or(|bias| bias.elem == Elem::F32 && bias.extents.elements() == columns);
        if pair[0].elem != Elem::F32 || !of_w || !kinds || !moves {
            return fault("Dense", "floats, and factors that fit rows or columns, are needed", inputs);
        }
        Ok(made)
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([a, w, ..], [out]) = (inputs, &mut *outputs) else { return fault("Dense", "two inputs are needed", &[]) };
        let factors = self.factors(inputs);
        let [common, columns] = w.kind.extents[..] else { return fault("Dense", "a matrix is needed", &[]) };
        for row in 0..a.kind.extents.elements().checked_div(common).unwrap_or(0) {
            for first in (0..columns).step_by(LANES) {
                let (mut sums, mut y) = ([0f32; LANES], [0f32; LANES]);
                let (sums, y) = (&mut sums[..LANES.min(columns - first)], &mut y[..LANES.min(columns - first)]);
                for k in 0..common {
                    let mut x = [0f32];
                    a.load(row * common + k, &mut x);
                    w.load(k * columns + first, y);
                    widen(w, factors, (k, first), y);
                    sums.iter_mut().zip(&*y).for_each(|(sum, y)| *sum = x[0].mul_add(*y, *sum));
                }
                if let Some(bias) = factors.bias {
                    bias.load(first, y);
                    sums.iter_mut().zip(&*y).for_each(|(sum, bias)| *sum += bias);
                }
                out.store(row * columns + first, sums);
            }
        }
        let made = View { kind: out.kind, bytes: None };
        match self.then {
            Some(kind) => Unary { kind }.evaluate(&[made], outputs, &mut []),
            None => Ok(()),
        }
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        Dense::matrices(inputs).map_or_else(Cost::default, |pair| Dense::PRODUCT.cost(&pair))
    }
}

/// Some of a row of `w`, from (row, column) on, as the numbers that they stand for.
fn widen(w: &View<'_>, factors: DenseFactors<'_, '_>, (row, column): (usize, usize), y: &mut [f32]) {
    let Some(scale) = factors.scale else { return };
    let at = |view: &View<'_>, column: usize| {
        let strides = repeated(&view.kind.extents, &w.kind.extents);
        let mut x = [0f32];
        view.load(row * strides[0] as usize + column * strides[1] as usize, &mut x);
        x[0]
    };
    for (i, y) in y.iter_mut().enumerate() {
        let zero = factors.zero.map_or(0.0, |zero| at(zero, column + i));
        *y = (*y - zero) * at(scale, column + i);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, ArrayOp, Binary, BinaryKind, Quantize, evaluate, extents};

    fn array(elem: Elem, list: &[usize], bytes: Vec<u8>) -> Array {
        Array { kind: ArrayType { elem, extents: extents("test", list).unwrap() }, bytes: bytes.into() }
    }

    fn floats(list: &[usize], seed: f32) -> Array {
        let count: usize = list.iter().product();
        let bytes = (0..count).flat_map(|i| ((i as f32 * 0.37 + seed).sin() / 3.0).to_le_bytes()).collect();
        array(Elem::F32, list, bytes)
    }

    fn one(op: impl Into<ArrayOp>, inputs: &[&Array]) -> Array {
        evaluate(&op.into(), inputs).unwrap().remove(0)
    }

    #[test]
    fn it_is_what_its_parts_make_one_after_another() {
        let (a, bias) = (floats(&[1, 3, 4], 1.0), floats(&[5], 2.0));
        for elem in [Elem::I8, Elem::U8] {
            let w = array(elem, &[4, 5], (0..20).map(|i| i * 13).collect());
            for list in [&[][..], &[5], &[1, 5], &[4, 1]] {
                let count: usize = list.iter().product();
                let (scale, zero) = (floats(list, 3.0), array(elem, list, (0..count).map(|i| 9 * i as u8).collect()));
                let wide = one(Quantize { to: Elem::F32, back: true, away: false }, &[&w, &scale, &zero]);
                let product = one(MatMul { b_is_transposed: false, widens: false }, &[&a, &wide]);
                let moved = one(Binary { kind: BinaryKind::Add }, &[&product, &bias]);
                let expected = one(Unary { kind: UnaryKind::Gelu }, &[&moved]);
                let all = Dense { scales: true, zeros: true, biases: true, then: Some(UnaryKind::Gelu) };
                assert_eq!(one(all, &[&a, &w, &scale, &zero, &bias]), expected, "{elem:?} {list:?}");
                let plain = one(Dense { biases: true, ..Dense::PLAIN }, &[&a, &wide, &bias]);
                assert_eq!(plain, moved);
            }
        }
    }

    #[test]
    fn factors_that_fit_nothing_are_refused() {
        let kind = |elem, list: &[usize]| ArrayType { elem, extents: extents("test", list).unwrap() };
        let (a, w) = (kind(Elem::F32, &[3, 4]), kind(Elem::I8, &[4, 5]));
        let scaled = Dense { scales: true, ..Dense::PLAIN };
        assert!(scaled.infer(&[a, w, kind(Elem::F32, &[5])]).is_ok());
        for scale in [kind(Elem::F32, &[4]), kind(Elem::F32, &[4, 5]), kind(Elem::F16, &[5])] {
            assert!(scaled.infer(&[a, w, scale]).is_err());
        }
        assert!(Dense::PLAIN.infer(&[a, w]).is_err());
    }
}
