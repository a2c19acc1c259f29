//! Several elements at once by an entry of a codebook (`tensor::block::grid`), for sixteen rows: what IQ1, IQ2 and IQ3 share.
//!
//! Not a format. The one design choice: an entry gives indices, not values. A sign, or the shift of IQ1, is one more bit of
//! the index, and a table of sixteen bytes makes codes of both at once, all positive.

use super::Block;
use crate::isa::{Panels, Tables};

/// Codes of a table: `levels` plus `offset`, then, for elements that are negative, `offset` less the levels.
pub(super) const fn signed_levels<const N: usize>(levels: [i8; N], offset: i8) -> [i8; 16] {
    let (mut out, mut i) = ([0; 16], 0);
    while i < N {
        (out[i], out[8 + i]) = (offset + levels[i], offset - levels[i]);
        i += 1;
    }
    out
}

/// Codes of IQ2, which count from -43.
pub(super) const IQ2_CODES: [i8; 16] = signed_levels([8, 25, 43], 43);

/// Codes of IQ1, which count from -9: shifted up, then shifted down.
pub(super) const IQ1_CODES: [i8; 16] = [2, 10, 18, 0, 0, 0, 0, 0, 0, 8, 16, 0, 0, 0, 0, 0];

/// Half a byte in every place where an index of IQ1 is told that it is shifted down.
pub(super) const DOWN: i32 = 0x8888_8888u32 as i32;

/// Signs of 32 elements from four times seven, one to a byte, whose highest bit does not matter: the number of negative ones of
/// eight is even.
#[inline(always)]
pub(super) fn even_signs<P: Panels>(isa: P, sevens: P::V) -> P::V {
    const ODD: [i8; 16] = [0, 8, 8, 0, 8, 0, 0, 8, 8, 0, 0, 8, 0, 8, 8, 0];
    /// The high three signs of seven and, for an index from 8 on, that the low four are odd: with the eighth.
    const HIGH: [i8; 16] = [
        0x00, -0x70, -0x60, 0x30, -0x40, 0x50, 0x60, -0x10, -0x80, 0x10, 0x20, -0x50, 0x40, -0x30, -0x20,
        0x70,
    ];
    let low = isa.and(sevens, isa.bytes(15));
    let high = isa.and(isa.shr::<4>(sevens), isa.bytes(7));
    isa.or(low, isa.lookup(&HIGH, isa.or(high, isa.lookup(&ODD, low))))
}

/// Four times seven bits, the first lowest, as bytes.
#[inline(always)]
pub(super) fn sevens<P: Panels>(isa: P, x: P::V) -> P::V {
    let a = isa.or(isa.and(x, isa.lanes(0x7f)), isa.and(isa.shl::<1>(x), isa.lanes(0x7f00)));
    let b = isa
        .or(isa.and(isa.shl::<2>(x), isa.lanes(0x7f_0000)), isa.and(isa.shl::<3>(x), isa.lanes(0x7f00_0000)));
    isa.or(a, b)
}

/// `unit` times twice the number in the lanes of `sub` plus one.
#[inline(always)]
pub(super) fn odd_scale<P: Panels>(isa: P, unit: P::F, sub: P::V) -> P::F {
    isa.mul(unit, isa.float(isa.add32(isa.shl::<1>(sub), isa.lanes(1))))
}

/// Stores the scales of eight groups from vector lanes of eight nibbles, the first lowest, from group `at` on.
///
/// # Safety
/// The block has that many groups.
#[inline(always)]
pub(super) unsafe fn put_scales<P: Panels>(isa: P, unit: P::F, mut subs: P::V, at: usize, out: &Block<P>) {
    for g in at..at + 8 {
        // SAFETY: the caller's.
        unsafe { out.put_scale(g, odd_scale(isa, unit, isa.and(subs, isa.lanes(15)))) };
        subs = isa.shr::<4>(subs);
    }
}

/// The low bytes of four indices, in order.
#[inline(always)]
pub(super) fn bytes<P: Panels>(isa: P, x: P::V) -> [P::V; 4] {
    let byte = isa.lanes(255);
    [isa.and(x, byte), isa.and(isa.shr::<8>(x), byte), isa.and(isa.shr::<16>(x), byte), isa.shr::<24>(x)]
}

/// Stores eight elements from vector `at`: the indices of `entry` with more bits of `upper` make codes by `table`.
///
/// # Safety
/// The block has that many elements.
#[inline(always)]
pub(super) unsafe fn put_eight<P: Panels>(
    isa: P,
    at: usize,
    entry: P::V,
    upper: [P::V; 2],
    table: &[i8; 16],
    out: &Block<P>,
) {
    let nibble = isa.bytes(15);
    let (low, high) = (isa.and(entry, nibble), isa.and(isa.shr::<4>(entry), nibble));
    // SAFETY: the caller's.
    unsafe {
        out.put(at, isa.lookup(table, isa.or(low, upper[0])));
        out.put(at + 1, isa.lookup(table, isa.or(high, upper[1])));
    }
}

/// Stores eight elements of IQ1 from vector `at`: `entry` has the bits of [`DOWN`] where they are shifted down.
///
/// # Safety
/// The block has that many elements.
#[inline(always)]
pub(super) unsafe fn put_shifted<P: Panels>(isa: P, at: usize, entry: P::V, out: &Block<P>) {
    let nibble = isa.bytes(15);
    // SAFETY: the caller's.
    unsafe {
        out.put(at, isa.lookup(&IQ1_CODES, isa.and(entry, nibble)));
        out.put(at + 1, isa.lookup(&IQ1_CODES, isa.and(isa.shr::<4>(entry), nibble)));
    }
}

/// A codebook as two bytes of every entry, by 256 entries. Indices of two bits lie in them as 0, 1, 4, 5 and 2, 3, 6, 7; where
/// an entry has only four, of three bits, as 0, 2 and 1, 3.
#[repr(align(64))]
pub(super) struct Bytes<const N: usize>([[[u8; 256]; 2]; N]);

/// Such bytes of a codebook whose entries have eight elements or four.
pub(super) const fn packed<const N: usize, const ALL: usize>(grid: &[u32; ALL], elements: usize) -> Bytes<N> {
    assert!(ALL == 256 * N);
    let (mut out, mut i) = ([[[0; 256]; 2]; N], 0);
    while i < 2 * ALL {
        let (entry, byte, bytes) = (i / 2, i % 2, grid[i / 2].to_le_bytes());
        out[entry / 256][byte][entry % 256] = match elements {
            8 => bytes[2 * byte] | bytes[2 * byte + 1] << 2,
            _ => bytes[byte] | bytes[byte + 2] << 4,
        };
        i += 1;
    }
    Bytes(out)
}

/// Byte `byte` of four entries. An index is a byte of `index` and, above it, the highest bits of those of `upper`: none, one or
/// two of them, as the codebook has 256 entries, 512 or 1024.
#[inline(always)]
fn look_up<P: Panels, T: Tables<P>, const N: usize>(
    tables: T,
    codebook: &Bytes<N>,
    byte: usize,
    index: P::V,
    upper: [P::V; 2],
) -> P::V {
    const { assert!(N == 1 || N == 2 || N == 4) }
    let a = tables.entries(&codebook.0[0][byte], index);
    if N == 1 {
        return a;
    }
    let low = tables.choose(upper[0], a, tables.entries(&codebook.0[1 % N][byte], index));
    if N == 2 {
        return low;
    }
    let (c, d) =
        (tables.entries(&codebook.0[2 % N][byte], index), tables.entries(&codebook.0[3 % N][byte], index));
    tables.choose(upper[1], low, tables.choose(upper[0], c, d))
}

/// 32 codes, turned, by four entries of eight elements: bit `k` of the bytes of `signs` are the signs of elements `k`, and
/// `codes` has those of both. `upper` is as in [`look_up`].
#[inline(always)]
pub(super) fn turned_eights<P: Panels, T: Tables<P>, const N: usize>(
    isa: P,
    tables: T,
    codebook: &Bytes<N>,
    index: P::V,
    upper: [P::V; 2],
    signs: P::V,
    codes: &[i8; 16],
) -> [P::V; 8] {
    let pairs = isa.bytes(0x33);
    let (a, b) = (look_up(tables, codebook, 0, index, upper), look_up(tables, codebook, 1, index, upper));
    let (even, odd) = (isa.and(a, pairs), isa.and(isa.shr::<2>(a), pairs));
    let (even_b, odd_b) = (isa.and(b, pairs), isa.and(isa.shr::<2>(b), pairs));
    [
        signed(isa, tables, even, isa.shl::<3>(signs), codes),
        signed(isa, tables, odd, isa.shl::<2>(signs), codes),
        signed(isa, tables, even_b, isa.shl::<1>(signs), codes),
        signed(isa, tables, odd_b, signs, codes),
        signed(isa, tables, isa.shr::<4>(even), isa.shr::<1>(signs), codes),
        signed(isa, tables, isa.shr::<4>(odd), isa.shr::<2>(signs), codes),
        signed(isa, tables, isa.shr::<4>(even_b), isa.shr::<3>(signs), codes),
        signed(isa, tables, isa.shr::<4>(odd_b), isa.shr::<4>(signs), codes),
    ]
}

/// The same by eight entries of four elements, whose indices are the bytes of `index` and have one bit more: even entries and
/// odd ones.
#[inline(always)]
pub(super) fn turned_fours<P: Panels, T: Tables<P>, const N: usize>(
    isa: P,
    tables: T,
    codebook: &Bytes<N>,
    index: [P::V; 2],
    upper: [P::V; 2],
    signs: P::V,
    codes: &[i8; 16],
) -> [P::V; 8] {
    // The bytes of all eight entries in order: those of even entries, then those of odd ones.
    let even = tables.every_second_byte::<false>(index[0], index[1]);
    let odd = tables.every_second_byte::<true>(index[0], index[1]);
    let (a, b) = (
        look_up(tables, codebook, 0, even, [upper[0]; 2]),
        look_up(tables, codebook, 1, even, [upper[0]; 2]),
    );
    let (c, d) =
        (look_up(tables, codebook, 0, odd, [upper[1]; 2]), look_up(tables, codebook, 1, odd, [upper[1]; 2]));
    [
        signed(isa, tables, a, isa.shl::<3>(signs), codes),
        signed(isa, tables, b, isa.shl::<2>(signs), codes),
        signed(isa, tables, isa.shr::<4>(a), isa.shl::<1>(signs), codes),
        signed(isa, tables, isa.shr::<4>(b), signs, codes),
        signed(isa, tables, c, isa.shr::<1>(signs), codes),
        signed(isa, tables, d, isa.shr::<2>(signs), codes),
        signed(isa, tables, isa.shr::<4>(c), isa.shr::<3>(signs), codes),
        signed(isa, tables, isa.shr::<4>(d), isa.shr::<4>(signs), codes),
    ]
}

/// Codes of what is in the low three bits of every byte and of bit 3 of `signs`. The highest bit of a byte is zero; those
/// between do not matter.
#[inline(always)]
fn signed<P: Panels, T: Tables<P>>(isa: P, tables: T, index: P::V, signs: P::V, codes: &[i8; 16]) -> P::V {
    isa.lookup(codes, tables.with_sign(index, signs))
}
