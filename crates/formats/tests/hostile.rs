//! Small valid files, cut at every byte, flipped at every bit, and told to lie at every place: a reader returns,
//! and takes no more memory than it was granted.
//!
//! Not a search: `fuzz/` searches. The one design choice: one test in a program of its own, so that the counted
//! heap is the reader's alone.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use host::ReadAt;
use pintpot_formats::onnx::{self, Data, Part, ValueType};
use pintpot_formats::write::{Gguf, Item, safetensors};
use pintpot_formats::{ArrayRef, Bytes, Folder, Limits, read, read_gguf, tflite};
use tensor::DType;

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// What a parse is granted: enough for the samples, many times over.
const LIMITS: Limits = Limits { heap: 64 << 10 };

/// What [`Limits`] allow besides: windows, one string, and the allocator's rounding.
const BESIDES: u64 = (64 << 10) + (1 << 20) + (16 << 10);

/// Numbers that lengths, counts and offsets should not be.
const LIES: [u64; 8] =
    [0, 1 << 20, 1_000_000_000, u32::MAX as u64, 1 << 32, i64::MAX as u64, u64::MAX - 7, u64::MAX];

/// Files in memory, shared.
#[derive(Clone)]
struct Files(BTreeMap<&'static str, Arc<Vec<u8>>>);

struct Shared(Arc<Vec<u8>>);

impl Folder for Files {
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        Ok(Box::new(Shared(self.0.get(name).ok_or(io::ErrorKind::NotFound)?.clone())))
    }
}

impl ReadAt for Shared {
    fn len(&self) -> u64 {
        self.0.as_slice().len() as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.0.read_exact_at(offset, buf)
    }
}

fn gguf() -> Vec<u8> {
    let mut file = Gguf::new();
    file.set("general.architecture", "llama");
    file.set("general.alignment", 32u32);
    file.set("llama.rope.freq_base", 10_000.0f32);
    file.set("flag", true);
    file.set("ids", Item::I32s(vec![1, -2, 3]));
    file.set("tokens", Item::Strs((0..8).map(|i| vec![b'a' + i; 3]).collect()));
    file.declare("token_embd.weight", DType::Q8_0, &[2, 64]);
    file.declare("output_norm.weight", DType::F32, &[3, 2]);
    file.to_bytes(&[&[2; 136], &[1; 24]])
}

/// A model folder with an index, one file of weights, and settings.
fn folder() -> Files {
    let weights = safetensors(&[("a", DType::BF16, &[2, 3], &[1; 12]), ("b", DType::F32, &[4], &[2; 16])]);
    let index =
        br#"{"metadata": {"total_size": 28}, "weight_map": {"a": "s.safetensors", "b": "s.safetensors"}}"#;
    let config = br#"{"model_type": "llama", "n": [1, 2.5], "rope": {"factor": 8, "x": [["y"], null]}}"#;
    let files: [(&str, &[u8]); 3] =
        [("config.json", config), ("model.safetensors.index.json", index), ("s.safetensors", &weights)];
    Files(files.map(|(name, bytes)| (name, Arc::new(bytes.to_vec()))).into())
}

/// Everything a hostile hand does to `bytes` in place, one at a time; `visit` sees each.
fn attack(bytes: &mut [u8], header: usize, visit: &mut dyn FnMut(&[u8])) {
    for cut in 0..bytes.len() {
        visit(&bytes[..cut]);
    }
    for bit in 0..8 * header {
        bytes[bit / 8] ^= 1 << (bit % 8);
        visit(bytes);
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    for at in 0..header.saturating_sub(8) {
        for (lie, width) in LIES.iter().flat_map(|lie| [(lie, 4), (lie, 8)]) {
            let truth: [u8; 8] = std::array::from_fn(|i| bytes[at + i]);
            bytes[at..at + width].copy_from_slice(&lie.to_le_bytes()[..width]);
            visit(bytes);
            bytes[at..at + 8].copy_from_slice(&truth);
        }
    }
}

/// Reads GGUF bytes as they are, and as the beginning of a file so long that every count is plausible. What is
/// accepted must be true: tensors inside the file, arrays that walk.
fn try_gguf(bytes: &[u8]) {
    for source in [Bytes::new(bytes), Bytes::beginning(bytes, 1 << 50)] {
        let Ok(file) = read_gguf(&source, LIMITS) else { continue };
        assert!(file.heap_bytes() <= LIMITS.heap);
        assert!(file.tensors.iter().all(|tensor| tensor.range.end <= source.len()));
        for (key, _) in file.metadata.iter() {
            let Ok(array) = file.metadata.get::<&ArrayRef>(key) else { continue };
            let mut strings = array.strings(&source);
            while let Ok(Some(_)) = strings.next() {}
            array.numbers::<f64>(&source).take(1 << 16).for_each(drop);
        }
    }
}

/// Networks with a bit of everything, and a list of tensors.
const ONNX: &[u8] = include_bytes!("../../../tests/networks/sample/everything_onnx/model.onnx");
const TFLITE: &[u8] = include_bytes!("../../../tests/networks/sample/everything_tflite/model.tflite");
const SEQUENCE: &[u8] =
    include_bytes!("../../../tests/networks/sample/test_sequence_insert_at_front/test_data_set_0/input_0.pb");

/// Reads ONNX bytes as they are and as the beginning of a long file. What is accepted must be true: values inside the
/// file that can be read, or are refused.
fn try_onnx(bytes: &[u8]) {
    for source in [Bytes::new(bytes), Bytes::beginning(bytes, 1 << 50)] {
        let Ok(model) = onnx::read(&source, LIMITS) else { continue };
        assert!(model.heap_bytes() <= LIMITS.heap);
        let walked: Result<(), ()> = model.walk(&mut |part| {
            if let Part::Tensor(tensor) = part {
                try_tensor(tensor, &source);
            }
            Ok(())
        });
        walked.unwrap();
    }
}

fn try_tensor(tensor: &onnx::TensorInfo, source: &Bytes<'_>) {
    let (Data::Bytes(range) | Data::Fields { range, .. }) = &tensor.data;
    assert!(tensor.file > 0 || range.end <= source.len());
    let _ = tensor.literal(source, 1 << 10);
    if let Ok(mut elements) = tensor.read(source) {
        let mut buffer = [0; 64];
        for _ in 0..100 {
            if elements.read(&mut buffer).unwrap_or(0) == 0 {
                break;
            }
        }
        let _ = elements.finish();
    }
    if let Ok(mut strings) = tensor.strings(source) {
        while let Ok(Some(_)) = strings.next() {}
    }
}

/// Reads TFLite bytes as they are and as the beginning of a long file; numbers must be of what exists.
fn try_tflite(bytes: &[u8]) {
    for source in [Bytes::new(bytes), Bytes::beginning(bytes, 1 << 50)] {
        let Ok(model) = tflite::read(&source, LIMITS) else { continue };
        assert!(model.heap_bytes() <= LIMITS.heap);
        for graph in &model.subgraphs {
            let count = graph.tensors.len();
            assert!(graph.inputs.iter().chain(&graph.outputs).all(|&number| (number as usize) < count));
            for tensor in &graph.tensors {
                assert!(tensor.data.as_ref().is_none_or(|range| range.end <= source.len()));
                if let Some(found) = &tensor.quantization {
                    found.scale.f32s(&source).take(1 << 16).for_each(drop);
                    found.zero_point.numbers::<i64>(&source).take(1 << 16).for_each(drop);
                }
            }
        }
    }
}

/// Reads bytes as values of every kind.
fn try_value(bytes: &[u8]) {
    let tensor = || Box::new(ValueType::Unknown);
    for kind in [ValueType::Unknown, ValueType::Sequence(tensor()), ValueType::Optional(tensor())] {
        let _ = onnx::read_value(&Bytes::new(bytes), &kind, LIMITS);
    }
}

#[test]
fn nothing_panics_and_nothing_grows() {
    let mut bytes = gguf();
    let files = folder();
    let before = host::heap_in_use();
    let header = read_gguf(&Bytes::new(&bytes), LIMITS).expect("the sample is valid").tensors[0].range.start;
    attack(&mut bytes, header as usize, &mut try_gguf);

    read(&files, "", LIMITS).expect("the sample is valid");
    for (&name, held) in &files.0 {
        let mut changed = files.clone();
        attack(&mut held.to_vec(), held.as_slice().len(), &mut |bytes| {
            changed.0.insert(name, Arc::new(bytes.to_vec()));
            if let Ok(file) = read(&changed, "", LIMITS) {
                assert!(file.heap_bytes() <= LIMITS.heap);
            }
        });
    }
    type Try = fn(&[u8]);
    for (sample, try_it) in
        [(ONNX, try_onnx as Try), (TFLITE, try_tflite), (SEQUENCE, try_value), (ONNX, try_value)]
    {
        let mut bytes = sample.to_vec();
        let all = bytes.len();
        attack(&mut bytes, all, &mut |bytes| try_it(bytes));
    }
    let grown = host::heap_peak() - before;
    println!("{grown} bytes of heap at most");
    assert!(grown <= LIMITS.heap + BESIDES, "{grown} bytes of heap");
}
