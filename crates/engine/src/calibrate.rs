//! Thresholds of gates, found with a text, and what they cost on another part of it.
//!
//! What it is: two passes of the dense model over the first half of a text, and both models' judgement of the second. What
//! it is not: the rule, which is [`runtime::Gates`]'.

use crate::eval::EvalOptions;
use crate::{Engine, Error, LoadOptions, Model, Price};
use graph::op::Op;
use graph::{Graph, ValueId};
use host::Part;
use runtime::Gates;
use std::path::Path;

/// Tokens that thresholds are found with, at most; of a window; windows that are judged.
const TOKENS: usize = 2048;
const WINDOW: usize = 256;
const WINDOWS: usize = 4;

/// A gated unit: what it makes, how many neurons it has, and what its layer's tensors are called.
pub(crate) struct Unit {
    pub output: ValueId,
    pub neurons: usize,
    pub layer: String,
}

/// The gated units whose way back is `ffn_down` of a layer.
pub(crate) fn units(graph: &Graph) -> Vec<Unit> {
    let reader = |id: ValueId| graph.nodes.iter().find(|node| node.inputs.contains(&id));
    let units = graph.nodes.iter().filter(|node| matches!(node.op, Op::Glu(_))).filter_map(|node| {
        let mut next = reader(node.output)?;
        if let Op::Quantize(_) = next.op {
            next = reader(next.output)?;
        }
        let Op::Linear(down) = &next.op else { return None };
        let layer = graph.weight_of(down.weight).name.strip_suffix(".ffn_down.weight")?.to_string();
        let neurons = graph.value_of(node.output).dims.columns() as usize;
        Some(Unit { output: node.output, neurons, layer })
    });
    units.collect()
}

impl Engine {
    /// Thresholds of the gates of the model at `path`, by layer, which leave `share` of its neurons asleep on the first half
    /// of `text`.
    pub(crate) fn thresholds(
        &self,
        path: &Path,
        text: &[u8],
        share: f32,
    ) -> Result<Vec<(String, Vec<f32>)>, Error> {
        // As little as there will be for it beside what is made of it, so that a budget too small for both is refused now.
        let mut model = self.load_small(path, self.room_of_two())?;
        let mut ids = model.ids_of(text)?;
        ids.truncate((ids.len() / 2).min(TOKENS));
        let units = units(&model.live.graph);
        let neurons = || units.iter().map(|unit| unit.neurons);
        let _room = model.live.ledger.reserve(Part::Heap, Gates::bytes(neurons()))?;
        let list: Vec<_> = units.iter().map(|unit| (unit.output, unit.neurons)).collect();
        let mut gates = Gates::new(&list);
        for counting in [false, true] {
            if counting {
                gates.count();
            }
            model.executor.watch(Some(gates));
            let fed = ids.chunks(model.context() as usize).try_for_each(|ids| {
                model.clear();
                model.feed_ids(ids, false)
            });
            gates = model.executor.watch(None).unwrap_or_else(|| Gates::new(&[]));
            fed?;
        }
        Ok(units.into_iter().map(|unit| unit.layer).zip(gates.thresholds(share)).collect())
    }

    /// What the model at `packed` costs and gains beside the one at `plain`, on the second half of `text`.
    pub(crate) fn price_of_pack(&self, plain: &Path, packed: &Path, text: &[u8]) -> Result<Price, Error> {
        let room = self.room_of_two();
        let mut plain = self.load_small(plain, room)?;
        let mut packed = self.load_small(packed, room)?;
        let ids = plain.ids_of(text)?;
        let ids = &ids[ids.len() / 2..];
        let options = EvalOptions { window: WINDOW.min(plain.context() as usize), windows: Some(WINDOWS) };
        plain.price_of(&mut packed, ids, &options)
    }

    /// What each of two models may have; what is left is for logits.
    fn room_of_two(&self) -> u64 {
        self.ledger.free() / 5 * 2
    }

    /// Loads a model with a short context in so much of the budget.
    fn load_small(&self, path: &Path, bytes: u64) -> Result<Model, Error> {
        let mut opened = self.open(path)?;
        // Gates of the last layer are looked at for rows whose logits nobody wants.
        opened.decoder = models::build_whole(&opened.file)?;
        let context = (WINDOW as u32).min(opened.decoder.spec.context);
        let options = LoadOptions { context: Some(context), ..LoadOptions::default() };
        self.load_within(opened, &options, bytes)
    }
}

impl Model {
    /// Ids of as much of a text as is looked at, or an error if that is too little.
    fn ids_of(&self, text: &[u8]) -> Result<Vec<u32>, Error> {
        let (mut ids, window) = (Vec::new(), 2 * WINDOW.min(self.context() as usize));
        self.tokenizer.encode(&text[..text.len().min(32 * TOKENS)], false, &mut ids)?;
        ids.truncate(2 * TOKENS);
        match ids.len() {
            tokens if tokens < window => Err(Error::TextTooShort { tokens, window }),
            _ => Ok(ids),
        }
    }
}
