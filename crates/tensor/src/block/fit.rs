//! Choosing scales: least squares over a few candidates, for one group and for a super-block of groups.
//!
//! Not needed to read a model; only [`quantize`](super::BlockFormat::quantize) comes here. The one design choice:
//! every candidate rounds the values to codes first and then solves for the scale (and minimum) that fits those
//! codes best, so that the grid of candidates may be coarse.

use super::Groups;
use super::bits::through_f16;

/// Candidates on either side of the obvious scale.
const REACH: i32 = 12;

/// The value of largest magnitude, the first of equals, with its sign.
pub(super) fn peak(values: &[f32]) -> f32 {
    values.iter().fold(0.0, |peak: f32, &v| if v.abs() > peak.abs() { v } else { peak })
}

/// The smallest and the largest value.
pub(super) fn range(values: &[f32]) -> (f32, f32) {
    values.iter().fold((f32::MAX, f32::MIN), |(low, high), &v| (low.min(v), high.max(v)))
}

/// `1 / x`, or 0 for 0, so that a group of zeros needs no branch of its own.
pub(super) fn inverse(x: f32) -> f32 {
    if x == 0.0 { 0.0 } else { 1.0 / x }
}

/// The nearest integer between `low` and `high`.
pub(super) fn round_to(x: f32, low: f32, high: f32) -> f32 {
    x.round_ties_even().clamp(low, high)
}

/// The scale `s` for which `s * code(x / s)` lies nearest to the values.
///
/// `code` rounds to the nearest code. The candidates map the peak to the lowest code and to points around it,
/// `step` apart.
pub(super) fn scale(values: &[f32], step: f32, code: impl Fn(f32) -> f32) -> f32 {
    let to_code = inverse(peak(values));
    let (mut best_score, mut best) = (0.0, 0.0);
    for k in -REACH..=REACH {
        let to_code = to_code * (code(f32::MIN) + step * k as f32);
        let Sums { xq, qq, .. } = Sums::of(values, |v| code(v * to_code));
        if xq * xq > best_score * qq {
            (best_score, best) = (xq * xq / qq, xq / qq);
        }
    }
    best as f32
}

/// The scale and the minimum, both at least 0, for which `scale * q - min` with `q` in `0..=top` lies nearest to
/// the values.
pub(super) fn scale_and_min(values: &[f32], top: f32) -> (f32, f32) {
    let (low, high) = range(values);
    let low = low.min(0.0);
    let (mut best_score, mut best) = (f64::MIN, (0.0, 0.0));
    for k in -REACH..=REACH {
        let to_code = (top + 0.1 * k as f32) * inverse(high - low);
        let Sums { w, x, q, xq, qq } = Sums::of(values, |v| round_to((v - low) * to_code, 0.0, top));
        let determinant = w * qq - q * q;
        let (mut s, mut m) = ((w * xq - x * q) / determinant, (q * xq - x * qq) / determinant);
        // One code for all values leaves nothing to solve; a negative minimum is not allowed, so do without.
        if !(s >= 0.0 && m >= 0.0 && determinant > 1e-9 * w * qq) {
            (s, m) = if xq > 0.0 { (xq / qq, 0.0) } else { (0.0, (-x / w).max(0.0)) };
        }
        let score = s * xq - m * x;
        if score > best_score {
            (best_score, best) = (score, (s as f32, m as f32));
        }
    }
    best
}

/// What a least-squares fit of codes `q` to values `x` needs: sums of weights and of weighted products.
struct Sums {
    w: f64,
    x: f64,
    q: f64,
    xq: f64,
    qq: f64,
}

impl Sums {
    /// A value weighs its magnitude plus the root mean square of all.
    fn of(values: &[f32], code: impl Fn(f32) -> f32) -> Sums {
        let mean_square = values.iter().map(|v| v * v).sum::<f32>() / values.len() as f32;
        let floor = mean_square.sqrt();
        let mut sums = Sums { w: 0.0, x: 0.0, q: 0.0, xq: 0.0, qq: 0.0 };
        for &v in values {
            let (w, x, q) = (f64::from(v.abs() + floor), f64::from(v), f64::from(code(v)));
            sums.w += w;
            sums.x += w * x;
            sums.q += w * q;
            sums.xq += w * x * q;
            sums.qq += w * q * q;
        }
        sums
    }
}

/// A super-block whose elements are `(d * scale[g]) * q - (dmin * min[g])`; `d` and `dmin` are f16 numbers.
pub(super) struct WithMin {
    pub d: f32,
    pub dmin: f32,
    pub scale: [u8; Groups::MAX_GROUPS],
    pub min: [u8; Groups::MAX_GROUPS],
    pub q: [u8; Groups::MAX_ELEMENTS],
}

/// Fits groups of `group` values with codes in `0..=top` and sub-scales in `0..=sub_top`.
pub(super) fn with_min(values: &[f32], group: usize, top: f32, sub_top: f32) -> WithMin {
    let mut fits = [(0.0f32, 0.0f32); Groups::MAX_GROUPS];
    for (fit, group) in fits.iter_mut().zip(values.chunks(group)) {
        *fit = scale_and_min(group, top);
    }
    let largest = |of: fn(&(f32, f32)) -> f32| fits.iter().map(of).fold(0.0, f32::max);
    let d = through_f16(largest(|f| f.0) / sub_top);
    let dmin = through_f16(largest(|f| f.1) / sub_top);
    let mut out = WithMin {
        d,
        dmin,
        scale: [0; Groups::MAX_GROUPS],
        min: [0; Groups::MAX_GROUPS],
        q: [0; Groups::MAX_ELEMENTS],
    };
    for (g, (q, values)) in out.q.chunks_mut(group).zip(values.chunks(group)).enumerate() {
        out.scale[g] = round_to(fits[g].0 * inverse(d), 0.0, sub_top) as u8;
        out.min[g] = round_to(fits[g].1 * inverse(dmin), 0.0, sub_top) as u8;
        let to_code = inverse(d * f32::from(out.scale[g]));
        let min = dmin * f32::from(out.min[g]);
        for (q, v) in q.iter_mut().zip(values) {
            *q = round_to((v + min) * to_code, 0.0, top) as u8;
        }
    }
    out
}

/// A super-block whose elements are `(d * scale[g]) * q`; `d` is an f16 number.
pub(super) struct Symmetric {
    pub d: f32,
    pub scale: [i8; Groups::MAX_GROUPS],
    pub q: [i8; Groups::MAX_ELEMENTS],
}

/// Fits groups of `group` values with the codes of [`scale`] and sub-scales from `sub_low` to `-sub_low - 1`.
pub(super) fn symmetric(
    values: &[f32],
    group: usize,
    sub_low: f32,
    step: f32,
    code: impl Fn(f32) -> f32,
) -> Symmetric {
    let mut fits = [0.0; Groups::MAX_GROUPS];
    for (fit, group) in fits.iter_mut().zip(values.chunks(group)) {
        *fit = scale(group, step, &code);
    }
    let d = through_f16(peak(&fits) / sub_low);
    let mut out = Symmetric { d, scale: [0; Groups::MAX_GROUPS], q: [0; Groups::MAX_ELEMENTS] };
    for (g, (q, values)) in out.q.chunks_mut(group).zip(values.chunks(group)).enumerate() {
        out.scale[g] = round_to(fits[g] * inverse(d), sub_low, -sub_low - 1.0) as i8;
        let to_code = inverse(d * f32::from(out.scale[g]));
        for (q, v) in q.iter_mut().zip(values) {
            *q = code(v * to_code) as i8;
        }
    }
    out
}
