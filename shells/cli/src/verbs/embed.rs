//! `pintpot embed`: texts to vectors.
//!
//! What it is: find, load, ask, write. What it is not: the task, which is the library's. The one design choice: vectors go out
//! as they come, so that a file of texts of any length takes no more memory than a page of it.

use std::io::Write;
use std::path::Path;

use host::NewFile;
use pintpot::npy;
use pintpot::tasks::{Embed, TextInput};
use serde_json::json;

use super::Verb;
use crate::encoders::{self, Texts};
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{report, setup};

pub(super) const VERB: Verb = Verb {
    name: "embed",
    operands: &["MODEL", "[TEXT...]"],
    summary: "make vectors of texts",
    flags: &[
        encoders::FLAGS,
        setup::ENGINE,
        &[&flags::INPUT, &flags::POOLING, &flags::NO_NORMALIZE, &flags::OUT, &flags::JSON, &flags::STATS],
    ],
    run,
};

/// Numbers of a vector that are shown to people.
const SHOWN: usize = 6;
/// Bytes that are written before they are forced to the disk.
const UNSETTLED: usize = 256 << 10;

fn run(args: &Args) -> Result<(), Failure> {
    let found = encoders::found(args)?;
    let mut texts = Texts::new(&found.words, args)?;
    let longest = found.options.longest.unwrap_or(found.file.longest());
    if let Err(refused) = found.engine.plan_embed(&found.file, &found.options, found.engine.budget().bytes)? {
        return Err(encoders::refusal(&found.name, longest, &refused));
    }
    let mut task = found.engine.load_embed(found.file, &found.options)?;
    let mut out = match (args.get(&flags::OUT), args.is_on(&flags::JSON)) {
        (Some(path), _) => Out::File(Npy::create(path, task.dimensions())?),
        (None, true) => Out::Json,
        (None, false) => Out::Screen,
    };
    let start = std::time::Instant::now();
    let (mut count, mut tokens) = (0, 0);
    if matches!(out, Out::Json) {
        let head = json!({"model": found.name, "dimensions": task.dimensions()}).to_string();
        crate::print(&format!("{},\"embeddings\":[", head.trim_end_matches('}')))?;
    }
    loop {
        let some = texts.next()?;
        if some.is_empty() {
            break;
        }
        tokens += out.write(&mut task, &some, &mut count)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let (lines, engine) = (task.lines(), &found.engine);
    match out {
        Out::File(file) => file.finish(count)?,
        Out::Json => {
            let tail = json!({
                "tokens": tokens,
                "seconds": seconds,
                "planned_peak_bytes": encoders::peak(lines),
                "budget_bytes": engine.budget().bytes,
                "ledger": report::ledger(lines),
            });
            crate::print(&format!("],{}\n", tail.to_string().trim_start_matches('{')))?;
        }
        Out::Screen => {}
    }
    if args.is_on(&flags::STATS) {
        eprint!("{count} texts, {tokens} tokens, {seconds:.3} s\n{}", report::ledger_text(lines));
    }
    Ok(())
}

/// Where vectors go.
enum Out {
    File(Npy),
    Json,
    Screen,
}

impl Out {
    /// Makes vectors of some texts and writes them; gives their tokens.
    fn write(&mut self, task: &mut Embed, texts: &[String], count: &mut usize) -> Result<usize, Failure> {
        let inputs: Vec<TextInput<'_>> = texts.iter().map(|text| TextInput::Text(text)).collect();
        let mut failure = None;
        let tokens = task.embed(&inputs, |vector| {
            let result = match self {
                Out::File(file) => file.row(vector),
                Out::Json => {
                    let comma = if *count == 0 { "" } else { "," };
                    crate::print(&format!("{comma}{}", json!(vector)))
                }
                Out::Screen => crate::print(&shown(vector)),
            };
            *count += 1;
            failure = failure.take().or(result.err());
        })?;
        failure.map_or(Ok(tokens), Err)
    }
}

/// A vector on a line for people.
fn shown(vector: &[f32]) -> String {
    let first: Vec<String> = vector.iter().take(SHOWN).map(|x| format!("{x:.6}")).collect();
    let more = if vector.len() > SHOWN { format!(" ... {} numbers", vector.len()) } else { String::new() };
    format!("{}{more}\n", first.join(" "))
}

/// A file of NumPy that grows row by row; how many there are is written last.
struct Npy {
    file: NewFile,
    width: usize,
    head: usize,
    unsettled: usize,
}

impl Npy {
    fn create(path: &str, width: usize) -> Result<Npy, Failure> {
        let path = Path::new(path);
        if path.exists() {
            std::fs::remove_file(path).map_err(|error| Failure::io("replace the file of vectors", error))?;
        }
        let mut file = NewFile::create(path).map_err(pintpot::Error::from)?;
        let head = npy::header("f4", &[0, width]);
        file.write_all(&head).map_err(|error| Failure::io("write vectors", error))?;
        Ok(Npy { file, width, head: head.len(), unsettled: 0 })
    }

    fn row(&mut self, vector: &[f32]) -> Result<(), Failure> {
        for x in vector {
            self.file.write_all(&x.to_le_bytes()).map_err(|error| Failure::io("write vectors", error))?;
        }
        self.unsettled += size_of_val(vector);
        if self.unsettled > UNSETTLED {
            self.file.settle().map_err(pintpot::Error::from)?;
            self.unsettled = 0;
        }
        Ok(())
    }

    fn finish(mut self, rows: usize) -> Result<(), Failure> {
        let head = npy::header("f4", &[rows, self.width]);
        if head.len() != self.head {
            return Err(Failure::io("count the vectors", std::io::ErrorKind::FileTooLarge.into()));
        }
        self.file.patch(0, &head).map_err(pintpot::Error::from)?;
        Ok(self.file.finish().map_err(pintpot::Error::from)?)
    }
}
