//! How a router chooses: read from the settings, in which families differ by defaults alone.
//!
//! Which layers have experts, how many, and whether all rows share one besides, the tensors say.

use crate::Error;
use crate::settings::{self as key, Settings};
use graph::op::{Groups, Score};

/// The most experts of a layer that are reckoned with.
const MOST: u32 = 1024;

/// How GGUF numbers scores.
const SOFTMAX: u32 = 1;
const SIGMOID: u32 = 2;

/// How experts are chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExpertSpec {
    /// How many a row goes to.
    pub used: u32,
    /// What the router's logits become.
    pub score: Score,
    /// Whether the scores of the chosen are divided by their sum.
    pub normalize: bool,
    /// Factor on the result.
    pub scale: f32,
    /// If set, experts come from the best groups only.
    pub groups: Option<Groups>,
}

impl ExpertSpec {
    /// What the settings say of a family that scores by a softmax; `normalize` is what its files mean if they say nothing.
    /// `None` if the model has no experts.
    pub(crate) fn softmax(settings: &Settings<'_>, normalize: bool) -> Result<Option<ExpertSpec>, Error> {
        let count = settings.find::<u32>(key::EXPERTS)?.unwrap_or(0);
        if count == 0 {
            return Ok(None);
        }
        let used = settings.size(key::EXPERTS_USED)?;
        if used > count {
            return Err(settings.nonsense(key::EXPERTS_USED, used, "at most the number of experts"));
        }
        if count > MOST {
            return Err(settings.unsupported(key::EXPERTS, count));
        }
        Ok(Some(ExpertSpec {
            used,
            score: Score::Softmax,
            normalize: settings.find(key::EXPERT_NORM)?.unwrap_or(normalize),
            scale: settings.positive(key::EXPERT_SCALE)?.map_or(1.0, |scale| scale as f32),
            groups: None,
        }))
    }

    /// What the settings say of a family whose experts may be chosen by groups, and by sigmoids.
    pub(crate) fn grouped(settings: &Settings<'_>) -> Result<Option<ExpertSpec>, Error> {
        let Some(plain) = ExpertSpec::softmax(settings, false)? else { return Ok(None) };
        let (score, judged_by) = match settings.find::<u32>(key::EXPERT_SCORE)?.unwrap_or(SOFTMAX) {
            SOFTMAX => (Score::Softmax, 1),
            SIGMOID => (Score::Sigmoid, 2),
            other => return Err(settings.unsupported(key::EXPERT_SCORE, other)),
        };
        let groups = match settings.find::<u32>(key::EXPERT_GROUPS)?.unwrap_or(1) {
            0 | 1 => None,
            count => Some(Groups { count, used: settings.size(key::EXPERT_GROUPS_USED)?, judged_by }),
        };
        Ok(Some(ExpertSpec { score, groups, ..plain }))
    }

    /// Checks the number of experts that a router has.
    pub(crate) fn check(&self, count: u32) -> Result<(), Error> {
        match count {
            _ if count < self.used => Err(Error::FewExperts { found: count, used: self.used }),
            _ if count > MOST => Err(Error::ManyExperts { found: count, most: MOST }),
            _ => Ok(()),
        }
    }
}
