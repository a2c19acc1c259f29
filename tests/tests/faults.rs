//! Faults, as SQLite tests them: each reservation and each read fails once, and nothing else may go wrong.
//!
//! What it is: every N in turn on small models, some N on a trained one, with each reader of flash. What it is not: a
//! mock; engine, files and disk are the real ones. The one design choice: a sweep has one engine, so that what a fault
//! leaves behind meets every later attempt, and a process of its own, so that descriptors, threads and heap can be
//! counted; hence this file has one test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use host::{CountingAlloc, Fault, Reader};
use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Model, Trouble};
use pintpot_tests::{skip, tall, tiny, tiny_names, trained};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

/// Names the reader of flash, in the processes that do the work.
const READER: &str = "PINTPOT_IO";
/// Longer than any attempt takes that does not hang.
const PATIENCE: Duration = Duration::from_secs(60);
/// Longer than the kernel takes to end what works for io_uring.
const CALM: Duration = Duration::from_secs(5);
const ROOMY: u64 = 4 << 30;
const PROMPT: usize = 5;
const TOKENS: u32 = 2;
/// Layers of a small model that is too large to stay in what the start of a process takes.
const LAYERS: u32 = 40;
/// Faults of a trained model, and the number that they are drawn with.
const DRAWN: usize = 24;
const SEED: u64 = 8;

const KINDS: [Kind; 4] =
    [Kind::Reservation, Kind::Read(Fault::Error), Kind::Read(Fault::Short), Kind::Read(Fault::Slow)];

/// What is made to fail.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Reservation,
    Read(Fault),
}

impl Kind {
    /// Makes the `n`th from now on fail, 0 none; gives how many an earlier order had still to wait for.
    fn arm(self, engine: &Engine, n: u64) -> u64 {
        match self {
            Kind::Reservation => engine.ledger().fail_after(n),
            Kind::Read(fault) => host::fail_read_after(n, fault),
        }
    }

    /// The class of trouble that the user is told; `None` if the user is to notice nothing.
    fn trouble(self) -> Option<Trouble> {
        match self {
            Kind::Reservation => Some(Trouble::Budget),
            Kind::Read(Fault::Error) => Some(Trouble::Damaged),
            Kind::Read(Fault::Short | Fault::Slow) => None,
        }
    }
}

/// A model in a budget, and what it says when nothing fails.
struct Case {
    name: String,
    engine: Engine,
    path: PathBuf,
    options: LoadOptions,
    ids: Vec<u32>,
    /// Digest of the logits of all choices.
    right: String,
}

/// What this process holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Held {
    ledger: u64,
    heap: u64,
    descriptors: usize,
    threads: usize,
}

/// What came of a fault.
struct Outcome {
    /// Whether it came at all.
    came: bool,
    first: Result<String, Error>,
    /// What is said afterwards, by the same model if it was loaded.
    again: Result<String, Error>,
}

impl Case {
    /// The model at `path` in the smallest budget in which it runs, or in a large one.
    fn new(path: &Path, ids: &[u32], is_tight: bool) -> Arc<Case> {
        let builder = Engine::builder().threads(Some(2));
        let options = LoadOptions { context: Some(64), ..LoadOptions::default() };
        let engine = builder.clone().memory(ROOMY.to_string().parse().unwrap()).build().unwrap();
        let opened = engine.open(path).unwrap();
        let needed = engine.plan_in(&opened, &options, 0).unwrap().unwrap_err().needed;
        let budget = if is_tight { needed } else { ROOMY };
        let engine = builder.memory(budget.to_string().parse().unwrap()).build().unwrap();
        let name = path.file_name().unwrap().to_string_lossy();
        let reader = std::env::var(READER).unwrap();
        let name = format!("{name} in {} by {reader}", pintpot::format_bytes(budget));
        let (path, ids) = (path.to_path_buf(), ids[..PROMPT].to_vec());
        let mut case = Case { name, engine, path, options, ids, right: String::new() };
        let mut model = case.engine.load(&case.path, &case.options).unwrap();
        assert_eq!(model.placement().streamed_bytes() > 0, is_tight, "{}", case.name);
        case.right = case.answer(&mut model).unwrap();
        Arc::new(case)
    }

    fn answer(&self, model: &mut Model) -> Result<String, Error> {
        let options =
            GenerateOptions { max_tokens: Some(TOKENS), ignore_end: true, ..GenerateOptions::default() };
        Ok(model.generate(&self.ids, &options, &mut |_| Flow::Continue)?.digest.to_string())
    }

    fn load_and_answer(&self) -> Result<String, Error> {
        self.answer(&mut self.engine.load(&self.path, &self.options)?)
    }

    /// Loads and answers while the `n`th of a kind fails; if there was an error, once more while nothing fails.
    fn attempt(&self, kind: Kind, n: u64) -> Outcome {
        kind.arm(&self.engine, n);
        let loaded = self.engine.load(&self.path, &self.options);
        let (first, model) = match loaded {
            Ok(mut model) => (self.answer(&mut model), Some(model)),
            Err(error) => (Err(error), None),
        };
        let came = kind.arm(&self.engine, 0) == 0;
        let again = match (&first, model) {
            (Ok(digest), _) => Ok(digest.clone()),
            (Err(_), Some(mut model)) => self.answer(&mut model),
            (Err(_), None) => self.load_and_answer(),
        };
        Outcome { came, first, again }
    }

    /// How many of a kind there are from the load to the end of the answer.
    fn count(&self, kind: Kind) -> u64 {
        kind.arm(&self.engine, u64::MAX);
        self.load_and_answer().unwrap();
        u64::MAX - kind.arm(&self.engine, 0)
    }

    fn held(&self) -> Held {
        let entries = |path: &str| fs::read_dir(path).map_or(0, Iterator::count);
        let ledger = self.engine.ledger().used();
        let (descriptors, threads) = (entries("/proc/self/fd"), entries("/proc/self/task"));
        Held { ledger, descriptors, threads, heap: host::heap_in_use() }
    }

    /// What is held once no more than `before` is, or when what is too much had the time to go.
    fn held_after(&self, before: Held) -> Held {
        let start = Instant::now();
        loop {
            let now = self.held();
            if !now.exceeds(before) || start.elapsed() > CALM {
                return now;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Held {
    fn exceeds(self, before: Held) -> bool {
        self.ledger > before.ledger
            || self.heap > before.heap
            || self.descriptors > before.descriptors
            || self.threads > before.threads
    }
}

/// Fails the `n`th of a kind; whether that came at all, and what was wrong then.
///
/// # Panics
/// If it hangs.
fn fail(case: &Arc<Case>, kind: Kind, n: u64) -> (bool, Vec<String>) {
    let before = case.held();
    let (sender, receiver) = mpsc::channel();
    let attempt = thread::spawn({
        let case = Arc::clone(case);
        move || drop(sender.send(case.attempt(kind, n)))
    });
    let outcome = receiver.recv_timeout(PATIENCE);
    assert!(!matches!(outcome, Err(mpsc::RecvTimeoutError::Timeout)), "{}: {kind:?} {n} hangs", case.name);
    let _ = attempt.join();
    drop(receiver);
    let Ok(Outcome { came, first, again }) = outcome else {
        return (true, vec![format!("{}: {kind:?} {n} panics", case.name)]);
    };
    let trouble = kind.trouble().filter(|_| came);
    let is_right = |result: &Result<String, Error>| result.as_ref().is_ok_and(|digest| *digest == case.right);
    let is_clean = match &first {
        Err(error) => trouble == Some(error.trouble()),
        Ok(_) => trouble.is_none() && is_right(&first),
    };
    let what = (!is_clean || !is_right(&again)).then(|| format!("{first:?}, then {again:?}"));
    drop((first, again));
    let after = case.held_after(before);
    let held = after.exceeds(before).then(|| format!("{before:?} became {after:?}"));
    let wrong = [what, held].into_iter().flatten();
    (
        came,
        wrong.map(|text| format!("{}: {kind:?} {n}: {text}; {} is right", case.name, case.right)).collect(),
    )
}

/// Fails every one of a kind in turn.
fn sweep(case: &Arc<Case>, kind: Kind) -> Vec<String> {
    let (mut wrong, start) = (Vec::new(), Instant::now());
    for n in 1.. {
        let (came, mut found) = fail(case, kind, n);
        wrong.append(&mut found);
        if !came {
            println!("{}: {kind:?}: each of {} failed, {:.1?}", case.name, n - 1, start.elapsed());
            break;
        }
    }
    wrong
}

/// Fails some of each kind, without a pattern but the same every time.
fn draw(case: &Arc<Case>) -> Vec<String> {
    let (mut wrong, start, mut state) = (Vec::new(), Instant::now(), SEED);
    let counts = KINDS.map(|kind| case.count(kind));
    for (kind, count) in KINDS.into_iter().zip(counts).cycle().take(DRAWN) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        wrong.append(&mut fail(case, kind, 1 + (state >> 33) % count).1);
    }
    println!("{}: {DRAWN} of {counts:?} failed, {:.1?}", case.name, start.elapsed());
    wrong
}

/// All faults, with the one reader that the environment names.
fn all_faults() -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tall.gguf");
    let (short, reference) = tiny("qwen3-k.gguf");
    tall(&short, LAYERS, &path);
    let mut cases = vec![Case::new(&path, &reference.ids, true)];
    // What a reader does has nothing to do with what a model computes: each architecture meets one of them.
    let reader = Reader::from_environment().unwrap();
    let place = Reader::NAMED.iter().position(|named| *named == reader).unwrap();
    cases.extend(tiny_names().iter().skip(place).step_by(Reader::NAMED.len()).map(|name| {
        let (path, reference) = tiny(name);
        Case::new(&path, &reference.ids, false)
    }));
    // What is made once in a process is made before anything is counted.
    fail(&cases[0], KINDS[0], u64::MAX);
    let each = |case: &Arc<Case>| KINDS.map(|kind| sweep(case, kind)).concat();
    let mut wrong: Vec<String> = cases.iter().flat_map(each).collect();
    match trained("smollm2") {
        Some(run) => wrong.append(&mut draw(&Case::new(&run.model, &run.text.ids, true))),
        None => skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it"),
    }
    wrong
}

#[test]
fn a_fault_is_a_clean_error_or_goes_unnoticed() {
    if std::env::var_os(READER).is_some() {
        let wrong = all_faults();
        assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
        return;
    }
    let (readers, refused): (Vec<Reader>, Vec<Reader>) =
        Reader::NAMED.into_iter().partition(|reader| reader.is_granted());
    refused.iter().for_each(|reader| skip(reader.name(), "io_uring is refused here"));
    let start = |reader: &Reader| {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.env(READER, reader.name()).arg("--nocapture").spawn().unwrap()
    };
    let children: Vec<_> = readers.iter().map(start).collect();
    for (reader, mut child) in readers.iter().zip(children) {
        assert!(child.wait().unwrap().success(), "with the reader {}: see above", reader.name());
    }
}
