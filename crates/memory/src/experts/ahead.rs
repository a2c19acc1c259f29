//! Experts that the next layer is likely to want: which, what of them has been asked for, and how often that was right.
//!
//! Not a promise: the layer may want others. The one design choice: an expert that is foreseen but not here is less likely to be
//! wanted than one that is, so each layer keeps a record of its own, by rank, of those that were not; only ranks that were
//! right mostly are read ahead, one after another, so that of those which were begun all but the last are on their way whole.

use host::RunId;
use std::collections::VecDeque;
use std::ops::Range;

/// Experts of a layer that are looked at, the likeliest of those that are not here.
const RANKS: usize = 8;
/// How often a rank must have been right, of four times.
const RIGHT: u32 = 3;
/// Times after which older ones count half.
const MEMORY: u32 = 64;

/// What is foreseen of one layer.
#[derive(Default)]
pub(super) struct Ahead {
    /// Which set of experts.
    pub set: usize,
    /// Reads asked for, oldest first.
    pub queue: VecDeque<Early>,
    /// Experts that are not here, the likeliest first.
    likely: Vec<u32>,
    /// How many of them are to be read.
    trusted: usize,
    /// The next piece to ask for: an index into `likely`, and a piece of that expert.
    next: (usize, usize),
    /// By set and rank.
    records: Vec<[Record; RANKS]>,
}

/// A read that was asked for early: some pieces of an expert.
pub(super) struct Early {
    pub id: RunId,
    pub expert: u32,
    pub pieces: Range<usize>,
}

/// How often a rank was foreseen, and how often that was right.
#[derive(Clone, Copy, Debug)]
struct Record {
    seen: u32,
    right: u32,
}

impl Record {
    fn note(&mut self, right: bool) {
        self.seen += 1;
        self.right += u32::from(right);
        if self.seen >= MEMORY {
            (self.seen, self.right) = (self.seen / 2, self.right / 2);
        }
    }

    fn is_good(self) -> bool {
        self.right * 4 >= self.seen * RIGHT
    }
}

impl Ahead {
    /// For so many sets of at most so many experts, with room for so many reads.
    pub fn new(sets: usize, experts: usize, reads: usize) -> Ahead {
        Ahead {
            queue: VecDeque::with_capacity(reads),
            likely: Vec::with_capacity(experts),
            records: vec![[Record { seen: 0, right: 0 }; RANKS]; sets],
            ..Ahead::default()
        }
    }

    /// Bytes on the heap of what is kept of each set.
    pub fn heap_bytes() -> u64 {
        size_of::<[Record; RANKS]>() as u64
    }

    /// Begins anew with these experts of a set, none of which is here, the likeliest first.
    pub fn expect(&mut self, set: usize, likely: impl Iterator<Item = u32>) {
        self.set = set;
        self.next = (0, 0);
        self.likely.clear();
        self.likely.extend(likely.take(RANKS));
        let records = &self.records[set];
        self.trusted = self.likely.iter().zip(records).take_while(|(_, record)| record.is_good()).count();
    }

    /// Learns which of what was foreseen of a set is wanted, and forgets it.
    pub fn learn(&mut self, set: usize, wanted: impl Fn(u32) -> bool) {
        if set == self.set {
            let records = self.likely.iter().zip(&mut self.records[set]);
            records.for_each(|(&expert, record)| record.note(wanted(expert)));
        }
        self.clear();
    }

    /// Forgets what is foreseen.
    pub fn clear(&mut self) {
        self.queue.clear();
        self.likely.clear();
        self.trusted = 0;
    }

    /// When an expert of a set was begun; those that were not come last.
    pub fn rank(&self, set: usize, expert: u32) -> usize {
        let begun = self.queue.iter().position(|early| early.expert == expert && self.set == set);
        begun.unwrap_or(usize::MAX)
    }

    /// The expert and the piece to ask for next, of experts that have so many pieces.
    pub fn next(&self, pieces: usize) -> Option<(u32, usize)> {
        let (at, piece) = if self.next.1 < pieces { self.next } else { (self.next.0 + 1, 0) };
        self.likely[..self.trusted].get(at).map(|&expert| (expert, piece))
    }

    /// Says that what [`Ahead::next`] gave was asked for.
    pub fn asked(&mut self, early: Early) {
        let at = if early.pieces.start == 0 && self.next.1 > 0 { self.next.0 + 1 } else { self.next.0 };
        self.next = (at, early.pieces.end);
        self.queue.push_back(early);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_that_are_mostly_wrong_are_not_read() {
        let mut ahead = Ahead::new(2, 8, 8);
        let reads = |ahead: &mut Ahead, set| {
            ahead.expect(set, [5, 6, 7].into_iter());
            ahead.trusted
        };
        assert_eq!(reads(&mut ahead, 1), 3, "nothing is known yet");
        for round in 0..200 {
            reads(&mut ahead, 1);
            // The first is right, the second every other time, the third never.
            ahead.learn(1, |expert| expert == 5 || (expert == 6 && round % 2 == 0));
        }
        assert_eq!(
            (reads(&mut ahead, 1), reads(&mut ahead, 0)),
            (1, 3),
            "each layer has a record of its own"
        );
        for _ in 0..200 {
            reads(&mut ahead, 1);
            ahead.learn(1, |_| true);
        }
        assert_eq!(reads(&mut ahead, 1), 3, "and old times are forgotten");
    }

    #[test]
    fn an_expert_is_begun_when_the_one_before_is_on_its_way() {
        let mut ahead = Ahead::new(1, 8, 8);
        ahead.expect(0, [3, 1].into_iter());
        let mut asked = Vec::new();
        while let Some((expert, piece)) = ahead.next(2) {
            asked.push((expert, piece));
            ahead.asked(Early { id: RunId::default(), expert, pieces: piece..piece + 1 });
        }
        assert_eq!(asked, [(3, 0), (3, 1), (1, 0), (1, 1)]);
        assert!(ahead.rank(0, 3) < ahead.rank(0, 1) && ahead.rank(0, 1) < ahead.rank(0, 2));
    }
}
