//! Every block format against the `gguf` Python package, bit for bit, and against its own error bound.
//!
//! The golden files come from `tests/golden/make_blocks.py`. Nothing here names a format except the table of
//! error bounds, so a new one is tested as soon as it is in the list and the script.

use pintpot_tensor::{BLOCK_FORMATS, BlockFormat, DType, Groups};
use proptest::prelude::*;
use std::ops::Range;
use std::path::PathBuf;

/// Where in the golden values the weights are like those of most models, and where they are -0.5, 0 or 0.5.
const PLAIN: Range<usize> = 0..768;
const TERNARY: Range<usize> = 768..1024;

/// Relative root-mean-square error that `quantize` may have on a part of the golden values: at most half a percent
/// above that of ggml's own C quantisers on the same values.
const ERROR_BOUNDS: &[(DType, Range<usize>, f64)] = &[
    (DType::BF16, PLAIN, 0.0018),
    (DType::F16, PLAIN, 0.00023),
    (DType::F32, PLAIN, 0.0),
    (DType::IQ1_M, PLAIN, 0.421),
    (DType::IQ1_S, PLAIN, 0.539),
    (DType::IQ2_S, PLAIN, 0.378),
    (DType::IQ2_XS, PLAIN, 0.388),
    (DType::IQ2_XXS, PLAIN, 0.477),
    (DType::IQ3_S, PLAIN, 0.178),
    (DType::IQ3_XXS, PLAIN, 0.224),
    (DType::IQ4_NL, PLAIN, 0.118),
    (DType::IQ4_XS, PLAIN, 0.119),
    (DType::MXFP4, PLAIN, 0.149),
    (DType::Q2_K, PLAIN, 0.245),
    (DType::Q3_K, PLAIN, 0.183),
    (DType::Q4_0, PLAIN, 0.159),
    (DType::Q4_1, PLAIN, 0.096),
    (DType::Q4_K, PLAIN, 0.0895),
    (DType::Q5_0, PLAIN, 0.076),
    (DType::Q5_1, PLAIN, 0.0446),
    (DType::Q5_K, PLAIN, 0.0441),
    (DType::Q6_K, PLAIN, 0.026),
    (DType::Q8_0, PLAIN, 0.0099),
    (DType::TQ1_0, TERNARY, 0.0),
    (DType::TQ2_0, TERNARY, 0.0),
];

fn golden(name: &str) -> Option<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/blocks");
    std::fs::read(folder.join(name)).ok()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.as_chunks().0.iter().map(|&b| f32::from_le_bytes(b)).collect()
}

fn values() -> Vec<f32> {
    floats(&golden("values.bin").expect("tests/golden/blocks/values.bin"))
}

fn dequantize(format: &dyn BlockFormat, blocks: &[u8]) -> Vec<f32> {
    let mut out =
        vec![f32::NAN; blocks.len() / format.dtype().block_bytes() * format.dtype().block_elements()];
    let rows = out.chunks_mut(format.dtype().block_elements());
    rows.zip(blocks.chunks(format.dtype().block_bytes()))
        .for_each(|(out, block)| format.dequantize(block, out));
    out
}

fn quantize(format: &dyn BlockFormat, values: &[f32]) -> Vec<u8> {
    // Not zeros: a quantiser must overwrite whatever lies in the block.
    let mut out = vec![0xA5; values.len() / format.dtype().block_elements() * format.dtype().block_bytes()];
    let rows = out.chunks_mut(format.dtype().block_bytes());
    rows.zip(values.chunks(format.dtype().block_elements())).for_each(|(block, v)| format.quantize(v, block));
    out
}

/// Root of the mean squared error over the root of the mean square.
fn relative_error(got: &[f32], want: &[f32]) -> f64 {
    let square = |x: f32| f64::from(x) * f64::from(x);
    let error: f64 = got.iter().zip(want).map(|(g, w)| square(g - w)).sum();
    (error / want.iter().map(|&w| square(w)).sum::<f64>()).sqrt()
}

#[test]
fn the_list_is_in_order_and_matches_the_types() {
    assert!(BLOCK_FORMATS.is_sorted_by_key(|f| f.dtype().name()));
    for format in BLOCK_FORMATS {
        let dtype = format.dtype();
        assert!(std::ptr::addr_eq(dtype.block().expect("listed"), *format), "{dtype}");
        assert_eq!(format.group() != 0, dtype.is_quantized(), "{dtype}");
        if dtype.is_quantized() {
            assert!(
                matches!(format.group(), 16 | 32) && dtype.block_elements() % format.group() == 0,
                "{dtype}"
            );
        }
        assert!(ERROR_BOUNDS.iter().any(|b| b.0 == dtype), "{dtype} has no error bound");
    }
    assert!(ERROR_BOUNDS.is_sorted_by_key(|b| b.0.name()));
}

#[test]
fn dequantize_equals_the_oracle_bit_for_bit() {
    for format in BLOCK_FORMATS.iter().filter(|f| f.dtype() != DType::F32) {
        let dtype = format.dtype();
        let bytes = golden(&format!("{dtype}.bin")).unwrap_or_else(|| panic!("no golden file for {dtype}"));
        let count = bytes.len() / (dtype.block_bytes() + 4 * dtype.block_elements());
        let (blocks, want) = bytes.split_at(count * dtype.block_bytes());
        let got = dequantize(*format, blocks);
        for (i, (got, want)) in got.iter().zip(floats(want)).enumerate() {
            assert_eq!(got.to_bits(), want.to_bits(), "{dtype}, element {i}: {got} is not {want}");
        }
    }
}

#[test]
fn quantize_equals_the_oracle_where_it_has_one() {
    for format in BLOCK_FORMATS {
        let dtype = format.dtype();
        let Some(want) = golden(&format!("{dtype}.quantized.bin")) else { continue };
        for (i, (got, want)) in quantize(*format, &values())
            .chunks(dtype.block_bytes())
            .zip(want.chunks(dtype.block_bytes()))
            .enumerate()
        {
            assert_eq!(got, want, "{dtype}, block {i}");
        }
    }
}

#[test]
fn quantize_stays_within_its_error() {
    let values = values();
    for (dtype, part, bound) in ERROR_BOUNDS {
        let format = dtype.block().expect("listed");
        let got = dequantize(format, &quantize(format, &values[part.clone()]));
        let error = relative_error(&got, &values[part.clone()]);
        assert!(error <= *bound, "{dtype}: relative error {error:.5}, at most {bound}");
    }
}

#[test]
fn groups_forget_the_block_before() {
    for format in BLOCK_FORMATS.iter().filter(|f| f.group() != 0) {
        let dtype = format.dtype();
        let zero = vec![0; dtype.block_bytes()];
        let mut groups = Groups { q: [77; 256], scale: [77.0; 16], min: [77.0; 16] };
        format.unpack(&zero, &mut groups);
        let count = dtype.block_elements() / format.group();
        assert!(groups.q[..dtype.block_elements()].iter().all(|&q| q != 77), "{dtype}");
        assert!(groups.min[..count].iter().all(|&m| m == 0.0), "{dtype}");
        assert!(format.has_min() || groups.min[..count].iter().all(|m| m.is_sign_positive()), "{dtype}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Any bytes are a block; what its scales keep finite stays finite.
    #[test]
    fn any_bytes_are_a_block(bytes in prop::collection::vec(any::<u8>(), 256)) {
        for format in BLOCK_FORMATS.iter().filter(|f| f.group() != 0) {
            let dtype = format.dtype();
            let block = &bytes[..dtype.block_bytes()];
            let mut groups = Groups::default();
            format.unpack(block, &mut groups);
            let got = dequantize(*format, block);
            for (i, x) in got.iter().enumerate() {
                let g = i / format.group();
                let finite = groups.scale[g].abs() < 1e30 && groups.min[g].is_finite();
                prop_assert!(x.is_finite() || !finite, "{}, element {}: {}", dtype, i, x);
            }
        }
    }

    /// Any values can be quantised, whatever that may mean.
    #[test]
    fn any_values_can_be_quantized(values in prop::collection::vec(any::<f32>(), 256)) {
        for format in BLOCK_FORMATS {
            quantize(*format, &values);
        }
    }

    /// Groups of few distinct values, where scale searches degenerate, keep to the range of their values.
    #[test]
    fn no_value_goes_astray(
        few in prop::collection::vec(-1.0f32..1.0, 1..4),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 256),
        magnitude in -4i32..4,
    ) {
        let values: Vec<f32> = picks.iter().map(|p| p.get(&few) * 10f32.powi(magnitude)).collect();
        // Below a thousandth the f16 scales themselves run out of digits.
        let peak = values.iter().fold(1e-3f32, |m, v| m.max(v.abs()));
        for format in BLOCK_FORMATS {
            let got = dequantize(*format, &quantize(*format, &values));
            // A codebook has only some of the combinations, and in some not every sign.
            let far = if matches!(format.dtype().name().get(..3), Some("IQ1" | "IQ2" | "IQ3")) { 2.0 } else { 0.55 };
            for (got, want) in got.iter().zip(&values) {
                prop_assert!((got - want).abs() <= far * peak, "{}: {got} for {want}", format.dtype());
            }
        }
    }
}
