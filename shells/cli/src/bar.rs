//! A pull, on the screen.
//!
//! What it is: one line that is drawn over, on a terminal; a line for each step, elsewhere. What it is not: output;
//! everything goes to standard error. The one design choice: drawn at most ten times a second, with nothing held but
//! the present stage.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use host::format_bytes;
use hub::{Doing, Event, Progress};

const EVERY: Duration = Duration::from_millis(100);

/// Draws a pull.
pub(crate) struct Bar {
    terminal: bool,
    stage: String,
    total: Option<u64>,
    began: Instant,
    drawn: Option<Instant>,
    first: Option<u64>,
}

impl Bar {
    pub fn new() -> Bar {
        let terminal = std::io::stderr().is_terminal();
        Bar { terminal, stage: String::new(), total: None, began: Instant::now(), drawn: None, first: None }
    }

    /// Ends the line that is drawn over.
    pub fn clear(&mut self) {
        if self.terminal && self.drawn.take().is_some() {
            eprint!("\r\x1b[K");
        }
    }

    fn say(&mut self, line: &str) {
        self.clear();
        eprintln!("{line}");
    }

    fn draw(&mut self, bytes: u64) {
        if !self.terminal || self.drawn.is_some_and(|at| at.elapsed() < EVERY) {
            return;
        }
        let first = *self.first.get_or_insert(bytes);
        let rate = bytes.saturating_sub(first) as f64 / self.began.elapsed().as_secs_f64().max(0.1);
        let of = self.total.map_or(String::new(), |total| {
            let share = bytes as f64 * 100.0 / total.max(1) as f64;
            format!(" of {} ({share:.0}%)", format_bytes(total))
        });
        eprint!("\r\x1b[K  {} {}{of}, {}/s", self.stage, format_bytes(bytes), format_bytes(rate as u64));
        let _ = std::io::stderr().flush();
        self.drawn = Some(Instant::now());
    }
}

impl Progress for Bar {
    fn on(&mut self, event: Event<'_>) {
        match event {
            Event::Trying { source } => self.say(&format!("from {source}")),
            Event::Failed { source, error } => self.say(&format!("  {source} failed: {error}")),
            Event::Retrying { why } => self.say(&format!("  trying again: {why}")),
            Event::Stage { doing, what, total } => {
                let doing = match doing {
                    Doing::Checking => "checking",
                    Doing::Downloading => "downloading",
                    Doing::Unpacking => "unpacking",
                };
                self.stage = format!("{doing} {what}");
                (self.total, self.began, self.first) = (total, Instant::now(), None);
                if !self.terminal {
                    self.say(&format!("  {}", self.stage));
                }
            }
            Event::At { bytes } => self.draw(bytes),
            _ => {}
        }
    }
}
