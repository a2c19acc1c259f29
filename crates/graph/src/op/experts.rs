//! A mixture's feed-forward: each row goes through the few experts that the router chose for it.
//!
//! `y = sum over e of w[e] * down_e(act(gate_e x) * up_e x)`, in ascending order of the experts, whatever the order in
//! which their weights arrive. The one operator whose weights are known only in the step: it declares them as one
//! choice, so that a store can keep some and fetch others.

use super::{Activation, Cost, Operator, WeightUse, expect_f32, takes_int8, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::plan::ALIGNMENT;
use crate::{Bounds, Elem, Error, Graph, Value, WeightId};

/// A matrix for each expert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stack {
    /// One tensor, (experts, outputs, inputs).
    Whole(WeightId),
    /// A tensor for each, (outputs, inputs), numbered in a row from this one.
    Each(WeightId),
    /// So many rows for each of one tensor, (experts * rows, inputs).
    Rows {
        /// The tensor.
        weight: WeightId,
        /// Rows of each.
        rows: u32,
    },
}

impl Stack {
    /// The tensor that holds the matrix of `expert`, and its place among the matrices of that tensor.
    pub fn of(self, expert: u32) -> (WeightId, u32) {
        match self {
            Stack::Whole(weight) | Stack::Rows { weight, .. } => (weight, expert),
            Stack::Each(first) => (WeightId(first.0 + expert), 0),
        }
    }

    /// The first tensor: its type is that of all.
    pub fn first(self) -> WeightId {
        match self {
            Stack::Whole(weight) | Stack::Each(weight) | Stack::Rows { weight, .. } => weight,
        }
    }

    /// Outputs and inputs of a matrix, if every one of `experts` has the same and the same type.
    pub fn matrix(self, graph: &Graph, experts: u32) -> Option<(u32, u32)> {
        let weight = graph.weight_of(self.first());
        let extents = weight.shape.extents();
        let sizes = match self {
            Stack::Rows { rows, .. } => {
                let fits = extents.len() == 2 && extents[0] == u64::from(experts) * u64::from(rows);
                return fits.then_some((rows, u32::try_from(extents[1]).ok()?));
            }
            Stack::Whole(_) => {
                (extents.len() == 3 && extents[0] == u64::from(experts)).then(|| &extents[1..])
            }
            Stack::Each(_) => {
                let alike = |e: u32| {
                    let other = graph.weight_of(self.of(e).0);
                    other.shape == weight.shape && other.dtype == weight.dtype
                };
                (extents.len() == 2 && (0..experts).all(alike)).then_some(extents)
            }
        }?;
        Some((u32::try_from(sizes[0]).ok()?, u32::try_from(sizes[1]).ok()?))
    }
}

/// Inputs: rows (rows, width), int8 if gate and up are quantised, and what each expert counts, (rows, experts).
/// Output: (rows, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Experts {
    /// Into the gate's non-linearity, (hidden, width) each.
    pub gate: Stack,
    /// What the gate is multiplied with, (hidden, width) each.
    pub up: Stack,
    /// Back, (width, hidden) each.
    pub down: Stack,
    /// Gate, up and down in a coarser type, if the file has them.
    pub stand_ins: Option<[Stack; 3]>,
    /// The gate's non-linearity.
    pub activation: Activation,
    /// Added to what gate, up and down give, (experts, outputs) each.
    pub biases: Option<[WeightId; 3]>,
    /// How many experts there are.
    pub count: u32,
    /// How many of them a row goes to, at most.
    pub used: u32,
}

/// How many of `count` experts `rows` rows go to that want `used` each, if all are equally likely.
pub fn expected_experts(count: u32, used: u32, rows: u32) -> f64 {
    let (count, used) = (f64::from(count), f64::from(used));
    count * (1.0 - (1.0 - used / count).powi(i32::try_from(rows).unwrap_or(i32::MAX)))
}

/// Pairs of a row and an expert whose results are kept apart, at least: a step of so few may take experts as they come.
const PAIRS: u32 = 64;

/// What an [`Experts`] works in besides its inputs and output: offsets in bytes, each a multiple of [`ALIGNMENT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Workspace {
    /// Numbers of the rows of one expert, u32.
    pub rows: u64,
    /// The input's rows of one expert.
    pub x: u64,
    /// Gate, then hidden: f32.
    pub gate: u64,
    /// Up: f32.
    pub up: u64,
    /// Hidden as the down matrix takes it, if that is int8.
    pub hidden: u64,
    /// Results, (pairs, width), f32.
    pub results: u64,
    /// How many pairs there is room for.
    pub pairs: u32,
    /// Where it ends.
    pub end: u64,
}

impl Experts {
    /// Where things lie for steps of at most `bounds` with inputs of this kind.
    pub fn workspace(&self, graph: &Graph, input: &Value, bounds: &Bounds) -> Workspace {
        let rows = u64::from(input.dims.rows().map_or(1, |s| bounds.of(s)));
        let width = u64::from(input.dims.columns());
        let hidden = u64::from(self.gate.matrix(graph, self.count).map_or(0, |m| m.0));
        let int8 = takes_int8(graph.weight_of(self.down.first()).dtype);
        let pairs = rows.max((rows * u64::from(self.used)).min(u64::from(PAIRS)));
        let mut end = 0u64;
        let mut take = |bytes: u64| {
            let at = end;
            end = (end + bytes).next_multiple_of(ALIGNMENT);
            at
        };
        let places = Workspace {
            rows: take(rows * 4),
            x: take(rows * input.elem.row_bytes(width)),
            gate: take(rows * hidden * 4),
            up: take(rows * hidden * 4),
            hidden: take(if int8 { rows * Elem::Quantized.row_bytes(hidden) } else { 0 }),
            results: take(pairs * width * 4),
            pairs: pairs as u32,
            end: 0,
        };
        Workspace { end, ..places }
    }

    /// Bytes of the matrices of one expert.
    pub fn bytes(&self, graph: &Graph) -> u64 {
        let of = |stack: Stack| {
            let weight = graph.weight_of(stack.first());
            let all = weight.dtype.bytes_of(weight.shape.elements()).unwrap_or(0);
            if matches!(stack, Stack::Each(_)) { all } else { all / u64::from(self.count.max(1)) }
        };
        of(self.gate) + of(self.up) + of(self.down)
    }
}

impl Operator for Experts {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let width = inputs[0].dims.columns();
        expect_f32("Experts", inputs, 1, Some(self.count))?;
        let wrong =
            |stack: Stack, expected: String| Err(weight_error("Experts", graph, stack.first(), expected));
        let Some((hidden, columns)) = self.gate.matrix(graph, self.count).filter(|m| m.1 == width) else {
            return wrong(self.gate, format!("{} matrices of {width} columns, of one type", self.count));
        };
        if self.up.matrix(graph, self.count) != Some((hidden, columns)) {
            return wrong(self.up, format!("{} matrices of {hidden} x {width}, of one type", self.count));
        }
        if self.down.matrix(graph, self.count) != Some((width, hidden)) {
            return wrong(self.down, format!("{} matrices of {width} x {hidden}, of one type", self.count));
        }
        for (&bias, outputs) in self.biases.iter().flatten().zip([hidden, hidden, width]) {
            if graph.weight_of(bias).shape.extents() != [u64::from(self.count), u64::from(outputs)] {
                return Err(weight_error("Experts", graph, bias, format!("[{}, {outputs}]", self.count)));
            }
        }
        let int8 = |stack: Stack| takes_int8(graph.weight_of(stack.first()).dtype);
        if int8(self.gate) != int8(self.up) {
            return wrong(self.up, "floats if the gate's are, else quantised".to_string());
        }
        for (coarse, fine) in self.stand_ins.iter().flatten().zip([self.gate, self.up, self.down]) {
            if coarse.matrix(graph, self.count) != fine.matrix(graph, self.count)
                || int8(*coarse) != int8(fine)
            {
                return wrong(*coarse, "what it stands in for, in a coarser type".to_string());
            }
        }
        if inputs[0].elem == Elem::Index || (inputs[0].elem == Elem::Quantized) && !int8(self.gate) {
            let found = inputs[0].elem;
            return Err(Error::Elem { op: "Experts", input: 0, found, expected: Elem::F32 });
        }
        Ok(Value { elem: Elem::F32, ..inputs[0] })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let (x, mixture) = (inputs[0], inputs[1]);
        let mut out = Tensor::new(x.rows(), x.columns, vec![0.0; x.data.len()]);
        for r in 0..x.rows() {
            for e in (0..self.count).filter(|&e| mixture.row(r)[e as usize] != 0.0) {
                let gate = self.product(run, 0, e, x.row(r));
                let up = self.product(run, 1, e, x.row(r));
                let hidden: Vec<f32> =
                    gate.iter().zip(up).map(|(gate, up)| self.activation.apply(*gate, up)).collect();
                let y = self.product(run, 2, e, &hidden);
                let w = mixture.row(r)[e as usize];
                out.row_mut(r).iter_mut().zip(y).for_each(|(out, y)| *out += w * y);
            }
        }
        out
    }

    fn cost(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        let rows = inputs[0].dims.rows().map_or(1, |s| u64::from(bounds.of(s)));
        let hidden = self.gate.matrix(graph, self.count).map_or(0, |m| u64::from(m.0));
        let pairs = rows * u64::from(self.used);
        let width = u64::from(inputs[0].dims.columns());
        Cost {
            macs: pairs * 3 * hidden * width,
            float_ops: pairs * (20 * hidden + 2 * width),
            ..Cost::default()
        }
    }

    fn weights(&self) -> Vec<WeightUse> {
        let set = vec![self.gate, self.up, self.down];
        let biases = self.biases.into_iter().flatten().map(WeightUse::Vector);
        let stand_ins = self.stand_ins.map_or(Vec::new(), Vec::from);
        biases.chain([WeightUse::OneOf { set, stand_ins, of: self.count, at_most: self.used }]).collect()
    }

    fn scratch(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds) -> u64 {
        self.workspace(graph, &inputs[0], bounds).end
    }
}

impl Experts {
    /// Gate, up or down of an expert, of `x`.
    fn product(&self, run: &mut Interpreter<'_>, which: usize, expert: u32, x: &[f32]) -> Vec<f32> {
        let mut y = product(run, [self.gate, self.up, self.down][which], expert, x);
        if let Some(biases) = self.biases {
            let bias = run.weight(biases[which]);
            y.iter_mut().zip(bias.row(expert as usize)).for_each(|(y, bias)| *y += bias);
        }
        y
    }
}

/// One matrix of a stack times `x`.
fn product(run: &mut Interpreter<'_>, stack: Stack, expert: u32, x: &[f32]) -> Vec<f32> {
    let (id, place) = stack.of(expert);
    let weight = run.weight(id);
    let rows = match stack {
        Stack::Whole(_) => run.graph().weight_of(id).shape.extents()[1] as usize,
        Stack::Each(_) => weight.rows(),
        Stack::Rows { rows, .. } => rows as usize,
    };
    let dot = |row: &[f32]| -> f64 { x.iter().zip(row).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum() };
    (0..rows).map(|r| dot(weight.row(place as usize * rows + r)) as f32).collect()
}
