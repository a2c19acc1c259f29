//! A network as it is: arrays in, arrays out, by name.
//!
//! What it is: the task for whoever makes arrays of their data themselves: views of numbers, checked against what the network was
//! built for. What it is not: people's data, which the other tasks take. The one design choice: nothing is copied; what goes in is
//! read where it lies, and what came out is looked at where the network left it, until the next run.

use std::path::Path;

use planner::Line;

use crate::{ArrayType, BuiltNetwork, Elem, Engine, Error, Examined, Extents, Feed, Network, PortType};

/// A number that arrays can be of.
pub trait Element: host::Plain {
    /// What an array calls it.
    const ELEM: Elem;
}

macro_rules! numbers {
    ($($number:ty: $elem:ident),*) => {$(
        impl Element for $number {
            const ELEM: Elem = Elem::$elem;
        }
    )*};
}

numbers!(f32: F32, f64: F64, i8: I8, i16: I16, i32: I32, i64: I64, u8: U8, u16: U16, u32: U32, u64: U64);

/// An array that lies somewhere else: its kind, and its elements without gaps, rows first, little-endian.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tensor<'a> {
    kind: ArrayType,
    bytes: &'a [u8],
}

impl<'a> Tensor<'a> {
    /// An array of these extents, outermost first.
    ///
    /// # Errors
    /// [`Error::Option`] if there are not so many elements.
    pub fn new<T: Element>(extents: &[usize], elements: &'a [T]) -> Result<Tensor<'a>, Error> {
        let wrong = || Error::Option {
            option: "extents",
            value: format!("{extents:?} for {} elements", elements.len()),
            expected: "as many as there are elements",
        };
        let kind = ArrayType { elem: T::ELEM, extents: Extents::new(extents).ok_or_else(wrong)? };
        Tensor::of_bytes(kind, host::as_bytes(elements)).ok_or_else(wrong)
    }

    /// An array of this kind; `None` if it has another number of bytes.
    pub fn of_bytes(kind: ArrayType, bytes: &'a [u8]) -> Option<Tensor<'a>> {
        (bytes.len() == kind.bytes()).then_some(Tensor { kind, bytes })
    }

    /// Its kind.
    pub fn kind(&self) -> ArrayType {
        self.kind
    }

    /// Its elements, if they are such numbers.
    pub fn elements<T: Element>(&self) -> Option<&'a [T]> {
        (self.kind.elem == T::ELEM).then(|| host::cast(self.bytes)).flatten()
    }

    /// Its elements as they lie.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }
}

impl From<(&str, Tensor<'_>)> for Feed {
    fn from((name, tensor): (&str, Tensor<'_>)) -> Feed {
        Feed { name: name.to_string(), kind: tensor.kind, bytes: Some(tensor.bytes.into()) }
    }
}

/// A network that takes arrays and gives arrays.
pub struct Tensors {
    network: Network,
    /// Inputs whose numbers decided how it was built.
    decided: Vec<Feed>,
}

impl Engine {
    /// Builds and loads the network in a file for arrays like `feeds`; those that the file declares in full may be left out.
    ///
    /// # Errors
    /// As [`Engine::examine`], [`Engine::build_network`] and [`Engine::load_network`].
    pub fn tensors(&self, path: &Path, feeds: &[Feed]) -> Result<Tensors, Error> {
        let Examined::Network(file) = self.examine(path)? else {
            return Err(Error::NotANetwork { path: path.to_path_buf() });
        };
        self.load_tensors(self.build_network(&file, feeds)?, feeds)
    }

    /// Loads a network that was built for `feeds`.
    ///
    /// # Errors
    /// As [`Engine::load_network`].
    pub fn load_tensors(&self, built: BuiltNetwork, feeds: &[Feed]) -> Result<Tensors, Error> {
        let network = self.load_network(built)?;
        let decides = |feed: &&Feed| {
            let port = network.inputs().iter().find(|port| port.name == feed.name);
            feed.bytes.is_some() && port.is_some_and(|port| network.is_decided_by(port))
        };
        let decided = feeds.iter().filter(decides).cloned().collect();
        Ok(Tensors { network, decided })
    }
}

impl Tensors {
    /// What it takes.
    pub fn inputs(&self) -> &[PortType] {
        self.network.inputs()
    }

    /// What it gives; of what is dynamic, at most.
    pub fn outputs(&self) -> &[PortType] {
        self.network.outputs()
    }

    /// The account, in printing order.
    pub fn lines(&self) -> &[Line] {
        self.network.lines()
    }

    /// Runs on arrays by name.
    ///
    /// # Errors
    /// An input that is missing or unknown, of another kind than the network was built for, or with other numbers where those
    /// decided how it was built.
    pub fn run(&mut self, given: &[(&str, Tensor<'_>)]) -> Result<(), Error> {
        for (name, tensor) in given {
            let names = || self.inputs().iter().map(|port| &*port.name).collect::<Vec<_>>().join(", ");
            let missing = || Error::NoSuchInput { name: name.to_string(), inputs: names() };
            let port = self.inputs().iter().find(|port| port.name == *name).ok_or_else(missing)?;
            if tensor.kind != port.kind {
                let (built, given) = (Box::new(port.kind), Box::new(tensor.kind));
                return Err(Error::InputKind { name: name.to_string(), built, given });
            }
            let decided = self.decided.iter().find(|feed| feed.name == *name);
            if decided.is_some_and(|feed| feed.bytes.as_deref() != Some(tensor.bytes)) {
                return Err(Error::InputDecided { name: name.to_string() });
            }
        }
        self.network.run_with(|name| Some(given.iter().find(|(own, _)| *own == name)?.1.bytes))
    }

    /// An output of the last run; `None` if there is no such, or if it never ran.
    pub fn output(&self, name: &str) -> Option<Tensor<'_>> {
        let (kind, bytes) = self.network.output(name)?;
        Tensor::of_bytes(kind, bytes)
    }

    /// Forgets what was carried from run to run: the next one is as the first.
    pub fn reset(&mut self) {
        self.network.reset();
    }
}
