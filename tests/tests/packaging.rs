//! What is packaged beside the program says nothing that the program does not know.
//!
//! What it is: names in files, looked up in the source. What it is not: a test of Grafana, systemd or mdBook. The one design
//! choice: a name is looked for as text where it is defined, so a renamed metric or flag fails here.

use std::fs;
use std::path::Path;

use pintpot_tests::root;
use serde_json::Value;

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Words of `text` that begin so.
fn words<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    text.split(|c| !part(c)).filter(|word| word.starts_with(begin) && word.len() > begin.len()).collect()
}

#[test]
fn the_dashboard_shows_metrics_that_there_are() {
    let text = read("packaging/grafana.json");
    let board: Value = serde_json::from_str(&text).unwrap();
    assert!(board["panels"].as_array().unwrap().len() > 10);
    let metrics = read("shells/server/src/routes/metrics.rs");
    let mut unknown = Vec::new();
    for word in words(&text, "pintpot_") {
        let name = word.trim_start_matches("pintpot_").trim_end_matches("_bucket");
        if !metrics.contains(&format!("\"{name}\"")) {
            unknown.push(word);
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_unit_and_the_image_name_flags_and_verbs_that_there_are() {
    let (flags, verbs) = (read("shells/cli/src/flags.rs"), read("shells/cli/src/verbs/mod.rs"));
    for file in ["packaging/pintpot.service", "packaging/Dockerfile"] {
        let text = read(file);
        for twin in words(&text, "PINTPOT_") {
            let flag = twin.trim_start_matches("PINTPOT_").to_lowercase().replace('_', "-");
            assert!(flags.contains(&format!("= \"{flag}\",")), "{file}: {twin}");
        }
        for verb in ["pull", "serve"].iter().filter(|verb| text.contains(**verb)) {
            assert!(verbs.contains(&format!("mod {verb};")), "{file}: {verb}");
        }
    }
}

#[test]
fn the_book_has_every_page_and_no_other() {
    let summary = read("docs/SUMMARY.md");
    let linked: Vec<&str> = summary.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    for page in &linked {
        assert!(root().join("docs").join(page).is_file(), "SUMMARY.md names {page}");
    }
    let mut missing = Vec::new();
    let mut folders = vec![root().join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                let page = path.strip_prefix(root().join("docs")).unwrap().to_path_buf();
                let listed = linked.iter().any(|linked| Path::new(linked) == page);
                if !listed && page != Path::new("SUMMARY.md") {
                    missing.push(page);
                }
            }
        }
    }
    assert!(missing.is_empty(), "SUMMARY.md lacks {missing:?}");
}
