//! The heap, counted.
//!
//! Not an allocator of its own: it counts what passes on its way to the system's. The one design choice: an
//! allocation is counted as what the system's allocator takes for it, header, rounding and pages included, so
//! that the heap's line in the account is what the kernel charges and not what the program asked for.
//!
//! A program opts in with `#[global_allocator] static HEAP: CountingAlloc = CountingAlloc;`. Without that every
//! figure here is 0.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::bounded;
use crate::sys;

static IN_USE: AtomicU64 = AtomicU64::new(0);
static PEAK: AtomicU64 = AtomicU64::new(0);
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// Bytes from which an allocation gets pages of its own, which go back to the system when it ends.
pub(crate) const OWN_PAGES: usize = 64 << 10;

/// The system's allocator with a counter in front.
#[derive(Clone, Copy, Debug, Default)]
pub struct CountingAlloc;

/// Bytes of heap in use.
pub fn heap_in_use() -> u64 {
    IN_USE.load(Relaxed)
}

/// The most bytes of heap that were ever in use at once.
pub fn heap_peak() -> u64 {
    PEAK.load(Relaxed)
}

/// Allocations so far, growths included: a step that must not allocate leaves this number alone.
pub fn allocations() -> u64 {
    ALLOCATIONS.load(Relaxed)
}

/// Makes the system's allocator keep little: one arena for all threads, and freed memory goes back at once.
/// Call it first in `main`, before a thread is started.
pub fn tune_malloc() {
    sys::tune_malloc(OWN_PAGES);
}

/// Gives the pages of freed heap back that smaller pieces kept between them. Call it after a load, not in a loop.
pub fn trim_heap() {
    sys::trim_heap();
}

/// What the allocator takes for `size` bytes: a word of header and steps of two words; from [`OWN_PAGES`] on,
/// two words and whole pages.
fn footprint(size: usize) -> u64 {
    const WORD: usize = size_of::<usize>();
    let chunk = size.saturating_add(WORD).max(4 * WORD).checked_next_multiple_of(2 * WORD);
    let whole = match chunk {
        Some(chunk) if chunk < OWN_PAGES => Some(chunk),
        Some(chunk) => chunk.saturating_add(WORD).checked_next_multiple_of(4096),
        None => None,
    };
    whole.unwrap_or(usize::MAX) as u64
}

fn took(size: usize) {
    let bytes = footprint(size);
    let now = IN_USE.fetch_add(bytes, Relaxed) + bytes;
    // A plain load first: the peak seldom moves, and a read does not take the cache line from other threads.
    if now > PEAK.load(Relaxed) {
        PEAK.fetch_max(now, Relaxed);
    }
    ALLOCATIONS.fetch_add(1, Relaxed);
}

fn gave(size: usize) {
    IN_USE.fetch_sub(footprint(size), Relaxed);
}

// SAFETY: every call goes on to `System` with the arguments it came with; the counters are atomics and
// allocate nothing.
unsafe impl GlobalAlloc for CountingAlloc {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        bounded::admit(footprint(layout.size()));
        // SAFETY: the caller's promise is System's.
        let memory = unsafe { System.alloc(layout) };
        if !memory.is_null() {
            took(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        bounded::admit(footprint(layout.size()));
        // SAFETY: the caller's promise is System's.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if !memory.is_null() {
            took(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is System's, where the memory came from.
        unsafe { System.dealloc(memory, layout) };
        bounded::restore(footprint(layout.size()));
        gave(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        bounded::admit(footprint(size)); // both blocks may exist for a moment
        // SAFETY: the caller's promise is System's, where the memory came from.
        let moved = unsafe { System.realloc(memory, layout, size) };
        if !moved.is_null() {
            bounded::restore(footprint(layout.size()));
            gave(layout.size());
            took(size);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_costs_what_malloc_takes() {
        for (size, want) in [(1, 32), (24, 32), (25, 48), (1000, 1008), (65_528, 69_632), (100_000, 102_400)]
        {
            assert_eq!(footprint(size), want, "{size}");
        }
        assert_eq!(footprint(usize::MAX), u64::MAX);
    }
}
