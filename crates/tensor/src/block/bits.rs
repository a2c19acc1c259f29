//! The pieces that blocks are made of: f16 numbers, and small fields packed in planes.
//!
//! Not a format and not fast; the formats beside it are written in these words. Nearly all of ggml's layouts
//! are *planes*: with fields of `bits` bits in `n` bytes, byte `i` holds the elements `i`, `i + n`, `i + 2n` ...,
//! the first in its lowest bits.

use half::f16;

/// The little-endian f16 at byte `at`.
#[inline]
pub(super) fn f16_at(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

/// Stores `value` as a little-endian f16 at byte `at`, the nearest finite one.
pub(super) fn put_f16(block: &mut [u8], at: usize, value: f32) {
    block[at..at + 2].copy_from_slice(&nearest_f16(value).to_le_bytes());
}

/// `value` as an f16 will remember it: what a quantiser must divide by.
pub(super) fn through_f16(value: f32) -> f32 {
    nearest_f16(value).to_f32()
}

fn nearest_f16(value: f32) -> f16 {
    f16::from_f32(value.clamp(f16::MIN.to_f32(), f16::MAX.to_f32()))
}

/// Field `i` of the planes in `bytes`, each `bits` (1, 2 or 4) wide.
#[inline]
pub(super) fn field(bytes: &[u8], bits: usize, i: usize) -> u8 {
    bytes[i % bytes.len()] >> (bits * (i / bytes.len())) & ((1 << bits) - 1)
}

/// Copies the fields of the planes in `bytes`, each `bits` wide, to `q` in element order.
#[inline]
pub(super) fn read_planes(bytes: &[u8], bits: usize, q: &mut [i8]) {
    q.fill(0);
    or_planes(bytes, bits, 0, q);
}

/// Like [`read_planes`], for the bits from `shift` up of codes whose lower bits are already in `q`.
#[inline]
pub(super) fn or_planes(bytes: &[u8], bits: usize, shift: usize, q: &mut [i8]) {
    for (plane, q) in q.chunks_mut(bytes.len()).enumerate() {
        for (q, byte) in q.iter_mut().zip(bytes) {
            *q |= ((byte >> (bits * plane) & ((1 << bits) - 1)) << shift) as i8;
        }
    }
}

/// Like [`read_planes`] for nibbles that stand for `levels`.
#[inline]
pub(super) fn read_levels(bytes: &[u8], levels: &[i8; 16], q: &mut [i8]) {
    for (plane, q) in q.chunks_mut(bytes.len()).enumerate() {
        for (q, byte) in q.iter_mut().zip(bytes) {
            *q = levels[usize::from(byte >> (4 * plane) & 15)];
        }
    }
}

/// Sets field `i` to the low bits of `value`; it must be zero before.
#[inline]
pub(super) fn put_field(bytes: &mut [u8], bits: usize, i: usize, value: u8) {
    let n = bytes.len();
    bytes[i % n] |= (value & ((1 << bits) - 1)) << (bits * (i / n));
}

/// Bit `i` of a little-endian bit string.
#[inline]
pub(super) fn bit(bytes: &[u8], i: usize) -> u8 {
    bytes[i / 8] >> (i % 8) & 1
}

/// Sets bit `i` of a little-endian bit string to the low bit of `value`; it must be zero before.
pub(super) fn put_bit(bytes: &mut [u8], i: usize, value: u8) {
    bytes[i / 8] |= (value & 1) << (i % 8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_back() {
        for bits in [1, 2, 4] {
            let mut bytes = [0; 4];
            let value = |i: usize| (i * 7 + 3) as u8 & ((1 << bits) - 1);
            let count = 32 / bits;
            (0..count).for_each(|i| put_field(&mut bytes, bits, i, value(i)));
            let mut q = vec![-1; count];
            read_planes(&bytes, bits, &mut q);
            for (i, &q) in q.iter().enumerate() {
                assert_eq!((field(&bytes, bits, i), q as u8), (value(i), value(i)), "{bits} bits, field {i}");
            }
        }
    }

    #[test]
    fn scales_saturate_instead_of_overflowing() {
        for (value, want) in [(1e9, 65504.0), (-1e9, -65504.0), (0.1, 0.099975586)] {
            assert_eq!(through_f16(value), want);
        }
    }
}
