//! Experts in slots and experts that pass: the same bytes, taken in other pieces.
//!
//! What it is: a store over a tiny mixture, cut into pieces that are far smaller than its matrices. What it is not: a model
//! that answers, see `tests/tests/foreseen.rs`.

use formats::ModelFile;
use host::{FlashFile, Ledger, ReadAt, StreamOptions};
use memory::{ExpertOptions, ExpertSets, ExpertStore, Wanted};
use std::path::Path;
use std::sync::Arc;

/// The mixture cut into pieces of so many bytes, its file, and a store with room for all experts of a layer but one.
fn tiny(piece_bytes: u64) -> (Arc<ExpertSets>, Arc<FlashFile>, ExpertStore) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/qwen3moe-q4.gguf");
    let file: ModelFile = formats::open(&path, formats::Limits::default()).unwrap();
    let graph = models::build(&file).unwrap().graph;
    let flash = Arc::new(FlashFile::open(&path).unwrap());
    let sets = Arc::new(ExpertSets::new(&graph, &file, piece_bytes).unwrap());
    let slots = sets.iter().map(|set| set.count - 1).collect();
    let options = ExpertOptions { slots, window_bytes: 1 << 20, stream: StreamOptions::default() };
    let store = ExpertStore::new(&Ledger::new(1 << 30), Arc::clone(&sets), vec![flash.clone()], &options);
    (sets, flash, store.unwrap())
}

#[test]
fn who_is_kept_is_taken_matrix_by_matrix_and_who_passes_piece_by_piece() {
    let (sets, flash, mut store) = tiny(256);
    let set = sets.get(0);
    assert!(set.pieces.len() > 2 * set.whole.len() && set.whole.len() == set.matrices());
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

#[test]
fn rows_of_who_is_kept_lie_side_by_side() {
    let (sets, flash, mut store) = tiny(1 << 20);
    let mut seen = [0, 0];
    for kept in [false, true] {
        store.begin(1);
        store.choose(0, &[Wanted { expert: 1, token: 0, weak: false }], true).unwrap();
        for p in 0..store.pieces(0).len() {
            let piece = store.pieces(0)[p];
            let extent = sets.get(0).extent(1, &piece);
            let mut there = vec![0; extent.len as usize];
            flash.read_exact_at(extent.offset, &mut there).unwrap();
            store.acquire(0).unwrap();
            let (bytes, in_panels) = (store.bytes(0, p).unwrap().to_vec(), store.in_panels(0, p));
            assert_eq!(in_panels, kept && piece.panels, "{piece:?}");
            seen[usize::from(in_panels)] += 1;
            let row_bytes = there.len() / piece.rows as usize;
            let panel = tensor::PanelOrder::ROWS * row_bytes;
            for (row, there) in there.chunks_exact(row_bytes).enumerate() {
                let mut out = bytes[row * row_bytes..][..row_bytes].to_vec();
                if let Some(order) = tensor::PanelOrder::of(piece.dtype).filter(|_| in_panels) {
                    order.row(&bytes[row / 16 * panel..][..panel], row % 16, &mut out);
                }
                assert_eq!(out, there, "row {row} of {piece:?}");
            }
            store.release(0, p).unwrap();
        }
    }
    assert!(seen[0] > 0 && seen[1] > 0, "{seen:?} as in a file and side by side");
}
