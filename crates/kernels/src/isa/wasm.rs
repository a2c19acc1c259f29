//! WebAssembly SIMD128: sixteen lanes are four registers.
//!
//! Not the relaxed instructions, whose results depend on the machine. There is no fused multiply-add, so on this
//! target [`super::fused`] rounds twice: its sets agree with each other to the bit, but not with other targets.
//! There are no f16 instructions either; f16 becomes f32 by integers and one multiplication. All codes fit in signed bytes; products
//! are those of 16-bit integers, two at a time. Chosen when a module is built, since a module cannot ask what it runs on.

use super::{Isa, Kernel, LANES, Panels, Words};
use crate::dot;
use crate::float::ROUND;
use crate::product::{InterleaveFn, SliceFn, sixteen};
use half::f16;
use std::arch::wasm32::*;
use tensor::DType;

/// Proof that this module was built for SIMD128.
#[derive(Clone, Copy)]
pub(crate) struct Wasm(());

/// `[f(0), f(1), f(2), f(3)]`, for the four registers that make up sixteen lanes.
macro_rules! all {
    ($q:ident => $e:expr) => {
        [all!(0, $q, $e), all!(1, $q, $e), all!(2, $q, $e), all!(3, $q, $e)]
    };
    ($n:literal, $q:ident, $e:expr) => {{
        const $q: usize = $n;
        $e
    }};
}

/// The same with pointers, which come from references, or the caller of the surrounding unsafe function vouches for them.
macro_rules! all_at {
    ($q:ident => $e:expr) => {
        // SAFETY: see the macro.
        unsafe { all!($q => $e) }
    };
}

impl Isa for Wasm {
    const NAME: &'static str = "wasm-simd128";
    const DOTS: &'static [(DType, SliceFn)] = dot::dots::<Wasm>();
    const INTERLEAVE: InterleaveFn = sixteen::interleave::<Wasm>;
    const CHAINS: usize = 6;
    const WORDS: Words = Words::Pairs;
    type F = [v128; 4];
    type W = [v128; 4];

    fn detect() -> Option<Wasm> {
        Some(Wasm(()))
    }

    #[inline(never)]
    fn run<K: Kernel<Wasm>>(self, kernel: K) {
        kernel.run(self)
    }

    #[inline(always)]
    fn prefetch(self, _address: *const u8) {}

    #[inline(always)]
    fn load(self, x: &[f32; LANES]) -> Self::F {
        all_at!(Q => v128_load(x.as_ptr().add(4 * Q).cast()))
    }

    #[inline(always)]
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F {
        all_at!(Q => halves(u32x4_load_extend_u16x4(x.as_ptr().add(8 * Q).cast())))
    }

    #[inline(always)]
    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F {
        all_at!(Q => i32x4_shl(u32x4_load_extend_u16x4(x.as_ptr().add(8 * Q).cast()), 16))
    }

    #[inline(always)]
    fn load_i8(self, x: &[u8; LANES]) -> Self::F {
        all_at!(Q => {
            let four = i16x8_extend_low_i8x16(v128_load32_zero(x.as_ptr().add(4 * Q).cast()));
            f32x4_convert_i32x4(i32x4_extend_low_i16x8(four))
        })
    }

    #[inline(always)]
    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F {
        all_at!(Q => {
            let two = v128_load64_zero(x.as_ptr().add(2 * Q).cast());
            i32x4_shuffle::<0, 0, 1, 1>(two, two)
        })
    }

    #[inline(always)]
    fn store(self, x: Self::F, out: &mut [f32; LANES]) {
        all_at!(Q => v128_store(out.as_mut_ptr().add(4 * Q).cast(), x[Q]));
    }

    #[inline(always)]
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]) {
        let mut lanes = [0.0; LANES];
        self.store(x, &mut lanes);
        for (out, x) in out.as_chunks_mut().0.iter_mut().zip(lanes) {
            *out = f16::from_f32(x).to_le_bytes();
        }
    }

    #[inline(always)]
    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]) {
        let low = i32x4_splat(255);
        let x = all!(Q => v128_and(x[Q], low));
        let (a, b) = (u16x8_narrow_i32x4(x[0], x[1]), u16x8_narrow_i32x4(x[2], x[3]));
        // SAFETY: sixteen bytes.
        unsafe { v128_store(out.as_mut_ptr().cast(), u8x16_narrow_i16x8(a, b)) }
    }

    #[inline(always)]
    fn splat(self, x: f32) -> Self::F {
        [f32x4_splat(x); 4]
    }

    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => f32x4_add(a[Q], b[Q]))
    }

    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => f32x4_sub(a[Q], b[Q]))
    }

    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => f32x4_mul(a[Q], b[Q]))
    }

    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        all!(Q => f32x4_div(a[Q], b[Q]))
    }

    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        // The second where it is less than the first, else the first.
        all!(Q => f32x4_pmax(b[Q], a[Q]))
    }

    #[inline(always)]
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        all!(Q => v128_bitselect(x[Q], y[Q], f32x4_lt(a[Q], b[Q])))
    }

    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        all!(Q => f32x4_add(f32x4_mul(a[Q], b[Q]), c[Q]))
    }

    #[inline(always)]
    fn scale(self, x: Self::F, power: Self::F) -> Self::F {
        all!(Q => {
            let n = i32x4_sub(power[Q], i32x4_splat(ROUND.to_bits() as i32));
            // Two steps, because 2^128 has no exponent of its own.
            let half = i32x4_shr(n, 1);
            f32x4_mul(f32x4_mul(x[Q], two_to(half)), two_to(i32x4_sub(n, half)))
        })
    }

    #[inline(always)]
    fn whole(self, x: &[u32; LANES]) -> Self::W {
        all_at!(Q => v128_load(x.as_ptr().add(4 * Q).cast()))
    }

    #[inline(always)]
    fn numbers(self, x: Self::W) -> [i32; LANES] {
        let mut out = [0; LANES];
        let _: [(); 4] = all_at!(Q => v128_store(out.as_mut_ptr().add(4 * Q).cast(), x[Q]));
        out
    }

    #[inline(always)]
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let left = u32x4_splat(left);
        all!(Q => i32x4_add(sum[Q], i32x4_dot_i16x8(right[Q], left)))
    }

    #[inline(always)]
    fn swap(self, x: Self::F) -> Self::F {
        all!(Q => i32x4_shuffle::<1, 0, 3, 2>(x[Q], x[Q]))
    }

    #[inline(always)]
    fn largest(self, x: Self::F) -> f32 {
        let x = f32x4_pmax(f32x4_pmax(x[0], x[1]), f32x4_pmax(x[2], x[3]));
        let x = f32x4_pmax(x, i32x4_shuffle::<2, 3, 0, 1>(x, x));
        f32x4_extract_lane::<0>(f32x4_pmax(x, i32x4_shuffle::<1, 0, 3, 2>(x, x)))
    }

    #[inline(always)]
    fn sum(self, x: Self::F) -> f32 {
        let x = f32x4_add(f32x4_add(x[0], x[2]), f32x4_add(x[1], x[3]));
        let x = f32x4_add(x, i32x4_shuffle::<2, 3, 0, 1>(x, x));
        f32x4_extract_lane::<0>(x) + f32x4_extract_lane::<1>(x)
    }
}

/// Two to the powers `n`, normal numbers.
#[inline(always)]
fn two_to(n: v128) -> v128 {
    i32x4_shl(i32x4_add(n, i32x4_splat(127)), 23)
}

/// The f16 in the low halves of four lanes, whose high halves are zero, to f32.
#[inline(always)]
fn halves(x: v128) -> v128 {
    let size = v128_and(x, i32x4_splat(0x7fff));
    // With its exponent 112 too small; the multiplication makes subnormals normal, exactly.
    let small = f32x4_mul(i32x4_shl(size, 13), f32x4_splat(f32::from_bits((127 + 112) << 23)));
    let odd = v128_and(i32x4_gt(size, i32x4_splat(0x7bff)), i32x4_splat(0x7f80_0000));
    let sign = i32x4_shl(v128_and(x, i32x4_splat(0x8000)), 16);
    v128_or(v128_or(small, odd), sign)
}

impl Panels for Wasm {
    type V = [v128; 4];
    const SIGNED_OFFSET: i32 = 0;
    const BY_BITS: bool = false;
    const TILE: usize = 1;

    #[inline(always)]
    unsafe fn rows16(self, rows: *const u8, stride: usize) -> [Self::V; 4] {
        let x: [[v128; 4]; 4] = all_at!(Q => {
            let row = rows.add(4 * Q * stride);
            let (x0, x1) = (v128_load(row.cast()), v128_load(row.add(stride).cast()));
            let (x2, x3) = (v128_load(row.add(2 * stride).cast()), v128_load(row.add(3 * stride).cast()));
            let (a, b) = (i32x4_shuffle::<0, 4, 1, 5>(x0, x1), i32x4_shuffle::<2, 6, 3, 7>(x0, x1));
            let (c, d) = (i32x4_shuffle::<0, 4, 1, 5>(x2, x3), i32x4_shuffle::<2, 6, 3, 7>(x2, x3));
            [
                i64x2_shuffle::<0, 2>(a, c),
                i64x2_shuffle::<1, 3>(a, c),
                i64x2_shuffle::<0, 2>(b, d),
                i64x2_shuffle::<1, 3>(b, d),
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
        all_at!(Q => {
            let row = rows.add(4 * Q * stride).cast::<u32>();
            u32x4(
                row.read_unaligned(),
                row.byte_add(stride).read_unaligned(),
                row.byte_add(2 * stride).read_unaligned(),
                row.byte_add(3 * stride).read_unaligned(),
            )
        })
    }

    #[inline(always)]
    fn bytes(self, x: u8) -> Self::V {
        [u8x16_splat(x); 4]
    }

    #[inline(always)]
    fn and(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => v128_and(a[Q], b[Q]))
    }

    #[inline(always)]
    fn or(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => v128_or(a[Q], b[Q]))
    }

    #[inline(always)]
    fn shr<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => u32x4_shr(x[Q], N as u32))
    }

    #[inline(always)]
    fn shl<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => i32x4_shl(x[Q], N as u32))
    }

    #[inline(always)]
    fn sar<const N: i32>(self, x: Self::V) -> Self::V {
        all!(Q => i32x4_shr(x[Q], N as u32))
    }

    #[inline(always)]
    fn add32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => i32x4_add(a[Q], b[Q]))
    }

    #[inline(always)]
    fn sub32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => i32x4_sub(a[Q], b[Q]))
    }

    #[inline(always)]
    fn mul32(self, a: Self::V, b: Self::V) -> Self::V {
        all!(Q => i32x4_mul(a[Q], b[Q]))
    }

    #[inline(always)]
    fn lookup(self, table: &[i8; 16], x: Self::V) -> Self::V {
        all_at!(Q => i8x16_swizzle(v128_load(table.as_ptr().cast()), x[Q]))
    }

    #[inline(always)]
    unsafe fn gather(self, table: &[u32], index: Self::V) -> Self::V {
        all_at!(Q => {
            u32x4(
                *table.get_unchecked(u32x4_extract_lane::<0>(index[Q]) as usize),
                *table.get_unchecked(u32x4_extract_lane::<1>(index[Q]) as usize),
                *table.get_unchecked(u32x4_extract_lane::<2>(index[Q]) as usize),
                *table.get_unchecked(u32x4_extract_lane::<3>(index[Q]) as usize),
            )
        })
    }

    #[inline(always)]
    fn lanes(self, x: i32) -> Self::V {
        [i32x4_splat(x); 4]
    }

    #[inline(always)]
    fn float(self, x: Self::V) -> Self::F {
        all!(Q => f32x4_convert_i32x4(x[Q]))
    }

    #[inline(always)]
    fn bits(self, x: Self::V) -> Self::F {
        x
    }

    #[inline(always)]
    fn half_low(self, x: Self::V) -> Self::F {
        all!(Q => halves(v128_and(x[Q], i32x4_splat(0xffff))))
    }

    #[inline(always)]
    fn half_high(self, x: Self::V) -> Self::F {
        all!(Q => halves(u32x4_shr(x[Q], 16)))
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
            for step in 0..STEPS {
                // SAFETY: the caller's.
                let (codes, activations) = unsafe { (*codes[r].add(step), activations.add(step * width)) };
                let (even, odd) = (all!(Q => even(codes[Q])), all!(Q => i16x8_shr(codes[Q], 8)));
                for c in 0..C {
                    // SAFETY: the caller's.
                    let a = u32x4_splat(unsafe { *activations.add(c) });
                    let (a_even, a_odd) = (self::even(a), i16x8_shr(a, 8));
                    out[r][c] = all!(Q => {
                        let sums = i32x4_add(i32x4_dot_i16x8(even[Q], a_even), i32x4_dot_i16x8(odd[Q], a_odd));
                        i32x4_add(out[r][c][Q], sums)
                    });
                }
            }
        }
        out
    }
}

/// Every second signed byte, from the first, as 16 bits.
#[inline(always)]
fn even(x: v128) -> v128 {
    i16x8_shr(i16x8_shl(x, 8), 8)
}
