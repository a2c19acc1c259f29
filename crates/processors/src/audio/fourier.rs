//! The Fourier transform of one length, 400, which is what a window of speech at 16 kHz has.
//!
//! Not for any length. The one design choice: two real windows are transformed as one complex one, since each one's part can be
//! told from the other's by symmetry. Order of stages: Stockham, "High-speed convolution and correlation" (1966).

/// Numbers of a window.
pub(super) const LENGTH: usize = 400;
/// Frequencies of a real window: half of them, and the mean.
pub(super) const BINS: usize = LENGTH / 2 + 1;
const RADICES: [usize; 4] = [5, 5, 4, 4];

type Complex = [f64; 2];

/// Tables and room for a transform.
pub(super) struct Fourier {
    /// Roots of one, (LENGTH).
    roots: Vec<Complex>,
    from: Vec<Complex>,
    to: Vec<Complex>,
}

impl Fourier {
    pub(super) fn new() -> Fourier {
        let root = |k: usize| {
            let angle = -2.0 * std::f64::consts::PI * k as f64 / LENGTH as f64;
            [libm::cos(angle), libm::sin(angle)]
        };
        Fourier {
            roots: (0..LENGTH).map(root).collect(),
            from: vec![[0.0; 2]; LENGTH],
            to: vec![[0.0; 2]; LENGTH],
        }
    }

    /// The energy at each frequency of two windows.
    pub(super) fn power(&mut self, window: impl Fn(usize) -> [f64; 2], power: &mut [[f64; 2]; BINS]) {
        self.from.iter_mut().enumerate().for_each(|(at, x)| *x = window(at));
        let mut stride = 1;
        for radix in RADICES {
            self.stage(radix, stride);
            std::mem::swap(&mut self.from, &mut self.to);
            stride *= radix;
        }
        for (k, power) in power.iter_mut().enumerate() {
            let ([a, b], [c, d]) = (self.from[k], self.from[(LENGTH - k) % LENGTH]);
            // Of the first window the even part, of the second the odd one.
            *power = [(a + c, b - d), (b + d, c - a)].map(|(re, im)| (re * re + im * im) / 4.0);
        }
    }

    fn stage(&mut self, radix: usize, stride: usize) {
        let groups = LENGTH / stride / radix;
        for group in 0..groups {
            for j in 0..radix {
                let mut roots = [[0.0; 2]; 5];
                for (k, root) in roots.iter_mut().enumerate().take(radix) {
                    *root = self.roots[(LENGTH / radix * j * k + stride * group * j) % LENGTH];
                }
                for q in 0..stride {
                    let mut sum = [0.0; 2];
                    for (k, [re, im]) in roots.iter().enumerate().take(radix) {
                        let [a, b] = self.from[q + stride * (group + groups * k)];
                        sum = [sum[0] + a * re - b * im, sum[1] + a * im + b * re];
                    }
                    self.to[q + stride * (radix * group + j)] = sum;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_are_told_apart() {
        let a = |n: usize| (n as f64 * 0.37).sin() + 0.1;
        let b = |n: usize| (n as f64 * 0.11).cos() - (n % 7) as f64;
        let mut power = [[0.0; 2]; BINS];
        Fourier::new().power(|n| [a(n), b(n)], &mut power);
        for k in [0, 1, 17, 100, 199, 200] {
            for (side, window) in [&a as &dyn Fn(usize) -> f64, &b].into_iter().enumerate() {
                let mut sum = [0.0; 2];
                for n in 0..LENGTH {
                    let angle = -2.0 * std::f64::consts::PI * (n * k) as f64 / LENGTH as f64;
                    sum = [sum[0] + window(n) * angle.cos(), sum[1] + window(n) * angle.sin()];
                }
                let expected = sum[0] * sum[0] + sum[1] * sum[1];
                assert!((power[k][side] - expected).abs() < 1e-6 * (1.0 + expected), "{k} {side}");
            }
        }
    }
}
