//! The kernel suite: every instruction set of this CPU, any number of threads and any split give the bits of the plain
//! definition.
//!
//! Not a test of accuracy, except where it says so: equality is by bits, NaNs being equal to each other.

use host::{Ledger, Pool};
use pintpot_kernels::{
    Activation, Activations, Attention, Cpu, KvFormat, KvShape, Matrix, NextRows, Order, Output, Quantized,
    QuantizedMut, RopeStyle, Weights, available,
};
use tensor::{DType, PanelOrder};

/// All kernel sets with one thread and, where there are threads, with three; the first is the definition.
fn cpus() -> Vec<Cpu> {
    let ledger = Ledger::new(1 << 30);
    let cpu = |set, threads| Cpu::new(set, Pool::new(&ledger, threads).unwrap(), &ledger).unwrap();
    let threads: &[usize] = if cfg!(target_arch = "wasm32") { &[1] } else { &[1, 3] };
    available().flat_map(|set| threads.iter().map(move |&threads| cpu(set, threads))).collect()
}

/// Runs `op` on every CPU and checks that all give the bits of the first.
fn same(what: &str, op: impl Fn(&Cpu) -> Vec<f32>) -> Vec<f32> {
    let bits = |x: &[f32]| -> Vec<u32> {
        x.iter().map(|x| if x.is_nan() { f32::NAN.to_bits() } else { x.to_bits() }).collect()
    };
    let cpus = cpus();
    let want = op(&cpus[0]);
    for cpu in &cpus[1..] {
        let (got, want) = (bits(&op(cpu)), bits(&want));
        let wrong = got.iter().zip(&want).position(|(a, b)| a != b);
        let name = cpu.isa_name();
        assert_eq!((wrong, got.len()), (None, want.len()), "{what}: {name}, {} threads", cpu.threads());
    }
    want
}

/// Numbers in -1..1, the same in every run.
fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

struct Columns {
    q: Vec<i8>,
    scale: Vec<f32>,
    sums: Vec<i16>,
    k: usize,
}

impl Columns {
    fn new(cpu: &Cpu, x: &[f32], k: usize) -> Columns {
        let (n, padded) = (x.len() / k, Quantized::padded(k));
        let mut out = Columns {
            q: vec![0; n * padded],
            scale: vec![0.0; n * padded / 32],
            sums: vec![0; n * padded / 16],
            k: padded,
        };
        let room = QuantizedMut { q: &mut out.q, scale: &mut out.scale, sums: &mut out.sums };
        cpu.quantize(x, k, room);
        out
    }

    fn view(&self) -> Quantized<'_> {
        Quantized { q: &self.q, scale: &self.scale, sums: &self.sums, columns: self.k }
    }
}

/// Rows of `dtype`, from numbers that make every block use its extremes. After so many blocks they come again: choosing
/// from a codebook takes long on an emulator.
fn weights(dtype: DType, rows: usize, k: usize, seed: u64) -> Vec<u8> {
    const DISTINCT: usize = 47;
    let format = dtype.block().unwrap();
    let (elements, bytes) = (dtype.block_elements(), dtype.block_bytes());
    let blocks = rows * k / elements;
    let mut values = random(blocks.min(DISTINCT) * elements, seed);
    values.chunks_mut(elements).step_by(7).for_each(|block| block.fill(0.0));
    let mut out = vec![0; values.len() / elements * bytes];
    for (block, values) in out.chunks_mut(bytes).zip(values.chunks(elements)) {
        format.quantize(values, block);
    }
    out.into_iter().cycle().take(blocks * bytes).collect()
}

/// `PINTPOT_TEST_ISAS` names sets that this CPU must have, so that a run on an emulator tests what it should.
#[test]
fn wanted_sets_are_there() {
    let wanted = std::env::var("PINTPOT_TEST_ISAS").unwrap_or_default();
    for name in wanted.split_whitespace() {
        assert!(available().any(|set| set.name() == name), "this CPU has no {name}");
    }
}

#[test]
fn quantised_products() {
    let quantised = DType::all().filter(|t| t.is_quantized() && t.block().is_some());
    for dtype in quantised {
        let unit = dtype.block_elements();
        for (rows, k, n) in [
            (1, 1, 1),
            (15, 2, 3),
            (16, 1, 1),
            (16, 9, 20),
            (83, 3, 1),
            (100, 2, 17),
            (150, 5, 7),
            (33, 1, 130),
            (49, 2, 150),
            (80, 9, 1),
            (160, 3, 6),
            (64, 2, 33),
        ] {
            let k = k * unit;
            let bytes = weights(dtype, rows, k, 7 + rows as u64);
            let x = random(n * k, 11);
            let product = |cpu: &Cpu, weights: Weights| {
                let columns = Columns::new(cpu, &x, k);
                let mut out = vec![0.0; n * (rows + 5)];
                cpu.product(weights, &columns.view(), &mut out, rows + 5, 2, None);
                out
            };
            let what = format!("{dtype} {rows} x {k}, {n} columns");
            let in_rows = same(&what, |cpu| product(cpu, Weights::in_rows(dtype, &bytes, rows, k)));
            if rows % PanelOrder::ROWS == 0 {
                let bytes = in_panels(dtype, &bytes, rows);
                let weights = Weights { order: Order::Panels, ..Weights::in_rows(dtype, &bytes, rows, k) };
                assert_eq!(same(&what, |cpu| product(cpu, weights)), in_rows, "{what}, in panels");
            }
        }
    }
}

#[test]
fn matrices_at_once_are_as_one_after_another() {
    let (k, rows) = (512, 80);
    let dtypes = [DType::Q5_0, DType::Q5_0, DType::Q6_K, DType::Q4_K, DType::Q5_0];
    let bytes: Vec<Vec<u8>> = dtypes.iter().map(|dtype| weights(*dtype, rows, k, 5)).collect();
    let panels: Vec<Vec<u8>> =
        dtypes.iter().zip(&bytes).map(|(d, bytes)| in_panels(*d, bytes, rows)).collect();
    // Two lie in the first output with a gap between, the last in the order of a file.
    let places = [(0, 0), (0, rows + 3), (1, 2), (2, 0), (3, 0)];
    let (strides, n_max) = ([2 * rows + 3, rows + 4, rows, rows], 40);
    let x = random(n_max * k, 13);
    for n in [1, 2, 7, 16, n_max] {
        same(&format!("{n} columns"), |cpu| {
            let columns = Columns::new(cpu, &x[..n * k], k);
            let mut matrices = Vec::new();
            for (i, (output, first)) in places.into_iter().enumerate() {
                let in_rows = Weights::in_rows(dtypes[i], &bytes[i], rows, k);
                let weights = match i {
                    4 => in_rows,
                    _ => Weights { order: Order::Panels, bytes: &panels[i], ..in_rows },
                };
                matrices.push(Matrix { weights, output, first });
            }
            let (mut together, mut apart) =
                (strides.map(|s| vec![0.0; n * s]), strides.map(|s| vec![0.0; n * s]));
            let outputs = |all: &mut [Vec<f32>; 4], job: &[Matrix]| {
                let [a, b, c, d] = all;
                let mut strides = strides.into_iter();
                let mut outputs =
                    [a, b, c, d].map(|values| Output { values, stride: strides.next().unwrap() });
                let next = NextRows { bytes: &bytes[0], rows };
                cpu.products(job, &Activations::Int8(columns.view()), &mut outputs, &[next, next]);
            };
            outputs(&mut together, &matrices);
            matrices.iter().for_each(|matrix| outputs(&mut apart, &[*matrix]));
            assert!(together == apart, "{n} columns, {}, {} threads", cpu.isa_name(), cpu.threads());
            together.concat()
        });
    }
}

#[test]
#[should_panic(expected = "where another's are")]
fn matrices_whose_results_overlap_are_a_mistake() {
    let (cpu, bytes) = (cpus().remove(0), weights(DType::F32, 4, 8, 1));
    let weights = Weights::in_rows(DType::F32, &bytes, 4, 8);
    let job = [0, 3].map(|first| Matrix { weights, output: 0, first });
    let (x, mut values) = (random(8, 1), [0.0; 8]);
    let output = Output { values: &mut values, stride: 8 };
    cpu.products(&job, &Activations::Floats(&x), &mut [output], &[]);
}

/// The same rows, sixteen side by side.
fn in_panels(dtype: DType, bytes: &[u8], rows: usize) -> Vec<u8> {
    let (order, mut out) = (PanelOrder::of(dtype).unwrap(), vec![0; bytes.len()]);
    order.interleave(bytes, bytes.len() / rows, &mut out);
    for set in available() {
        let mut same = vec![0; bytes.len()];
        set.interleave(order, bytes, bytes.len() / rows, &mut same);
        assert!(same == out, "{rows} rows of {dtype} side by side on {}", set.name());
    }
    out
}

#[test]
fn extreme_integers_do_not_overflow() {
    for dtype in DType::all().filter(|t| t.is_quantized() && t.block().is_some()) {
        let (rows, k) = (32, 512);
        // The largest codes everywhere, with scales that are not NaN.
        for fill in [0x80u8, 0xff, 0x7f] {
            let mut bytes = vec![fill; rows * dtype.bytes_of(k as u64).unwrap() as usize];
            for block in bytes.chunks_mut(dtype.block_bytes()) {
                let len = block.len();
                for at in [0, 2, len - 2].into_iter().filter(|&at| fits_scale(dtype, at, len)) {
                    block[at..at + 2].copy_from_slice(&[0x00, 0x3c]);
                }
            }
            for value in [1.0f32, -1.0] {
                let x = vec![value; 5 * k];
                same(&format!("{dtype} of {fill:#x} by {value}"), |cpu| {
                    let columns = Columns::new(cpu, &x, k);
                    let mut out = vec![0.0; 5 * rows];
                    let weights = Weights::in_rows(dtype, &bytes, rows, k);
                    cpu.product(
                        weights,
                        &columns.view(),
                        &mut out,
                        rows,
                        0,
                        Some(NextRows { bytes: &bytes, rows }),
                    );
                    out
                });
            }
        }
    }
}

/// Whether the block has an f16 at byte `at`.
fn fits_scale(dtype: DType, at: usize, len: usize) -> bool {
    match dtype {
        DType::Q4_1 | DType::Q5_1 | DType::Q4_K | DType::Q5_K => at < 4,
        DType::Q2_K => at == 80 || at == len - 2,
        DType::Q3_K | DType::Q6_K | DType::TQ1_0 | DType::TQ2_0 => at == len - 2,
        DType::MXFP4 => false,
        _ => at == 0,
    }
}

#[test]
fn one_column_equals_many() {
    let (rows, k, n) = (48, 512, 70);
    for dtype in [DType::Q4_1, DType::Q8_0] {
        let bytes = weights(dtype, rows, k, 3);
        let x = random(n * k, 5);
        for cpu in cpus() {
            let columns = Columns::new(&cpu, &x, k);
            let weights = Weights::in_rows(dtype, &bytes, rows, k);
            let mut all = vec![0.0; n * rows];
            cpu.product(weights, &columns.view(), &mut all, rows, 0, None);
            for i in 0..n {
                let one = Columns::new(&cpu, &x[i * k..(i + 1) * k], k);
                let mut out = vec![0.0; rows];
                cpu.product(weights, &one.view(), &mut out, rows, 0, None);
                assert_eq!(out, all[i * rows..(i + 1) * rows], "{dtype}, column {i}, {}", cpu.isa_name());
            }
        }
    }
}

#[test]
fn float_products() {
    for dtype in [DType::BF16, DType::F16, DType::F32] {
        for (rows, k, n) in [(1, 1, 1), (5, 33, 3), (64, 160, 1), (70, 576, 4), (300, 48, 9)] {
            let bytes = weights(dtype, rows, k, 2);
            let x = random(n * k, 9);
            let got = same(&format!("{dtype} {rows} x {k}, {n} columns"), |cpu| {
                let mut out = vec![0.0; n * rows];
                cpu.product_float(Weights::in_rows(dtype, &bytes, rows, k), &x, &mut out, rows, 0);
                out
            });
            let mut plain = vec![0.0; rows * k];
            cpus()[0].dequantize(dtype, &bytes, &mut plain);
            for (at, got) in got.iter().enumerate() {
                let (w, x) = (&plain[at % rows * k..][..k], &x[at / rows * k..][..k]);
                let want: f64 = w.iter().zip(x).map(|(w, x)| f64::from(*w) * f64::from(*x)).sum();
                assert!((f64::from(*got) - want).abs() < 1e-4, "{dtype} {got} {want}");
            }
        }
    }
}

#[test]
fn rows_added_up() {
    let sizes = [(1, 1, 256), (3, 37, 512), (17, 16, 768), (2, 5, 1280)];
    let widths = |dtype: DType| sizes.into_iter().filter(move |(_, _, k)| k % dtype.block_elements() == 0);
    let types = [DType::F32, DType::F16, DType::BF16, DType::Q8_0, DType::Q4_0, DType::Q4_K, DType::IQ3_S];
    let cases = types.into_iter().flat_map(|dtype| widths(dtype).map(move |(n, m, k)| (dtype, n, m, k)));
    let odd = [(DType::F32, 2, 3, 5), (DType::F16, 3, 20, 83), (DType::Q8_0, 2, 33, 352)];
    for (dtype, n, m, k) in cases.chain(odd) {
        let bytes = match dtype {
            DType::F32 => random(m * k, 5).iter().flat_map(|x| x.to_le_bytes()).collect(),
            _ => weights(dtype, m, k, 5),
        };
        let weights = Weights::in_rows(dtype, &bytes, m, k);
        let mut h = random(n * m, 7);
        h.iter_mut().filter(|h| h.abs() > 0.4).for_each(|h| *h = 0.0);
        let start = random(n * k, 9);
        let got = same(&format!("rows of {dtype}, {n} x {m} x {k}"), |cpu| {
            let mut out = start.clone();
            cpu.product_outer(weights, &h, &mut out);
            out
        });
        let mut floats = vec![0.0; m * k];
        cpus()[0].dequantize(dtype, &bytes, &mut floats);
        for (at, &got) in got.iter().enumerate() {
            let (i, c) = (at / k, at % k);
            let terms = (0..m).filter(|r| h[i * m + r] != 0.0);
            let sum = |sum: f32, r: usize| match cfg!(target_arch = "wasm32") {
                true => floats[r * k + c] * h[i * m + r] + sum,
                false => floats[r * k + c].mul_add(h[i * m + r], sum),
            };
            assert_eq!(got.to_bits(), terms.fold(start[at], sum).to_bits(), "{dtype} {n} x {m} x {k}: {at}");
        }
    }
}

#[test]
fn activations_become_integers() {
    let edge = [0.0, -0.0, 1e-38, -1e-31, 0.5, 127.0, -3e38, f32::INFINITY, f32::NAN];
    let mut x = random(32 * 9 + 7, 4);
    for (group, &value) in x.chunks_mut(32).zip(&edge) {
        group[5] = value;
    }
    x.extend([0.0; 32]);
    let k = x.len();
    let parts = |cpu: &Cpu| {
        let columns = Columns::new(cpu, &x, k);
        let q = columns.q.iter().map(|&q| f32::from(q));
        let sums = columns.sums.iter().map(|&s| f32::from(s));
        q.chain(sums).chain(columns.scale.iter().copied()).collect()
    };
    same("quantize", parts);
    let columns = Columns::new(&cpus()[0], &x, k);
    for (i, (x, q)) in x.iter().zip(&columns.q).enumerate().filter(|(i, _)| i / 32 < 7) {
        let (scale, error) = (columns.scale[i / 32], x - f32::from(*q) * columns.scale[i / 32]);
        assert!(error.abs() <= scale * 0.5001, "{i}: {x} became {q} times {scale}");
    }
    assert!(columns.scale[7].is_nan() && columns.scale[8].is_nan());

    // Sixteen columns at once: groups like any, ties, and the edges above in two of them.
    let mut many = random(35 * k, 6);
    let ties = (0..k).map(|i| if i % 32 == 0 { 127.0 } else { (i * 37 % 254) as f32 - 126.5 });
    many.splice(k..2 * k, ties);
    for column in [19, 33] {
        many[column * k..][..k].copy_from_slice(&x);
    }
    same("quantize sixteen", |cpu| {
        let columns = Columns::new(cpu, &many, k);
        let q = columns.q.iter().map(|&q| f32::from(q));
        let sums = columns.sums.iter().map(|&s| f32::from(s));
        q.chain(sums).chain(columns.scale.iter().copied()).collect()
    });
}

#[test]
fn columns_are_taken_from_wherever_they_lie() {
    let (n, k) = (37, 96);
    let x = random(n * k, 8);
    let cpu = &cpus()[0];
    let columns = Columns::new(cpu, &x, k);
    for picked in [vec![36, 0, 17], (0..n).rev().collect::<Vec<_>>(), (5..21).collect()] {
        for elements in [0..k, 32..k] {
            let width = elements.len();
            let part = |&i: &usize| x[i * k..][elements.clone()].to_vec();
            let want = Columns::new(cpu, &picked.iter().flat_map(part).collect::<Vec<f32>>(), width);
            let mut got = Columns::new(cpu, &vec![1.0; picked.len() * width], width);
            let mut room = QuantizedMut { q: &mut got.q, scale: &mut got.scale, sums: &mut got.sums };
            room.take(&columns.view(), picked.iter().copied(), elements.clone());
            assert!(got.q == want.q && got.scale == want.scale && got.sums == want.sums, "{picked:?}");
        }
    }
}

#[test]
fn rows_and_elements() {
    let (n, d) = (70, 600);
    let (x, y) = (random(n * d, 1), random(n * d, 2));
    let check = |what: &str, op: &dyn Fn(&Cpu, &mut [f32])| {
        same(what, |cpu| {
            let mut x = x.clone();
            op(cpu, &mut x);
            x
        })
    };
    let weight = &y[..d];
    let wide: Vec<f32> = x.iter().map(|x| x * 40.0).collect();
    let norm = |cpu: &Cpu, x: &mut [f32]| cpu.rms_norm_in_place(x, weight, 1e-5);
    let got = check("rms_norm", &norm);
    let mean: f64 = x[..d].iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / d as f64;
    let want = f64::from(x[3]) / (mean + 1e-5).sqrt() * f64::from(weight[3]);
    assert!((f64::from(got[3]) - want).abs() < 1e-6);
    check("add", &|cpu, x| cpu.add(x, &y));
    check("add_bias", &|cpu, x| cpu.add_bias(x, weight));
    check("scale", &|cpu, x| cpu.scale(x, 0.3));
    check("softcap", &|cpu, x| cpu.softcap(x, 0.7));
    check("add_scaled", &|cpu, x| cpu.add_scaled(x, &y, 0.3));
    check("gate", &|cpu, x| cpu.gate(x, 0.3));
    check("raise", &|cpu, x| cpu.raise(x));
    check("sigmoid", &|cpu, x| cpu.sigmoid(x));
    for activation in [Activation::ClampedSwiglu, Activation::GeluTanh, Activation::Relu, Activation::Silu] {
        check(&format!("{activation:?} alone"), &|cpu, x| cpu.activate(activation, x));
        let glu = |cpu: &Cpu, x: &mut [f32]| {
            x.copy_from_slice(&wide);
            cpu.glu(activation, x, &y)
        };
        check(&format!("{activation:?}"), &glu);
    }
    for (style, rot) in [(RopeStyle::Halves, 60), (RopeStyle::Halves, 40), (RopeStyle::Interleaved, 60)] {
        let (cos, sin) = (random(n * rot / 2, 6), random(n * rot / 2, 7));
        check("rope", &|cpu, x| cpu.rope(x, 10, 60, &cos, &sin, rot, style));
    }
}

#[test]
fn a_cache_of_q8_0_holds_blocks() {
    let (rows, heads, head_dim) = (64, 2, 64);
    let shape = KvShape { format: KvFormat::Q8_0, slots: 64, heads, head_dim };
    let mut x = random(rows * heads * head_dim, 3);
    let edge = [0.0, -0.0, 1e-38, 1.2e-5, -9e-8, 3e38, f32::INFINITY, f32::NEG_INFINITY, f32::NAN];
    for (i, block) in x.chunks_mut(32).enumerate() {
        block.iter_mut().for_each(|x| *x *= [1.0, 1e-6, 1e-7, 1e30, 0.0][i % 5]);
        block[i % 32] = if i % 3 == 0 { edge[i % 9] } else { block[i % 32] };
    }
    // Subnormal scales take values beyond 127.
    x[..32].fill(1.45 * 127.0 * 2f32.powi(-24));
    let mut want = Vec::new();
    for block in x.chunks(32) {
        let most = block.iter().fold(0.0f32, |most, x| if x.abs() > most { x.abs() } else { most });
        let scale = half::f16::from_f32(most / 127.0);
        let inverse = if scale.to_f32() > 0.0 { 1.0 / scale.to_f32() } else { 0.0 };
        let code = |x: &f32| (x * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8;
        want.extend(scale.to_le_bytes().into_iter().chain(block.iter().map(code)));
    }
    for cpu in cpus() {
        let mut cache = vec![0; shape.bytes()];
        cpu.store_values(shape, &x, &mut cache, 0);
        let head = |i: usize| &want[i * shape.bytes() / (rows * heads)..][..shape.bytes() / (rows * heads)];
        let rows_of = |h: usize| (0..rows).flat_map(move |r| head(r * heads + h).iter().copied());
        assert!((0..heads).flat_map(rows_of).eq(cache.iter().copied()), "values, {}", cpu.isa_name());
        // Of sixteen keys the scales lie side by side, then their first bytes, and so on.
        cpu.store_keys(shape, &x, &mut cache, 0);
        let byte = |h: usize, r: usize, b: usize, at: usize| head(r * heads + h)[b * 34 + at];
        let mut keys = cache.iter();
        for (h, group, b) in (0..heads * rows / 16 * 2).map(|i| (i / 8, i / 2 % 4, i % 2)) {
            for at in 0..33 {
                let (first, bytes) = if at == 0 { (0, 2) } else { (at + 1, 1) };
                let at = (0..16 * bytes).map(|i| byte(h, 16 * group + i / bytes, b, first + i % bytes));
                assert!(at.eq(keys.by_ref().take(16 * bytes).copied()), "keys, {}", cpu.isa_name());
            }
        }
    }
}

/// One case of attention: sizes, and how its rows are cut into chunks.
struct Case {
    format: KvFormat,
    heads: usize,
    kv_heads: usize,
    head_dim: usize,
    slots: usize,
    rows: usize,
    /// The first row that asks; those before are only there to be seen.
    from: usize,
    chunk: usize,
    window: Option<usize>,
    softcap: Option<f32>,
    /// Whether each head has a sink.
    sinks: bool,
    /// Elements of a head of the values, and whether they are the first of the keys.
    values: (usize, bool),
}

impl Case {
    /// Writes the rows of the cache and asks for attention, chunk by chunk.
    fn run(&self, cpu: &Cpu) -> Vec<f32> {
        let width = self.kv_heads * self.head_dim;
        let query = self.heads * self.head_dim;
        let (value_dim, among_keys) = self.values;
        let (value_width, answer) = (self.kv_heads * value_dim, self.heads * value_dim);
        let (q, k, v) =
            (random(self.rows * query, 1), random(self.rows * width, 2), random(self.rows * value_width, 3));
        let (format, slots, heads, head_dim) = (self.format, self.slots, self.kv_heads, self.head_dim);
        let shape = KvShape { format, slots, heads, head_dim };
        let value_shape = KvShape { head_dim: value_dim, ..shape };
        let mut cache = [shape, value_shape].map(|shape| vec![0xffu8; shape.bytes()]);
        let mut out = vec![f32::NAN; (self.rows - self.from) * answer];
        let sinks = self.sinks();
        let asking = (self.from..self.rows).step_by(self.chunk);
        let starts: Vec<usize> = (0..self.from).step_by(self.slots).chain(asking).collect();
        for (index, &first) in starts.iter().enumerate() {
            let end = starts.get(index + 1).copied().unwrap_or(self.rows);
            cpu.store_keys(shape, &k[first * width..end * width], &mut cache[0], first);
            cpu.store_values(value_shape, &v[first * value_width..end * value_width], &mut cache[1], first);
            if first < self.from {
                continue;
            }
            let attention = Attention {
                q: &q[first * query..end * query],
                k: &cache[0],
                v: (!among_keys).then_some(&cache[1]),
                cache: shape,
                value_dim,
                heads: self.heads,
                first_pos: first,
                window: self.window,
                scale: self.scale(),
                softcap: self.softcap,
                sinks: self.sinks.then_some(&sinks),
            };
            cpu.attention(&attention, &mut out[(first - self.from) * answer..(end - self.from) * answer]);
        }
        out
    }

    /// As large as the larger scores.
    fn sinks(&self) -> Vec<f32> {
        (0..self.heads).map(|head| 12.0 + head as f32).collect()
    }

    /// Scores of a standard deviation of five, whatever the heads: what is rounded in a key moves them all alike.
    fn scale(&self) -> f32 {
        16.0 / (self.head_dim as f32).sqrt()
    }

    /// The result in f64 for output `at` of those who ask, from the unrounded keys and values.
    fn exact(&self, at: usize) -> f64 {
        let (width, dim) = (self.kv_heads * self.head_dim, self.head_dim);
        let (value_dim, among_keys) = self.values;
        let (q, k) = (random(self.rows * self.heads * dim, 1), random(self.rows * width, 2));
        // Values, and elements of a head of what they lie in.
        let (v, stride) = match among_keys {
            true => (k.clone(), dim),
            false => (random(self.rows * self.kv_heads * value_dim, 3), value_dim),
        };
        let (row, head, d) =
            (self.from + at / (self.heads * value_dim), at / value_dim % self.heads, at % value_dim);
        let kv = head / (self.heads / self.kv_heads);
        let first = self.window.map_or(0, |w| (row + 1).saturating_sub(w));
        let scale = f64::from(self.scale());
        let scores: Vec<f64> = (first..=row)
            .map(|j| {
                let k = &k[j * width + kv * dim..][..dim];
                let q = &q[(row * self.heads + head) * dim..][..dim];
                let s = scale * q.iter().zip(k).map(|(q, k)| f64::from(*q) * f64::from(*k)).sum::<f64>();
                self.softcap.map_or(s, |cap| f64::from(cap) * (s / f64::from(cap)).tanh())
            })
            .collect();
        let sink = if self.sinks { f64::from(self.sinks()[head]).exp() } else { 0.0 };
        let total: f64 = scores.iter().map(|s| s.exp()).sum::<f64>() + sink;
        let weighted = scores
            .iter()
            .zip(first..)
            .map(|(s, j)| s.exp() * f64::from(v[(j * self.kv_heads + kv) * stride + d]));
        weighted.sum::<f64>() / total
    }
}

#[test]
fn attention() {
    use KvFormat::{F16, Q8_0};
    let case = |format, (heads, kv_heads, head_dim), slots, rows, window, softcap| Case {
        format,
        heads,
        kv_heads,
        head_dim,
        slots,
        rows,
        from: 0,
        chunk: rows,
        window,
        softcap,
        sinks: false,
        values: (head_dim, false),
    };
    let cases = [
        case(F16, (6, 2, 64), 192, 150, None, None),
        case(F16, (2, 2, 48), 256, 200, None, Some(3.0)),
        case(F16, (4, 1, 256), 128, 70, None, None),
        case(F16, (3, 3, 320), 128, 70, None, None),
        case(Q8_0, (7, 1, 96), 192, 130, None, None),
        case(F16, (6, 3, 32), 192, 400, Some(70), None),
        case(Q8_0, (2, 1, 32), 128, 300, Some(17), None),
        // Few rows that see many keys, whose tiles threads divide among them.
        Case { from: 1480, ..case(F16, (9, 3, 64), 1536, 1500, None, None) },
        Case { from: 1800, ..case(F16, (4, 1, 256), 1856, 1805, None, Some(3.0)) },
        Case { from: 2700, ..case(Q8_0, (2, 2, 96), 1088, 2720, Some(1000), None) },
        // Sinks, in few rows and in many.
        Case { sinks: true, ..case(F16, (6, 2, 64), 192, 150, Some(70), None) },
        Case { sinks: true, from: 1480, ..case(F16, (9, 3, 64), 1536, 1500, None, None) },
        // The widest heads, of which the scratch holds sixteen keys and nothing else.
        Case { from: 330, ..case(F16, (4, 2, 1024), 384, 336, None, None) },
        Case { from: 330, ..case(Q8_0, (3, 1, 992), 384, 336, None, None) },
        Case { from: 3999, ..case(F16, (14, 2, 64), 4096, 4007, None, None) },
        // Values that are narrower than keys, with a cache of their own or as the first elements of the keys.
        Case { values: (32, false), ..case(F16, (6, 2, 64), 192, 150, None, None) },
        Case { values: (128, false), from: 1480, ..case(Q8_0, (3, 3, 192), 1536, 1500, None, None) },
        Case { values: (512, true), from: 330, ..case(F16, (16, 1, 576), 384, 341, None, None) },
        Case { values: (512, true), from: 330, ..case(Q8_0, (20, 1, 576), 384, 334, None, None) },
        Case { values: (32, true), from: 1480, ..case(F16, (4, 1, 48), 1536, 1500, None, None) },
        Case { values: (64, true), ..case(Q8_0, (6, 2, 96), 192, 400, Some(70), None) },
    ];
    for mut case in cases {
        let what = format!("{} over {} heads of {}", case.heads, case.kv_heads, case.head_dim);
        case.chunk = if case.window.is_some() { 40 } else { case.rows };
        let want = same(&what, |cpu| case.run(cpu));
        let step = want.len() / 41;
        for at in (0..want.len()).step_by(step) {
            let tolerance = if case.format == F16 { 4e-3 } else { 5e-2 };
            assert!((f64::from(want[at]) - case.exact(at)).abs() < tolerance, "{what}: {at}");
        }
        for chunk in [1, 13] {
            case.chunk = chunk;
            let got = same(&format!("{what} by {chunk}"), |cpu| case.run(cpu));
            assert!(got.iter().zip(&want).all(|(a, b)| a.to_bits() == b.to_bits()), "{what} by {chunk}");
        }
        if case.window.is_some() {
            case.slots += 64;
            assert_eq!(same(&what, |cpu| case.run(cpu)), want, "{what} in a larger ring");
        }
    }
}
