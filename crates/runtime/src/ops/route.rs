//! The router's choice, in place of its logits.
//!
//! Not the rule of the choice, which is the operator's own. Sums are f32 in ascending order of experts. The choice is told
//! to the store at once, so that what is missing is on its way before the experts' turn comes.

use super::foresee::foresee;
use super::{Choice, Step};
use crate::Error;
use crate::executor::Extra;
use ::memory::WeightStore;
use graph::Node;
use graph::op::{Route, Score};
use kernels::Cpu;

/// The most experts of a layer.
pub(crate) const MOST_EXPERTS: usize = 1024;

/// Turns logits into what each expert counts.
pub(super) fn route(step: &mut Step<'_>, node: &Node, route: &Route, extra: &Extra) -> Result<(), Error> {
    let id = step.in_place(node)?;
    let experts = step.arena.columns(id);
    let mut judge = Judge::new(route, step.store, experts);
    let [mixture] = step.arena.split_floats([id], &step.now)?;
    for row in mixture.chunks_exact_mut(experts) {
        let chosen = judge.choose(step.cpu, row);
        if let Some(set) = extra.mixture.filter(|_| !step.economy.is_off()) {
            let leniency = step.leniency.get(set).copied().unwrap_or(1.0);
            let is_kept = |expert| step.experts.is_kept(set, expert);
            let (skipped, weight) = step.economy.times(leniency).apply(row, chosen, is_kept);
            step.stats.experts_skipped += skipped;
            step.stats.weight_skipped += weight;
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
            let leniency = step.leniency.get(set).copied().unwrap_or(1.0);
            mix.choose(set, mixture, step.economy.times(leniency).coarse, step.experts)?;
        }
    }
    match &extra.next {
        Some(next) => foresee(step, next),
        None => Ok(()),
    }
}

/// Turns the logits of a row into scores, and finds the experts that they choose.
pub(super) struct Judge<'a> {
    route: &'a Route,
    bias: Option<&'a [f32]>,
    experts: usize,
    chosen: [bool; MOST_EXPERTS],
    judged: [f32; MOST_EXPERTS],
}

impl<'a> Judge<'a> {
    pub fn new(route: &'a Route, store: &'a WeightStore, experts: usize) -> Judge<'a> {
        let bias = route.bias.map(|id| store.vector(id));
        Judge { route, bias, experts, chosen: [false; MOST_EXPERTS], judged: [0.0; MOST_EXPERTS] }
    }

    /// The experts of a row of logits, which become what each counts before the chosen are made to add up to one.
    pub fn choose(&mut self, cpu: &Cpu, row: &mut [f32]) -> &mut [bool] {
        let Judge { route, bias, experts, chosen, judged } = self;
        let (chosen, judged) = (&mut chosen[..*experts], &mut judged[..*experts]);
        // A softmax keeps the order of its logits, and is not as coarse.
        let by_logits = route.score == Score::Softmax && bias.is_none() && route.groups.is_none();
        if by_logits {
            route.choose(row, chosen);
        }
        match route.score {
            Score::Sigmoid => cpu.sigmoid(row),
            Score::Softmax => cpu.raise(row),
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
        chosen
    }
}
