//! The account of a network: everything of it stays, so there is nothing to choose yet but whether it fits.

use crate::placement::Line;
use crate::search::SLACK;
use crate::{Fixed, Refusal};
use graph::{Graph, Plan};
use host::{Part, kernel_overhead};

/// What a network takes, and what the process costs without it.
#[derive(Clone, Copy)]
pub struct NetworkRequest<'a> {
    /// Its computation.
    pub graph: &'a Graph,
    /// Where its values live.
    pub plan: &'a Plan,
    /// Bytes of its constants that lie in files.
    pub weights: u64,
    /// Bytes that may be used in all.
    pub budget: u64,
    /// What does not depend on the network.
    pub fixed: Fixed,
}

/// The lines of the account, in printing order.
///
/// # Errors
/// If their sum is more than the budget.
pub fn account(request: &NetworkRequest<'_>) -> Result<Vec<Line>, Refusal> {
    let pages = |bytes: u64| bytes.max(1).next_multiple_of(host::page_size() as u64);
    let fixed = request.fixed;
    let (weights, heap) = (pages(request.weights), fixed.heap + request.graph.heap_bytes());
    let activations = pages(request.plan.arena_bytes) + pages(fixed.scratch);
    let carried = request.graph.carried_bytes();
    let carried = if carried > 0 { pages(carried) } else { 0 };
    let held = weights + carried + activations + heap + fixed.tokenizer;
    let kernel = kernel_overhead(fixed.threads as usize, held);
    let line = |part, bytes| Line { part, bytes };
    let mut lines = vec![
        line(Part::Program, fixed.program),
        line(Part::Kernel, kernel),
        line(Part::Heap, heap),
        line(Part::Tokenizer, fixed.tokenizer),
        line(Part::Weights, weights),
        line(Part::State, carried),
        line(Part::Activations, activations),
        line(Part::Connections, fixed.connections),
        line(Part::Slack, SLACK),
    ];
    // What a network has not is not said of it.
    let maybe = [Part::Connections, Part::State, Part::Tokenizer];
    lines.retain(|line| line.bytes > 0 || !maybe.contains(&line.part));
    // No run is smaller than the start of the process.
    let sum = |lines: &[Line]| lines.iter().map(|line| line.bytes).sum::<u64>();
    lines[0].bytes += fixed.start.saturating_sub(sum(&lines));
    match sum(&lines) {
        needed if needed > request.budget => {
            Err(Refusal { needed, budget: request.budget, lines, context: 0 })
        }
        _ => Ok(lines),
    }
}
