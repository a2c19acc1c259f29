//! Fuzzes the readers of PNG and JPEG: what a header foretells is what decoding takes, of the ledger and of the heap.

#![no_main]

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use host::{CountingAlloc, Ledger};
use processors::image::Source;

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

/// Heap of a header, and of what decoding takes beside what it foretells: windows, and lists of a few entries.
const LITTLE: u64 = 768 << 10;
/// Pictures that are decoded take so much at most.
const LARGE: u64 = 32 << 20;
const TIME: Duration = Duration::from_secs(5);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let path = FILE.get_or_init(|| std::env::temp_dir().join(format!("fuzzed-{}", std::process::id())));
    std::fs::write(path, bytes).expect("a folder for a file");
    let opened = host::bounded(LITTLE, TIME, || Source::open(path)).expect("a header takes little");
    let Ok(source) = opened else { return };
    let foretold = source.decoding_bytes();
    if foretold > LARGE {
        return;
    }
    let heap = foretold - source.bytes() + LITTLE;
    let decoded = host::bounded(heap, TIME, move || {
        let decoded = source.decode(&Ledger::new(foretold));
        (source, decoded)
    });
    let (source, decoded) = decoded.expect("decoding takes what was foretold");
    if let Ok(picture) = decoded {
        assert_eq!((picture.width(), picture.height()), (source.width(), source.height()));
    }
});
