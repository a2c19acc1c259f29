//! What windows see of an image, laid out in panels by parts of vectors.
//!
//! Not for windows further apart than two places, nor where parts of vectors are slow: those take [`Image::pack`]. The one
//! design choice: windows of a panel are cut into stretches that lie in one row of windows and one vector, and which lanes of
//! each lie in the image is worked out once for all channels, so that a stretch is a load and a store.

use super::Image;
use crate::isa::{Isa, LANES, first_lanes};

/// Stretches of a panel, at most.
const MOST: usize = 24;
/// Places of a window down or across, at most.
const PLACES: usize = 8;

/// The stretches of a panel.
pub(super) struct Stretches {
    count: usize,
    /// Where lane 0 of the vector of each would see the image with its first place, from the image's beginning.
    from: [isize; MOST],
    /// Where the vector of each begins in the panel.
    to: [u8; MOST],
    /// The lanes of each.
    lanes: [u16; MOST],
    /// By place down, stretches that lie in the image.
    rows: [u32; PLACES],
    /// By place across, lanes that lie in the image, as they are read: of windows two places apart those of two vectors.
    columns: [[[u16; 2]; MOST]; PLACES],
}

impl Stretches {
    /// Those of some windows; `None` if they are not for this.
    #[inline(always)]
    pub(super) fn new<I: Isa>(image: &Image<'_>, column: usize, columns: usize) -> Option<Stretches> {
        let Image { size, made, kernel, strides, dilations, before, .. } = *image;
        let near = strides[0] == strides[1] && strides[0] <= 2 && kernel.iter().all(|k| *k <= PLACES);
        let vectors = columns.div_ceil(LANES);
        if !I::PARTS || !near || vectors + columns.div_ceil(made[1]) + 1 > MOST {
            return None;
        }
        let (stride, wide) = (strides[0], size[1] as isize);
        let mut all = Stretches {
            count: 0,
            from: [0; MOST],
            to: [0; MOST],
            lanes: [0; MOST],
            rows: [0; PLACES],
            columns: [[[0; 2]; MOST]; PLACES],
        };
        let mut at = 0;
        while at < columns {
            let (down, across) = ((column + at) / made[1], (column + at) % made[1]);
            let lane = at % LANES;
            let len = (made[1] - across).min(columns - at).min(LANES - lane);
            let row = (down * stride) as isize - before[0] as isize;
            let place = (across as isize - lane as isize) * stride as isize - before[1] as isize;
            let number = all.count;
            all.from[number] = row * wide + place;
            all.to[number] = (at - lane) as u8;
            all.lanes[number] = first_lanes(lane + len) & !first_lanes(lane);
            for i in 0..kernel[0] {
                let inside = (0..size[0] as isize).contains(&(row + (i * dilations[0]) as isize));
                all.rows[i] |= u32::from(inside) << number;
            }
            for j in 0..kernel[1] {
                // Lane l sees number place + l * stride of the line.
                let first = place + (j * dilations[1]) as isize;
                let count = |places: isize| first_lanes((places.max(0) as usize).div_ceil(stride));
                let seen = all.lanes[number] & count(wide - first) & !count(-first);
                all.columns[j][number] = if stride == 1 { [seen, 0] } else { apart(seen) };
            }
            (all.count, at) = (number + 1, at + len);
            if at == columns {
                // What is behind the last window is written too, as zeros.
                all.lanes[number] |= !first_lanes(lane);
            }
        }
        Some(all)
    }

    /// Lays out rows from `start` on, `width` apart.
    #[inline(always)]
    pub(super) fn pack<I: Isa>(
        &self,
        isa: I,
        image: &Image<'_>,
        start: usize,
        width: usize,
        panel: &mut [f32],
    ) {
        let Image { size, kernel, strides, dilations, .. } = *image;
        let window = kernel[0] * kernel[1];
        let (mut channel, mut i) = (start / window, start % window / kernel[1]);
        let mut j = start % kernel[1];
        let filled = self.to[..self.count].last().map_or(0, |to| usize::from(*to) + LANES);
        for row in panel.chunks_exact_mut(width) {
            row[filled..].fill(0.0);
            let plane = &image.x[channel * size[0] * size[1]..][..size[0] * size[1]];
            let from = plane.as_ptr().wrapping_add(i * dilations[0] * size[1] + j * dilations[1]);
            for s in 0..self.count {
                let seen = if self.rows[i] >> s & 1 == 1 { self.columns[j][s] } else { [0; 2] };
                let from = from.wrapping_offset(self.from[s]);
                let to = &mut row[self.to[s] as usize..][..LANES];
                // SAFETY: the lanes that are read lie in a line of the plane; the vector lies in the row.
                unsafe {
                    let x = if strides[0] == 1 {
                        isa.load_some(from, seen[0])
                    } else {
                        let behind = from.wrapping_add(LANES);
                        isa.evens(isa.load_some(from, seen[0]), isa.load_some(behind, seen[1]))
                    };
                    isa.store_some(x, to.as_mut_ptr(), self.lanes[s]);
                }
            }
            j += 1;
            if j == kernel[1] {
                (i, j) = (i + 1, 0);
            }
            if i == kernel[0] {
                (channel, i) = (channel + 1, 0);
            }
        }
    }
}

/// Bit `i` as bit `2 i` of the two together.
#[inline(always)]
pub(super) fn apart(lanes: u16) -> [u16; 2] {
    let mut bits = u32::from(lanes);
    for (shift, mask) in [(8, 0x00ff_00ff), (4, 0x0f0f_0f0f), (2, 0x3333_3333), (1, 0x5555_5555)] {
        bits = (bits | bits << shift) & mask;
    }
    [bits as u16, (bits >> 16) as u16]
}
