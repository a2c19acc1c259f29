//! One case of ONNX's own suite: a network, inputs, and what must come out.
//!
//! Not a list of cases. The one design choice: a case is run by the parts that a user's run consists of, importer, plan and
//! executor, and compared at the suite's own tolerances.

use formats::onnx::{self, Model, TensorInfo, Value, ValueType};
use formats::{Contents, Limits};
use graph::array::Array;
use graph::{ArrayType, Bounds, Extents, Plan, ValueId};
use host::{Ledger, Pool, ReadAt};
use kernels::Cpu;
use models::network::{Given, Item, Network};
use pintpot_runtime::{ArrayExecutor, ArrayParts};
use std::fs;
use std::path::Path;
use std::sync::Arc;

/// Memory that a case may take.
const BUDGET: u64 = 2 << 30;

/// Runs the case in a folder of the suite: `model.onnx` and folders of inputs and outputs beside it. Says what is wrong.
pub fn run(folder: &Path) -> Result<(), String> {
    let contents = formats::examine(&folder.join("model.onnx"), Limits::default()).map_err(text)?;
    let Contents::Onnx(model) = contents else { return Err("not an ONNX model".into()) };
    let sets = (0..).map(|n| folder.join(format!("test_data_set_{n}"))).take_while(|set| set.is_dir());
    sets.enumerate().try_for_each(|(n, set)| case(&model, &set).map_err(|what| format!("set {n}: {what}")))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn case(model: &Model, set: &Path) -> Result<(), String> {
    let default = |name: &str| {
        let named = |tensor: &TensorInfo| *tensor.name == *name;
        model.graph.initializers.iter().any(named)
    };
    let declared = model.graph.inputs.iter().filter(|input| !default(&input.name));
    let read = |kind: &str, n: usize, value_type: &ValueType| -> Result<Option<Held>, String> {
        match fs::read(set.join(format!("{kind}_{n}.pb"))) {
            Ok(bytes) => Held::read(&bytes, value_type).map(Some),
            Err(_) => Ok(None),
        }
    };
    let mut inputs = Vec::new();
    for (n, input) in declared.enumerate() {
        if let Some(held) = read("input", n, &input.value_type)? {
            inputs.push((&*input.name, held));
        }
    }
    let files: Vec<Vec<u8>> =
        model.files.iter().map(|part| fs::read(&part.path).map_err(text)).collect::<Result<_, _>>()?;
    let files: Vec<&dyn ReadAt> = files.iter().map(|file| file as &dyn ReadAt).collect();
    let given: Vec<(&str, Given<'_>)> = inputs.iter().map(|(name, held)| (*name, held.given())).collect();
    let network = models::onnx::build(model, &files, &given).map_err(text)?;
    let mut feed = Vec::new();
    for port in &network.inputs {
        if let Some((_, held)) = inputs.iter().find(|(name, _)| *name == &*port.name) {
            held.feed(&port.item, &mut feed);
        }
    }
    let outputs: Vec<(Box<str>, Item)> =
        network.outputs.iter().map(|port| (port.name.clone(), port.item.clone())).collect();
    let mut executor = executor(network, &files)?;
    executor.run(feed.iter().map(|(id, bytes)| (*id, &bytes[..]))).map_err(text)?;
    for (n, ((name, item), declared)) in outputs.iter().zip(&model.graph.outputs).enumerate() {
        let Some(expected) = read("output", n, &declared.value_type)? else { continue };
        expected.compare(item, &executor).map_err(|what| format!("output '{name}': {what}"))?;
    }
    Ok(())
}

/// A network ready to run.
fn executor(network: Network, files: &[&dyn ReadAt]) -> Result<ArrayExecutor, String> {
    let ledger = Ledger::new(BUDGET);
    let graph = Arc::new(network.graph);
    let plan = Plan::new(&graph, Bounds { rows: 1, logit_rows: 1 });
    let pool = Pool::new(&ledger, 2).map_err(text)?;
    let kernels = kernels::best();
    let cpu = Cpu::new(kernels, pool, &ledger).map_err(text)?;
    let parts = ArrayParts { graph: Arc::clone(&graph), plan, dynamic: network.dynamic, cpu, passing: None };
    let read = |weight: usize, _: u64, bytes: &mut [u8]| {
        let place = &network.weights[graph.weights[weight].tensor];
        place.read(files[place.file as usize], bytes).map_err(|source| {
            let (tensor, offset) = (graph.weights[weight].name.clone(), place.range.start);
            memory::Error::Read { tensor, offset, source }
        })
    };
    ArrayExecutor::new(&ledger, parts, read).map_err(text)
}

/// An input or an expected output.
enum Held {
    Array(Array),
    None,
    Sequence(Vec<Held>),
}

impl Held {
    fn read(bytes: &dyn ReadAt, value_type: &ValueType) -> Result<Held, String> {
        let value = onnx::read_value(bytes, value_type, Limits::default()).map_err(text)?;
        Held::new(&value, bytes)
    }

    fn new(value: &Value, source: &dyn ReadAt) -> Result<Held, String> {
        Ok(match value {
            Value::Optional(None) => Held::None,
            Value::Optional(Some(value)) => Held::new(value, source)?,
            Value::Sequence(values) => {
                Held::Sequence(values.iter().map(|value| Held::new(value, source)).collect::<Result<_, _>>()?)
            }
            Value::Tensor(tensor) => Held::Array(array(tensor, source)?),
            _ => return Err("a value of a kind that is not compared".into()),
        })
    }

    fn given(&self) -> Given<'_> {
        match self {
            Held::Array(array) => Given::Array { kind: array.kind, bytes: Some(&array.bytes) },
            Held::None => Given::None,
            Held::Sequence(items) => Given::Sequence(items.iter().map(Held::given).collect()),
        }
    }

    fn feed<'a>(&'a self, item: &Item, feed: &mut Vec<(ValueId, &'a [u8])>) {
        match (self, item) {
            (Held::Array(array), Item::Value(id)) => feed.push((*id, &array.bytes)),
            (Held::Sequence(helds), Item::Sequence(items)) => {
                helds.iter().zip(items).for_each(|(held, item)| held.feed(item, feed));
            }
            _ => {}
        }
    }

    fn compare(&self, item: &Item, executor: &ArrayExecutor) -> Result<(), String> {
        match (self, item) {
            (Held::None, Item::None) => Ok(()),
            (Held::Sequence(helds), Item::Sequence(items)) if helds.len() == items.len() => {
                helds.iter().zip(items).try_for_each(|(held, item)| held.compare(item, executor))
            }
            (Held::Array(expected), Item::Value(id)) => {
                let (kind, bytes) = executor.value(*id).ok_or("it has no place")?;
                same(expected, &Array { kind, bytes: bytes.into() })
            }
            _ => Err("it is of another kind".into()),
        }
    }
}

fn array(tensor: &TensorInfo, source: &dyn ReadAt) -> Result<Array, String> {
    let literal = tensor.literal(source, BUDGET).map_err(text)?;
    let extents: Vec<usize> = literal.dims.iter().map(|&dim| dim as usize).collect();
    let extents = Extents::new(&extents).ok_or("too many elements")?;
    let elem = models::onnx::elem(&tensor.name, literal.element).map_err(text)?;
    Ok(Array { kind: ArrayType { elem, extents }, bytes: literal.bytes })
}

/// At the suite's tolerances: 1e-3 of the expected number and 1e-7, whole numbers exactly.
fn same(expected: &Array, found: &Array) -> Result<(), String> {
    if expected.kind != found.kind {
        return Err(format!("expected {}, found {}", expected.kind, found.kind));
    }
    let differs = if expected.kind.elem.is_float() {
        let pairs = expected.fractions().into_iter().zip(found.fractions());
        let close =
            |a: f64, b: f64| a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-7 + 1e-3 * a.abs();
        pairs
            .enumerate()
            .find(|(_, (a, b))| !close(*a, *b))
            .map(|(at, (a, b))| (at, a.to_string(), b.to_string()))
    } else {
        let pairs = expected.integers().into_iter().zip(found.integers());
        pairs.enumerate().find(|(_, (a, b))| a != b).map(|(at, (a, b))| (at, a.to_string(), b.to_string()))
    };
    match differs {
        None => Ok(()),
        Some((at, expected, found)) => Err(format!("element {at}: expected {expected}, found {found}")),
    }
}
