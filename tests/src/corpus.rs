//! Bad model files, made from good ones: cut, flipped, and lying.
//!
//! What it is: the tiny models of `golden/`, taken apart and put together wrongly, the same in every run. What it is
//! not: a verdict; `tests/hostile.rs` has that. The one design choice: a header is a list of raw keys and tensors, so
//! that a lie is one edit and everything around it stays true.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::tiny;

/// A model that somebody has tampered with.
#[derive(Clone, Debug)]
pub struct Bad {
    /// What was done to which model.
    pub what: String,
    /// Name and content of each file; the first is the model, or `config.json` of a folder.
    pub files: Vec<(String, Content)>,
    /// What the complaint must name; empty if a flip may have left a sound file.
    pub named: &'static str,
}

/// The bytes of a file: its own, and those that it shares with many others after them.
#[derive(Clone, Debug)]
pub struct Content(Vec<u8>, Arc<[u8]>);

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content(bytes, Arc::default())
    }
}

impl Bad {
    fn file(what: String, content: impl Into<Content>, named: &'static str) -> Bad {
        Bad { what, files: vec![("bad.gguf".into(), content.into())], named }
    }

    /// Writes the files into a folder and gives the path that stands for the model.
    ///
    /// # Panics
    /// If the disk is full.
    pub fn write(&self, folder: &Path) -> std::path::PathBuf {
        for (name, Content(own, shared)) in &self.files {
            std::fs::write(folder.join(name), [own, &**shared].concat()).expect("room on the disk");
        }
        let first = &self.files[0].0;
        if first.ends_with(".gguf") { folder.join(first) } else { folder.to_path_buf() }
    }
}

/// Numbers that look random and are the same in every run (xorshift64*).
#[derive(Clone, Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % end.max(1)
    }
}

/// A key of a GGUF file: name, type, encoded value.
type RawKey = (String, u32, Vec<u8>);
/// A tensor of a GGUF file: name, extents innermost first, type, offset.
type RawTensor = (String, Vec<u64>, u32, u64);

/// A GGUF file in pieces.
#[derive(Clone, Debug)]
struct Raw {
    keys: Vec<RawKey>,
    tensors: Vec<RawTensor>,
    data: Arc<[u8]>,
    /// Where fields of the header begin and end.
    edges: Vec<usize>,
}

const STRING: u32 = 8;
const ARRAY: u32 = 9;

/// Bytes of a value of a GGUF type.
fn width(kind: u32) -> usize {
    match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        10..=12 => 8,
        _ => 4,
    }
}

/// Walks the header of a sound file.
struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    edges: Vec<usize>,
}

impl Walk<'_> {
    fn take(&mut self, count: usize) -> &[u8] {
        self.at += count;
        self.edges.push(self.at);
        &self.bytes[self.at - count..self.at]
    }

    fn number(&mut self, bytes: usize) -> u64 {
        self.take(bytes).iter().rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
    }

    fn text(&mut self) -> String {
        let count = self.number(8) as usize;
        String::from_utf8_lossy(self.take(count)).into_owned()
    }

    fn value(&mut self, kind: u32) {
        match kind {
            STRING => drop(self.text()),
            ARRAY => {
                let (inner, count) = (self.number(4) as u32, self.number(8));
                let from = self.edges.len();
                (0..count).for_each(|_| self.value(inner));
                self.edges.drain(from + count.min(4) as usize..); // a few edges stand for all
            }
            other => drop(self.take(width(other)).len()),
        }
    }
}

impl Raw {
    fn read(bytes: &[u8]) -> Raw {
        let mut walk = Walk { bytes, at: 8, edges: vec![0, 4, 8] };
        let (tensors, keys) = (walk.number(8), walk.number(8));
        let keys = (0..keys).map(|_| {
            let (name, kind, from) = (walk.text(), walk.number(4) as u32, walk.at);
            walk.value(kind);
            (name, kind, bytes[from..walk.at].to_vec())
        });
        let keys = keys.collect();
        let tensors = (0..tensors).map(|_| {
            let (name, rank) = (walk.text(), walk.number(4));
            let extents = (0..rank).map(|_| walk.number(8)).collect();
            (name, extents, walk.number(4) as u32, walk.number(8))
        });
        let tensors = tensors.collect();
        let data = bytes[walk.at.next_multiple_of(32)..].into();
        Raw { keys, tensors, data, edges: walk.edges }
    }

    fn write(&self) -> Content {
        let mut out = b"GGUF\x03\0\0\0".to_vec();
        out.extend((self.tensors.len() as u64).to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (name, kind, value) in &self.keys {
            out.extend(string(name.as_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(value);
        }
        for (name, extents, kind, offset) in &self.tensors {
            out.extend(string(name.as_bytes()));
            out.extend((extents.len() as u32).to_le_bytes());
            extents.iter().for_each(|extent| out.extend(extent.to_le_bytes()));
            out.extend(kind.to_le_bytes());
            out.extend(offset.to_le_bytes());
        }
        out.resize(out.len().next_multiple_of(32), 0);
        Content(out, Arc::clone(&self.data))
    }

    /// The file with the value of a key replaced, or the key added.
    fn with_key(&self, name: &str, kind: u32, value: Vec<u8>) -> Content {
        let mut lie = self.clone();
        lie.keys.retain(|key| key.0 != name);
        lie.keys.push((name.to_string(), kind, value));
        lie.write()
    }

    fn with_tensor(&self, number: usize, change: impl Fn(&mut RawTensor)) -> Content {
        let mut lie = self.clone();
        change(&mut lie.tensors[number]);
        lie.write()
    }
}

fn string(text: &[u8]) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text].concat()
}

fn strings(texts: &[&[u8]]) -> Vec<u8> {
    array(STRING, texts.len() as u64, texts.iter().flat_map(|text| string(text)).collect())
}

fn array(kind: u32, count: u64, items: Vec<u8>) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &count.to_le_bytes(), &items].concat()
}

/// GGUF files of all kinds of trouble, made from the tiny model `name`.
pub fn gguf(name: &str) -> Vec<Bad> {
    let good = std::fs::read(tiny(name).0).expect("the tiny model");
    let raw = Raw::read(&good);
    let mut bad = cut_and_flipped(name, &good, &raw.edges);
    bad.extend(lying_keys(name, &raw));
    bad.extend(lying_tensors(name, &raw));
    bad.extend(lying_text(name, &raw));
    bad.extend(split(name, &raw));
    bad
}

fn cut_and_flipped(name: &str, good: &[u8], edges: &[usize]) -> Vec<Bad> {
    let mut dice = Dice(0x5eed ^ good.len() as u64);
    let header = edges.last().copied().unwrap_or(0);
    let mut cuts: Vec<usize> = edges.iter().flat_map(|&edge| [edge, edge.saturating_sub(1)]).collect();
    cuts.extend((0..60).map(|_| dice.below(good.len())));
    cuts.sort_unstable();
    cuts.dedup();
    let cuts = cuts.into_iter().filter(|&cut| cut < good.len());
    let cut = |cut: usize| Bad::file(format!("{name} cut at {cut}"), good[..cut].to_vec(), "bad.gguf");
    let mut bad: Vec<Bad> = cuts.map(cut).collect();
    let data: Arc<[u8]> = good[header..].into();
    let mut tamper = |what: String, change: &dyn Fn(&mut [u8])| {
        let mut own = good[..header].to_vec();
        change(&mut own);
        bad.push(Bad::file(format!("{name} {what}"), Content(own, Arc::clone(&data)), ""));
    };
    for _ in 0..160 {
        let bit = dice.below(8 * header);
        tamper(format!("with bit {bit} flipped"), &|own| own[bit / 8] ^= 1 << (bit % 8));
    }
    for _ in 0..80 {
        let (at, lie) = (dice.below(header - 8), LIES[dice.below(LIES.len())]);
        tamper(format!("with {lie} at {at}"), &|own| own[at..at + 8].copy_from_slice(&lie.to_le_bytes()));
    }
    for _ in 0..12 {
        let (bit, mut whole) = (dice.below(8 * good.len()), good.to_vec());
        whole[bit / 8] ^= 1 << (bit % 8);
        bad.push(Bad::file(format!("{name} with bit {bit} of all flipped"), whole, ""));
    }
    bad
}

/// Numbers that lengths, counts and offsets should not be.
const LIES: [u64; 9] =
    [0, 1, 1 << 20, 1_000_000_000, u32::MAX as u64, 1 << 32, i64::MAX as u64, u64::MAX - 31, u64::MAX];

fn lying_keys(name: &str, raw: &Raw) -> Vec<Bad> {
    let mut bad = Vec::new();
    let mut dice = Dice(3);
    for (key, kind, value) in &raw.keys {
        let mut lies: Vec<(u32, Vec<u8>)> = LIES.iter().map(|lie| (10, lie.to_le_bytes().to_vec())).collect();
        lies.extend([0, 3, 1 << 31, u32::MAX].map(|lie: u32| (4, lie.to_le_bytes().to_vec())));
        let floats = [f32::NAN, f32::INFINITY, -1.0, 0.0, 1e-45, 1e38];
        lies.extend(floats.map(|lie| (6, lie.to_le_bytes().to_vec())));
        lies.extend([(STRING, string(b"llama")), (STRING, string(b"\xff\xfe")), (7, vec![2]), (13, vec![0])]);
        lies.push((ARRAY, array(4, 1_000_000_000, vec![0; 64])));
        lies.push((ARRAY, array(STRING, u64::MAX, vec![0; 64])));
        lies.push((ARRAY, array(ARRAY, 1, array(4, 1, vec![0; 4]))));
        lies.push((*kind, value[..value.len() / 2].to_vec()));
        for (number, (kind, value)) in lies.into_iter().enumerate() {
            if dice.below(4) > 0 {
                continue;
            }
            let what = format!("{name} whose {key} is lie {number} of type {kind}");
            bad.push(Bad::file(what, raw.with_key(key, kind, value), ""));
        }
        let mut gone = raw.clone();
        gone.keys.retain(|other| other.0 != *key);
        bad.push(Bad::file(format!("{name} without {key}"), gone.write(), ""));
        let mut twice = raw.clone();
        twice.keys.push((key.clone(), *kind, value.clone()));
        let again = Bad::file(format!("{name} with two of {key}"), twice.write(), "occurs twice");
        bad.push(again);
    }
    let architecture = raw.keys.iter().find(|key| key.0 == "general.architecture");
    let prefix = String::from_utf8_lossy(&architecture.expect("an architecture").2[8..]).into_owned();
    let absurd: [(&'static str, u32, Vec<u8>); 10] = [
        ("attention.head_count", 4, 0u32.to_le_bytes().into()),
        ("attention.head_count_kv", 4, 3u32.to_le_bytes().into()),
        ("attention.layer_norm_rms_epsilon", 6, f32::NAN.to_le_bytes().into()),
        ("attention.layer_norm_rms_epsilon", 6, f32::INFINITY.to_le_bytes().into()),
        ("attention.layer_norm_rms_epsilon", 6, (-1.0f32).to_le_bytes().into()),
        ("block_count", 4, 0u32.to_le_bytes().into()),
        ("context_length", 4, 0u32.to_le_bytes().into()),
        ("embedding_length", 4, 0u32.to_le_bytes().into()),
        ("rope.freq_base", 6, 0f32.to_le_bytes().into()),
        ("rope.freq_base", 6, f32::NAN.to_le_bytes().into()),
    ];
    for (key, kind, value) in absurd {
        let what = format!("{name} with an absurd {key}");
        bad.push(Bad::file(what, raw.with_key(&format!("{prefix}.{key}"), kind, value), key));
    }
    for (layers, named) in [(1u32 << 31, "blk."), (u32::MAX, "blk.")] {
        let key = format!("{prefix}.block_count");
        let file = raw.with_key(&key, 4, layers.to_le_bytes().into());
        bad.push(Bad::file(format!("{name} of {layers} layers"), file, named));
    }
    bad
}

fn lying_tensors(name: &str, raw: &Raw) -> Vec<Bad> {
    let mut bad = Vec::new();
    let mut dice = Dice(7);
    let mut picked: Vec<usize> = (0..5).map(|_| dice.below(raw.tensors.len())).chain([0]).collect();
    picked.sort_unstable();
    picked.dedup();
    for number in picked {
        let tensor = raw.tensors[number].0.clone();
        let mut lie = |what: &str, named, change: &dyn Fn(&mut RawTensor)| {
            let what = format!("{name} whose {tensor} has {what}");
            bad.push(Bad::file(what, raw.with_tensor(number, change), named));
        };
        lie("a dimension of zero", "is zero", &|tensor| tensor.1[0] = 0);
        lie("rows without end", "bad.gguf", &|tensor| tensor.1[0] = u64::MAX);
        lie("sizes that overflow", "bad.gguf", &|tensor| tensor.1 = vec![1 << 32; 4]);
        lie("sizes that overflow to little", "bad.gguf", &|tensor| tensor.1 = vec![(1 << 63) + 32, 2]);
        lie("nine dimensions", "9 dimensions", &|tensor| tensor.1 = vec![1; 9]);
        lie("no dimension", "bad.gguf", &|tensor| tensor.1 = vec![]);
        lie("one dimension more", "", &|tensor| tensor.1.push(1));
        lie("half the columns", "bad.gguf", &|tensor| tensor.1[0] /= 2);
        lie("an offset outside", "the file has", &|tensor| tensor.3 = 1 << 40);
        lie("an offset that overflows", "the file has", &|tensor| tensor.3 = u64::MAX - 31);
        lie("an odd offset", "not a multiple", &|tensor| tensor.3 += 1);
        lie("the name of another", "", &|tensor| tensor.0 = "output_norm.weight".into());
        lie("no name", "", &|tensor| tensor.0.clear());
        lie("a name that is long", "bad.gguf", &|tensor| tensor.0 = "x".repeat(5000));
        for kind in 0..45 {
            lie(&format!("type {kind}"), "", &|tensor| tensor.2 = kind);
        }
        lie("type 4294967295", "type 4294967295", &|tensor| tensor.2 = u32::MAX);
        let mut gone = raw.clone();
        gone.tensors.remove(number);
        bad.push(Bad::file(format!("{name} without {tensor}"), gone.write(), ""));
    }
    if raw.tensors.len() > 1 {
        let at = raw.tensors[0].3;
        bad.push(Bad::file(
            format!("{name} that overlaps"),
            raw.with_tensor(1, |tensor| tensor.3 = at),
            "overlap",
        ));
    }
    for fewer in [false, true] {
        let matrix = raw.tensors.iter().position(|tensor| tensor.0 == "token_embd.weight").unwrap_or(0);
        let rows =
            |tensor: &mut RawTensor| tensor.1[1] = if fewer { tensor.1[1] / 2 } else { tensor.1[1] * 2 };
        bad.push(Bad::file(
            format!("{name} with other rows, fewer: {fewer}"),
            raw.with_tensor(matrix, rows),
            "bad.gguf",
        ));
    }
    bad
}

/// Vocabularies and templates.
fn lying_text(name: &str, raw: &Raw) -> Vec<Bad> {
    let mut bad = Vec::new();
    let mut lie = |what: &str, named, key: &str, kind, value: Vec<u8>| {
        bad.push(Bad::file(format!("{name} with {what}"), raw.with_key(key, kind, value), named));
    };
    let (tokens, merges) = ("tokenizer.ggml.tokens", "tokenizer.ggml.merges");
    let junk: Vec<Vec<u8>> = (0..320u32).map(|id| vec![0xff, id as u8, 0x80, (id >> 8) as u8]).collect();
    let junk: Vec<&[u8]> = junk.iter().map(Vec::as_slice).collect();
    lie("tokens that are not UTF-8", "", tokens, ARRAY, strings(&junk));
    lie("a single empty token", "", tokens, ARRAY, strings(&[b""]));
    lie("no tokens", "", tokens, ARRAY, strings(&[]));
    lie("tokens all alike", "", tokens, ARRAY, strings(&[b"a" as &[u8]; 320]));
    lie("a thousand tokens", "1000 tokens", tokens, ARRAY, strings(&[b"a" as &[u8]; 1000]));
    lie("a token of 100 KB", "", tokens, ARRAY, strings(&[&[b'a'; 100_000]]));
    lie("merges of nothing", "", merges, ARRAY, strings(&[b"no such", b"", b" ", b"x"]));
    lie("merges by the thousand", "", merges, ARRAY, strings(&[b"a b" as &[u8]; 5000]));
    lie("a token to begin with that is none", "bos names", "tokenizer.ggml.bos_token_id", 4, vec![255; 4]);
    lie("a token to end with that is none", "", "tokenizer.ggml.eos_token_id", 10, vec![255; 8]);
    lie("few scores", "", "tokenizer.ggml.scores", ARRAY, array(6, 2, vec![0; 8]));
    lie("scores that are no numbers", "", "tokenizer.ggml.scores", ARRAY, array(6, 320, vec![255; 1280]));
    lie("types that are none", "", "tokenizer.ggml.token_type", ARRAY, array(5, 320, vec![200; 1280]));
    let templates: [(&str, &'static str); 7] = [
        ("{% if %}", "template"),
        ("{{ nothing.at.all }}", "template"),
        ("{% for x in range(99999) %}{% for y in range(99999) %}{% endfor %}{% endfor %}", "steps"),
        (
            "{% set n = namespace(s='ab') %}{% for i in range(60) %}{% set n.s = n.s ~ n.s %}{% endfor %}",
            "memory",
        ),
        (
            "{% set n = namespace(l=[1]) %}{% for i in range(60) %}{% set n.l = [n.l, n.l] %}{% endfor %}{{ n.l }}",
            "template",
        ),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "template"),
        ("{{ 'x' * 99999999 }}", "template"),
    ];
    for (template, named) in templates {
        let what = format!("the template {template}");
        lie(&what, named, "tokenizer.chat_template", STRING, string(template.as_bytes()));
    }
    let nested = format!("{{{{ {}1{} }}}}", "(".repeat(30_000), ")".repeat(30_000));
    lie("a template that nests", "template", "tokenizer.chat_template", STRING, string(nested.as_bytes()));
    bad
}

/// Files that claim to be parts of others.
fn split(name: &str, raw: &Raw) -> Vec<Bad> {
    let part = |number: u32, count: u32| {
        let mut part = raw.clone();
        for (key, value) in [("split.no", number), ("split.count", count)] {
            part.keys.push((key.to_string(), 4, value.to_le_bytes().into()));
        }
        part.write()
    };
    let files = |parts: &[(&str, u32, u32)]| {
        parts.iter().map(|(name, number, count)| (format!("{name}.gguf"), part(*number, *count))).collect()
    };
    type Case<'a> = (&'a str, &'a [(&'a str, u32, u32)], &'static str);
    let cases: [Case<'_>; 7] = [
        ("a part without the other", &[("m-00001-of-00002", 0, 2)], "m-00002-of-00002.gguf is missing"),
        ("parts that are one another", &[("m-00001-of-00002", 1, 2), ("m-00002-of-00002", 0, 2)], "part"),
        ("parts that are the same", &[("m-00001-of-00002", 0, 2), ("m-00002-of-00002", 0, 2)], "part"),
        ("parts with the same tensors", &[("m-00001-of-00002", 0, 2), ("m-00002-of-00002", 1, 2)], "twice"),
        ("a count that lies", &[("m-00001-of-00002", 0, 4_000_000_000)], "4000000000"),
        ("a name that lies", &[("model", 0, 2)], "part 1 of 2"),
        ("a number beyond the count", &[("m-00001-of-00001", u32::MAX, 2)], "m-00001-of-00001.gguf"),
    ];
    let bad =
        |(what, parts, named): Case<'_>| Bad { what: format!("{name}: {what}"), files: files(parts), named };
    cases.into_iter().map(bad).collect()
}

/// Folders of all kinds of trouble, made from the tiny model `name`.
pub fn folder(name: &str) -> Vec<Bad> {
    let path = tiny(name).0;
    let names = std::fs::read_dir(&path).expect("the tiny model").flatten();
    let mut names: Vec<String> = names.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort(); // config.json comes first
    let read = |name: &String| (name.clone(), std::fs::read(path.join(name)).expect("a file"));
    let good: Vec<(String, Vec<u8>)> = names.iter().map(read).collect();
    let shared: Vec<(String, Content)> =
        good.iter().map(|(name, bytes)| (name.clone(), Content(Vec::new(), bytes[..].into()))).collect();
    let mut bad = Vec::new();
    for (number, (file, bytes)) in good.iter().enumerate() {
        let mut dice = Dice(11 + number as u64);
        let mut tamper = |what: String, bytes: Vec<u8>, named| {
            let mut files = shared.clone();
            files[number].1 = bytes.into();
            bad.push(Bad { what: format!("{name}: {file} {what}"), files, named });
        };
        let header = header_of(file, bytes);
        for turn in 0..25 {
            let cut = if turn < 9 { turn } else { dice.below(header) };
            let named = if file.starts_with("generation") { "" } else { "json" };
            let named = if file.ends_with("safetensors") { "safetensors" } else { named };
            tamper(format!("cut at {cut}"), bytes[..cut].to_vec(), named);
        }
        for _ in 0..40 {
            let (bit, mut flipped) = (dice.below(8 * header), bytes.clone());
            flipped[bit / 8] ^= 1 << (bit % 8);
            tamper(format!("with bit {bit} flipped"), flipped, "");
        }
        for junk in ["", "null", "[]", "7", "{}", "{\"a\":", "\u{feff}{}"] {
            tamper(format!("replaced by {junk:?}"), junk.as_bytes().to_vec(), "");
        }
        for (what, junk) in monsters() {
            tamper(format!("replaced by {what}"), junk.into_bytes(), "");
        }
        if let Ok(value) = serde_json::from_slice::<Value>(bytes) {
            for (what, value) in lies_of_json(&value) {
                if dice.below(8) > 0 {
                    continue;
                }
                tamper(what, value.to_string().into_bytes(), "");
            }
        }
        if file.ends_with(".safetensors") {
            for (what, bytes, named) in lying_headers(bytes) {
                tamper(what, bytes, named);
            }
        }
    }
    bad
}

/// How much of a file is worth tampering with.
fn header_of(file: &str, bytes: &[u8]) -> usize {
    match bytes.first_chunk::<8>() {
        Some(length) if file.ends_with(".safetensors") => 8 + u64::from_le_bytes(*length) as usize,
        _ => bytes.len(),
    }
}

/// JSON that is too long or too deep.
fn monsters() -> Vec<(&'static str, String)> {
    vec![
        ("a deep list", "[".repeat(200_000)),
        ("a deep object", "{\"a\":".repeat(50_000)),
        ("a long string", format!("{{\"model_type\":\"{}\"}}", "x".repeat(3 << 20))),
        ("a long number", format!("{{\"hidden_size\":{}}}", "9".repeat(3 << 20))),
        (
            "many keys",
            format!("{{{}\"z\":0}}", (0..100_000).map(|n| format!("\"k{n}\":{n},")).collect::<String>()),
        ),
        (
            "many added tokens",
            format!(
                "{{\"added_tokens\":[{}{{\"id\":0,\"content\":\"\"}}]}}",
                "{\"id\":1,\"content\":\"a\"},".repeat(200_000)
            ),
        ),
        ("a long normalizer", format!("{{\"normalizer\":[{}0]}}", "[],".repeat(1 << 20))),
    ]
}

/// Values that no setting should have, at every place of a tree.
fn lies_of_json(value: &Value) -> Vec<(String, Value)> {
    let mut places = Vec::new();
    let lists_of = |value: &Value| value.as_array().map_or(0, Vec::len);
    if let Value::Object(map) = value {
        for (key, inner) in map {
            places.push(format!("/{key}"));
            if let Value::Object(inner) = inner {
                places.extend(inner.keys().take(12).map(|second| format!("/{key}/{second}")));
            }
            if lists_of(inner) > 0 {
                places.push(format!("/{key}/0"));
                let fields = inner[0].as_object().into_iter().flat_map(|map| map.keys());
                places.extend(fields.map(|second| format!("/{key}/0/{second}")));
            }
        }
    }
    let lies = [
        json!(0),
        json!(-1),
        json!(3),
        json!(4_294_967_295u64),
        json!(4_294_967_296u64),
        json!(u64::MAX),
        json!(1e300),
        json!(1e-300),
        json!(null),
        json!("x"),
        json!(""),
        json!([]),
        json!({}),
        json!(true),
        json!([[[]]]),
        json!({"type": "Sequence", "pretokenizers": [{"type": "Split", "pattern": {"Regex": "(a*)*(a*)*b"}}]}),
    ];
    let mut made = Vec::new();
    for place in places {
        for (number, lie) in lies.iter().enumerate() {
            let mut value = value.clone();
            if let Some(there) = value.pointer_mut(&place) {
                *there = lie.clone();
                made.push((format!("with lie {number} at {place}"), value));
            }
        }
    }
    made
}

/// Headers of safetensors that claim what is not so.
fn lying_headers(bytes: &[u8]) -> Vec<(String, Vec<u8>, &'static str)> {
    let end = header_of("x.safetensors", bytes);
    let header: Value = serde_json::from_slice(&bytes[8..end]).expect("a sound header");
    let names =
        header.as_object().into_iter().flat_map(|map| map.keys()).filter(|name| *name != "__metadata__");
    let name = names.clone().next().cloned().unwrap_or_default();
    let mut made = Vec::new();
    let lies: [(&str, Value, &'static str); 9] = [
        ("data_offsets", json!([0, u64::MAX]), "safetensors"),
        ("data_offsets", json!([u64::MAX, 8]), "safetensors"),
        ("data_offsets", json!([-1, 8]), "safetensors"),
        ("data_offsets", json!([1_u64 << 40, (1_u64 << 40) + 8]), "safetensors"),
        ("dtype", json!("F8_E5M2"), "F8_E5M2"),
        ("shape", json!([0, 4]), "is zero"),
        ("shape", json!([u64::MAX, u64::MAX]), "overflow"),
        ("shape", json!([1_000_000_000, 1_000_000_000]), "safetensors"),
        ("shape", json!(vec![1; 100_000]), "100000 dimensions"),
    ];
    for (field, lie, named) in lies {
        let mut header = header.clone();
        header[&name][field] = lie.clone();
        let text = header.to_string();
        let lying = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &bytes[end..]].concat();
        made.push((format!("whose {name} has {field} {:.40}", lie.to_string()), lying, named));
    }
    for length in LIES {
        let lying = [&length.to_le_bytes()[..], &bytes[8..]].concat();
        made.push((format!("whose header has {length} bytes"), lying, "safetensors"));
    }
    made
}
