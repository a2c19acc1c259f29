//! How likely a token was: its logarithm of probability, and those of the likeliest beside it.
//!
//! What it is: figures of the model's own distribution, before temperature, penalties and whatever a request allows. What it
//! is not: a part of the choice. The one design choice: they are told as they come and kept nowhere.

use processors::text::Tokenizer;

/// A token and how likely it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Likelihood {
    /// Its id.
    pub id: u32,
    /// What it stands for; not always whole characters.
    pub bytes: Vec<u8>,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// A token that was chosen, and those that were the likeliest.
#[derive(Clone, Debug, PartialEq)]
pub struct Chosen {
    /// The one that was chosen.
    pub token: Likelihood,
    /// The likeliest, itself perhaps among them, the likeliest first.
    pub top: Vec<Likelihood>,
}

/// How likely `id` was by `logits`, and the `most` likeliest.
pub(crate) fn chosen(tokenizer: &Tokenizer, logits: &[f32], id: u32, most: usize) -> Chosen {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(libm::expf(logit - largest))).sum();
    let total = f64::from(largest) + libm::log(sum);
    let of = |id: u32| Likelihood {
        id,
        bytes: tokenizer.bytes(id).to_vec(),
        logprob: (f64::from(logits.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY)) - total) as f32,
    };
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(most + 1);
    for (id, &logit) in (0u32..).zip(logits) {
        if most > 0 && (best.len() < most || best.last().is_some_and(|last| logit > last.0)) {
            let at = best.partition_point(|other| other.0 >= logit);
            best.insert(at, (logit, id));
            best.truncate(most);
        }
    }
    Chosen { token: of(id), top: best.into_iter().map(|(_, id)| of(id)).collect() }
}
