//! Models as tall as a test wants them: the layers of a tiny one, again and again.
//!
//! What it is: a way to get megabytes of weights, which have to be streamed, from files of kilobytes. What it is not: a
//! model with known answers; it is compared with itself. The one design choice: it is written as a real file.

use std::fs;
use std::path::Path;

use formats::write::{Gguf, Item};
use formats::{ArrayRef, Bytes, Element, Limits, ModelFile, Value};

/// Writes the model at `tiny`, a GGUF file, to `path` with `layers` layers.
///
/// # Panics
/// If `tiny` is none of the tiny models, or the file cannot be written.
pub fn tall(tiny: &Path, layers: u32, path: &Path) {
    let model = formats::open(tiny, Limits::default()).expect("a tiny model");
    let bytes = fs::read(tiny).expect("a tiny model");
    let count_key = format!("{}.block_count", model.architecture);
    let count: u32 = model.metadata.get(&count_key).expect("a count of layers");
    let mut file = Gguf::new();
    for (key, value) in model.metadata.iter() {
        let item = if key == count_key { Item::U32(layers) } else { item(value, &bytes) };
        file.set(key, item);
    }
    let mut data: Vec<&[u8]> = Vec::new();
    for (name, number) in names(&model, count, layers) {
        let info = &model.tensors[number];
        file.declare(&name, info.dtype, info.shape.extents());
        data.push(&bytes[info.range.start as usize..info.range.end as usize]);
    }
    fs::write(path, file.to_bytes(&data)).expect("a file");
}

/// Names of the tensors of a model with `layers` layers, and which of the tensors of one with `count` each repeats.
fn names(model: &ModelFile, count: u32, layers: u32) -> Vec<(String, usize)> {
    let named = || model.tensors.iter().enumerate().map(|(number, info)| (&*info.name, number));
    let other = named().filter(|(name, _)| !name.starts_with("blk."));
    let mut all: Vec<(String, usize)> = other.map(|(name, number)| (name.to_string(), number)).collect();
    for layer in 0..layers {
        let prefix = format!("blk.{}.", layer % count);
        let own = named().filter_map(|(name, number)| Some((name.strip_prefix(&prefix)?, number)));
        all.extend(own.map(|(rest, number)| (format!("blk.{layer}.{rest}"), number)));
    }
    all
}

/// A value of the file in `bytes`, to be written again.
fn item(value: &Value, bytes: &[u8]) -> Item {
    let source = &Bytes::new(bytes);
    let numbers = "numbers of their kind";
    match value {
        Value::Array(array) => match array.element() {
            Element::F32 => Item::F32s(array.f32s(source).collect::<Result<_, _>>().expect(numbers)),
            Element::I32 => Item::I32s(array.i32s(source).collect::<Result<_, _>>().expect(numbers)),
            Element::U32 => Item::U32s(array.u32s(source).collect::<Result<_, _>>().expect(numbers)),
            _ => Item::Strs(strings(array, source)),
        },
        Value::Bool(value) => Item::Bool(*value),
        Value::F64(value) => Item::F32(*value as f32),
        Value::I64(value) => Item::U32(*value as u32),
        Value::Str(text) => Item::Str(text.to_string()),
        Value::U64(value) => Item::U32(*value as u32),
    }
}

fn strings(array: &ArrayRef, source: &Bytes<'_>) -> Vec<Vec<u8>> {
    let mut walk = array.strings(source);
    let next = || walk.next().expect("strings").map(<[u8]>::to_vec);
    std::iter::from_fn(next).collect()
}
