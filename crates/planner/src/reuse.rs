//! How a model's experts are reused, as a run over a text has shown.
//!
//! Not how they are chosen. Without it all experts are taken to be equally likely.

use serde::{Deserialize, Serialize};

/// Reuse in every layer that has experts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reuse {
    /// In the order of a step.
    pub layers: Vec<LayerReuse>,
}

/// Reuse in one layer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LayerReuse {
    /// By number of experts that are kept, from one: share of those wanted that are found.
    pub found: Vec<f64>,
    /// Rows of a step, more than one, ascending, and how many different experts they go to.
    pub distinct: Vec<(u32, f64)>,
    /// How much it minds that experts are left out, if that was measured.
    #[serde(default)]
    pub sensitivity: Option<f64>,
}

impl LayerReuse {
    /// Experts that a step of `rows` rows, `used` experts each, has to read if `slots` are kept.
    pub(crate) fn missed(&self, rows: u32, used: u32, slots: u32) -> f64 {
        if rows <= 1 {
            let found =
                slots.checked_sub(1).and_then(|at| self.found.get(at as usize)).copied().unwrap_or(0.0);
            return f64::from(used) * (1.0 - found);
        }
        let fewer = self.distinct.iter().rfind(|(n, _)| *n < rows).copied();
        let (n, met) = fewer.unwrap_or((1, f64::from(used)));
        let more = self.distinct.iter().find(|(n, _)| *n >= rows);
        let share = |more: u32| f64::from(rows - n) / f64::from(more - n);
        let met = more.map_or(met, |&(more, of_more)| met + (of_more - met) * share(more));
        (met - f64::from(slots)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_is_not_read() {
        let layer = LayerReuse {
            found: vec![0.1, 0.5, 1.0],
            distinct: vec![(16, 2.5), (64, 3.0)],
            sensitivity: None,
        };
        assert_eq!([0, 1, 2, 3].map(|slots| layer.missed(1, 2, slots)), [2.0, 1.8, 1.0, 0.0]);
        let missed = [(16, 1), (40, 1), (512, 1), (512, 3)].map(|(rows, slots)| layer.missed(rows, 2, slots));
        assert_eq!(missed, [1.5, 1.75, 2.0, 0.0]);
        assert_eq!(LayerReuse::default().missed(9, 2, 1), 1.0);
    }
}
