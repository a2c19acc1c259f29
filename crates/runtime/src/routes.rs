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
    /// (rows, used), what the layer before foresaw; empty if it did not.
    foreseen: Vec<u16>,
}

impl Routes {
    /// Bytes of a list of `rows` rows of layers whose rows choose so many each.
    pub fn bytes(rows: usize, used: impl IntoIterator<Item = u32>) -> u64 {
        used.into_iter().map(|used| 2 * u64::from(used) * rows as u64 * size_of::<u16>() as u64).sum()
    }

    /// Room for `rows` rows of layers whose rows choose so many each.
    pub fn new(rows: usize, used: impl IntoIterator<Item = u32>) -> Routes {
        let layer = |used: u32| {
            let used = used as usize;
            let room = || Vec::with_capacity(rows * used);
            Layer { used, chosen: room(), foreseen: room() }
        };
        Routes { layers: used.into_iter().map(layer).collect() }
    }

    /// Writes down what the rows of `mixture`, (rows, experts), chose in a layer.
    pub(crate) fn note(&mut self, layer: usize, mixture: &[f32], experts: usize) {
        let Some(Layer { used, chosen, .. }) = self.layers.get_mut(layer) else { return };
        for row in mixture.chunks_exact(experts) {
            if chosen.len() + *used > chosen.capacity() {
                return;
            }
            let experts = row.iter().zip(0..).filter(|(counts, _)| **counts != 0.0).map(|(_, expert)| expert);
            put(chosen, *used, experts);
        }
    }

    /// Writes down what the layer before foresaw of a row's choice in a layer.
    pub(crate) fn note_foreseen(&mut self, layer: usize, experts: &[u32]) {
        let Some(Layer { used, foreseen, .. }) = self.layers.get_mut(layer) else { return };
        if foreseen.len() + *used <= foreseen.capacity() {
            put(foreseen, *used, experts.iter().map(|&expert| expert as u16));
        }
    }

    /// How many layers there are.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }

    /// What each row chose in a layer, ascending.
    pub fn rows(&self, layer: usize) -> impl Iterator<Item = impl Iterator<Item = u16> + '_> + '_ {
        each(&self.layers[layer].chosen, self.layers[layer].used)
    }

    /// What was foreseen of that, ascending; no rows if nothing was.
    pub fn foreseen(&self, layer: usize) -> impl Iterator<Item = impl Iterator<Item = u16> + '_> + '_ {
        each(&self.layers[layer].foreseen, self.layers[layer].used)
    }
}

/// Adds a row of at most `used` experts.
fn put(list: &mut Vec<u16>, used: usize, experts: impl Iterator<Item = u16>) {
    let end = list.len() + used;
    list.extend(experts.take(used));
    list.resize(end, NONE);
}

/// Row by row.
fn each(list: &[u16], used: usize) -> impl Iterator<Item = impl Iterator<Item = u16> + '_> + '_ {
    list.chunks_exact(used).map(|row| row.iter().copied().filter(|&expert| expert != NONE))
}
