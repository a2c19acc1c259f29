//! Writes safetensors, whole.
//!
//! Not for large models. The one design choice: a function from tensors to bytes. Layout:
//! huggingface/safetensors, README, "Format".

use tensor::DType;

/// A safetensors file with the given tensors: name, type, extents (outermost first), bytes.
pub fn safetensors(tensors: &[(&str, DType, &[u64], &[u8])]) -> Vec<u8> {
    let mut at = 0;
    let mut entries = Vec::new();
    for (name, dtype, extents, bytes) in tensors {
        let end = at + bytes.len();
        let entry = serde_json::json!({"dtype": dtype.name(), "shape": extents, "data_offsets": [at, end]});
        entries.push(format!("{}:{entry}", serde_json::json!(name)));
        at = end;
    }
    let mut header = format!("{{{}}}", entries.join(","));
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    tensors.iter().for_each(|tensor| file.extend(tensor.3));
    file
}
