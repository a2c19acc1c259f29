//! Convolutions of 3 x 3 by tiles of 2 x 2 results.
//!
//! Not where that pays, which is the graph's to say, nor why it is right: see the operator. A tile is sixteen products of matrices,
//! (maps, channels) times (channels, tiles), between transforms that only add. The one design choice: a strip of some dozens of tiles
//! at a time, whose sixteen right matrices stay in the second cache until all maps are made of it, while left matrices are
//! transformed once for all strips. (Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016.)

use super::stretches::{Stretches, apart};
use super::{Finish, Image, ROWS, Scratch, WIDTH, multiply, parts};
use crate::isa::{Isa, Kernel, LANES, first_lanes};
use std::ops::Range;

/// Matrices that are multiplied.
pub(crate) const PLACES: usize = 16;
/// Places of a window.
const WINDOW: usize = 9;
/// Maps that a thread makes at a time, at most.
pub(crate) const MAPS: usize = 48;
/// Floats between the sixteen matrices of a panel, whose lines would else compete for one place of the first cache.
pub(crate) const APART: usize = LANES;
/// Channels that are laid out before the first of them is transformed.
const TOGETHER: usize = 8;

/// A convolution by tiles.
#[derive(Clone, Copy)]
pub struct Tiles<'a> {
    /// The image and its windows, 3 x 3 and side by side.
    pub image: Image<'a>,
    /// (maps, channels, 3, 3)
    pub weights: &'a [f32],
    /// Maps that are made.
    pub maps: usize,
    /// Channels of the image.
    pub channels: usize,
    /// The row of its tile that the first row of the result lies in, 0 or 1.
    pub phase: usize,
    /// What becomes of each sum.
    pub finish: Finish<'a>,
}

impl Tiles<'_> {
    /// Tiles down and across.
    pub(crate) fn count(&self) -> [usize; 2] {
        [(self.phase + self.image.made[0]).div_ceil(2), self.image.made[1].div_ceil(2)]
    }

    /// What tiles see, as windows of 4 x 4 that are two places apart.
    fn seen(&self) -> Image<'_> {
        let [down, across] = self.image.before;
        let before = [down + self.phase, across];
        Image { kernel: [4; 2], strides: [2; 2], made: self.count(), before, ..self.image }
    }

    /// Checks that everything is as large as it must be.
    pub(crate) fn check(&self) {
        let Image { x, size, made, kernel, strides, dilations, .. } = self.image;
        assert!(kernel == [3; 2] && strides == [1; 2] && dilations == [1; 2] && self.phase < 2, "tiles");
        assert!(made.iter().all(|made| *made > 0), "windows");
        assert!(x.len() == self.channels * size[0] * size[1] && !x.is_empty(), "an image");
        assert_eq!(self.weights.len(), self.maps * self.channels * WINDOW, "weights");
        let lists = [self.finish.scale, self.finish.bias];
        assert!(lists.into_iter().flatten().all(|list| list.len() == self.maps), "a number for each map");
        assert!(self.finish.of_columns.is_none(), "columns are tiles here");
    }
}

/// What one thread does.
pub(crate) struct TileSlice<'a> {
    pub task: &'a Tiles<'a>,
    pub part: TilePart,
    /// (16, maps, channels): the weights, transformed.
    pub weights: *mut f32,
    /// (panels of a strip, 16, channels, tiles of a panel): what the tiles of the strip see, transformed.
    pub seen: *mut f32,
    /// (maps, rows, columns): the result.
    pub out: *mut f32,
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

/// A step, and the part of it that is this thread's.
pub(crate) enum TilePart {
    /// Transforms the weights of some maps.
    Weights { maps: Range<usize> },
    /// Transforms what the tiles of a panel see of some channels.
    Seen { channels: Range<usize>, panel: Panel },
    /// Makes some maps of the tiles of a panel.
    Make { maps: Range<usize>, panel: Panel },
}

/// At most 64 tiles.
#[derive(Clone, Copy)]
pub(crate) struct Panel {
    /// Which one of the strip.
    pub number: usize,
    /// Its first tile.
    pub first: usize,
    /// Its tiles.
    pub count: usize,
}

impl<I: Isa> Kernel<I> for TileSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        match self.part {
            TilePart::Weights { ref maps } => {
                for map in maps.clone() {
                    self.weights_of(isa, map);
                }
            }
            TilePart::Seen { ref channels, panel } => self.see(isa, channels, panel),
            TilePart::Make { ref maps, panel } => {
                if I::CHAINS >= super::MANY && panel.count > LANES {
                    self.make::<I, 4>(isa, maps, panel);
                } else {
                    self.make::<I, 1>(isa, maps, panel);
                }
            }
        }
    }
}

impl TileSlice<'_> {
    /// Transforms the weights of a map, sixteen channels side by side.
    #[inline(always)]
    fn weights_of<I: Isa>(&self, isa: I, map: usize) {
        let Tiles { channels, maps, weights, .. } = *self.task;
        for some in parts(&(0..channels), LANES) {
            let own = &weights[(map * channels + some.start) * WINDOW..][..some.len() * WINDOW];
            let mut turned = [[0.0; LANES]; WINDOW];
            for (lane, window) in own.chunks_exact(WINDOW).enumerate() {
                for i in 0..WINDOW {
                    turned[i][lane] = window[i];
                }
            }
            let mut columns = [[isa.splat(0.0); 4]; 3];
            for j in 0..3 {
                let window = [isa.load(&turned[j]), isa.load(&turned[3 + j]), isa.load(&turned[6 + j])];
                columns[j] = of_weights(isa, window);
            }
            for i in 0..4 {
                let row = of_weights(isa, [columns[0][i], columns[1][i], columns[2][i]]);
                for j in 0..4 {
                    let at = ((4 * i + j) * maps + map) * channels + some.start;
                    // SAFETY: the matrices are (16, maps, channels), and this map is this thread's.
                    unsafe { isa.store_some(row[j], self.weights.add(at), first_lanes(some.len())) };
                }
            }
        }
    }

    /// Where a line of what a panel sees begins.
    #[inline(always)]
    fn line(&self, panel: Panel, place: usize, channel: usize) -> *mut f32 {
        let matrix = panel.number * PLACES + place;
        self.seen.wrapping_add(matrix * (self.task.channels * WIDTH + APART) + channel * WIDTH)
    }

    /// Transforms what the tiles of a panel see of some channels.
    #[inline(always)]
    fn see<I: Isa>(&self, isa: I, channels: &Range<usize>, panel: Panel) {
        let seen = self.task.seen();
        let stretches = Stretches::new::<I>(&seen, panel.first, panel.count);
        // Laid out for some channels before the first is read again: parts of vectors must have left for the cache.
        for channels in parts(channels, TOGETHER) {
            for (i, channel) in channels.clone().enumerate() {
                // SAFETY: the scratch belongs to this thread, and has room for so many.
                let (to, start) = (unsafe { &mut *self.laid(i) }, channel * PLACES);
                match &stretches {
                    Some(all) => all.pack(isa, &seen, start, WIDTH, to),
                    None => seen.pack(start, panel.first, panel.count, WIDTH, to),
                }
            }
            for (i, channel) in channels.enumerate() {
                self.transform(isa, i, channel, panel);
            }
        }
    }

    /// Where what a panel sees of a channel is laid out, by its number among those that lie in the scratch.
    #[inline(always)]
    fn laid(&self, number: usize) -> *mut [f32] {
        assert!(number < TOGETHER);
        let start = self.scratch.cast::<f32>().wrapping_add(number * PLACES * WIDTH);
        std::ptr::slice_from_raw_parts_mut(start, PLACES * WIDTH)
    }

    /// Transforms what the tiles of a panel see of a channel, all vectors of it.
    #[inline(always)]
    fn transform<I: Isa>(&self, isa: I, number: usize, channel: usize, panel: Panel) {
        // SAFETY: the scratch belongs to this thread, and has room for so many.
        let vectors = unsafe { &*self.laid(number) }.as_chunks::<LANES>().0;
        for v in 0..WIDTH / LANES {
            let mut x = [isa.splat(0.0); PLACES];
            for i in 0..PLACES {
                x[i] = isa.load(&vectors[i * (WIDTH / LANES) + v]);
            }
            let mut columns = [[x[0]; 4]; 4];
            for j in 0..4 {
                columns[j] = of_seen(isa, [x[j], x[4 + j], x[8 + j], x[12 + j]]);
            }
            for i in 0..4 {
                let row = of_seen(isa, [columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
                for j in 0..4 {
                    let to = self.line(panel, 4 * i + j, channel).wrapping_add(v * LANES);
                    // SAFETY: a vector of a line of this panel, and this channel is this thread's.
                    isa.store(row[j], unsafe { &mut *to.cast() });
                }
            }
        }
    }

    /// Makes some maps of a panel, `V` vectors of tiles at a time.
    #[inline(always)]
    fn make<I: Isa, const V: usize>(&self, isa: I, maps: &Range<usize>, panel: Panel) {
        for tiles in parts(&(0..panel.count), V * LANES) {
            let mut map = maps.start;
            while map < maps.end {
                map += match maps.end - map {
                    ROWS.. => self.tile::<I, ROWS, V>(isa, map, panel, &tiles),
                    2.. => self.tile::<I, 2, V>(isa, map, panel, &tiles),
                    _ => self.tile::<I, 1, V>(isa, map, panel, &tiles),
                };
            }
        }
    }

    /// Makes `R` maps of `V` vectors of tiles.
    #[inline(always)]
    fn tile<I: Isa, const R: usize, const V: usize>(
        &self,
        isa: I,
        map: usize,
        panel: Panel,
        tiles: &Range<usize>,
    ) -> usize {
        let Tiles { channels, maps, .. } = *self.task;
        let sums = self.scratch.cast::<[[[f32; LANES]; V]; R]>();
        for place in 0..PLACES {
            let mut made = [[isa.splat(0.0); V]; R];
            // SAFETY: the matrices are (16, maps, channels) and (16, channels, 64), and nobody writes to them meanwhile. The
            // scratch belongs to this thread, and has room for 16 times 6 times 4 vectors.
            unsafe {
                let left = self.weights.add((place * maps + map) * channels);
                let left = std::slice::from_raw_parts(left, R * channels);
                let right = self.line(panel, place, 0).wrapping_add(tiles.start);
                let (left, right) = ((left, channels), (right.cast_const(), WIDTH));
                multiply::<I, R, V, false>(isa, left, right, (channels, V * LANES), &mut made);
                for r in 0..R {
                    for v in 0..V {
                        isa.store(made[r][v], &mut (*sums.add(place))[r][v]);
                    }
                }
            }
        }
        for r in 0..R {
            let finish = self.task.finish.row(isa, map + r);
            for v in 0..V {
                let mut m = [isa.splat(0.0); PLACES];
                for i in 0..PLACES {
                    // SAFETY: as above.
                    m[i] = isa.load(unsafe { &(*sums.add(i))[r][v] });
                }
                let mut columns = [[m[0]; 2]; 4];
                for j in 0..4 {
                    columns[j] = of_sums(isa, [m[j], m[4 + j], m[8 + j], m[12 + j]]);
                }
                let mut rows = [[m[0]; 2]; 2];
                for i in 0..2 {
                    let row = of_sums(isa, [columns[0][i], columns[1][i], columns[2][i], columns[3][i]]);
                    rows[i] = isa.zip(finish.of(isa, row[0]), finish.of(isa, row[1]));
                }
                let start = tiles.start + v * LANES;
                let some = start..(start + LANES).min(tiles.end);
                if !some.is_empty() {
                    self.write(isa, map + r, panel.first + some.start..panel.first + some.end, rows);
                }
            }
        }
        R
    }

    /// Writes the results of at most sixteen tiles: two rows, each as two vectors.
    #[inline(always)]
    fn write<I: Isa>(&self, isa: I, map: usize, tiles: Range<usize>, rows: [[I::F; 2]; 2]) {
        let ([high, wide], across) = (self.task.image.made, self.task.count()[1]);
        let mut at = tiles.start;
        while at < tiles.end {
            let (down, left) = (at / across, at % across);
            let (lane, len) = (at - tiles.start, (across - left).min(tiles.end - at));
            // The last column of tiles may have one column of results.
            let columns = (2 * len).min(wide - 2 * left);
            let lanes = apart(first_lanes(lane + len) & !first_lanes(lane));
            let mut lanes = lanes.map(|lanes| lanes | lanes << 1);
            if columns < 2 * len {
                let last = 2 * (lane + len) - 1;
                lanes[last / LANES] &= !(1 << (last % LANES));
            }
            for (i, row) in rows.iter().enumerate() {
                let line = (2 * down + i).wrapping_sub(self.task.phase);
                if line < high {
                    let to = self.out.wrapping_add((map * high + line) * wide + 2 * left);
                    let to = to.wrapping_sub(2 * lane);
                    // SAFETY: these lanes are places of this row of this map, whose tiles are this thread's.
                    unsafe {
                        isa.store_some(row[0], to, lanes[0]);
                        isa.store_some(row[1], to.wrapping_add(LANES), lanes[1]);
                    }
                }
            }
            at += len;
        }
    }
}

/// Three weights of a window for the four places of a tile.
#[inline(always)]
fn of_weights<I: Isa>(isa: I, [a, b, c]: [I::F; 3]) -> [I::F; 4] {
    let (both, half) = (isa.add(a, c), isa.splat(0.5));
    [a, isa.mul(isa.add(both, b), half), isa.mul(isa.sub(both, b), half), c]
}

/// Four numbers that a tile sees for its four places.
#[inline(always)]
fn of_seen<I: Isa>(isa: I, x: [I::F; 4]) -> [I::F; 4] {
    [isa.sub(x[0], x[2]), isa.add(x[1], x[2]), isa.sub(x[2], x[1]), isa.sub(x[1], x[3])]
}

/// The two results of four sums of a tile.
#[inline(always)]
fn of_sums<I: Isa>(isa: I, m: [I::F; 4]) -> [I::F; 2] {
    [isa.add(isa.add(m[0], m[1]), m[2]), isa.sub(isa.sub(m[1], m[2]), m[3])]
}
