//! The laws of the house, as tests: what ARCHITECTURE.md says, this file checks.
//!
//! Not a linter of style. The one design choice: a rule is one function that names file and line of every breach, so
//! a failure reads as a list of what to change.

use std::collections::BTreeSet;
use std::fs;

use pintpot_tests::{Source, root, sources, texts};

/// Who may use whom, lowest floor first.
const MAY_USE: &[(&str, &[&str])] = &[
    ("tensor", &[]),
    ("host", &[]),
    ("kernels", &["host", "tensor"]),
    ("graph", &["tensor"]),
    ("formats", &["host", "tensor"]),
    ("processors", &["host", "tensor"]),
    ("hub", &["host"]),
    ("memory", &["formats", "graph", "host", "kernels", "tensor"]),
    ("models", &["formats", "graph", "host", "tensor"]),
    ("planner", &["formats", "graph", "host", "memory", "tensor"]),
    ("runtime", &["formats", "graph", "host", "kernels", "memory", "planner", "tensor"]),
    (
        "engine",
        &[
            "formats",
            "graph",
            "host",
            "hub",
            "kernels",
            "memory",
            "models",
            "planner",
            "processors",
            "runtime",
            "tensor",
        ],
    ),
];
const LINES_OF_A_FILE: usize = 800;
const LINES_OF_A_FUNCTION: usize = 80;
/// Where `unsafe` may stand.
const UNSAFE_ROOMS: &[&str] = &["crates/host/", "crates/kernels/", "shells/c/"];
/// Crates that read bytes of strangers.
const READERS: &[&str] = &["crates/formats/", "crates/hub/", "crates/processors/", "shells/server/"];
const PANICS: &[&str] = &[".expect(", ".unwrap(", "panic!(", "todo!(", "unimplemented!(", "unreachable!("];

fn verdict(law: &str, breaches: Vec<String>) {
    assert!(breaches.is_empty(), "{law}\n  {}\n", breaches.join("\n  "));
}

/// Breaches found in all Rust files.
fn in_sources(law: &str, rule: impl Fn(&Source) -> Vec<String>) {
    verdict(law, sources().iter().flat_map(rule).collect());
}

/// Places of `needle` in `text`, as `path:line`.
fn places(source: &Source, text: &str, needle: &str) -> Vec<String> {
    text.match_indices(needle).map(|(at, _)| format!("{}: {}", source.at(at), needle.trim())).collect()
}

/// Names under `[dependencies]` and its kin of a manifest, with the header they stand under.
fn dependencies(manifest: &str) -> Vec<(String, String)> {
    let mut header = String::new();
    let mut found = Vec::new();
    for line in manifest.lines().map(str::trim) {
        if let Some(inner) = line.strip_prefix('[') {
            header = inner.trim_end_matches(']').to_string();
        } else if let Some((name, _)) =
            line.split_once(['.', '=', ' ']).filter(|_| header.ends_with("dependencies"))
        {
            found.push((header.clone(), name.to_string()));
        }
    }
    found
}

fn manifests() -> Vec<(String, String)> {
    let is_ours = |path: &str| path.starts_with("crates/") || path.starts_with("shells/");
    texts().into_iter().filter(|(path, _)| is_ours(path) && path.ends_with("/Cargo.toml")).collect()
}

#[test]
fn arrows_between_crates_go_down() {
    let rooms: BTreeSet<&str> = MAY_USE.iter().map(|row| row.0).collect();
    let mut breaches = Vec::new();
    for (path, text) in manifests() {
        let Some(name) = path.strip_prefix("crates/").and_then(|p| p.strip_suffix("/Cargo.toml")) else {
            continue;
        };
        let Some((_, allowed)) = MAY_USE.iter().find(|row| row.0 == name) else {
            breaches.push(format!("{path}: give the new crate a row in MAY_USE and in ARCHITECTURE.md"));
            continue;
        };
        for (header, used) in dependencies(&text) {
            let used = if used == "pintpot" { "engine" } else { &used };
            let is_test = header == "dev-dependencies";
            if !is_test && rooms.contains(used) && !allowed.contains(&used) {
                breaches.push(format!("{path}: {name} may not use {used}"));
            }
            if used == "anyhow" {
                breaches.push(format!("{path}: errors are enums below the shells, not anyhow"));
            }
        }
    }
    verdict("A crate uses only what stands below it (MAY_USE).", breaches);
}

#[test]
fn lints_are_the_workspace_s() {
    let lacks = |text: &str| !text.contains("[lints]\nworkspace = true");
    let breaches = manifests().into_iter().filter(|(_, text)| lacks(text)).map(|(path, _)| path).collect();
    verdict("A manifest says `[lints] workspace = true`.", breaches);
}

#[test]
fn files_are_short() {
    in_sources("A file has less than 800 lines; divide it by what it does.", |source| {
        let lines = source.text.lines().count();
        (lines >= LINES_OF_A_FILE).then(|| format!("{}: {lines} lines", source.path)).into_iter().collect()
    });
}

#[test]
fn functions_are_short() {
    in_sources("A function has less than 80 lines; give its parts names.", |source| {
        let lines = |body: &std::ops::Range<usize>| source.line(body.end - 1) - source.line(body.start) + 1;
        let functions = source.functions();
        let long = functions.iter().filter(|(_, body)| lines(body) >= LINES_OF_A_FUNCTION);
        long.map(|(name, body)| format!("{}: {name} has {} lines", source.at(body.start), lines(body)))
            .collect()
    });
}

#[test]
fn files_say_what_they_are() {
    in_sources("A file opens with `//!`: what it is, what it is not, its one design choice.", |source| {
        let first =
            source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!")).unwrap_or("");
        (!first.starts_with("//! ") || first.ends_with("stub"))
            .then(|| source.path.clone())
            .into_iter()
            .collect()
    });
}

#[test]
fn unsafe_has_its_rooms() {
    in_sources(
        "`unsafe` stands in crates/host, crates/kernels and shells/c only; other crates forbid it.",
        |source| {
            let at_home = UNSAFE_ROOMS.iter().any(|room| source.path.starts_with(room));
            let is_root = ["/src/lib.rs", "/src/main.rs"].iter().any(|end| source.path.ends_with(end));
            if at_home || source.path.starts_with("fuzz/") {
                return Vec::new();
            }
            let mut breaches = word_places(source, "unsafe");
            if is_root && !source.code.contains("#![forbid(unsafe_code)]") {
                breaches.push(format!("{}: lacks #![forbid(unsafe_code)]", source.path));
            }
            breaches
        },
    );
}

#[test]
fn unsafe_blocks_say_why() {
    in_sources("An `unsafe` block or impl has `// SAFETY:` above it or on its line.", |source| {
        let lines: Vec<&str> = source.text.lines().collect();
        let explained = |line: usize| {
            let above = lines[..line - 1].iter().rev().take_while(|l| {
                let l = l.trim();
                l.starts_with("//") || l.starts_with("#[") || !l.ends_with([';', '}', '{'])
            });
            above.chain([&lines[line - 1]]).any(|l| l.contains("SAFETY:"))
        };
        let opens = ["unsafe {", "unsafe impl"].into_iter().flat_map(|form| source.code.match_indices(form));
        opens.filter(|(at, _)| !explained(source.line(*at))).map(|(at, _)| source.at(at)).collect()
    });
}

#[test]
fn strangers_bytes_never_panic() {
    in_sources("What reads bytes of strangers returns errors; it does not panic.", |source| {
        if !READERS.iter().any(|room| source.path.starts_with(room)) {
            return Vec::new();
        }
        PANICS.iter().flat_map(|panic| places(source, &source.shipped, panic)).collect()
    });
}

#[test]
fn nobody_leaves_a_gap() {
    in_sources("No todo!, unimplemented! or dbg! in what is shipped.", |source| {
        ["todo!(", "unimplemented!(", "dbg!("]
            .iter()
            .flat_map(|gap| places(source, &source.shipped, gap))
            .collect()
    });
}

#[test]
fn conditions_have_their_rooms() {
    in_sources(
        "cfg(target_arch) only in kernels/src/isa, cfg(target_os) only in host, cfg(feature) on items only.",
        |source| {
            if source.shipped.is_empty() {
                return Vec::new();
            }
            let mut breaches = Vec::new();
            if !source.path.starts_with("crates/kernels/src/isa/") {
                breaches.extend(word_places(source, "target_arch"));
            }
            if !source.path.starts_with("crates/host/") {
                breaches.extend(
                    ["target_os", "target_family", "unix", "windows"]
                        .iter()
                        .flat_map(|os| condition(source, os)),
                );
            }
            let inside = source.shipped.match_indices("cfg(feature").filter(|(at, _)| source.depth(*at) > 0);
            breaches.extend(inside.map(|(at, _)| source.at(at)));
            breaches.extend(places(source, &source.shipped, "cfg!(feature"));
            breaches
        },
    );
}

/// Conditions of compilation that name `what`.
fn condition(source: &Source, what: &str) -> Vec<String> {
    let lines = source.shipped.lines().zip(1..);
    let named = lines.filter(|(line, _)| line.contains("cfg") && line.contains(&format!("({what}")));
    named.map(|(_, number)| format!("{}:{number}: {what}", source.path)).collect()
}

fn word_places(source: &Source, word: &str) -> Vec<String> {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let found = source.code.match_indices(word).filter(|(at, _)| {
        !source.code[..*at].ends_with(part) && !source.code[at + word.len()..].starts_with(part)
    });
    found.map(|(at, _)| format!("{}: {word}", source.at(at))).collect()
}

#[test]
fn errors_are_one_open_enum_a_crate() {
    let mut seen: Vec<String> = Vec::new();
    let mut breaches = Vec::new();
    for source in sources() {
        for (at, item) in source.shipped.match_indices("pub enum ") {
            let attributes = source.shipped[..at].rsplit(['}', ';']).next().unwrap_or("");
            if !attributes.contains("thiserror::Error") {
                continue;
            }
            if !attributes.contains("#[non_exhaustive]") {
                breaches.push(format!("{}: {item} lacks #[non_exhaustive]", source.at(at)));
            }
            let room = source.path.split("/src/").next().unwrap_or("").to_string();
            if seen.contains(&room) {
                breaches.push(format!("{}: {room} has an enum of errors already", source.at(at)));
            }
            seen.push(room);
        }
    }
    verdict("A crate has one enum of errors, and it is `#[non_exhaustive]`.", breaches);
}

#[test]
fn lists_are_alphabetical_where_they_say_so() {
    in_sources("A list whose comment says alphabetical is.", |source| {
        let marks = source.text.match_indices("lphabetical").filter(|(at, _)| {
            let line = source.text[..*at].rfind('\n').map_or(0, |i| i + 1);
            source.text[line..*at].trim_start().starts_with("//")
        });
        marks.filter_map(|(at, _)| disorder(source, at)).collect()
    });
}

/// The first two elements that are out of order in the `[...]` or `{...}` of the item after byte `mark`.
fn disorder(source: &Source, mark: usize) -> Option<String> {
    let from = mark + source.code[mark..].find("= &[").or_else(|| source.code[mark..].find(" {"))?;
    let open = from + source.code[from..].find(['[', '{'])?;
    let (mut depth, mut start, mut elements) = (0, open + 1, Vec::new());
    for (i, b) in source.code.bytes().enumerate().skip(open) {
        depth += i32::from(matches!(b, b'[' | b'{' | b'(')) - i32::from(matches!(b, b']' | b'}' | b')'));
        if (b == b',' && depth == 1) || depth == 0 {
            let element = source.text[start..i].lines().map(str::trim);
            let element: String = element.filter(|l| !l.starts_with("//") && !l.starts_with("#[")).collect();
            // A name in quotes comes first, wherever it stands.
            let name = element.split('"').nth(1).unwrap_or(element.trim_start_matches(['&', '(', '[']));
            elements.push(name.to_lowercase());
            start = i + 1;
        }
        if depth == 0 {
            break;
        }
    }
    elements.retain(|element| !element.is_empty());
    let pair = elements.windows(2).find(|pair| pair[0] > pair[1])?;
    Some(format!("{}: {} stands before {}", source.at(open), pair[0], pair[1]))
}

#[test]
fn texts_name_no_private_place() {
    // In pieces, so that this file does not name them either.
    let hosts = [
        ("pypi", ".org"),
        ("python", "hosted.org"),
        ("registry.npm", "js.org"),
        ("static.crates", ".io"),
        ("deb.deb", "ian.org"),
    ];
    let paths = [("/ro", "ot/"), ("/wo", "rk/"), ("/ho", "me/")];
    let banned: Vec<String> = hosts.iter().chain(&paths).map(|(a, b)| format!("{a}{b}")).collect();
    let mut breaches = Vec::new();
    for (path, text) in texts() {
        if path == "Cargo.lock" || path.ends_with("/Cargo.lock") {
            continue;
        }
        for (line, number) in text.lines().zip(1..) {
            let named = banned.iter().filter(|word| line.contains(*word));
            breaches.extend(named.map(|word| format!("{path}:{number}: {word}")));
        }
    }
    verdict("No text names a registry's host or a path of one machine.", breaches);
}

#[test]
fn readers_find_what_they_look_for() {
    let files = ["ARCHITECTURE.md", "CONTRIBUTING.md", "LICENSE-APACHE", "LICENSE-MIT", "README.md"];
    let is_there = |name: &str| fs::metadata(root().join(name)).is_ok_and(|file| file.len() > 500);
    let missing = files.into_iter().filter(|name| !is_there(name)).map(str::to_string).collect();
    verdict("A file that readers look for is missing.", missing);
}
