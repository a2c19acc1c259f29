//! Whisper's tokens: marks that steer it, times, languages, and text.

use processors::text::Tokenizer;

use crate::Error;

/// Tokens of a vocabulary that has languages: one more than OpenAI's English ones have.
const MULTILINGUAL: usize = 51_865;
/// Bytes that are read of what a model is told, from the end; it looks at 223 tokens of it.
const PROMPT: usize = 16 << 10;
const LANGUAGE: &str = "a language that the model knows, such as en or de";

/// Tokens that steer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marks {
    /// Nothing more is said.
    pub end: u32,
    /// Here begins what is written down.
    pub start: u32,
    /// Nothing is said at all.
    pub silence: u32,
    /// No times are wanted.
    pub timeless: u32,
    /// Here begins what was written down before.
    before: u32,
    transcribe: u32,
    translate: u32,
}

impl Marks {
    /// The token of the first moment; each later one is two hundredths of a second on.
    pub fn first_time(&self) -> u32 {
        self.timeless + 1
    }
}

/// A tokenizer and its marks.
pub(super) struct Words {
    tokenizer: Tokenizer,
    pub marks: Marks,
    multilingual: bool,
}

impl Words {
    /// Of a model with so many tokens.
    pub fn new(tokenizer: Tokenizer, vocabulary: usize) -> Result<Words, Error> {
        let mark = |key: &'static str| tokenizer.id(key).ok_or(Error::NoTokenizer { key });
        let marks = Marks {
            end: mark("<|endoftext|>")?,
            start: mark("<|startoftranscript|>")?,
            silence: mark("<|nospeech|>").or_else(|_| mark("<|nocaptions|>"))?,
            timeless: mark("<|notimestamps|>")?,
            before: mark("<|startofprev|>")?,
            transcribe: mark("<|transcribe|>")?,
            translate: mark("<|translate|>")?,
        };
        Ok(Words { tokenizer, marks, multilingual: vocabulary >= MULTILINGUAL })
    }

    /// The languages' marks.
    pub fn languages(&self) -> std::ops::Range<u32> {
        self.marks.start + 1..self.marks.translate.min(self.marks.transcribe)
    }

    /// The mark of a language.
    pub fn language(&self, name: &str) -> Result<u32, Error> {
        let found = self.tokenizer.id(format!("<|{}|>", name.to_lowercase()));
        let found = found.filter(|id| self.languages().contains(id));
        let fits = |id: &u32| self.multilingual || *id == self.languages().start;
        found.filter(fits).ok_or_else(|| Error::Option {
            option: "--language",
            value: name.to_string(),
            expected: if self.multilingual { LANGUAGE } else { "en: the model knows nothing else" },
        })
    }

    /// What stands before all else, of so many tokens at most: the end of what the model is told to have written.
    pub fn told(&self, prompt: Option<&str>, most: usize) -> Result<Vec<u32>, Error> {
        let text = prompt.map(str::trim).filter(|text| !text.is_empty());
        let Some(text) = text else { return Ok(Vec::new()) };
        let from = text.len().saturating_sub(PROMPT);
        let end = (from..text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
        let mut ids = Vec::new();
        self.tokenizer.encode(format!(" {end}"), false, &mut ids)?;
        let kept = ids.len().saturating_sub(most.saturating_sub(1));
        Ok(std::iter::once(self.marks.before).chain(ids.into_iter().skip(kept)).collect())
    }

    /// What a language is called.
    pub fn name(&self, id: u32) -> String {
        String::from_utf8_lossy(self.tokenizer.bytes(id)).trim_matches(['<', '|', '>']).to_string()
    }

    /// The mark of what is to be done, if the model wants one.
    pub fn task(&self, translate: bool) -> Result<Option<u32>, Error> {
        let value = || "translate".to_string();
        match (self.multilingual, translate) {
            (true, true) => Ok(Some(self.marks.translate)),
            (true, false) => Ok(Some(self.marks.transcribe)),
            (false, true) => Err(Error::Option {
                option: "--task",
                value: value(),
                expected: "transcribe: the model knows English alone",
            }),
            (false, false) => Ok(None),
        }
    }

    /// What tokens say; marks and times say nothing.
    pub fn text(&self, tokens: &[u32]) -> String {
        let said = tokens.iter().filter(|token| **token < self.marks.end);
        let bytes: Vec<u8> = said.flat_map(|token| self.tokenizer.bytes(*token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}
