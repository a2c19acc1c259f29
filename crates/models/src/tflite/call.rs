//! One operator as its lowering sees it.

use super::held::Held;
use crate::Error;
use formats::tflite::{Operator, Subgraph};
use graph::ValueId;

/// An operator as its lowering sees it.
pub(crate) struct Call<'a> {
    pub operator: &'a Operator,
    /// The graph that it is in.
    pub graph: &'a Subgraph,
}

/// What an operator makes.
pub(crate) struct Made(pub(super) Held);

impl Made {
    /// A value as in the file.
    pub fn plain(id: ValueId) -> Vec<Made> {
        vec![Made(Held::plain(id))]
    }

    /// A value with channels first.
    pub fn first(id: ValueId) -> Vec<Made> {
        vec![Made(Held::first(id))]
    }
}

impl Call<'_> {
    /// The number of an input that must be there.
    pub fn input(&self, input: usize) -> Result<u32, Error> {
        self.optional(input).ok_or(Error::MissingInput { input })
    }

    /// The number of an input that may be left out.
    pub fn optional(&self, input: usize) -> Option<u32> {
        self.operator.inputs.get(input).copied().flatten()
    }
}
