//! Prints what the readers find in the networks that are named, for `tests/networks/compare.py`.
//!
//! Not a tool for people; `pintpot show` is. With `--heap` it prints instead the heap that reading took at most,
//! and what the result holds.

use std::path::Path;

use pintpot_formats::{Contents, Limits, examine};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

#[path = "../tests/listing/mod.rs"]
mod listing;

fn main() {
    let mut paths: Vec<String> = std::env::args().skip(1).collect();
    let heap = paths.iter().position(|path| path == "--heap").map(|at| paths.remove(at)).is_some();
    if paths.is_empty() {
        paths = std::io::stdin().lines().map_while(Result::ok).collect();
    }
    for path in &paths {
        println!("file {path}");
        let path = Path::new(path);
        if heap {
            measure(path);
            continue;
        }
        match listing::list(path, Limits::default()) {
            Ok(lines) => print!("{lines}"),
            Err(error) => println!("error {error}"),
        }
    }
}

/// Prints what reading one file takes; the peak is true of the first file only.
fn measure(path: &Path) {
    let before = host::heap_in_use();
    let contents = examine(path, Limits::default()).unwrap_or_else(|error| panic!("{error}"));
    let (peak, held) = (host::heap_peak() - before, host::heap_in_use() - before);
    let told = match &contents {
        Contents::Onnx(model) => model.heap_bytes(),
        Contents::Tflite(model) => model.heap_bytes(),
        Contents::Weights(model) => model.heap_bytes(),
    };
    let resident = host::resident().anon;
    println!("peak {peak} held {held} told {told} resident {resident}");
}
