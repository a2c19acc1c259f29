//! A tokenizer, built as its vocabulary streams by.
//!
//! What it is: tokens in the order of their ids, then merges in the order of their ranks, then [`Builder::finish`].
//! What it is not: a reader of any file. The one design choice: room for everything is reserved at the start from
//! the counts, so nothing is held twice and nothing grows; a file that counted wrongly is refused.

use super::added::{Added, Strip};
use super::byte_level;
use super::merges::Merges;
use super::pretokenizer::Cutter;
use super::spec::{Counts, Kind, Spec, TokenType};
use super::tokenizer::{Order, Tokenizer};
use super::unigram::Unigram;
use super::vocab::{Vocab, reserved};
use crate::Error;

/// U+2581, by which SentencePiece writes a space.
const LOWER_BLOCK: &[u8] = "\u{2581}".as_bytes();

/// Marks by which published models end a turn or a text, should the file name another.
const ENDS: [&str; 12] = [
    "</s>",
    "<EOT>",
    "<end_of_turn>",
    "<|END_OF_TURN_TOKEN|>",
    "<|end_of_text|>",
    "<|end|>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<|eot_id|>",
    "<|im_end|>",
    "<｜end▁of▁sentence｜>",
    "_<EOT>",
];

/// Takes tokens and merges and makes a [`Tokenizer`].
pub struct Builder {
    spec: Spec,
    counts: Counts,
    vocab: Vocab,
    /// Two types a byte, the even id below.
    types: Vec<u8>,
    order: Order,
    byte_ids: [u32; 256],
    before_space: [bool; 256],
    /// The two halves of the merge at hand, joined.
    joined: Vec<u8>,
    strips: Vec<Strip>,
}

impl Builder {
    /// Reserves room for a vocabulary of this size.
    pub fn new(spec: Spec, counts: Counts) -> Result<Builder, Error> {
        // First, since it knows how many tokens are too many.
        let vocab = Vocab::with_capacity(counts.tokens, counts.text_bytes)?;
        let mut types = reserved(counts.tokens.div_ceil(2))?;
        types.resize(counts.tokens.div_ceil(2), 0);
        let order = match spec.kind {
            Kind::ByteBpe | Kind::CharBpe => {
                Order::Merges(Merges::with_capacity(counts.tokens, counts.merges)?)
            }
            Kind::ScoredBpe => Order::Scores(reserved(counts.tokens)?),
            Kind::Unigram => Order::Likelihood(Unigram::with_capacity(counts.tokens)?),
            Kind::WordPiece => Order::Words,
        };
        Ok(Builder {
            vocab,
            types,
            order,
            byte_ids: [u32::MAX; 256],
            before_space: [false; 256],
            joined: Vec::new(),
            strips: Vec::new(),
            spec,
            counts,
        })
    }

    /// How pieces will become tokens.
    pub(crate) fn kind(&self) -> Kind {
        self.spec.kind
    }

    /// What stands for what no token covers.
    pub(crate) fn unknown(&self) -> Option<u32> {
        self.spec.unknown
    }

    /// Takes the token with the next id. `text` is as it stands in the file; `score` counts only where tokens have
    /// scores.
    pub fn token(&mut self, text: &[u8], score: f32, token_type: TokenType) -> Result<(), Error> {
        let byte = (token_type == TokenType::Byte).then(|| byte_token(text)).flatten();
        let literal = matches!(token_type, TokenType::Control | TokenType::Unknown | TokenType::Unused);
        let (id, known) = if let Some(byte) = byte {
            (self.vocab.push([byte].into_iter())?, false)
        } else if literal {
            (self.vocab.push(text.iter().copied())?, false)
        } else if self.spec.kind == Kind::WordPiece {
            (self.vocab.push(text.iter().copied())?, true)
        } else if self.spec.kind != Kind::ByteBpe {
            (self.vocab.push(with_spaces(text))?, true)
        } else if token_type == TokenType::Normal
            && let Some(bytes) = byte_level::bytes_of(text)
        {
            (self.vocab.push(bytes)?, true)
        } else {
            (self.vocab.push(text.iter().copied())?, token_type == TokenType::UserDefined)
        };
        // SentencePiece never makes a token that it finds in the text as it stands.
        let listed = matches!(self.spec.kind, Kind::ByteBpe | Kind::CharBpe);
        if known && (token_type == TokenType::Normal || listed) {
            self.vocab.insert(id)?;
            for pair in self.vocab.text(id).windows(2).filter(|pair| pair[1] == b' ') {
                self.before_space[usize::from(pair[0])] = true;
            }
        }
        if let Some(byte) = byte {
            self.byte_ids[usize::from(byte)] = id;
        }
        self.types[id as usize / 2] |= (token_type as u8) << (id % 2 * 4);
        match &mut self.order {
            Order::Merges(_) | Order::Words => {}
            Order::Scores(scores) => scores.push(score),
            Order::Likelihood(unigram) => unigram.push(score),
        }
        Ok(())
    }

    /// Takes the merge with the next rank, written `left right`. The token that it makes must be there already.
    pub fn merge(&mut self, line: &[u8]) -> Result<(), Error> {
        // A part may itself be a space where spaces are not written as letters.
        let space = line.iter().skip(1).position(|&b| b == b' ').map_or(line.len(), |at| at + 1);
        let (left, right) = line.split_at(space);
        self.merge_pair(left, right.get(1..).unwrap_or_default())
    }

    /// As [`Builder::merge`], with the two parts apart.
    pub fn merge_pair(&mut self, left: &[u8], right: &[u8]) -> Result<(), Error> {
        let Order::Merges(merges) = &mut self.order else {
            return Ok(());
        };
        self.joined.clear();
        let mut cut = 0;
        for part in [left, right] {
            cut = self.joined.len();
            match self.spec.kind {
                Kind::ByteBpe => match byte_level::bytes_of(part) {
                    Some(bytes) => self.joined.extend(bytes),
                    None => self.joined.extend(part),
                },
                _ => self.joined.extend(with_spaces(part)),
            }
        }
        match self.vocab.id(&self.joined) {
            Some(token) if cut > 0 && cut < self.joined.len() => merges.push(token, cut),
            _ => {
                let text = [left, b" ", right].concat();
                let text = String::from_utf8_lossy(&text[..text.len().min(200)]).into_owned();
                Err(Error::MergeWithoutToken { rank: merges.len(), text })
            }
        }
    }

    /// Says that a token which is found in the text as it stands takes the white space before or after it along.
    pub fn strip(&mut self, id: u32, before: bool, after: bool) {
        if before || after {
            self.strips.push(Strip { id, before, after });
        }
    }

    /// The tokenizer.
    pub fn finish(mut self) -> Result<Tokenizer, Error> {
        let tokens = self.vocab.len();
        if tokens < self.counts.tokens {
            return Err(Error::FewerTokensThanCounted { counted: self.counts.tokens, got: tokens });
        }
        let Spec { bos, eos, unknown, ref ends, .. } = self.spec;
        let mark = self.spec.post_processor.highest();
        let named = [("bos", bos), ("eos", eos), ("unknown", unknown), ("a mark", mark)].into_iter();
        let named = named.filter_map(|(what, id)| Some((what, id?)));
        for (what, id) in named.chain(ends.iter().map(|&id| ("an end", id))) {
            if id as usize >= tokens {
                return Err(Error::TokenOutOfRange { what, id, tokens });
            }
        }
        let mut ends: Vec<u32> = eos.iter().chain(ends).copied().collect();
        self.vocab.shrink();
        if let Order::Merges(merges) = &mut self.order {
            merges.seal();
        }
        let types = std::mem::take(&mut self.types);
        let literal = |id: u32| {
            let t = type_of(&types, id);
            t == TokenType::Control as u8 || t == TokenType::UserDefined as u8
        };
        let added = Added::new(&self.vocab, literal, std::mem::take(&mut self.strips))?;
        let cutter = Cutter::new(self.spec.patterns.iter().map(AsRef::as_ref))?;
        let marks = ENDS.iter().filter_map(|text| added.id(&self.vocab, text.as_bytes()));
        // Gemma has `</s>` as a piece of HTML.
        let marks = marks.filter(|&id| type_of(&types, id) == TokenType::Control as u8);
        ends.extend(marks);
        ends.sort_unstable();
        ends.dedup();
        let Builder { spec, vocab, order, byte_ids, before_space, .. } = self;
        Ok(Tokenizer { spec, vocab, types, order, added, cutter, byte_ids, before_space, ends })
    }
}

/// The number of a token's type.
pub(crate) fn type_of(types: &[u8], id: u32) -> u8 {
    types.get(id as usize / 2).map_or(0, |pair| pair >> (id % 2 * 4) & 15)
}

/// The byte of `<0x0A>`.
fn byte_token(text: &[u8]) -> Option<u8> {
    let digits = text.strip_prefix(b"<0x")?.strip_suffix(b">")?;
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// The bytes of a text, U+2581 as a space.
pub(crate) fn with_spaces(mut text: &[u8]) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        if let Some(rest) = text.strip_prefix(LOWER_BLOCK) {
            text = rest;
            return Some(b' ');
        }
        let (&first, rest) = text.split_first()?;
        text = rest;
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Pretokenizer, SpacePrefix};

    fn builder(spec: Spec, tokens: &[(&str, TokenType)], merges: &[&str]) -> Result<Builder, Error> {
        let text_bytes = tokens.iter().map(|t| t.0.len()).sum();
        let counts = Counts { tokens: tokens.len(), merges: merges.len(), text_bytes };
        let mut builder = Builder::new(spec, counts)?;
        for (id, (text, role)) in tokens.iter().enumerate() {
            builder.token(text.as_bytes(), -(id as f32), *role)?;
        }
        merges.iter().try_for_each(|m| builder.merge(m.as_bytes()))?;
        Ok(builder)
    }

    #[test]
    fn letters_become_bytes_and_spaces_spaces() {
        use TokenType::*;
        let gpt2 = Spec::byte_bpe(Pretokenizer::named("gpt-2").unwrap());
        let tokens = [("Ġ", Normal), ("a", Normal), ("Ġa", Normal), ("<|é |>", Control), ("Ċ", UserDefined)];
        let made = builder(gpt2, &tokens, &["Ġ a"]).unwrap().finish().unwrap();
        let bytes: Vec<&[u8]> = (0..6).map(|id| made.bytes(id)).collect();
        assert_eq!(bytes, [&b" "[..], b"a", b" a", "<|é |>".as_bytes(), "Ċ".as_bytes(), b""]);

        let spec = Spec { space_prefix: SpacePrefix::First, ..Spec::of(Kind::ScoredBpe) };
        let tokens =
            [("<unk>", Unknown), ("▁▁a", Normal), ("<0x0A>", Byte), ("▁", UserDefined), ("</s>", Control)];
        let made = builder(spec, &tokens, &["ignored"]).unwrap().finish().unwrap();
        let bytes: Vec<&[u8]> = (0..5).map(|id| made.bytes(id)).collect();
        assert_eq!(bytes, [&b"<unk>"[..], b"  a", b"\n", b" ", b"</s>"]);
        assert_eq!(made.ends(), [4]);
        assert_eq!((made.token_type(2), made.is_special(0), made.is_special(3)), (Byte, true, false));
    }

    #[test]
    fn lies_are_refused() {
        let gpt2 = || Spec::byte_bpe(&crate::text::PRETOKENIZERS[0]);
        let tokens = [("a", TokenType::Normal), ("b", TokenType::Normal)];
        for line in ["a b", "ab", "a ", " a", "", "x y"] {
            let refused = builder(gpt2(), &tokens, &[line]);
            assert!(matches!(refused, Err(Error::MergeWithoutToken { rank: 0, .. })), "{line:?}");
        }
        let spec = Spec { eos: Some(2), ..gpt2() };
        let refused = builder(spec, &tokens, &[]).unwrap().finish();
        assert!(matches!(refused, Err(Error::TokenOutOfRange { what: "eos", id: 2, tokens: 2 })));
        let counts = Counts { tokens: 3, merges: 0, text_bytes: 10 };
        let mut short = Builder::new(gpt2(), counts).unwrap();
        short.token(b"a", 0.0, TokenType::Normal).unwrap();
        assert!(matches!(short.finish(), Err(Error::FewerTokensThanCounted { counted: 3, got: 1 })));
        let huge = Counts { tokens: usize::MAX, merges: usize::MAX, text_bytes: usize::MAX };
        assert!(matches!(Builder::new(gpt2(), huge), Err(Error::TooManyTokens { .. })));
    }
}
