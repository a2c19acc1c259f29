//! Alone or in a crowd: answers that are given at the same time are the answers that each request gets by itself.
//!
//! What it is: requests of mixed lengths through one schedule, compared with each of them alone by digest, tokens and text.
//! What it is not: a test of speed or of a protocol. The one design choice: the room for keys and values is small, so
//! that requests wait, sequences are forgotten, and prefixes are taken over or copied on the way.

use std::cell::RefCell;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use pintpot::{
    Attention, Completion, Counts, Crowd, Engine, Error, Finish, Flow, GenerateOptions, Grammar, KvFormat,
    Listener, LoadOptions, Message, Prompt, Sampling, Schedule, Service,
};
use pintpot_tests::{skip, tall, tiny, trained};

/// What an answer that is held to a grammar takes besides.
const GRAMMAR_ROOM: u64 = 4 << 20;

/// A prompt and what is wanted of the answer.
type Ask = (Vec<u32>, GenerateOptions);

/// Keeps what it is told.
struct Ear<'a> {
    number: usize,
    ends: &'a RefCell<Vec<(usize, Result<Completion, Error>)>>,
    heard: String,
    /// Pieces after which nobody listens any more.
    patience: usize,
}

impl Listener for Ear<'_> {
    fn attention(&mut self) -> Attention {
        if self.patience == 0 { Attention::Gone } else { Attention::Here }
    }

    fn hear(&mut self, text: &str) {
        self.heard.push_str(text);
        self.patience = self.patience.saturating_sub(1);
    }

    fn done(self: Box<Self>, result: Result<Completion, Error>) {
        if let Ok(completion) = &result {
            assert_eq!(self.heard, completion.text);
        }
        self.ends.borrow_mut().push((self.number, result));
    }
}

/// Requests of mixed lengths, many of which begin alike.
fn asks(ids: &[u32], count: usize) -> Vec<Ask> {
    let ask = |n: usize| {
        let len = 1 + (n * 37) % (ids.len() - 1);
        let from = if n % 3 == 2 { n % 5 } else { 0 };
        let sampling = match n % 2 {
            0 => Sampling::default(),
            _ => Sampling {
                temperature: 0.9,
                seed: n as u64,
                top_k: [0, 20][n / 2 % 2],
                ..Sampling::default()
            },
        };
        let max_tokens = Some([1, 7, 24, 40][n % 4]);
        let options =
            GenerateOptions { max_tokens, sampling, ignore_end: !n.is_multiple_of(4), ..Default::default() };
        (ids[from.min(len - 1)..len].to_vec(), options)
    };
    (0..count).map(ask).collect()
}

/// What a process maps changes while another test builds a model up, and with it the least budget.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn engine(budget: u64) -> Engine {
    Engine::builder().memory(budget.to_string().parse().unwrap()).threads(Some(2)).build().unwrap()
}

/// The least budget in which a crowd is answered.
fn least(path: &Path, options: &LoadOptions) -> u64 {
    let roomy = engine(4 << 30);
    roomy.plan_in(&roomy.open(path).unwrap(), options, 0).unwrap().unwrap_err().needed
}

/// Every answer alone, then all of them through one schedule in `budget`; what differs.
fn differences(path: &Path, asks: &[Ask], crowd: LoadOptions, budget: u64) -> Vec<String> {
    let (differ, counts) = compared(path, asks, crowd, budget);
    assert!(counts.cached_tokens > 0, "no prefix was of use");
    differ
}

/// As [`differences`], and what the schedule has done.
fn compared(path: &Path, asks: &[Ask], crowd: LoadOptions, budget: u64) -> (Vec<String>, Counts) {
    let alone = LoadOptions { crowd: None, ..crowd };
    let roomy = engine(4 << 30);
    let mut model = roomy.load(path, &alone).unwrap();
    let mut answers = Vec::new();
    for (ids, options) in asks {
        model.clear();
        answers.push(model.generate(ids, options, &mut |_| Flow::Continue).unwrap());
    }
    drop(model);
    let engine = engine(budget);
    let mut model = engine.load(path, &crowd).unwrap();
    let (ends, ledger) = (RefCell::new(Vec::new()), engine.ledger().clone());
    let mut together = 0;
    let counts = {
        let mut schedule = Schedule::new(&mut model, asks.len());
        // Some come while others are being answered.
        let (first, later) = asks.split_at(asks.len() / 2);
        let mut later = later.iter().zip(first.len()..);
        let ear = |number| Box::new(Ear { number, ends: &ends, heard: String::new(), patience: usize::MAX });
        for ((ids, options), number) in first.iter().zip(0..) {
            schedule.submit(ids.clone(), options, ear(number));
        }
        while !schedule.is_idle() {
            schedule.step().unwrap();
            together = together.max(schedule.counts().running);
            assert!(ledger.used() <= ledger.budget(), "{} of {}", ledger.used(), ledger.budget());
            if let Some(((ids, options), number)) = later.next() {
                schedule.submit(ids.clone(), options, ear(number));
            }
        }
        *schedule.counts()
    };
    assert!(together > 1, "{}: nobody shared a step", path.display());
    let ends = ends.into_inner();
    assert_eq!(ends.len(), asks.len());
    let differs = |(number, result): &(usize, Result<Completion, Error>)| {
        let (alone, crowd) = (&answers[*number], result.as_ref().unwrap());
        let same = alone.digest == crowd.digest && alone.ids == crowd.ids && alone.text == crowd.text;
        let place = path.file_name().unwrap().to_string_lossy();
        (!same || alone.finish != crowd.finish).then(|| format!("{place} in {budget}: request {number}"))
    };
    (ends.iter().filter_map(differs).collect(), counts)
}

fn options(context: u32, kv: KvFormat, answers: u32, contexts: u32) -> LoadOptions {
    let crowd = Crowd { answers, contexts, ..Crowd::default() };
    LoadOptions { context: Some(context), kv, crowd: Some(crowd), ..LoadOptions::default() }
}

#[test]
fn tiny_models_answer_a_crowd_as_they_answer_one() {
    let _turn = turn();
    let mut wrong = Vec::new();
    let names = ["llama-q4.gguf", "gemma3-q8_0.gguf", "deepseek3-tiny.gguf", "gpt-oss-mxfp4.gguf"];
    for name in names {
        let (path, reference) = tiny(name);
        let ids = reference.ids.repeat(4);
        let crowd = options(192, KvFormat::F16, 5, 2);
        let asks = asks(&ids[..ids.len().min(150)], 24);
        for budget in [least(&path, &crowd) + (1 << 20), 1 << 30] {
            wrong.extend(differences(&path, &asks, crowd, budget));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_model_that_is_streamed_answers_a_crowd_as_it_answers_one() {
    let _turn = turn();
    let folder = tempfile::tempdir().unwrap();
    let mut wrong = Vec::new();
    for (name, layers) in [("gemma3-q8_0.gguf", 96), ("qwen2moe-q8_0.gguf", 64)] {
        let ((short, reference), path) = (tiny(name), folder.path().join(name));
        tall(&short, layers, &path);
        let crowd = options(128, KvFormat::F16, 8, 4);
        let asks = asks(&reference.ids.repeat(2)[..60], 12);
        wrong.extend(differences(&path, &asks, crowd, least(&path, &crowd) + (1 << 20)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_turn_that_was_taken_is_taken_up_where_it_was() {
    let _turn = turn();
    let mut wrong = Vec::new();
    for name in ["llama-q4.gguf", "deepseek3-tiny.gguf", "gpt-oss-mxfp4.gguf"] {
        let (path, reference) = tiny(name);
        let crowd = options(512, KvFormat::F16, 6, 2);
        // Longer than it was to be expected, so that room for all of them is not there in the end.
        let mut asks = asks(&reference.ids.repeat(2)[..40], 9);
        for (n, (_, options)) in asks.iter_mut().enumerate() {
            (options.max_tokens, options.ignore_end) = (Some(300 + 20 * n as u32), true);
        }
        let least = least(&path, &crowd);
        let (differ, counts) = compared(&path, &asks, crowd, least);
        assert!(counts.preempted > 0, "{name}: everybody kept his turn in {least}");
        println!("{name} in {least}: {} turns taken", counts.preempted);
        wrong.extend(differ);
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_turn_that_was_taken_from_who_is_held_to_a_grammar_is_taken_up_where_it_was() {
    let _turn = turn();
    let mut wrong = Vec::new();
    for name in ["llama-q4.gguf", "gpt-oss-mxfp4.gguf"] {
        let (path, reference) = tiny(name);
        let crowd = options(512, KvFormat::F16, 6, 2);
        let mut asks = asks(&reference.ids.repeat(2)[..40], 12);
        for (n, (_, options)) in asks.iter_mut().enumerate() {
            // None of them ends before its tokens do, and what may come differs from place to place.
            // Who came last gives way: the first three are held to nothing, so it is always one of the others.
            options.grammar = match n % 2 {
                _ if n < 3 => None,
                0 => Some(Grammar::Regex("([a-z]{3}[0-9]{2}[-. ]){600}".into())),
                _ => Some(Grammar::JsonSchema(
                    r#"{"type":"array","minItems":600,"items":{"enum":["fox","sea",17,null]}}"#.into(),
                )),
            };
            (options.max_tokens, options.ignore_end) = (Some(300 + 20 * n as u32), true);
        }
        // Three rooms are wanted, and beside them less and less: what the start of the process takes, and a load on its way, is free then.
        let (least, mut taken) = (least(&path, &crowd) + 3 * GRAMMAR_ROOM, 0);
        for less in (1..32u64).map(|n| n * (256 << 10)) {
            let (differ, counts) = compared(&path, &asks, crowd, least - less);
            wrong.extend(differ);
            taken = counts.preempted;
            if taken > 0 {
                break;
            }
        }
        assert!(taken > 0, "{name}: everybody kept his turn in {least} and less");
        println!("{name}: {taken} turns taken");
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn a_trained_model_answers_a_crowd_as_it_answers_one() {
    let _turn = turn();
    let Some(run) = trained("smollm2") else {
        return skip("smollm2", "PINTPOT_TEST_MODELS names no folder that holds it");
    };
    let mut wrong = Vec::new();
    for (kv, answers) in [(KvFormat::F16, 8), (KvFormat::Q8_0, 16)] {
        let crowd = options(256, kv, answers, 2);
        let asks = asks(&run.text.ids[..100], 12);
        wrong.extend(differences(&run.model, &asks, crowd, least(&run.model, &crowd) + (8 << 20)));
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}

#[test]
fn who_cannot_be_answered_is_told_and_who_leaves_is_not_answered_further() {
    let _turn = turn();
    let (path, reference) = tiny("llama-q4.gguf");
    let engine = engine(1 << 30);
    let mut model = engine.load(&path, &options(128, KvFormat::F16, 2, 1)).unwrap();
    let ends = RefCell::new(Vec::new());
    let ear = |number, patience| Box::new(Ear { number, ends: &ends, heard: String::new(), patience });
    let ids = &reference.ids[..10];
    let wanted =
        |max_tokens| GenerateOptions { max_tokens: Some(max_tokens), ignore_end: true, ..Default::default() };
    let mut schedule = Schedule::new(&mut model, 3);
    schedule.submit(vec![1; 129], &wanted(1), ear(0, 1));
    schedule.submit(Vec::new(), &wanted(1), ear(1, 1));
    let bad = Sampling { temperature: -1.0, ..Sampling::default() };
    schedule.submit(ids.to_vec(), &GenerateOptions { sampling: bad, ..wanted(1) }, ear(2, 1));
    schedule.submit(ids.to_vec(), &wanted(100), ear(3, 4));
    schedule.submit(ids.to_vec(), &wanted(5), ear(4, usize::MAX));
    schedule.submit(ids.to_vec(), &wanted(5), ear(5, 0));
    schedule.submit(ids.to_vec(), &wanted(5), ear(6, usize::MAX));
    let soon = GenerateOptions { time: Some(Duration::ZERO), ..wanted(5) };
    while !schedule.is_idle() {
        schedule.step().unwrap();
    }
    schedule.submit(ids.to_vec(), &soon, ear(7, usize::MAX));
    schedule.step().unwrap();
    drop(schedule);
    let mut ends = ends.into_inner();
    ends.sort_by_key(|(number, _)| *number);
    let found: Vec<&Result<Completion, Error>> = ends.iter().map(|(_, result)| result).collect();
    assert!(matches!(found[0], Err(Error::PromptTooLong { tokens: 129, context: 128 })));
    assert!(matches!(found[1], Err(Error::EmptyPrompt)));
    assert!(matches!(found[2], Err(Error::Option { option: "--temp", .. })));
    let gone = found[3].as_ref().unwrap();
    assert_eq!(gone.finish, Finish::Cancelled);
    assert!(gone.ids.len() < 20, "{} tokens for nobody", gone.ids.len());
    assert_eq!(found[4].as_ref().unwrap().ids.len(), 5);
    assert_eq!(found[5].as_ref().unwrap().finish, Finish::Cancelled);
    assert!(matches!(found[6], Err(Error::QueueFull { most: 3 })));
    assert!(matches!(found[7], Err(Error::NoTurn)));
}

#[test]
fn a_service_answers_many_threads_and_closes_when_all_is_said() {
    struct Send(std::sync::mpsc::Sender<Result<Completion, Error>>);
    impl Listener for Send {
        fn hear(&mut self, _: &str) {}
        fn done(self: Box<Self>, result: Result<Completion, Error>) {
            self.0.send(result).unwrap();
        }
    }
    let _turn = turn();
    let (path, _) = tiny("llama-q4.gguf");
    let engine = engine(1 << 30);
    let model = engine.load(&path, &options(128, KvFormat::F16, 4, 2)).unwrap();
    let service = Service::start(model, 8).unwrap();
    let ask = |text: &str, n: usize| {
        let (tell, told) = std::sync::mpsc::channel();
        let options = GenerateOptions { max_tokens: Some(8), ..Default::default() };
        let prompt = match n {
            1 => Prompt::Text(text.into()),
            _ => Prompt::Chat(vec![Message::new("user", text)].into()),
        };
        let ears = (0..n).map(|_| Box::new(Send(tell.clone())) as Box<dyn Listener + std::marker::Send>);
        service.ask(prompt, options, ears.collect()).map(|()| told)
    };
    std::thread::scope(|scope| {
        for n in 1..4 {
            let ask = &ask;
            scope.spawn(move || {
                let answers: Vec<_> = ask("hello there", n).unwrap().iter().collect();
                assert_eq!(answers.len(), n);
                assert!(answers.iter().all(Result::is_ok), "{answers:?}");
            });
        }
    });
    assert!(matches!(ask("a crowd", 9), Err(Error::QueueFull { most: 8 })));
    let last = ask("the last", 1).unwrap();
    service.close();
    assert!(matches!(ask("too late", 1), Err(Error::Ended { .. })));
    assert!(last.recv().unwrap().is_ok());
    let start = Instant::now();
    while !service.is_done() {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    assert!(service.counts().answer_tokens > 0 && service.stop().is_some());
}
