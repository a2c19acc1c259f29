//! The tokenizer: text to ids, and what each id is.
//!
//! What it is: literal tokens first, then the cut, then the merges of each piece. What it is not: the owner of any
//! text; working memory lives for one call. The one design choice: text is bytes. A byte-level vocabulary takes any
//! byte (one that is no part of a character counts as a symbol for the cut), a SentencePiece vocabulary takes such
//! a byte as its byte token.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use super::added::Added;
use super::bpe::{self, SCRATCH_PER_BYTE, Scratch};
use super::builder::{type_of, with_spaces};
use super::merges::Merges;
use super::pattern::decode;
use super::post_processor::Encoding;
use super::pretokenizer::Cutter;
use super::spec::{Counts, Kind, SpacePrefix, Spec, TokenType};
use super::unigram::Unigram;
use super::vocab::Vocab;
use crate::Error;

/// The longest text that is encoded at once, in bytes.
const LONGEST: usize = 1 << 30;
/// What of a text in words is encoded at once, in bytes, or a little more.
const PIECE: usize = 4 << 10;

/// A vocabulary and how to use it.
pub struct Tokenizer {
    pub(super) spec: Spec,
    pub(super) vocab: Vocab,
    /// Two types a byte, the even id below.
    pub(super) types: Vec<u8>,
    pub(super) order: Order,
    pub(super) added: Added,
    pub(super) cutter: Cutter,
    /// The tokens that stand for single bytes, `u32::MAX` where there is none.
    pub(super) byte_ids: [u32; 256],
    /// Bytes that some token has before a space. No token crosses from any other byte to a space, so that text can be
    /// cut there without a difference.
    pub(super) before_space: [bool; 256],
    /// Ascending.
    pub(super) ends: Vec<u32>,
}

/// Which of two merges goes first.
pub(crate) enum Order {
    Merges(Merges),
    /// By the score of the token made, by id.
    Scores(Vec<f32>),
    /// Nothing merges.
    Likelihood(Unigram),
    /// Nothing merges: words are taken apart.
    Words,
}

impl Order {
    fn rank(&self, token: u32, left: usize) -> Option<u32> {
        match self {
            Order::Merges(merges) => merges.rank(token, left),
            Order::Scores(scores) => scores.get(token as usize).map(|&s| descending(s)),
            Order::Likelihood(_) | Order::Words => None,
        }
    }
}

/// The text in NFC; what is not UTF-8 stays.
fn composed(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for chunk in text.utf8_chunks() {
        out.extend(chunk.valid().nfc().collect::<String>().into_bytes());
        out.extend(chunk.invalid());
    }
    out
}

/// A number that is lower the higher the score, and never the highest of all.
fn descending(score: f32) -> u32 {
    let bits = score.to_bits();
    let ascending = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (!ascending).min(u32::MAX - 1)
}

impl Tokenizer {
    /// Appends the ids of `text` to `out`, without beginning or end of sequence.
    ///
    /// With `parse_special`, marks such as `<|im_end|>` in the text become their ids; without, they are ordinary
    /// text. User-defined tokens are found either way. After an error `out` holds a part.
    pub fn encode(
        &self,
        text: impl AsRef<[u8]>,
        parse_special: bool,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let text = text.as_ref();
        if text.len() > LONGEST {
            return Err(Error::TextTooLong { bytes: text.len(), limit: LONGEST });
        }
        let text = self.normalized(text);
        let active = |id| parse_special || self.token_type(id) == TokenType::UserDefined;
        let mut scratch = Scratch::default();
        let mut prefix = self.spec.space_prefix != SpacePrefix::Never;
        let mut at = 0;
        while at < text.len() {
            let found = self.added.find(&self.vocab, &text, at, active);
            let (mut end, mut next) = (text.len(), text.len());
            if let Some((start, id)) = found {
                (end, next) = self.added.extent(&text, at, start, self.vocab.text(id).len(), id);
            }
            if at < end {
                self.encode_plain(&text[at..end], prefix, &mut scratch, out)?;
            }
            out.extend(found.map(|(_, id)| id));
            at = next;
            prefix = match self.spec.space_prefix {
                SpacePrefix::Always => true,
                SpacePrefix::AfterMarks => found.is_some_and(|(_, id)| self.is_special(id)),
                SpacePrefix::First | SpacePrefix::Never => false,
            };
        }
        Ok(())
    }

    /// As [`Tokenizer::encode`], with the beginning and end of sequence that the model wants around a prompt. A
    /// beginning that the text spells out itself is not added again.
    pub fn encode_prompt(
        &self,
        text: impl AsRef<[u8]>,
        parse_special: bool,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        let from = out.len();
        self.encode(text, parse_special, out)?;
        if let Some(bos) = self.spec.bos.filter(|&bos| self.spec.add_bos && out.get(from) != Some(&bos)) {
            out.insert(from, bos);
        }
        if let Some(eos) = self.spec.eos.filter(|_| self.spec.add_eos) {
            out.push(eos);
        }
        Ok(())
    }

    /// One text or two as an encoder wants them, with the marks around them, of at most `longest` tokens. Marks in the texts
    /// are marks, as in the `tokenizers` library.
    pub fn encode_texts(&self, first: &str, second: Option<&str>, longest: usize) -> Result<Encoding, Error> {
        let first = self.encode_some(first, longest)?;
        let second = second.map(|text| self.encode_some(text, longest)).transpose()?;
        let second = second.as_ref().map(|(ids, tokens)| (&ids[..], *tokens));
        Ok(self.spec.post_processor.process((&first.0, first.1), second, longest))
    }

    /// At least the first `most` ids of a text if it has so many, and how many it has.
    fn encode_some(&self, text: &str, most: usize) -> Result<(Vec<u32>, usize), Error> {
        let (mut ids, mut tokens, mut rest) = (Vec::new(), 0, text);
        while !rest.is_empty() {
            // Between words nothing is joined, so that a long text need not be held as ids.
            let pieces = self.spec.kind == Kind::WordPiece && rest.len() > PIECE;
            let end = rest.as_bytes().iter().skip(PIECE).position(u8::is_ascii_whitespace);
            let end = end.filter(|_| pieces).map_or(rest.len(), |end| end + PIECE);
            let (piece, later) = rest.split_at(end);
            let from = ids.len();
            self.encode(piece, true, &mut ids)?;
            tokens += ids.len() - from;
            ids.truncate(most);
            rest = later;
        }
        Ok((ids, tokens))
    }

    /// Bytes of working memory that encoding a text of this length takes at most.
    pub fn encode_bytes(text_bytes: usize) -> usize {
        text_bytes.saturating_mul(SCRATCH_PER_BYTE + 3)
    }

    /// Number of tokens.
    pub fn len(&self) -> usize {
        self.vocab.len()
    }

    /// Whether there is no token at all.
    pub fn is_empty(&self) -> bool {
        self.vocab.len() == 0
    }

    /// What the file says apart from tokens and merges.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Sets what the file of the tokenizer does not say and other files of the model do: the beginning of a sequence,
    /// and the tokens that end generation besides those known.
    pub fn set_marks(&mut self, bos: Option<u32>, ends: &[u32]) -> Result<(), Error> {
        let tokens = self.len();
        if let Some(&id) = bos.iter().chain(ends).find(|&&id| id as usize >= tokens) {
            return Err(Error::TokenOutOfRange { what: "the model's settings", id, tokens });
        }
        self.spec.bos = bos.or(self.spec.bos);
        self.spec.eos = self.spec.eos.or(ends.first().copied());
        self.ends.extend(ends);
        self.ends.sort_unstable();
        self.ends.dedup();
        Ok(())
    }

    /// The bytes that a token stands for; empty if there is no such id. They need not be whole characters.
    pub fn bytes(&self, id: u32) -> &[u8] {
        self.vocab.text(id)
    }

    /// The role of a token.
    pub fn token_type(&self, id: u32) -> TokenType {
        TokenType::from_gguf(i64::from(type_of(&self.types, id)))
    }

    /// Whether the token is a mark, not text.
    pub fn is_special(&self, id: u32) -> bool {
        matches!(self.token_type(id), TokenType::Control | TokenType::Unknown)
    }

    /// Whether generation ends with this token.
    pub fn is_end(&self, id: u32) -> bool {
        self.ends.binary_search(&id).is_ok()
    }

    /// All tokens that end generation, ascending.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// The token with exactly this text, marks first.
    pub fn id(&self, text: impl AsRef<[u8]>) -> Option<u32> {
        self.added.id(&self.vocab, text.as_ref()).or_else(|| self.vocab.id(text.as_ref()))
    }

    /// Bytes held on the heap, exactly, but for a few hundred in patterns.
    pub fn heap_bytes(&self) -> usize {
        let order = match &self.order {
            Order::Merges(merges) => merges.heap_bytes(),
            Order::Scores(scores) => 4 * scores.capacity(),
            Order::Likelihood(unigram) => unigram.heap_bytes(),
            Order::Words => 0,
        };
        self.vocab.heap_bytes() + self.types.capacity() + order + self.added.heap_bytes()
    }

    /// Bytes that a tokenizer of this kind and size takes, known before it is built. The true number is below by
    /// what the text turns out shorter, and above only if more than one token in eight is a mark.
    pub fn estimate(kind: Kind, counts: Counts) -> usize {
        let Counts { tokens, merges, text_bytes } = counts;
        let order = match kind {
            Kind::ByteBpe | Kind::CharBpe => Merges::estimate(tokens, merges),
            Kind::ScoredBpe | Kind::Unigram => 4 * tokens,
            Kind::WordPiece => 0,
        };
        Vocab::estimate(tokens, text_bytes)
            + tokens.div_ceil(2)
            + order
            + 4 * tokens.min(4096.max(tokens / 8))
    }

    /// The text as the vocabulary is written: composed if it wants that, U+2581 as the space that it stands for.
    fn normalized<'t>(&self, text: &'t [u8]) -> Cow<'t, [u8]> {
        let mut text = Cow::Borrowed(text);
        if self.spec.compose && !text.is_ascii() {
            text = Cow::Owned(composed(&text));
        }
        // The first byte of U+2581 is rare, so that most text is not copied.
        if !matches!(self.spec.kind, Kind::ByteBpe | Kind::WordPiece) && text.contains(&0xe2) {
            text = Cow::Owned(with_spaces(&text).collect());
        }
        text
    }

    /// Text without literal tokens.
    fn encode_plain(
        &self,
        text: &[u8],
        prefix: bool,
        scratch: &mut Scratch,
        out: &mut Vec<u32>,
    ) -> Result<(), Error> {
        if self.spec.kind == Kind::WordPiece {
            let unknown = self.spec.unknown;
            self.spec.words.encode(text, &self.vocab, &mut |id| out.extend(id.or(unknown)));
            return Ok(());
        }
        let prefix = prefix && (self.spec.double_space || text[0] != b' ');
        let text = if prefix { Cow::Owned([b" ", text].concat()) } else { Cow::Borrowed(text) };
        if self.spec.kind == Kind::ByteBpe || !self.spec.patterns.is_empty() {
            return self.cutter.cut(&text, &mut |piece| self.encode_piece(piece, scratch, out));
        }
        let mut at = 0;
        while at < text.len() {
            let word = (at + 1..text.len())
                .find(|&i| text[i] == b' ' && !self.before_space[usize::from(text[i - 1])])
                .unwrap_or(text.len());
            self.encode_piece(&text[at..word], scratch, out);
            at = word;
        }
        Ok(())
    }

    /// A piece that no merge crosses.
    fn encode_piece(&self, piece: &[u8], scratch: &mut Scratch, out: &mut Vec<u32>) {
        if self.spec.whole_words
            && let Some(id) = self.vocab.id(piece)
        {
            return out.push(id);
        }
        if let Order::Likelihood(unigram) = &self.order {
            return unigram.encode(piece, &self.vocab, |part, id| match id {
                Some(id) => out.push(id),
                None => self.encode_unknown(part, out),
            });
        }
        let atom = |text: &[u8], at: usize| match self.spec.kind {
            Kind::ByteBpe => at + 1,
            _ => at + decode(text, at).1,
        };
        let rank = |both: &[u8], left| self.vocab.id(both).and_then(|id| self.order.rank(id, left));
        bpe::encode(piece, atom, rank, scratch, |symbol| match self.vocab.id(symbol) {
            Some(id) => out.push(id),
            None => self.encode_unknown(symbol, out),
        });
    }

    /// A symbol without a token: its bytes if the vocabulary has them, else the unknown token, once for a run.
    fn encode_unknown(&self, symbol: &[u8], out: &mut Vec<u32>) {
        let bytes = symbol.iter().map(|&b| self.byte_ids[usize::from(b)]);
        if bytes.clone().all(|id| id != u32::MAX) {
            out.extend(bytes);
        } else if let Some(id) = self.spec.unknown
            && !(self.spec.fuse_unknown && out.last() == Some(&id))
        {
            out.push(id);
        }
    }
}
