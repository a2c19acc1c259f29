//! The router's choice, in place of its logits.
//!
//! Not the rule of the choice, which is the operator's own. Sums are f32 in ascending order of experts. The choice is told
//! to the store at once, so that what is missing is on its way before the experts' turn comes.

use super::{Choice, Step};
use crate::Error;
use crate::executor::Extra;
use graph::Node;
use graph::op::{Route, Score};

/// The most experts of a layer.
pub(crate) const MOST_EXPERTS: usize = 1024;

/// Turns logits into what each expert counts.
pub(super) fn route(step: &mut Step<'_>, node: &Node, route: &Route, extra: &Extra) -> Result<(), Error> {
    let id = step.in_place(node)?;
    let experts = step.arena.columns(id);
    let bias = route.bias.map(|id| step.store.vector(id));
    let (mut chosen, mut judged) = ([false; MOST_EXPERTS], [0.0; MOST_EXPERTS]);
    let (chosen, judged) = (&mut chosen[..experts], &mut judged[..experts]);
    // A softmax keeps the order of its logits, and is not as coarse.
    let by_logits = route.score == Score::Softmax && bias.is_none() && route.groups.is_none();
    let [mixture] = step.arena.split_floats([id], &step.now)?;
    for row in mixture.chunks_exact_mut(experts) {
        if by_logits {
            route.choose(row, chosen);
        }
        match route.score {
            Score::Sigmoid => step.cpu.sigmoid(row),
            Score::Softmax => step.cpu.raise(row),
        }
        if route.score == Score::Softmax && !(by_logits && route.normalize) {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|x| *x /= sum);
        }
        if !by_logits {
            judged.copy_from_slice(row);
            judged.iter_mut().zip(bias.unwrap_or_default()).for_each(|(score, bias)| *score += bias);
            route.choose(judged, chosen);
        }
        if let Some(set) = extra.mixture.filter(|_| !step.economy.is_off()) {
            let skipped = step.economy.apply(row, chosen, |expert| step.experts.is_kept(set, expert));
            step.stats.experts_skipped += skipped;
        }
        let counted = row.iter().zip(&*chosen).filter(|(_, chosen)| **chosen);
        let divisor = if route.normalize { counted.map(|(x, _)| x).sum() } else { 1.0f32 };
        for (x, &chosen) in row.iter_mut().zip(&*chosen) {
            *x = if chosen { *x / divisor * route.scale } else { 0.0 };
        }
    }
    if let Some(set) = extra.mixture {
        if let Some(routes) = &mut step.routes {
            routes.note(set, mixture, experts);
        }
        if let Some(Choice::Experts(mix)) = step.choices.get_mut(set) {
            mix.choose(set, mixture, step.experts)?;
        }
    }
    Ok(())
}
