//! What the gates of feed-forwards let through, summed up while steps run: which neurons would not be missed.
//!
//! A neuron adds `act(gate) * up * down`, so how little it matters is told by `|act(gate)|` times what its `up` is on average,
//! and a threshold on that product for a whole layer is one on `|act(gate)|` for each neuron (He et al., "CHESS", arXiv
//! 2409.01366). What it is not: the choice of a share, which is the user's. The one design choice: two passes over a text,
//! averages first, then counts by size, so that nothing is kept of any row.

use graph::ValueId;
use kernels::{Activation, Cpu};

/// Sizes that are told apart: steps of an octave, from the smallest octave on.
const STEPS: f32 = 32.0;
const OCTAVES: (f32, f32) = (-40.0, 24.0);
const SIZES: usize = ((OCTAVES.1 - OCTAVES.0) * STEPS) as usize;

/// Sums over the rows of steps, layer by layer.
pub struct Gates {
    layers: Vec<Layer>,
    /// Whether averages are known and sizes are counted.
    counting: bool,
    row: Vec<f32>,
}

struct Layer {
    /// What the gated unit makes.
    output: ValueId,
    /// By neuron, the sum of `|up|`, then its average.
    up: Vec<f32>,
    rows: u64,
    /// How many activations, weighed by `up`, are of each size.
    counts: Vec<u64>,
}

impl Gates {
    /// For the gated units that make these values, of so many neurons.
    pub fn new(units: &[(ValueId, usize)]) -> Gates {
        let layer = |&(output, neurons): &(ValueId, usize)| Layer {
            output,
            up: vec![0.0; neurons],
            rows: 0,
            counts: vec![0; SIZES],
        };
        let widest = units.iter().map(|unit| unit.1).max().unwrap_or(0);
        Gates { layers: units.iter().map(layer).collect(), counting: false, row: Vec::with_capacity(widest) }
    }

    /// Bytes on the heap of sums for units of so many neurons.
    pub fn bytes(neurons: impl Iterator<Item = usize>) -> u64 {
        neurons.map(|neurons| (8 * neurons + SIZES * 8) as u64).sum()
    }

    /// Ends the first pass: averages are known, and sizes are counted from now on.
    pub fn count(&mut self) {
        for Layer { up, rows, .. } in &mut self.layers {
            up.iter_mut().for_each(|up| *up /= (*rows).max(1) as f32);
        }
        self.counting = true;
    }

    /// Adds rows of a gated unit, before it is computed.
    pub(crate) fn note(&mut self, output: ValueId, cpu: &Cpu, act: Activation, gate: &[f32], up: &[f32]) {
        let Gates { layers, counting, row } = self;
        let Some(layer) = layers.iter_mut().find(|layer| layer.output == output) else { return };
        let neurons = layer.up.len();
        for (gate, up) in gate.chunks_exact(neurons).zip(up.chunks_exact(neurons)) {
            if *counting {
                row.clear();
                row.extend_from_slice(gate);
                cpu.activate(act, row);
                row.iter().zip(&layer.up).for_each(|(x, up)| layer.counts[size(x.abs() * up)] += 1);
            } else {
                layer.up.iter_mut().zip(up).for_each(|(sum, up)| *sum += up.abs());
                layer.rows += 1;
            }
        }
    }

    /// For each layer, what the activation of each of its neurons must exceed, so that `share` of all do not.
    pub fn thresholds(&self, share: f32) -> impl Iterator<Item = Vec<f32>> {
        self.layers.iter().map(move |layer| {
            let wanted = (layer.counts.iter().sum::<u64>() as f64 * f64::from(share)) as u64;
            let mut below = 0;
            let reached = |count: &u64| {
                below += count;
                below > wanted
            };
            let at = layer.counts.iter().position(reached).unwrap_or(SIZES - 1);
            let threshold = (at as f32 / STEPS + OCTAVES.0).exp2();
            layer.up.iter().map(|up| (threshold / up).min(f32::MAX)).collect()
        })
    }
}

/// The size of a number: its place among [`SIZES`].
fn size(x: f32) -> usize {
    let at = (x.log2() - OCTAVES.0) * STEPS;
    (at.max(0.0) as usize).min(SIZES - 1) // of 0 the logarithm is minus infinity
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_parts_a_layer_at_the_share() {
        let mut gates = Gates::new(&[(ValueId(3), 4)]);
        gates.layers[0].up = vec![1.0, 2.0, 0.5, 0.0];
        for x in [0.0, 1e-9, 0.01, 0.1, 0.2, 0.4, 0.8, 1.6] {
            gates.layers[0].counts[size(x)] += 1;
        }
        let half = gates.thresholds(0.5).next().unwrap();
        assert!(half[0] > 0.1 && half[0] <= 0.2, "{half:?}");
        assert!(half[1] == half[0] / 2.0 && half[2] == half[0] * 2.0 && half[3] == f32::MAX);
        let none = gates.thresholds(0.0).next().unwrap();
        assert!(none[0] < 1e-11);
        let most = gates.thresholds(0.99).next().unwrap();
        assert!(most[0] > 0.8 && most[0] <= 1.6);
    }
}
