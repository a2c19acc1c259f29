//! Functions of f32, sixteen lanes at a time: erf, exp, sigmoid, tanh.
//!
//! Not libm: the same fused multiply-adds on every instruction set, hence the same bits, at a small cost in accuracy:
//! exp and sigmoid are within 2 units in the last place, tanh within 3. The range reduction and the polynomials are the
//! classic ones of the Cephes library (S. Moshier).

use crate::isa::Isa;

/// Where exp(x) leaves the normal numbers: below, [`exp`] gives 0; above `EXP_MAX`, infinity.
const EXP_MIN: f32 = -87.336_54;
const EXP_MAX: f32 = 88.722_83;
/// Adding and taking away this number rounds to an integer, ties to even.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// e to the power of `x`; 0 below -87.34.
#[inline(always)]
pub(crate) fn exp<I: Isa>(isa: I, x: I::F) -> I::F {
    let power = isa.fma(x, isa.splat(std::f32::consts::LOG2_E), isa.splat(ROUND));
    let n = isa.add(power, isa.splat(-ROUND));
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    let r = isa.fma(n, isa.splat(-0.693_359_4), x);
    let r = isa.fma(n, isa.splat(2.121_944_4e-4), r);
    let p = isa.fma(isa.splat(1.987_569_1e-4), r, isa.splat(1.398_199_9e-3));
    let p = isa.fma(p, r, isa.splat(8.333_452e-3));
    let p = isa.fma(p, r, isa.splat(4.166_579_6e-2));
    let p = isa.fma(p, r, isa.splat(1.666_666_5e-1));
    let p = isa.fma(p, r, isa.splat(0.5));
    let p = isa.add(isa.fma(isa.mul(r, r), p, r), isa.splat(1.0));
    let y = isa.scale(p, power);
    let y = isa.less(x, isa.splat(EXP_MIN), isa.splat(0.0), y);
    isa.less(isa.splat(EXP_MAX), x, isa.splat(f32::INFINITY), y)
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid<I: Isa>(isa: I, x: I::F) -> I::F {
    let one = isa.splat(1.0);
    isa.div(one, isa.add(one, exp(isa, isa.mul(x, isa.splat(-1.0)))))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh<I: Isa>(isa: I, x: I::F) -> I::F {
    let (one, minus) = (isa.splat(1.0), isa.splat(-1.0));
    let z = isa.mul(x, x);
    let p = isa.fma(isa.splat(-5.704_988_7e-3), z, isa.splat(2.063_909e-2));
    let p = isa.fma(p, z, isa.splat(-5.373_971_6e-2));
    let p = isa.fma(p, z, isa.splat(1.333_144_2e-1));
    let p = isa.fma(p, z, isa.splat(-3.333_328e-1));
    let small = isa.fma(isa.mul(z, p), x, x);
    let a = isa.max(x, isa.mul(x, minus));
    let e = exp(isa, isa.add(a, a));
    let large = isa.fma(isa.div(isa.splat(-2.0), isa.add(e, one)), one, one);
    let large = isa.less(x, isa.splat(0.0), isa.mul(large, minus), large);
    isa.less(a, isa.splat(0.625), small, large)
}

/// The error function: below one a polynomial, above one minus e to the power of another.
#[inline(always)]
pub(crate) fn erf<I: Isa>(isa: I, x: I::F) -> I::F {
    let (one, minus) = (isa.splat(1.0), isa.splat(-1.0));
    let polynomial = |x: I::F, terms: &[f32]| {
        let mut sum = isa.splat(terms[0]);
        for i in 1..terms.len() {
            sum = isa.fma(sum, x, isa.splat(terms[i]));
        }
        sum
    };
    let small = polynomial(
        isa.mul(x, x),
        &[
            -9.673_595e-6,
            1.126_825_9e-4,
            -8.484_398e-4,
            5.221_053_5e-3,
            -2.686_543_8e-2,
            1.128_378_3e-1,
            -3.761_263_8e-1,
            std::f32::consts::FRAC_2_SQRT_PI,
        ],
    );
    let small = isa.mul(small, x);
    let a = isa.max(x, isa.mul(x, minus));
    let a = isa.less(isa.splat(4.0), a, isa.splat(4.0), a);
    let power = polynomial(
        a,
        &[
            -1.614_049_3e-6,
            4.559_039_4e-5,
            -5.927_677e-4,
            4.740_214_4e-3,
            -2.636_469_5e-2,
            1.099_782_1e-1,
            6.319_371_5e-1,
            1.130_166_7,
            -3.032_09e-4,
        ],
    );
    let large = isa.add(one, isa.mul(minus, exp(isa, isa.mul(power, minus))));
    let large = isa.less(x, isa.splat(0.0), isa.mul(large, minus), large);
    isa.less(a, one, small, large)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::isa::scalar::Scalar;

    fn one(f: fn(Scalar, [f32; 16]) -> [f32; 16], x: f32) -> f32 {
        f(Scalar, [x; 16])[0]
    }

    /// The largest error of `f` over `[low, high]` against `exact`, in units in the last place of the exact result.
    fn worst(f: fn(Scalar, [f32; 16]) -> [f32; 16], exact: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let steps = 100_000;
        let points = (0..=steps).map(|i| low + (high - low) * (i as f32 / steps as f32));
        let error = |x: f32| {
            let want = exact(f64::from(x));
            let ulp = 2f64.powi((want.abs().log2().floor() as i32).max(-126) - 23);
            (f64::from(one(f, x)) - want).abs() / ulp
        };
        points.map(error).fold(0.0, f64::max)
    }

    #[test]
    fn errors_are_small() {
        assert!(worst(exp, f64::exp, -87.3, 88.7) < 2.0);
        assert!(worst(exp, f64::exp, -1.0, 1.0) < 2.0);
        assert!(worst(sigmoid, |x| 1.0 / (1.0 + (-x).exp()), -80.0, 20.0) < 3.0);
        assert!(worst(tanh, f64::tanh, -10.0, 10.0) < 3.0);
        assert!(worst(tanh, f64::tanh, 0.001, 1.0) < 3.0);
        assert!(worst(erf, libm::erf, -5.0, 5.0) < 4.0);
    }

    #[test]
    fn edges() {
        let cases = [(0.0, 1.0), (-0.0, 1.0), (-88.0, 0.0), (f32::NEG_INFINITY, 0.0), (89.0, f32::INFINITY)];
        for (x, want) in cases {
            assert_eq!(one(exp, x), want, "{x}");
        }
        assert_eq!(
            (one(exp, f32::INFINITY), one(exp, -3e38), one(exp, 3e38)),
            (f32::INFINITY, 0.0, f32::INFINITY)
        );
        assert!([erf, exp, sigmoid, tanh].map(|f: fn(_, _) -> _| one(f, f32::NAN).is_nan()) == [true; 4]);
        assert_eq!((one(tanh, 30.0), one(tanh, -30.0), one(tanh, 0.0)), (1.0, -1.0, 0.0));
        assert_eq!((one(sigmoid, 200.0), one(sigmoid, -200.0)), (1.0, 0.0));
    }
}
