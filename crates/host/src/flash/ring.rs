//! Where the next bytes go in a ring of memory.
//!
//! Not the memory: positions only, counted upwards for ever; a position modulo the capacity is a place. The one
//! design choice: a piece never wraps, so that a kernel sees one slice; what is left at the end is skipped.

/// A first-in first-out ring of `capacity` bytes.
#[derive(Debug)]
pub(super) struct Ring {
    capacity: u64,
    head: u64,
    tail: u64,
}

impl Ring {
    pub(super) fn new(capacity: u64) -> Ring {
        Ring { capacity, head: 0, tail: 0 }
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Where the next piece may begin.
    pub(super) fn tail(&self) -> u64 {
        self.tail
    }

    /// The position for `len` bytes from `from` on, at a multiple of `align`; `None` if there is no room now.
    pub(super) fn place(&self, from: u64, len: u64, align: u64) -> Option<u64> {
        let start = from.checked_next_multiple_of(align)?;
        let beyond = self.place_of(start) as u64 + len > self.capacity;
        let start = if beyond { start.checked_next_multiple_of(self.capacity)? } else { start };
        (start.checked_add(len)? - self.head <= self.capacity).then_some(start)
    }

    /// Takes everything up to `tail`.
    pub(super) fn take(&mut self, tail: u64) {
        self.tail = tail;
    }

    /// Gives back everything up to `head`.
    pub(super) fn give_back(&mut self, head: u64) {
        self.head = head;
    }

    /// Starts again at the first byte; only when nothing is held.
    pub(super) fn clear(&mut self) {
        (self.head, self.tail) = (0, 0);
    }

    /// The place in memory of a position.
    pub(super) fn place_of(&self, position: u64) -> usize {
        (position % self.capacity) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_aligned_contiguous_and_never_overlap() {
        // Capacity 100; each step: length, alignment, where it goes, then how many of the oldest to give back.
        let steps = [
            (30, 1, Some(0), 0),
            (30, 20, Some(40), 0),
            (40, 1, None, 1), // 30 left at the end, 30 at the start are still held
            (40, 1, None, 1), // now the ring is empty
            (101, 1, None, 0),
            (60, 1, Some(0), 0),
            (30, 1, Some(60), 1),
            (20, 1, Some(100), 0), // wraps: 10 are skipped
            (40, 1, Some(120), 0),
            (1, 1, None, 0),
        ];
        let mut ring = Ring::new(100);
        let mut held = std::collections::VecDeque::new();
        for (i, (len, align, want, free)) in steps.into_iter().enumerate() {
            let got = ring.place(ring.tail(), len, align);
            assert_eq!(got, want, "step {i}");
            if let Some(at) = got {
                ring.take(at + len);
                held.push_back(at + len);
            }
            for _ in 0..free {
                ring.give_back(held.pop_front().unwrap());
                if held.is_empty() {
                    ring.clear();
                }
            }
        }
    }
}
