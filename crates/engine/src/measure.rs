//! What this machine can do, measured: the bounds that the planner reckons with.
//!
//! Each figure is the median of a few short runs. The flash is measured the way the weight store reads: past the page
//! cache, in long extents, several requests under way.

use crate::survey::{Survey, survey};
use crate::{Engine, Error, Opened};
use host::{Extent, FlashFile, Ledger, Part, Pool, Region, Stream, StreamOptions};
use kernels::{Attention, Cpu, KernelSet, KvFormat, KvShape, Order, Quantized, QuantizedMut, Weights};
use planner::{FlashWay, Placement, ProductRate, Profile};
use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tensor::{BLOCK_FORMATS, DType};

/// Bytes of memory that are walked to measure its bandwidth: far more than caches hold; less where there is little.
const MEMORY_BYTES: u64 = 128 << 20;
/// Rows and columns of the matrix whose product is timed; it stays in the cache.
const MATRIX: (usize, usize) = (512, 1024);
/// Columns of the one row on which an operator that is not a product is timed.
const ROW: usize = 1024;
/// Columns of the products that stand for a prompt.
const MANY: usize = 128;
/// Runs of each figure.
const RUNS: usize = 5;
/// How long the disk is measured for one plan, and for a curve, where a throttle's grain of a tenth of a second must not
/// show.
const FLASH_OF_PLAN: Duration = Duration::from_millis(400);
pub(crate) const FLASH_OF_CURVE: Duration = Duration::from_millis(1200);

/// Measures this machine with the threads and kernels of `engine`, and the flash under `file` if one is given: also all
/// ways to read it that were tried, of which the profile has the best.
///
/// # Errors
/// Memory that cannot be had, a file that cannot be read.
pub fn measure(engine: &Engine, file: Option<&std::path::Path>) -> Result<(Profile, Vec<FlashWay>), Error> {
    let ledger = Ledger::new(u64::MAX / 2);
    let types: Vec<DType> = BLOCK_FORMATS.iter().map(|format| format.dtype()).collect();
    let mut profile = rates(engine, &ledger, &types)?;
    let Some(path) = file else { return Ok((profile, Vec::new())) };
    let Survey { best, tried } = survey(path)?;
    profile.flash_bytes = best[0].bytes_per_second;
    profile.ways = best;
    Ok((profile, tried))
}

impl Engine {
    /// Measures what a forecast for `placement` of `opened` rests on, here and now: the types of its weights, the disk
    /// that holds it, read as the placement would. Half a second.
    ///
    /// # Errors
    /// Memory that cannot be had, a file that cannot be read.
    pub fn measure_for(&self, opened: &Opened, placement: &Placement) -> Result<Profile, Error> {
        let ledger = Ledger::new(u64::MAX / 2);
        let mut types: Vec<DType> = opened.decoder.graph.weights.iter().map(|weight| weight.dtype).collect();
        types.sort_unstable_by_key(|dtype| dtype.name());
        types.dedup();
        let mut profile = rates(self, &ledger, &types)?;
        profile.flash_bytes = self.measure_flash(opened, placement, FLASH_OF_PLAN)?;
        Ok(profile)
    }

    /// Bytes a second that the disk of `opened` gives to reads as `placement` would do them, for as long as `time`; of a model
    /// that is not here, what is known of this machine.
    pub(crate) fn measure_flash(
        &self,
        opened: &Opened,
        placement: &Placement,
        time: Duration,
    ) -> Result<f64, Error> {
        let parts = opened.file.files.iter().filter(|_| opened.is_here());
        let Some(largest) = parts.max_by_key(|part| part.bytes) else { return Ok(self.profile.flash_bytes) };
        let shape = (placement.stream, placement.window_bytes as usize, placement.run_bytes());
        flash(&Ledger::new(u64::MAX / 2), FlashFile::open(&largest.path)?, time, shape)
    }
}

/// All rates but the flash's, which is a guess.
fn rates(engine: &Engine, ledger: &Ledger, types: &[DType]) -> Result<Profile, Error> {
    let threads = engine.threads();
    let memory_bytes = memory(engine.kernels, ledger, threads)?;
    let cpu = Cpu::new(engine.kernels, Pool::new(ledger, threads)?, ledger)?;
    let rate = |&dtype: &DType| {
        let rate = ProductRate { one: macs(&cpu, dtype, MATRIX, 1), many: macs(&cpu, dtype, MATRIX, MANY) };
        (dtype.name().to_string(), rate)
    };
    Ok(Profile {
        memory_bytes,
        products: types.iter().map(rate).collect(),
        float_ops: attention(&cpu),
        node_seconds: node(&cpu),
        isa: engine.isa().to_string(),
        ..Profile::guess(threads as u32)
    })
}

pub(crate) fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates.get(rates.len() / 2).copied().unwrap_or(0.0)
}

/// Bytes a second of reading memory.
pub(crate) fn memory(kernels: &KernelSet, ledger: &Ledger, threads: usize) -> Result<f64, Error> {
    const PIECE: usize = 512 << 10;
    let pool = Pool::new(ledger, threads)?;
    let spare = host::Memory::Auto.resolve()?.bytes / 8;
    let pieces = (spare.min(MEMORY_BYTES) as usize / PIECE).max(1);
    let mut region = Region::new(ledger, Part::Activations, pieces * PIECE)?.huge();
    region.as_mut_slice::<u8>().fill(1);
    let bytes = region.as_slice::<u8>();
    let rates = (0..RUNS).map(|_| {
        let start = Instant::now();
        pool.run(pieces, &|task| kernels.read_through(&bytes[task * PIECE..][..PIECE]));
        bytes.len() as f64 / start.elapsed().as_secs_f64()
    });
    Ok(median(rates.collect()))
}

/// Bytes a second of streaming a file, again and again as tokens do, for as long as `time`: how it is read, through a
/// window of how many bytes, in extents of how many.
pub(crate) fn flash(
    ledger: &Ledger,
    file: FlashFile,
    time: Duration,
    (options, window, extent): (StreamOptions, usize, u64),
) -> Result<f64, Error> {
    let bytes = host::ReadAt::len(&file).max(1);
    let mut stream = Stream::new(ledger, vec![Arc::new(file)], window, options)?;
    // What hosts of virtual disks read a moment ago they remember, so a measurement begins elsewhere than the one before.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut asked, mut read) = (u64::from(now.subsec_micros()) % bytes.div_ceil(extent) * extent, 0);
    // From the first extent on the disk is busy without a break, with as much under way as at the end.
    let mut first = None;
    let mut queue = std::collections::VecDeque::new();
    while first.is_none_or(|first: Instant| first.elapsed() < time) || read == 0 {
        loop {
            let offset = asked % bytes;
            let len = extent.min(bytes - offset);
            let Some(id) = stream.push(&[Extent { file: 0, offset, len }])? else { break };
            queue.push_back((id, len));
            asked += len;
        }
        let Some((id, len)) = queue.pop_front() else { break };
        stream.wait(id)?;
        stream.release(id);
        read += if first.is_some() { len } else { 0 };
        first.get_or_insert_with(Instant::now);
    }
    let rate = first.map_or(0.0, |first| read as f64 / first.elapsed().as_secs_f64());
    stream.reset()?;
    Ok(rate.max(1.0))
}

/// Multiply-adds a second of products of a matrix of (rows, columns), in cache, with `n` columns of activations.
fn macs(cpu: &Cpu, dtype: DType, (rows, k): (usize, usize), n: usize) -> f64 {
    let weights = vec![0x11; dtype.bytes_of((rows * k) as u64).unwrap_or(0) as usize];
    // As what stays in memory lies; what passes waits for a disk longer than its products take.
    let w = Weights { order: Order::best(dtype, rows), ..Weights::in_rows(dtype, &weights, rows, k) };
    let x = vec![0.5f32; n * k];
    let (mut q, mut scale, mut sums) = (vec![0i8; n * k], vec![0f32; n * k / 32], vec![0i16; n * k / 16]);
    cpu.quantize(&x, k, QuantizedMut { q: &mut q, scale: &mut scale, sums: &mut sums });
    let input = Quantized { q: &q, scale: &scale, sums: &sums, columns: k };
    let mut out = vec![0f32; n * rows];
    let repeats = (128 / n).max(2);
    let rates = (0..RUNS).map(|_| {
        let start = Instant::now();
        for _ in 0..repeats {
            match dtype.is_quantized() {
                true => cpu.product(w, &input, &mut out, rows, 0, None),
                false => cpu.product_float(w, &x, &mut out, rows, 0),
            }
        }
        black_box(&mut out);
        (repeats * n * rows * k) as f64 / start.elapsed().as_secs_f64()
    });
    median(rates.collect())
}

/// Seconds that an operator takes which is neither a product nor attention: one norm and one quantisation, halved.
fn node(cpu: &Cpu) -> f64 {
    const REPEATS: usize = 200;
    let (mut x, weight) = (vec![0.5f32; ROW], vec![1.0f32; ROW]);
    let (mut q, mut scale, mut sums) = (vec![0i8; ROW], vec![0f32; ROW / 32], vec![0i16; ROW / 16]);
    let seconds = (0..RUNS).map(|_| {
        let start = Instant::now();
        for _ in 0..REPEATS {
            cpu.rms_norm_in_place(&mut x, &weight, 1e-5);
            cpu.quantize(&x, ROW, QuantizedMut { q: &mut q, scale: &mut scale, sums: &mut sums });
        }
        black_box(&mut q);
        start.elapsed().as_secs_f64() / (2 * REPEATS) as f64
    });
    median(seconds.collect())
}

/// Floating-point operations a second of one token's attention over a few hundred.
fn attention(cpu: &Cpu) -> f64 {
    const HEADS: (usize, usize) = (8, 2);
    const DIM: usize = 64;
    const SLOTS: usize = 512;
    let shape = KvShape { format: KvFormat::F16, slots: SLOTS, heads: HEADS.1, head_dim: DIM };
    let cache = vec![0u8; shape.bytes()];
    let q = vec![0.5f32; HEADS.0 * DIM];
    let mut out = vec![0f32; q.len()];
    let attention = Attention {
        q: &q,
        k: &cache,
        v: Some(&cache),
        cache: shape,
        value_dim: DIM,
        heads: HEADS.0,
        first_pos: SLOTS - 1,
        window: None,
        scale: 1.0,
        softcap: None,
        sinks: None,
    };
    let rates = (0..RUNS).map(|_| {
        const REPEATS: usize = 20;
        let start = Instant::now();
        (0..REPEATS).for_each(|_| cpu.attention(&attention, &mut out));
        black_box(&mut out);
        (REPEATS * SLOTS * HEADS.0 * DIM * 4) as f64 / start.elapsed().as_secs_f64()
    });
    median(rates.collect())
}
