//! Which token comes next, and what the tokens of half a minute say: OpenAI's rules (`whisper/decoding.py`,
//! `whisper/transcribe.py`), greedily.
//!
//! The one design choice: times come in pairs and ascend, so that what is said lies between two of them; the last that is
//! whole says where the next half minute begins.

use models::Whisper;

use super::Passage;
use super::words::{Marks, Words};

/// Windows of a moment.
const FRAMES: usize = 2;
/// Seconds of a moment.
const MOMENT: f64 = 0.02;
/// The latest moment at which the first words may begin.
const FIRST: u32 = 50;
/// Chance of silence above which words that are not likely are none.
const SILENT: f32 = 0.6;
/// Likelihood above which words are words, be it silent or not.
const LIKELY: f32 = -1.0;

/// What was written down of half a minute.
#[derive(Clone, Debug, Default)]
pub(super) struct Window {
    /// All tokens but the end.
    pub tokens: Vec<u32>,
    /// Logarithms of their chances, added up.
    pub sum: f32,
    /// The chance that nothing is said.
    pub silence: f32,
}

impl Window {
    fn likelihood(&self) -> f32 {
        self.sum / (self.tokens.len() + 1) as f32
    }
}

/// Which tokens may follow.
pub(super) struct Rules {
    marks: Marks,
    suppressed: Vec<u32>,
    suppressed_first: Vec<u32>,
    scores: Vec<f32>,
}

impl Rules {
    pub fn new(whisper: &Whisper, words: &Words) -> Rules {
        Rules {
            marks: words.marks,
            suppressed: whisper.suppressed.clone(),
            suppressed_first: whisper.suppressed_first.clone(),
            scores: vec![0.0; whisper.vocabulary],
        }
    }

    /// The token that follows `said`, and the logarithm of its chance among those that may.
    pub fn choose(&mut self, logits: &[f32], said: &[u32]) -> (u32, f32) {
        let count = self.scores.len().min(logits.len());
        self.scores[..count].copy_from_slice(&logits[..count]);
        let mut forbid = |from: usize, to: usize| {
            if let Some(scores) = self.scores.get_mut(from..to.min(count)) {
                scores.fill(f32::NEG_INFINITY);
            }
        };
        let (first_time, end) = (self.marks.first_time() as usize, self.marks.end as usize);
        let mut lists = self.suppressed.iter().collect::<Vec<_>>();
        if said.is_empty() {
            lists.extend(&self.suppressed_first);
            // Something is said, or nothing, between two times.
            forbid(0, first_time);
            forbid(first_time + FIRST as usize + 1, count);
        }
        lists.into_iter().for_each(|id| forbid(*id as usize, *id as usize + 1));
        forbid(first_time - 1, first_time);
        let is_time = |place: usize| {
            let at = said.len().checked_sub(place);
            at.and_then(|at| said.get(at)).is_some_and(|token| *token as usize >= first_time)
        };
        let (last, before) = (is_time(1), said.len() < 2 || is_time(2));
        match (last, before) {
            (true, true) => forbid(first_time, count),
            (true, false) => forbid(0, end),
            _ => {}
        }
        if let Some(latest) = said.iter().rev().find(|token| **token as usize >= first_time) {
            // A time is not gone back to; the end of one piece may be the beginning of the next.
            let open = usize::from(!last || before);
            forbid(first_time, *latest as usize + open);
        }
        let most = self.scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum = |scores: &[f32]| scores.iter().map(|score| f64::from(score - most).exp()).sum::<f64>();
        let times = sum(&self.scores[first_time.min(count)..count]);
        let all = sum(&self.scores[..first_time.min(count)]) + times;
        let words = self.scores[..first_time.min(count)].iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut total = all;
        let mut from = 0;
        if times > f64::from(words - most).exp() {
            (from, total) = (first_time.min(count), times);
        }
        let chosen = likeliest(&self.scores, from as u32..count as u32);
        let score = self.scores.get(chosen as usize).copied().unwrap_or(f32::NEG_INFINITY);
        (chosen, score - most - total.ln() as f32)
    }
}

/// The likeliest of some tokens, the first of those that are equal.
pub(super) fn likeliest(scores: &[f32], among: std::ops::Range<u32>) -> u32 {
    let mut best = (f32::NEG_INFINITY, among.start);
    for id in among {
        let score = scores.get(id as usize).copied().unwrap_or(f32::NEG_INFINITY);
        if score > best.0 {
            best = (score, id);
        }
    }
    best.1
}

/// How likely a token is.
pub(super) fn chance(logits: &[f32], token: u32) -> f32 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|logit| f64::from(logit - most).exp()).sum();
    logits.get(token as usize).map_or(0.0, |logit| (f64::from(logit - most).exp() / sum) as f32)
}

/// What half a minute of so many windows says, with times since its beginning, and how many windows it covers.
pub(super) fn segments(words: &Words, window: &Window, frames: usize) -> (Vec<Passage>, usize) {
    if window.silence > SILENT && window.likelihood() < LIKELY {
        return (Vec::new(), frames);
    }
    let first_time = words.marks.first_time();
    let (tokens, is_time) = (&window.tokens[..], |token: &u32| *token >= first_time);
    let moment = |token: &u32| token.saturating_sub(first_time) as usize;
    let piece = |tokens: &[u32], end: Option<f64>| {
        let at =
            |token: Option<&u32>| token.filter(|token| is_time(token)).map(|t| moment(t) as f64 * MOMENT);
        let start = at(tokens.first()).unwrap_or(0.0);
        Passage {
            start,
            end: end.or_else(|| at(tokens.last())).unwrap_or(start),
            text: words.text(tokens),
            tokens: tokens.iter().filter(|token| **token < words.marks.end).copied().collect(),
            likelihood: window.likelihood(),
            silence: window.silence,
            look: 0.0,
        }
    };
    let ends_open = matches!(tokens, [.., a, b] if !is_time(a) && is_time(b));
    let mut cuts: Vec<usize> =
        (1..tokens.len()).filter(|&at| is_time(&tokens[at - 1]) && is_time(&tokens[at])).collect();
    let mut found = Vec::new();
    let mut passed = frames;
    if cuts.is_empty() {
        let last = tokens.iter().rev().find(|token| is_time(token)).map(moment).filter(|moment| *moment > 0);
        let end = last.map_or(frames as f64 * MOMENT / FRAMES as f64, |moment| moment as f64 * MOMENT);
        let start = piece(tokens, None).start.min(end);
        found.push(Passage { start, ..piece(tokens, Some(end)) });
    } else {
        if ends_open {
            cuts.push(tokens.len());
        } else {
            let last = cuts.last().and_then(|cut| tokens.get(cut - 1)).map_or(0, moment);
            passed = if last == 0 { frames } else { (last * FRAMES).min(frames) };
        }
        let starts = std::iter::once(0).chain(cuts.iter().copied());
        found.extend(starts.zip(&cuts).map(|(from, to)| piece(&tokens[from..*to], None)));
    }
    found.retain(|segment| segment.end > segment.start && !segment.text.trim().is_empty());
    (found, passed)
}

impl Passage {
    /// The same so many seconds later.
    pub(super) fn since(mut self, seconds: f64) -> Passage {
        self.start += seconds;
        self.end += seconds;
        self.look = seconds;
        self
    }
}
