//! A stream of samples at another rate: each new sample is the old ones around it, weighted by a sinc under Kaiser's window.
//!
//! Not an effect. The one design choice: the table of weights is exact for rates whose ratio is simple, which are those that
//! occur, and of one in a thousand of a sample of the slower rate for others, so that no rate makes it large. Frequencies
//! that the slower of both rates cannot have are taken out. (Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983.)

/// Where the sinc crosses zero on each side before it ends.
const CROSSINGS: f64 = 24.0;
/// The part of the slower rate's band that stays.
const KEPT: f64 = 0.94;
/// Kaiser's beta: what is taken out is 90 dB down.
const BETA: f64 = 9.0;
/// Weights of a table that is exact, at most.
const EXACT: usize = 1 << 16;
/// Places that a table has otherwise between two samples of the slower rate.
const PLACES: f64 = 1000.0;

/// Makes a stream of another rate.
pub struct Resampler {
    /// Old samples for so many new ones.
    ratio: [u64; 2],
    /// Old samples on each side of a new one.
    half: usize,
    /// Rows of weights, (place, 2 half).
    table: Vec<f32>,
    /// Rows but the last.
    places: u64,
    /// Old samples that are needed still.
    held: Vec<f32>,
    /// The next new sample: so many `ratio[1]`ths of an old one behind the middle of `held`.
    part: u64,
    /// How many came in, and how many went out.
    counts: [u64; 2],
}

impl Resampler {
    /// From one rate to another; neither may be zero.
    pub fn new(from: u32, to: u32) -> Resampler {
        let (from, to) = (u64::from(from.max(1)), u64::from(to.max(1)));
        let common = divisor(from, to);
        let ratio = [from / common, to / common];
        let wide = (ratio[0] as f64 / ratio[1] as f64).max(1.0);
        let half = if ratio == [1, 1] { 1 } else { (CROSSINGS * wide).ceil() as usize };
        let exact = ratio[1] as usize * 2 * half <= EXACT;
        let places = if exact { ratio[1] } else { (PLACES / wide).ceil() as u64 };
        let row = |place: u64| weights(place as f64 / places as f64, half, KEPT / wide);
        let table = match ratio {
            [1, 1] => vec![1.0, 0.0],
            _ => (0..=places).flat_map(row).collect(),
        };
        Resampler { ratio, half, table, places, held: vec![0.0; half - 1], part: 0, counts: [0; 2] }
    }

    /// Takes samples and adds those to `out` that they are enough for.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.counts[0] += samples.len() as u64;
        self.held.extend_from_slice(samples);
        self.make(u64::MAX, out);
    }

    /// Adds what is left to `out`, as if silence followed.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let most = (self.counts[0] * self.ratio[1]).div_ceil(self.ratio[0]);
        self.held.extend(std::iter::repeat_n(0.0, self.half));
        self.make(most, out);
    }

    fn make(&mut self, most: u64, out: &mut Vec<f32>) {
        let width = 2 * self.half;
        let [old, new] = self.ratio;
        let mut at = 0;
        while at + width <= self.held.len() && self.counts[1] < most {
            let place =
                if self.places == new { self.part } else { (self.part * self.places + new / 2) / new };
            let row = &self.table[place as usize * width..][..width];
            let mut sums = [0.0f32; 8];
            for (x, w) in self.held[at..at + width].chunks(8).zip(row.chunks(8)) {
                x.iter().zip(w).zip(&mut sums).for_each(|((x, w), sum)| *sum += x * w);
            }
            out.push(sums.iter().sum());
            self.counts[1] += 1;
            self.part += old;
            at += (self.part / new) as usize;
            self.part %= new;
        }
        // Where the ratio is large the next may lie beyond what is there.
        let gone = at.min(self.held.len());
        self.held.drain(..gone);
        self.part += (at - gone) as u64 * new;
    }
}

/// The weights of the samples around a place behind one of them, the first of which is the `half - 1`th before it.
fn weights(place: f64, half: usize, cut: f64) -> Vec<f32> {
    let weight = |k: usize| {
        let t = k as f64 - (half as f64 - 1.0) - place;
        let x = std::f64::consts::PI * cut * t;
        let sinc = if t == 0.0 { 1.0 } else { libm::sin(x) / x };
        let edge = t / half as f64;
        sinc * bessel(BETA * libm::sqrt((1.0 - edge * edge).max(0.0)))
    };
    let all: Vec<f64> = (0..2 * half).map(weight).collect();
    let sum: f64 = all.iter().sum();
    all.into_iter().map(|weight| (weight / sum) as f32).collect()
}

/// Bessel's function of the first kind and order zero, modified.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        let factor = x / (2.0 * f64::from(k));
        term *= factor * factor;
        sum += term;
    }
    sum
}

fn divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tone of so many hertz at one rate, made another's in pieces.
    fn tone(hertz: f64, from: u32, to: u32) -> Vec<f32> {
        let count = from as usize / 4;
        let wave = |n: usize| (2.0 * std::f64::consts::PI * hertz * n as f64 / f64::from(from)).sin() as f32;
        let samples: Vec<f32> = (0..count).map(wave).collect();
        let (mut resampler, mut out) = (Resampler::new(from, to), Vec::new());
        samples.chunks(777).for_each(|piece| resampler.push(piece, &mut out));
        resampler.finish(&mut out);
        assert_eq!(out.len(), (count as u64 * u64::from(to)).div_ceil(u64::from(from)) as usize);
        out
    }

    #[test]
    fn a_tone_stays_what_it_is() {
        for (from, to) in [
            (44_100, 16_000),
            (48_000, 16_000),
            (8_000, 16_000),
            (16_000, 16_000),
            (44_101, 16_000),
            (767_999, 16_000),
        ] {
            let out = tone(440.0, from, to);
            let wave = |n: usize| (2.0 * std::f64::consts::PI * 440.0 * n as f64 / f64::from(to)).sin();
            let middle = 200..out.len() - 200;
            let worst = middle.map(|n| (f64::from(out[n]) - wave(n)).abs()).fold(0.0, f64::max);
            assert!(worst < 2e-3, "{from} to {to}: {worst}");
        }
    }

    #[test]
    fn no_rate_makes_the_table_large() {
        for from in [1_000, 7_999, 44_101, 99_991, 767_999, 768_000] {
            let weights = Resampler::new(from, 16_000).table.len();
            assert!(weights <= 2 * EXACT, "{from}: {weights}");
        }
    }

    #[test]
    fn what_the_slower_rate_cannot_have_is_taken_out() {
        for (hertz, from) in [(9_000.0, 44_100), (12_000.0, 48_000), (20_000.0, 96_000)] {
            let out = tone(hertz, from, 16_000);
            let loudest = out[200..out.len() - 200].iter().fold(0.0f32, |most, x| most.max(x.abs()));
            assert!(loudest < 1e-4, "{hertz} Hz at {from}: {loudest}");
        }
    }
}
