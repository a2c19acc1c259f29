//! Fuzzes the reader of TFLite: as a whole file, behind its magic number, and as the beginning of a long one.

#![no_main]

use formats::{Bytes, Limits, tflite};
use host::ReadAt;

const LIMITS: Limits = Limits { heap: 1 << 20 };

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut file = bytes.to_vec();
    if let Some(magic) = file.get_mut(4..8) {
        magic.copy_from_slice(b"TFL3");
    }
    check(&Bytes::new(bytes));
    check(&Bytes::new(&file));
    check(&Bytes::beginning(&file, 1 << 50));
});

fn check(source: &Bytes<'_>) {
    let Ok(model) = tflite::read(source, LIMITS) else { return };
    assert!(model.heap_bytes() <= LIMITS.heap);
    for graph in &model.subgraphs {
        let count = graph.tensors.len();
        assert!(graph.inputs.iter().chain(&graph.outputs).all(|&number| (number as usize) < count));
        for tensor in &graph.tensors {
            assert!(tensor.data.as_ref().is_none_or(|range| range.end <= source.len()));
            let Some(found) = &tensor.quantization else { continue };
            found.scale.f32s(source).take(1 << 16).for_each(drop);
            found.zero_point.numbers::<i64>(source).take(1 << 16).for_each(drop);
        }
    }
}
