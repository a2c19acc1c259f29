//! Variables: what a streaming network keeps from one run to the next.
//!
//! The one design choice: a variable is an input that the executor feeds with what the run before it left; what it is at the very
//! first is worked out while the network is built, from the graph that TFLite would call once.

use super::call::{Call, Made};
use super::held::Held;
use super::{Importer, Row, kind_of, name};
use crate::Error;
use formats::tflite::Options;
use graph::array::Array;
use graph::{ArrayType, Carried, ValueId};

pub(super) const ROWS: &[Row] =
    &[("ASSIGN_VARIABLE", assign), ("CALL_ONCE", once), ("READ_VARIABLE", read), ("VAR_HANDLE", handle)];

/// Variables that a network may have.
const MOST: usize = 4096;

/// A variable.
#[derive(Debug)]
pub(super) struct Variable {
    name: (Box<str>, Box<str>),
    /// Its elements before the first run.
    start: Option<Array>,
    /// The input that it is, as soon as somebody reads what the run before left.
    input: Option<ValueId>,
    /// What it is now.
    now: Option<ValueId>,
}

impl Variable {
    /// What is carried, if somebody reads it.
    pub fn carried(self) -> Option<Carried> {
        let (input, made) = (self.input?, self.now?);
        Some(Carried { made, input, start: self.start.map(|start| start.bytes) })
    }
}

fn handle(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::VarHandle { container, shared_name } = &call.operator.options else {
        return call.wrong("builtin_options", "the name of a variable is needed");
    };
    let name = (container.clone(), shared_name.clone());
    let known = importer.variables.iter().position(|variable| variable.name == name);
    let number = known.unwrap_or(importer.variables.len());
    if number >= MOST {
        return Err(Error::ManyNodes { most: MOST });
    }
    if known.is_none() {
        importer.variables.push(Variable { name, start: None, input: None, now: None });
    }
    Ok(vec![Made(Held::variable(number))])
}

fn read(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let number = importer.variable(call.input(0)?)?;
    let variable = &importer.variables[number];
    if let Some(now) = variable.now {
        return Ok(Made::plain(now));
    }
    let kind = match &variable.start {
        Some(start) => start.kind,
        None => declared(importer, call)?,
    };
    let id = importer.builder.input(kind, None);
    let variable = &mut importer.variables[number];
    (variable.input, variable.now) = (Some(id), Some(id));
    Ok(Made::plain(id))
}

fn declared(importer: &Importer<'_>, call: &Call<'_>) -> Result<ArrayType, Error> {
    let made = call.output(0)?;
    kind_of(&name(importer.graph, made), importer.tensor(made))
}

fn assign(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let number = importer.variable(call.input(0)?)?;
    let id = importer.plain(call.input(1)?)?;
    let kind = ArrayType { elem: importer.builder.elem(id), extents: importer.builder.extents(id)? };
    let variable = &importer.variables[number];
    let before = variable.start.as_ref().map(|start| start.kind);
    let before = before.or_else(|| variable.input.map(|input| importer.builder.most(input)));
    if before.is_some_and(|before| before != kind) {
        return call.wrong("value", "what is of the variable's kind and extents is needed");
    }
    importer.variables[number].now = Some(id);
    Ok(Vec::new())
}

/// What the graph leaves in the variables is what they are before the first run.
fn once(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::CallOnce { init_subgraph_index } = call.operator.options else {
        return call.wrong("builtin_options", "the number of a graph is needed");
    };
    if importer.variables.iter().any(|variable| variable.now.is_some()) {
        return call.wrong("init_subgraph_index", "a call before all others is needed");
    }
    importer.inner(init_subgraph_index, &[])?;
    for number in 0..importer.variables.len() {
        if let Some(id) = importer.variables[number].now.take() {
            let array = importer.builder.array(id)?;
            importer.variables[number].start = Some(Array { kind: array.kind, bytes: array.bytes.clone() });
        }
    }
    Ok(Vec::new())
}
