//! Networks of one operator each, and what onnxruntime makes of them: `tests/networks/cases`, laid out as ONNX's own suite.

mod suite;

use std::path::Path;

#[test]
fn operators_make_what_onnxruntime_makes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/networks/cases");
    let mut cases = 0;
    for entry in std::fs::read_dir(folder).expect("the cases are checked in") {
        let case = entry.expect("a folder").path();
        if let Err(what) = suite::run(&case) {
            panic!("{}: {what}", case.display());
        }
        cases += 1;
    }
    assert!(cases > 50, "only {cases} cases");
}
