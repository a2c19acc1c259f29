//! Everything that can go wrong between a file and an answer, and what class of trouble it is.

use host::format_bytes;
use planner::Refusal;

/// Why the engine could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The budget is too small; nothing was loaded.
    #[error("the model cannot run in this budget: {0}")]
    Refused(Box<Refusal>),
    /// The file is damaged or not supported.
    #[error(transparent)]
    File(#[from] formats::Error),
    /// What is wrong with the file of that name.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// The architecture is not supported, or its settings make no sense.
    #[error(transparent)]
    Model(#[from] models::Error),
    /// The tokenizer or the chat template.
    #[error(transparent)]
    Text(#[from] processors::Error),
    /// Memory or flash failed.
    #[error(transparent)]
    Memory(#[from] ::memory::Error),
    /// A step failed.
    #[error(transparent)]
    Run(#[from] runtime::Error),
    /// The machine refused.
    #[error(transparent)]
    Host(#[from] host::Error),
    /// A model could not be found or fetched.
    #[error(transparent)]
    Hub(#[from] hub::Error),
    /// Turns of a conversation that are none.
    #[error("the conversation is not a list of objects with role and content: {source}")]
    Turns {
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A size that is none.
    #[error(transparent)]
    Size(#[from] host::MemoryParseError),
    /// A model that was only looked at where it is.
    #[error("{} is not on this machine; fetch it before it is loaded", path.display())]
    NotHere {
        /// Its name at its source.
        path: std::path::PathBuf,
    },
    /// A network lacks an input.
    #[error("input '{name}' is missing; it is {kind}: give it with --input {name}=FILE.npy")]
    MissingInput {
        /// Its name.
        name: String,
        /// What it is.
        kind: Box<graph::ArrayType>,
    },
    /// A network has no such input.
    #[error("the network has no input '{name}'; it takes {inputs}")]
    NoSuchInput {
        /// The name that was given.
        name: String,
        /// Those that there are.
        inputs: String,
    },
    /// A list of characters that is not of the network.
    #[error(
        "the list has {lines} characters, but the network tells {classes} apart; give the list that came with it"
    )]
    Characters {
        /// Lines of the list.
        lines: usize,
        /// Classes of the network.
        classes: usize,
    },
    /// A folder lacks a network of several that belong together.
    #[error("{} has no {what}; fetch the models into one folder", folder.display())]
    NoPart {
        /// The folder.
        folder: std::path::PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The program that knows how words are spoken.
    #[error("espeak-ng does not run: {source}; install it, or give --phonemes")]
    NoEspeak {
        /// What the system said.
        source: std::io::Error,
    },
    /// A network that is no voice.
    #[error("the network does not speak: it lacks {what}; a voice of Piper's has it")]
    NotAVoice {
        /// What it lacks.
        what: &'static str,
    },
    /// A network has no such output.
    #[error("the network has no output '{name}'; it gives {outputs}: name one in the pipeline")]
    NoSuchOutput {
        /// The name that was looked for.
        name: String,
        /// Those that there are.
        outputs: String,
    },
    /// An output that a task cannot read.
    #[error("an output is {kind}, which this task does not read; use another task in the pipeline")]
    OutputKind {
        /// What it is.
        kind: Box<graph::ArrayType>,
    },
    /// What says how a model is fed and read makes no sense.
    #[error("the pipeline {name} is none: {reason}")]
    Pipeline {
        /// Its name, or its file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A pipeline for something else.
    #[error("the network's pipeline takes {takes}; give it one, or name another with --pipeline")]
    OtherInput {
        /// What it takes, in words.
        takes: &'static str,
    },
    /// A pipeline that does not make of a sound what the network takes.
    #[error(
        "input '{name}' is {text}, but the pipeline makes {} x {} numbers of a sound; name another with --pipeline",
        made[0], made[1]
    )]
    OtherWindow {
        /// The input.
        name: String,
        /// What it takes, in the file's own words.
        text: String,
        /// Moments, and numbers of a moment.
        made: [usize; 2],
    },
    /// An output and an input cannot be one state.
    #[error(
        "output '{output}' and input '{input}' cannot be one state: they must be of one kind that does not vary"
    )]
    NotOneState {
        /// The output.
        output: String,
        /// The input.
        input: String,
    },
    /// No vocabulary beside an encoder.
    #[error("there is no tokenizer.json or vocab.txt beside the network; name one with --tokenizer")]
    NoTokenizerBeside,
    /// A file of settings that is none.
    #[error("{name} beside the network: {source}; fetch it again")]
    Settings {
        /// The file.
        name: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A model of language where a network was wanted.
    #[error("{} is no network that takes arrays: it is a model that answers", path.display())]
    NotANetwork {
        /// The file.
        path: std::path::PathBuf,
    },
    /// An array of another kind than the network was built for.
    #[error(
        "input '{name}' is {given}, but the network was built for {built}; load it for such arrays, or change theirs"
    )]
    InputKind {
        /// Its name.
        name: String,
        /// What it was built for.
        built: Box<graph::ArrayType>,
        /// What was given.
        given: Box<graph::ArrayType>,
    },
    /// Numbers that decided how a network was built, and are others now.
    #[error("the numbers of input '{name}' decided how the network was built; load it again with these")]
    InputDecided {
        /// Its name.
        name: String,
    },
    /// A model that makes no vectors.
    #[error("{} is no encoder of texts: it is a model that answers; see pintpot run", path.display())]
    NotAnEncoder {
        /// The file.
        path: std::path::PathBuf,
    },
    /// An input that encoders of texts do not have.
    #[error(
        "the network takes '{name}', {text}, which an encoder of texts does not; feed it arrays with pintpot run --input"
    )]
    EncoderInput {
        /// Its name.
        name: String,
        /// What it is.
        text: String,
    },
    /// No output with what is wanted.
    #[error(
        "the network gives {found}; embed needs a vector for each token or text, rerank one number for a text"
    )]
    EncoderOutput {
        /// What it gives.
        found: String,
    },
    /// A part of sentence-transformers that is not supported.
    #[error(
        "modules.json or 1_Pooling asks for {name}, which is not supported; name a --pooling if you can do without"
    )]
    EncoderModule {
        /// The part.
        name: String,
    },
    /// An encoder that is for something else.
    #[error("this encoder makes {makes}; ask another one")]
    OtherTask {
        /// What it makes, in words.
        makes: &'static str,
    },
    /// A text without a single token.
    #[error("a text is empty; say something in it, or leave it out")]
    EmptyText,
    /// A text that is too long even to be cut.
    #[error("a text has {} bytes, more than 256 KiB; split it", bytes)]
    TextTooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// A token that is not in the vocabulary.
    #[error("token {id} is not in the vocabulary, which has {most}; send texts, or tokens of this model")]
    NoSuchToken {
        /// Its number.
        id: u32,
        /// Tokens that there are.
        most: usize,
    },
    /// There is nothing to answer.
    #[error("the prompt is empty; say something, or pass a prompt with -p")]
    EmptyPrompt,
    /// The prompt does not fit the context.
    #[error(
        "the prompt has {tokens} tokens, but the context holds {context}; use a shorter prompt or a larger context (-c), \
         which needs more memory"
    )]
    PromptTooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens of the context.
        context: u32,
    },
    /// More context than the model was made for.
    #[error(
        "a context of {asked} tokens was asked for, but the model was made for {most}; use -c {most} or less"
    )]
    ContextTooLong {
        /// Tokens asked for.
        asked: u32,
        /// Tokens that the model was made for.
        most: u32,
    },
    /// The file has no vocabulary.
    #[error("the file has no tokenizer ('{key}' is missing); text needs one")]
    NoTokenizer {
        /// The key that was looked for.
        key: &'static str,
    },
    /// The vocabulary and the matrix disagree.
    #[error(
        "damaged file: {tokens} tokens, but the vocabulary matrix has {rows} rows; download the file again"
    )]
    VocabularySize {
        /// Tokens in the tokenizer.
        tokens: usize,
        /// Rows of the matrix.
        rows: u32,
    },
    /// An option that makes no sense.
    #[error("{option} is {value}; it must be {expected}")]
    Option {
        /// The option.
        option: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// No kernels of that name on this machine.
    #[error("no kernels named '{name}' on this machine; there are {available}")]
    Isa {
        /// What was asked for.
        name: String,
        /// What there is.
        available: String,
    },
    /// Two budgets gave different answers to one prompt.
    #[error(
        "the answer depends on the budget: the logits are {} in {} and {} in {}; that is a fault of pintpot, please report it",
        digests[0], format_bytes(budgets[0]), digests[1], format_bytes(budgets[1])
    )]
    Digests {
        /// Both budgets, bytes.
        budgets: [u64; 2],
        /// The fingerprints of the logits in them.
        digests: [String; 2],
    },
    /// A disk cannot be slowed.
    #[error("the disk of {} cannot be slowed: {source}; --throttle takes root and a file on a real disk", path.display())]
    Throttle {
        /// A file on it.
        path: std::path::PathBuf,
        /// What the system said.
        source: host::Error,
    },
    /// There is no program to compare with.
    #[error(
        "no llama-bench, llama-completion or llama-cli in {looked}; build llama.cpp (cmake -B build && cmake --build build) or \
         take one of its releases, and name the program or its folder with --llama"
    )]
    NoPeer {
        /// Where it was looked for.
        looked: String,
    },
    /// A program to compare with failed.
    #[error("{}: {what}; run it by hand to see why", program.display())]
    Peer {
        /// The program.
        program: std::path::PathBuf,
        /// What it did, in words.
        what: String,
    },
    /// The kernel ended a program that took more memory than it may have.
    #[error("{} was killed, since it takes more than {}", program.display(), format_bytes(*bytes))]
    Killed {
        /// The program.
        program: std::path::PathBuf,
        /// What it was allowed.
        bytes: u64,
    },
    /// A text to judge by that does not fill a window.
    #[error(
        "the text has {tokens} tokens, but a window has {window}; take a longer text or a smaller --window"
    )]
    TextTooShort {
        /// Tokens of the text.
        tokens: usize,
        /// Tokens of a window.
        window: usize,
    },
    /// The template has no place for tools.
    #[error(
        "the chat template of this model has no place for tools, or writes calls in a way that pintpot does not know; use a model \
             that was made for tools, or leave them out"
    )]
    NoTools,
    /// The tool that must be called is not there.
    #[error("there is no tool named '{name}' among those of the request; name one of them")]
    NoSuchTool {
        /// The name that was asked for.
        name: String,
    },
    /// Calls cannot be forced.
    #[error("models of the {family} family cannot be held to a call; leave it to the model (auto)")]
    NoForcedTools {
        /// The family.
        family: &'static str,
    },
    /// No model of that name on a shelf.
    #[error("there is no model named '{name}' here; add it first")]
    NoSuchModel {
        /// The name that was asked for.
        name: String,
    },
    /// Models that do not give way leave too little.
    #[error(
        "the model needs at least {}, but those that do not give way hold {} of the {}; unload one or give a larger budget",
        host::format_bytes(*needed), host::format_bytes(*held), host::format_bytes(*budget)
    )]
    NoRoomBeside {
        /// Bytes that it needs.
        needed: u64,
        /// Bytes that the others hold.
        held: u64,
        /// The budget of all.
        budget: u64,
    },
    /// More than this machine has to give.
    #[error("{} were asked for, but this machine can spare {}", format_bytes(*asked), format_bytes(*most))]
    BeyondMachine {
        /// Bytes asked for.
        asked: u64,
        /// Bytes that there are.
        most: u64,
    },
    /// As many requests wait as may.
    #[error("{most} requests wait already; try again in a while")]
    QueueFull {
        /// How many may wait.
        most: usize,
    },
    /// The time that a request allowed was over before its turn came.
    #[error("the time allowed was over before the turn of the request came; try again in a while")]
    NoTurn,
    /// An answer that ended for a reason that has nothing to do with it.
    #[error("the answer ended: {why}")]
    Ended {
        /// The reason, in words.
        why: String,
    },
    /// A file that is not the output of a batch.
    #[error("line {line} of {} is not of a batch; name a new file, or one that a batch has begun", path.display())]
    NotABatch {
        /// The file.
        path: std::path::PathBuf,
        /// The line, from 1.
        line: u64,
    },
    /// The same file to read and to write.
    #[error("{} cannot be read and written at once; name another file for the answers", path.display())]
    SameFile {
        /// The file.
        path: std::path::PathBuf,
    },
    /// A model that cannot be packed as asked.
    #[error("the model cannot be packed so: {what}")]
    Pack {
        /// Why, in words.
        what: String,
    },
    /// Reference logits that do not fit the model.
    #[error("the reference logits do not fit: {what}")]
    Reference {
        /// What is wrong, in words.
        what: String,
    },
}

/// What class of trouble an error is; the program's exit codes follow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// It did not work.
    Failure,
    /// The user asked for something that cannot be.
    Usage,
    /// The budget.
    Budget,
    /// The model, or a part of it, is not there or not supported.
    Unsupported,
    /// The file is damaged, or cannot be read or written.
    Damaged,
    /// The network.
    Network,
}

impl Error {
    /// The class of this error.
    pub fn trouble(&self) -> Trouble {
        match self {
            Error::In { source, .. } => source.trouble(),
            Error::Refused(_) | Error::NoRoomBeside { .. } => Trouble::Budget,
            Error::File(e) | Error::Model(models::Error::File(e)) => file_trouble(e),
            Error::Model(models::Error::UnknownArchitecture { .. } | models::Error::Unsupported { .. })
            | Error::Model(models::Error::UnsupportedType { .. })
            | Error::Memory(::memory::Error::WideRow { .. })
            | Error::Characters { .. }
            | Error::NoPart { .. }
            | Error::NotHere { .. }
            | Error::NoPeer { .. }
            | Error::NoTokenizer { .. }
            | Error::NoTokenizerBeside
            | Error::NoEspeak { .. }
            | Error::NotAVoice { .. }
            | Error::NotAnEncoder { .. }
            | Error::NotANetwork { .. }
            | Error::EncoderInput { .. }
            | Error::EncoderModule { .. }
            | Error::EncoderOutput { .. } => Trouble::Unsupported,
            Error::Settings { .. } => Trouble::Damaged,
            Error::Model(models::Error::Input { .. } | models::Error::Open { .. })
            | Error::InputDecided { .. }
            | Error::InputKind { .. }
            | Error::MissingInput { .. }
            | Error::NoSuchInput { .. }
            | Error::NoSuchOutput { .. }
            | Error::OtherInput { .. }
            | Error::OtherWindow { .. }
            | Error::OutputKind { .. }
            | Error::Pipeline { .. }
            | Error::NotOneState { .. }
            | Error::Run(runtime::Error::InputBytes { .. } | runtime::Error::Operator(_)) => Trouble::Usage,
            Error::Model(models::Error::Read { .. }) => Trouble::Damaged,
            Error::Model(models::Error::Node { .. } | models::Error::Element { .. }) => Trouble::Unsupported,
            Error::Model(_) | Error::VocabularySize { .. } => Trouble::Damaged,
            Error::Text(e) => data_trouble(e.kind()),
            Error::Host(error) => host_trouble(error),
            Error::Hub(error) => match error.class() {
                hub::Class::Usage => Trouble::Usage,
                hub::Class::Missing => Trouble::Unsupported,
                hub::Class::Damaged => Trouble::Damaged,
                hub::Class::Network => Trouble::Network,
                _ => Trouble::Failure,
            },
            Error::Memory(error) | Error::Run(runtime::Error::Memory(error)) => match error {
                ::memory::Error::Host(error) => host_trouble(error),
                ::memory::Error::Read { .. } => Trouble::Damaged,
                _ => Trouble::Failure,
            },
            Error::Size(_)
            | Error::BeyondMachine { .. }
            | Error::EmptyPrompt
            | Error::EmptyText
            | Error::OtherTask { .. }
            | Error::NoSuchToken { .. }
            | Error::TextTooLong { .. }
            | Error::PromptTooLong { .. }
            | Error::ContextTooLong { .. }
            | Error::Option { .. }
            | Error::Pack { .. }
            | Error::NoForcedTools { .. }
            | Error::NoSuchModel { .. }
            | Error::NoSuchTool { .. }
            | Error::NoTools
            | Error::NotABatch { .. }
            | Error::SameFile { .. }
            | Error::TextTooShort { .. }
            | Error::Turns { .. }
            | Error::Isa { .. } => Trouble::Usage,
            _ => Trouble::Failure,
        }
    }

    /// Says in which file it was found.
    pub(crate) fn in_file(self, path: &std::path::Path) -> Error {
        Error::In { path: path.to_path_buf(), source: Box::new(self) }
    }
}

fn host_trouble(error: &host::Error) -> Trouble {
    match error {
        host::Error::Refused(_) => Trouble::Budget,
        host::Error::Append { .. }
        | host::Error::Changed { .. }
        | host::Error::Read { .. }
        | host::Error::Write { .. } => Trouble::Damaged,
        _ => Trouble::Failure,
    }
}

/// What people's data make.
fn data_trouble(kind: processors::Kind) -> Trouble {
    match kind {
        processors::Kind::Damaged | processors::Kind::Io => Trouble::Damaged,
        processors::Kind::Unsupported => Trouble::Unsupported,
        processors::Kind::Text => Trouble::Usage,
        processors::Kind::Memory => Trouble::Budget,
        _ => Trouble::Failure,
    }
}

fn file_trouble(error: &formats::Error) -> Trouble {
    match error.kind() {
        formats::Kind::Damaged | formats::Kind::Io => Trouble::Damaged,
        formats::Kind::Missing | formats::Kind::Unsupported => Trouble::Unsupported,
        formats::Kind::TooLarge => Trouble::Budget,
        _ => Trouble::Failure,
    }
}

impl From<host::Refused> for Error {
    fn from(refused: host::Refused) -> Error {
        Error::Host(refused.into())
    }
}
