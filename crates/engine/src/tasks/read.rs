//! What a line of text on a picture says: a network that tells characters apart, place by place.
//!
//! What it is: connectionist temporal classification, read greedily. What it is not: a page, whose lines must be found first, see
//! [`Ocr`](super::Ocr). The one design choice: characters are a file of the user's, a line each, as such networks come with.

use super::ocr::characters::{Characters, LONGEST};
use super::values::{Activation, only};
use crate::{Error, Network};
use host::{FlashFile, ReadAt};
use serde::Deserialize;
use std::path::PathBuf;

/// How characters are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The output's name; the network's only one, if not said.
    pub scores: Option<String>,
    /// What makes them shares.
    #[serde(default)]
    pub activation: Activation,
    /// A file with a character on each line, with or without the blank before them and the space behind.
    pub characters: PathBuf,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its characters.
    pub text: String,
    /// How likely they are on average, from 0 to 1.
    pub score: f32,
}

impl Read {
    /// Bytes on the heap at most: the list of characters, and where each begins.
    pub(super) const HEAP_BYTES: u64 = 6 * LONGEST;

    /// What the line says.
    ///
    /// # Errors
    /// An output that is missing or no array of numbers; characters that cannot be read, or are not as many as the network's.
    pub fn read(&self, network: &Network) -> Result<Line, Error> {
        let (extents, scores) = only(network, self.scores.as_deref())?;
        let classes = extents.last().copied().unwrap_or(0);
        let characters = Characters::new(self.list()?, classes)?;
        let (text, score) = characters.read(scores, classes, self.activation);
        Ok(Line { text, score })
    }

    fn list(&self) -> Result<String, Error> {
        let failed = |reason: String| Error::Pipeline { name: self.characters.display().to_string(), reason };
        let file = FlashFile::open(&self.characters)?;
        if file.len() > LONGEST {
            return Err(failed(format!("a list of characters has at most {LONGEST} bytes")));
        }
        let mut bytes = vec![0; file.len() as usize];
        file.read_exact_at(0, &mut bytes).map_err(|error| failed(error.to_string()))?;
        String::from_utf8(bytes).map_err(|error| failed(error.to_string()))
    }
}
