//! Fuzzes the reader of NumPy's arrays.

#![no_main]

use processors::npy;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(header) = npy::read(bytes) else { return };
    assert!(header.start <= bytes.len());
    let again = npy::header(&header.kind, &header.extents);
    if header.kind.chars().all(|c| c.is_ascii_alphanumeric()) && again.len() < 1 << 16 {
        assert_eq!(
            npy::read(&again).map(|read| (read.kind, read.extents)).ok(),
            Some((header.kind, header.extents))
        );
    }
});
