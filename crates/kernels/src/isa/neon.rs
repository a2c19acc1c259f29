//! NEON: sixteen lanes are four registers.
//!
//! Three sets in one file, which differ in how bytes are multiplied: with the matrix extension (i8mm), one instruction for
//! eight elements of two rows and two columns; with that of dot products, and for one column, one for four elements of four
//! rows; without both, widening multiplications whose 16-bit sums are added up for as long as they fit. All codes fit in
//! signed bytes. Instructions whose intrinsics are not stable everywhere are written as assembly.

use super::{Isa, Kernel, LANES, Panels, Words};
use crate::dot;
use crate::float::ROUND;
use crate::product::{InterleaveFn, SliceFn, sixteen};
use std::arch::aarch64::*;
use std::arch::asm;
use tensor::DType;

/// Proof that this CPU has NEON, which every 64-bit Arm has, and the extensions up to `LEVEL`.
#[derive(Clone, Copy)]
pub(crate) struct Neon<const LEVEL: u8>(());

/// No extension.
pub(super) const PLAIN: u8 = 0;
/// Dot products.
pub(super) const DOTPROD: u8 = 1;
/// Products of small matrices too.
pub(super) const I8MM: u8 = 2;

/// Calls intrinsics on behalf of a `Neon`.
macro_rules! neon {
    ($e:expr) => {
        // SAFETY: a value of `Neon` exists, so the CPU has the instructions; pointers come from references, or the
        // caller of the surrounding unsafe function vouches for them.
        unsafe { $e }
    };
}

/// `[f(0), f(1), f(2), f(3)]`, for the four registers that make up sixteen lanes.
macro_rules! all {
    ($q:ident => $e:expr) => {
        neon!([all!(0, $q, $e), all!(1, $q, $e), all!(2, $q, $e), all!(3, $q, $e)])
    };
    ($n:literal, $q:ident, $e:expr) => {{
        const $q: usize = $n;
        $e
    }};
}

impl<const LEVEL: u8> Isa for Neon<LEVEL> {
    const NAME: &'static str = ["neon", "neon-dotprod", "neon-i8mm"][LEVEL as usize];
    const DOTS: &'static [(DType, SliceFn)] = dot::dots::<Neon<LEVEL>>();
    const INTERLEAVE: InterleaveFn = sixteen::interleave::<Neon<LEVEL>>;
    const CHAINS: usize = 6;
    const WORDS: Words = if LEVEL == PLAIN { Words::Pairs } else { Words::SameSign };
    const PRODUCTS: usize = if LEVEL == I8MM { 8 * LANES } else { LANES * Self::WORDS.elements() };
    type F = [float32x4_t; 4];
    type W = [uint32x4_t; 4];

    fn detect() -> Option<Neon<LEVEL>> {
        let has = std::arch::is_aarch64_feature_detected!("neon")
            && (LEVEL < DOTPROD || std::arch::is_aarch64_feature_detected!("dotprod"))
            && (LEVEL < I8MM || std::arch::is_aarch64_feature_detected!("i8mm"));
        has.then_some(Neon(()))
    }

    fn run<K: Kernel<Neon<LEVEL>>>(self, kernel: K) {
        #[target_feature(enable = "neon,dotprod")]
        #[inline(never)]
        fn with_dotprod<const LEVEL: u8, K: Kernel<Neon<LEVEL>>>(isa: Neon<LEVEL>, kernel: K) {
            kernel.run(isa)
        }
        #[target_feature(enable = "neon,dotprod,i8mm")]
        #[inline(never)]
        fn with_i8mm<const LEVEL: u8, K: Kernel<Neon<LEVEL>>>(isa: Neon<LEVEL>, kernel: K) {
            kernel.run(isa)
        }
        match LEVEL {
            PLAIN => kernel.run(self),
            DOTPROD => neon!(with_dotprod(self, kernel)),
            _ => neon!(with_i8mm(self, kernel)),
        }
    }

    #[inline(always)]
    fn prefetch(self, address: *const u8) {
        // SAFETY: a prefetch of any address is harmless.
        unsafe { asm!("prfm pldl2keep, [{}]", in(reg) address, options(nostack, preserves_flags, readonly)) }
    }

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        all!(Q => vld1q_f32(x.as_ptr().add(4 * Q)))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F {
        all!(Q => halves(self, vreinterpret_u16_u8(vld1_u8(x.as_ptr().add(8 * Q)))))
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F {
        all!(Q => {
            let four = vreinterpret_u16_u8(vld1_u8(x.as_ptr().add(8 * Q)));
            vreinterpretq_f32_u32(vshll_n_u16::<16>(four))
        })
    }

    #[inline(always)]
    fn load_i8(self, x: &[u8; LANES]) -> Self::F {
        neon!({
            let bytes = vreinterpretq_s8_u8(vld1q_u8(x.as_ptr()));
            let (low, high) = (vmovl_s8(vget_low_s8(bytes)), vmovl_high_s8(bytes));
            [
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))),
                vcvtq_f32_s32(vmovl_high_s16(low)),
                vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))),
                vcvtq_f32_s32(vmovl_high_s16(high)),
            ]
        })
    }

    #[inline(always)]
    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F {
        all!(Q => {
            let two = vld1_f32(x.as_ptr().add(2 * Q));
            vcombine_f32(vdup_lane_f32::<0>(two), vdup_lane_f32::<1>(two))
        })
    }

    #[inline(always)]
    fn store(self, x: Self::F, out: &mut [f32; LANES]) {
        all!(Q => vst1q_f32(out.as_mut_ptr().add(4 * Q), x[Q]));
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]) {
        all!(Q => {
            let halves: uint16x4_t;
            asm!("fcvtn {0:v}.4h, {1:v}.4s", out(vreg) halves, in(vreg) x[Q], options(pure, nomem, nostack));
            vst1_u8(out.as_mut_ptr().add(8 * Q), vreinterpret_u8_u16(halves))
        });
    }

    #[inline(always)]
    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]) {
        neon!({
            let words = [
                vmovn_u32(vreinterpretq_u32_f32(x[0])),
                vmovn_u32(vreinterpretq_u32_f32(x[1])),
                vmovn_u32(vreinterpretq_u32_f32(x[2])),
                vmovn_u32(vreinterpretq_u32_f32(x[3])),
            ];
            let (low, high) = (vcombine_u16(words[0], words[1]), vcombine_u16(words[2], words[3]));
            let bytes = vcombine_u8(vmovn_u16(low), vmovn_u16(high));
            vst1q_s8(out.as_mut_ptr(), vreinterpretq_s8_u8(bytes));
        })
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        neon!([vdupq_n_f32(x); 4])
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => vaddq_f32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => vsubq_f32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => vmulq_f32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => vbslq_f32(vcgtq_f32(a[Q], b[Q]), a[Q], b[Q]))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => vdivq_f32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        all!(Q => vbslq_f32(vcltq_f32(a[Q], b[Q]), x[Q], y[Q]))
    }

    #[inline(always)]
    fn scale(self, x: Self::F, power: Self::F) -> Self::F {
        all!(Q => {
            let n = vsubq_s32(vreinterpretq_s32_f32(power[Q]), vdupq_n_s32(ROUND.to_bits() as i32));
            // Two steps, because 2^128 has no exponent of its own.
            let half = vshrq_n_s32::<1>(n);
            vmulq_f32(vmulq_f32(x[Q], two_to(self, half)), two_to(self, vsubq_s32(n, half)))
        })
    }

    #[inline(always)]
    fn whole(self, x: &[u32; LANES]) -> Self::W {
        all!(Q => vld1q_u32(x.as_ptr().add(4 * Q)))
    }

    #[inline(always)]
    fn numbers(self, x: Self::W) -> [i32; LANES] {
        let mut out = [0; LANES];
        let _: [(); 4] = all!(Q => vst1q_s32(out.as_mut_ptr().add(4 * Q), vreinterpretq_s32_u32(x[Q])));
        out
    }

    #[inline(always)]
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let left = neon!(vdupq_n_u32(left));
        all!(Q => {
            let (x, y) = (right[Q], left);
            if LEVEL != PLAIN && !SIGNED {
                udot(Neon(()), sum[Q], vreinterpretq_u8_u32(x), vreinterpretq_u8_u32(y))
            } else if LEVEL != PLAIN {
                let sum = vreinterpretq_s32_u32(sum[Q]);
                vreinterpretq_u32_s32(sdot(Neon(()), sum, vreinterpretq_s8_u32(x), vreinterpretq_s8_u32(y)))
            } else {
                let (x, y) = (vreinterpretq_s16_u32(x), vreinterpretq_s16_u32(y));
                let (low, high) = (vmull_s16(vget_low_s16(x), vget_low_s16(y)), vmull_high_s16(x, y));
                vaddq_u32(sum[Q], vreinterpretq_u32_s32(vpaddq_s32(low, high)))
            }
        })
    }

    #[inline(always)]
    fn multiply(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        if LEVEL != I8MM {
            return self.add_products::<true>(sum, right, left);
        }
        let left = neon!(vdupq_n_u32(left));
        all!(Q => vreinterpretq_u32_s32(smmla(Neon(()), vreinterpretq_s32_u32(sum[Q]), right[Q], left)))
    }

    #[inline(always)]
    fn swap(self, x: Self::F) -> Self::F {
        all!(Q => vrev64q_f32(x[Q]))
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        neon!(vmaxvq_f32(vmaxq_f32(vmaxq_f32(x[0], x[1]), vmaxq_f32(x[2], x[3]))))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        all!(Q => vfmaq_f32(c[Q], a[Q], b[Q]))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        neon!({
            let x4 = vaddq_f32(vaddq_f32(x[0], x[2]), vaddq_f32(x[1], x[3]));
            let x2 = vadd_f32(vget_low_f32(x4), vget_high_f32(x4));
            vget_lane_f32::<0>(x2) + vget_lane_f32::<1>(x2)
        })
    }
}

/// Two to the powers `n`, normal numbers.
#[inline(always)]
fn two_to<const LEVEL: u8>(_: Neon<LEVEL>, n: int32x4_t) -> float32x4_t {
    neon!(vreinterpretq_f32_s32(vshlq_n_s32::<23>(vaddq_s32(n, vdupq_n_s32(127)))))
}

/// Four f16 to f32; an instruction of every 64-bit Arm whose intrinsic wants types that are not stable everywhere.
#[inline(always)]
fn halves<const LEVEL: u8>(_: Neon<LEVEL>, x: uint16x4_t) -> float32x4_t {
    let out: float32x4_t;
    // SAFETY: computes on registers only.
    unsafe { asm!("fcvtl {0:v}.4s, {1:v}.4h", out(vreg) out, in(vreg) x, options(pure, nomem, nostack)) };
    out
}

/// Adds to every lane the products of its four bytes.
#[inline(always)]
fn sdot(_: Neon<DOTPROD>, mut sum: int32x4_t, codes: int8x16_t, activations: int8x16_t) -> int32x4_t {
    // SAFETY: computes on registers only; the proof says that the CPU has the instruction.
    unsafe {
        asm!(
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum, in(vreg) codes, in(vreg) activations,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// The same of bytes without signs.
#[inline(always)]
fn udot(_: Neon<DOTPROD>, mut sum: uint32x4_t, x: uint8x16_t, y: uint8x16_t) -> uint32x4_t {
    // SAFETY: as above.
    unsafe {
        asm!(
            "udot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum, in(vreg) x, in(vreg) y,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

impl<const LEVEL: u8> Panels for Neon<LEVEL> {
    type V = [uint32x4_t; 4];
    const SIGNED_OFFSET: i32 = 0;
    const BY_BITS: bool = LEVEL == PLAIN;
    const TILE: usize = 1;

    #[inline(always)]
    unsafe fn rows16(self, rows: *const u8, stride: usize) -> [Self::V; 4] {
        let x = all!(Q => {
            let row = rows.add(4 * Q * stride);
            let (x0, x1) = (vld1q_u8(row), vld1q_u8(row.add(stride)));
            let (x2, x3) = (vld1q_u8(row.add(2 * stride)), vld1q_u8(row.add(3 * stride)));
            let (x0, x1) = (vreinterpretq_u32_u8(x0), vreinterpretq_u32_u8(x1));
            let (x2, x3) = (vreinterpretq_u32_u8(x2), vreinterpretq_u32_u8(x3));
            let (a, b) = (vreinterpretq_u64_u32(vzip1q_u32(x0, x1)), vreinterpretq_u64_u32(vzip2q_u32(x0, x1)));
            let (c, d) = (vreinterpretq_u64_u32(vzip1q_u32(x2, x3)), vreinterpretq_u64_u32(vzip2q_u32(x2, x3)));
            [
                vreinterpretq_u32_u64(vzip1q_u64(a, c)),
                vreinterpretq_u32_u64(vzip2q_u64(a, c)),
                vreinterpretq_u32_u64(vzip1q_u64(b, d)),
                vreinterpretq_u32_u64(vzip2q_u64(b, d)),
            ]
        });
        [
            [x[0][0], x[1][0], x[2][0], x[3][0]],
            [x[0][1], x[1][1], x[2][1], x[3][1]],
            [x[0][2], x[1][2], x[2][2], x[3][2]],
            [x[0][3], x[1][3], x[2][3], x[3][3]],
        ]
    }

    #[inline(always)]
    unsafe fn rows4(self, rows: *const u8, stride: usize) -> Self::V {
        all!(Q => {
            let row = rows.add(4 * Q * stride).cast::<u32>();
            let x = [
                row.read_unaligned(),
                row.byte_add(stride).read_unaligned(),
                row.byte_add(2 * stride).read_unaligned(),
                row.byte_add(3 * stride).read_unaligned(),
            ];
            vld1q_u32(x.as_ptr())
        })
    }

    #[inline(always)]
    fn bytes(self, x: u8) -> Self::V {
        neon!([vreinterpretq_u32_u8(vdupq_n_u8(x)); 4])
    }

    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => vandq_u32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => vorrq_u32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => vshlq_u32(x[Q], vdupq_n_s32(-N)))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => vshlq_u32(x[Q], vdupq_n_s32(N)))
    }

    #[inline(always)]
    fn sar<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => vreinterpretq_u32_s32(vshlq_s32(vreinterpretq_s32_u32(x[Q]), vdupq_n_s32(-N))))
    }

    #[inline(always)]
    fn add32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => vaddq_u32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn sub32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => vsubq_u32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn mul32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => vmulq_u32(a[Q], b[Q]))
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16], x: Self::V) -> Self::V {
        all!(Q => {
            let table = vreinterpretq_u8_s8(vld1q_s8(table.as_ptr()));
            vreinterpretq_u32_u8(vqtbl1q_u8(table, vreinterpretq_u8_u32(x[Q])))
        })
    }

    #[inline(always)]
    unsafe fn gather(self, table: &[u32], index: Self::V) -> Self::V {
        all!(Q => {
            let x = vdupq_n_u32(*table.get_unchecked(vgetq_lane_u32::<0>(index[Q]) as usize));
            let x = vsetq_lane_u32::<1>(*table.get_unchecked(vgetq_lane_u32::<1>(index[Q]) as usize), x);
            let x = vsetq_lane_u32::<2>(*table.get_unchecked(vgetq_lane_u32::<2>(index[Q]) as usize), x);
            vsetq_lane_u32::<3>(*table.get_unchecked(vgetq_lane_u32::<3>(index[Q]) as usize), x)
        })
    }

    #[inline(always)]
    fn lanes(self, x: i32) -> Self::V {
        neon!([vdupq_n_u32(x as u32); 4])
    }

    #[inline(always)]
    fn float(self, x: Self::V) -> Self::F {
        all!(Q => vcvtq_f32_s32(vreinterpretq_s32_u32(x[Q])))
    }

    #[inline(always)]
    fn bits(self, x: Self::V) -> Self::F {
        all!(Q => vreinterpretq_f32_u32(x[Q]))
    }

    #[inline(always)]
    fn half_low(self, x: Self::V) -> Self::F {
        all!(Q => halves(self, vmovn_u32(x[Q])))
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
            if LEVEL == I8MM && C.is_multiple_of(2) {
                // SAFETY: the caller's.
                unsafe { add_squares::<STEPS, C>(Neon(()), &mut out[r], codes[r], activations, width) };
                continue;
            }
            if LEVEL == PLAIN {
                let codes = codes[r].cast::<uint32x4_t>();
                let sums: [[int32x4_t; C]; 4] =
                    all!(Q => quarter::<BITS, STEPS, C>(codes.add(Q), activations, width));
                for c in 0..C {
                    out[r][c] = all!(Q => vaddq_u32(out[r][c][Q], vreinterpretq_u32_s32(sums[Q][c])));
                }
                continue;
            }
            for step in 0..STEPS {
                let codes = neon!(*codes[r].add(step));
                for c in 0..C {
                    let a = neon!(vreinterpretq_s8_u32(vdupq_n_u32(*activations.add(step * width + c))));
                    out[r][c] = all!(Q => {
                        let (sum, codes) = (vreinterpretq_s32_u32(out[r][c][Q]), vreinterpretq_s8_u32(codes[Q]));
                        vreinterpretq_u32_s32(sdot(Neon(()), sum, codes, a))
                    });
                }
            }
        }
        out
    }
}

/// Adds to a matrix of two rows and two columns the products of two rows of eight codes with two columns of activations.
#[inline(always)]
fn smmla(_: Neon<I8MM>, mut sum: int32x4_t, codes: uint32x4_t, activations: uint32x4_t) -> int32x4_t {
    // SAFETY: computes on registers only; the proof says that the CPU has the instruction.
    unsafe {
        asm!(
            "smmla {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum, in(vreg) codes, in(vreg) activations,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sum
}

/// [`Panels::dot`] by the matrix extension for one panel and columns in pairs.
///
/// # Safety
/// As for that.
#[inline(always)]
unsafe fn add_squares<const STEPS: usize, const C: usize>(
    isa: Neon<I8MM>,
    total: &mut [[uint32x4_t; 4]; C],
    codes: *const [uint32x4_t; 4],
    activations: *const u32,
    width: usize,
) {
    // SAFETY: the proof, and the caller's.
    unsafe {
        // (four rows, two of them, two columns)
        let mut sums = [[[vdupq_n_s32(0); 2]; 2]; 4];
        for step in (0..STEPS).step_by(2) {
            let mut columns = [vdupq_n_u32(0); 2];
            for pair in 0..C / 2 {
                let first = vld1_u32(activations.add(step * width + 2 * pair));
                let second = vld1_u32(activations.add((step + 1) * width + 2 * pair));
                columns[pair] = vcombine_u32(vzip1_u32(first, second), vzip2_u32(first, second));
            }
            for q in 0..4 {
                let (first, second) = ((*codes.add(step))[q], (*codes.add(step + 1))[q]);
                let rows = [vzip1q_u32(first, second), vzip2q_u32(first, second)];
                for (half, pair) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                    if pair < C / 2 {
                        sums[q][half][pair] = smmla(isa, sums[q][half][pair], rows[half], columns[pair]);
                    }
                }
            }
        }
        for q in 0..4 {
            for c in 0..C {
                let (low, high) = (sums[q][0][c / 2], sums[q][1][c / 2]);
                let column = if c % 2 == 0 { vuzp1q_s32(low, high) } else { vuzp2q_s32(low, high) };
                total[c][q] = vaddq_u32(total[c][q], vreinterpretq_u32_s32(column));
            }
        }
    }
}

/// [`Panels::dot`] without an extension for four of the rows, whose codes are every fourth vector from `codes`.
///
/// # Safety
/// As for [`Panels::dot`].
#[inline(always)]
unsafe fn quarter<const BITS: u32, const STEPS: usize, const C: usize>(
    codes: *const uint32x4_t,
    activations: *const u32,
    width: usize,
) -> [int32x4_t; C] {
    // So many products of a code with +-127 stay within i16.
    let run = match BITS {
        4 | 5 => 8,
        6 => 4,
        _ => 2,
    };
    // SAFETY: every 64-bit Arm has these instructions; the rest is the caller's.
    unsafe {
        let mut total = [[vdupq_n_s32(0); 2]; C];
        for start in (0..STEPS).step_by(run) {
            let mut short = [[vdupq_n_s16(0); 2]; C];
            for step in start..STEPS.min(start + run) {
                let code = vreinterpretq_s8_u32(*codes.add(4 * step));
                for c in 0..C {
                    let a = vreinterpretq_s8_u32(vdupq_n_u32(*activations.add(step * width + c)));
                    short[c][0] = vmlal_s8(short[c][0], vget_low_s8(code), vget_low_s8(a));
                    short[c][1] = vmlal_high_s8(short[c][1], code, a);
                }
            }
            for c in 0..C {
                total[c][0] = vpadalq_s16(total[c][0], short[c][0]);
                total[c][1] = vpadalq_s16(total[c][1], short[c][1]);
            }
        }
        let mut out = [vdupq_n_s32(0); C];
        for c in 0..C {
            out[c] = vpaddq_s32(total[c][0], total[c][1]);
        }
        out
    }
}
