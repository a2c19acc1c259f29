//! What a tokenizer is, before its vocabulary is read.
//!
//! Plain data, filled by a file's reader ([`Spec::from_gguf`]) or by hand.

use std::borrow::Cow;

use super::post_processor::PostProcessor;
use super::pretokenizer::Pretokenizer;
use super::words::Words;

/// How pieces of text become tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Merges of bytes by listed rank, within what the patterns cut (GPT-2 and its heirs).
    ByteBpe,
    /// Merges of characters by listed rank, unknown ones as bytes (SentencePiece as tokenizer.json has it).
    CharBpe,
    /// Merges of characters by the score of the token they make, unknown ones as bytes (SentencePiece BPE).
    ScoredBpe,
    /// The most likely sequence of tokens by their scores (SentencePiece unigram).
    Unigram,
    /// The longest pieces of each word from left to right (BERT).
    WordPiece,
}

/// Where a space is put that the author did not write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpacePrefix {
    /// Before every stretch between tokens that are found as they stand.
    Always,
    /// At the start of the text and after marks such as `</s>`.
    AfterMarks,
    /// At the start of the text.
    First,
    /// Nowhere.
    Never,
}

/// Everything about a tokenizer except its tokens and merges.
#[derive(Clone, Debug)]
pub struct Spec {
    /// How pieces become tokens.
    pub kind: Kind,
    /// Expressions that cut text, one after another. Kinds other than [`Kind::ByteBpe`] rarely have any.
    pub patterns: Vec<Cow<'static, str>>,
    /// Whether a piece that is a token as a whole is taken without merging.
    pub whole_words: bool,
    /// Whether text is brought into Unicode's composed form (NFC) first.
    pub compose: bool,
    /// Where text gets a space before it.
    pub space_prefix: SpacePrefix,
    /// Whether it gets it even if it begins with one.
    pub double_space: bool,
    /// Whether a prompt begins with `bos`.
    pub add_bos: bool,
    /// Whether a prompt ends with `eos`.
    pub add_eos: bool,
    /// Beginning of a sequence.
    pub bos: Option<u32>,
    /// End of a sequence.
    pub eos: Option<u32>,
    /// What else ends an answer, such as the end of a turn.
    pub ends: Vec<u32>,
    /// Stands for what no token covers; `None` leaves that out.
    pub unknown: Option<u32>,
    /// Whether it stands once for a whole run.
    pub fuse_unknown: bool,
    /// How words are cut and folded, where they are written in pieces.
    pub words: Words,
    /// What stands around texts that an encoder is given.
    pub post_processor: PostProcessor,
}

impl Spec {
    /// A byte-level tokenizer with a known way to cut and no special ids.
    pub fn byte_bpe(cut: &'static Pretokenizer) -> Spec {
        Spec {
            patterns: cut.patterns.iter().copied().map(Cow::Borrowed).collect(),
            whole_words: cut.whole_words,
            add_bos: cut.add_bos,
            ..Spec::of(Kind::ByteBpe)
        }
    }

    /// A tokenizer that cuts nothing, adds nothing and has no special ids.
    pub fn of(kind: Kind) -> Spec {
        Spec {
            kind,
            patterns: Vec::new(),
            whole_words: false,
            compose: false,
            space_prefix: SpacePrefix::Never,
            double_space: true,
            add_bos: false,
            add_eos: false,
            bos: None,
            eos: None,
            ends: Vec::new(),
            unknown: None,
            fuse_unknown: true,
            words: Words::default(),
            post_processor: PostProcessor::plain(),
        }
    }
}

/// How much a vocabulary holds; room is reserved for exactly this.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Number of tokens.
    pub tokens: usize,
    /// Number of merges; 0 for tokenizers without.
    pub merges: usize,
    /// At least the bytes of all tokens together as they stand in the file; what is not needed is given back.
    pub text_bytes: usize,
}

/// The role of a token, numbered as in GGUF and SentencePiece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum TokenType {
    /// An ordinary piece of text.
    Normal = 1,
    /// What no token covers.
    Unknown = 2,
    /// A mark such as `<|im_end|>`: found in text only on request, not shown.
    Control = 3,
    /// Found in text as it stands, always, and shown.
    UserDefined = 4,
    /// A number without a use.
    Unused = 5,
    /// One byte, written `<0x0A>`.
    Byte = 6,
}

impl TokenType {
    /// The type with this number in `tokenizer.ggml.token_type`; others count as unused.
    pub fn from_gguf(number: i64) -> TokenType {
        match number {
            1 => TokenType::Normal,
            2 => TokenType::Unknown,
            3 => TokenType::Control,
            4 => TokenType::UserDefined,
            6 => TokenType::Byte,
            _ => TokenType::Unused,
        }
    }
}
