//! What a line says, from how likely each character is at each place.
//!
//! What it is: the likeliest at each place, repetitions and blanks left out. What it is not: a search among spellings. The one
//! design choice: the characters are lines of one text, with an index of where each begins. A. Graves et al., Connectionist
//! Temporal Classification, 2006.

use crate::Error;
use crate::tasks::values::Activation;

/// Bytes of a list of characters at most.
pub(in crate::tasks) const LONGEST: u64 = 1 << 20;

/// The characters that a network knows; the first is the blank between two.
pub(in crate::tasks) struct Characters {
    text: String,
    /// Where each begins, and where the last ends.
    starts: Vec<u32>,
}

impl Characters {
    /// A list with a character on each line, for a network that tells apart `classes`. Lists are written with and without the
    /// blank before them and a space after them.
    pub fn new(mut text: String, classes: usize) -> Result<Characters, Error> {
        text.retain(|c| c != '\r');
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let lines = text.bytes().filter(|b| *b == b'\n').count();
        match classes.checked_sub(lines) {
            Some(0) => {}
            Some(1) => text.insert(0, '\n'),
            Some(2) => {
                text.insert(0, '\n');
                text.push_str(" \n");
            }
            _ => return Err(Error::Characters { lines, classes }),
        }
        let ends = text.bytes().enumerate().filter(|(_, b)| *b == b'\n').map(|(at, _)| at as u32 + 1);
        let starts = std::iter::once(0).chain(ends).collect();
        Ok(Characters { text, starts })
    }

    fn get(&self, class: usize) -> &str {
        match self.starts.get(class..class + 2) {
            Some(&[start, end]) => self.text.get(start as usize..end as usize - 1).unwrap_or(""),
            _ => "",
        }
    }

    /// What places of `classes` numbers say, and how likely its characters are on average.
    pub fn read(&self, scores: &[f32], classes: usize, activation: Activation) -> (String, f32) {
        let (mut text, mut sum, mut count, mut last) = (String::new(), 0.0, 0usize, 0);
        for place in scores.chunks_exact(classes.max(1)) {
            let best = place.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1).then(b.0.cmp(&a.0)));
            let Some((class, score)) = best else { continue };
            if class != 0 && class != last {
                text.push_str(self.get(class));
                sum += activation.over(place)(*score);
                count += 1;
            }
            last = class;
        }
        (text, if count == 0 { 0.0 } else { sum / count as f32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_and_blanks_are_left_out() {
        let of = |places: &[usize]| {
            places
                .iter()
                .flat_map(|&at| (0..4).map(move |i| if i == at { 0.5 } else { 0.1 }))
                .collect::<Vec<f32>>()
        };
        for list in ["blank\na\nb\n \n", "a\nb\n ", "a\r\nb\n"] {
            let known = Characters::new(list.to_string(), 4).unwrap();
            assert_eq!(
                known.read(&of(&[0, 1, 1, 0, 1, 2, 3, 3, 2, 0]), 4, Activation::None),
                ("aab b".to_string(), 0.5),
                "{list:?}"
            );
        }
        let known = Characters::new("a\nb\n".into(), 4).unwrap();
        assert_eq!(known.read(&of(&[0]), 4, Activation::None), (String::new(), 0.0));
        let (text, share) = known.read(&of(&[2]), 4, Activation::Softmax);
        assert!(text == "b" && (share - 0.332_1).abs() < 1e-3, "{text} {share}");
        assert!(Characters::new("a\nb\n".into(), 99).is_err());
    }
}
