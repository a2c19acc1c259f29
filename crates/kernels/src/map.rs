//! Functions of each element of arrays, and of two arrays.
//!
//! Not their approximations, which are in [`crate::float`].

use crate::elementwise::{Lanes, each, each_alone};
use crate::float::{erf, exp, sigmoid, tanh};
use crate::isa::{Isa, Kernel};

/// A function of an element.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum MapKind {
    /// Held between two bounds.
    Clamp {
        least: f32,
        most: f32,
    },
    Erf,
    Exp,
    /// With the error function.
    Gelu,
    HardSigmoid {
        alpha: f32,
        beta: f32,
    },
    HardSwish,
    LeakyRelu {
        alpha: f32,
    },
    Relu,
    Sigmoid,
    /// `x sigmoid(x)`
    Silu,
    Tanh,
}

impl MapKind {
    /// How long an element takes, in multiply-adds, about.
    pub(crate) fn weight(self) -> usize {
        match self {
            MapKind::Clamp { .. } | MapKind::LeakyRelu { .. } | MapKind::Relu => 1,
            MapKind::HardSigmoid { .. } | MapKind::HardSwish => 2,
            _ => 16,
        }
    }
}

/// A function of two elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs)]
pub enum JoinKind {
    Add,
    Div,
    /// `b - a`
    From,
    Max,
    Min,
    Mul,
    /// `b / a`
    Over,
    Sub,
}

/// `x = f(x)`.
pub(crate) struct Map<'a> {
    pub kind: MapKind,
    pub x: &'a mut [f32],
}

impl<I: Isa> Kernel<I> for Map<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let x = self.x;
        macro_rules! each {
            ($f:expr) => {
                each_alone(isa, Of($f), x)
            };
        }
        match self.kind {
            MapKind::Clamp { least, most } => each!(Bounds(least, most)),
            MapKind::Erf => each!(Erf),
            MapKind::Exp => each!(Exp),
            MapKind::Gelu => each!(Gelu),
            MapKind::HardSigmoid { alpha, beta } => each!(HardSigmoid(alpha, beta)),
            MapKind::HardSwish => each!(HardSwish),
            MapKind::LeakyRelu { alpha } => each!(LeakyRelu(alpha)),
            MapKind::Relu => each!(Relu),
            MapKind::Sigmoid => each!(Sigmoid),
            MapKind::Silu => each!(Silu),
            MapKind::Tanh => each!(Tanh),
        }
    }
}

/// A function of sixteen elements.
trait Function: Copy {
    fn of<I: Isa>(self, isa: I, x: I::F) -> I::F;
}

#[derive(Clone, Copy)]
struct Of<F>(F);

impl<I: Isa, F: Function> Lanes<I> for Of<F> {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, _: I::F) -> I::F {
        self.0.of(isa, a)
    }
}

macro_rules! functions {
    ($($name:ident $(($($field:ident),+))? = |$isa:ident, $x:ident| $body:expr;)*) => {$(
        #[derive(Clone, Copy)]
        struct $name $(($(functions!(@f32 $field)),+))?;

        impl Function for $name {
            #[inline(always)]
            fn of<I: Isa>(self, $isa: I, $x: I::F) -> I::F {
                $(let $name($($field),+) = self;)?
                $body
            }
        }
    )*};
    (@f32 $field:ident) => { f32 };
}

functions! {
    Bounds(least, most) = |isa, x| {
        let (least, most) = (isa.splat(least), isa.splat(most));
        let x = isa.less(x, least, least, x);
        isa.less(most, x, most, x)
    };
    Erf = |isa, x| erf(isa, x);
    Exp = |isa, x| exp(isa, x);
    Gelu = |isa, x| {
        let half = isa.mul(x, isa.splat(0.5));
        isa.fma(half, erf(isa, isa.mul(x, isa.splat(std::f32::consts::FRAC_1_SQRT_2))), half)
    };
    HardSigmoid(alpha, beta) = |isa, x| {
        Bounds(0.0, 1.0).of(isa, isa.add(isa.mul(x, isa.splat(alpha)), isa.splat(beta)))
    };
    HardSwish = |isa, x| {
        let gate = isa.add(isa.div(x, isa.splat(6.0)), isa.splat(0.5));
        isa.mul(x, Bounds(0.0, 1.0).of(isa, gate))
    };
    LeakyRelu(alpha) = |isa, x| isa.less(x, isa.splat(0.0), isa.mul(x, isa.splat(alpha)), x);
    Relu = |isa, x| isa.less(x, isa.splat(0.0), isa.splat(0.0), x);
    Sigmoid = |isa, x| sigmoid(isa, x);
    Silu = |isa, x| isa.mul(x, sigmoid(isa, x));
    Tanh = |isa, x| tanh(isa, x);
}

/// `a = f(a, b)`; `b` has as many elements or one.
pub(crate) struct Join<'a> {
    pub kind: JoinKind,
    pub a: &'a mut [f32],
    pub b: &'a [f32],
}

impl<I: Isa> Kernel<I> for Join<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.kind {
            JoinKind::Add => self.all(isa, |isa: I, a, b| isa.add(a, b)),
            JoinKind::Div => self.all(isa, |isa: I, a, b| isa.div(a, b)),
            JoinKind::From => self.all(isa, |isa: I, a, b| isa.fma(a, isa.splat(-1.0), b)),
            JoinKind::Max => self.all(isa, |isa: I, a, b| isa.less(a, b, b, a)),
            JoinKind::Min => self.all(isa, |isa: I, a, b| isa.less(b, a, b, a)),
            JoinKind::Mul => self.all(isa, |isa: I, a, b| isa.mul(a, b)),
            JoinKind::Over => self.all(isa, |isa: I, a, b| isa.div(b, a)),
            JoinKind::Sub => self.all(isa, |isa: I, a, b| isa.fma(b, isa.splat(-1.0), a)),
        }
    }
}

impl Join<'_> {
    #[inline(always)]
    fn all<I: Isa>(self, isa: I, f: impl Fn(I, I::F, I::F) -> I::F + Copy) {
        match self.b {
            [b] => each_alone(isa, With(f, Some(*b)), self.a),
            b => each(isa, With(f, None), self.a, b),
        }
    }
}

/// A function of an element and another, or a number.
#[derive(Clone, Copy)]
struct With<F>(F, Option<f32>);

impl<I: Isa, F: Fn(I, I::F, I::F) -> I::F + Copy> Lanes<I> for With<F> {
    #[inline(always)]
    fn of(self, isa: I, a: I::F, b: I::F) -> I::F {
        (self.0)(isa, a, self.1.map_or(b, |number| isa.splat(number)))
    }
}
