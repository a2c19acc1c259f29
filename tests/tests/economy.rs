//! What a user gives up: layers that mind less leave out more.

use pintpot::{Economy, Engine, Error, EvalOptions, LoadOptions};
use pintpot_tests::root;

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

    let economy = Economy { weak: 0.3, cold: 0.0 };
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
