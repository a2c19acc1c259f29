//! What an answer may say: grammars are kept to with every sampler, in a crowd as alone, within the budget, or refused.
//!
//! What it is: the engine's side of a grammar on a real vocabulary. What it is not: a judge of schemas; an outside validator
//! does that in `clients/schemas_client.py`. The one design choice: patterns that a test can check by itself.

use std::cell::RefCell;

use pintpot::{
    Completion, Crowd, Engine, Error, Finish, Flow, GenerateOptions, Grammar, Listener, LoadOptions, Model,
    Sampling, Schedule, Trouble,
};
use pintpot_tests::{skip, trained};

struct Ear<'a>(usize, &'a RefCell<Vec<Option<Result<Completion, Error>>>>);

impl Listener for Ear<'_> {
    fn hear(&mut self, _text: &str) {}

    fn done(self: Box<Self>, result: Result<Completion, Error>) {
        self.1.borrow_mut()[self.0] = Some(result);
    }
}

fn engine(budget: &str) -> Engine {
    Engine::builder().memory(budget.parse().unwrap()).threads(Some(2)).build().unwrap()
}

/// The least budget of a model as it is loaded.
fn least_of(model: &mut Model) -> u64 {
    match model.set_memory(1) {
        Err(Error::Refused(refusal)) => refusal.needed,
        other => panic!("{other:?}"),
    }
}

fn options(n: usize) -> GenerateOptions {
    let grammar = match n % 4 {
        0 => Some(Grammar::Regex("[0-9]{3}-[a-f]{4}".into())),
        1 => Some(Grammar::JsonSchema(
            r#"{"type":"object","properties":{"a":{"enum":["x","yy"]},"b":{"type":"integer","minimum":0,"maximum":77}},
                "required":["a","b"],"additionalProperties":false}"#
                .into(),
        )),
        2 => Some(Grammar::Rules("root ::= (\"fox\" | \"sea\") [.!]{1,3}".into())),
        _ => None,
    };
    let sampling = Sampling {
        temperature: [0.0, 1.0, 1.7][n % 3],
        top_k: [0, 5, 40][n / 2 % 3],
        top_p: [1.0, 0.8][n / 3 % 2],
        min_p: [0.0, 0.1][n / 4 % 2],
        repetition_penalty: [1.0, 1.3][n / 5 % 2],
        seed: n as u64,
        ..Sampling::default()
    };
    GenerateOptions { grammar, sampling, max_tokens: Some(60), ..GenerateOptions::default() }
}

fn is_good(n: usize, text: &str) -> bool {
    match n % 4 {
        0 => {
            let bytes = text.as_bytes();
            let digits = bytes.iter().take(3).all(u8::is_ascii_digit);
            bytes.len() == 8
                && digits
                && bytes[3] == b'-'
                && bytes[4..].iter().all(|b| (b'a'..=b'f').contains(b))
        }
        1 => serde_json::from_str::<serde_json::Value>(text).is_ok_and(|value| {
            value["b"].as_u64().is_some_and(|b| b <= 77) && (value["a"] == "x" || value["a"] == "yy")
        }),
        2 => {
            let rest = text.strip_prefix("fox").or(text.strip_prefix("sea")).unwrap_or_default();
            (1..=3).contains(&rest.len()) && rest.chars().all(|c| matches!(c, '.' | '!'))
        }
        _ => true,
    }
}

#[test]
fn grammars_are_kept_to_alone_and_in_a_crowd() {
    let Some(run) = trained("smollm2") else {
        return skip("constrained", "PINTPOT_TEST_MODELS names no folder that holds smollm2");
    };
    const COUNT: usize = 24;
    let alone = engine("300MiB");
    let mut model = alone.load(&run.model, &LoadOptions::default()).unwrap();
    let ids = model.encode("Say something about the fox and the sea.").unwrap();
    let mut answers = Vec::new();
    for n in 0..COUNT {
        model.clear();
        let answer = model.generate(&ids, &options(n), &mut |_| Flow::Continue).unwrap();
        if n % 4 != 3 {
            assert_eq!(answer.finish, Finish::Stop, "{n}: {}", answer.text);
        }
        assert!(is_good(n, &answer.text), "{n}: {}", answer.text);
        answers.push(answer);
    }
    drop(model);
    let crowd = LoadOptions { crowd: Some(Crowd::default()), context: Some(512), ..LoadOptions::default() };
    let least = alone.plan_in(&alone.open(&run.model).unwrap(), &crowd, 0).unwrap().unwrap_err().needed;
    let engine = engine(&(least + (24 << 20)).to_string());
    let mut model = engine.load(&run.model, &crowd).unwrap();
    let small = least_of(&mut model);
    model.set_memory(small + (24 << 20)).unwrap();
    let ends = RefCell::new((0..COUNT).map(|_| None).collect());
    {
        let mut schedule = Schedule::new(&mut model, COUNT);
        (0..COUNT).for_each(|n| schedule.submit(ids.clone(), &options(n), Box::new(Ear(n, &ends))));
        while !schedule.is_idle() {
            schedule.step().unwrap();
            assert!(engine.ledger().used() <= engine.ledger().budget());
        }
    }
    for (n, (end, alone)) in ends.into_inner().into_iter().zip(answers).enumerate() {
        let crowd = end.unwrap().unwrap();
        assert_eq!((crowd.digest, crowd.text), (alone.digest, alone.text), "{n}");
    }
    // What is held for grammars is given back when the budget asks for it.
    model.set_memory(small).unwrap();
}

#[test]
fn several_answers_to_a_prompt_read_it_once() {
    let Some(run) = trained("smollm2") else {
        return skip("constrained", "PINTPOT_TEST_MODELS names no folder that holds smollm2");
    };
    let crowd = LoadOptions { crowd: Some(Crowd::default()), context: Some(512), ..LoadOptions::default() };
    let engine = engine("300MiB");
    let mut model = engine.load(&run.model, &crowd).unwrap();
    let ids = model.encode(&"Say something about the fox and the sea. ".repeat(8)).unwrap();
    let ends = RefCell::new((0..3).map(|_| None).collect());
    let free = GenerateOptions { max_tokens: Some(4), ..options(3) };
    let mut schedule = Schedule::new(&mut model, 3);
    let ears = (0..3).map(|n| Box::new(Ear(n, &ends)) as Box<dyn Listener>).collect();
    schedule.submit_several(ids.clone(), free, ears);
    while !schedule.is_idle() {
        schedule.step().unwrap();
    }
    assert_eq!(schedule.counts().cached_tokens, 2 * (ids.len() as u64 - 1));
    drop(schedule);
    assert!(ends.into_inner().into_iter().all(|end| end.unwrap().is_ok()));
}

#[test]
fn what_has_no_room_or_makes_no_sense_is_refused() {
    let Some(run) = trained("smollm2") else {
        return skip("constrained", "PINTPOT_TEST_MODELS names no folder that holds smollm2");
    };
    let load = LoadOptions { context: Some(256), ..LoadOptions::default() };
    let roomy = engine("300MiB");
    let mut model = roomy.load(&run.model, &load).unwrap();
    let small = least_of(&mut model);
    model.set_memory(small).unwrap();
    let ids = model.encode("Say something.").unwrap();
    let free = GenerateOptions { max_tokens: Some(4), ..GenerateOptions::default() };
    let before = model.generate(&ids, &free, &mut |_| Flow::Continue).unwrap();
    match model.generate(&ids, &options(0), &mut |_| Flow::Continue) {
        Err(Error::Refused(refusal)) => assert!(refusal.needed > small, "{refusal}"),
        other => panic!("{other:?}"),
    }
    // Whoever follows no grammar is answered as before.
    model.clear();
    assert_eq!(model.generate(&ids, &free, &mut |_| Flow::Continue).unwrap().digest, before.digest);
    model.set_memory(300 << 20).unwrap();
    for grammar in ["start: nonesuch", "root ::= \"a"] {
        let asked = GenerateOptions { grammar: Some(Grammar::Rules(grammar.into())), ..free.clone() };
        let refused = model.generate(&ids, &asked, &mut |_| Flow::Continue).unwrap_err();
        assert_eq!(refused.trouble(), Trouble::Usage, "{refused}");
    }
}
