//! The texts of a vocabulary, both ways: id to bytes, bytes to id.
//!
//! What it is: one blob of bytes, packed offsets, and an open-addressing table of ids. What it is not: aware of
//! what the tokens mean. The one design choice: nothing is stored twice. The table keeps an id and as many bits
//! of the hash as fit beside it in 32 bits, so that a probe almost never has to look into the blob.

use crate::Error;

/// Tokens that share one absolute offset.
const BLOCK: usize = 16;
/// The longest token: sixteen of them must stay within the 16-bit offsets of a block.
const LONGEST: usize = 4095;
/// The most tokens: leaves eight bits of hash in every slot.
const MOST: usize = 1 << 24;
/// Slots looked at before a table is called crafted rather than crowded.
const PROBES: usize = 4096;
const EMPTY: u32 = u32::MAX;

/// A vocabulary whose room was reserved when it was created.
pub(crate) struct Vocab {
    bytes: Vec<u8>,
    /// Start of every 16th token in `bytes`.
    bases: Vec<u32>,
    /// Start of each token after its base, and the end of the last.
    starts: Vec<u16>,
    /// Hash tag above, id below, or `EMPTY`.
    slots: Vec<u32>,
    id_bits: u32,
    tokens: usize,
    /// Bytes of the longest token that was inserted.
    longest: usize,
}

impl Vocab {
    /// Reserves room for exactly `tokens` tokens of at most `text_bytes` bytes in total.
    pub fn with_capacity(tokens: usize, text_bytes: usize) -> Result<Vocab, Error> {
        if tokens > MOST {
            return Err(Error::TooManyTokens { tokens, limit: MOST });
        }
        let mut vocab = Vocab {
            bytes: reserved(text_bytes)?,
            bases: reserved(tokens / BLOCK + 1)?,
            starts: reserved(tokens + 1)?,
            slots: reserved(slots_for(tokens))?,
            id_bits: usize::BITS - tokens.leading_zeros(),
            tokens,
            longest: 0,
        };
        vocab.bases.push(0);
        vocab.starts.push(0);
        vocab.slots.resize(slots_for(tokens), EMPTY);
        Ok(vocab)
    }

    /// Bytes that a vocabulary of this size takes.
    pub fn estimate(tokens: usize, text_bytes: usize) -> usize {
        text_bytes + 4 * (tokens / BLOCK + 1) + 2 * (tokens + 1) + 4 * slots_for(tokens)
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        self.bytes.capacity()
            + 4 * self.bases.capacity()
            + 2 * self.starts.capacity()
            + 4 * self.slots.capacity()
    }

    /// Number of tokens pushed so far.
    pub fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// Appends the text of the next id. It is found by [`Vocab::id`] only once inserted.
    pub fn push(&mut self, text: impl Iterator<Item = u8>) -> Result<u32, Error> {
        let id = self.len();
        if id == self.tokens {
            return Err(Error::MoreTokensThanCounted { counted: self.tokens });
        }
        let from = self.bytes.len();
        for byte in text {
            if self.bytes.len() == self.bytes.capacity() {
                return Err(Error::MoreTextThanCounted { id, counted: self.bytes.capacity() });
            }
            self.bytes.push(byte);
        }
        let end = self.bytes.len();
        if end - from > LONGEST {
            return Err(Error::TokenTooLong { id, bytes: end - from, limit: LONGEST });
        }
        let end = u32::try_from(end).map_err(|_| Error::OutOfMemory { bytes: end })?;
        if self.starts.len().is_multiple_of(BLOCK) {
            self.bases.push(end);
        }
        let base = self.bases.last().copied().unwrap_or(0);
        // Fifteen tokens of at most LONGEST bytes lie between a base and any start after it.
        self.starts.push((end - base) as u16);
        Ok(id as u32)
    }

    /// Makes token `id` findable by its text, unless an earlier token has the same.
    pub fn insert(&mut self, id: u32) -> Result<(), Error> {
        self.longest = self.longest.max(self.text(id).len());
        let (mut slot, tag) = self.place(self.text(id));
        for _ in 0..PROBES.min(self.slots.len()) {
            let held = self.slots[slot];
            if held == EMPTY {
                self.slots[slot] = tag << self.id_bits | id;
                return Ok(());
            }
            if held >> self.id_bits == tag && self.text(held & self.id_mask()) == self.text(id) {
                return Ok(());
            }
            slot = self.after(slot);
        }
        Err(Error::CraftedVocabulary { id: id as usize })
    }

    /// The id of the inserted token with this text.
    pub fn id(&self, text: &[u8]) -> Option<u32> {
        if text.len() > self.longest {
            return None;
        }
        let (mut slot, tag) = self.place(text);
        for _ in 0..PROBES.min(self.slots.len()) {
            let held = self.slots[slot];
            if held == EMPTY {
                return None;
            }
            if held >> self.id_bits == tag && self.text(held & self.id_mask()) == text {
                return Some(held & self.id_mask());
            }
            slot = self.after(slot);
        }
        None
    }

    /// Bytes of the longest token that can be found.
    pub fn longest(&self) -> usize {
        self.longest
    }

    /// The text of a token; empty if there is no such id.
    pub fn text(&self, id: u32) -> &[u8] {
        let id = id as usize;
        if id >= self.len() {
            return &[];
        }
        let at = |i: usize| self.bases[i / BLOCK] as usize + usize::from(self.starts[i]);
        &self.bytes[at(id)..at(id + 1)]
    }

    /// Gives back what was reserved for text and not used.
    pub fn shrink(&mut self) {
        self.bytes.shrink_to_fit();
    }

    fn id_mask(&self) -> u32 {
        (1 << self.id_bits) - 1
    }

    fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.slots.len() { 0 } else { slot + 1 }
    }

    /// First slot to look at, and the tag. The tag is never all ones, so no slot in use equals `EMPTY`.
    fn place(&self, text: &[u8]) -> (usize, u32) {
        let hash = hash(text);
        let slot = ((hash & 0xffff_ffff) * self.slots.len() as u64) >> 32;
        let tags = (1u64 << (32 - self.id_bits)) - 1;
        (slot as usize, (((hash >> 32) * tags) >> 32) as u32)
    }
}

/// A quarter of the slots stays empty.
fn slots_for(tokens: usize) -> usize {
    tokens + tokens / 3 + 1
}

/// FNV-1a, then the finalizer of MurmurHash3 so that the upper half is as good as the lower.
fn hash(text: &[u8]) -> u64 {
    let mut h = text
        .iter()
        .fold(0xcbf2_9ce4_8422_2325_u64, |h, &b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
    h = (h ^ h >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    h = (h ^ h >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    h ^ h >> 33
}

/// An empty vector with room for exactly `n` elements, or an error instead of an abort.
pub(crate) fn reserved<T>(n: usize) -> Result<Vec<T>, Error> {
    let mut v = Vec::new();
    v.try_reserve_exact(n).map_err(|_| Error::OutOfMemory { bytes: n.saturating_mul(size_of::<T>()) })?;
    Ok(v)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(texts: &[String]) -> Vocab {
        let mut v = Vocab::with_capacity(texts.len(), texts.iter().map(String::len).sum()).unwrap();
        for t in texts {
            let id = v.push(t.bytes()).unwrap();
            v.insert(id).unwrap();
        }
        v
    }

    #[test]
    fn both_ways() {
        for n in [0, 1, 15, 16, 17, 5000] {
            let texts: Vec<String> = (0..n).map(|i| format!("t{}", i * 7)).collect();
            let v = filled(&texts);
            for (i, t) in texts.iter().enumerate() {
                assert_eq!(v.id(t.as_bytes()), Some(i as u32));
                assert_eq!(v.text(i as u32), t.as_bytes());
            }
            assert_eq!(v.id(b"absent"), None);
            assert_eq!(v.text(n as u32), b"");
        }
    }

    #[test]
    fn the_first_of_equals_is_found() {
        let v = filled(&["a".into(), "b".into(), "a".into()]);
        assert_eq!(v.id(b"a"), Some(0));
        assert_eq!(v.text(2), b"a");
    }

    #[test]
    fn counts_are_kept() {
        let mut v = Vocab::with_capacity(1, 3).unwrap();
        assert!(matches!(v.push(b"long".iter().copied()), Err(Error::MoreTextThanCounted { .. })));
        let mut v = Vocab::with_capacity(1, 3).unwrap();
        v.push(b"abc".iter().copied()).unwrap();
        assert!(matches!(v.push([].into_iter()), Err(Error::MoreTokensThanCounted { counted: 1 })));
        assert!(matches!(Vocab::with_capacity(usize::MAX, 1), Err(Error::TooManyTokens { .. })));
        assert!(matches!(Vocab::with_capacity(1, usize::MAX), Err(Error::OutOfMemory { .. })));
    }
}
