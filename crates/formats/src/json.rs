//! JSON of unknown size, read in a small window.
//!
//! Not a tree: what is read goes to a visitor at once. The one design choice: a guard in front of the parser
//! refuses a string, a number or a nesting that is longer or deeper than a bound, because the parser would gather
//! it in memory before anybody could look at it.

use std::io;

use host::ReadAt;
use serde::de::DeserializeSeed;

use crate::Error;
use crate::reader::{Reader, STRING_MAX};

/// How deep objects and lists may nest.
const DEPTH_MAX: u32 = 64;

/// Reads the JSON document that lies at `start..end` of `source`, and nothing but white space after it.
pub(crate) fn read<T, S>(source: &dyn ReadAt, start: u64, end: u64, seed: S) -> Result<T, Error>
where
    S: for<'de> DeserializeSeed<'de, Value = T>,
{
    let mut guard = Guard {
        reader: Reader::new(source, start, end),
        run: 0,
        depth: 0,
        text: Text::Outside,
        failure: None,
    };
    let mut json = serde_json::Deserializer::from_reader(&mut guard);
    let result = seed.deserialize(&mut json).and_then(|value| json.end().map(|()| value));
    result.map_err(|source| guard.failure.unwrap_or(Error::Json { source }))
}

/// Where the guard is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Outside,
    Inside,
    /// Behind a backslash.
    Escaped,
}

struct Guard<'a> {
    reader: Reader<'a>,
    /// Bytes since the latest quote or separator.
    run: u64,
    /// Objects and lists that are open.
    depth: u32,
    text: Text,
    failure: Option<Error>,
}

impl Guard<'_> {
    /// Refuses a run that gets too long.
    fn watch(&mut self, byte: u8) -> Result<(), Error> {
        let (text, boundary) = match (self.text, byte) {
            (Text::Inside, b'\\') => (Text::Escaped, false),
            (Text::Inside, b'"') => (Text::Outside, true),
            (Text::Inside | Text::Escaped, _) => (Text::Inside, false),
            (Text::Outside, b'"') => (Text::Inside, true),
            (Text::Outside, _) => (Text::Outside, b" \t\r\n,:[]{}".contains(&byte)),
        };
        self.text = text;
        self.run = if boundary { 0 } else { self.run + 1 };
        match (text, byte) {
            (Text::Outside, b'[' | b'{') => self.depth += 1,
            (Text::Outside, b']' | b'}') => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        if self.depth > DEPTH_MAX {
            return Err(Error::Nesting { offset: self.reader.offset(), max: DEPTH_MAX });
        }
        if self.run > STRING_MAX {
            let offset = self.reader.offset() - self.run;
            return Err(Error::StringTooLong { offset, len: self.run, max: STRING_MAX });
        }
        Ok(())
    }

    fn some(&mut self, buf: &mut [u8]) -> Result<usize, Error> {
        let count = buf.len().min(usize::try_from(self.reader.remaining()).unwrap_or(usize::MAX)).min(256);
        buf[..count].copy_from_slice(self.reader.take(count)?);
        buf[..count].iter().try_for_each(|&byte| self.watch(byte))?;
        Ok(count)
    }
}

impl io::Read for Guard<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.some(buf).map_err(|error| {
            self.failure = Some(error);
            io::ErrorKind::Other.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::marker::PhantomData;

    use serde::de::IgnoredAny;

    use super::*;
    use crate::Bytes;

    fn check(text: &str) -> Result<IgnoredAny, Error> {
        let source = Bytes::new(text.as_bytes());
        read(&source, 0, source.len(), PhantomData)
    }

    #[test]
    fn runs_and_depth_are_bounded() {
        let long = STRING_MAX as usize;
        let escaped = "\\\"".repeat(long);
        let cases: [(String, Option<&str>); 7] = [
            ("{\"a\": [1, \"b\\\"\"]} ".into(), None),
            (format!("[{}]", "1234,".repeat(long).trim_end_matches(',')), None),
            (format!("\"{}\"", "x".repeat(long)), None),
            (format!("\"{}\"", "x".repeat(long + 1)), Some("at most 1048576")),
            (format!("\"{escaped}\""), Some("at most 1048576")),
            ("9".repeat(long + 1), Some("at most 1048576")),
            ("[".repeat(1000), Some("deeper than 64")),
        ];
        for (text, want) in cases {
            let message = check(&text).err().map(|error| error.to_string());
            match want {
                None => assert_eq!(message, None),
                Some(want) => assert!(message.as_deref().unwrap_or("").contains(want), "{message:?}"),
            }
        }
    }
}
