//! What the bytes of a weight mean: one file per format, one list that names them all.
//!
//! Every quantised format is seen in one way: a block is a row of *groups* of 16 or 32 elements; an element is
//! `scale * q - min` with a small integer `q` that fits in an `i8` and one f32 `scale` and `min` for its group,
//! both exact (sub-scales are multiplied into the block's scale without rounding). [`BlockFormat::unpack`]
//! gives the groups; it is the definition of a product with int8 activations as well as of dequantisation.

mod bits;
mod codebook;
mod fit;
mod float;
pub mod grid;
mod iq1_m;
mod iq1_s;
mod iq2_s;
mod iq2_xs;
mod iq2_xxs;
mod iq3_s;
mod iq3_xxs;
mod iq4_nl;
mod iq4_xs;
mod k_scales;
mod mxfp4;
mod q2_k;
mod q3_k;
mod q4_0;
mod q4_1;
mod q4_k;
mod q5_0;
mod q5_1;
mod q5_k;
mod q6_k;
mod q8_0;
mod tq1_0;
mod tq2_0;

use crate::DType;

/// All formats, in the order of their GGUF names.
pub static BLOCK_FORMATS: &[&dyn BlockFormat] = &[
    &float::BF16,
    &float::F16,
    &float::F32,
    &iq1_m::IQ1M,
    &iq1_s::IQ1S,
    &iq2_s::IQ2S,
    &iq2_xs::IQ2XS,
    &iq2_xxs::IQ2XXS,
    &iq3_s::IQ3S,
    &iq3_xxs::IQ3XXS,
    &iq4_nl::IQ4NL,
    &iq4_xs::IQ4XS,
    &mxfp4::MXFP4,
    &q2_k::Q2K,
    &q3_k::Q3K,
    &q4_0::Q4_0,
    &q4_1::Q4_1,
    &q4_k::Q4K,
    &q5_0::Q5_0,
    &q5_1::Q5_1,
    &q5_k::Q5K,
    &q6_k::Q6K,
    &q8_0::Q8_0,
    &tq1_0::TQ1_0,
    &tq2_0::TQ2_0,
];

/// One format of weights.
///
/// The methods take exactly one block: `dtype().block_bytes()` bytes, `dtype().block_elements()` floats. Callers
/// loop over whole blocks (see [`DType::bytes_of`]); a shorter slice is a bug of theirs and panics.
pub trait BlockFormat: Sync {
    /// The type whose blocks these are; gives name, GGUF id, elements and bytes.
    fn dtype(&self) -> DType;

    /// Elements that share a scale: 16 or 32 for quantised formats, 0 for float formats, which have no groups.
    fn group(&self) -> usize;

    /// Whether groups have a minimum other than zero.
    fn has_min(&self) -> bool;

    /// Where in a block the bytes are that are left over from words of four: at its beginning or before its end.
    fn loose(&self) -> usize {
        0
    }

    /// Splits one block into its groups, all of them written. Float formats leave `out` alone.
    fn unpack(&self, block: &[u8], out: &mut Groups);

    /// One block to f32, bit for bit as ggml's reference does it.
    fn dequantize(&self, block: &[u8], out: &mut [f32]) {
        let mut groups = Groups::default();
        self.unpack(block, &mut groups);
        let rows = out.chunks_mut(self.group()).zip(groups.q.chunks(self.group()));
        for (g, (out, q)) in rows.enumerate() {
            for (x, &q) in out.iter_mut().zip(q) {
                *x = groups.scale[g] * f32::from(q) - groups.min[g];
            }
        }
    }

    /// One block from f32, with about the error of ggml's own quantiser. Infinities and NaN make a block of
    /// no meaning, never a panic.
    fn quantize(&self, values: &[f32], block: &mut [u8]);
}

/// One block as integers with a scale and a minimum for each group: element `i` of group `g` is
/// `scale[g] * q[g * group + i] - min[g]`.
#[derive(Clone, Debug)]
pub struct Groups {
    /// Integers, in element order; only the first `block_elements` count.
    pub q: [i8; Groups::MAX_ELEMENTS],
    /// Scale of each group.
    pub scale: [f32; Groups::MAX_GROUPS],
    /// Minimum of each group, subtracted; zero where the format has none.
    pub min: [f32; Groups::MAX_GROUPS],
}

impl Groups {
    /// Elements of the largest block.
    pub const MAX_ELEMENTS: usize = 256;
    /// Groups of the block with most.
    pub const MAX_GROUPS: usize = 16;
}

impl Default for Groups {
    fn default() -> Groups {
        Groups {
            q: [0; Groups::MAX_ELEMENTS],
            scale: [0.0; Groups::MAX_GROUPS],
            min: [0.0; Groups::MAX_GROUPS],
        }
    }
}
