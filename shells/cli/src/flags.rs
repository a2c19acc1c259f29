//! Every flag, once: its names, its environment twin, its help; and a command line as a value.
//!
//! What it is: the list [`FLAGS`] and the reading of arguments against it. What it is not: the meaning of a value,
//! which is its verb's. The one design choice: a flag's twin is derived from its name (`--top-k` is `PINTPOT_TOP_K`),
//! so none can be forgotten; what is typed wins over the environment, that
//! over the file of settings.

use std::ffi::OsString;
use std::str::FromStr;

use lexopt::{Arg, Parser};

use crate::config;
use crate::exit::Failure;
use crate::verbs::Verb;

/// One flag.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Flag {
    /// Without the dashes.
    pub name: &'static str,
    pub short: Option<char>,
    /// What stands after it; empty for a switch.
    pub value: &'static str,
    pub help: &'static str,
}

macro_rules! flags {
    ($($id:ident = $name:literal, $short:expr, $value:literal, $help:literal;)*) => {
        $(pub(crate) static $id: Flag = Flag { name: $name, short: $short, value: $value, help: $help };)*
        /// All flags, by name.
        pub(crate) static FLAGS: &[&Flag] = &[$(&$id),*];
    };
}

/// Numbers of a list at most.
const MOST: usize = 256;

/// What a conversation opens with if the user and the template leave it to us.
pub(crate) const DEFAULT_SYSTEM: &str = "You are a helpful AI assistant.";

flags! {
    API_KEY = "api-key", None, "KEY", "only who sends this key is answered; may be repeated";
    AUDIO = "audio", None, "FILE", "a sound, WAV, that a model is to hear; - is standard input";
    BUDGETS = "budgets", None, "LIST", "budgets of a sweep: shares of the model's file or sizes, 100%,50%,2GiB";
    BY_NEURON = "by-neuron", None, "", "store the way back of ReLU feed-forwards by neuron too, for sparse reads";
    BY_SENSITIVITY = "by-sensitivity", None, "", "with --skip-weak: more of it in layers that mind less, as profile measured";
    CONNECTIONS = "connections", None, "N", "connections at once";
    CONTEXT = "context", Some('c'), "TOKENS", "tokens that a conversation may have";
    CONTEXTS = "contexts", None, "N", "whole contexts of keys and values to plan for; requests share them by what each needs";
    FORESEE = "foresee", None, "HOW", "read experts that the layer before foresees: auto (if it is faster), on or off";
    FORMAT = "format", None, "FORM", "how words are printed: text, json, srt or vtt";
    FREQUENCY_PENALTY = "frequency-penalty", None, "X", "taken from a recent token's logit for each time it occurred";
    GRAMMAR = "grammar", None, "RULES", "what the answer may say: rules in GBNF, or in Lark as llguidance has it";
    GRAMMAR_FILE = "grammar-file", None, "FILE", "a file of such rules";
    HOST = "host", None, "ADDRESS", "where to listen; 127.0.0.1, this machine alone, if not said";
    IGNORE_EOS = "ignore-eos", None, "", "go on after the model says that it is done";
    IMAGE = "image", None, "FILE", "a picture, PNG or JPEG, that a network is to look at";
    INPUT = "input", None, "NAME=WHAT", "x=FILE.npy or x=1,2.5 for a network; a file of texts, one a line; may be repeated";
    IO = "io", None, "READER", "who reads the disk: auto, cached, pread, uring or uring2";
    ISA = "isa", None, "NAME", "instruction set of the kernels; the best there is if not said";
    JSON = "json", None, "", "print one JSON object";
    JSON_SCHEMA = "json-schema", Some('j'), "SCHEMA", "the answer is JSON that this schema allows; {} allows any";
    JSON_SCHEMA_FILE = "json-schema-file", None, "FILE", "a file of such a schema";
    KEEP_ALIVE = "keep-alive", None, "TIME", "unload a model that nobody asks for so long: 5m, 90; as long as there is room if not said";
    KV = "kv", None, "FORMAT", "how keys and values are kept: f16 or q8_0 (half the memory, changes answers a little)";
    LANGUAGE = "language", None, "NAME", "the language that is spoken, such as en or de; found out if not said";
    LLAMA = "llama", None, "PATH", "llama-bench, llama-completion or llama-cli, or its folder; else PATH is searched";
    LOGIT_BIAS = "logit-bias", None, "ID=X", "added to the logit of a token; may be repeated";
    MEMORY = "memory", None, "SIZE", "the budget of the whole process: 64MiB, 1.5G, 50%, auto, or @FILE, read anew at SIGUSR1";
    MIN_P = "min-p", None, "P", "only tokens at least this fraction as likely as the likeliest";
    MODEL = "model", Some('m'), "MODEL", "the model, instead of the first word, or of the one that the lines of a batch name";
    MODELS = "models", None, "FOLDER", "a folder of networks that belong together";
    N_DEPTH = "n-depth", Some('d'), "LIST", "tokens in the cache before the clock starts: 0, or 0,4096";
    N_GEN = "n-gen", Some('n'), "LIST", "tokens of answers to time: 128, or 32,128; 0 for none; may be repeated";
    N_PROMPT = "n-prompt", Some('p'), "LIST", "tokens of prompts to time: 512, or 128-512*2; 0 for none; may be repeated";
    NO_NORMALIZE = "no-normalize", None, "", "vectors stay as long as they come out";
    NOISE = "noise", None, "X", "how much of a voice is chance: 0 for nothing; as the voice has it if not said";
    OUT = "out", None, "FILE", "where to write: report.html, a picture with what was seen, vectors (.npy) or speech (.wav)";
    OUT_DIR = "out-dir", None, "FOLDER", "where a network's outputs go, each as NAME.npy";
    OUTPUT = "output", Some('o'), "FORMAT", "md, json or csv";
    OVERFLOW = "overflow", None, "HOW", "a chat that outgrows the context: refuse or drop-oldest";
    PARALLEL = "parallel", None, "N", "answers in one step at most";
    PHONEMES = "phonemes", None, "IPA", "what is said, in the International Phonetic Alphabet, instead of words";
    PIPELINE = "pipeline", None, "FILE", "how the network is fed and read, if its name does not say; or a built-in one's name";
    PLAN = "plan", None, "", "say what it takes and do nothing";
    POOLING = "pooling", None, "HOW", "how vectors of tokens become one: cls, last, max, mean, or network, which has done it";
    PORT = "port", None, "N", "the port to listen on; 8080 if not said, 0 for any that is free";
    PRESENCE_PENALTY = "presence-penalty", None, "X", "taken from the logit of every recent token";
    PROMPT = "prompt", Some('p'), "TEXT", "the prompt, instead of the words after the model; - reads standard input";
    QUERY = "query", None, "TEXT", "what texts are to answer";
    QUEUE = "queue", None, "N", "requests that may wait for their turn";
    RAW = "raw", None, "", "give the prompt to the model as it is, without the chat template";
    REFERENCE = "reference", None, "FILE", "logits to compare with";
    REPEAT_PENALTY = "repeat-penalty", None, "X", "divides the logits of recent tokens";
    REPETITIONS = "repetitions", Some('r'), "N", "timed runs, or rounds, after one that does not count";
    SEED = "seed", None, "N", "start of the draws";
    SENSITIVITY = "sensitivity", None, "", "measure too how much each layer minds that experts are left out";
    SHAPE = "shape", None, "NAME=SHAPE", "extents of an input of a network, such as 1x3x224x224; may be repeated";
    SKIP_COLD = "skip-cold", None, "SHARE", "leave out experts not in memory below this share of the strongest; changes answers";
    SKIP_WEAK = "skip-weak", None, "SHARE", "leave out experts below this share of the strongest; changes answers";
    SPARSITY = "sparsity", None, "SHARE", "put this share of the neurons to sleep, by --text; changes answers";
    STAND_IN = "stand-in", None, "SHARE", "read experts below this share of the strongest in their coarser copy; changes answers";
    STAND_INS = "stand-ins", None, "TYPE", "add a coarser copy of all experts, such as q4_0, for --stand-in";
    STATS = "stats", None, "", "say where bytes and seconds went";
    STOP = "stop", None, "TEXT", "a text that ends the answer; may be repeated";
    SWEEP = "sweep", None, "", "foretell many budgets, those of --budgets if it is given";
    SYSTEM = "system", None, "TEXT", "the system message; \"\" for the template's own";
    TASK = "task", None, "TASK", "transcribe, or translate what is said into English";
    TEMP = "temp", None, "X", "0 takes the likeliest token; larger is more varied";
    TEXT = "text", None, "TEXT", "a text that a network is to take, or the file of one to judge by";
    THREADS = "threads", Some('t'), "N", "threads that compute; all physical cores if not said; bench takes a list";
    THRESHOLD = "threshold", None, "SHARE", "how likely speech, or what else is heard, must be to count; listen takes 0.5 if not said";
    THROTTLE = "throttle", None, "RATE", "the most that the model's disk may give, such as 100MB/s; needs root";
    TIMESTAMPS = "timestamps", None, "", "say when each piece was said";
    TOKENIZER = "tokenizer", None, "PATH", "tokenizer.json or vocab.txt, or the folder of one, if not beside the network";
    TOKENS = "tokens", Some('n'), "N", "tokens of the answer at most";
    TOP = "top", None, "N", "classes that are told; 5 if not said";
    TOP_K = "top-k", None, "N", "only so many of the likeliest tokens; 0 is all";
    TOP_P = "top-p", None, "P", "only the likeliest tokens that together have this probability";
    TYPE = "type", None, "LIST", "types of weights such as q4_0,q8_0, or all; may be repeated";
    WINDOW = "window", None, "TOKENS", "tokens of a window";
    WINDOWS = "windows", None, "N", "windows at most";
    YIELD = "yield", None, "", "give memory back while the system is short of it, and take it again afterwards";
}

impl Flag {
    /// The environment variable that means the same.
    pub fn twin(&self) -> String {
        format!("PINTPOT_{}", self.name.to_ascii_uppercase().replace('-', "_"))
    }
}

/// A command line: what was typed, and the environment behind it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Args {
    /// The words that are no flags.
    pub operands: Vec<String>,
    typed: Vec<(&'static Flag, String)>,
    /// What the environment or the file of settings says of flags that were not typed.
    behind: Vec<(&'static Flag, String)>,
}

impl Args {
    /// Reads the words after the verb; `None` when help is wanted.
    pub fn parse(verb: &Verb, words: impl IntoIterator<Item = OsString>) -> Result<Option<Args>, Failure> {
        let usage = |error: String| {
            Failure::usage(format!("{error}\n  pintpot {} --help lists its flags", verb.name))
        };
        let mut args = Args::default();
        let mut parser = Parser::from_args(words);
        while let Some(arg) = parser.next().map_err(|error| usage(error.to_string()))? {
            let flag = match &arg {
                Arg::Long("help") | Arg::Short('h') => return Ok(None),
                Arg::Long(name) => verb.flags().find(|flag| flag.name == *name),
                Arg::Short(letter) => verb.flags().find(|flag| flag.short == Some(*letter)),
                Arg::Value(word) => {
                    args.operands.push(text(word.clone()).map_err(usage)?);
                    continue;
                }
            };
            let Some(flag) = flag else { return Err(usage(unknown(&arg))) };
            let value = match flag.value {
                "" => "1".to_string(),
                _ => text(parser.value().map_err(|error| usage(error.to_string()))?).map_err(usage)?,
            };
            args.typed.push((flag, value));
        }
        // A model that is named by its flag leaves the first place to what comes after it.
        let takes_model = verb.operands.first() == Some(&"MODEL");
        let places = verb.operands.len() - usize::from(takes_model && args.typed(&MODEL).is_some());
        let many = verb.operands.iter().any(|operand| operand.contains("..."));
        if let Some(extra) = args.operands.get(places).filter(|_| !many) {
            return Err(usage(format!("{extra:?} is one word too many")));
        }
        let settings = config::load()?;
        for flag in verb.flags().filter(|flag| args.typed(flag).is_none()).collect::<Vec<_>>() {
            let of_flag =
                settings.iter().filter(|(name, _)| name == flag.name).map(|(_, value)| value.clone());
            match std::env::var_os(flag.twin()).filter(|value| !value.is_empty()) {
                Some(value) => args.behind.push((flag, text(value).map_err(usage)?)),
                None => args.behind.extend(of_flag.map(|value| (flag, value))),
            }
        }
        Ok(Some(args))
    }

    /// The value of a flag: the last one typed, or that of its twin, or that of the file of settings.
    pub fn get(&self, flag: &Flag) -> Option<&str> {
        self.all(flag).last()
    }

    /// All values of a flag that may be repeated.
    pub fn all(&self, flag: &Flag) -> impl Iterator<Item = &str> {
        self.typed
            .iter()
            .chain(&self.behind)
            .filter(move |(other, _)| *other == flag)
            .map(|(_, value)| value.as_str())
    }

    /// The value of a flag, if it was typed.
    pub fn typed(&self, flag: &Flag) -> Option<&str> {
        self.typed.iter().rfind(|(other, _)| *other == flag).map(|(_, value)| value.as_str())
    }

    /// The same, with what was typed behind a flag as the last operand instead.
    pub fn as_operand(&self, flag: &Flag) -> Args {
        let mut args = self.clone();
        args.operands.extend(self.typed(flag).map(str::to_string));
        args.typed.retain(|(other, _)| *other != flag);
        args
    }

    /// Whether a switch is on; its twin may turn it off with 0.
    pub fn is_on(&self, flag: &Flag) -> bool {
        self.get(flag).is_some_and(|value| !matches!(value, "0" | "false" | "no" | "off"))
    }

    /// All numbers of a flag that takes lists and may be repeated; empty if it was not given.
    pub fn list(&self, flag: &Flag, expected: &str) -> Result<Vec<u32>, Failure> {
        let mut all = Vec::new();
        for value in self.all(flag) {
            all.extend(numbers(value).ok_or_else(|| wrong(flag, value, expected))?);
        }
        Ok(all)
    }

    /// The value of a flag, read; `expected` says in words what it must be.
    pub fn read<T: FromStr>(&self, flag: &Flag, expected: &str) -> Result<Option<T>, Failure> {
        let read = |value: &str| value.parse().map_err(|_| wrong(flag, value, expected));
        self.get(flag).map(read).transpose()
    }
}

/// Reads numbers as llama-bench takes them: `1,2`, `1-4`, `0-4096+1024`, `128-512*2`, at most [`MOST`] in all.
fn numbers(text: &str) -> Option<Vec<u32>> {
    let number = |text: &str| text.trim().parse::<u32>().ok();
    let mut all = Vec::new();
    for part in text.split(',') {
        let Some((first, rest)) = part.split_once('-') else {
            all.push(number(part)?);
            continue;
        };
        let by = |mark| rest.split_once(mark).and_then(|(last, by)| Some((number(last)?, number(by)?)));
        let (last, add, times) = match (by('+'), by('*')) {
            (Some((last, add)), _) => (last, add, 1),
            (None, Some((last, times))) => (last, 0, times),
            (None, None) => (number(rest)?, 1, 1),
        };
        let next = |at: u32| at.checked_mul(times)?.checked_add(add).filter(|next| *next > at);
        let mut at = number(first).filter(|first| *first <= last);
        at?;
        while let Some(number) = at.filter(|at| *at <= last && all.len() <= MOST) {
            all.push(number);
            at = next(number);
        }
    }
    (all.len() <= MOST).then_some(all)
}

/// Why a flag is not taken.
fn unknown(arg: &Arg<'_>) -> String {
    match arg {
        Arg::Long(name) if FLAGS.iter().any(|flag| flag.name == *name) => {
            format!("--{name} is a flag of another verb")
        }
        Arg::Long(name) => format!("there is no flag --{name}"),
        Arg::Short(letter) => format!("there is no flag -{letter} here"),
        Arg::Value(word) => format!("{word:?} is no flag"),
    }
}

/// The value of a flag makes no sense.
pub(crate) fn wrong(flag: &Flag, value: &str, expected: &str) -> Failure {
    Failure::usage(format!("--{} is {value:?}; it must be {expected}", flag.name))
}

fn text(word: OsString) -> Result<String, String> {
    word.into_string().map_err(|word| format!("{word:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verbs::VERBS;

    fn parse(line: &str) -> Result<Option<Args>, Failure> {
        let verb = VERBS.iter().find(|verb| verb.name == "run").unwrap();
        Args::parse(verb, line.split(' ').map(OsString::from))
    }

    #[test]
    fn a_line_is_read() {
        let args = parse("m --temp 0.5 -c 300 --stop a --stop=b --json hello -n5").unwrap().unwrap();
        assert_eq!(args.operands, ["m", "hello"]);
        assert_eq!(args.read::<f32>(&TEMP, "a number").unwrap(), Some(0.5));
        assert_eq!(args.read::<u32>(&CONTEXT, "a number").unwrap(), Some(300));
        assert_eq!(args.get(&TOKENS), Some("5"));
        assert_eq!(args.all(&STOP).collect::<Vec<_>>(), ["a", "b"]);
        assert!(args.is_on(&JSON) && !args.is_on(&RAW));
        assert!(parse("m --help").unwrap().is_none());
        let heard = parse("m --audio x.wav -n5").unwrap().unwrap().as_operand(&AUDIO);
        assert_eq!(
            (&*heard.operands, heard.get(&AUDIO), heard.get(&TOKENS)),
            (&["m".into(), "x.wav".into()][..], None, Some("5"))
        );
        for bad in ["m --nonsense", "m a b", "-m m a b", "m --temp", "m --query x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        assert!(parse("m -c x").unwrap().unwrap().read::<u32>(&CONTEXT, "a number").is_err());
    }

    #[test]
    fn lists_are_read_as_llama_bench_reads_them() {
        for (text, expected) in [
            ("512", Some(vec![512])),
            ("1,2, 4", Some(vec![1, 2, 4])),
            ("1-3,8", Some(vec![1, 2, 3, 8])),
            ("0-4096+2048", Some(vec![0, 2048, 4096])),
            ("128-600*2", Some(vec![128, 256, 512])),
            ("0-9*2", Some(vec![0])),
            ("3-1", None),
            ("1-4294967295", None),
            ("", None),
            ("1,,2", None),
            ("-1", None),
            ("x", None),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
        let verb = VERBS.iter().find(|verb| verb.name == "bench").unwrap();
        let words = ["m", "-p", "1,2", "-p", "4", "-n", "x"].map(OsString::from);
        let args = Args::parse(verb, words).unwrap().unwrap();
        assert_eq!(args.list(&N_PROMPT, "numbers").unwrap(), [1, 2, 4]);
        assert!(args.list(&N_DEPTH, "numbers").unwrap().is_empty());
        assert!(args.list(&N_GEN, "numbers").is_err());
    }

    #[test]
    fn flags_are_sorted_and_each_is_some_verbs() {
        assert!(FLAGS.is_sorted_by(|a, b| a.name < b.name));
        for flag in FLAGS {
            assert!(VERBS.iter().any(|verb| verb.flags().any(|other| other == *flag)), "{}", flag.name);
        }
        assert_eq!(TOP_K.twin(), "PINTPOT_TOP_K");
    }
}
