//! The type of an element or of a quantised block, named as GGUF names it.
//!
//! Not a place for conversions: what the bytes of a block mean is in [`crate::block`].

use crate::block::{self, BlockFormat};

/// Element type of a tensor. Quantised types store whole blocks; see [`DType::block_elements`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(missing_docs, non_camel_case_types)]
pub enum DType {
    F32,
    F16,
    BF16,
    F64,
    I8,
    I16,
    I32,
    I64,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2_K,
    Q3_K,
    Q4_K,
    Q5_K,
    Q6_K,
    IQ1_M,
    IQ1_S,
    IQ2_S,
    IQ2_XS,
    IQ2_XXS,
    IQ3_S,
    IQ3_XXS,
    IQ4_NL,
    IQ4_XS,
    TQ1_0,
    TQ2_0,
    MXFP4,
}

/// One row of the table below: type, name, GGUF id, elements a block, bytes a block.
type Row = (DType, &'static str, u32, usize, usize);

/// Every type, in the order of [`DType`]. Ids and sizes are ggml's.
const TABLE: [Row; 30] = [
    (DType::F32, "F32", 0, 1, 4),
    (DType::F16, "F16", 1, 1, 2),
    (DType::BF16, "BF16", 30, 1, 2),
    (DType::F64, "F64", 28, 1, 8),
    (DType::I8, "I8", 24, 1, 1),
    (DType::I16, "I16", 25, 1, 2),
    (DType::I32, "I32", 26, 1, 4),
    (DType::I64, "I64", 27, 1, 8),
    (DType::Q4_0, "Q4_0", 2, 32, 18),
    (DType::Q4_1, "Q4_1", 3, 32, 20),
    (DType::Q5_0, "Q5_0", 6, 32, 22),
    (DType::Q5_1, "Q5_1", 7, 32, 24),
    (DType::Q8_0, "Q8_0", 8, 32, 34),
    (DType::Q2_K, "Q2_K", 10, 256, 84),
    (DType::Q3_K, "Q3_K", 11, 256, 110),
    (DType::Q4_K, "Q4_K", 12, 256, 144),
    (DType::Q5_K, "Q5_K", 13, 256, 176),
    (DType::Q6_K, "Q6_K", 14, 256, 210),
    (DType::IQ1_M, "IQ1_M", 29, 256, 56),
    (DType::IQ1_S, "IQ1_S", 19, 256, 50),
    (DType::IQ2_S, "IQ2_S", 22, 256, 82),
    (DType::IQ2_XS, "IQ2_XS", 17, 256, 74),
    (DType::IQ2_XXS, "IQ2_XXS", 16, 256, 66),
    (DType::IQ3_S, "IQ3_S", 21, 256, 110),
    (DType::IQ3_XXS, "IQ3_XXS", 18, 256, 98),
    (DType::IQ4_NL, "IQ4_NL", 20, 32, 18),
    (DType::IQ4_XS, "IQ4_XS", 23, 256, 136),
    (DType::TQ1_0, "TQ1_0", 34, 256, 54),
    (DType::TQ2_0, "TQ2_0", 35, 256, 66),
    (DType::MXFP4, "MXFP4", 39, 32, 17),
];

impl DType {
    /// All types, in declaration order.
    pub fn all() -> impl Iterator<Item = DType> {
        TABLE.iter().map(|row| row.0)
    }

    const fn row(self) -> &'static Row {
        &TABLE[self as usize]
    }

    /// The name GGUF tools print, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The id under which GGUF stores this type.
    pub fn gguf_id(self) -> u32 {
        self.row().2
    }

    /// The type with this GGUF id, if pintpot knows it.
    pub fn from_gguf_id(id: u32) -> Option<DType> {
        TABLE.iter().find(|row| row.2 == id).map(|row| row.0)
    }

    /// Elements in one block; 1 for plain types.
    pub const fn block_elements(self) -> usize {
        self.row().3
    }

    /// Bytes in one block; the element's size for plain types.
    pub const fn block_bytes(self) -> usize {
        self.row().4
    }

    /// Bytes of `elements` consecutive elements. `None` if they are not whole blocks or the size overflows.
    pub fn bytes_of(self, elements: u64) -> Option<u64> {
        let per_block = self.block_elements() as u64;
        if !elements.is_multiple_of(per_block) {
            return None;
        }
        (elements / per_block).checked_mul(self.block_bytes() as u64)
    }

    /// Whether elements are stored as blocks with shared scales.
    pub fn is_quantized(self) -> bool {
        self.block_elements() > 1
    }

    /// The definition of this type's blocks; `None` for integers and F64.
    pub fn block(self) -> Option<&'static dyn BlockFormat> {
        block::BLOCK_FORMATS.iter().copied().find(|f| f.dtype() == self)
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_follows_the_enum() {
        for (i, dtype) in DType::all().enumerate() {
            assert_eq!(dtype as usize, i, "{dtype}");
            assert_eq!(DType::from_gguf_id(dtype.gguf_id()), Some(dtype));
        }
    }

    #[test]
    fn sizes_are_whole_blocks_or_nothing() {
        assert_eq!(DType::Q4_1.bytes_of(64), Some(40));
        assert_eq!(DType::Q4_1.bytes_of(33), None);
        assert_eq!(DType::F32.bytes_of(u64::MAX), None);
    }
}
