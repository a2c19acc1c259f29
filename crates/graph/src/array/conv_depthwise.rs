//! A convolution and the depthwise one that alone reads its maps, as one.
//!
//! The definition is that of [`Conv`] for a map of the first, then for what the second sees of that map, map by map: the numbers
//! are those of the two, and no more than a map is between them. Inputs: the first's, then the second's but for its first.

use super::{ArrayOperator, ArrayType, Conv, View, ViewMut, extents, fault};
use crate::{Cost, Error, Extents};

/// A convolution and a depthwise one behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConvDepthwise {
    /// The first, in one group.
    pub first: Box<Conv>,
    /// The second, as it is for one map.
    pub second: Box<Conv>,
    /// Inputs of the first.
    pub inputs: usize,
}

const NAME: &str = "ConvDepthwise";
/// Bytes that kernels work in, at most: what a core's second cache holds for each of a few threads.
const WORK: usize = 512 << 10;

impl ArrayOperator for ConvDepthwise {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let between = self.between(inputs)?;
        let count = self.second.windows.count(NAME, &between, false)?;
        let maps = between.extents[1];
        let [w, factors @ ..] = &inputs[self.inputs..] else {
            return fault(NAME, "weights of the second are needed", inputs);
        };
        let fits = [self.first.groups, self.second.groups] == [1; 2]
            && w.extents.get(..2) == Some(&[maps, 1])
            && w.extents[2..] == self.second.windows.kernel[..]
            && factors.len() <= 2
            && factors.iter().all(|factor| factor.extents.elements() == maps)
            && inputs.iter().all(|input| input.elem == between.elem);
        if !fits {
            return fault(NAME, "weights of the second must fit the maps and the window", inputs);
        }
        let made = [&[between.extents[0], maps], &count[..]].concat();
        Ok(vec![ArrayType { elem: between.elem, extents: extents(NAME, &made)? }])
    }

    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let missing = || Error::Array { op: NAME, what: "elements are missing", found: [].into() };
        let (Some((x, firsts)), [out]) = (inputs.split_first(), outputs) else { return Err(missing()) };
        let (firsts, seconds) = firsts.split_at_checked(self.inputs.wrapping_sub(1)).ok_or_else(missing)?;
        if firsts.len().max(seconds.len()) > 3 {
            return Err(missing());
        }
        let (batch, maps) = (out.kind.extents[0], out.kind.extents[1]);
        let (map, made) = (self.map(&x.kind), part_of(&out.kind, 2));
        let plane = scratch.get_mut(..map.bytes()).ok_or_else(missing)?;
        for number in 0..batch * maps {
            let image = part(x, number / maps, part_of(&x.kind, 1)).ok_or_else(missing)?;
            let [mut own, mut behind] = [[image; 4]; 2];
            for (to, from) in [(&mut own, firsts), (&mut behind, seconds)] {
                for (place, (to, from)) in to[1..].iter_mut().zip(from).enumerate() {
                    let kind = if place == 0 { part_of(&from.kind, 1) } else { number_of(&from.kind) };
                    *to = part(from, number % maps, kind).ok_or_else(missing)?;
                }
            }
            let to = ViewMut { kind: map, bytes: plane };
            self.first.evaluate(&own[..=firsts.len()], &mut [to], &mut [])?;
            behind[0] = View { kind: map, bytes: Some(plane) };
            let range = number * made.bytes()..(number + 1) * made.bytes();
            let to = ViewMut { kind: made, bytes: out.bytes.get_mut(range).ok_or_else(missing)? };
            self.second.evaluate(&behind[..=seconds.len()], &mut [to], &mut [])?;
        }
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let (Ok(made), Ok(between)) = (self.infer(inputs), self.between(inputs)) else { return Cost::default() };
        let window: usize = self.second.windows.kernel.iter().product();
        let first = self.first.cost(&inputs[..self.inputs]).macs;
        let second = if between.extents.elements() == 0 { 0 } else { made[0].extents.elements() * window };
        Cost { macs: first + second as u64, ..Cost::default() }
    }

    /// A map of the first, and where kernels make some of them.
    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let Ok(between) = self.between(inputs) else { return 0 };
        part_of(&between, 2).bytes().max(between.bytes().min(WORK))
    }
}

impl ConvDepthwise {
    /// What the first makes.
    pub(crate) fn between(&self, inputs: &[ArrayType]) -> Result<ArrayType, Error> {
        let own = inputs.get(..self.inputs).unwrap_or_default();
        match self.first.infer(own)?.first() {
            Some(made) => Ok(*made),
            None => fault(NAME, "inputs of the first are needed", inputs),
        }
    }

    /// A map of the first, of an input that [`ConvDepthwise::between`] takes.
    fn map(&self, x: &ArrayType) -> ArrayType {
        let mut map = part_of(x, 2);
        let windows = &self.first.windows;
        for (axis, extent) in map.extents.iter_mut().skip(2).enumerate() {
            let padded = *extent + windows.before[axis] + windows.behind[axis];
            *extent = padded.saturating_sub(windows.reach(axis)) / windows.strides[axis] + 1;
        }
        map
    }
}

/// One of what an array has along its first axes.
fn part_of(kind: &ArrayType, axes: usize) -> ArrayType {
    let mut extents = kind.extents;
    (0..axes.min(extents.len())).for_each(|axis| extents[axis] = 1);
    ArrayType { elem: kind.elem, extents }
}

/// One of the numbers of an array.
fn number_of(kind: &ArrayType) -> ArrayType {
    ArrayType { elem: kind.elem, extents: Extents::new(&[1]).unwrap_or_default() }
}

/// Elements of one kind from the `number`th of these on.
fn part<'a>(view: &View<'a>, number: usize, kind: ArrayType) -> Option<View<'a>> {
    let bytes = view.bytes?.get(number * kind.bytes()..(number + 1) * kind.bytes())?;
    Some(View { kind, bytes: Some(bytes) })
}
