//! An encoder of texts in a folder: its network, its vocabulary, and what the files around them say of its use.
//!
//! What it is: everything that is known before a weight is read. What it is not: loaded. The one design choice: the files are
//! those of the hub and of sentence-transformers; where one is not there, what most models have is taken, and what a file asks
//! for and pintpot has not is refused.

use super::pooling::{self, Pooling};
use crate::vocabulary::{Beside, Bytes};
use crate::{Engine, Error, Examined, NetworkFile};
use host::{FlashFile, ReadAt};
use processors::text::{Counts, JsonTokenizer, Kind, Tokenizer, VocabTxt, Words};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Tokens of a text where no file says how many there may be.
const LONGEST: u32 = 512;
/// The longest file of settings.
const SETTINGS_MAX: u64 = 1 << 20;
/// The folder in which some repositories keep the network itself.
const INNER: &str = "onnx";

/// An encoder of texts that was looked at but not loaded.
pub struct EncoderFile {
    /// Where it is.
    pub path: PathBuf,
    pub(super) file: NetworkFile,
    pub(super) vocabulary: Vocabulary,
    /// Tokens that a text may have: as it should be used, and at most.
    pub(super) longest: u32,
    pub(super) most: u32,
    /// What the files say of how vectors of tokens become one, if they do.
    pub(super) pooling: Option<Pooling>,
}

impl Engine {
    /// What is in the encoder at `path`, a network or a folder, without loading it; its tokenizer lies beside it, or is
    /// `tokenizer`, a file or a folder.
    ///
    /// # Errors
    /// A file that is damaged, missing or not supported.
    pub fn open_encoder(&self, path: &Path, tokenizer: Option<&Path>) -> Result<EncoderFile, Error> {
        let file = match self.examine(path)? {
            Examined::Network(file) => file,
            Examined::Model(_) => return Err(Error::NotAnEncoder { path: path.to_path_buf() }),
        };
        let in_it = if path.is_dir() { path } else { path.parent().unwrap_or(Path::new("")) };
        let outer = in_it.parent().filter(|_| in_it.file_name().is_some_and(|name| name == INNER));
        let folders: Vec<&Path> = std::iter::once(in_it).chain(outer).collect();
        let open = |path: PathBuf| Some(Box::new(FlashFile::open(path).ok()?) as Box<dyn ReadAt>);
        let beside = |name: &str| folders.iter().find_map(|folder| open(folder.join(name)));
        let texts = |name: &str| match tokenizer {
            None => beside(name),
            Some(file) if file.file_name().is_some_and(|own| own == name) => open(file.to_path_buf()),
            Some(folder) => open(folder.join(name)),
        };
        let config: Config = settings(&beside, "config.json")?.unwrap_or_default();
        let own: TokenizerConfig = settings(&texts, "tokenizer_config.json")?.unwrap_or_default();
        let sentence: Option<SentenceConfig> = settings(&beside, "sentence_bert_config.json")?;
        let most = match &file {
            NetworkFile::Encoder(file) => models::bert::context(file)?,
            _ => config.max_position_embeddings.unwrap_or(LONGEST),
        };
        let said = sentence.and_then(|own| own.max_seq_length).or(own.longest()).unwrap_or(LONGEST);
        let longest = said.clamp(1, most.max(1));
        let pooling = pooling::find(&beside)?;
        let vocabulary = Vocabulary::find(&texts, &own)?;
        Ok(EncoderFile { path: path.to_path_buf(), file, vocabulary, longest, most, pooling })
    }
}

impl EncoderFile {
    /// Tokens that a text has at most if nobody says otherwise.
    pub fn longest(&self) -> u32 {
        self.longest
    }

    /// Its network.
    pub fn network(&self) -> &NetworkFile {
        &self.file
    }

    /// Whether it scores texts rather than making vectors of them, if that can be seen.
    pub fn scores(&self) -> bool {
        match &self.file {
            NetworkFile::Encoder(file) => models::bert::is_classifier(file),
            NetworkFile::Onnx(model) => {
                model.graph.outputs.first().is_some_and(|port| &*port.name == "logits")
            }
            NetworkFile::Tflite(_) => false,
        }
    }
}

/// The settings of a model, as far as they matter here.
#[derive(Default, Deserialize)]
struct Config {
    max_position_embeddings: Option<u32>,
}

/// What sentence-transformers says of the length.
#[derive(Deserialize)]
struct SentenceConfig {
    max_seq_length: Option<u32>,
}

/// What is said of a tokenizer beside its vocabulary.
#[derive(Default, Deserialize)]
struct TokenizerConfig {
    do_lower_case: Option<bool>,
    strip_accents: Option<bool>,
    tokenize_chinese_chars: Option<bool>,
    model_max_length: Option<f64>,
}

impl TokenizerConfig {
    /// Tokens of a text at most; files write an endless number where they do not know.
    fn longest(&self) -> Option<u32> {
        self.model_max_length.filter(|most| (1.0..1e6).contains(most)).map(|most| most as u32)
    }

    fn words(&self) -> Words {
        let lowercase = self.do_lower_case.unwrap_or(true);
        let strip_accents = self.strip_accents.unwrap_or(lowercase);
        let han_apart = self.tokenize_chinese_chars.unwrap_or(true);
        Words { lowercase, strip_accents, han_apart, ..Words::default() }
    }
}

/// What a file of settings says, if it is there.
pub(super) fn settings<T: DeserializeOwned>(
    beside: &Beside<'_>,
    name: &'static str,
) -> Result<Option<T>, Error> {
    let Some(file) = beside(name) else { return Ok(None) };
    let text = Bytes { file: &*file, at: 0 }.take(SETTINGS_MAX);
    serde_json::from_reader(text).map(Some).map_err(|source| Error::Settings { name, source })
}

/// The vocabulary of an encoder, looked at but not read.
pub(super) enum Vocabulary {
    Json(Box<JsonTokenizer>, Box<dyn ReadAt>),
    Txt(Box<VocabTxt>, Box<dyn ReadAt>),
}

impl Vocabulary {
    fn find(beside: &Beside<'_>, config: &TokenizerConfig) -> Result<Vocabulary, Error> {
        if let Some(json) = beside("tokenizer.json") {
            let survey = JsonTokenizer::survey(Bytes { file: &*json, at: 0 })?;
            return Ok(Vocabulary::Json(Box::new(survey), json));
        }
        let text = beside("vocab.txt").ok_or(Error::NoTokenizerBeside)?;
        let survey = VocabTxt::survey(Bytes { file: &*text, at: 0 }, config.words())?;
        Ok(Vocabulary::Txt(Box::new(survey), text))
    }

    fn size(&self) -> (Kind, Counts) {
        match self {
            Vocabulary::Json(survey, _) => (survey.spec().kind, survey.counts()),
            Vocabulary::Txt(survey, _) => (survey.spec().kind, survey.counts()),
        }
    }

    /// Bytes that the tokenizer will take.
    pub fn bytes(&self) -> u64 {
        let (kind, counts) = self.size();
        Tokenizer::estimate(kind, counts) as u64
    }

    /// Heap bytes that it holds until the tokenizer is built.
    pub fn heap_bytes(&self) -> u64 {
        match self {
            Vocabulary::Json(survey, _) => survey.heap_bytes(),
            Vocabulary::Txt(..) => 0,
        }
    }

    pub fn build(self) -> Result<Tokenizer, Error> {
        Ok(match self {
            Vocabulary::Json(survey, file) => survey.build(Bytes { file: &*file, at: 0 })?,
            Vocabulary::Txt(survey, file) => survey.build(Bytes { file: &*file, at: 0 })?,
        })
    }
}
