//! What a user may give up for fewer bytes and less arithmetic. Off unless it is asked for: answers change.
//!
//! All are shares of what the strongest expert of a token counts: adaptive gating (Zhong et al., "AdapMoE", arXiv
//! 2408.10284), and the same for experts that would have to be read, whose absence a token forgives the more the less they
//! count, or for which a coarser copy does (Tang et al., "HOBBIT", arXiv 2411.01433).

/// Which of the chosen experts are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Economy {
    /// Those that count for less than this share of what the strongest does.
    pub weak: f32,
    /// Those that are not in memory and count for less than this share of what the strongest does. What is in memory depends on
    /// budget and history, so answers do too.
    pub cold: f32,
    /// Those that are not in memory and count for less than this share of what the strongest does are read in a coarser type, if
    /// the file has them so.
    pub coarse: f32,
}

impl Economy {
    /// Whether nothing is left out.
    pub fn is_off(&self) -> bool {
        self.weak <= 0.0 && self.cold <= 0.0 && self.coarse <= 0.0
    }

    /// The same in a layer that may leave out `leniency` times what others do.
    pub(crate) fn times(self, leniency: f32) -> Economy {
        let share = |share: f32| (share * leniency).min(1.0);
        Economy { weak: share(self.weak), cold: share(self.cold), coarse: share(self.coarse) }
    }

    /// Takes back the choice of experts that count too little; gives how many, and the squares of what they count beside the
    /// strongest, added up. `scores` are what each counts, before they are made to add up to one.
    pub(crate) fn apply(
        &self,
        scores: &[f32],
        chosen: &mut [bool],
        is_kept: impl Fn(u32) -> bool,
    ) -> (u64, f64) {
        let of_chosen = scores.iter().zip(&*chosen).filter(|(_, chosen)| **chosen);
        let strongest = of_chosen.map(|(score, _)| *score).fold(0.0, f32::max);
        let mut skipped = (0, 0.0);
        for ((&score, chosen), expert) in scores.iter().zip(chosen).zip(0..).filter(|((_, c), _)| **c) {
            let weak = score < self.weak * strongest;
            if score < strongest && (weak || score < self.cold * strongest && !is_kept(expert)) {
                *chosen = false;
                let beside = f64::from(score / strongest);
                skipped = (skipped.0 + 1, skipped.1 + beside * beside);
            }
        }
        skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_strongest_stays_and_the_weak_and_the_cold_go() {
        let scores = [0.5, 0.04, 0.3, 0.16, 0.9];
        let skip = |weak, cold| {
            let mut chosen = [true, true, true, true, false];
            let skipped = Economy { weak, cold, coarse: 0.0 }.apply(&scores, &mut chosen, |e| e == 2);
            (chosen, skipped.0)
        };
        assert_eq!(skip(0.0, 0.0), ([true, true, true, true, false], 0));
        assert_eq!(skip(0.1, 0.0), ([true, false, true, true, false], 1));
        assert_eq!(skip(0.1, 0.7), ([true, false, true, false, false], 2));
        assert_eq!(skip(1.0, 1.0), ([true, false, false, false, false], 3));
    }
}
