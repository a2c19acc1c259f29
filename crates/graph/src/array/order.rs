//! What operators share that sort, or that read where to go: numbers as keys, and places counted from either end.
//!
//! The one design choice: whatever an array holds, a number becomes a key of 64 bits that sorts as the number does, so that
//! there is one sort in the program; keys lie in scratch memory as bytes.

use super::{View, lanes};
use crate::{Elem, Error};

/// Bytes of a key with a place beside it.
pub(super) const KEYED: usize = 16;

/// The key of the element at `at`: equal for equal numbers; what is not a number comes last.
pub(super) fn key(view: &View<'_>, at: usize) -> u64 {
    const SIGN: u64 = 1 << 63;
    let (elem, bytes) = (view.kind.elem, view.bytes.unwrap_or_default());
    match elem {
        _ if elem.is_float() => {
            let mut x = [0f64];
            lanes::load(elem, bytes, at, &mut x);
            // Minus zero becomes zero.
            let bits = (x[0] + 0.0).to_bits();
            match bits {
                _ if x[0].is_nan() => u64::MAX,
                _ if bits & SIGN != 0 => !bits,
                _ => bits | SIGN,
            }
        }
        Elem::U64 => {
            let mut x = [0u64];
            lanes::load(elem, bytes, at, &mut x);
            x[0]
        }
        _ => {
            let mut x = [0i64];
            lanes::load(elem, bytes, at, &mut x);
            x[0] as u64 ^ SIGN
        }
    }
}

/// A key with a place beside it, so that equal keys are in the order of their places.
pub(super) fn keyed(key: u64, place: usize) -> [u8; KEYED] {
    ((u128::from(key) << 64) | place as u128).to_le_bytes()
}

/// The place beside a key.
pub(super) fn place_of(keyed: &[u8; KEYED]) -> usize {
    u128::from_le_bytes(*keyed) as u64 as usize
}

/// Sorts so that the first `some` are the smallest, in order.
pub(super) fn sort(keys: &mut [[u8; KEYED]], some: usize) {
    let number = |keyed: &[u8; KEYED]| u128::from_le_bytes(*keyed);
    let some = some.min(keys.len());
    if 0 < some && some < keys.len() {
        keys.select_nth_unstable_by_key(some - 1, number);
    }
    keys[..some].sort_unstable_by_key(number);
}

/// A place along an axis; negative ones count from the end.
pub(super) fn place(op: &'static str, number: i64, extent: usize) -> Result<usize, Error> {
    let extent = extent as i64;
    let from_front = if number < 0 { number.saturating_add(extent) } else { number };
    if (0..extent).contains(&from_front) {
        return Ok(from_front as usize);
    }
    Err(Error::Content { op, what: "a place that is not in the array", found: number })
}

/// Extents around an axis: how many blocks, and elements within.
pub(super) fn around(extents: &[usize], axis: usize) -> (usize, usize) {
    (extents[..axis].iter().product(), extents[axis + 1..].iter().product())
}
