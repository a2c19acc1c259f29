//! Engines and models as objects.
//!
//! What it is: a budget, and models behind a thread of their own. What it is not: their work. The one design choice: a model is a
//! [`Service`], so threads and tasks of Python may ask at the same time, and share steps if it was loaded for several.

use std::path::{Path, PathBuf};

use engine::{
    Chat, Crowd, Error, GenerateOptions, Grammar, LoadOptions, Memory, Prompt, Sampling, Service, Tool,
    ToolChoice, report,
};
use pyo3::prelude::*;

use crate::answer::Answer;
use crate::error::raise;

/// A budget and the account of it.
#[pyclass(frozen, module = "pintpot._pintpot")]
pub(crate) struct Engine(pub engine::Engine);

/// A model in memory.
#[pyclass(frozen, module = "pintpot._pintpot")]
pub(crate) struct Model {
    service: Service,
    plan: String,
    context: u32,
}

/// How a model is to be loaded.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Load {
    context: Option<u32>,
    kv: String,
    parallel: u32,
    queue: u32,
}

/// What is wanted of an answer.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Wanted {
    max_tokens: Option<u32>,
    temperature: f32,
    top_k: usize,
    top_p: f32,
    min_p: f32,
    repetition_penalty: f32,
    presence_penalty: f32,
    frequency_penalty: f32,
    seed: u64,
    stop: Vec<String>,
    json_schema: Option<String>,
    regex: Option<String>,
    grammar: Option<String>,
    logprobs: Option<usize>,
}

/// A prompt: ids, a text that goes on, or a conversation.
#[derive(FromPyObject)]
pub(crate) enum Asked {
    Ids(Vec<u32>),
    Text(String),
    Chat(Talk),
}

/// A conversation in JSON, and the tools that may be called in it: name, the whole of it, the schema of its arguments.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Talk {
    turns: String,
    tools: Vec<(String, String, Option<String>)>,
    choice: String,
}

impl Talk {
    fn chat(self) -> Result<Chat, Error> {
        let tool = |(name, text, parameters)| Tool { name, text, parameters };
        let choice = match self.choice.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            name => ToolChoice::Named(name.to_string()),
        };
        let tools = self.tools.into_iter().map(tool).collect();
        Ok(Chat { tools, choice, ..Chat::from_json(&self.turns)? })
    }
}

/// Where a model is: a path, or a name of one that was fetched.
pub(crate) fn path_of(model: &str) -> Result<PathBuf, Error> {
    if Path::new(model).exists() { Ok(model.into()) } else { engine::find(model) }
}

impl Load {
    fn options(&self) -> Result<LoadOptions, Error> {
        let contexts = Crowd::default().contexts;
        let crowd = Crowd { answers: self.parallel, queue: self.queue, contexts, connections: 0 };
        if !(1..=64).contains(&self.parallel) {
            let value = self.parallel.to_string();
            return Err(Error::Option { option: "parallel", value, expected: "from 1 to 64" });
        }
        Ok(LoadOptions {
            context: self.context,
            kv: LoadOptions::kv_of(&self.kv)?,
            crowd: (self.parallel > 1).then_some(crowd),
            ..LoadOptions::default()
        })
    }
}

impl From<Wanted> for GenerateOptions {
    fn from(wanted: Wanted) -> GenerateOptions {
        let Wanted { temperature, top_k, top_p, min_p, repetition_penalty, seed, .. } = wanted;
        let Wanted { presence_penalty, frequency_penalty, .. } = wanted;
        let sampling = Sampling {
            temperature,
            top_k,
            top_p,
            min_p,
            repetition_penalty,
            presence_penalty,
            frequency_penalty,
            seed,
            ..Sampling::default()
        };
        let grammar = wanted.json_schema.map(Grammar::JsonSchema);
        let grammar = grammar.or(wanted.regex.map(Grammar::Regex)).or(wanted.grammar.map(Grammar::Rules));
        let (max_tokens, stop, logprobs) = (wanted.max_tokens, wanted.stop, wanted.logprobs);
        GenerateOptions { max_tokens, sampling, grammar, stop, logprobs, ..GenerateOptions::default() }
    }
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, memory: Option<&str>, threads: Option<usize>) -> PyResult<Engine> {
        let build = || {
            let memory = memory.map_or(Ok(Memory::Auto), str::parse)?;
            engine::Engine::builder().memory(memory).threads(threads).guest(true).build()
        };
        py.detach(build).map(Engine).map_err(|error| raise(py, &error))
    }

    /// Loads a model, or refuses it before a weight is read.
    fn load(&self, py: Python<'_>, model: &str, load: Load) -> PyResult<Model> {
        let load = || {
            let options = load.options()?;
            let path = path_of(model)?;
            let loaded = self.0.load(&path, &options)?;
            let (plan, context) = (report::placement(loaded.placement()).to_string(), loaded.context());
            Ok(Model { service: Service::start(loaded, load.queue as usize)?, plan, context })
        };
        py.detach(load).map_err(|error| raise(py, &error))
    }

    /// Where everything of a model would lie, as JSON.
    fn plan(&self, py: Python<'_>, model: &str, load: Load) -> PyResult<String> {
        let plan = || {
            let path = path_of(model)?;
            match self.0.plan(&self.0.open(&path)?, &load.options()?)? {
                Ok(placement) => Ok(report::placement(&placement).to_string()),
                Err(refused) => Err(Error::Refused(Box::new(refused))),
            }
        };
        py.detach(plan).map_err(|error| raise(py, &error))
    }

    #[getter]
    fn budget(&self) -> u64 {
        self.0.budget().bytes
    }

    #[getter]
    fn used(&self) -> u64 {
        self.0.ledger().used()
    }

    #[getter]
    fn peak(&self) -> u64 {
        self.0.ledger().peak()
    }

    #[getter]
    fn threads(&self) -> usize {
        self.0.threads()
    }

    #[getter]
    fn isa(&self) -> &'static str {
        self.0.isa()
    }

    fn host_bytes(&self) -> u64 {
        self.0.host_bytes()
    }

    /// The account, by part.
    fn ledger(&self) -> Vec<(&'static str, u64)> {
        self.0.ledger().lines().into_iter().map(|(part, bytes)| (part.name(), bytes)).collect()
    }
}

#[pymethods]
impl Model {
    /// Asks for an answer.
    fn ask(&self, py: Python<'_>, asked: Asked, wanted: Wanted) -> PyResult<Answer> {
        let begin = || {
            let prompt = match asked {
                Asked::Ids(ids) => Prompt::Ids(ids),
                Asked::Text(text) => Prompt::Text(text),
                Asked::Chat(talk) => Prompt::Chat(talk.chat()?),
            };
            Answer::begin(&self.service, prompt, wanted.into())
        };
        py.detach(begin).map_err(|error| raise(py, &error))
    }

    #[getter]
    fn context(&self) -> u32 {
        self.context
    }

    /// Where everything lies, as JSON.
    #[getter]
    fn plan(&self) -> &str {
        &self.plan
    }

    /// Ends all answers, and gives the memory back.
    fn close(&self, py: Python<'_>) {
        py.detach(|| drop(self.service.stop()));
    }
}
