//! How byte-level vocabularies cut text before they merge, by the name that GGUF files give it.
//!
//! What it is: a table of published regular expressions ([`super::pattern`] runs them). What it is not: a guess;
//! a name that is not in the table is refused, since the wrong cut gives wrong ids without a sign. The one design
//! choice: the expressions stand here as their authors publish them, so that they can be compared.

use super::pattern::{Pattern, fuel_for};
use crate::Error;

/// A way to cut text, as data.
#[derive(Debug)]
pub struct Pretokenizer {
    /// Names under `tokenizer.ggml.pre`.
    pub names: &'static [&'static str],
    /// Expressions applied one after another, each to the pieces that the one before left.
    pub patterns: &'static [&'static str],
    /// Whether a piece that is a token as a whole is taken without merging.
    pub whole_words: bool,
    /// Whether the beginning-of-sequence token is added when the file does not say.
    pub add_bos: bool,
}

const GPT2: &str = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+";
const GPT4O: &str = r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// Letters as DeepSeek's first models list them, which have case; what text editors would normalize is escaped.
const CASED: &str = r"\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝ\x{1f5f}-\x{1f7d}ᾀ-ᾴᾶ-ᾼ\x{1fbe}ῂ-ῄῆ-ῌ\x{1fd0}-\x{1fd3}\x{1fd6}-\x{1fdb}ῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\x{2126}ℨ\x{212a}-\x{212d}ℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+";
const DEEPSEEK3: &str = r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##;

/// A row of the table that neither takes whole words nor begins with a mark.
const fn plain(names: &'static [&'static str], patterns: &'static [&'static str]) -> Pretokenizer {
    Pretokenizer { names, patterns, whole_words: false, add_bos: false }
}

/// Every known way, alphabetically by first name.
pub const PRETOKENIZERS: &[Pretokenizer] = &[
    plain(
        &["bailingmoe", "bailingmoe2", "llada-moe"],
        &[
            r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+",
        ],
    ),
    plain(&["bloom", "gpt3-finnish", "poro-chat"], &[r" ?[^(\s|.,!?…。，、।۔،)]+"]),
    plain(&["chatglm-bpe", "dbrx", "glm4", "smaug-bpe"], &[LLAMA3]),
    plain(
        &["codeshell", "command-r", "exaone", "mellum2", "minerva-7b", "refact", "smollm", "starcoder"],
        &[r"\p{N}", GPT2],
    ),
    plain(&["deepseek-coder"], &[r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+", r"\p{N}"]),
    plain(
        &["deepseek-llm"],
        &[r"[\r\n]", CASED, r"\s?[!-/:-~！-／：-～‘-‟　-。]+", r"\s+$", "[一-龥ࠀ-一가-퟿]+", r"\p{N}+"],
    ),
    plain(&["deepseek-r1-qwen", "grok-2", "hunyuan", "megrez", "qwen2", "solar-open", "stablelm2"], &[QWEN2]),
    plain(&["deepseek-v3", "hunyuan-dense", "joyai-llm"], &[r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+", DEEPSEEK3]),
    plain(&["default"], &[r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]"]),
    plain(
        &[
            "exaone4",
            "gpt-2",
            "gigachat",
            "granite-docling",
            "jais",
            "mellum",
            "modern-bert",
            "mpt",
            "olmo",
            "phi-2",
            "trillion",
        ],
        &[GPT2],
    ),
    plain(&["falcon"], &[r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]"]),
    Pretokenizer {
        names: &["falcon-h1", "falcon3", "lfm2", "llama-bpe", "llama-v3", "llama3", "midm-2.0", "pixtral"],
        patterns: &[LLAMA3],
        whole_words: true,
        add_bos: true,
    },
    plain(&["gpt-4o", "kanana2", "llama4", "minimax-m2"], &[GPT4O]),
    plain(
        &["qwen35"],
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    plain(
        &["seed-coder"],
        &[
            r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}| ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
    ),
    Pretokenizer {
        names: &["tekken"],
        patterns: &[
            r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ],
        whole_words: true,
        add_bos: true,
    },
    plain(&["viking"], &[r" ?[^(\s|.,!?…。，、।۔،)]+", r"\p{N}"]),
];

impl Pretokenizer {
    /// The pre-tokenizer of this name.
    pub fn named(name: &str) -> Result<&'static Pretokenizer, Error> {
        PRETOKENIZERS.iter().find(|p| p.names.contains(&name)).ok_or_else(|| Error::UnknownPretokenizer {
            name: name.chars().take(80).collect(),
            known: PRETOKENIZERS.iter().flat_map(|p| p.names).copied().collect(),
        })
    }
}

/// Expressions one after another; a bound on recursion.
const MOST_STAGES: usize = 32;

/// Compiled expressions, applied one after another.
pub(crate) struct Cutter {
    stages: Vec<Pattern>,
}

impl Cutter {
    /// Compiles the expressions in order.
    pub fn new<'p>(patterns: impl IntoIterator<Item = &'p str>) -> Result<Cutter, Error> {
        let stages: Vec<Pattern> = patterns.into_iter().map(Pattern::new).collect::<Result<_, _>>()?;
        match stages.len() {
            0..=MOST_STAGES => Ok(Cutter { stages }),
            stages => Err(Error::TooManyPatterns { patterns: stages, limit: MOST_STAGES }),
        }
    }

    /// Calls `piece` with the pieces of `text` in order; together they are the text.
    pub fn cut(&self, text: &[u8], piece: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
        cut(&self.stages, text, &mut fuel_for(text.len()), piece)
    }
}

fn cut(stages: &[Pattern], text: &[u8], fuel: &mut u64, piece: &mut dyn FnMut(&[u8])) -> Result<(), Error> {
    match stages.split_first() {
        None => {
            piece(text);
            Ok(())
        }
        Some((stage, rest)) => stage.split(text, fuel, &mut |part, fuel| cut(rest, part, fuel, piece)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles_and_names_are_unique() {
        let mut names: Vec<_> = PRETOKENIZERS.iter().flat_map(|p| p.names).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(PRETOKENIZERS.is_sorted_by_key(|p| p.names[0]));
        for p in PRETOKENIZERS {
            Cutter::new(p.patterns.iter().copied()).unwrap();
        }
    }

    #[test]
    fn cuts() {
        for (name, text, want) in [
            ("gpt-2", "Hello  world's 123!\n", &["Hello", " ", " world", "'s", " 123", "!", "\n"][..]),
            ("smollm", "x12 3", &["x", "1", "2", " ", "3"]),
            ("qwen2", "it'S\n\n 12", &["it", "'S", "\n\n", " ", "1", "2"]),
            ("llama-bpe", "a1234\tb", &["a", "123", "4", "\tb"]),
        ] {
            let mut got = Vec::new();
            let cutter = Cutter::new(Pretokenizer::named(name).unwrap().patterns.iter().copied()).unwrap();
            cutter.cut(text.as_bytes(), &mut |p| got.push(String::from_utf8(p.to_vec()).unwrap())).unwrap();
            assert_eq!(got, want, "{name}");
        }
    }

    /// The sums were written by tests/golden/cuts.py.
    #[test]
    fn cuts_as_the_tokenizers_library_does() {
        fn crc32(bytes: &[u8]) -> u32 {
            !bytes.iter().fold(!0_u32, |crc, &byte| {
                (0..8).fold(crc ^ u32::from(byte), |c, _| (c >> 1) ^ (0xedb8_8320 * (c & 1)))
            })
        }
        let texts: Vec<String> =
            serde_json::from_str(include_str!("../../tests/golden/corpus.json")).unwrap();
        let sums: std::collections::BTreeMap<String, Vec<u32>> =
            serde_json::from_str(include_str!("../../tests/golden/cuts.json")).unwrap();
        assert!(sums.keys().eq(PRETOKENIZERS.iter().map(|p| p.names[0])));
        let mut wrong = 0;
        for (name, sums) in &sums {
            let cutter = Cutter::new(Pretokenizer::named(name).unwrap().patterns.iter().copied()).unwrap();
            for (text, sum) in texts.iter().zip(sums) {
                let mut lengths: Vec<String> = Vec::new();
                cutter.cut(text.as_bytes(), &mut |piece| lengths.push(piece.len().to_string())).unwrap();
                if crc32(lengths.join(",").as_bytes()) != *sum {
                    println!("{name}: {text:?} {lengths:?}");
                    wrong += 1;
                }
            }
        }
        assert_eq!(wrong, 0);
    }

    #[test]
    fn unknown_names_are_refused_with_the_list() {
        let message = Pretokenizer::named("default2").unwrap_err().to_string();
        assert!(message.contains("default2") && message.contains("smollm"), "{message}");
    }
}
