//! Amounts as the program prints them.
//!
//! What it is: one rule more than [`host::format_bytes`]: a budget that is named must run when it is typed. What it is
//! not: a parser. The one design choice: round up, never to the nearest.

/// A budget to type, rounded up to a tenth of a MiB: `27.1MiB`.
pub(crate) fn budget(bytes: u64) -> String {
    let tenths = bytes.saturating_mul(10).div_ceil(1 << 20);
    format!("{}.{}MiB", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_is_enough() {
        for bytes in [1, 28 << 20, (28 << 20) + 1, 3_000_000_007, 104_858] {
            let typed = budget(bytes).parse().unwrap();
            let host::Memory::Bytes(read) = typed else { panic!("{typed:?}") };
            assert!(read >= bytes && read <= bytes + (1 << 20) / 10 + 1, "{bytes} {read}");
        }
        assert_eq!(budget(28 << 20), "28.0MiB");
    }
}
