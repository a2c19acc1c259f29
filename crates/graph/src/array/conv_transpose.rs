//! Convolutions the other way: what a window would see is what it adds to.
//!
//! Each element of the result gathers what is added to it, over channels and places of the window, ascending. Input
//! (n, c, places), weights (c, m / groups, kernel), bias (m).

use super::window::{Windows, each_index, places};
use super::{ArrayOperator, ArrayType, View, ViewMut, Wide, each_wide, extents, fault};
use crate::{Cost, Error};

/// A transposed convolution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConvTranspose {
    /// How windows lie on the result.
    pub windows: Windows,
    /// Groups of channels that do not see each other.
    pub groups: usize,
    /// Places that the result has more than windows reach, by axis.
    pub more: Vec<usize>,
}

impl ArrayOperator for ConvTranspose {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let ([x, w] | [x, w, _]) = inputs else { return fault("ConvTranspose", "two or three inputs", inputs) };
        let own = x.extents.get(2..).unwrap_or_default();
        let windows = &self.windows;
        let lists = [&windows.kernel, &windows.strides, &windows.dilations, &windows.before, &windows.behind, &self.more];
        let maps = w.extents.get(1).copied().unwrap_or(0).saturating_mul(self.groups);
        let fits = !own.is_empty()
            && lists.iter().all(|list| list.len() == own.len() && list.iter().all(|x| *x < 1 << 31))
            && windows.kernel.iter().chain(&windows.strides).chain(&windows.dilations).all(|x| *x > 0)
            && self.groups > 0
            && x.extents[1].is_multiple_of(self.groups)
            && w.extents.first() == Some(&x.extents[1])
            && *w.extents.get(2..).unwrap_or_default() == windows.kernel[..]
            && inputs.get(2).is_none_or(|bias| bias.extents.elements() == maps)
            && inputs.iter().all(|input| input.elem == x.elem);
        if !fits {
            return fault("ConvTranspose", "weights must fit the channels, the groups and the window", inputs);
        }
        let mut made = vec![x.extents[0], maps];
        for (axis, &extent) in own.iter().enumerate() {
            let reach = extent.saturating_sub(1) * windows.strides[axis] + windows.reach(axis) + self.more[axis];
            match reach.checked_sub(windows.before[axis] + windows.behind[axis]) {
                Some(places) => made.push(if extent == 0 { 0 } else { places }),
                None => return fault("ConvTranspose", "the margins take away more than there is", inputs),
            }
        }
        Ok(vec![ArrayType { elem: x.elem, extents: extents("ConvTranspose", &made)? }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, w, bias @ ..], [out]) = (inputs, outputs) else { return fault("ConvTranspose", "two inputs", &[]) };
        each_wide!(out.kind.elem, W => self.run::<W>(x, w, bias.first(), out));
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let [x, w, ..] = inputs else { return Cost::default() };
        let window: usize = w.extents.get(1..).unwrap_or_default().iter().product();
        Cost { macs: x.extents.elements() as u64 * window as u64, ..Cost::default() }
    }

    /// For kernels: the weights of a group turned around, and the results that lie a stride apart.
    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let (Some(w), Ok(made)) = (inputs.get(1), self.infer(inputs)) else { return 0 };
        let strides = self.windows.strides.iter();
        let apart: usize = made[0].extents[2..].iter().zip(strides).map(|(made, step)| made.div_ceil(*step)).product();
        let group = w.extents.elements() / self.groups;
        (group + w.extents[1] * apart) * w.elem.bytes()
    }
}

impl ConvTranspose {
    fn run<W: Wide>(&self, x: &View<'_>, w: &View<'_>, bias: Option<&View<'_>>, out: &mut ViewMut<'_>) {
        let (own, made) = (places(&x.kind.extents), places(&out.kind.extents));
        let (strides, axes) = (own.strides(), own.len());
        let (all, maps) = (x.kind.extents[1], w.kind.extents[1]);
        let channels = all / self.groups;
        let (volume, window) = (own.elements(), self.windows.kernel.iter().product::<usize>());
        let Windows { kernel, strides: steps, dilations, before, .. } = &self.windows;
        let mut place = 0;
        for batch in 0..x.kind.extents[0] {
            for map in 0..maps * self.groups {
                let (group, within) = (map / maps, map % maps);
                let mut add = [W::default()];
                if let Some(bias) = bias {
                    bias.load(map, &mut add);
                }
                each_index(&made, |at| {
                    let mut sum = W::default();
                    let mut inside = 0;
                    each_index(kernel, |k| {
                        let tap = inside;
                        inside += 1;
                        let mut source = 0;
                        for axis in 0..axes {
                            let reach = at[axis] + before[axis];
                            let Some(far) = reach.checked_sub(k[axis] * dilations[axis]) else { return };
                            if !far.is_multiple_of(steps[axis]) || far / steps[axis] >= own[axis] {
                                return;
                            }
                            source += far / steps[axis] * strides[axis];
                        }
                        for channel in group * channels..(group + 1) * channels {
                            let (mut seen, mut weight) = ([W::default()], [W::default()]);
                            x.load((batch * all + channel) * volume + source, &mut seen);
                            w.load((channel * maps + within) * window + tap, &mut weight);
                            sum = weight[0].mul_add(seen[0], sum);
                        }
                    });
                    out.store(place, &[sum.add(add[0])]);
                    place += 1;
                });
            }
        }
    }
}
