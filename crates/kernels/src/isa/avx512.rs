//! AVX-512 with VNNI: sixteen lanes are one register.
//!
//! Not for CPUs that lack VNNI; they take AVX2. `vpdpbusd` multiplies unsigned bytes by signed ones and adds four
//! neighbours to a 32-bit lane, so every format keeps one vector for four elements: signed codes get 128 added, which the
//! product takes out again with the sums of the activations. Where there is VBMI besides, codebooks are looked up in registers.

mod quantize;

use super::{Isa, Kernel, LANES, Panels, SideOfGroup, Tables, Words};
use crate::dot::{self, Dot};
use crate::float::ROUND;
use crate::product::panels::{Shape, Work};
use crate::product::{InterleaveFn, STEPS, SliceFn, rows, sixteen, turned};
use std::arch::asm;
use std::arch::x86_64::*;
use std::ops::Range;
use tensor::DType;

/// Proof that this CPU has AVX-512 F, BW, DQ, VL and VNNI, and what AVX2 has.
#[derive(Clone, Copy)]
pub(crate) struct Avx512(());

/// Calls intrinsics on behalf of an `Avx512`.
macro_rules! avx512 {
    ($e:expr) => {
        // SAFETY: a value of `Avx512` exists, so the CPU has the instructions; pointers come from references, or
        // the caller of the surrounding unsafe function vouches for them.
        unsafe { $e }
    };
}

impl Isa for Avx512 {
    const NAME: &'static str = "avx512";
    const DOTS: &'static [(DType, SliceFn)] = dot::dots::<Avx512>();
    const INTERLEAVE: InterleaveFn = sixteen::interleave::<Avx512>;
    const CHAINS: usize = 24;
    const PARTS: bool = true;
    const WORDS: Words = Words::OtherSign;
    type F = __m512;
    type W = __m512i;

    fn detect() -> Option<Avx512> {
        let has = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni")
            && is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c");
        has.then_some(Avx512(()))
    }

    fn run<K: Kernel<Avx512>>(self, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
        #[inline(never)]
        fn with_features<K: Kernel<Avx512>>(isa: Avx512, kernel: K) {
            kernel.run(isa)
        }
        avx512!(with_features(self, kernel))
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        avx512!(_mm_prefetch::<_MM_HINT_T1>(address.cast()))
    }

    #[inline(always)]
    unsafe fn quantize_16(self, x: *const f32, apart: usize, out: SideOfGroup) -> bool {
        avx512!(quantize::sixteen(self, x, apart, out))
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        avx512!(_mm512_loadu_ps(x.as_ptr()))
    }

    #[inline(always)]
    unsafe fn load_some(self, from: *const f32, lanes: u16) -> Self::F {
        avx512!(_mm512_maskz_loadu_ps(lanes, from))
    }

    #[inline(always)]
    unsafe fn store_some(self, x: Self::F, to: *mut f32, lanes: u16) {
        avx512!(_mm512_mask_storeu_ps(to, lanes, x))
    }

    #[inline(always)]
    fn every_second(self, a: Self::F, b: Self::F, first: usize) -> Self::F {
        avx512!({
            let evens = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
            let odds = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
            _mm512_permutex2var_ps(a, if first == 0 { evens } else { odds }, b)
        })
    }

    #[inline(always)]
    fn zip(self, a: Self::F, b: Self::F) -> [Self::F; 2] {
        avx512!({
            let low = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
            let high = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
            [_mm512_permutex2var_ps(a, low, b), _mm512_permutex2var_ps(a, high, b)]
        })
    }

    #[inline(always)]
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F {
        avx512!(_mm512_cvtph_ps(_mm256_loadu_si256(x.as_ptr().cast())))
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F {
        avx512!({
            let wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(x.as_ptr().cast()));
            _mm512_castsi512_ps(_mm512_slli_epi32::<16>(wide))
        })
    }

    #[inline(always)]
    fn load_i8(self, x: &[u8; LANES]) -> Self::F {
        avx512!(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(x.as_ptr().cast()))))
    }

    #[inline(always)]
    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F {
        avx512!({
            let eight = _mm512_castps256_ps512(_mm256_loadu_ps(x.as_ptr()));
            let places = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
            _mm512_permutexvar_ps(places, eight)
        })
    }

    #[inline(always)]
    fn store(self, x: Self::F, out: &mut [f32; LANES]) {
        avx512!(_mm512_storeu_ps(out.as_mut_ptr(), x))
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]) {
        avx512!({
            let halves = _mm512_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(x);
            _mm256_storeu_si256(out.as_mut_ptr().cast(), halves)
        });
    }

    #[inline(always)]
    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]) {
        avx512!(_mm_storeu_si128(out.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(_mm512_castps_si512(x))))
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        avx512!(_mm512_set1_ps(x))
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        avx512!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        avx512!(_mm512_mask_blend_ps(_mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b), y, x))
    }

    #[inline(always)]
    fn scale(self, x: Self::F, power: Self::F) -> Self::F {
        avx512!(_mm512_scalef_ps(x, _mm512_sub_ps(power, _mm512_set1_ps(ROUND))))
    }

    #[inline(always)]
    fn whole(self, x: &[u32; LANES]) -> Self::W {
        avx512!(_mm512_loadu_si512(x.as_ptr().cast()))
    }

    #[inline(always)]
    fn numbers(self, x: Self::W) -> [i32; LANES] {
        let mut out = [0; LANES];
        avx512!(_mm512_storeu_si512(out.as_mut_ptr().cast(), x));
        out
    }

    #[inline(always)]
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let left = avx512!(_mm512_set1_epi32(left as i32));
        let (unsigned, signed) = if SIGNED { (right, left) } else { (left, right) };
        avx512!(_mm512_dpbusd_epi32(sum, unsigned, signed))
    }

    #[inline(always)]
    fn swap(self, x: Self::F) -> Self::F {
        avx512!(_mm512_permute_ps::<0xb1>(x))
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        avx512!({
            let x8 = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let x4 = _mm_max_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps::<1>(x8));
            let x2 = _mm_max_ps(x4, _mm_movehl_ps(x4, x4));
            _mm_cvtss_f32(_mm_max_ss(x2, _mm_movehdup_ps(x2)))
        })
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        avx512!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        avx512!({
            let x8 = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps::<1>(x));
            let x4 = _mm_add_ps(_mm256_castps256_ps128(x8), _mm256_extractf128_ps::<1>(x8));
            let x2 = _mm_add_ps(x4, _mm_movehl_ps(x4, x4));
            _mm_cvtss_f32(_mm_add_ss(x2, _mm_movehdup_ps(x2)))
        })
    }
}

/// Sixteen bytes from each of the rows 0, 4, 8 and 12 from `at`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn quarters(_: Avx512, at: *const u8, stride: usize) -> __m512i {
    avx512!({
        let row = at.cast::<__m128i>();
        let x = _mm512_castsi128_si512(_mm_loadu_si128(row));
        let x = _mm512_inserti32x4::<1>(x, _mm_loadu_si128(row.byte_add(4 * stride)));
        let x = _mm512_inserti32x4::<2>(x, _mm_loadu_si128(row.byte_add(8 * stride)));
        _mm512_inserti32x4::<3>(x, _mm_loadu_si128(row.byte_add(12 * stride)))
    })
}

/// Four bytes from each of four rows from `at`.
///
/// # Safety
/// They are readable.
#[inline(always)]
unsafe fn four(_: Avx512, at: *const u8, stride: usize) -> __m128i {
    avx512!({
        let row = at.cast::<i32>();
        _mm_setr_epi32(
            row.read_unaligned(),
            row.byte_add(stride).read_unaligned(),
            row.byte_add(2 * stride).read_unaligned(),
            row.byte_add(3 * stride).read_unaligned(),
        )
    })
}

impl Panels for Avx512 {
    type V = __m512i;
    const SIGNED_OFFSET: i32 = 128;
    const BY_BITS: bool = false;
    const TILE: usize = 3;

    #[inline(always)]
    unsafe fn rows16(self, rows: *const u8, stride: usize) -> [Self::V; 4] {
        avx512!({
            let (x0, x1) = (quarters(self, rows, stride), quarters(self, rows.add(stride), stride));
            let (x2, x3) =
                (quarters(self, rows.add(2 * stride), stride), quarters(self, rows.add(3 * stride), stride));
            let (a, b) = (_mm512_unpacklo_epi32(x0, x1), _mm512_unpackhi_epi32(x0, x1));
            let (c, d) = (_mm512_unpacklo_epi32(x2, x3), _mm512_unpackhi_epi32(x2, x3));
            [
                _mm512_unpacklo_epi64(a, c),
                _mm512_unpackhi_epi64(a, c),
                _mm512_unpacklo_epi64(b, d),
                _mm512_unpackhi_epi64(b, d),
            ]
        })
    }

    #[inline(always)]
    unsafe fn rows4(self, rows: *const u8, stride: usize) -> Self::V {
        avx512!({
            let x = _mm512_castsi128_si512(four(self, rows, stride));
            let x = _mm512_inserti32x4::<1>(x, four(self, rows.add(4 * stride), stride));
            let x = _mm512_inserti32x4::<2>(x, four(self, rows.add(8 * stride), stride));
            _mm512_inserti32x4::<3>(x, four(self, rows.add(12 * stride), stride))
        })
    }

    #[inline(always)]
    fn widen(self, x: &[u8; LANES]) -> Self::V {
        avx512!(_mm512_cvtepu8_epi32(_mm_loadu_si128(x.as_ptr().cast())))
    }

    #[inline(always)]
    fn spread<const AT: u32>(self, x: Self::V) -> [Self::V; 8] {
        avx512!({
            let mut out = [x; 8];
            for i in 0..4 {
                // The byte with both nibbles four times over; then which of its bits are ones.
                let byte = _mm512_set1_epi32(0x0101_0101 * i as i32);
                let lanes = _mm512_set4_epi32(0x0c0c_0c0c, 0x0808_0808, 0x0404_0404, 0);
                let copies = _mm512_shuffle_epi8(x, _mm512_add_epi8(byte, lanes));
                let bit = _mm512_set1_epi8(1 << AT);
                let low = _mm512_test_epi8_mask(copies, _mm512_set1_epi32(0x0804_0201));
                let high = _mm512_test_epi8_mask(copies, _mm512_set1_epi32(0x8040_2010_u32 as i32));
                out[2 * i] = _mm512_maskz_mov_epi8(low, bit);
                out[2 * i + 1] = _mm512_maskz_mov_epi8(high, bit);
            }
            out
        })
    }

    #[inline(always)]
    fn bytes(self, x: u8) -> Self::V {
        avx512!(_mm512_set1_epi8(x as i8))
    }

    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        avx512!(_mm512_and_si512(a, b))
    }

    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        avx512!(_mm512_or_si512(a, b))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, x: Self::V) -> Self::V {
        avx512!(_mm512_srl_epi32(x, _mm_cvtsi32_si128(N)))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, x: Self::V) -> Self::V {
        avx512!(_mm512_sll_epi32(x, _mm_cvtsi32_si128(N)))
    }

    #[inline(always)]
    fn sar<const N: i32>(self, x: Self::V) -> Self::V {
        avx512!(_mm512_sra_epi32(x, _mm_cvtsi32_si128(N)))
    }

    #[inline(always)]
    fn add32(self, a: Self::V, b: Self::V) -> Self::V {
        avx512!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn sub32(self, a: Self::V, b: Self::V) -> Self::V {
        avx512!(_mm512_sub_epi32(a, b))
    }

    #[inline(always)]
    fn mul32(self, a: Self::V, b: Self::V) -> Self::V {
        avx512!(_mm512_mullo_epi32(a, b))
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16], x: Self::V) -> Self::V {
        avx512!({
            let table = _mm512_broadcast_i32x4(_mm_loadu_si128(table.as_ptr().cast()));
            _mm512_shuffle_epi8(table, x)
        })
    }

    #[inline(always)]
    unsafe fn gather(self, table: &[u32], index: Self::V) -> Self::V {
        avx512!(_mm512_i32gather_epi32::<4>(index, table.as_ptr().cast()))
    }

    #[inline(always)]
    fn lanes(self, x: i32) -> Self::V {
        avx512!(_mm512_set1_epi32(x))
    }

    #[inline(always)]
    fn float(self, x: Self::V) -> Self::F {
        avx512!(_mm512_cvtepi32_ps(x))
    }

    #[inline(always)]
    fn bits(self, x: Self::V) -> Self::F {
        avx512!(_mm512_castsi512_ps(x))
    }

    #[inline(always)]
    fn half_low(self, x: Self::V) -> Self::F {
        avx512!(_mm512_cvtph_ps(_mm512_cvtepi32_epi16(x)))
    }

    #[inline(always)]
    fn half_high(self, x: Self::V) -> Self::F {
        self.half_low(self.shr::<16>(x))
    }

    #[inline(always)]
    fn signed(self, codes: Self::V) -> Self::V {
        avx512!(_mm512_xor_si512(codes, _mm512_set1_epi8(-128)))
    }

    #[inline(always)]
    unsafe fn column<S: Shape, D: Dot>(work: &Work<Self, S>, panel: usize, elements: Range<usize>) {
        match Vbmi::detect().filter(|_| D::TURNED) {
            Some(vbmi) => vbmi.run(work.isa, turned::Column::<_, _, S, D>::of(vbmi, work, panel, elements)),
            None => rows::column::<Self, S, D>(work, panel, elements),
        }
    }

    #[inline(always)]
    unsafe fn dot<const BITS: u32, const STEPS: usize, const R: usize, const C: usize>(
        self,
        start: [Self::V; C],
        codes: [*const Self::V; R],
        activations: *const u32,
        width: usize,
    ) -> [[Self::V; C]; R] {
        let mut total = [start; R];
        if R == 3 && C == 4 {
            // SAFETY: the caller's; three times four vectors are what `total` is, whatever its sides are called.
            unsafe {
                let total = &mut *(&raw mut total).cast();
                three_by_four::<STEPS>(
                    self,
                    total,
                    [codes[0], codes[R / 2], codes[R - 1]],
                    activations,
                    width,
                );
            }
            return total;
        }
        avx512!({
            for step in 0..STEPS {
                let mut code = [start[0]; R];
                for r in 0..R {
                    code[r] = *codes[r].add(step);
                }
                for c in 0..C {
                    let a = _mm512_set1_epi32(*activations.add(step * width + c) as i32);
                    for r in 0..R {
                        total[r][c] = _mm512_dpbusd_epi32(total[r][c], code[r], a);
                    }
                }
            }
            total
        })
    }
}

/// Proof that this CPU has AVX-512 VBMI besides.
#[derive(Clone, Copy)]
struct Vbmi(());

impl Vbmi {
    fn detect() -> Option<Vbmi> {
        is_x86_feature_detected!("avx512vbmi").then_some(Vbmi(()))
    }

    /// Runs `kernel` compiled with these instructions.
    fn run<K: Kernel<Avx512>>(self, isa: Avx512, kernel: K) {
        #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx512vbmi,avx2,fma,f16c")]
        #[inline(never)]
        fn with_features<K: Kernel<Avx512>>(isa: Avx512, kernel: K) {
            kernel.run(isa)
        }
        avx512!(with_features(isa, kernel))
    }
}

impl Tables<Avx512> for Vbmi {
    #[inline(always)]
    fn entries(self, table: &[u8; 256], index: __m512i) -> __m512i {
        avx512!({
            let at = |i: usize| _mm512_loadu_si512(table.as_ptr().add(64 * i).cast());
            let lower = _mm512_permutex2var_epi8(at(0), index, at(1));
            let upper = _mm512_permutex2var_epi8(at(2), index, at(3));
            self.choose(index, lower, upper)
        })
    }

    #[inline(always)]
    fn choose(self, upper: __m512i, a: __m512i, b: __m512i) -> __m512i {
        avx512!(_mm512_mask_blend_epi8(_mm512_movepi8_mask(upper), a, b))
    }

    #[inline(always)]
    fn bytes_from<const STEP: usize>(self, x: __m512i, first: usize) -> __m512i {
        avx512!({
            // Where each byte's eight bits begin, round and round the 64 that two lanes are.
            let begin = |byte: usize| ((first + byte % 4 * STEP + byte / 4 * 32) % 64) as u8;
            let begin = [begin(0), begin(1), begin(2), begin(3), begin(4), begin(5), begin(6), begin(7)];
            _mm512_multishift_epi64_epi8(_mm512_set1_epi64(i64::from_le_bytes(begin)), x)
        })
    }

    #[inline(always)]
    fn every_second_byte<const SECOND: bool>(self, a: __m512i, b: __m512i) -> __m512i {
        avx512!({
            let lanes = _mm512_mullo_epi32(
                _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
                _mm512_set1_epi32(0x0404_0404),
            );
            let first = _mm512_add_epi8(lanes, _mm512_set1_epi32(0x4240_0200 + 0x0101_0101 * SECOND as i32));
            _mm512_permutex2var_epi8(a, first, b)
        })
    }

    #[inline(always)]
    fn with_sign(self, index: __m512i, signs: __m512i) -> __m512i {
        avx512!(_mm512_ternarylogic_epi32::<0xca>(_mm512_set1_epi8(8), signs, index))
    }

    #[inline(always)]
    unsafe fn turn(self, activations: *const u32, which: u32, out: &mut [u32; STEPS]) {
        avx512!({
            let places = _mm256_setr_epi64x(
                0x1911_0901_1810_0800,
                0x1b13_0b03_1a12_0a02,
                0x1d15_0d05_1c14_0c04,
                0x1f17_0f07_1e16_0e06,
            );
            let turned = _mm256_permutexvar_epi8(places, _mm256_loadu_si256(activations.cast()));
            let turned = _mm256_and_si256(turned, _mm256_set1_epi32(which.cast_signed()));
            _mm256_storeu_si256(out.as_mut_ptr().cast(), turned);
            // From here on they are read from memory, word by word: the compiler would take them apart in registers.
            asm!("/* {0} */", in(reg) out.as_ptr(), options(nostack, preserves_flags));
        })
    }
}

/// Instructions of the step of [`three_by_four`] whose codes lie `$at` bytes in.
macro_rules! step {
    ($at:literal) => {
        concat!(
            concat!("vmovdqa64 {x}, [{p} + ", $at, "]\n"),
            concat!("vmovdqa64 {y}, [{q} + ", $at, "]\n"),
            concat!("vmovdqa64 {z}, [{r} + ", $at, "]\n"),
            "vpbroadcastd {v}, dword ptr [{a}]\n",
            "vpdpbusd {x0}, {x}, {v}\n",
            "vpdpbusd {y0}, {y}, {v}\n",
            "vpdpbusd {z0}, {z}, {v}\n",
            "vpbroadcastd {v}, dword ptr [{a} + 4]\n",
            "vpdpbusd {x1}, {x}, {v}\n",
            "vpdpbusd {y1}, {y}, {v}\n",
            "vpdpbusd {z1}, {z}, {v}\n",
            "vpbroadcastd {v}, dword ptr [{a} + 8]\n",
            "vpdpbusd {x2}, {x}, {v}\n",
            "vpdpbusd {y2}, {y}, {v}\n",
            "vpdpbusd {z2}, {z}, {v}\n",
            "vpbroadcastd {v}, dword ptr [{a} + 12]\n",
            "add {a}, {stride}\n",
            "vpdpbusd {x3}, {x}, {v}\n",
            "vpdpbusd {y3}, {y}, {v}\n",
            "vpdpbusd {z3}, {z}, {v}\n",
        )
    };
}

/// Runs steps with the operands of [`three_by_four`].
macro_rules! steps {
    ($total:ident, $codes:ident, $activations:ident, $width:ident, $($at:literal)*) => {{
        let [[x0, x1, x2, x3], [y0, y1, y2, y3], [z0, z1, z2, z3]] = $total;
        let (_x, _y, _z, _v): (__m512i, __m512i, __m512i, __m512i);
        // SAFETY: the caller's: it reads as many vectors of each panel and activations of each column as there are
        // steps, and writes registers only.
        unsafe {
            asm!(
                concat!($(step!($at)),*),
                p = in(reg) $codes[0], q = in(reg) $codes[1], r = in(reg) $codes[2],
                a = inout(reg) $activations => _, stride = in(reg) 4 * $width,
                x = out(zmm_reg) _x, y = out(zmm_reg) _y, z = out(zmm_reg) _z, v = out(zmm_reg) _v,
                x0 = inout(zmm_reg) *x0, x1 = inout(zmm_reg) *x1, x2 = inout(zmm_reg) *x2, x3 = inout(zmm_reg) *x3,
                y0 = inout(zmm_reg) *y0, y1 = inout(zmm_reg) *y1, y2 = inout(zmm_reg) *y2, y3 = inout(zmm_reg) *y3,
                z0 = inout(zmm_reg) *z0, z1 = inout(zmm_reg) *z1, z2 = inout(zmm_reg) *z2, z3 = inout(zmm_reg) *z3,
                options(pure, readonly, nostack)
            )
        }
    }};
}

/// Adds `STEPS` steps of three panels times four columns to `total`, in an order that is fixed here: a compiler that may
/// choose one makes chains that wait for themselves, and runs out of registers.
///
/// # Safety
/// As for [`Panels::dot`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma,f16c")]
#[inline]
unsafe fn three_by_four<const STEPS: usize>(
    _: Avx512,
    total: &mut [[__m512i; 4]; 3],
    codes: [*const __m512i; 3],
    activations: *const u32,
    width: usize,
) {
    match STEPS {
        4 => steps!(total, codes, activations, width, 0 64 128 192),
        8 => steps!(total, codes, activations, width, 0 64 128 192 256 320 384 448),
        _ => unreachable!("a group has 16 or 32 elements"),
    }
}
