//! Whether reading ahead what is foreseen is of use here: tried out on the steps themselves.
//!
//! What is gained, the rest of the disk while attention computes, and what is lost, reads in vain, depend on the model, the
//! text, the disk and the budget at once, so neither is reckoned: blocks of steps with and without it take turns, and the
//! one whose median block is the faster is kept, for longer each time. Answers do not depend on it.

use std::time::Duration;

/// Steps of a block.
const BLOCK: u32 = 4;
/// Blocks of each kind in a trial.
const PAIRS: usize = 3;
/// Steps after the first trial until the next, and by what that grows.
const REST: (u32, u32) = (64, 4);

/// Whether experts are read ahead of the router that will choose them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Foresee {
    /// Where it has shown itself to be faster.
    #[default]
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// The trials of one executor.
#[derive(Clone, Debug)]
pub(crate) struct Trial {
    pub wanted: Foresee,
    on: bool,
    /// Steps of the present block, or rest, still to come.
    left: u32,
    /// Seconds of the present block.
    seconds: f64,
    /// Seconds of the blocks of this trial, without and with.
    blocks: [[f64; PAIRS]; 2],
    /// How many blocks of this trial are done.
    done: usize,
    /// Steps of the next rest.
    rest: u32,
}

impl Trial {
    pub fn new() -> Trial {
        Trial {
            wanted: Foresee::Auto,
            on: false,
            left: BLOCK,
            seconds: 0.0,
            blocks: [[0.0; PAIRS]; 2],
            done: 0,
            rest: REST.0,
        }
    }

    /// Whether the next step is to read ahead.
    pub fn is_on(&self) -> bool {
        match self.wanted {
            Foresee::Auto => self.on,
            Foresee::On => true,
            Foresee::Off => false,
        }
    }

    /// Notes how long a step took.
    pub fn took(&mut self, time: Duration) {
        self.seconds += time.as_secs_f64();
        self.left -= 1;
        if self.left > 0 {
            return;
        }
        if self.done < 2 * PAIRS {
            self.blocks[usize::from(self.on)][self.done / 2] = self.seconds;
            self.done += 1;
            (self.on, self.left) = (!self.on, BLOCK);
            if self.done == 2 * PAIRS {
                let [without, with] = self.blocks.map(median);
                (self.on, self.left) = (with < without, self.rest);
                self.rest = self.rest.saturating_mul(REST.1);
            }
        } else {
            // Anew: what was slower might not be now.
            (self.on, self.left, self.done) = (false, BLOCK, 0);
        }
        self.seconds = 0.0;
    }
}

fn median(mut blocks: [f64; PAIRS]) -> f64 {
    blocks.sort_unstable_by(f64::total_cmp);
    blocks[PAIRS / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of `steps` steps that read ahead if such a step takes `with` and another `without` milliseconds.
    fn share(steps: u32, with: u64, without: u64) -> f64 {
        let mut trial = Trial::new();
        let mut on = 0;
        for _ in 0..steps {
            on += u32::from(trial.is_on());
            trial.took(Duration::from_millis(if trial.is_on() { with } else { without }));
        }
        f64::from(on) / f64::from(steps)
    }

    #[test]
    fn what_is_faster_is_kept_and_tried_again_ever_more_seldom() {
        assert!(share(1000, 10, 12) > 0.93);
        assert!(share(1000, 12, 10) < 0.07);
        assert!(share(24, 10, 12) == 0.5);
    }

    #[test]
    fn a_user_who_says_so_is_obeyed() {
        for (wanted, on) in [(Foresee::On, true), (Foresee::Off, false)] {
            let mut trial = Trial { wanted, ..Trial::new() };
            for _ in 0..100 {
                assert_eq!(trial.is_on(), on);
                trial.took(Duration::from_millis(1));
            }
        }
    }
}
