//! Real vocabularies against independent tokenizers, id for id.
//!
//! The answers were written by golden/real.py. The vocabularies are read from the GGUF files in
//! `PINTPOT_TEST_MODELS`; without it the tests say so and pass. The reader here knows just enough of GGUF.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use pintpot_processors::text::{Builder, Counts, DecodeOptions, GgufKeys, Spec, TokenType, Tokenizer};
use serde::Deserialize;

enum Value {
    Flag(bool),
    Number(u64),
    Float(f32),
    Text(Vec<u8>),
    List(Vec<Value>),
}

struct Reader {
    bytes: Vec<u8>,
    at: usize,
}

impl Reader {
    fn take(&mut self, n: usize) -> &[u8] {
        self.at += n;
        &self.bytes[self.at - n..self.at]
    }

    fn number(&mut self, width: usize) -> u64 {
        self.take(width).iter().rev().fold(0, |n, &b| n << 8 | u64::from(b))
    }

    fn text(&mut self) -> Vec<u8> {
        let n = self.number(8) as usize;
        self.take(n).to_vec()
    }

    fn value(&mut self, kind: u64) -> Value {
        match kind {
            0 | 1 => Value::Number(self.number(1)),
            2 | 3 => Value::Number(self.number(2)),
            4 | 5 => Value::Number(self.number(4)),
            6 => Value::Float(f32::from_bits(self.number(4) as u32)),
            7 => Value::Flag(self.number(1) != 0),
            8 => Value::Text(self.text()),
            9 => {
                let kind = self.number(4);
                let n = self.number(8);
                Value::List((0..n).map(|_| self.value(kind)).collect())
            }
            _ => Value::Number(self.number(8)),
        }
    }
}

struct Keys(HashMap<String, Value>);

impl GgufKeys for Keys {
    fn text(&self, key: &str) -> Option<&str> {
        match self.0.get(key)? {
            Value::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    fn flag(&self, key: &str) -> Option<bool> {
        match self.0.get(key)? {
            Value::Flag(flag) => Some(*flag),
            _ => None,
        }
    }

    fn number(&self, key: &str) -> Option<u64> {
        match self.0.get(key)? {
            Value::Number(n) => Some(*n),
            _ => None,
        }
    }
}

impl Keys {
    fn list(&self, name: &str) -> &[Value] {
        match self.0.get(&format!("tokenizer.ggml.{name}")) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }
}

/// The tokenizer of a model, or `None` where there are no models.
fn load(name: &str) -> Option<Tokenizer> {
    let Some(folder) = std::env::var_os("PINTPOT_TEST_MODELS") else {
        println!("skipped: PINTPOT_TEST_MODELS is not set");
        return None;
    };
    let file = std::fs::File::open(PathBuf::from(folder).join(format!("{name}.gguf"))).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, 24 << 20), &mut bytes).unwrap();
    let mut reader = Reader { bytes, at: 16 };
    let mut keys = HashMap::new();
    for _ in 0..reader.number(8) {
        let key = String::from_utf8(reader.text()).unwrap();
        let kind = reader.number(4);
        keys.insert(key, reader.value(kind));
    }
    let keys = Keys(keys);
    let (tokens, merges) = (keys.list("tokens"), keys.list("merges"));
    let bytes_of = |v: &Value| if let Value::Text(t) = v { t.clone() } else { panic!("not text") };
    let counts = Counts {
        tokens: tokens.len(),
        merges: merges.len(),
        text_bytes: tokens.iter().map(|t| bytes_of(t).len()).sum(),
    };
    let spec = Spec::from_gguf(&keys).unwrap();
    let estimate = Tokenizer::estimate(spec.kind, counts);
    let start = Instant::now();
    let mut builder = Builder::new(spec, counts).unwrap();
    for (id, token) in tokens.iter().enumerate() {
        let score =
            keys.list("scores").get(id).map_or(0.0, |s| if let Value::Float(f) = s { *f } else { 0.0 });
        let kind = keys
            .list("token_type")
            .get(id)
            .map_or(1, |t| if let Value::Number(n) = t { *n as i64 } else { 1 });
        builder.token(&bytes_of(token), score, TokenType::from_gguf(kind)).unwrap();
    }
    for merge in merges {
        builder.merge(&bytes_of(merge)).unwrap();
    }
    let tokenizer = builder.finish().unwrap();
    let (bytes, spent) = (tokenizer.heap_bytes(), start.elapsed());
    println!(
        "{name}: {} tokens, {bytes} bytes of heap, estimate {estimate}, built in {spent:?}",
        tokens.len()
    );
    assert!(tokenizer.heap_bytes() <= estimate);
    Some(tokenizer)
}

#[derive(Deserialize)]
struct Row {
    text: String,
    plain: Vec<u32>,
    special: Option<Vec<u32>>,
}

fn encode(tokenizer: &Tokenizer, text: impl AsRef<[u8]>, special: bool) -> Vec<u32> {
    let mut ids = Vec::new();
    tokenizer.encode(text, special, &mut ids).unwrap();
    ids
}

/// Compares with the stored answers and bounds the size and the time.
fn check(name: &str, most_bytes: usize) {
    let Some(tokenizer) = load(name) else { return };
    assert!(tokenizer.heap_bytes() <= most_bytes, "{}", tokenizer.heap_bytes());
    let path = std::env::var_os("PINTPOT_TEXT_GOLDEN").map_or("tests/golden".into(), PathBuf::from);
    let rows = std::fs::read(path.join(format!("real_{name}.json"))).unwrap();
    let rows: Vec<Row> = serde_json::from_slice(&rows).unwrap();
    let mut wrong = 0;
    for row in &rows {
        let answers = [(false, Some(&row.plain)), (true, row.special.as_ref())];
        for (special, want) in answers.into_iter().filter_map(|(s, w)| w.map(|w| (s, w))) {
            let got = encode(&tokenizer, &row.text, special);
            if got != *want {
                wrong += 1;
                println!("{:?} special {special}\n  got  {got:?}\n  want {want:?}", row.text);
            }
        }
    }
    assert_eq!(wrong, 0, "of {} texts", rows.len());

    for length in [1 << 10, 1 << 20] {
        for line in [&b"a"[..], b" ", b"\n", b"ab", b"A", b"\xff", "é".as_bytes(), b" a"] {
            let start = Instant::now();
            let ids = encode(&tokenizer, line.repeat(length / line.len()), false);
            let spent = start.elapsed();
            assert!(!ids.is_empty() || line == b"\xff");
            assert!(spent.as_secs() < 10, "{line:?} took {spent:?}");
            if length > 1 << 10 {
                println!("1 MiB of {:?}: {} ids in {spent:?}", String::from_utf8_lossy(line), ids.len());
            }
        }
    }
}

#[test]
fn smollm2() {
    check("smollm2", 3 << 19);
}

#[test]
fn qwen() {
    check("qwen2.5-coder-0.5b", 4 << 20);
}

#[test]
fn gemma() {
    check("gemma3-270m", 8 << 20);
}

#[test]
fn golden_prompts_and_ends() {
    let prompt = "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\n";
    let ids = [1, 4093, 198, 1780, 314, 260, 3575, 282, 4649, 47, 2, 198, 1, 520, 9531, 198];
    if let Some(tokenizer) = load("smollm2") {
        assert_eq!(encode(&tokenizer, prompt, true), ids);
        assert_eq!(tokenizer.ends(), [0, 2]);
        let shown = DecodeOptions { show_special: true, from_start: true };
        assert_eq!(tokenizer.decode(&ids, shown), prompt);
    }
    if let Some(tokenizer) = load("gemma3-270m") {
        let mut ids = Vec::new();
        tokenizer.encode_prompt("The capital of France is", true, &mut ids).unwrap();
        assert_eq!(ids, [2, 818, 5279, 529, 7001, 563]);
        assert_eq!(tokenizer.ends(), [1, 106]);
    }
}

#[test]
fn any_bytes_come_back() {
    let texts = [
        &b"\xff\xfe a\x80b \xe4\xbd caf\xc3"[..],
        "中文 é\u{0} ▁".as_bytes(),
        b"\xf0\x9f\x98 \x80 x",
        b"\xed\xa0\x80",
    ];
    for name in ["qwen2.5-coder-0.5b", "gemma3-270m"] {
        let Some(tokenizer) = load(name) else { return };
        for text in texts {
            let ids = encode(&tokenizer, text, false);
            let bytes: Vec<u8> = ids.iter().flat_map(|&id| tokenizer.bytes(id)).copied().collect();
            let want = if name.starts_with("gemma") {
                String::from_utf8(text.to_vec()).map_or(text.to_vec(), |t| t.replace('▁', " ").into_bytes())
            } else {
                text.to_vec()
            };
            assert_eq!(bytes, want, "{name}");
            let shown = tokenizer.decode(&ids, DecodeOptions::default());
            assert_eq!(shown, String::from_utf8_lossy(&want), "{name}");
        }
    }
}
