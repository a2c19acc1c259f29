//! What routers choose on a text: how evenly, how steadily, and what keeping some of the experts would be worth.
//!
//! What it is: a run of the model over a text and figures of what was chosen. What it is not: a forecast of another text.
//! How often a cache that drops the least recently used finds an expert is computed for every size at once, from
//! distances (Mattson et al., 1970). How well a fixed choice of experts would do for a segment of the text is the segment
//! cache's best hit rate of "Not All Models Suit Expert Offloading" (arXiv 2505.16056).

use crate::{Error, Flow, GenerateOptions, Model, Opened};
use graph::{Graph, Op};
use host::Part;
use planner::{LayerReuse, Reuse};
use runtime::Routes;

/// Tokens of steps whose experts are counted.
const CHUNKS: [u32; 6] = [16, 32, 64, 128, 256, 512];
/// Tokens of a segment.
const SEGMENT: usize = 32;
/// Share of experts that a model has to find among a quarter of them to be said to suit offloading.
const SUITS: f64 = 0.6;

/// What routers chose on a text.
#[derive(Clone, Debug, PartialEq)]
pub struct Routing {
    /// Tokens of the text and of the answer to it.
    pub tokens: usize,
    /// One entry for each layer with experts.
    pub layers: Vec<LayerRouting>,
}

/// What one router chose.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerRouting {
    /// How many experts there are.
    pub experts: u32,
    /// How many a token goes to.
    pub used: u32,
    /// Bytes of an expert.
    pub expert_bytes: u64,
    /// Share of a token's experts that the token before went to as well.
    pub again: f64,
    /// Entropy of how often each expert is chosen, of what it is if all are equally often.
    pub balance: f64,
    /// By number of experts that are kept, from one: share of those which the model's own answer wants, or without one the later
    /// half of the text, that a cache which drops the least recently used finds. What comes before fills it.
    pub found: Vec<f64>,
    /// Tokens that follow each other, and how many different experts they go to on average.
    pub distinct: Vec<(u32, f64)>,
    /// How much it minds that experts are left out ([`Model::sensitivity`]), if that was measured.
    pub sensitivity: Option<f64>,
    /// Share of those wanted that the layer before foresees; `None` if it is not asked.
    pub foreseen: Option<f64>,
    /// Share of those wanted that the best fixed choice of twice as many experts as a token goes to has, by segments.
    pub segment: f64,
}

impl Routing {
    /// Share of experts found if that share of each layer's is kept.
    pub fn found(&self, share: f64) -> f64 {
        let of = |layer: &LayerRouting| {
            let kept = (f64::from(layer.experts) * share) as usize;
            kept.checked_sub(1).and_then(|at| layer.found.get(at)).copied().unwrap_or(0.0)
        };
        self.mean(of)
    }

    /// The mean of a figure over all layers.
    pub fn mean(&self, of: impl Fn(&LayerRouting) -> f64) -> f64 {
        self.layers.iter().map(of).sum::<f64>() / self.layers.len().max(1) as f64
    }

    /// The mean share of those wanted that the layer before foresees; `None` if no layer is asked.
    pub fn foreseen(&self) -> Option<f64> {
        let shares: Vec<f64> = self.layers.iter().filter_map(|layer| layer.foreseen).collect();
        (!shares.is_empty()).then(|| shares.iter().sum::<f64>() / shares.len() as f64)
    }

    /// Bytes of experts that a token reads if that share of them is kept.
    pub fn read_bytes(&self, share: f64) -> u64 {
        let missed = 1.0 - self.found(share);
        let wanted: u64 = self.layers.iter().map(|layer| u64::from(layer.used) * layer.expert_bytes).sum();
        (wanted as f64 * missed) as u64
    }

    /// What a forecast needs of it.
    pub fn reuse(&self) -> Reuse {
        let of = |layer: &LayerRouting| LayerReuse {
            found: layer.found.clone(),
            distinct: layer.distinct.clone(),
            sensitivity: layer.sensitivity,
        };
        Reuse { layers: self.layers.iter().map(of).collect() }
    }

    /// Whether a quarter of the experts is enough to find most of those that are wanted.
    pub fn suits_offloading(&self) -> bool {
        self.found(0.25) >= SUITS
    }
}

impl Opened {
    /// Whether it is a mixture of experts whose routers can be looked at ([`Model::routing`]).
    pub fn has_routers(&self) -> bool {
        has_routers(&self.decoder.graph)
    }
}

fn has_routers(graph: &Graph) -> bool {
    graph.nodes.iter().any(|node| matches!(node.op, Op::Route(_)))
}

impl Model {
    /// Runs `ids` through the model, lets it go on by itself for `answer` tokens, and tells what its routers chose. The
    /// conversation is forgotten. A model without experts gives no layers.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`]; no room for the list of what was chosen; a failed read.
    pub fn routing(&mut self, ids: &[u32], answer: u32) -> Result<Routing, Error> {
        let tokens = ids.len().saturating_add(answer as usize);
        if tokens > self.context() as usize {
            return Err(Error::PromptTooLong { tokens, context: self.context() });
        }
        if !has_routers(&self.live.graph) {
            return Ok(Routing { tokens: ids.len(), layers: Vec::new() }); // neurons have no router of their own
        }
        let used = || self.placement.experts.iter().map(|set| set.used);
        let room = self.live.ledger.reserve(Part::Heap, Routes::bytes(tokens, used()))?;
        self.executor.record(Some(Routes::new(tokens, used())));
        self.clear();
        let ran = match answer {
            0 => self.feed_ids(ids, false).map(|_| ()),
            _ => {
                let max_tokens = Some(answer);
                let options = GenerateOptions { max_tokens, ignore_end: true, ..GenerateOptions::default() };
                self.generate(ids, &options, &mut |_| Flow::Continue).map(|_| ())
            }
        };
        let routes = self.executor.record(None).unwrap_or_default();
        self.clear();
        ran?;
        let sets = self.placement.experts.iter().enumerate();
        let warm = if answer > 0 { ids.len() } else { ids.len() / 2 };
        let layers = sets.map(|(index, set)| {
            let rows: Vec<Vec<u16>> = routes.rows(index).map(Iterator::collect).collect();
            let foreseen: Vec<Vec<u16>> = routes.foreseen(index).map(Iterator::collect).collect();
            LayerRouting {
                foreseen: foreseen_share(&rows, &foreseen),
                ..layer(&rows, warm, (set.count, set.used), set.slot_bytes)
            }
        });
        let routing = Routing { tokens, layers: layers.collect() };
        drop(room);
        Ok(routing)
    }
}

/// The figures of one layer, from what each token chose; those before the row `warm` fill the caches.
fn layer(rows: &[Vec<u16>], warm: usize, (experts, used): (u32, u32), expert_bytes: u64) -> LayerRouting {
    let wanted = rows.iter().map(Vec::len).sum::<usize>().max(1) as f64;
    let pairs = rows.windows(2);
    let again: usize = pairs.map(|two| two[1].iter().filter(|e| two[0].contains(e)).count()).sum();
    let mut counts = vec![0usize; experts as usize];
    rows.iter().flatten().for_each(|&e| counts[usize::from(e)] += 1);
    let shares = counts.iter().filter(|&&n| n > 0).map(|&n| n as f64 / wanted);
    let warm = warm.min(rows.len());
    let wanted_warm = rows[warm..].iter().map(Vec::len).sum::<usize>().max(1) as f64;
    let entropy: f64 = shares.map(|p| -p * p.log2()).sum();
    LayerRouting {
        experts,
        used,
        expert_bytes,
        again: again as f64 / (wanted - rows.first().map_or(0, Vec::len) as f64).max(1.0),
        balance: entropy / f64::from(experts.max(2)).log2(),
        found: found(rows, warm, experts as usize).into_iter().map(|n| n as f64 / wanted_warm).collect(),
        foreseen: None,
        sensitivity: None,
        distinct: CHUNKS.iter().filter_map(|&n| Some((n, distinct(rows, n as usize)?))).collect(),
        segment: segment(rows, experts as usize, 2 * used as usize) as f64 / wanted,
    }
}

/// For each number of experts kept, from one, how many of those that rows from `warm` on want are found. An expert is found by
/// every cache of at least as many as were wanted since it was, itself included; those of one token come and go together.
fn found(rows: &[Vec<u16>], warm: usize, experts: usize) -> Vec<u64> {
    let mut by_distance = vec![0u64; experts];
    let mut recent: Vec<u16> = Vec::with_capacity(experts); // the latest last
    for (index, row) in rows.iter().enumerate() {
        for &e in row.iter().filter(|_| index >= warm) {
            if let Some(at) = recent.iter().position(|&r| r == e) {
                by_distance[recent.len() - at - 1] += 1;
            }
        }
        recent.retain(|e| !row.contains(e));
        recent.extend(row);
    }
    by_distance
        .iter()
        .scan(0, |sum, n| {
            *sum += n;
            Some(*sum)
        })
        .collect()
}

/// Which share of what rows wanted was foreseen, if anything was.
fn foreseen_share(rows: &[Vec<u16>], foreseen: &[Vec<u16>]) -> Option<f64> {
    let pairs = rows.iter().zip(foreseen);
    let (wanted, met) = pairs.fold((0, 0), |(wanted, met), (row, foreseen)| {
        (wanted + row.len(), met + row.iter().filter(|e| foreseen.contains(e)).count())
    });
    (wanted > 0).then(|| met as f64 / wanted as f64)
}

/// How many different experts `n` tokens go to, on average; `None` if there are fewer.
fn distinct(rows: &[Vec<u16>], n: usize) -> Option<f64> {
    let counts = rows.chunks_exact(n).map(|chunk| {
        let mut all: Vec<u16> = chunk.iter().flatten().copied().collect();
        all.sort_unstable();
        all.dedup();
        all.len() as f64
    });
    let counts: Vec<f64> = counts.collect();
    (!counts.is_empty()).then(|| counts.iter().sum::<f64>() / counts.len() as f64)
}

/// How many of those wanted are among the best `kept` of their segment.
fn segment(rows: &[Vec<u16>], experts: usize, kept: usize) -> u64 {
    let best = |segment: &[Vec<u16>]| {
        let mut counts = vec![0u64; experts];
        segment.iter().flatten().for_each(|&e| counts[usize::from(e)] += 1);
        counts.sort_unstable_by_key(|&n| std::cmp::Reverse(n));
        counts.iter().take(kept).sum::<u64>()
    };
    rows.chunks(SEGMENT).map(best).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a cache of `kept` that drops the least recently used finds, token by token, from the row `warm` on.
    fn simulated(rows: &[Vec<u16>], warm: usize, kept: usize) -> u64 {
        let (mut held, mut found) = (Vec::<u16>::new(), 0);
        for (index, row) in rows.iter().enumerate() {
            found += row.iter().filter(|e| index >= warm && held.contains(e)).count() as u64;
            held.retain(|e| !row.contains(e));
            held.extend(row);
            while held.len() > kept {
                held.remove(0);
            }
        }
        found
    }

    fn rows(count: usize, experts: u64, used: usize) -> Vec<Vec<u16>> {
        let mut seed = 7u64;
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 33) % experts
        };
        (0..count)
            .map(|_| {
                let mut row = Vec::new();
                while row.len() < used {
                    let e = draw().min(draw()) as u16;
                    if !row.contains(&e) {
                        row.push(e);
                    }
                }
                row.sort_unstable();
                row
            })
            .collect()
    }

    #[test]
    fn one_pass_tells_of_caches_of_every_size() {
        let rows = rows(200, 16, 3);
        for warm in [0, 100] {
            let all = found(&rows, warm, 16);
            for kept in 3..=16 {
                assert_eq!(all[kept - 1], simulated(&rows, warm, kept), "{kept} kept, {warm}");
            }
        }
    }

    #[test]
    fn steady_routers_suit_and_even_ones_do_not() {
        let of = |rows: &[Vec<u16>]| Routing {
            tokens: rows.len(),
            layers: vec![layer(rows, rows.len() / 2, (16, 2), 10)],
        };
        let steady: Vec<_> = (0..64).map(|_| vec![3, 9]).collect();
        let even: Vec<_> = (0..64u16).map(|t| vec![2 * t % 16, (2 * t + 1) % 16]).collect();
        let (steady, even) = (of(&steady), of(&even));
        assert!(steady.suits_offloading() && !even.suits_offloading());
        assert_eq!((steady.layers[0].again, even.layers[0].again), (1.0, 0.0));
        assert!((even.layers[0].balance - 1.0).abs() < 1e-9 && steady.layers[0].balance < 0.3);
        assert_eq!((steady.layers[0].segment, even.layers[0].segment), (1.0, 0.25));
        assert_eq!(even.read_bytes(0.25), 20);
    }
}
