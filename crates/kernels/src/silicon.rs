//! The most that a core does of what bounds a network, found by doing nothing else: reading memory, multiplying whole numbers,
//! multiplying floats.
//!
//! Nothing that a network needs. The one design choice: these are kernels as all others, in instructions that are chosen here; a plain
//! loop is as fast as a compiler makes it, and then shares of two programs cannot be compared.

use crate::KernelSet;
use crate::isa::{Isa, Kernel, LANES};
use std::hint::black_box;

/// Places that are read side by side: the most that memory gives.
const PLACES: usize = 4;
/// How far ahead of each place is asked for, bytes.
const AHEAD: usize = 4 << 10;

/// Reads all of `bytes` in four places side by side, but for what is left over at its ends.
pub(crate) struct Read<'a> {
    pub bytes: &'a [u8],
}

impl<I: Isa> Kernel<I> for Read<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        // SAFETY: any bytes are floats.
        let lines = unsafe { self.bytes.align_to::<[f32; LANES]>() }.1;
        let apart = lines.len() / PLACES;
        let mut most = [isa.splat(0.0); PLACES];
        for line in 0..apart {
            for (place, most) in most.iter_mut().enumerate() {
                let line = &lines[place * apart + line];
                isa.prefetch(line.as_ptr().cast::<u8>().wrapping_add(AHEAD));
                *most = isa.max(isa.load(line), *most);
            }
        }
        black_box(most.map(|most| isa.largest(most)));
    }
}

/// What is multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peak {
    /// Bytes, added up as whole numbers.
    Bytes,
    /// f32, fused.
    Floats,
}

/// As many multiply-adds in registers as take some microseconds, `times` times.
pub(crate) struct Multiply<'a> {
    pub peak: Peak,
    pub times: usize,
    /// How many those were.
    pub done: &'a mut u64,
}

/// Steps of all chains between two looks at `times`.
const ROUND: usize = 256;

impl<I: Isa> Kernel<I> for Multiply<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let chains = match I::CHAINS {
            24 => self.chains::<I, 24>(isa),
            6 => self.chains::<I, 6>(isa),
            _ => self.chains::<I, 1>(isa),
        };
        let products = if self.peak == Peak::Bytes { I::PRODUCTS } else { LANES };
        *self.done = (self.times * ROUND * chains * products) as u64;
    }
}

impl Multiply<'_> {
    /// Goes on with `N` sums at once; how many they were. What is multiplied are the sums, so that nothing is known beforehand.
    #[inline(always)]
    fn chains<I: Isa, const N: usize>(&self, isa: I) -> usize {
        match self.peak {
            Peak::Bytes => {
                let (mut sums, by) =
                    ([isa.whole(&black_box([0x0101_0101; LANES])); N], black_box(0x0100_01ff));
                for _ in 0..self.times * ROUND {
                    for sum in &mut sums {
                        *sum = isa.multiply(*sum, *sum, by);
                    }
                }
                black_box(sums.map(|sum| isa.numbers(sum)));
            }
            Peak::Floats => {
                let (mut sums, by) = ([isa.splat(black_box(1.0)); N], isa.splat(black_box(0.5)));
                for _ in 0..self.times * ROUND {
                    for sum in &mut sums {
                        *sum = isa.fma(*sum, by, by);
                    }
                }
                black_box(sums.map(|sum| isa.largest(sum)));
            }
        }
        N
    }
}

impl KernelSet {
    /// Reads `bytes` as fast as this thread can.
    pub fn read_through(&self, bytes: &[u8]) {
        (self.read)(Read { bytes });
    }

    /// Multiplies and adds in registers as fast as this thread can, and says how often; `times` 1 is some microseconds.
    pub fn multiply(&self, peak: Peak, times: usize) -> u64 {
        let mut done = 0;
        (self.multiply)(Multiply { peak, times, done: &mut done });
        done
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_reads_and_multiplies_and_counts_by_its_own_width() {
        for set in crate::available() {
            set.read_through(&vec![0xff; 5 * 64 + 3]);
            set.read_through(&[]);
            for peak in [Peak::Bytes, Peak::Floats] {
                let once = set.multiply(peak, 1);
                assert!(
                    once >= (ROUND * LANES) as u64 && set.multiply(peak, 3) == 3 * once,
                    "{}: {once}",
                    set.name()
                );
            }
        }
    }
}
