//! A group of activations of sixteen columns to int8, all columns at once.
//!
//! Not the rule, which is in the crate's description and written plainly in [`crate::quantize`]. The one design choice:
//! largest values, integers and sums are turned, so that a column is a lane, and nothing is done lane by lane; groups that
//! the rule makes an exception of are left to the plain way.

use super::Avx512;
use crate::isa::{LANES, SideOfGroup};
use std::arch::x86_64::*;

/// Bits of the largest number, and of what counts as zero.
const LARGEST: i32 = f32::MAX.to_bits() as i32;
const TINY: i32 = crate::quantize::TINY.to_bits() as i32;

/// Quantises 32 elements of each of sixteen columns that begin `apart` elements from each other. Whether it did: a group of
/// zeros, or of what is not finite, is not for this.
///
/// # Safety
/// The elements are readable.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[inline]
pub(super) unsafe fn sixteen(_: Avx512, x: *const f32, apart: usize, out: SideOfGroup) -> bool {
    // SAFETY: the elements are the caller's.
    unsafe {
        let amax = largest(x, apart);
        let odd = _mm512_cmpgt_epi32_mask(amax, _mm512_set1_epi32(LARGEST))
            | _mm512_cmplt_epi32_mask(amax, _mm512_set1_epi32(TINY));
        if odd != 0 {
            return false;
        }
        let (amax, limit) = (_mm512_castsi512_ps(amax), _mm512_set1_ps(127.0));
        _mm512_storeu_ps(out.scale.as_mut_ptr(), _mm512_div_ps(amax, limit));
        let mut inverse = [0.0; LANES];
        _mm512_storeu_ps(inverse.as_mut_ptr(), _mm512_div_ps(limit, amax));

        let mut pairs = [_mm512_setzero_si512(); 8];
        for i in 0..8 {
            // Of two columns: steps p and p + 4 of the first, then of the second, in part p.
            let words = [0, 1].map(|second| {
                let (from, by) = (x.add((2 * i + second) * apart), _mm512_set1_ps(inverse[2 * i + second]));
                let low = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from), by));
                let high = _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(from.add(LANES)), by));
                _mm512_packs_epi32(low, high)
            });
            pairs[i] = _mm512_packs_epi16(words[0], words[1]);
        }
        let (low, high) = (parts(fours::<0x88>(pairs)), parts(fours::<0xdd>(pairs)));
        let sums = [low, high].map(|half| {
            let mut sum = _mm512_setzero_si512();
            for step in half {
                sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8(1), step);
            }
            sum
        });
        for p in 0..4 {
            _mm512_storeu_si512(out.q[p].as_mut_ptr().cast(), low[p]);
            _mm512_storeu_si512(out.q[4 + p].as_mut_ptr().cast(), high[p]);
        }
        let first = _mm512_and_si512(sums[0], _mm512_set1_epi32(0xffff));
        let both = _mm512_or_si512(first, _mm512_slli_epi32::<16>(sums[1]));
        _mm512_storeu_si512(out.sums.as_mut_ptr().cast(), both);
        true
    }
}

/// The bits of the largest magnitude of each column; those of what is not finite are greater than all others.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[inline]
unsafe fn largest(x: *const f32, apart: usize) -> __m512i {
    let magnitude = _mm512_set1_epi32(i32::MAX);
    let column = |i: usize| {
        // SAFETY: the caller's.
        let (low, high) = unsafe {
            let from = x.add(i * apart);
            (_mm512_loadu_si512(from.cast()), _mm512_loadu_si512(from.add(LANES).cast()))
        };
        _mm512_max_epi32(_mm512_and_si512(low, magnitude), _mm512_and_si512(high, magnitude))
    };
    let four = |i: usize| {
        let two = |i: usize| {
            let (a, b) = (column(i), column(i + 1));
            _mm512_max_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b))
        };
        let (a, b) = (two(i), two(i + 2));
        _mm512_max_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b))
    };
    let halves = |a: __m512i, b: __m512i| {
        _mm512_max_epi32(_mm512_shuffle_i32x4::<0x88>(a, b), _mm512_shuffle_i32x4::<0xdd>(a, b))
    };
    halves(halves(four(0), four(4)), halves(four(8), four(12)))
}

/// Four columns together: of each part what `WHICH` says.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[inline]
fn fours<const WHICH: i32>(pairs: [__m512i; 8]) -> [__m512i; 4] {
    let mut out = [pairs[0]; 4];
    for i in 0..4 {
        let (a, b) = (_mm512_castsi512_ps(pairs[2 * i]), _mm512_castsi512_ps(pairs[2 * i + 1]));
        out[i] = _mm512_castps_si512(_mm512_shuffle_ps::<WHICH>(a, b));
    }
    out
}

/// Part `p` of all four in vector `p`.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[inline]
fn parts([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
    let (ab, cd) = (_mm512_shuffle_i32x4::<0x44>(a, b), _mm512_shuffle_i32x4::<0x44>(c, d));
    let (ef, gh) = (_mm512_shuffle_i32x4::<0xee>(a, b), _mm512_shuffle_i32x4::<0xee>(c, d));
    [
        _mm512_shuffle_i32x4::<0x88>(ab, cd),
        _mm512_shuffle_i32x4::<0xdd>(ab, cd),
        _mm512_shuffle_i32x4::<0x88>(ef, gh),
        _mm512_shuffle_i32x4::<0xdd>(ef, gh),
    ]
}
