//! Little tokenizers of every shape that tokenizer.json has, against the `tokenizers` library, id for id.
//!
//! Tokenizers and answers were written by golden/small.py.

use pintpot_processors::Error;
use pintpot_processors::text::{Grammar, JsonTokenizer, TokenIndex, Tokenizer};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct Golden {
    tokenizer: Value,
    ids: Vec<Vec<Vec<u32>>>,
    /// Of encoders.
    #[serde(default)]
    pairs: Vec<Pair>,
}

/// A text's number, a room, one text in it, that and the next in it, and the types of these.
#[derive(Deserialize)]
struct Pair(usize, usize, Vec<u32>, Vec<u32>, Vec<u32>);

fn built(tokenizer: &Value) -> Result<Tokenizer, Error> {
    let text = tokenizer.to_string();
    let survey = JsonTokenizer::survey(text.as_bytes())?;
    let estimate = Tokenizer::estimate(survey.spec().kind, survey.counts());
    let tokenizer = survey.build(text.as_bytes())?;
    assert!(tokenizer.heap_bytes() <= estimate);
    Ok(tokenizer)
}

fn golden(name: &str) -> Golden {
    serde_json::from_slice(&std::fs::read(format!("tests/golden/small_{name}.json")).unwrap()).unwrap()
}

const NAMES: [&str; 12] = [
    "bert",
    "bert_cased",
    "gemma",
    "gpt2",
    "llama2",
    "llama3",
    "mistral",
    "qwen",
    "roberta",
    "smollm",
    "unigram",
    "unigram_bytes",
];

#[test]
fn equal_to_the_tokenizers_library() {
    let texts: Vec<String> = serde_json::from_slice(include_bytes!("golden/corpus.json")).unwrap();
    let mut wrong = Vec::new();
    for name in NAMES {
        let golden = golden(name);
        let tokenizer = built(&golden.tokenizer).unwrap();
        for (text, ids) in texts.iter().zip(&golden.ids) {
            // There the library takes marks and byte tokens from plain text in unigram models; sentencepiece does not.
            if name.starts_with("unigram") && text.starts_with("<0x0A>") {
                continue;
            }
            for (special, want) in [(false, &ids[0]), (true, ids.last().unwrap())] {
                let mut got = Vec::new();
                tokenizer.encode(text, special, &mut got).unwrap();
                if got != *want {
                    println!("{name} {text:?} special {special}\n  got  {got:?}\n  want {want:?}");
                    wrong.push(name);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} {wrong:?}", wrong.len());
}

#[test]
fn encoders_get_one_text_or_two_in_a_room() {
    let texts: Vec<String> = serde_json::from_slice(include_bytes!("golden/corpus.json")).unwrap();
    for name in ["bert", "bert_cased"] {
        let golden = golden(name);
        let tokenizer = built(&golden.tokenizer).unwrap();
        assert!(golden.pairs.len() > 30);
        for Pair(at, longest, one, two, types) in &golden.pairs {
            let single = tokenizer.encode_texts(&texts[*at], None, *longest).unwrap();
            let pair = tokenizer.encode_texts(&texts[*at], Some(&texts[at + 1]), *longest).unwrap();
            assert_eq!((&single.ids, &pair.ids, &pair.type_ids), (one, two, types), "{name} {at} {longest}");
        }
    }
}

#[test]
fn marks_come_from_the_template() {
    let tokenizer = built(&golden("llama3").tokenizer).unwrap();
    let mut ids = Vec::new();
    tokenizer.encode_prompt("", true, &mut ids).unwrap();
    assert_eq!(ids, [1]);
    assert_eq!(
        (tokenizer.spec().bos, tokenizer.spec().add_bos, tokenizer.spec().add_eos),
        (Some(1), true, false)
    );
    assert_eq!((tokenizer.id("</s>"), tokenizer.is_end(2), tokenizer.is_end(1)), (Some(2), true, false));
}

#[test]
fn what_is_not_understood_is_named() {
    for (pointer, value, want) in [
        ("/normalizer", json!({"type": "Lowercase"}), "Lowercase"),
        ("/pre_tokenizer", json!({"type": "Whitespace"}), "Whitespace"),
        (
            "/pre_tokenizer",
            json!({"type": "Split", "pattern": {"Regex": "(?<=a)b"}, "behavior": "Isolated"}),
            "(?<=a)b",
        ),
        ("/model/type", json!("WordPiece"), "WordPiece"),
        ("/model/vocab", json!({"a": 1, "b": 0}), "after"),
        ("/model/vocab", json!({"a": -1}), "invalid value"),
        ("/model/vocab", json!("x"), "wrong place"),
        ("/model/merges", json!(["a b", "c"]), "merge"),
        ("/model/merges", json!([["a"]]), "half a merge"),
        (
            "/added_tokens",
            json!([{"id": 4_000_000_000_u32, "content": "x", "special": true}]),
            "tokens are more",
        ),
        ("/added_tokens", json!([{"id": 5, "content": "x".repeat(5000), "special": true}]), "5000"),
    ] {
        let mut file = golden("gpt2").tokenizer;
        if want == "(?<=a)b" {
            file["pre_tokenizer"] =
                json!({"type": "Sequence", "pretokenizers": [value, file["pre_tokenizer"].clone()]});
        } else {
            *file.pointer_mut(pointer).unwrap() = value;
        }
        let message = built(&file).err().unwrap().to_string();
        assert!(message.contains(want), "{pointer}: {message}");
    }
    for cut in [0, 10, 100, 1000, 5000] {
        let text = golden("gpt2").tokenizer.to_string();
        assert!(matches!(JsonTokenizer::survey(&text.as_bytes()[..cut]), Err(Error::Json(_))));
    }
}

const MARKS: &[u8] = b"0123456789\"{}[],:\\*+?()|^$-ax<> ";

/// A file with a few bytes changed is refused or makes some tokenizer; either way nothing panics or takes long.
#[test]
fn damaged_files_end_in_peace() {
    let mut state = 1_u64;
    let mut draw = move |below: usize| {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as usize % below
    };
    let (mut built, mut refused) = (0, 0);
    for name in NAMES {
        let text = golden(name).tokenizer.to_string().into_bytes();
        for _ in 0..60 {
            let mut text = text.clone();
            for _ in 0..1 + draw(4) {
                // Half of the changes go to the parts before the vocabulary.
                let from = if draw(2) == 0 { draw(text.len()) } else { draw(1000) };
                match draw(3) {
                    0 => text[from] = MARKS[draw(MARKS.len())],
                    1 => text.insert(from, MARKS[draw(MARKS.len())]),
                    _ => {
                        let to = (from + draw(20)).min(text.len());
                        text.drain(from..to);
                    }
                }
            }
            let made = JsonTokenizer::survey(&text[..]).and_then(|survey| survey.build(&text[..]));
            match made {
                Ok(tokenizer) => {
                    built += 1;
                    let mut ids = Vec::new();
                    let _ = tokenizer.encode(b"<s>Hello 123\n\xff \xe2\x96\x81 it's\r\n", true, &mut ids);
                    let _ = tokenizer.decode(&ids, Default::default());
                }
                Err(error) => {
                    refused += 1;
                    assert!(!error.to_string().is_empty());
                }
            }
        }
    }
    assert!(built > 30 && refused > 30, "{built} {refused}");
}

#[test]
fn a_token_alone_is_allowed_as_among_all() {
    let schema = r#"{"type":"object","properties":{"s":{"type":"string"},"n":{"type":"number"}},
        "required":["s","n"],"additionalProperties":false}"#;
    let grammars = [
        (
            Grammar::JsonSchema(schema.into()),
            "{\"s\": \"the \\u0001t\u{e9} \u{540d}\",\n  \"n\": -12345678901234567890}",
        ),
        (Grammar::Regex("(the|[a-z]{3}) [0-9]+".into()), "the 17"),
    ];
    let mut allowed_at_all = 0;
    for name in NAMES {
        let tokenizer = built(&golden(name).tokenizer).unwrap();
        let index = TokenIndex::new(&tokenizer).unwrap();
        for (grammar, text) in &grammars {
            let mut guide = grammar.clone().guide(64 << 20).unwrap();
            for at in 0..=text.len() {
                let alone: Vec<u32> =
                    (0..tokenizer.len() as u32).filter(|&id| guide.allows(id, &tokenizer).unwrap()).collect();
                let all = guide.allowed(&index, &tokenizer);
                let among: Vec<u32> = match all {
                    Ok(all) => (0..tokenizer.len() as u32).filter(|&id| all.has(id)).collect(),
                    Err(Error::GrammarDeadEnd) => Vec::new(),
                    Err(error) => panic!("{error}"),
                };
                assert_eq!(alone, among, "{name}: {:?}", &text.as_bytes()[..at]);
                allowed_at_all += alone.len();
                if let Some(byte) = text.as_bytes().get(at) {
                    let pushed = guide.push(&[*byte]);
                    assert!(pushed.is_ok(), "{name}: {pushed:?} after {:?}", text.get(..at));
                }
            }
        }
    }
    assert!(allowed_at_all > 0);
}
