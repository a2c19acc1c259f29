//! The same bits everywhere: budget, threads, instruction set, chunk.
//!
//! What it is: equality of digests with the plain run, on real files. What it is not: a judgement of the answer, which
//! is `golden`'s. The one design choice: a variant is a row of a list, so a new way to run is a new row.

use std::path::Path;

use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Memory};
use pintpot_tests::{skip, tall, tiny, tiny_names, trained};

/// How a model is run.
#[derive(Clone, Debug)]
struct Way {
    threads: usize,
    isa: &'static str,
    /// Share of the way from the smallest budget to a roomy one, in percent.
    budget: u64,
    /// Positions whose logits are computed at once.
    rows: u32,
}

const PLAIN: Way = Way { threads: 1, isa: "scalar", budget: 100, rows: 1 };
const ROOMY: u64 = 4 << 30;
/// Models that are made so tall that they have to be streamed: by how many layers.
const TALL: [(&str, u32); 6] = [
    ("deepseek3-tiny.gguf", 96),
    ("gemma3-q8_0.gguf", 192),
    ("gpt-oss-mxfp4.gguf", 160),
    ("llama-q4.gguf", 256),
    ("qwen2moe-q8_0.gguf", 96),
    ("qwen3-k.gguf", 48),
];

/// Every way that differs from the plain one, one thing at a time, and all together.
fn ways() -> Vec<Way> {
    let mut ways: Vec<Way> = kernels::available().map(|set| Way { isa: set.name(), ..PLAIN }).collect();
    let best = kernels::best().name();
    ways.extend([2, 3].map(|threads| Way { threads, isa: best, ..PLAIN }));
    ways.extend([2, 16, 64].map(|rows| Way { rows, isa: best, ..PLAIN }));
    ways.extend([0, 20].map(|budget| Way { budget, isa: best, ..PLAIN }));
    ways.push(Way { threads: 3, isa: best, budget: 0, rows: 5 });
    ways
}

/// Digests of all logits of a text, and of an answer to it with its tokens.
type Outcome = (String, String, Vec<u32>);

/// What comes out, and how many bytes of weights every step reads.
fn run(path: &Path, ids: &[u32], way: &Way) -> Result<(Outcome, u64), Error> {
    let memory: Memory = ROOMY.to_string().parse()?;
    let builder = Engine::builder().threads(Some(way.threads)).isa(Some(way.isa.to_string()));
    let engine = builder.clone().memory(memory).build()?;
    let options = LoadOptions { context: Some(256), logit_rows: Some(way.rows), ..LoadOptions::default() };
    let opened = engine.open(path)?;
    let smallest = match engine.plan_in(&opened, &options, 0)? {
        Ok(placement) => placement.peak(),
        Err(refusal) => refusal.needed,
    };
    let weights = opened.weight_bytes();
    // The heap of this process grows between two runs; a budget this close would feel it.
    let smallest = smallest + (1 << 20);
    let budget = if way.budget == 100 { ROOMY } else { smallest + weights * way.budget / 100 };
    let engine = builder.memory(budget.to_string().parse()?).build()?;
    let mut model = engine.load_opened(opened, &options)?;
    let text = model.compare(ids, &mut |_, _| Ok(false))?.digest.to_string();
    let generate = GenerateOptions { max_tokens: Some(12), ignore_end: true, ..GenerateOptions::default() };
    model.clear();
    let answer = model.generate(&ids[..ids.len() / 2], &generate, &mut |_| Flow::Continue)?;
    Ok(((text, answer.digest.to_string(), answer.ids), model.placement().streamed_bytes()))
}

/// What differs from the plain run. A model that is `large` has to be streamed in the smallest budget.
fn differences(path: &Path, ids: &[u32], ways: &[Way], large: bool) -> Vec<String> {
    let plain = match run(path, ids, &PLAIN) {
        Ok((plain, _)) => plain,
        Err(error) => return vec![format!("{}: {error}", path.display())],
    };
    let differs = |way: &Way| match run(path, ids, way) {
        Ok((_, 0)) if large && way.budget == 0 => Some(format!("{}: {way:?}: not streamed", path.display())),
        Ok((result, _)) if result == plain => None,
        Ok((result, _)) => Some(format!("{}: {way:?}: {result:?}, plain is {plain:?}", path.display())),
        Err(error) => Some(format!("{}: {way:?}: {error}", path.display())),
    };
    ways.iter().filter_map(differs).collect()
}

#[test]
fn tiny_models_give_the_same_bits_in_every_way() {
    let models = tiny_names().into_iter().map(|name| tiny(&name));
    let wrong: Vec<String> =
        models.flat_map(|(path, reference)| differences(&path, &reference.ids, &ways(), false)).collect();
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn tall_models_give_the_same_bits_streamed() {
    let folder = tempfile::tempdir().unwrap();
    let ways: Vec<Way> = ways().into_iter().filter(|way| way.budget < 100).collect();
    let mut wrong = Vec::new();
    for (name, layers) in TALL {
        let ((short, reference), path) = (tiny(name), folder.path().join(name));
        tall(&short, layers, &path);
        wrong.extend(differences(&path, &reference.ids[..16], &ways, true));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_trained_model_gives_the_same_bits_in_every_way() {
    let Some(run) = trained("smollm2") else {
        skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
        return;
    };
    let ways: Vec<Way> = ways().into_iter().filter(|way| way.budget == 0 || way.threads == 2).collect();
    let wrong = differences(&run.model, &run.text.ids[..20], &ways, true);
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
