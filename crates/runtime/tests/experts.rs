//! Experts in slots and experts that pass: the same bytes, taken in other pieces.
//!
//! What it is: a store over a tiny mixture, cut into pieces that are far smaller than its matrices. What it is not: a model
//! that answers, see `tests/tests/foreseen.rs`.

use formats::ModelFile;
use host::{FlashFile, Ledger, ReadAt, StreamOptions};
use memory::{ExpertOptions, ExpertSets, ExpertStore, Wanted};
use std::path::Path;
use std::sync::Arc;

#[test]
fn who_is_kept_is_taken_matrix_by_matrix_and_who_passes_piece_by_piece() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/qwen3moe-q4.gguf");
    let file: ModelFile = formats::open(&path, formats::Limits::default()).unwrap();
    let graph = models::build(&file).unwrap().graph;
    let flash = Arc::new(FlashFile::open(&path).unwrap());
    let sets = Arc::new(ExpertSets::new(&graph, &file, 256).unwrap());
    let set = sets.get(0);
    assert!(set.pieces.len() > 2 * set.whole.len() && set.whole.len() == set.matrices());
    let slots = sets.iter().map(|set| set.count - 1).collect();
    let options = ExpertOptions { slots, window_bytes: 1 << 20, stream: StreamOptions::default() };
    let ledger = Ledger::new(1 << 30);
    let mut store = ExpertStore::new(&ledger, Arc::clone(&sets), vec![flash.clone()], &options).unwrap();
    let step = |store: &mut ExpertStore| {
        store.begin(1);
        let wanted = [0, 2].map(|expert| Wanted { expert, token: 0, weak: false });
        store.choose(0, &wanted, true).unwrap();
        let mut pieces = Vec::new();
        for at in 0..store.chosen() {
            let expert = store.expert(at);
            pieces.push(store.pieces(at).len());
            for p in 0..store.pieces(at).len() {
                let piece = store.pieces(at)[p];
                let extent = set.extent(expert, &piece);
                let mut there = vec![0; extent.len as usize];
                flash.read_exact_at(extent.offset, &mut there).unwrap();
                store.acquire(at).unwrap();
                assert_eq!(store.bytes(at, p).unwrap(), there, "{expert}, {piece:?}");
                store.release(at, p).unwrap();
            }
        }
        pieces
    };
    assert_eq!(step(&mut store), [set.pieces.len(); 2], "both pass");
    assert_eq!(step(&mut store), [set.whole.len(); 2], "both are kept");
}
