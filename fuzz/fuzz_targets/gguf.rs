//! Fuzzes the reader of GGUF headers and of the arrays in them: as a whole file, and as the beginning of a long
//! one, where no count is implausible.

#![no_main]

use formats::{ArrayRef, Bytes, Limits, read_gguf};
use host::ReadAt;

const LIMITS: Limits = Limits { heap: 1 << 20 };

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = b"GGUF\x03\0\0\0".to_vec();
    file.extend(bytes);
    check(&Bytes::new(bytes));
    check(&Bytes::new(&file));
    check(&Bytes::beginning(&file, 1 << 50));
});

fn check(source: &Bytes<'_>) {
    let Ok(file) = read_gguf(source, LIMITS) else { return };
    assert!(file.heap_bytes() <= LIMITS.heap);
    for tensor in &file.tensors {
        assert!(tensor.range.end <= source.len());
        assert!(file.tensor(&tensor.name).is_ok());
    }
    for (key, _) in file.metadata.iter() {
        let Ok(array) = file.metadata.get::<&ArrayRef>(key) else { continue };
        let mut strings = array.strings(source);
        while let Ok(Some(_)) = strings.next() {}
        array.numbers::<f64>(source).take(1 << 16).for_each(drop);
    }
}
