//! Answers beside those of an independent implementation: tiny models always, trained ones where they are.
//!
//! What it is: the whole way from a file to logits, judged by divergence and by the best token wherever the reference
//! is sure. What it is not: a test against our own earlier output.

use std::path::{Path, PathBuf};

use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Message, Model};
use pintpot_tests::{Logits, published, skip, small, small_names, texts_of_tiny, tiny, tiny_names, trained};

/// A leading token must be found where it leads by more than this.
const SURE: f32 = 0.5;
/// Mean divergence, in nats, that eight-bit activations may cost models of random weights.
const QUANTISED: f64 = 6e-3;
/// The same where weights, and so activations, are floats.
const FLOAT: f64 = 1e-5;

/// A model and how many logits a position has.
fn load(path: &Path, context: usize) -> Result<(Model, usize), Error> {
    let engine = Engine::builder().memory("4GiB".parse()?).build()?;
    let options =
        LoadOptions { context: u32::try_from(context).ok(), logit_rows: Some(16), ..LoadOptions::default() };
    let opened = engine.open(path)?;
    let columns = opened.decoder.vocabulary as usize;
    Ok((engine.load_opened(opened, &options)?, columns))
}

/// The share of positions at which the model's best token is the reference's, where that leads by more than `SURE`.
fn agreement(model: &mut Model, columns: usize, reference: &Logits) -> f64 {
    let sure = &mut |position: usize, row: &mut Vec<f32>| {
        let best = reference.clear(position, SURE);
        row.clear();
        row.resize(columns, 0.0);
        best.into_iter().for_each(|best| row[best as usize] = 1.0);
        Ok(best.is_some())
    };
    model.compare(&reference.ids, sure).unwrap().same_top.unwrap()
}

/// Fails with everything that is wrong, a model a line.
fn verdict(results: impl IntoIterator<Item = (String, Result<(), String>)>) {
    let wrong: Vec<String> =
        results.into_iter().filter_map(|(name, result)| Some(format!("{name}: {}", result.err()?))).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn tiny_models_compute_what_transformers_compute() {
    let names = tiny_names();
    assert!(names.len() >= 20, "tests/golden/tiny lacks models: {names:?}");
    verdict(names.into_iter().map(|name| {
        let result = computes_alike(&name, tiny(&name));
        (name, result)
    }));
}

#[test]
fn small_trained_models_compute_what_transformers_compute() {
    let names = small_names();
    assert!(!names.is_empty(), "tests/trained lacks models");
    verdict(names.into_iter().map(|name| {
        let result = computes_alike(&name, small(&name));
        (name, result)
    }));
}

fn computes_alike(name: &str, (path, reference): (PathBuf, Logits)) -> Result<(), String> {
    let (mut model, columns) = load(&path, reference.ids.len()).map_err(|error| error.to_string())?;
    let rows = &mut |position: usize, row: &mut Vec<f32>| {
        let known = reference.row(position);
        row.clear();
        row.extend_from_slice(known.unwrap_or_default());
        Ok(known.is_some())
    };
    let result = model.compare(&reference.ids, rows).map_err(|error| error.to_string())?;
    let divergence = result.mean_kld.unwrap_or(f64::INFINITY);
    let agreement = agreement(&mut model, columns, &reference);
    println!("{name}: divergence {divergence:.1e}, agreement {agreement:.3}");
    let bound = if name.ends_with(".gguf") && name != "llama-f32.gguf" { QUANTISED } else { FLOAT };
    let right = divergence < bound && agreement > 0.97;
    right.then_some(()).ok_or(format!("divergence {divergence:.1e} of {bound:.0e}, agreement {agreement:.3}"))
}

#[test]
fn tiny_models_read_text_as_others_do() {
    verdict(texts_of_tiny().into_iter().map(|(name, texts)| {
        let result = reads_alike(&tiny(&name).0, &texts);
        (name, result)
    }));
}

fn reads_alike(path: &Path, texts: &[(String, Vec<u32>)]) -> Result<(), String> {
    let (model, _) = load(path, 64).map_err(|error| error.to_string())?;
    for (text, expected) in texts {
        let mut ids = Vec::new();
        model.tokenizer().encode(text.as_bytes(), true, &mut ids).map_err(|error| error.to_string())?;
        if ids != *expected {
            return Err(format!("{text:?} is {expected:?}, not {ids:?}"));
        }
    }
    Ok(())
}

#[test]
fn a_template_beside_the_weights_is_the_one_that_counts() {
    let folder = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(tiny("llama-bf16").0).unwrap().flatten() {
        published(&entry.path(), folder.path());
    }
    let prompt = || {
        let (model, _) = load(folder.path(), 64).unwrap();
        let ids = model.encode_chat(&[Message::new("user", " Hi ")]).unwrap();
        String::from_utf8(ids.iter().flat_map(|&id| model.tokenizer().bytes(id).to_vec()).collect()).unwrap()
    };
    assert_eq!(prompt(), "<|begin|><|user|>Hi<|end|><|user|>");
    std::fs::write(folder.path().join("chat_template.jinja"), "<|user|>{{ messages[0].content }}").unwrap();
    assert_eq!(prompt(), "<|user|> Hi ");
}

#[test]
fn trained_models_answer_as_transformers_do() {
    for name in ["gemma3-270m", "qwen2.5-coder-0.5b", "smollm2"] {
        let Some(run) = trained(name) else {
            skip(name, "PINTPOT_TEST_MODELS names no folder that holds it");
            continue;
        };
        let (mut model, columns) = load(&run.model, 256).unwrap();
        for (what, reference) in [("its answer", &run.greedy), ("a text", &run.text)] {
            let agreement = agreement(&mut model, columns, reference);
            println!("{name}: {what}: agreement {agreement:.3}");
            assert_eq!(agreement, 1.0, "{name}: {what}: sure tokens differ");
        }
    }
}

#[test]
fn the_capital_of_france_is_paris() {
    let Some(run) = trained("smollm2") else {
        skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
        return;
    };
    let (mut model, _) = load(&run.model, 256).unwrap();
    let (prompt, expected) = run.greedy.ids.split_at(run.prompt);
    let options = GenerateOptions { max_tokens: Some(16), ..GenerateOptions::default() };
    let answer = model.generate(prompt, &options, &mut |_| Flow::Continue).unwrap();
    assert_eq!(answer.text, "The capital of France is Paris.");
    assert!(expected.starts_with(&answer.ids), "{:?}", answer.ids);
}
