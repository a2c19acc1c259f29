//! Ctrl-C: ends the program, or only the answer.
//!
//! What it is: two flags that the signal sets or obeys. What it is not: a handler with logic. The one design choice:
//! the program is either waiting for words, then Ctrl-C ends it with 130, or speaking, then it ends the answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::SIGINT;
use signal_hook::flag;

use crate::exit::{Code, Failure};

/// What Ctrl-C does now.
pub(crate) struct Interrupt {
    /// Ctrl-C ends the program.
    ends: Arc<AtomicBool>,
    /// Ctrl-C was pressed while the program was speaking.
    pressed: Arc<AtomicBool>,
}

impl Interrupt {
    /// From now on Ctrl-C ends the program with 130.
    pub fn new() -> Result<Interrupt, Failure> {
        let (ends, pressed) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicBool::new(false)));
        flag::register_conditional_shutdown(SIGINT, Code::Interrupted as i32, Arc::clone(&ends))
            .and_then(|_| flag::register(SIGINT, Arc::clone(&pressed)))
            .map_err(|error| Failure::io("listen for Ctrl-C", error))?;
        Ok(Interrupt { ends, pressed })
    }

    /// Runs `speak`, during which Ctrl-C only makes [`Interrupt::is_pressed`] true.
    pub fn only_stops<T>(&self, speak: impl FnOnce() -> T) -> T {
        self.pressed.store(false, Ordering::Relaxed);
        self.ends.store(false, Ordering::Relaxed);
        let spoken = speak();
        self.ends.store(true, Ordering::Relaxed);
        spoken
    }

    /// Whether the answer is to stop.
    pub fn is_pressed(&self) -> bool {
        self.pressed.load(Ordering::Relaxed)
    }
}
