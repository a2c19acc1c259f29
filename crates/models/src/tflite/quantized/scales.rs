//! Scales as fixed-point numbers, and what a quantised tensor can hold.
//!
//! The one design choice: each product of scales is rounded where TFLite rounds it, in f32 or f64, because the last bit of a
//! multiplier decides halves.

use formats::tflite::Activation;
use graph::Elem;

/// A fraction as a multiplier of 31 bits and a shift.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fixed {
    pub multiplier: i32,
    pub shift: i32,
}

impl Fixed {
    /// The nearest to a fraction; zero if it is too small.
    pub fn new(fraction: f64) -> Fixed {
        if fraction == 0.0 || !fraction.is_finite() {
            return Fixed { multiplier: 0, shift: 0 };
        }
        let (part, mut shift) = libm::frexp(fraction);
        let mut fixed = libm::round(part * f64::from(1u32 << 31)) as i64;
        if fixed == 1 << 31 {
            fixed /= 2;
            shift += 1;
        }
        match shift {
            ..-31 => Fixed { multiplier: 0, shift: 0 },
            31.. => Fixed { multiplier: i32::MAX, shift: 30 },
            shift => Fixed { multiplier: fixed as i32, shift },
        }
    }
}

/// The least and the most that a kind of element holds.
pub(super) fn range(elem: Elem) -> [i64; 2] {
    let bits = 8 * elem.bytes() as u32;
    match elem {
        Elem::U8 | Elem::U16 => [0, (1 << bits) - 1],
        _ => [-(1 << (bits - 1)), (1 << (bits - 1)) - 1],
    }
}

/// The least and the most after an activation.
pub(super) fn bounds(activation: Activation, elem: Elem, scale: f32, zero: i64) -> Option<[i64; 2]> {
    let [least, most] = range(elem);
    let at = |x: f32| zero.saturating_add(libm::roundf(x / scale) as i64).clamp(least, most);
    match activation {
        Activation::None => Some([least, most]),
        Activation::Relu => Some([at(0.0), most]),
        Activation::Relu6 => Some([at(0.0), at(6.0)]),
        Activation::ReluN1To1 => Some([at(-1.0), at(1.0)]),
        Activation::SignBit | Activation::Tanh => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_are_multipliers_and_shifts() {
        for (fraction, multiplier, shift) in [
            (1.0, 1 << 30, 1),
            (0.5, 1 << 30, 0),
            (0.75, 3 << 29, 0),
            (1e-30, 0, 0),
            (0.999_999_999_9, 1 << 30, 1),
        ] {
            assert_eq!(Fixed::new(fraction), Fixed { multiplier, shift }, "{fraction}");
        }
        assert_eq!(bounds(Activation::Relu6, Elem::I8, 0.1, -10), Some([-10, 50]));
        assert_eq!(range(Elem::I16), [-32768, 32767]);
    }
}
