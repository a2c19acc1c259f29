//! A size of memory as people write it, and as we print it.
//!
//! Not the probe of what this machine has.

use std::fmt;
use std::str::FromStr;

/// What the user said about memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Memory {
    /// Whatever this machine can spare.
    #[default]
    Auto,
    /// So many bytes.
    Bytes(u64),
    /// A share of what [`Memory::Auto`] would give, more than 0 and at most 100.
    Percent(f64),
}

/// A size that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{text}' is not an amount of memory; write 2GiB, 1.5G, 800MiB, 64M, 50% or auto")]
#[non_exhaustive]
pub struct MemoryParseError {
    /// What was written.
    pub text: String,
}

impl FromStr for Memory {
    type Err = MemoryParseError;

    fn from_str(text: &str) -> Result<Memory, MemoryParseError> {
        let trimmed = text.trim();
        let parsed = if trimmed.eq_ignore_ascii_case("auto") {
            Some(Memory::Auto)
        } else if let Some(number) = trimmed.strip_suffix('%') {
            decimal(number).filter(|&share| share > 0.0 && share <= 100.0).map(Memory::Percent)
        } else {
            parse_bytes(trimmed).map(Memory::Bytes)
        };
        parsed.ok_or_else(|| MemoryParseError { text: text.to_owned() })
    }
}

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Memory::Auto => f.write_str("auto"),
            Memory::Bytes(bytes) => f.write_str(&format_bytes(*bytes)),
            Memory::Percent(share) => write!(f, "{share}%"),
        }
    }
}

/// A number of bytes, at least 1, with a unit (`K`, `MB`, `GiB`, always powers of 1024) or none.
fn parse_bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    // Whole numbers stay exact; a fraction of a unit is rounded down to whole bytes.
    let bytes = match number.parse::<u64>() {
        Ok(whole) => whole.checked_mul(1 << shift)?,
        Err(_) => (decimal(number)? * (1u64 << shift) as f64) as u64,
    };
    (1..=i64::MAX as u64).contains(&bytes).then_some(bytes)
}

/// Digits with at most one point; no sign, no exponent, no infinity.
fn decimal(text: &str) -> Option<f64> {
    let plain = text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    plain.then(|| text.parse().ok()).flatten()
}

/// Bytes for people: `512 B`, `28.0 MiB`, `1.50 GiB`.
pub fn format_bytes(bytes: u64) -> String {
    let value = bytes as f64;
    match bytes {
        0..0x400 => format!("{bytes} B"),
        0x400..0x10_0000 => format!("{:.1} KiB", value / f64::from(1 << 10)),
        0x10_0000..0x4000_0000 => format!("{:.1} MiB", value / f64::from(1 << 20)),
        _ => format!("{:.2} GiB", value / f64::from(1 << 30)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let cases = [
            ("2GiB", Memory::Bytes(2 << 30)),
            ("1.5G", Memory::Bytes(3 << 29)),
            ("800MiB", Memory::Bytes(800 << 20)),
            ("64M", Memory::Bytes(64 << 20)),
            ("64 mb", Memory::Bytes(64 << 20)),
            ("4096", Memory::Bytes(4096)),
            ("7b", Memory::Bytes(7)),
            ("0.5k", Memory::Bytes(512)),
            ("1T", Memory::Bytes(1 << 40)),
            ("50%", Memory::Percent(50.0)),
            (" AUTO ", Memory::Auto),
        ];
        for (text, want) in cases {
            assert_eq!(text.parse(), Ok(want), "{text}");
        }
        let wrong = [
            "",
            "G",
            "-1G",
            "0",
            "0%",
            "101%",
            "1e9",
            "nan%",
            "inf",
            "1.2.3M",
            "12 parsecs",
            "9999999T",
            "．5",
        ];
        for text in wrong {
            let error = text.parse::<Memory>().unwrap_err();
            assert!(error.to_string().contains("write 2GiB"), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_as_we_print_them() {
        let cases =
            [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (28 << 20, "28.0 MiB"), (3 << 29, "1.50 GiB")];
        for (bytes, want) in cases {
            assert_eq!(format_bytes(bytes), want);
        }
        assert_eq!(Memory::Bytes(64 << 20).to_string(), "64.0 MiB");
        assert_eq!(Memory::Percent(12.5).to_string(), "12.5%");
    }
}
