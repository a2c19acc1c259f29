//! Exit codes, and the failures that become them.
//!
//! What it is: the one table from kinds of trouble to codes, and the shape of an error on the screen. What it is not:
//! the wording, which is the libraries'. The one design choice: the first line of a message is what happened, the
//! indented rest is what to do.

use std::process::ExitCode;

use hub::Class;
use pintpot::Trouble;

/// What the caller of the program sees.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Code {
    Failure = 1,
    Usage = 2,
    Budget = 3,
    Missing = 4,
    Damaged = 5,
    Network = 6,
    Interrupted = 130,
}

/// Why a verb did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    pub code: Code,
    /// Empty when everything has been said already.
    pub message: String,
}

impl Failure {
    pub fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into() }
    }

    pub fn usage(message: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, message)
    }

    pub fn io(doing: &str, error: std::io::Error) -> Failure {
        Failure::new(Code::Failure, format!("cannot {doing}: {error}"))
    }
}

impl From<hub::Error> for Failure {
    fn from(error: hub::Error) -> Failure {
        let code = match error.class() {
            Class::Usage => Code::Usage,
            Class::Failure => Code::Failure,
            Class::Missing => Code::Missing,
            Class::Damaged => Code::Damaged,
            Class::Network => Code::Network,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<pintpot::Error> for Failure {
    fn from(error: pintpot::Error) -> Failure {
        let code = match error.trouble() {
            Trouble::Failure => Code::Failure,
            Trouble::Usage => Code::Usage,
            Trouble::Budget => Code::Budget,
            Trouble::Unsupported => Code::Missing,
            Trouble::Damaged => Code::Damaged,
            Trouble::Network => Code::Network,
        };
        Failure::new(code, error.to_string())
    }
}

impl From<pintpot_server::Error> for Failure {
    fn from(error: pintpot_server::Error) -> Failure {
        match error {
            pintpot_server::Error::Engine(error) => error.into(),
            pintpot_server::Error::Key => Failure::usage(error.to_string()),
            error => Failure::new(Code::Failure, error.to_string()),
        }
    }
}

/// Says what went wrong, if anything, and gives the program's exit code.
pub(crate) fn report(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                eprintln!("error: {}", failure.message);
            }
            ExitCode::from(failure.code as u8)
        }
    }
}
