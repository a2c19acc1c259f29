//! `config.json` and its kin as flat metadata: `{"a": {"b": 1}}` becomes the key `a.b`.
//!
//! Not a schema: what the keys mean is the business of whoever asks. The one design choice: a list of numbers,
//! of truth values or of strings is an array in GGUF's encoding; any other list becomes the keys `a.0`, `a.1`,
//! so that nothing is lost and no tree is kept. `null` is as good as absent.

use std::fmt;

use host::ReadAt;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::array::{ArrayRef, Element, Number};
use crate::limits::Meter;
use crate::metadata::{Builder, Value};
use crate::{Error, json};

/// The longest dotted key.
const KEY_MAX: usize = 1 << 10;

/// Adds what the JSON document in `source` says to `builder`, every key behind `prefix`.
pub(crate) fn read(
    source: &dyn ReadAt,
    prefix: &str,
    builder: &mut Builder,
    meter: &mut Meter,
) -> Result<(), Error> {
    let mut sink = Sink { key: prefix.to_owned(), builder, meter, failure: None };
    let result = json::read(source, 0, source.len(), Flatten { sink: &mut sink, lone: true });
    match sink.failure {
        Some(failure) => Err(failure),
        None => result.map(|_| ()),
    }
}

/// Where values go.
struct Sink<'a> {
    /// The dotted key of the value being read.
    key: String,
    builder: &'a mut Builder,
    meter: &'a mut Meter,
    /// What the parser's own error cannot carry.
    failure: Option<Error>,
}

impl Sink<'_> {
    /// Runs `work` on the parts of the sink; keeps its error for later.
    fn attempt<T, E: serde::de::Error>(
        &mut self,
        work: impl FnOnce(&str, &mut Builder, &mut Meter) -> Result<T, Error>,
    ) -> Result<T, E> {
        work(&self.key, self.builder, self.meter).map_err(|error| {
            let message = E::custom("refused");
            self.failure = Some(error);
            message
        })
    }

    /// Lengthens the key by a name; returns what to cut it back to.
    fn enter<E: serde::de::Error>(&mut self, name: fmt::Arguments<'_>) -> Result<usize, E> {
        let outer = self.key.len();
        let dot = if outer == 0 || self.key.ends_with('.') { "" } else { "." };
        self.key.push_str(&format!("{dot}{name}"));
        if self.key.len() > KEY_MAX {
            return Err(E::custom(format_args!("a key with all its parents has more than {KEY_MAX} bytes")));
        }
        Ok(outer)
    }
}

/// Reads one value. Objects and mixed lists go to the sink at once; a plain value comes back, or, if it stands
/// `lone`, goes to the sink too.
struct Flatten<'s, 'a> {
    sink: &'s mut Sink<'a>,
    lone: bool,
}

impl Flatten<'_, '_> {
    fn plain<E: serde::de::Error>(self, value: Value) -> Result<Option<Value>, E> {
        if !self.lone {
            return Ok(Some(value));
        }
        self.sink.attempt(|key, builder, meter| builder.add(key, value, meter)).map(|()| None)
    }
}

impl<'de> DeserializeSeed<'de> for Flatten<'_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<Value>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Flatten<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Option<Value>, E> {
        self.plain(Value::Bool(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Option<Value>, E> {
        self.plain(Value::I64(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Option<Value>, E> {
        self.plain(Value::U64(value))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Option<Value>, E> {
        self.plain(Value::F64(value))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Option<Value>, E> {
        self.plain(Value::Str(value.into()))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Option<Value>, E> {
        Ok(None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<Value>, A::Error> {
        while let Some(name) = map.next_key::<String>()? {
            let outer = self.sink.enter(format_args!("{name}"))?;
            map.next_value_seed(Flatten { sink: self.sink, lone: true })?;
            self.sink.key.truncate(outer);
        }
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Option<Value>, A::Error> {
        let mut plain: Vec<(u64, Value)> = Vec::new();
        let mut index = 0u64;
        loop {
            let outer = self.sink.enter(format_args!("{index}"))?;
            let item = seq.next_element_seed(Flatten { sink: self.sink, lone: false })?;
            self.sink.key.truncate(outer);
            let Some(item) = item else { break };
            if let Some(value) = item {
                self.sink.attempt(|_, _, meter| {
                    meter.charge(value.heap_bytes(), 1)?;
                    meter.make_room(&mut plain)
                })?;
                plain.push((index, value));
            }
            index += 1;
        }
        self.sink.attempt(|key, builder, meter| {
            let held = plain.iter().map(|(_, value)| value.heap_bytes()).sum();
            let room = plain.capacity() as u64;
            add_list(key, index, &plain, builder, meter)?;
            meter.give_back(held, 1);
            meter.give_back(room, size_of::<(u64, Value)>());
            Ok(None)
        })
    }
}

/// Adds a list of which `plain` are the plain values: as an array if they are all of it and of one kind,
/// otherwise one by one.
fn add_list(
    key: &str,
    len: u64,
    plain: &[(u64, Value)],
    builder: &mut Builder,
    meter: &mut Meter,
) -> Result<(), Error> {
    let element = if plain.len() as u64 == len { common(plain) } else { None };
    let Some(element) = element else {
        return plain
            .iter()
            .try_for_each(|(index, value)| builder.add(&format!("{key}.{index}"), value.clone(), meter));
    };
    let bytes: u64 = plain.iter().map(|(_, value)| element.least_bytes() + value.heap_bytes()).sum();
    meter.charge(bytes, 1)?;
    let mut encoded = Vec::with_capacity(usize::try_from(bytes).unwrap_or(0));
    plain.iter().for_each(|(_, value)| encode(&mut encoded, element, value));
    meter.give_back(bytes, 1);
    builder.add(key, Value::Array(ArrayRef::held(element, len, encoded.into())), meter)
}

/// The one type that holds all of `plain` without loss, as far as JSON tells types apart.
fn common(plain: &[(u64, Value)]) -> Option<Element> {
    let fits = |element: Element, value: &Value| match element {
        Element::Bool => bool::from_scalar(value).is_some(),
        Element::F64 => f64::from_scalar(value).is_some(),
        Element::I64 => i64::from_scalar(value).is_some(),
        Element::U64 => u64::from_scalar(value).is_some(),
        _ => matches!(value, Value::Str(_)),
    };
    let candidates = [Element::U64, Element::I64, Element::F64, Element::Bool, Element::Str];
    candidates.into_iter().find(|&element| plain.iter().all(|(_, value)| fits(element, value)))
}

/// Appends a value that [`common`] has found to fit.
fn encode(out: &mut Vec<u8>, element: Element, value: &Value) {
    match (element, value) {
        (Element::F64, value) => out.extend(f64::from_scalar(value).unwrap_or_default().to_le_bytes()),
        (_, Value::Bool(b)) => out.push(u8::from(*b)),
        (_, Value::I64(i)) => out.extend(i.to_le_bytes()),
        (_, Value::Str(text)) => {
            out.extend((text.len() as u64).to_le_bytes());
            out.extend(text.as_bytes());
        }
        (_, Value::U64(u)) => out.extend(u.to_le_bytes()),
        (_, Value::Array(_) | Value::F64(_)) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, Limits, Metadata};

    fn parse(text: &str, heap: u64) -> Result<Metadata, Error> {
        let mut builder = Builder::default();
        read(&Bytes::new(text.as_bytes()), "", &mut builder, &mut Meter::new(Limits { heap }))?;
        builder.finish()
    }

    #[test]
    fn a_tree_becomes_keys() {
        let config = parse(
            r#"{"model_type": "llama", "hidden_size": 576, "rope_scaling": {"factor": 32.0, "type": null},
                "eos_token_id": [1, 106], "mixed": [1, "a", {"b": true}, [2, 3]], "signs": [1, -1],
                "layer_types": ["full", "sliding"], "factors": [1, 1.5], "none": []}"#,
            1 << 16,
        )
        .unwrap();
        let keys: Vec<&str> = config.iter().map(|(key, _)| key).collect();
        assert_eq!(
            keys,
            [
                "eos_token_id",
                "factors",
                "hidden_size",
                "layer_types",
                "mixed.0",
                "mixed.1",
                "mixed.2.b",
                "mixed.3",
                "model_type",
                "none",
                "rope_scaling.factor",
                "signs",
            ]
        );
        assert_eq!(config.get::<u32>("hidden_size").unwrap(), 576);
        assert_eq!(config.get::<f32>("rope_scaling.factor").unwrap(), 32.0);
        assert_eq!(config.get::<Vec<u32>>("eos_token_id").unwrap(), [1, 106]);
        assert_eq!(config.get::<Vec<i64>>("signs").unwrap(), [1, -1]);
        assert_eq!(config.get::<Vec<f64>>("factors").unwrap(), [1.0, 1.5]);
        assert_eq!(config.get::<Vec<String>>("layer_types").unwrap(), ["full", "sliding"]);
        assert_eq!(config.get::<Vec<u64>>("mixed.3").unwrap(), [2, 3]);
        assert!(config.get::<Vec<String>>("none").unwrap().is_empty());
    }

    #[test]
    fn refusals() {
        let deep = format!("{}1{}", "{\"abcdefghijklmnop\":".repeat(100), "}".repeat(100));
        let wide = format!("[{}]", ["[]"; 4000].join(","));
        let cases: [(&str, &str); 6] = [
            (r#"{"a": 1, "a": 2}"#, "\"a\" occurs twice"),
            (r#"{"a": {"b": 1}, "a.b": 2}"#, "\"a.b\" occurs twice"),
            ("{\"a\": ", "line 1 column"),
            ("{} {}", "trailing"),
            (&deep, "more than 1024 bytes"),
            (&wide, "more than 4096 bytes of memory"),
        ];
        for (text, want) in cases {
            let error = parse(text, 4096).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        }
    }
}
