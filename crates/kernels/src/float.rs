//! Functions of one f32 as straight-line code, which the compiler turns into vectors: exp, sigmoid, tanh.
//!
//! Not libm: the same fused multiply-adds on every instruction set, hence the same bits, at a small cost in accuracy:
//! exp and sigmoid are within 2 units in the last place, tanh within 3. The range reduction and the polynomials are the
//! classic ones of the Cephes library (S. Moshier).

/// Where exp(x) leaves the normal numbers: below, [`exp`] gives 0; above `EXP_MAX`, infinity.
const EXP_MIN: f32 = -87.336_54;
const EXP_MAX: f32 = 88.722_83;
/// Adding and taking away this number rounds to an integer, ties to even.
pub(crate) const ROUND: f32 = 12_582_912.0;

/// e to the power of `x`; 0 below -87.34.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    let clamped = if x > EXP_MAX { EXP_MAX } else { x };
    let clamped = if clamped < EXP_MIN { EXP_MIN } else { clamped };
    let shifted = clamped.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, the first with so few bits that its product with n is exact.
    let r = n.mul_add(-0.693_359_4, clamped);
    let r = n.mul_add(2.121_944_4e-4, r);
    let mut p = 1.987_569_1e-4f32;
    for c in [1.398_199_9e-3, 8.333_452e-3, 4.166_579_6e-2, 1.666_666_5e-1, 0.5] {
        p = p.mul_add(r, c);
    }
    let p = (r * r).mul_add(p, r) + 1.0;
    // Two steps, because 2^128 has no exponent of its own.
    let n = shifted.to_bits().wrapping_sub(ROUND.to_bits()) as i32;
    let half = n >> 1;
    let power = |n: i32| f32::from_bits(((n + 127) << 23) as u32);
    let y = p * power(half) * power(n - half);
    let y = if x < EXP_MIN { 0.0 } else { y };
    let y = if x > EXP_MAX { f32::INFINITY } else { y };
    if x.is_nan() { x } else { y }
}

/// 1 / (1 + e^-x).
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// The hyperbolic tangent.
#[inline(always)]
pub(crate) fn tanh(x: f32) -> f32 {
    let z = x * x;
    let mut p = -5.704_988_7e-3f32;
    for c in [2.063_909e-2, -5.373_971_6e-2, 1.333_144_2e-1, -3.333_328e-1] {
        p = p.mul_add(z, c);
    }
    let small = (z * p).mul_add(x, x);
    let a = x.abs();
    let large = (1.0 - 2.0 / (exp(a + a) + 1.0)).copysign(x);
    if a < 0.625 { small } else { large }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The largest error of `f` over `[low, high]` against `exact`, in units in the last place of the exact result.
    fn worst(f: fn(f32) -> f32, exact: fn(f64) -> f64, low: f32, high: f32) -> f64 {
        let steps = 400_000;
        let points = (0..=steps).map(|i| low + (high - low) * (i as f32 / steps as f32));
        let error = |x: f32| {
            let want = exact(f64::from(x));
            let ulp = 2f64.powi((want.abs().log2().floor() as i32).max(-126) - 23);
            (f64::from(f(x)) - want).abs() / ulp
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
    }

    #[test]
    fn edges() {
        let cases = [(0.0, 1.0), (-0.0, 1.0), (-88.0, 0.0), (f32::NEG_INFINITY, 0.0), (89.0, f32::INFINITY)];
        for (x, want) in cases {
            assert_eq!(exp(x), want, "{x}");
        }
        assert!(exp(f32::NAN).is_nan() && sigmoid(f32::NAN).is_nan() && tanh(f32::NAN).is_nan());
        assert_eq!((tanh(30.0), tanh(-30.0), tanh(0.0)), (1.0, -1.0, 0.0));
        assert_eq!((sigmoid(200.0), sigmoid(-200.0)), (1.0, 0.0));
    }
}
