//! What GGUF files say about their tokenizer, and what they leave unsaid.
//!
//! What it is: the one place that knows the `tokenizer.ggml.*` keys and their defaults. What it is not: a reader of
//! GGUF; values come through [`GgufKeys`]. The one design choice: a file that does not say how to cut is refused.

use super::pretokenizer::Pretokenizer;
use super::spec::{Kind, SpacePrefix, Spec};
use crate::Error;

/// Scalar metadata of a GGUF file. A key of another type counts as absent.
pub trait GgufKeys {
    /// A string.
    fn text(&self, key: &str) -> Option<&str>;
    /// A boolean.
    fn flag(&self, key: &str) -> Option<bool>;
    /// An integer of any width that fits.
    fn number(&self, key: &str) -> Option<u64>;
}

const MODEL: &str = "tokenizer.ggml.model";
const PRE: &str = "tokenizer.ggml.pre";

impl Spec {
    /// Reads the specification from metadata.
    pub fn from_gguf(keys: &impl GgufKeys) -> Result<Spec, Error> {
        let id = |name: &str| keys.number(&format!("tokenizer.ggml.{name}_token_id"))?.try_into().ok();
        let flag = |name: &str, or| keys.flag(&format!("tokenizer.ggml.{name}")).unwrap_or(or);
        let mut spec = match keys.text(MODEL).ok_or(Error::MissingKey { key: MODEL })? {
            "gpt2" => {
                let name = keys.text(PRE).ok_or(Error::MissingKey { key: PRE })?;
                Spec::byte_bpe(Pretokenizer::named(name)?)
            }
            "llama" => Spec {
                space_prefix: if flag("add_space_prefix", true) {
                    SpacePrefix::AfterMarks
                } else {
                    SpacePrefix::Never
                },
                add_bos: true,
                unknown: id("unknown").or(Some(0)),
                ..Spec::of(Kind::ScoredBpe)
            },
            other => return Err(Error::UnknownTokenizer { model: other.chars().take(80).collect() }),
        };
        spec.add_bos = flag("add_bos_token", spec.add_bos);
        spec.add_eos = flag("add_eos_token", spec.add_eos);
        (spec.bos, spec.eos) = (id("bos"), id("eos"));
        spec.ends = ["eot", "eom"].into_iter().filter_map(id).collect();
        Ok(spec)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Keys(&'static [(&'static str, &'static str)]);

    impl GgufKeys for Keys {
        fn text(&self, key: &str) -> Option<&str> {
            self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
        }
        fn flag(&self, key: &str) -> Option<bool> {
            self.text(key)?.parse().ok()
        }
        fn number(&self, key: &str) -> Option<u64> {
            self.text(key)?.parse().ok()
        }
    }

    #[test]
    fn defaults_and_what_is_said() {
        let spec = Spec::from_gguf(&Keys(&[
            (MODEL, "gpt2"),
            (PRE, "smollm"),
            ("tokenizer.ggml.bos_token_id", "1"),
            ("tokenizer.ggml.eos_token_id", "99999999999"),
        ]))
        .unwrap();
        assert_eq!((spec.kind, spec.add_bos, spec.bos, spec.eos), (Kind::ByteBpe, false, Some(1), None));
        let spec = Spec::from_gguf(&Keys(&[(MODEL, "llama"), ("tokenizer.ggml.add_space_prefix", "false")]))
            .unwrap();
        assert_eq!((spec.kind, spec.add_bos, spec.space_prefix), (Kind::ScoredBpe, true, SpacePrefix::Never));
    }

    #[test]
    fn what_is_missing_or_unknown_is_named() {
        for (keys, want) in [
            (&[][..], "tokenizer.ggml.model"),
            (&[(MODEL, "gpt2")], "tokenizer.ggml.pre"),
            (&[(MODEL, "gpt2"), (PRE, "nonesuch")], "nonesuch"),
            (&[(MODEL, "rwkv")], "rwkv"),
        ] {
            let message = Spec::from_gguf(&Keys(keys)).unwrap_err().to_string();
            assert!(message.contains(want), "{message}");
        }
    }
}
