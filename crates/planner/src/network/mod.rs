//! The decision for a network: whole if it fits, else its head in bands of rows, else its weights read in every run too.
//!
//! What it is: the account of each way, and the fastest that fits. What it is not: how bands are made, see [`graph::bands`]. The one design
//! choice: the smallest budget is the least account of all ways that were tried, so what a refusal names is sure to run.

mod bands;
mod streamed;

use crate::placement::Line;
use crate::search::SLACK;
use crate::{Fixed, Refusal};
pub use bands::InBands;
use graph::{Graph, Plan};
use host::{Part, kernel_overhead};
use std::sync::Arc;
pub use streamed::{InFiles, PlaceOf, Streamed};

/// Graphs that are there at once while ways are looked at, besides the one that will be.
const OTHERS: u64 = 2;

/// What a network takes, and what the process costs without it.
#[derive(Clone, Copy)]
pub struct NetworkRequest<'a> {
    /// Its computation.
    pub graph: &'a Arc<Graph>,
    /// Where its values live.
    pub plan: &'a Plan,
    /// Bytes of its constants that lie in files.
    pub weights: u64,
    /// Bytes on the heap of what is there of a graph while it runs.
    pub heap_of: &'a dyn Fn(&Graph) -> u64,
    /// How many more of the graph there are while it is built and planned.
    pub copies: u64,
    /// Whether it must stay whole, since it will be built anew for other extents.
    pub whole: bool,
    /// Where its constants lie, if they need not stay.
    pub files: Option<InFiles<'a>>,
    /// Bytes that may be used in all.
    pub budget: u64,
    /// What does not depend on the network.
    pub fixed: Fixed,
}

/// A decision that fits: what runs, and how much in all.
#[derive(Clone, Debug)]
pub struct NetworkPlacement {
    /// What runs.
    pub graph: Arc<Graph>,
    /// Where its values live.
    pub plan: Plan,
    /// How its head is made, if not whole.
    pub bands: Option<InBands>,
    /// What is read in every run, if not all weights stay.
    pub streamed: Option<Streamed>,
    /// The account, in printing order; its sum is the predicted peak.
    pub lines: Vec<Line>,
}

impl NetworkPlacement {
    /// Predicted peak of the whole process, bytes.
    pub fn peak(&self) -> u64 {
        self.lines.iter().map(|line| line.bytes).sum()
    }

    /// Bytes of the arena, and the most that are alive in it at once: no arena can be smaller.
    pub fn arena_bytes(&self) -> (u64, u64) {
        (self.plan.arena_bytes, Plan::live_bound(&self.graph, &self.plan.bounds))
    }
}

/// Decides.
///
/// # Errors
/// If no way fits the budget; what it names as needed does.
pub fn place(request: &NetworkRequest<'_>) -> Result<NetworkPlacement, Refusal> {
    let (graph, plan) = (Arc::clone(request.graph), request.plan.clone());
    let lines = account(request, &Way::of(request, &graph, &plan));
    let mut best = NetworkPlacement { graph, plan, bands: None, streamed: None, lines };
    if best.peak() > request.budget && !request.whole {
        best = bands::fitting(request, best);
    }
    if best.peak() > request.budget && !request.whole {
        best = streamed::fitting(request, best);
    }
    match best.peak() {
        needed if needed > request.budget => {
            Err(Refusal { needed, budget: request.budget, lines: best.lines, context: 0 })
        }
        _ => Ok(best),
    }
}

/// What an account is of.
struct Way<'a> {
    graph: &'a Graph,
    plan: &'a Plan,
    /// Bytes of weights that stay.
    weights: u64,
    /// Bytes of what the others pass through: read into, and used from.
    windows: [u64; 2],
    /// Bytes of what reads them.
    io: u64,
    /// Bytes of lists of them.
    heap: u64,
    /// Whether it was found among others, some of which were there with it.
    sought: bool,
}

impl<'a> Way<'a> {
    /// All weights stay.
    fn of(request: &NetworkRequest<'_>, graph: &'a Graph, plan: &'a Plan) -> Way<'a> {
        Way { graph, plan, weights: request.weights, windows: [0; 2], io: 0, heap: 0, sought: false }
    }
}

/// The lines of the account of one way, in printing order.
fn account(request: &NetworkRequest<'_>, way: &Way<'_>) -> Vec<Line> {
    let page = host::page_size() as u64;
    let pages = |bytes: u64| bytes.max(1).next_multiple_of(page);
    let fixed = request.fixed;
    // What it is built with is gone before another graph is there for good.
    let copies = request.copies * request.graph.heap_bytes();
    let heap = fixed.heap + copies + (request.heap_of)(way.graph) + way.heap;
    let weights = pages(way.weights);
    let window: u64 = way.windows.iter().map(|bytes| bytes.next_multiple_of(page)).sum();
    let activations = pages(way.plan.arena_bytes) + pages(fixed.scratch);
    let carried = way.graph.carried_bytes();
    let carried = if carried > 0 { pages(carried) } else { 0 };
    let held = weights + window + carried + activations + heap + fixed.tokenizer;
    let kernel = kernel_overhead(fixed.threads as usize, held);
    let line = |part, bytes| Line { part, bytes };
    let mut lines = vec![
        line(Part::Program, fixed.program),
        line(Part::Kernel, kernel),
        line(Part::Heap, heap),
        line(Part::Tokenizer, fixed.tokenizer),
        line(Part::Weights, weights),
        line(Part::Window, window),
        line(Part::State, carried),
        line(Part::Activations, activations),
        line(Part::Io, way.io),
        line(Part::Connections, fixed.connections),
        line(Part::Slack, SLACK),
    ];
    // What a network has not is not said of it.
    let maybe = [Part::Connections, Part::Io, Part::State, Part::Tokenizer, Part::Window];
    lines.retain(|line| line.bytes > 0 || !maybe.contains(&line.part));
    // No run is smaller than the start of the process, or than the search, which has the network twice and other ways beside it.
    let others = if way.sought { heap + OTHERS * (request.heap_of)(way.graph) } else { 0 };
    let search = fixed.program + kernel + heap + others + SLACK;
    let sum: u64 = lines.iter().map(|line| line.bytes).sum();
    lines[0].bytes += fixed.start.max(search).saturating_sub(sum);
    lines
}
