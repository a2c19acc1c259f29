//! Neurons that are asleep: what is stored by neuron answers the same at every budget, and reads less of them.

use std::path::{Path, PathBuf};

use pintpot::{Completion, Engine, Error, Flow, GenerateOptions, LoadOptions, PackOptions};
use pintpot_tests::{root, tall};

const OPTIONS: LoadOptions = LoadOptions {
    context: Some(128),
    kv: pintpot::KvFormat::F16,
    logit_rows: Some(1),
    foresee: pintpot::Foresee::Auto,
    crowd: None,
};
const TOKENS: u32 = 16;

fn engine(budget: u64, threads: usize) -> Engine {
    let builder = Engine::builder().memory(budget.to_string().parse().unwrap());
    builder.threads(Some(threads)).build().unwrap()
}

fn answer(path: &Path, ids: &[u32], budget: u64, threads: usize) -> Completion {
    let mut model = engine(budget, threads).load(path, &OPTIONS).unwrap();
    let options =
        GenerateOptions { max_tokens: Some(TOKENS), ignore_end: true, ..GenerateOptions::default() };
    model.generate(ids, &options, &mut |_| Flow::Continue).unwrap()
}

fn by_neuron(text: &[u8]) -> PackOptions<'_> {
    PackOptions { by_neuron: true, text: Some(text), ..PackOptions::default() }
}

/// A small model with ReLU gates that was trained to leave most neurons asleep, many layers of it.
fn trained(folder: &Path) -> PathBuf {
    let path = folder.join("relu.gguf");
    tall(&root().join("tests/trained/relu-small.gguf"), 96, &path);
    path
}

#[test]
fn asleep_neurons_are_not_read_and_answers_do_not_depend_on_the_budget() {
    let folder = tempfile::tempdir().unwrap();
    let (dense, packed) = (trained(folder.path()), folder.path().join("packed.gguf"));
    let text = b"It was a fine morning, and the children of the house went down to the river to look for their boat.";
    let engine = engine(1 << 30, 2);
    let opened = engine.open(&dense).unwrap();
    let report = engine.pack(&opened, &packed, &by_neuron(text)).unwrap();
    assert!(report.added == 96 && report.awake.is_some_and(|share| share < 0.6), "{report:?}");
    let mut ids = Vec::new();
    let model = engine.load(&packed, &OPTIONS).unwrap();
    model.tokenizer().encode(text, true, &mut ids).unwrap();
    drop(model);
    let plain = answer(&packed, &ids, 1 << 30, 2);
    assert_eq!(plain.ids, answer(&dense, &ids, 1 << 30, 2).ids, "the same tokens as before it was packed");
    let opened = engine.open(&packed).unwrap();
    let least = engine.plan_in(&opened, &OPTIONS, 0).unwrap().unwrap_err().needed;
    for (budget, threads) in [(least, 1), (least + (9 << 20), 2), (least + (16 << 20), 3), (1 << 30, 1)] {
        let tight = answer(&packed, &ids, budget, threads);
        assert_eq!(tight.digest, plain.digest, "in {budget} with {threads} threads");
        let (hits, misses) = (tight.timing.expert_hits, tight.timing.expert_misses);
        assert!(
            if budget == 1 << 30 { misses == 0 } else { hits + misses > 0 },
            "{hits} found, {misses} read in {budget}"
        );
        let before = answer(&dense, &ids, budget, threads).timing.answer_flash_bytes;
        let now = tight.timing.answer_flash_bytes;
        println!(
            "in {budget}: {before} bytes read for an answer, {now} by neuron; {hits} found, {misses} read"
        );
        assert!(
            budget == 1 << 30 || now < before || now == 0,
            "{now} bytes read, {before} before it was packed"
        );
    }
    // A token at a time reads and computes what a chunk does.
    let mut one = engine.load(&packed, &OPTIONS).unwrap();
    let once = GenerateOptions { max_tokens: Some(1), ..GenerateOptions::default() };
    for n in 1..ids.len() {
        one.generate(&ids[..n], &once, &mut |_| Flow::Continue).unwrap();
    }
    let options =
        GenerateOptions { max_tokens: Some(TOKENS), ignore_end: true, ..GenerateOptions::default() };
    let slow = one.generate(&ids, &options, &mut |_| Flow::Continue).unwrap();
    assert_eq!(slow.digest, plain.digest);
}

#[test]
fn a_copy_in_the_order_of_use_answers_to_the_bit_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let (dense, copy) = (trained(folder.path()), folder.path().join("copy.gguf"));
    let engine = engine(1 << 30, 2);
    let opened = engine.open(&dense).unwrap();
    let report = engine.pack(&opened, &copy, &PackOptions::default()).unwrap();
    assert_eq!((report.tensors, report.added), (opened.file.tensors.len(), 0));
    let ids = [5, 6, 7, 8];
    assert_eq!(answer(&copy, &ids, 1 << 30, 2).digest, answer(&dense, &ids, 1 << 30, 2).digest);
    let copied = engine.open(&copy).unwrap();
    assert!(copied.file.tensors.iter().all(|tensor| tensor.range.start % 4096 == 0));
    // What is there is not written over, and what cannot be written leaves nothing.
    assert!(matches!(engine.pack(&opened, &copy, &PackOptions::default()), Err(Error::Host(_))));
    let nowhere = folder.path().join("none/copy.gguf");
    assert!(engine.pack(&opened, &nowhere, &PackOptions::default()).is_err());
    let silu = root().join("tests/golden/tiny/llama-q4.gguf");
    let opened = engine.open(&silu).unwrap();
    let refused = engine.pack(
        &opened,
        &folder.path().join("x"),
        &PackOptions { by_neuron: true, ..PackOptions::default() },
    );
    assert!(matches!(refused, Err(Error::Pack { .. })));
}

#[test]
fn thresholds_put_neurons_to_sleep_and_say_what_that_costs() {
    let folder = tempfile::tempdir().unwrap();
    let (dense, packed) = (folder.path().join("dense.gguf"), folder.path().join("packed.gguf"));
    tall(&root().join("tests/golden/tiny/llama-q4.gguf"), 24, &dense);
    let text: String = (0..600).map(|n| format!("{} {} ", n * n % 89, n * 31 % 97)).collect();
    let engine = engine(1 << 30, 2);
    let opened = engine.open(&dense).unwrap();
    let asked = PackOptions { by_neuron: true, sparsity: Some(0.8), ..PackOptions::default() };
    assert!(matches!(engine.pack(&opened, &packed, &asked), Err(Error::Pack { .. })), "without a text");
    let asked = PackOptions { text: Some(b"A short text."), ..asked };
    assert!(matches!(engine.pack(&opened, &packed, &asked), Err(Error::TextTooShort { .. })));
    assert!(!packed.exists());
    let report =
        engine.pack(&opened, &packed, &PackOptions { text: Some(text.as_bytes()), ..asked }).unwrap();
    let price = report.price.unwrap();
    println!("{report:?}");
    assert!(
        price.economical.perplexity.is_finite() && price.economical.mean_kld.is_some_and(|kld| kld > 0.0)
    );
    let written = engine.open(&packed).unwrap();
    let thresholds =
        written.file.tensors.iter().filter(|tensor| tensor.name.ends_with("ffn_gate_threshold.weight"));
    assert_eq!(thresholds.count(), 24);
    // Asleep is what does not exceed its threshold, whatever the budget.
    let ids: Vec<u32> = (5..37).collect();
    let plain = answer(&packed, &ids, 1 << 30, 2);
    assert_ne!(plain.digest, answer(&dense, &ids, 1 << 30, 2).digest);
    let least = engine.plan_in(&written, &OPTIONS, 0).unwrap().unwrap_err().needed;
    assert_eq!(answer(&packed, &ids, least, 1).digest, plain.digest);
}
