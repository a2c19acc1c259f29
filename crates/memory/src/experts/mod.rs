//! Experts: matrices of which a step needs a few, some kept in slots, the others passing through a window.
//!
//! What it is: the part of the weights that is known only in the step. The one design choice: the router's choice asks
//! for all that is missing at once, and what is missing passes through a window piece by piece, as dense weights do; it
//! is copied into a slot on its way if it is to be kept. So a budget too small for a single expert still works, and
//! nothing is read into memory that anybody looks at.

mod ahead;
mod cache;
mod sets;

pub use sets::{ExpertSet, ExpertSets, Piece};

use crate::Error;
use ahead::{Ahead, Early};
use cache::Cache;
use host::{Extent, FlashFile, Ledger, Part, Region, RunId, Stream, StreamOptions};
use kernels::KernelSet;
use std::collections::VecDeque;
use std::sync::Arc;

/// How experts are kept and read: a planner's decision.
#[derive(Clone, Debug)]
pub struct ExpertOptions {
    /// For each set, how many of its experts can be kept.
    pub slots: Vec<u32>,
    /// Bytes of the window for the others; used for loading too.
    pub window_bytes: u64,
    /// How the window is read.
    pub stream: StreamOptions,
}

/// What was asked of the experts so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpertStats {
    /// Experts that a step wanted and that were kept.
    pub hits: u64,
    /// Experts that a step wanted and that were read.
    pub misses: u64,
    /// Of those that were read, how many were stood in for by a coarser copy.
    pub stood_in: u64,
    /// Of those that were read, how many were on their way before they were wanted.
    pub foreseen: u64,
    /// Bytes that were asked for because they were foreseen, and not wanted then.
    pub vain_bytes: u64,
    /// Nanoseconds for which a step had nothing to do but wait for them.
    pub wait_nanos: u64,
}

/// The experts of one model while it runs.
pub struct ExpertStore {
    sets: Arc<ExpertSets>,
    files: Vec<Arc<FlashFile>>,
    /// What puts rows side by side.
    kernels: &'static KernelSet,
    caches: Vec<Cache>,
    /// For each set, where its slots begin in the region.
    bases: Vec<usize>,
    slots: Region,
    stream: Option<Stream>,
    step: Step,
    ahead: Ahead,
    /// Tokens of all steps that began.
    tokens: u64,
    /// Tokens before this step.
    before: u64,
    stats: ExpertStats,
}

/// An expert that a step wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Which.
    pub expert: u32,
    /// The last of the step's tokens that wants it.
    pub token: u32,
    /// Whether a coarser copy may stand in for it, if it is not here and there is one.
    pub weak: bool,
}

/// What the layer that is being computed wants.
#[derive(Default)]
struct Step {
    set: usize,
    /// Experts in the order in which they are to be taken, each with its slot.
    order: Vec<(u32, Option<u32>)>,
    /// By expert, whether it is still to be taken.
    pending: Vec<bool>,
    /// By expert, whether a coarser copy stands in for it.
    coarse: Vec<bool>,
    /// The next piece to ask for: an index into `order`, and a piece of that expert.
    next: (usize, usize),
    /// Reads asked for and not released, oldest first, each with how many pieces of it are not.
    queue: VecDeque<(RunId, usize)>,
    /// Room for the ranges of a read.
    extents: Vec<Extent>,
    /// The slot that the expert which is passing is copied to.
    filling: Option<u32>,
}

impl ExpertStore {
    /// Takes memory for the slots, and reads all experts if all can be kept.
    ///
    /// # Errors
    /// [`Error::Host`] if the ledger has no room or the disk fails.
    pub fn new(
        ledger: &Ledger,
        sets: Arc<ExpertSets>,
        files: Vec<Arc<FlashFile>>,
        options: &ExpertOptions,
    ) -> Result<ExpertStore, Error> {
        let (mut end, mut bases, mut caches) = (0, Vec::new(), Vec::new());
        for set in sets.iter() {
            bases.push(end);
            end += set.held_bytes(set.count) as usize;
            caches.push(Cache::new(set.count, 0));
        }
        let most = sets.iter().map(|set| set.count as usize).max().unwrap_or(0);
        let step = Step {
            order: Vec::with_capacity(most),
            pending: vec![false; most],
            coarse: vec![false; most],
            queue: VecDeque::with_capacity(options.stream.max_runs),
            extents: Vec::with_capacity(sets.most_extents()),
            ..Step::default()
        };
        let ahead = Ahead::new(sets.len(), most, options.stream.max_runs);
        let slots = Region::sparse(ledger, Part::Experts, end)?;
        let (stream, tokens, before, stats) = (None, 0, 0, ExpertStats::default());
        let mut store = ExpertStore {
            sets,
            files,
            kernels: kernels::best(),
            caches,
            bases,
            slots,
            stream,
            step,
            ahead,
            tokens,
            before,
            stats,
        };
        store.adapt(ledger, options)?;
        Ok(store)
    }

    /// Changes how many are kept, between steps: gives back the slots that go, and reads all experts if all can be kept.
    ///
    /// # Errors
    /// As [`ExpertStore::new`].
    pub fn adapt(&mut self, ledger: &Ledger, options: &ExpertOptions) -> Result<(), Error> {
        self.reset()?;
        self.stream = None;
        let sets = Arc::clone(&self.sets);
        for (index, (set, &slots)) in sets.iter().zip(&options.slots).enumerate() {
            let base = self.bases[index];
            if slots < self.caches[index].slots() {
                let range = base + set.held_bytes(slots) as usize..base + set.held_bytes(set.count) as usize;
                self.slots.give_back(range);
            }
            self.caches[index].resize(slots);
        }
        self.slots.hold(sets.held_bytes(&options.slots))?;
        let held = |((set, &slots), &base): ((&ExpertSet, &u32), &usize)| {
            base..base + set.held_bytes(slots) as usize
        };
        self.slots.allow_huge(sets.iter().zip(&options.slots).zip(&self.bases).map(held));
        let missing = |store: &ExpertStore| store.caches.iter().any(Cache::has_free);
        let all = sets.iter().zip(&options.slots).all(|(set, &slots)| slots >= set.count);
        if !sets.is_empty() && (!all || missing(self)) {
            let files = self.files.clone();
            self.stream = Some(Stream::new(ledger, files, options.window_bytes as usize, options.stream)?);
        }
        if all {
            (0..sets.len()).try_for_each(|set| self.load(set))?;
            self.stream = None; // nothing passes through it any more; its memory goes back
        }
        Ok(())
    }

    /// Bytes of heap that a store takes, however many experts it keeps, and whoever makes lists of which rows want whom.
    pub fn heap_bytes(sets: &ExpertSets) -> u64 {
        let lists = |set: &ExpertSet| u64::from(set.count) * 5 * size_of::<u32>() as u64;
        let caches = sets.iter().map(|set| Cache::heap_bytes(set.count) + lists(set) + Ahead::heap_bytes());
        let most = sets.iter().map(|set| u64::from(set.count)).max().unwrap_or(0);
        caches.sum::<u64>() + most * size_of::<(u32, Option<u32>, bool, bool, u32)>() as u64
    }

    /// Gives all memory back; no step is possible any more.
    pub fn unload(&mut self) {
        self.stream = None;
        self.caches.iter_mut().for_each(|cache| cache.resize(0));
        let all = 0..self.slots.len();
        self.slots.give_back(all);
        let _ = self.slots.hold(0); // less is never refused
    }

    /// Reads the experts of a set that are not here, in the order of the file; there is a slot for each.
    fn load(&mut self, set: usize) -> Result<(), Error> {
        let sets = Arc::clone(&self.sets);
        let (description, base) = (sets.get(set), self.bases[set]);
        let cache = &mut self.caches[set];
        let missing: Vec<u32> = (0..description.count).filter(|&e| cache.slot(e).is_none()).collect();
        let places: Vec<u32> = cache.free().collect();
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let mut todo = (0..description.matrices()).flat_map(|matrix| {
            let pieces = description.pieces.iter().filter(move |piece| piece.matrix == matrix);
            let experts = missing.iter().zip(&places);
            experts.flat_map(move |(&e, &slot)| pieces.clone().map(move |piece| (e, slot, piece)))
        });
        let mut next = todo.next();
        let mut asked = VecDeque::new();
        loop {
            while let Some((e, slot, piece)) = next {
                let extent = description.extent(e, piece);
                let Some(id) = stream.push(&[extent])? else { break };
                asked.push_back((id, slot, piece, extent));
                next = todo.next();
            }
            let Some((id, slot, piece, extent)) = asked.pop_front() else { break };
            stream.wait(id)?;
            let bytes = stream.bytes(id, extent.file, extent.offset, extent.len);
            let bytes = bytes.ok_or(Error::OutOfOrder { run: slot, next: None })?;
            let at = base + (u64::from(slot) * description.slot_bytes + piece.in_slot) as usize;
            piece.put(self.kernels, bytes, &mut self.slots.as_mut_bytes()[at..at + bytes.len()]);
            stream.release(id);
        }
        missing.iter().zip(&places).for_each(|(&e, &slot)| self.caches[set].put(e, slot));
        Ok(())
    }

    /// Starts a step of so many tokens.
    pub fn begin(&mut self, tokens: usize) {
        self.before = self.tokens;
        self.tokens += tokens as u64;
    }

    /// Whether steps may read from flash.
    pub fn streams(&self) -> bool {
        self.stream.is_some()
    }

    /// Says which experts of a set the step wants, ascending, and asks for those that are not here. If `any_order`, those that are here are to be taken first.
    ///
    /// # Errors
    /// If the system does not take the reads.
    pub fn choose(&mut self, set: usize, wanted: &[Wanted], any_order: bool) -> Result<(), Error> {
        let (cache, step) = (&mut self.caches[set], &mut self.step);
        let has_stand_ins = self.sets.get(set).stand_in.is_some();
        step.set = set;
        step.order.clear();
        step.next = (0, 0);
        for &Wanted { expert, token, weak } in wanted {
            let slot = cache.slot(expert);
            let coarse = weak && slot.is_none() && has_stand_ins;
            step.order.push((expert, slot));
            step.pending[expert as usize] = true;
            step.coarse[expert as usize] = coarse;
            if !coarse {
                cache.want(expert, self.before + u64::from(token));
            }
            self.stats.hits += u64::from(slot.is_some());
            self.stats.misses += u64::from(slot.is_none());
            self.stats.stood_in += u64::from(coarse);
        }
        if step.order.iter().any(|&(expert, slot)| slot.is_none() && !step.coarse[expert as usize]) {
            cache.settle();
        }
        if any_order {
            let Step { order, coarse, .. } = step;
            // Those that are on their way come first, in the order in which they were asked for.
            let rank = |expert: u32| match coarse[expert as usize] {
                true => usize::MAX,
                false => self.ahead.rank(set, expert),
            };
            order.sort_unstable_by_key(|&(expert, slot)| {
                (slot.is_none(), if slot.is_none() { rank(expert) } else { 0 }, expert)
            });
        }
        self.take_over(any_order);
        self.fill()
    }

    /// Says which experts of a set the step is likely to want, the likeliest first. Those that are not here are asked for as
    /// soon as there is room that the present layer does not need.
    ///
    /// # Errors
    /// If the system does not take the reads.
    pub fn foresee(&mut self, set: usize, likely: &[u32]) -> Result<(), Error> {
        self.drop_foreseen();
        let cache = &self.caches[set];
        self.ahead.expect(set, likely.iter().copied().filter(|&expert| cache.slot(expert).is_none()));
        self.fill()
    }

    /// Makes what was foreseen and is wanted the first that is taken of those that are not here, and drops the rest.
    fn take_over(&mut self, any_order: bool) {
        let (Some(stream), step) = (&mut self.stream, &mut self.step) else { return };
        let here = any_order && self.ahead.set == step.set;
        let set = self.sets.get(self.ahead.set);
        for Early { id, expert, pieces } in self.ahead.queue.drain(..) {
            if here && step.pending[expert as usize] && !step.coarse[expert as usize] {
                step.queue.push_back((id, pieces.len()));
                self.stats.foreseen += u64::from(pieces.start == 0);
                let at = step.order.iter().position(|&(other, _)| other == expert).unwrap_or(0);
                step.next = (at, pieces.end);
            } else {
                stream.release(id);
                self.stats.vain_bytes += set.bytes_of(pieces);
            }
        }
        self.ahead.learn(step.set, |expert| step.pending[expert as usize]);
    }

    /// Drops what was foreseen.
    fn drop_foreseen(&mut self) {
        let Some(stream) = &mut self.stream else { return };
        let set = self.sets.get(self.ahead.set);
        for Early { id, pieces, .. } in self.ahead.queue.drain(..) {
            stream.release(id);
            self.stats.vain_bytes += set.bytes_of(pieces);
        }
        self.ahead.clear();
    }

    /// Whether an expert of a set is in memory.
    pub fn is_kept(&self, set: usize, expert: u32) -> bool {
        self.caches[set].slot(expert).is_some()
    }

    /// How many experts the step wants of this set.
    pub fn chosen(&self) -> usize {
        self.step.order.len()
    }

    /// The expert that is to be taken as number `at`.
    pub fn expert(&self, at: usize) -> u32 {
        self.step.order[at].0
    }

    /// Asks for pieces until the window is full.
    fn fill(&mut self) -> Result<(), Error> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        let step = &mut self.step;
        while let Some(&(expert, slot)) = step.order.get(step.next.0) {
            let coarse = step.coarse[expert as usize];
            let set = kind(&self.sets, step.set, coarse);
            if slot.is_some() || step.next.1 == set.pieces.len() {
                step.next = (step.next.0 + 1, 0);
                continue;
            }
            let alike = |other: u32| step.coarse[other as usize] == coarse;
            let pieces = set.read(&step.order, step.next, alike, &mut step.extents);
            let Some(id) = stream.push(&step.extents)? else { return Ok(()) };
            step.queue.push_back((id, pieces));
            match pieces {
                1 => step.next.1 += 1,
                _ => step.next.0 += pieces / set.pieces.len(),
            }
        }
        let ahead = &mut self.ahead;
        let set = self.sets.get(ahead.set);
        while let Some((expert, first)) = ahead.next(set.pieces.len()) {
            let pieces = set.read(&[(expert, None)], (0, first), |_| true, &mut step.extents);
            let Some(id) = stream.push(&step.extents)? else { return Ok(()) };
            ahead.asked(Early { id, expert, pieces: first..first + pieces });
        }
        Ok(())
    }

    /// Waits until a piece of the expert that is number `at` is in memory. Experts and pieces are to be asked for in order.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn acquire(&mut self, at: usize) -> Result<(), Error> {
        if self.step.order[at].1.is_some() {
            return Ok(());
        }
        if self.step.queue.is_empty() {
            self.fill()?;
        }
        match (&mut self.stream, self.step.queue.front()) {
            (Some(stream), Some(&(id, _))) => Ok(stream.wait(id)?),
            _ => Err(Error::OutOfOrder { run: at as u32, next: None }),
        }
    }

    /// The experts that number `at` is one of: those of the layer, or those that stand in for them.
    fn kind_of(&self, at: usize) -> &ExpertSet {
        kind(&self.sets, self.step.set, self.step.coarse[self.step.order[at].0 as usize])
    }

    /// The pieces of the expert that is to be taken as number `at`: its matrices if it is kept, else what is read of them.
    pub fn pieces(&self, at: usize) -> &[Piece] {
        match self.step.order[at] {
            (_, Some(_)) => &self.sets.get(self.step.set).whole,
            _ => &self.kind_of(at).pieces,
        }
    }

    /// Whether the rows of a piece lie sixteen side by side: its expert is kept.
    pub fn in_panels(&self, at: usize, piece: usize) -> bool {
        self.step.order[at].1.is_some() && self.pieces(at)[piece].panels
    }

    /// The bytes of an acquired piece: whole rows as they lie in the file, or [`ExpertStore::in_panels`].
    ///
    /// # Errors
    /// If it was not acquired.
    pub fn bytes(&self, at: usize, piece: usize) -> Result<&[u8], Error> {
        let (expert, slot) = self.step.order[at];
        let place = &self.pieces(at)[piece];
        if slot.is_some() {
            return Ok(&self.slots.as_bytes()[self.place(slot, place)..][..place.bytes as usize]);
        }
        let extent = self.kind_of(at).extent(expert, place);
        let streamed = self
            .stream
            .as_ref()
            .zip(self.step.queue.front())
            .and_then(|(stream, &(id, _))| stream.bytes(id, extent.file, extent.offset, extent.len));
        streamed.ok_or(Error::OutOfOrder { run: at as u32, next: None })
    }

    /// The bytes of a piece, if its expert is kept.
    pub fn kept(&self, at: usize, piece: usize) -> Option<(&[u8], &Piece)> {
        let &(_, slot) = self.step.order.get(at)?;
        let place = self.pieces(at).get(piece).filter(|_| slot.is_some())?;
        Some((&self.slots.as_bytes()[self.place(slot, place)..][..place.bytes as usize], place))
    }

    /// Where a piece lies in the region of the slots.
    fn place(&self, slot: Option<u32>, piece: &Piece) -> usize {
        let set = self.sets.get(self.step.set);
        let slot = u64::from(slot.unwrap_or(0));
        self.bases[self.step.set] + (slot * set.slot_bytes + piece.in_slot) as usize
    }

    /// Says that a piece is done with: it is copied if its expert is to be kept, and its room is free for the next read.
    ///
    /// # Errors
    /// If the system does not take the next reads.
    pub fn release(&mut self, at: usize, piece: usize) -> Result<(), Error> {
        let (expert, slot) = self.step.order[at];
        let last = piece + 1 == self.pieces(at).len();
        if slot.is_none() {
            if !self.step.coarse[expert as usize] {
                self.keep(at, piece, last)?;
            }
            if let (Some(stream), Some((id, pieces))) = (&mut self.stream, self.step.queue.front_mut()) {
                *pieces -= 1;
                if *pieces == 0 {
                    stream.release(*id);
                    self.step.queue.pop_front();
                    self.fill()?;
                }
            }
        }
        if last {
            self.step.pending[expert as usize] = false;
        }
        Ok(())
    }

    /// Copies a piece that passes through the window into a slot, if its expert is to be kept.
    fn keep(&mut self, at: usize, piece: usize, last: bool) -> Result<(), Error> {
        let (expert, _) = self.step.order[at];
        let (set, cache) = (self.step.set, &mut self.caches[self.step.set]);
        if piece == 0 {
            let pending = &self.step.pending;
            self.step.filling =
                cache.keeps(expert).then(|| cache.make_room(|other| pending[other as usize])).flatten();
        }
        let Some(slot) = self.step.filling else { return Ok(()) };
        let place = self.sets.get(set).pieces[piece];
        let to = self.place(Some(slot), &place);
        let extent = self.sets.get(set).extent(expert, &place);
        let (Some(stream), Some(&(id, _))) = (&self.stream, self.step.queue.front()) else { return Ok(()) };
        if let Some(bytes) = stream.bytes(id, extent.file, extent.offset, extent.len) {
            place.put(self.kernels, bytes, &mut self.slots.as_mut_bytes()[to..to + bytes.len()]);
        }
        if last {
            self.caches[set].put(expert, slot);
        }
        Ok(())
    }

    /// Forgets what was asked for, after a step that did not end.
    ///
    /// # Errors
    /// If the reader broke for good.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.step.queue.clear();
        self.step.order.clear();
        self.ahead.clear();
        self.step.pending.fill(false);
        match &mut self.stream {
            Some(stream) => Ok(stream.reset()?),
            None => Ok(()),
        }
    }

    /// What they are made of.
    pub fn sets(&self) -> &ExpertSets {
        &self.sets
    }

    /// What was asked so far.
    pub fn stats(&self) -> ExpertStats {
        let wait_nanos = self.stream.as_ref().map_or(0, |stream| stream.stats().wait_nanos);
        ExpertStats { wait_nanos, ..self.stats }
    }
}

/// The experts of a set, or those that stand in for them.
fn kind(sets: &ExpertSets, set: usize, coarse: bool) -> &ExpertSet {
    let set = sets.get(set);
    set.stand_in.as_deref().filter(|_| coarse).unwrap_or(set)
}
