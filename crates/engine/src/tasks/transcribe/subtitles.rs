//! What was said as subtitles have it: SubRip and WebVTT, as OpenAI's program writes them.

use super::Passage;

/// A time as `[hours:]minutes:seconds`, and thousandths behind a mark.
pub fn clock(seconds: f64, with_hours: bool, mark: &str) -> String {
    let thousandths = (seconds * 1000.0).round() as u64;
    let (hours, minutes) = (thousandths / 3_600_000, thousandths / 60_000 % 60);
    let rest = format!("{minutes:02}:{:02}{mark}{:03}", thousandths / 1000 % 60, thousandths % 1000);
    if with_hours || hours > 0 { format!("{hours:02}:{rest}") } else { rest }
}

impl Passage {
    /// As number so many of a file of SubRip.
    pub fn srt(&self, number: usize) -> String {
        format!("{number}\n{}", self.cue(true, ","))
    }

    /// As a piece of a file of WebVTT.
    pub fn vtt(&self) -> String {
        self.cue(false, ".")
    }

    fn cue(&self, with_hours: bool, mark: &str) -> String {
        let [from, to] = [self.start, self.end].map(|time| clock(time, with_hours, mark));
        // An arrow in the text would be a time.
        format!("{from} --> {to}\n{}\n\n", self.text.trim().replace("-->", "->"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_are_those_of_subtitles() {
        assert_eq!(clock(0.0, true, ","), "00:00:00,000");
        assert_eq!(clock(61.28, false, "."), "01:01.280");
        assert_eq!(clock(3_725.5, false, "."), "01:02:05.500");
    }

    #[test]
    fn arrows_are_no_times() {
        let said = Passage { start: 0.0, end: 61.5, text: " a --> b".into(), ..Passage::default() };
        assert_eq!(said.srt(3), "3\n00:00:00,000 --> 00:01:01,500\na -> b\n\n");
        assert_eq!(said.vtt(), "00:00.000 --> 01:01.500\na -> b\n\n");
    }
}
