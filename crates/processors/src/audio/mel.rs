//! How loud a sound is at each moment and pitch, as Whisper wants it (arXiv 2212.04356): windows of 25 ms, one each 10 ms, bands
//! of Slaney's mel scale, logarithms held within eight decades of the loudest.
//!
//! Not other networks' spectrograms; those that bring their own have it in their graph. The one design choice: what the tables
//! hold is worked out, by the formulas that made the ones which are usually shipped, since a formula is smaller.

use super::fourier::{BINS, Fourier, LENGTH};
use super::sound::RATE;

/// Samples of a window.
pub const WINDOW: usize = LENGTH;
/// Samples from one window to the next.
pub const FRAME_STEP: usize = 160;

/// Tables and room to make such pictures.
pub struct Mel {
    fourier: Fourier,
    /// Hann's window.
    shape: [f64; LENGTH],
    /// For each band where it begins and how much of each frequency it takes.
    bands: Vec<(usize, Vec<f64>)>,
}

impl Mel {
    /// For so many bands.
    pub fn new(bands: usize) -> Mel {
        let angle = |n: usize| 2.0 * std::f64::consts::PI * n as f64 / LENGTH as f64;
        Mel {
            fourier: Fourier::new(),
            shape: std::array::from_fn(|n| 0.5 - 0.5 * libm::cos(angle(n))),
            bands: (0..bands).map(|band| filter(band, bands)).collect(),
        }
    }

    /// Bytes on the heap.
    pub fn heap_bytes(bands: usize) -> u64 {
        // Each frequency is in two bands at most.
        (2 * LENGTH * 16 + LENGTH * 16 + bands * 48 + 2 * BINS * 8 + 4096) as u64
    }

    /// The picture of `samples`, of which window number `k` begins at `k *` [`FRAME_STEP`]: as (band, window) into `picture`,
    /// of which each band has `width` places. Windows that do not fit are left zero, as silence beyond the end is.
    pub fn draw(&mut self, samples: &[f32], width: usize, picture: &mut [f32]) {
        picture.fill(0.0);
        let count = if samples.len() < LENGTH { 0 } else { (samples.len() - LENGTH) / FRAME_STEP + 1 };
        let count = count.min(width);
        let mut power = [[0.0; 2]; BINS];
        let mut loudest = f64::MIN;
        for first in (0..count).step_by(2) {
            let pair = [first, (first + 1).min(count - 1)];
            let shape = &self.shape;
            let at = |n: usize| pair.map(|frame| f64::from(samples[frame * FRAME_STEP + n]) * shape[n]);
            self.fourier.power(at, &mut power);
            for (band, (start, weights)) in self.bands.iter().enumerate() {
                let mut sums = [0.0; 2];
                for (weight, power) in weights.iter().zip(&power[*start..]) {
                    sums = [sums[0] + weight * power[0], sums[1] + weight * power[1]];
                }
                for (frame, sum) in pair.into_iter().zip(sums) {
                    let log = libm::log10(sum.max(1e-10));
                    loudest = loudest.max(log);
                    picture[band * width + frame] = log as f32;
                }
            }
        }
        let least = (loudest - 8.0) as f32;
        for band in picture.chunks_exact_mut(width) {
            band[..count].iter_mut().for_each(|x| *x = (x.max(least) + 4.0) / 4.0);
        }
    }
}

/// A band of the mel scale: a triangle whose area is one.
fn filter(band: usize, bands: usize) -> (usize, Vec<f64>) {
    let top = to_mel(f64::from(RATE) / 2.0);
    let hertz = |place: usize| of_mel(top * place as f64 / (bands + 1) as f64);
    let [low, peak, high] = [band, band + 1, band + 2].map(hertz);
    let weight = |bin: usize| {
        let at = bin as f64 * f64::from(RATE) / LENGTH as f64;
        let height = ((at - low) / (peak - low)).min((high - at) / (high - peak)).max(0.0);
        height * 2.0 / (high - low)
    };
    let mut weights: Vec<f64> = (0..BINS).map(weight).collect();
    let start = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
    let end = weights.iter().rposition(|weight| *weight > 0.0).map_or(start, |last| last + 1);
    weights.truncate(end);
    (start, weights.split_off(start))
}

/// Slaney's scale: straight up to 1,000 Hz, then 27 steps to each factor of 6.4.
const STEP: f64 = 200.0 / 3.0;
const BEND: f64 = 1000.0 / STEP;

fn to_mel(hertz: f64) -> f64 {
    let straight = hertz / STEP;
    if straight < BEND { straight } else { BEND + libm::log(hertz / 1000.0) * 27.0 / libm::log(6.4) }
}

fn of_mel(mel: f64) -> f64 {
    if mel < BEND { mel * STEP } else { 1000.0 * libm::exp((mel - BEND) * libm::log(6.4) / 27.0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tones and a hiss, with its mirror images around it.
    fn sound() -> Vec<f32> {
        let mut state = 12_345u64;
        let mut sample = |t: usize| {
            state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
            let hiss = state as f64 / f64::from(0x7fff_ffffu32) - 0.5;
            let tone = |hertz: f64| (2.0 * std::f64::consts::PI * t as f64 * hertz / 16_000.0).sin();
            let later = if t > 16_000 { 0.1 * tone(3_000.0) } else { 0.0 };
            (0.3 * tone(440.0) + later + 0.01 * hiss) as f32
        };
        let plain: Vec<f32> = (0..32_000).map(&mut sample).collect();
        let before = plain[1..=200].iter().rev();
        let behind = plain[31_799..31_999].iter().rev();
        before.chain(&plain).chain(behind).copied().collect()
    }

    /// What faster-whisper 1.2.1's FeatureExtractor, which is OpenAI's in NumPy, makes of the same: band, window, value.
    const OF_80: [(usize, usize, f32); 12] = [
        (0, 0, 0.871942),
        (0, 1, 0.344236),
        (5, 3, -0.246274),
        (11, 50, 1.3277),
        (12, 50, 1.183306),
        (40, 99, -0.095871),
        (40, 120, -0.004871),
        (60, 150, -0.194778),
        (79, 198, -0.136757),
        (79, 199, -0.128757),
        (33, 100, 0.087636),
        (70, 101, -0.205043),
    ];
    const OF_128: [(usize, usize, f32); 12] = [
        (0, 0, 0.796183),
        (0, 1, 0.268477),
        (5, 3, -0.220087),
        (11, 50, -0.066369),
        (12, 50, -0.140903),
        (40, 99, -0.128831),
        (40, 120, -0.065734),
        (60, 150, -0.233232),
        (79, 198, -0.313694),
        (127, 199, -0.148519),
        (33, 100, 0.111300),
        (70, 101, -0.058637),
    ];

    #[test]
    fn pictures_are_whispers() {
        let sound = sound();
        for (bands, expected) in [(80, OF_80), (128, OF_128)] {
            // The reference leaves the last window out.
            let (width, mut mel) = (203, Mel::new(bands));
            let mut picture = vec![1.0; bands * width];
            mel.draw(&sound[..sound.len() - FRAME_STEP], width, &mut picture);
            for (band, window, value) in expected {
                let found = picture[band * width + window];
                assert!((found - value).abs() < 2e-5, "{bands}: {band} {window}: {found} for {value}");
            }
            assert!(picture.chunks(width).all(|band| band[200..] == [0.0; 3]));
        }
    }
}
