//! Branches and calls of graphs within the file.
//!
//! The one design choice: a branch whose condition is known is taken; where a run decides, both are computed and one is chosen,
//! which is right because nothing in a branch can fail or change what is outside.

use super::call::{Call, Made};
use super::held::Held;
use super::{Importer, Row};
use crate::Error;
use formats::tflite::Options;
use graph::ValueId;
use graph::array::Select;

pub(super) const ROWS: &[Row] =
    &[("CALL", inline), ("IF", branch), ("STABLEHLO_COMPOSITE", inline), ("WHILE", roll_out)];

/// Graphs within graphs.
const DEPTH_MAX: usize = 16;
/// Times that a loop may run.
const ROLLED_OUT: usize = 1 << 12;

impl<'a> Importer<'a> {
    /// The outputs of a graph of the file for inputs.
    pub(super) fn inner(&mut self, number: i32, inputs: &[ValueId]) -> Result<Vec<ValueId>, Error> {
        let found = usize::try_from(number).ok().and_then(|number| self.model.subgraphs.get(number));
        let graph = found.ok_or(Error::NoOutput)?;
        if self.depth >= DEPTH_MAX || graph.inputs.len() != inputs.len() {
            return Err(Error::Operator);
        }
        let outer = std::mem::replace(&mut self.held, vec![Held::default(); graph.tensors.len()]);
        let around = std::mem::replace(&mut self.graph, graph);
        self.depth += 1;
        graph.inputs.iter().zip(inputs).for_each(|(number, id)| self.hold(*number, Held::plain(*id)));
        let made = self.operators(graph).and_then(|()| {
            graph.outputs.iter().map(|number| self.plain(*number)).collect::<Result<Vec<_>, _>>()
        });
        self.depth -= 1;
        (self.held, self.graph) = (outer, around);
        made
    }

    fn plain_all(&mut self, numbers: &[u32]) -> Result<Vec<ValueId>, Error> {
        numbers.iter().map(|number| self.plain(*number)).collect()
    }
}

fn made(ids: Vec<ValueId>) -> Vec<Made> {
    ids.into_iter().flat_map(Made::plain).collect()
}

/// A graph of the file in place of an operator; of one that has a name of its own, what it is made of.
fn inline(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let number = match call.operator.options {
        Options::Call { subgraph } => i32::try_from(subgraph).unwrap_or(-1),
        Options::StablehloComposite { decomposition_subgraph_index } => decomposition_subgraph_index,
        _ => return call.wrong("builtin_options", "the number of a graph is needed"),
    };
    let inputs = importer.plain_all(&call.all()?)?;
    Ok(made(importer.inner(number, &inputs)?))
}

fn branch(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::If { then_subgraph_index, else_subgraph_index } = call.operator.options else {
        return call.wrong("builtin_options", "the numbers of two graphs are needed");
    };
    let all = call.all()?;
    let inputs = importer.plain_all(all.get(1..).unwrap_or_default())?;
    let condition = importer.plain(call.input(0)?)?;
    match importer.builder.integer(condition) {
        Ok(is) => {
            let taken = if is != 0 { then_subgraph_index } else { else_subgraph_index };
            Ok(made(importer.inner(taken, &inputs)?))
        }
        Err(Error::DataDependent) => {
            let pair = [then_subgraph_index, else_subgraph_index];
            let [yes, no] = pair.map(|number| importer.inner(number, &inputs));
            let condition = importer.builder.reshaped(condition, &[])?;
            let pairs = yes?.into_iter().zip(no?);
            let chosen = pairs.map(|(yes, no)| {
                if importer.builder.extents(yes)? != importer.builder.extents(no)? {
                    return Err(Error::DataDependent);
                }
                importer.builder.one(Select, &[condition, yes, no])
            });
            Ok(made(chosen.collect::<Result<_, _>>()?))
        }
        Err(other) => Err(other),
    }
}

/// A loop whose end is known, once after another.
fn roll_out(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::While { cond_subgraph_index, body_subgraph_index } = call.operator.options else {
        return call.wrong("builtin_options", "the numbers of two graphs are needed");
    };
    let mut carried = importer.plain_all(&call.all()?)?;
    for _ in 0..ROLLED_OUT {
        let is = importer.inner(cond_subgraph_index, &carried)?;
        let is = is.first().copied().ok_or(Error::NoOutput)?;
        if importer.builder.integer(is)? == 0 {
            return Ok(made(carried));
        }
        carried = importer.inner(body_subgraph_index, &carried)?;
    }
    Err(Error::ManyNodes { most: ROLLED_OUT })
}
