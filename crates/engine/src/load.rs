//! From a path to a model that can answer: open, plan, reserve, load.

use crate::live::{Live, Reserved};
use crate::vocabulary::{Beside, Vocabulary};
use crate::{Engine, Error, Model, NetworkFile, vocabulary};
use ::memory::{ExpertStore, KvFormat, Residency, WeightStore};
use formats::{Contents, Folder, Limits, ModelFile};
use host::{FlashFile, Part, Pool, ProgramPages, ReadAt};
use kernels::Cpu;
use models::Decoder;
use planner::{Exchange, Fixed, Forecast, Line, Placement, Profile, Refusal, Request};
use processors::text::{Family, Tokenizer};
use runtime::{Executor, Foresee, Parts};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tensor::DType;

/// Contexts that are tried if the user names none, largest first, and the one that is taken if none of them will do.
const CONTEXTS: [u32; 3] = [4096, 2048, 1024];
const LEAST_CONTEXT: u32 = 512;
/// The part of the weights, as its divisor, that a larger context may push out of memory: what is read for every token costs
/// twenty times what is there, so room for what nobody may ever say is dear.
const PUSHED_OUT: u64 = 3;
/// Small allocations that do not grow with the model: the program of the executor, tile lists, options, text.
const HEAP: u64 = 256 << 10;
/// Code that a run has of our own program at most, of which it touches 2 MiB, and what a server has besides; [`ProgramPages`]
/// keeps it so. The start has all of it for a moment.
const CODE: u64 = 3 << 20;
const SERVER_CODE: u64 = 1 << 20;
/// Code of a library in a program that is somebody else's: all of ours, since the kernel reads back much at once.
const GUEST_CODE: u64 = 10 << 20;
/// What a run touches of constants and libraries.
const CONSTANTS: u64 = 420 << 10;
/// What the start of the process touches of libraries, and their data, tables and stacks: with the heap, 1.8 MB beside the
/// program were seen. A group is charged 256 KiB ahead by each core that the process was on, and a core that asks for its share where
/// there is less meets the limit: room for that too.
const LIBRARIES: u64 = 2080 << 10;
/// Lines of the account that are there once, however many models run.
pub(crate) const ONCE: [Part; 3] = [Part::Program, Part::Connections, Part::Slack];
/// Alignment of direct reads that is reckoned with for a file that is not on this machine.
const ALIGN: usize = 4096;

/// How a model is to be loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// Tokens that a conversation may have. If not said: what the model was made for, at most 4,096; or the largest of 2,048,
    /// 1,024 and 512 that fits the budget and pushes no more than a third of the weights out of memory.
    pub context: Option<u32>,
    /// How keys and values are stored.
    pub kv: KvFormat,
    /// Rows of a step whose logits are wanted: 1 to generate; more lets texts be judged faster.
    pub logit_rows: Option<u32>,
    /// Whether experts are read that a router, asked a layer early, is likely to choose. Answers do not change.
    pub foresee: Foresee,
    /// Several are to be answered at once.
    pub crowd: Option<Crowd>,
}

impl LoadOptions {
    /// How keys and values are kept, by its name.
    ///
    /// # Errors
    /// [`Error::Option`] if there is none of that name.
    pub fn kv_of(name: &str) -> Result<KvFormat, Error> {
        let found =
            [KvFormat::F16, KvFormat::Q8_0].into_iter().find(|kv| kv.name().eq_ignore_ascii_case(name));
        found.ok_or_else(|| Error::Option {
            option: "--kv",
            value: name.to_string(),
            expected: "f16 or q8_0",
        })
    }
}

/// Those who are to be answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crowd {
    /// Answers in the same step at most.
    pub answers: u32,
    /// Requests that may wait for their turn.
    pub queue: u32,
    /// Whole contexts of keys and values that are planned for. Whoever is answered shares them by what each holds, and
    /// what the plan leaves of the budget as well.
    pub contexts: u32,
    /// Bytes that are held for those who talk to it: connections, threads, requests that are being read.
    pub connections: u64,
}

impl Default for Crowd {
    fn default() -> Crowd {
        Crowd { answers: 8, queue: 32, contexts: 1, connections: 0 }
    }
}

/// Heap for each token of an answer that is being given or waits: its id, as a prompt and as remembered, and text.
const HEAP_OF_TOKEN: u64 = 24;
/// Heap of an answer whatever its length.
const HEAP_OF_ANSWER: u64 = 4 << 10;

/// A model file that was read but not loaded.
pub struct Opened {
    /// Where it is.
    pub path: PathBuf,
    /// Its header.
    pub file: ModelFile,
    /// Its computation.
    pub decoder: Decoder,
    pub(crate) files: Vec<Arc<FlashFile>>,
    pub(crate) vocabulary: Vocabulary,
    /// The source of the chat template.
    template: Option<String>,
}

/// What a model file turned out to be.
#[non_exhaustive]
pub enum Examined {
    /// A model that can be loaded.
    Model(Box<Opened>),
    /// A network, which takes arrays.
    Network(NetworkFile),
}

impl Examined {
    pub(crate) fn from_path(path: &Path, limits: Limits) -> Result<Examined, Error> {
        let contents = formats::examine(path, limits)?;
        Examined::new(contents, |file| Opened::from_header(path, file))
    }

    pub(crate) fn from_folder(folder: &dyn Folder, name: &str, limits: Limits) -> Result<Examined, Error> {
        let contents = formats::examine_in(folder, name, limits)?;
        Examined::new(contents, |file| Opened::from_far(folder, name, file))
    }

    fn new(
        contents: Contents,
        open: impl FnOnce(ModelFile) -> Result<Opened, Error>,
    ) -> Result<Examined, Error> {
        Ok(match contents {
            Contents::Onnx(model) => Examined::Network(NetworkFile::Onnx(model)),
            Contents::Tflite(model) => Examined::Network(NetworkFile::Tflite(model)),
            Contents::Weights(file) if models::bert::is_encoder(&file) => {
                Examined::Network(NetworkFile::Encoder(file))
            }
            Contents::Weights(file) => Examined::Model(Box::new(open(*file)?)),
        })
    }
}

impl Opened {
    pub(crate) fn from_path(path: &Path, limits: Limits) -> Result<Opened, Error> {
        Opened::from_header(path, formats::open(path, limits)?)
    }

    fn from_header(path: &Path, file: ModelFile) -> Result<Opened, Error> {
        let files = file.files.iter().map(|part| Ok(Arc::new(FlashFile::open(&part.path)?)));
        let files = files.collect::<Result<Vec<_>, host::Error>>()?;
        let folder = files_folder(&file).map(Path::to_path_buf);
        let beside = |name: &str| {
            let file = FlashFile::open(folder.as_ref()?.join(name)).ok()?;
            Some(Box::new(file) as Box<dyn ReadAt>)
        };
        Opened::from_file(path, file, files, &beside)
    }

    pub(crate) fn from_folder(folder: &dyn Folder, name: &str, limits: Limits) -> Result<Opened, Error> {
        Opened::from_far(folder, name, formats::read(folder, name, limits)?)
    }

    fn from_far(folder: &dyn Folder, name: &str, file: ModelFile) -> Result<Opened, Error> {
        Opened::from_file(Path::new(name), file, Vec::new(), &|name| folder.open(name).ok())
    }

    fn from_file(
        path: &Path,
        file: ModelFile,
        files: Vec<Arc<FlashFile>>,
        beside: &Beside<'_>,
    ) -> Result<Opened, Error> {
        let decoder = models::build(&file).map_err(|error| Error::from(error).in_file(path))?;
        let vocabulary = Vocabulary::find(&file, beside).map_err(|error| error.in_file(path))?;
        let tokens = vocabulary.counts().tokens;
        if tokens > decoder.vocabulary as usize {
            return Err(Error::VocabularySize { tokens, rows: decoder.vocabulary }.in_file(path));
        }
        let template = vocabulary::template_source(&file, beside).map_err(|error| error.in_file(path))?;
        Ok(Opened { path: path.to_path_buf(), file, decoder, files, vocabulary, template })
    }

    /// Whether its files are on this machine; if not it can be planned, not loaded.
    pub fn is_here(&self) -> bool {
        !self.files.is_empty()
    }

    /// As [`Model::takes_tools`].
    pub fn takes_tools(&self) -> bool {
        self.template.as_ref().is_some_and(|source| Family::of(source).is_some())
    }

    /// Whether the model was made for conversations.
    pub fn has_template(&self) -> bool {
        self.template.is_some()
    }

    /// Bytes that the tokenizer will take.
    pub fn tokenizer_bytes(&self) -> u64 {
        Tokenizer::estimate(self.vocabulary.kind(), self.vocabulary.counts()) as u64
    }

    /// Bytes of all tensors.
    pub fn weight_bytes(&self) -> u64 {
        self.file.tensor_bytes()
    }

    /// Bytes of all files that hold weights, headers and all.
    pub fn file_bytes(&self) -> u64 {
        self.file.files.iter().map(|part| part.bytes).sum()
    }

    /// Elements of all tensors.
    pub fn parameters(&self) -> u64 {
        self.file.tensors.iter().map(|tensor| tensor.shape.elements()).sum()
    }

    /// What most bytes of its weights are.
    pub fn main_type(&self) -> Option<DType> {
        let bytes = |dtype: DType| -> u64 {
            let of_type = self.file.tensors.iter().filter(|tensor| tensor.dtype == dtype);
            of_type.map(|tensor| tensor.range.end - tensor.range.start).sum()
        };
        DType::all().max_by_key(|dtype| bytes(*dtype)).filter(|dtype| bytes(*dtype) > 0)
    }

    /// Heap bytes of what was read.
    fn heap_bytes(&self) -> u64 {
        let template = self.template.as_ref().map_or(0, String::len) as u64;
        self.file.heap_bytes() + self.vocabulary.heap_bytes() + template
    }

    fn align(&self) -> usize {
        self.files.iter().map(|f| f.align()).max().unwrap_or(ALIGN)
    }
}

/// The folder that holds the weights.
fn files_folder(file: &ModelFile) -> Option<&Path> {
    file.files.first()?.path.parent()
}

impl Engine {
    /// Where everything of a model would lie in this engine's budget, or why it does not fit.
    ///
    /// # Errors
    /// [`Error::ContextTooLong`]; a model that cannot be tiled. A budget that is too small is the inner error.
    pub fn plan(&self, opened: &Opened, options: &LoadOptions) -> Result<Result<Placement, Refusal>, Error> {
        self.plan_in(opened, options, self.budget.bytes)
    }

    /// As [`Engine::plan`], for another budget.
    pub fn plan_in(
        &self,
        opened: &Opened,
        options: &LoadOptions,
        budget: u64,
    ) -> Result<Result<Placement, Refusal>, Error> {
        let most = opened.decoder.spec.context;
        let states = opened.decoder.graph.states.iter();
        if !states.flat_map(|state| state.kept()).all(|elements| options.kv.fits(elements)) {
            let (value, expected) =
                (options.kv.name().to_string(), "f16 for this model, whose heads are not whole blocks of 32");
            return Err(Error::Option { option: "--kv", value, expected });
        }
        let place = |context: u32| {
            let request = self.request(opened, options, context.min(most), budget);
            planner::place(&request, &opened.file, &self.profile)
        };
        match options.context {
            Some(0) => Err(Error::Option { option: "-c", value: "0".into(), expected: "at least 1" }),
            Some(asked) if asked > most => Err(Error::ContextTooLong { asked, most }),
            Some(asked) => Ok(place(asked)?),
            None => {
                let smallest = match place(LEAST_CONTEXT)? {
                    Ok(placement) => placement,
                    refused => return Ok(refused),
                };
                let weights = smallest.resident_bytes() + smallest.streamed_bytes();
                let streamed = smallest.streamed_bytes() + weights / PUSHED_OUT;
                for context in CONTEXTS {
                    if let Ok(placement) = place(context)?
                        && placement.streamed_bytes() <= streamed
                    {
                        return Ok(Ok(placement));
                    }
                }
                Ok(Ok(smallest))
            }
        }
    }

    /// How fast `placement` of `opened` would do `exchange` on a machine that `profile` tells of.
    pub fn forecast(
        &self,
        opened: &Opened,
        options: &LoadOptions,
        placement: &Placement,
        (profile, exchange): (&Profile, Exchange),
    ) -> Forecast {
        let request = self.request(opened, options, placement.context, placement.budget);
        planner::forecast(&request, profile, placement, exchange)
    }

    fn request<'a>(
        &self,
        opened: &'a Opened,
        options: &LoadOptions,
        context: u32,
        budget: u64,
    ) -> Request<'a> {
        // Nothing here is measured at this moment: the same request must give the same answer in every process.
        let graph = &opened.decoder.graph;
        // A draw among all tokens sorts them, for one answer at a time.
        let draw = 8 * u64::from(opened.decoder.vocabulary);
        let of_answer = HEAP_OF_ANSWER + HEAP_OF_TOKEN * u64::from(context);
        let crowd =
            options.crowd.map_or(0, |crowd| draw + u64::from(crowd.answers + crowd.queue) * of_answer);
        let fixed = self.fixed(opened.heap_bytes() + 2 * graph.heap_bytes() + crowd);
        let fixed = Fixed {
            tokenizer: opened.tokenizer_bytes(),
            connections: options.crowd.map_or(0, |crowd| crowd.connections),
            program: fixed.program + options.crowd.map_or(0, |_| SERVER_CODE),
            ..fixed
        };
        let (answers, sequences) = options.crowd.map_or((1, 1), |crowd| (crowd.answers, crowd.contexts));
        Request {
            graph,
            context,
            sequences: sequences.max(1),
            kv: options.kv,
            kv_rows: None,
            logit_rows: options.logit_rows.unwrap_or(answers).max(1),
            budget,
            align: opened.align(),
            fixed,
        }
    }

    /// Loads a model, or refuses before a weight is read.
    ///
    /// # Errors
    /// [`Error::Refused`] if it does not fit the budget; otherwise what is wrong with the file or the disk.
    pub fn load(&self, path: &Path, options: &LoadOptions) -> Result<Model, Error> {
        self.load_opened(self.open(path)?, options)
    }

    /// As [`Engine::load`], for a file that was already opened.
    pub fn load_opened(&self, opened: Opened, options: &LoadOptions) -> Result<Model, Error> {
        self.load_within(opened, options, self.budget.bytes)
    }

    /// As [`Engine::load_opened`], in so much of the budget.
    pub(crate) fn load_within(
        &self,
        opened: Opened,
        options: &LoadOptions,
        bytes: u64,
    ) -> Result<Model, Error> {
        if !opened.is_here() {
            return Err(Error::NotHere { path: opened.path });
        }
        let Request { fixed, align, logit_rows, .. } = self.request(&opened, options, 0, 0);
        let placement = match self.plan_in(&opened, options, bytes)? {
            Ok(placement) => placement,
            Err(refused) => return Err(Error::Refused(Box::new(refused))),
        };
        self.drop_program_pages();
        let before = self.ledger.lines();
        let pool = Pool::new(&self.ledger, self.threads)?;
        let mut reserved = self.reserve_lines(&placement.lines, &before)?;
        let Opened { path, file, decoder, files, vocabulary, template } = opened;
        let tokenizer = vocabulary.build(&file, &files).map_err(|error| error.in_file(&path))?;
        let template = template.map(|source| vocabulary::template(&source, &tokenizer));
        let graph = Arc::new(decoder.graph);
        let residency = Residency {
            tiling: Arc::clone(&placement.tiling),
            resident: &placement.resident,
            window_bytes: placement.window_bytes,
            options: placement.stream,
        };
        let store = WeightStore::new(&self.ledger, &graph, &file, files.clone(), residency)?;
        let sets = Arc::clone(&placement.experts);
        let experts = ExpertStore::new(&self.ledger, sets, files.clone(), &placement.expert_options)?;
        let cpu = Cpu::new(self.kernels, pool, &self.ledger)?;
        let parts = Parts { graph: Arc::clone(&graph), plan: placement.plan.clone(), store, experts, cpu };
        let mut executor = Executor::new(&self.ledger, parts)?;
        executor.set_foresee(options.foresee);
        host::trim_heap();
        self.drop_program_pages();
        // The start is over.
        for Reserved { held, elsewhere } in
            reserved.iter_mut().filter(|ours| ours.held.part() == Part::Program)
        {
            let left = fixed.program.saturating_sub(*elsewhere).min(held.bytes());
            held.resize(left).map_err(host::Error::from)?;
        }
        let fixed = Fixed { start: 0, ..fixed };
        let (ledger, profile) = (self.ledger.clone(), self.profile.clone());
        let shares = options.crowd.is_some();
        let live = Live { ledger, profile, graph, file, files, fixed, align, logit_rows, shares };
        let tight = placement.while_reading().streamed_bytes() > 0 || options.context.is_some();
        let mut model = Model::new(executor, tokenizer, template, placement, (live, reserved));
        model.program = (!self.guest).then(|| ProgramPages::new(fixed.program));
        if !shares {
            model.own_sequence()?;
            if tight {
                model.sequences[0].cache.commit(); // or the user named the context: what is planned is held
            }
        }
        Ok(model)
    }

    /// Bytes that are held by what is loaded, but for what is there once, however much is loaded.
    pub fn held(&self) -> u64 {
        self.ledger.lines().into_iter().filter(|(part, _)| !ONCE.contains(part)).map(|(_, bytes)| bytes).sum()
    }

    /// Bytes that what has this account adds to what is loaded already.
    pub fn adds(lines: &[Line]) -> u64 {
        lines.iter().filter(|line| !ONCE.contains(&line.part)).map(|line| line.bytes).sum()
    }

    /// What a process takes that runs something, whose lists take so much heap.
    pub(crate) fn fixed(&self, heap: u64) -> Fixed {
        let (program, code) =
            if self.guest { (host::library_bytes(), GUEST_CODE) } else { (host::program_bytes(), CODE) };
        Fixed {
            program: (program.code.min(code) + CONSTANTS).min(program.mapped),
            // A disk that reads far ahead brings all of our own in; libraries are there already, or are touched here and there.
            start: program.own + LIBRARIES + HEAP,
            threads: self.threads as u32,
            heap: HEAP + heap,
            scratch: (Cpu::SCRATCH_BYTES * self.threads) as u64,
            ..Fixed::default()
        }
    }

    /// The pages of a program that is not ours are not ours to drop.
    pub(crate) fn drop_program_pages(&self) {
        if !self.guest {
            host::drop_program_pages();
        }
    }

    /// Holds the lines of the account that nobody else reserves; the account was `before` the model was begun.
    pub(crate) fn reserve_lines(
        &self,
        lines: &[Line],
        before: &[(Part, u64)],
    ) -> Result<Vec<Reserved>, Error> {
        let lines = lines.iter().filter(|l| {
            matches!(
                l.part,
                Part::Program | Part::Kernel | Part::Heap | Part::Tokenizer | Part::Connections | Part::Slack
            )
        });
        let held = self.ledger.lines();
        lines
            .map(|&Line { part, bytes }| {
                let of = |lines: &[(Part, u64)]| lines[part as usize].1;
                let others = if ONCE.contains(&part) { 0 } else { of(before) };
                let elsewhere = of(&held) - others;
                let held = self.ledger.reserve(part, bytes.saturating_sub(elsewhere))?;
                Ok(Reserved { held, elsewhere })
            })
            .collect()
    }
}
