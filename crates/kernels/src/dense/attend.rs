//! Attention over arrays of f32: each query's mean of values, weighted by how it compares with their keys; scores are never in
//! memory (arXiv 2205.14135), their sums run along (arXiv 1805.02867).
//!
//! Not the attention of decoders over their caches, which is [`crate::attention`]. The one design choice: queries are lanes.
//! A block of them is laid out once as a panel; keys and values are left matrices that are read as they lie, and what is
//! largest and what is summed up over keys never crosses lanes. Keys come in tiles of [`KEYS`], whatever is cut where.

use super::{LANES, ROWS, WIDTH, multiply};
use crate::dense::MANY;
use crate::float::exp;
use crate::isa::{Isa, Kernel};
use std::ops::Range;

/// Keys of a tile.
const KEYS: usize = 128;
/// Elements of a query and of a value, at most.
pub(crate) const WIDE: usize = 128;

/// Queries, keys or values in an array: (batch, heads, rows, width), apart by strides; elements of a row are neighbours.
#[derive(Clone, Copy, Debug)]
pub struct Heads<'a> {
    /// The elements.
    pub x: &'a [f32],
    /// Parts, heads and rows.
    pub count: [usize; 3],
    /// Elements of a row.
    pub width: usize,
    /// From a part to the next, from a head, and from a row.
    pub strides: [usize; 3],
}

impl Heads<'_> {
    /// Where a row begins.
    fn at(&self, place: [usize; 3]) -> usize {
        place.iter().zip(self.strides).map(|(at, stride)| at * stride).sum()
    }

    fn end(&self) -> usize {
        match self.count.contains(&0) {
            true => 0,
            false => self.at(self.count.map(|count| count - 1)) + self.width,
        }
    }
}

/// What is added to scores: (batch, heads, queries, keys), apart by strides, zero where an axis is repeated.
#[derive(Clone, Copy, Debug)]
pub struct Mask<'a> {
    /// The elements.
    pub x: &'a [f32],
    /// From a part to the next, from a head, a query and a key.
    pub strides: [usize; 4],
}

/// Attention of all queries to all keys. Queries have as many heads as keys or a multiple; neighbours share keys.
#[derive(Clone, Copy, Debug)]
pub struct Attend<'a> {
    /// Queries.
    pub q: Heads<'a>,
    /// Keys.
    pub k: Heads<'a>,
    /// Values.
    pub v: Heads<'a>,
    /// What products are multiplied by.
    pub scale: f32,
    /// What is added to them then.
    pub mask: Option<Mask<'a>>,
    /// If a query sees no later keys: how many keys come before the first query's own.
    pub causal: Option<isize>,
    /// Strides of the result, as those of [`Heads`].
    pub out: [usize; 3],
}

impl Attend<'_> {
    /// Whether rows of such widths have room in the scratch.
    pub fn takes(width: usize, value_width: usize) -> bool {
        (1..=WIDE).contains(&width) && (1..=WIDE).contains(&value_width)
    }

    /// Checks that everything lies where it is said to.
    pub(crate) fn check(&self, out: usize) {
        let Attend { q, k, v, .. } = *self;
        assert!(Attend::takes(q.width, v.width) && q.width == k.width, "widths that the scratch takes");
        let [batch, heads, rows] = q.count;
        assert!(
            k.count == v.count && k.count[0] == batch && k.count[1] > 0 && heads.is_multiple_of(k.count[1])
        );
        assert!([q, k, v].iter().all(|each| each.x.len() >= each.end()), "rows that are there");
        let made = Heads { x: &[], count: q.count, width: v.width, strides: self.out };
        assert!(out >= made.end() && self.out[2] >= v.width, "room for the result");
        let last = [batch, heads, rows, k.count[2]].map(|count| count.saturating_sub(1));
        let fits = |mask: &Mask<'_>| {
            mask.x.len() > last.iter().zip(mask.strides).map(|(at, stride)| at * stride).sum::<usize>()
        };
        assert!(self.mask.as_ref().is_none_or(fits), "a mask for all scores");
    }
}

/// What a thread works in; rows of as many lanes as a block has.
#[repr(C, align(64))]
pub(crate) struct Scratch {
    /// (key, query)
    scores: [f32; KEYS * WIDTH],
    /// (element, query)
    queries: [f32; WIDE * WIDTH],
    /// (element of a value, query)
    sums: [f32; WIDE * WIDTH],
}

/// Some queries of a head.
pub(crate) struct AttendSlice<'a> {
    pub task: &'a Attend<'a>,
    /// The part and the head.
    pub place: [usize; 2],
    pub rows: Range<usize>,
    /// Where the result begins; nobody else writes to these rows of this head.
    pub out: *mut f32,
    /// Memory of this thread alone.
    pub scratch: *mut Scratch,
}

impl<I: Isa> Kernel<I> for AttendSlice<'_> {
    #[inline(always)]
    fn run(self, isa: I) {
        let step = if I::CHAINS >= MANY { WIDTH } else { LANES };
        for row in self.rows.clone().step_by(step) {
            let count = (self.rows.end - row).min(step);
            match count.div_ceil(LANES) {
                1 => self.block::<I, 1>(isa, row, count),
                2 => self.block::<I, 2>(isa, row, count),
                _ => self.block::<I, 4>(isa, row, count),
            }
        }
    }
}

/// What is known of a block of queries after some keys.
struct Running<F, const V: usize> {
    /// The largest scores.
    most: [F; V],
    /// Sums of their exponentials.
    total: [F; V],
}

impl AttendSlice<'_> {
    /// `count` queries from `row` on.
    #[inline(always)]
    fn block<I: Isa, const V: usize>(&self, isa: I, row: usize, count: usize) {
        let Attend { q, k, v, causal, .. } = *self.task;
        // SAFETY: the scratch belongs to this thread.
        let Scratch { scores, queries, sums } = unsafe { &mut *self.scratch };
        let queries = &mut queries[..q.width * V * LANES];
        self.lay_out::<V>(row, count, queries);
        let sums = &mut sums[..v.width * V * LANES];
        sums.fill(0.0);
        let mut running = Running { most: [isa.splat(f32::NEG_INFINITY); V], total: [isa.splat(0.0); V] };
        let seen =
            causal.map_or(k.count[2], |before| (row + count).saturating_add_signed(before).min(k.count[2]));
        for key in (0..seen).step_by(KEYS) {
            let keys = key..seen.min(key + KEYS);
            let scores = &mut scores[..keys.len() * V * LANES];
            self.compare::<I, V>(isa, keys.clone(), queries, scores);
            self.hide::<V>((row, count), keys.clone(), scores);
            let factor = raise(isa, &mut running, scores);
            self.add::<I, V>(isa, keys, scores, factor, sums);
        }
        self.give::<I, V>(isa, (row, count), running.total, sums);
    }

    /// Queries as a panel, times the scale; zeros in the lanes behind.
    #[inline(always)]
    fn lay_out<const V: usize>(&self, row: usize, count: usize, panel: &mut [f32]) {
        let Attend { q, scale, .. } = *self.task;
        for lane in 0..V * LANES {
            let x = match lane < count {
                true => &q.x[q.at([self.place[0], self.place[1], row + lane])..][..q.width],
                false => &[],
            };
            let to = panel.iter_mut().skip(lane).step_by(V * LANES);
            to.enumerate().for_each(|(i, to)| *to = x.get(i).map_or(0.0, |x| x * scale));
        }
    }

    /// The head of keys and values.
    fn shared(&self) -> usize {
        self.place[1] / (self.task.q.count[1] / self.task.k.count[1])
    }

    /// Scores of some keys.
    #[inline(always)]
    fn compare<I: Isa, const V: usize>(
        &self,
        isa: I,
        keys: Range<usize>,
        queries: &[f32],
        scores: &mut [f32],
    ) {
        let k = self.task.k;
        let x = &k.x[k.at([self.place[0], self.shared(), keys.start])..];
        let mut done = 0;
        while done < keys.len() {
            let (x, to) = (&x[done * k.strides[2]..], &mut scores[done * V * LANES..]);
            done += match keys.len() - done {
                ROWS.. => compared::<I, ROWS, V>(isa, (x, k.strides[2], k.width), queries, to),
                4.. => compared::<I, 4, V>(isa, (x, k.strides[2], k.width), queries, to),
                2.. => compared::<I, 2, V>(isa, (x, k.strides[2], k.width), queries, to),
                _ => compared::<I, 1, V>(isa, (x, k.strides[2], k.width), queries, to),
            };
        }
    }

    /// Adds the mask; takes away keys that come later than a query.
    #[inline(always)]
    fn hide<const V: usize>(&self, (row, count): (usize, usize), keys: Range<usize>, scores: &mut [f32]) {
        let rows = keys.zip(scores.chunks_exact_mut(V * LANES));
        match self.task.mask {
            Some(Mask { x, strides }) => rows.for_each(|(key, scores)| {
                let first = self.place[0] * strides[0] + self.place[1] * strides[1] + key * strides[3];
                let lanes = scores[..count].iter_mut().enumerate();
                lanes.for_each(|(lane, score)| *score += x[first + (row + lane) * strides[2]]);
                self.hide_later::<V>(row, key, scores);
            }),
            None if self.task.causal.is_some() => {
                rows.for_each(|(key, scores)| self.hide_later::<V>(row, key, scores));
            }
            None => {}
        }
    }

    /// Takes a key away from the queries before it.
    #[inline(always)]
    fn hide_later<const V: usize>(&self, row: usize, key: usize, scores: &mut [f32]) {
        if let Some(before) = self.task.causal {
            let blind = (key as isize).saturating_sub(row as isize).saturating_sub(before);
            scores[..usize::try_from(blind).unwrap_or(0).min(V * LANES)].fill(f32::NEG_INFINITY);
        }
    }

    /// `sums = sums * factor + values * scores`.
    #[inline(always)]
    fn add<I: Isa, const V: usize>(
        &self,
        isa: I,
        keys: Range<usize>,
        scores: &[f32],
        factor: [I::F; V],
        sums: &mut [f32],
    ) {
        let v = self.task.v;
        let x = &v.x[v.at([self.place[0], self.shared(), keys.start])..];
        let mut done = 0;
        while done < v.width {
            let (x, to) = ((&x[done..], v.strides[2]), &mut sums[done * V * LANES..]);
            done += match v.width - done {
                ROWS.. => added::<I, ROWS, V>(isa, x, scores, factor, to),
                4.. => added::<I, 4, V>(isa, x, scores, factor, to),
                2.. => added::<I, 2, V>(isa, x, scores, factor, to),
                _ => added::<I, 1, V>(isa, x, scores, factor, to),
            };
        }
    }

    /// Writes weighted means: sums by totals; zeros for a query that saw no key.
    #[inline(always)]
    fn give<I: Isa, const V: usize>(
        &self,
        isa: I,
        (row, count): (usize, usize),
        total: [I::F; V],
        sums: &mut [f32],
    ) {
        let Attend { v, out, .. } = *self.task;
        let mut by = [0.0; WIDTH];
        store(isa, total, &mut by);
        by.iter_mut().for_each(|x| *x = if *x > 0.0 { 1.0 / *x } else { 0.0 });
        let start = self.place[0] * out[0] + self.place[1] * out[1];
        for (lane, by) in by[..count].iter().enumerate() {
            let from = sums.iter().skip(lane).step_by(V * LANES);
            for (i, sum) in from.enumerate().take(v.width) {
                // SAFETY: rows of this head belong to this slice, and were checked to be in the result.
                unsafe { *self.out.add(start + (row + lane) * out[2] + i) = sum * by }
            }
        }
    }
}

/// Scores become exponentials of what they are above the largest so far. What sums before are to be multiplied by.
#[inline(always)]
fn raise<I: Isa, const V: usize>(isa: I, running: &mut Running<I::F, V>, scores: &mut [f32]) -> [I::F; V] {
    let Running { most, total } = running;
    let (none, minus) = (isa.splat(f32::MIN), isa.splat(-1.0));
    let before = *most;
    for row in scores.chunks_exact(V * LANES) {
        let x = load::<I, V>(isa, row);
        for v in 0..V {
            most[v] = isa.max(x[v], most[v]);
        }
    }
    let (mut less, mut factor) = (before, before);
    for v in 0..V {
        // Where no key was seen, nothing is taken away.
        less[v] = isa.mul(isa.less(most[v], none, isa.splat(0.0), most[v]), minus);
        factor[v] = exp(isa, isa.add(before[v], less[v]));
        total[v] = isa.mul(total[v], factor[v]);
    }
    for row in scores.chunks_exact_mut(V * LANES) {
        let mut x = load::<I, V>(isa, row);
        for v in 0..V {
            x[v] = exp(isa, isa.add(x[v], less[v]));
            total[v] = isa.add(total[v], x[v]);
        }
        store(isa, x, row);
    }
    factor
}

/// Products of `R` keys, `stride` apart, with all queries.
#[inline(always)]
fn compared<I: Isa, const R: usize, const V: usize>(
    isa: I,
    (keys, stride, width): (&[f32], usize, usize),
    queries: &[f32],
    scores: &mut [f32],
) -> usize {
    let mut sums = [[isa.splat(0.0); V]; R];
    assert_eq!(queries.len(), width * V * LANES);
    // SAFETY: the panel has `width` rows of V vectors.
    unsafe {
        multiply::<I, R, V, false>(
            isa,
            (&keys[..(R - 1) * stride + width], stride),
            (queries.as_ptr(), V * LANES),
            (width, V * LANES),
            &mut sums,
        )
    };
    sums.into_iter().zip(scores.chunks_exact_mut(V * LANES)).for_each(|(sums, to)| store(isa, sums, to));
    R
}

/// Adds values' elements, `R` of each row, times scores to sums.
#[inline(always)]
fn added<I: Isa, const R: usize, const V: usize>(
    isa: I,
    (values, stride): (&[f32], usize),
    scores: &[f32],
    factor: [I::F; V],
    to: &mut [f32],
) -> usize {
    let mut sums = [[isa.splat(0.0); V]; R];
    for (sums, to) in sums.iter_mut().zip(to.chunks_exact(V * LANES)) {
        let x = load::<I, V>(isa, to);
        for v in 0..V {
            sums[v] = isa.mul(x[v], factor[v]);
        }
    }
    let keys = scores.len() / (V * LANES);
    assert!(keys > 0 && values.len() >= (keys - 1) * stride + R, "rows of values");
    for (key, row) in scores.chunks_exact(V * LANES).enumerate() {
        let x = load::<I, V>(isa, row);
        for r in 0..R {
            // SAFETY: checked above.
            let value = isa.splat(unsafe { *values.get_unchecked(key * stride + r) });
            for v in 0..V {
                sums[r][v] = isa.fma(value, x[v], sums[r][v]);
            }
        }
    }
    sums.into_iter().zip(to.chunks_exact_mut(V * LANES)).for_each(|(sums, to)| store(isa, sums, to));
    R
}

#[inline(always)]
fn load<I: Isa, const V: usize>(isa: I, row: &[f32]) -> [I::F; V] {
    let (vectors, _) = row.as_chunks::<LANES>();
    let mut x = [isa.splat(0.0); V];
    for v in 0..V {
        x[v] = isa.load(&vectors[v]);
    }
    x
}

#[inline(always)]
fn store<I: Isa, const V: usize>(isa: I, x: [I::F; V], row: &mut [f32]) {
    let (vectors, _) = row.as_chunks_mut::<LANES>();
    for v in 0..V {
        isa.store(x[v], &mut vectors[v]);
    }
}
