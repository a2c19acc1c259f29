//! People's data that `run` is given: `--audio` and `--text`.
//!
//! What it is: which verb does with a model what the data asks for. What it is not: a verb. The one design choice: the model says
//! what it is, and the command line goes on to the verb as if that had been typed, so nothing is done in two places.

use pintpot::Examined;

use super::{embed, listen, run, speak, transcribe};
use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::{find, setup, sounds, speech};

pub(super) const FLAGS: &[&Flag] = &[&flags::AUDIO, &flags::TEXT];

/// What a verb does.
type Work = fn(&Args) -> Result<(), Failure>;

/// The verb for what was typed, and its command line; `None` if there is no such data, or `run` itself takes it.
pub(super) fn verb(args: &Args) -> Result<Option<(Work, Args)>, Failure> {
    let flag = match (args.typed(&flags::AUDIO), args.typed(&flags::TEXT)) {
        (None, None) => return Ok(None),
        (Some(_), None) => &flags::AUDIO,
        (None, Some(_)) => &flags::TEXT,
        (Some(_), Some(_)) => {
            return Err(Failure::usage("a model takes a sound or a text, not both at once"));
        }
    };
    let (reference, _) = find::named(args)?;
    let place = speech::place(&reference, args)?;
    let engine = setup::engine(args)?;
    let work: Work = match flag == &flags::AUDIO {
        true if engine.is_speech(&place) => transcribe::VERB.run,
        // A network that a pipeline feeds is run as one, and so is one of which nothing is known yet.
        true if sounds::is_fed(&place, args) => return Ok(None),
        true => match engine.examine(&place)? {
            Examined::Network(file) if !engine.is_voice(&file) && !engine.is_wake(&file) => return Ok(None),
            _ => listen::VERB.run,
        },
        false if engine.open_speak(&place).is_ok() => speak::VERB.run,
        false if matches!(engine.examine(&place)?, Examined::Network(_)) => embed::VERB.run,
        false => run::VERB.run,
    };
    Ok(Some((work, args.as_operand(flag))))
}
