//! Which head of a network is made in bands, and in how many.
//!
//! The one design choice: few bands first, since every band is a call of every kernel; of as many the way with the least to make again,
//! and the first that fits is taken.

use super::{NetworkPlacement, NetworkRequest, Way, account};
use graph::bands::{BANDS_MAX, Head};
use graph::{ArrayType, Graph, Node, Plan, Value};
use std::sync::Arc;

/// How a head is made in bands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct InBands {
    /// How many bands.
    pub count: usize,
    /// Rows that each makes of the value below which the network is whole.
    pub rows: usize,
    /// That value.
    pub cut: ArrayType,
    /// Bytes of the arena of the network whole.
    pub whole_arena: u64,
    /// Multiply-adds of the head in bands over those of the head whole.
    pub recompute: f64,
}

/// The first way in bands that fits the budget, or of all ways the one that needs least.
pub(super) fn fitting(request: &NetworkRequest<'_>, whole: NetworkPlacement) -> NetworkPlacement {
    let heads = Head::all(request.graph);
    let mut least = whole;
    let mut count = 2;
    while count <= BANDS_MAX {
        let mut best: Option<NetworkPlacement> = None;
        for head in &heads {
            // Other numbers of rows than these are other counts.
            let rows = head.rows.div_ceil(count);
            if head.rows.div_ceil(rows) * 2 <= count {
                continue;
            }
            let Some(way) = way(request, head, rows) else { continue };
            let again = |way: &NetworkPlacement| way.bands.map_or(1.0, |bands| bands.recompute);
            if way.peak() < least.peak() {
                least = way.clone();
            }
            if way.peak() <= request.budget && best.as_ref().is_none_or(|best| again(&way) < again(best)) {
                best = Some(way);
            }
        }
        if let Some(best) = best {
            return best;
        }
        count *= 2;
    }
    least
}

fn way(request: &NetworkRequest<'_>, head: &Head, rows: usize) -> Option<NetworkPlacement> {
    let graph = Arc::new(head.in_bands(request.graph, rows)?);
    let plan = Plan::new(&graph, request.plan.bounds);
    let lines = account(request, &Way { sought: true, ..Way::of(request, &graph, &plan) });
    let own = head.macs(request.graph).max(1);
    let more = macs(&graph, &plan).saturating_sub(macs(request.graph, request.plan));
    let Value { dims, elem } = *request.graph.value_of(head.cut);
    let bands = InBands {
        count: head.rows.div_ceil(rows),
        rows,
        cut: ArrayType { elem, extents: dims.known()? },
        whole_arena: request.plan.arena_bytes,
        recompute: 1.0 + more as f64 / own as f64,
    };
    Some(NetworkPlacement { graph, plan, bands: Some(bands), streamed: None, lines })
}

/// Multiply-adds of a run.
fn macs(graph: &Graph, plan: &Plan) -> u64 {
    let of = |node: &Node| {
        let inputs: Vec<Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
        node.op.cost(graph, &inputs, &plan.bounds, 0).macs
    };
    graph.nodes.iter().map(of).sum()
}
