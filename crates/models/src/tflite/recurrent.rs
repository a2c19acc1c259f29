//! Networks that walk along a sequence with a state, which stays from run to run.
//!
//! What it is: LSTM without projection and norms, plain ones, and SVDF (P. Nakkiran et al., Compressing Deep Neural Networks using a
//! Rank-Constrained Topology, 2015), of floats; whole numbers are taken as the fractions that they stand for. The one design choice: a
//! state is an input that the executor feeds with what the run before it left, as variables are, and a float whatever the file says.

use super::call::{Call, Made};
use super::{Importer, Row, kind_of, name};
use crate::Error;
use formats::tflite::{Activation, LstmKernel, Options};
use graph::array::{
    BinaryKind, MatMul, Recurrent, RecurrentInputs, RecurrentKind, Reduce, ReduceKind, UnaryKind,
};
use graph::{ArrayType, Carried, Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("LSTM", lstm),
    ("RNN", plain),
    ("SVDF", svdf),
    ("UNIDIRECTIONAL_SEQUENCE_LSTM", lstm),
    ("UNIDIRECTIONAL_SEQUENCE_RNN", plain),
];

/// Numbers of an LSTM's inputs: gates are input, forget, cell and output, each four of them one behind another.
struct Lstm;

impl Lstm {
    const WEIGHTS: usize = 1;
    const OF_HIDDEN: usize = 5;
    const OF_CELL: usize = 9;
    const BIAS: usize = 12;
    const PROJECTION: usize = 16;
    const HIDDEN: usize = 18;
    const CELL: usize = 19;
    const NORMS: usize = 20;
    /// The gates in the order that [`Recurrent`] has: input, output, forget, cell.
    const GATES: [usize; 4] = [0, 3, 1, 2];
}

impl Importer<'_> {
    /// Whether a tensor is a state that nothing but its operator makes.
    pub(super) fn is_state(&self, number: u32) -> bool {
        self.tensor(number).is_variable && self.held[number as usize].value().is_none()
    }

    /// The state that an operator finds, and whether it stays from run to run.
    fn state(&mut self, number: u32) -> Result<(ValueId, bool), Error> {
        if !self.is_state(number) {
            return Ok((self.plain(number)?, false));
        }
        let kind = kind_of(&name(self.graph, number), self.tensor(number))?;
        Ok((self.builder.input(ArrayType { elem: Elem::F32, ..kind }, None), true))
    }

    /// What an operator leaves is what it finds in the next run.
    fn keep(&mut self, (input, stays): (ValueId, bool), made: ValueId) {
        if stays {
            self.states.push(Carried { made, input, start: None });
        }
    }

    /// Inputs one below another, as the weights of the only direction: (1, rows of all, width).
    fn stacked(&mut self, call: &Call<'_>, numbers: impl Iterator<Item = usize>) -> Result<ValueId, Error> {
        let parts = numbers.map(|input| self.plain(call.input(input)?)).collect::<Result<Vec<_>, _>>()?;
        let all = self.builder.join(&parts, 0)?;
        let extents = [&[1], &self.builder.extents(all)?[..]].concat();
        self.builder.reshaped(all, &extents)
    }

    /// A state as that of the only direction.
    fn directed(&mut self, state: ValueId) -> Result<ValueId, Error> {
        let extents = [&[1], &self.builder.extents(state)?[..]].concat();
        self.builder.reshaped(state, &extents)
    }

    /// The walk; what it makes, with the extents that the input has but for the last, and its last states (batch, hidden).
    fn walked(
        &mut self,
        (x, batch_first): (ValueId, bool),
        network: Recurrent,
        inputs: &[ValueId],
    ) -> Result<(ValueId, Vec<ValueId>), Error> {
        let own = self.builder.extents(x)?;
        // A single step is a sequence of one.
        let (x, batch_first) = match own[..] {
            [batch, width] => (self.builder.reshaped(x, &[1, batch, width])?, false),
            _ => (x, batch_first),
        };
        let network = Recurrent { batch_first: false, ..network };
        let x = if batch_first { self.builder.turned(x, &[1, 0, 2])? } else { x };
        let made = self.builder.push(network, &[&[x], inputs].concat())?;
        let Some((&all, last)) = made.split_first() else { return Err(Error::NoOutput) };
        let [rows, _, batch, hidden] = self.builder.extents(all)?[..] else { return Err(Error::NoOutput) };
        let all = self.builder.reshaped(all, &[rows, batch, hidden])?;
        let all = match (own.len(), batch_first) {
            (2, _) => self.builder.reshaped(all, &[batch, hidden])?,
            (_, true) => self.builder.turned(all, &[1, 0, 2])?,
            _ => all,
        };
        let last = last.iter().map(|state| self.builder.reshaped(*state, &[batch, hidden]));
        Ok((all, last.collect::<Result<_, _>>()?))
    }
}

/// An activation as a function, if it is one that a walk takes.
fn function(call: &Call<'_>, activation: Activation) -> Result<UnaryKind, Error> {
    match activation {
        Activation::None => Ok(UnaryKind::Affine { alpha: 1.0, beta: 0.0 }),
        Activation::Relu => Ok(UnaryKind::Relu),
        Activation::Tanh => Ok(UnaryKind::Tanh),
        _ => call.wrong("fused_activation_function", "NONE, RELU or TANH is needed"),
    }
}

fn lstm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (activation, clips, batch_first) = match call.operator.options {
        Options::UnidirectionalSequenceLstm {
            fused_activation_function,
            cell_clip,
            proj_clip,
            time_major,
            diagonal_recurrent_tensors: false,
            ..
        } => (fused_activation_function, [cell_clip, proj_clip], !time_major),
        Options::Lstm {
            fused_activation_function,
            cell_clip,
            proj_clip,
            kernel_type: LstmKernel::Full,
            ..
        } => (fused_activation_function, [cell_clip, proj_clip], false),
        _ => return call.wrong("kernel_type", "a full kernel is needed"),
    };
    if clips[0] != 0.0 {
        return call.wrong("cell_clip", "a cell that is not clipped is needed");
    }
    let is_there = |input: usize| call.optional(input).is_some();
    if is_there(Lstm::PROJECTION) || (Lstm::NORMS..Lstm::NORMS + 4).any(is_there) {
        return call.wrong("projection_weights", "an LSTM without projection and norms is needed");
    }
    if !is_there(Lstm::WEIGHTS) {
        return call.wrong("input_to_input_weights", "an LSTM with all of its gates is needed");
    }
    let gates = |first: usize| Lstm::GATES.iter().map(move |gate| first + gate);
    let x = importer.plain(call.input(0)?)?;
    let weights = importer.stacked(call, gates(Lstm::WEIGHTS))?;
    let of_hidden = importer.stacked(call, gates(Lstm::OF_HIDDEN))?;
    let bias = importer.stacked(call, gates(Lstm::BIAS))?;
    let (elem, len) = (importer.builder.elem(bias), importer.builder.extents(bias)?.elements());
    // What is added to products with the state is nothing.
    let nothing = importer.builder.table(elem, &[1, len], &vec![0.0; len])?;
    let bias = importer.builder.join(&[bias, nothing], 1)?;
    let (hidden, cell) =
        (importer.state(call.input(Lstm::HIDDEN)?)?, importer.state(call.input(Lstm::CELL)?)?);
    let mut inputs = vec![weights, of_hidden, bias, importer.directed(hidden.0)?, importer.directed(cell.0)?];
    let peepholes = is_there(Lstm::OF_CELL + 1);
    if peepholes {
        inputs.push(importer.stacked(call, [0, 2, 1].map(|gate| Lstm::OF_CELL + gate).into_iter())?);
    }
    let own = function(call, activation)?;
    let network = Recurrent {
        kind: RecurrentKind::Lstm { couples: false },
        backwards: vec![false],
        activations: vec![UnaryKind::Sigmoid, own, own],
        clip: None,
        batch_first,
        all: true,
        with: RecurrentInputs { bias: true, lengths: false, hidden: true, cell: true, peepholes },
    };
    let (made, last) = importer.walked((x, batch_first), network, &inputs)?;
    let [last_hidden, last_cell] = last[..] else { return Err(Error::NoOutput) };
    importer.keep(hidden, last_hidden);
    importer.keep(cell, last_cell);
    Ok(Made::plain(made))
}

fn plain(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (activation, batch_first) = match call.operator.options {
        Options::SequenceRnn { time_major, fused_activation_function, .. } => {
            (fused_activation_function, !time_major)
        }
        Options::Rnn { fused_activation_function, .. } => (fused_activation_function, false),
        _ => return call.wrong("builtin_options", "settings of a recurrent network are needed"),
    };
    let x = importer.plain(call.input(0)?)?;
    let (weights, of_hidden) = (importer.stacked(call, 1..2)?, importer.stacked(call, 2..3)?);
    let bias = importer.stacked(call, 3..4)?;
    let (elem, len) = (importer.builder.elem(bias), importer.builder.extents(bias)?.elements());
    let nothing = importer.builder.table(elem, &[1, len], &vec![0.0; len])?;
    let bias = importer.builder.join(&[bias, nothing], 1)?;
    let hidden = importer.state(call.input(4)?)?;
    let inputs = [weights, of_hidden, bias, importer.directed(hidden.0)?];
    let network = Recurrent {
        kind: RecurrentKind::Plain,
        backwards: vec![false],
        activations: vec![function(call, activation)?],
        clip: None,
        batch_first,
        all: true,
        with: RecurrentInputs { bias: true, hidden: true, ..RecurrentInputs::default() },
    };
    let (made, last) = importer.walked((x, batch_first), network, &inputs)?;
    importer.keep(hidden, *last.first().ok_or(Error::NoOutput)?);
    Ok(Made::plain(made))
}

/// Each filter is a product with what comes in and one with what it made before; `rank` of them are a unit.
fn svdf(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Svdf { rank, fused_activation_function, .. } = call.operator.options else {
        return call.wrong("builtin_options", "a rank is needed");
    };
    let (x, weights) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let times = importer.plain(call.input(2)?)?;
    let ([batch, _], [filters, memory]) =
        (&importer.builder.extents(x)?[..], &importer.builder.extents(times)?[..])
    else {
        return call.wrong("weights_time", "a matrix is needed");
    };
    let (batch, filters, memory) = (*batch, *filters, *memory);
    let rank = usize::try_from(rank).ok().filter(|rank| *rank > 0 && filters % rank == 0 && memory > 0);
    let Some(rank) = rank else {
        return call.wrong("rank", "a number that divides that of filters is needed");
    };
    let state = importer.state(call.input(4)?)?;
    let builder = &mut importer.builder;
    let new = builder.one(MatMul { b_is_transposed: true, widens: false }, &[x, weights])?;
    let new = builder.reshaped(new, &[batch, filters, 1])?;
    let before = builder.reshaped(state.0, &[batch, filters, memory])?;
    let before = builder.part_along(before, 2, 1, memory - 1)?;
    let all = builder.join(&[before, new], 2)?;
    let parts = builder.of_both(BinaryKind::Mul, all, times)?;
    let parts = builder.reshaped(parts, &[batch, filters / rank, rank * memory])?;
    let mut made = builder.one(Reduce { kind: ReduceKind::Sum, axes: vec![2], keeps: false }, &[parts])?;
    let left = builder.reshaped(all, &[batch, filters * memory])?;
    importer.keep(state, left);
    if let Some(bias) = call.optional(3) {
        let bias = importer.plain(bias)?;
        made = importer.builder.of_both(BinaryKind::Add, made, bias)?;
    }
    Ok(Made::plain(importer.activated(made, fused_activation_function)?))
}
