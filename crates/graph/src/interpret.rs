//! Runs a graph by its operators' references: slow, f32 with f64 sums, the definition that backends are tested
//! against. For tests and for reading; nothing here is on the path of a user's run.

use crate::{Graph, StateId, Weight, WeightId};
use std::collections::HashMap;

/// A matrix of f32; indices are stored as f32 too.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Elements a row.
    pub columns: usize,
    /// Rows one after another.
    pub data: Vec<f32>,
}

impl Tensor {
    /// A matrix of `rows * columns` elements.
    pub fn new(rows: usize, columns: usize, data: Vec<f32>) -> Tensor {
        assert_eq!(data.len(), rows * columns, "a tensor's data must fill its shape");
        Tensor { columns, data }
    }

    /// A column of indices.
    pub fn indices(values: &[u32]) -> Tensor {
        Tensor { columns: 1, data: values.iter().map(|&v| v as f32).collect() }
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.data.len() / self.columns.max(1)
    }

    /// One row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.columns..][..self.columns]
    }

    /// One row, to be changed.
    pub fn row_mut(&mut self, i: usize) -> &mut [f32] {
        &mut self.data[i * self.columns..][..self.columns]
    }
}

/// Gives a weight's elements as f32.
type Load<'g> = Box<dyn Fn(&Weight) -> Vec<f32> + 'g>;

/// Keys and values by position.
type Memory = (Vec<Vec<f32>>, Vec<Vec<f32>>);

/// One sequence run through a graph, step by step.
pub struct Interpreter<'g> {
    graph: &'g Graph,
    load: Load<'g>,
    weights: HashMap<WeightId, Tensor>,
    states: HashMap<StateId, Memory>,
}

impl<'g> Interpreter<'g> {
    /// An interpreter with empty states; `load` gives a weight's elements as f32.
    pub fn new(graph: &'g Graph, load: impl Fn(&Weight) -> Vec<f32> + 'g) -> Interpreter<'g> {
        Interpreter { graph, load: Box::new(load), weights: HashMap::new(), states: HashMap::new() }
    }

    /// One step: `inputs` in the order of [`Graph::inputs`]; gives the outputs.
    pub fn step(&mut self, inputs: &[Tensor]) -> Vec<Tensor> {
        let mut values: Vec<Option<Tensor>> = vec![None; self.graph.values.len()];
        for (id, tensor) in self.graph.inputs.iter().zip(inputs) {
            values[id.0 as usize] = Some(tensor.clone());
        }
        for node in &self.graph.nodes {
            let taken: Vec<Tensor> =
                node.inputs.iter().filter_map(|id| values[id.0 as usize].clone()).collect();
            let output = node.op.reference(self, &taken.iter().collect::<Vec<_>>());
            values[node.output.0 as usize] = Some(output);
        }
        self.graph.outputs.iter().filter_map(|id| values[id.0 as usize].clone()).collect()
    }

    /// The graph that runs.
    pub(crate) fn graph(&self) -> &'g Graph {
        self.graph
    }

    /// A weight as f32, its offset added.
    pub(crate) fn weight(&mut self, id: WeightId) -> Tensor {
        let weight = self.graph.weight_of(id);
        let load = &self.load;
        self.weights
            .entry(id)
            .or_insert_with(|| {
                let mut data = load(weight);
                data.iter_mut().for_each(|x| *x += weight.offset);
                Tensor { columns: weight.shape.columns() as usize, data }
            })
            .clone()
    }

    /// Stores the keys and values of a position and gives all that a state holds.
    pub(crate) fn remember(
        &mut self,
        state: StateId,
        position: usize,
        key: &[f32],
        value: &[f32],
    ) -> (&[Vec<f32>], &[Vec<f32>]) {
        let (keys, values) = self.states.entry(state).or_default();
        for (memory, row) in [(&mut *keys, key), (&mut *values, value)] {
            memory.resize(memory.len().max(position + 1), Vec::new());
            memory[position] = row.to_vec();
        }
        (keys, values)
    }
}
