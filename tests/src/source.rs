//! The project's own files, for tests of their form.
//!
//! Not a parser: a scanner that blanks out comments, literals and tests, and leaves every line where it is.

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Names under which lies nothing written by us; `.git` is a file in a second working tree.
const FOREIGN: &[&str] = &[".git", "artifacts", "corpus", "target"];

/// A Rust file.
#[derive(Debug)]
pub struct Source {
    /// Where it is, from the root, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
    /// The same lines with comments and the insides of literals as spaces.
    pub code: String,
    /// `code` without items under `#[cfg(test)]`; empty for a file of tests, examples or benchmarks.
    pub shipped: String,
}

impl Source {
    fn new(path: String, text: String) -> Source {
        let code = blank_literals(&text);
        let unshipped = ["/benches/", "/examples/", "/tests/", "fuzz/", "tests/"];
        let is_shipped = !unshipped.iter().any(|part| match part.strip_prefix('/') {
            Some(_) => path.contains(part),
            None => path.starts_with(part),
        });
        let shipped = if is_shipped { blank_tests(&code) } else { String::new() };
        Source { path, text, code, shipped }
    }

    /// `path:line` of a byte offset.
    pub fn at(&self, offset: usize) -> String {
        format!("{}:{}", self.path, self.line(offset))
    }

    /// The line of a byte offset, from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.text.as_bytes()[..offset.min(self.text.len())].iter().filter(|b| **b == b'\n').count() + 1
    }

    /// Functions with a body: name, and bytes from `fn` to the closing brace.
    pub fn functions(&self) -> Vec<(&str, Range<usize>)> {
        words(&self.code, "fn")
            .filter_map(|start| {
                let name = self.code[start + 2..].trim_start();
                let name = &name[..name.find(|c: char| !c.is_alphanumeric() && c != '_')?];
                let open = body(&self.code, start).filter(|_| !name.is_empty())?;
                Some((name, start..closing(&self.code, open)))
            })
            .collect()
    }

    /// How many braces are open at a byte offset of `code`.
    pub fn depth(&self, offset: usize) -> isize {
        self.code.as_bytes()[..offset].iter().map(|b| isize::from(*b == b'{') - isize::from(*b == b'}')).sum()
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().expect("the workspace exists")
}

/// All Rust files of the project, by path.
pub fn sources() -> Vec<Source> {
    let files = texts().into_iter().filter(|(path, _)| path.ends_with(".rs"));
    let mut all: Vec<Source> = files.map(|(path, text)| Source::new(path, text)).collect();
    let of_tests: Vec<String> = all.iter().flat_map(test_modules).collect();
    for source in &mut all {
        if of_tests.contains(&source.path) {
            source.shipped.clear();
        }
    }
    all
}

/// Files that `source` makes part of tests only, by `#[cfg(test)] mod name;`.
fn test_modules(source: &Source) -> Vec<String> {
    let stem = source.path.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "lib" | "main" | "mod")) => folder,
        _ => stem,
    };
    let items = source.code.split("#[cfg(test)]").skip(1);
    let modules = items.filter_map(|item| item.split_once(';')?.0.trim().rsplit_once("mod "));
    modules.map(|(_, name)| format!("{folder}/{name}.rs")).collect()
}

/// All text files of the project, by path from the root.
pub fn texts() -> Vec<(String, String)> {
    let root = root();
    let mut found = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the project can be read").flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if FOREIGN.iter().any(|foreign| name == *foreign) {
                continue;
            }
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(&root).unwrap_or(&path);
                found.push((path.to_string_lossy().replace('\\', "/"), text));
            }
        }
    }
    found.sort();
    found
}

/// Where `word` stands by itself in `code`.
pub(crate) fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_');
    code.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        let bytes = code.as_bytes();
        !part(at.checked_sub(1).and_then(|i| bytes.get(i))) && !part(bytes.get(at + word.len()))
    })
}

/// The opening brace of an item's body; `None` if a `;` ends the item first.
fn body(code: &str, start: usize) -> Option<usize> {
    let mut nested = 0isize;
    for (i, b) in code.bytes().enumerate().skip(start) {
        match b {
            b'(' | b'[' => nested += 1,
            b')' | b']' => nested -= 1,
            b'{' if nested <= 0 => return Some(i),
            b';' if nested <= 0 => return None,
            _ => {}
        }
    }
    None
}

/// The byte after the brace that closes the one at `open`.
fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0isize;
    for (i, b) in code.bytes().enumerate().skip(open) {
        depth += isize::from(b == b'{') - isize::from(b == b'}');
        if depth == 0 {
            return i + 1;
        }
    }
    code.len()
}

fn blank(bytes: &mut [u8]) {
    bytes.iter_mut().filter(|b| **b != b'\n').for_each(|b| *b = b' ');
}

fn blank_tests(code: &str) -> String {
    let mut out = code.as_bytes().to_vec();
    for (start, mark) in code.match_indices("#[cfg(test)]") {
        let after = start + mark.len();
        let end = match body(code, after) {
            Some(open) => closing(code, open),
            None => code[after..].find(';').map_or(code.len(), |i| after + i + 1),
        };
        blank(&mut out[start..end]);
    }
    String::from_utf8(out).unwrap_or_default()
}

fn blank_literals(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = bytes.to_vec();
    let mut i = 0;
    while i < bytes.len() {
        let end = match literal(text, i) {
            Some(end) => end.min(bytes.len()),
            None => {
                i += 1;
                continue;
            }
        };
        blank(&mut out[i..end]);
        i = end;
    }
    String::from_utf8(out).unwrap_or_default()
}

/// The end of the comment or literal that begins at byte `i`, if one does.
fn literal(text: &str, i: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let rest = &bytes[i..];
    let in_word = i > 0 && (bytes[i - 1].is_ascii_alphanumeric() || bytes[i - 1] == b'_');
    let find = |from: usize, what: &str| {
        let from = (i + from).min(bytes.len());
        bytes[from..]
            .windows(what.len())
            .position(|w| w == what.as_bytes())
            .map_or(bytes.len(), |at| from + at)
    };
    match rest {
        [b'/', b'/', ..] => Some(find(0, "\n")),
        [b'/', b'*', ..] => Some(block_comment(bytes, i)),
        [b'"', ..] => Some(quoted(bytes, i)),
        [b'r', b'"' | b'#', ..] | [b'b', b'r', b'"' | b'#', ..] if !in_word || bytes[i - 1] == b'b' => {
            let hashes =
                rest.iter().skip_while(|b| matches!(b, b'b' | b'r')).take_while(|b| **b == b'#').count();
            let quote = rest.iter().position(|b| !matches!(b, b'b' | b'r' | b'#'))?;
            let close = format!("\"{}", "#".repeat(hashes));
            (rest[quote] == b'"').then(|| find(quote + 1, &close) + close.len())
        }
        [b'\'', b'\\', ..] => Some(find(3, "'") + 1),
        [b'\'', ..] => {
            let length = text[i + 1..].chars().next()?.len_utf8();
            (bytes.get(i + 1 + length) == Some(&b'\'')).then_some(i + length + 2)
        }
        _ => None,
    }
}

fn block_comment(bytes: &[u8], start: usize) -> usize {
    let (mut depth, mut i) = (0, start);
    while i + 1 < bytes.len() {
        match &bytes[i..i + 2] {
            b"/*" => (depth, i) = (depth + 1, i + 2),
            b"*/" => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    bytes.len()
}

fn quoted(bytes: &[u8], start: usize) -> usize {
    let mut i = start + 1;
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'"' => return i + 1,
            _ => i += 1,
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_and_comments_are_blank() {
        for (text, code) in [
            ("a // b {\nc", "a       \nc"),
            ("a /* /* } */ */ b", "a b"),
            ("\"{\\\"\" x", "      x"),
            ("r#\"}\"# y", "y"),
            ("'{' 'a", "    'a"),
            ("'\\'' b'{' z", "     b    z"),
            ("r.len()", "r.len()"),
        ] {
            let got = blank_literals(text);
            assert_eq!(got.len(), text.len(), "{text}");
            assert_eq!(
                got.split_whitespace().collect::<Vec<_>>(),
                code.split_whitespace().collect::<Vec<_>>(),
                "{text}"
            );
        }
    }

    #[test]
    fn functions_and_tests_are_found() {
        let text =
            "fn a(x: [u8; 3]) { if x { } }\ntrait T { fn b(); }\n#[cfg(test)]\nmod tests { fn c() {} }\n";
        let source = Source::new("crates/x/src/lib.rs".into(), text.into());
        let names: Vec<&str> = source.functions().iter().map(|f| f.0).collect();
        assert_eq!(names, ["a", "c"]);
        assert!(!source.shipped.contains("fn c"));
        assert_eq!(source.line(text.find("trait").unwrap()), 2);
    }
}
