//! How fast every kernel set of this CPU multiplies a matrix of one shape, from memory and out of the cache.
//!
//! What it is: [`ProductBench`] and its times. What it is not: a test, which compares bits and never seconds. The one
//! design choice: matrices are rotated over more bytes than caches hold, as the layers of a model are, so that a step of
//! an answer finds its weights where it will find them.

use super::Silicon;
use crate::{Engine, Error};
use host::{Ledger, Part, Pool, Region};
use kernels::{Cpu, Order, Quantized, QuantizedMut, Weights};
use std::collections::BTreeMap;
use std::time::Instant;
use tensor::{BLOCK_FORMATS, DType, PanelOrder};

/// Bytes of weights that are gone through from memory, where there is so much: more than caches hold.
const ROTATED: u64 = 256 << 20;
/// Bytes of weights that stand for what a cache holds: they fit the second level, or a part of the third.
const CACHED: u64 = 512 << 10;
/// How long each figure is looked for, in seconds, and calls at most.
const SECONDS: f64 = 0.3;
const CALLS: usize = 20_000;
/// Elements of the matrix and of the activations at most.
const ELEMENTS: u64 = 1 << 31;

/// A product to time: `rows` x `columns` weights times `activations` columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProductBench {
    /// Outputs.
    pub rows: u32,
    /// Inputs, whole blocks of every type.
    pub columns: u32,
    /// Columns of activations: 1 is a token of an answer.
    pub activations: u32,
    /// Names of types of weights in any case; `all` is every type with a definition.
    pub types: Vec<String>,
}

/// How long calls took, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CallTime {
    /// The median.
    pub median: f64,
    /// The shortest.
    pub best: f64,
}

/// What one kernel set gave for one type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProductTime {
    /// The type of the weights.
    pub dtype: DType,
    /// Name of the kernel set.
    pub isa: &'static str,
    /// How its rows lay.
    pub order: Order,
    /// Whether a model in this engine would be given this set, and weights that stay in memory this order.
    pub is_chosen: bool,
    /// Whether the set has a kernel of its own for the type; otherwise it follows the definition.
    pub is_fast: bool,
    /// Threads that computed.
    pub threads: usize,
    /// Bytes of the matrix.
    pub bytes: u64,
    /// Multiply-adds of the product.
    pub macs: u64,
    /// The whole product, its weights from memory.
    pub memory: CallTime,
    /// As many rows as a cache holds.
    pub cache: CallTime,
    /// How many rows that are.
    pub cache_rows: u32,
    /// The most that this set makes of the machine, measured beside it.
    pub silicon: Silicon,
}

impl ProductTime {
    /// Bytes of weights a second from memory, by the median.
    pub fn bytes_per_second(&self) -> f64 {
        self.bytes as f64 / self.memory.median
    }

    /// Multiply-adds a second from memory, by the median.
    pub fn macs_per_second(&self) -> f64 {
        self.macs as f64 / self.memory.median
    }

    /// Multiply-adds a second out of the cache, by the median; `rows` are those of the whole product.
    pub fn cache_macs_per_second(&self, rows: u32) -> f64 {
        self.macs as f64 / f64::from(rows.max(1)) * f64::from(self.cache_rows) / self.cache.median
    }

    /// The share of the rate at which memory is read.
    pub fn bandwidth_share(&self) -> f64 {
        self.bytes_per_second() / self.silicon.memory_bytes
    }

    /// The share of the rate at which the set multiplies in registers, its weights from memory.
    pub fn arithmetic_share(&self) -> f64 {
        self.macs_per_second() / self.silicon.macs(self.dtype)
    }
}

impl ProductBench {
    /// Times the product with every kernel set of this CPU on the threads of `engine`.
    ///
    /// # Errors
    /// [`Error::Option`] for a type or a shape that makes no sense; memory that cannot be had.
    pub fn run(&self, engine: &Engine) -> Result<Vec<ProductTime>, Error> {
        let types = self.checked()?;
        let ledger = Ledger::new(u64::MAX / 2);
        let threads = engine.threads();
        let mut most: BTreeMap<&str, Silicon> = BTreeMap::new();
        let mut times = Vec::new();
        for dtype in types {
            let best = Order::best(dtype, self.rows as usize);
            let mut weights = self.weights(dtype, &ledger)?;
            for (set, order) in
                kernels::available().flat_map(|set| orders(best).map(move |order| (set, order)))
            {
                let cpu = Cpu::new(set, Pool::new(&ledger, threads)?, &ledger)?;
                self.bring(dtype, order, weights.as_mut_bytes());
                let mut time = self.time(&cpu, dtype, order, weights.as_bytes());
                time.is_chosen = set.name() == engine.isa() && order == best;
                time.is_fast = !dtype.is_quantized() || set.fast_types().any(|fast| fast == dtype);
                times.push(time);
            }
            for set in kernels::available() {
                let most = most.entry(set.name()).or_default();
                *most = most.or_more(&Silicon::measure(set, threads)?);
            }
        }
        // Memory is the same for all sets, even if the plain one cannot read as fast.
        let memory_bytes = most.values().map(|most| most.memory_bytes).fold(0.0, f64::max);
        times.iter_mut().for_each(|time| time.silicon = Silicon { memory_bytes, ..most[time.isa] });
        Ok(times)
    }

    /// The types, if the shape suits them all.
    fn checked(&self) -> Result<Vec<DType>, Error> {
        let wrong = |option, value: String, expected| Err(Error::Option { option, value, expected });
        let shape = format!("{},{},{}", self.rows, self.columns, self.activations);
        let sizes = [self.rows, self.columns, self.activations].map(u64::from);
        let largest = (sizes[0] * sizes[1])
            .max(sizes[1].saturating_mul(sizes[2]))
            .max(sizes[0].saturating_mul(sizes[2]));
        if sizes.contains(&0) || largest > ELEMENTS {
            return wrong("the shape", shape, "more than 0 and at most 2^31 elements a matrix");
        }
        let mut types = Vec::new();
        for name in &self.types {
            let named = |dtype: &DType| name == "all" || dtype.name().eq_ignore_ascii_case(name);
            let found: Vec<DType> = BLOCK_FORMATS.iter().map(|format| format.dtype()).filter(named).collect();
            if found.is_empty() {
                return wrong("--type", name.clone(), "a type of weights, such as q4_0, or all");
            }
            types.extend(found);
        }
        match types.iter().all(|dtype| dtype.bytes_of(sizes[1]).is_some()) {
            true => Ok(types),
            false => {
                wrong("the shape", shape, "whole blocks in a row: a multiple of 256 columns suits every type")
            }
        }
    }

    /// Copies of the matrix, one after another: one block of ordinary numbers, over and over.
    fn weights(&self, dtype: DType, ledger: &Ledger) -> Result<Region, Error> {
        let bytes = dtype.bytes_of(u64::from(self.rows) * u64::from(self.columns)).unwrap_or(1);
        let room = (host::Memory::Auto.resolve()?.bytes / 4).min(ROTATED);
        let copies = (room / bytes).max(1);
        let mut region = Region::new(ledger, Part::Weights, (bytes * copies) as usize)?.huge();
        self.bring(dtype, Order::Rows, region.as_mut_bytes());
        Ok(region)
    }

    /// Writes that block all over, in an order.
    fn bring(&self, dtype: DType, order: Order, all: &mut [u8]) {
        let values: Vec<f32> = (0..dtype.block_elements()).map(|i| (i as f32 * 0.7).sin()).collect();
        let mut block = vec![0; dtype.block_bytes()];
        if let Some(format) = dtype.block() {
            format.quantize(&values, &mut block);
        }
        if let (Order::Panels, Some(panels)) = (order, PanelOrder::of(dtype)) {
            let rows = block.repeat(PanelOrder::ROWS);
            block.resize(rows.len(), 0);
            panels.interleave(&rows, rows.len() / PanelOrder::ROWS, &mut block);
        }
        all.chunks_exact_mut(block.len()).for_each(|place| place.copy_from_slice(&block));
    }

    fn time(&self, cpu: &Cpu, dtype: DType, order: Order, all: &[u8]) -> ProductTime {
        let (rows, k, n) = (self.rows as usize, self.columns as usize, self.activations as usize);
        let row = dtype.bytes_of(k as u64).unwrap_or(1) as usize;
        let x = Columns::new(cpu, n, k);
        let mut out = vec![0.0; n * rows];
        let mut call = |rows: usize, at: usize| {
            let weights = Weights { order, ..Weights::in_rows(dtype, &all[at..][..rows * row], rows, k) };
            match dtype.is_quantized() {
                true => cpu.product(weights, &x.view(), &mut out[..n * rows], rows, 0, None),
                false => cpu.product_float(weights, &x.x, &mut out[..n * rows], rows, 0),
            }
        };
        let copies = all.len() / (rows * row);
        let memory = timed(|number| call(rows, number % copies * rows * row));
        let cache_rows = match (CACHED as usize / row).clamp(1, rows) {
            all if all == rows => rows,
            some => (some / PanelOrder::ROWS * PanelOrder::ROWS).max(PanelOrder::ROWS.min(rows)),
        };
        let cache = timed(|_| call(cache_rows, 0));
        ProductTime {
            dtype,
            isa: cpu.isa_name(),
            order,
            is_chosen: false,
            is_fast: false,
            threads: cpu.threads(),
            bytes: (rows * row) as u64,
            macs: (rows * k * n) as u64,
            memory,
            cache,
            cache_rows: cache_rows as u32,
            silicon: Silicon::default(),
        }
    }
}

/// The orders in which rows may lie if `best` is one.
fn orders(best: Order) -> impl Iterator<Item = Order> {
    [Order::Rows, Order::Panels].into_iter().filter(move |&order| order == Order::Rows || best == order)
}

/// Times calls until enough time has passed. The first does not count, unless it took all of it.
fn timed(mut call: impl FnMut(usize)) -> CallTime {
    let start = Instant::now();
    let mut times = Vec::new();
    for number in 0..CALLS {
        let from = Instant::now();
        call(number);
        times.push(from.elapsed().as_secs_f64().max(1e-9));
        if start.elapsed().as_secs_f64() > SECONDS {
            break;
        }
    }
    if times.len() > 1 {
        times.remove(0);
    }
    times.sort_unstable_by(f64::total_cmp);
    CallTime { median: times[times.len() / 2], best: times[0] }
}

/// Columns of activations, as floats and quantised.
struct Columns {
    x: Vec<f32>,
    q: Vec<i8>,
    scale: Vec<f32>,
    sums: Vec<i16>,
    padded: usize,
}

impl Columns {
    fn new(cpu: &Cpu, n: usize, k: usize) -> Columns {
        let x: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.3).cos()).collect();
        let padded = Quantized::padded(k);
        let (q, scale, sums) = (vec![0; n * padded], vec![0.0; n * padded / 32], vec![0; n * padded / 16]);
        let mut out = Columns { x, q, scale, sums, padded };
        let room = QuantizedMut { q: &mut out.q, scale: &mut out.scale, sums: &mut out.sums };
        cpu.quantize(&out.x, k, room);
        out
    }

    fn view(&self) -> Quantized<'_> {
        Quantized { q: &self.q, scale: &self.scale, sums: &self.sums, columns: self.padded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_timed_and_one_is_chosen() {
        let engine = Engine::builder().threads(Some(1)).build().unwrap();
        let types = vec!["Q4_0".to_string(), "f16".to_string()];
        let bench = ProductBench { rows: 33, columns: 64, activations: 3, types };
        let times = bench.run(&engine).unwrap();
        assert_eq!(times.len(), 2 * kernels::available().count());
        assert_eq!(times.iter().filter(|time| time.is_chosen).count(), 2);
        for time in &times {
            assert!(time.macs == 33 * 64 * 3 && time.bandwidth_share() > 0.0, "{time:?}");
            assert!(time.memory.best <= time.memory.median && time.cache_macs_per_second(33) > 0.0);
        }
        for (rows, columns, name, said) in [
            (0, 64, "q4_0", "more than 0"),
            (1 << 20, 1 << 20, "q4_0", "at most 2^31"),
            (16, 65, "q4_0", "whole blocks"),
            (16, 64, "q9", "--type is q9"),
        ] {
            let bench = ProductBench { rows, columns, activations: 1, types: vec![name.to_string()] };
            assert!(bench.run(&engine).unwrap_err().to_string().contains(said), "{said}");
        }
    }
}
