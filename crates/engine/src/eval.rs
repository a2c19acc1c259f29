//! Judges a model by a text: perplexity, and distance from reference logits.
//!
//! The text is cut into windows; each is fed from an empty sequence, the second half of its tokens is scored, as
//! llama.cpp's perplexity does, so that figures can be compared.

use crate::{Digest, Error, Model};
use runtime::Wanted;

/// How to judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalOptions {
    /// Tokens of a window.
    pub window: usize,
    /// Windows at most; all if not said.
    pub windows: Option<usize>,
}

impl Default for EvalOptions {
    fn default() -> EvalOptions {
        EvalOptions { window: 512, windows: None }
    }
}

/// What came out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Evaluation {
    /// Windows that were fed.
    pub windows: usize,
    /// Tokens that were scored.
    pub tokens: u64,
    /// `exp` of the mean negative log-likelihood.
    pub perplexity: f64,
    /// Mean KL divergence from the reference, in nats; `None` without one.
    pub mean_kld: Option<f64>,
    /// The share of positions at which both would choose the same token; `None` without a reference.
    pub same_top: Option<f64>,
    /// Fingerprint of all logits.
    pub digest: Digest,
}

/// Logits of a position of the reference, by position in the text; gives whether there are any.
pub type ReferenceLogits<'a> = dyn FnMut(usize, &mut Vec<f32>) -> Result<bool, Error> + 'a;

#[derive(Default)]
struct Sums {
    tokens: u64,
    loss: f64,
    compared: u64,
    kld: f64,
    same: u64,
    digest: Digest,
}

impl Model {
    /// Perplexity over `ids`, in windows, the beginning-of-sequence id first in each if the model wants one.
    ///
    /// # Errors
    /// A text shorter than one window, a window longer than the context, or a failed read.
    pub fn perplexity(&mut self, ids: &[u32], options: &EvalOptions) -> Result<Evaluation, Error> {
        let window = options.window;
        if window < 4 || window > self.context() as usize {
            let (option, value) = ("--window", window.to_string());
            return Err(Error::Option { option, value, expected: "at least 4 and at most the context (-c)" });
        }
        if ids.len() < window {
            return Err(Error::TextTooShort { tokens: ids.len(), window });
        }
        let bos = self.tokenizer.spec().bos.filter(|_| self.tokenizer.spec().add_bos);
        let mut sums = Sums::default();
        let mut windows = 0;
        for piece in ids.chunks_exact(window).take(options.windows.unwrap_or(usize::MAX)) {
            let mut piece = piece.to_vec();
            if let Some(bos) = bos {
                piece[0] = bos;
            }
            self.clear();
            self.score(&piece, window / 2, &mut sums, &mut |_, _| Ok(false))?;
            windows += 1;
        }
        Ok(result(windows, &sums, false))
    }

    /// Compares the logits of every position of `ids` with the reference's, and scores the text itself.
    ///
    /// # Errors
    /// A text longer than the context, a reference of another size, or a failed read.
    pub fn compare(&mut self, ids: &[u32], reference: &mut ReferenceLogits<'_>) -> Result<Evaluation, Error> {
        if ids.len() > self.context() as usize {
            return Err(Error::PromptTooLong { tokens: ids.len(), context: self.context() });
        }
        let mut sums = Sums::default();
        self.clear();
        self.score(ids, 0, &mut sums, reference)?;
        Ok(result(1, &sums, true))
    }

    /// Feeds `ids` and sums what positions from `first` on say about their next token and the reference.
    fn score(
        &mut self,
        ids: &[u32],
        first: usize,
        sums: &mut Sums,
        reference: &mut ReferenceLogits<'_>,
    ) -> Result<(), Error> {
        let bounds = self.executor.bounds();
        let chunk = bounds.rows.min(bounds.logit_rows).max(1) as usize;
        let vocabulary = self.tokenizer.len();
        let mut theirs = Vec::new();
        for (n, piece) in ids.chunks(chunk).enumerate() {
            let start = n * chunk;
            let last = start + piece.len() == ids.len();
            let wanted = if start + piece.len() > first { Wanted::All } else { Wanted::None };
            self.batch.clear();
            self.batch.push(0, &self.sequences[0], piece, wanted)?;
            let logits = self.executor.step(&self.batch, &mut self.sequences, !last)?;
            let columns = logits.len() / piece.len().max(1);
            for (i, row) in logits.chunks_exact(columns.max(1)).enumerate() {
                let position = start + i;
                sums.digest.update(row);
                if let (true, Some(&next)) = (position >= first, ids.get(position + 1)) {
                    sums.loss -= log_probability(row, next as usize);
                    sums.tokens += 1;
                }
                if reference(position, &mut theirs)? {
                    if theirs.len() != columns {
                        let what = format!("{} logits a position, the model has {vocabulary}", theirs.len());
                        return Err(Error::Reference { what });
                    }
                    sums.kld += divergence(&theirs, row);
                    sums.same += u64::from(top(&theirs) == top(row));
                    sums.compared += 1;
                }
            }
        }
        self.remembered.clear();
        self.remembered.extend_from_slice(ids);
        Ok(())
    }
}

fn result(windows: usize, sums: &Sums, compared: bool) -> Evaluation {
    let share = |x: f64| compared.then(|| x / sums.compared.max(1) as f64);
    Evaluation {
        windows,
        tokens: sums.tokens,
        perplexity: (sums.loss / sums.tokens.max(1) as f64).exp(),
        mean_kld: share(sums.kld),
        same_top: share(sums.same as f64),
        digest: sums.digest,
    }
}

/// Natural logarithm of the sum of the exponentials.
fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    most + logits.iter().map(|&x| (f64::from(x) - most).exp()).sum::<f64>().ln()
}

fn log_probability(logits: &[f32], id: usize) -> f64 {
    logits.get(id).map_or(f64::NEG_INFINITY, |&x| f64::from(x)) - log_sum_exp(logits)
}

/// KL(p || q) of the distributions behind two rows of logits.
fn divergence(p: &[f32], q: &[f32]) -> f64 {
    let (zp, zq) = (log_sum_exp(p), log_sum_exp(q));
    let term = |(&a, &b): (&f32, &f32)| {
        let (la, lb) = (f64::from(a) - zp, f64::from(b) - zq);
        la.exp() * (la - lb)
    };
    p.iter().zip(q).map(term).sum()
}

fn top(logits: &[f32]) -> Option<usize> {
    (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b]).then(b.cmp(&a)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn divergence_is_zero_for_equals_and_as_by_hand_otherwise() {
        let p = [0.0f32, 3.0f32.ln()];
        let q = [0.0f32, 0.0];
        assert!(divergence(&p, &p).abs() < 1e-12);
        let by_hand = 0.25 * (0.25f64 / 0.5).ln() + 0.75 * (0.75f64 / 0.5).ln();
        assert!((divergence(&p, &q) - by_hand).abs() < 1e-7);
        assert!((log_probability(&p, 1) - 0.75f64.ln()).abs() < 1e-7);
    }
}
