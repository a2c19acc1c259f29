//! Which files of a repository are one model, and which model is meant.
//!
//! What it is: rules over names alone, so that a listing on the network and a folder on the disk are judged the same.
//! What it is not: a look inside files. The one design choice: the files of a model are complete or it is no model, so
//! a half-fetched split file is simply not there.
//!
//! Names follow the GGUF naming convention (ggml's `docs/gguf.md`): `Base-Size-...-Encoding[-00001-of-00003].gguf`.

use crate::reference::{Pick, is_model_file};
use crate::{Error, Result};

/// The quantisation that is meant when none is named.
const DEFAULT_QUANT: &str = "Q4_K_M";

/// What belongs to a safetensors model besides its weights.
const COMPANIONS: [&str; 8] = [
    "chat_template.jinja",
    "config.json",
    "generation_config.json",
    "model.safetensors.index.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
];

/// The files of one model, the first shard first.
pub(crate) type Files = Vec<String>;

/// Every complete model among the names, in the order of names.
pub(crate) fn models(names: &[String]) -> Vec<Files> {
    let mut weights: Vec<&String> = names.iter().filter(|name| is_weights(name)).collect();
    weights.sort();
    let mut models: Vec<Files> = Vec::new();
    for name in &weights {
        let mut files = match shard(name) {
            None => vec![name.to_string()],
            Some((1, count, stem)) => {
                let shards = weights
                    .iter()
                    .filter(|other| matches!(shard(other), Some((_, n, s)) if (n, s) == (count, stem)));
                let shards: Files = shards.map(|name| name.to_string()).collect();
                if shards.len() as u64 != count {
                    continue;
                }
                shards
            }
            Some(_) => continue,
        };
        if name.ends_with(".safetensors") {
            let folder = name.rfind('/').map_or("", |at| &name[..=at]);
            files.extend(
                COMPANIONS.iter().map(|file| format!("{folder}{file}")).filter(|file| names.contains(file)),
            );
        }
        models.push(files);
    }
    models
}

/// The model that `pick` means; `within` names the repository in errors.
pub(crate) fn choose(within: &str, names: &[String], pick: &Pick) -> Result<Files> {
    let models = models(names);
    let fitting: Vec<&Files> = match pick {
        Pick::File(file) => models.iter().filter(|model| model.contains(file)).collect(),
        Pick::Quant(quant) => named(&models, quant),
        Pick::Default => by_default(&models),
    };
    match fitting.as_slice() {
        [one] => Ok(one.to_vec()),
        [] => Err(Error::NoSuchFile {
            within: within.to_string(),
            wanted: match pick {
                Pick::Default => "model file".to_string(),
                Pick::File(name) | Pick::Quant(name) => name.clone(),
            },
            holds: firsts(&models),
        }),
        several => Err(Error::Ambiguous { within: within.to_string(), choices: firsts(several) }),
    }
}

fn firsts<F: std::borrow::Borrow<Files>>(models: &[F]) -> Vec<String> {
    models.iter().filter_map(|model| model.borrow().first().cloned()).collect()
}

/// GGUF before anything else, and among several the default quantisation; a repository's `model` is its model.
fn by_default(models: &[Files]) -> Vec<&Files> {
    let first = |model: &&Files| model.first().cloned().unwrap_or_default();
    let ggufs: Vec<&Files> = models.iter().filter(|model| first(model).ends_with(".gguf")).collect();
    let candidates = if ggufs.is_empty() { models.iter().collect() } else { ggufs };
    if candidates.len() <= 1 {
        return candidates;
    }
    let usual: Vec<&Files> = match named(models, DEFAULT_QUANT) {
        quants if !quants.is_empty() => quants,
        _ => candidates
            .iter()
            .copied()
            .filter(|model| first(model).starts_with("model") && first(model).ends_with(".safetensors"))
            .collect(),
    };
    if usual.is_empty() { candidates } else { usual }
}

/// The GGUF models with the quantisation in their name; the shortest name wins (`Q4_K_M` over `UD-Q4_K_M`).
fn named<'m>(models: &'m [Files], quant: &str) -> Vec<&'m Files> {
    let has =
        |model: &&Files| model.first().is_some_and(|name| name.ends_with(".gguf") && has_word(name, quant));
    let fitting: Vec<&Files> = models.iter().filter(has).collect();
    let length = |model: &&Files| model.first().map_or(0, |name| name.len());
    let shortest = fitting.iter().map(length).min();
    fitting.into_iter().filter(|model| Some(length(model)) == shortest).collect()
}

/// Whether `word` stands in `name` and is not part of a longer one: Q4_K is not in `x-Q4_K_M.gguf`.
fn has_word(name: &str, word: &str) -> bool {
    let (name, word) = (name.to_ascii_lowercase(), word.to_ascii_lowercase());
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.match_indices(&word).any(|(at, _)| {
        let before = name[..at].chars().next_back().is_none_or(|c| !c.is_ascii_alphanumeric());
        let after = name[at + word.len()..].chars().next().is_none_or(|c| !goes_on(c));
        before && after
    })
}

/// A model file that stands for itself; vision projectors and draft heads only accompany one.
fn is_weights(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name).to_ascii_lowercase();
    is_model_file(&file) && !file.starts_with("mmproj") && !file.starts_with("mtp-")
}

/// Reads `stem-00002-of-00003.ending` as (2, 3, stem).
fn shard(name: &str) -> Option<(u64, u64, &str)> {
    let (name, _) = name.rsplit_once('.')?;
    let (name, count) = name.rsplit_once("-of-")?;
    let (stem, number) = name.rsplit_once('-')?;
    let digits = |text: &str| if text.len() == 5 { text.parse().ok() } else { None };
    Some((digits(number)?, digits(count)?, stem))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_string).collect()
    }

    #[test]
    fn the_model_that_is_meant() {
        let quants = "README.md m-Q4_K_M.gguf m-Q4_K_S.gguf m-UD-Q4_K_M.gguf m-Q8_0.gguf mmproj-m-Q8_0.gguf";
        let split = "q/m-Q4_0-00002-of-00002.gguf q/m-Q4_0-00001-of-00002.gguf m-Q8_0-00001-of-00002.gguf";
        let tensors = "config.json tokenizer.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors x.safetensors y.txt";
        let quant = |name: &str| Pick::Quant(name.to_string());
        let file = |name: &str| Pick::File(name.to_string());
        for (all, pick, expected) in [
            ("a.gguf b.md", Pick::Default, "a.gguf"),
            ("a.gguf model.safetensors", Pick::Default, "a.gguf"),
            (quants, Pick::Default, "m-Q4_K_M.gguf"),
            (quants, quant("q8_0"), "m-Q8_0.gguf"),
            (quants, quant("UD-Q4_K_M"), "m-UD-Q4_K_M.gguf"),
            (quants, file("m-Q4_K_S.gguf"), "m-Q4_K_S.gguf"),
            (quants, quant("Q4_K"), ""),
            (quants, quant("Q2_K"), ""),
            (split, quant("Q4_0"), "q/m-Q4_0-00001-of-00002.gguf q/m-Q4_0-00002-of-00002.gguf"),
            (split, quant("Q8_0"), ""),
            (
                tensors,
                Pick::Default,
                "model-00001-of-00002.safetensors model-00002-of-00002.safetensors config.json tokenizer.json",
            ),
            (tensors, file("x.safetensors"), "x.safetensors config.json tokenizer.json"),
            ("a-Q8_0.gguf b-Q8_0.gguf", Pick::Default, "?"),
            ("README.md", Pick::Default, ""),
        ] {
            match choose("hf:o/n", &names(all), &pick) {
                Ok(files) => assert_eq!(files.join(" "), expected, "{pick:?}"),
                Err(Error::NoSuchFile { .. }) => assert_eq!(expected, "", "{pick:?}"),
                Err(Error::Ambiguous { .. }) => assert_eq!(expected, "?", "{pick:?}"),
                Err(error) => panic!("{error}"),
            }
        }
    }
}
