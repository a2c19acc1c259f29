//! Why a file could not be turned into a graph.

use crate::ARCHITECTURES;

/// Why a file could not be turned into a graph.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No architecture claims the file.
    #[error("architecture '{name}' is not supported; supported are {}", supported())]
    UnknownArchitecture {
        /// What the file says.
        name: String,
    },
    /// The file asks for something that pintpot does not do yet.
    #[error("'{key}' is '{value}', which is not supported yet")]
    Unsupported {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
    },
    /// A router has fewer experts than a row goes to.
    #[error("damaged file: a router chooses {used} of {found} experts; download the file again")]
    FewExperts {
        /// How many there are.
        found: u32,
        /// How many a row goes to.
        used: u32,
    },
    /// More experts than pintpot reckons with.
    #[error("a layer has {found} experts; at most {most} are supported")]
    ManyExperts {
        /// How many there are.
        found: u32,
        /// How many there may be.
        most: u32,
    },
    /// Two experts have a tensor in common.
    #[error("damaged file: tensor '{name}' is there for two experts; download the file again")]
    SharedTensor {
        /// The tensor.
        name: String,
    },
    /// A norm has not as many elements as what it is applied to.
    #[error(
        "damaged file: tensor '{name}' has {found} elements, expected {expected}; download the file again"
    )]
    NormWidth {
        /// The tensor.
        name: String,
        /// Its elements.
        found: u64,
        /// What they should be.
        expected: u32,
    },
    /// A setting makes no sense.
    #[error("damaged file: '{key}' is {value}, expected {expected}; download the file again")]
    Setting {
        /// The setting.
        key: String,
        /// Its value.
        value: String,
        /// What would make sense.
        expected: &'static str,
    },
    /// A tensor has a type that cannot be multiplied with.
    #[error("tensor '{name}' has type {dtype}, which holds no weights")]
    UnsupportedType {
        /// Its name.
        name: String,
        /// Its type.
        dtype: tensor::DType,
    },
    /// The matrix at the end has not the rows of the one at the beginning.
    #[error(
        "damaged file: tensor '{name}' has {rows} rows, but the embedding has {expected}; download the file again"
    )]
    Vocabularies {
        /// The matrix at the end.
        name: String,
        /// Its rows.
        rows: u64,
        /// Rows of the embedding.
        expected: u64,
    },
    /// The header cannot be read.
    #[error(transparent)]
    File(#[from] formats::Error),
    /// The tensors do not fit together.
    #[error(transparent)]
    Graph(#[from] graph::Error),
}

fn supported() -> String {
    let names: Vec<&str> = ARCHITECTURES.iter().flat_map(|a| a.names().iter().copied()).collect();
    names.join(", ")
}
