//! Networks that are in memory at the same time, for one task: their account.
//!
//! What it is not: the account of each, which is made as if it were alone. The one design choice: what a process has once is counted
//! once, as the one that takes most of it has it; all else is added up, so what is planned is what loading them reserves.

use planner::{Line, Refusal};

use crate::load::ONCE;
use crate::{BuiltNetwork, Engine};

impl Engine {
    /// The account of several networks in a budget, or why they do not fit.
    pub(super) fn plan_together(&self, built: &[&BuiltNetwork], budget: u64) -> Result<Vec<Line>, Refusal> {
        let mut all: Vec<Line> = Vec::new();
        for (number, network) in built.iter().enumerate() {
            for line in self.plan_network_in(network, u64::MAX)? {
                match all.iter_mut().find(|other| other.part == line.part) {
                    Some(other) if ONCE.contains(&line.part) => other.bytes = other.bytes.max(line.bytes),
                    Some(other) => other.bytes += line.bytes,
                    // The last line stays the last.
                    None if number == 0 => all.push(line),
                    None => all.insert(all.len().saturating_sub(1), line),
                }
            }
        }
        match all.iter().map(|line| line.bytes).sum() {
            needed if needed > budget => Err(Refusal { needed, budget, lines: all, context: 0 }),
            _ => Ok(all),
        }
    }
}
