//! An encoder that runs: texts of any length through a network that is built for one at a time.
//!
//! What it is: what `embed` and `rerank` have in common. What it is not: what becomes of the outputs. The one design choice: the
//! account is that of the longest text that may come; for texts of another length the network is built anew over the weights
//! that are there. Texts of one length share a run where the network's numbers cannot tell, else each has its own.

use super::encoder_file::EncoderFile;
use crate::network::Upkeep;
use crate::{BuiltNetwork, Engine, Error, Feed, Network, NetworkFile};
use graph::{ArrayType, Elem, Extents};
use planner::{Line, Refusal};
use processors::text::{Encoding, Tokenizer};

/// Texts that are worked on together: so many are sorted by their lengths.
pub(super) const TOGETHER: usize = 64;
/// Texts that share a run at most, and tokens from which on they do. A product of few rows is made another way than one of
/// many, and nobody's vector may depend on who else is there.
const SHARED: usize = 8;
const SHARED_FROM: usize = 9;
/// The longest text, in bytes.
const TEXT_MAX: usize = 256 << 10;
/// What texts take, a piece of one while it is cut into tokens, and small lists.
const HEAP: u64 = 2 * TEXT_MAX as u64 + (128 << 10);

/// How an encoder is to be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EncoderOptions {
    /// Tokens that a text may have, marks included; longer ones are cut. If not said: what the model was made for.
    pub longest: Option<u32>,
    /// How vectors of tokens become one. If not said: what the files say, or the mean.
    pub pooling: Option<super::Pooling>,
    /// Whether vectors stay as long as they come out.
    pub keeps_length: bool,
    /// Bytes that a server holds for those who talk to it.
    pub connections: u64,
}

/// A text, or the tokens of one.
#[derive(Clone, Copy, Debug)]
pub enum TextInput<'a> {
    /// A text.
    Text(&'a str),
    /// Tokens without marks.
    Tokens(&'a [u32]),
}

/// What an input of the network is fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Ids,
    /// All tokens count.
    Mask,
    Positions,
    Types,
}

/// Names of inputs, as exports spell them.
const ROLES: [(&str, Role); 7] = [
    ("attention_mask", Role::Mask),
    ("input_ids", Role::Ids),
    ("input_mask", Role::Mask),
    ("position_ids", Role::Positions),
    ("segment_ids", Role::Types),
    ("token_type_ids", Role::Types),
    ("tokens", Role::Ids),
];

/// An input: its name, what it is fed, and as which kind.
struct Port {
    name: String,
    role: Role,
    elem: Elem,
}

/// A network over texts.
struct Shape<'f> {
    file: &'f NetworkFile,
    ports: &'f [Port],
}

impl Shape<'_> {
    /// The network for so many texts of so many tokens.
    fn build(&self, batch: usize, tokens: usize) -> Result<BuiltNetwork, Error> {
        let extents = Extents::new(&[batch, tokens]).ok_or(Error::TextTooLong { bytes: tokens })?;
        let feed = |port: &Port| Feed {
            name: port.name.clone(),
            kind: ArrayType { elem: port.elem, extents },
            bytes: None,
        };
        BuiltNetwork::new(self.file, &self.ports.iter().map(feed).collect::<Vec<_>>())
    }
}

/// What an encoder's runs give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// A vector for each token.
    Tokens,
    /// A vector for each text.
    Texts,
}

/// An encoder, loaded.
pub(super) struct Encoder {
    file: NetworkFile,
    ports: Vec<Port>,
    network: Network,
    pub tokenizer: Tokenizer,
    pub longest: usize,
    output: String,
    /// Numbers of a token's, or of a text's, vector.
    pub width: usize,
    /// Texts, and tokens of each, that the network is built for.
    extents: [usize; 2],
    /// Whether texts share a run: what the file computes may depend on all of them, what we build does not.
    shares: bool,
    fed: Vec<Vec<u8>>,
}

/// What is decided before an encoder is loaded.
pub(super) struct Prepared {
    ports: Vec<Port>,
    built: BuiltNetwork,
    longest: usize,
    output: String,
    pub width: usize,
}

/// Decides how `file` is used and builds it for the longest text.
pub(super) fn prepare(
    file: &EncoderFile,
    options: &EncoderOptions,
    wanted: Wanted,
) -> Result<Prepared, Error> {
    let longest = options.longest.unwrap_or(file.longest);
    if longest > file.most {
        return Err(Error::ContextTooLong { asked: longest, most: file.most });
    }
    if longest < 3 {
        return Err(Error::Option { option: "-c", value: longest.to_string(), expected: "at least 3" });
    }
    let longest = longest as usize;
    let ports = file.file.inputs().into_iter().filter(|input| !input.has_default).map(|input| {
        let role = ROLES.iter().find(|(name, _)| *name == input.name).map(|(_, role)| *role);
        let elem = input.elem.transpose()?.filter(|elem| [Elem::I64, Elem::I32].contains(elem));
        match (role, elem) {
            (Some(role), Some(elem)) => Ok(Port { name: input.name, role, elem }),
            _ => Err(Error::EncoderInput { name: input.name, text: input.text }),
        }
    });
    let ports = ports.collect::<Result<Vec<_>, Error>>()?;
    let built = Shape { file: &file.file, ports: &ports }.build(1, longest)?;
    let (output, width) = output(&built, longest, wanted)?;
    let of_text = 8 * longest + 4 * width;
    let fed = ports.iter().map(|port| port.elem.bytes() * longest).sum::<usize>();
    let upkeep = Upkeep {
        heap: HEAP + (TOGETHER * of_text + fed) as u64 + file.vocabulary.heap_bytes(),
        tokenizer: file.vocabulary.bytes(),
        connections: options.connections,
        rebuilds: true,
    };
    Ok(Prepared { ports, built: built.with_upkeep(upkeep), longest, output, width })
}

/// The output that has what is wanted, and how wide it is.
fn output(built: &BuiltNetwork, tokens: usize, wanted: Wanted) -> Result<(String, usize), Error> {
    let outputs = built.outputs();
    let mut fits = outputs.iter().filter_map(|port| match (wanted, &port.kind.extents[..]) {
        _ if port.kind.elem != Elem::F32 => None,
        (Wanted::Tokens, [1, own, width]) if *own == tokens => Some((port.name.clone(), *width)),
        (Wanted::Texts, [1, width]) => Some((port.name.clone(), *width)),
        _ => None,
    });
    fits.next().ok_or_else(|| {
        let found: Vec<String> = outputs.iter().map(|port| format!("{} {}", port.name, port.kind)).collect();
        Error::EncoderOutput { found: found.join(", ") }
    })
}

impl Prepared {
    /// The account in so many bytes.
    pub fn plan(&self, engine: &Engine, budget: u64) -> Result<Vec<Line>, Refusal> {
        engine.plan_network_in(&self.built, budget)
    }
}

impl Encoder {
    /// Loads what was prepared, or refuses before a weight is read.
    pub fn load(engine: &Engine, file: EncoderFile, prepared: Prepared) -> Result<Encoder, Error> {
        let Prepared { ports, built, longest, output, width } = prepared;
        let network = engine.load_network(built)?;
        let EncoderFile { file, vocabulary, .. } = file;
        let tokenizer = vocabulary.build()?;
        host::trim_heap();
        let shares = matches!(file, NetworkFile::Encoder(_));
        let fed = vec![Vec::new(); ports.len()];
        Ok(Encoder {
            file,
            ports,
            network,
            tokenizer,
            longest,
            output,
            width,
            extents: [1, longest],
            shares,
            fed,
        })
    }

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        self.network.lines()
    }

    /// One text or two as the network wants them.
    pub fn encode(&self, first: TextInput<'_>, second: Option<&str>) -> Result<Encoding, Error> {
        let most = self.tokenizer.len();
        match first {
            TextInput::Text(text) => {
                let long =
                    [Some(text), second].into_iter().flatten().map(str::len).find(|len| *len > TEXT_MAX);
                match long {
                    Some(bytes) => Err(Error::TextTooLong { bytes }),
                    None => Ok(self.tokenizer.encode_texts(text, second, self.longest)?),
                }
            }
            TextInput::Tokens(ids) => match ids.iter().find(|id| **id as usize >= most) {
                Some(id) => Err(Error::NoSuchToken { id: *id, most }),
                None => {
                    Ok(self.tokenizer.spec().post_processor.process((ids, ids.len()), None, self.longest))
                }
            },
        }
    }

    /// Calls `each` with the number of every text and what the network makes of it, texts of a length together.
    pub fn run(&mut self, texts: &[Encoding], mut each: impl FnMut(usize, &[f32])) -> Result<(), Error> {
        let mut order: Vec<usize> = (0..texts.len()).collect();
        order.sort_by_key(|number| (texts[*number].ids.len(), *number));
        for equal in order.chunk_by(|a, b| texts[*a].ids.len() == texts[*b].ids.len()) {
            let tokens = equal.first().map_or(0, |number| texts[*number].ids.len());
            if tokens == 0 {
                return Err(Error::EmptyText);
            }
            let mut left = equal;
            while !left.is_empty() {
                let most = match self.shares && tokens >= SHARED_FROM {
                    true => (self.longest / tokens).clamp(1, left.len().min(SHARED)),
                    false => 1,
                };
                let (now, later) = left.split_at(self.rebuild(most, tokens)?.min(left.len()));
                self.feed(texts, now);
                let feeds: Vec<(&str, &[u8])> =
                    self.ports.iter().zip(&self.fed).map(|(port, bytes)| (&*port.name, &**bytes)).collect();
                self.network.run(&feeds)?;
                let made = self.network.output(&self.output).and_then(|(_, bytes)| host::cast(bytes));
                let made: &[f32] = made.ok_or(Error::EncoderOutput { found: self.output.clone() })?;
                let of_text = made.len() / now.len();
                now.iter()
                    .zip(made.chunks_exact(of_text.max(1)))
                    .for_each(|(number, made)| each(*number, made));
                left = later;
            }
        }
        Ok(())
    }

    /// Makes the network one for at most so many texts of so many tokens; gives how many texts it is for.
    fn rebuild(&mut self, most: usize, tokens: usize) -> Result<usize, Error> {
        let mut batch = most;
        while self.extents != [batch, tokens] {
            let built = Shape { file: &self.file, ports: &self.ports }.build(batch, tokens)?;
            if batch == 1 || self.network.has_room_for(&built) {
                self.network.rebuild(built)?;
                self.extents = [batch, tokens];
            } else {
                batch /= 2;
            }
        }
        Ok(batch)
    }

    /// Writes what the inputs are for these texts.
    fn feed(&mut self, texts: &[Encoding], now: &[usize]) {
        for (port, fed) in self.ports.iter().zip(&mut self.fed) {
            fed.clear();
            for number in now {
                let Encoding { ids, type_ids } = &texts[*number];
                for (place, (id, type_id)) in ids.iter().zip(type_ids).enumerate() {
                    let number = match port.role {
                        Role::Ids => u64::from(*id),
                        Role::Mask => 1,
                        Role::Positions => place as u64,
                        Role::Types => u64::from(*type_id),
                    };
                    fed.extend_from_slice(&number.to_le_bytes()[..port.elem.bytes()]);
                }
            }
        }
    }
}
