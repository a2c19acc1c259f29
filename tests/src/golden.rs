//! Reference logits and runs, as tests/golden and tests/trained store them.
//!
//! Not a judge: it reads what programs that are not ours computed (see tests/golden/README.md).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::root;

/// A file of reference logits.
#[derive(Clone, Debug, Default)]
pub struct Logits {
    /// The text.
    pub ids: Vec<u32>,
    /// The best id after every token of the text.
    pub argmax: Vec<u32>,
    /// Best minus second best logit after every token.
    pub margin: Vec<f32>,
    /// Positions that have a row, ascending.
    pub positions: Vec<usize>,
    /// Logits, (position, vocabulary).
    pub rows: Vec<Vec<f32>>,
}

/// A reference run of a trained model.
#[derive(Clone, Debug)]
pub struct Run {
    /// The model's file, in the folder of test models.
    pub model: PathBuf,
    /// A prompt and the greedy answer to it; margins and best ids after every token but the last, from the prompt's
    /// last on, nothing before.
    pub greedy: Logits,
    /// Tokens of the prompt in `greedy`.
    pub prompt: usize,
    /// A text; margins and best ids after every token.
    pub text: Logits,
}

impl Logits {
    /// Reads a logits file.
    ///
    /// # Panics
    /// If it is not one; it belongs to the tests.
    pub fn read(path: &Path) -> Logits {
        let mut file = BufReader::new(File::open(path).expect("a logits file"));
        let mut line = String::new();
        file.read_line(&mut line).expect("a line of JSON");
        let header: Value = serde_json::from_str(&line).expect("a line of JSON");
        let vocabulary = header["vocabulary"].as_u64().expect("a size") as usize;
        let mut rows = Vec::new();
        file.read_to_end(&mut rows).expect("rows");
        let floats = |row: &[u8]| row.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
        Logits {
            ids: numbers(&header["ids"]),
            argmax: numbers(&header["argmax"]),
            margin: header["margin"].as_array().expect("margins").iter().map(float).collect(),
            positions: numbers(&header["positions"]).into_iter().map(|p| p as usize).collect(),
            rows: rows.chunks_exact(vocabulary * 4).map(floats).collect(),
        }
    }

    /// The row at `position`, if there is one.
    pub fn row(&self, position: usize) -> Option<&[f32]> {
        self.positions.binary_search(&position).ok().map(|i| &*self.rows[i])
    }

    /// Best id at positions where it leads by more than `margin`.
    pub fn clear(&self, position: usize, margin: f32) -> Option<u32> {
        let leads = self.margin.get(position).is_some_and(|m| *m > margin);
        self.argmax.get(position).copied().filter(|_| leads)
    }
}

fn float(value: &Value) -> f32 {
    value.as_f64().expect("a number") as f32
}

fn numbers(value: &Value) -> Vec<u32> {
    value.as_array().expect("numbers").iter().map(|n| n.as_u64().expect("a number") as u32).collect()
}

fn golden() -> PathBuf {
    root().join("tests/golden")
}

/// Names of the models in a folder that have reference logits beside them: GGUF files and folders.
fn names(folder: &Path) -> Vec<String> {
    let files = fs::read_dir(folder).expect("a folder of models").flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    let mut names: Vec<String> =
        names.filter_map(|name| name.strip_suffix(".logits").map(str::to_string)).collect();
    names.sort();
    names
}

/// A model's path and its reference logits.
fn model(folder: &Path, name: &str) -> (PathBuf, Logits) {
    (folder.join(name), Logits::read(&folder.join(format!("{name}.logits"))))
}

/// Names of the tiny models.
pub fn tiny_names() -> Vec<String> {
    names(&golden().join("tiny"))
}

/// A tiny model's path and its reference logits.
pub fn tiny(name: &str) -> (PathBuf, Logits) {
    model(&golden().join("tiny"), name)
}

/// Names of the small models that the project has trained (tests/trained/README.md).
pub fn small_names() -> Vec<String> {
    names(&root().join("tests/trained"))
}

/// A small trained model's path and its reference logits.
pub fn small(name: &str) -> (PathBuf, Logits) {
    model(&root().join("tests/trained"), name)
}

/// A text and its ids.
pub type Encoded = (String, Vec<u32>);

/// Sample texts and their ids, for each tiny model.
pub fn texts_of_tiny() -> Vec<(String, Vec<Encoded>)> {
    let text = fs::read_to_string(golden().join("tiny/texts.json")).expect("the texts");
    let all: BTreeMap<String, Vec<(String, Vec<u32>)>> = serde_json::from_str(&text).expect("texts and ids");
    all.into_iter().collect()
}

/// The reference run of a trained model in the folder that `PINTPOT_TEST_MODELS` names; `None` if it is not there.
pub fn trained(name: &str) -> Option<Run> {
    let model = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?).join(format!("{name}.gguf"));
    if !model.exists() {
        return None;
    }
    let text = fs::read_to_string(golden().join("real").join(format!("{name}.json"))).expect("a golden run");
    let run: Value = serde_json::from_str(&text).expect("JSON");
    let (prompt, answer) = (numbers(&run["greedy"]["prompt"]), numbers(&run["greedy"]["answer"]));
    let skipped = prompt.len() - 1;
    let greedy = summary(&run["greedy"], [prompt, answer].concat(), skipped);
    let text = summary(&run["text"], numbers(&run["text"]["ids"]), 0);
    Some(Run { model, greedy, prompt: skipped + 1, text })
}

/// Margins and best ids of a run, which begin after `skipped` tokens.
fn summary(run: &Value, ids: Vec<u32>, skipped: usize) -> Logits {
    let margins = run["margin"].as_array().expect("margins").iter().map(float);
    let best = run["top"]
        .as_array()
        .expect("best logits")
        .iter()
        .map(|top| top[0][0].as_u64().expect("an id") as u32);
    Logits {
        ids,
        margin: std::iter::repeat_n(0.0, skipped).chain(margins).collect(),
        argmax: std::iter::repeat_n(0, skipped).chain(best).collect(),
        ..Logits::default()
    }
}
