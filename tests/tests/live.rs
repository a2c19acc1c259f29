//! A budget that changes while a model answers: memory follows, the answer does not.
//!
//! What it is: the budget lowered and raised between tokens, through the library with the account as witness, and through
//! the program with the kernel as witness. What it is not: a test of speed.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::cgroup::{Cap, Limits};
use pintpot::{BudgetSource, Engine, Error, Flow, GenerateOptions, LoadOptions, Refusal};
use pintpot_tests::{Program, skip, tall, tiny, trained};

/// Gives one budget after another, a step each, and writes down what was refused.
struct Turns {
    budgets: Vec<u64>,
    next: usize,
    refused: Arc<Mutex<Vec<u64>>>,
}

impl BudgetSource for Turns {
    fn wanted(&mut self) -> Option<u64> {
        self.next += 1;
        self.budgets.get((self.next - 1) % self.budgets.len()).copied()
    }

    fn refused(&mut self, refusal: &Refusal) {
        self.refused.lock().unwrap().push(refusal.budget);
    }
}

const OPTIONS: LoadOptions = LoadOptions {
    context: Some(256),
    kv: pintpot::KvFormat::F16,
    logit_rows: Some(1),
    foresee: pintpot::Foresee::Auto,
    crowd: None,
};

/// Answers a prompt under budgets that change before every step; the digest, and the budgets that were refused.
fn answer(path: &Path, ids: &[u32], budget: u64, turns: &[u64]) -> Result<(String, Vec<u64>), Error> {
    let engine = Engine::builder().memory(budget.to_string().parse()?).build()?;
    let mut model = engine.load(path, &OPTIONS)?;
    let refused = Arc::default();
    if !turns.is_empty() {
        model.follow(Turns { budgets: turns.to_vec(), next: 0, refused: Arc::clone(&refused) });
    }
    let options = GenerateOptions { max_tokens: Some(24), ignore_end: true, ..GenerateOptions::default() };
    let ledger = engine.ledger().clone();
    let answer = model.generate(ids, &options, &mut |_| {
        assert!(ledger.used() <= ledger.budget(), "{} of {} held", ledger.used(), ledger.budget());
        Flow::Continue
    })?;
    let refused = refused.lock().unwrap().clone();
    Ok((answer.digest.to_string(), refused))
}

#[test]
fn answers_do_not_change_when_budgets_do() {
    let folder = tempfile::tempdir().unwrap();
    for (name, layers) in [("llama-q4.gguf", 256), ("gemma3-q8_0.gguf", 192), ("qwen3moe-q4.gguf", 192)] {
        let ((short, reference), path) = (tiny(name), folder.path().join(name));
        tall(&short, layers, &path);
        let ids = &reference.ids[..40];
        let engine = Engine::builder().memory("4GiB".parse().unwrap()).build().unwrap();
        let opened = engine.open(&path).unwrap();
        let least = engine.plan_in(&opened, &OPTIONS, 0).unwrap().unwrap_err().needed;
        let high = least + opened.weight_bytes() + (8 << 20);
        let low = least + opened.weight_bytes() / 4 + (2 << 20);
        for budget in (least..high).step_by(((high - least) / 41) as usize) {
            let placement = engine.plan_in(&opened, &OPTIONS, budget).unwrap();
            assert!(
                placement.is_ok_and(|p| p.peak() <= budget),
                "{name}: {least} is enough, {budget} is not"
            );
        }
        let (plain, _) = answer(&path, ids, high, &[]).unwrap();
        let few = least / 2;
        let (live, refused) = answer(&path, ids, high, &[low, high, few, (low + high) / 2, low]).unwrap();
        assert_eq!(live, plain, "{name}");
        assert!(!refused.is_empty() && refused.iter().all(|&bytes| bytes == few), "{name}: {refused:?}");
        // A model that began small grows as well.
        assert_eq!(answer(&path, ids, low, &[low, high]).unwrap().0, plain, "{name} from below");
    }
}

#[test]
fn a_long_prompt_is_read_in_large_steps_and_its_answer_keeps_more() {
    let Some(run) = trained("smollm2") else {
        skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
        return;
    };
    let path = run.model;
    let ids: Vec<u32> = (0..200).map(|n| 1000 + 37 * n).collect();
    let roomy = Engine::builder().memory("4GiB".parse().unwrap()).build().unwrap();
    let opened = roomy.open(&path).unwrap();
    let least = roomy.plan_in(&opened, &OPTIONS, 0).unwrap().unwrap_err().needed;
    let budget = least + opened.weight_bytes() / 2;
    let placement = roomy.plan_in(&opened, &OPTIONS, budget).unwrap().unwrap();
    let reading = placement.reading.as_deref().expect("half of the weights pass through the window");
    assert!(placement.chunk() > placement.bounds.rows && reading.peak() <= placement.peak());
    assert!(reading.resident.iter().zip(&placement.resident).all(|(reads, speaks)| speaks >= reads));
    assert!(reading.streamed_bytes() > placement.streamed_bytes());
    let options = GenerateOptions { max_tokens: Some(9), ignore_end: true, ..GenerateOptions::default() };
    let generate = |engine: &Engine| {
        let mut model = engine.load(&path, &OPTIONS).unwrap();
        // Twice, for the way back; the second prompt is not known from before.
        let first = model.generate(&ids, &options, &mut |_| Flow::Continue).unwrap();
        let second = model.generate(&ids[1..], &options, &mut |_| Flow::Continue).unwrap();
        [first, second]
    };
    let engine = Engine::builder().memory(budget.to_string().parse().unwrap()).build().unwrap();
    for (streamed, kept) in generate(&engine).iter().zip(&generate(&roomy)) {
        assert_eq!(streamed.digest, kept.digest);
        let steps = (ids.len() as u64).div_ceil(u64::from(placement.chunk()));
        let (prompt, answer) = (streamed.timing.prompt_flash_bytes, streamed.timing.answer_flash_bytes);
        // Reads end at sectors, and some of the next step have begun.
        let most = |bytes: u64| bytes + bytes / 20 + 2 * placement.window_bytes;
        assert!(prompt <= most(steps * reading.streamed_bytes()), "{prompt} for {steps} steps");
        let between = reading.streamed_bytes() - placement.streamed_bytes();
        assert!(answer <= most(8 * placement.streamed_bytes() + between), "{answer} for 8 tokens");
    }
}

#[test]
fn the_kernel_sees_memory_follow_the_budget() {
    let Some(run) = trained("smollm2") else {
        skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("budget");
    let say = |mib: u64| std::fs::write(&file, format!("{mib}MiB")).unwrap();
    let memory = format!("@{}", file.display());
    let path = run.model.to_str().unwrap();
    let args = [
        "run",
        path,
        "A story about a fox.",
        "-n",
        "4000",
        "--ignore-eos",
        "-c",
        "4096",
        "--memory",
        &memory,
    ];
    let cap = match Cap::new(&Limits::default()) {
        Ok(cap) => cap,
        Err(error) => return skip("memory groups", &error.to_string()),
    };
    let (high, low) = (300, 150);
    say(high);
    let mut child = Program::built().start(&args, &cap).unwrap();
    let pid = child.id().to_string();
    let signal = || assert!(Command::new("kill").args(["-USR1", &pid]).status().unwrap().success());
    let until = |what: &str, holds: &dyn Fn(u64) -> bool| {
        let start = Instant::now();
        while !cap.usage().is_some_and(holds) {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?} used: {what}", cap.usage());
            std::thread::sleep(Duration::from_millis(10));
        }
    };
    until("it loads", &|used| used > (low + 20) << 20);
    let mut rounds = 0;
    while rounds < 10 && child.try_wait().unwrap().is_none() {
        say(low);
        signal();
        until("it shrinks", &|used| used <= low << 20);
        let known = cap.reset_peak();
        std::thread::sleep(Duration::from_millis(200));
        let peak = if known { cap.report().peak } else { cap.usage() };
        assert!(peak.is_some_and(|peak| peak <= low << 20), "{peak:?} at a budget of {low} MiB");
        say(high);
        signal();
        until("it grows", &|used| used > (low + 20) << 20);
        rounds += 1;
    }
    assert!(rounds >= 3, "it ended after {rounds} rounds");
    child.kill().unwrap();
    child.wait().unwrap();
}
