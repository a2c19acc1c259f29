//! The facts of a model beside its tensors: keys and typed values.
//!
//! Not a JSON tree and not GGUF's table: both become one flat, sorted list of dotted keys
//! (`rope_scaling.factor`). The one design choice: a value is asked for by the type that the caller needs, and
//! the answer, if it is not there, names the key, what was expected and what was found.

use std::fmt;

use crate::limits::{Meter, heap_block};
use crate::{ArrayRef, Element, Error, Number};

/// A value of a key. Integers and floats are widened.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Value {
    Array(ArrayRef),
    Bool(bool),
    F64(f64),
    I64(i64),
    Str(Box<str>),
    U64(u64),
}

impl Value {
    /// How messages call it.
    fn kind(&self) -> &'static str {
        match self {
            Value::Array(_) => "an array",
            Value::Bool(_) => "a truth value",
            Value::F64(_) => "a fraction",
            Value::I64(i) if *i < 0 => "a negative integer",
            Value::I64(_) | Value::U64(_) => "an integer",
            Value::Str(_) => "a string",
        }
    }

    /// Heap bytes behind the value.
    pub(crate) fn heap_bytes(&self) -> u64 {
        match self {
            Value::Array(array) => array.heap_bytes(),
            Value::Str(text) => heap_block(text.len()),
            Value::Bool(_) | Value::F64(_) | Value::I64(_) | Value::U64(_) => 0,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Array(array) => write!(f, "[{} x {:?}]", array.len(), array.element()),
            Value::Bool(b) => b.fmt(f),
            Value::F64(x) => x.fmt(f),
            Value::I64(i) => i.fmt(f),
            Value::Str(text) => text.fmt(f),
            Value::U64(u) => u.fmt(f),
        }
    }
}

/// Keys and values, sorted by key.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Metadata {
    entries: Vec<(Box<str>, Value)>,
}

impl Metadata {
    /// The value of `key` as a `T`: a number, `bool`, `&str`, `&ArrayRef`, or a short list as `Vec`.
    pub fn get<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<T, Error> {
        self.find(key)?.ok_or_else(|| Error::MissingKey { key: key.into() })
    }

    /// As [`Metadata::get`], but `None` where there is no such key.
    pub fn find<'a, T: FromValue<'a>>(&'a self, key: &str) -> Result<Option<T>, Error> {
        self.value(key).map(|value| T::from_value(key, value)).transpose()
    }

    /// The value of `key` as it is.
    pub fn value(&self, key: &str) -> Option<&Value> {
        let place = self.entries.binary_search_by(|(have, _)| (**have).cmp(key)).ok()?;
        self.entries.get(place).map(|entry| &entry.1)
    }

    /// All keys and values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (&**key, value))
    }

    /// Heap bytes held.
    pub fn heap_bytes(&self) -> u64 {
        let inner: u64 =
            self.entries.iter().map(|(key, value)| heap_block(key.len()) + value.heap_bytes()).sum();
        heap_block(self.entries.capacity() * size_of::<(Box<str>, Value)>()) + inner
    }
}

/// Metadata being read: charges what it keeps, sorts and refuses twins at the end.
#[derive(Default)]
pub(crate) struct Builder {
    entries: Vec<(Box<str>, Value)>,
}

impl Builder {
    /// Makes room for `count` more entries.
    pub(crate) fn reserve(&mut self, count: u64, meter: &mut Meter) -> Result<(), Error> {
        meter.charge(count, size_of::<(Box<str>, Value)>())?;
        self.entries.reserve_exact(usize::try_from(count).unwrap_or(0));
        Ok(())
    }

    /// Adds an entry and charges it, with all that lies behind it.
    pub(crate) fn add(&mut self, key: &str, value: Value, meter: &mut Meter) -> Result<(), Error> {
        meter.charge(heap_block(key.len()) + value.heap_bytes(), 1)?;
        meter.make_room(&mut self.entries)?;
        self.push(key.into(), value);
        Ok(())
    }

    /// Adds an entry for which there is room. What lies behind the value has been charged by the caller.
    pub(crate) fn push(&mut self, key: Box<str>, value: Value) {
        self.entries.push((key, value));
    }

    /// The finished list.
    pub(crate) fn finish(mut self) -> Result<Metadata, Error> {
        self.entries.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        match self.entries.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            Some(pair) => Err(Error::DuplicateKey { key: pair[0].0.clone() }),
            None => Ok(Metadata { entries: self.entries }),
        }
    }
}

/// A type that a key can be asked for.
pub trait FromValue<'a>: Sized {
    /// The value as `Self`; the error names `key`.
    fn from_value(key: &str, value: &'a Value) -> Result<Self, Error>;
}

fn wrong(key: &str, expected: &'static str, value: &Value) -> Error {
    Error::WrongType { key: key.into(), expected, found: value.kind() }
}

impl<T: Number> FromValue<'_> for T {
    fn from_value(key: &str, value: &Value) -> Result<T, Error> {
        T::from_scalar(value).ok_or_else(|| wrong(key, T::NAME, value))
    }
}

impl<'a> FromValue<'a> for &'a str {
    fn from_value(key: &str, value: &'a Value) -> Result<&'a str, Error> {
        match value {
            Value::Str(text) => Ok(text),
            other => Err(wrong(key, "a string", other)),
        }
    }
}

impl<'a> FromValue<'a> for &'a ArrayRef {
    fn from_value(key: &str, value: &'a Value) -> Result<&'a ArrayRef, Error> {
        match value {
            Value::Array(array) => Ok(array),
            other => Err(wrong(key, "an array", other)),
        }
    }
}

/// A short list of numbers; a single number is a list of one.
impl<T: Number> FromValue<'_> for Vec<T> {
    fn from_value(key: &str, value: &Value) -> Result<Vec<T>, Error> {
        let Value::Array(array) = value else { return Ok(vec![T::from_value(key, value)?]) };
        let expected = || wrong(key, T::NAME, value);
        held(key, array)?.numbers(crate::source::NOTHING).map(|item| item.map_err(|_| expected())).collect()
    }
}

/// A short list of strings; a single string is a list of one.
impl FromValue<'_> for Vec<String> {
    fn from_value(key: &str, value: &Value) -> Result<Vec<String>, Error> {
        let Value::Array(array) = value else { return Ok(vec![<&str>::from_value(key, value)?.to_owned()]) };
        if array.element() != Element::Str && !array.is_empty() {
            return Err(wrong(key, "strings", value));
        }
        let mut strings = held(key, array)?.strings(crate::source::NOTHING);
        let mut list = Vec::new();
        while let Some(bytes) = strings.next()? {
            list.push(String::from_utf8_lossy(bytes).into_owned());
        }
        Ok(list)
    }
}

/// The array, unless it was left in the file.
fn held<'a>(key: &str, array: &'a ArrayRef) -> Result<&'a ArrayRef, Error> {
    match array.file() {
        None => Ok(array),
        Some(_) => Err(Error::LongArray { key: key.into(), len: array.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Metadata {
        let mut builder = Builder::default();
        let ids: Box<[u8]> = [1u64, 2].iter().flat_map(|id| id.to_le_bytes()).collect();
        for (key, value) in [
            ("name", Value::Str("pint".into())),
            ("layers", Value::U64(30)),
            ("eos", Value::Array(ArrayRef::held(Element::U64, 2, ids))),
            ("delta", Value::I64(-1)),
            ("vocabulary", Value::Array(ArrayRef::in_file(Element::Str, 9, 0, 5..500))),
        ] {
            builder.push(key.into(), value);
        }
        builder.finish().unwrap()
    }

    #[test]
    fn values_by_type() {
        let metadata = sample();
        assert_eq!(metadata.get::<u32>("layers").unwrap(), 30);
        assert_eq!(metadata.get::<f32>("layers").unwrap(), 30.0);
        assert_eq!(metadata.get::<&str>("name").unwrap(), "pint");
        assert_eq!(metadata.get::<Vec<u32>>("eos").unwrap(), [1, 2]);
        assert_eq!(metadata.get::<Vec<u32>>("layers").unwrap(), [30]);
        assert_eq!(metadata.find::<u64>("none").unwrap(), None);
        assert_eq!(metadata.get::<&ArrayRef>("vocabulary").unwrap().len(), 9);
        assert_eq!(metadata.iter().map(|(key, _)| key).next(), Some("delta"));
    }

    #[test]
    fn refusals_name_the_key() {
        let metadata = sample();
        let cases: [(Error, &str); 5] = [
            (metadata.get::<u32>("none").unwrap_err(), "no metadata key \"none\""),
            (
                metadata.get::<u32>("delta").unwrap_err(),
                "\"delta\" is a negative integer, expected an unsigned",
            ),
            (metadata.get::<bool>("layers").unwrap_err(), "\"layers\" is an integer, expected a truth value"),
            (metadata.get::<&str>("eos").unwrap_err(), "\"eos\" is an array, expected a string"),
            (
                metadata.get::<Vec<String>>("vocabulary").unwrap_err(),
                "has 9 elements and was left in the file",
            ),
        ];
        for (error, want) in cases {
            assert!(error.to_string().contains(want), "{error}");
        }
    }

    #[test]
    fn twins_are_refused() {
        let mut builder = Builder::default();
        builder.push("a".into(), Value::Bool(true));
        builder.push("a".into(), Value::Bool(true));
        assert!(matches!(builder.finish(), Err(Error::DuplicateKey { .. })));
    }
}
