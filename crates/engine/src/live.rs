//! A budget that changes while a model runs: what does not fit any more is given back before the next token.
//!
//! What it is: a new placement of a loaded model, and the way there. What it is not: a new model; caches and the
//! conversation stay where they are, and answers are the same to the bit. The one design choice: a change happens between
//! two steps, when nothing is being computed and every read can be called back.

use crate::load::ONCE;
use crate::{Error, Model};
use ::memory::{ExpertStore, Residency, WeightStore};
use formats::ModelFile;
use graph::Graph;
use host::{FlashFile, Ledger, Reservation};
use planner::{Fixed, Forecast, Placement, Profile, Refusal, Request};
use runtime::Executor;
use std::sync::Arc;

/// A budget that leaves nothing to wish for.
const ENDLESS: u64 = 1 << 60;

/// Where a loaded model lies, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The smallest budget that it runs in as it is loaded.
    pub least: u64,
    /// The largest that is of use to its weights; beyond that are only keys and values of more sequences.
    pub most: u64,
    /// Weights that stay in memory.
    pub resident: u64,
    /// Weights that every step reads; of experts, those that it meets.
    pub streamed: u64,
    /// How fast it was foretold to be.
    pub forecast: Forecast,
}

/// What a change of the budget needs to know of the engine and of the file.
pub(crate) struct Live {
    pub ledger: Ledger,
    pub profile: Profile,
    pub graph: Arc<Graph>,
    pub file: ModelFile,
    pub files: Vec<Arc<FlashFile>>,
    pub fixed: Fixed,
    pub align: usize,
    pub logit_rows: u32,
    /// Whether sequences may have what the placement leaves of the budget, too.
    pub shares: bool,
}

/// A line of the account that nobody else holds.
pub(crate) struct Reserved {
    pub held: Reservation,
    /// Bytes of the line that are held by a part of the model itself, or shared with another.
    pub elsewhere: u64,
}

/// A refusal of `budget`, of which those who are being answered keep `beyond`.
fn beside(refusal: Refusal, budget: u64, beyond: u64) -> Error {
    Error::Refused(Box::new(Refusal { needed: refusal.needed + beyond, budget, ..refusal }))
}

/// Changes the budget of `ledger` to `bytes` if `change` is not refused.
pub(crate) fn change_budget(
    ledger: &Ledger,
    bytes: u64,
    change: impl FnOnce() -> Result<(), Error>,
) -> Result<(), Error> {
    let before = ledger.budget();
    // Until the change is done, both what was and what will be are within the account.
    ledger.set_budget(before.max(bytes));
    let changed = change();
    ledger.set_budget(if matches!(changed, Err(Error::Refused(_))) { before } else { bytes });
    changed
}

/// Puts everything where `next` has it; `anew` says that its weights are cut in another way than they were.
fn lie(
    next: &Placement,
    anew: bool,
    live: &Live,
    executor: &mut Executor,
    reserved: &mut [Reserved],
) -> Result<(), Error> {
    // What gives back goes first.
    for Reserved { held, elsewhere } in &mut *reserved {
        let bytes = next.bytes_of(held.part()).saturating_sub(*elsewhere);
        held.resize(bytes.min(held.bytes())).map_err(host::Error::from)?;
    }
    let residency = Residency {
        tiling: Arc::clone(&next.tiling),
        resident: &next.resident,
        window_bytes: next.window_bytes,
        options: next.stream,
    };
    if anew {
        // Two lists of tiles for a moment, and two tables of who is kept.
        executor.reload(&live.ledger, &next.plan, |graph| {
            let (ledger, files, sets) = (&live.ledger, &live.files, Arc::clone(&next.experts));
            let store = WeightStore::new(ledger, graph, &live.file, files.clone(), residency)?;
            Ok((store, ExpertStore::new(ledger, sets, files.clone(), &next.expert_options)?))
        })?;
    } else {
        executor.adapt(&live.ledger, &next.plan, residency, &next.expert_options)?;
    }
    for Reserved { held, elsewhere } in reserved {
        let bytes = next.bytes_of(held.part()).saturating_sub(*elsewhere);
        held.resize(bytes).map_err(host::Error::from)?;
    }
    Ok(())
}

/// Who may change the budget while a model answers; see [`Model::follow`].
pub trait BudgetSource: Send {
    /// The budget that is wanted from now on, in bytes, if it has changed. Asked before every step, so it should be quick.
    fn wanted(&mut self) -> Option<u64>;

    /// The model cannot run in the budget that was wanted, and keeps the one that it had.
    fn refused(&mut self, _refusal: &Refusal) {}
}

impl Model {
    /// Changes the budget to `bytes`, at once: the memory of what cannot stay goes back to the system, or what can stay
    /// again is read. The conversation is kept, and answers do not change.
    ///
    /// # Errors
    /// [`Error::Refused`] if the model cannot run in so little, with nothing changed; otherwise what the disk said.
    pub fn set_memory(&mut self, bytes: u64) -> Result<(), Error> {
        let ledger = self.live.ledger.clone();
        change_budget(&ledger, bytes, || self.shrink(bytes))
    }

    /// As [`Model::fit`], without what is held for grammars if that is what it takes.
    pub(crate) fn shrink(&mut self, bytes: u64) -> Result<(), Error> {
        match self.fit(bytes) {
            Err(Error::Refused(_)) if self.forget_grammars() => self.fit(bytes),
            fitted => fitted,
        }
    }

    /// Whether the model can run in `bytes`, with those who are being answered; nothing changes.
    ///
    /// # Errors
    /// [`Error::Refused`] if it cannot.
    pub(crate) fn check_fit(&mut self, bytes: u64) -> Result<(), Error> {
        let beyond = self.forget_beyond_plan();
        let placed = self.placed_in(bytes.saturating_sub(beyond))?;
        placed.map(|_| ()).map_err(|refusal| beside(refusal, bytes, beyond))
    }

    /// The model has no more than `bytes` from now on, which its placement fits; sequences beyond that are forgotten.
    pub(crate) fn confine(&mut self, bytes: u64) {
        self.placement.budget = bytes;
        self.forget_beyond_room();
    }

    /// Bytes that are in the account once, however many models run.
    pub(crate) fn bytes_once(&self) -> u64 {
        ONCE.iter().map(|part| self.placement.bytes_of(*part)).sum()
    }

    /// Lets go of what is in the account once, which somebody else holds from now on.
    pub(crate) fn give_once(&mut self) -> Vec<Reservation> {
        let of_all = |ours: &mut Reserved| ONCE.contains(&ours.held.part());
        self.reserved.extract_if(.., of_all).map(|ours| ours.held).collect()
    }

    /// Places the model anew in `bytes` of a budget that stays what it is; what [`Model::set_memory`] says holds.
    pub(crate) fn fit(&mut self, bytes: u64) -> Result<(), Error> {
        let beyond = self.forget_beyond_plan();
        let next = self.placed_in(bytes.saturating_sub(beyond))?.map_err(|refusal| {
            // Whoever is being answered keeps what he holds.
            let needed = refusal.needed + beyond;
            Error::Refused(Box::new(Refusal { needed, budget: bytes, ..refusal }))
        })?;
        let to = if self.reads() { next.while_reading() } else { &next };
        let anew = !Arc::ptr_eq(&next.tiling, &self.placement.tiling);
        lie(to, anew, &self.live, &mut self.executor, &mut self.reserved)?;
        self.placement = Placement { budget: bytes, ..next };
        Ok(())
    }

    /// Whether it lies as it is best while a prompt is read.
    pub(crate) fn reads(&self) -> bool {
        self.executor.bounds().rows > self.placement.bounds.rows
    }

    /// Lies, from the next step on, as it is best for steps of so many rows.
    ///
    /// # Errors
    /// What the disk said.
    pub(crate) fn make_way(&mut self, rows: usize) -> Result<(), Error> {
        let reads = self.placement.reading.is_some() && rows > self.placement.bounds.rows as usize;
        if reads != self.reads() {
            let (answering, reading) = (&self.placement, self.placement.while_reading());
            let [from, to] = if reads { [answering, reading] } else { [reading, answering] };
            let mut go = |to| lie(to, false, &self.live, &mut self.executor, &mut self.reserved);
            match go(to) {
                // Somebody else in this process has what was free for a while: then it stays where it was.
                Err(error) if error.trouble() == crate::Trouble::Budget => return go(from),
                lain => lain?,
            }
        }
        Ok(())
    }

    /// Where the model as it is loaded would lie in `bytes`, or why it does not fit.
    fn placed_in(&self, bytes: u64) -> Result<Result<Placement, Refusal>, Error> {
        let (live, now) = (&self.live, &self.placement);
        let request = Request {
            graph: &live.graph,
            context: now.context,
            sequences: now.sequences,
            kv: now.kv,
            kv_rows: Some(now.kv_rows),
            logit_rows: live.logit_rows,
            budget: bytes,
            align: live.align,
            fixed: live.fixed,
        };
        Ok(planner::adapt(&request, &live.file, now, &live.profile)?)
    }

    /// The least that the model runs in as it is loaded, bytes.
    pub(crate) fn least(&self) -> Result<u64, Error> {
        Ok(self.placed_in(0)?.map_or_else(|refusal| refusal.needed, |placement| placement.peak()))
    }

    /// As [`Model::least`], with what those hold who are being answered.
    pub(crate) fn least_now(&mut self) -> Result<u64, Error> {
        let beyond = self.forget_beyond_plan();
        Ok(self.least()? + beyond)
    }

    /// The most that it would use of a budget, bytes.
    pub(crate) fn most(&self, budget: u64) -> Result<u64, Error> {
        Ok(self.placed_in(budget)?.map_or(0, |placement| placement.peak()))
    }

    /// Where it lies.
    pub(crate) fn standing(&self) -> Result<Standing, Error> {
        let placement = &self.placement;
        Ok(Standing {
            least: self.least()?,
            most: self.most(ENDLESS)?,
            resident: placement.resident_bytes(),
            streamed: placement.streamed_bytes(),
            forecast: placement.forecast,
        })
    }

    /// Asks `source` for a new budget before every step from now on.
    pub fn follow(&mut self, source: impl BudgetSource + 'static) {
        self.source = Some(Box::new(source));
    }

    /// Changes the budget if somebody wants that.
    pub(crate) fn follow_budget(&mut self) -> Result<(), Error> {
        let Some(mut source) = self.source.take() else { return Ok(()) };
        let changed = match source.wanted() {
            None => Ok(()),
            Some(bytes) => match self.set_memory(bytes) {
                Err(Error::Refused(refusal)) => {
                    source.refused(&refusal);
                    Ok(())
                }
                other => other,
            },
        };
        self.source = Some(source);
        changed
    }
}
