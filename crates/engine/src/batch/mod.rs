//! Many requests from a file, answered into a file: several at once, each once, whatever comes in between.
//!
//! What it is: OpenAI's batch format around a [`Service`]: what is asked line by line, what is done already, what is in the air.
//! What it is not: the bodies of requests and answers, which are a [`Protocol`]'s. The one design choice: the output is all
//! that is remembered. A line is written whole when its answer is known, so a batch that was broken off goes on with what is
//! not there.

mod lines;
mod record;
mod register;
mod work;

pub use work::{Asked, Protocol, Said};

use crate::{Error, Flow, Service};
use host::{AppendFile, FlashFile, ReadAt};
use lines::Lines;
use record::Wrong;
use register::{Register, key};
use std::path::{Path, PathBuf};
use work::Work;

/// The longest line in which a name is looked for before it is known how long a body may be, bytes.
const LONGEST: usize = 1 << 20;
/// What a line may have besides its body, bytes.
const AROUND: usize = 4 << 10;

/// How far a batch has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BatchProgress {
    /// Lines that ask for something.
    pub lines: u64,
    /// Of those, how many were in the output before it began.
    pub earlier: u64,
    /// Lines that were added.
    pub added: u64,
    /// Lines of the output that say that something is wrong, those of before included.
    pub failed: u64,
    /// Requests that are being answered.
    pub running: u64,
    /// Tokens of the answers that were added.
    pub tokens: u64,
}

impl BatchProgress {
    /// Whether every line has its answer, or is told what is wrong with it.
    pub fn is_whole(&self) -> bool {
        self.earlier + self.added >= self.lines
    }
}

/// Requests in a file, and the file of their answers.
#[derive(Debug)]
pub struct Batch {
    input: FlashFile,
    output: AppendFile,
    path: PathBuf,
    lines: u64,
    asks: u64,
    model: Option<String>,
}

impl Batch {
    /// Opens both files; what is missing of the second is made. Reads the first once.
    ///
    /// # Errors
    /// A file that cannot be read or written, [`Error::SameFile`].
    pub fn open(input: &Path, output: &Path) -> Result<Batch, Error> {
        let same =
            |a: &Path, b: &Path| a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b));
        if same(input, output) {
            return Err(Error::SameFile { path: output.to_path_buf() });
        }
        let input = FlashFile::open(input)?;
        let (mut lines, mut asks, mut model) = (0, 0, None);
        let mut all = Lines::new(&input, LONGEST);
        while let Some(line) = all.next()? {
            lines = line.number;
            if !line.is_blank() {
                asks += 1;
                model = model.or_else(|| record::model(line.text));
            }
        }
        drop(all);
        Ok(Batch { input, output: AppendFile::open(output)?, path: output.to_path_buf(), lines, asks, model })
    }

    /// The model of the first line that names one.
    pub fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// Bytes of memory that it takes besides what is in the air.
    pub fn bytes(&self) -> u64 {
        Register::bytes(self.lines) + (4 * FlashFile::BOUNCE) as u64
    }

    /// Answers what is not answered, at most `most` requests at once, and tells `watch` how far it is, now and then; what is
    /// in the air when that says [`Flow::Stop`] is left for another time.
    ///
    /// # Errors
    /// [`Error::NotABatch`] if the output is something else; a file or a service that failed. What was answered is in the
    /// output.
    pub fn run(
        &mut self,
        service: &Service,
        protocol: &dyn Protocol,
        most: usize,
        watch: &mut dyn FnMut(&BatchProgress) -> Flow,
    ) -> Result<BatchProgress, Error> {
        let longest = protocol.longest() + AROUND;
        let mut register = Register::new(self.keys(longest)?, self.lines);
        let (earlier, failed) = self.mend(&mut register)?;
        let progress = BatchProgress { lines: self.asks, earlier, failed, ..BatchProgress::default() };
        let mut work = Work::new(service, protocol, &mut self.output, progress);
        let mut lines = Lines::new(&self.input, longest);
        let mut goes_on = true;
        while goes_on {
            match lines.next()? {
                Some(line) if line.is_blank() => continue,
                Some(line) => {
                    let read = next(&mut register, &line);
                    goes_on = work.take(line.number, read, most, watch)?;
                }
                None => break,
            }
        }
        if goes_on {
            work.drain(watch)?;
        }
        let progress = work.end();
        self.output.settle()?;
        Ok(progress)
    }

    /// The keys of all names of the input.
    fn keys(&self, longest: usize) -> Result<Vec<register::Key>, Error> {
        let mut keys = Vec::with_capacity(self.asks as usize);
        let mut lines = Lines::new(&self.input, longest);
        while let Some(line) = lines.next()? {
            if let Some(read) = (!line.is_too_long).then(|| record::request(line.text).ok()).flatten() {
                keys.push(key(&read.custom_id));
            }
        }
        Ok(keys)
    }

    /// Reads what is in the output, and cuts off a last line that was not written to its end; gives how many lines of the
    /// input are done, and how many of those not well.
    fn mend(&mut self, register: &mut Register) -> Result<(u64, u64), Error> {
        let file = FlashFile::open(&self.path)?;
        let (mut done, mut failed, mut cut) = (0, 0, None);
        let mut lines = Lines::new(&file, record::HEAD);
        while let Some(line) = lines.next()? {
            if !line.is_ended {
                let begins = line.text.iter().zip(record::BEGIN.bytes()).all(|(a, b)| *a == b);
                if !begins {
                    return Err(Error::NotABatch { path: self.path.clone(), line: line.number });
                }
                cut = Some(line.start);
                break;
            }
            let (is_ours, is_good) = match record::said(&self.path, line.number, line.text)? {
                record::Said::Answer(name, is_good) => (register.is_done(&name), is_good),
                record::Said::Error(number) => (register.is_told(number), false),
            };
            done += u64::from(is_ours);
            failed += u64::from(is_ours && !is_good);
        }
        drop(lines);
        debug_assert!(file.len() == self.output.len());
        cut.map_or(Ok(()), |cut| self.output.cut(cut))?;
        Ok((done, failed))
    }
}

/// What is to be done about a line.
enum Next<'a> {
    /// Nothing: it is in the output.
    Done,
    Ask(record::Request<'a>),
    Wrong(Option<String>, Wrong),
}

/// Reads a line that is not blank.
fn next<'a>(register: &mut Register, line: &lines::Line<'a>) -> Next<'a> {
    let wrong = if line.is_too_long {
        Wrong::new("line_too_long", "the line is longer than a request may be")
    } else {
        match record::request(line.text) {
            Ok(read) => match register.take(&read.custom_id) {
                register::Turn::New => return Next::Ask(read),
                register::Turn::Done => return Next::Done,
                register::Turn::Twice => {
                    let message = format!("a line before has the custom_id {:?}, too", read.custom_id);
                    Wrong::new("duplicate_custom_id", message)
                }
            },
            Err(wrong) => wrong,
        }
    };
    match register.was_told(line.number) {
        true => Next::Done,
        false => Next::Wrong(record::name(line.text), wrong),
    }
}
