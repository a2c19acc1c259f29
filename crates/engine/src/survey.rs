//! The bounds of this machine one by one: the disk by how it is asked, arithmetic by how weights are stored.
//!
//! What it is: tables for people, and for choosing constants. What it is not: the profile, whose figures come from the
//! settings that are really used. The one design choice: each cell is measured by the very code that a run uses.

use crate::measure::{flash, macs};
use crate::{Engine, Error};
use host::{FlashFile, Ledger, Pool, Reader, StreamOptions};
use kernels::Cpu;
use std::path::Path;
use std::time::Duration;
use tensor::BLOCK_FORMATS;

/// Bytes of one read, smallest first.
const REQUESTS: [usize; 4] = [16 << 10, 64 << 10, 256 << 10, 1 << 20];
/// Reads under way at once.
const DEPTHS: [usize; 3] = [1, 4, 16];
/// Who reads, and the name to print.
const READERS: [(Reader, &str); 2] = [(Reader::Pread, "pread"), (Reader::Uring, "io_uring")];
/// How long a cell of the disk's table is measured.
const CELL: Duration = Duration::from_millis(60);
/// Columns of the products that stand for a prompt.
const MANY: usize = 64;

/// How fast the disk is when asked in one way.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct FlashRate {
    /// Who reads: `pread` for threads, `io_uring` for the kernel's rings.
    pub reader: &'static str,
    /// Reads under way at once; as many threads, where threads read.
    pub depth: usize,
    /// Bytes of one read.
    pub request_bytes: usize,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

/// How fast products with one type of weight are, out of the cache.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct ProductRate {
    /// Name of the type.
    pub dtype: &'static str,
    /// Multiply-adds a second with one column: a token of an answer.
    pub one_token: f64,
    /// Multiply-adds a second with 64 columns: a prompt.
    pub many_tokens: f64,
}

/// Rates of the disk that holds `file`, a few seconds in all. A reader that the system refuses is left out.
///
/// # Errors
/// A file that cannot be read.
pub fn survey_flash(file: &Path) -> Result<Vec<FlashRate>, Error> {
    let ledger = Ledger::new(u64::MAX / 2);
    let mut rates = Vec::new();
    for (kind, reader) in READERS {
        for depth in DEPTHS {
            for request_bytes in REQUESTS {
                let options =
                    StreamOptions { reader: kind, depth, request_bytes, ..StreamOptions::default() };
                match flash(&ledger, FlashFile::open(file)?, CELL, options) {
                    Ok(bytes_per_second) => {
                        rates.push(FlashRate { reader, depth, request_bytes, bytes_per_second })
                    }
                    Err(_) if matches!(kind, Reader::Uring) => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
    Ok(rates)
}

/// Rates of products with every quantised type, by the threads and kernels of `engine`, a few seconds in all.
///
/// # Errors
/// Memory that cannot be had.
pub fn survey_products(engine: &Engine) -> Result<Vec<ProductRate>, Error> {
    let ledger = Ledger::new(u64::MAX / 2);
    let mut cpu = Cpu::new(engine.kernels, Pool::new(&ledger, engine.threads())?, &ledger)?;
    let quantised = BLOCK_FORMATS.iter().filter(|format| format.group() > 0).map(|format| format.dtype());
    let rate = |dtype: tensor::DType| {
        let (one_token, many_tokens) = (macs(&mut cpu, dtype, 1), macs(&mut cpu, dtype, MANY));
        ProductRate { dtype: dtype.name(), one_token, many_tokens }
    };
    Ok(quantised.map(rate).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_and_every_way_to_read_has_a_rate() {
        let engine = Engine::builder().threads(Some(1)).build().unwrap();
        let products = survey_products(&engine).unwrap();
        assert!(
            products.len() > 10 && products.iter().all(|rate| rate.one_token > 0.0 && rate.many_tokens > 0.0)
        );
        let path = std::env::temp_dir().join(format!("survey-{}", std::process::id()));
        std::fs::write(&path, vec![1; 3 << 20]).unwrap();
        let flash = survey_flash(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        assert!(flash.len() >= DEPTHS.len() * REQUESTS.len());
        assert!(flash.iter().all(|rate| rate.bytes_per_second > 0.0));
    }
}
