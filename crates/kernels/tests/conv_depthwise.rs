//! A convolution and the depthwise one behind it, made together, are what they are one after the other, to the bit, on every
//! instruction set, any number of threads and in any room.

use host::{Ledger, Pool};
use pintpot_kernels::{ConvDepthwise, Cpu, Dense, Finish, Image, MapKind, PlaneKind, Right, available};

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

/// Channels, maps, size, window, strides, dilations, margin.
type Case = ([usize; 2], [usize; 2], [usize; 2], [usize; 2], [usize; 2], usize);

const CASES: [Case; 9] = [
    ([3, 7], [9, 11], [3, 3], [1, 1], [1, 1], 1),
    ([16, 50], [40, 33], [3, 3], [2, 2], [1, 1], 1),
    ([70, 30], [21, 14], [5, 5], [1, 1], [1, 1], 2),
    ([20, 13], [7, 7], [3, 3], [1, 1], [1, 1], 1),
    ([4, 9], [30, 5], [5, 3], [2, 1], [2, 2], 3),
    ([2, 4], [3, 3], [3, 3], [1, 1], [1, 1], 4),
    ([300, 25], [6, 17], [3, 3], [1, 1], [1, 1], 0),
    ([1, 1], [1, 40], [1, 5], [1, 2], [1, 1], 2),
    ([5, 12], [25, 18], [3, 3], [4, 2], [1, 3], 1),
];

fn finish<'a>(scale: &'a [f32], bias: &'a [f32], then: Option<MapKind>) -> Finish<'a> {
    Finish { scale: Some(scale), bias: Some(bias), bounds: Some((-1.0, 1.5)), then }
}

#[test]
fn made_together_they_are_the_same() {
    let ledger = Ledger::new(64 << 20);
    for ([channels, maps], size, kernel, strides, dilations, margin) in CASES {
        let made: [usize; 2] = std::array::from_fn(|axis| {
            (size[axis] + 2 * margin - (kernel[axis] - 1) * dilations[axis] - 1) / strides[axis] + 1
        });
        let (plane, seen) = (size[0] * size[1], made[0] * made[1]);
        let (x, a) = (numbers(channels * plane, 1), numbers(maps * channels, 2));
        let weights = numbers(maps * kernel[0] * kernel[1], 3);
        let (scale, bias) = (numbers(maps, 4), numbers(maps, 5));
        let right = Right::Rows { b: &x, stride: plane };
        let (one, two) = (finish(&scale, &bias, Some(MapKind::Sigmoid)), finish(&bias, &scale, None));
        let two = Finish { then: (channels > 10).then_some(MapKind::Tanh), ..two };
        let first = Dense {
            a: &a,
            a_stride: channels,
            rows: maps,
            common: channels,
            columns: plane,
            right,
            finish: one,
        };
        let windows = Image { x: &[], size, made, kernel, strides, dilations, before: [margin; 2] };
        let task = ConvDepthwise { first, windows, weights: &weights, finish: two };
        let least = (1..).find(|floats| Cpu::takes_conv_depthwise(&task, *floats)).unwrap();
        for set in available() {
            let cpu = Cpu::new(set, Pool::new(&ledger, 1).unwrap(), &ledger).unwrap();
            let (mut between, mut expected) = (vec![0.0; maps * plane], vec![0.0; maps * seen]);
            cpu.dense(&first, &mut between);
            let kind = PlaneKind::Weighted { weights: &weights, finish: two };
            cpu.planes(&Image { x: &between, ..windows }, kind, &mut expected);
            for threads in [1, 2, 3] {
                let cpu = Cpu::new(set, Pool::new(&ledger, threads).unwrap(), &ledger).unwrap();
                for room in [least, least + 1, 2 * least + 5, 7 * least, 3 * plane, 40 * plane] {
                    let room = room.max(least);
                    // What lies behind the room is not touched.
                    let mut work = vec![f32::NAN; room + 1];
                    let mut out = vec![f32::NAN; maps * seen];
                    cpu.conv_depthwise(&task, &mut work[..room], &mut out);
                    let what = format!("{size:?} {kernel:?}, {room} floats, {} on {threads}", set.name());
                    assert_eq!(out, expected, "{what}");
                    assert!(work[room].is_nan(), "{what}");
                }
            }
        }
    }
}
