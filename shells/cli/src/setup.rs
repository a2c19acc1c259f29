//! Flags that several verbs share, as the library's values.
//!
//! What it is: one function for each kind of value. What it is not: defaults, which are the library's. The one design
//! choice: a flag that is not given leaves the library's value alone.

use std::io::Read;

use host::Memory;
use pintpot::{
    Builder, Economy, Engine, Foresee, GenerateOptions, Grammar, KvFormat, LoadOptions, Model, Reuse,
    Sampling,
};

use crate::exit::Failure;
use crate::flags::{self, Args, Flag, wrong};
use crate::{budget, profile};

pub(crate) const ENGINE: &[&Flag] = &[&flags::MEMORY, &flags::THREADS, &flags::IO, &flags::ISA];
pub(crate) const LOAD: &[&Flag] = &[&flags::MODEL, &flags::CONTEXT, &flags::KV];
pub(crate) const ECONOMY: &[&Flag] =
    &[&flags::SKIP_WEAK, &flags::SKIP_COLD, &flags::STAND_IN, &flags::BY_SENSITIVITY];
pub(crate) const SAMPLING: &[&Flag] = &[
    &flags::TEMP,
    &flags::TOP_K,
    &flags::TOP_P,
    &flags::MIN_P,
    &flags::SEED,
    &flags::REPEAT_PENALTY,
    &flags::PRESENCE_PENALTY,
    &flags::FREQUENCY_PENALTY,
    &flags::LOGIT_BIAS,
];

/// The engine that the flags describe, with the stored profile if there is one.
pub(crate) fn engine(args: &Args) -> Result<Engine, Failure> {
    engine_with(args, memory(args)?, args.read(&flags::THREADS, "a number of threads")?)
}

/// As [`engine`], one for each number of threads in the list that the flag is.
pub(crate) fn engines(args: &Args, memory: Memory) -> Result<Vec<Engine>, Failure> {
    let threads = args.list(&flags::THREADS, "numbers of threads, such as 1,2")?;
    if threads.is_empty() {
        return Ok(vec![engine_with(args, memory, None)?]);
    }
    threads.into_iter().map(|threads| engine_with(args, memory, Some(threads as usize))).collect()
}

/// The budget that the flags name.
pub(crate) fn memory(args: &Args) -> Result<Memory, Failure> {
    args.get(&flags::MEMORY).map_or(Ok(Memory::Auto), budget::amount)
}

fn engine_with(args: &Args, memory: Memory, threads: Option<usize>) -> Result<Engine, Failure> {
    let reader = args.read(&flags::IO, "auto, cached, pread, uring or uring2")?.unwrap_or_default();
    let builder: Builder = Engine::builder().memory(memory).threads(threads).reader(reader);
    let mut engine = builder.isa(args.get(&flags::ISA).map(str::to_string)).build()?;
    if let Some(profile) = profile::load(engine.threads(), engine.isa()) {
        engine.set_profile(profile);
    }
    Ok(engine)
}

/// How the model is to be loaded.
pub(crate) fn load(args: &Args) -> Result<LoadOptions, Failure> {
    let kv = args.get(&flags::KV).map_or(Ok(KvFormat::default()), LoadOptions::kv_of)?;
    let foresee = match args.get(&flags::FORESEE) {
        None | Some("auto") => Foresee::Auto,
        Some("on") => Foresee::On,
        Some("off") => Foresee::Off,
        Some(other) => return Err(wrong(&flags::FORESEE, other, "auto, on or off")),
    };
    Ok(LoadOptions {
        context: args.read(&flags::CONTEXT, "a number of tokens")?,
        kv,
        foresee,
        ..LoadOptions::default()
    })
}

/// What the user gives up.
pub(crate) fn economy(args: &Args) -> Result<Economy, Failure> {
    let share = |flag| Ok::<f32, Failure>(args.read(flag, "a share from 0 to 1")?.unwrap_or(0.0));
    Ok(Economy {
        weak: share(&flags::SKIP_WEAK)?,
        cold: share(&flags::SKIP_COLD)?,
        coarse: share(&flags::STAND_IN)?,
    })
}

/// What a model is to give up.
#[derive(Clone, Debug)]
pub(crate) struct Frugal {
    pub economy: Economy,
    /// How much each layer minds; empty if they are all treated alike.
    sensitivity: Vec<f64>,
}

impl Frugal {
    /// Has a model give it up.
    pub fn apply(&self, model: &mut Model) -> Result<(), pintpot::Error> {
        model.set_economy(self.economy)?;
        if self.sensitivity.is_empty() { Ok(()) } else { model.follow_sensitivity(&self.sensitivity) }
    }

    /// Says so, if it is anything.
    pub fn tell(&self) {
        if !self.economy.is_off() {
            eprintln!(
                "experts are left out as asked, so answers differ: eval --text with the same flags says how much"
            );
        }
    }
}

/// What the user gives up; `reuse` is what `profile` found out about the model.
pub(crate) fn frugal(args: &Args, reuse: Option<Reuse>) -> Result<Frugal, Failure> {
    let economy = economy(args)?;
    if !args.is_on(&flags::BY_SENSITIVITY) {
        return Ok(Frugal { economy, sensitivity: Vec::new() });
    }
    if economy.is_off() {
        return Err(Failure::usage(
            "--by-sensitivity says where --skip-weak leaves out more, so it goes with it",
        ));
    }
    let layers = reuse.map_or(Vec::new(), |reuse| reuse.layers);
    let found: Option<Vec<f64>> = layers.iter().map(|layer| layer.sensitivity).collect();
    let Some(sensitivity) = found.filter(|found| !found.is_empty()) else {
        let what = "--by-sensitivity needs what pintpot profile MODEL --text FILE --sensitivity measures";
        return Err(Failure::usage(what));
    };
    Ok(Frugal { economy, sensitivity })
}

/// Has a model give up what the user does.
pub(crate) fn economize(model: &mut Model, args: &Args, reuse: Option<Reuse>) -> Result<Economy, Failure> {
    let frugal = frugal(args, reuse)?;
    frugal.apply(model)?;
    Ok(frugal.economy)
}

/// What is wanted of an answer.
pub(crate) fn generate(args: &Args) -> Result<GenerateOptions, Failure> {
    Ok(GenerateOptions {
        max_tokens: args.read(&flags::TOKENS, "a number of tokens")?,
        sampling: sampling(args)?,
        grammar: grammar(args)?,
        stop: args.all(&flags::STOP).map(str::to_string).collect(),
        ignore_end: args.is_on(&flags::IGNORE_EOS),
        ..GenerateOptions::default()
    })
}

/// What an answer may say.
fn grammar(args: &Args) -> Result<Option<Grammar>, Failure> {
    /// The longest file of rules, bytes.
    const LONGEST: u64 = 1 << 20;
    let given = |flag| args.get(flag).map(str::to_string);
    let read = |flag: &Flag| {
        let read = |path: &str| {
            let (mut text, file) = (String::new(), std::fs::File::open(path)?);
            file.take(LONGEST).read_to_string(&mut text).map(|_| text)
        };
        let read = args.get(flag).map(|path| (path, read(path)));
        read.map(|(path, text)| text.map_err(|error| Failure::io(&format!("read {path}"), error))).transpose()
    };
    let mut asked = [
        given(&flags::GRAMMAR).map(Grammar::Rules),
        read(&flags::GRAMMAR_FILE)?.map(Grammar::Rules),
        given(&flags::JSON_SCHEMA).map(Grammar::JsonSchema),
        read(&flags::JSON_SCHEMA_FILE)?.map(Grammar::JsonSchema),
    ]
    .into_iter()
    .flatten();
    match (asked.next(), asked.next()) {
        (first, None) => Ok(first),
        _ => Err(Failure::usage("--grammar and --json-schema, or their files, do not go together")),
    }
}

fn sampling(args: &Args) -> Result<Sampling, Failure> {
    const NUMBER: &str = "a number";
    const WHOLE: &str = "a whole number";
    let default = Sampling::default();
    Ok(Sampling {
        temperature: args.read(&flags::TEMP, NUMBER)?.unwrap_or(default.temperature),
        top_k: args.read(&flags::TOP_K, WHOLE)?.unwrap_or(default.top_k),
        top_p: args.read(&flags::TOP_P, NUMBER)?.unwrap_or(default.top_p),
        min_p: args.read(&flags::MIN_P, NUMBER)?.unwrap_or(default.min_p),
        repetition_penalty: args.read(&flags::REPEAT_PENALTY, NUMBER)?.unwrap_or(default.repetition_penalty),
        presence_penalty: args.read(&flags::PRESENCE_PENALTY, NUMBER)?.unwrap_or(default.presence_penalty),
        frequency_penalty: args.read(&flags::FREQUENCY_PENALTY, NUMBER)?.unwrap_or(default.frequency_penalty),
        logit_bias: args.all(&flags::LOGIT_BIAS).map(bias).collect::<Result<_, _>>()?,
        seed: args.read(&flags::SEED, WHOLE)?.unwrap_or(default.seed),
        ..default
    })
}

/// Reads `ID=X`.
fn bias(text: &str) -> Result<(u32, f32), Failure> {
    let read = || {
        let (id, bias) = text.split_once('=')?;
        Some((id.trim().parse().ok()?, bias.trim().parse().ok()?))
    };
    read().ok_or_else(|| wrong(&flags::LOGIT_BIAS, text, "ID=X, such as 42=-5"))
}
