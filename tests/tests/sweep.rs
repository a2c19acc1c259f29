//! `bench sweep` on a trained model: the curve is there, and it is the same answer all along.
//!
//! What it is: the program as a user runs it, cold, in two budgets and those that it adds. What it is not: a test of
//! speed; what is compared is bytes, peaks and digests.

use pintpot_tests::{Program, can_cap, skip, trained};

#[test]
fn a_trained_model_is_swept() {
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let model = run.model.canonicalize().unwrap();
    let size = std::fs::metadata(&model).unwrap().len();
    let sweep = ["bench", "sweep", model.to_str().unwrap(), "--budgets", "100%,50%,5%"];
    let more = ["-p", "16", "-n", "4", "-r", "1", "-t", "1", "-o", "json"];
    let answer = Program::built().run(&[&sweep[..], &more].concat());
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    let rows = answer.json();
    let rows = rows.as_array().unwrap();
    let number =
        |row: usize, key: &str| rows[row][key].as_f64().unwrap_or_else(|| panic!("{key}: {}", rows[row]));
    // All kept, both budgets, the smallest in place of the one that is refused, and that one.
    assert_eq!(rows.len(), 5, "{rows:?}");
    assert_eq!((number(1, "file_share"), number(2, "budget_bytes")), (1.0, (size / 2) as f64));
    assert_eq!(number(3, "budget_bytes"), number(3, "smallest_budget_bytes"));
    assert!(rows[4]["remark"].as_str().unwrap().contains("the smallest budget is"), "{}", rows[4]);
    assert!(rows[4]["logits_digest"].is_null() && rows[4]["bound_ts"].is_null());
    for row in 0..4 {
        assert_eq!(rows[row]["logits_digest"], rows[0]["logits_digest"]);
        assert!(number(row, "ours_median_ts") > 0.0 && number(row, "foretold_ts") > 0.0);
        // What is read for a token is what is not kept; a little of it was read ahead before the first.
        let (read, streamed) = (number(row, "read_bytes_per_token"), number(row, "streamed_bytes"));
        assert!(read >= streamed * 0.9 && read <= streamed * 1.05, "{}", rows[row]);
        assert_eq!(number(row, "foretold_read_bytes_per_token"), streamed);
        if can_cap() {
            assert_eq!(rows[row]["limited"], true);
            assert!(number(row, "peak_bytes") <= number(row, "budget_bytes"), "{}", rows[row]);
            assert_eq!(number(row, "limit_hits"), 0.0, "{}", rows[row]);
        } else {
            skip("sweep", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
        }
    }
    assert_eq!(number(0, "streamed_bytes"), 0.0);
}
