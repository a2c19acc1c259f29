//! Stop strings over a stream of text.
//!
//! What it is: a filter that passes text on, holds back what may be the start of a stop string, and ends at the
//! first whole one. What it is not: part of decoding; it sees text, not tokens. The one design choice: it never
//! passes on a byte that a later piece could turn into a stop string.

/// Watches a stream for stop strings.
#[derive(Debug)]
pub struct StopMatcher {
    stops: Vec<String>,
    /// Text that may be the start of a stop string.
    held: String,
    /// How much of `held` the last piece that was passed on took.
    passed: usize,
    stopped: Option<usize>,
}

impl StopMatcher {
    /// Watches for these strings; empty ones never match.
    pub fn new(stops: impl IntoIterator<Item = String>) -> StopMatcher {
        let stops = stops.into_iter().filter(|s| !s.is_empty()).collect();
        StopMatcher { stops, held: String::new(), passed: 0, stopped: None }
    }

    /// Takes the next piece and returns what can be passed on by now. After a stop, nothing.
    pub fn push(&mut self, piece: &str) -> &str {
        self.held.drain(..self.passed);
        self.passed = 0;
        if self.stopped.is_some() {
            return "";
        }
        self.held.push_str(piece);
        let found =
            self.stops.iter().enumerate().filter_map(|(i, s)| self.held.find(s).map(|at| (at, i))).min();
        match found {
            Some((at, which)) => {
                self.stopped = Some(which);
                self.held.truncate(at);
                self.passed = at;
            }
            None => self.passed = self.held.len() - self.undecided(),
        }
        &self.held[..self.passed]
    }

    /// The text that is still held back, when the stream ends without a stop.
    pub fn finish(&mut self) -> &str {
        self.held.drain(..self.passed);
        self.passed = self.held.len();
        &self.held
    }

    /// Which of the strings was met, as an index into those that are not empty.
    pub fn stopped(&self) -> Option<usize> {
        self.stopped
    }

    /// The string that was met.
    pub fn met(&self) -> Option<&str> {
        self.stopped.map(|which| &*self.stops[which])
    }

    /// Length of the longest end of `held` with which a stop string starts.
    fn undecided(&self) -> usize {
        let longest = self.stops.iter().map(String::len).max().unwrap_or(0);
        let from = self.held.len().saturating_sub(longest);
        (from..self.held.len())
            .filter(|&at| self.held.is_char_boundary(at))
            .find(|&at| self.stops.iter().any(|s| s.starts_with(&self.held[at..])))
            .map_or(0, |at| self.held.len() - at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams() {
        for (stops, pieces, want, rest, stopped) in [
            (&["END"][..], &["aE", "N", "Dx"][..], &["a", "", ""][..], "", Some(0)),
            (&["END"], &["aE", "x", "EN"], &["a", "Ex", ""], "EN", None),
            (&["é!"], &["aé", "é", "!"], &["a", "é", ""], "", Some(0)),
            (&["", "b", "ab"], &["xab", "y"], &["x", ""], "", Some(1)),
            (&["aab"], &["aaa", "aab"], &["a", "aa"], "", Some(0)),
            (&[], &["a", ""], &["a", ""], "", None),
            (&["\n\n"], &["a\n", "b\n", "\n"], &["a", "\nb", ""], "", Some(0)),
        ] {
            let mut matcher = StopMatcher::new(stops.iter().map(|s| s.to_string()));
            let got: Vec<String> = pieces.iter().map(|p| matcher.push(p).to_owned()).collect();
            assert_eq!(got, want, "{stops:?} {pieces:?}");
            assert_eq!(matcher.finish(), rest, "{stops:?} {pieces:?}");
            assert_eq!(matcher.finish(), "");
            assert_eq!(matcher.stopped(), stopped);
        }
    }
}
