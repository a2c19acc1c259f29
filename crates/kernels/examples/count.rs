//! Runs every kernel of an instruction set once, on one thread, for a counter of instructions: `count SET`.
//!
//! Not a benchmark and not a test: `instructions.py` runs it under callgrind and compares. The one design choice: a kernel
//! runs inside [`counted_call`], the only function that is counted, and then its name is printed. So the n-th count belongs
//! to the n-th name.

use host::{Ledger, Pool};
use pintpot_kernels::{
    Activation, Attention, Cpu, KvFormat, KvShape, Order, Quantized, QuantizedMut, RopeStyle, Weights,
};
use std::hint::black_box;
use tensor::DType;

/// Rows of activations, and of weights.
const ROWS: usize = 64;
/// Elements of a row.
const WIDTH: usize = 512;

fn main() {
    let wanted = std::env::args().nth(1).unwrap_or_default();
    let Some(set) = pintpot_kernels::available().find(|set| set.name() == wanted) else {
        eprintln!("this CPU has no instruction set {wanted:?}");
        std::process::exit(2);
    };
    let ledger = Ledger::new(1 << 30);
    let cpu = Cpu::new(set, Pool::new(&ledger, 1).expect("a thread"), &ledger).expect("memory");
    products(&cpu);
    attention(&cpu);
    rows(&cpu);
}

/// What is counted; callgrind knows it by this name.
#[inline(never)]
#[unsafe(no_mangle)]
fn counted_call(kernel: &mut dyn FnMut()) {
    kernel();
    // Something to do after the call keeps it from being a jump.
    black_box(());
}

fn count(name: &str, mut kernel: impl FnMut()) {
    counted_call(black_box(&mut kernel));
    println!("{name}");
}

/// Numbers in -1..1; kernels do not depend on which.
fn noise(n: usize) -> Vec<f32> {
    (0..n).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect()
}

/// Activations as integers.
struct Columns {
    q: Vec<i8>,
    scale: Vec<f32>,
    sums: Vec<i16>,
}

impl Columns {
    fn new(n: usize) -> Columns {
        let (q, scale, sums) = (vec![0; n * WIDTH], vec![0.0; n * WIDTH / 32], vec![0; n * WIDTH / 16]);
        Columns { q, scale, sums }
    }

    fn fill(&mut self, cpu: &Cpu, x: &[f32]) {
        let room = QuantizedMut { q: &mut self.q, scale: &mut self.scale, sums: &mut self.sums };
        cpu.quantize(x, WIDTH, room);
    }

    fn view(&self) -> Quantized<'_> {
        Quantized { q: &self.q, scale: &self.scale, sums: &self.sums, columns: WIDTH }
    }
}

/// Products of all types with weights, with one column and with many.
fn products(cpu: &Cpu) {
    for dtype in DType::all().filter(|dtype| dtype.block().is_some()) {
        // In every format these bytes are blocks with ordinary scales.
        let bytes = vec![0x33; ROWS * dtype.bytes_of(WIDTH as u64).expect("whole blocks") as usize];
        let in_rows = Weights::in_rows(dtype, &bytes, ROWS, WIDTH);
        let weights = Weights { order: Order::best(dtype, ROWS), ..in_rows };
        let ways =
            [(1, weights, "1 column"), (ROWS, weights, "64 columns"), (1, in_rows, "1 column, as in a file")];
        for (n, weights, what) in ways.into_iter().take(if weights.order == Order::Rows { 2 } else { 3 }) {
            let (x, mut out) = (noise(n * WIDTH), vec![0.0; n * ROWS]);
            let mut columns = Columns::new(n);
            columns.fill(cpu, &x);
            count(&format!("{dtype}, {what}"), || match dtype.is_quantized() {
                true => cpu.product(weights, &columns.view(), &mut out, ROWS, 0, None),
                false => cpu.product_float(weights, &x, &mut out, ROWS, 0),
            });
        }
    }
}

/// Attention of one row and of many, and what it stores.
fn attention(cpu: &Cpu) {
    let (heads, kv_heads, head_dim, slots) = (6, 2, 64, 512);
    for (format, cached) in [(KvFormat::F16, "f16"), (KvFormat::Q8_0, "q8_0")] {
        let shape = KvShape { format, slots, heads: kv_heads, head_dim };
        let x = noise(slots * kv_heads * head_dim);
        let (mut k, mut v) = (vec![0; shape.bytes()], vec![0; shape.bytes()]);
        count(&format!("store keys {cached}"), || cpu.store_keys(shape, &x, &mut k, 0));
        count(&format!("store values {cached}"), || cpu.store_values(shape, &x, &mut v, 0));
        for (n, first_pos, what) in [(1, slots - 1, "1 row"), (ROWS, ROWS, "64 rows")] {
            let q = noise(n * heads * head_dim);
            let mut out = vec![0.0; q.len()];
            let (window, scale, softcap, sinks) = (None, 0.125, None, None);
            let (q, k, v, cache, value_dim) = (&q, &k, Some(&*v), shape, head_dim);
            let attention =
                Attention { q, k, v, cache, value_dim, heads, first_pos, window, scale, softcap, sinks };
            count(&format!("attention {cached}, {what}"), || cpu.attention(&attention, &mut out));
        }
    }
}

/// What is done to rows.
fn rows(cpu: &Cpu) {
    let (mut x, y) = (noise(ROWS * WIDTH), noise(ROWS * WIDTH));
    let mut columns = Columns::new(ROWS);
    count("quantize", || columns.fill(cpu, &y));
    count("rms norm", || cpu.rms_norm_in_place(&mut x, &y[..WIDTH], 1e-5));
    for (activation, what) in [(Activation::GeluTanh, "gelu"), (Activation::Silu, "silu")] {
        // What went in before must not come in again: it would soon be too small for ordinary arithmetic.
        x.copy_from_slice(&y);
        count(&format!("glu {what}"), || cpu.glu(activation, &mut x, &y));
    }
    let (heads, head_dim) = (WIDTH / 64, 64);
    let (cos, sin) = (noise(ROWS * head_dim / 2), noise(ROWS * head_dim / 2));
    for (style, what) in [(RopeStyle::Halves, "halves"), (RopeStyle::Interleaved, "interleaved")] {
        count(&format!("rope {what}"), || cpu.rope(&mut x, heads, head_dim, &cos, &sin, head_dim, style));
    }
    count("add", || cpu.add(&mut x, &y));
    count("scale", || cpu.scale(&mut x, 0.5));
    count("softcap", || cpu.softcap(&mut x, 30.0));
}
