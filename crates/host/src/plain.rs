//! Numbers seen as bytes and bytes seen as numbers, without copying and without `unsafe` in other crates.
//!
//! Not a (de)serialiser: it does not swap bytes, and memory is little-endian wherever pintpot runs.

/// A number that any bytes are a valid value of.
///
/// # Safety
///
/// Every bit pattern of the type's size must be a value, and the type must have no padding.
pub unsafe trait Plain: Copy + Default + Send + Sync + 'static {}

macro_rules! plain {
    ($($t:ty)*) => {$(
        // SAFETY: a primitive number has no padding and no invalid bit patterns.
        unsafe impl Plain for $t {}
    )*};
}

plain!(f32 f64 i16 i32 i64 i8 u16 u32 u64 u8);

/// The bytes of `values`.
pub fn as_bytes<T: Plain>(values: &[T]) -> &[u8] {
    // SAFETY: Plain has no padding, so every byte is initialised; u8 has alignment 1; the length is that of
    // the slice in bytes and the lifetime is the slice's.
    unsafe { std::slice::from_raw_parts(values.as_ptr().cast(), size_of_val(values)) }
}

/// The bytes of `values`, writable.
pub fn as_bytes_mut<T: Plain>(values: &mut [T]) -> &mut [u8] {
    // SAFETY: as in `as_bytes`; whatever is written is a value of T, since Plain has no invalid bit patterns.
    unsafe { std::slice::from_raw_parts_mut(values.as_mut_ptr().cast(), size_of_val(values)) }
}

/// `bytes` as whole numbers. `None` if they do not begin at a multiple of the number's alignment or do not
/// end with a whole number.
pub fn cast<T: Plain>(bytes: &[u8]) -> Option<&[T]> {
    // SAFETY: any bytes are values of T.
    let (before, values, after) = unsafe { bytes.align_to::<T>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}

/// As [`cast`], writable.
pub fn cast_mut<T: Plain>(bytes: &mut [u8]) -> Option<&mut [T]> {
    // SAFETY: any bytes are values of T, and any value of T is bytes without padding.
    let (before, values, after) = unsafe { bytes.align_to_mut::<T>() };
    (before.is_empty() && after.is_empty()).then_some(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_bytes() {
        let mut values = [1u32, 0x0403_0201];
        assert_eq!(as_bytes(&values)[4..], [1, 2, 3, 4]);
        as_bytes_mut(&mut values)[0] = 7;
        assert_eq!(values[0], 7);
        assert_eq!(cast::<u32>(as_bytes(&values)), Some(&values[..]));
        assert_eq!(cast::<u32>(&as_bytes(&values)[1..5]), None, "misaligned");
        assert_eq!(cast::<u32>(&as_bytes(&values)[..6]), None, "half a number");
        cast_mut::<u16>(as_bytes_mut(&mut values)).unwrap()[1] = 1;
        assert_eq!(values[0], 0x1_0007);
    }
}
