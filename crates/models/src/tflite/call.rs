//! One operator as its lowering sees it.

use super::held::Held;
use crate::Error;
use formats::tflite::Operator;
use graph::ValueId;

/// An operator as its lowering sees it.
pub(crate) struct Call<'a> {
    pub operator: &'a Operator,
}

/// What an operator makes.
pub(crate) struct Made(pub(super) Held);

impl Made {
    /// A value as in the file.
    pub fn plain(id: ValueId) -> Vec<Made> {
        vec![Made(Held::plain(id))]
    }

    /// A value with channels first, or as in the file.
    pub fn ordered(id: ValueId, first: bool) -> Vec<Made> {
        if first { Made::first(id) } else { Made::plain(id) }
    }

    /// The value, and whether it has channels first.
    pub fn value(&self) -> Option<(ValueId, bool)> {
        self.0.value()
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

    /// Numbers of all inputs, which must be there.
    pub fn all(&self) -> Result<Vec<u32>, Error> {
        (0..self.operator.inputs.len()).map(|input| self.input(input)).collect()
    }

    /// The number of an output.
    pub fn output(&self, output: usize) -> Result<u32, Error> {
        self.operator.outputs.get(output).copied().flatten().ok_or(Error::NoOutput)
    }

    /// Says that the settings are not those of the operator, or that one of them makes no sense.
    pub fn wrong<T>(&self, attribute: &'static str, expected: &'static str) -> Result<T, Error> {
        let found = format!("{:?}", self.operator.options).chars().take(120).collect();
        Err(Error::Attribute { attribute, found, expected })
    }

    /// The number of an input that may be left out.
    pub fn optional(&self, input: usize) -> Option<u32> {
        self.operator.inputs.get(input).copied().flatten()
    }
}
