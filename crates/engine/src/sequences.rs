//! What a model remembers: the sequences of those who are being answered, and of those who were.
//!
//! What it is: caches of keys and values that come and go within the bytes that the placement gives them. What it is not:
//! a number of slots; a short request takes few bytes. The one design choice: a sequence that is done stays until its bytes
//! are wanted, so whoever begins with the same text goes on where it ended, or gets a copy of what they share.

use crate::{Error, Model};
use ::memory::KvCache;
use host::Part;
use runtime::Sequence;

/// A sequence that a model holds, beside its cache.
pub(crate) struct Held {
    /// Its name, which nobody else gets.
    pub name: u64,
    /// Ids that it holds.
    pub ids: Vec<u32>,
    /// Whether it is being answered.
    busy: bool,
    /// When it was wanted last.
    wanted: u64,
    /// Bytes of its cache.
    bytes: u64,
}

/// Who holds what of the ids that are asked for.
#[derive(Clone, Copy, Default)]
struct Source {
    /// `None` if nobody has any.
    at: Option<usize>,
    /// Ids that are the same and can be had.
    len: usize,
}

impl Model {
    /// Bytes that all sequences may hold.
    pub(crate) fn sequence_room(&self) -> u64 {
        let placement = &self.placement;
        let planned = placement.bytes_of(Part::State);
        if !self.live.shares {
            return planned;
        }
        let left = placement.budget.saturating_sub(placement.peak());
        planned + left - left / 128 // which pays for page tables, too
    }

    /// Bytes that all sequences hold.
    pub(crate) fn sequence_bytes(&self) -> u64 {
        self.held.iter().map(|held| held.bytes).sum()
    }

    /// Bytes of a sequence of `tokens`.
    fn bytes_for(&self, tokens: u32) -> u64 {
        let (placement, page) = (&self.placement, host::page_size() as u64);
        let bytes = KvCache::bytes(&self.live.graph, placement.kv, tokens, placement.kv_rows);
        bytes.max(1).next_multiple_of(page)
    }

    /// Where the sequence of that name is.
    pub(crate) fn place_of(&self, name: u64) -> usize {
        self.held.iter().position(|held| held.name == name).unwrap_or(usize::MAX)
    }

    /// A sequence for `ids` with room for `tokens`, and how many of the ids it holds already, never the last, whose logits
    /// choose the next. `None` as long as others who are being answered leave no room for it.
    pub(crate) fn take_sequence(&mut self, ids: &[u32], tokens: u32) -> Result<Option<(u64, usize)>, Error> {
        let tokens = tokens.min(self.context());
        let bytes = self.bytes_for(tokens);
        let busy: u64 = self.held.iter().filter(|held| held.busy).map(|held| held.bytes).sum();
        if busy + bytes > self.sequence_room() {
            return Ok(None);
        }
        let mut source = self.longest_common(ids);
        // Most conversations begin alike; that is no reason to forget the rest of another's.
        let goes_on = |at: &usize| self.is_free(*at, bytes) && 2 * source.len >= self.held[*at].ids.len();
        let target = match source.at.filter(goes_on) {
            Some(at) => at,
            None => match self.new_sequence(tokens, bytes, &mut source)? {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        if let Some(from) = source.at.filter(|&from| from != target) {
            if let Ok([from, to]) = self.sequences.get_disjoint_mut([from, target]) {
                to.cache.copy_from(&from.cache, source.len as u32);
            }
            self.held[target].ids.clear();
            let shared = ids[..source.len].iter();
            self.held[target].ids.extend(shared);
        }
        self.sequences[target].context = tokens;
        self.sequences[target].len = source.len as u32;
        let (now, held) = (self.tick(), &mut self.held[target]);
        held.ids.truncate(source.len);
        held.ids.reserve_exact(tokens as usize - source.len);
        (held.busy, held.wanted) = (true, now);
        Ok(Some((held.name, source.len)))
    }

    /// The sequence is not being answered any more; what it holds may be of use.
    pub(crate) fn leave_sequence(&mut self, name: u64) {
        let now = self.tick();
        if let Some(held) = self.held.iter_mut().find(|held| held.name == name) {
            (held.busy, held.wanted) = (false, now);
        }
    }

    /// A sequence of the whole context as number 0, for those who work with one by themselves.
    pub(crate) fn own_sequence(&mut self) -> Result<(), Error> {
        let bytes = self.bytes_for(self.context());
        if self.held.first().is_none_or(|held| held.bytes < bytes) {
            self.sequences.clear();
            self.held.clear();
            self.push_sequence(self.context(), bytes)?;
        }
        self.sequences[0].context = self.context();
        Ok(())
    }

    /// Forgets sequences that nobody is being answered from until those that are left are within the plan; gives the bytes
    /// beyond it that are in use.
    pub(crate) fn forget_beyond_plan(&mut self) -> u64 {
        let planned = self.placement.bytes_of(Part::State);
        while self.sequence_bytes() > planned && self.forget_one(None) {}
        self.sequence_bytes().saturating_sub(planned)
    }

    /// Forgets sequences that nobody is being answered from until the rest is within what they may have.
    pub(crate) fn forget_beyond_room(&mut self) {
        while self.sequence_bytes() > self.sequence_room() && self.forget_one(None) {}
    }

    /// The sequence that holds the most of the beginning of `ids`; of several, one that is idle.
    fn longest_common(&self, ids: &[u32]) -> Source {
        let most = ids.len().saturating_sub(1);
        let mut best = Source::default();
        for (at, (sequence, held)) in self.sequences.iter().zip(&self.held).enumerate() {
            let same = held.ids.iter().zip(ids).take_while(|(a, b)| a == b).count().min(most);
            let same = if self.executor.can_rewind(sequence, same as u32) { same } else { 0 };
            let idler = !held.busy && best.at.is_some_and(|at| self.held[at].busy);
            if same > best.len || (same > 0 && same == best.len && idler) {
                best = Source { at: Some(at), len: same };
            }
        }
        best
    }

    /// Room for a sequence of `bytes`: free, or another's that is idle, that of `source` last of all.
    fn new_sequence(&mut self, tokens: u32, bytes: u64, source: &mut Source) -> Result<Option<usize>, Error> {
        let room = self.sequence_room();
        while self.sequence_bytes() + bytes > room {
            // One of just that size is as good as a new one.
            let same = |at: &usize| self.is_free(*at, bytes) && self.held[*at].bytes == bytes;
            let same = (0..self.held.len()).filter(|at| same(at) && source.at != Some(*at));
            if let Some(at) = same.min_by_key(|&at| self.held[at].wanted) {
                return Ok(Some(at));
            }
            let spared = source.at.map(|at| self.held[at].name);
            if !self.forget_one(spared) {
                if let Some(at) = source.at.filter(|&at| self.is_free(at, bytes)) {
                    return Ok(Some(at));
                }
                *source = Source::default();
                if !self.forget_one(None) {
                    return Ok(None);
                }
            }
            // Whoever was the last has another place now.
            source.at = spared.and_then(|name| self.held.iter().position(|held| held.name == name));
            source.len = if source.at.is_some() { source.len } else { 0 };
        }
        match self.push_sequence(tokens, bytes) {
            Ok(()) => Ok(Some(self.held.len() - 1)),
            // Somebody else in this process holds what was free.
            Err(error) if matches!(error.trouble(), crate::Trouble::Budget) => {
                *source = Source::default();
                if self.forget_one(None) { self.new_sequence(tokens, bytes, source) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nobody is being answered from a sequence that has room for `bytes`.
    fn is_free(&self, at: usize, bytes: u64) -> bool {
        !self.held[at].busy && self.held[at].bytes >= bytes
    }

    fn push_sequence(&mut self, tokens: u32, bytes: u64) -> Result<(), Error> {
        let (live, placement) = (&self.live, &self.placement);
        let cache = KvCache::new(&live.ledger, &live.graph, placement.kv, tokens, placement.kv_rows)?;
        let (name, ids) = (self.tick(), Vec::new());
        self.sequences.push(Sequence::new(cache, tokens));
        self.held.push(Held { name, ids, busy: false, wanted: name, bytes });
        Ok(())
    }

    /// Forgets the sequence that was wanted the longest ago, of those that nobody is being answered from.
    fn forget_one(&mut self, spared: Option<u64>) -> bool {
        let idle = |at: &usize| !self.held[*at].busy && Some(self.held[*at].name) != spared;
        let oldest = (0..self.held.len()).filter(idle).min_by_key(|&at| self.held[at].wanted);
        oldest.inspect(|&at| {
            self.sequences.swap_remove(at);
            self.held.swap_remove(at);
        });
        oldest.is_some()
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}
