//! Fuzzes the reader of the index of a model in several safetensors files.

#![no_main]

mod folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| folder::check("model.safetensors.index.json", bytes));
