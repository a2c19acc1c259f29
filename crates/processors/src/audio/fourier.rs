//! The Fourier transform of a window, of any length that is a product of twos, threes and fives.
//!
//! Not for other lengths, which windows of sound do not have. The one design choice: two real windows are transformed as one
//! complex one, since each one's part can be told from the other's by symmetry. Order of stages: Stockham, "High-speed
//! convolution and correlation" (1966).

/// Factors that a length is taken apart in, the first that fits first.
const RADICES: [usize; 4] = [5, 4, 3, 2];

type Complex = [f64; 2];

/// Tables and room for a transform.
pub(super) struct Fourier {
    /// Factors of the length, in order.
    radices: Vec<usize>,
    /// Roots of one, (length).
    roots: Vec<Complex>,
    from: Vec<Complex>,
    to: Vec<Complex>,
}

impl Fourier {
    /// Whether windows of this length are transformed.
    pub fn takes(length: usize) -> bool {
        length > 0 && radices(length).iter().product::<usize>() == length
    }

    /// Frequencies of a real window of this length: half of them, and the mean.
    pub fn bins(length: usize) -> usize {
        length / 2 + 1
    }

    /// Bytes on the heap, at most.
    pub fn heap_bytes(length: usize) -> u64 {
        (3 * length * size_of::<Complex>() + 64 * size_of::<usize>()) as u64
    }

    /// For windows of a length that it takes.
    pub fn new(length: usize) -> Fourier {
        let root = |k: usize| {
            let angle = -2.0 * std::f64::consts::PI * k as f64 / length as f64;
            [libm::cos(angle), libm::sin(angle)]
        };
        Fourier {
            radices: radices(length),
            roots: (0..length).map(root).collect(),
            from: vec![[0.0; 2]; length],
            to: vec![[0.0; 2]; length],
        }
    }

    /// The energy at each frequency of two windows, which are silent behind what `windows` gives of them.
    pub fn power(&mut self, windows: impl Iterator<Item = [f64; 2]>, power: &mut [[f64; 2]]) {
        let length = self.from.len();
        let silence = std::iter::repeat([0.0; 2]);
        self.from.iter_mut().zip(windows.chain(silence)).for_each(|(to, x)| *to = x);
        let mut stride = 1;
        for at in 0..self.radices.len() {
            let radix = self.radices[at];
            self.stage(radix, stride);
            std::mem::swap(&mut self.from, &mut self.to);
            stride *= radix;
        }
        for (k, power) in power.iter_mut().enumerate().take(Fourier::bins(length)) {
            let ([a, b], [c, d]) = (self.from[k], self.from[(length - k) % length]);
            // Of the first window the even part, of the second the odd one.
            *power = [(a + c, b - d), (b + d, c - a)].map(|(re, im)| (re * re + im * im) / 4.0);
        }
    }

    fn stage(&mut self, radix: usize, stride: usize) {
        let length = self.from.len();
        let groups = length / stride / radix;
        for group in 0..groups {
            for j in 0..radix {
                let mut roots = [[0.0; 2]; RADICES[0]];
                for (k, root) in roots.iter_mut().enumerate().take(radix) {
                    *root = self.roots[(length / radix * j * k + stride * group * j) % length];
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

/// The factors of a length; of one that has others what is left is not among them.
fn radices(length: usize) -> Vec<usize> {
    let (mut rest, mut factors) = (length.max(1), Vec::new());
    for radix in RADICES {
        while rest % radix == 0 {
            factors.push(radix);
            rest /= radix;
        }
    }
    factors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_windows_are_told_apart_at_every_length() {
        let a = |n: usize| (n as f64 * 0.37).sin() + 0.1;
        let b = |n: usize| (n as f64 * 0.11).cos() - (n % 7) as f64;
        for (length, heard) in
            [(1, 1), (2, 2), (6, 5), (400, 400), (480, 480), (512, 480), (640, 640), (1024, 999)]
        {
            assert!(Fourier::takes(length));
            let bins = Fourier::bins(length);
            let mut power = vec![[0.0; 2]; bins];
            Fourier::new(length).power((0..heard).map(|n| [a(n), b(n)]), &mut power);
            for k in [0, 1, 17, 100, length / 2].into_iter().filter(|k| *k < bins) {
                for (side, window) in [&a as &dyn Fn(usize) -> f64, &b].into_iter().enumerate() {
                    let mut sum = [0.0; 2];
                    for n in 0..heard {
                        let angle = -2.0 * std::f64::consts::PI * (n * k) as f64 / length as f64;
                        sum = [sum[0] + window(n) * angle.cos(), sum[1] + window(n) * angle.sin()];
                    }
                    let expected = sum[0] * sum[0] + sum[1] * sum[1];
                    assert!(
                        (power[k][side] - expected).abs() < 1e-6 * (1.0 + expected),
                        "{length}: {k} {side}"
                    );
                }
            }
        }
    }

    #[test]
    fn other_lengths_are_not_taken() {
        assert!([0, 7, 14, 511, 22_050].into_iter().all(|length| !Fourier::takes(length)));
    }
}
