//! Fuzzes the reader of `config.json`.

#![no_main]

mod folder;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| folder::check("config.json", bytes));
