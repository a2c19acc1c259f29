//! Networks as objects: arrays in, arrays out.
//!
//! What it is: elements of arrays as bytes, with their kind and extents, for whoever has arrays. What it is not: arrays; the Python
//! around it makes them, so that NumPy is wanted only where it is used. The one design choice: a network is built for its inputs
//! when it is loaded, as in the library, and others are refused.

use std::sync::{Mutex, PoisonError};

use engine::tasks::{Tensor, Tensors};
use engine::{Array, ArrayType, Elem, Error, Examined, Extents, Feed, Line, NetworkFile, PortType, numpy};
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::sync::MutexExt;
use pyo3::types::PyByteArray;

use crate::engines::{Engine, path_of};
use crate::error::raise;

/// Bytes by part of the account.
pub(crate) type Lines = Vec<(&'static str, u64)>;
/// A name, NumPy's name of the kind of elements, extents.
type Port = (String, &'static str, Vec<usize>);

/// A network in memory.
#[pyclass(frozen, module = "pintpot._pintpot")]
pub(crate) struct Network {
    /// `None` once it is closed.
    network: Mutex<Option<Tensors>>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    lines: Lines,
}

/// An input: its name, NumPy's name of its kind (that of the file if it is not said), its extents, and its elements if they are known.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Given {
    name: String,
    kind: Option<String>,
    extents: Vec<usize>,
    bytes: Option<PyBackedBytes>,
}

/// What is said of an account.
pub(crate) fn lines(lines: &[Line]) -> Lines {
    lines.iter().map(|line| (line.part.name(), line.bytes)).collect()
}

/// What is asked of something that has given its memory back.
pub(crate) fn closed() -> Error {
    Error::Ended { why: "it was closed".into() }
}

fn ports(ports: &[PortType]) -> Vec<Port> {
    let port = |port: &PortType| {
        (port.name.clone(), numpy::kind(port.kind.elem).unwrap_or("f4"), port.kind.extents.to_vec())
    };
    ports.iter().map(port).collect()
}

impl Given {
    /// What kind of array it is.
    fn kind(&self, declared: Option<Elem>) -> Result<ArrayType, Error> {
        let wrong = |expected| {
            let value = format!("{} {:?}", self.kind.as_deref().unwrap_or("array"), self.extents);
            Error::Option { option: "inputs", value, expected }
        };
        let elem = self.kind.as_deref().map_or(declared, numpy::elem);
        let elem = elem.ok_or_else(|| wrong("numbers or truth values"))?;
        let extents = Extents::new(&self.extents).ok_or_else(|| wrong("fewer axes or elements"))?;
        let kind = ArrayType { elem, extents };
        match &self.bytes {
            Some(bytes) if bytes.len() != kind.bytes() => Err(wrong("elements without gaps")),
            _ => Ok(kind),
        }
    }

    fn feed(&self, file: &NetworkFile) -> Result<Feed, Error> {
        let declared = file.inputs().into_iter().find(|input| input.name == self.name);
        let declared = declared.and_then(|input| input.elem).and_then(Result::ok);
        let kind = self.kind(declared)?;
        let bytes = self.bytes.as_ref().map(|bytes| bytes.to_vec().into());
        Ok(Feed { name: self.name.clone(), kind, bytes })
    }

    /// The array that it is, if its elements are known.
    fn tensor(&self) -> Result<Option<(&str, Tensor<'_>)>, Error> {
        let (kind, bytes) = (self.kind(None)?, self.bytes.as_deref());
        Ok(bytes.and_then(|bytes| Some((&*self.name, Tensor::of_bytes(kind, bytes)?))))
    }
}

impl Network {
    fn load(
        engine: &engine::Engine,
        model: &str,
        given: &[Given],
        carry: &[(String, String)],
    ) -> Result<Network, Error> {
        let path = path_of(model)?;
        let Examined::Network(file) = engine.examine(&path)? else {
            return Err(Error::NotANetwork { path });
        };
        let feeds = given.iter().map(|given| given.feed(&file)).collect::<Result<Vec<Feed>, Error>>()?;
        let mut built = engine.build_network(&file, &feeds)?;
        carry.iter().try_for_each(|(output, input)| built.carry(output, input))?;
        let network = engine.load_tensors(built, &feeds)?;
        let (inputs, outputs) = (ports(network.inputs()), ports(network.outputs()));
        let lines = lines(network.lines());
        Ok(Network { network: Mutex::new(Some(network)), inputs, outputs, lines })
    }
}

#[pymethods]
impl Network {
    #[new]
    fn new(
        py: Python<'_>,
        engine: &Engine,
        model: &str,
        given: Vec<Given>,
        carry: Vec<(String, String)>,
    ) -> PyResult<Network> {
        py.detach(|| Network::load(&engine.0, model, &given, &carry)).map_err(|error| raise(py, &error))
    }

    /// Runs on inputs; gives the outputs: their ports, and their elements.
    fn run<'py>(&self, py: Python<'py>, given: Vec<Given>) -> PyResult<Vec<(Port, Bound<'py, PyByteArray>)>> {
        // Whoever waits for his turn has given the interpreter's lock back, so it can be taken again here.
        let mut guard = self.network.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        let network = guard.as_mut().ok_or_else(|| raise(py, &closed()))?;
        py.detach(|| {
            let tensors = given.iter().filter_map(|given| given.tensor().transpose());
            network.run(&tensors.collect::<Result<Vec<_>, Error>>()?)
        })
        .map_err(|error| raise(py, &error))?;
        let output = |(name, kind, extents): &Port| {
            let Some(tensor) = network.output(name) else {
                return ((name.clone(), *kind, extents.clone()), PyByteArray::new(py, &[]));
            };
            let (array, bytes) = (tensor.kind(), tensor.bytes());
            let elements = match numpy::kind(array.elem) {
                Some(_) => PyByteArray::new(py, bytes),
                // NumPy has no brain floats.
                None => {
                    let numbers = Array { kind: array, bytes: bytes.into() }.fractions();
                    let bytes: Vec<u8> = numbers.iter().flat_map(|x| (*x as f32).to_ne_bytes()).collect();
                    PyByteArray::new(py, &bytes)
                }
            };
            ((name.clone(), *kind, array.extents.to_vec()), elements)
        };
        Ok(self.outputs.iter().map(output).collect())
    }

    #[getter]
    fn inputs(&self) -> Vec<Port> {
        self.inputs.clone()
    }

    #[getter]
    fn outputs(&self) -> Vec<Port> {
        self.outputs.clone()
    }

    /// The account, by part.
    #[getter]
    fn lines(&self) -> Lines {
        self.lines.clone()
    }

    /// Forgets what was carried from run to run.
    fn reset(&self, py: Python<'_>) {
        let mut guard = self.network.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = guard.as_mut() {
            network.reset();
        }
    }

    /// Gives the memory back.
    fn close(&self, py: Python<'_>) {
        drop(self.network.lock_py_attached(py).unwrap_or_else(PoisonError::into_inner).take());
    }
}
