//! One number instead of all along some axes.
//!
//! Sums of floats are added up in f64, one after another in the order of the elements.

use super::walk::Walk;
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, each_wide, extents, fault, lanes};
use crate::{Elem, Error, Extents, MAX_RANK};

/// What becomes of many numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ReduceKind {
    All,
    Any,
    /// Sum of magnitudes.
    L1,
    /// Root of the sum of squares.
    L2,
    LogSum,
    LogSumExp,
    Max,
    Mean,
    Min,
    Prod,
    Sum,
    SumSquare,
}

/// One number instead of all along some axes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reduce {
    /// What becomes of them.
    pub kind: ReduceKind,
    /// The axes, ascending.
    pub axes: Vec<usize>,
    /// Whether the axes stay, with an extent of one.
    pub keeps: bool,
}

impl ArrayOperator for Reduce {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Reduce", "one input is needed", inputs) };
        if self.axes.iter().any(|axis| *axis >= input.extents.len()) {
            return fault("Reduce", "the axes must exist", inputs);
        }
        let left = input.extents.iter().enumerate().filter_map(|(axis, &extent)| {
            match (self.axes.contains(&axis), self.keeps) {
                (false, _) => Some(extent),
                (true, true) => Some(1),
                (true, false) => None,
            }
        });
        let left: Vec<usize> = left.collect();
        Ok(vec![ArrayType { extents: extents("Reduce", &left)?, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Reduce", "one input is needed", &[]) };
        match input.kind.elem {
            Elem::BF16 | Elem::F16 | Elem::F32 | Elem::F64 => self.run::<f64>(input, out),
            elem => each_wide!(elem, W => self.run::<W>(input, out)),
        }
        Ok(())
    }
}

impl Reduce {
    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>) {
        let (own, from) = (input.kind.extents, input.bytes.unwrap_or_default());
        let strides = own.strides();
        // Axes that stay, and those that go, each as an array of their own.
        let (mut stay, mut go) = (own, own);
        for axis in 0..own.len() {
            *(if self.axes.contains(&axis) { &mut stay[axis] } else { &mut go[axis] }) = 1;
        }
        let strides: [isize; MAX_RANK] = strides.map(|stride| stride as isize);
        let (outer, inner) = (Walk::new(&stay, [strides]), Walk::new(&go, [strides]));
        let count = go.elements();
        outer.each(1, |place| {
            let mut sum = Sum::new(self.kind);
            if self.kind == ReduceKind::LogSumExp {
                let mut most = Sum::<W>::new(ReduceKind::Max);
                most.walk(&inner, (input.kind.elem, from), place.at[0]);
                sum.shift = if most.value.to_f64().is_finite() { most.value } else { W::default() };
            }
            sum.walk(&inner, (input.kind.elem, from), place.at[0]);
            out.store(place.start, &[sum.end(count)]);
        });
    }
}

struct Sum<W> {
    kind: ReduceKind,
    value: W,
    shift: W,
}

impl<W: Wide> Sum<W> {
    fn new(kind: ReduceKind) -> Sum<W> {
        let value = match kind {
            ReduceKind::All | ReduceKind::Prod => W::of_i64(1),
            ReduceKind::Max => W::LEAST,
            ReduceKind::Min => W::MOST,
            _ => W::default(),
        };
        Sum { kind, value, shift: W::default() }
    }

    fn walk(&mut self, inner: &Walk<1>, (elem, from): (Elem, &[u8]), first: isize) {
        let mut x = [W::default(); LANES];
        inner.each(LANES, |stretch| {
            let x = &mut x[..stretch.len];
            let at = first + stretch.at[0];
            if stretch.step[0] == 1 {
                lanes::load(elem, from, at as usize, x);
            } else {
                for (i, x) in x.chunks_exact_mut(1).enumerate() {
                    lanes::load(elem, from, (at + i as isize * stretch.step[0]) as usize, x);
                }
            }
            x.iter().for_each(|x| self.add(*x));
        });
    }

    fn add(&mut self, x: W) {
        let (value, zero) = (self.value, W::default());
        let not_a_number = x.partial_cmp(&x).is_none();
        self.value = match self.kind {
            ReduceKind::All => W::of_i64(i64::from(value != zero && x != zero)),
            ReduceKind::Any => W::of_i64(i64::from(value != zero || x != zero)),
            ReduceKind::L1 => value.add(if x < zero { zero.sub(x) } else { x }),
            ReduceKind::L2 | ReduceKind::SumSquare => value.add(x.mul(x)),
            ReduceKind::LogSum | ReduceKind::Mean | ReduceKind::Sum => value.add(x),
            ReduceKind::LogSumExp => value.add(W::of_f64(libm::exp(x.to_f64() - self.shift.to_f64()))),
            ReduceKind::Max => if x > value || not_a_number { x } else { value },
            ReduceKind::Min => if x < value || not_a_number { x } else { value },
            ReduceKind::Prod => value.mul(x),
        };
    }

    fn end(&self, count: usize) -> W {
        match self.kind {
            ReduceKind::L2 => W::of_f64(libm::sqrt(self.value.to_f64())),
            ReduceKind::LogSum => W::of_f64(libm::log(self.value.to_f64())),
            ReduceKind::LogSumExp => W::of_f64(libm::log(self.value.to_f64()) + self.shift.to_f64()),
            ReduceKind::Mean => self.value.div(W::of_i64(count as i64)),
            _ => self.value,
        }
    }
}

/// Extents with one in place of those along `axis`.
pub(super) fn without(extents: &Extents, axis: usize) -> Extents {
    let mut left = *extents;
    left[axis] = 1;
    left
}
