//! Runs cases of ONNX's suite and says of each whether it passes: `conformance FOLDER...`, each folder a case or one of cases.
//!
//! Not a test with a verdict: `tests/networks/README.md` says how the whole suite is run and what is expected of it.

#[path = "../tests/suite/mod.rs"]
mod suite;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn main() {
    let (mut passed, mut failed) = (0, 0);
    for folder in std::env::args().skip(1).flat_map(|folder| cases(Path::new(&folder))) {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let outcome = catch_unwind(AssertUnwindSafe(|| suite::run(&folder)));
        match outcome.unwrap_or_else(|_| Err("PANIC".into())) {
            Ok(()) => {
                passed += 1;
                println!("pass {name}");
            }
            Err(what) => {
                failed += 1;
                println!("FAIL {name}: {what}");
            }
        }
    }
    println!("{passed} passed, {failed} failed");
}

fn cases(folder: &Path) -> Vec<PathBuf> {
    if folder.join("model.onnx").exists() {
        return vec![folder.to_path_buf()];
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut found: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    found.retain(|path| path.join("model.onnx").exists());
    found.sort();
    found
}
