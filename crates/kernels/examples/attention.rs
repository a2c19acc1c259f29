//! Times attention: `attention [ISA]`. One row (a step of decoding) is measured in bytes of the cache, 64 rows in
//! multiply-adds.
//!
//! Not a test. The one design choice: many layers' caches in turn, more than processors' caches hold, as a model has them.

use host::{Ledger, Pool};
use pintpot_kernels::{Attention, Cpu, KvFormat, KvShape};
use std::time::Instant;

/// (heads, heads of the cache, elements of a head); values of the widest are the first 512 elements of its keys.
const SHAPES: [(usize, usize, usize); 5] =
    [(9, 3, 64), (14, 2, 64), (4, 1, 256), (32, 8, 128), (16, 1, LATENT)];
const LATENT: usize = 576;

fn main() {
    let wanted = std::env::args().nth(1);
    let sets: Vec<_> = pintpot_kernels::available().collect();
    let set = sets.iter().find(|set| Some(set.name()) == wanted.as_deref()).or(sets.last());
    let set = *set.expect("the plain set is always there");
    let ledger = Ledger::new(8 << 30);
    for threads in [1, 2] {
        let cpu = Cpu::new(set, Pool::new(&ledger, threads).expect("threads"), &ledger).expect("memory");
        for (heads, kv_heads, head_dim) in SHAPES {
            for (rows, depth) in [(1, 512), (1, 4096), (64, 512), (64, 4096)] {
                measure(&cpu, heads, kv_heads, head_dim, rows, depth);
            }
        }
    }
}

fn measure(cpu: &Cpu, heads: usize, kv_heads: usize, head_dim: usize, rows: usize, depth: usize) {
    let slots = (depth + rows).next_multiple_of(64);
    let shape = KvShape { format: KvFormat::F16, slots, heads: kv_heads, head_dim };
    let bytes = shape.bytes();
    let layers = ((128 << 20) / (2 * bytes)).clamp(1, 30);
    let noise = |n: usize| (0..n).map(|i| ((i * 7919 % 1000) as f32 - 500.0) / 700.0).collect::<Vec<f32>>();
    let caches: Vec<[Vec<u8>; 2]> = (0..layers)
        .map(|_| {
            let (mut keys, mut values) = (vec![0; bytes], vec![0; bytes]);
            cpu.store_keys(shape, &noise(slots * kv_heads * head_dim), &mut keys, 0);
            cpu.store_values(shape, &noise(slots * kv_heads * head_dim), &mut values, 0);
            [keys, values]
        })
        .collect();
    let q = noise(rows * heads * head_dim);
    let value_dim = if head_dim == LATENT { 512 } else { head_dim };
    let mut out = vec![0.0; rows * heads * value_dim];
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let start = Instant::now();
        for [k, v] in &caches {
            let (window, scale, softcap, sinks) = (None, 0.125, None, None);
            let attention = Attention {
                q: &q,
                k,
                v: (value_dim == head_dim).then_some(v),
                cache: shape,
                value_dim,
                heads,
                first_pos: depth,
                window,
                scale,
                softcap,
                sinks,
            };
            cpu.attention(&attention, &mut out);
        }
        best = best.min(start.elapsed().as_secs_f64() / layers as f64);
    }
    let macs = (rows * heads * (head_dim + value_dim) * (depth + rows / 2)) as f64;
    let kept = if value_dim == head_dim { 2 * head_dim } else { head_dim };
    let cached = ((depth + rows) * kv_heads * kept * 2) as f64;
    println!(
        "{} threads, {heads} over {kv_heads} heads of {head_dim}, {rows} rows after {depth}: {:8.1} us {:6.1} G/s {:6.2} GB/s",
        cpu.threads(),
        best * 1e6,
        macs / best / 1e9,
        cached / best / 1e9
    );
}
