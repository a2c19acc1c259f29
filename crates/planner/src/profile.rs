//! What this machine can do, measured once by `doctor` and kept.

use serde::{Deserialize, Serialize};

/// Rates of one machine. Bytes and operations a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Reading memory with all threads.
    pub memory_bytes: f64,
    /// Reading flash past the page cache, as the weight store reads.
    pub flash_bytes: f64,
    /// Int8 multiply-adds of products with many columns, all threads.
    pub int8_macs: f64,
    /// Int8 multiply-adds of products with one column whose matrix is in cache, all threads.
    pub vector_macs: f64,
    /// Floating-point operations of everything else, all threads.
    pub float_ops: f64,
    /// Threads that this was measured with.
    pub threads: u32,
    /// Whether it was measured; otherwise it is a cautious guess.
    pub measured: bool,
}

impl Profile {
    /// A guess for a machine of `threads` threads that nobody has measured.
    pub fn guess(threads: u32) -> Profile {
        let t = f64::from(threads.max(1));
        Profile {
            memory_bytes: 10e9 * t.min(2.0),
            flash_bytes: 0.8e9,
            int8_macs: 80e9 * t,
            vector_macs: 15e9 * t,
            float_ops: 8e9 * t,
            threads,
            measured: false,
        }
    }
}
