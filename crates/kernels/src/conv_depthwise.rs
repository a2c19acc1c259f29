//! A convolution and the depthwise one that alone reads its maps, made together.
//!
//! Not arithmetic: both are the kernels that they are apart, so their bits are the same. The one design choice: a thread makes a
//! few maps at a time, a band of rows after another, in a corner of its own that the second cache holds, and reads them at once;
//! rows that the next band sees too are kept, so that nothing is made twice and the maps are never there whole.

use crate::dense::{Dense, DenseSlice, Finish, Image, PlaneKind, PlaneSlice, WIDTH};
use crate::isa::LANES;
use crate::map::Map;
use crate::{Cpu, cpu::Parts, cpu::Scratches, set::KernelSet};
use std::ops::Range;

/// Pieces for each thread.
const PIECES: usize = 2;
/// Maps that are made at a time, those that are tried first.
const MAPS: [usize; 5] = [24, 12, 6, 3, 1];
/// Floats of a thread's corner, at most.
const MOST: usize = 96 << 10;

/// A convolution and a depthwise one behind it.
#[derive(Clone, Copy)]
pub struct ConvDepthwise<'a> {
    /// The first, for all of its windows.
    pub first: Dense<'a>,
    /// How windows of the second lie on a map of the first; `x` is not read.
    pub windows: Image<'a>,
    /// (maps, window)
    pub weights: &'a [f32],
    /// What becomes of the sums of the second.
    pub finish: Finish<'a>,
}

impl ConvDepthwise<'_> {
    /// Rows of a map that rows of windows see.
    fn seen(&self, made: &Range<usize>) -> Range<usize> {
        let Image { size, kernel, strides, dilations, before, .. } = self.windows;
        let reach = (kernel[0] - 1) * dilations[0] + 1;
        let start = (made.start * strides[0]).saturating_sub(before[0]).min(size[0]);
        let end = ((made.end - 1) * strides[0] + reach).saturating_sub(before[0]);
        start..end.clamp(start, size[0])
    }

    /// Rows of a map that `made` rows of windows see, at most.
    fn span(&self, made: usize) -> usize {
        let Image { size, kernel, strides, dilations, .. } = self.windows;
        ((made - 1) * strides[0] + (kernel[0] - 1) * dilations[0] + 1).min(size[0])
    }

    /// How a corner of so many floats is used; `None` if it is too small.
    fn band(&self, floats: usize) -> Option<Band> {
        let Image { size, made, .. } = self.windows;
        let (rows, wide) = (made[0], size[1].max(1));
        let band = |maps: usize| {
            // Rows of windows whose rows have room.
            let room = floats / (maps * wide);
            let (mut least, mut most) = (0, rows);
            while least < most {
                let middle = (least + most).div_ceil(2);
                if self.span(middle) <= room { least = middle } else { most = middle - 1 }
            }
            (least > 0).then(|| Band { maps, made: least, stride: self.span(least) * wide })
        };
        if let Some(whole) = band(1).filter(|band| band.made == rows) {
            let fit = floats / whole.stride.max(1);
            if fit >= MAPS[2] {
                return Some(Band { maps: fit - fit % MAPS[2], ..whole });
            }
        }
        let tall = |band: &Band| band.made * 2 >= rows.min(16);
        MAPS.into_iter().find_map(|maps| band(maps).filter(tall)).or_else(|| band(1))
    }
}

/// What of the maps is there at once.
#[derive(Clone, Copy)]
struct Band {
    maps: usize,
    /// Rows of windows.
    made: usize,
    /// Floats from a map to the next.
    stride: usize,
}

impl Cpu {
    /// `out` (maps, windows of the second) = the second of the first; `work` is what maps are made in.
    ///
    /// # Panics
    /// If [`Cpu::takes_conv_depthwise`] says no.
    pub fn conv_depthwise(&self, task: &ConvDepthwise<'_>, work: &mut [f32], out: &mut [f32]) {
        let ConvDepthwise { first, windows, weights, .. } = task;
        let (maps, made) = (first.rows, windows.made[0] * windows.made[1]);
        first.check();
        assert!(
            out.len() == maps * made
                && first.columns == windows.size[0] * windows.size[1]
                && weights.len() == maps * windows.kernel[0] * windows.kernel[1]
                && Cpu::takes_conv_depthwise(task, work.len())
                && first.common > 0
                && first.a_stride >= first.common
                && first.a.len() >= maps.saturating_sub(1) * first.a_stride + first.common,
            "maps, windows and weights that fit each other"
        );
        let least = task.span(1) * windows.size[1];
        // A corner for each thread, or as many as there is room for.
        let corners = self.threads().min(work.len() / least.max(1)).max(1);
        let floats = (work.len() / corners).min(MOST);
        let floats = if corners > 1 { floats - floats % LANES } else { floats };
        let (corners, floats) = if floats < least { (1, work.len()) } else { (corners, floats) };
        let Some(band) = task.band(floats) else { return };
        let whole = corners == self.threads();
        let pieces = if whole { PIECES * corners } else { corners };
        let block = maps.div_ceil(pieces).max(1);
        let block = if maps >= 6 * pieces { block.next_multiple_of(6) } else { block };
        let (work, to, set, scratches) = (Parts::new(work), Parts::new(out), self.set(), self.scratches());
        let count = maps.div_ceil(block);
        self.pieces(count, maps * (first.columns * first.common + made), &|piece, worker| {
            let corner = work.start().wrapping_add(if whole { worker } else { piece } * floats);
            let made = Maker { task, band, corner, out: &to, set, scratches, worker };
            let maps = piece * block..maps.min((piece + 1) * block);
            let mut at = maps.start;
            while at < maps.end {
                let end = maps.end.min(at + band.maps);
                made.maps(at..end);
                at = end;
            }
        });
    }

    /// Whether there is room for it in so many floats, and there are kernels for such windows.
    pub fn takes_conv_depthwise(task: &ConvDepthwise<'_>, floats: usize) -> bool {
        let Image { made, strides, dilations, kernel, .. } = task.windows;
        let some = made.iter().chain(&strides).chain(&dilations).chain(&kernel).all(|x| *x > 0);
        Cpu::takes_planes(&task.windows) && some && task.span(1) * task.windows.size[1] <= floats
    }
}

/// What one thread makes maps with.
struct Maker<'a, 't> {
    task: &'a ConvDepthwise<'t>,
    band: Band,
    /// Nobody else's; as many floats as the band says.
    corner: *mut f32,
    out: &'a Parts<f32>,
    set: &'static KernelSet,
    scratches: Scratches,
    worker: usize,
}

impl Maker<'_, '_> {
    /// All that is made of some maps.
    fn maps(&self, maps: Range<usize>) {
        let (wide, rows) = (self.task.windows.size[1], self.task.windows.made[0]);
        let mut there = 0..0;
        let mut at = 0;
        while at < rows {
            let made = at..rows.min(at + self.band.made);
            let seen = self.task.seen(&made);
            let kept = there.end.max(seen.start);
            if kept > seen.start && seen.start > there.start {
                for map in 0..maps.len() {
                    let map = self.corner.wrapping_add(map * self.band.stride);
                    let (from, len) =
                        (map.wrapping_add((seen.start - there.start) * wide), (kept - seen.start) * wide);
                    // SAFETY: both lie in what is there of this map.
                    unsafe { std::ptr::copy(from, map, len) };
                }
            }
            if kept < seen.end {
                self.first(&maps, &seen, kept * wide..seen.end * wide);
            }
            self.second(&maps, &seen, &made);
            there = if seen.is_empty() { there } else { seen };
            at = made.end;
        }
    }

    /// Some columns of maps of which the rows `seen` are to be there.
    fn first(&self, maps: &Range<usize>, seen: &Range<usize>, columns: Range<usize>) {
        let ConvDepthwise { first: product, windows, .. } = self.task;
        let out_stride = self.band.stride;
        let out =
            self.corner.wrapping_sub(maps.start * out_stride).wrapping_sub(seen.start * windows.size[1]);
        let vectors = columns.len().div_ceil(LANES);
        let panels = columns.len().div_ceil(WIDTH);
        // Panels are about equal, in vectors.
        let start = |panel: usize| columns.end.min(columns.start + LANES * (panel * vectors / panels));
        for panel in 0..panels {
            let (rows, columns) = (maps.clone(), start(panel)..start(panel + 1));
            let scratch = self.scratches.worker(self.worker).cast();
            (self.set.dense)(DenseSlice { product, rows, columns, out, out_stride, scratch });
        }
        if let Some(kind) = product.finish.then {
            for map in maps.clone() {
                let start = out.wrapping_add(map * out_stride + columns.start);
                // SAFETY: what has just been written.
                let x = unsafe { std::slice::from_raw_parts_mut(start, columns.len()) };
                (self.set.map)(Map { kind, x });
            }
        }
    }

    /// Rows of windows on maps of which the rows `seen` are there.
    fn second(&self, maps: &Range<usize>, seen: &Range<usize>, made: &Range<usize>) {
        let ConvDepthwise { windows, weights, finish, .. } = *self.task;
        let Image { strides, before, size: [_, wide], made: [rows, across], .. } = windows;
        let len = (maps.len() - 1) * self.band.stride + seen.len() * wide;
        // SAFETY: the rows that are there of these maps, which nobody writes to meanwhile.
        let x = unsafe { std::slice::from_raw_parts(self.corner, len) };
        let image = Image {
            x,
            size: [seen.len(), wide],
            made: [made.len(), across],
            before: [before[0].saturating_sub(made.start * strides[0]), before[1]],
            ..windows
        };
        let range = maps.start * rows + made.start..(maps.end - 1) * rows + made.end;
        // SAFETY: maps of different tasks do not overlap.
        let out = unsafe { self.out.rows(&range, across) };
        let (kind, apart) = (PlaneKind::Weighted { weights, finish }, [self.band.stride, rows * across]);
        let scratch = self.scratches.worker(self.worker).cast();
        (self.set.planes)(PlaneSlice { image, kind, channels: maps.clone(), out, apart, scratch });
        if let Some(kind) = finish.then {
            for map in maps.clone() {
                // SAFETY: as above; the kernel is done with them.
                let x = unsafe { self.out.rows(&(map * rows + made.start..map * rows + made.end), across) };
                (self.set.map)(Map { kind, x });
            }
        }
    }
}
