//! Two arrays element by element, each repeated where the other is longer.
//!
//! Kinds of element are equal on both sides; comparisons make truth values.

use super::walk::{Walk, repeated};
use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, broadcast, each_wide, fault, lanes};
use crate::{Elem, Error};

/// Which operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum BinaryKind {
    Add,
    And,
    BitAnd,
    BitOr,
    BitXor,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    /// The remainder has the sign of the divisor.
    Mod,
    Mul,
    Or,
    Pow,
    /// `a` where it is positive, else `a * b`.
    Prelu,
    /// The remainder has the sign of the dividend.
    Rem,
    ShiftLeft,
    ShiftRight,
    Sub,
    Xor,
}

/// `a op b`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binary {
    /// Which operation.
    pub kind: BinaryKind,
}

impl BinaryKind {
    /// Whether the result is a truth value whatever the inputs are.
    fn compares(self) -> bool {
        use BinaryKind::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual};
        matches!(self, Equal | Greater | GreaterOrEqual | Less | LessOrEqual)
    }

    /// Whether it makes sense for floats.
    fn takes_floats(self) -> bool {
        use BinaryKind::{And, BitAnd, BitOr, BitXor, Or, ShiftLeft, ShiftRight, Xor};
        !matches!(self, And | BitAnd | BitOr | BitXor | Or | ShiftLeft | ShiftRight | Xor)
    }

    fn apply<W: Number>(self, a: &mut [W], b: &[W], elem: Elem) {
        fn each<W: Number>(a: &mut [W], b: &[W], f: impl Fn(W, W) -> W) {
            a.iter_mut().zip(b).for_each(|(a, b)| *a = f(*a, *b));
        }
        let truth = |is: bool| W::of_i64(i64::from(is));
        let zero = W::default();
        let bits = 8 * elem.bytes() as i64;
        match self {
            BinaryKind::Add => each(a, b, W::add),
            BinaryKind::And => each(a, b, |a, b| truth(a != zero && b != zero)),
            BinaryKind::BitAnd => each(a, b, |a, b| W::bits(a, b, |a, b| a & b)),
            BinaryKind::BitOr => each(a, b, |a, b| W::bits(a, b, |a, b| a | b)),
            BinaryKind::BitXor => each(a, b, |a, b| W::bits(a, b, |a, b| a ^ b)),
            BinaryKind::Div => each(a, b, W::div),
            BinaryKind::Equal => each(a, b, |a, b| truth(a == b)),
            BinaryKind::Greater => each(a, b, |a, b| truth(a > b)),
            BinaryKind::GreaterOrEqual => each(a, b, |a, b| truth(a >= b)),
            BinaryKind::Less => each(a, b, |a, b| truth(a < b)),
            BinaryKind::LessOrEqual => each(a, b, |a, b| truth(a <= b)),
            // What is not a number wins.
            BinaryKind::Max => each(a, b, |a, b| if a > b || a.is_nan() { a } else { b }),
            BinaryKind::Min => each(a, b, |a, b| if a < b || a.is_nan() { a } else { b }),
            BinaryKind::Mod => each(a, b, |a, b| {
                let rest = a.rem(b);
                if rest != zero && (rest < zero) != (b < zero) { rest.add(b) } else { rest }
            }),
            BinaryKind::Mul => each(a, b, W::mul),
            BinaryKind::Or => each(a, b, |a, b| truth(a != zero || b != zero)),
            BinaryKind::Pow => each(a, b, W::pow),
            BinaryKind::Prelu => each(a, b, |a, b| if a < zero { a.mul(b) } else { a }),
            BinaryKind::Rem => each(a, b, W::rem),
            BinaryKind::ShiftLeft => each(a, b, |a, b| if b.to_i64() < bits { a.shift(b.to_i64()) } else { zero }),
            BinaryKind::ShiftRight => each(a, b, |a, b| if b.to_i64() < bits { a.shift(-b.to_i64()) } else { zero }),
            BinaryKind::Sub => each(a, b, W::sub),
            BinaryKind::Xor => each(a, b, |a, b| truth((a != zero) != (b != zero))),
        }
    }
}

impl ArrayOperator for Binary {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [a, b] = inputs else { return fault("Binary", "two inputs are needed", inputs) };
        // A power may be of another kind.
        if a.elem != b.elem && self.kind != BinaryKind::Pow {
            return fault("Binary", "both must be of one kind", inputs);
        }
        if a.elem.is_float() && !self.kind.takes_floats() {
            return fault("Binary", "whole numbers or truth values are needed", inputs);
        }
        let elem = if self.kind.compares() { Elem::Bool } else { a.elem };
        Ok(vec![ArrayType { elem, extents: broadcast("Binary", inputs)? }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([a, b], [out]) = (inputs, outputs) else { return fault("Binary", "two inputs are needed", &[]) };
        each_wide!(a.kind.elem, W => self.run::<W>(a, b, out));
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        // Of another width or extents, it is not offered.
        Some(0)
    }
}

impl Binary {
    fn run<W: Number>(&self, a: &View<'_>, b: &View<'_>, out: &mut ViewMut<'_>) {
        let to = out.kind.extents;
        let walk = Walk::new(&to, [repeated(&a.kind.extents, &to), repeated(&b.kind.extents, &to)]);
        let (mut x, mut y) = ([W::default(); LANES], [W::default(); LANES]);
        walk.each(LANES, |stretch| {
            let (x, y) = (&mut x[..stretch.len], &mut y[..stretch.len]);
            take(a, out, (stretch.at[0], stretch.step[0]), x);
            take(b, out, (stretch.at[1], stretch.step[1]), y);
            self.kind.apply(x, y, a.kind.elem);
            out.store(stretch.start, x);
        });
    }
}

/// Elements at a stride, one after another.
pub(super) fn take<W: Wide>(from: &View<'_>, output: &ViewMut<'_>, (at, step): (isize, isize), to: &mut [W]) {
    let (elem, bytes) = (from.kind.elem, from.bytes_or(output));
    match step {
        1 => lanes::load(elem, bytes, at as usize, to),
        0 => {
            lanes::load(elem, bytes, at as usize, &mut to[..1]);
            let first = to[0];
            to.fill(first);
        }
        _ => {
            for (i, x) in to.chunks_exact_mut(1).enumerate() {
                lanes::load(elem, bytes, (at + i as isize * step) as usize, x);
            }
        }
    }
}

/// Arithmetic that only some operators need.
trait Number: Wide {
    fn rem(self, other: Self) -> Self;
    fn pow(self, other: Self) -> Self;
    fn bits(self, other: Self, f: impl Fn(u64, u64) -> u64) -> Self {
        Self::of_u64(f(self.to_u64(), other.to_u64()))
    }
    /// By so many bits to the left, or to the right if negative.
    fn shift(self, by: i64) -> Self {
        let x = self.to_u64();
        Self::of_u64(if by < 0 { x >> -by } else { x << by })
    }
    fn is_nan(self) -> bool {
        false
    }
}

macro_rules! number_float {
    ($name:ident, $pow:path) => {
        impl Number for $name {
            fn rem(self, other: Self) -> Self {
                self % other
            }
            fn pow(self, other: Self) -> Self {
                $pow(self, other)
            }
            fn is_nan(self) -> bool {
                $name::is_nan(self)
            }
        }
    };
}

macro_rules! number_integer {
    ($name:ident) => {
        impl Number for $name {
            fn rem(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_rem(other) }
            }
            fn pow(self, other: Self) -> Self {
                match u32::try_from(other) {
                    Ok(power) => self.wrapping_pow(power),
                    Err(_) => libm::pow(self as f64, other as f64) as $name,
                }
            }
        }
    };
}

number_float!(f32, libm::powf);
number_float!(f64, libm::pow);
number_integer!(i64);
number_integer!(u64);
