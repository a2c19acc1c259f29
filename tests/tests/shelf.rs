//! Several models in one budget: each answers as it does alone, and together they hold no more than the budget.

use std::path::PathBuf;

use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Model, Shelf};
use pintpot_tests::{tall, tiny};

const OPTIONS: LoadOptions = LoadOptions {
    context: Some(128),
    kv: pintpot::KvFormat::F16,
    logit_rows: Some(1),
    foresee: pintpot::Foresee::Auto,
    crowd: None,
};

fn engine(budget: u64) -> Engine {
    Engine::builder().memory(budget.to_string().parse().unwrap()).threads(Some(2)).build().unwrap()
}

fn answer(model: &mut Model, ids: &[u32]) -> String {
    let options = GenerateOptions { max_tokens: Some(8), ignore_end: true, ..GenerateOptions::default() };
    model.clear();
    model.generate(ids, &options, &mut |_| Flow::Continue).unwrap().digest.to_string()
}

struct Case {
    path: PathBuf,
    ids: Vec<u32>,
    digest: String,
    /// The least that it runs in, and the most that it uses.
    least: u64,
    most: u64,
}

#[test]
fn models_give_way_by_priority_and_recency_and_answer_as_alone() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["llama-q4.gguf", "gemma3-q8_0.gguf", "qwen3moe-q4.gguf"];
    let cases = names.map(|name| {
        let ((short, reference), path) = (tiny(name), folder.path().join(name));
        tall(&short, 160, &path);
        let ids = reference.ids[..30].to_vec();
        let engine = engine(1 << 30);
        let opened = engine.open(&path).unwrap();
        let least = engine.plan_in(&opened, &OPTIONS, 0).unwrap().unwrap_err().needed;
        let mut model = engine.load(&path, &OPTIONS).unwrap();
        let most = model.placement().peak();
        Case { ids, digest: answer(&mut model, &reference.ids[..30]), path, least, most }
    });
    // Room for the two largest as they wish, less a little, and for the smallest of all three.
    let least: u64 = cases.iter().map(|case| case.least).sum();
    let budget = least.max(cases[0].most + cases[1].least) + (2 << 20);
    let engine = engine(budget);
    let mut shelf = Shelf::new(&engine);
    for (name, case) in names.iter().zip(&cases) {
        shelf.add(name, &case.path, OPTIONS, 0);
    }
    for turn in [0, 1, 0, 2, 1, 1, 0, 2, 0] {
        let case = &cases[turn];
        let model = shelf.get(names[turn]).unwrap();
        assert_eq!(answer(model, &case.ids), case.digest, "{}", names[turn]);
        assert!(engine.ledger().used() <= budget, "{} of {budget}", engine.ledger().used());
        let held: u64 = shelf.held().iter().map(|held| held.bytes).sum();
        assert!(held <= budget, "{held} of {budget}: {:?}", shelf.held());
        assert!(shelf.held()[turn].bytes > 0);
    }
    assert!(shelf.held().iter().all(|held| held.bytes > 0), "nobody had to go: {:?}", shelf.held());

    // Too little for two: the one that was asked for the longest ago goes, unless it matters more.
    let budget = cases[0].least.max(cases[1].least) + (3 << 20);
    drop(shelf);
    let engine = self::engine(budget);
    let mut shelf = Shelf::new(&engine);
    shelf.add("low", &cases[0].path, OPTIONS, 0);
    shelf.add("high", &cases[1].path, OPTIONS, 1);
    assert_eq!(answer(shelf.get("low").unwrap(), &cases[0].ids), cases[0].digest);
    assert_eq!(answer(shelf.get("high").unwrap(), &cases[1].ids), cases[1].digest);
    assert_eq!(shelf.held().iter().map(|held| held.bytes > 0).collect::<Vec<_>>(), [false, true]);
    assert!(matches!(shelf.get("low"), Err(Error::NoRoomBeside { .. })));
    assert!(matches!(shelf.get("none"), Err(Error::NoSuchModel { .. })));
    shelf.unload("high");
    assert_eq!(answer(shelf.get("low").unwrap(), &cases[0].ids), cases[0].digest);
}
