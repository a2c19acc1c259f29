//! How the vectors of a text's tokens become one.
//!
//! Not part of the network, whose outputs are read. The one design choice: sums are made in f64 from the first token to the
//! last, so that they depend on nothing else.

use super::encoder_file::settings;
use crate::Error;
use crate::vocabulary::Beside;
use serde::Deserialize;

/// How vectors of tokens become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pooling {
    /// That of the first token.
    Cls,
    /// That of the last token.
    Last,
    /// The largest number of each column.
    Max,
    /// Their mean.
    #[default]
    Mean,
    /// What the network itself makes of them.
    Network,
}

impl Pooling {
    /// By its name.
    ///
    /// # Errors
    /// [`Error::Option`] if there is none of that name.
    pub fn of(name: &str) -> Result<Pooling, Error> {
        Ok(match name {
            "cls" => Pooling::Cls,
            "last" => Pooling::Last,
            "max" => Pooling::Max,
            "mean" => Pooling::Mean,
            "network" => Pooling::Network,
            _ => {
                let (option, expected) = ("--pooling", "cls, last, max, mean or network");
                return Err(Error::Option { option, value: name.to_string(), expected });
            }
        })
    }

    /// Writes the vector of a text, whose tokens' vectors are `rows` one after another, into `to`.
    pub(super) fn pool(self, rows: &[f32], to: &mut [f32]) {
        let width = to.len().max(1);
        let row = |at: usize| rows.get(at * width..(at + 1) * width).unwrap_or_default();
        let tokens = rows.len() / width;
        match self {
            Pooling::Cls | Pooling::Network => copy(row(0), to),
            Pooling::Last => copy(row(tokens.saturating_sub(1)), to),
            Pooling::Max => {
                copy(row(0), to);
                rows.chunks_exact(width)
                    .for_each(|row| to.iter_mut().zip(row).for_each(|(to, x)| *to = to.max(*x)));
            }
            Pooling::Mean => {
                for (column, to) in to.iter_mut().enumerate() {
                    let sum: f64 = rows.iter().skip(column).step_by(width).map(|x| f64::from(*x)).sum();
                    *to = (sum / tokens.max(1) as f64) as f32;
                }
            }
        }
    }
}

fn copy(from: &[f32], to: &mut [f32]) {
    to.iter_mut().zip(from).for_each(|(to, x)| *to = *x);
}

/// Makes a vector one long; one without direction stays.
pub(super) fn normalize(vector: &mut [f32]) {
    let length = vector.iter().map(|x| f64::from(*x) * f64::from(*x)).sum::<f64>().sqrt();
    if length > 0.0 {
        vector.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

/// A step of sentence-transformers.
#[derive(Deserialize)]
struct Module {
    #[serde(rename = "type", default)]
    kind: String,
}

/// How its pooling is set.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Modes {
    pooling_mode_cls_token: bool,
    pooling_mode_lasttoken: bool,
    pooling_mode_max_tokens: bool,
    pooling_mode_mean_sqrt_len_tokens: bool,
    pooling_mode_mean_tokens: bool,
    pooling_mode_weightedmean_tokens: bool,
}

/// What the files of sentence-transformers say of it.
pub(super) fn find(beside: &Beside<'_>) -> Result<Option<Pooling>, Error> {
    let modules: Vec<Module> = settings(beside, "modules.json")?.unwrap_or_default();
    let known = ["Transformer", "Pooling", "Normalize"];
    let other = modules.iter().find(|module| !known.iter().any(|name| module.kind.ends_with(name)));
    if let Some(other) = other {
        let name: String = other.kind.chars().take(80).collect();
        return Err(Error::EncoderModule { name });
    }
    let Some(modes) = settings::<Modes>(beside, "1_Pooling/config.json")? else { return Ok(None) };
    let named = [
        (modes.pooling_mode_cls_token, Some(Pooling::Cls)),
        (modes.pooling_mode_lasttoken, Some(Pooling::Last)),
        (modes.pooling_mode_max_tokens, Some(Pooling::Max)),
        (modes.pooling_mode_mean_sqrt_len_tokens, None),
        (modes.pooling_mode_mean_tokens, Some(Pooling::Mean)),
        (modes.pooling_mode_weightedmean_tokens, None),
    ];
    let mut wanted = named.into_iter().filter(|(on, _)| *on).map(|(_, pooling)| pooling);
    match (wanted.next(), wanted.next()) {
        (Some(Some(pooling)), None) => Ok(Some(pooling)),
        (None, None) => Ok(None),
        _ => Err(Error::EncoderModule { name: "a pooling other than cls, last, max or mean".to_string() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_one() {
        let rows = [1.0, 2.0, 3.0, -4.0, 5.0, 8.0];
        for (name, want) in
            [("cls", [1.0, 2.0]), ("last", [5.0, 8.0]), ("max", [5.0, 8.0]), ("mean", [3.0, 2.0])]
        {
            let mut made = [0.0; 2];
            Pooling::of(name).unwrap().pool(&rows, &mut made);
            assert_eq!(made, want, "{name}");
        }
        assert!(Pooling::of("first").is_err());
        let mut vector = [3.0, 4.0];
        normalize(&mut vector);
        assert_eq!(vector, [0.6, 0.8]);
    }
}
