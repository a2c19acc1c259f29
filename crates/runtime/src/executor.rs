//! The loop: one node after another, each by the kernels of this machine.

use crate::arena::Arena;
use crate::ops::foresee::{self, Foresight, NextRouter};
use crate::ops::{self, Choice, Step, linear};
use crate::stats::{Phase, StepStats};
use crate::trial::Trial;
use crate::{Batch, Economy, Error, Foresee, Gates, Routes, Sequence};
use ::memory::Error as MemoryError;
use ::memory::{ExpertOptions, ExpertStats, ExpertStore, Residency, StoreStats, WeightStore};
use graph::op::WeightUse;
use graph::{Bounds, Graph, Op, Plan, StateId, StateKind, ValueId};
use host::Ledger;
use kernels::Cpu;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

/// What an executor is made of.
pub struct Parts {
    /// The computation: inputs are token ids, positions and wanted rows, the first output is the logits.
    pub graph: Arc<Graph>,
    /// Where its values live.
    pub plan: Plan,
    /// Its weights.
    pub store: WeightStore,
    /// Its experts.
    pub experts: ExpertStore,
    /// Kernels and threads.
    pub cpu: Cpu,
}

/// Runs steps of one model.
pub struct Executor {
    graph: Arc<Graph>,
    bounds: Bounds,
    arena: Arena,
    store: WeightStore,
    experts: ExpertStore,
    cpu: Cpu,
    program: Vec<Extra>,
    choices: Vec<Choice>,
    economy: Economy,
    leniency: Vec<f32>,
    foresight: Foresight,
    trial: Trial,
    routes: Option<Routes>,
    gates: Option<Gates>,
    row: Vec<u8>,
    stats: StepStats,
}

/// What a node needs beside the graph, worked out once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Extra {
    /// Tiles of the node's matrix.
    pub tiles: Range<u32>,
    /// Of a product, how many nodes from it on are done at once; and whether it is done with one before.
    pub together: usize,
    pub done: bool,
    /// Frequencies of a RoPE table.
    pub frequencies: Vec<f64>,
    /// Which set of experts a router chooses from, or a node computes.
    pub mixture: Option<usize>,
    /// Of a router, the one after it.
    pub next: Option<Box<NextRouter>>,
}

impl Executor {
    /// Takes the arena and works out what each node needs.
    ///
    /// # Errors
    /// If the ledger has no room for the arena.
    pub fn new(ledger: &Ledger, parts: Parts) -> Result<Executor, Error> {
        let Parts { graph, plan, store, experts, cpu } = parts;
        let arena = Arena::new(ledger, &graph, &plan)?;
        let row = vec![0; widest_row(&graph)];
        let (program, choices) = (program(&graph, &store), choices(&graph, &plan)?);
        let (bounds, stats) = (plan.bounds, StepStats::default());
        let (routes, gates, economy, leniency) = (None, None, Economy::default(), Vec::new());
        let (foresight, trial) = (Foresight::new(&graph, &program), Trial::new());
        Ok(Executor {
            graph,
            bounds,
            arena,
            store,
            experts,
            cpu,
            program,
            choices,
            economy,
            leniency,
            foresight,
            trial,
            routes,
            gates,
            row,
            stats,
        })
    }

    /// Changes to weights that are cut in another way, between steps: everything is given back and read anew.
    ///
    /// # Errors
    /// If the ledger has no room or the disk fails; no step is possible then.
    pub fn reload(
        &mut self,
        ledger: &Ledger,
        plan: &Plan,
        load: impl FnOnce(&Graph) -> Result<(WeightStore, ExpertStore), MemoryError>,
    ) -> Result<(), Error> {
        self.store.unload();
        self.experts.unload();
        self.replan(ledger, plan)?;
        (self.store, self.experts) = load(&self.graph)?;
        self.program = program(&self.graph, &self.store);
        Ok(())
    }

    /// Changes to another plan and to other weights that stay, between steps.
    ///
    /// # Errors
    /// If the ledger has no room or the disk fails; what could not be read is streamed, but without an arena no step is
    /// possible until a plan fits.
    pub fn adapt(
        &mut self,
        ledger: &Ledger,
        plan: &Plan,
        residency: Residency<'_>,
        experts: &ExpertOptions,
    ) -> Result<(), Error> {
        // What gives back goes first.
        let shrinks = plan.bounds.rows <= self.bounds.rows;
        if plan.bounds != self.bounds && shrinks {
            self.replan(ledger, plan)?;
        }
        self.experts.adapt(ledger, experts)?;
        self.store.adapt(ledger, residency)?;
        if plan.bounds != self.bounds {
            self.replan(ledger, plan)?;
        }
        Ok(())
    }

    fn replan(&mut self, ledger: &Ledger, plan: &Plan) -> Result<(), Error> {
        self.arena.adapt(ledger, &self.graph, plan)?;
        self.choices = choices(&self.graph, plan)?;
        self.bounds = plan.bounds;
        Ok(())
    }

    /// Runs the rows of `batch` through the graph and moves its sequences on. `more` says that another step is sure to
    /// follow, so that reading may go on into it.
    ///
    /// Gives the logits, (wanted rows, vocabulary); empty if none were wanted.
    ///
    /// # Errors
    /// A failed read or a full context. The sequences stay as they were, and the next step starts afresh.
    pub fn step(&mut self, batch: &Batch, sequences: &mut [Sequence], more: bool) -> Result<&[f32], Error> {
        let now = Bounds { rows: batch.rows() as u32, logit_rows: batch.wanted.len() as u32 };
        if now.rows > self.bounds.rows || now.logit_rows > self.bounds.logit_rows {
            return Err(Error::TooManyRows {
                rows: batch.rows(),
                logit_rows: batch.wanted.len(),
                most: self.bounds.rows,
                most_logits: self.bounds.logit_rows,
            });
        }
        // What is foreseen for several rows is nearly all that there is.
        let tried = (now.rows == 1 && self.can_foresee()).then(Instant::now);
        self.foresight.on = tried.is_some() && self.trial.is_on();
        if let Err(error) = self.nodes(batch, sequences, now, more) {
            self.store.reset()?;
            self.experts.reset()?;
            self.store.check()?; // which says more than a read that ended early
            return Err(error);
        }
        if self.store.streams() || self.experts.streams() {
            self.store.check()?;
        }
        if let Some(start) = tried {
            self.trial.took(start.elapsed());
        }
        for span in &batch.spans {
            sequences[span.sequence].len += span.rows as u32;
        }
        self.stats.steps += 1;
        self.stats.rows += u64::from(now.rows);
        match self.graph.outputs.first() {
            Some(&logits) if now.logit_rows > 0 => self.arena.floats(logits, &now),
            _ => Ok(&[]),
        }
    }

    fn nodes(
        &mut self,
        batch: &Batch,
        sequences: &mut [Sequence],
        now: Bounds,
        more: bool,
    ) -> Result<(), Error> {
        self.store.begin(now.logit_rows > 0, more)?;
        self.experts.begin(now.rows as usize);
        self.feed(batch, &now)?;
        let graph = Arc::clone(&self.graph);
        let mut before = Instant::now();
        for (at, node) in graph.nodes.iter().enumerate() {
            if self.program[at].done {
                continue;
            }
            let rows = graph.value_of(node.output).dims.rows().map_or(1, |s| now.of(s));
            if rows == 0 {
                continue; // only steps that want logits have rows here
            }
            let mut step = Step {
                graph: &graph,
                arena: &mut self.arena,
                store: &mut self.store,
                experts: &mut self.experts,
                choices: &mut self.choices,
                economy: self.economy,
                leniency: &self.leniency,
                foresight: &mut self.foresight,
                routes: self.routes.as_mut(),
                gates: self.gates.as_mut(),
                cpu: &mut self.cpu,
                row: &mut self.row,
                spans: &batch.spans,
                sequences: &mut *sequences,
                stats: &mut self.stats,
                now,
            };
            ops::run(&mut step, &graph.nodes[at..], &self.program[at..])?;
            let after = Instant::now();
            self.stats.seconds[Phase::of(&node.op) as usize] += (after - before).as_secs_f64();
            before = after;
        }
        Ok(())
    }

    /// Writes the batch into the graph's inputs.
    fn feed(&mut self, batch: &Batch, now: &Bounds) -> Result<(), Error> {
        let lists: [&[u32]; 3] = [&batch.ids, &batch.positions, &batch.wanted];
        for (&input, list) in self.graph.inputs.iter().zip(lists) {
            self.arena.indices_mut(input, now)?.copy_from_slice(list);
        }
        Ok(())
    }

    /// Whether a sequence can go back to `len` positions: what its rings have overwritten is gone.
    pub fn can_rewind(&self, sequence: &Sequence, len: u32) -> bool {
        let mut states = self.graph.states.iter().zip(0u32..);
        states.all(|(state, i)| match state.kind {
            StateKind::Append => true,
            StateKind::Ring { window } => {
                let slots = sequence.cache.slots(StateId(i)) as u32;
                sequence.len <= slots || sequence.len - len + window <= slots
            }
        })
    }

    /// Writes down from now on what routers choose, and gives what was written down before.
    pub fn record(&mut self, routes: Option<Routes>) -> Option<Routes> {
        std::mem::replace(&mut self.routes, routes)
    }

    /// Sums up from now on what gates let through, and gives what was summed up before.
    pub fn watch(&mut self, gates: Option<Gates>) -> Option<Gates> {
        std::mem::replace(&mut self.gates, gates)
    }

    /// Leaves out experts from now on as the user wants it; by itself nothing is left out.
    pub fn set_economy(&mut self, economy: Economy) {
        self.economy = economy;
    }

    /// By layer with experts, how much more than others it gives up from now on; nothing for all the same.
    pub fn set_leniency(&mut self, leniency: Vec<f32>) {
        self.leniency = leniency;
    }

    /// Whether routers are asked a layer early from now on, and what they say is read ahead. Answers do not change.
    pub fn set_foresee(&mut self, foresee: Foresee) {
        self.trial.wanted = foresee;
    }

    /// Whether there is a router that could be asked early, and something to read for it.
    fn can_foresee(&self) -> bool {
        self.experts.streams() && self.foresight.is_of_use()
    }

    /// What was asked of the experts so far.
    pub fn expert_stats(&self) -> ExpertStats {
        self.experts.stats()
    }

    /// Bytes of weights read so far, and seconds that steps waited for them.
    pub fn flash_stats(&self) -> StoreStats {
        let stats = self.store.stats();
        let experts = self.experts.stats().wait_nanos as f64 / 1e9;
        StoreStats { wait_seconds: stats.wait_seconds + experts, ..stats }
    }

    /// The kernels in use.
    pub fn cpu(&self) -> &Cpu {
        &self.cpu
    }

    /// What was done so far.
    pub fn stats(&self) -> StepStats {
        self.stats
    }

    /// The most rows that a step may have.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The value that holds the logits.
    pub fn logits(&self) -> Option<ValueId> {
        self.graph.outputs.first().copied()
    }
}

/// Bytes of the widest row that a node reads by itself.
fn widest_row(graph: &Graph) -> usize {
    let rows = graph.nodes.iter().flat_map(|node| node.op.weights()).filter_map(|used| match used {
        WeightUse::Rows(id) => {
            let weight = graph.weight_of(id);
            weight.dtype.bytes_of(weight.shape.columns())
        }
        _ => None,
    });
    rows.max().unwrap_or(0) as usize
}

/// What each node needs beside the graph.
fn program(graph: &Graph, store: &WeightStore) -> Vec<Extra> {
    let (mut uses, mut sets) = (0, 0);
    let mut program: Vec<Extra> = Vec::with_capacity(graph.nodes.len());
    for node in &graph.nodes {
        let mut extra = Extra::default();
        if node.op.weights().iter().any(|used| matches!(used, WeightUse::Whole(_))) {
            extra.tiles = store.tiling().tiles_of_use(uses);
            uses += 1;
        }
        if let Op::RopeTable(table) = &node.op {
            extra.frequencies = table.frequencies(table.factors.map(|id| store.vector(id)));
        }
        if let Op::Neurons(_) = &node.op {
            extra.mixture = Some(sets);
            sets += 1;
        }
        if let Op::Experts(_) = &node.op {
            extra.mixture = Some(sets);
            sets += 1;
            let router = graph.nodes.iter().position(|other| other.output == node.inputs[1]);
            if let Some(router) = router.and_then(|router| program.get_mut(router)) {
                router.mixture = extra.mixture;
            }
        }
        program.push(extra);
    }
    linear::join(graph, &mut program);
    foresee::connect(graph, &mut program);
    program
}

/// What each layer of which a step needs a part works with.
fn choices(graph: &Graph, plan: &Plan) -> Result<Vec<Choice>, Error> {
    let mut choices = Vec::new();
    for (index, node) in graph.nodes.iter().enumerate() {
        let offset = plan.scratch(index).ok_or(Error::Unplanned { value: node.output.0 });
        if matches!(node.op, Op::Experts(_) | Op::Neurons(_)) {
            choices.extend(Choice::new(graph, node, &plan.bounds, offset?));
        }
    }
    Ok(choices)
}
