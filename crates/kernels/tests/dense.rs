//! Products of two matrices and convolutions, on every instruction set and any number of threads, against plain loops.

use host::{Ledger, Pool};
use pintpot_kernels::{
    Attend, Bytes, Cpu, Dense, Factor, Finish, Fixed, Heads, Image, JoinKind, MapKind, Mask, Meaning,
    PlaneKind, Right, RowKind, Scaled, Sums, TotalKind, Whole, available,
};

/// Every instruction set, alone and with two threads.
fn each(mut check: impl FnMut(&Cpu, &str)) {
    let ledger = Ledger::new(64 << 20);
    for set in available() {
        for threads in [1, 2] {
            let cpu = Cpu::new(set, Pool::new(&ledger, threads).unwrap(), &ledger).unwrap();
            check(&cpu, &format!("{} on {threads}", set.name()));
        }
    }
}

/// Numbers that are the same in every run.
fn numbers(len: usize, seed: u32) -> Vec<f32> {
    let mut x = seed.wrapping_mul(2_654_435_761) | 1;
    let mut next = || {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

fn fused(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(target_arch = "wasm32") { a * b + c } else { a.mul_add(b, c) }
}

#[test]
fn products_are_chains_along_the_common_extent() {
    for (rows, common, columns) in [
        (1, 1, 1),
        (7, 300, 70),
        (6, 256, 64),
        (3, 513, 129),
        (100, 31, 200),
        (13, 64, 16),
        (13, 20, 1101),
        (110, 40, 1100),
        (20, 300, 49),
        (9, 70, 200),
        (8, 20, 3),
    ] {
        let (a, b) = (numbers(rows * common, 1), numbers(common * columns, 2));
        let (scale, bias) = (numbers(rows, 30), numbers(rows, 3));
        let of_columns = numbers(columns, 31);
        let finish = Finish {
            of_columns: Some(&of_columns),
            scale: Some(&scale),
            bias: Some(&bias),
            bounds: Some((-0.5, 2.0)),
            then: None,
        };
        let mut expected = Vec::new();
        for r in 0..rows {
            for c in 0..columns {
                let sum = (0..common).fold(0.0, |sum, k| fused(a[r * common + k], b[k * columns + c], sum));
                expected.push(((sum + of_columns[c]) * scale[r] + bias[r]).clamp(-0.5, 2.0));
            }
        }
        each(|cpu, what| {
            let right = Right::Rows { b: &b, stride: columns };
            let product = Dense { a: &a, a_stride: common, rows, common, columns, right, finish };
            let mut out = vec![f32::NAN; rows * columns];
            cpu.dense(&product, &mut out);
            assert_eq!(out, expected, "{rows} x {common} x {columns}, {what}");
        });
    }
}

#[test]
fn bytes_on_the_right_are_the_numbers_that_they_stand_for() {
    for (rows, common, columns) in [(1, 1, 1), (7, 300, 70), (6, 256, 64), (3, 513, 129), (100, 31, 200)] {
        let a = numbers(rows * common, 1);
        let bytes: Vec<u8> = numbers(common * columns, 2).iter().map(|x| (x * 4096.0) as i32 as u8).collect();
        for (signed, by_row, many) in [
            (true, false, true),
            (false, false, true),
            (true, true, true),
            (false, true, true),
            (false, false, false),
        ] {
            let count = if !many {
                1
            } else if by_row {
                common
            } else {
                columns
            };
            let (scale, zeros) = (numbers(count, 3), (0..count).map(|i| (i * 37) as u8).collect::<Vec<u8>>());
            let number = |byte: u8| if signed { byte as i8 as i32 } else { byte as i32 };
            let widened = bytes.iter().enumerate().map(|(at, byte)| {
                let place = if !many {
                    0
                } else if by_row {
                    at / columns
                } else {
                    at % columns
                };
                (number(*byte) - number(zeros[place])) as f32 * scale[place]
            });
            let widened: Vec<f32> = widened.collect();
            let b = Bytes { bytes: &bytes, signed, zeros: &zeros };
            let bytes = Right::Bytes(Scaled { b, stride: columns, scale: &scale, by_row });
            each(|cpu, what| {
                let right = Right::Rows { b: &widened, stride: columns };
                let finish = Finish { then: Some(MapKind::Gelu), ..Finish::NOTHING };
                let product = Dense { a: &a, a_stride: common, rows, common, columns, right, finish };
                let (mut expected, mut out) = (vec![0.0; rows * columns], vec![f32::NAN; rows * columns]);
                cpu.dense(&product, &mut expected);
                cpu.dense(&Dense { right: bytes, ..product }, &mut out);
                assert_eq!(out, expected, "{rows} x {common} x {columns}, signed {signed}, {by_row}, {what}");
            });
        }
    }
}

type Case = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], usize);

/// Images with odd sizes, strides, margins, gaps: size, window, strides, dilations, margin before and behind.
const IMAGES: [Case; 12] = [
    ([9, 11], [3, 3], [1, 1], [1, 1], 1),
    ([9, 40], [3, 3], [2, 2], [1, 1], 1),
    ([7, 7], [5, 5], [1, 1], [1, 1], 2),
    ([1, 90], [1, 9], [1, 3], [1, 1], 0),
    ([12, 75], [3, 3], [1, 1], [2, 3], 3),
    ([8, 8], [1, 1], [1, 1], [1, 1], 0),
    ([5, 130], [2, 4], [2, 3], [1, 2], 2),
    ([3, 3], [3, 3], [1, 1], [1, 1], 4),
    ([13, 71], [5, 5], [2, 2], [1, 1], 2),
    ([6, 50], [3, 3], [1, 1], [1, 1], 0),
    ([30, 20], [3, 3], [1, 1], [1, 1], 1),
    ([45, 35], [3, 3], [2, 2], [1, 1], 1),
];

type Made = ([usize; 2], Vec<f32>);

/// What windows see of an image: (channel and place, window), zeros in the margin.
fn seen(x: &[f32], channels: usize, image: &Case) -> Made {
    let (size, kernel, strides, dilations, margin) = *image;
    let made = std::array::from_fn(|axis| {
        (size[axis] + 2 * margin - (kernel[axis] - 1) * dilations[axis] - 1) / strides[axis] + 1
    });
    let [high, wide]: [usize; 2] = made;
    let mut all = Vec::new();
    for c in 0..channels {
        for place in 0..kernel[0] * kernel[1] {
            let inside = [place / kernel[1], place % kernel[1]];
            for window in 0..high * wide {
                let at = [window / wide, window % wide];
                let y = (at[0] * strides[0] + inside[0] * dilations[0]).wrapping_sub(margin);
                let z = (at[1] * strides[1] + inside[1] * dilations[1]).wrapping_sub(margin);
                let is_inside = y < size[0] && z < size[1];
                all.push(if is_inside { x[c * size[0] * size[1] + y * size[1] + z] } else { 0.0 });
            }
        }
    }
    (made, all)
}

#[test]
fn convolutions_are_products_of_what_windows_see() {
    for case in &IMAGES {
        let (size, kernel, strides, dilations, margin) = *case;
        let (channels, maps) = (5, 9);
        let x = numbers(channels * size[0] * size[1], 4);
        let (made, b) = seen(&x, channels, case);
        let (common, columns) = (channels * kernel[0] * kernel[1], made[0] * made[1]);
        let image = Image { x: &x, size, made, kernel, strides, dilations, before: [margin; 2] };
        let a = numbers(maps * common, 5);
        each(|cpu, what| {
            let plain = Right::Rows { b: &b, stride: columns };
            let product = Dense {
                a: &a,
                a_stride: common,
                rows: maps,
                common,
                columns,
                right: plain,
                finish: Finish::NOTHING,
            };
            let (mut expected, mut out) = (vec![0.0; maps * columns], vec![f32::NAN; maps * columns]);
            cpu.dense(&product, &mut expected);
            cpu.dense(&Dense { right: Right::Image(image), ..product }, &mut out);
            assert_eq!(out, expected, "{case:?}, {what}");

            let window = kernel[0] * kernel[1];
            let weights = &a[..channels * window];
            let mut expected = Vec::new();
            for c in 0..channels {
                for at in 0..columns {
                    let chain = (0..window).fold(0.0, |sum, place| {
                        fused(weights[c * window + place], b[(c * window + place) * columns + at], sum)
                    });
                    expected.push(chain);
                }
            }
            let mut out = vec![f32::NAN; channels * columns];
            cpu.planes(&image, PlaneKind::Weighted { weights, finish: Finish::NOTHING }, &mut out);
            assert_eq!(out, expected, "planes, {case:?}, {what}");
        });
    }
}

#[test]
fn many_products_are_each_by_itself() {
    let (count, rows, common, columns) = (20, 5, 40, 33);
    let (a, b) = (numbers(count * rows * common, 6), numbers(count * common * columns, 7));
    let product = |i: usize| Dense {
        a: &a[i * rows * common..][..rows * common],
        a_stride: common,
        rows,
        common,
        columns,
        right: Right::Rows { b: &b[i * common * columns..][..common * columns], stride: columns },
        finish: Finish::NOTHING,
    };
    each(|cpu, what| {
        let (mut all, mut one) = (vec![0.0; count * rows * columns], vec![0.0; rows * columns]);
        cpu.dense_each(count, &product, &mut all);
        for (i, part) in all.chunks_exact(rows * columns).enumerate() {
            cpu.dense(&product(i), &mut one);
            assert_eq!(part, one, "{what}");
        }
    });
}

#[test]
fn a_function_behind_a_product_is_that_of_elements() {
    let (rows, common, columns) = (50, 30, 130);
    let (a, b) = (numbers(rows * common, 1), numbers(common * columns, 2));
    let right = Right::Rows { b: &b, stride: columns };
    let plain = Dense { a: &a, a_stride: common, rows, common, columns, right, finish: Finish::NOTHING };
    let finish = Finish { then: Some(MapKind::Silu), ..Finish::NOTHING };
    let image = Image {
        x: &b,
        size: [10, 13],
        made: [10, 13],
        kernel: [3, 3],
        strides: [1; 2],
        dilations: [1; 2],
        before: [1; 2],
    };
    let weights = numbers(common * 9, 3);
    each(|cpu, what| {
        let [mut expected, mut out] = [vec![0.0; rows * columns], vec![f32::NAN; rows * columns]];
        cpu.dense(&plain, &mut expected);
        cpu.map(MapKind::Silu, None, &mut expected);
        cpu.dense(&Dense { finish, ..plain }, &mut out);
        assert_eq!(out, expected, "{what}");

        let planes = |finish, to: &mut [f32]| {
            cpu.planes(&image, PlaneKind::Weighted { weights: &weights, finish }, to);
        };
        let [expected, out] = [&mut expected, &mut out].map(|list| &mut list[..common * columns]);
        planes(Finish::NOTHING, expected);
        cpu.map(MapKind::Silu, None, expected);
        planes(finish, out);
        assert_eq!(out, expected, "depthwise, {what}");
    });
}

#[test]
fn functions_of_elements_agree_on_all_sets() {
    let kinds = [
        MapKind::Clamp { least: -0.2, most: 0.3 },
        MapKind::Erf,
        MapKind::Exp,
        MapKind::Gelu,
        MapKind::HardSigmoid { alpha: 0.2, beta: 0.5 },
        MapKind::HardSwish,
        MapKind::LeakyRelu { alpha: 0.1 },
        MapKind::Relu,
        MapKind::Sigmoid,
        MapKind::Silu,
        MapKind::Tanh,
    ];
    let x: Vec<f32> = numbers(40_003, 8).iter().map(|x| x * 6.0).collect();
    for kind in kinds {
        let mut first: Option<Vec<f32>> = None;
        each(|cpu, what| {
            let mut out = vec![0.0; x.len()];
            cpu.map(kind, Some(&x), &mut out);
            assert_eq!(first.get_or_insert(out.clone()), &out, "{kind:?}, {what}");
        });
    }
    let y = numbers(x.len(), 9);
    for kind in [
        JoinKind::Add,
        JoinKind::Div,
        JoinKind::From,
        JoinKind::Max,
        JoinKind::Min,
        JoinKind::Mul,
        JoinKind::Over,
        JoinKind::Sub,
    ] {
        let f = |a: f32, b: f32| match kind {
            JoinKind::Add => a + b,
            JoinKind::Div => a / b,
            JoinKind::From => b - a,
            JoinKind::Max => a.max(b),
            JoinKind::Min => a.min(b),
            JoinKind::Mul => a * b,
            JoinKind::Over => b / a,
            _ => a - b,
        };
        each(|cpu, what| {
            for b in [&y[..], &y[..1]] {
                let mut out = x.clone();
                cpu.join(kind, None, b, &mut out);
                let expected: Vec<f32> =
                    x.iter().enumerate().map(|(i, a)| f(*a, b[i.min(b.len() - 1)])).collect();
                assert_eq!(out, expected, "{kind:?}, {what}");
            }
        });
    }
}

/// Bytes from everywhere, or those at the ends alone.
fn bytes(len: usize, seed: u32, ends: bool) -> Vec<u8> {
    let byte = |x: &f32| (x * 128.0 + 128.0) as u8;
    let each = numbers(len, seed);
    each.iter().map(|x| if ends { [0, 127, 128, 255][usize::from(byte(x)) % 4] } else { byte(x) }).collect()
}

#[test]
fn products_of_bytes_are_exact() {
    let number = |byte: u8, signed: bool| if signed { i32::from(byte as i8) } else { i32::from(byte) };
    let shapes =
        [(1, 1, 1), (7, 300, 70), (6, 256, 64), (3, 1025, 129), (100, 771, 65), (11, 1602, 16), (5, 27, 200)];
    for ((rows, common, columns), ends) in
        shapes.into_iter().flat_map(|shape| [(shape, false), (shape, true)])
    {
        for signed in [[false, true], [true, false], [false, false], [true, true]] {
            let (a, b) = (bytes(rows * common, 11, ends), bytes(common * columns, 12, ends));
            let (a_zeros, b_zeros) = (bytes(rows, 13, ends), bytes(columns, 14, ends));
            let (scale, bias) = (numbers(columns, 15), numbers(columns, 16));
            for (each, a_zeros, b_zeros) in [
                (true, &a_zeros[..], &b_zeros[..]),
                (false, &a_zeros[..1], &[0][..]),
                (true, &[255][..], &[128][..]),
            ] {
                let less = |list: &[u8], zeros: &[u8], signed, zero: &dyn Fn(usize) -> usize| -> Vec<i32> {
                    let zero = |i| number(zeros[zero(i).min(zeros.len() - 1)], signed);
                    list.iter().enumerate().map(|(i, byte)| number(*byte, signed) - zero(i)).collect()
                };
                let x = less(&a, a_zeros, signed[0], &|i| i / common);
                let y = less(&b, b_zeros, signed[1], &|i| i % columns);
                let mut expected = vec![0; rows * columns];
                for (row, sums) in x.chunks(common).zip(expected.chunks_mut(columns)) {
                    for (x, y) in row.iter().zip(y.chunks(columns)) {
                        sums.iter_mut().zip(y).for_each(|(sum, y)| *sum += x * y);
                    }
                }
                let scale = if each { &scale[..] } else { &scale[..1] };
                let bias = if each { &bias[..] } else { &[] };
                let meaning = |(i, sum): (usize, &i32)| {
                    let scaled = *sum as f32 * scale[(i % columns).min(scale.len() - 1)];
                    (if each { scaled + bias[i % columns] } else { scaled }).to_bits() as i32
                };
                let meant: Vec<i32> = expected.iter().enumerate().map(meaning).collect();
                self::each(|cpu, what| {
                    let a = Bytes { bytes: &a, signed: signed[0], zeros: a_zeros };
                    let b = Bytes { bytes: &b, signed: signed[1], zeros: b_zeros };
                    let mut out = vec![0; rows * columns];
                    let product = Whole { a, b, rows, common, columns, meaning: None };
                    cpu.whole(&product, &mut out);
                    assert!(out == expected, "{rows} x {common} x {columns}, {signed:?}, {what}");
                    cpu.whole(&Whole { meaning: Some(Meaning { scale, bias }), ..product }, &mut out);
                    assert!(out == meant, "{rows} x {common} x {columns}, {signed:?}, {what}");
                });
            }
        }
    }
}

/// As TFLite's definitions have it: a product of 32 bits to the nearest, then a shift to the nearest, halves away from zero.
fn twice(x: i32, multiplier: i32, shift: i32) -> i32 {
    let product = i64::from(x << shift.max(0)) * i64::from(multiplier);
    let nudge = if product >= 0 { 1 << 30 } else { 1 - (1 << 30) };
    let high = ((product + nudge) / (1 << 31)).min(i64::from(i32::MAX)) as f64;
    (high / f64::exp2(f64::from(-shift.min(0)))).round() as i32
}

#[test]
fn sums_become_bytes_in_fixed_point() {
    let mut whole: Vec<i32> = numbers(500, 31).iter().map(|x| (x * 16e6) as i32).collect();
    whole.extend([0, 1, -1, 2, -2, 3, -3, 5, -5, (1 << 24) - 1, 1 - (1 << 24)]);
    let floats: Vec<f32> = whole.iter().map(|x| *x as f32).collect();
    for (offset, multiplier, shift) in
        [(0, 1 << 30, 0), (-7, 1_518_500_250, -14), (100, i32::MAX, -17), (3, 1 << 30, 2), (0, 1 << 30, -31)]
    {
        for (once, zero, bounds) in [(false, -128, [-128, 127]), (true, 3, [0, 255]), (false, 5, [5, 90])] {
            let by = Fixed { offset, multiplier, shift, once, zero, bounds };
            let expected: Vec<u8> = (whole.iter())
                .map(|x| {
                    let moved = x + offset;
                    let scaled = match once {
                        // Halves up.
                        true => {
                            let exact = i64::from(moved) * i64::from(multiplier);
                            ((exact + (1 << (30 - shift))) >> (31 - shift)) as i32
                        }
                        false => twice(moved, multiplier, shift),
                    };
                    (i64::from(scaled) + i64::from(zero)).clamp(bounds[0].into(), bounds[1].into()) as u8
                })
                .collect();
            each(|cpu, what| {
                for sums in [Sums::Whole(&whole), Sums::Floats(&floats)] {
                    let mut out = vec![7; whole.len()];
                    cpu.fixed(&|_| by, whole.len(), sums, &mut out);
                    assert_eq!(out, expected, "{by:?}, {what}");
                }
            });
        }
    }
}

#[test]
fn numbers_become_bytes() {
    let mut x: Vec<f32> = numbers(300, 21).iter().map(|x| x * 90.0).collect();
    x.extend([0.5, 1.5, -0.5, -2.5, 1e30, -1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN, -0.0, 3e9]);
    for (scale, zero, signed) in
        [(0.5, 0, false), (0.25, 128, false), (1.0, 255, false), (0.7, 5, true), (1.0, 128, true)]
    {
        let expected: Vec<u8> = (x.iter())
            .map(|x| {
                let whole = f64::from(x / scale).round_ties_even();
                match signed {
                    true => (whole + f64::from(zero as i8)).clamp(-128.0, 127.0) as i8 as u8,
                    false => (whole + f64::from(zero)).clamp(0.0, 255.0) as u8,
                }
            })
            .collect();
        each(|cpu, what| {
            let mut out = vec![7; x.len()];
            cpu.narrow(&x, scale, (zero, signed), &mut out);
            assert_eq!(out, expected, "{scale}, {zero}, {signed}, {what}");
        });
    }
}

/// The sum of what `f` makes of a row: sixty-four chains, added up as trees.
fn total(x: &[f32], f: fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; 64];
    for (i, x) in x.iter().enumerate() {
        sums[i % 64] = f(*x, sums[i % 64]);
    }
    let mut lanes: [f32; 16] =
        std::array::from_fn(|i| (sums[i] + sums[i + 16]) + (sums[i + 32] + sums[i + 48]));
    for half in [8, 4, 2, 1] {
        (0..half).for_each(|i| lanes[i] += lanes[i + half]);
    }
    lanes[0]
}

type Of = fn(&[f32]) -> f32;

#[test]
fn rows_are_worked_on_each_by_itself() {
    for len in [1, 7, 16, 63, 64, 65, 300] {
        let count = 70;
        let x = numbers(count * len, 11);
        let (each_number, row_number) = (numbers(len, 12), numbers(5, 13));
        let epsilon = 1e-5;
        let (mut normed, mut shares) = (Vec::new(), Vec::new());
        for (row, x) in x.chunks_exact(len).enumerate() {
            let mean = total(x, |x, sum| x + sum) / len as f32;
            let less: Vec<f32> = x.iter().map(|x| x + -mean).collect();
            let by = 1.0 / (total(&less, |x, sum| fused(x, x, sum)) / len as f32 + epsilon).sqrt();
            normed.extend(less.iter().zip(&each_number).map(|(x, w)| x * by * w + row_number[row % 5]));
            let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let sum: f64 = x.iter().map(|x| f64::from(x - most).exp()).sum();
            shares.extend(x.iter().map(|x| f64::from(x - most).exp() / sum));
        }
        let mut same: Option<Vec<f32>> = None;
        each(|cpu, what| {
            let (scale, bias) = (Some(Factor::Each(&each_number)), Some(Factor::Row(&row_number)));
            let mut out = x.clone();
            cpu.rows(RowKind::Norm { epsilon, centers: true, scale, bias }, len, &mut out);
            assert_eq!(out, normed, "{len}, {what}");

            let mut out = x.clone();
            cpu.rows(RowKind::Softmax, len, &mut out);
            let near =
                out.iter().zip(&shares).all(|(x, exact)| (f64::from(*x) - exact).abs() <= 1e-6 * exact);
            assert!(near, "softmax, {len}, {what}");
            assert_eq!(same.get_or_insert_with(|| out.clone()), &out, "softmax, {len}, {what}");

            let mut out = x.clone();
            let factor = Factor::Row(&row_number);
            cpu.rows(RowKind::Join { kind: JoinKind::Over, factor }, len, &mut out);
            let expected = x.iter().enumerate().map(|(i, x)| row_number[i / len % 5] / x);
            assert!(out.iter().copied().eq(expected), "numbers beside rows, {len}, {what}");

            let mut out = vec![f32::NAN; count];
            let kinds: [(TotalKind, Of); 5] = [
                (TotalKind::Max, |x| x.iter().copied().fold(f32::NEG_INFINITY, f32::max)),
                (TotalKind::Min, |x| x.iter().copied().fold(f32::INFINITY, f32::min)),
                (TotalKind::Sum, |x| total(x, |x, sum| x + sum)),
                (TotalKind::SumAbsolute, |x| total(x, |x, sum| x.abs() + sum)),
                (TotalKind::SumSquare, |x| total(x, |x, sum| fused(x, x, sum))),
            ];
            for (kind, expected) in kinds {
                cpu.totals(kind, len, &x, &mut out);
                assert!(out.iter().copied().eq(x.chunks_exact(len).map(expected)), "{kind:?}, {len}, {what}");
            }
        });
    }
}

#[test]
fn pools_are_numbers_of_what_windows_see() {
    for case in &IMAGES {
        let (size, kernel, strides, dilations, margin) = *case;
        let channels = 5;
        let x: Vec<f32> = numbers(channels * size[0] * size[1], 21).iter().map(|x| x - 2.0).collect();
        // Where a one is seen there is a place.
        let (made, there) = seen(&vec![1.0; x.len()], channels, case);
        let (_, values) = seen(&x, channels, case);
        let (window, columns) = (kernel[0] * kernel[1], made[0] * made[1]);
        let mut expected = [Vec::new(), Vec::new(), Vec::new()];
        for (c, at) in (0..channels).flat_map(|c| (0..columns).map(move |at| (c, at))) {
            let places = (0..window).map(|place| (c * window + place) * columns + at);
            let sum = places.clone().fold(0.0, |sum, i| values[i] + sum);
            let count = places.clone().filter(|i| there[*i] == 1.0).count();
            let most =
                places.filter(|i| there[*i] == 1.0).fold(f32::NEG_INFINITY, |most, i| most.max(values[i]));
            expected[0].push(sum / count.max(1) as f32);
            expected[1].push(sum / window as f32);
            expected[2].push(most);
        }
        let image = Image { x: &x, size, made, kernel, strides, dilations, before: [margin; 2] };
        each(|cpu, what| {
            let kinds =
                [PlaneKind::Average { margins: false }, PlaneKind::Average { margins: true }, PlaneKind::Max];
            for (kind, expected) in kinds.into_iter().zip(&expected) {
                let mut out = vec![f32::NAN; channels * columns];
                cpu.planes(&image, kind, &mut out);
                assert_eq!(&out, expected, "{case:?}, {what}");
            }
        });
    }
}

#[test]
fn a_right_matrix_may_lie_by_columns() {
    for (rows, common, columns) in [(1, 1, 1), (7, 300, 70), (6, 256, 64), (3, 513, 129)] {
        let (a, b) = (numbers(rows * common, 1), numbers(common * columns, 2));
        let mut turned = vec![0.0; b.len()];
        for (k, c) in (0..common).flat_map(|k| (0..columns).map(move |c| (k, c))) {
            turned[c * common + k] = b[k * columns + c];
        }
        let right = Right::Rows { b: &b, stride: columns };
        let product =
            Dense { a: &a, a_stride: common, rows, common, columns, right, finish: Finish::NOTHING };
        each(|cpu, what| {
            let [mut expected, mut out] = [vec![0.0; rows * columns], vec![f32::NAN; rows * columns]];
            cpu.dense(&product, &mut expected);
            cpu.dense(&Dense { right: Right::Columns { b: &turned, stride: common }, ..product }, &mut out);
            assert_eq!(out, expected, "{rows} x {common} x {columns}, {what}");
        });
    }
}

#[test]
fn attention_is_the_weighted_mean_of_values() {
    // Parts, heads of queries and of keys, queries, keys, widths, causal, whether there is a mask.
    let cases = [
        ([1, 2, 2, 100, 300], [64, 64], None, false),
        ([2, 4, 2, 17, 129], [24, 40], None, true),
        ([1, 3, 1, 33, 33], [16, 7], Some(0), false),
        ([1, 2, 1, 5, 140], [128, 128], Some(135), true),
        ([1, 1, 1, 3, 2], [1, 1], Some(-1), false),
    ];
    for ([batch, heads, shared, rows, keys], [width, wide], causal, masked) in cases {
        let q = numbers(batch * rows * heads * width, 1);
        let (k, v) = (numbers(batch * keys * shared * width, 2), numbers(batch * keys * shared * wide, 3));
        let added: Vec<f32> =
            numbers(batch * rows * keys, 4).iter().map(|x| if *x > 0.8 { -1e9 } else { *x }).collect();
        let all = |x, count: [usize; 3], width: usize| {
            let strides = [count[2] * count[1] * width, width, count[1] * width];
            Heads { x, count, width, strides }
        };
        let task = Attend {
            q: all(&q, [batch, heads, rows], width),
            k: all(&k, [batch, shared, keys], width),
            v: all(&v, [batch, shared, keys], wide),
            scale: 0.3,
            mask: masked.then_some(Mask { x: &added, strides: [rows * keys, 0, keys, 1] }),
            causal,
            out: [rows * heads * wide, wide, heads * wide],
        };
        let at = |x: &Heads<'_>, place: [usize; 3], i: usize| {
            f64::from(x.x[place.iter().zip(x.strides).map(|(at, stride)| at * stride).sum::<usize>() + i])
        };
        let mut expected = vec![0.0; batch * rows * heads * wide];
        for (part, head, row) in
            (0..batch * heads * rows).map(|i| (i / heads / rows, i / rows % heads, i % rows))
        {
            let of = head / (heads / shared);
            let sees =
                |key: &usize| causal.is_none_or(|before: isize| *key as isize <= row as isize + before);
            let score = |key: usize| {
                let product: f64 = (0..width)
                    .map(|i| at(&task.q, [part, head, row], i) * at(&task.k, [part, of, key], i))
                    .sum();
                product * 0.3 + if masked { f64::from(added[(part * rows + row) * keys + key]) } else { 0.0 }
            };
            let scores: Vec<f64> = (0..keys).filter(sees).map(score).collect();
            let most = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - most).exp()).sum();
            for i in 0..wide {
                let sum: f64 = (scores.iter().enumerate())
                    .map(|(key, score)| (score - most).exp() * at(&task.v, [part, of, key], i))
                    .sum();
                expected[((part * rows + row) * heads + head) * wide + i] =
                    if total > 0.0 { sum / total } else { 0.0 };
            }
        }
        let mut first: Option<Vec<f32>> = None;
        each(|cpu, what| {
            let mut out = vec![f32::NAN; expected.len()];
            cpu.attend(&task, &mut out);
            for (i, (x, expected)) in out.iter().zip(&expected).enumerate() {
                assert!((f64::from(*x) - expected).abs() < 2e-6, "{i}: {x}, not {expected}, {what}");
            }
            assert_eq!(&out, first.get_or_insert_with(|| out.clone()), "{what}");
        });
    }
}
