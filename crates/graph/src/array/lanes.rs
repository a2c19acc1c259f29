//! Elements of every kind as the four kinds that are computed with.
//!
//! Not arithmetic. The one design choice: an operator computes on short runs of f32, f64, i64 or u64, whatever an array
//! holds; what is narrower is widened when a run is read and narrowed when it is written. So an operator is four pieces of
//! code instead of thirteen, and integers wrap around as their own kind would.

use crate::Elem;
use half::{bf16, f16};

/// Elements that are worked on at a time.
pub(crate) const LANES: usize = 256;

/// A kind that is computed with.
pub(crate) trait Wide: Copy + Default + PartialEq + PartialOrd + 'static {
    fn of_f32(x: f32) -> Self;
    fn of_f64(x: f64) -> Self;
    fn of_i64(x: i64) -> Self;
    fn of_u64(x: u64) -> Self;
    fn to_f32(self) -> f32;
    fn to_f64(self) -> f64;
    fn to_i64(self) -> i64;
    fn to_u64(self) -> u64;
    fn add(self, other: Self) -> Self;
    fn sub(self, other: Self) -> Self;
    fn mul(self, other: Self) -> Self;
    /// Of integers towards zero, and zero by zero.
    fn div(self, other: Self) -> Self;
    /// `self * other + sum`, rounded once.
    fn mul_add(self, other: Self, sum: Self) -> Self;
    /// No number is smaller.
    const LEAST: Self;
    /// No number is larger.
    const MOST: Self;
}

/// To and from every kind, as the language casts.
macro_rules! conversions {
    ($name:ident) => {
        fn of_f32(x: f32) -> Self {
            x as $name
        }
        fn of_f64(x: f64) -> Self {
            x as $name
        }
        fn of_i64(x: i64) -> Self {
            x as $name
        }
        fn of_u64(x: u64) -> Self {
            x as $name
        }
        fn to_f32(self) -> f32 {
            self as f32
        }
        fn to_f64(self) -> f64 {
            self as f64
        }
        fn to_i64(self) -> i64 {
            self as i64
        }
        fn to_u64(self) -> u64 {
            self as u64
        }
    };
}

macro_rules! wide_float {
    ($name:ident) => {
        impl Wide for $name {
            conversions!($name);
            fn add(self, other: Self) -> Self {
                self + other
            }
            fn sub(self, other: Self) -> Self {
                self - other
            }
            fn mul(self, other: Self) -> Self {
                self * other
            }
            fn div(self, other: Self) -> Self {
                self / other
            }
            fn mul_add(self, other: Self, sum: Self) -> Self {
                $name::mul_add(self, other, sum)
            }
            const LEAST: Self = $name::NEG_INFINITY;
            const MOST: Self = $name::INFINITY;
        }
    };
}

macro_rules! wide_integer {
    ($name:ident) => {
        impl Wide for $name {
            conversions!($name);
            fn add(self, other: Self) -> Self {
                self.wrapping_add(other)
            }
            fn sub(self, other: Self) -> Self {
                self.wrapping_sub(other)
            }
            fn mul(self, other: Self) -> Self {
                self.wrapping_mul(other)
            }
            fn div(self, other: Self) -> Self {
                if other == 0 { 0 } else { self.wrapping_div(other) }
            }
            fn mul_add(self, other: Self, sum: Self) -> Self {
                self.wrapping_mul(other).wrapping_add(sum)
            }
            const LEAST: Self = $name::MIN;
            const MOST: Self = $name::MAX;
        }
    };
}

wide_float!(f32);
wide_float!(f64);
wide_integer!(i64);
wide_integer!(u64);

/// Does something with the kind that elements of `$elem` are computed as, under the name `$wide`.
macro_rules! each_wide {
    ($elem:expr, $wide:ident => $body:expr) => {
        match $elem {
            $crate::Elem::BF16 | $crate::Elem::F16 | $crate::Elem::F32 => {
                type $wide = f32;
                $body
            }
            $crate::Elem::F64 => {
                type $wide = f64;
                $body
            }
            $crate::Elem::U64 => {
                type $wide = u64;
                $body
            }
            _ => {
                type $wide = i64;
                $body
            }
        }
    };
}
pub(crate) use each_wide;

/// Reads elements from `start` on; what is beyond the end is left as it was.
pub(crate) fn load<W: Wide>(elem: Elem, bytes: &[u8], start: usize, out: &mut [W]) {
    let from = bytes.get(start * elem.bytes()..).unwrap_or_default();
    macro_rules! read {
        ($kind:ty, $wide:ident) => {{
            let elements = from.chunks_exact(size_of::<$kind>());
            for (x, element) in out.iter_mut().zip(elements) {
                let mut raw = [0; size_of::<$kind>()];
                raw.copy_from_slice(element);
                *x = W::$wide(<$kind>::from_le_bytes(raw).into());
            }
        }};
    }
    match elem {
        Elem::BF16 => read!(bf16, of_f32),
        Elem::Bool | Elem::U8 => read!(u8, of_i64),
        Elem::F16 => read!(f16, of_f32),
        Elem::F32 => read!(f32, of_f32),
        Elem::F64 => read!(f64, of_f64),
        Elem::I8 | Elem::Quantized => read!(i8, of_i64),
        Elem::I16 => read!(i16, of_i64),
        Elem::I32 => read!(i32, of_i64),
        Elem::I64 => read!(i64, of_i64),
        Elem::Index | Elem::U32 => read!(u32, of_i64),
        Elem::U16 => read!(u16, of_i64),
        Elem::U64 => read!(u64, of_u64),
    }
}

/// Writes elements from `start` on; what is beyond the end is dropped.
pub(crate) fn store<W: Wide>(elem: Elem, values: &[W], start: usize, bytes: &mut [u8]) {
    let to = bytes.get_mut(start * elem.bytes()..).unwrap_or_default();
    macro_rules! write {
        ($kind:ty, $value:expr) => {{
            let elements = to.chunks_exact_mut(size_of::<$kind>());
            for (x, element) in values.iter().zip(elements) {
                let narrow: fn(W) -> $kind = $value;
                element.copy_from_slice(&narrow(*x).to_le_bytes());
            }
        }};
    }
    match elem {
        Elem::BF16 => write!(bf16, |x| bf16::from_f32(x.to_f32())),
        Elem::Bool => write!(u8, |x| u8::from(x != W::default())),
        Elem::F16 => write!(f16, |x| f16::from_f32(x.to_f32())),
        Elem::F32 => write!(f32, |x| x.to_f32()),
        Elem::F64 => write!(f64, |x| x.to_f64()),
        Elem::I8 | Elem::Quantized => write!(i8, |x| x.to_i64() as i8),
        Elem::I16 => write!(i16, |x| x.to_i64() as i16),
        Elem::I32 => write!(i32, |x| x.to_i64() as i32),
        Elem::I64 => write!(i64, |x| x.to_i64()),
        Elem::Index | Elem::U32 => write!(u32, |x| x.to_i64() as u32),
        Elem::U8 => write!(u8, |x| x.to_i64() as u8),
        Elem::U16 => write!(u16, |x| x.to_i64() as u16),
        Elem::U64 => write!(u64, |x| x.to_u64()),
    }
}
