//! Which constants of a network stay in memory where not all do, and the window for the rest.
//!
//! The one design choice: every constant is read once in a run, so it does not matter which stay, only how many bytes; the largest that
//! fit do.

use super::{NetworkPlacement, NetworkRequest, Way, account};
use graph::pieces::in_pieces;
use graph::{ArrayType, Data, Graph, Plan, ValueId};
use host::{Extent, Stream, StreamOptions};

/// Bytes of a constant beyond which it is cut.
const PIECE: usize = 256 << 10;
/// Bytes of a constant below which it stays.
const SMALL: usize = 16 << 10;
/// Bytes of the lists for a constant that passes.
const HEAP: u64 = 192;

/// Which file a constant lies in, from where on, and how many bytes there are of it; `None` if it lies otherwise than the graph has it.
pub type PlaceOf<'a> = &'a dyn Fn(&Data) -> Option<(u32, u64, u64)>;

/// Where constants lie that can be read in a run.
#[derive(Clone, Copy)]
pub struct InFiles<'a> {
    /// Where each lies.
    pub place_of: PlaceOf<'a>,
    /// Alignment of reads.
    pub align: usize,
    /// How they are read.
    pub options: StreamOptions,
}

/// How constants pass through memory.
#[derive(Clone, Debug)]
pub struct Streamed {
    /// Which, in order of use, and where they lie.
    pub extents: Vec<(ValueId, Extent)>,
    /// Bytes of the window.
    pub window_bytes: u64,
    /// How it is read.
    pub options: StreamOptions,
}

impl Streamed {
    /// Bytes that every run reads.
    pub fn bytes(&self) -> u64 {
        self.extents.iter().map(|(_, extent)| extent.len).sum()
    }
}

/// The way that keeps as much as fits; what does not fit is left as it is.
pub(super) fn fitting(request: &NetworkRequest<'_>, least: NetworkPlacement) -> NetworkPlacement {
    let Some(files) = request.files else { return least };
    let may = |data: &Data| (files.place_of)(data).is_some();
    let Ok(graph) = in_pieces(&least.graph, PIECE, &may) else { return least };
    let plan = Plan::new(&graph, request.plan.bounds);
    let all = passing(&graph, &files);
    let bare = way(request, &least, (&graph, &plan), all.clone());
    if all.is_empty() || bare.peak() >= least.peak() {
        return least;
    }
    // Page tables of what stays are not in the account of what does not.
    let room = request.budget.saturating_sub(bare.peak());
    let mut room = room - room / 256;
    let mut by_size: Vec<&(ValueId, Extent)> = all.iter().collect();
    by_size.sort_by_key(|(value, extent)| (std::cmp::Reverse(extent.len), value.0));
    let mut stays = Vec::new();
    for (value, extent) in by_size {
        if held(extent.len) <= room {
            room -= held(extent.len);
            stays.push(*value);
        }
    }
    let rest = all.iter().filter(|(value, _)| !stays.contains(value)).copied().collect();
    let kept = way(request, &least, (&graph, &plan), rest);
    if kept.peak() <= request.budget { kept } else { bare }
}

fn held(bytes: u64) -> u64 {
    bytes.next_multiple_of(64)
}

/// Constants that one node each reads and that lie in files as they are, in order of use.
fn passing(graph: &Graph, files: &InFiles<'_>) -> Vec<(ValueId, Extent)> {
    let mut uses = vec![0u32; graph.values.len()];
    let read = graph.nodes.iter().flat_map(|node| &node.inputs).chain(&graph.outputs);
    read.for_each(|id| uses[id.0 as usize] += 1);
    let extent = |id: &ValueId| {
        let data = graph.constant_of(*id).filter(|_| uses[id.0 as usize] == 1)?;
        let (file, offset, room) = (files.place_of)(data)?;
        let value = graph.value_of(*id);
        let kind = ArrayType { elem: value.elem, extents: value.dims.known()? };
        let fits = kind.bytes() >= SMALL && kind.bytes() as u64 <= room;
        fits.then_some((*id, Extent { file, offset, len: kind.bytes() as u64 }))
    };
    graph.nodes.iter().flat_map(|node| &node.inputs).filter_map(extent).collect()
}

/// The placement in which these pass.
fn way(
    request: &NetworkRequest<'_>,
    least: &NetworkPlacement,
    (graph, plan): (&Graph, &Plan),
    extents: Vec<(ValueId, Extent)>,
) -> NetworkPlacement {
    let (align, options) =
        request.files.map_or((1, StreamOptions::default()), |files| (files.align, files.options));
    let in_file = |constant: &&graph::Constant| constant.data.in_file().is_some();
    let bytes = |id: ValueId| {
        let value = graph.value_of(id);
        let kind = value.dims.known().map(|extents| ArrayType { elem: value.elem, extents });
        held(kind.map_or(0, |kind| kind.bytes() as u64))
    };
    let all: u64 = graph.constants.iter().filter(in_file).map(|constant| bytes(constant.value)).sum();
    let away: u64 = extents.iter().map(|(_, extent)| held(extent.len)).sum();
    // One is used while the next is read.
    let count = extents.len();
    let pair = |at: usize| [extents[at].1, extents[(at + 1) % count].1];
    let window =
        (0..count).map(|at| Stream::window_needed(&pair(at)[..2.min(count)], align)).max().unwrap_or(0);
    let of_node = |node: &graph::Node| {
        let passes = |id: &&ValueId| extents.iter().any(|(value, _)| value == *id);
        node.inputs.iter().filter(passes).map(|id| bytes(*id)).sum()
    };
    let slot = graph.nodes.iter().map(of_node).max().unwrap_or(0);
    let way = Way {
        graph,
        plan,
        weights: all - away.min(all),
        windows: [window, slot],
        io: if count > 0 { options.memory(window) } else { 0 },
        heap: count as u64 * HEAP,
        sought: true,
    };
    let lines = account(request, &way);
    let streamed = (count > 0).then_some(Streamed { extents, window_bytes: window, options });
    NetworkPlacement { graph: graph.clone().into(), plan: plan.clone(), bands: least.bands, streamed, lines }
}
