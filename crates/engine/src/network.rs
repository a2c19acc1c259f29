//! Networks: arrays in, arrays out, within the budget.
//!
//! What it is: what a user of the library does with a network in a file, from its inputs to its outputs. What it is not:
//! people's data; pictures and sound become arrays before. The one design choice: a network is built for the extents of its
//! inputs, so that all it takes is known and can be refused before a weight is read.

use crate::live::Reserved;
use crate::{Engine, Error, NetworkFile};
use graph::array::Array;
use graph::{ArrayType, Bounds, Data, Graph, Plan, ValueId};
use host::{FlashFile, Part, Pool, ReadAt, StreamOptions};
use kernels::Cpu;
use models::network::{Form, Item, Place};
use planner::network::{InFiles, NetworkPlacement, NetworkRequest, place};
use planner::{Fixed, Line, Refusal};
use runtime::{ArrayExecutor, ArrayParts, PassingWeights};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a file that is written takes: what is not on the disk yet, and the kernel's lists of it, 192 KiB where none were there.
const WRITTEN: u64 = 448 << 10;

/// Bytes of weights that are read at once where they do not stay, about.
const READ: u64 = 256 << 10;
/// Weights that are on their way at once, at most.
const ON_THE_WAY: usize = 16;

/// An input: its name, what it is and, if they are known already, its elements.
#[derive(Clone, Debug)]
pub struct Feed {
    /// Its name in the file.
    pub name: String,
    /// What it is.
    pub kind: ArrayType,
    /// Its elements; without them a network can be planned, if none of them decides an extent.
    pub bytes: Option<Box<[u8]>>,
}

impl From<(String, Array)> for Feed {
    fn from((name, array): (String, Array)) -> Feed {
        Feed { name, kind: array.kind, bytes: Some(array.bytes) }
    }
}

/// A network that was built for its inputs, not loaded.
pub struct BuiltNetwork {
    network: models::network::Network,
    graph: Arc<Graph>,
    plan: Plan,
    files: Vec<Arc<FlashFile>>,
    /// Heap of what was read and of the inputs that were there.
    heap: u64,
    /// Bytes of those inputs.
    fed: u64,
    /// Pictures and sound that are there with it.
    pub(crate) beside: Beside,
    /// What a task holds while it runs.
    upkeep: Upkeep,
}

/// Bytes of people's data on the account of a network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    /// Held while it runs.
    pub kept: u64,
    /// Held at most before its weights are read.
    pub passing: u64,
}

impl Beside {
    /// A network's account with this data on it: what passes may take the place of what comes after it.
    fn added(self, mut lines: Vec<Line>) -> Vec<Line> {
        let comes_after = [Part::Weights, Part::Window, Part::Activations, Part::Io];
        let later: u64 =
            lines.iter().filter(|line| comes_after.contains(&line.part)).map(|line| line.bytes).sum();
        let bytes = self.kept.max(self.passing.saturating_sub(later));
        if bytes > 0 {
            lines.insert(lines.len().saturating_sub(1), Line { part: Part::Data, bytes });
        }
        lines
    }
}

/// What a task holds besides its network, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Upkeep {
    /// What people's data take on their way.
    pub heap: u64,
    /// A vocabulary.
    pub tokenizer: u64,
    /// What a server holds for those who talk to it.
    pub connections: u64,
    /// Whether the network will be built anew for other extents while it is loaded.
    pub rebuilds: bool,
}

/// What a network takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub struct PortType {
    /// Its name; of an array in a list with its place.
    pub name: String,
    /// What it is; if it is dynamic, at most.
    pub kind: ArrayType,
    value: ValueId,
}

impl Engine {
    /// Builds the network in `file` for inputs like `feeds`; those that are left out must be declared in full.
    ///
    /// # Errors
    /// What is not supported, by the node's name; an input whose extents are not known.
    pub fn build_network(&self, file: &NetworkFile, feeds: &[Feed]) -> Result<BuiltNetwork, Error> {
        BuiltNetwork::new(file, feeds)
    }

    /// The account of a network in this engine's budget, or why it does not fit.
    pub fn plan_network(&self, built: &BuiltNetwork) -> Result<Vec<Line>, Refusal> {
        self.plan_network_in(built, self.budget.bytes)
    }

    /// As [`Engine::plan_network`], for another budget.
    pub fn plan_network_in(&self, built: &BuiltNetwork, budget: u64) -> Result<Vec<Line>, Refusal> {
        Ok(self.place_network(built, budget)?.lines)
    }

    /// How a network runs in a budget, or why it does not fit.
    pub fn place_network(&self, built: &BuiltNetwork, budget: u64) -> Result<NetworkPlacement, Refusal> {
        let Upkeep { heap, tokenizer, connections, rebuilds } = built.upkeep;
        // The lists of the graph are there twice while it is planned, and what it is built with twice more.
        let copies = if rebuilds { 3 } else { 1 };
        let heap_of = |graph: &Graph| graph.heap_bytes() + ArrayExecutor::heap_bytes(graph);
        let weights = ArrayExecutor::weight_bytes(&built.graph);
        let fixed = self.fixed(built.heap + heap);
        // A task's data are not there yet when the process starts.
        let start = fixed.start.saturating_sub(built.beside.kept);
        let fixed = Fixed { tokenizer, connections, start, ..fixed };
        let (graph, plan, whole) = (&built.graph, &built.plan, rebuilds);
        let place_of = |data: &Data| built.in_file(data);
        let options = StreamOptions {
            max_runs: ON_THE_WAY,
            max_extents: ON_THE_WAY,
            ..self.profile.way(READ).options()
        };
        let align = built.files.iter().map(|file| file.align()).max().unwrap_or(1);
        let files = Some(InFiles { place_of: &place_of, align, options });
        let of = |budget| {
            let heap_of = &heap_of;
            place(&NetworkRequest { graph, plan, weights, heap_of, copies, whole, files, budget, fixed })
        };
        if built.beside == Beside::default() {
            return of(budget);
        }
        let placed = of(budget.saturating_sub(built.beside.kept)).or_else(|refused| of(refused.needed))?;
        let lines = built.beside.added(placed.lines);
        match lines.iter().map(|line| line.bytes).sum() {
            needed if needed > budget => Err(Refusal { needed, budget, lines, context: 0 }),
            _ => Ok(NetworkPlacement { lines, ..placed }),
        }
    }

    /// Loads a network, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; otherwise what is wrong with the disk.
    pub fn load_network(&self, built: BuiltNetwork) -> Result<Network, Error> {
        let placed = self.place_network(&built, self.budget.bytes);
        let placed = placed.map_err(|refused| Error::Refused(Box::new(refused)))?;
        let (inputs, outputs, places) = (built.inputs(), built.outputs(), built.places());
        let BuiltNetwork { network, graph: whole, plan: whole_plan, files, .. } = built;
        let NetworkPlacement { graph, plan, lines, streamed, .. } = placed;
        // What was needed to build it is gone.
        drop((whole, whole_plan));
        host::trim_heap();
        self.drop_program_pages();
        let before = self.ledger.lines();
        let pool = Pool::new(&self.ledger, self.threads)?;
        let reserved = self.reserve_lines(&lines, &before)?;
        let cpu = Cpu::new(self.kernels, pool, &self.ledger)?;
        let read = |weight: usize, from: u64, bytes: &mut [u8]| {
            let weight = &graph.weights[weight];
            let place = &network.weights[weight.tensor];
            let (tensor, offset) = (weight.name.clone(), place.range.start + from);
            let failed = |source| ::memory::Error::Read { tensor, offset, source };
            let file = &*files[place.file as usize];
            match from {
                0 => place.read(file, bytes).map_err(failed),
                _ => file.read_exact_at(offset, bytes).map_err(failed),
            }
        };
        let passing = streamed.map(|streamed| PassingWeights {
            files: files.clone(),
            extents: streamed.extents,
            window_bytes: streamed.window_bytes,
            options: streamed.options,
        });
        let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic: network.dynamic, cpu, passing };
        let executor = ArrayExecutor::new(&self.ledger, parts, read)?;
        host::trim_heap();
        self.drop_program_pages();
        let decided = network.decided;
        Ok(Network { executor, inputs, outputs, decided, places, lines, _reserved: reserved })
    }
}

impl BuiltNetwork {
    /// As [`Engine::build_network`].
    pub(crate) fn new(file: &NetworkFile, feeds: &[Feed]) -> Result<BuiltNetwork, Error> {
        let files = file.parts().iter().map(|part| Ok(Arc::new(FlashFile::open(&part.path)?)));
        let files = files.collect::<Result<Vec<_>, host::Error>>()?;
        let sources: Vec<&dyn ReadAt> = files.iter().map(|file| &**file as &dyn ReadAt).collect();
        let known: Vec<String> = file.inputs().into_iter().map(|input| input.name).collect();
        if let Some(feed) = feeds.iter().find(|feed| !known.contains(&feed.name)) {
            return Err(Error::NoSuchInput { name: feed.name.clone(), inputs: known.join(", ") });
        }
        let mut network = file.build(&sources, feeds)?;
        let graph = Arc::new(std::mem::take(&mut network.graph));
        let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
        let forms: u64 = network.weights.iter().map(|place| place.form.heap_bytes()).sum();
        let fed: usize = feeds.iter().map(|feed| feed.bytes.as_ref().map_or(0, |bytes| bytes.len())).sum();
        let fed = fed as u64;
        let heap = file.heap_bytes() + fed + forms;
        let (beside, upkeep) = (Beside::default(), Upkeep::default());
        Ok(BuiltNetwork { network, graph, plan, files, heap, fed, beside, upkeep })
    }

    /// Makes an output and an input one state: what a run gives there the next one is given, zeros the first; the input is no
    /// longer asked for.
    ///
    /// # Errors
    /// If there are no such two, or they are not of one kind that does not vary.
    pub fn carry(&mut self, output: &str, input: &str) -> Result<(), Error> {
        let names =
            |ports: &[PortType]| ports.iter().map(|port| port.name.clone()).collect::<Vec<_>>().join(", ");
        let (made, taken) = (self.outputs(), self.inputs());
        let (outputs, inputs) = (names(&made), names(&taken));
        let made = made.into_iter().find(|port| port.name == output);
        let made = made.ok_or(Error::NoSuchOutput { name: output.to_string(), outputs })?;
        let taken = taken.into_iter().find(|port| port.name == input);
        let taken = taken.ok_or(Error::NoSuchInput { name: input.to_string(), inputs })?;
        let varies = self.network.dynamic.get(made.value.0 as usize) == Some(&true);
        if made.kind != taken.kind || varies {
            return Err(Error::NotOneState { output: made.name, input: taken.name });
        }
        self.network.inputs.retain(|port| *port.name != taken.name);
        let (made, input) = (made.value, taken.value);
        Arc::make_mut(&mut self.graph).carry(graph::Carried { made, input, start: None });
        self.plan = Plan::new(&self.graph, self.plan.bounds);
        Ok(())
    }

    /// What it takes.
    pub fn inputs(&self) -> Vec<PortType> {
        self.ports(&self.network.inputs)
    }

    /// What it gives.
    pub fn outputs(&self) -> Vec<PortType> {
        self.ports(&self.network.outputs)
    }

    /// Says that whoever runs it holds arrays for all its inputs, be they there already or not, and writes its outputs to files.
    pub fn with_files_at_hand(mut self) -> BuiltNetwork {
        let all: usize = self.inputs().iter().map(|port| port.kind.bytes()).sum();
        self.upkeep.heap = (all as u64).saturating_sub(self.fed) + WRITTEN;
        self
    }

    /// Says what a task holds while it runs.
    pub(crate) fn with_upkeep(mut self, upkeep: Upkeep) -> BuiltNetwork {
        self.upkeep = upkeep;
        self
    }

    /// Where a constant lies in a file as the graph has it, and how many bytes there are of it.
    fn in_file(&self, data: &Data) -> Option<(u32, u64, u64)> {
        let (weight, from) = data.in_file()?;
        let place = self.network.weights.get(self.graph.weight_of(weight).tensor)?;
        // Of an array whose extents a run decides pieces are not known either.
        let known = place.form == Form::AsItIs && !self.network.dynamic.contains(&true);
        let offset = place.range.start.checked_add(from)?;
        known.then_some((place.file, offset, place.range.end.checked_sub(offset)?))
    }

    /// By number of a weight in the graph, where it lies in the files.
    fn places(&self) -> Vec<Place> {
        let place = |weight: &graph::Weight| self.network.weights[weight.tensor].clone();
        self.graph.weights.iter().map(place).collect()
    }

    fn ports(&self, ports: &[models::network::Port]) -> Vec<PortType> {
        let mut found = Vec::new();
        ports.iter().for_each(|port| arrays(&self.graph, &port.name, &port.item, &mut found));
        found
    }

    /// Operators that run.
    pub fn nodes(&self) -> usize {
        self.graph.nodes.len()
    }

    /// How often each operator runs, by name.
    pub fn operators(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        self.graph.nodes.iter().for_each(|node| *counts.entry(node.op.name()).or_default() += 1);
        counts
    }

    /// Multiply-adds of a run.
    pub fn macs(&self) -> u64 {
        let of = |node: &graph::Node| {
            let inputs: Vec<graph::Value> = node.inputs.iter().map(|&id| *self.graph.value_of(id)).collect();
            node.op.cost(&self.graph, &inputs, &self.plan.bounds, 0).macs
        };
        self.graph.nodes.iter().map(of).sum()
    }

    /// Bytes of constants that lie in files.
    pub fn weight_bytes(&self) -> u64 {
        ArrayExecutor::weight_bytes(&self.graph)
    }

    /// Bytes of the arena, and the most that are alive in it at once: no arena can be smaller.
    pub fn arena_bytes(&self) -> (u64, u64) {
        (self.plan.arena_bytes, Plan::live_bound(&self.graph, &self.plan.bounds))
    }
}

/// All arrays of an item, by name.
fn arrays(graph: &Graph, name: &str, item: &Item, found: &mut Vec<PortType>) {
    match item {
        Item::None => {}
        Item::Sequence(items) => {
            let each = items.iter().enumerate();
            each.for_each(|(at, item)| arrays(graph, &format!("{name}[{at}]"), item, found));
        }
        Item::Value(value) => {
            let known = graph.value_of(*value);
            let extents = known.dims.known().unwrap_or_default();
            let kind = ArrayType { elem: known.elem, extents };
            found.push(PortType { name: name.to_string(), kind, value: *value });
        }
    }
}

/// A network that runs.
pub struct Network {
    pub(crate) executor: ArrayExecutor,
    inputs: Vec<PortType>,
    outputs: Vec<PortType>,
    decided: Vec<ValueId>,
    /// By number of a weight in the graph, where it lies in the files.
    places: Vec<Place>,
    lines: Vec<Line>,
    _reserved: Vec<Reserved>,
}

impl Network {
    /// What it takes.
    pub fn inputs(&self) -> &[PortType] {
        &self.inputs
    }

    /// What it gives; of what is dynamic, at most.
    pub fn outputs(&self) -> &[PortType] {
        &self.outputs
    }

    /// Whether an input's numbers decided how the network was built: it is good only for the same there.
    pub fn is_decided_by(&self, input: &PortType) -> bool {
        self.decided.contains(&input.value)
    }

    /// Whether there is room for a network that was built for other extents.
    pub(crate) fn has_room_for(&self, built: &BuiltNetwork) -> bool {
        built.plan.arena_bytes <= self.executor.arena_bytes()
    }

    /// Takes the same network, built for other extents, in place of what runs; weights stay where they are.
    ///
    /// # Errors
    /// If it needs weights that this one has not, or a larger arena.
    pub(crate) fn rebuild(&mut self, built: BuiltNetwork) -> Result<(), Error> {
        let (inputs, outputs, places) = (built.inputs(), built.outputs(), built.places());
        let BuiltNetwork { network, graph, plan, .. } = built;
        let own = &self.places;
        let same = |number: usize| own.iter().position(|place| places.get(number) == Some(place));
        self.executor.rebuild((graph, &plan, network.dynamic), same)?;
        let decided = network.decided;
        (self.inputs, self.outputs, self.decided, self.places) = (inputs, outputs, decided, places);
        Ok(())
    }

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Runs on inputs by name: elements without gaps, row-major, little-endian, of the kinds that it was built for.
    ///
    /// # Errors
    /// An input that is missing, unknown or of another size; a number that an operator cannot take.
    pub fn run(&mut self, feeds: &[(&str, &[u8])]) -> Result<(), Error> {
        self.run_with(|name| Some(feeds.iter().find(|(own, _)| *own == name)?.1))
    }

    /// As [`Network::run`], for whoever finds the elements of an input by its name.
    pub(crate) fn run_with<'i>(&mut self, fed: impl Fn(&str) -> Option<&'i [u8]>) -> Result<(), Error> {
        if let Some(port) = self.inputs.iter().find(|port| fed(&port.name).is_none()) {
            return Err(Error::MissingInput { name: port.name.clone(), kind: Box::new(port.kind) });
        }
        let inputs = self.inputs.iter().filter_map(|port| Some((port.value, fed(&port.name)?)));
        Ok(self.executor.run(inputs)?)
    }

    /// Forgets what was carried from run to run: the next one is as the first.
    pub fn reset(&mut self) {
        self.executor.reset();
    }

    /// An output after a run.
    pub fn output(&self, name: &str) -> Option<(ArrayType, &[u8])> {
        let port = self.outputs.iter().find(|port| port.name == name)?;
        self.executor.value(port.value)
    }

    /// Bytes of a part of the account.
    pub fn bytes_of(&self, part: Part) -> u64 {
        self.lines.iter().filter(|line| line.part == part).map(|line| line.bytes).sum()
    }
}
