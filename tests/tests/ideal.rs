//! Experts that are read for an answer: no more than an ideal cache of that size would read on the same trace.
//!
//! What it is: a trained mixture in budgets for about half of its experts to a quarter. What it is not: a test of speed; what is
//! compared is bytes. One model at a time, and nothing beside it in this process, whose memory would be in the account.

use pintpot::{Engine, Flow, Foresee, GenerateOptions, LoadOptions, Model};
use pintpot_tests::{root, tall};
use std::path::Path;

const ANSWER: u32 = 64;

fn options() -> LoadOptions {
    LoadOptions { context: Some(128), foresee: Foresee::Off, ..LoadOptions::default() }
}

fn engine(budget: u64) -> Engine {
    Engine::builder().memory(budget.to_string().parse().unwrap()).build().unwrap()
}

/// The least budget in which so many experts of a layer stay, beside all other weights.
fn budget_of(path: &Path, experts: u32) -> u64 {
    let engine = engine(1 << 30);
    let opened = engine.open(path).unwrap();
    let (mut less, mut enough) = (0, 1 << 30);
    while enough - less > 4096 {
        let budget = (less + enough) / 2;
        let placed = engine.plan_in(&opened, &options(), budget).unwrap().is_ok_and(|placed| {
            placed.resident.iter().all(|stays| *stays) && placed.expert_options.slots[0] >= experts
        });
        *if placed { &mut enough } else { &mut less } = budget;
    }
    enough
}

fn load(path: &Path, budget: u64) -> Model {
    engine(budget).load(path, &options()).unwrap()
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
    drop(model);
    for experts in [9, 8, 6, 4] {
        let mut model = load(&path, budget_of(&path, experts));
        let slots = model.placement().expert_options.slots.clone();
        let options =
            GenerateOptions { max_tokens: Some(ANSWER), ignore_end: true, ..GenerateOptions::default() };
        let timing = model.generate(&ids, &options, &mut |_| Flow::Continue).unwrap().timing;
        let ideal = routing.layers.iter().zip(&slots).map(|(layer, &slots)| {
            f64::from((ANSWER - 1) * layer.used) * (1.0 - layer.found[slots as usize - 1])
        });
        let (read, ideal) = (timing.expert_misses as f64, ideal.sum::<f64>());
        println!("{} of 16 stay: {read} read, {ideal:.0} at best", slots[0]);
        assert!(read > 0.0 && read <= ideal * 1.1, "{slots:?}: {read} read, {ideal:.0} at best");
        // A read begins and ends where the disk's sectors do.
        let most = read * (routing.layers[0].expert_bytes + 2 * 3 * 4096) as f64;
        assert!(timing.answer_flash_bytes as f64 <= most, "{timing:?}");
    }
}
