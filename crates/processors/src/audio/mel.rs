//! How loud a sound is at each moment and pitch: windows of it, the energy of each at bands of the mel scale, logarithms, and
//! cepstral coefficients of those.
//!
//! What it is: the spectrograms that networks were trained with, Whisper's (arXiv 2212.04356), librosa's and TensorFlow's among
//! them, as settings of one procedure. What it is not: spectrograms that a network has in its own graph, nor those with noise taken
//! out or loudness evened. The one design choice: what the tables hold is worked out, by the formulas that made the ones which are
//! usually shipped, since a formula is smaller.

use serde::Deserialize;

use super::fourier::Fourier;

/// Samples of a window of Whisper's.
pub const WINDOW: usize = 400;
/// Samples from one of them to the next.
pub const FRAME_STEP: usize = 160;

/// Samples of a window, bands and coefficients, windows, numbers of a picture and samples from one window to the next, at most.
const WIDEST: usize = 8192;
const BANDS: usize = 512;
const FRAMES: usize = 8192;
const NUMBERS: usize = 1 << 20;
const FARTHEST: usize = 1 << 16;

/// How a sound becomes such a picture.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Spectrogram {
    /// Samples of a window.
    pub window: Length,
    /// Samples from one window to the next.
    pub step: Length,
    /// Numbers that are transformed, zeros behind those of the window; as many as the window has if not said.
    pub fft: Option<usize>,
    /// How much of the sample before is taken off each first, which makes high pitches louder.
    #[serde(default)]
    pub emphasis: f64,
    /// How a window fades in and out.
    #[serde(default)]
    pub shape: Shape,
    /// Whether magnitudes (1) or energies (2) are added up.
    #[serde(default = "energy")]
    pub power: u8,
    /// Bands.
    pub bands: usize,
    /// Where the lowest band begins, in Hz.
    #[serde(default)]
    pub lowest: f64,
    /// Where the highest band ends, in Hz; half the rate if not said.
    pub highest: Option<f64>,
    /// What is the same step everywhere in pitch.
    #[serde(default)]
    pub scale: Scale,
    /// What the sides of a band are straight in.
    #[serde(default)]
    pub slopes: Slopes,
    /// Whether the area of a band is one, in Hz, instead of its height.
    #[serde(default)]
    pub area: bool,
    /// The logarithm that is taken.
    #[serde(default)]
    pub log: Logarithm,
    /// The least that it is taken of.
    #[serde(default)]
    pub floor: f64,
    /// What is added before it is taken.
    #[serde(default)]
    pub offset: f64,
    /// How far below the loudest of the picture the quietest may be, in what the logarithm gives.
    pub range: Option<f64>,
    /// Cepstral coefficients that are told instead of bands; 0 for bands.
    #[serde(default)]
    pub coefficients: usize,
    /// Whether the first coefficient is as long as the others, as librosa's is and TensorFlow's is not.
    #[serde(default)]
    pub ortho: bool,
    /// What is taken off every number in the end.
    #[serde(default)]
    pub mean: f64,
    /// What it is divided by then.
    #[serde(default = "one")]
    pub std: f64,
    /// Windows of a picture.
    pub frames: usize,
    /// Whether a picture has the numbers of a window side by side, or those of a band.
    #[serde(default)]
    pub order: Order,
}

fn energy() -> u8 {
    2
}

fn one() -> f64 {
    1.0
}

/// A length of sound.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(try_from = "Written")]
pub enum Length {
    /// In samples.
    Samples(usize),
    /// In milliseconds.
    Milliseconds(f64),
}

/// A length as it is written: a number of samples, or a text such as "30 ms".
#[derive(Deserialize)]
#[serde(untagged, expecting = "a number of samples, or a time such as \"30 ms\"")]
enum Written {
    Samples(usize),
    Time(String),
}

impl TryFrom<Written> for Length {
    type Error = String;

    fn try_from(written: Written) -> Result<Length, String> {
        match written {
            Written::Samples(count) => Ok(Length::Samples(count)),
            Written::Time(text) => {
                let number = text.strip_suffix("ms").and_then(|number| number.trim().parse().ok());
                let number = number.filter(|ms: &f64| (0.0..1e6).contains(ms));
                let wrong =
                    || format!("{text:?} is no length; write samples, as 480, or a time, as \"30 ms\"");
                number.map(Length::Milliseconds).ok_or_else(wrong)
            }
        }
    }
}

impl Length {
    /// In samples, of which there are `rate` a second.
    pub fn samples(self, rate: u32) -> usize {
        match self {
            Length::Samples(count) => count,
            Length::Milliseconds(ms) => (ms * f64::from(rate) / 1000.0).round() as usize,
        }
    }
}

/// How a window fades in and out.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// It does not.
    Flat,
    /// Hamming's, as if another window followed.
    Hamming,
    /// Hamming's, the same at both ends.
    HammingSymmetric,
    /// Hann's, as if another window followed.
    #[default]
    Hann,
    /// Hann's, the same at both ends.
    HannSymmetric,
}

impl Shape {
    fn at(self, n: usize, window: usize) -> f64 {
        let (least, steps) = match self {
            Shape::Flat => return 1.0,
            Shape::Hamming => (0.54, window),
            Shape::HammingSymmetric => (0.54, window - 1),
            Shape::Hann => (0.5, window),
            Shape::HannSymmetric => (0.5, window - 1),
        };
        let angle = 2.0 * std::f64::consts::PI * n as f64 / steps.max(1) as f64;
        least - (1.0 - least) * libm::cos(angle)
    }
}

/// What is the same step everywhere in pitch.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Scale {
    /// The logarithm of Hz and 700, as HTK has it.
    Htk,
    /// Straight up to 1,000 Hz, then 27 steps to each factor of 6.4, as Slaney has it.
    #[default]
    Slaney,
}

/// What the sides of a band are straight in.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Slopes {
    /// Frequency, as librosa's.
    #[default]
    Hertz,
    /// Pitch, as TensorFlow's.
    Mel,
}

/// A logarithm.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Logarithm {
    /// Ten times that of base 10.
    Db,
    /// None is taken.
    #[default]
    None,
    /// Of base e.
    Natural,
    /// Of base 10.
    Ten,
}

/// What lies side by side in a picture.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The windows of a band.
    BandsTime,
    /// The bands of a window.
    #[default]
    TimeBands,
}

impl Spectrogram {
    /// Whisper's: 25 ms, one each 10 ms, logarithms held within eight decades of the loudest.
    pub const fn whisper(bands: usize, frames: usize) -> Spectrogram {
        Spectrogram {
            window: Length::Samples(WINDOW),
            step: Length::Samples(FRAME_STEP),
            fft: None,
            emphasis: 0.0,
            shape: Shape::Hann,
            power: 2,
            bands,
            lowest: 0.0,
            highest: None,
            scale: Scale::Slaney,
            slopes: Slopes::Hertz,
            area: true,
            log: Logarithm::Ten,
            floor: 1e-10,
            offset: 0.0,
            range: Some(8.0),
            coefficients: 0,
            ortho: false,
            mean: -4.0,
            std: 4.0,
            frames,
            order: Order::BandsTime,
        }
    }

    /// Whether there is such a picture of a sound of `rate` samples a second.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self, rate: u32) -> Result<(), String> {
        let (window, fft, half) = (self.window.samples(rate), self.fft(rate), f64::from(rate) / 2.0);
        let highest = self.highest.unwrap_or(half);
        let told = [self.floor, self.offset, self.range.unwrap_or(0.0)];
        let rules = [
            (
                (1..=WIDEST).contains(&window) && (window..=WIDEST).contains(&fft),
                format!(
                    "window must have from 1 to {WIDEST} samples, and fft no fewer than it and no more than that"
                ),
            ),
            (
                Fourier::takes(fft),
                "fft must be a product of twos, threes and fives, such as 480 or 512".into(),
            ),
            (
                (1..=FARTHEST).contains(&self.step.samples(rate)),
                format!("step must have from 1 to {FARTHEST} samples"),
            ),
            ((0.0..=1.0).contains(&self.emphasis), "emphasis must be from 0 to 1".into()),
            (matches!(self.power, 1 | 2), "power must be 1 or 2".into()),
            ((1..=BANDS).contains(&self.bands), format!("bands must be from 1 to {BANDS}")),
            (self.coefficients <= self.bands, "coefficients must not be more than bands".into()),
            (
                0.0 <= self.lowest && self.lowest + self.bands as f64 <= highest && highest <= half,
                format!(
                    "lowest must be below highest, by 1 Hz for each band at least, and that no higher than {half} Hz, half the rate"
                ),
            ),
            (
                told.iter().all(|x| (0.0..1e30).contains(x)),
                "floor, offset and range must be finite and not less than 0".into(),
            ),
            (
                self.log == Logarithm::None || self.floor + self.offset > 0.0,
                "of silence there is no logarithm: floor or offset must be more than 0".into(),
            ),
            (
                self.mean.abs() < 1e12 && (1e-12..1e12).contains(&self.std.abs()),
                "mean and std must be finite, and std not 0".into(),
            ),
            ((1..=FRAMES).contains(&self.frames), format!("frames must be from 1 to {FRAMES}")),
            (
                self.frames.saturating_mul(self.bands) <= NUMBERS,
                format!("frames times bands must be at most {NUMBERS}"),
            ),
        ];
        rules.into_iter().find(|(holds, _)| !holds).map_or(Ok(()), |(_, rule)| Err(rule))
    }

    /// Samples that its windows lie in.
    pub fn samples(&self, rate: u32) -> usize {
        self.frames.saturating_sub(1) * self.step.samples(rate) + self.window.samples(rate)
    }

    /// Numbers of a window.
    pub fn rows(&self) -> usize {
        if self.coefficients > 0 { self.coefficients } else { self.bands }
    }

    /// Bytes on the heap of what draws it, at most.
    pub fn heap_bytes(&self, rate: u32) -> u64 {
        let fft = self.fft(rate);
        let logs = if self.coefficients > 0 { self.frames * self.bands } else { 0 };
        // Each frequency is in two bands at most.
        let weights = 3 * Fourier::bins(fft) + self.coefficients * self.bands;
        let tables = self.window.samples(rate) + 2 * Fourier::bins(fft) + weights;
        Fourier::heap_bytes(fft) + (tables * 8 + self.bands * 48 + logs * 4 + 4096) as u64
    }

    fn fft(&self, rate: u32) -> usize {
        self.fft.unwrap_or(self.window.samples(rate))
    }
}

/// Tables and room to draw such pictures.
pub struct Mel {
    settings: Spectrogram,
    fourier: Fourier,
    step: usize,
    /// How a window fades.
    shape: Vec<f64>,
    /// For each band where it begins and how much of each frequency it takes.
    bands: Vec<(usize, Vec<f64>)>,
    /// How much of each band a coefficient takes, (coefficient, band).
    turns: Vec<f64>,
    /// What is at each frequency of two windows.
    power: Vec<[f64; 2]>,
    /// Bands, where coefficients are wanted, (window, band).
    logs: Vec<f32>,
}

impl Mel {
    /// For a sound of `rate` samples a second; the settings are such as [`Spectrogram::check`] lets pass.
    pub fn new(settings: &Spectrogram, rate: u32) -> Mel {
        let (window, fft) = (settings.window.samples(rate), settings.fft(rate));
        let (bands, coefficients) = (settings.bands, settings.coefficients);
        let turn = |at: usize| turn(at / bands, at % bands, bands, settings.ortho);
        Mel {
            fourier: Fourier::new(fft),
            step: settings.step.samples(rate),
            shape: (0..window).map(|n| settings.shape.at(n, window)).collect(),
            bands: (0..bands).map(|band| filter(settings, rate, band)).collect(),
            turns: (0..coefficients * bands).map(turn).collect(),
            power: vec![[0.0; 2]; Fourier::bins(fft)],
            logs: vec![0.0; if coefficients > 0 { settings.frames * bands } else { 0 }],
            settings: settings.clone(),
        }
    }

    /// The picture of `samples`, which has a number for each row of each window. Windows that do not fit into the samples are left
    /// zero, as silence beyond the end is.
    pub fn draw(&mut self, samples: &[f32], picture: &mut [f32]) {
        picture.fill(0.0);
        let count = match samples.len().checked_sub(self.shape.len()) {
            Some(rest) => (rest / self.step + 1).min(self.settings.frames),
            None => 0,
        };
        let Spectrogram { bands, frames, order, .. } = self.settings;
        let rows = self.settings.rows();
        let places = Places { order, frames, rows };
        let mut logs = std::mem::take(&mut self.logs);
        let of_logs = Places { order: Order::TimeBands, frames, rows: bands };
        let loudest = match logs.is_empty() {
            true => self.draw_bands(samples, count, picture, &places),
            false => self.draw_bands(samples, count, &mut logs, &of_logs),
        };
        let least = self.settings.range.map_or(f32::MIN, |range| (loudest - range) as f32);
        let (mean, std) = (self.settings.mean as f32, self.settings.std as f32);
        for frame in 0..count {
            for row in 0..rows {
                let place = places.of(frame, row);
                let number = match logs.is_empty() {
                    true => picture[place].max(least),
                    false => {
                        let parts = logs[frame * bands..].iter().zip(&self.turns[row * bands..][..bands]);
                        parts.map(|(log, turn)| f64::from(log.max(least)) * turn).sum::<f64>() as f32
                    }
                };
                picture[place] = (number - mean) / std;
            }
        }
        self.logs = logs;
    }

    /// The bands of so many windows; the loudest of them.
    fn draw_bands(&mut self, samples: &[f32], count: usize, to: &mut [f32], places: &Places) -> f64 {
        let settings = &self.settings;
        let sharp = |at: usize| {
            let before = if at > 0 { f64::from(samples[at - 1]) } else { 0.0 };
            f64::from(samples[at]) - settings.emphasis * before
        };
        let mut loudest = f64::MIN;
        for first in (0..count).step_by(2) {
            let pair = [first, (first + 1).min(count - 1)];
            let shape = self.shape.iter().enumerate();
            let windows = shape.map(|(n, shape)| pair.map(|frame| sharp(frame * self.step + n) * shape));
            self.fourier.power(windows, &mut self.power);
            if settings.power == 1 {
                self.power.iter_mut().flatten().for_each(|x| *x = libm::sqrt(*x));
            }
            for (band, (start, weights)) in self.bands.iter().enumerate() {
                let mut sums = [0.0; 2];
                for (weight, power) in weights.iter().zip(&self.power[*start..]) {
                    sums = [sums[0] + weight * power[0], sums[1] + weight * power[1]];
                }
                for (frame, sum) in pair.into_iter().zip(sums) {
                    let log = settings.log.of((sum + settings.offset).max(settings.floor));
                    loudest = loudest.max(log);
                    to[places.of(frame, band)] = log as f32;
                }
            }
        }
        loudest
    }
}

/// Where the numbers of a picture lie.
struct Places {
    order: Order,
    frames: usize,
    /// Numbers of a window.
    rows: usize,
}

impl Places {
    fn of(&self, frame: usize, row: usize) -> usize {
        match self.order {
            Order::BandsTime => row * self.frames + frame,
            Order::TimeBands => frame * self.rows + row,
        }
    }
}

impl Logarithm {
    fn of(self, x: f64) -> f64 {
        match self {
            Logarithm::Db => 10.0 * libm::log10(x),
            Logarithm::None => x,
            Logarithm::Natural => libm::log(x),
            Logarithm::Ten => libm::log10(x),
        }
    }
}

/// How much of a band a cepstral coefficient takes: the cosine transform, of the second kind.
fn turn(coefficient: usize, band: usize, bands: usize, ortho: bool) -> f64 {
    let angle = std::f64::consts::PI * coefficient as f64 * (band as f64 + 0.5) / bands as f64;
    let length = if ortho && coefficient == 0 { 1.0 } else { 2.0 };
    libm::sqrt(length / bands as f64) * libm::cos(angle)
}

/// A band of the mel scale: where it begins, and how much of each frequency from there on it takes.
fn filter(settings: &Spectrogram, rate: u32, band: usize) -> (usize, Vec<f64>) {
    let (rate, fft, scale) = (f64::from(rate), settings.fft(rate), settings.scale);
    let [bottom, top] =
        [settings.lowest, settings.highest.unwrap_or(rate / 2.0)].map(|hertz| scale.to_mel(hertz));
    let edge = |place: usize| bottom + (top - bottom) * place as f64 / (settings.bands + 1) as f64;
    let edges = [band, band + 1, band + 2].map(edge);
    let [low, peak, high] = match settings.slopes {
        Slopes::Hertz => edges.map(|mel| scale.of_mel(mel)),
        Slopes::Mel => edges,
    };
    let height = match settings.area {
        true => 2.0 / (scale.of_mel(edges[2]) - scale.of_mel(edges[0])),
        false => 1.0,
    };
    let weight = |bin: usize| {
        let hertz = bin as f64 * rate / fft as f64;
        let at = if settings.slopes == Slopes::Mel { scale.to_mel(hertz) } else { hertz };
        ((at - low) / (peak - low)).min((high - at) / (high - peak)).max(0.0) * height
    };
    let mut weights: Vec<f64> = (0..Fourier::bins(fft)).map(weight).collect();
    let start = weights.iter().position(|weight| *weight > 0.0).unwrap_or(0);
    let end = weights.iter().rposition(|weight| *weight > 0.0).map_or(start, |last| last + 1);
    weights.truncate(end);
    (start, weights.split_off(start))
}

/// Slaney's scale: so many Hz to a step, and where it bends.
const STEP: f64 = 200.0 / 3.0;
const BEND: f64 = 1000.0 / STEP;

impl Scale {
    fn to_mel(self, hertz: f64) -> f64 {
        let straight = hertz / STEP;
        match self {
            Scale::Htk => 1127.0 * libm::log(1.0 + hertz / 700.0),
            Scale::Slaney if straight < BEND => straight,
            Scale::Slaney => BEND + libm::log(hertz / 1000.0) * 27.0 / libm::log(6.4),
        }
    }

    fn of_mel(self, mel: f64) -> f64 {
        match self {
            Scale::Htk => 700.0 * (libm::exp(mel / 1127.0) - 1.0),
            Scale::Slaney if mel < BEND => mel * STEP,
            Scale::Slaney => 1000.0 * libm::exp((mel - BEND) * libm::log(6.4) / 27.0),
        }
    }
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
            let width = 203;
            let mut mel = Mel::new(&Spectrogram::whisper(bands, width), 16_000);
            let mut picture = vec![1.0; bands * width];
            mel.draw(&sound[..sound.len() - FRAME_STEP], &mut picture);
            for (band, window, value) in expected {
                let found = picture[band * width + window];
                assert!((found - value).abs() < 2e-5, "{bands}: {band} {window}: {found} for {value}");
            }
            assert!(picture.chunks(width).all(|band| band[200..] == [0.0; 3]));
        }
    }
}
