//! A picture from noise: what generators make in one step.
//!
//! What it is: noise of a normal distribution, the numbers that go with it, and what comes out as a picture. What it is not: a
//! schedule of many steps. The one design choice: the noise depends on the seed and on the place alone, so the same seed paints the
//! same picture on every machine. (Y. Song et al., Consistency Models, 2023, arXiv 2303.01469.)

use super::Pipeline;
use super::values::{only, only_input};
use crate::network::Beside;
use crate::sampler::uniform;
use crate::{Array, ArrayType, BuiltNetwork, Elem, Engine, Error, Extents, Feed, NetworkFile};
use host::{Part, Region};
use planner::Line;
use processors::image::{CHANNELS, Layout, Picture};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::time::Instant;

/// Numbers of noise at most.
const MOST: usize = 1 << 26;

/// The noise that a picture is made of.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoiseInput {
    /// The input that takes it; the network's only one, if not said.
    pub name: Option<String>,
    /// Its extents, outermost first.
    pub extents: Vec<usize>,
    /// Its standard deviation; its mean is zero.
    #[serde(default = "one")]
    pub deviation: f32,
    /// What other inputs are, a number each.
    #[serde(default)]
    pub numbers: BTreeMap<String, f32>,
}

fn one() -> f32 {
    1.0
}

impl NoiseInput {
    /// What is wrong with the words of a pipeline.
    pub(super) fn check(&self) -> Result<(), String> {
        let count = self.extents.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent));
        if !count.is_some_and(|count| (1..=MOST).contains(&count)) || Extents::new(&self.extents).is_none() {
            return Err(format!("extents must be of an array of 1 to {MOST} numbers"));
        }
        match self.deviation.is_finite() {
            true => Ok(()),
            false => Err("deviation must be a number".into()),
        }
    }

    fn kind(&self) -> ArrayType {
        ArrayType { elem: Elem::F32, extents: Extents::new(&self.extents).unwrap_or_default() }
    }

    /// Two numbers of a normal distribution for every two places (G. Box and M. Muller, 1958).
    fn fill(&self, seed: u64, to: &mut [f32]) {
        for (number, pair) in (0..).zip(to.chunks_mut(2)) {
            let [u, v] = [2 * number, 2 * number + 1].map(|place| uniform(seed, place));
            let far = f64::from(self.deviation) * (-2.0 * libm::log(1.0 - u)).sqrt();
            let both = [far * libm::cos(TAU * v), far * libm::sin(TAU * v)];
            pair.iter_mut().zip(both).for_each(|(to, x)| *to = x as f32);
        }
    }
}

/// How numbers become a picture.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paint {
    /// The output's name; the network's only one, if not said. Its innermost axes are rows, columns and at most three colours.
    pub picture: Option<String>,
    /// What is black and what is white.
    #[serde(default = "range")]
    pub range: [f32; 2],
    /// Where colours stand.
    #[serde(default)]
    pub layout: Layout,
}

fn range() -> [f32; 2] {
    [0.0, 1.0]
}

/// A network that paints, what it is told, and a seed.
pub struct Painter<'a> {
    /// The network.
    pub file: &'a NetworkFile,
    /// How it is fed and read.
    pub pipeline: &'a Pipeline,
    /// Another picture for every seed.
    pub seed: u64,
    /// Numbers in place of the pipeline's.
    pub numbers: &'a [(String, f32)],
}

/// What was painted.
pub struct Painted {
    /// The picture.
    pub picture: Picture,
    /// The least and the most of its numbers.
    pub extremes: [f32; 2],
    /// The account, in printing order.
    pub lines: Vec<Line>,
    /// How long the network took.
    pub seconds: f64,
}

impl Paint {
    /// What is wrong with the words of a pipeline.
    pub(super) fn check(&self) -> Result<(), String> {
        match (self.range[1] - self.range[0]).is_normal() {
            true => Ok(()),
            false => Err("range must be two numbers, what is black and what is white".into()),
        }
    }

    /// Columns, rows and colours of an output.
    fn size(&self, extents: &[usize]) -> Option<[usize; 3]> {
        let (batch, size) = match (self.layout, extents) {
            (Layout::Nchw, [batch @ .., colours, rows, columns]) => (batch, [*columns, *rows, *colours]),
            (Layout::Nhwc, [batch @ .., rows, columns, colours]) => (batch, [*columns, *rows, *colours]),
            _ => return None,
        };
        let is_one = batch.iter().all(|extent| *extent == 1);
        (is_one && size[0] * size[1] > 0 && [1, CHANNELS].contains(&size[2])).then_some(size)
    }

    /// The picture that numbers are.
    fn draw(&self, [columns, rows, colours]: [usize; 3], numbers: &[f32], to: &mut [u8]) {
        let [black, white] = self.range;
        for (place, pixel) in to.chunks_exact_mut(CHANNELS).enumerate() {
            for (colour, to) in pixel.iter_mut().enumerate() {
                let colour = colour.min(colours - 1);
                let at = match self.layout {
                    Layout::Nchw => colour * rows * columns + place,
                    Layout::Nhwc => place * colours + colour,
                };
                let share = (numbers.get(at).copied().unwrap_or(black) - black) / (white - black);
                *to = (share.clamp(0.0, 1.0) * 255.0).round() as u8;
            }
        }
    }
}

impl Painter<'_> {
    /// The network, built for the noise.
    ///
    /// # Errors
    /// A pipeline of something else; an input that nothing is said of; what the network has that is not supported.
    pub fn build(&self, engine: &Engine) -> Result<BuiltNetwork, Error> {
        let (noise, task) = self.pipeline.noise()?;
        let mut built = engine.build_network(self.file, &self.feeds(noise)?)?;
        let port = built
            .outputs()
            .into_iter()
            .find(|port| task.picture.as_ref().is_none_or(|own| *own == port.name));
        let pixels = port
            .and_then(|port| task.size(&port.kind.extents))
            .map_or(0, |size| size[0] * size[1] * CHANNELS);
        let pages = |bytes: usize| bytes.next_multiple_of(host::page_size()) as u64;
        built.beside = Beside { kept: pages(noise.kind().bytes()) + pages(pixels), passing: 0 };
        Ok(built)
    }

    /// Paints with the network that was built.
    ///
    /// # Errors
    /// [`Error::Refused`], before a weight is read; what is wrong with the disk; an output that is no picture.
    pub fn run(&self, engine: &Engine, built: BuiltNetwork) -> Result<Painted, Error> {
        let (noise, task) = self.pipeline.noise()?;
        let lines = engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
        let feeds = self.feeds(noise)?;
        let mut fed = Region::new(&engine.ledger, Part::Data, noise.kind().bytes())?;
        noise.fill(self.seed, fed.as_mut_slice());
        let mut network = engine.load_network(built)?;
        let start = Instant::now();
        network.run_with(|name| {
            let feed = feeds.iter().find(|feed| feed.name == name)?;
            Some(feed.bytes.as_deref().unwrap_or(fed.as_bytes()))
        })?;
        let seconds = start.elapsed().as_secs_f64();
        let (extents, numbers) = only(&network, task.picture.as_deref())?;
        let size = task.size(&extents).ok_or_else(|| {
            let kind = ArrayType { elem: Elem::F32, extents };
            Error::OutputKind { kind: Box::new(kind) }
        })?;
        let mut picture = Picture::new(&engine.ledger, size[0], size[1])?;
        task.draw(size, numbers, picture.pixels_mut());
        let least = numbers.iter().copied().fold(f32::INFINITY, f32::min);
        let most = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        Ok(Painted { picture, extremes: [least, most], lines, seconds })
    }

    /// Every input: the noise, whose numbers come later, and a number each.
    fn feeds(&self, noise: &NoiseInput) -> Result<Vec<Feed>, Error> {
        let own = match &noise.name {
            Some(name) => only_input(self.file, Some(name))?.name,
            None => only_input(self.file, None)?.name,
        };
        let mut feeds = vec![Feed { name: own.clone(), kind: noise.kind(), bytes: None }];
        let said: Vec<(&str, f32)> = {
            let named = self.numbers.iter().map(|(name, number)| (&**name, *number));
            named.chain(noise.numbers.iter().map(|(name, number)| (&**name, *number))).collect()
        };
        for (name, number) in said {
            if feeds.iter().any(|feed| feed.name == name) {
                continue;
            }
            let input = only_input(self.file, Some(name))?;
            let elem = input.elem.unwrap_or(Ok(Elem::F32))?;
            let array = Array::number(elem, f64::from(number));
            let ones = vec![1; input.extents.map_or(0, |extents| extents.len())];
            let kind = ArrayType { elem, extents: Extents::new(&ones).unwrap_or_default() };
            feeds.push(Feed { name: name.to_string(), kind, bytes: Some(array.bytes) });
        }
        Ok(feeds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_normal_and_of_its_seed() {
        let noise =
            NoiseInput { name: None, extents: vec![99_999], deviation: 3.0, numbers: BTreeMap::new() };
        let of = |seed| {
            let mut numbers = vec![0.0; 99_999];
            noise.fill(seed, &mut numbers);
            numbers
        };
        let numbers = of(1);
        let mean = |f: fn(f64) -> f64| numbers.iter().map(|x| f(f64::from(*x) / 3.0)).sum::<f64>() / 99_999.0;
        assert!(mean(|x| x).abs() < 0.02, "{}", mean(|x| x));
        assert!((mean(|x| x * x) - 1.0).abs() < 0.02 && (mean(|x| x.powi(4)) - 3.0).abs() < 0.1);
        assert!(numbers == of(1) && numbers != of(2));
    }

    #[test]
    fn numbers_become_pixels_whatever_the_layout() {
        let paint = Paint { picture: None, range: [-1.0, 1.0], layout: Layout::Nchw };
        let size = paint.size(&[1, 1, 1, 4]).unwrap();
        let mut pixels = [9; 12];
        paint.draw(size, &[-1.0, 0.0, 7.0, f32::NAN], &mut pixels);
        assert_eq!(pixels, [0, 0, 0, 128, 128, 128, 255, 255, 255, 0, 0, 0]);
        let paint = Paint { picture: None, range: [1.0, 0.0], layout: Layout::Nhwc };
        let mut pixel = [9; 3];
        paint.draw(paint.size(&[1, 1, 3]).unwrap(), &[1.0, 0.0, 0.5], &mut pixel);
        assert_eq!(pixel, [0, 255, 128]);
        assert!(
            paint.size(&[2, 1, 1, 3]).is_none()
                && paint.size(&[4, 4]).is_none()
                && paint.size(&[4, 4, 2]).is_none()
        );
    }
}
