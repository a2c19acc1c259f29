//! Speech to text: a sound that streams in becomes segments that stream out (Whisper, arXiv 2212.04356).
//!
//! What it is: a model of speech, opened, planned, loaded and run. What it is not: the files of sound, which
//! [`processors::audio`] reads. The one design choice: half a minute is in memory, however long the sound is; where the next
//! one begins, the times say that the model itself wrote.

mod hearing;
mod rules;
mod words;

use crate::generate::Flow;
use crate::live::Reserved;
use crate::vocabulary::Vocabulary;
use crate::{Engine, Error};
use formats::ModelFile;
use graph::{Bounds, Graph, Plan, ValueId};
use hearing::Hearing;
use host::{FlashFile, Pool, ReadAt, as_bytes};
use kernels::Cpu;
use models::Whisper;
use models::network::{Network, Place};
use planner::network::{NetworkRequest, account};
use planner::{Line, Refusal};
use processors::audio::{Mel, Sound};
use processors::text::Tokenizer;
use rules::Rules;
use runtime::{ArrayExecutor, ArrayParts};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use words::Words;

/// Heap of what is said in half a minute: tokens, text, lists.
const HEAP_OF_WINDOW: u64 = 64 << 10;

/// A model of speech that was opened, not loaded.
pub struct Speech {
    whisper: Whisper,
    encoder: Half,
    decoder: Half,
    ports: Ports,
    file: ModelFile,
    files: Vec<Arc<FlashFile>>,
    vocabulary: Vocabulary,
}

/// One of the two networks.
struct Half {
    graph: Arc<Graph>,
    plan: Plan,
    places: Vec<Place>,
    dynamic: Vec<bool>,
}

/// Where the networks take and give.
struct Ports {
    picture: ValueId,
    /// Of the encoder what the decoder attends to, and where the decoder takes it.
    attended: Vec<(ValueId, ValueId)>,
    token: ValueId,
    position: ValueId,
    mask: ValueId,
    logits: ValueId,
}

/// How speech is to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TranscribeOptions {
    /// The language, as `en` or `de`; found out from the first half minute if not said.
    pub language: Option<String>,
    /// Write down in English what was said in another language.
    pub translate: bool,
}

/// Something that was said.
#[derive(Clone, Debug, PartialEq)]
pub struct Passage {
    /// When it begins, seconds.
    pub start: f64,
    /// When it ends.
    pub end: f64,
    /// The words, with the space before them.
    pub text: String,
    /// Their tokens.
    pub tokens: Vec<u32>,
    /// How likely its half minute's tokens were, on average: the natural logarithm.
    pub likelihood: f32,
    /// How likely it is that nothing was said.
    pub silence: f32,
}

/// What is known when a sound is over.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Transcript {
    /// The language, if the model knows several.
    pub language: Option<String>,
    /// How long the sound was.
    pub seconds: f64,
}

impl Half {
    fn new(network: Network) -> Result<Half, Error> {
        let Network { graph, weights, dynamic, .. } = network;
        let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
        Ok(Half { graph: Arc::new(graph), plan, places: weights, dynamic })
    }

    fn load(self, engine: &Engine, files: &[Arc<FlashFile>], pool: Pool) -> Result<ArrayExecutor, Error> {
        let cpu = Cpu::new(engine.kernels, pool, &engine.ledger)?;
        let Half { graph, plan, places, dynamic } = self;
        let read = |weight: usize, bytes: &mut [u8]| {
            let weight = &graph.weights[weight];
            let place = &places[weight.tensor];
            let (tensor, offset) = (weight.name.clone(), place.range.start);
            let failed = |source| ::memory::Error::Read { tensor, offset, source };
            place.read(&*files[place.file as usize], bytes).map_err(failed)
        };
        let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic, cpu };
        Ok(ArrayExecutor::new(&engine.ledger, parts, read)?)
    }
}

impl Engine {
    /// Opens a model of speech: a folder of the hub's or of CTranslate2's, or the file of weights in it.
    ///
    /// # Errors
    /// If it is damaged, or another model.
    pub fn open_speech(&self, path: &Path) -> Result<Speech, Error> {
        let file = formats::open(path, self.limits())?;
        let whisper = Whisper::new(&file).map_err(|error| Error::from(error).in_file(path))?;
        let files = file.files.iter().map(|part| Ok(Arc::new(FlashFile::open(&part.path)?)));
        let files = files.collect::<Result<Vec<_>, host::Error>>()?;
        let sources: Vec<&dyn ReadAt> = files.iter().map(|file| &**file as &dyn ReadAt).collect();
        let encoder = whisper.encoder(&file, &sources).map_err(|error| Error::from(error).in_file(path))?;
        let decoder = whisper.decoder(&file, &sources).map_err(|error| Error::from(error).in_file(path))?;
        let folder = file.files.first().and_then(|part| part.path.parent()).map(Path::to_path_buf);
        let beside = |name: &str| {
            let file = FlashFile::open(folder.as_ref()?.join(name)).ok()?;
            Some(Box::new(file) as Box<dyn ReadAt>)
        };
        let vocabulary = Vocabulary::find(&file, &beside).map_err(|error| error.in_file(path))?;
        let tokens = vocabulary.counts().tokens;
        if tokens > whisper.vocabulary {
            return Err(Error::VocabularySize { tokens, rows: whisper.vocabulary as u32 }.in_file(path));
        }
        let heard = decoder.attended.iter().flatten().copied();
        let ports = Ports {
            picture: encoder.picture,
            attended: encoder.attended.iter().flatten().copied().zip(heard).collect(),
            token: decoder.token,
            position: decoder.position,
            mask: decoder.mask,
            logits: decoder.logits,
        };
        let said = decoder.said;
        let (encoder, decoder) = (Half::new(encoder.network)?, Half::new(decoder.network)?);
        // A cache is what the step before has made: both must be the same place.
        let stays = said.iter().flatten().all(|pair| {
            let [before, after] = pair.map(|id| decoder.plan.offset(id));
            before.is_some() && before == after
        });
        if !stays {
            return Err(runtime::Error::Unplanned { value: ports.logits.0 }.into());
        }
        Ok(Speech { whisper, encoder, decoder, ports, file, files, vocabulary })
    }

    /// The account of a model of speech in this engine's budget, or why it does not fit.
    pub fn plan_speech(&self, speech: &Speech) -> Result<Vec<Line>, Refusal> {
        self.plan_speech_in(speech, self.budget.bytes)
    }

    /// As [`Engine::plan_speech`], for another budget.
    pub fn plan_speech_in(&self, speech: &Speech, budget: u64) -> Result<Vec<Line>, Refusal> {
        let Speech { whisper, encoder, decoder, vocabulary, .. } = speech;
        let estimate = Tokenizer::estimate(vocabulary.kind(), vocabulary.counts()) as u64;
        // The lists of the graphs are there twice while they are planned.
        let graphs = encoder.graph.heap_bytes() + 2 * decoder.graph.heap_bytes();
        let heap = speech.file.heap_bytes() + vocabulary.heap_bytes() + estimate + graphs;
        let window =
            Hearing::<&[u8]>::bytes(whisper.moments) + (2 * whisper.bands * whisper.moments * 4) as u64;
        let logits = (whisper.vocabulary * 4) as u64;
        let small = Sound::<&[u8]>::HEAP_BYTES + Mel::heap_bytes(whisper.bands) + HEAP_OF_WINDOW;
        let mut fixed = self.fixed(heap + window + logits + small);
        // Each network has threads of its own.
        fixed.threads *= 2;
        let pages = |bytes: u64| bytes.next_multiple_of(host::page_size() as u64);
        fixed.scratch = 2 * pages(fixed.scratch) + pages(decoder.plan.arena_bytes);
        let weights = [encoder, decoder].map(|half| pages(ArrayExecutor::weight_bytes(&half.graph)));
        let weights = weights.iter().sum();
        account(&NetworkRequest { graph: &encoder.graph, plan: &encoder.plan, weights, budget, fixed })
    }

    /// Loads a model of speech, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; otherwise what is wrong with the disk or the tokenizer.
    pub fn load_speech(&self, speech: Speech) -> Result<Transcribe, Error> {
        let lines = self.plan_speech(&speech).map_err(|refused| Error::Refused(Box::new(refused)))?;
        host::trim_heap();
        self.drop_program_pages();
        let before = self.ledger.lines();
        let pools = [Pool::new(&self.ledger, self.threads)?, Pool::new(&self.ledger, self.threads)?];
        let reserved = self.reserve_lines(&lines, &before)?;
        let Speech { whisper, encoder, decoder, ports, file, files, vocabulary } = speech;
        let words = Words::new(vocabulary.build(&file, &files)?, whisper.vocabulary)?;
        let rules = Rules::new(&whisper, &words);
        let [own, other] = pools;
        let (encoder, decoder) = (encoder.load(self, &files, own)?, decoder.load(self, &files, other)?);
        host::trim_heap();
        self.drop_program_pages();
        let mel = Mel::new(whisper.bands);
        let picture = vec![0.0; 2 * whisper.bands * whisper.moments];
        let mask = vec![0.0; whisper.context];
        Ok(Transcribe {
            whisper,
            encoder,
            decoder,
            ports,
            words,
            rules,
            mel,
            picture,
            mask,
            lines,
            _reserved: reserved,
        })
    }
}

impl Speech {
    /// Bytes of all weights.
    pub fn weight_bytes(&self) -> u64 {
        [&self.encoder, &self.decoder].map(|half| ArrayExecutor::weight_bytes(&half.graph)).iter().sum()
    }
}

/// A model of speech that writes down what it hears.
pub struct Transcribe {
    whisper: Whisper,
    encoder: ArrayExecutor,
    decoder: ArrayExecutor,
    ports: Ports,
    words: Words,
    rules: Rules,
    mel: Mel,
    /// (bands, twice the moments)
    picture: Vec<f32>,
    /// (context)
    mask: Vec<f32>,
    lines: Vec<Line>,
    _reserved: Vec<Reserved>,
}

impl Transcribe {
    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Writes down a sound in WAV; `each` is given what was said, half a minute at a time, and may stop it.
    ///
    /// # Errors
    /// If the sound cannot be read, or the model does not know the language.
    pub fn run(
        &mut self,
        sound: impl Read,
        options: &TranscribeOptions,
        each: &mut dyn FnMut(&Passage) -> Flow,
    ) -> Result<Transcript, Error> {
        let mut language = options.language.as_deref().map(|name| self.words.language(name)).transpose()?;
        let task = self.words.task(options.translate)?;
        let mut hearing = Hearing::new(Sound::new(sound)?, self.whisper.moments);
        while hearing.listen()? {
            self.mel.draw(hearing.samples(), 2 * self.whisper.moments, &mut self.picture);
            self.encoder.run(&[(self.ports.picture, as_bytes(&self.picture))])?;
            let window = self.write(&mut language, task)?;
            let (segments, passed) = rules::segments(&self.words, &window, hearing.frames());
            for segment in segments {
                let segment = segment.since(hearing.start());
                if let Flow::Stop = each(&segment) {
                    return Ok(self.transcript(language, &hearing));
                }
            }
            hearing.pass(passed);
        }
        Ok(self.transcript(language, &hearing))
    }

    fn transcript<R: Read>(&self, language: Option<u32>, hearing: &Hearing<R>) -> Transcript {
        Transcript { language: language.map(|id| self.words.name(id)), seconds: hearing.seconds() }
    }

    /// Writes down the half minute that was encoded last.
    fn write(&mut self, language: &mut Option<u32>, task: Option<u32>) -> Result<rules::Window, Error> {
        let marks = self.words.marks;
        self.step(marks.start, 0)?;
        let silence = rules::chance(self.logits(), marks.silence);
        let mut position = 1;
        if let Some(task) = task {
            let spoken = match *language {
                Some(spoken) => spoken,
                None => rules::likeliest(self.logits(), self.words.languages()),
            };
            *language = Some(spoken);
            self.step(spoken, 1)?;
            self.step(task, 2)?;
            position = 3;
        }
        let mut window = rules::Window { silence, ..rules::Window::default() };
        let most = self.whisper.context / 2;
        while window.tokens.len() < most && position < self.whisper.context {
            let (logits, rules) = (logits(&self.decoder, &self.ports), &mut self.rules);
            let (token, likelihood) = rules.choose(logits, &window.tokens);
            window.sum += likelihood;
            if token == marks.end {
                break;
            }
            window.tokens.push(token);
            self.step(token, position)?;
            position += 1;
        }
        Ok(window)
    }

    /// Puts a token at a position; with the first comes what was heard.
    fn step(&mut self, token: u32, position: usize) -> Result<(), Error> {
        if position == 0 {
            self.mask.fill(f32::NEG_INFINITY);
        }
        if let Some(open) = self.mask.get_mut(position) {
            *open = 0.0;
        }
        let (token, place) = ((token as i32).to_le_bytes(), (position as i32).to_le_bytes());
        let ports = &self.ports;
        let mut given: Vec<(ValueId, &[u8])> =
            vec![(ports.token, &token), (ports.position, &place), (ports.mask, as_bytes(&self.mask))];
        if position == 0 {
            let heard = ports.attended.iter();
            given.extend(heard.filter_map(|(from, to)| Some((*to, self.encoder.value(*from)?.1))));
        }
        Ok(self.decoder.run(&given)?)
    }

    fn logits(&self) -> &[f32] {
        logits(&self.decoder, &self.ports)
    }
}

fn logits<'d>(decoder: &'d ArrayExecutor, ports: &Ports) -> &'d [f32] {
    decoder.value(ports.logits).and_then(|(_, bytes)| host::cast(bytes)).unwrap_or_default()
}
