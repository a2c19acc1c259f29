//! One model in many budgets, foretold: speed against memory before a weight is read.
//!
//! What it is: budgets as people list them, and a placement and a forecast in each. What it is not: a run of the model;
//! only the machine is measured, for a second or two. The one design choice: a share is one of the model's file, so that
//! the same list means the same for every model and for every engine.

use crate::measure::FLASH_OF_CURVE;
use crate::{Engine, Error, LoadOptions, Opened};
use host::Memory;
use planner::{Exchange, Placement, Profile, Refusal, Reuse};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;
use std::str::FromStr;

/// One budget of a list.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// So many bytes.
    Bytes(u64),
    /// A share of the model's file; 100 is as much as it has.
    Percent(f64),
}

/// Budgets of a curve, as listed: `100%,50%,2GiB`.
#[derive(Clone, Debug, PartialEq)]
pub struct Amounts(Vec<Amount>);

/// The largest share in percent, and the most budgets of a list.
const LARGEST: f64 = 10_000.0;
const MOST: usize = 64;

impl Default for Amounts {
    fn default() -> Amounts {
        Amounts([100.0, 75.0, 50.0, 35.0, 25.0, 15.0, 10.0, 5.0].map(Amount::Percent).into())
    }
}

impl FromStr for Amounts {
    type Err = Error;

    fn from_str(text: &str) -> Result<Amounts, Error> {
        let amounts: Option<Vec<Amount>> = text.split(',').map(amount).collect();
        let expected = "shares of the model's file or sizes, such as 100%,50%,2GiB";
        let wrong = || Error::Option { option: "--budgets", value: format!("'{text}'"), expected };
        amounts.filter(|amounts| amounts.len() <= MOST).map(Amounts).ok_or_else(wrong)
    }
}

impl fmt::Display for Amounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, amount) in self.0.iter().enumerate() {
            f.write_str(if number > 0 { "," } else { "" })?;
            match amount {
                Amount::Bytes(bytes) => write!(f, "{bytes}")?,
                Amount::Percent(percent) => write!(f, "{percent}%")?,
            }
        }
        Ok(())
    }
}

fn amount(text: &str) -> Option<Amount> {
    if let Some(number) = text.trim().strip_suffix('%') {
        let percent = number.parse::<f64>().ok()?;
        return (percent > 0.0 && percent <= LARGEST).then_some(Amount::Percent(percent));
    }
    match text.parse() {
        Ok(Memory::Bytes(bytes)) => Some(Amount::Bytes(bytes)),
        _ => None,
    }
}

/// A model in many budgets.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Bytes of the model's files.
    pub file_bytes: u64,
    /// The smallest budget that works.
    pub smallest: u64,
    /// Bytes a second that the disk gave, measured now in the way of each budget; the best of them.
    pub disk_bytes: f64,
    /// A budget each, the roomiest first: the one that keeps all weights, those of the list, and the smallest that works
    /// if one of the list does not.
    pub points: Vec<CurvePoint>,
}

/// One budget of a curve.
#[derive(Clone, Debug)]
pub struct CurvePoint {
    /// The budget of the whole process, bytes.
    pub budget: u64,
    /// Where everything would lie and how fast it would be, or why it does not fit.
    pub placement: Result<Placement, Refusal>,
}

impl Engine {
    /// What each of `amounts` would give, for `exchange`, in a context that holds it if the options name none. Where
    /// weights lie is decided by what this engine knows of the machine, as a load decides it; how fast that is, by what
    /// is measured now and by `reuse` of its experts.
    ///
    /// # Errors
    /// As [`Engine::plan`] and [`Engine::measure_for`]; a budget that is too small is a point of the curve.
    pub fn curve(
        &self,
        opened: &Opened,
        options: &LoadOptions,
        amounts: &Amounts,
        (exchange, reuse): (Exchange, Option<Reuse>),
    ) -> Result<Curve, Error> {
        let most = opened.decoder.spec.context;
        let needed = exchange.prompt.saturating_add(exchange.answer).clamp(1, most);
        let options = &LoadOptions { context: options.context.or(Some(needed)), ..*options };
        let smallest = match self.plan_in(opened, options, 0)? {
            Ok(placement) => placement.peak(),
            Err(refused) => refused.needed,
        };
        let roomiest = match self.plan_in(opened, options, u64::MAX / 4)? {
            Ok(placement) => placement,
            Err(refused) => return Err(Error::Refused(Box::new(refused))),
        };
        let (file_bytes, whole) = (opened.file_bytes(), roomiest.peak());
        let mut points = Vec::new();
        for budget in budgets(amounts, file_bytes, smallest, whole) {
            points.push(CurvePoint { budget, placement: self.plan_in(opened, options, budget)? });
        }
        let mut profile = Profile { reuse, ..self.measure_for(opened, &roomiest)? };
        let mut rates = BTreeMap::new();
        for placement in points.iter_mut().flat_map(|point| &mut point.placement) {
            profile.flash_bytes = match rates.entry(placement.run_bytes()) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(unknown) => {
                    *unknown.insert(self.measure_flash(opened, placement, FLASH_OF_CURVE)?)
                }
            };
            placement.forecast = self.forecast(opened, options, placement, (&profile, exchange));
        }
        let disk_bytes = rates.into_values().fold(0.0, f64::max);
        Ok(Curve { file_bytes, smallest, disk_bytes, points })
    }
}

/// The budgets in bytes, each once, the largest first: `whole` if none is as large, and `smallest` if one is smaller.
fn budgets(amounts: &Amounts, file_bytes: u64, smallest: u64, whole: u64) -> Vec<u64> {
    let bytes = |amount: &Amount| match *amount {
        Amount::Bytes(bytes) => bytes,
        Amount::Percent(percent) => (file_bytes as f64 * percent / 100.0) as u64,
    };
    let mut budgets: Vec<u64> = amounts.0.iter().map(bytes).collect();
    if budgets.iter().all(|bytes| *bytes < whole) {
        budgets.push(whole);
    }
    if budgets.iter().any(|bytes| *bytes < smallest) {
        budgets.push(smallest);
    }
    budgets.sort_unstable_by(|a, b| b.cmp(a));
    budgets.dedup();
    budgets
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_shares_and_sizes() {
        let (share, bytes) = (Amount::Percent, Amount::Bytes);
        for (text, expected) in [
            ("100%", Some(vec![share(100.0)])),
            ("150%, 2.5%,64MiB", Some(vec![share(150.0), share(2.5), bytes(64 << 20)])),
            ("2GiB,700", Some(vec![bytes(2 << 30), bytes(700)])),
            ("", None),
            ("50%,", None),
            ("0%", None),
            ("-5%", None),
            ("inf%", None),
            ("NaN%", None),
            ("auto", None),
            ("1e30%", None),
            ("half", None),
        ] {
            let amounts = text.parse::<Amounts>().ok();
            assert_eq!(amounts, expected.map(Amounts), "{text}");
            let again = amounts.as_ref().map(|amounts| amounts.to_string().parse().unwrap());
            assert_eq!(again, amounts, "{text}");
        }
        let error = "50%,x".parse::<Amounts>().unwrap_err().to_string();
        assert!(error.contains("--budgets is '50%,x'") && error.contains("2GiB"), "{error}");
        assert!(vec!["1%"; MOST + 1].join(",").parse::<Amounts>().is_err());
    }

    #[test]
    fn a_curve_ends_where_all_is_kept_and_where_the_least_is() {
        let list = |text: &str, whole| budgets(&text.parse().unwrap(), 1000, 100, whole);
        assert_eq!(list("50%,20%,500", 1200), [1200, 500, 200]);
        assert_eq!(list("5%,200%", 1200), [2000, 100, 50]);
        assert_eq!(list("100,1200", 1200), [1200, 100]);
    }

    #[test]
    fn a_tiny_model_is_foretold_in_all_of_its_budgets() {
        let path =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
        let engine = Engine::builder().memory(Memory::Bytes(1 << 30)).threads(Some(1)).build().unwrap();
        let opened = engine.open(&path).unwrap();
        let exchange = Exchange { prompt: 8, answer: 4 };
        let amounts: Amounts = "1GiB,1%".parse().unwrap();
        let curve = engine.curve(&opened, &LoadOptions::default(), &amounts, (exchange, None)).unwrap();
        assert_eq!(curve.file_bytes, std::fs::metadata(&path).unwrap().len());
        let budgets: Vec<u64> = curve.points.iter().map(|point| point.budget).collect();
        assert_eq!(budgets, [1 << 30, curve.smallest, curve.file_bytes / 100]);
        for (point, fits) in curve.points.iter().zip([true, true, false]) {
            match &point.placement {
                Ok(placement) => {
                    assert!(fits && placement.context == 12 && placement.forecast.prompt_tokens == 8);
                    assert!(placement.forecast.tokens_per_second > 0.0);
                }
                Err(refused) => assert!(!fits && refused.needed == curve.smallest),
            }
        }
        assert!(curve.disk_bytes > 0.0);
    }
}
