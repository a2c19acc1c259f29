//! One number for what each window sees of a channel.

use super::window::{Windows, each_index, places};
use super::{ArrayOperator, ArrayType, View, ViewMut, Wide, each_wide, extents, fault};
use crate::{Elem, Error};

/// Which number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolKind {
    /// The mean; of the margins too, as zeros, if they count.
    Average {
        /// Whether margins count.
        margins: bool,
    },
    /// The root of the sum of powers.
    Lp {
        /// The power.
        p: u32,
    },
    /// The largest, and if it is asked for where that stands in its input, as i64.
    Max {
        /// Whether the place is asked for.
        place: bool,
        /// Whether places are counted with the first axis fastest.
        columns_first: bool,
    },
    /// The mean of whole numbers, to the nearest one, halves away from zero; margins do not count.
    Nearest,
}

/// One number for each window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Which number.
    pub kind: PoolKind,
    /// How windows lie.
    pub windows: Windows,
    /// Whether a window that lies over the end counts.
    pub ceil: bool,
}

impl ArrayOperator for Pool {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [input] = inputs else { return fault("Pool", "one input is needed", inputs) };
        let count = self.windows.count("Pool", input, self.ceil)?;
        let made = extents("Pool", &[&input.extents[..2], &count[..]].concat())?;
        let mut types = vec![ArrayType { extents: made, ..*input }];
        if matches!(self.kind, PoolKind::Max { place: true, .. }) {
            types.push(ArrayType { elem: Elem::I64, extents: made });
        }
        Ok(types)
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([input], [out, places @ ..]) = (inputs, outputs) else { return fault("Pool", "one input is needed", &[]) };
        each_wide!(input.kind.elem, W => self.run::<W>(input, out, places.first_mut()));
        Ok(())
    }
}

impl Pool {
    fn run<W: Wide>(&self, input: &View<'_>, out: &mut ViewMut<'_>, mut found: Option<&mut ViewMut<'_>>) {
        let (own, made) = (places(&input.kind.extents), places(&out.kind.extents));
        let (strides, volume) = (own.strides(), own.elements());
        let windows = &self.windows;
        let channels = input.kind.extents[0] * input.kind.extents[1];
        let mut to = 0;
        for channel in 0..channels {
            each_index(&made, |at| {
                let mut window = Seen { sum: W::default(), most: W::LEAST, place: None, counted: 0 };
                each_index(&windows.kernel, |inside| {
                    let (mut place, mut is_inside) = (0, true);
                    for axis in 0..own.len() {
                        let far = at[axis] * windows.strides[axis] + inside[axis] * windows.dilations[axis];
                        let seen = far.wrapping_sub(windows.before[axis]);
                        if far >= own[axis] + windows.before[axis] + windows.behind[axis] {
                            return; // beyond the margin
                        }
                        is_inside &= seen < own[axis];
                        place += if seen < own[axis] { seen * strides[axis] } else { 0 };
                    }
                    if is_inside {
                        let mut x = [W::default()];
                        input.load(channel * volume + place, &mut x);
                        window.add(self.kind, x[0], place);
                    } else if self.kind == (PoolKind::Average { margins: true }) {
                        window.counted += 1;
                    }
                });
                out.store(to, &[window.end(self.kind)]);
                if let Some(found) = &mut found {
                    let place = self.place(&own, window.place.unwrap_or(0));
                    found.store(to, &[(channel * volume + place) as i64]);
                }
                to += 1;
            });
        }
    }

    /// A place as it is to be counted.
    fn place(&self, own: &[usize], place: usize) -> usize {
        if !matches!(self.kind, PoolKind::Max { columns_first: true, .. }) {
            return place;
        }
        let (mut left, mut counted, mut stride) = (place, 0, own.iter().product::<usize>());
        for &extent in own.iter().rev() {
            stride /= extent.max(1);
            counted += left % extent * stride;
            left /= extent;
        }
        counted
    }
}

/// What a window has seen.
struct Seen<W> {
    sum: W,
    most: W,
    place: Option<usize>,
    counted: usize,
}

impl<W: Wide> Seen<W> {
    fn add(&mut self, kind: PoolKind, x: W, place: usize) {
        self.counted += 1;
        match kind {
            PoolKind::Average { .. } | PoolKind::Nearest => self.sum = self.sum.add(x),
            PoolKind::Lp { p } => {
                let x = libm::fabs(x.to_f64());
                self.sum = self.sum.add(W::of_f64(libm::pow(x, f64::from(p))));
            }
            PoolKind::Max { .. } => {
                if self.place.is_none() || x > self.most {
                    (self.most, self.place) = (x, Some(place));
                }
            }
        }
    }

    fn end(&self, kind: PoolKind) -> W {
        match kind {
            PoolKind::Average { .. } => self.sum.div(W::of_i64(self.counted.max(1) as i64)),
            PoolKind::Lp { p } => W::of_f64(libm::pow(self.sum.to_f64(), 1.0 / f64::from(p))),
            PoolKind::Max { .. } => self.most,
            PoolKind::Nearest => {
                let half = W::of_i64((self.counted / 2) as i64);
                let sum = if self.sum > W::default() { self.sum.add(half) } else { self.sum.sub(half) };
                sum.div(W::of_i64(self.counted.max(1) as i64))
            }
        }
    }
}
