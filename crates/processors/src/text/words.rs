//! Words in pieces, as BERT has them.
//!
//! What it is: a text cleaned and folded character by character, cut at spaces and punctuation, and each word written as the
//! longest pieces of the vocabulary from left to right (Schuster and Nakajima 2012; Devlin et al., arXiv 1810.04805). What it
//! is not: aware of marks such as `[CLS]`, which are found before. The one design choice: characters stream, and of a text
//! no more is held than one word, since a word that is too long counts as unknown anyway.

use unicode_general_category::{GeneralCategory, get_general_category};
use unicode_normalization::UnicodeNormalization;

use super::vocab::Vocab;

/// The longest word, in characters, if the file names none; those beyond are unknown.
const LONGEST: usize = 100;
/// The longest word that a file may ask for: pieces are tried from every place to every place.
const LONGEST_MAX: usize = 1000;

/// How text becomes words, and words pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// Whether control characters are left out, and every kind of space is a space.
    pub clean: bool,
    /// Whether each Chinese character is a word.
    pub han_apart: bool,
    /// Whether accents are taken off.
    pub strip_accents: bool,
    /// Whether letters become small.
    pub lowercase: bool,
    /// What a piece begins with that is not the first of its word.
    pub prefix: Box<str>,
    /// The longest word, in characters.
    pub longest: usize,
}

impl Default for Words {
    /// What BERT's uncased models have.
    fn default() -> Words {
        let (clean, han_apart, strip_accents, lowercase) = (true, true, true, true);
        Words { clean, han_apart, strip_accents, lowercase, prefix: "##".into(), longest: LONGEST }
    }
}

impl Words {
    /// Text is taken as it is.
    pub(crate) fn as_it_is() -> Words {
        let (clean, han_apart, strip_accents, lowercase) = (false, false, false, false);
        Words { clean, han_apart, strip_accents, lowercase, ..Words::default() }
    }

    /// The longest word as a file wants it.
    pub(crate) fn set_longest(&mut self, longest: Option<usize>) {
        self.longest = longest.unwrap_or(LONGEST).min(LONGEST_MAX);
    }

    /// Calls `emit` with each piece's id; `None` for a word that has no pieces.
    pub(crate) fn encode(&self, text: &[u8], vocab: &Vocab, emit: &mut dyn FnMut(Option<u32>)) {
        let mut word = Word { text: String::new(), chars: 0 };
        let mut piece = Vec::new();
        self.normalized(text, &mut |c| {
            let alone = is_punctuation(c);
            if alone || c.is_whitespace() {
                self.flush(&mut word, vocab, &mut piece, emit);
            }
            if !c.is_whitespace() {
                word.push(c, self.longest);
            }
            if alone {
                self.flush(&mut word, vocab, &mut piece, emit);
            }
        });
        self.flush(&mut word, vocab, &mut piece, emit);
    }

    /// Calls `each` with the characters of the text as the vocabulary is written.
    fn normalized(&self, text: &[u8], each: &mut dyn FnMut(char)) {
        let valid = text.utf8_chunks().flat_map(|chunk| chunk.valid().chars());
        let cleaned = valid.filter_map(|c| match c {
            _ if !self.clean => Some(c),
            '\0' | '\u{fffd}' => None,
            '\t' | '\n' | '\r' => Some(' '),
            _ if is_other(c) => None,
            _ if c.is_whitespace() => Some(' '),
            _ => Some(c),
        });
        let apart = cleaned.flat_map(|c| {
            let space = (self.han_apart && is_han(c)).then_some(' ');
            space.into_iter().chain([c]).chain(space)
        });
        let mut cased = |c: char| match self.lowercase {
            true => c.to_lowercase().for_each(&mut *each),
            false => each(c),
        };
        match self.strip_accents {
            true => apart.nfd().filter(|c| !is_mark(*c)).for_each(&mut cased),
            false => apart.for_each(&mut cased),
        }
    }

    /// Writes a word in pieces and forgets it.
    fn flush(&self, word: &mut Word, vocab: &Vocab, piece: &mut Vec<u8>, emit: &mut dyn FnMut(Option<u32>)) {
        if word.chars > self.longest {
            emit(None);
        } else if word.chars > 0 {
            self.pieces(&word.text, vocab, piece, emit);
        }
        word.text.clear();
        word.chars = 0;
    }

    fn pieces(&self, word: &str, vocab: &Vocab, piece: &mut Vec<u8>, emit: &mut dyn FnMut(Option<u32>)) {
        // Nothing is said of a word before all of it has pieces.
        for says in [false, true] {
            let mut at = 0;
            while at < word.len() {
                let prefix = if at == 0 { "" } else { &self.prefix };
                let Some((end, id)) = longest(&word[at..], prefix, vocab, piece) else {
                    return emit(None);
                };
                at += end;
                if says {
                    emit(Some(id));
                }
            }
        }
    }
}

/// The word at hand.
struct Word {
    text: String,
    chars: usize,
}

impl Word {
    /// Adds a character; of a word that is too long only the length is kept.
    fn push(&mut self, c: char, longest: usize) {
        self.chars += 1;
        if self.chars <= longest {
            self.text.push(c);
        }
    }
}

/// The longest piece at the start of `text`, and its length there.
fn longest(text: &str, prefix: &str, vocab: &Vocab, piece: &mut Vec<u8>) -> Option<(usize, u32)> {
    piece.clear();
    piece.extend(prefix.bytes().chain(text.bytes()));
    let most = text.len().min(vocab.longest().saturating_sub(prefix.len()));
    let ends = (1..=most).rev().filter(|end| text.is_char_boundary(*end));
    ends.map(|end| (end, vocab.id(&piece[..prefix.len() + end]))).find_map(|(end, id)| Some((end, id?)))
}

/// Control, format and private characters.
fn is_other(c: char) -> bool {
    use GeneralCategory::{Control, Format, PrivateUse};
    matches!(get_general_category(c), Control | Format | PrivateUse)
}

/// Marks that take no place of their own.
fn is_mark(c: char) -> bool {
    get_general_category(c) == GeneralCategory::NonspacingMark
}

fn is_punctuation(c: char) -> bool {
    use GeneralCategory::{
        ClosePunctuation, ConnectorPunctuation, DashPunctuation, FinalPunctuation, InitialPunctuation,
        OpenPunctuation, OtherPunctuation,
    };
    c.is_ascii_punctuation()
        || matches!(
            get_general_category(c),
            ClosePunctuation
                | ConnectorPunctuation
                | DashPunctuation
                | FinalPunctuation
                | InitialPunctuation
                | OpenPunctuation
                | OtherPunctuation
        )
}

/// Chinese characters as BERT counts them; the gap in the last but two is the published code's.
fn is_han(c: char) -> bool {
    matches!(
        u32::from(c),
        0x4e00..=0x9fff
            | 0x3400..=0x4dbf
            | 0x20000..=0x2a6df
            | 0x2a700..=0x2b73f
            | 0x2b740..=0x2b81f
            | 0x2b920..=0x2ceaf
            | 0xf900..=0xfaff
            | 0x2f800..=0x2fa1f
    )
}
