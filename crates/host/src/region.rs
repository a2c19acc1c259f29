//! A reserved piece of memory in pages of its own.
//!
//! Not on the heap: its pages come straight from the system, zeroed, count only once they are written, and go
//! straight back. The one design choice: huge pages are refused unless asked for, since one written byte
//! would be charged as two megabytes that no plan has seen.

use std::ops::Range;

use crate::error::Error;
use crate::ledger::{Ledger, Part, Reservation};
use crate::plain::{Plain, cast, cast_mut};
use crate::sys;

/// Zeroed, page-aligned memory behind a [`Reservation`].
#[derive(Debug)]
pub struct Region {
    pages: sys::Pages,
    len: usize,
    reservation: Reservation,
}

impl Region {
    /// `bytes` zeroed bytes for `part`; the account is charged whole pages.
    pub fn new(ledger: &Ledger, part: Part, bytes: usize) -> Result<Region, Error> {
        let page = sys::page_size();
        let whole = bytes.max(1).checked_next_multiple_of(page).unwrap_or(usize::MAX);
        let reservation = ledger.reserve(part, whole as u64)?;
        let pages = sys::Pages::new(whole).map_err(|source| Error::Map { bytes: whole as u64, source })?;
        Ok(Region { pages, len: bytes, reservation })
    }

    /// Addresses for `bytes` bytes for `part`, of which none may be used before [`Region::hold`] says how many.
    pub fn sparse(ledger: &Ledger, part: Part, bytes: usize) -> Result<Region, Error> {
        let whole = bytes.max(1).checked_next_multiple_of(sys::page_size()).unwrap_or(usize::MAX);
        let reservation = ledger.reserve(part, 0)?;
        let pages = sys::Pages::new(whole).map_err(|source| Error::Map { bytes: whole as u64, source })?;
        Ok(Region { pages, len: bytes, reservation })
    }

    /// Charges the account so many bytes, in whole pages, wherever in the region they are. What is not used any more is
    /// to be given back first.
    pub fn hold(&mut self, bytes: u64) -> Result<(), Error> {
        Ok(self.reservation.resize(bytes.next_multiple_of(sys::page_size() as u64))?)
    }

    /// Usable bytes, as asked for.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no bytes were asked for.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What the account is charged.
    pub fn reservation(&self) -> &Reservation {
        &self.reservation
    }

    /// The memory.
    pub fn as_bytes(&self) -> &[u8] {
        // SAFETY: the pages are mapped, initialised (zeroed), at least `len` long, and borrowed with `self`.
        unsafe { std::slice::from_raw_parts(self.pages.start(), self.len) }
    }

    /// The memory, writable.
    pub fn as_mut_bytes(&mut self) -> &mut [u8] {
        // SAFETY: as in `as_bytes`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.pages.start(), self.len) }
    }

    /// The memory as numbers; a last fraction of a number is left out.
    pub fn as_slice<T: Plain>(&self) -> &[T] {
        let whole = self.len - self.len % size_of::<T>();
        cast(&self.as_bytes()[..whole]).unwrap_or(&[])
    }

    /// As [`Region::as_slice`], writable.
    pub fn as_mut_slice<T: Plain>(&mut self) -> &mut [T] {
        let whole = self.len - self.len % size_of::<T>();
        cast_mut(&mut self.as_mut_bytes()[..whole]).unwrap_or(&mut [])
    }

    /// Gives the whole pages within `range` back to the system until they are written again. Their bytes are
    /// zero afterwards; bytes on a page that is only partly within the range stay. The reservation stays too.
    pub fn give_back(&mut self, range: Range<usize>) {
        let page = sys::page_size();
        let start = range.start.next_multiple_of(page);
        let end = range.end.min(self.len);
        let end = if end == self.len { end.next_multiple_of(page) } else { end - end % page };
        if start < end {
            self.pages.give_back(start..end);
        }
    }

    /// Lets the system use huge pages here. Only for memory that will be written in full.
    pub fn huge(mut self) -> Region {
        let all = 0..self.len;
        self.allow_huge([all]);
        self
    }

    /// Lets the system use huge pages in these ranges and nowhere else. A huge page never reaches beyond its range.
    pub fn allow_huge(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        let page = sys::page_size();
        let whole = self.len.next_multiple_of(page);
        self.pages.allow_huge(0..whole, false);
        for range in ranges {
            let (start, end) = (range.start.next_multiple_of(page), range.end.next_multiple_of(page));
            if start < end.min(whole) {
                self.pages.allow_huge(start..end.min(whole), true);
            }
        }
    }

    /// Where the memory starts, for readers that fill it behind the borrow checker's back.
    pub(crate) fn start(&self) -> *mut u8 {
        self.pages.start()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_zeroed_aligned_and_accounted() {
        let page = sys::page_size();
        let ledger = Ledger::new(10 * page as u64);
        for (bytes, pages) in [(0, 1), (1, 1), (page, 1), (page + 1, 2)] {
            let region = Region::new(&ledger, Part::Heap, bytes).unwrap();
            assert_eq!(ledger.used(), (pages * page) as u64, "{bytes}");
            assert_eq!(region.len(), bytes);
            assert_eq!(region.as_bytes().as_ptr() as usize % page, 0);
            assert!(region.as_bytes().iter().all(|&b| b == 0));
        }
        assert_eq!(ledger.used(), 0);
        for bytes in [11 * page, usize::MAX] {
            assert!(matches!(Region::new(&ledger, Part::Heap, bytes), Err(Error::Refused(_))), "{bytes}");
        }
    }

    #[test]
    fn numbers_live_in_it_and_pages_go_back() {
        let page = sys::page_size();
        let ledger = Ledger::new(1 << 20);
        let mut region = Region::new(&ledger, Part::Heap, 3 * page + 7).unwrap().huge();
        assert_eq!(region.as_slice::<f32>().len(), (3 * page + 7) / 4);
        region.as_mut_bytes().fill(1);
        region.give_back(1..2 * page + 5);
        assert!(region.as_bytes()[..page].iter().all(|&b| b == 1));
        assert!(region.as_bytes()[page..2 * page].iter().all(|&b| b == 0));
        assert!(region.as_bytes()[2 * page..].iter().all(|&b| b == 1));
        region.give_back(2 * page..3 * page + 7);
        assert!(region.as_bytes()[2 * page..].iter().all(|&b| b == 0));
        region.as_mut_slice::<u64>()[0] = 9;
        assert_eq!(region.as_bytes()[0], 9);
    }
}
