//! What a model remembers: the sequences of those who are being answered, and of those who were.
//!
//! What it is: caches of keys and values that come, grow and go within the bytes that the placement gives them. What it is not:
//! a number of slots; a sequence takes what it holds, not what it may come to. The one design choice: a sequence that is done
//! stays until its bytes are wanted, so whoever begins with the same text goes on where it ended, or gets a copy of what they
//! share.

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
    /// Tokens that it may come to.
    most: u32,
    /// Bytes that its cache holds.
    bytes: u64,
}

/// What somebody wants to hold, tokens.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish {
    /// At once.
    pub now: u32,
    /// On the way, as is likely.
    pub likely: u32,
    /// In the end at most.
    pub most: u32,
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

    /// Bytes of a sequence that holds `tokens` of `most`.
    fn bytes_for(&self, most: u32, tokens: u32) -> u64 {
        let (placement, graph) = (&self.placement, &self.live.graph);
        KvCache::bytes_of(graph, placement.kv, most, placement.kv_rows, tokens)
    }

    /// Bytes that a sequence is likely to come to.
    pub(crate) fn likely_bytes(&self, name: u64, likely: u32) -> u64 {
        self.held.get(self.place_of(name)).map_or(0, |held| self.bytes_for(held.most, likely).max(held.bytes))
    }

    /// Where the sequence of that name is.
    pub(crate) fn place_of(&self, name: u64) -> usize {
        self.held.iter().position(|held| held.name == name).unwrap_or(usize::MAX)
    }

    /// A sequence for `ids` with what is wished for, and how many of the ids it holds already, never the last, whose logits
    /// choose the next. `None` as long as others who are being answered, and are likely to come to `others` bytes, leave no
    /// room for it.
    pub(crate) fn take_sequence(
        &mut self,
        ids: &[u32],
        wish: Wish,
        others: u64,
    ) -> Result<Option<(u64, usize)>, Error> {
        let most = wish.most.min(self.context());
        let (now, likely) = (wish.now.min(most), wish.likely.clamp(wish.now.min(most), most));
        if others + self.bytes_for(most, likely) > self.sequence_room() {
            return Ok(None);
        }
        let mut source = self.longest_common(ids);
        // Most conversations begin alike; that is no reason to forget the rest of another's.
        let goes_on = |at: &usize| self.is_free(*at, most) && 2 * source.len >= self.held[*at].ids.len();
        let target = match source.at.filter(goes_on) {
            Some(at) => at,
            None => match self.new_sequence(most, now, &mut source)? {
                Some(at) => at,
                None => return Ok(None),
            },
        };
        let (name, from) = (self.held[target].name, source.at.map(|at| self.held[at].name));
        let goes_on = from == Some(name);
        self.sequences[target].len = if goes_on { source.len as u32 } else { 0 };
        self.sequences[target].context = most;
        let (tick, held) = (self.tick(), &mut self.held[target]);
        held.ids.truncate(if goes_on { source.len } else { 0 });
        (held.busy, held.wanted) = (true, tick);
        let held = self.hold_sequence(name, now);
        if !matches!(held, Ok(true)) {
            self.leave_sequence(name);
            return held.map(|_| None);
        }
        // Whoever was to be copied may have been forgotten meanwhile, and others have moved.
        let [target, from] =
            [Some(name), from].map(|name| name.map_or(usize::MAX, |name| self.place_of(name)));
        if let Ok([from, to]) = self.sequences.get_disjoint_mut([from, target]) {
            to.cache.copy_from(&from.cache, source.len as u32);
            to.len = source.len as u32;
            self.held[target].ids.extend(&ids[..source.len]);
        }
        Ok(Some((name, self.held.get(target).map_or(0, |held| held.ids.len()))))
    }

    /// Room for one more token in a sequence; whether there is any, with nobody left who could be forgotten for it.
    pub(crate) fn grow_sequence(&mut self, name: u64) -> Result<bool, Error> {
        let at = self.place_of(name);
        match (self.held.get(at), self.sequences.get(at)) {
            (Some(held), Some(sequence)) if held.ids.len() < sequence.cache.holds() as usize => Ok(true),
            (Some(held), _) => match self.hold_sequence(name, held.ids.len() as u32 + 1) {
                Err(error) if matches!(error.trouble(), crate::Trouble::Budget) => Ok(false),
                held => held,
            },
            _ => Ok(false),
        }
    }

    /// Has a sequence hold so many tokens, no more and no less but for what is left of a tile.
    fn hold_sequence(&mut self, name: u64, tokens: u32) -> Result<bool, Error> {
        loop {
            let at = self.place_of(name);
            let Some(held) = self.held.get(at) else { return Ok(false) };
            let tokens = tokens.next_multiple_of(KvCache::TILE).min(held.most);
            let (bytes, before) = (self.bytes_for(held.most, tokens), held.bytes);
            let fits = bytes <= before || self.sequence_bytes() - before + bytes <= self.sequence_room();
            let cache = &mut self.sequences[at].cache;
            let grown = match fits {
                true if tokens != cache.holds() => cache.hold(tokens).map_err(Error::from),
                _ => Ok(()),
            };
            match grown {
                Ok(()) if fits => {
                    let held = &mut self.held[at];
                    held.bytes = bytes;
                    held.ids.reserve_exact((tokens as usize).saturating_sub(held.ids.len()));
                    return Ok(true);
                }
                // Nobody is left who could be forgotten, and what was free somebody else in this process holds.
                Err(error) if !matches!(error.trouble(), crate::Trouble::Budget) => return Err(error),
                grown if !self.forget_one(None) => return grown.map(|()| false),
                _ => {}
            }
        }
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
        let bytes = self.bytes_for(self.context(), self.context());
        if self.held.first().is_none_or(|held| held.bytes < bytes) {
            self.sequences.clear();
            self.held.clear();
            self.push_sequence(self.context(), self.context())?;
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

    /// A sequence of at most `most` tokens that holds `now` of them: a new one, or another's that is idle, that of `source` last
    /// of all.
    fn new_sequence(&mut self, most: u32, now: u32, source: &mut Source) -> Result<Option<usize>, Error> {
        let (room, bytes) = (self.sequence_room(), self.bytes_for(most, now));
        while self.sequence_bytes() + bytes > room {
            // One of just that size is as good as a new one.
            let same = |at: &usize| self.is_free(*at, most) && self.held[*at].most == most;
            let same = (0..self.held.len()).filter(|at| same(at) && source.at != Some(*at));
            if let Some(at) = same.min_by_key(|&at| self.held[at].wanted) {
                return Ok(Some(at));
            }
            let spared = source.at.map(|at| self.held[at].name);
            if !self.forget_one(spared) {
                if let Some(at) = source.at.filter(|&at| self.is_free(at, most)) {
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
        match self.push_sequence(most, now) {
            Ok(()) => Ok(Some(self.held.len() - 1)),
            // Somebody else in this process holds what was free.
            Err(error) if matches!(error.trouble(), crate::Trouble::Budget) => {
                *source = Source::default();
                if self.forget_one(None) { self.new_sequence(most, now, source) } else { Err(error) }
            }
            Err(error) => Err(error),
        }
    }

    /// Whether nobody is being answered from a sequence that may come to so many tokens.
    fn is_free(&self, at: usize, tokens: u32) -> bool {
        !self.held[at].busy && self.held[at].most >= tokens
    }

    fn push_sequence(&mut self, most: u32, now: u32) -> Result<(), Error> {
        let (live, placement) = (&self.live, &self.placement);
        let now = now.next_multiple_of(KvCache::TILE).min(most);
        let cache = KvCache::sparse(&live.ledger, &live.graph, placement.kv, (most, now), placement.kv_rows)?;
        let (name, bytes) = (self.tick(), self.bytes_for(most, now));
        self.sequences.push(Sequence::new(cache, most));
        self.held.push(Held { name, ids: Vec::new(), busy: false, wanted: name, most, bytes });
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
