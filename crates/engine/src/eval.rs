//! Judges a model by a text: perplexity, and distance from reference logits.
//!
//! The text is cut into windows; each is fed from an empty sequence, the second half of its tokens is scored, as
//! llama.cpp's perplexity does, so that figures can be compared.

use crate::{Digest, Error, Model};
use host::{Ledger, Part};
use runtime::{Economy, Wanted};

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

/// What leaving something out costs and gains on a text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Price {
    /// With everything.
    pub plain: Evaluation,
    /// With what was left; the reference is the plain run, as far as there was memory to remember it.
    pub economical: Evaluation,
    /// Which share of the experts that routers chose, or of all neurons, was left out.
    pub skipped: f64,
    /// Which share of the experts that routers chose a coarser copy stood in for.
    pub stood_in: f64,
    /// Bytes read from flash in the plain and in the economical run.
    pub flash_bytes: [u64; 2],
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

/// Looks at the logits of a position.
type Judge<'a> = dyn FnMut(usize, &[f32], &mut Sums) -> Result<(), Error> + 'a;

impl Sums {
    /// Compares a row of logits with a reference.
    fn compare(&mut self, theirs: &[f32], row: &[f32]) {
        self.kld += divergence(theirs, row);
        self.same += u64::from(top(theirs) == top(row));
        self.compared += 1;
    }
}

impl Model {
    /// Perplexity over `ids`, in windows, the beginning-of-sequence id first in each if the model wants one.
    ///
    /// # Errors
    /// A text shorter than one window, a window longer than the context, or a failed read.
    pub fn perplexity(&mut self, ids: &[u32], options: &EvalOptions) -> Result<Evaluation, Error> {
        let mut sums = Sums::default();
        let windows = self.windows(ids, options)?;
        for piece in &windows {
            self.clear();
            self.score(piece, piece.len() / 2, &mut sums, &mut |_, _, _| Ok(()))?;
        }
        Ok(result(windows.len(), &sums, false))
    }

    /// What `economy` costs and gains over `ids`, in windows as [`Model::perplexity`] has them. It is off afterwards.
    ///
    /// # Errors
    /// As [`Model::perplexity`] and [`Model::set_economy`].
    pub fn price(&mut self, ids: &[u32], options: &EvalOptions, economy: Economy) -> Result<Price, Error> {
        self.set_economy(economy)?;
        let windows = self.windows(ids, options)?;
        let (columns, ledger) = (self.columns(), self.live.ledger.clone());
        let before = (self.executor.stats().experts_skipped, self.executor.expert_stats().stood_in);
        let mut price = price(&windows, (columns, &ledger), &mut |turn, piece, sums, judge| {
            self.set_economy(if turn == Turn::Plain { Economy::default() } else { economy })?;
            self.score_afresh(piece, sums, judge)
        })?;
        self.set_economy(Economy::default())?;
        let of_token: u64 = self.placement.experts.iter().map(|set| u64::from(set.used)).sum();
        let chosen = (of_token * (windows.len() * options.window) as u64).max(1) as f64;
        price.skipped = (self.executor.stats().experts_skipped - before.0) as f64 / chosen;
        price.stood_in = (self.executor.expert_stats().stood_in - before.1) as f64 / chosen;
        Ok(price)
    }

    /// What `other`, which was made of this model, costs and gains over `ids`, in windows as [`Model::perplexity`] has them.
    ///
    /// # Errors
    /// As [`Model::perplexity`].
    pub(crate) fn price_of(
        &mut self,
        other: &mut Model,
        ids: &[u32],
        options: &EvalOptions,
    ) -> Result<Price, Error> {
        let windows = self.windows(ids, options)?;
        let (columns, ledger) = (self.columns(), self.live.ledger.clone());
        price(&windows, (columns, &ledger), &mut |turn, piece, sums, judge| {
            let model = if turn == Turn::Plain { &mut *self } else { &mut *other };
            model.score_afresh(piece, sums, judge)
        })
    }

    /// Scores a window from an empty sequence; gives the bytes that were read from flash.
    fn score_afresh(&mut self, piece: &[u32], sums: &mut Sums, judge: &mut Judge<'_>) -> Result<u64, Error> {
        self.clear();
        let before = self.executor.flash_stats().bytes_read;
        self.score(piece, piece.len() / 2, sums, judge)?;
        Ok(self.executor.flash_stats().bytes_read - before)
    }

    /// Logits of a position.
    fn columns(&self) -> usize {
        let graph = &self.live.graph;
        self.executor.logits().map_or(0, |id| graph.value_of(id).dims.columns() as usize)
    }

    /// The windows of a text.
    fn windows(&self, ids: &[u32], options: &EvalOptions) -> Result<Vec<Vec<u32>>, Error> {
        let window = options.window;
        if window < 4 || window > self.context() as usize {
            let (option, value) = ("--window", window.to_string());
            return Err(Error::Option { option, value, expected: "at least 4 and at most the context (-c)" });
        }
        if ids.len() < window {
            return Err(Error::TextTooShort { tokens: ids.len(), window });
        }
        let bos = self.tokenizer.spec().bos.filter(|_| self.tokenizer.spec().add_bos);
        let pieces = ids.chunks_exact(window).take(options.windows.unwrap_or(usize::MAX));
        let with_bos = |piece: &[u32]| {
            let mut piece = piece.to_vec();
            piece[0] = bos.unwrap_or(piece[0]);
            piece
        };
        Ok(pieces.map(with_bos).collect())
    }

    /// Compares the logits of every position of `ids` with the reference's, and scores the text itself.
    ///
    /// # Errors
    /// A text longer than the context, a reference of another size, or a failed read.
    pub fn compare(&mut self, ids: &[u32], reference: &mut ReferenceLogits<'_>) -> Result<Evaluation, Error> {
        if ids.len() > self.context() as usize {
            return Err(Error::PromptTooLong { tokens: ids.len(), context: self.context() });
        }
        let (mut sums, mut theirs, vocabulary) = (Sums::default(), Vec::new(), self.tokenizer.len());
        self.clear();
        self.score(ids, 0, &mut sums, &mut |position, row, sums| {
            if !reference(position, &mut theirs)? {
                return Ok(());
            }
            if theirs.len() != row.len() {
                let what = format!("{} logits a position, the model has {vocabulary}", theirs.len());
                return Err(Error::Reference { what });
            }
            sums.compare(&theirs, row);
            Ok(())
        })?;
        Ok(result(1, &sums, true))
    }

    /// Feeds `ids` and sums what positions from `first` on say about their next token; `judge` sees all.
    fn score(
        &mut self,
        ids: &[u32],
        first: usize,
        sums: &mut Sums,
        judge: &mut Judge<'_>,
    ) -> Result<(), Error> {
        self.own_sequence()?;
        let bounds = self.executor.bounds();
        let chunk = bounds.rows.min(bounds.logit_rows).max(1) as usize;
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
                judge(position, row, sums)?;
            }
        }
        self.held[0].ids.clear();
        self.held[0].ids.extend_from_slice(ids);
        Ok(())
    }
}

/// Who is being judged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Plain,
    Other,
}

/// Scores a window; gives the bytes that were read from flash.
type Score<'a> = dyn FnMut(Turn, &[u32], &mut Sums, &mut Judge<'_>) -> Result<u64, Error> + 'a;

/// Scores windows in both ways, and compares the logits of as many positions of each as there is room to remember.
fn price(
    windows: &[Vec<u32>],
    (columns, ledger): (usize, &Ledger),
    score: &mut Score<'_>,
) -> Result<Price, Error> {
    // Logits of the plain run are remembered from the middle of each window on.
    let first = windows.first().map_or(0, Vec::len) / 2;
    let row = 4 * columns as u64;
    let rows = (ledger.free() / 2 / row.max(1)).min(first as u64) as usize;
    let _room = ledger.reserve(Part::Heap, rows as u64 * row)?;
    let mut plain_rows: Vec<Vec<f32>> = vec![Vec::with_capacity(columns); rows];
    let (mut plain, mut other, mut price) = (Sums::default(), Sums::default(), Price::default());
    for piece in windows {
        price.flash_bytes[0] += score(Turn::Plain, piece, &mut plain, &mut |at, row, _| {
            if let Some(copy) = at.checked_sub(first).and_then(|at| plain_rows.get_mut(at)) {
                copy.clear();
                copy.extend_from_slice(row);
            }
            Ok(())
        })?;
        price.flash_bytes[1] += score(Turn::Other, piece, &mut other, &mut |at, row, sums| {
            if let Some(theirs) = at.checked_sub(first).and_then(|at| plain_rows.get(at)) {
                sums.compare(theirs, row);
            }
            Ok(())
        })?;
    }
    price.plain = result(windows.len(), &plain, false);
    price.economical = result(windows.len(), &other, rows > 0);
    Ok(price)
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
