//! A model of speech as its files have it: opened, its account made, loaded.
//!
//! Not its running. The one design choice: both networks are in one account, since neither is of use alone.

use super::Transcribe;
use super::hearing::Hearing;
use super::rules::Rules;
use super::words::Words;
use crate::vocabulary::Vocabulary;
use crate::{Engine, Error};
use formats::ModelFile;
use graph::{Bounds, Graph, Plan, ValueId};
use host::{FlashFile, Pool, ReadAt};
use kernels::Cpu;
use models::Whisper;
use models::network::{Network, Place};
use planner::network::{NetworkRequest, place};
use planner::{Fixed, Line, Refusal};
use processors::audio::{Mel, RATE, Sound, Spectrogram};
use processors::text::Tokenizer;
use runtime::{ArrayExecutor, ArrayParts};
use std::path::Path;
use std::sync::Arc;

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
    connections: u64,
}

/// One of the two networks.
struct Half {
    graph: Arc<Graph>,
    plan: Plan,
    places: Vec<Place>,
    dynamic: Vec<bool>,
}

/// Where the networks take and give.
pub(super) struct Ports {
    pub picture: ValueId,
    /// Of the encoder what the decoder attends to, and where the decoder takes it.
    pub attended: Vec<(ValueId, ValueId)>,
    pub token: ValueId,
    pub position: ValueId,
    pub mask: ValueId,
    pub logits: ValueId,
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
        let read = |weight: usize, _: u64, bytes: &mut [u8]| {
            let weight = &graph.weights[weight];
            let place = &places[weight.tensor];
            let (tensor, offset) = (weight.name.clone(), place.range.start);
            let failed = |source| ::memory::Error::Read { tensor, offset, source };
            place.read(&*files[place.file as usize], bytes).map_err(failed)
        };
        let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic, cpu, passing: None };
        Ok(ArrayExecutor::new(&engine.ledger, parts, read)?)
    }
}

impl Engine {
    /// Whether a file, or a folder, is a model of speech.
    pub fn is_speech(&self, path: &Path) -> bool {
        formats::open(path, self.limits()).is_ok_and(|file| Whisper::is(&file))
    }

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
        Ok(Speech { whisper, encoder, decoder, ports, file, files, vocabulary, connections: 0 })
    }

    /// The account of a model of speech in this engine's budget, or why it does not fit.
    pub fn plan_speech(&self, speech: &Speech) -> Result<Vec<Line>, Refusal> {
        self.plan_speech_in(speech, self.budget.bytes)
    }

    /// As [`Engine::plan_speech`], for another budget.
    pub fn plan_speech_in(&self, speech: &Speech, budget: u64) -> Result<Vec<Line>, Refusal> {
        let Speech { whisper, encoder, decoder, vocabulary, connections, .. } = speech;
        let estimate = Tokenizer::estimate(vocabulary.kind(), vocabulary.counts()) as u64;
        // The lists of the graphs are there twice while they are planned.
        let graphs = encoder.graph.heap_bytes() + 2 * decoder.graph.heap_bytes();
        let heap = speech.file.heap_bytes() + vocabulary.heap_bytes() + estimate + graphs;
        let window =
            Hearing::<&[u8]>::bytes(whisper.moments) + (2 * whisper.bands * whisper.moments * 4) as u64;
        let logits = (whisper.vocabulary * 4) as u64;
        let picture = Spectrogram::whisper(whisper.bands, 2 * whisper.moments).heap_bytes(RATE);
        let small = Sound::<&[u8]>::HEAP_BYTES + picture + HEAP_OF_WINDOW;
        let fixed = self.fixed(heap + window + logits + small);
        let mut fixed = Fixed { connections: *connections, ..fixed };
        // Each network has threads of its own.
        fixed.threads *= 2;
        let pages = |bytes: u64| bytes.next_multiple_of(host::page_size() as u64);
        fixed.scratch = 2 * pages(fixed.scratch) + pages(decoder.plan.arena_bytes);
        let weights = [encoder, decoder].map(|half| pages(ArrayExecutor::weight_bytes(&half.graph)));
        let weights = weights.iter().sum();
        let (graph, plan, heap_of) = (&encoder.graph, &encoder.plan, &|graph: &Graph| graph.heap_bytes());
        let (copies, whole, files) = (0, true, None);
        let request = NetworkRequest { graph, plan, weights, heap_of, copies, whole, files, budget, fixed };
        Ok(place(&request)?.lines)
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
        let Speech { whisper, encoder, decoder, ports, file, files, vocabulary, .. } = speech;
        let words = Words::new(vocabulary.build(&file, &files)?, whisper.vocabulary)?;
        let rules = Rules::new(&whisper, &words);
        let [own, other] = pools;
        let (encoder, decoder) = (encoder.load(self, &files, own)?, decoder.load(self, &files, other)?);
        host::trim_heap();
        self.drop_program_pages();
        let mel = Mel::new(&Spectrogram::whisper(whisper.bands, 2 * whisper.moments), RATE);
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

    /// Bytes of its files.
    pub fn file_bytes(&self) -> u64 {
        self.file.files.iter().map(|part| part.bytes).sum()
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        self.file.tensors.iter().map(|tensor| tensor.shape.elements()).sum()
    }

    /// Tokens that it can have before and behind it.
    pub fn context(&self) -> u32 {
        self.whisper.context as u32
    }

    /// The same, with what a server holds for those who talk to it.
    #[must_use]
    pub fn with_connections(self, bytes: u64) -> Speech {
        Speech { connections: bytes, ..self }
    }
}
