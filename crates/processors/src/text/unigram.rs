//! The most likely way to write a piece of text in tokens.
//!
//! What it is: the Viterbi search of a unigram language model (Kudo 2018, arXiv:1804.10959) over the scores of the
//! vocabulary. What it is not: sampling of other ways. The one design choice: no trie; the vocabulary's own table is
//! asked for every stretch up to the longest token, which needs no memory besides the scores.

use super::pattern::decode;
use super::vocab::{Vocab, reserved};
use crate::Error;

/// How much less likely than the least likely token a character without token is.
const UNKNOWN_PENALTY: f64 = 10.0;

/// Scores, by id.
pub(crate) struct Unigram {
    scores: Vec<f32>,
    least: f32,
}

/// The best way to reach a place in the text.
#[derive(Clone, Copy)]
struct Best {
    score: f64,
    /// Where its last token starts, and which it is.
    from: usize,
    id: Option<u32>,
}

impl Unigram {
    /// Reserves room for the scores of a vocabulary.
    pub fn with_capacity(tokens: usize) -> Result<Unigram, Error> {
        Ok(Unigram { scores: reserved(tokens)?, least: f32::INFINITY })
    }

    /// Takes the log-likelihood of the next id.
    pub fn push(&mut self, score: f32) {
        self.scores.push(score);
        self.least = self.least.min(score);
    }

    /// Bytes held on the heap.
    pub fn heap_bytes(&self) -> usize {
        4 * self.scores.capacity()
    }

    /// Calls `emit` with each part and its token; `None` for a run of characters that have none.
    pub fn encode(&self, text: &[u8], vocab: &Vocab, mut emit: impl FnMut(&[u8], Option<u32>)) {
        let unknown = f64::from(self.least) - UNKNOWN_PENALTY;
        let mut best: Vec<Option<Best>> = vec![None; text.len() + 1];
        let mut at = 0;
        while at < text.len() {
            let score = best[at].map_or(0.0, |b| b.score);
            let width = decode(text, at).1;
            let mut reach = |to: usize, add: f64, id| {
                let slot: &mut Option<Best> = &mut best[to];
                if slot.is_none_or(|b| score + add > b.score) {
                    *slot = Some(Best { score: score + add, from: at, id });
                }
            };
            let mut single = false;
            let mut to = at;
            while to < text.len() && to - at < vocab.longest() {
                to += decode(text, to).1;
                if let Some(id) = vocab.id(&text[at..to]) {
                    reach(to, f64::from(self.scores[id as usize]), Some(id));
                    single |= to == at + width;
                }
            }
            if !single {
                reach(at + width, unknown, None);
            }
            at += width;
        }
        let mut parts = Vec::new();
        let mut end = text.len();
        while let Some(Best { from, id, .. }) = best[end].filter(|b| b.from < end) {
            match parts.last_mut() {
                Some((start, _, None)) if id.is_none() => *start = from,
                _ => parts.push((from, end, id)),
            }
            end = from;
        }
        for (from, to, id) in parts.into_iter().rev() {
            emit(&text[from..to], id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_wins() {
        let tokens =
            [("a", -1.0), ("b", -1.0), ("ab", -1.5), ("abc", -9.0), ("c", -3.0), ("bc", -1.0), ("é", -2.0)];
        let mut vocab = Vocab::with_capacity(tokens.len(), 100).unwrap();
        let mut unigram = Unigram::with_capacity(tokens.len()).unwrap();
        for (text, score) in tokens {
            let id = vocab.push(text.bytes()).unwrap();
            vocab.insert(id).unwrap();
            unigram.push(score);
        }
        for (text, want) in [
            ("", &[][..]),
            ("abc", &[("a", Some(0)), ("bc", Some(5))]),
            ("ab", &[("ab", Some(2))]),
            ("axyéb", &[("a", Some(0)), ("xy", None), ("é", Some(6)), ("b", Some(1))]),
        ] {
            let mut got = Vec::new();
            unigram.encode(text.as_bytes(), &vocab, |t, id| {
                got.push((String::from_utf8(t.to_vec()).unwrap(), id))
            });
            let got: Vec<_> = got.iter().map(|(t, id)| (t.as_str(), *id)).collect();
            assert_eq!(got, want, "{text}");
        }
    }
}
