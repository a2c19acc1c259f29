//! Who is kept: the experts that were wanted last, as many as there are slots.
//!
//! What it is: least recently used, by tokens. What it is not: memory. The one design choice: recency is that of the
//! token that wanted an expert, not the order in which a step happens to go through them, so that a prompt, which wants
//! nearly all, leaves those that its last tokens wanted and does not sweep out one by one what it is about to need.

use std::cmp::Reverse;

/// No expert, or no slot.
const NONE: u32 = u32::MAX;

/// The slots of one set.
#[derive(Clone, Debug)]
pub(super) struct Cache {
    /// By expert, its slot.
    slot_of: Vec<u32>,
    /// By slot, its expert.
    holder: Vec<u32>,
    /// By expert, the token that wanted it last, from one; zero if none did.
    last: Vec<u64>,
    /// By expert, whether it should be kept.
    keep: Vec<bool>,
    /// Room for a ranking.
    ranking: Vec<u32>,
    /// Slots whose experts need not be kept, the next to change hands last.
    leaving: Vec<u32>,
}

impl Cache {
    pub(super) fn new(experts: u32, slots: u32) -> Cache {
        let experts = experts as usize;
        Cache {
            slot_of: vec![NONE; experts],
            holder: vec![NONE; slots as usize],
            last: vec![0; experts],
            keep: vec![false; experts],
            ranking: Vec::with_capacity(experts),
            leaving: Vec::with_capacity(experts),
        }
    }

    /// Bytes on the heap of a cache with a slot for each of so many.
    pub(super) fn heap_bytes(experts: u32) -> u64 {
        u64::from(experts) * (4 + 8 + 1 + 4 + 4 + 4)
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> u32 {
        self.holder.len() as u32
    }

    /// Slots that nobody is in.
    pub(super) fn free(&self) -> impl Iterator<Item = u32> {
        self.holder.iter().zip(0..).filter(|(holder, _)| **holder == NONE).map(|(_, slot)| slot)
    }

    /// Whether there are any.
    pub(super) fn has_free(&self) -> bool {
        self.free().next().is_some()
    }

    /// Changes how many slots there are; who was in one that goes, goes too.
    pub(super) fn resize(&mut self, slots: u32) {
        for holder in self.holder.drain((slots as usize).min(self.holder.len())..) {
            if holder != NONE {
                self.slot_of[holder as usize] = NONE;
            }
        }
        self.holder.resize(slots as usize, NONE);
        self.leaving.clear();
    }

    /// The slot of an expert, if it has one.
    pub(super) fn slot(&self, expert: u32) -> Option<u32> {
        let slot = self.slot_of[expert as usize];
        (slot != NONE).then_some(slot)
    }

    /// Notes that token number `token` wanted an expert.
    pub(super) fn want(&mut self, expert: u32, token: u64) {
        self.last[expert as usize] = token + 1;
    }

    /// Decides who should be kept, after all that a step wants is noted: the latest, of equals those that are here.
    pub(super) fn settle(&mut self) {
        let Cache { slot_of, holder, last, keep, ranking, leaving } = self;
        ranking.clear();
        ranking.extend((0..last.len() as u32).filter(|&e| last[e as usize] > 0));
        let slots = holder.len();
        if ranking.len() > slots && slots > 0 {
            let rank = |e: &u32| (u64::MAX - last[*e as usize], slot_of[*e as usize] == NONE, *e);
            ranking.select_nth_unstable_by_key(slots - 1, rank);
        }
        ranking.truncate(slots);
        keep.fill(false);
        ranking.iter().for_each(|&e| keep[e as usize] = true);
        leaving.clear();
        let stays = |slot: &u32| holder[*slot as usize] != NONE && keep[holder[*slot as usize] as usize];
        leaving.extend((0..slots as u32).filter(|slot| !stays(slot)));
        let since = |slot: &u32| match holder[*slot as usize] {
            NONE => (0, *slot),
            holder => (last[holder as usize], *slot),
        };
        leaving.sort_unstable_by_key(|slot| Reverse(since(slot)));
    }

    /// Whether an expert should be kept.
    pub(super) fn keeps(&self, expert: u32) -> bool {
        self.keep[expert as usize]
    }

    /// A slot for an expert: a free one, or that of one which is neither to be kept nor `busy`, which leaves it. `None` if
    /// there is none now.
    pub(super) fn make_room(&mut self, busy: impl Fn(u32) -> bool) -> Option<u32> {
        let leaves = |slot: &u32| {
            let holder = self.holder[*slot as usize];
            holder == NONE || !busy(holder)
        };
        let at = self.leaving.iter().rposition(leaves)?;
        let slot = self.leaving.remove(at);
        let holder = std::mem::replace(&mut self.holder[slot as usize], NONE);
        if holder != NONE {
            self.slot_of[holder as usize] = NONE;
        }
        Some(slot)
    }

    /// Puts an expert into a slot that [`Cache::make_room`] gave.
    pub(super) fn put(&mut self, expert: u32, slot: u32) {
        self.holder[slot as usize] = expert;
        self.slot_of[expert as usize] = slot;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cache reads of a trace of steps; a step is the experts that each of its tokens wants.
    fn reads(experts: u32, slots: u32, steps: &[Vec<Vec<u32>>]) -> u64 {
        let (mut cache, mut token, mut reads) = (Cache::new(experts, slots), 0, 0);
        for step in steps {
            let mut wanted: Vec<u32> = step.iter().flatten().copied().collect();
            wanted.sort_unstable();
            wanted.dedup();
            for row in step {
                row.iter().for_each(|&e| cache.want(e, token));
                token += 1;
            }
            cache.settle();
            // Who is here goes first, where a step has one token.
            if step.len() == 1 {
                wanted.sort_by_key(|&e| (cache.slot(e).is_none(), e));
            }
            for (at, &e) in wanted.iter().enumerate() {
                if cache.slot(e).is_some() {
                    continue;
                }
                reads += 1;
                let busy = |other| wanted[at..].contains(&other);
                if let Some(slot) = cache.keeps(e).then(|| cache.make_room(busy)).flatten() {
                    cache.put(e, slot);
                }
            }
        }
        reads
    }

    /// What an ideal cache that evicts the least recently used reads, token by token.
    fn ideal(slots: usize, steps: &[Vec<Vec<u32>>]) -> u64 {
        let (mut held, mut reads) = (Vec::<u32>::new(), 0);
        for row in steps.iter().flatten() {
            for &e in row {
                match held.iter().position(|&h| h == e) {
                    Some(at) => drop(held.remove(at)),
                    None => reads += 1,
                }
                held.push(e);
            }
            while held.len() > slots {
                held.remove(0);
            }
        }
        reads
    }

    /// Tokens that each want `used` of `experts`, the lower ones more often.
    fn tokens(count: usize, experts: u32, used: usize, mut seed: u64) -> Vec<Vec<u32>> {
        let mut draw = |below: u32| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            ((seed >> 33) % u64::from(below)) as u32
        };
        (0..count)
            .map(|_| {
                let mut row = Vec::new();
                while row.len() < used {
                    let e = draw(experts).min(draw(experts));
                    if !row.contains(&e) {
                        row.push(e);
                    }
                }
                row
            })
            .collect()
    }

    #[test]
    fn one_token_at_a_time_it_reads_what_an_ideal_cache_reads() {
        for slots in [8, 16, 24, 40, 64] {
            let steps: Vec<_> = tokens(400, 64, 8, slots).into_iter().map(|row| vec![row]).collect();
            let (ours, ideal) = (reads(64, slots as u32, &steps), ideal(slots as usize, &steps));
            assert!(ours as f64 <= ideal as f64 * 1.02, "{slots} slots: {ours} reads, {ideal} at best");
        }
    }

    #[test]
    fn a_prompt_reads_an_expert_once_a_step_and_leaves_what_it_wanted_last() {
        let all = tokens(512, 64, 8, 3);
        let steps: Vec<_> = all.chunks(128).map(<[_]>::to_vec).collect();
        let most: u64 = steps
            .iter()
            .map(|step| {
                let mut wanted: Vec<u32> = step.iter().flatten().copied().collect();
                wanted.sort_unstable();
                wanted.dedup();
                wanted.len() as u64
            })
            .sum();
        let ours = reads(64, 24, &steps);
        assert!(ours <= most - 3 * 12, "{ours} of {most}: half of the slots at least are of use");
        assert_eq!(reads(64, 0, &steps), most);
    }

    #[test]
    fn who_is_in_a_slot_that_goes_goes_too() {
        let mut cache = Cache::new(4, 3);
        (0..3).for_each(|e| cache.put(e, e));
        cache.resize(1);
        assert_eq!([0, 1, 2].map(|e| cache.slot(e)), [Some(0), None, None]);
        cache.resize(4);
        assert_eq!((cache.slots(), cache.slot(1)), (4, None));
    }

    #[test]
    fn slots_change_hands_only_when_nobody_needs_them() {
        let mut cache = Cache::new(4, 2);
        for (e, token) in [(0, 0), (1, 0)] {
            cache.want(e, token);
            cache.settle();
            let slot = cache.make_room(|_| false).unwrap();
            cache.put(e, slot);
        }
        cache.want(2, 1);
        cache.settle();
        assert!(
            cache.keeps(2) && cache.keeps(0) && !cache.keeps(1),
            "of two that are as old the first stays"
        );
        assert_eq!(cache.make_room(|e| e == 1), None);
        assert_eq!(cache.make_room(|_| false), Some(1));
        assert_eq!(cache.slot(1), None);
    }
}
