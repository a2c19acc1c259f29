//! The right matrix of a product, and panels of it laid out for the registers.

use super::Scaled;
use crate::isa::LANES;

/// The right matrix of a product.
#[derive(Clone, Copy)]
pub enum Right<'a> {
    /// (common, columns) of bytes that stand for numbers.
    Bytes(Scaled<'a>),
    /// (columns, common), one column `stride` behind the other.
    Columns {
        /// Its elements.
        b: &'a [f32],
        /// From a column to the next.
        stride: usize,
    },
    /// What windows see of an image: (channel and place in the window, window).
    Image(Image<'a>),
    /// (common, columns), one row `stride` behind the other.
    Rows {
        /// Its elements.
        b: &'a [f32],
        /// From a row to the next.
        stride: usize,
    },
}

/// An image and the windows that slide over it.
#[derive(Clone, Copy)]
pub struct Image<'a> {
    /// (channels, height, width)
    pub x: &'a [f32],
    /// Height and width.
    pub size: [usize; 2],
    /// Windows down and across.
    pub made: [usize; 2],
    /// Height and width of a window.
    pub kernel: [usize; 2],
    /// From a window to the next.
    pub strides: [usize; 2],
    /// From a place to the next within a window.
    pub dilations: [usize; 2],
    /// Places that are added before the first.
    pub before: [usize; 2],
}

impl Right<'_> {
    /// Rows from `start` and `columns` columns from `column`, laid out `width` apart; zeros in the columns behind.
    pub(super) fn pack(&self, start: usize, column: usize, columns: usize, width: usize, panel: &mut [f32]) {
        match *self {
            // Widened in registers instead: `Scaled::pack`.
            Right::Bytes(_) => {}
            Right::Columns { b, stride } => {
                let depth = panel.len() / width;
                for (group, first) in (0..columns).step_by(LANES).enumerate() {
                    let seen: [&[f32]; LANES] = std::array::from_fn(|c| match first + c < columns {
                        true => &b[(column + first + c) * stride + start..][..depth],
                        false => &[],
                    });
                    let rows = panel.chunks_exact_mut(width).enumerate();
                    let rows = rows.map(|(k, row)| (k, &mut row[group * LANES..][..LANES]));
                    match first + LANES <= columns {
                        true => rows.for_each(|(k, row)| (0..LANES).for_each(|c| row[c] = seen[c][k])),
                        false => rows.for_each(|(k, row)| {
                            (0..LANES).for_each(|c| row[c] = seen[c].get(k).copied().unwrap_or(0.0));
                        }),
                    }
                }
                let filled = columns.next_multiple_of(LANES);
                panel.chunks_exact_mut(width).for_each(|row| row[filled..].fill(0.0));
            }
            Right::Image(image) => image.pack(start, column, columns, width, panel),
            Right::Rows { b, stride } => {
                for (k, row) in panel.chunks_exact_mut(width).enumerate() {
                    let from = &b[(start + k) * stride + column..][..columns];
                    row[..columns].copy_from_slice(from);
                    row[columns..].fill(0.0);
                }
            }
        }
    }
}

impl Image<'_> {
    /// What each window sees, one after another: (window, channel and place in the window).
    pub fn columns(&self, to: &mut [f32]) {
        let plane = self.size[0] * self.size[1];
        let each = to.len() / (self.made[0] * self.made[1]);
        for (window, to) in to.chunks_exact_mut(each).enumerate() {
            let at = [window / self.made[1], window % self.made[1]];
            let mut to = to.iter_mut();
            for x in self.x.chunks_exact(plane) {
                for i in 0..self.kernel[0] {
                    let down = (at[0] * self.strides[0] + i * self.dilations[0]).wrapping_sub(self.before[0]);
                    for j in 0..self.kernel[1] {
                        let across =
                            (at[1] * self.strides[1] + j * self.dilations[1]).wrapping_sub(self.before[1]);
                        let inside = down < self.size[0] && across < self.size[1];
                        if let Some(to) = to.next() {
                            *to = if inside { x[down * self.size[1] + across] } else { 0.0 };
                        }
                    }
                }
            }
        }
    }

    pub(super) fn pack(&self, start: usize, column: usize, columns: usize, width: usize, panel: &mut [f32]) {
        let [_, kernel_width] = self.kernel;
        let window = self.kernel[0] * kernel_width;
        let plane = self.size[0] * self.size[1];
        for (k, row) in panel.chunks_exact_mut(width).enumerate() {
            let (channel, place) = ((start + k) / window, (start + k) % window);
            let inside = [place / kernel_width, place % kernel_width];
            let x = &self.x[channel * plane..][..plane];
            row[columns..].fill(0.0);
            // Windows of one row of them after another.
            let mut at = 0;
            while at < columns {
                let (down, across) = ((column + at) / self.made[1], (column + at) % self.made[1]);
                let len = (self.made[1] - across).min(columns - at);
                let to = &mut row[at..at + len];
                let seen =
                    (down * self.strides[0] + inside[0] * self.dilations[0]).wrapping_sub(self.before[0]);
                match x.get(seen.wrapping_mul(self.size[1])..).filter(|_| seen < self.size[0]) {
                    Some(line) => self.line(&line[..self.size[1]], across, inside[1], to),
                    None => to.fill(0.0),
                }
                at += len;
            }
        }
    }

    /// What windows from `across` on see of a line at their place `inside`.
    #[inline(always)]
    fn line(&self, line: &[f32], across: usize, inside: usize, to: &mut [f32]) {
        let (stride, shift) = (self.strides[1], inside * self.dilations[1]);
        // Windows whose place lies in the line.
        let from = self.before[1].saturating_sub(shift).div_ceil(stride).clamp(across, across + to.len());
        let end = (line.len() + self.before[1])
            .saturating_sub(shift)
            .div_ceil(stride)
            .clamp(from, across + to.len());
        let (before, rest) = to.split_at_mut(from - across);
        let (seen, behind) = rest.split_at_mut(end - from);
        before.fill(0.0);
        behind.fill(0.0);
        if seen.is_empty() {
            return;
        }
        let first = from * stride + shift - self.before[1];
        if stride == 1 {
            seen.copy_from_slice(&line[first..first + seen.len()]);
        } else {
            seen.iter_mut().zip(line[first..].iter().step_by(stride)).for_each(|(x, seen)| *x = *seen);
        }
    }
}
