//! What is on a picture or in a sound, as a whole: a label and how likely it is.
//!
//! What it is not: where it is. The one design choice: labels are looked up when they are told, so that a list of them takes no
//! memory but its text.

use super::values::{Activation, Labels, only};
use crate::{Error, Network};
use serde::Deserialize;

/// How the scores of classes are read.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classify {
    /// The output's name; the network's only one, if not said.
    pub scores: Option<String>,
    /// What makes them shares.
    #[serde(default)]
    pub activation: Activation,
    /// What they are called.
    pub labels: Option<Labels>,
}

/// A class and how likely it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Class {
    /// Its number, from 0.
    pub index: usize,
    /// What it is called; its number, if it has no label.
    pub label: String,
    /// From 0 to 1, if the network's scores are shares.
    pub score: f32,
}

impl Classify {
    /// Bytes on the heap at most while classes are read.
    pub(super) fn heap_bytes(&self) -> u64 {
        self.labels.as_ref().map_or(0, Labels::heap_bytes)
    }

    /// The `top` likeliest classes, likeliest first.
    ///
    /// # Errors
    /// An output that is missing or no array of numbers; labels that cannot be read.
    pub fn read(&self, network: &Network, top: usize) -> Result<Vec<Class>, Error> {
        let (_, scores) = only(network, self.scores.as_deref())?;
        let shares = self.activation.over(scores);
        let mut best: Vec<usize> = Vec::with_capacity(top.min(scores.len()) + 1);
        for index in 0..scores.len() {
            let at = best.partition_point(|&other| scores[other] >= scores[index]);
            if at < top {
                best.insert(at, index);
                best.truncate(top);
            }
        }
        let class = |index: usize| {
            let label = self.labels.as_ref().map(|labels| labels.label(index)).transpose()?.flatten();
            let label = label.unwrap_or_else(|| index.to_string());
            Ok(Class { index, label, score: shares(scores[index]) })
        };
        best.into_iter().map(class).collect()
    }
}
