//! JSON as Python's `json.dumps` writes it, which is what chat templates were tested with.
//!
//! What it is: a formatter for serde_json with Python's spaces, escapes and numbers. What it is not: a parser.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;
use serde_json::ser::{Formatter, Serializer};

/// The arguments of `json.dumps`, with the defaults that templates expect.
pub(crate) struct Dumps {
    pub ensure_ascii: bool,
    /// Spaces a level; `None` for one line.
    pub indent: Option<usize>,
    /// Between items and after a key; `None` for Python's.
    pub separators: Option<(String, String)>,
    pub sort_keys: bool,
}

impl Dumps {
    /// `value` as text.
    pub fn write(&self, value: &impl Serialize) -> Result<String, serde_json::Error> {
        let (comma, colon) = match &self.separators {
            Some((comma, colon)) => (comma.as_str(), colon.as_str()),
            None if self.indent.is_some() => (",", ": "),
            None => (", ", ": "),
        };
        let mut out = Vec::new();
        let style = Style { dumps: self, comma, colon, depth: 0, filled: false };
        let mut serializer = Serializer::with_formatter(&mut out, style);
        if self.sort_keys {
            sorted(serde_json::to_value(value)?).serialize(&mut serializer)?;
        } else {
            value.serialize(&mut serializer)?;
        }
        Ok(String::from_utf8_lossy(&out).into_owned())
    }
}

fn sorted(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(sorted).collect(),
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().map(|(k, v)| (k, sorted(v))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        other => other,
    }
}

struct Style<'d> {
    dumps: &'d Dumps,
    comma: &'d str,
    colon: &'d str,
    depth: usize,
    /// Whether the collection that ends holds anything.
    filled: bool,
}

impl Style<'_> {
    fn open<W: Write + ?Sized>(&mut self, out: &mut W, mark: &str) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        out.write_all(mark.as_bytes())
    }

    fn close<W: Write + ?Sized>(&mut self, out: &mut W, mark: &str) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(out)?;
        }
        self.filled = true;
        out.write_all(mark.as_bytes())
    }

    fn item<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        if !first {
            out.write_all(self.comma.as_bytes())?;
        }
        self.line(out)
    }

    fn line<W: Write + ?Sized>(&self, out: &mut W) -> io::Result<()> {
        match self.dumps.indent {
            Some(indent) => write!(out, "\n{:1$}", "", indent * self.depth),
            None => Ok(()),
        }
    }
}

impl Formatter for Style<'_> {
    fn begin_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "[")
    }

    fn end_array<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "]")
    }

    fn begin_array_value<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn end_array_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.open(out, "{")
    }

    fn end_object<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        self.close(out, "}")
    }

    fn begin_object_key<W: Write + ?Sized>(&mut self, out: &mut W, first: bool) -> io::Result<()> {
        self.item(out, first)
    }

    fn begin_object_value<W: Write + ?Sized>(&mut self, out: &mut W) -> io::Result<()> {
        out.write_all(self.colon.as_bytes())
    }

    fn end_object_value<W: Write + ?Sized>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn write_f64<W: Write + ?Sized>(&mut self, out: &mut W, value: f64) -> io::Result<()> {
        out.write_all(float(value).as_bytes())
    }

    fn write_string_fragment<W: Write + ?Sized>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        for char in text.chars() {
            if char.is_ascii() || !self.dumps.ensure_ascii {
                write!(out, "{char}")?;
            } else {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
        Ok(())
    }
}

/// A float as Python's `repr` writes it: shortest digits, an exponent below 1e-4 and from 1e16.
fn float(value: f64) -> String {
    let exponential = format!("{value:e}");
    let Some((digits, exponent)) = exponential.split_once('e') else { return exponential };
    match exponent.parse::<i32>() {
        Ok(e) if !(-4..16).contains(&e) => {
            format!("{digits}e{}{:02}", if e < 0 { '-' } else { '+' }, e.abs())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_python_writes_it() {
        let value: Value = serde_json::from_str(
            r#"{"b":[1,2.0,-1e-7,1e16,0.1],"a":{"é\n\"":"😀<&'"},"c":[],"d":{},"e":[[]]}"#,
        )
        .unwrap();
        let plain = Dumps { ensure_ascii: false, indent: None, separators: None, sort_keys: false };
        for (dumps, want) in [
            (
                Dumps { ..plain },
                r#"{"b": [1, 2.0, -1e-07, 1e+16, 0.1], "a": {"é\n\"": "😀<&'"}, "c": [], "d": {}, "e": [[]]}"#,
            ),
            (
                Dumps {
                    ensure_ascii: true,
                    separators: Some((",".into(), ":".into())),
                    sort_keys: true,
                    indent: None,
                },
                r#"{"a":{"\u00e9\n\"":"\ud83d\ude00<&'"},"b":[1,2.0,-1e-07,1e+16,0.1],"c":[],"d":{},"e":[[]]}"#,
            ),
            (
                Dumps { indent: Some(2), ensure_ascii: false, separators: None, sort_keys: false },
                "{\n  \"b\": [\n    1,\n    2.0,\n    -1e-07,\n    1e+16,\n    0.1\n  ],\n  \"a\": {\n    \"é\\n\\\"\": \
                 \"😀<&'\"\n  },\n  \"c\": [],\n  \"d\": {},\n  \"e\": [\n    []\n  ]\n}",
            ),
        ] {
            assert_eq!(dumps.write(&value).unwrap(), want);
        }
    }
}
