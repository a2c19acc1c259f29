//! What this machine can do, measured by `doctor` and kept, or measured on the spot for one model.

use crate::Reuse;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tensor::DType;

/// Rates of one machine. Bytes and operations a second, all threads together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Reading memory.
    pub memory_bytes: f64,
    /// Reading flash past the page cache, as the weight store reads.
    pub flash_bytes: f64,
    /// Products by the name of the type of their weights.
    pub products: BTreeMap<String, ProductRate>,
    /// Floating-point operations of everything else.
    pub float_ops: f64,
    /// Seconds that an operator takes for being one, besides what its size costs.
    pub node_seconds: f64,
    /// Threads that this was measured with.
    pub threads: u32,
    /// Name of the kernels that this was measured with; empty for a guess.
    pub isa: String,
    /// How the experts of the model at hand are reused, if that is known.
    #[serde(skip)]
    pub reuse: Option<Reuse>,
}

/// How fast products with one type of weight are out of the cache, multiply-adds a second.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductRate {
    /// With one column: a token of an answer.
    pub one: f64,
    /// With 64 columns: a prompt. Weights are unpacked once for them.
    pub many: f64,
}

/// Columns that share one unpacking of the weights, at most.
const SHARED: u32 = 64;

impl Profile {
    /// A cautious guess for a machine of `threads` threads that nobody has measured.
    pub fn guess(threads: u32) -> Profile {
        let t = f64::from(threads.max(1));
        Profile {
            memory_bytes: 10e9 * t.min(2.0),
            flash_bytes: 0.8e9,
            products: BTreeMap::new(),
            float_ops: 8e9 * t,
            node_seconds: 1e-6,
            threads,
            isa: String::new(),
            reuse: None,
        }
    }

    /// Whether it was measured; otherwise it is a guess.
    pub fn is_measured(&self) -> bool {
        !self.isa.is_empty()
    }

    /// Multiply-adds a second of a product with weights of `dtype` and `rows` columns of activations: weights are
    /// unpacked once for 64 columns and multiplied by each.
    pub fn product(&self, dtype: DType, rows: u32) -> f64 {
        let threads = f64::from(self.threads.max(1));
        let guess = ProductRate { one: 15e9 * threads, many: 80e9 * threads };
        let rate = self.products.get(dtype.name()).copied().unwrap_or(guess);
        let (shared, rows) = (f64::from(SHARED), f64::from(rows.max(1)));
        let multiply = ((shared / rate.many - 1.0 / rate.one) / (shared - 1.0)).max(0.0);
        let unpack = (1.0 / rate.one - multiply).max(0.0);
        rows / (unpack * (rows / shared).ceil() + rows * multiply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_runs_at_the_rates_that_were_measured_and_between_them() {
        let profile = Profile::guess(1);
        let rate = |rows| profile.product(DType::Q8_0, rows) / 1e9;
        assert!((rate(1) - 15.0).abs() < 1e-6 && (rate(64) - 80.0).abs() < 1e-6);
        assert!((rate(512) - 80.0).abs() < 1e-6);
        assert!(rate(16) > 40.0 && rate(16) < 75.0, "{}", rate(16));
    }
}
