//! What `pintpot serve` loads whole before it listens: encoders of texts and models of speech, alone or beside models of language.
//!
//! What it is: find, plan, load, and what clients are told of each. What it is not: the server, which is a library, nor models
//! of language, which `verbs/serve.rs` knows. The one design choice: all are planned before one is loaded,
//! so a refusal comes first and names the budget that all of them need.

use std::path::Path;

use host::format_bytes;
use hub::Reference;
use pintpot::tasks::{EncoderFile, EncoderOptions, Speech, SpeechService, TextService, TextTask};
use pintpot::{Engine, Examined, Ledger, Line, NetworkFile};
use pintpot_server::{Encoder, Facts, Limits, Scribe, Scribes};

use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{encoders, find, size, speech};

/// A budget that leaves nothing to wish for.
const ENDLESS: u64 = 1 << 60;

/// What the models of a server are.
#[derive(Default)]
pub(crate) struct Kinds {
    /// Models of language.
    pub language: Vec<Reference>,
    /// Encoders of texts.
    pub texts: Vec<Reference>,
    /// Models of speech.
    pub speech: Vec<Reference>,
}

impl Kinds {
    /// Looks at all that are named.
    pub fn of(references: Vec<Reference>, engine: &Engine, args: &Args) -> Result<Kinds, Failure> {
        let mut kinds = Kinds::default();
        for reference in references {
            if engine.is_speech(&speech::place(&reference, args)?) {
                kinds.speech.push(reference);
                continue;
            }
            let local = find::local(&reference, args)?;
            match engine.examine(&local.path)? {
                Examined::Network(_) => kinds.texts.push(reference),
                _ => kinds.language.push(reference),
            }
        }
        Ok(kinds)
    }

    /// What a server of theirs may hold; `talking` is that of one with models of language alone.
    pub fn limits(&self, talking: Limits) -> Limits {
        let limits = match self.language.is_empty() {
            true => Limits { connections: talking.connections, ..Limits::silent() },
            false => talking,
        };
        let limits = limits.and_encoders(self.texts.len() as u32);
        if self.speech.is_empty() { limits } else { limits.and_speech() }
    }
}

/// A model that is planned, not loaded.
enum Planned {
    Texts(Box<EncoderFile>, Facts),
    Speech(Box<Speech>, Facts),
}

/// All that are loaded whole.
pub(crate) struct Whole {
    planned: Vec<Planned>,
    options: EncoderOptions,
    /// Bytes that one may have while it is planned.
    budget: u64,
    /// Bytes that they add to what else is loaded.
    pub adds: u64,
    /// Bytes that are there once.
    once: u64,
    /// What each adds, in words.
    lines: String,
}

impl Whole {
    /// Plans all of them.
    pub fn plan(kinds: &Kinds, engine: &Engine, limits: &Limits, args: &Args) -> Result<Whole, Failure> {
        // How long texts are is the context of a model of language, if there is one.
        let longest = match kinds.language.is_empty() {
            true => args.read(&flags::CONTEXT, "a number of tokens")?,
            false => None,
        };
        let options = EncoderOptions { longest, connections: limits.bytes(), ..EncoderOptions::default() };
        let count = kinds.language.len() + kinds.texts.len() + kinds.speech.len();
        // One of several is refused for what all need together.
        let budget = if count == 1 { engine.budget().bytes } else { ENDLESS };
        let (planned, lines) = (Vec::new(), String::new());
        let mut whole = Whole { planned, options, budget, adds: 0, once: 0, lines };
        for reference in &kinds.texts {
            whole.plan_texts(reference, engine, args)?;
        }
        for reference in &kinds.speech {
            whole.plan_speech(reference, engine, limits, args)?;
        }
        match kinds.language.is_empty() {
            true => whole.refused(engine.budget().bytes).map_or(Ok(whole), Err),
            false => Ok(whole),
        }
    }

    /// Their names, as clients call them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.planned.iter().map(|planned| match planned {
            Planned::Texts(_, facts) | Planned::Speech(_, facts) => facts.name.as_str(),
        })
    }

    fn plan_texts(&mut self, reference: &Reference, engine: &Engine, args: &Args) -> Result<(), Failure> {
        let local = find::local(reference, args)?;
        let file = engine.open_encoder(&local.path, args.get(&flags::TOKENIZER).map(Path::new))?;
        let longest = self.options.longest.unwrap_or(file.longest());
        let (parameters, file_bytes, architecture) = size_of(file.network());
        let name = find::served_name(reference, &local.name);
        let facts =
            Facts { name, architecture, parameters, file_bytes, context: longest, ..Facts::default() };
        let lines = match file.scores() {
            true => engine.plan_rerank(&file, &self.options, self.budget)?,
            false => engine.plan_embed(&file, &self.options, self.budget)?,
        };
        let lines = lines.map_err(|refused| encoders::refusal(&local.name, longest, &refused))?;
        let facts = self.count(&lines, facts);
        self.planned.push(Planned::Texts(Box::new(file), facts));
        Ok(())
    }

    fn plan_speech(
        &mut self,
        reference: &Reference,
        engine: &Engine,
        limits: &Limits,
        args: &Args,
    ) -> Result<(), Failure> {
        let place = speech::place(reference, args)?;
        let speech = engine.open_speech(&place)?.with_connections(limits.bytes());
        let name = match place.file_name().and_then(|name| name.to_str()).filter(|_| place.is_dir()) {
            Some(folder) => folder.to_string(),
            None => find::served_name(reference, &reference.to_string()),
        };
        let facts = Facts {
            name,
            architecture: "whisper".to_string(),
            parameters: speech.parameters(),
            file_bytes: speech.file_bytes(),
            context: speech.context(),
            ..Facts::default()
        };
        let lines = engine.plan_speech_in(&speech, self.budget);
        let lines = lines.map_err(|refused| speech::refusal(&facts.name, &speech, &refused))?;
        let facts = self.count(&lines, facts);
        self.planned.push(Planned::Speech(Box::new(speech), facts));
        Ok(())
    }

    /// Counts one that is planned.
    fn count(&mut self, lines: &[Line], facts: Facts) -> Facts {
        let adds = Engine::adds(lines);
        self.adds += adds;
        self.once = self.once.max(encoders::peak(lines) - adds);
        self.lines += &format!("  {:<24} {:>11}\n", facts.name, format_bytes(adds));
        Facts { held_bytes: adds, ..facts }
    }

    /// Why they do not fit together, if they do not.
    fn refused(&self, budget: u64) -> Option<Failure> {
        let needed = self.adds + self.once;
        let names: Vec<&str> = self.names().collect();
        (needed > budget).then(|| {
            let mut text = format!("{} cannot run together in {}", names.join(", "), format_bytes(budget));
            text += "; nothing was loaded\n";
            text += &self.lines;
            text += &format!("  {:<24} {:>11}\n", "program and connections", format_bytes(self.once));
            text += &format!("  smallest budget: --memory {}", size::budget(needed));
            Failure::new(Code::Budget, text)
        })
    }

    /// Says what each adds to the process.
    pub fn tell(&self) {
        eprint!("{}", self.lines);
    }

    /// Loads all of them. Up to `queue` requests may wait at each.
    pub fn load(self, engine: &Engine, queue: u32) -> Result<Loaded, Failure> {
        let mut loaded = Loaded::default();
        for planned in self.planned {
            match planned {
                Planned::Texts(file, facts) => {
                    let scores = file.scores();
                    let task = match scores {
                        true => TextTask::Rerank(engine.load_rerank(*file, &self.options)?),
                        false => TextTask::Embed(engine.load_embed(*file, &self.options)?),
                    };
                    loaded.encoders.push((facts, scores, TextService::start(task, queue as usize)?));
                }
                Planned::Speech(speech, facts) => {
                    let service = SpeechService::start(engine.load_speech(*speech)?, queue as usize)?;
                    loaded.scribes.push(Scribe { facts, service });
                }
            }
        }
        Ok(loaded)
    }
}

/// All that were loaded whole.
#[derive(Default)]
pub(crate) struct Loaded {
    encoders: Vec<(Facts, bool, TextService)>,
    scribes: Vec<Scribe>,
}

impl Loaded {
    /// What a server needs of them; they share `spare` bytes of the account for replies and sounds.
    pub fn served(self, ledger: &Ledger, spare: u64) -> (Vec<Encoder>, Option<Scribes>) {
        let holders = self.encoders.len() as u64 + u64::from(!self.scribes.is_empty());
        let spare = spare / holders.max(1);
        let encoder = |(facts, scores, service)| Encoder::new(facts, scores, service, ledger, spare);
        let encoders = self.encoders.into_iter().map(encoder).collect();
        let scribes = Some(self.scribes).filter(|scribes| !scribes.is_empty());
        (encoders, scribes.map(|scribes| Scribes::new(scribes, ledger, spare)))
    }
}

/// Elements and bytes of a network, and what it is called.
fn size_of(network: &NetworkFile) -> (u64, u64, String) {
    match network {
        NetworkFile::Encoder(file) => {
            let parameters = file.tensors.iter().map(|tensor| tensor.shape.elements()).sum();
            (parameters, file.files.iter().map(|part| part.bytes).sum(), file.architecture.to_string())
        }
        NetworkFile::Onnx(model) => (0, model.files.iter().map(|part| part.bytes).sum(), "onnx".to_string()),
        NetworkFile::Tflite(model) => (0, model.file.bytes, "tflite".to_string()),
    }
}
