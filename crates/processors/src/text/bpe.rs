//! Byte pair encoding of one piece of text.
//!
//! What it is: the loop that joins the best pair of neighbours until none is left (Sennrich et al. 2016,
//! arXiv:1508.07909), for byte-level vocabularies and for SentencePiece alike; only the atoms and the ranks
//! differ. What it is not: aware of ids; a symbol is a range of the text. The one design choice: a heap of
//! (rank, place) over a list linked by text position, so that a piece of n bytes takes O(n log n).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

const NONE: u32 = u32::MAX;

/// Working memory, reused from piece to piece.
#[derive(Default)]
pub(crate) struct Scratch {
    /// By the start of a symbol: its end.
    end: Vec<u32>,
    /// By the start of a symbol: the start of the one before.
    before: Vec<u32>,
    /// By the start of a symbol: the rank of its merge with the one after, `NONE` if they do not merge.
    rank: Vec<u32>,
    /// (rank, start), some out of date.
    heap: BinaryHeap<Reverse<u64>>,
}

/// Bytes of working memory for each byte of the longest piece.
pub(crate) const SCRATCH_PER_BYTE: usize = 3 * size_of::<u32>() + 2 * size_of::<u64>();

/// Joins the atoms of `text` and calls `emit` with each final symbol in turn.
///
/// `atom(text, i)` is the end of the atom that starts at `i`; `rank(both, left)` the rank of joining the first
/// `left` bytes of `both` with its rest, lower first, ties from the left. `text` is shorter than 4 GiB.
pub(crate) fn encode(
    text: &[u8],
    atom: impl Fn(&[u8], usize) -> usize,
    rank: impl Fn(&[u8], usize) -> Option<u32>,
    scratch: &mut Scratch,
    mut emit: impl FnMut(&[u8]),
) {
    let Scratch { end, before, rank: ranks, heap } = scratch;
    let n = text.len();
    for list in [&mut *end, &mut *before, &mut *ranks] {
        list.clear();
        list.resize(n, NONE);
    }
    let mut entries = std::mem::take(heap).into_vec();
    entries.clear();
    let (mut at, mut last) = (0, NONE);
    while at < n {
        let to = atom(text, at);
        (end[at], before[at]) = (to as u32, last);
        if last != NONE {
            let from = last as usize;
            if let Some(r) = rank(&text[from..to], at - from) {
                ranks[from] = r;
                entries.push(Reverse(key(r, from)));
            }
        }
        (last, at) = (at as u32, to);
    }
    *heap = BinaryHeap::from(entries);

    while let Some(Reverse(entry)) = heap.pop() {
        let (r, from) = ((entry >> 32) as u32, (entry & 0xffff_ffff) as usize);
        if ranks[from] != r {
            continue;
        }
        let middle = end[from] as usize;
        let to = end[middle] as usize;
        end[from] = to as u32;
        (ranks[from], ranks[middle]) = (NONE, NONE);
        if to < n {
            before[to] = from as u32;
        }
        let left = (before[from] != NONE).then_some(before[from] as usize);
        for (from, middle) in [Some((from, to)), left.map(|l| (l, from))].into_iter().flatten() {
            if middle == n {
                continue;
            }
            let found = rank(&text[from..end[middle] as usize], middle - from);
            ranks[from] = found.unwrap_or(NONE);
            if let Some(r) = found {
                heap.push(Reverse(key(r, from)));
            }
        }
    }

    let mut at = 0;
    while at < n {
        let to = end[at] as usize;
        emit(&text[at..to]);
        at = to;
    }
}

fn key(rank: u32, from: usize) -> u64 {
    u64::from(rank) << 32 | from as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition: look at every pair, join the best, start over.
    fn plain(text: &[u8], rank: impl Fn(&[u8], usize) -> Option<u32>) -> Vec<Vec<u8>> {
        let mut symbols: Vec<Vec<u8>> = text.iter().map(|&b| vec![b]).collect();
        while let Some((_, i)) = (1..symbols.len())
            .filter_map(|i| rank(&symbols[i - 1..=i].concat(), symbols[i - 1].len()).map(|r| (r, i)))
            .min()
        {
            let right = symbols.remove(i);
            symbols[i - 1].extend(right);
        }
        symbols
    }

    #[test]
    fn equals_the_definition() {
        let merges: [(&[u8], usize); 9] = [
            (b"aa", 1),
            (b"ab", 1),
            (b"abaa", 2),
            (b"aab", 2),
            (b"aaaa", 2),
            (b"ba", 1),
            (b"aaa", 1),
            (b"aaa", 2),
            (b"aaab", 3),
        ];
        let rank =
            |both: &[u8], left: usize| merges.iter().position(|m| *m == (both, left)).map(|r| r as u32);
        let mut scratch = Scratch::default();
        for seed in 0..2000_u64 {
            let text: Vec<u8> = (0..seed % 23)
                .map(|i| b"aab"[(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (i % 60)) as usize % 3])
                .collect();
            let mut got = Vec::new();
            encode(&text, |_, i| i + 1, rank, &mut scratch, |s| got.push(s.to_vec()));
            assert_eq!(got, plain(&text, rank), "{:?}", String::from_utf8_lossy(&text));
        }
    }
}
