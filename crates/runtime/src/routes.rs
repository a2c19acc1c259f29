//! Which experts the rows of steps went to, written down for whoever wants to know.
//!
//! Not a statistic. Room is made before the first step; what does not fit is left out.

/// No expert.
const NONE: u16 = u16::MAX;

/// For each layer of experts, what every row chose.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    layers: Vec<Layer>,
}

#[derive(Clone, Debug)]
struct Layer {
    used: usize,
    /// (rows, used), with [`NONE`] where a row chose fewer.
    chosen: Vec<u16>,
}

impl Routes {
    /// Bytes of a list of `rows` rows of layers whose rows choose so many each.
    pub fn bytes(rows: usize, used: impl IntoIterator<Item = u32>) -> u64 {
        used.into_iter().map(|used| u64::from(used) * rows as u64 * size_of::<u16>() as u64).sum()
    }

    /// Room for `rows` rows of layers whose rows choose so many each.
    pub fn new(rows: usize, used: impl IntoIterator<Item = u32>) -> Routes {
        let layer =
            |used: u32| Layer { used: used as usize, chosen: Vec::with_capacity(rows * used as usize) };
        Routes { layers: used.into_iter().map(layer).collect() }
    }

    /// Writes down what the rows of `mixture`, (rows, experts), chose in a layer.
    pub(crate) fn note(&mut self, layer: usize, mixture: &[f32], experts: usize) {
        let Some(Layer { used, chosen }) = self.layers.get_mut(layer) else { return };
        for row in mixture.chunks_exact(experts) {
            if chosen.len() + *used > chosen.capacity() {
                return;
            }
            let end = chosen.len() + *used;
            let experts = row.iter().zip(0..).filter(|(counts, _)| **counts != 0.0).map(|(_, expert)| expert);
            chosen.extend(experts.take(*used));
            chosen.resize(end, NONE);
        }
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// What each row chose in a layer, ascending.
    pub fn rows(&self, layer: usize) -> impl Iterator<Item = impl Iterator<Item = u16> + '_> + '_ {
        let Layer { used, chosen } = &self.layers[layer];
        chosen.chunks_exact(*used).map(|row| row.iter().copied().filter(|&expert| expert != NONE))
    }
}
