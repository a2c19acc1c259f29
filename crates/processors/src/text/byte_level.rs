//! The letters under which byte-level vocabularies write their bytes.
//!
//! GPT-2's table: bytes that print stand for themselves, the other 68 for U+0100 and up, so that a token is always
//! a word of visible characters (`Ġ` is a space). pintpot keeps the bytes and drops the letters when it reads.

/// The byte that a letter stands for.
pub(crate) fn byte_of(letter: char) -> Option<u8> {
    match letter as u32 {
        code @ (0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff) => u8::try_from(code).ok(),
        code @ 0x100..=0x120 => u8::try_from(code - 0x100).ok(),
        code @ 0x121..=0x142 => u8::try_from(code - 0x121 + 0x7f).ok(),
        0x143 => Some(0xad),
        _ => None,
    }
}

/// The bytes of a token, or `None` if it is not written in these letters.
pub(crate) fn bytes_of(text: &[u8]) -> Option<impl Iterator<Item = u8>> {
    let text = std::str::from_utf8(text).ok()?;
    text.chars().all(|c| byte_of(c).is_some()).then(|| text.chars().filter_map(byte_of))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_one_letter() {
        let mut bytes: Vec<u8> = (0..0x200).filter_map(char::from_u32).filter_map(byte_of).collect();
        assert_eq!(bytes.len(), 256);
        bytes.sort();
        bytes.dedup();
        assert_eq!(bytes.len(), 256);
        for (letter, byte) in [('Ġ', b' '), ('Ċ', b'\n'), ('ĉ', b'\t'), ('!', b'!'), ('é', 0xe9), ('ł', 0xa0)]
        {
            assert_eq!(byte_of(letter), Some(byte), "{letter}");
        }
        assert_eq!(byte_of(' '), None);
    }
}
