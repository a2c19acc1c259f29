//! AVX2 with FMA and F16C: sixteen lanes are two registers.
//!
//! Not a place for loops over a matrix. Unsigned codes meet int8 activations in `vpmaddubsw`, whose 16-bit sums can be
//! added up for a while before they overflow (eight times for 4-bit codes); signed codes give their signs to the
//! activations and meet them as absolute values.

use super::{Isa, Kernel, LANES, Panels, Words};
use crate::dot;
use crate::float::ROUND;
use crate::product::{InterleaveFn, SliceFn, sixteen};
use std::arch::asm;
use std::arch::x86_64::*;
use std::hint::black_box;
use tensor::DType;

/// Proof that this CPU has AVX2, FMA and F16C.
#[derive(Clone, Copy)]
pub(crate) struct Avx2(());

/// Calls intrinsics on behalf of an `Avx2`.
macro_rules! avx2 {
    ($e:expr) => {
        // SAFETY: a value of `Avx2` exists, so the CPU has the instructions; pointers come from references, or
        // the caller of the surrounding unsafe function vouches for them.
        unsafe { $e }
    };
}

/// `[f(0), f(1)]`, for the two registers that make up sixteen lanes.
macro_rules! both {
    ($h:ident => $e:expr) => {
        avx2!([
            {
                const $h: usize = 0;
                $e
            },
            {
                const $h: usize = 1;
                $e
            }
        ])
    };
}

/// Does something an even number of times. For more than one column it is a loop that stays one: unrolled in full, the
/// compiler would make a tree of each column's sum and load the codes again for every column.
macro_rules! repeat {
    ($columns:expr, $times:expr => $body:expr) => {
        let times = if $columns == 1 { $times / 2 } else { black_box($times / 2) };
        for _ in 0..times {
            $body;
            $body;
        }
    };
}

impl Isa for Avx2 {
    const NAME: &'static str = "avx2";
    const DOTS: &'static [(DType, SliceFn)] = dot::dots::<Avx2>();
    const INTERLEAVE: InterleaveFn = sixteen::interleave::<Avx2>;
    const CHAINS: usize = 6;
    const WORDS: Words = Words::Pairs;
    const PRODUCTS: usize = 4 * LANES;
    type F = [__m256; 2];
    type W = [__m256i; 2];

    fn detect() -> Option<Avx2> {
        let has = is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Avx2(()))
    }

    fn run<K: Kernel<Avx2>>(self, kernel: K) {
        #[target_feature(enable = "avx2,fma,f16c")]
        #[inline(never)]
        fn with_features<K: Kernel<Avx2>>(isa: Avx2, kernel: K) {
            kernel.run(isa)
        }
        avx2!(with_features(self, kernel))
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        avx2!(_mm_prefetch::<_MM_HINT_T1>(address.cast()))
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        both!(H => _mm256_loadu_ps(x.as_ptr().add(8 * H)))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F {
        both!(H => _mm256_cvtph_ps(_mm_loadu_si128(x.as_ptr().add(16 * H).cast())))
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F {
        both!(H => {
            let wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(x.as_ptr().add(16 * H).cast()));
            _mm256_castsi256_ps(_mm256_slli_epi32::<16>(wide))
        })
    }

    #[inline(always)]
    fn load_i8(self, x: &[u8; LANES]) -> Self::F {
        both!(H => _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(x.as_ptr().add(8 * H).cast()))))
    }

    #[inline(always)]
    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F {
        both!(H => {
            let four = _mm256_castps128_ps256(_mm_loadu_ps(x.as_ptr().add(4 * H)));
            _mm256_permutevar8x32_ps(four, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))
        })
    }

    #[inline(always)]
    fn store(self, x: Self::F, out: &mut [f32; LANES]) {
        both!(H => _mm256_storeu_ps(out.as_mut_ptr().add(8 * H), x[H]));
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]) {
        both!(H => {
            let halves = _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x[H]);
            _mm_storeu_si128(out.as_mut_ptr().add(16 * H).cast(), halves)
        });
    }

    #[inline(always)]
    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]) {
        avx2!({
            let low = _mm256_set1_epi32(255);
            let a = _mm256_and_si256(_mm256_castps_si256(x[0]), low);
            let b = _mm256_and_si256(_mm256_castps_si256(x[1]), low);
            // Words in the order 0-3, 8-11, 4-7, 12-15, then bytes.
            let words = _mm256_packus_epi32(a, b);
            let words = _mm256_permute4x64_epi64::<0xd8>(words);
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(out.as_mut_ptr().cast(), bytes);
        })
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        avx2!([_mm256_set1_ps(x); 2])
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_add_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_sub_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_mul_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_max_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_min_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        both!(H => _mm256_div_ps(a[H], b[H]))
    }

    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        both!(H => _mm256_blendv_ps(y[H], x[H], _mm256_cmp_ps::<_CMP_LT_OQ>(a[H], b[H])))
    }

    #[inline(always)]
    fn scale(self, x: Self::F, power: Self::F) -> Self::F {
        both!(H => {
            let n = _mm256_sub_epi32(_mm256_castps_si256(power[H]), _mm256_set1_epi32(ROUND.to_bits() as i32));
            // Two steps, because 2^128 has no exponent of its own.
            let half = _mm256_srai_epi32::<1>(n);
            _mm256_mul_ps(_mm256_mul_ps(x[H], two_to(self, half)), two_to(self, _mm256_sub_epi32(n, half)))
        })
    }

    #[inline(always)]
    fn whole(self, x: &[u32; LANES]) -> Self::W {
        both!(H => _mm256_loadu_si256(x.as_ptr().add(8 * H).cast()))
    }

    #[inline(always)]
    fn numbers(self, x: Self::W) -> [i32; LANES] {
        let mut out = [0; LANES];
        let _: [(); 2] = both!(H => _mm256_storeu_si256(out.as_mut_ptr().add(8 * H).cast(), x[H]));
        out
    }

    #[inline(always)]
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let left = avx2!(_mm256_set1_epi32(left as i32));
        both!(H => _mm256_add_epi32(sum[H], _mm256_madd_epi16(right[H], left)))
    }

    #[inline(always)]
    fn multiply(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let left = avx2!(_mm256_set1_epi32(left as i32));
        both!(H => _mm256_add_epi16(sum[H], _mm256_maddubs_epi16(right[H], left)))
    }

    #[inline(always)]
    fn swap(self, x: Self::F) -> Self::F {
        both!(H => _mm256_permute_ps::<0xb1>(x[H]))
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        avx2!({
            let x8 = _mm256_max_ps(x[0], x[1]);
            let x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps::<1>(x8));
            let x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
            _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)))
        })
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        both!(H => _mm256_fmadd_ps(a[H], b[H], c[H]))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        avx2!({
            let x8 = _mm256_add_ps(x[0], x[1]);
            let x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps::<1>(x8));
            let x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
            _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)))
        })
    }
}

/// Two to the powers `n`, normal numbers.
#[inline(always)]
fn two_to(_: Avx2, n: __m256i) -> __m256 {
    avx2!({
        let biased = _mm256_add_epi32(n, _mm256_set1_epi32(127));
        _mm256_castsi256_ps(_mm256_slli_epi32::<23>(biased))
    })
}

/// The same address and stride, of which the compiler knows nothing. Otherwise it would keep the addresses of sixteen rows
/// at hand through a loop, most of them in memory, rather than add them up from two registers.
#[allow(clippy::pointers_in_nomem_asm_block)]
#[inline(always)]
fn unknown(mut rows: *const u8, mut stride: usize) -> (*const u8, usize) {
    // SAFETY: no instruction at all.
    unsafe {
        asm!("/* {0} {1} */", inout(reg) rows, inout(reg) stride, options(pure, nomem, nostack, preserves_flags));
    }
    (rows, stride)
}

/// Sixteen bytes at `at`, and sixteen four strides further on.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn pair16(_: Avx2, at: *const u8, stride: usize) -> __m256i {
    avx2!({
        let low = _mm_loadu_si128(at.cast());
        let high = _mm_loadu_si128(at.add(4 * stride).cast());
        _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
    })
}

/// The first byte of the 32-bit element that each byte of a 128-bit lane is in.
const PLACE_LOW: i64 = 0x0404_0404_0000_0000;
const PLACE_HIGH: i64 = 0x0c0c_0c0c_0808_0808;

/// A 4 x 4 transposition of 32-bit elements within each 128-bit lane.
#[inline(always)]
fn transpose(_: Avx2, x: [__m256i; 4]) -> [__m256i; 4] {
    avx2!({
        let (a, b) = (_mm256_unpacklo_epi32(x[0], x[1]), _mm256_unpackhi_epi32(x[0], x[1]));
        let (c, d) = (_mm256_unpacklo_epi32(x[2], x[3]), _mm256_unpackhi_epi32(x[2], x[3]));
        [
            _mm256_unpacklo_epi64(a, c),
            _mm256_unpackhi_epi64(a, c),
            _mm256_unpacklo_epi64(b, d),
            _mm256_unpackhi_epi64(b, d),
        ]
    })
}

impl Panels for Avx2 {
    type V = [__m256i; 2];
    const SIGNED_OFFSET: i32 = 0;
    const BY_BITS: bool = true;
    const TILE: usize = 1;

    #[inline(always)]
    unsafe fn rows16(self, rows: *const u8, stride: usize) -> [Self::V; 4] {
        let (rows, stride) = unknown(rows, stride);
        let mut x = both!(H => {
            let rows = rows.add(8 * H * stride);
            [
                pair16(self, rows, stride),
                pair16(self, rows.add(stride), stride),
                pair16(self, rows.add(2 * stride), stride),
                pair16(self, rows.add(3 * stride), stride),
            ]
        });
        x = [transpose(self, x[0]), transpose(self, x[1])];
        [[x[0][0], x[1][0]], [x[0][1], x[1][1]], [x[0][2], x[1][2]], [x[0][3], x[1][3]]]
    }

    #[inline(always)]
    unsafe fn rows4(self, rows: *const u8, stride: usize) -> Self::V {
        let (rows, stride) = unknown(rows, stride);
        both!(H => {
            let rows = rows.add(8 * H * stride).cast::<u8>();
            let low = _mm_setr_epi32(
                rows.cast::<i32>().read_unaligned(),
                rows.add(stride).cast::<i32>().read_unaligned(),
                rows.add(2 * stride).cast::<i32>().read_unaligned(),
                rows.add(3 * stride).cast::<i32>().read_unaligned(),
            );
            let rows = rows.add(4 * stride);
            let high = _mm_setr_epi32(
                rows.cast::<i32>().read_unaligned(),
                rows.add(stride).cast::<i32>().read_unaligned(),
                rows.add(2 * stride).cast::<i32>().read_unaligned(),
                rows.add(3 * stride).cast::<i32>().read_unaligned(),
            );
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(low), high)
        })
    }

    #[inline(always)]
    fn widen(self, x: &[u8; LANES]) -> Self::V {
        both!(H => _mm256_cvtepu8_epi32(_mm_loadl_epi64(x.as_ptr().add(8 * H).cast())))
    }

    #[inline(always)]
    fn spread<const AT: u32>(self, x: Self::V) -> [Self::V; 8] {
        let (odd, even) = (x, self.shl::<4>(x));
        let mut out = [x; 8];
        for i in 0..8 {
            out[i] = both!(H => {
                // The byte with the four bits at its top to all four bytes, then a bit to each.
                let byte = _mm256_set1_epi32(0x0101_0101 * (i / 2) as i32);
                let places = _mm256_add_epi8(byte, _mm256_set_epi64x(PLACE_HIGH, PLACE_LOW, PLACE_HIGH, PLACE_LOW));
                let from = if i % 2 == 0 { even[H] } else { odd[H] };
                let bits = _mm256_and_si256(_mm256_shuffle_epi8(from, places), _mm256_set1_epi32(0x8040_2010u32 as i32));
                _mm256_min_epu8(bits, _mm256_set1_epi8(1 << AT))
            });
        }
        out
    }

    #[inline(always)]
    fn bytes(self, x: u8) -> Self::V {
        avx2!([_mm256_set1_epi8(x as i8); 2])
    }

    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        both!(H => _mm256_and_si256(a[H], b[H]))
    }

    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        both!(H => _mm256_or_si256(a[H], b[H]))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, x: Self::V) -> Self::V {
        both!(H => _mm256_srli_epi32::<N>(x[H]))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, x: Self::V) -> Self::V {
        both!(H => _mm256_slli_epi32::<N>(x[H]))
    }

    #[inline(always)]
    fn sar<const N: i32>(self, x: Self::V) -> Self::V {
        both!(H => _mm256_srai_epi32::<N>(x[H]))
    }

    #[inline(always)]
    fn add32(self, a: Self::V, b: Self::V) -> Self::V {
        both!(H => _mm256_add_epi32(a[H], b[H]))
    }

    #[inline(always)]
    fn sub32(self, a: Self::V, b: Self::V) -> Self::V {
        both!(H => _mm256_sub_epi32(a[H], b[H]))
    }

    #[inline(always)]
    fn mul32(self, a: Self::V, b: Self::V) -> Self::V {
        both!(H => _mm256_mullo_epi32(a[H], b[H]))
    }

    #[inline(always)]
    fn bits(self, x: Self::V) -> Self::F {
        both!(H => _mm256_castsi256_ps(x[H]))
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16], x: Self::V) -> Self::V {
        both!(H => {
            let table = _mm256_broadcastsi128_si256(_mm_loadu_si128(table.as_ptr().cast()));
            _mm256_shuffle_epi8(table, x[H])
        })
    }

    #[inline(always)]
    unsafe fn gather(self, table: &[u32], index: Self::V) -> Self::V {
        // Reads of their own: the instruction for this is slower where it is made of many.
        both!(H => {
            let pairs = [
                _mm256_extract_epi64::<0>(index[H]) as u64,
                _mm256_extract_epi64::<1>(index[H]) as u64,
                _mm256_extract_epi64::<2>(index[H]) as u64,
                _mm256_extract_epi64::<3>(index[H]) as u64,
            ];
            let low = |i: usize| *table.get_unchecked(pairs[i] as u32 as usize) as i32;
            let high = |i: usize| *table.get_unchecked((pairs[i] >> 32) as usize) as i32;
            let x = _mm_setr_epi32(low(0), high(0), low(1), high(1));
            let y = _mm_setr_epi32(low(2), high(2), low(3), high(3));
            _mm256_inserti128_si256::<1>(_mm256_castsi128_si256(x), y)
        })
    }

    #[inline(always)]
    fn lanes(self, x: i32) -> Self::V {
        avx2!([_mm256_set1_epi32(x); 2])
    }

    #[inline(always)]
    fn float(self, x: Self::V) -> Self::F {
        both!(H => _mm256_cvtepi32_ps(x[H]))
    }

    #[inline(always)]
    fn half_low(self, x: Self::V) -> Self::F {
        avx2!({
            let mask = _mm256_set1_epi32(0xffff);
            let packed = _mm256_packus_epi32(_mm256_and_si256(x[0], mask), _mm256_and_si256(x[1], mask));
            let halves = _mm256_permute4x64_epi64::<0b11_01_10_00>(packed);
            let high = _mm256_extracti128_si256::<1>(halves);
            [_mm256_cvtph_ps(_mm256_castsi256_si128(halves)), _mm256_cvtph_ps(high)]
        })
    }

    #[inline(always)]
    fn half_high(self, x: Self::V) -> Self::F {
        self.half_low(self.shr::<16>(x))
    }

    #[inline(always)]
    unsafe fn dot<const BITS: u32, const STEPS: usize, const R: usize, const C: usize>(
        self,
        start: [Self::V; C],
        codes: [*const Self::V; R],
        activations: *const u32,
        width: usize,
    ) -> [[Self::V; C]; R] {
        let mut out = [start; R];
        for r in 0..R {
            avx2!(add_dots::<BITS, STEPS, C>(&mut out[r], codes[r], activations, width));
        }
        out
    }
}

/// [`Panels::dot`] for one panel.
///
/// # Safety
/// As for that.
#[inline(always)]
unsafe fn add_dots<const BITS: u32, const STEPS: usize, const C: usize>(
    total: &mut [[__m256i; 2]; C],
    codes: *const [__m256i; 2],
    activations: *const u32,
    width: usize,
) {
    let (mut codes, mut activations) = (codes, activations);
    if BITS >= 7 {
        // Two products fit in 16 bits and no more.
        repeat!(C, STEPS => {
            let (code, step) = avx2!((*codes, activations));
            // Signed codes give their signs to the activations, which are never -128.
            let size = if BITS == 8 { both!(H => _mm256_abs_epi8(code[H])) } else { code };
            for c in 0..C {
                let a = avx2!(_mm256_set1_epi32(*step.add(c) as i32));
                total[c] = both!(H => {
                    let a = if BITS == 8 { _mm256_sign_epi8(a, code[H]) } else { a };
                    let sums = _mm256_madd_epi16(_mm256_maddubs_epi16(size[H], a), _mm256_set1_epi16(1));
                    _mm256_add_epi32(total[c][H], sums)
                });
            }
            (codes, activations) = (codes.wrapping_add(1), activations.wrapping_add(width));
        });
        return;
    }
    // Products of codes below 2^BITS with +-127, two to a lane, stay within i16 for this many steps.
    let run = STEPS.min(8 >> (BITS - 4));
    // What the offset takes from a whole group of 4-bit codes, and any half of its products with that, stay within i16 too.
    let begins = BITS == 4 && run == STEPS;
    for _ in 0..STEPS / run {
        let zero = avx2!(_mm256_setzero_si256());
        let mut short = [[zero; 2]; C];
        for c in 0..if begins { C } else { 0 } {
            short[c] = both!(H => _mm256_blend_epi16::<0b1010_1010>(total[c][H], zero));
            total[c] = [zero; 2];
        }
        repeat!(C, run => {
            let (code, step) = avx2!((*codes, activations));
            for c in 0..C {
                let a = avx2!(_mm256_set1_epi32(*step.add(c) as i32));
                short[c] = both!(H => _mm256_add_epi16(short[c][H], _mm256_maddubs_epi16(code[H], a)));
            }
            (codes, activations) = (codes.wrapping_add(1), activations.wrapping_add(width));
        });
        for c in 0..C {
            total[c] = both!(H => {
                _mm256_add_epi32(total[c][H], _mm256_madd_epi16(short[c][H], _mm256_set1_epi16(1)))
            });
        }
    }
}
