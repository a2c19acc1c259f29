//! vocab.txt: a word piece a line, as BERT's authors write a vocabulary.
//!
//! What it is: a survey that counts, and a second reading that fills a [`Builder`]. What it is not: how text is cut; a file
//! beside it says that, or BERT's own ways hold. The one design choice: the marks are found by their texts, as the published
//! code finds them.

use std::io::{BufRead, BufReader, Read};

use super::builder::Builder;
use super::post_processor::PostProcessor;
use super::spec::{Counts, Kind, Spec, TokenType};
use super::tokenizer::Tokenizer;
use super::words::Words;
use crate::Error;

/// The longest line.
const LONGEST: u64 = 4 << 10;
/// Marks, by their texts in the published vocabularies.
const MARKS: [&str; 5] = ["[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"];

/// A vocab.txt that has been looked through once.
pub struct VocabTxt {
    spec: Spec,
    counts: Counts,
}

impl VocabTxt {
    /// Counts what the file holds. Reads all of it.
    pub fn survey(file: impl Read, words: Words) -> Result<VocabTxt, Error> {
        let mut counts = Counts::default();
        let mut found = [None; MARKS.len()];
        lines(file, |line| {
            let id = counts.tokens as u32;
            if let Some(mark) = MARKS.iter().position(|mark| mark.as_bytes() == line) {
                found[mark].get_or_insert(id);
            }
            counts.tokens += 1;
            counts.text_bytes += line.len();
            Ok(())
        })?;
        let [cls, _, _, sep, unknown] = found;
        let missing = |mark| Error::VocabTxtWithout { mark };
        let (cls, sep) = (cls.ok_or(missing("[CLS]"))?, sep.ok_or(missing("[SEP]"))?);
        let unknown = Some(unknown.ok_or(missing("[UNK]"))?);
        let post_processor = PostProcessor::bert(cls, sep);
        let spec = Spec { words, unknown, fuse_unknown: false, post_processor, ..Spec::of(Kind::WordPiece) };
        Ok(VocabTxt { spec, counts })
    }

    /// What the tokenizer is.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// How much it holds; [`Tokenizer::estimate`] turns that into bytes.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Reads the same file again and builds.
    pub fn build(self, file: impl Read) -> Result<Tokenizer, Error> {
        let mut builder = Builder::new(self.spec, self.counts)?;
        lines(file, |line| {
            let is_mark = MARKS.iter().any(|mark| mark.as_bytes() == line);
            builder.token(line, 0.0, if is_mark { TokenType::Control } else { TokenType::Normal })
        })?;
        builder.finish()
    }
}

/// Calls `each` with every line, without its end.
fn lines(file: impl Read, mut each: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
    let mut file = BufReader::with_capacity(LONGEST as usize, file);
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        file.by_ref().take(LONGEST).read_until(b'\n', &mut line).map_err(Error::VocabTxt)?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 == LONGEST {
            return Err(Error::TokenTooLong { id: number - 1, bytes: line.len(), limit: LONGEST as usize });
        }
        each(line.trim_ascii_end())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(vocabulary: &str, text: &str) -> Vec<u32> {
        let survey = VocabTxt::survey(vocabulary.as_bytes(), Words::default()).unwrap();
        let tokenizer = survey.build(vocabulary.as_bytes()).unwrap();
        tokenizer.encode_texts(text, None, 100).unwrap().ids
    }

    #[test]
    fn lines_are_tokens() {
        let vocabulary = "[PAD]\r\n[UNK]\n[CLS]\n[SEP]\nun\n##aff\n##able\n!\n\u{4e2d}\na";
        for (text, want) in [
            ("Unaffable!", &[2, 4, 5, 6, 7, 3][..]),
            ("\u{4e2d}a [SEP]", &[2, 8, 9, 3, 3]),
            ("unaffx un", &[2, 1, 4, 3]),
            ("", &[2, 3]),
        ] {
            assert_eq!(ids(vocabulary, text), want, "{text}");
        }
    }

    #[test]
    fn what_is_no_vocabulary_is_refused() {
        let refused = |text: &str| VocabTxt::survey(text.as_bytes(), Words::default()).err().unwrap();
        assert!(refused("a\nb").to_string().contains("[CLS]"));
        assert!(matches!(refused(&"x".repeat(5000)), Error::TokenTooLong { id: 0, .. }));
    }
}
