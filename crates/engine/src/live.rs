//! A budget that changes while a model runs: what does not fit any more is given back before the next token.
//!
//! What it is: a new placement of a loaded model, and the way there. What it is not: a new model; caches and the
//! conversation stay where they are, and answers are the same to the bit. The one design choice: a change happens between
//! two steps, when nothing is being computed and every read can be called back.

use crate::{Error, Model};
use ::memory::{ExpertStore, Residency, WeightStore};
use formats::ModelFile;
use graph::Graph;
use host::{FlashFile, Ledger};
use planner::{Fixed, Profile, Refusal, Request};
use std::sync::Arc;

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
        let (live, now) = (&self.live, &self.placement);
        let request = Request {
            graph: &live.graph,
            context: now.context,
            kv: now.kv,
            kv_rows: Some(now.kv_rows),
            logit_rows: live.logit_rows,
            budget: bytes,
            align: live.align,
            fixed: live.fixed,
        };
        let next = planner::adapt(&request, &live.file, now, &live.profile)?
            .map_err(|refusal| Error::Refused(Box::new(refusal)))?;
        // Until the change is done, both what was and what will be are within the account.
        live.ledger.set_budget(now.budget.max(bytes));
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
        for held in &mut self.reserved {
            let part = held.part();
            let all = live.ledger.lines()[part as usize].1;
            held.resize(next.bytes_of(part).saturating_sub(all - held.bytes())).map_err(host::Error::from)?;
        }
        live.ledger.set_budget(bytes);
        self.placement = next;
        Ok(())
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
