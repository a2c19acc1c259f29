//! How much memory a parse may take.
//!
//! Not the budget itself: the caller turns [`crate::ModelFile::heap_bytes`] into a reservation. The one design
//! choice: bytes are charged before they are allocated, so that a lying count is refused, not tried.

use crate::Error;

/// Bounds on what reading a header may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most heap bytes that the result and the scratch of the parse may hold together, besides two windows of
    /// 32 KiB and one string of 1 MiB.
    pub heap: u64,
}

impl Default for Limits {
    /// 32 MiB: a header of 100,000 tensors.
    fn default() -> Limits {
        Limits { heap: 32 << 20 }
    }
}

/// What a block of `len` bytes takes from the heap: nothing if empty, otherwise the allocator's word and rounding too.
pub(crate) fn heap_block(len: usize) -> u64 {
    const WORD: usize = size_of::<usize>();
    match len {
        0 => 0,
        _ => len.saturating_add(WORD).max(4 * WORD).next_multiple_of(2 * WORD) as u64,
    }
}

/// Counts what a parse has taken.
#[derive(Debug)]
pub(crate) struct Meter {
    limit: u64,
    used: u64,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Meter {
        Meter { limit: limits.heap, used: 0 }
    }

    /// Takes `count` items of `size` bytes, or refuses.
    pub(crate) fn charge(&mut self, count: u64, size: usize) -> Result<(), Error> {
        let used = count.checked_mul(size as u64).and_then(|bytes| self.used.checked_add(bytes));
        match used {
            Some(used) if used <= self.limit => {
                self.used = used;
                Ok(())
            }
            _ => Err(Error::HeaderTooLarge { limit: self.limit }),
        }
    }

    /// Takes a block of `len` bytes that stands on its own.
    pub(crate) fn charge_block(&mut self, len: usize) -> Result<(), Error> {
        self.charge(heap_block(len), 1)
    }

    /// Makes room for one more item, charging what the list grows by and, while it grows, its old self.
    pub(crate) fn make_room<T>(&mut self, list: &mut Vec<T>) -> Result<(), Error> {
        let held = list.capacity();
        if list.len() == held {
            let more = held.clamp(4, 1 << 16);
            self.charge_block((held + more).saturating_mul(size_of::<T>()))?;
            list.reserve_exact(more);
            self.give_back(heap_block(held * size_of::<T>()), 1);
        }
        Ok(())
    }

    /// Gives back a list that is dropped.
    pub(crate) fn give_back_list<T>(&mut self, list: &Vec<T>) {
        self.give_back(heap_block(list.capacity() * size_of::<T>()), 1);
    }

    /// What has been taken and not given back.
    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    /// Gives back what has been freed.
    pub(crate) fn give_back(&mut self, count: u64, size: usize) {
        self.used = self.used.saturating_sub(count.saturating_mul(size as u64));
    }
}
