//! Experts that are read before their router has chosen: no bit changes, and what is foreseen is mostly right.

use std::path::Path;

use pintpot::{Completion, Engine, Flow, Foresee, GenerateOptions, LoadOptions};
use pintpot_tests::{root, tall};

fn engine(budget: u64) -> Engine {
    Engine::builder().memory(budget.to_string().parse().unwrap()).build().unwrap()
}

fn options(foresee: Foresee) -> LoadOptions {
    LoadOptions { context: Some(128), foresee, ..LoadOptions::default() }
}

fn answer(path: &Path, budget: u64, foresee: Foresee) -> Completion {
    let mut model = engine(budget).load(path, &options(foresee)).unwrap();
    let ids = model.encode("It was a fine morning, and the children went down to the river.").unwrap();
    let options = GenerateOptions { max_tokens: Some(48), ignore_end: true, ..GenerateOptions::default() };
    model.generate(&ids, &options, &mut |_| Flow::Continue).unwrap()
}

#[test]
fn what_is_foreseen_is_read_ahead_and_changes_no_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("moe.gguf");
    tall(&root().join("tests/trained/moe-small.gguf"), 48, &path);
    let wide = engine(1 << 30);
    let opened = wide.open(&path).unwrap();
    let off = options(Foresee::Off);
    let whole = wide.plan(&opened, &off).unwrap().unwrap();
    let plain = answer(&path, 1 << 30, Foresee::Off);
    assert_eq!(plain.timing.expert_misses, 0);
    for share in [5, 50, 80] {
        let budget = whole.peak() - whole.resident_bytes() * (100 - share) / 100;
        let least = wide.plan_in(&opened, &off, 0).unwrap().unwrap_err().needed;
        let budget = budget.max(least);
        for foresee in [Foresee::On, Foresee::Off, Foresee::Auto] {
            let tight = answer(&path, budget, foresee);
            assert_eq!(tight.digest, plain.digest, "{foresee:?} in {budget}");
            let timing = tight.timing;
            println!(
                "{foresee:?} in {budget}: {} found, {} read, {} of them foreseen, {} bytes in vain of {}",
                timing.expert_hits,
                timing.expert_misses,
                timing.experts_foreseen,
                timing.vain_bytes,
                timing.answer_flash_bytes
            );
            match foresee {
                Foresee::Off => assert_eq!((timing.experts_foreseen, timing.vain_bytes), (0, 0)),
                Foresee::On => assert!(timing.experts_foreseen > 0 || timing.expert_misses < 48),
                Foresee::Auto => {}
            }
            assert!(timing.experts_foreseen <= timing.expert_misses);
            assert!(timing.vain_bytes <= timing.answer_flash_bytes / 3, "{timing:?}");
        }
    }
    let mut model = wide.load(&path, &off).unwrap();
    let ids = model.encode("It was a fine morning, and the children went down to the river.").unwrap();
    let routing = model.routing(&ids, 0).unwrap();
    let foreseen = routing.foreseen().unwrap();
    println!("{foreseen:.2} of what is wanted is foreseen");
    assert!((0.3..=1.0).contains(&foreseen));
    assert!(routing.layers[0].foreseen.is_none(), "nobody is asked before the first");
}
