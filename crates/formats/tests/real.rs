//! Real models, where there are some: every GGUF file in the folder that `PINTPOT_TEST_MODELS` names is read, within
//! little memory, and its long arrays walked; so is every ONNX and TFLite file in folders below it (those that
//! `tests/networks/fetch.py` fetches).

use std::path::Path;

use host::{FlashFile, ReadAt};
use pintpot_formats::{Contents, Element, Limits, examine, open};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// Enough for the header of any dense model.
const LIMITS: Limits = Limits { heap: 256 << 10 };

/// Enough for thousands of nodes.
const NETWORK: Limits = Limits { heap: 4 << 20 };

/// Reads the networks in folders below the folder of models.
fn networks(folder: &Path) {
    let files =
        |folder: &Path| std::fs::read_dir(folder).into_iter().flatten().flatten().map(|file| file.path());
    for path in files(folder).flat_map(|folder| files(&folder).collect::<Vec<_>>()) {
        if path.extension().is_none_or(|ending| ending != "onnx" && ending != "tflite") {
            continue;
        }
        let before = host::heap_in_use();
        let contents = examine(&path, NETWORK).unwrap_or_else(|error| panic!("{error}"));
        let held = host::heap_in_use() - before;
        let told = match &contents {
            Contents::Onnx(model) => model.heap_bytes(),
            Contents::Tflite(model) => model.heap_bytes(),
            Contents::Weights(_) => panic!("{} is a network", path.display()),
        };
        println!("{}: {held} bytes of heap", path.display());
        // The few longest lists take whole pages.
        assert!(held <= told + (16 << 10) && told <= NETWORK.heap, "{held} bytes held, {told} told");
    }
}

#[test]
fn every_model_is_read_within_little_memory() {
    let Some(folder) = std::env::var_os("PINTPOT_TEST_MODELS") else {
        println!("skipped: PINTPOT_TEST_MODELS names no folder of models");
        return;
    };
    for entry in std::fs::read_dir(&folder).expect("PINTPOT_TEST_MODELS is a folder") {
        let path = entry.expect("a folder can be listed").path();
        if path.extension().is_none_or(|ending| ending != "gguf") {
            continue;
        }
        let before = host::heap_in_use();
        let file = open(&path, LIMITS).unwrap_or_else(|error| panic!("{error}"));
        let peak = host::heap_peak();
        assert!(peak < LIMITS.heap, "{peak} bytes of heap were in use while reading {}", path.display());
        let held = host::heap_in_use() - before;
        assert!(held.abs_diff(file.heap_bytes()) < 4096, "{held} bytes held, {} told", file.heap_bytes());
        let (tensors, heap) = (file.tensors.len(), file.heap_bytes());
        println!("{}: {}, {tensors} tensors, {heap} bytes of heap", path.display(), file.architecture);
        assert!(tensors > 0 && !file.architecture.is_empty());
        let source = FlashFile::open(&path).expect("it was open a moment ago");
        assert!(file.tensors.iter().all(|tensor| tensor.range.end <= source.len()));
        for (key, array) in file.long_arrays() {
            let mut walked = 0;
            if array.element() == Element::Str {
                let mut strings = array.strings(&source);
                while strings.next().unwrap_or_else(|error| panic!("{key}: {error}")).is_some() {
                    walked += 1;
                }
            } else {
                for number in array.numbers::<f64>(&source) {
                    number.unwrap_or_else(|error| panic!("{key}: {error}"));
                    walked += 1;
                }
            }
            assert_eq!(walked, array.len(), "{key}");
            println!("  {key}: {walked} x {:?}", array.element());
        }
    }
    // Last, since the peak of the heap is never forgotten.
    networks(Path::new(&folder));
}
