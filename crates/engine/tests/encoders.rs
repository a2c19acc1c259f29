//! Encoders of texts against references from outside: numpy by hand in f64, and onnxruntime.
//!
//! What texts/ holds was written by tests/networks/make_texts.py. Trained encoders lie in `PINTPOT_TEST_MODELS`; without it only
//! the little ones are tried.

use pintpot::Engine;
use pintpot::tasks::{EncoderOptions, Pooling, TextInput};
use serde::Deserialize;
use std::path::{Path, PathBuf};

#[derive(Deserialize)]
struct References {
    texts: Vec<String>,
    query: String,
    answers: Vec<String>,
    models: Vec<Reference>,
}

#[derive(Deserialize)]
struct Reference {
    name: String,
    longest: u32,
    #[serde(default)]
    pooling: String,
    #[serde(default)]
    vectors: Vec<String>,
    #[serde(default)]
    scores: Vec<f32>,
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/networks/texts");

fn references() -> References {
    serde_json::from_slice(&std::fs::read(Path::new(FOLDER).join("references.json")).unwrap()).unwrap()
}

/// Where an encoder lies, and its tokenizer if that is elsewhere.
fn place(name: &str) -> Option<(PathBuf, Option<PathBuf>)> {
    let little = Path::new(FOLDER).join(name);
    if little.exists() {
        return Some((little, None));
    }
    let models = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?);
    let (path, tokenizer) = match name {
        "minilm" => ("minilm", None),
        "minilm-int8" => ("minilm-int8/model.onnx", Some("minilm")),
        "paraphrase-minilm" => ("paraphrase-minilm/paraphrase-MiniLM-L3-v2.onnx", Some("minilm/vocab.txt")),
        "bge-small" => ("bge-small/model.onnx", None),
        "colbert-small" => ("colbert-small/model.onnx", None),
        _ => ("reranker-minilm/model.onnx", None),
    };
    let path = models.join(path);
    path.exists().then(|| (path, tokenizer.map(|tokenizer| models.join(tokenizer))))
}

fn engine(threads: usize) -> Engine {
    Engine::builder().memory("2GiB".parse().unwrap()).threads(Some(threads)).build().unwrap()
}

/// f32 behind base64.
fn decoded(text: &str) -> Vec<f32> {
    const DIGITS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0u32, 0);
    for digit in text.chars().filter_map(|c| DIGITS.find(c)) {
        (held, bits) = (held << 6 | digit as u32, bits + 6);
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits) as u8);
        }
    }
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect()
}

fn vectors(threads: usize, reference: &Reference, texts: &[&str]) -> Option<Vec<Vec<f32>>> {
    let (path, tokenizer) = place(&reference.name)?;
    let engine = engine(threads);
    let file = engine.open_encoder(&path, tokenizer.as_deref()).unwrap();
    let pooling = Some(Pooling::of(&reference.pooling).unwrap());
    let options = EncoderOptions { longest: Some(reference.longest), pooling, ..EncoderOptions::default() };
    let mut task = engine.load_embed(file, &options).unwrap();
    let inputs: Vec<TextInput<'_>> = texts.iter().map(|text| TextInput::Text(text)).collect();
    let mut made = Vec::new();
    task.embed(&inputs, |vector| made.push(vector.to_vec())).unwrap();
    Some(made)
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn vectors_are_those_of_others() {
    let References { texts, models, .. } = references();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    for model in models.iter().filter(|model| !model.vectors.is_empty()) {
        let Some(made) = vectors(2, model, &texts) else { continue };
        // Where numbers are rounded to whole ones while it runs, onnxruntime differs from itself by as much.
        let rounds = ["bge-small", "colbert-small"].contains(&&*model.name);
        let allowed = if rounds { 5e-3 } else { 1e-5 };
        for (text, (made, want)) in made.iter().zip(&model.vectors).enumerate() {
            let distance = 1.0 - cosine(made, &decoded(want));
            println!("{} text {text}: 1 - cosine {distance:.2e}", model.name);
            assert!(distance.abs() <= allowed, "{} text {text}: {distance}", model.name);
        }
    }
}

#[test]
fn scores_are_those_of_others() {
    let References { query, answers, models, .. } = references();
    let answers: Vec<&str> = answers.iter().map(String::as_str).collect();
    for model in models.iter().filter(|model| !model.scores.is_empty()) {
        let Some((path, _)) = place(&model.name) else { continue };
        let engine = engine(2);
        let file = engine.open_encoder(&path, None).unwrap();
        assert!(file.scores());
        let options = EncoderOptions { longest: Some(model.longest), ..EncoderOptions::default() };
        let mut task = engine.load_rerank(file, &options).unwrap();
        let mut made = Vec::new();
        task.score(&query, &answers, |score| made.push(score)).unwrap();
        // As above: where the weights of its norms are changed by three parts in ten million, onnxruntime's own scores move by up
        // to 0.1, that of the last, one sentence a hundred times, by 0.28.
        let rounds = model.name != "reranker";
        for (at, (made, want)) in made.iter().zip(&model.scores).enumerate() {
            println!("{}: {made} beside {want}", model.name);
            let allowed = [1e-5, 0.15, 0.4][usize::from(rounds) + usize::from(rounds && at == 4)];
            assert!((made - want).abs() <= allowed, "{}: {made} beside {want}", model.name);
        }
    }
}

#[test]
fn a_vector_depends_on_its_text_alone() {
    let References { texts, models, .. } = references();
    let words = [
        "a",
        "it is",
        "the age of it",
        "people live in berlin",
        "b",
        "times was the age of it is people live",
        "it was the age of times people live in berlin is it",
    ];
    let mut many: Vec<&str> = words.iter().copied().cycle().take(147).collect();
    many.push(&texts[5]);
    for model in models.iter().filter(|model| model.name == "encoder") {
        let together = vectors(2, model, &many).unwrap();
        for (at, word) in words.iter().enumerate() {
            assert_eq!(vectors(1, model, &[word]).unwrap()[0], together[at], "{word}");
            assert_eq!(together[at], together[at + 7 * 20]);
        }
        assert_eq!(vectors(1, model, &[&texts[5]]).unwrap()[0], together[147]);
    }
    let scored = |threads, texts: &[&str]| {
        let engine = engine(threads);
        let file = engine.open_encoder(&place("reranker").unwrap().0, None).unwrap();
        let mut task = engine.load_rerank(file, &EncoderOptions::default()).unwrap();
        let mut made = Vec::new();
        task.score("people", texts, |score| made.push(score)).unwrap();
        made
    };
    let together = scored(2, &many);
    words.iter().enumerate().for_each(|(at, word)| assert_eq!(scored(1, &[word])[0], together[at], "{word}"));
}

#[test]
fn what_cannot_be_is_refused() {
    let (path, _) = place("encoder").unwrap();
    let small = Engine::builder().memory("4MiB".parse().unwrap()).build().unwrap();
    let options = EncoderOptions::default();
    let refused = |engine: &Engine, options: &EncoderOptions| {
        let file = engine.open_encoder(&path, None).unwrap();
        engine.load_embed(file, options).err().unwrap().to_string()
    };
    assert!(refused(&small, &options).contains("budget"));
    let engine = engine(1);
    assert!(refused(&engine, &EncoderOptions { longest: Some(49), ..options }).contains("48"));
    let file = engine.open_encoder(&path, None).unwrap();
    assert!(engine.load_rerank(file, &options).err().unwrap().to_string().contains("last_hidden_state"));
    let file = engine.open_encoder(&path, None).unwrap();
    let mut task = engine.load_embed(file, &options).unwrap();
    assert!(task.embed(&[TextInput::Tokens(&[9999])], |_| ()).is_err());
    assert!(task.embed(&[TextInput::Text(&"x".repeat(1 << 20))], |_| ()).is_err());
    let mut counted = 0;
    assert_eq!(task.embed(&[TextInput::Tokens(&[5, 6])], |_| counted += 1).unwrap(), 4);
    assert_eq!(counted, 1);
    assert!(engine.open_encoder(Path::new(FOLDER), None).is_err());
}
