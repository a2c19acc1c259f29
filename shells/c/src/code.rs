//! How calls end: codes, and words for the thread that asks for them.
//!
//! What it is: the way from the library's errors to C. What it is not: the errors. The one design choice: a panic, which would
//! be a fault of ours, ends at this border as a code, too.

use std::cell::RefCell;
use std::ffi::{CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use engine::{Error, Trouble};

/// How a call ended; the values are the exit codes of the program.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PintpotCode {
    /// It was done.
    Ok = 0,
    /// It did not work.
    Failure = 1,
    /// What was asked for cannot be.
    Usage = 2,
    /// The budget does not allow it; nothing was loaded.
    Budget = 3,
    /// The model is not there or not supported.
    Missing = 4,
    /// A file is damaged, or cannot be read or written.
    Damaged = 5,
    /// The network.
    Network = 6,
}

thread_local! {
    static WORDS: RefCell<CString> = RefCell::default();
}

/// What went wrong with the last call of this thread that did not end with `Ok`: words that say what to do. The text is there
/// until the thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn pintpot_error() -> *const c_char {
    WORDS.with_borrow(|words| words.as_ptr())
}

/// A failure on its way to C.
pub(crate) struct Failure {
    code: PintpotCode,
    words: String,
}

impl Failure {
    pub fn usage(words: impl Into<String>) -> Failure {
        Failure { code: PintpotCode::Usage, words: words.into() }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let code = match error.trouble() {
            Trouble::Failure => PintpotCode::Failure,
            Trouble::Usage => PintpotCode::Usage,
            Trouble::Budget => PintpotCode::Budget,
            Trouble::Unsupported => PintpotCode::Missing,
            Trouble::Damaged => PintpotCode::Damaged,
            Trouble::Network => PintpotCode::Network,
        };
        Failure { code, words: error.to_string() }
    }
}

/// Does a call's work; its failure becomes a code, and words for [`pintpot_error`].
pub(crate) fn call(work: impl FnOnce() -> Result<(), Failure>) -> PintpotCode {
    let fault = |_| {
        let words =
            "a fault of pintpot, please report it; do not use what the call was about any more".to_string();
        Err(Failure { code: PintpotCode::Failure, words })
    };
    // What a panic leaves half done is not used again: the words say so.
    match catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(fault) {
        Ok(()) => PintpotCode::Ok,
        Err(Failure { code, words }) => {
            let words = CString::new(words.replace('\0', " ")).unwrap_or_default();
            WORDS.set(words);
            code
        }
    }
}
