//! Times the products of a prompt: `prompt COLUMNS [TYPE] [ISA]`, for the shapes of a 7B model and of small ones.
//!
//! Not a test. The one design choice: many matrices of a shape in turn, more than processors' caches hold, since a model's
//! weights come from memory.

use host::{Ledger, Pool};
use pintpot_kernels::{Cpu, Quantized, QuantizedMut, Weights};
use std::time::Instant;
use tensor::DType;

/// Rows and elements of a row.
const SHAPES: [(usize, usize); 6] =
    [(4096, 4096), (11008, 4096), (4096, 11008), (4864, 896), (896, 4864), (1536, 576)];
/// Bytes of all matrices of a shape.
const BYTES: usize = 192 << 20;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let columns = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(128);
    let (dtype, isa) = (arguments.next().unwrap_or("Q4_0".into()), arguments.next());
    let dtype = DType::all().find(|known| known.name() == dtype).expect("a type, such as Q4_0");
    let sets: Vec<_> = pintpot_kernels::available().collect();
    let set = sets.iter().find(|set| Some(set.name()) == isa.as_deref()).or(sets.last());
    let set = *set.expect("the plain set is always there");
    let ledger = Ledger::new(8 << 30);
    for threads in [1, 2] {
        let cpu = Cpu::new(set, Pool::new(&ledger, threads).expect("threads"), &ledger).expect("memory");
        for shape in SHAPES {
            measure(&cpu, dtype, shape, columns);
        }
    }
}

fn measure(cpu: &Cpu, dtype: DType, (rows, k): (usize, usize), n: usize) {
    let Some(bytes) = dtype.bytes_of((rows * k) as u64) else { return };
    let matrices = vec![0x33; BYTES / bytes as usize * bytes as usize];
    let x: Vec<f32> = (0..n * k).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 700.0).collect();
    let (mut q, mut scale, mut sums) = (vec![0; n * k], vec![0.0; n * k / 32], vec![0; n * k / 16]);
    let start = Instant::now();
    cpu.quantize(&x, k, QuantizedMut { q: &mut q, scale: &mut scale, sums: &mut sums });
    let quantizing = start.elapsed().as_secs_f64();
    let x = Quantized { q: &q, scale: &scale, sums: &sums, columns: k };
    let mut out = vec![0.0; n * rows];
    let mut rates = Vec::new();
    let until = Instant::now() + std::time::Duration::from_millis(800);
    for bytes in matrices.chunks_exact(bytes as usize).cycle() {
        let start = Instant::now();
        cpu.product(Weights::in_rows(dtype, bytes, rows, k), &x, &mut out, rows, 0, None);
        rates.push((n * rows * k) as f64 / start.elapsed().as_secs_f64() / 1e9);
        if start > until {
            break;
        }
    }
    rates.sort_by(f64::total_cmp);
    let (median, best) = (rates[rates.len() / 2], rates[rates.len() - 1]);
    let (threads, quantizing) = (cpu.threads(), quantizing * 1e6);
    println!(
        "{dtype} {rows} x {k} x {n}, {threads} threads: {median:.0} G/s, best {best:.0}; quantizing {quantizing:.0} us"
    );
}
