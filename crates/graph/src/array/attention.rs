//! Attention: each query's weighted mean of values, by how its products with keys compare (arXiv 1706.03762), queries sharing
//! keys in groups (arXiv 2305.13245).
//!
//! The one design choice: scores exist for one query at a time. Memory does not grow with the square of a sequence unless the
//! scores themselves are asked for. Arrays are (batch, heads, rows, width) or (batch, rows, heads times width). Queries that share
//! keys are neighbours; the cases of ONNX 1.19 where they are not are a defect of that release.

use super::floats::{Float, Run, dot, each_float};
use super::{ArrayOperator, ArrayType, LANES, UnaryKind, View, ViewMut, extents, fault, lanes};
use crate::{Cost, Elem, Error};

/// Scores as they are after a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Scores {
    Product,
    Masked,
    Capped,
    Weights,
}

/// Attention of queries, keys and values; behind them maybe a mask, added or truth values, repeated to (batch, heads, queries,
/// keys), and maybe for each batch how many keys there are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Heads of queries and of keys, for arrays of three axes.
    pub heads: [usize; 2],
    /// What products are multiplied by.
    pub scale: f32,
    /// Scores are bent to stay below it; zero if they are not.
    pub cap: f32,
    /// Whether they are bent before the mask is added.
    pub caps_first: bool,
    /// If a query sees no later keys: how many keys come before the first query's own.
    pub causal: Option<isize>,
    /// How many keys before its own a query sees at most.
    pub window: Option<usize>,
    /// Whether there is a mask.
    pub masked: bool,
    /// Whether there are lengths.
    pub lengths: bool,
    /// Scores that are an output as well.
    pub scores: Option<Scores>,
}

/// Where elements of an array lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Layout {
    /// Parts that do not see each other.
    pub batch: usize,
    /// Heads of each.
    pub heads: usize,
    /// Rows of each head.
    pub rows: usize,
    /// Elements of a row.
    pub width: usize,
    /// From a head to the next, and from a row to the next.
    pub strides: [usize; 2],
}

impl Layout {
    /// The layout of an array; `heads` counts if it has three axes.
    pub fn new(kind: &ArrayType, heads: usize) -> Option<Layout> {
        match kind.extents[..] {
            [batch, heads, rows, width] => Some(Layout { batch, heads, rows, width, strides: [rows * width, width] }),
            [batch, rows, all] => {
                let width = all.checked_div(heads).filter(|width| width * heads == all)?;
                Some(Layout { batch, heads, rows, width, strides: [width, all] })
            }
            _ => None,
        }
    }

    fn at(&self, batch: usize, head: usize, row: usize) -> usize {
        batch * self.heads * self.rows * self.width + head * self.strides[0] + row * self.strides[1]
    }
}

impl Attention {
    /// Of one head, with nothing to it.
    pub const PLAIN: Attention = Attention {
        heads: [1; 2],
        scale: 1.0,
        cap: 0.0,
        caps_first: false,
        causal: None,
        window: None,
        masked: false,
        lengths: false,
        scores: None,
    };

    /// Where queries, keys and values lie; `None` if they do not fit each other.
    pub fn layouts(&self, inputs: &[ArrayType]) -> Option<[Layout; 3]> {
        let [q, k, v, ..] = inputs else { return None };
        let own = [
            Layout::new(q, self.heads[0])?,
            Layout::new(k, self.heads[1])?,
            Layout::new(v, self.heads[1])?,
        ];
        let [q, k, v] = own;
        let fits = q.batch == k.batch
            && k.batch == v.batch
            && q.width == k.width
            && k.rows == v.rows
            && k.heads == v.heads
            && k.heads > 0
            && q.heads.is_multiple_of(k.heads);
        fits.then_some(own)
    }

    /// Strides of a mask to batches, heads, queries and keys; zero where it is repeated.
    pub fn mask_strides(mask: &ArrayType, together: [usize; 4]) -> Option<[usize; 4]> {
        let (own, mut strides) = (mask.extents.strides(), [0; 4]);
        let shift = 4usize.checked_sub(mask.extents.len())?;
        for (axis, &extent) in mask.extents.iter().enumerate() {
            if extent == together[shift + axis] && extent != 1 {
                strides[shift + axis] = own[axis];
            } else if extent != 1 {
                return None;
            }
        }
        Some(strides)
    }
}

impl ArrayOperator for Attention {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let count = 3 + usize::from(self.masked) + usize::from(self.lengths);
        let layouts = self.layouts(inputs).filter(|_| inputs.len() == count);
        let Some([q, k, v]) = layouts else {
            return fault("Attention", "queries, keys and values that fit each other are needed", inputs);
        };
        let kinds = inputs[..3].iter().all(|input| input.elem.is_float());
        let together = [q.batch, q.heads, q.rows, k.rows];
        let mask = !self.masked
            || ((inputs[3].elem.is_float() || inputs[3].elem == Elem::Bool)
                && Attention::mask_strides(&inputs[3], together).is_some());
        let lengths = |input: &ArrayType| !input.elem.is_float() && input.extents.elements() == q.batch;
        if !kinds || !mask || (self.lengths && !inputs.last().is_some_and(lengths)) {
            return fault("Attention", "floats, and a mask and lengths that fit them, are needed", inputs);
        }
        let made = |list: &[usize]| Ok(ArrayType { elem: inputs[0].elem, extents: extents("Attention", list)? });
        let out = match inputs[0].extents.len() {
            4 => made(&[q.batch, q.heads, q.rows, v.width])?,
            _ => made(&[q.batch, q.rows, q.heads * v.width])?,
        };
        let scores = self.scores.map(|_| made(&together)).transpose()?;
        Ok([out].into_iter().chain(scores).collect())
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], scratch: &mut [u8]) -> Result<(), Error> {
        let kinds = [inputs[0].kind, inputs[1].kind, inputs[2].kind];
        let Some(layouts) = self.layouts(&kinds) else { return fault("Attention", "another layout", &kinds) };
        let elem = inputs[0].kind.elem;
        each_float!(elem, W => self.run::<W>(inputs, layouts, outputs, scratch));
        Ok(())
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let Some([q, k, v]) = self.layouts(inputs) else { return Cost::default() };
        let factors = [q.batch, q.heads, q.rows, k.rows, k.width + v.width];
        let macs = factors.iter().fold(1u64, |product, factor| product.saturating_mul(*factor as u64));
        Cost { macs, ..Cost::default() }
    }

    /// The scores of one query.
    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let wide = if inputs.first().is_some_and(|q| q.elem == Elem::F64) { 8 } else { 4 };
        self.layouts(inputs).map_or(0, |[_, k, _]| k.rows * wide)
    }
}

impl Attention {
    fn run<W: Float>(
        &self,
        inputs: &[View<'_>],
        [q, k, v]: [Layout; 3],
        outputs: &mut [ViewMut<'_>],
        scores: &mut [u8],
    ) {
        let ([out, more @ ..], mask) = (outputs, self.masked.then(|| inputs[3])) else { return };
        let strides = mask.and_then(|mask| Attention::mask_strides(&mask.kind, [q.batch, q.heads, q.rows, k.rows]));
        let to = Layout::new(&out.kind, self.heads[0]).unwrap_or(q);
        for place in 0..q.batch * q.heads * q.rows {
            let (batch, head, row) = (place / (q.heads * q.rows), place / q.rows % q.heads, place % q.rows);
            let of = head / (q.heads / k.heads);
            let query = Run::of(&inputs[0], q.at(batch, head, row));
            for key in 0..k.rows {
                let product: W = dot(query, Run::of(&inputs[1], k.at(batch, of, key)), q.width);
                lanes::store(W::ELEM, &[product.mul(W::of_f32(self.scale))], key, scores);
            }
            let first = place * k.rows;
            self.give::<W>(Scores::Product, scores, k.rows, first, more);
            if self.caps_first {
                self.bend::<W>(scores, k.rows);
            }
            if let (Some(mask), Some([a, b, c, d])) = (mask, strides) {
                add_mask::<W>(Run::of(&mask, batch * a + head * b + row * c), d, scores, k.rows);
            }
            self.hide::<W>(inputs, (batch, row), scores, k.rows);
            self.give::<W>(Scores::Masked, scores, k.rows, first, more);
            if !self.caps_first {
                self.bend::<W>(scores, k.rows);
            }
            self.give::<W>(Scores::Capped, scores, k.rows, first, more);
            weigh::<W>(scores, k.rows);
            self.give::<W>(Scores::Weights, scores, k.rows, first, more);
            let start = to.at(batch, head, row);
            for first in (0..v.width).step_by(LANES) {
                let len = LANES.min(v.width - first);
                let (mut sums, mut x) = ([W::default(); LANES], [W::default(); LANES]);
                for key in 0..k.rows {
                    let weight: W = Run::work::<W>(scores, 0).at(key);
                    if weight != W::default() {
                        Run::of(&inputs[2], v.at(batch, of, key)).load(first, &mut x[..len]);
                        sums.iter_mut().zip(&x[..len]).for_each(|(sum, x)| *sum = sum.add(weight.mul(*x)));
                    }
                }
                out.store(start + first, &sums[..len]);
            }
        }
    }

    /// Scores after a step, if those are wanted.
    fn give<W: Float>(&self, step: Scores, scores: &[u8], len: usize, start: usize, to: &mut [ViewMut<'_>]) {
        if let ([to], true) = (to, self.scores == Some(step)) {
            each(len, |first, len| {
                let mut x = [W::default(); LANES];
                Run::work::<W>(scores, 0).load(first, &mut x[..len]);
                to.store(start + first, &x[..len]);
            });
        }
    }

    fn bend<W: Float>(&self, scores: &mut [u8], len: usize) {
        if self.cap > 0.0 {
            change::<W>(scores, len, |x| {
                x.iter_mut().for_each(|x| *x = x.div(W::of_f32(self.cap)));
                W::apply(UnaryKind::Tanh, x);
                x.iter_mut().for_each(|x| *x = x.mul(W::of_f32(self.cap)));
            });
        }
    }

    /// Keys that a query does not see.
    fn hide<W: Float>(&self, inputs: &[View<'_>], (batch, row): (usize, usize), scores: &mut [u8], keys: usize) {
        let mut end = keys;
        if let (true, Some(lengths)) = (self.lengths, inputs.last()) {
            let mut len = [0i64];
            lengths.load(batch, &mut len);
            end = end.min(usize::try_from(len[0]).unwrap_or(0));
        }
        let mut start = 0;
        if let Some(before) = self.causal {
            let own = row.saturating_add_signed(before.saturating_add(1));
            end = end.min(own);
            start = self.window.map_or(0, |window| own.saturating_sub(window));
        }
        for key in (0..start.min(keys)).chain(end..keys) {
            lanes::store(W::ELEM, &[W::LEAST], key, scores);
        }
    }
}

fn each(len: usize, mut visit: impl FnMut(usize, usize)) {
    (0..len).step_by(LANES).for_each(|first| visit(first, LANES.min(len - first)));
}

/// Changes scores, some at a time.
fn change<W: Float>(scores: &mut [u8], len: usize, mut f: impl FnMut(&mut [W])) {
    each(len, |first, len| {
        let mut x = [W::default(); LANES];
        Run::work::<W>(scores, 0).load(first, &mut x[..len]);
        f(&mut x[..len]);
        lanes::store(W::ELEM, &x[..len], first, scores);
    });
}

fn add_mask<W: Float>(mask: Run<'_>, step: usize, scores: &mut [u8], len: usize) {
    let mut key = 0;
    change::<W>(scores, len, |x| {
        for x in x {
            let seen: W = mask.at(key * step);
            *x = match mask.elem {
                Elem::Bool if seen == W::default() => W::LEAST,
                Elem::Bool => *x,
                _ => x.add(seen),
            };
            key += 1;
        }
    });
}

/// Scores become weights: exponentials by their sum. Where no key is seen they are zero.
fn weigh<W: Float>(scores: &mut [u8], len: usize) {
    let (mut most, mut sum) = (W::LEAST, 0f64);
    change::<W>(scores, len, |x| x.iter().for_each(|x| most = if *x > most { *x } else { most }));
    let most = if most == W::LEAST { W::default() } else { most };
    change::<W>(scores, len, |x| {
        x.iter_mut().for_each(|x| *x = x.sub(most));
        W::apply(UnaryKind::Exp, x);
        sum += x.iter().map(|x| x.to_f64()).sum::<f64>();
    });
    let factor = W::of_f64(if sum == 0.0 { 0.0 } else { 1.0 / sum });
    change::<W>(scores, len, |x| x.iter_mut().for_each(|x| *x = x.mul(factor)));
}
