//! How long a network takes, and which of its operators take it.
//!
//! What it is: runs of a loaded network with a clock beside each node. What it is not: a comparison; that wants both programs
//! in turns. The one design choice: the runs that are timed as a whole take no times of nodes, so neither disturbs the other.

use crate::{Error, Network};
use std::time::Instant;

/// What the runs of a network took.
#[derive(Clone, Debug)]
pub struct NetworkTimes {
    /// Seconds of each run, after one that does not count.
    pub seconds: Vec<f64>,
    /// Operators by name, those first that took longest.
    pub operators: Vec<OperatorTime>,
    /// Multiply-adds of a run.
    pub macs: u64,
    /// Every node, in the order of the run.
    pub nodes: Vec<NodeTime>,
}

/// What one node took.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeTime {
    /// The name of its operator.
    pub name: &'static str,
    /// What goes in and comes out.
    pub shapes: String,
    /// Seconds, the least of all runs.
    pub seconds: f64,
    /// Multiply-adds of a run.
    pub macs: u64,
}

/// What all nodes of one operator took.
#[derive(Clone, Debug, PartialEq)]
pub struct OperatorTime {
    /// Its name.
    pub name: &'static str,
    /// How many nodes.
    pub nodes: usize,
    /// Seconds of the nodes' quickest runs.
    pub seconds: f64,
    /// Multiply-adds of a run.
    pub macs: u64,
    /// Of its nodes the slowest: its seconds, and what goes in and comes out.
    pub slowest: (f64, String),
}

impl Network {
    /// Runs on the same inputs again and again.
    ///
    /// # Errors
    /// As [`Network::run`].
    pub fn bench(&mut self, feeds: &[(&str, &[u8])], repetitions: u32) -> Result<NetworkTimes, Error> {
        self.run(feeds)?;
        let mut seconds = Vec::new();
        for _ in 0..repetitions {
            let start = Instant::now();
            self.run(feeds)?;
            seconds.push(start.elapsed().as_secs_f64());
        }
        self.executor.take_times();
        for _ in 0..repetitions {
            self.run(feeds)?;
        }
        let nodes = self.nodes();
        let macs = nodes.iter().map(|node| node.macs).sum();
        Ok(NetworkTimes { seconds, operators: operators(&nodes), macs, nodes })
    }

    /// Times of nodes.
    fn nodes(&self) -> Vec<NodeTime> {
        let graph = self.executor.graph();
        let times = graph.nodes.iter().zip(self.executor.times().unwrap_or_default());
        let nodes = times.map(|(node, seconds)| {
            let inputs: Vec<graph::Value> = node.inputs.iter().map(|&id| *graph.value_of(id)).collect();
            let bounds = graph::Bounds { rows: 1, logit_rows: 1 };
            let macs = node.op.cost(graph, &inputs, &bounds, 0).macs;
            let shape = |value: &graph::Value| match value.dims.known() {
                Some(extents) => graph::ArrayType { elem: value.elem, extents }.to_string(),
                None => "?".into(),
            };
            let from: Vec<String> = inputs.iter().map(shape).collect();
            let shapes = format!("{} -> {}", from.join(", "), shape(graph.value_of(node.output)));
            NodeTime { name: node.op.name(), shapes, seconds: *seconds, macs }
        });
        nodes.collect()
    }
}

/// Nodes by operator.
fn operators(nodes: &[NodeTime]) -> Vec<OperatorTime> {
    let mut operators: Vec<OperatorTime> = Vec::new();
    for node in nodes {
        let place = operators.iter().position(|operator| operator.name == node.name);
        let place = place.unwrap_or_else(|| {
            let slowest = (0.0, String::new());
            operators.push(OperatorTime { name: node.name, nodes: 0, seconds: 0.0, macs: 0, slowest });
            operators.len() - 1
        });
        let operator = &mut operators[place];
        operator.nodes += 1;
        operator.seconds += node.seconds;
        operator.macs += node.macs;
        if node.seconds > operator.slowest.0 {
            operator.slowest = (node.seconds, node.shapes.clone());
        }
    }
    operators.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    operators
}
