//! A budget that changes while a model runs: what does not fit any more is given back before the next token.
//!
//! What it is: a new placement of a loaded model, and the way there. What it is not: a new model; caches and the
//! conversation stay where they are, and answers are the same to the bit. The one design choice: a change happens between
//! two steps, when nothing is being computed and every read can be called back.

use crate::{Error, Model};
use ::memory::{ExpertStore, Residency, WeightStore};
use formats::ModelFile;
use graph::Graph;
use host::{FlashFile, Ledger, Reservation};
use planner::{Fixed, Forecast, Placement, Profile, Refusal, Request};
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
        let (ledger, before) = (self.live.ledger.clone(), self.live.ledger.budget());
        // Until the change is done, both what was and what will be are within the account.
        ledger.set_budget(before.max(bytes));
        let mut changed = self.fit(bytes);
        if matches!(changed, Err(Error::Refused(_))) && self.forget_grammars() {
            changed = self.fit(bytes);
        }
        ledger.set_budget(if matches!(changed, Err(Error::Refused(_))) { before } else { bytes });
        changed
    }

    /// Places the model anew in `bytes` of a budget that stays what it is; what [`Model::set_memory`] says holds.
    pub(crate) fn fit(&mut self, bytes: u64) -> Result<(), Error> {
        let beyond = self.forget_beyond_plan();
        let (live, now) = (&self.live, &self.placement);
        let next = self.placed_in(bytes.saturating_sub(beyond))?.map_err(|refusal| {
            // Whoever is being answered keeps what he holds.
            let needed = refusal.needed + beyond;
            Error::Refused(Box::new(Refusal { needed, budget: bytes, ..refusal }))
        })?;
        let residency = Residency {
            tiling: Arc::clone(&next.tiling),
            resident: &next.resident,
            window_bytes: next.window_bytes,
            options: next.stream,
        };
        if Arc::ptr_eq(&next.tiling, &now.tiling) {
            self.executor.adapt(&live.ledger, &next.plan, residency, &next.expert_options)?;
        } else {
            // Two lists of tiles for a moment, and two tables of who is kept.
            self.executor.reload(&live.ledger, &next.plan, |graph| {
                let (ledger, files, sets) = (&live.ledger, &live.files, Arc::clone(&next.experts));
                let store = WeightStore::new(ledger, graph, &live.file, files.clone(), residency)?;
                Ok((store, ExpertStore::new(ledger, sets, files.clone(), &next.expert_options)?))
            })?;
        }
        for Reserved { held, elsewhere } in &mut self.reserved {
            let bytes = next.bytes_of(held.part()).saturating_sub(*elsewhere);
            held.resize(bytes).map_err(host::Error::from)?;
        }
        self.placement = Placement { budget: bytes, ..next };
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
