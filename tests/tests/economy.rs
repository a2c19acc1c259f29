//! What a user gives up: layers that mind less leave out more, and coarser copies stand in for what is not in memory.

use std::path::Path;

use pintpot::{
    DType, Economy, Engine, Error, EvalOptions, Flow, Foresee, GenerateOptions, LoadOptions, PackOptions,
};
use pintpot_tests::{root, tall};

#[test]
fn what_is_left_out_goes_by_what_each_layer_minds() {
    let engine = Engine::builder().memory("512MiB".parse().unwrap()).build().unwrap();
    let path = root().join("tests/trained/moe-small.gguf");
    let options = LoadOptions { context: Some(128), logit_rows: Some(16), ..LoadOptions::default() };
    let mut model = engine.load(&path, &options).unwrap();
    let text =
        "The children went down to the river, and the old man told them of the sea, of ships and of storms. ";
    let mut ids = model.encode(&text.repeat(20)).unwrap();
    ids.truncate(256);
    let options = EvalOptions { window: 128, windows: Some(2) };
    let plain = model.perplexity(&ids, &options).unwrap();
    let found = model.sensitivity(&ids, &options).unwrap();
    println!("{found:?}");
    assert_eq!(found.len(), model.placement().experts.len());
    assert!(found.iter().all(|minds| minds.is_finite() && *minds >= 0.0));
    assert_eq!(model.perplexity(&ids, &options).unwrap(), plain, "measuring leaves nothing behind");

    let economy = Economy { weak: 0.3, ..Economy::default() };
    let same = model.price(&ids, &options, economy).unwrap();
    model.follow_sensitivity(&found).unwrap();
    let by_layer = model.price(&ids, &options, economy).unwrap();
    println!("{same:?}\n{by_layer:?}");
    assert_eq!((same.plain, by_layer.plain), (plain, plain));
    assert!(
        same.skipped > 0.0 && by_layer.skipped > 0.0 && by_layer.economical.digest != same.economical.digest
    );
    model.follow_sensitivity(&[]).unwrap();
    assert_eq!(model.price(&ids, &options, economy).unwrap().economical, same.economical);
    assert!(matches!(model.follow_sensitivity(&[1.0]), Err(Error::Option { .. })));
}

#[test]
fn coarser_copies_stand_in_for_what_is_not_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (path, packed) = (folder.path().join("moe.gguf"), folder.path().join("packed.gguf"));
    tall(&root().join("tests/trained/moe-small.gguf"), 48, &path);
    let engine = Engine::builder().memory("512MiB".parse().unwrap()).build().unwrap();
    let opened = engine.open(&path).unwrap();
    let pack = |dtype| {
        engine.pack(&opened, &packed, &PackOptions { stand_ins: Some(dtype), ..PackOptions::default() })
    };
    for finer in [DType::F16, DType::Q8_0] {
        assert!(matches!(pack(finer), Err(Error::Pack { .. })), "{finer} is not coarser");
    }
    pack(DType::Q4_0).unwrap();
    let answer = |path: &Path, budget: u64, coarse: f32, foresee: Foresee| {
        let engine = Engine::builder().memory(budget.to_string().parse().unwrap()).build().unwrap();
        let load = LoadOptions { context: Some(128), foresee, ..LoadOptions::default() };
        let mut model = engine.load(path, &load).unwrap();
        model.set_economy(Economy { coarse, ..Economy::default() }).unwrap();
        let options =
            GenerateOptions { max_tokens: Some(16), ignore_end: true, ..GenerateOptions::default() };
        let ids: Vec<u32> = (5..37).collect();
        model.generate(&ids, &options, &mut |_| Flow::Continue).unwrap()
    };
    let whole = 512 << 20;
    let plain = answer(&path, whole, 0.0, Foresee::Off);
    let load = LoadOptions { context: Some(128), ..LoadOptions::default() };
    let least = engine.plan_in(&engine.open(&packed).unwrap(), &load, 0).unwrap().unwrap_err().needed;
    assert_eq!(
        answer(&packed, whole, 0.0, Foresee::Off).digest,
        plain.digest,
        "a copy that is not asked for changes nothing"
    );
    assert_eq!(
        answer(&packed, whole, 1.0, Foresee::Off).digest,
        plain.digest,
        "nor does one of what is in memory"
    );
    let (tight, coarse) =
        (answer(&packed, least, 0.0, Foresee::Off), answer(&packed, least, 1.0, Foresee::Off));
    assert_eq!(tight.digest, plain.digest);
    assert!(tight.timing.experts_stood_in == 0 && coarse.timing.experts_stood_in > 0);
    assert!(coarse.digest != plain.digest);
    // What is foreseen and then stood in for is dropped, whatever was foreseen after it.
    for share in [0.5, 0.9, 1.0] {
        let [early, late] = [Foresee::On, Foresee::Off].map(|how| answer(&packed, least, share, how));
        assert_eq!(early.digest, late.digest, "{share}");
        assert!(early.timing.experts_stood_in > 0 && early.timing.experts_foreseen > 0, "{:?}", early.timing);
    }
    let [all, less] = [tight, coarse].map(|answer| answer.timing.answer_flash_bytes);
    println!("{all} bytes read, {less} with stand-ins");
    assert!(less < all);
}
