//! Chooses a token from logits.
//!
//! Draws come from a counter: the same seed, position and logits give the same token, whatever was computed before or
//! beside. Order of the steps: bias, penalties, temperature, top-k, top-p, min-p (Nguyen et al., arXiv 2407.01082), draw.
//! What a grammar forbids is then chosen again, by a draw of its own, of what it allows: without cuts the probabilities
//! are those of the allowed tokens alone, and whom the model would have chosen anyway nobody looks for.

use crate::Error;
use processors::text::Allowed;

/// How tokens are chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    /// 0 takes the most likely token; larger is more varied.
    pub temperature: f32,
    /// Only so many of the most likely; 0 means all.
    pub top_k: usize,
    /// Only the most likely that together have this probability; 1 means all.
    pub top_p: f32,
    /// Only those at least this fraction as likely as the most likely; 0 means all.
    pub min_p: f32,
    /// Divides the positive, multiplies the negative logits of recent tokens; 1 means none.
    pub repetition_penalty: f32,
    /// Taken from the logits of recent tokens once.
    pub presence_penalty: f32,
    /// Taken from the logits of recent tokens for each time they occurred.
    pub frequency_penalty: f32,
    /// How many tokens count as recent.
    pub penalty_window: usize,
    /// Added to the logits of tokens.
    pub logit_bias: Vec<(u32, f32)>,
    /// Start of the draws.
    pub seed: u64,
}

impl Default for Sampling {
    fn default() -> Sampling {
        Sampling {
            temperature: 0.0,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            presence_penalty: 0.0,
            frequency_penalty: 0.0,
            penalty_window: 64,
            logit_bias: Vec::new(),
            seed: 0,
        }
    }
}

/// Room for the tokens that a choice considers; one will do for all samplers that choose in turn.
pub type Candidates = Vec<(f32, u32)>;

/// Chooses tokens; remembers the recent ones.
pub struct Sampler {
    sampling: Sampling,
    recent: Vec<u32>,
}

impl Sampler {
    /// A sampler for a vocabulary of `tokens`.
    ///
    /// # Errors
    /// [`Error::Option`] for a setting out of its range or a bias for a token that does not exist.
    pub fn new(sampling: &Sampling, tokens: usize) -> Result<Sampler, Error> {
        let s = sampling;
        let checks = [
            ("--temp", s.temperature, s.temperature >= 0.0 && s.temperature.is_finite(), "0 or more"),
            ("--top-p", s.top_p, s.top_p > 0.0 && s.top_p <= 1.0, "above 0 and at most 1"),
            ("--min-p", s.min_p, (0.0..=1.0).contains(&s.min_p), "from 0 to 1"),
            ("--repeat-penalty", s.repetition_penalty, s.repetition_penalty > 0.0, "above 0"),
            ("--presence-penalty", s.presence_penalty, s.presence_penalty.is_finite(), "a number"),
            ("--frequency-penalty", s.frequency_penalty, s.frequency_penalty.is_finite(), "a number"),
        ];
        for (option, value, good, expected) in checks {
            if !good {
                return Err(Error::Option { option, value: value.to_string(), expected });
            }
        }
        if let Some((id, _)) = s.logit_bias.iter().find(|(id, _)| *id as usize >= tokens) {
            let (option, expected) = ("--logit-bias", "for a token of the vocabulary");
            return Err(Error::Option { option, value: format!("for token {id}"), expected });
        }
        Ok(Sampler { sampling: sampling.clone(), recent: Vec::new() })
    }

    /// Counts tokens as said.
    pub fn remember(&mut self, ids: &[u32]) {
        let window = self.sampling.penalty_window;
        self.recent.extend_from_slice(&ids[ids.len().saturating_sub(window)..]);
        self.recent.drain(..self.recent.len().saturating_sub(window));
    }

    /// The token for `position`; of those that are `allowed`, if the choice of all is none of them. Ties go to the lower id, a NaN is never chosen.
    pub fn choose(
        &self,
        logits: &[f32],
        position: u64,
        allowed: Option<&Allowed>,
        candidates: &mut Candidates,
    ) -> u32 {
        let s = &self.sampling;
        let greedy = s.temperature == 0.0;
        let most = if greedy { 1 } else { s.top_k };
        candidates.clear();
        self.best(logits, most, allowed, candidates);
        match candidates.first() {
            None => 0,
            Some(&(_, id)) if greedy => id,
            Some(_) => draw(candidates, s, uniform(s.seed, position | (u64::from(allowed.is_some()) << 63))),
        }
    }

    /// The `most` largest logits (all if 0), after bias and penalties, largest first.
    fn best(&self, logits: &[f32], most: usize, allowed: Option<&Allowed>, kept: &mut Candidates) {
        let most = if most == 0 { logits.len() } else { most.min(logits.len()) };
        let limit = (2 * most).max(64).min(logits.len().max(1));
        let mut floor = f32::NEG_INFINITY;
        let plain = self.is_plain();
        for (id, &logit) in (0u32..).zip(logits) {
            if allowed.is_some_and(|allowed| !allowed.has(id)) {
                continue;
            }
            let value = if plain { logit } else { self.adjusted(id, logit) };
            if value > floor || (value == floor && kept.len() < most) {
                kept.push((value, id));
                if kept.len() > limit {
                    kept.sort_unstable_by(largest_first);
                    kept.truncate(most);
                    floor = kept.last().map_or(floor, |k| k.0);
                }
            }
        }
        kept.sort_unstable_by(largest_first);
        kept.truncate(most);
    }

    fn is_plain(&self) -> bool {
        let s = &self.sampling;
        let penalties =
            s.repetition_penalty != 1.0 || s.presence_penalty != 0.0 || s.frequency_penalty != 0.0;
        s.logit_bias.is_empty() && !penalties
    }

    fn adjusted(&self, id: u32, logit: f32) -> f32 {
        let s = &self.sampling;
        let bias: f32 = s.logit_bias.iter().filter(|(b, _)| *b == id).map(|(_, v)| v).sum();
        let mut value = logit + bias;
        let times = self.recent.iter().filter(|&&r| r == id).count();
        if times > 0 {
            value = if value > 0.0 { value / s.repetition_penalty } else { value * s.repetition_penalty };
            value -= s.presence_penalty + s.frequency_penalty * times as f32;
        }
        value
    }
}

fn largest_first(a: &(f32, u32), b: &(f32, u32)) -> std::cmp::Ordering {
    b.0.total_cmp(&a.0).then(a.1.cmp(&b.1))
}

/// Cuts the candidates (largest first) and draws one.
fn draw(candidates: &mut Candidates, s: &Sampling, uniform: f64) -> u32 {
    let largest = candidates[0].0;
    for (value, _) in candidates.iter_mut() {
        *value = libm::expf((*value - largest) / s.temperature);
    }
    let total: f32 = candidates.iter().map(|c| c.0).sum();
    let mut mass = 0.0;
    let kept = candidates.iter().take_while(|c| {
        let wanted = mass < s.top_p * total && c.0 >= s.min_p;
        mass += c.0;
        wanted
    });
    let kept = kept.count().max(1);
    candidates.truncate(kept);
    let total: f32 = candidates.iter().map(|c| c.0).sum();
    let mut left = uniform as f32 * total;
    for &(weight, id) in candidates.iter() {
        left -= weight;
        if left < 0.0 {
            return id;
        }
    }
    candidates[kept - 1].1
}

/// A number in [0, 1) that depends on seed and place alone (SplitMix64's finaliser, twice).
pub(crate) fn uniform(seed: u64, place: u64) -> f64 {
    let mix = |mut x: u64| {
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    };
    let bits = mix(mix(seed.wrapping_add(0x9e37_79b9_7f4a_7c15)).wrapping_add(place));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampler(sampling: Sampling) -> Sampler {
        Sampler::new(&sampling, 100).unwrap()
    }

    #[test]
    fn greedy_takes_the_largest_and_the_lower_id_of_equals() {
        let s = sampler(Sampling::default());
        assert_eq!(s.choose(&[0.0, 3.0, 3.0, -1.0], 0, None, &mut Vec::new()), 1);
        assert_eq!(s.choose(&[f32::NAN, 1.0, 2.0], 0, None, &mut Vec::new()), 2);
    }

    #[test]
    fn draws_follow_the_probabilities_and_repeat_with_the_seed() {
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
        let logits = [0.0f32, 3.0f32.ln(), f32::NEG_INFINITY];
        let mut counts = [0u32; 3];
        let s = sampler(sampling.clone());
        for position in 0..20_000 {
            counts[s.choose(&logits, position, None, &mut Vec::new()) as usize] += 1;
        }
        assert!((14_700..15_300).contains(&counts[1]), "{counts:?}");
        assert_eq!(counts[2], 0);
        let again = sampler(sampling);
        assert!((0..100).all(|p| again.choose(&logits, p, None, &mut Vec::new())
            == s.choose(&logits, p, None, &mut Vec::new())));
    }

    #[test]
    fn what_is_forbidden_is_drawn_again_by_a_draw_of_its_own() {
        let sampling = Sampling { temperature: 1.0, top_k: 0, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
        let (logits, s) = ([2.0f32.ln(), 0.0, 0.0], sampler(sampling));
        let allowed: Allowed = [1, 2].into_iter().collect();
        let mut counts = [0u32; 3];
        for position in 0..20_000 {
            let id = s.choose(&logits, position, None, &mut Vec::new());
            let id = match allowed.has(id) {
                true => id,
                false => s.choose(&logits, position, Some(&allowed), &mut Vec::new()),
            };
            counts[id as usize] += 1;
        }
        assert_eq!(counts[0], 0);
        assert!((9_700..10_300).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn cuts_and_penalties() {
        let hot = Sampling { temperature: 100.0, top_p: 1.0, min_p: 0.0, ..Sampling::default() };
        let cases = [
            (Sampling { top_k: 1, ..hot.clone() }, 2),
            (Sampling { top_p: 1e-6, ..hot.clone() }, 2),
            (Sampling { min_p: 1.0, ..hot.clone() }, 2),
            (Sampling { logit_bias: vec![(0, 50.0)], ..Sampling::default() }, 0),
            (Sampling { presence_penalty: 5.0, ..Sampling::default() }, 1),
            (Sampling { repetition_penalty: 3.0, ..Sampling::default() }, 1),
        ];
        for (sampling, want) in cases {
            let mut s = sampler(sampling.clone());
            s.remember(&[2]);
            for position in 0..50 {
                assert_eq!(s.choose(&[0.0, 2.0, 4.0], position, None, &mut Vec::new()), want, "{sampling:?}");
            }
        }
    }

    #[test]
    fn top_k_of_many_is_what_a_full_sort_gives() {
        let logits: Vec<f32> = (0..5000u64).map(|i| uniform(7, i) as f32).collect();
        let s = sampler(Sampling::default());
        let mut sorted: Vec<(f32, u32)> = (0u32..).zip(&logits).map(|(i, &l)| (l, i)).collect();
        sorted.sort_unstable_by(largest_first);
        let mut best = Vec::new();
        s.best(&logits, 40, None, &mut best);
        assert_eq!(best, sorted[..40]);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let bad = [
            Sampling { temperature: -1.0, ..Sampling::default() },
            Sampling { top_p: 0.0, ..Sampling::default() },
            Sampling { min_p: f32::NAN, ..Sampling::default() },
            Sampling { logit_bias: vec![(100, 1.0)], ..Sampling::default() },
        ];
        for sampling in bad {
            assert!(matches!(Sampler::new(&sampling, 100), Err(Error::Option { .. })), "{sampling:?}");
        }
    }
}
