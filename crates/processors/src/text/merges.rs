//! Which neighbours a byte pair encoding joins, and in what order.
//!
//! What it is: a map from (joined token, length of its left part) to a rank. What it is not: the loop that joins
//! ([`super::bpe`]). The one design choice: since a pair is known by the token it makes and the place where that
//! token is cut, a merge costs one byte, and four more for each token that has any. Files list the merges of one
//! token next to each other; one that does not, and parts longer than 127 bytes, go to a small side table.

use super::vocab::reserved;
use crate::Error;

/// Set in the byte of the last merge of a group.
const LAST: u8 = 0x80;
const NONE: u32 = u32::MAX;

/// The merges of a vocabulary in the order of their ranks.
pub(crate) struct Merges {
    /// Rank of the first merge that makes this token, by id.
    first: Vec<u32>,
    /// Length of the left part and `LAST`, by rank.
    lefts: Vec<u8>,
    /// (token, length of the left part, rank) of the merges that do not fit above; sorted when sealed.
    strays: Vec<(u32, u32, u32)>,
    /// The token whose group may still grow.
    open: Option<u32>,
}

impl Merges {
    /// Reserves room for the merges of a vocabulary.
    pub fn with_capacity(tokens: usize, merges: usize) -> Result<Merges, Error> {
        if merges >= NONE as usize {
            return Err(Error::OutOfMemory { bytes: merges });
        }
        let mut first = reserved(tokens)?;
        first.resize(tokens, NONE);
        Ok(Merges { first, lefts: reserved(merges)?, strays: Vec::new(), open: None })
    }

    /// Bytes that the merges of a vocabulary take.
    pub fn estimate(tokens: usize, merges: usize) -> usize {
        4 * tokens + merges
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        4 * self.first.capacity()
            + self.lefts.capacity()
            + self.strays.capacity() * size_of::<(u32, u32, u32)>()
    }

    /// Number of merges pushed so far, which is the rank of the next.
    pub fn len(&self) -> usize {
        self.lefts.len()
    }

    /// Appends the merge that makes `token` with a left part of `left` bytes.
    pub fn push(&mut self, token: u32, left: usize) -> Result<(), Error> {
        let rank = self.lefts.len();
        if rank == self.lefts.capacity() {
            return Err(Error::MoreMergesThanCounted { counted: rank });
        }
        let slot = &mut self.first[token as usize];
        let short = left < usize::from(LAST);
        if short && *slot == NONE {
            *slot = rank as u32;
        } else if short && self.open == Some(token) {
            self.lefts[rank - 1] &= !LAST;
        } else {
            self.strays.push((token, left as u32, rank as u32));
            self.lefts.push(LAST);
            self.open = None;
            return Ok(());
        }
        self.lefts.push(LAST | left as u8);
        self.open = Some(token);
        Ok(())
    }

    /// Call once after the last [`Merges::push`].
    pub fn seal(&mut self) {
        self.strays.sort_unstable();
        self.strays.shrink_to_fit();
    }

    /// The rank of the merge that makes `token` out of its first `left` bytes and the rest; lower goes first.
    pub fn rank(&self, token: u32, left: usize) -> Option<u32> {
        let first = self.first[token as usize];
        if first != NONE {
            for (i, &byte) in self.lefts[first as usize..].iter().enumerate() {
                if usize::from(byte & !LAST) == left {
                    return Some(first + i as u32);
                }
                if byte & LAST != 0 {
                    break;
                }
            }
        }
        if self.strays.is_empty() {
            return None;
        }
        let key = (token, left as u32);
        let at = self.strays.partition_point(|s| (s.0, s.1) < key);
        self.strays.get(at).filter(|s| (s.0, s.1) == key).map(|s| s.2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_positions() {
        // Token 1 once, token 2 as a group, token 1 again as a stray, token 3 with a long left part.
        let pushed = [(1, 1), (2, 1), (2, 3), (2, 2), (1, 2), (3, 200), (3, 1)];
        let mut merges = Merges::with_capacity(5, pushed.len()).unwrap();
        for (token, left) in pushed {
            merges.push(token, left).unwrap();
        }
        merges.seal();
        for (rank, (token, left)) in pushed.into_iter().enumerate() {
            assert_eq!(merges.rank(token, left), Some(rank as u32), "{token} {left}");
        }
        for (token, left) in [(0, 1), (1, 3), (2, 4), (3, 2), (4, 0)] {
            assert_eq!(merges.rank(token, left), None, "{token} {left}");
        }
        assert!(matches!(merges.push(4, 1), Err(Error::MoreMergesThanCounted { counted: 7 })));
    }
}
