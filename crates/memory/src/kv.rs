//! Keys and values of one sequence: a place for every position that can still be read.
//!
//! Layers that see everything have a slot for each position of the context; layers with a window have a ring. The
//! number of slots is a multiple of 64, so that tiles of keys at absolute positions never wrap inside a tile. Values
//! that are part of the keys take nothing. The one design choice: a cache has addresses for all that it may ever hold and pays
//! for what it holds ([`KvCache::hold`]), so that it grows where it lies and nothing is copied.

use crate::Error;
use graph::{Graph, State, StateId, StateKind};
use host::{Ledger, Part, Region};
use std::ops::Range;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvFormat {
    /// Half precision: the default at every budget.
    #[default]
    F16,
    /// Q8_0 blocks along a head: about half the bytes; changes the answer a little, so it is the user's choice.
    Q8_0,
}

impl KvFormat {
    /// Bytes of `elements` of a head.
    pub fn bytes(self, elements: u64) -> u64 {
        match self {
            KvFormat::F16 => elements * 2,
            KvFormat::Q8_0 => elements.div_ceil(32) * 34,
        }
    }

    /// Whether it can hold heads of so many elements.
    pub fn fits(self, elements: u32) -> bool {
        match self {
            KvFormat::F16 => true,
            KvFormat::Q8_0 => elements.is_multiple_of(32),
        }
    }

    /// The name that `--kv` takes.
    pub fn name(self) -> &'static str {
        match self {
            KvFormat::F16 => "f16",
            KvFormat::Q8_0 => "q8_0",
        }
    }
}

/// Positions that lie together: slots come in tiles of so many.
const TILE: usize = 64;

/// Slots of a state for a context of `context` tokens fed in steps of at most `step` rows.
pub fn slots_of(state: &State, context: u32, step: u32) -> u32 {
    let needed = match state.kind {
        StateKind::Append => context,
        StateKind::Ring { window } => context.min(window.saturating_add(step)),
    };
    needed.next_multiple_of(TILE as u32)
}

/// Keys and values of one sequence, all layers.
pub struct KvCache {
    region: Region,
    format: KvFormat,
    layers: Vec<Layer>,
    /// Positions that are paid for.
    holds: u32,
}

#[derive(Clone)]
struct Layer {
    slots: u32,
    keys: Range<usize>,
    values: Range<usize>,
}

impl KvCache {
    /// Positions that are paid for together.
    pub const TILE: u32 = TILE as u32;

    /// Bytes for `context` tokens fed in steps of at most `step` rows.
    pub fn bytes(graph: &Graph, format: KvFormat, context: u32, step: u32) -> u64 {
        graph.states.iter().map(|s| layer_bytes(s, format, context, step).into_iter().sum::<u64>()).sum()
    }

    /// Bytes of the first `tokens` positions of a cache for `context` tokens: pages of their own in every layer, and the page
    /// tables that it takes more because they lie apart. Never more than the whole, in whole pages.
    pub fn bytes_of(graph: &Graph, format: KvFormat, context: u32, step: u32, tokens: u32) -> u64 {
        bytes_of(layers(graph, format, context, step), tokens)
    }

    /// An empty cache, all of which may be used.
    pub fn new(
        ledger: &Ledger,
        graph: &Graph,
        format: KvFormat,
        context: u32,
        step: u32,
    ) -> Result<KvCache, Error> {
        KvCache::sparse(ledger, graph, format, (context, context), step)
    }

    /// An empty cache for so many tokens, of which the first so many positions may be used.
    pub fn sparse(
        ledger: &Ledger,
        graph: &Graph,
        format: KvFormat,
        (context, tokens): (u32, u32),
        step: u32,
    ) -> Result<KvCache, Error> {
        let layers: Vec<Layer> = layers(graph, format, context, step).collect();
        let end = layers.last().map_or(0, |layer| layer.values.end);
        let region = Region::sparse(ledger, Part::State, end.max(1))?;
        let mut cache = KvCache { region, format, layers, holds: 0 };
        cache.hold(tokens)?;
        Ok(cache)
    }

    /// Pays for the first `tokens` positions from now on; what lies beyond them goes back to the system. More than there is room
    /// for in the account is refused, with nothing changed.
    pub fn hold(&mut self, tokens: u32) -> Result<(), Error> {
        for layer in self.layers.iter().filter(|_| tokens < self.holds) {
            for part in [&layer.keys, &layer.values] {
                self.region.give_back(part.start + held(layer, part, tokens)..part.end);
            }
        }
        self.region.hold(bytes_of(self.layers.iter().cloned(), tokens))?;
        self.holds = tokens;
        Ok(())
    }

    /// Positions that it may be used for.
    pub fn holds(&self) -> u32 {
        self.holds
    }

    /// Touches every page of a cache that holds nothing yet, so that the peak is reached now and not in the middle of a
    /// conversation. What it held would be damaged.
    pub fn commit(&mut self) {
        let page = host::page_size();
        self.region.as_mut_bytes().chunks_mut(page).for_each(|bytes| bytes[0] = 0);
    }

    /// Takes over what the sequence of `from` holds of its first `len` positions, as far as it fits in here; both caches
    /// are of one graph and one format.
    pub fn copy_from(&mut self, from: &KvCache, len: u32) {
        let (theirs, ours) = (from.region.as_bytes(), self.region.as_mut_bytes());
        for (source, target) in from.layers.iter().zip(&self.layers) {
            let tiles = [source, target].map(|layer| layer.slots as usize / TILE);
            let end = (len as usize).div_ceil(TILE);
            for tile in end.saturating_sub(tiles[0].min(tiles[1]))..end {
                for (there, here) in [(&source.keys, &target.keys), (&source.values, &target.values)] {
                    let bytes = there.len() / tiles[0];
                    let (there, here) =
                        (there.start + tile % tiles[0] * bytes, here.start + tile % tiles[1] * bytes);
                    ours[here..here + bytes].copy_from_slice(&theirs[there..there + bytes]);
                }
            }
        }
    }

    /// Bytes that it holds.
    pub fn held_bytes(&self) -> u64 {
        self.region.reservation().bytes()
    }

    /// How it stores.
    pub fn format(&self) -> KvFormat {
        self.format
    }

    /// Slots of a layer: position `p` lies in slot `p % slots`.
    pub fn slots(&self, state: StateId) -> usize {
        self.layers[state.0 as usize].slots as usize
    }

    /// Keys and values of a layer, for so many slots; the kernels say where in them what lies. Values of keys are empty.
    pub fn split(&mut self, state: StateId) -> (&mut [u8], &mut [u8]) {
        let layer = &self.layers[state.0 as usize];
        let bytes = &mut self.region.as_mut_bytes()[layer.keys.start..layer.values.end];
        bytes.split_at_mut(layer.keys.len())
    }
}

/// Where everything lies.
fn layers(graph: &Graph, format: KvFormat, context: u32, step: u32) -> impl Iterator<Item = Layer> {
    graph.states.iter().scan(0, move |end, state| {
        let [keys, values] = layer_bytes(state, format, context, step).map(|bytes| bytes as usize);
        let start = *end;
        *end += keys + values;
        let slots = slots_of(state, context, step);
        Some(Layer { slots, keys: start..start + keys, values: start + keys..*end })
    })
}

/// Bytes from the start of a part of a layer to the end of its first `tokens` positions.
fn held(layer: &Layer, part: &Range<usize>, tokens: u32) -> usize {
    let (tiles, tile) =
        (tokens.div_ceil(TILE as u32) as usize, TILE * part.len() / (layer.slots as usize).max(1));
    part.len().min(tiles * tile)
}

fn bytes_of(layers: impl Iterator<Item = Layer>, tokens: u32) -> u64 {
    let page = host::page_size();
    let (mut whole, mut bytes, mut parts) = (0, 0, 0);
    for layer in layers {
        for part in [&layer.keys, &layer.values] {
            let end = part.start + held(&layer, part, tokens);
            bytes += end.next_multiple_of(page) - part.start / page * page;
            parts += usize::from(!part.is_empty());
            whole = whole.max(part.end);
        }
    }
    let whole = whole.max(1).next_multiple_of(page);
    // A page of the table has an entry of 8 bytes for each page, wherever it lies.
    let tables = (whole.saturating_sub(bytes) / (page / 8)).min(parts * page);
    whole.min((bytes + tables).next_multiple_of(page)) as u64
}

/// Bytes of the keys and of the values of a layer.
fn layer_bytes(state: &State, format: KvFormat, context: u32, step: u32) -> [u64; 2] {
    let heads = u64::from(slots_of(state, context, step)) * u64::from(state.kv_heads);
    state.kept().map(|dim| heads * format.bytes(u64::from(dim)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use graph::Values;

    #[test]
    fn slots_hold_what_can_still_be_read() {
        let all = State { kind: StateKind::Append, kv_heads: 1, head_dim: 64, values: Values::Own(64) };
        let ring = State { kind: StateKind::Ring { window: 512 }, ..all };
        let cases =
            [(all, 300, 16, 320), (all, 4096, 512, 4096), (ring, 4096, 16, 576), (ring, 300, 16, 320)];
        for (state, context, step, want) in cases {
            assert_eq!(slots_of(&state, context, step), want, "{state:?} {context} {step}");
        }
    }

    #[test]
    fn positions_lie_where_they_are_looked_for_in_a_cache_of_another_size() {
        let mut graph = Graph::new();
        let all = State { kind: StateKind::Append, kv_heads: 2, head_dim: 32, values: Values::Own(16) };
        let ring = State { kind: StateKind::Ring { window: 70 }, ..all };
        let states = [all, ring].map(|state| graph.state(state));
        let ledger = Ledger::new(1 << 20);
        let mut caches = [640, 400].map(|n| KvCache::new(&ledger, &graph, KvFormat::F16, n, 8).unwrap());
        // Every tile is full of its own number.
        let (len, tile) =
            (300u32, |slots: usize, bytes: usize, t: usize| t % (slots / TILE) * (bytes / (slots / TILE)));
        for state in states {
            let slots = caches[0].slots(state);
            let (keys, values) = caches[0].split(state);
            for t in 0..5 {
                for part in [&mut *keys, &mut *values] {
                    let (at, bytes) = (tile(slots, part.len(), t), part.len() / (slots / TILE));
                    part[at..at + bytes].fill(t as u8 + 1);
                }
            }
        }
        let [from, to] = &mut caches;
        to.copy_from(from, len);
        for (state, first) in states.into_iter().zip([0, 3]) {
            let slots = to.slots(state);
            let (keys, values) = to.split(state);
            for part in [&*keys, &*values] {
                for t in first..5 {
                    assert_eq!(part[tile(slots, part.len(), t)], t as u8 + 1, "{state:?} tile {t}");
                }
            }
        }
    }

    #[test]
    fn a_cache_pays_for_what_it_holds_and_keeps_it_while_it_grows() {
        let mut graph = Graph::new();
        let all = State { kind: StateKind::Append, kv_heads: 2, head_dim: 64, values: Values::Own(64) };
        let ring = State { kind: StateKind::Ring { window: 100 }, ..all };
        let states = [all, ring].map(|state| graph.state(state));
        let of = |tokens| KvCache::bytes_of(&graph, KvFormat::F16, 1000, 8, tokens);
        let whole = KvCache::bytes(&graph, KvFormat::F16, 1000, 8);
        assert_eq!(of(1000), whole.next_multiple_of(host::page_size() as u64));
        assert!((0..1000).all(|n| of(n) <= of(n + 1)), "a longer one is never cheaper");
        assert!(of(64) < whole / 8 && of(1) == of(64) && of(64) < of(65));
        let ledger = Ledger::new(of(200));
        let mut cache = KvCache::sparse(&ledger, &graph, KvFormat::F16, (1000, 64), 8).unwrap();
        assert_eq!((ledger.used(), cache.held_bytes(), cache.holds()), (of(64), of(64), 64));
        let tile = 64 * 2 * 64 * 2;
        for state in states {
            let (keys, values) = cache.split(state);
            keys[..tile].fill(7);
            values[..tile].fill(7);
        }
        cache.hold(130).unwrap();
        assert!(cache.hold(300).is_err() && cache.holds() == 130 && ledger.used() == of(130));
        for state in states {
            let (keys, values) = cache.split(state);
            for part in [keys, values] {
                assert!(part[..tile].iter().all(|&b| b == 7));
                part[tile..2 * tile].fill(8);
            }
        }
        cache.hold(10).unwrap();
        let (keys, values) = cache.split(states[0]);
        assert_eq!((ledger.used(), keys[tile - 1], values[tile - 1]), (of(10), 7, 7));
        assert_eq!((keys[tile + 4096], values[tile + 4096]), (0, 0), "what is not paid for has gone back");
        drop(cache);
        assert_eq!(ledger.used(), 0);
    }

    #[test]
    fn keys_and_values_do_not_overlap() {
        let mut graph = Graph::new();
        let wide = State { kind: StateKind::Append, kv_heads: 2, head_dim: 64, values: Values::Own(32) };
        let latent = State { values: Values::OfKeys(32), ..wide };
        let states = [wide, latent, wide].map(|state| graph.state(state));
        let ledger = Ledger::new(1 << 20);
        let mut cache = KvCache::new(&ledger, &graph, KvFormat::Q8_0, 100, 8).unwrap();
        let half = 128 * 2 * 34;
        assert_eq!(KvCache::bytes(&graph, KvFormat::Q8_0, 100, 8), 8 * half as u64);
        for (state, want) in states.into_iter().zip([half, 0, half]) {
            let (keys, values) = cache.split(state);
            assert_eq!((keys.len(), values.len()), (2 * half, want));
            assert!(keys.iter().chain(&*values).all(|&b| b == 0));
            keys.fill(1);
            values.fill(2);
        }
    }
}
