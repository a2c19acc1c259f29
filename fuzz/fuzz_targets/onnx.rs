//! Fuzzes the reader of ONNX and of the values in it: as a whole file, as the graph of one, as the beginning of a long
//! one, and as a value of the conformance suite.

#![no_main]

use formats::onnx::{self, Data, Part, TensorInfo, ValueType};
use formats::{Bytes, Limits};
use host::ReadAt;

const LIMITS: Limits = Limits { heap: 1 << 20 };

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    // A model of version 8 whose graph goes on to the end.
    let mut file = b"\x08\x08\x3a".to_vec();
    let mut len = bytes.len();
    while len >= 0x80 {
        file.push(len as u8 | 0x80);
        len >>= 7;
    }
    file.push(len as u8);
    file.extend(bytes);
    check(&Bytes::new(bytes));
    check(&Bytes::new(&file));
    check(&Bytes::beginning(bytes, 1 << 50));
    let tensor = || Box::new(ValueType::Unknown);
    for kind in [ValueType::Unknown, ValueType::Sequence(tensor()), ValueType::Optional(tensor())] {
        let _ = onnx::read_value(&Bytes::new(bytes), &kind, LIMITS);
    }
});

fn check(source: &Bytes<'_>) {
    let Ok(model) = onnx::read(source, LIMITS) else { return };
    assert!(model.heap_bytes() <= LIMITS.heap);
    let walked: Result<(), std::convert::Infallible> = model.walk(&mut |part| {
        if let Part::Tensor(tensor) = part {
            values(tensor, source);
        }
        Ok(())
    });
    let Ok(()) = walked;
}

fn values(tensor: &TensorInfo, source: &Bytes<'_>) {
    let (Data::Bytes(range) | Data::Fields { range, .. }) = &tensor.data;
    assert!(tensor.file > 0 || range.end <= source.len());
    let _ = tensor.literal(source, 1 << 16);
    if let Ok(mut strings) = tensor.strings(source) {
        while let Ok(Some(_)) = strings.next() {}
    }
}
