//! One array element by element.

use super::{ArrayOperator, ArrayType, LANES, View, ViewMut, Wide, each_wide, fault, lanes};
use crate::{Elem, Error};

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum UnaryKind {
    Abs,
    Acos,
    Acosh,
    /// `alpha x + beta`.
    Affine { alpha: f32, beta: f32 },
    Asin,
    Asinh,
    Atan,
    Atanh,
    BitNot,
    Ceil,
    /// `alpha (exp(x / alpha) - 1)` below zero.
    Celu { alpha: f32 },
    Cos,
    Cosh,
    /// `alpha (exp(x) - 1)` below zero.
    Elu { alpha: f32 },
    Erf,
    Exp,
    Floor,
    /// With the error function (arXiv 1606.08415).
    Gelu,
    /// With the tangent instead.
    GeluTanh,
    /// `alpha x + beta`, held between zero and one.
    HardSigmoid { alpha: f32, beta: f32 },
    /// `x` times `x / 6 + 0.5` held between zero and one (arXiv 1905.02244).
    HardSwish,
    /// Truth: whether it is infinite, of the signs that are asked for.
    IsInf { negative: bool, positive: bool },
    /// Truth: whether it is not a number.
    IsNan,
    /// `alpha x` below zero.
    LeakyRelu { alpha: f32 },
    Log,
    /// `x tanh(log(1 + exp(x)))` (arXiv 1908.08681).
    Mish,
    Neg,
    Not,
    Reciprocal,
    Relu,
    /// Halves to even.
    Round,
    /// `alpha tanh(beta x)`.
    ScaledTanh { alpha: f32, beta: f32 },
    /// arXiv 1706.02515.
    Selu { alpha: f32, gamma: f32 },
    /// Towards zero by `bias` where it is beyond `lambd`, else zero.
    Shrink { bias: f32, lambd: f32 },
    Sigmoid,
    Sign,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    /// `x sigmoid(alpha x)`.
    Swish { alpha: f32 },
    Tan,
    Tanh,
    /// Zero unless it is larger than `alpha`.
    ThresholdedRelu { alpha: f32 },
}

/// `f(x)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Unary {
    /// Which function.
    pub kind: UnaryKind,
}

impl ArrayOperator for Unary {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Unary", "one input is needed", inputs) };
        let truth = matches!(self.kind, UnaryKind::IsInf { .. } | UnaryKind::IsNan | UnaryKind::Not);
        Ok(vec![ArrayType { elem: if truth { Elem::Bool } else { input.elem }, ..*input }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out]) = (inputs, outputs) else { return fault("Unary", "one input is needed", &[]) };
        each_wide!(input.kind.elem, W => self.run::<W>(input, out));
        Ok(())
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }
}

impl Unary {
    fn run<W: Function>(&self, input: &View<'_>, out: &mut ViewMut<'_>) {
        let elements = out.kind.extents.elements();
        let mut x = [W::default(); LANES];
        for start in (0..elements).step_by(LANES) {
            let x = &mut x[..LANES.min(elements - start)];
            lanes::load(input.kind.elem, input.bytes_or(out), start, x);
            W::apply(self.kind, x);
            out.store(start, x);
        }
    }
}

/// What functions do to a kind of number.
pub(super) trait Function: Wide {
    fn apply(kind: UnaryKind, x: &mut [Self]);
}

fn each<W: Copy>(x: &mut [W], f: impl Fn(W) -> W) {
    x.iter_mut().for_each(|x| *x = f(*x));
}

macro_rules! function_float {
    ($name:ident, $m:ident) => {
        impl Function for $name {
            fn apply(kind: UnaryKind, x: &mut [$name]) {
                let of = |alpha: f32| $name::from(alpha);
                let sigmoid = |x: $name| 1.0 / (1.0 + $m::exp(-x));
                let softplus = |x: $name| if x > 0.0 { x + $m::log1p($m::exp(-x)) } else { $m::log1p($m::exp(x)) };
                let truth = |is: bool| $name::from(u8::from(is));
                const HALF_ROOT: $name = std::$name::consts::FRAC_1_SQRT_2;
                match kind {
                    UnaryKind::Abs => each(x, $name::abs),
                    UnaryKind::Acos => each(x, $m::acos),
                    UnaryKind::Acosh => each(x, $m::acosh),
                    UnaryKind::Affine { alpha, beta } => each(x, |x| of(alpha) * x + of(beta)),
                    UnaryKind::Asin => each(x, $m::asin),
                    UnaryKind::Asinh => each(x, $m::asinh),
                    UnaryKind::Atan => each(x, $m::atan),
                    UnaryKind::Atanh => each(x, $m::atanh),
                    UnaryKind::BitNot => {}
                    UnaryKind::Ceil => each(x, $name::ceil),
                    UnaryKind::Celu { alpha } => {
                        let alpha = of(alpha);
                        each(x, |x| if x < 0.0 { alpha * $m::expm1(x / alpha) } else { x });
                    }
                    UnaryKind::Cos => each(x, $m::cos),
                    UnaryKind::Cosh => each(x, $m::cosh),
                    UnaryKind::Elu { alpha } => each(x, |x| if x < 0.0 { of(alpha) * $m::expm1(x) } else { x }),
                    UnaryKind::Erf => each(x, $m::erf),
                    UnaryKind::Exp => each(x, $m::exp),
                    UnaryKind::Floor => each(x, $name::floor),
                    UnaryKind::Gelu => each(x, |x| 0.5 * x * (1.0 + $m::erf(x * HALF_ROOT))),
                    UnaryKind::GeluTanh => {
                        const ROOT: $name = std::f64::consts::FRAC_2_SQRT_PI as $name * HALF_ROOT;
                        each(x, |x| 0.5 * x * (1.0 + $m::tanh(ROOT * (x + 0.044715 * x * x * x))));
                    }
                    UnaryKind::HardSigmoid { alpha, beta } => {
                        each(x, |x| (of(alpha) * x + of(beta)).clamp(0.0, 1.0));
                    }
                    UnaryKind::HardSwish => each(x, |x| x * (x / 6.0 + 0.5).clamp(0.0, 1.0)),
                    UnaryKind::IsInf { negative, positive } => each(x, |x| {
                        truth((negative && x == $name::NEG_INFINITY) || (positive && x == $name::INFINITY))
                    }),
                    UnaryKind::IsNan => each(x, |x| truth(x.is_nan())),
                    UnaryKind::LeakyRelu { alpha } => each(x, |x| if x < 0.0 { of(alpha) * x } else { x }),
                    UnaryKind::Log => each(x, $m::log),
                    UnaryKind::Mish => each(x, |x| x * $m::tanh(softplus(x))),
                    UnaryKind::Neg => each(x, |x| -x),
                    UnaryKind::Not => each(x, |x| truth(x == 0.0)),
                    UnaryKind::Reciprocal => each(x, |x| 1.0 / x),
                    // What is not a number stays.
                    UnaryKind::Relu => each(x, |x| if x < 0.0 { 0.0 } else { x }),
                    UnaryKind::Round => each(x, $name::round_ties_even),
                    UnaryKind::ScaledTanh { alpha, beta } => each(x, |x| of(alpha) * $m::tanh(of(beta) * x)),
                    UnaryKind::Selu { alpha, gamma } => {
                        each(x, |x| of(gamma) * if x > 0.0 { x } else { of(alpha) * $m::expm1(x) });
                    }
                    UnaryKind::Shrink { bias, lambd } => each(x, |x| {
                        let (bias, lambd) = (of(bias), of(lambd));
                        if x < -lambd { x + bias } else if x > lambd { x - bias } else { 0.0 }
                    }),
                    UnaryKind::Sigmoid => each(x, sigmoid),
                    UnaryKind::Sign => each(x, |x| if x > 0.0 { 1.0 } else if x < 0.0 { -1.0 } else { x }),
                    UnaryKind::Sin => each(x, $m::sin),
                    UnaryKind::Sinh => each(x, $m::sinh),
                    UnaryKind::Softplus => each(x, softplus),
                    UnaryKind::Softsign => each(x, |x| x / (1.0 + x.abs())),
                    UnaryKind::Sqrt => each(x, $name::sqrt),
                    UnaryKind::Swish { alpha } => each(x, |x| x * sigmoid(of(alpha) * x)),
                    UnaryKind::Tan => each(x, $m::tan),
                    UnaryKind::Tanh => each(x, $m::tanh),
                    UnaryKind::ThresholdedRelu { alpha } => each(x, |x| if x > of(alpha) { x } else { 0.0 }),
                }
            }
        }
    };
}

/// The functions of `libm` for f32 under the names that those for f64 have.
mod single {
    pub use libm::{
        acosf as acos, acoshf as acosh, asinf as asin, asinhf as asinh, atanf as atan, atanhf as atanh, cosf as cos,
        coshf as cosh, erff as erf, expf as exp, expm1f as expm1, log1pf as log1p, logf as log, sinf as sin,
        sinhf as sinh, tanf as tan, tanhf as tanh,
    };
}

function_float!(f32, single);
function_float!(f64, libm);

impl Function for i64 {
    fn apply(kind: UnaryKind, x: &mut [i64]) {
        match kind {
            UnaryKind::Abs => each(x, i64::wrapping_abs),
            UnaryKind::BitNot => each(x, |x| !x),
            UnaryKind::IsInf { .. } | UnaryKind::IsNan => x.fill(0),
            UnaryKind::Neg => each(x, i64::wrapping_neg),
            UnaryKind::Not => each(x, |x| i64::from(x == 0)),
            UnaryKind::Sign => each(x, i64::signum),
            UnaryKind::Ceil | UnaryKind::Floor | UnaryKind::Round => {}
            UnaryKind::Relu => each(x, |x| x.max(0)),
            // Functions of fractions, cut off.
            kind => each(x, |x| {
                let mut y = [x as f64];
                f64::apply(kind, &mut y);
                y[0] as i64
            }),
        }
    }
}

impl Function for u64 {
    fn apply(kind: UnaryKind, x: &mut [u64]) {
        match kind {
            UnaryKind::BitNot => each(x, |x| !x),
            UnaryKind::IsInf { .. } | UnaryKind::IsNan => x.fill(0),
            UnaryKind::Not => each(x, |x| u64::from(x == 0)),
            UnaryKind::Sign => each(x, |x| x.min(1)),
            _ => {}
        }
    }
}
