//! Settings of custom operators, which are FlexBuffers: a map of names to numbers and lists of them.
//!
//! Not all of FlexBuffers: texts, blobs and maps within maps are passed over. The one design choice: everything is read from the
//! few bytes that an operator has, and what does not fit in them is nothing. Layout: google/flatbuffers, `flexbuffers.h`.

/// Bytes that an operator's settings have, at most.
pub const MOST: usize = 64 << 10;

/// Numbers by name, each a list; a single number is a list of one. `None` if the bytes are no map.
pub fn numbers(bytes: &[u8]) -> Option<Vec<(String, Vec<f64>)>> {
    if bytes.len() > MOST {
        return None;
    }
    let (&width, rest) = bytes.split_last()?;
    let (&kind, values) = rest.split_last()?;
    let flex = Flex { bytes };
    let map = flex.value(values.len().checked_sub(width.into())?, width, kind)?;
    if map.kind != Kind::MAP {
        return None;
    }
    let (start, width) = (map.start, usize::from(map.width));
    let keys = flex.jump(start.checked_sub(3 * width)?, map.width)?;
    let keys_width = flex.unsigned(start.checked_sub(2 * width)?, map.width)?;
    let keys_width = u8::try_from(keys_width).ok()?;
    let mut found = Vec::new();
    for at in 0..flex.len(start, map.width)? {
        let name =
            flex.text(flex.jump(keys.checked_add(at.checked_mul(keys_width.into())?)?, keys_width)?)?;
        if let Some(list) = flex.element(&map, at).and_then(|value| flex.list(&value)) {
            found.push((name, list));
        }
    }
    Some(found)
}

/// Types of values.
struct Kind;

impl Kind {
    const INT: u8 = 1;
    const UINT: u8 = 2;
    const FLOAT: u8 = 3;
    const INDIRECT_INT: u8 = 6;
    const INDIRECT_FLOAT: u8 = 8;
    const MAP: u8 = 9;
    const VECTOR: u8 = 10;
    const VECTOR_INT: u8 = 11;
    const VECTOR_FLOAT: u8 = 13;
    const BOOL: u8 = 26;
}

/// A value: where it or what it points to begins, bytes of its elements, its type.
struct Value {
    start: usize,
    width: u8,
    kind: u8,
}

struct Flex<'a> {
    bytes: &'a [u8],
}

impl Flex<'_> {
    /// The value in a slot of `width` bytes, whose packed type is known.
    fn value(&self, at: usize, width: u8, packed: u8) -> Option<Value> {
        let (kind, inner) = (packed >> 2, 1 << (packed & 3));
        match kind {
            Kind::INT | Kind::UINT | Kind::FLOAT | Kind::BOOL => Some(Value { start: at, width, kind }),
            _ => Some(Value { start: self.jump(at, width)?, width: inner, kind }),
        }
    }

    /// Element `at` of a map or of a vector that has types.
    fn element(&self, of: &Value, at: usize) -> Option<Value> {
        let width = usize::from(of.width);
        let types = of.start.checked_add(self.len(of.start, of.width)?.checked_mul(width)?)?;
        let packed = *self.bytes.get(types.checked_add(at)?)?;
        self.value(of.start.checked_add(at.checked_mul(width)?)?, of.width, packed)
    }

    /// A number, or the numbers of a list.
    fn list(&self, value: &Value) -> Option<Vec<f64>> {
        match value.kind {
            Kind::VECTOR => {
                let numbers =
                    (0..self.len(value.start, value.width)?).map(|at| self.number(&self.element(value, at)?));
                numbers.collect()
            }
            Kind::VECTOR_INT..=Kind::VECTOR_FLOAT => {
                let kind = value.kind - Kind::VECTOR_INT + Kind::INT;
                let width = value.width;
                let number = |at: usize| {
                    let start = value.start.checked_add(at.checked_mul(width.into())?)?;
                    self.number(&Value { start, width, kind })
                };
                (0..self.len(value.start, width)?).map(number).collect()
            }
            _ => self.number(value).map(|number| vec![number]),
        }
    }

    fn number(&self, value: &Value) -> Option<f64> {
        let raw = self.raw(value.start, value.width)?;
        match (value.kind, value.width) {
            (Kind::INT | Kind::INDIRECT_INT, 1) => Some(f64::from(raw as u8 as i8)),
            (Kind::INT | Kind::INDIRECT_INT, 2) => Some(f64::from(raw as u16 as i16)),
            (Kind::INT | Kind::INDIRECT_INT, 4) => Some(f64::from(raw as u32 as i32)),
            (Kind::INT | Kind::INDIRECT_INT, _) => Some(raw as i64 as f64),
            (Kind::FLOAT | Kind::INDIRECT_FLOAT, 4) => Some(f64::from(f32::from_bits(raw as u32))),
            (Kind::FLOAT | Kind::INDIRECT_FLOAT, 8) => Some(f64::from_bits(raw)),
            (Kind::UINT | Kind::BOOL, _) => Some(raw as f64),
            _ => None,
        }
    }

    /// Elements of a map or a vector that begins at `start`; there cannot be more than bytes.
    fn len(&self, start: usize, width: u8) -> Option<usize> {
        self.unsigned(start.checked_sub(width.into())?, width).filter(|len| *len <= self.bytes.len())
    }

    /// Where an offset points to: so many bytes before it.
    fn jump(&self, at: usize, width: u8) -> Option<usize> {
        at.checked_sub(self.unsigned(at, width)?)
    }

    fn unsigned(&self, at: usize, width: u8) -> Option<usize> {
        usize::try_from(self.raw(at, width)?).ok()
    }

    fn raw(&self, at: usize, width: u8) -> Option<u64> {
        let bytes = self.bytes.get(at..at.checked_add(width.into())?)?;
        let mut raw = [0; 8];
        raw.get_mut(..bytes.len())?.copy_from_slice(bytes);
        matches!(width, 1 | 2 | 4 | 8).then_some(u64::from_le_bytes(raw))
    }

    fn text(&self, at: usize) -> Option<String> {
        let rest = self.bytes.get(at..)?;
        let end = rest.iter().position(|byte| *byte == 0)?;
        String::from_utf8(rest[..end].to_vec()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"far": 1.5, "list": [1, -2, 300], "side": 16}` as the package `flatbuffers` writes it.
    const MAP: &[u8] = &[
        102, 97, 114, 0, 108, 105, 115, 116, 0, 0, 3, 0, 1, 0, 254, 255, 44, 1, 115, 105, 100, 101, 0, 3, 24,
        21, 8, 0, 4, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 192, 63, 32, 0, 0, 0, 16, 0, 0, 0, 14, 45, 6, 15,
        38, 1,
    ];

    #[test]
    fn names_have_numbers() {
        let found = numbers(MAP).unwrap();
        let expected = [("far", vec![1.5]), ("list", vec![1.0, -2.0, 300.0]), ("side", vec![16.0])];
        assert_eq!(found, expected.map(|(name, list)| (name.to_string(), list)));
    }

    #[test]
    fn damage_is_nothing_or_something_else() {
        for at in 0..MAP.len() {
            let mut bytes = MAP.to_vec();
            for byte in 0..=255 {
                bytes[at] = byte;
                let _ = numbers(&bytes);
                let _ = numbers(&bytes[..at]);
            }
        }
    }
}
