//! The router's choice: to which experts a row goes, and how much each counts.
//!
//! Scores are a softmax over all experts or a sigmoid of each (Shazeer et al., arXiv 1701.06538; DeepSeek-V3, arXiv
//! 2412.19437). The best are chosen, of two that are equal the one with the lower number. The output keeps the shape of
//! the input, with zeros for who was not chosen, so that whoever reads it meets experts in ascending order.

use super::{Cost, Operator, WeightUse, elementwise_cost, expect_f32, expect_vector};
use crate::interpret::{Interpreter, Tensor};
use crate::{Bounds, Error, Graph, Value, WeightId};

/// What a router's logits become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// `exp(x)` over the sum for all experts.
    Softmax,
    /// `1 / (1 + exp(-x))`.
    Sigmoid,
}

/// A choice of groups of experts before the choice within them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Groups {
    /// How many groups there are, of as many experts each.
    pub count: u32,
    /// How many of them are chosen.
    pub used: u32,
    /// How many of a group's best scores are added up to judge it.
    pub judged_by: u32,
}

/// Input: a router's logits, (rows, experts). Output: what each expert counts, (rows, experts), zero if not chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Route {
    /// How many experts a row goes to.
    pub used: u32,
    /// What logits become.
    pub score: Score,
    /// Added to the scores for the choice alone.
    pub bias: Option<WeightId>,
    /// Whether the scores of the chosen are divided by their sum.
    pub normalize: bool,
    /// Factor on the result.
    pub scale: f32,
    /// If set, experts come from the best groups only.
    pub groups: Option<Groups>,
}

impl Route {
    /// Marks the chosen of one row: `chosen[e]` becomes true for `used` experts, by `scores` (the bias added).
    pub fn choose(&self, scores: &[f32], chosen: &mut [bool]) {
        chosen.fill(false);
        let size = self.groups.map_or(scores.len(), |groups| scores.len() / groups.count.max(1) as usize);
        let mut open = [true; MAX_GROUPS];
        if let Some(groups) = self.groups {
            let judged: &mut [f32] = &mut [f32::NEG_INFINITY; MAX_GROUPS][..groups.count as usize];
            for (group, judged) in scores.chunks_exact(size).zip(judged.iter_mut()) {
                *judged = best_sum(group, groups.judged_by as usize);
            }
            open.fill(false);
            for _ in 0..groups.used {
                let free = |group: usize| !open[group];
                if let Some(best) = best_of(judged, free) {
                    open[best] = true;
                }
            }
        }
        for _ in 0..self.used {
            let free = |expert: usize| open[expert / size] && !chosen[expert];
            if let Some(best) = best_of(scores, free) {
                chosen[best] = true;
            }
        }
    }
}

/// The most groups that are reckoned with.
pub const MAX_GROUPS: usize = 64;

/// The place of the largest of those that are free; the first of several.
fn best_of(values: &[f32], free: impl Fn(usize) -> bool) -> Option<usize> {
    let mut best: Option<usize> = None;
    for (i, value) in values.iter().enumerate() {
        if free(i) && best.is_none_or(|b| value.total_cmp(&values[b]).is_gt()) {
            best = Some(i);
        }
    }
    best
}

/// The sum of the `count` largest.
fn best_sum(values: &[f32], count: usize) -> f32 {
    let mut sum = 0.0;
    let mut last: Option<usize> = None;
    for _ in 0..count.min(values.len()) {
        // Next after the last one taken: smaller, or equal and behind it.
        let behind = |i: usize| {
            last.is_none_or(|l| match values[i].total_cmp(&values[l]) {
                std::cmp::Ordering::Less => true,
                std::cmp::Ordering::Equal => i > l,
                std::cmp::Ordering::Greater => false,
            })
        };
        last = best_of(values, behind);
        sum += last.map_or(0.0, |l| values[l]);
    }
    sum
}

impl Operator for Route {
    fn arity(&self) -> usize {
        1
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let dims = expect_f32("Route", inputs, 0, None)?;
        let experts = dims.columns();
        let fits = |groups: Groups| {
            groups.count > 0
                && groups.count as usize <= MAX_GROUPS
                && experts.is_multiple_of(groups.count)
                && (1..=groups.count).contains(&groups.used)
                && self.used <= experts / groups.count * groups.used
        };
        if self.used == 0 || self.used > experts || !self.groups.is_none_or(fits) {
            let expected = format!("experts of which {} can be chosen", self.used);
            return Err(Error::Shape { op: "Route", input: 0, found: Box::new(dims), expected });
        }
        if let Some(bias) = self.bias {
            expect_vector("Route", graph, bias, experts)?;
        }
        Ok(inputs[0])
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let bias = self.bias.map(|b| run.weight(b).data);
        let mut out = inputs[0].clone();
        for r in 0..out.rows() {
            let row = out.row_mut(r);
            let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let raised: Vec<f64> = row.iter().map(|x| f64::from(x - most).exp()).collect();
            let total: f64 = raised.iter().sum();
            let scores: Vec<f64> = match self.score {
                Score::Softmax => raised.iter().map(|x| x / total).collect(),
                Score::Sigmoid => row.iter().map(|x| 1.0 / (1.0 + f64::from(-x).exp())).collect(),
            };
            let judged: Vec<f32> = match &bias {
                Some(bias) => scores.iter().zip(bias).map(|(s, b)| *s as f32 + b).collect(),
                None if self.score == Score::Softmax && self.groups.is_none() => row.to_vec(),
                None => scores.iter().map(|s| *s as f32).collect(),
            };
            let mut chosen = vec![false; scores.len()];
            self.choose(&judged, &mut chosen);
            let sum: f64 = scores.iter().zip(&chosen).filter(|(_, c)| **c).map(|(s, _)| s).sum();
            let divisor = if self.normalize { sum } else { 1.0 };
            for ((x, s), c) in row.iter_mut().zip(scores).zip(chosen) {
                *x = if c { (s / divisor) as f32 * self.scale } else { 0.0 };
            }
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        elementwise_cost(inputs, bounds, 20 + u64::from(self.used))
    }

    fn in_place(&self) -> Option<usize> {
        Some(0)
    }

    fn weights(&self) -> Vec<WeightUse> {
        self.bias.map(WeightUse::Vector).into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(used: u32, groups: Option<Groups>) -> Route {
        Route { used, score: Score::Softmax, bias: None, normalize: true, scale: 1.0, groups }
    }

    fn chosen(route: &Route, scores: &[f32]) -> Vec<usize> {
        let mut chosen = vec![true; scores.len()];
        route.choose(scores, &mut chosen);
        (0..scores.len()).filter(|&e| chosen[e]).collect()
    }

    #[test]
    fn the_best_are_chosen_and_of_equals_the_first() {
        assert_eq!(chosen(&route(2, None), &[1.0, 3.0, 3.0, 3.0]), [1, 2]);
        assert_eq!(chosen(&route(3, None), &[0.5, f32::NEG_INFINITY, 0.5, -1.0]), [0, 2, 3]);
    }

    #[test]
    fn groups_are_judged_by_their_best() {
        let scores = [9.0, 0.0, 5.0, 5.0, 4.0, 3.0];
        let by = |judged_by| Some(Groups { count: 3, used: 1, judged_by });
        assert_eq!(chosen(&route(1, by(1)), &scores), [0]);
        assert_eq!(chosen(&route(1, by(2)), &scores), [2]);
        assert_eq!(best_sum(&[5.0, 5.0, 1.0], 2), 10.0);
    }
}
