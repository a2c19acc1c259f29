//! Runs a network: one operator on arrays after another, over memory that was planned.
//!
//! What it is not: a decision. The one design choice: an operator sees its inputs and outputs as pieces of one arena, cut
//! apart by ranges and never copied; a network that needs more than was planned stops with an error. Nothing inside a run
//! allocates, except where extents are known only when an array is there.

mod carried;
mod fast;
mod passing;
mod rebuild;

use crate::Error;
use ::memory::Error as MemoryError;
use graph::array::{View, ViewMut};
use graph::{ArrayType, Data, Elem, Graph, Node, Op, Plan, ValueId};
use host::{Ledger, Part, Region};
use kernels::Cpu;
use passing::Passing;
pub use passing::PassingWeights;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// The most inputs that an operator has.
pub const MAX_INPUTS: usize = 32;
/// The most outputs that an operator has.
const MAX_OUTPUTS: usize = 8;

/// What a network runs on.
pub struct ArrayParts {
    /// Operators on arrays alone.
    pub graph: Arc<Graph>,
    /// Where values live.
    pub plan: Plan,
    /// By value, whether its extents are known only when it is there.
    pub dynamic: Vec<bool>,
    /// Kernels and threads.
    pub cpu: Cpu,
    /// Constants that do not stay in memory, if some do not.
    pub passing: Option<PassingWeights>,
}

/// Runs a network.
pub struct ArrayExecutor {
    graph: Arc<Graph>,
    dynamic: Vec<bool>,
    arena: Region,
    weights: Region,
    places: Vec<Place>,
    /// By node, where it works besides.
    scratch: Vec<Range<usize>>,
    /// What each value is in this run.
    kinds: Vec<ArrayType>,
    carried: carried::CarriedValues,
    passing: Option<Passing>,
    cpu: Cpu,
    /// Seconds of each node, the least of its runs, if somebody asked.
    seconds: Option<Box<[f64]>>,
}

/// Where the elements of a value are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// In the arena, with room for so many bytes.
    Arena { offset: usize, room: usize },
    /// With the constants that the graph holds.
    Here(usize),
    /// Nobody reads or makes it.
    Nowhere,
    /// With the constants that were read for the node that is next.
    Passing(usize),
    /// With the weights.
    Weights(usize),
}

impl ArrayExecutor {
    /// Bytes that the constants of `graph` take which lie in files.
    pub fn weight_bytes(graph: &Graph) -> u64 {
        in_files(graph).map(|(_, kind)| (kind.bytes() as u64).next_multiple_of(64)).sum()
    }

    /// Bytes on the heap of an executor of `graph` while it is made: its lists, and those of the plan.
    pub fn heap_bytes(graph: &Graph) -> u64 {
        let of_value = size_of::<Place>() + size_of::<ArrayType>() + size_of::<Option<u64>>() + 1;
        let of_node = size_of::<Range<usize>>() + size_of::<Option<u64>>();
        (graph.values.len() * of_value + graph.nodes.len() * of_node) as u64
    }

    /// Takes memory and reads the constants; `read` fills a buffer with the weight of this number in the graph, from a byte of it on.
    ///
    /// # Errors
    /// If the ledger has no room or a constant cannot be read.
    pub fn new(
        ledger: &Ledger,
        parts: ArrayParts,
        mut read: impl FnMut(usize, u64, &mut [u8]) -> Result<(), MemoryError>,
    ) -> Result<ArrayExecutor, Error> {
        let ArrayParts { graph, plan, mut dynamic, cpu, passing } = parts;
        let mut places = vec![Place::Nowhere; graph.values.len()];
        let mut kinds = Vec::with_capacity(places.len());
        for (id, place) in (0u32..).map(ValueId).zip(&mut places) {
            let kind = kind_of(&graph, id)?;
            kinds.push(kind);
            if let Some(offset) = plan.offset(id) {
                *place = Place::Arena { offset: offset as usize, room: kind.bytes() };
            }
        }
        let passing = passing.map(|passing| Passing::new(ledger, &graph, passing)).transpose()?;
        let away = |value: ValueId| passing.as_ref().and_then(|passing| passing.offset(value));
        let stays = in_files(&graph).filter(|(value, _)| away(*value).is_none());
        let bytes: usize = stays.map(|(_, kind)| kind.bytes().next_multiple_of(64)).sum();
        // Rows of a matrix lie far apart: a page for each, if pages are small. All of it is on the account.
        let weights = Region::new(ledger, Part::Weights, bytes.max(1)).map_err(MemoryError::from)?;
        let mut weights = weights.huge();
        let mut end = 0;
        for (number, constant) in graph.constants.iter().enumerate() {
            places[constant.value.0 as usize] = match (constant.data.in_file(), away(constant.value)) {
                (None, _) => Place::Here(number),
                (Some(_), Some(offset)) => Place::Passing(offset),
                (Some((weight, from)), None) => {
                    let start = end;
                    end += kinds[constant.value.0 as usize].bytes();
                    let bytes = &mut weights.as_mut_bytes()[start..end];
                    read(weight.0 as usize, from, bytes)?;
                    if kinds[constant.value.0 as usize].elem == Elem::F32 {
                        no_subnormals(bytes);
                    }
                    end = end.next_multiple_of(64);
                    Place::Weights(start)
                }
            };
        }
        let arena = Region::new(ledger, Part::Activations, plan.arena_bytes.max(1) as usize);
        let arena = arena.map_err(MemoryError::from)?.huge();
        let scratch = scratches(&graph, &plan);
        dynamic.resize(graph.values.len(), false);
        let carried = carried::CarriedValues::new(ledger, &graph)?;
        Ok(ArrayExecutor {
            graph,
            dynamic,
            arena,
            weights,
            places,
            scratch,
            kinds,
            carried,
            passing,
            cpu,
            seconds: None,
        })
    }

    /// What it computes.
    pub fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Takes the time of every node from now on.
    pub fn take_times(&mut self) {
        self.seconds = Some(vec![f64::INFINITY; self.graph.nodes.len()].into());
    }

    /// Seconds of each node of the graph: the least of the runs since [`ArrayExecutor::take_times`].
    pub fn times(&self) -> Option<&[f64]> {
        self.seconds.as_deref()
    }

    /// Runs the network on inputs by their values.
    ///
    /// # Errors
    /// If an input is not of its size, or a number in an array makes no sense to an operator.
    pub fn run<'i>(&mut self, inputs: impl IntoIterator<Item = (ValueId, &'i [u8])>) -> Result<(), Error> {
        inputs.into_iter().try_for_each(|(id, bytes)| self.feed(id, bytes))?;
        self.step()
    }

    fn feed(&mut self, id: ValueId, bytes: &[u8]) -> Result<(), Error> {
        let Some(Place::Arena { offset, room }) = self.places.get(id.0 as usize) else { return Ok(()) };
        let unplanned = Error::Unplanned { value: id.0 };
        let to = self.arena.as_mut_bytes().get_mut(*offset..*offset + *room).ok_or(unplanned)?;
        if to.len() != bytes.len() {
            return Err(Error::InputBytes { found: bytes.len(), expected: to.len() });
        }
        to.copy_from_slice(bytes);
        Ok(())
    }

    fn step(&mut self) -> Result<(), Error> {
        self.carry_in()?;
        if let Some(passing) = &mut self.passing {
            passing.begin()?;
        }
        let graph = Arc::clone(&self.graph);
        graph.nodes.iter().enumerate().try_for_each(|(index, node)| {
            let start = self.seconds.as_ref().map(|_| Instant::now());
            if let Some(passing) = &mut self.passing {
                passing.fetch(index)?;
            }
            self.node(index, node)?;
            if let (Some(start), Some(seconds)) = (start, &mut self.seconds) {
                seconds[index] = seconds[index].min(start.elapsed().as_secs_f64());
            }
            Ok::<_, Error>(())
        })?;
        self.carry_out()
    }

    /// A value after a run: what it is, and its elements.
    pub fn value(&self, id: ValueId) -> Option<(ArrayType, &[u8])> {
        let kind = *self.kinds.get(id.0 as usize)?;
        let bytes = match self.places[id.0 as usize] {
            Place::Arena { offset, .. } => self.arena.as_bytes().get(offset..offset + kind.bytes())?,
            Place::Here(number) => here(&self.graph, number),
            Place::Nowhere | Place::Passing(_) => return None,
            Place::Weights(start) => self.weights.as_bytes().get(start..start + kind.bytes())?,
        };
        Some((kind, bytes))
    }

    fn node(&mut self, index: usize, node: &Node) -> Result<(), Error> {
        let Op::Array(op) = &node.op else { return Err(Error::Unplanned { value: node.output.0 }) };
        let unplanned = || Error::Unplanned { value: node.output.0 };
        let outputs = 1 + node.more.len();
        if outputs > MAX_OUTPUTS || node.inputs.len() > MAX_INPUTS {
            return Err(unplanned());
        }
        if node.outputs().any(|id| self.dynamic[id.0 as usize]) {
            let inputs: Vec<ArrayType> = node.inputs.iter().map(|id| self.kinds[id.0 as usize]).collect();
            for (id, kind) in node.outputs().zip(op.infer(&inputs)?) {
                self.kinds[id.0 as usize] = kind;
            }
        }
        let ArrayExecutor { graph, arena, weights, places, kinds, scratch, cpu, passing, .. } = self;
        let mut ranges: [Range<usize>; MAX_OUTPUTS + 1] = std::array::from_fn(|_| 0..0);
        for (range, id) in ranges.iter_mut().zip(node.outputs()) {
            let Place::Arena { offset, room } = places[id.0 as usize] else { return Err(unplanned()) };
            let bytes = kinds[id.0 as usize].bytes();
            if bytes > room {
                return Err(unplanned());
            }
            *range = offset..offset + bytes;
        }
        ranges[outputs] = scratch[index].clone();
        let pieces = Pieces::cut(arena.as_mut_bytes(), &ranges[..=outputs]).ok_or_else(unplanned)?;
        let empty = ArrayType { elem: graph::Elem::Bool, extents: graph::Extents::default() };
        let mut views = [View { kind: empty, bytes: None }; MAX_INPUTS];
        for (view, id) in views.iter_mut().zip(&node.inputs) {
            let kind = kinds[id.0 as usize];
            let bytes = match places[id.0 as usize] {
                Place::Arena { offset, .. } => pieces.between(offset..offset + kind.bytes()),
                Place::Here(number) => Some(here(graph, number)),
                Place::Nowhere => return Err(unplanned()),
                Place::Passing(start) => {
                    passing.as_ref().and_then(|passing| passing.bytes(start..start + kind.bytes()))
                }
                Place::Weights(start) => weights.as_bytes().get(start..start + kind.bytes()),
            };
            *view = View { kind, bytes };
        }
        let mut taken = pieces.taken.into_iter();
        let mut made: [ViewMut<'_>; MAX_OUTPUTS] =
            std::array::from_fn(|_| ViewMut { kind: empty, bytes: &mut [] });
        for ((view, id), bytes) in made.iter_mut().zip(node.outputs()).zip(&mut taken) {
            *view = ViewMut { kind: kinds[id.0 as usize], bytes };
        }
        let scratch = taken.next().unwrap_or_default();
        let (inputs, made) = (&views[..node.inputs.len()], &mut made[..outputs]);
        if !fast::run(cpu, op, inputs, made, scratch) {
            op.evaluate(inputs, made, scratch)?;
        }
        if op.is_dynamic() {
            for (id, view) in node.outputs().zip(made) {
                kinds[id.0 as usize] = view.kind;
            }
        }
        Ok(())
    }
}

/// Weights too small for a normal number, which training leaves behind, count as zero: processors take a hundred times as long
/// for a sum with one of them, and no sum of normal numbers can tell.
fn no_subnormals(bytes: &mut [u8]) {
    let (numbers, _) = bytes.as_chunks_mut::<4>();
    for bytes in numbers {
        let number = f32::from_le_bytes(*bytes);
        if number.is_subnormal() {
            *bytes = [0; 4];
        }
    }
}

/// Bytes cut into ranges that are written and what lies between them.
struct Pieces<'a> {
    /// What is written, in the order of the ranges.
    taken: [&'a mut [u8]; MAX_OUTPUTS + 1],
    /// What lies between, each with where it begins.
    rest: [(usize, &'a [u8]); MAX_OUTPUTS + 2],
}

impl<'a> Pieces<'a> {
    /// Cuts; `None` if ranges overlap or lie outside.
    fn cut(bytes: &'a mut [u8], ranges: &[Range<usize>]) -> Option<Pieces<'a>> {
        let mut order: [usize; MAX_OUTPUTS + 1] = std::array::from_fn(|k| k);
        let order = &mut order[..ranges.len()];
        order.sort_unstable_by_key(|&k| (ranges[k].start, ranges[k].end));
        let mut taken: [&mut [u8]; MAX_OUTPUTS + 1] = std::array::from_fn(|_| &mut [][..]);
        let mut rest: [(usize, &[u8]); MAX_OUTPUTS + 2] = std::array::from_fn(|_| (0, &[][..]));
        let (mut at, mut left) = (0, bytes);
        let mut gaps = rest.iter_mut();
        for &k in order.iter().filter(|&&k| !ranges[k].is_empty()) {
            let (gap, behind) = left.split_at_mut_checked(ranges[k].start.checked_sub(at)?)?;
            *gaps.next()? = (at, gap);
            let (piece, behind) = behind.split_at_mut_checked(ranges[k].len())?;
            taken[k] = piece;
            (at, left) = (ranges[k].end, behind);
        }
        *gaps.next()? = (at, left);
        Some(Pieces { taken, rest })
    }

    /// What lies in a range; `None` if some of it is written.
    fn between(&self, range: Range<usize>) -> Option<&'a [u8]> {
        self.rest.iter().find_map(|&(start, bytes)| {
            bytes.get(range.start.checked_sub(start)?..range.end.checked_sub(start)?)
        })
    }
}

/// By node, where it works besides.
fn scratches(graph: &Graph, plan: &Plan) -> Vec<Range<usize>> {
    let scratch = graph.nodes.iter().enumerate().map(|(index, node)| {
        let inputs: Vec<graph::Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
        let start = plan.scratch(index).unwrap_or(0) as usize;
        start..start + node.op.scratch(graph, &inputs, &plan.bounds) as usize
    });
    scratch.collect()
}

fn here(graph: &Graph, number: usize) -> &[u8] {
    match graph.constants.get(number).map(|constant| &constant.data) {
        Some(Data::Here(bytes)) => bytes,
        _ => &[],
    }
}

fn kind_of(graph: &Graph, id: ValueId) -> Result<ArrayType, Error> {
    let value = graph.value_of(id);
    let extents = value.dims.known().ok_or(Error::Unplanned { value: id.0 })?;
    Ok(ArrayType { elem: value.elem, extents })
}

/// Constants that lie in files.
fn in_files(graph: &Graph) -> impl Iterator<Item = (ValueId, ArrayType)> + '_ {
    let constants = graph.constants.iter().filter(|constant| constant.data.in_file().is_some());
    constants.filter_map(|constant| Some((constant.value, kind_of(graph, constant.value).ok()?)))
}
