//! What this machine does at most, the bounds beside which figures are told.
//!
//! What it is: [`Silicon`], three rates. What it is not: a [`Profile`], which says how fast our own kernels are and what a
//! forecast rests on. The one design choice: the best of several measurements, since a bound is not what a busy moment allows.

use crate::{Error, measure};
use graph::Graph;
use host::{Ledger, Pool};
use kernels::{KernelSet, Peak};
use planner::{ProductRate, Profile};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tensor::{BLOCK_FORMATS, DType};

/// Measurements of each rate.
const RUNS: usize = 3;

/// Rates of all threads together, a second.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Silicon {
    /// Bytes of memory read, in four places at once by each thread.
    pub memory_bytes: f64,
    /// Multiply-adds of bytes in registers, with the instruction of the kernels that does most of them.
    pub byte_macs: f64,
    /// Fused multiply-adds of f32 in registers.
    pub float_macs: f64,
}

impl Silicon {
    /// Measures this machine with the instructions of `kernels`.
    ///
    /// # Errors
    /// Memory that cannot be had.
    pub(super) fn measure(kernels: &KernelSet, threads: usize) -> Result<Silicon, Error> {
        let ledger = Ledger::new(u64::MAX / 2);
        let mut most = Silicon::default();
        for _ in 0..RUNS {
            let pool = Pool::new(&ledger, threads)?;
            let memory_bytes = measure::memory(kernels, &ledger, threads)?;
            let [byte_macs, float_macs] =
                [Peak::Bytes, Peak::Floats].map(|peak| multiplying(kernels, &pool, peak));
            most = most.or_more(&Silicon { memory_bytes, byte_macs, float_macs });
        }
        Ok(most)
    }

    /// The greater of each rate.
    pub(super) fn or_more(&self, other: &Silicon) -> Silicon {
        Silicon {
            memory_bytes: self.memory_bytes.max(other.memory_bytes),
            byte_macs: self.byte_macs.max(other.byte_macs),
            float_macs: self.float_macs.max(other.float_macs),
        }
    }

    /// Multiply-adds a second that a product with weights of `dtype` cannot exceed.
    pub fn macs(&self, dtype: DType) -> f64 {
        if dtype.is_quantized() { self.byte_macs } else { self.float_macs }
    }

    /// The least seconds that the arithmetic of a step takes.
    pub(super) fn arithmetic(&self, graph: &Graph, bounds: &graph::Bounds, context: u32) -> f64 {
        let rate = |dtype| ProductRate { one: self.macs(dtype), many: self.macs(dtype) };
        let types = BLOCK_FORMATS.iter().map(|format| format.dtype());
        let ideal = Profile {
            products: types.map(|dtype| (dtype.name().to_string(), rate(dtype))).collect(),
            float_ops: 2.0 * self.float_macs,
            ..Profile::guess(1)
        };
        planner::step_bounds(graph, &ideal, bounds, context).arithmetic
    }
}

/// Multiply-adds a second in registers: the best of short runs.
fn multiplying(kernels: &KernelSet, pool: &Pool, peak: Peak) -> f64 {
    /// Tasks of a run, and what each does: some tenths of a millisecond where a step is an instruction.
    const TASKS: usize = 32;
    const TIMES: usize = 64;
    const RUNS: usize = 5;
    let rates = (0..RUNS).map(|_| {
        let (done, start) = (AtomicU64::new(0), Instant::now());
        pool.run(TASKS, &|_| {
            done.fetch_add(kernels.multiply(peak, TIMES), Ordering::Relaxed);
        });
        done.into_inner() as f64 / start.elapsed().as_secs_f64()
    });
    rates.fold(0.0, f64::max)
}
