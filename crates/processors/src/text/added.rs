//! Tokens that are found in the text as they stand, before anything is cut or merged.
//!
//! What it is: leftmost-longest search for control and user-defined tokens. What it is not: a copy of their texts;
//! it is a sorted list of ids over the vocabulary. The one design choice: candidates are narrowed byte by byte with
//! binary searches, and only where the text has a byte that starts some token.

use super::pattern::{decode, width_before};
use super::vocab::{Vocab, reserved};
use crate::Error;

/// The ids of all tokens that are matched literally.
pub(crate) struct Added {
    /// Ordered by text, then by id.
    ids: Vec<u32>,
    /// A bit for every byte that a text starts with.
    starts: [u64; 4],
    strips: Vec<Strip>,
}

/// A token that takes white space along.
pub(crate) struct Strip {
    pub id: u32,
    pub before: bool,
    pub after: bool,
}

impl Added {
    /// Collects the ids for which `literal` holds.
    pub fn new(vocab: &Vocab, literal: impl Fn(u32) -> bool, strips: Vec<Strip>) -> Result<Added, Error> {
        let all = || (0..vocab.len() as u32).filter(|&id| literal(id) && !vocab.text(id).is_empty());
        let mut ids = reserved(all().count())?;
        ids.extend(all());
        ids.sort_unstable_by_key(|&id| (vocab.text(id), id));
        let mut starts = [0; 4];
        for &id in &ids {
            let first = vocab.text(id)[0];
            starts[usize::from(first >> 6)] |= 1 << (first & 63);
        }
        Ok(Added { ids, starts, strips })
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        4 * self.ids.capacity() + self.strips.capacity() * size_of::<Strip>()
    }

    /// Where the plain text from `at` ends and where it goes on after, if token `id` of `length` bytes is at `start`.
    pub fn extent(&self, text: &[u8], at: usize, start: usize, length: usize, id: u32) -> (usize, usize) {
        let (mut end, mut next) = (start, start + length);
        let strip = self.strips.iter().find(|s| s.id == id);
        let white = |i: usize, limit: usize| {
            let (char, width) = decode(&text[..limit], i);
            char.is_some_and(char::is_whitespace).then_some(width)
        };
        while strip.is_some_and(|s| s.after)
            && next < text.len()
            && let Some(width) = white(next, text.len())
        {
            next += width;
        }
        while strip.is_some_and(|s| s.before)
            && end > at
            && let before = end - width_before(text, end).min(end - at)
            && white(before, end).is_some()
        {
            end = before;
        }
        (end, next)
    }

    /// The token with exactly this text.
    pub fn id(&self, vocab: &Vocab, text: &[u8]) -> Option<u32> {
        let at = self.ids.partition_point(|&id| vocab.text(id) < text);
        self.ids.get(at).copied().filter(|&id| vocab.text(id) == text)
    }

    /// The first match at or after `from`, the longest one there: its start and its token. Only tokens for which
    /// `active` holds count.
    pub fn find(
        &self,
        vocab: &Vocab,
        text: &[u8],
        from: usize,
        active: impl Fn(u32) -> bool,
    ) -> Option<(usize, u32)> {
        (from..text.len())
            .filter(|&at| self.starts[usize::from(text[at] >> 6)] >> (text[at] & 63) & 1 == 1)
            .find_map(|at| self.longest(vocab, &text[at..], &active).map(|id| (at, id)))
    }

    fn longest(&self, vocab: &Vocab, text: &[u8], active: impl Fn(u32) -> bool) -> Option<u32> {
        let mut best = None;
        let mut ids = &self.ids[..];
        for (depth, &byte) in text.iter().enumerate() {
            let at = |id: u32| vocab.text(id).get(depth).copied();
            let low = ids.partition_point(|&id| at(id) < Some(byte));
            let high = ids.partition_point(|&id| at(id) <= Some(byte));
            ids = &ids[low..high];
            // What ends here sorts before what goes on.
            let ended = ids.iter().take_while(|&&id| vocab.text(id).len() == depth + 1);
            best = ended.copied().find(|&id| active(id)).or(best);
            if ids.is_empty() {
                break;
            }
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftmost_then_longest_then_lowest_id() {
        let texts = ["<a>", "<ab>", "<a", "\n\n", "\n", "<a>", "", "<a><ab>"];
        let mut vocab = Vocab::with_capacity(texts.len(), 100).unwrap();
        for t in texts {
            vocab.push(t.bytes()).unwrap();
        }
        let added = Added::new(&vocab, |_| true, Vec::new()).unwrap();
        for (text, from, barred, want) in [
            ("x<a>y", 0, 99, Some((1, 0))),
            ("x<a>y", 0, 0, Some((1, 5))),
            ("x<ac", 0, 99, Some((1, 2))),
            ("x<ac", 0, 2, None),
            ("x<ab>", 2, 99, None),
            ("<a><ab><a>", 0, 99, Some((0, 7))),
            ("<a><ab", 0, 99, Some((0, 0))),
            ("a\n\n\n", 0, 99, Some((1, 3))),
            ("a\n\n\n", 3, 99, Some((3, 4))),
            ("", 0, 99, None),
        ] {
            assert_eq!(added.find(&vocab, text.as_bytes(), from, |id| id != barred), want, "{text:?} {from}");
        }
        assert_eq!(added.id(&vocab, b"<a>"), Some(0));
        assert_eq!(added.id(&vocab, b"<"), None);
    }
}
