//! NumPy's file of one array, read and written.
//!
//! What it is: `.npy` versions 1 to 3, little-endian, rows first. What it is not: pickles, structured types or texts, which
//! are refused. The one design choice: reading gives type, extents and where the elements begin; whoever has the bytes keeps
//! them. Layout: NEP 1.

use crate::Error;

/// What a file says of its array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The type, as NumPy spells it without the sign of the order of bytes: `f4`, `i8`, `b1`.
    pub kind: String,
    /// Extents, outermost first.
    pub extents: Vec<usize>,
    /// Where the elements begin.
    pub start: usize,
}

const MAGIC: &[u8] = b"\x93NUMPY";
/// Elements begin at a multiple of this.
const ALIGNMENT: usize = 64;

/// Reads the header of a file.
pub fn read(bytes: &[u8]) -> Result<Header, Error> {
    let rest = bytes.strip_prefix(MAGIC).ok_or(Error::NotNpy)?;
    let (&major, rest) = rest.split_first().ok_or(Error::NotNpy)?;
    let rest = rest.get(1..).ok_or(Error::NotNpy)?;
    let width = if major == 1 { 2 } else { 4 };
    let len = rest.get(..width).ok_or(Error::NotNpy)?;
    let len = len.iter().rev().fold(0usize, |len, byte| len << 8 | usize::from(*byte));
    let text = rest.get(width..).and_then(|rest| rest.get(..len)).ok_or(Error::NotNpy)?;
    let text = std::str::from_utf8(text).map_err(|_| Error::NotNpy)?;
    let value = |key: &str| -> Option<&str> {
        let at = text.find(&format!("'{key}'"))?;
        Some(text[at + key.len() + 2..].trim_start().strip_prefix(':')?.trim_start())
    };
    let unsupported = |found: &str| Error::Array { found: found.chars().take(60).collect() };
    let kind = value("descr").ok_or(Error::NotNpy)?;
    let quoted =
        kind.strip_prefix('\'').and_then(|kind| kind.split('\'').next()).ok_or_else(|| unsupported(kind))?;
    let plain = match quoted.strip_prefix(['<', '|', '=']) {
        Some(plain) => plain,
        None => return Err(unsupported(quoted)),
    };
    if value("fortran_order").is_none_or(|order| order.starts_with("True")) {
        return Err(unsupported("stored columns first"));
    }
    let shape =
        value("shape").and_then(|shape| shape.strip_prefix('(')?.split(')').next()).ok_or(Error::NotNpy)?;
    let numbers = shape.split(',').map(str::trim).filter(|number| !number.is_empty());
    let extents = numbers.map(|number| number.parse().map_err(|_| Error::NotNpy));
    let extents = extents.collect::<Result<Vec<usize>, _>>()?;
    Ok(Header { kind: plain.to_string(), extents, start: MAGIC.len() + 2 + width + len })
}

/// The header of a file with an array of this type and these extents; its elements come behind.
pub fn header(kind: &str, extents: &[usize]) -> Vec<u8> {
    let order = if matches!(kind, "b1" | "i1" | "u1") { '|' } else { '<' };
    let mut shape: String = extents.iter().map(|extent| format!("{extent}, ")).collect();
    if extents.len() != 1 {
        shape.truncate(shape.len().saturating_sub(2));
    }
    let text =
        format!("{{'descr': '{order}{kind}', 'fortran_order': False, 'shape': ({}), }}", shape.trim_end());
    let before = MAGIC.len() + 4;
    let len = (before + text.len() + 1).next_multiple_of(ALIGNMENT) - before;
    let mut bytes = [MAGIC, &[1, 0], &(len as u16).to_le_bytes(), text.as_bytes()].concat();
    bytes.resize(before + len - 1, b' ');
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for (kind, extents) in [("f4", &[2, 3][..]), ("i8", &[5]), ("b1", &[]), ("f2", &[0, 4, 1])] {
            let bytes = header(kind, extents);
            assert_eq!(bytes.len() % ALIGNMENT, 0);
            let expected = Header { kind: kind.into(), extents: extents.into(), start: bytes.len() };
            assert_eq!(read(&bytes).unwrap(), expected);
        }
    }

    #[test]
    fn what_is_not_read_says_so() {
        let file = |text: &str| [MAGIC, &[1, 0, text.len() as u8, 0], text.as_bytes()].concat();
        for text in [
            "{'descr': '>f4', 'fortran_order': False, 'shape': (3,), }",
            "{'descr': '<f4', 'fortran_order': True, 'shape': (3, 2), }",
            "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }",
        ] {
            assert!(matches!(read(&file(text)), Err(Error::Array { .. })), "{text}");
        }
        for text in ["", "{'descr': '<f4'}", "{'descr': '<f4', 'fortran_order': False, 'shape': (x,), }"] {
            assert!(read(&file(text)).is_err(), "{text}");
        }
        assert!(matches!(read(b"\x93NUMPY\x01"), Err(Error::NotNpy)));
        assert!(matches!(read(&header("f4", &[2])[..20]), Err(Error::NotNpy)));
    }
}
