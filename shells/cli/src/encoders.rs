//! What `embed` and `rerank` have in common on a command line: the encoder, the texts, and a budget that is too small.
//!
//! What it is not: the tasks, which are the library's. The one design choice: texts are lines, and of a file no more is held
//! than a few of them.

use std::io::{BufRead, BufReader, IsTerminal, Read};
use std::path::Path;

use host::format_bytes;
use pintpot::tasks::{EncoderFile, EncoderOptions, Pooling};
use pintpot::{Engine, Line, Refusal};

use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag};
use crate::{find, report, setup, size};

/// The flags that say which encoder, and how long texts are.
pub(crate) const FLAGS: &[&Flag] = &[&flags::MODEL, &flags::CONTEXT, &flags::TOKENIZER];
/// Texts, and bytes of them, that are worked on at a time.
const TEXTS: usize = 64;
const BYTES: usize = 256 << 10;

/// An encoder that the command line names.
pub(crate) struct Found {
    pub name: String,
    pub engine: Engine,
    pub file: EncoderFile,
    pub options: EncoderOptions,
    /// The words after the model.
    pub words: Vec<String>,
}

/// The encoder that the command line names, looked at.
pub(crate) fn found(args: &Args) -> Result<Found, Failure> {
    let (reference, words) = find::named(args)?;
    let options = EncoderOptions {
        longest: args.read(&flags::CONTEXT, "a number of tokens")?,
        pooling: args.get(&flags::POOLING).map(Pooling::of).transpose()?,
        keeps_length: args.is_on(&flags::NO_NORMALIZE),
        ..EncoderOptions::default()
    };
    let engine = setup::engine(args)?;
    let local = find::local(&reference, args)?;
    let file = engine.open_encoder(&local.path, args.get(&flags::TOKENIZER).map(Path::new))?;
    Ok(Found { name: local.name, engine, file, options, words: words.to_vec() })
}

/// A refusal in the words of the project's rules for refusals; `smallest` is one of a budget of nothing.
pub(crate) fn refusal(name: &str, longest: u32, refused: &Refusal) -> Failure {
    let mut text = format!("{name} cannot run in {}; nothing was loaded\n", format_bytes(refused.budget));
    text += &format!("  needs at least {} for texts of {longest} tokens\n", format_bytes(refused.needed));
    text += &report::ledger_text(&refused.lines);
    text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
    if longest > 64 {
        text += "\n  shorter texts need less: -c 64";
    }
    Failure::new(Code::Budget, text)
}

/// The account's sum.
pub(crate) fn peak(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.bytes).sum()
}

/// Texts from the command line, from files or from standard input, some at a time.
pub(crate) struct Texts<'a> {
    words: std::slice::Iter<'a, String>,
    files: Vec<Box<dyn BufRead>>,
}

impl<'a> Texts<'a> {
    /// Those that `words` and `--input` name; standard input if they name none.
    pub fn new(words: &'a [String], args: &Args) -> Result<Texts<'a>, Failure> {
        let open = |path: &str| -> Result<Box<dyn BufRead>, Failure> {
            if path == "-" {
                return Ok(Box::new(BufReader::new(std::io::stdin())));
            }
            let file = std::fs::File::open(path);
            Ok(Box::new(BufReader::new(file.map_err(|error| Failure::io(&format!("read {path}"), error))?)))
        };
        let mut files = args.all(&flags::INPUT).map(open).collect::<Result<Vec<_>, _>>()?;
        if files.is_empty() && words.is_empty() {
            if std::io::stdin().is_terminal() {
                return Err(Failure::usage(
                    "there is no text\n  add texts, name a file with --input, or pipe lines in",
                ));
            }
            files.push(open("-")?);
        }
        files.reverse();
        Ok(Texts { words: words.iter(), files })
    }

    /// The next texts; none when all are through.
    pub fn next(&mut self) -> Result<Vec<String>, Failure> {
        let (mut texts, mut bytes) = (Vec::new(), 0);
        while texts.len() < TEXTS && bytes < BYTES {
            let Some(text) = self.text()? else { break };
            bytes += text.len();
            texts.push(text);
        }
        Ok(texts)
    }

    fn text(&mut self) -> Result<Option<String>, Failure> {
        if let Some(word) = self.words.next() {
            return Ok(Some(word.clone()));
        }
        while let Some(file) = self.files.last_mut() {
            let mut line = String::new();
            let read = file.take(BYTES as u64 + 1).read_line(&mut line);
            match read.map_err(|error| Failure::io("read the texts", error))? {
                0 => self.files.pop(),
                _ => return Ok(Some(line.trim_end_matches(['\n', '\r']).to_string())),
            };
        }
        Ok(None)
    }
}
