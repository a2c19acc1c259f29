//! What one instruction set can do, and which ones this CPU has.
//!
//! Not a place for kernels: they are written once, generic over [`Isa`], and live beside this folder. The one design
//! choice: everything is sixteen lanes wide, whatever the registers are. A value of a type that implements [`Isa`]
//! exists only where the CPU has those instructions, so it is the proof that makes them safe to call; it is passed
//! by value and costs nothing. (The idea is that of the `rten-simd` and `pulp` crates.)
//!
//! Methods are `inline(always)` all the way from [`Isa::run`] down, because only code inlined into the function that
//! carries the target features is compiled with them.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
#[cfg(target_arch = "aarch64")]
mod neon;
pub(crate) mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
mod wasm;

use crate::dot::Dot;
#[cfg(doc)]
use crate::float::ROUND;
use crate::product::panels::{Shape, Work};
use crate::product::{InterleaveFn, STEPS, SliceFn, rows};
use crate::set::KernelSet;
use std::ops::Range;
use tensor::DType;
#[cfg(doc)]
use tensor::PanelOrder;

/// Lanes of every vector.
pub(crate) const LANES: usize = 16;

/// The kernels of every instruction set that this build knows, the best last. A static: the plain set of a constant would be
/// compiled once more in every crate that asks which sets there are.
static ISAS: &[fn() -> Option<&'static KernelSet>] = &[
    KernelSet::detect::<scalar::Scalar>,
    #[cfg(target_arch = "x86_64")]
    KernelSet::detect::<avx2::Avx2>,
    #[cfg(target_arch = "x86_64")]
    KernelSet::detect::<avx512::Avx512>,
    #[cfg(target_arch = "aarch64")]
    KernelSet::detect::<neon::Neon<{ neon::PLAIN }>>,
    #[cfg(target_arch = "aarch64")]
    KernelSet::detect::<neon::Neon<{ neon::DOTPROD }>>,
    #[cfg(target_arch = "aarch64")]
    KernelSet::detect::<neon::Neon<{ neon::I8MM }>>,
    #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
    KernelSet::detect::<wasm::Wasm>,
];

/// The kernel sets that run on this CPU, the plain one first and the best last. All give the same bits.
pub fn available() -> impl Iterator<Item = &'static KernelSet> {
    ISAS.iter().filter_map(|detect| detect())
}

/// The best kernel set of this CPU, or the one that `PINTPOT_ISA` names if it is available.
#[inline(never)] // a crate that it were part of would compile all of the plain set once more
pub fn best() -> &'static KernelSet {
    let forced = std::env::var("PINTPOT_ISA").unwrap_or_default();
    let named = available().find(|set| set.name() == forced);
    named.or_else(|| available().last()).unwrap_or(KernelSet::of::<scalar::Scalar>())
}

/// What whole numbers are multiplied as.
#[allow(dead_code)] // no kind of CPU has all
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Words {
    /// Four bytes, of which one side is signed and the other is not.
    OtherSign,
    /// Two times 16 bits, signed.
    Pairs,
    /// Four bytes, signed on both sides or on neither.
    SameSign,
}

impl Words {
    /// Elements of a word.
    pub const fn elements(self) -> usize {
        match self {
            Words::Pairs => 2,
            _ => 4,
        }
    }
}

/// A group of sixteen columns of activations side by side, as [`crate::Quantized`] has it.
#[allow(dead_code)] // not every kind of CPU fills it at once
pub(crate) struct SideOfGroup<'a> {
    /// Four integers of each column, by step.
    pub q: &'a mut [[[i8; 4]; LANES]; STEPS],
    pub scale: &'a mut [f32; LANES],
    /// Sums of both halves.
    pub sums: &'a mut [[i16; 2]; LANES],
}

/// A piece of work that is compiled for each instruction set.
pub(crate) trait Kernel<I: Isa> {
    /// Does the work. Implementations are `inline(always)`.
    fn run(self, isa: I);
}

/// Runs `kernel` with the instructions `I`, which this CPU must have.
pub(crate) fn run<I: Isa, K: Kernel<I>>(kernel: K) {
    I::detect().expect("a kernel set is handed out only where its instructions exist").run(kernel)
}

/// `a * b + c`, rounded once; on WebAssembly, which has no instruction for that, twice.
#[inline(always)]
pub(crate) fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "wasm32") { a * b + c } else { a.mul_add(b, c) }
}

/// Sixteen lanes of f32 arithmetic, each operation rounded once, and the product kernels of the set.
pub(crate) trait Isa: Copy + 'static {
    /// The name in reports and in `PINTPOT_ISA`.
    const NAME: &'static str;

    /// The quantised types with a kernel of their own; the others go through their definition.
    const DOTS: &'static [(DType, SliceFn)];

    /// Puts rows side by side, as [`PanelOrder::interleave`].
    const INTERLEAVE: InterleaveFn =
        |order, rows, row_bytes, panels| order.interleave(rows, row_bytes, panels);

    /// How many sums of sixteen lanes the registers have room for, beside what is added to them: 1, 6 or 24.
    const CHAINS: usize;

    /// Whether [`Isa::load_some`], [`Isa::store_some`], [`Isa::evens`] and [`Isa::odds`] are instructions.
    const PARTS: bool = false;

    /// What [`Isa::add_products`] takes.
    const WORDS: Words;

    /// Multiply-adds of [`Isa::multiply`].
    const PRODUCTS: usize = LANES * Self::WORDS.elements();

    /// Sixteen f32.
    type F: Copy;
    /// Sixteen whole numbers of 32 bits.
    type W: Copy;

    /// The proof, if this CPU has the instructions.
    fn detect() -> Option<Self>;

    /// Runs `kernel` compiled with these instructions.
    fn run<K: Kernel<Self>>(self, kernel: K);

    /// Asks for the cache line at `address`, which need not be valid, to be fetched.
    fn prefetch(self, address: *const u8);

    /// Quantises 32 elements of each of sixteen columns that begin `apart` elements from each other, if it has instructions
    /// for it and none of these groups is zero or not finite; whether it did. As [`crate::quantize`] does by itself.
    ///
    /// # Safety
    /// The elements are readable.
    #[inline(always)]
    unsafe fn quantize_16(self, _x: *const f32, _apart: usize, _out: SideOfGroup) -> bool {
        false
    }

    fn load(self, x: &[f32; LANES]) -> Self::F;
    /// Sixteen little-endian f16 to f32, exactly.
    fn load_f16(self, x: &[u8; 2 * LANES]) -> Self::F;
    /// Sixteen little-endian bf16 to f32, exactly.
    fn load_bf16(self, x: &[u8; 2 * LANES]) -> Self::F;
    /// Sixteen signed bytes to f32.
    fn load_i8(self, x: &[u8; LANES]) -> Self::F;
    /// Eight numbers, each twice.
    fn load_twice(self, x: &[f32; LANES / 2]) -> Self::F;
    fn store(self, x: Self::F, out: &mut [f32; LANES]);
    /// Rounds to f16, ties to even, little-endian.
    fn store_f16(self, x: Self::F, out: &mut [u8; 2 * LANES]);
    /// The lowest byte of the bits of every lane.
    fn store_low_bytes(self, x: Self::F, out: &mut [i8; LANES]);
    fn splat(self, x: f32) -> Self::F;
    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` where it is greater, else `b`.
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a` where it is less, else `b`.
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.less(a, b, a, b)
    }
    /// `x` where `a` is less than `b`, else `y`.
    fn less(self, a: Self::F, b: Self::F, x: Self::F, y: Self::F) -> Self::F;
    /// `a * b + c`, as [`fused`].
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    /// `x` times two to the power of an integer from -126 to 128 that [`ROUND`] was added to; exact where the result is
    /// a normal number.
    fn scale(self, x: Self::F, power: Self::F) -> Self::F;
    /// Neighbours, lanes `2 i` and `2 i + 1`, change places.
    fn swap(self, x: Self::F) -> Self::F;
    /// The largest lane, if none is NaN.
    fn largest(self, x: Self::F) -> f32;
    /// The tree: lane `i` takes lane `i + 8` in, then `i + 4`, `i + 2`, `i + 1`; the sum is lane 0.
    fn sum(self, x: Self::F) -> f32;

    /// Sixteen words as they lie.
    fn whole(self, x: &[u32; LANES]) -> Self::W;
    /// Sixteen whole numbers.
    fn numbers(self, x: Self::W) -> [i32; LANES];
    /// Adds to every lane, wrapping, the products of what is in a word of `right` with what is in `left`, which is `SIGNED` or
    /// not; exactly.
    fn add_products<const SIGNED: bool>(self, sum: Self::W, right: Self::W, left: u32) -> Self::W;
    /// The most products of bytes that one instruction adds up; of which with which is its own affair.
    #[inline(always)]
    fn multiply(self, sum: Self::W, right: Self::W, left: u32) -> Self::W {
        self.add_products::<true>(sum, right, left)
    }

    /// Lanes whose bit of `lanes` is set; zeros in the others.
    ///
    /// # Safety
    /// Those lanes can be read.
    #[inline(always)]
    unsafe fn load_some(self, from: *const f32, lanes: u16) -> Self::F {
        let mut all = [0.0; LANES];
        for i in (0..LANES).filter(|i| lanes >> i & 1 == 1) {
            // SAFETY: the caller's.
            all[i] = unsafe { *from.wrapping_add(i) };
        }
        self.load(&all)
    }

    /// Writes lanes whose bit of `lanes` is set.
    ///
    /// # Safety
    /// Those lanes can be written.
    #[inline(always)]
    unsafe fn store_some(self, x: Self::F, to: *mut f32, lanes: u16) {
        let mut all = [0.0; LANES];
        self.store(x, &mut all);
        for i in (0..LANES).filter(|i| lanes >> i & 1 == 1) {
            // SAFETY: the caller's.
            unsafe { *to.wrapping_add(i) = all[i] };
        }
    }

    /// Lanes 0, 2, 4 and so on of `a`, then of `b`.
    #[inline(always)]
    fn evens(self, a: Self::F, b: Self::F) -> Self::F {
        self.every_second(a, b, 0)
    }

    /// Lanes 1, 3, 5 and so on of `a`, then of `b`.
    #[inline(always)]
    fn odds(self, a: Self::F, b: Self::F) -> Self::F {
        self.every_second(a, b, 1)
    }

    /// Lane 0 of `a`, lane 0 of `b`, lane 1 of `a` and so on.
    #[inline(always)]
    fn zip(self, a: Self::F, b: Self::F) -> [Self::F; 2] {
        let mut both = [[0.0; LANES]; 2];
        self.store(a, &mut both[0]);
        self.store(b, &mut both[1]);
        let half = |first: usize| self.load(&std::array::from_fn(|i| both[i % 2][first + i / 2]));
        [half(0), half(LANES / 2)]
    }

    /// Every second lane of `a` and `b` from `first` on.
    #[inline(always)]
    fn every_second(self, a: Self::F, b: Self::F, first: usize) -> Self::F {
        let mut both = [[0.0; LANES]; 2];
        self.store(a, &mut both[0]);
        self.store(b, &mut both[1]);
        let both = both.as_flattened();
        self.load(&std::array::from_fn(|i| both[2 * i + first]))
    }
}

/// The first `count` lanes, as [`Isa::load_some`] wants them; all of them if there are more.
#[inline(always)]
pub(crate) fn first_lanes(count: usize) -> u16 {
    if count >= LANES { u16::MAX } else { (1 << count) - 1 }
}

/// The integer half of an instruction set: sixteen rows of a weight matrix side by side.
///
/// A [`Panels::V`] holds one 32-bit lane per row, mostly four consecutive elements of the row as bytes.
pub(crate) trait Panels: Isa {
    /// Four bytes of each of sixteen rows.
    type V: Copy;

    /// What [`Panels::signed`] adds to every code; the product takes it out again, exactly.
    const SIGNED_OFFSET: i32;
    /// Whether codes of fewer bits make [`Panels::dot`] faster.
    const BY_BITS: bool;
    /// Panels that a tile works on at a time, if there are so many: 1, or 3 where registers are many.
    const TILE: usize;

    /// Sixteen bytes from each of sixteen rows that begin `stride` bytes apart: vector `i` has the bytes `4i..4i + 4`.
    ///
    /// # Safety
    /// All those bytes are readable.
    unsafe fn rows16(self, rows: *const u8, stride: usize) -> [Self::V; 4];
    /// Four bytes from each of sixteen rows that begin `stride` bytes apart.
    ///
    /// # Safety
    /// All those bytes are readable.
    unsafe fn rows4(self, rows: *const u8, stride: usize) -> Self::V;

    /// Sixteen bytes, each in a lane.
    #[inline(always)]
    fn widen(self, x: &[u8; LANES]) -> Self::V {
        let lanes = x.map(u32::from);
        const { assert!(size_of::<Self::V>() == size_of::<[u32; LANES]>()) }
        // SAFETY: any bits are sixteen words.
        unsafe { lanes.as_ptr().cast::<Self::V>().read_unaligned() }
    }

    /// Bits `4i..4i + 4` of every lane as bit `AT`, 3 or 4, of the bytes of vector `i`.
    #[inline(always)]
    fn spread<const AT: u32>(self, x: Self::V) -> [Self::V; 8] {
        let (four, bit) = (self.lanes(15), self.bytes(1 << AT));
        // Bit j of a number below 16, times this, is bit AT of byte j, and the copies do not meet.
        let copies = self.lanes((1 | 1 << 7 | 1 << 14 | 1 << 21) << AT);
        let (mut out, mut rest) = ([x; 8], x);
        for i in 0..8 {
            out[i] = self.and(self.mul32(self.and(rest, four), copies), bit);
            rest = self.shr::<4>(rest);
        }
        out
    }

    /// The same byte everywhere.
    fn bytes(self, x: u8) -> Self::V;
    fn and(self, a: Self::V, b: Self::V) -> Self::V;
    fn or(self, a: Self::V, b: Self::V) -> Self::V;
    /// Shifts the 32-bit lanes right, zeros in.
    fn shr<const N: i32>(self, x: Self::V) -> Self::V;
    /// Shifts the 32-bit lanes left, zeros in.
    fn shl<const N: i32>(self, x: Self::V) -> Self::V;
    /// Shifts the 32-bit lanes right, copies of the sign in.
    fn sar<const N: i32>(self, x: Self::V) -> Self::V;
    /// `a + b` in 32-bit lanes, wrapping.
    fn add32(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a - b` in 32-bit lanes, wrapping.
    fn sub32(self, a: Self::V, b: Self::V) -> Self::V;
    /// The low half of `a * b` in 32-bit lanes.
    fn mul32(self, a: Self::V, b: Self::V) -> Self::V;
    /// The bytes of `table` that the bytes of `x`, all below 16, choose.
    fn lookup(self, table: &[i8; 16], x: Self::V) -> Self::V;
    /// The words of `table` that the lanes of `index` choose.
    ///
    /// # Safety
    /// All lanes are below the length of `table`.
    unsafe fn gather(self, table: &[u32], index: Self::V) -> Self::V;
    /// The same 32 bits in every lane.
    fn lanes(self, x: i32) -> Self::V;
    /// 32-bit lanes to f32; exact for what a group can sum to.
    fn float(self, x: Self::V) -> Self::F;
    /// The bits of 32-bit lanes as f32.
    fn bits(self, x: Self::V) -> Self::F;
    /// The f16 in the low half of every lane to f32.
    fn half_low(self, x: Self::V) -> Self::F;
    /// The f16 in the high half of every lane to f32.
    fn half_high(self, x: Self::V) -> Self::F;

    /// Four signed codes a lane as [`Panels::dot`] wants them for `BITS == 8`.
    #[inline(always)]
    fn signed(self, codes: Self::V) -> Self::V {
        codes
    }
    /// Multiplies a chunk of a panel, these elements of its sixteen rows, by the only column of activations.
    ///
    /// # Safety
    /// They lie within the weights, and the column is prepared.
    #[inline(always)]
    unsafe fn column<S: Shape, D: Dot>(work: &Work<Self, S>, panel: usize, elements: Range<usize>) {
        rows::column::<Self, S, D>(work, panel, elements);
    }

    /// `start` and exact sums over a group of `4 * STEPS` elements for `R` panels and `C` columns.
    ///
    /// `start` is what an offset takes: no more than -8 times the sum of the activations where `BITS` is 4.
    /// `BITS` 4 to 7 says that the codes are unsigned and below `2^BITS`; 8 that they come from [`Panels::signed`]. Where
    /// not `BY_BITS`, 7 says no more than that they come from one of the two.
    ///
    /// # Safety
    /// `codes` hold `STEPS` vectors each, and `activations` as many times `C` packed activations, `width` apart.
    unsafe fn dot<const BITS: u32, const STEPS: usize, const R: usize, const C: usize>(
        self,
        start: [Self::V; C],
        codes: [*const Self::V; R],
        activations: *const u32,
        width: usize,
    ) -> [[Self::V; C]; R];
}

/// Tables of bytes that are looked up in registers, and what brings their indices and activations into place; a value is the
/// proof that this CPU has it.
#[allow(dead_code)] // not every kind of CPU has it
pub(crate) trait Tables<P: Panels>: Copy {
    /// The bytes of `table` that the bytes of `index` choose.
    fn entries(self, table: &[u8; 256], index: P::V) -> P::V;
    /// The bytes of `b` where those of `upper` have their highest bit, of `a` where not.
    fn choose(self, upper: P::V, a: P::V, b: P::V) -> P::V;
    /// Eight bits of every lane from `first` on, from `first + STEP` and so on, as four bytes; those of no lane are anything.
    fn bytes_from<const STEP: usize>(self, x: P::V, first: usize) -> P::V;
    /// Bits `first`, `first + STEP` and so on of every lane as the highest of its four bytes, the others being anything.
    #[inline(always)]
    fn highest<const STEP: usize>(self, x: P::V, first: usize) -> P::V {
        self.bytes_from::<STEP>(x, first + 57)
    }
    /// Every second byte of the lanes of `a`, then of `b`: from their first on, or from their second.
    fn every_second_byte<const SECOND: bool>(self, a: P::V, b: P::V) -> P::V;
    /// `index` with bit 3 of all bytes from `signs`.
    fn with_sign(self, index: P::V, signs: P::V) -> P::V;
    /// Of 32 activations those with numbers `k`, `k + 8`, `k + 16` and `k + 24` as word `k`, and of each word the bytes `which`.
    ///
    /// # Safety
    /// They are readable.
    unsafe fn turn(self, activations: *const u32, which: u32, out: &mut [u32; STEPS]);
}
