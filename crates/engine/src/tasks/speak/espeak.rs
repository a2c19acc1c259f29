//! How words are spoken: the program espeak-ng, if it is installed.
//!
//! Not a part of pintpot. The one design choice: it is asked clause by clause, since it keeps no marks between them, and a voice wants
//! them; sentences are said one by one.

use crate::Error;
use std::io::Write;
use std::process::{Command, Stdio};

const PROGRAM: &str = "espeak-ng";
/// Bytes of a text.
const LONGEST: usize = 256 << 10;

/// The phonemes of each sentence of a text.
pub(super) fn sentences(text: &str, language: &str) -> Result<Vec<String>, Error> {
    if text.len() > LONGEST {
        return Err(Error::TextTooLong { bytes: text.len() });
    }
    let (mut sentences, mut sentence) = (Vec::new(), String::new());
    for clause in text.split_inclusive(['.', '!', '?', ',', ';', ':', '\n']) {
        let mark = clause.chars().last().filter(char::is_ascii_punctuation);
        let words = clause.trim_end_matches(['.', '!', '?', ',', ';', ':', '\n']).trim();
        if !words.is_empty() {
            sentence += &spoken(words, language)?;
            sentence.extend(mark);
        }
        match mark {
            Some('.' | '!' | '?') if !sentence.is_empty() => sentences.push(std::mem::take(&mut sentence)),
            _ if words.is_empty() => {}
            _ => sentence.push(' '),
        }
    }
    sentences.extend(Some(sentence).filter(|sentence| !sentence.trim().is_empty()));
    Ok(sentences)
}

fn spoken(words: &str, language: &str) -> Result<String, Error> {
    let failed = |source| Error::NoEspeak { source };
    let mut command = Command::new(PROGRAM);
    command.args(["-q", "--ipa", "--stdin", "-v", language]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    host::end_with_parent(&mut command);
    let mut child = command.spawn().map_err(failed)?;
    if let Some(mut to) = child.stdin.take() {
        to.write_all(words.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    Ok(said.split_whitespace().collect::<Vec<_>>().join(" "))
}
