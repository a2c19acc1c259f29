//! The plain instruction set: arrays of sixteen floats, no assumptions about the CPU.
//!
//! Not meant to be fast, but small: its operations are functions, not inlined. It is the definition: every other set
//! gives the same bits. Its products run through [`crate::product::definition`], so it has no panels.

use super::{Isa, Kernel, LANES, Words, fused};
use crate::float::ROUND;
use crate::product::SliceFn;
use half::f16;
use tensor::DType;

/// Proof of nothing: every CPU can do this.
#[derive(Clone, Copy)]
pub(crate) struct Scalar;

impl Isa for Scalar {
    const NAME: &'static str = "scalar";
    const DOTS: &'static [(DType, SliceFn)] = &[];
    const CHAINS: usize = 1;
    const WORDS: Words = Words::Pairs;
    type F = [f32; LANES];
    type W = [i32; LANES];

    fn detect() -> Option<Scalar> {
        Some(Scalar)
    }

    fn run<K: Kernel<Scalar>>(self, kernel: K) {
        kernel.run(self)
    }

    fn prefetch(self, _address: *const u8) {}

    fn load(self, x: &[f32; LANES]) -> Self::F {
        *x
    }

    #[inline(never)]
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F {
        std::array::from_fn(|i| f16::from_le_bytes([x[2 * i], x[2 * i + 1]]).to_f32())
    }

    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F {
        std::array::from_fn(|i| f32::from_bits(u32::from(u16::from_le_bytes([x[2 * i], x[2 * i + 1]])) << 16))
    }

    fn load_i8(self, x: &[u8; LANES]) -> Self::F {
        std::array::from_fn(|i| f32::from(x[i] as i8))
    }

    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F {
        std::array::from_fn(|i| x[i / 2])
    }

    fn store(self, x: Self::F, out: &mut [f32; LANES]) {
        *out = x;
    }

    #[inline(never)]
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]) {
        for (out, x) in out.as_chunks_mut().0.iter_mut().zip(x) {
            *out = f16::from_f32(x).to_le_bytes();
        }
    }

    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]) {
        *out = std::array::from_fn(|i| x[i].to_bits() as i8);
    }

    fn splat(self, x: f32) -> Self::F {
        [x; LANES]
    }

    #[inline(never)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] + b[i])
    }

    #[inline(never)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] - b[i])
    }

    #[inline(never)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| if a[i] > b[i] { a[i] } else { b[i] })
    }

    #[inline(never)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] * b[i])
    }

    #[inline(never)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        std::array::from_fn(|i| a[i] / b[i])
    }

    #[inline(never)]
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F {
        std::array::from_fn(|i| if a[i] < b[i] { x[i] } else { y[i] })
    }

    #[inline(never)]
    fn scale(self, x: Self::F, power: Self::F) -> Self::F {
        std::array::from_fn(|i| {
            let n = power[i].to_bits().wrapping_sub(ROUND.to_bits()) as i32;
            // Two steps, because 2^128 has no exponent of its own.
            let half = n >> 1;
            let to = |n: i32| f32::from_bits((n.wrapping_add(127) as u32) << 23);
            x[i] * to(half) * to(n.wrapping_sub(half))
        })
    }

    fn whole(self, x: &[u32; LANES]) -> Self::W {
        x.map(|x| x as i32)
    }

    fn numbers(self, x: Self::W) -> [i32; LANES] {
        x
    }

    #[inline(never)]
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        let halves = |x: u32| [x as i16, (x >> 16) as i16].map(i32::from);
        let [x, y] = halves(left);
        std::array::from_fn(|i| {
            let [a, b] = halves(right[i] as u32);
            sum[i].wrapping_add((a * x).wrapping_add(b * y))
        })
    }

    fn swap(self, x: Self::F) -> Self::F {
        std::array::from_fn(|i| x[i ^ 1])
    }

    fn largest(self, x: Self::F) -> f32 {
        x.into_iter().fold(f32::NEG_INFINITY, f32::max)
    }

    #[inline(never)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        std::array::from_fn(|i| fused(a[i], b[i], c[i]))
    }

    #[inline(never)]
    fn sum(self, mut x: Self::F) -> f32 {
        for half in [8, 4, 2, 1] {
            for i in 0..half {
                x[i] += x[i + half];
            }
        }
        x[0]
    }
}
