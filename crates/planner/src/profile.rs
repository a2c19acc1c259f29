//! What this machine can do, measured by `doctor` and kept, or measured on the spot for one model.

use crate::Reuse;
use host::{Reader, StreamOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tensor::DType;

/// Rates of one machine. Bytes and operations a second, all threads together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Reading memory.
    pub memory_bytes: f64,
    /// Reading flash as the weight store reads, if nothing better is known of the size of its runs.
    pub flash_bytes: f64,
    /// How flash is read best, the shortest runs first; empty if nobody tried.
    #[serde(default)]
    pub ways: Vec<FlashWay>,
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

/// How flash is asked for runs of one size, and what it gives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlashWay {
    /// Bytes of a run; the window holds three.
    pub run_bytes: u64,
    /// Who reads.
    #[serde(with = "by_name")]
    pub reader: Reader,
    /// Reads under way at once, if the window holds as many.
    pub depth: usize,
    /// Bytes of a read at most.
    pub request_bytes: usize,
    /// Bytes a second.
    pub bytes_per_second: f64,
}

impl FlashWay {
    /// As a stream reads if it is told no more than who reads.
    pub fn plain(reader: Reader, run_bytes: u64, bytes_per_second: f64) -> FlashWay {
        let StreamOptions { depth, request_bytes, .. } = StreamOptions::default();
        FlashWay { run_bytes, reader, depth, request_bytes, bytes_per_second }
    }

    /// A stream's options that say the same.
    pub fn options(&self) -> StreamOptions {
        let &FlashWay { reader, depth, request_bytes, .. } = self;
        StreamOptions { reader, depth, request_bytes, ..StreamOptions::default() }
    }
}

/// Columns that share one unpacking of the weights, at most.
const SHARED: u32 = 128;

impl Profile {
    /// A cautious guess for a machine of `threads` threads that nobody has measured.
    pub fn guess(threads: u32) -> Profile {
        let t = f64::from(threads.max(1));
        Profile {
            memory_bytes: 10e9 * t.min(2.0),
            flash_bytes: 0.8e9,
            ways: Vec::new(),
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

    /// How runs of so many bytes are read: as was found best for runs not much longer.
    pub fn way(&self, run_bytes: u64) -> FlashWay {
        let way = self.ways.iter().rfind(|way| way.run_bytes / 2 <= run_bytes).or(self.ways.first());
        way.copied().unwrap_or_else(|| FlashWay::plain(Reader::Auto, run_bytes, self.flash_bytes))
    }

    /// Lets `reader` read and nobody else, in the ways that are known of it.
    pub fn read_by(&mut self, reader: Reader) {
        self.ways.retain(|way| way.reader == reader);
        if self.ways.is_empty() {
            self.ways.push(FlashWay::plain(reader, 0, self.flash_bytes));
        }
    }

    /// Multiply-adds a second of a product with weights of `dtype` and `rows` columns of activations: weights are
    /// unpacked once for 128 columns and multiplied by each.
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

/// A reader in a file.
mod by_name {
    use super::Reader;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(reader: &Reader, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(reader.name())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(deserializer: D) -> Result<Reader, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_read_as_was_found_best_for_their_size_unless_the_user_names_a_reader() {
        let mut profile = Profile::guess(1);
        assert_eq!(profile.way(1 << 20).options().reader, Reader::Auto);
        let short = FlashWay::plain(Reader::Uring2, 512 << 10, 1e9);
        let long = FlashWay { request_bytes: 4 << 20, ..FlashWay::plain(Reader::Auto, 4 << 20, 2e9) };
        profile.ways = vec![short, long];
        for (run, way) in [(1 << 10, short), (512 << 10, short), (1 << 20, short), (4_000_000, long)] {
            assert_eq!(profile.way(run), way, "{run}");
        }
        profile.read_by(Reader::Uring2);
        assert_eq!(profile.way(4 << 20), short);
        profile.read_by(Reader::Cached);
        assert_eq!(profile.way(4 << 20).options().reader, Reader::Cached);
    }

    #[test]
    fn a_product_runs_at_the_rates_that_were_measured_and_between_them() {
        let profile = Profile::guess(1);
        let rate = |rows| profile.product(DType::Q8_0, rows) / 1e9;
        assert!((rate(1) - 15.0).abs() < 1e-6 && (rate(128) - 80.0).abs() < 1e-6);
        assert!((rate(512) - 80.0).abs() < 1e-6);
        assert!(rate(16) > 40.0 && rate(16) < 75.0, "{}", rate(16));
    }
}
