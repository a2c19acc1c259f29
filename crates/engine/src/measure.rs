//! What this machine can do, measured: the three bounds that the planner reckons with.
//!
//! Each figure is the median of a few short runs; a second or two in all. The flash is measured the way the weight store
//! reads: past the page cache, in long extents, several requests under way.

use crate::{Engine, Error};
use host::{Extent, FlashFile, Ledger, Part, Pool, Region, Stream, StreamOptions};
use kernels::{Cpu, Quantized, QuantizedMut, Weights};
use planner::Profile;
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tensor::DType;

/// Bytes of memory that are walked to measure its bandwidth: far more than caches hold.
const MEMORY_BYTES: usize = 256 << 20;
/// Rows and columns of the matrix whose product is timed; it stays in the cache.
const MATRIX: (usize, usize) = (512, 1024);
/// Runs of each figure.
const RUNS: usize = 5;

/// Measures memory and arithmetic with the threads and kernels of `engine`, and the flash under `file` if one is given.
///
/// # Errors
/// Memory that cannot be had, a file that cannot be read.
pub fn measure(engine: &Engine, file: Option<&std::path::Path>) -> Result<Profile, Error> {
    let ledger = Ledger::new(u64::MAX / 2);
    let guess = Profile::guess(engine.threads() as u32);
    let memory_bytes = memory(&ledger, engine.threads())?;
    let pool = Pool::new(&ledger, engine.threads())?;
    let mut cpu = Cpu::new(engine.kernels, pool, &ledger)?;
    let flash_bytes = match file {
        Some(path) => {
            flash(&ledger, FlashFile::open(path)?, Duration::from_millis(600), StreamOptions::default())?
        }
        None => guess.flash_bytes,
    };
    Ok(Profile {
        memory_bytes,
        flash_bytes,
        int8_macs: macs(&mut cpu, DType::Q8_0, 64),
        vector_macs: macs(&mut cpu, DType::Q8_0, 1),
        float_ops: guess.float_ops,
        threads: engine.threads() as u32,
        measured: true,
    })
}

impl Engine {
    /// Replaces the flash rate of the profile by a short measurement on the disk that holds `opened`, within the
    /// time given.
    ///
    /// # Errors
    /// A file that cannot be read.
    pub fn measure_flash(&mut self, opened: &crate::Opened, time: Duration) -> Result<f64, Error> {
        let ledger = Ledger::new(u64::MAX / 2);
        let largest = opened.file.files.iter().max_by_key(|f| f.bytes).map(|f| f.path.clone());
        let Some(path) = largest else { return Ok(self.profile.flash_bytes) };
        self.profile.flash_bytes = flash(&ledger, FlashFile::open(&path)?, time, StreamOptions::default())?;
        Ok(self.profile.flash_bytes)
    }
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

/// Bytes a second of reading memory.
fn memory(ledger: &Ledger, threads: usize) -> Result<f64, Error> {
    const PIECE: usize = 64 << 10; // u64s
    let pool = Pool::new(ledger, threads)?;
    let mut region = Region::new(ledger, Part::Activations, MEMORY_BYTES)?.huge();
    region.as_mut_slice::<u64>().fill(1);
    let words = region.as_slice::<u64>();
    let rates = (0..RUNS).map(|_| {
        let start = Instant::now();
        pool.run(words.len() / PIECE, &|task| {
            let piece = &words[task * PIECE..][..PIECE];
            let mut sums = [0u64; 32];
            for chunk in piece.as_chunks::<32>().0 {
                sums.iter_mut().zip(chunk).for_each(|(s, w)| *s = s.wrapping_add(*w));
            }
            black_box(sums);
        });
        MEMORY_BYTES as f64 / start.elapsed().as_secs_f64()
    });
    Ok(median(rates.collect()))
}

/// Bytes a second of streaming a file from its start, for as long as `time`.
pub(crate) fn flash(
    ledger: &Ledger,
    file: FlashFile,
    time: Duration,
    options: StreamOptions,
) -> Result<f64, Error> {
    const EXTENT: u64 = 1 << 20;
    let bytes = host::ReadAt::len(&file);
    let mut stream = Stream::new(ledger, vec![Arc::new(file)], 6 * EXTENT as usize, options)?;
    let (start, mut asked, mut read) = (Instant::now(), 0, 0);
    let mut queue = std::collections::VecDeque::new();
    while start.elapsed() < time || queue.is_empty() {
        while asked < bytes {
            let len = EXTENT.min(bytes - asked);
            let Some(id) = stream.push(&[Extent { file: 0, offset: asked, len }])? else { break };
            queue.push_back((id, len));
            asked += len;
        }
        let Some((id, len)) = queue.pop_front() else { break };
        stream.wait(id)?;
        stream.release(id);
        read += len;
    }
    let rate = read as f64 / start.elapsed().as_secs_f64();
    stream.reset()?;
    Ok(rate.max(1.0))
}

/// Multiply-adds a second of products of a matrix in cache with `columns` columns.
pub(crate) fn macs(cpu: &mut Cpu, dtype: DType, columns: usize) -> f64 {
    let (rows, k) = MATRIX;
    let weights = vec![0x11; dtype.bytes_of((rows * k) as u64).unwrap_or(0) as usize];
    let x = vec![0.5f32; columns * k];
    let (mut q, mut scale, mut sums) =
        (vec![0i8; columns * k], vec![0f32; columns * k / 32], vec![0i16; columns * k / 16]);
    cpu.quantize(&x, k, QuantizedMut { q: &mut q, scale: &mut scale, sums: &mut sums });
    let mut out = vec![0f32; columns * rows];
    let repeats = 256 / columns.min(64);
    let rates = (0..RUNS).map(|_| {
        let start = Instant::now();
        for _ in 0..repeats {
            let w = Weights { dtype, bytes: &weights, rows, columns: k };
            let input = Quantized { q: &q, scale: &scale, sums: &sums, columns: k };
            cpu.product(w, &input, &mut out, rows, 0);
        }
        black_box(&mut out);
        (repeats * columns * rows * k) as f64 / start.elapsed().as_secs_f64()
    });
    median(rates.collect())
}
