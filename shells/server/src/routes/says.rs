//! Whether a value of JSON says something.
//!
//! What it is: null, and texts, lists and objects with nothing in them, told from all else. What it is not: the value, which is
//! read past. The one design choice: clients send back whole messages as they came, with all the fields that they have for them; one
//! that says nothing asks for nothing, so there is nothing to refuse.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Whether what was read says something.
pub(super) struct Says(pub bool);

impl<'de> Deserialize<'de> for Says {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Says, D::Error> {
        struct Any;
        impl<'de> Visitor<'de> for Any {
            type Value = Says;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E>(self) -> Result<Says, E> {
                Ok(Says(false))
            }

            fn visit_bool<E>(self, _: bool) -> Result<Says, E> {
                Ok(Says(true))
            }

            fn visit_i64<E>(self, _: i64) -> Result<Says, E> {
                Ok(Says(true))
            }

            fn visit_u64<E>(self, _: u64) -> Result<Says, E> {
                Ok(Says(true))
            }

            fn visit_f64<E>(self, _: f64) -> Result<Says, E> {
                Ok(Says(true))
            }

            fn visit_str<E>(self, text: &str) -> Result<Says, E> {
                Ok(Says(!text.is_empty()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Says, A::Error> {
                let mut says = false;
                while let Some(Says(item)) = items.next_element()? {
                    says |= item;
                }
                Ok(Says(says))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Says, A::Error> {
                let mut says = false;
                while let Some((_, Says(item))) = map.next_entry::<IgnoredAny, Says>()? {
                    says |= item;
                }
                Ok(Says(says))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use super::Says;

    #[test]
    fn what_says_nothing_is_told_from_all_else() {
        for text in ["null", "[]", "{}", "\"\"", "[[], null]", r#"{"refusal": null, "of": {"a": []}}"#] {
            assert!(!serde_json::from_str::<Says>(text).unwrap().0, "{text}");
        }
        for text in ["false", "0", "-1", "0.5", "\"a\"", "[0]", r#"{"a": [null, {"b": "c"}]}"#] {
            assert!(serde_json::from_str::<Says>(text).unwrap().0, "{text}");
        }
    }
}
