//! What operators share that sort, or that read where to go: numbers as keys, and places counted from either end.
//!
//! The one design choice: whatever an array holds, a number becomes a key of 64 bits that sorts as the number does, so that
//! there is one sort in the program; keys lie in scratch memory as bytes.

use super::{View, Wide, lanes};
use crate::{Elem, Error};

/// Bytes of a key with a place beside it.
pub(super) const KEYED: usize = 16;

/// The key of what is not a number.
pub(super) const NOT_A_NUMBER: u64 = u64::MAX;

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
                _ if x[0].is_nan() => NOT_A_NUMBER,
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

/// Whether it is a float that is not a number.
pub(super) fn is_nan<W: Wide>(x: W) -> bool {
    x.partial_cmp(&x).is_none()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::ArrayType;
    use crate::{Elem, Extents};

    #[test]
    fn keys_sort_as_numbers_do() {
        let numbers = [f32::NEG_INFINITY, -2.5, -1e-40, 0.0, -0.0, 1e-40, 7.0, f32::INFINITY, f32::NAN];
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let extents = Extents::new(&[numbers.len()]).unwrap();
        let view = View { kind: ArrayType { elem: Elem::F32, extents }, bytes: Some(&bytes) };
        let keys: Vec<u64> = (0..numbers.len()).map(|at| key(&view, at)).collect();
        assert!(keys.is_sorted());
        assert_eq!(keys[3], keys[4]);
        let mut keyed: Vec<_> = [5, 1, 5, 0].iter().zip(0..).map(|(key, at)| keyed(*key, at)).collect();
        sort(&mut keyed, 3);
        assert_eq!(keyed[..3].iter().map(place_of).collect::<Vec<_>>(), [3, 1, 0]);
    }

    #[test]
    fn places_are_counted_from_either_end() {
        assert_eq!(place("Pick", -1, 3).unwrap(), 2);
        for beyond in [3, -4, i64::MIN, i64::MAX] {
            assert!(matches!(place("Pick", beyond, 3), Err(Error::Content { .. })));
        }
    }
}
