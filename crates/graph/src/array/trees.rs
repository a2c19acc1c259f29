//! Decision trees: each row of features walks every tree from its root to a leaf, and the leaves vote.
//!
//! The one design choice: trees are arrays like all others, so that a large forest is a constant and not a setting. A walk ends
//! after as many steps as there are nodes, whatever they say.

use super::floats::Run;
use super::{ArrayOperator, ArrayType, View, ViewMut, extents, fault, lanes};
use crate::{Elem, Error};

/// What becomes of the votes for a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum TreeVotes {
    Average,
    Max,
    Min,
    Sum,
}

/// Votes of trees for targets. Inputs: features (rows, features); nodes (nodes, 5) with feature, comparison, the next node if it
/// holds, the next one if not, and whether it holds for what is not a number; what features are compared with (nodes); roots;
/// where votes of each leaf begin (leaves + 1); targets of votes; weights of votes. Node -1 is leaf 0, -2 is leaf 1 and so on;
/// comparisons count as in ONNX, from `<=` to `!=`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trees {
    /// How many targets.
    pub targets: usize,
    /// What becomes of the votes.
    pub votes: TreeVotes,
}

impl ArrayOperator for Trees {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let [x, nodes, splits, roots, leaves, targets, weights] = inputs else {
            return fault("Trees", "seven inputs are needed", inputs);
        };
        let numbers = [nodes, roots, leaves, targets].iter().all(|array| array.elem == Elem::I32);
        let count = splits.extents.elements();
        let fits = x.extents.len() == 2
            && x.elem.is_float()
            && *nodes.extents == [count, 5]
            && leaves.extents.elements() > 0
            && targets.extents == weights.extents;
        if !numbers || !fits || !splits.elem.is_float() || !weights.elem.is_float() {
            return fault("Trees", "features and trees that fit each other are needed", inputs);
        }
        Ok(vec![ArrayType { extents: extents("Trees", &[x.extents[0], self.targets])?, ..*x }])
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], scratch: &mut [u8]) -> Result<(), Error> {
        let ([x, nodes, splits, roots, leaves, targets, weights], [out]) = (inputs, outputs) else {
            return fault("Trees", "seven inputs are needed", &[]);
        };
        let [rows, features] = [x.kind.extents[0], x.kind.extents[1]];
        let (trees, last) = (roots.kind.extents.elements(), leaves.kind.extents.elements() - 1);
        let votes = targets.kind.extents.elements();
        for row in 0..rows {
            let sum = |place: usize, bytes: &[u8]| Run::work::<f64>(bytes, 0).at::<f64>(place);
            // What nobody has voted for is not a number.
            (0..self.targets).for_each(|target| lanes::store(Elem::F64, &[f64::NAN], target, scratch));
            for root in 0..trees {
                let leaf = walk([nodes, splits], Run::of(x, row * features), features, number(roots, root))?;
                if leaf >= last {
                    return wrong("a leaf that is not there", leaf as i64);
                }
                for vote in number(leaves, leaf).max(0)..number(leaves, leaf + 1).min(votes as i64) {
                    let target = number(targets, vote as usize);
                    let place = usize::try_from(target).ok().filter(|place| *place < self.targets);
                    let Some(place) = place else { return wrong("a target that is not there", target) };
                    let (old, new) = (sum(place, scratch), Run::of(weights, vote as usize).at::<f64>(0));
                    let together = match self.votes {
                        _ if old.is_nan() => new,
                        TreeVotes::Max => old.max(new),
                        TreeVotes::Min => old.min(new),
                        TreeVotes::Average | TreeVotes::Sum => old + new,
                    };
                    lanes::store(Elem::F64, &[together], place, scratch);
                }
            }
            for target in 0..self.targets {
                let all = sum(target, scratch);
                let all = if all.is_nan() { 0.0 } else { all };
                let share = if self.votes == TreeVotes::Average { trees as f64 } else { 1.0 };
                out.store(row * self.targets + target, &[all / share]);
            }
        }
        Ok(())
    }

    fn scratch(&self, _: &[ArrayType]) -> usize {
        self.targets.saturating_mul(8)
    }
}

fn wrong<T>(what: &'static str, found: i64) -> Result<T, Error> {
    Err(Error::Content { op: "Trees", what, found })
}

fn number(of: &View<'_>, place: usize) -> i64 {
    let mut number = [0i64];
    of.load(place, &mut number);
    number[0]
}

/// The leaf that a row comes to.
fn walk([nodes, splits]: [&View<'_>; 2], row: Run<'_>, features: usize, root: i64) -> Result<usize, Error> {
    let (count, mut at) = (splits.kind.extents.elements(), root);
    for _ in 0..=count {
        let Ok(node) = usize::try_from(at) else { return Ok(at.unsigned_abs() as usize - 1) };
        if node >= count {
            return wrong("a node that is not there", at);
        }
        let [feature, mode, yes, no, missing] = std::array::from_fn(|column| number(nodes, node * 5 + column));
        let column = usize::try_from(feature).ok().filter(|column| *column < features);
        let Some(column) = column else { return wrong("a feature that is not there", feature) };
        let (x, split): (f64, f64) = (row.at(column), Run::of(splits, node).at(0));
        let holds = match mode {
            _ if x.is_nan() => missing != 0,
            0 => x <= split,
            1 => x < split,
            2 => x >= split,
            3 => x > split,
            4 => x == split,
            _ => x != split,
        };
        at = if holds { yes } else { no };
    }
    wrong("a tree without an end", root)
}
