//! The account of memory: what the budget is, who holds how much of it, and what the most ever was.
//!
//! Not an allocator: it hands out the right to memory, [`crate::Region`] and the owners of heap turn that right
//! into bytes. The one design choice: a [`Reservation`] is a value whose end gives the bytes back, so the
//! account cannot drift from the program. All figures are atomics; any thread may reserve.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::memory::format_bytes;

/// What memory is held for: the lines of the account, in the order in which it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Part {
    /// Pages of the program and its libraries.
    Program,
    /// What the kernel charges besides: page tables, thread stacks, sockets, its own caches.
    Kernel,
    /// Small allocations of everyone.
    Heap,
    /// Vocabulary, merges and their indices.
    Tokenizer,
    /// Weights that stay.
    Weights,
    /// Experts that stay, some of the time.
    Experts,
    /// The ring through which streamed weights pass.
    Window,
    /// KV caches and other state of sequences.
    State,
    /// Values between operators, and scratch.
    Activations,
    /// Rings, bounce buffers and tables of the readers.
    Io,
    /// Pictures, sound and vectors on their way in and out.
    Data,
    /// What a server holds for those who talk to it: sockets, requests, answers on their way.
    Connections,
    /// Held back for what nobody can name.
    Slack,
}

impl Part {
    /// How many parts there are.
    pub const COUNT: usize = 13;

    /// Every part, in printing order.
    pub const ALL: [Part; Part::COUNT] = [
        Part::Program,
        Part::Kernel,
        Part::Heap,
        Part::Tokenizer,
        Part::Weights,
        Part::Experts,
        Part::Window,
        Part::State,
        Part::Activations,
        Part::Io,
        Part::Data,
        Part::Connections,
        Part::Slack,
    ];

    /// The name to print and to use as a JSON key.
    pub fn name(self) -> &'static str {
        match self {
            Part::Program => "program",
            Part::Kernel => "kernel",
            Part::Heap => "heap",
            Part::Tokenizer => "tokenizer",
            Part::Weights => "weights",
            Part::Experts => "experts",
            Part::Window => "window",
            Part::State => "state",
            Part::Activations => "activations",
            Part::Io => "io",
            Part::Data => "data",
            Part::Connections => "connections",
            Part::Slack => "slack",
        }
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A reservation that the budget has no room for. Sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[error(
    "no room for {} of {part}: {} of the {} budget are held; give a larger --memory",
    format_bytes(*need), format_bytes(*held), format_bytes(*budget)
)]
pub struct Refused {
    /// What it was for.
    pub part: Part,
    /// How much was asked for, beyond what is held.
    pub need: u64,
    /// How much all parts held at that moment.
    pub held: u64,
    /// The budget.
    pub budget: u64,
    /// Whether a test asked for this failure ([`Ledger::fail_after`]).
    pub injected: bool,
}

/// The account. Clones share it.
#[derive(Clone, Debug)]
pub struct Ledger {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    budget: AtomicU64,
    used: AtomicU64,
    peak: AtomicU64,
    lines: [AtomicU64; Part::COUNT],
    /// Reservations until one is refused on purpose; 0 when none will be.
    fuse: AtomicU64,
}

impl Ledger {
    /// An empty account of `budget` bytes.
    pub fn new(budget: u64) -> Ledger {
        let account = Account {
            budget: AtomicU64::new(budget),
            used: AtomicU64::new(0),
            peak: AtomicU64::new(0),
            lines: [const { AtomicU64::new(0) }; Part::COUNT],
            fuse: AtomicU64::new(0),
        };
        Ledger { account: Arc::new(account) }
    }

    /// Takes `bytes` for `part`, or says what is missing.
    pub fn reserve(&self, part: Part, bytes: u64) -> Result<Reservation, Refused> {
        self.take(part, bytes)?;
        Ok(Reservation { ledger: self.clone(), part, bytes })
    }

    /// Bytes held now.
    pub fn used(&self) -> u64 {
        self.account.used.load(Relaxed)
    }

    /// The most bytes that were ever held at once.
    pub fn peak(&self) -> u64 {
        self.account.peak.load(Relaxed)
    }

    /// Bytes that may be held.
    pub fn budget(&self) -> u64 {
        self.account.budget.load(Relaxed)
    }

    /// Changes how many bytes may be held. Those who hold more than that are not asked: give back first.
    pub fn set_budget(&self, budget: u64) {
        self.account.budget.store(budget, Relaxed);
    }

    /// Bytes still free.
    pub fn free(&self) -> u64 {
        self.budget().saturating_sub(self.used())
    }

    /// Bytes held by every part, in printing order.
    pub fn lines(&self) -> [(Part, u64); Part::COUNT] {
        Part::ALL.map(|part| (part, self.account.lines[part as usize].load(Relaxed)))
    }

    /// Fault injection: of the reservations and growths from now on, the `n`th (from 1) is refused; 0 disarms.
    /// Gives how many an earlier order had still to wait for, 0 if its refusal came.
    pub fn fail_after(&self, n: u64) -> u64 {
        self.account.fuse.swap(n, Relaxed)
    }

    fn take(&self, part: Part, need: u64) -> Result<(), Refused> {
        let account = &*self.account;
        let budget = self.budget();
        let refused = |held, injected| Refused { part, need, held, budget, injected };
        let burn = |left: u64| left.checked_sub(1);
        if account.fuse.fetch_update(Relaxed, Relaxed, burn) == Ok(1) {
            return Err(refused(self.used(), true));
        }
        let within = |held: u64| held.checked_add(need).filter(|&sum| sum <= budget);
        let before =
            account.used.fetch_update(Relaxed, Relaxed, within).map_err(|held| refused(held, false))?;
        account.peak.fetch_max(before + need, Relaxed);
        account.lines[part as usize].fetch_add(need, Relaxed);
        Ok(())
    }

    fn give(&self, part: Part, bytes: u64) {
        self.account.lines[part as usize].fetch_sub(bytes, Relaxed);
        self.account.used.fetch_sub(bytes, Relaxed);
    }
}

/// The right to hold some bytes, given back when dropped.
#[derive(Debug)]
#[must_use = "a reservation that is dropped is given back"]
pub struct Reservation {
    ledger: Ledger,
    part: Part,
    bytes: u64,
}

impl Reservation {
    /// What it is held for.
    pub fn part(&self) -> Part {
        self.part
    }

    /// How many bytes it holds.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The account it is on.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Grows or shrinks to `bytes`. A refused growth leaves it as it was.
    pub fn resize(&mut self, bytes: u64) -> Result<(), Refused> {
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.ledger.take(self.part, more)?,
            None => self.ledger.give(self.part, self.bytes - bytes),
        }
        self.bytes = bytes;
        Ok(())
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.ledger.give(self.part, self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_listed_in_order() {
        for (i, part) in Part::ALL.into_iter().enumerate() {
            assert_eq!(part as usize, i, "{part}");
        }
    }

    #[test]
    fn a_reservation_comes_and_goes() {
        let ledger = Ledger::new(100);
        let mut weights = ledger.reserve(Part::Weights, 60).unwrap();
        let refused = ledger.reserve(Part::State, 50).unwrap_err();
        assert_eq!((refused.need, refused.held, refused.budget, refused.injected), (50, 60, 100, false));
        assert_eq!(
            refused.to_string(),
            "no room for 50 B of state: 60 B of the 100 B budget are held; give a larger --memory"
        );
        assert!(weights.resize(101).is_err());
        assert_eq!(weights.bytes(), 60);
        weights.resize(100).unwrap();
        weights.resize(10).unwrap();
        assert_eq!((ledger.used(), ledger.peak(), ledger.free()), (10, 100, 90));
        assert_eq!(ledger.lines()[Part::Weights as usize], (Part::Weights, 10));
        assert!(ledger.reserve(Part::Heap, u64::MAX).is_err());
        drop(weights);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn the_nth_reservation_can_be_made_to_fail() {
        let ledger = Ledger::new(100);
        ledger.fail_after(2);
        let mut first = ledger.reserve(Part::Heap, 1).unwrap();
        assert!(first.resize(2).unwrap_err().injected);
        assert!(first.resize(2).is_ok());
        assert_eq!((ledger.used(), ledger.fail_after(5)), (2, 0));
        assert!(first.resize(3).is_ok());
        assert_eq!(ledger.fail_after(0), 4);
    }

    #[test]
    fn threads_never_overdraw() {
        let ledger = Ledger::new(1000);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for i in 0..1000 {
                        let _held = ledger.reserve(Part::Heap, 300 + i % 7);
                        assert!(ledger.used() <= 1000);
                    }
                });
            }
        });
        assert_eq!(ledger.used(), 0);
        assert!(ledger.peak() <= 1000);
    }
}
