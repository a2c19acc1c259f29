//! Ids to text, as they come.
//!
//! What it is: a stream that turns each id into the text it completes. What it is not: a second vocabulary. The one
//! design choice: a character that is not whole yet is held back, and what never becomes one is shown as U+FFFD, so
//! that every piece is valid UTF-8 and all pieces together are what the whole sequence decodes to.

use std::ops::Deref;

use super::spec::SpacePrefix;
use super::tokenizer::Tokenizer;

/// What is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DecodeOptions {
    /// Show marks such as `<|im_end|>` as they are written.
    pub show_special: bool,
    /// The ids start a text, so the space that encoding put before it is taken away. Not so for an answer, which
    /// goes on from a prompt.
    pub from_start: bool,
}

/// A stream of ids becoming a stream of text. `T` is `&Tokenizer`, `Arc<Tokenizer>` or the like.
pub struct Detokenizer<T> {
    tokenizer: T,
    options: DecodeOptions,
    /// The beginning of a character; at most three bytes between calls.
    pending: Vec<u8>,
    text: String,
    strip: bool,
}

impl<T: Deref<Target = Tokenizer>> Detokenizer<T> {
    /// Starts a stream.
    pub fn new(tokenizer: T, options: DecodeOptions) -> Detokenizer<T> {
        let strip = options.from_start && tokenizer.spec().space_prefix != SpacePrefix::Never;
        Detokenizer { tokenizer, options, pending: Vec::new(), text: String::new(), strip }
    }

    /// The text that `id` completes; often empty in the middle of a character.
    pub fn push(&mut self, id: u32) -> &str {
        self.text.clear();
        if self.options.show_special || !self.tokenizer.is_special(id) {
            let bytes = self.tokenizer.bytes(id);
            let skipped = usize::from(self.strip && bytes.first() == Some(&b' '));
            self.strip &= bytes.is_empty();
            self.pending.extend_from_slice(&bytes[skipped..]);
            self.drain();
        }
        &self.text
    }

    /// What is left when no more ids come.
    pub fn finish(&mut self) -> &str {
        self.text.clear();
        if !self.pending.is_empty() {
            self.pending.clear();
            self.text.push(char::REPLACEMENT_CHARACTER);
        }
        &self.text
    }

    /// Moves whole characters from `pending` to `text`.
    fn drain(&mut self) {
        let mut rest = &self.pending[..];
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    self.text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, after) = rest.split_at(error.valid_up_to());
                    self.text.push_str(std::str::from_utf8(valid).unwrap_or_default());
                    rest = after;
                    let Some(bad) = error.error_len() else { break };
                    self.text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[bad..];
                }
            }
        }
        self.pending.drain(..self.pending.len() - rest.len());
    }
}

impl Tokenizer {
    /// The text of a whole sequence.
    pub fn decode(&self, ids: &[u32], options: DecodeOptions) -> String {
        let mut stream = Detokenizer::new(self, options);
        let mut text = String::new();
        for &id in ids {
            text.push_str(stream.push(id));
        }
        text.push_str(stream.finish());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::{Builder, Counts, Kind, SpacePrefix, Spec, TokenType};

    /// Every byte as a token of that id, then a few words and a mark.
    fn tokenizer() -> Tokenizer {
        let spec = Spec { space_prefix: SpacePrefix::First, ..Spec::of(Kind::ScoredBpe) };
        let counts = Counts { tokens: 260, merges: 0, text_bytes: 4096 };
        let mut builder = Builder::new(spec, counts).unwrap();
        for byte in 0..256 {
            builder.token(format!("<0x{byte:02X}>").as_bytes(), 0.0, TokenType::Byte).unwrap();
        }
        for (text, role) in
            [("▁Hi", TokenType::Normal), ("é", TokenType::Normal), ("<x>", TokenType::UserDefined)]
        {
            builder.token(text.as_bytes(), 0.0, role).unwrap();
        }
        builder.token(b"</s>", 0.0, TokenType::Control).unwrap();
        builder.finish().unwrap()
    }

    #[test]
    fn pieces_are_whole_characters() {
        let tokenizer = tokenizer();
        let answer = DecodeOptions::default();
        let whole = DecodeOptions { from_start: true, ..answer };
        let marks = DecodeOptions { show_special: true, ..answer };
        for (options, ids, want, rest) in [
            (answer, &[256, 257, 258, 259, 999][..], &[" Hi", "é", "<x>", "", ""][..], ""),
            (whole, &[259, 256, 256], &["", "Hi", " Hi"], ""),
            (whole, &[257, 256], &["é", " Hi"], ""),
            (marks, &[256, 259], &[" Hi", "</s>"], ""),
            (answer, &[0xf0, 0x9f, 0x98, 0x80, 0x21], &["", "", "", "😀", "!"], ""),
            (answer, &[0xc3, 257], &["", "\u{fffd}é"], ""),
            (answer, &[0xc3, 259, 0xa9], &["", "", "é"], ""),
            (answer, &[0xff, 0x80, 0xe4, 0xbd], &["\u{fffd}", "\u{fffd}", "", ""], "\u{fffd}"),
            (answer, &[0xed, 0xa0, 0x80], &["", "\u{fffd}\u{fffd}", "\u{fffd}"], ""),
        ] {
            let mut stream = Detokenizer::new(&tokenizer, options);
            let got: Vec<String> = ids.iter().map(|&id| stream.push(id).to_owned()).collect();
            assert_eq!(got, want, "{ids:?}");
            assert_eq!(stream.finish(), rest, "{ids:?}");
            assert_eq!(stream.finish(), "");
            assert_eq!(tokenizer.decode(ids, options), want.concat() + rest);
        }
    }
}
