//! A fingerprint of logits: equal digests mean equal bits, at every budget, thread count, chunk and tile size.
//!
//! Not cryptography: it guards against accidents. Four lanes of multiply and rotate, so that it costs microseconds.

/// Fingerprint of the logits seen so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest([u64; 4]);

const PRIME: u64 = 0x9e37_79b9_7f4a_7c15;

impl Default for Digest {
    fn default() -> Digest {
        Digest([1, 2, 3, 4])
    }
}

impl Digest {
    /// Takes in the logits of one position.
    pub fn update(&mut self, logits: &[f32]) {
        let (fours, rest) = logits.as_chunks::<4>();
        for four in fours {
            for (lane, x) in self.0.iter_mut().zip(four) {
                *lane = (*lane ^ u64::from(x.to_bits())).wrapping_mul(PRIME).rotate_left(29);
            }
        }
        for x in rest {
            self.0[0] = (self.0[0] ^ u64::from(x.to_bits())).wrapping_mul(PRIME).rotate_left(29);
        }
    }

    /// The fingerprint as one number.
    pub fn value(self) -> u64 {
        self.0.iter().fold(0, |all, &lane| {
            let mixed = (all ^ lane).wrapping_mul(PRIME);
            mixed ^ (mixed >> 32)
        })
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bit_and_every_place_counts() {
        let of = |x: &[f32]| {
            let mut digest = Digest::default();
            digest.update(x);
            digest.value()
        };
        let base = of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(base, of(&[1.0, 2.0, 3.0, 4.0, 5.0]));
        for changed in [[1.0, 2.0, 3.0, 5.0, 4.0], [2.0, 1.0, 3.0, 4.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.000_001]]
        {
            assert_ne!(base, of(&changed), "{changed:?}");
        }
        assert_ne!(of(&[0.0]), of(&[-0.0]));
    }
}
