//! Fuzzes the reader of safetensors headers: once as a whole file, once as the text of the header.

#![no_main]

mod folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    folder::check("model.safetensors", bytes);
    let mut file = (bytes.len() as u64).to_le_bytes().to_vec();
    file.extend(bytes);
    file.extend([0; 64]);
    folder::check("model.safetensors", &file);
});
