//! Experts that are read for an answer: no more than an ideal cache of that size would read on the same trace.
//!
//! What it is: a trained mixture in budgets from three quarters of its experts to one. What it is not: a test of speed; what is
//! compared is bytes. One model at a time, and nothing beside it in this process, whose memory would be in the account.

use pintpot::{Engine, Flow, Foresee, GenerateOptions, LoadOptions, Model};
use pintpot_tests::{root, tall};
use std::path::Path;

const ANSWER: u32 = 64;
/// What windows take that are not there where everything stays.
const WINDOWS: u64 = 5 << 19;

fn load(path: &Path, budget: u64) -> Model {
    let engine = Engine::builder().memory(budget.to_string().parse().unwrap()).build().unwrap();
    let options = LoadOptions { context: Some(128), foresee: Foresee::Off, ..LoadOptions::default() };
    engine.load(path, &options).unwrap()
}

#[test]
fn an_answer_reads_what_an_ideal_cache_reads() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moe.gguf");
    tall(&root().join("tests/trained/moe-small.gguf"), 48, &path);
    let mut model = load(&path, 1 << 30);
    let ids = model.encode("It was a fine morning").unwrap();
    assert!(ids.len() < 16, "one step, so that what it leaves is there when the answer begins");
    // What a cache of every size finds that drops the least recently used.
    let routing = model.routing(&ids, ANSWER).unwrap();
    assert_eq!(routing.tokens, ids.len() + ANSWER as usize);
    let (whole, experts) = (model.placement().peak(), model.placement().experts.bytes());
    drop(model);
    for share in [70, 50, 35, 25] {
        let mut model = load(&path, whole + WINDOWS - experts * (100 - share) / 100);
        let slots = model.placement().expert_options.slots.clone();
        assert!(
            model.placement().resident.iter().all(|stays| *stays) && slots.iter().all(|slots| *slots > 0)
        );
        let options =
            GenerateOptions { max_tokens: Some(ANSWER), ignore_end: true, ..GenerateOptions::default() };
        let timing = model.generate(&ids, &options, &mut |_| Flow::Continue).unwrap().timing;
        let ideal = routing.layers.iter().zip(&slots).map(|(layer, &slots)| {
            f64::from((ANSWER - 1) * layer.used) * (1.0 - layer.found[slots as usize - 1])
        });
        let (read, ideal) = (timing.expert_misses as f64, ideal.sum::<f64>());
        println!("{share}%, {} of 16 stay: {read} read, {ideal:.0} at best", slots[0]);
        assert!(read > 0.0 && read <= ideal * 1.1, "{share}%: {read} read, {ideal:.0} at best");
        // A read begins and ends where the disk's sectors do.
        let most = read * (routing.layers[0].expert_bytes + 2 * 3 * 4096) as f64;
        assert!(timing.answer_flash_bytes as f64 <= most, "{timing:?}");
    }
}
