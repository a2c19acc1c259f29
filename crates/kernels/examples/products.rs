//! How fast the products are: `cargo run --release -p pintpot-kernels --example products [TYPE..]`.
//!
//! Not a test. One column is measured against reading the same bytes, many columns as operations a second (a multiply and
//! an add are two). Matrices are rotated so that one column finds its weights in memory, not in a cache; each figure is
//! the best of many calls.

use host::{Ledger, Pool};
use pintpot_kernels::{Cpu, Quantized, QuantizedMut, Weights, best};
use std::time::Instant;
use tensor::DType;

/// Bytes of weights that a round of one column goes through.
const BYTES: usize = 512 << 20;
/// How long each figure is looked for.
const SECONDS: f64 = 0.4;
const SHAPES: [(usize, usize); 3] = [(576, 1536), (4096, 4096), (11008, 4096)];

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let all = best().fast_types().map(|t| t.name().to_owned()).collect();
    let ledger = Ledger::new(8 << 30);
    let memory: Vec<u64> = (0..BYTES as u64 / 8).collect();
    for threads in [1, 2] {
        let pool = Pool::new(&ledger, threads).expect("threads");
        println!("{threads} threads: reads {:.1} GB/s", read_bandwidth(&pool, &memory));
        let cpu = Cpu::new(best(), pool, &ledger).expect("room for scratch");
        for name in if wanted.is_empty() { &all } else { &wanted } {
            let dtype = DType::all().find(|t| t.name() == name).expect("a type's name");
            for (rows, k) in SHAPES {
                measure(&cpu, dtype, rows, k, &memory);
            }
        }
    }
}

/// The best rate of summing up `memory`, GB/s.
fn read_bandwidth(pool: &Pool, memory: &[u64]) -> f64 {
    let piece = 1 << 14;
    let seconds = best_of(|_| {
        pool.run(memory.len() / piece, &|i| {
            let mut sums = [0u64; 16];
            for chunk in memory[i * piece..(i + 1) * piece].chunks_exact(16) {
                (0..16).for_each(|j| sums[j] ^= chunk[j]);
            }
            std::hint::black_box(sums);
        });
    });
    size_of_val(memory) as f64 / seconds / 1e9
}

fn measure(cpu: &Cpu, dtype: DType, rows: usize, k: usize, memory: &[u64]) {
    let bytes = rows * dtype.bytes_of(k as u64).expect("whole blocks") as usize;
    let all = weights(dtype, memory.len() * 8 / bytes * bytes);
    let mut line = format!("{:>2} {:6} {rows:5} x {k:4}", cpu.threads(), dtype.name());
    for n in [1, 2, 8, 64, 512] {
        let x = Columns::new(cpu, n, k);
        let mut out = vec![0.0; n * rows];
        let per = best_of(|call| {
            let at = call % (all.len() / bytes) * bytes;
            let weights = Weights { dtype, bytes: &all[at..at + bytes], rows, columns: k };
            cpu.product(weights, &x.view(), &mut out, rows, 0);
        });
        line += &match n {
            1 => format!("  {:5.1} GB/s", bytes as f64 / per / 1e9),
            _ => format!("  {n}: {:4.0} GOP/s", 2.0 * (rows * k * n) as f64 / per / 1e9),
        };
    }
    println!("{line}");
}

/// The shortest of many calls, in seconds.
fn best_of(mut run: impl FnMut(usize)) -> f64 {
    let (start, mut shortest) = (Instant::now(), f64::INFINITY);
    for call in 0.. {
        let from = Instant::now();
        run(call);
        shortest = shortest.min(from.elapsed().as_secs_f64());
        if start.elapsed().as_secs_f64() > SECONDS {
            break;
        }
    }
    shortest
}

/// One block of ordinary numbers, over and over.
fn weights(dtype: DType, bytes: usize) -> Vec<u8> {
    let values: Vec<f32> = (0..dtype.block_elements()).map(|i| (i as f32 * 0.7).sin()).collect();
    let mut block = vec![0; dtype.block_bytes()];
    dtype.block().expect("a block format").quantize(&values, &mut block);
    block.iter().copied().cycle().take(bytes).collect()
}

struct Columns {
    q: Vec<i8>,
    scale: Vec<f32>,
    sums: Vec<i16>,
    k: usize,
}

impl Columns {
    fn new(cpu: &Cpu, n: usize, k: usize) -> Columns {
        let x: Vec<f32> = (0..n * k).map(|i| (i as f32 * 0.3).cos()).collect();
        let (q, scale, sums) = (vec![0; n * k], vec![0.0; n * k / 32], vec![0; n * k / 16]);
        let mut out = Columns { q, scale, sums, k };
        cpu.quantize(&x, k, QuantizedMut { q: &mut out.q, scale: &mut out.scale, sums: &mut out.sums });
        out
    }

    fn view(&self) -> Quantized<'_> {
        Quantized { q: &self.q, scale: &self.scale, sums: &self.sums, columns: self.k }
    }
}
