//! A feed-forward of which only the neurons that are awake are read and multiplied.
//!
//! `y = sum over r of a[r] * (up[r] . x) * down[r]`, in ascending order of the neurons `r`, those with `a[r] = 0` left out. A
//! neuron's row of `up` and of the transposed `down` are all that it needs, so a few neurons that lie next to each other are
//! the smallest of experts, and gates are their router (Zhang et al., "MoEfication", arXiv 2110.01786; Alizadeh et
//! al., "LLM in a flash", arXiv 2312.11514).

use super::{Cost, Operator, Stack, WeightUse, expect_f32, takes_int8, weight_error};
use crate::interpret::{Interpreter, Tensor};
use crate::plan::ALIGNMENT;
use crate::{Bounds, Elem, Error, Graph, Value, WeightId};

/// Inputs: rows (rows, width), int8 if `up` is quantised, and activations (rows, neurons). Output: (rows, width).
#[derive(Clone, Debug, PartialEq)]
pub struct Neurons {
    /// What a neuron's activation is multiplied with, (neurons, width).
    pub up: WeightId,
    /// What a neuron adds to the output, (neurons, width).
    pub down: WeightId,
    /// How many neurons there are.
    pub count: u32,
    /// Neurons that are kept and read together: a divisor of their number.
    pub cluster: u32,
    /// Clusters that a row is likely to need, for the planner.
    pub likely: u32,
}

/// Bytes of both matrices that are brought together at a time, about.
const STAGE_BYTES: u64 = 256 << 10;
/// Neurons that are brought together at a time, at most.
const STAGE_NEURONS: u64 = 256;

/// What [`Neurons`] works in besides its inputs and output: offsets in bytes, each a multiple of [`ALIGNMENT`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage {
    /// Rows of `up`.
    pub up: u64,
    /// Rows of `down`.
    pub down: u64,
    /// What each neuron's row of `down` is multiplied with, (rows, neurons), f32.
    pub hidden: u64,
    /// How many clusters there is room for.
    pub clusters: u32,
    /// Where it ends.
    pub end: u64,
}

impl Neurons {
    /// How many clusters there are.
    pub fn clusters(&self) -> u32 {
        self.count / self.cluster.max(1)
    }

    /// Where things lie for steps of at most `bounds` with inputs of this kind.
    pub fn stage(&self, graph: &Graph, input: &Value, bounds: &Bounds) -> Stage {
        let rows = u64::from(input.dims.rows().map_or(1, |s| bounds.of(s)));
        let [up, down] = [self.up, self.down].map(|id| row_bytes(graph, id));
        let neurons = (STAGE_BYTES / (up + down).max(1)).min(STAGE_NEURONS);
        let clusters = (neurons / u64::from(self.cluster)).clamp(1, u64::from(self.clusters().max(1)));
        let neurons = clusters * u64::from(self.cluster);
        let down_at = (neurons * up).next_multiple_of(ALIGNMENT);
        let hidden = (down_at + neurons * down).next_multiple_of(ALIGNMENT);
        let end = (hidden + rows * neurons * 4).next_multiple_of(ALIGNMENT);
        Stage { up: 0, down: down_at, hidden, clusters: clusters as u32, end }
    }

    /// Bytes of one cluster.
    pub fn bytes(&self, graph: &Graph) -> u64 {
        u64::from(self.cluster) * (row_bytes(graph, self.up) + row_bytes(graph, self.down))
    }
}

fn row_bytes(graph: &Graph, id: WeightId) -> u64 {
    let weight = graph.weight_of(id);
    weight.dtype.bytes_of(weight.shape.columns()).unwrap_or(0)
}

impl Operator for Neurons {
    fn arity(&self) -> usize {
        2
    }

    fn infer(&self, graph: &Graph, inputs: &[Value]) -> Result<Value, Error> {
        let (width, neurons) = (inputs[0].dims.columns(), inputs[1].dims.columns());
        let rows = expect_f32("Neurons", inputs, 1, None)?.rows();
        if rows != inputs[0].dims.rows() {
            let expected = format!("the rows of {}", inputs[0].dims);
            return Err(Error::Shape { op: "Neurons", input: 1, found: Box::new(inputs[1].dims), expected });
        }
        for id in [self.up, self.down] {
            if graph.weight_of(id).shape.extents() != [u64::from(neurons), u64::from(width)] {
                return Err(weight_error("Neurons", graph, id, format!("[{neurons}, {width}]")));
            }
        }
        if self.count != neurons || self.cluster == 0 || !neurons.is_multiple_of(self.cluster) {
            let expected = format!("{} rows in whole clusters of {}", self.count, self.cluster);
            return Err(weight_error("Neurons", graph, self.up, expected));
        }
        if inputs[0].elem == Elem::Index
            || (inputs[0].elem == Elem::Quantized) && !takes_int8(graph.weight_of(self.up).dtype)
        {
            let found = inputs[0].elem;
            return Err(Error::Elem { op: "Neurons", input: 0, found, expected: Elem::F32 });
        }
        Ok(Value { elem: Elem::F32, ..inputs[0] })
    }

    fn reference(&self, run: &mut Interpreter<'_>, inputs: &[&Tensor]) -> Tensor {
        let (x, a) = (inputs[0], inputs[1]);
        let (up, down) = (run.weight(self.up), run.weight(self.down));
        let mut out = Tensor::new(x.rows(), x.columns, vec![0.0; x.data.len()]);
        for r in 0..x.rows() {
            for (neuron, &a) in a.row(r).iter().enumerate().filter(|(_, a)| **a != 0.0) {
                let pairs = x.row(r).iter().zip(up.row(neuron));
                let dot: f64 = pairs.map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                let h = a * dot as f32;
                out.row_mut(r).iter_mut().zip(down.row(neuron)).for_each(|(out, w)| *out += h * w);
            }
        }
        out
    }

    fn cost(&self, _graph: &Graph, inputs: &[Value], bounds: &Bounds, _context: u32) -> Cost {
        let rows = inputs[0].dims.rows().map_or(1, |s| u64::from(bounds.of(s)));
        let awake = u64::from(self.likely.min(self.clusters())) * u64::from(self.cluster);
        let width = u64::from(inputs[0].dims.columns());
        // The way back is done in floats, sixteen multiply-adds where a product does many more.
        Cost { macs: rows * awake * width, float_ops: rows * awake * width / 4, ..Cost::default() }
    }

    fn weights(&self) -> Vec<WeightUse> {
        let set = [self.up, self.down].map(|weight| Stack::Rows { weight, rows: self.cluster }).to_vec();
        let (of, at_most) = (self.clusters(), self.likely);
        vec![WeightUse::OneOf { set, stand_ins: Vec::new(), of, at_most }]
    }

    fn scratch(&self, graph: &Graph, inputs: &[Value], bounds: &Bounds) -> u64 {
        self.stage(graph, &inputs[0], bounds).end
    }
}
