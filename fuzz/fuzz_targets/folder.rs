//! A model folder of which the fuzzer writes one file.
//!
//! Not a target. The one design choice: the other files are valid and fixed, so that what is accepted goes on to
//! the checks behind the parser.

use std::io;

use formats::{Folder, Limits, ModelFile, read};
use host::ReadAt;

/// Little enough that a lie shows.
const LIMITS: Limits = Limits { heap: 1 << 20 };

/// Weights of one tensor, `a`, of two f32.
const WEIGHTS: &[u8] =
    b"\x38\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}  \0\0\0\0\0\0\0\0";

struct Fuzzed<'a> {
    name: &'a str,
    bytes: &'a [u8],
}

impl Folder for Fuzzed<'_> {
    fn open(&self, name: &str) -> io::Result<Box<dyn ReadAt>> {
        match name {
            _ if name == self.name => Ok(Box::new(self.bytes.to_vec())),
            "config.json" => Ok(Box::new(b"{\"model_type\": \"llama\"}".to_vec())),
            "model.safetensors" | "s.safetensors" => Ok(Box::new(WEIGHTS.to_vec())),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }
}

/// Reads the folder with `bytes` as the file `name`. What is accepted must keep its promises.
pub fn check(name: &str, bytes: &[u8]) {
    let result: Result<ModelFile, _> = read(&Fuzzed { name, bytes }, "", LIMITS);
    let Ok(file) = result else { return };
    assert!(file.heap_bytes() <= LIMITS.heap);
    for tensor in &file.tensors {
        assert!(tensor.range.end <= file.files[tensor.file as usize].bytes);
        assert!(file.tensor(&tensor.name).is_ok());
    }
}
