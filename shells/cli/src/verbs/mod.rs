//! The verbs: one file each, one line here.
//!
//! What it is: the list. What it is not: their work. The one design choice: a verb is data and one function, so the
//! dispatcher and the help need to know none of them.

mod batch;
mod bench;
mod curve;
mod data;
mod doctor;
mod embed;
mod eval;
mod landmarks;
mod listen;
mod ls;
mod ocr;
mod pack;
mod plan;
mod profile;
mod ps;
mod pull;
mod rerank;
mod rm;
mod run;
mod serve;
mod show;
mod speak;
mod stop;
mod transcribe;

pub(crate) use serve::{HOST, PORT};

use crate::exit::Failure;
use crate::flags::{Args, Flag};

/// Something that the program does.
pub(crate) struct Verb {
    /// One word, or two where the first is a verb by itself.
    pub name: &'static str,
    /// What stands after the verb, in order; brackets mean that it may be left out, dots that more may follow.
    pub operands: &'static [&'static str],
    /// One line.
    pub summary: &'static str,
    /// Its flags, in groups.
    pub flags: &'static [&'static [&'static Flag]],
    pub run: fn(&Args) -> Result<(), Failure>,
}

impl Verb {
    /// All its flags.
    pub fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        self.flags.iter().flat_map(|group| group.iter().copied())
    }
}

/// All verbs, by name.
pub(crate) static VERBS: &[Verb] = &[
    batch::VERB,
    bench::VERB,
    bench::KERNELS,
    bench::PEERS,
    bench::REPORT,
    bench::SWEEP,
    doctor::VERB,
    embed::VERB,
    eval::VERB,
    landmarks::VERB,
    listen::VERB,
    ls::VERB,
    ocr::VERB,
    pack::VERB,
    plan::VERB,
    profile::VERB,
    ps::VERB,
    pull::VERB,
    rerank::VERB,
    rm::VERB,
    run::VERB,
    serve::VERB,
    show::VERB,
    speak::VERB,
    stop::VERB,
    transcribe::VERB,
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::help;

    #[test]
    fn verbs_are_sorted_and_explain_themselves() {
        assert!(VERBS.is_sorted_by(|a, b| a.name < b.name));
        for verb in VERBS {
            let text = help::of_verb(verb);
            assert!(text.contains(verb.summary) && help::overview().contains(verb.summary));
            for flag in verb.flags() {
                assert!(text.contains(&format!("--{}", flag.name)), "{} {}", verb.name, flag.name);
            }
            assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
        }
    }
}
