//! Bad input: whatever a file says, the answer is an answer or a complaint that names the place; soon, and within the
//! budget.
//!
//! What it is: every file of [`pintpot_tests::corpus`] through the library, and a sample of them through the program in
//! a group of its own. What it is not: a search, which `fuzz/` is. The one design choice: the corpus is made anew in
//! every run from the tiny models, by dice with a fixed seed, so that it can neither rot nor grow in the repository.

use std::path::Path;
use std::time::{Duration, Instant};

use host::cgroup::Limits;
use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Message, Trouble};
use pintpot_tests::corpus::{self, Bad};
use pintpot_tests::{Program, can_cap, skip};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// What the library may take from the heap for a file, whatever the file says: the most that a header is granted, and
/// some for the rest. Its budget as a whole is mostly the program's own pages, of which one built for tests has many.
const MOST: u64 = 40 << 20;
const BUDGET: u64 = 256 << 20;
/// What nothing takes longer than, on a busy machine.
const SOON: Duration = Duration::from_secs(8);
/// One of so many files goes through the program too.
const SAMPLE: usize = 89;
/// The budget of the program, as typed, and in bytes.
const TYPED: (&str, u64) = ("16M", 16 << 20);

fn all() -> Vec<Bad> {
    let files = ["gemma3-q8_0.gguf", "llama-q4.gguf"].into_iter().flat_map(corpus::gguf);
    files.chain(["llama-bf16", "qwen3-f32", "gemma3-bf16"].into_iter().flat_map(corpus::folder)).collect()
}

/// Opens, plans, loads and answers.
fn attempt(path: &Path) -> Result<String, Error> {
    let budget = host::Memory::Bytes(BUDGET);
    let engine = Engine::builder().memory(budget).threads(Some(1)).build()?;
    let options = LoadOptions { context: Some(64), ..LoadOptions::default() };
    let mut model = engine.load(path, &options)?;
    let ids =
        model.encode_chat(&[Message::new("user", "Hello there, aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa")]);
    let answer = GenerateOptions { max_tokens: Some(4), ignore_end: true, ..GenerateOptions::default() };
    Ok(model.generate(&ids?, &answer, &mut |_| Flow::Continue)?.text)
}

/// What is wrong with how a bad file was met, if anything.
fn judge(bad: &Bad, folder: &Path) -> Option<String> {
    let path = bad.write(folder);
    let attempt = move || std::panic::catch_unwind(|| attempt(&path));
    let result = match host::bounded(MOST, SOON, attempt) {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => return Some(format!("{}: panic", bad.what)),
        Err(overrun) => return Some(format!("{}: {overrun}", bad.what)),
    };
    let verdict = match &result {
        Ok(_) if !bad.named.is_empty() => Some("was answered".to_string()),
        Ok(_) => None,
        Err(error) if error.trouble() == Trouble::Failure => Some("is no failure of the machine".to_string()),
        Err(error) if !error.to_string().contains(bad.named) => {
            Some(format!("is not told by {:?}", bad.named))
        }
        Err(_) => None,
    };
    let said = result.map_or_else(|error| error.to_string(), |text| format!("answer {text:?}"));
    verdict.map(|verdict| format!("{}: {verdict}: {said:.300}", bad.what))
}

/// A new place for the files of one case under `place`.
fn fresh(place: &Path) -> std::path::PathBuf {
    let folder = place.join(format!("pintpot-hostile-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Where thousands of files come and go in no time, if there is such a place.
fn quick() -> std::path::PathBuf {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { shared.to_path_buf() } else { std::env::temp_dir() }
}

#[test]
fn the_library_survives() {
    let mut wrong = Vec::new();
    let (mut count, begin) = (0, Instant::now());
    for bad in all() {
        count += 1;
        let folder = fresh(&quick());
        wrong.extend(judge(&bad, &folder));
        std::fs::remove_dir_all(&folder).unwrap();
    }
    println!("{count} bad files in {:?}", begin.elapsed());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_program_survives() {
    if !can_cap() {
        skip("hostile", "no memory cgroup can be made here; run as root, or in a delegated cgroup");
        return;
    }
    let program = Program::built();
    let mut wrong = Vec::new();
    for bad in all().iter().step_by(SAMPLE) {
        let folder = fresh(&std::env::temp_dir());
        let path = bad.write(&folder);
        let text = path.to_str().unwrap();
        let args = ["run", text, "Hello", "-n", "4", "-c", "64", "--temp", "0", "--memory", TYPED.0];
        let begin = Instant::now();
        let answer = program.run_capped(&args, &path, &Limits::default()).unwrap();
        let (took, peak) = (begin.elapsed(), answer.report.peak.unwrap_or(0));
        let told = answer.code == Some(0) || answer.err.starts_with("error: ");
        if !matches!(answer.code, Some(0 | 2 | 3 | 4 | 5)) || !told || peak > TYPED.1 || took > SOON {
            let code = answer.code;
            wrong.push(format!("{}: exit {code:?}, peak {peak}, {took:?}: {}", bad.what, answer.err));
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}
