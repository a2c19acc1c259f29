//! What `pintpot show` says of a network in ONNX, TFLite or safetensors.
//!
//! Not of a model of language: `verbs/show.rs` knows those. The one design choice: all formats are told in the same
//! words and under the same names, so that one reader of `--json` reads all.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use host::format_bytes;
use hub::Reference;
use pintpot::onnx::{self, Part};
use pintpot::{ModelFile, NetworkFile, tflite};
use serde_json::{Value, json};

use crate::exit::Failure;

/// Names of operators and types, and how often or how much of them there is.
#[derive(Default)]
struct Counts {
    nodes: BTreeMap<String, u64>,
    /// Tensors and bytes by type of element.
    weights: BTreeMap<&'static str, (u64, u64)>,
    graphs: u64,
}

impl Counts {
    fn node(&mut self, operator: String) {
        *self.nodes.entry(operator).or_default() += 1;
    }

    fn weight(&mut self, element: &'static str, bytes: u64) {
        let entry = self.weights.entry(element).or_default();
        *entry = (entry.0 + 1, entry.1 + bytes);
    }

    /// What all formats have in common.
    fn json(&self) -> [(&'static str, Value); 5] {
        let mut nodes: Vec<_> = self.nodes.iter().collect();
        nodes.sort_by_key(|(name, count)| (std::cmp::Reverse(**count), (*name).clone()));
        let operators: Vec<_> =
            nodes.iter().map(|(name, count)| json!({"operator": name, "nodes": count})).collect();
        let types: Vec<_> = self
            .weights
            .iter()
            .map(|(name, (count, bytes))| json!({"type": name, "tensors": count, "bytes": bytes}))
            .collect();
        [
            ("nodes", json!(self.nodes.values().sum::<u64>())),
            ("operators", json!(operators)),
            ("weight_bytes", json!(self.weights.values().map(|(_, bytes)| bytes).sum::<u64>())),
            ("types", json!(types)),
            ("subgraphs", json!(self.graphs.saturating_sub(1))),
        ]
    }
}

/// Says what is in a network's file.
pub(crate) fn show(reference: &Reference, file: &NetworkFile, is_json: bool) -> Result<(), Failure> {
    match file {
        NetworkFile::Encoder(model) => encoder(reference, model, is_json),
        NetworkFile::Onnx(model) => onnx(reference, model, is_json),
        NetworkFile::Tflite(model) => tflite(reference, model, is_json),
    }
}

/// Says what is in a folder with an encoder.
fn encoder(reference: &Reference, model: &ModelFile, is_json: bool) -> Result<(), Failure> {
    let mut counts = Counts::default();
    for tensor in &model.tensors {
        counts.weight(tensor.dtype.name(), tensor.range.end - tensor.range.start);
    }
    let size = |key: &str| json!(model.metadata.find::<u64>(key).ok().flatten());
    let mut told = json!({
        "model": reference.to_string(),
        "format": "safetensors",
        "architecture": &*model.architecture,
        "layers": size("num_hidden_layers"),
        "width": size("hidden_size"),
        "heads": size("num_attention_heads"),
        "longest_context": size("max_position_embeddings"),
    });
    let [_, _, weights, types, _] = counts.json();
    told_also(&mut told, [weights, types]);
    told_also(&mut told, [("file_bytes", json!(model.files.iter().map(|part| part.bytes).sum::<u64>()))]);
    print(&told, is_json)
}

/// Says what is in an ONNX file.
fn onnx(reference: &Reference, model: &onnx::Model, is_json: bool) -> Result<(), Failure> {
    let mut counts = Counts::default();
    let walked: Result<(), Infallible> = model.walk(&mut |part| {
        match part {
            Part::Graph(_) => counts.graphs += 1,
            Part::Node(node) if node.domain.is_empty() => counts.node(node.op_type.to_string()),
            Part::Node(node) => counts.node(format!("{}.{}", node.domain, node.op_type)),
            Part::Tensor(tensor) => {
                counts.weight(tensor.element.name(), tensor.bytes().unwrap_or(tensor.stored_bytes()));
            }
        }
        Ok(())
    });
    let Ok(()) = walked;
    let graph = &model.graph;
    // In old files every constant is an input with a default.
    let constants: BTreeSet<&str> = graph.initializers.iter().map(|tensor| &*tensor.name).collect();
    let value = |value: &onnx::ValueInfo| json!({"name": value.name, "type": value.value_type.to_string()});
    let inputs = graph.inputs.iter().filter(|input| !constants.contains(&*input.name));
    let opset = |import: &onnx::OpsetImport| {
        let domain = if import.domain.is_empty() { "ai.onnx" } else { &import.domain };
        json!({"domain": domain, "version": import.version})
    };
    let beside = model.files.iter().skip(1);
    let file =
        |part: &pintpot::FilePart| json!({"path": part.path.display().to_string(), "bytes": part.bytes});
    let mut told = json!({
        "model": reference.to_string(),
        "format": "onnx",
        "format_version": model.ir_version,
        "name": graph.name,
        "producer": format!("{} {}", model.producer_name, model.producer_version).trim(),
        "opsets": model.opset_imports.iter().map(opset).collect::<Vec<_>>(),
        "inputs": inputs.map(value).collect::<Vec<_>>(),
        "outputs": graph.outputs.iter().map(value).collect::<Vec<_>>(),
    });
    told_also(&mut told, counts.json());
    let metadata: serde_json::Map<_, _> =
        model.metadata.iter().map(|(key, value)| (key.to_string(), json!(value))).collect();
    told_also(
        &mut told,
        [
            ("functions", json!(model.functions.len())),
            ("file_bytes", json!(model.files.iter().map(|part| part.bytes).sum::<u64>())),
            ("external_files", json!(beside.map(file).collect::<Vec<_>>())),
            ("metadata", json!(metadata)),
        ],
    );
    print(&told, is_json)
}

/// Says what is in a TFLite file.
fn tflite(reference: &Reference, model: &tflite::Model, is_json: bool) -> Result<(), Failure> {
    let mut counts = Counts { graphs: model.subgraphs.len() as u64, ..Counts::default() };
    let mut seen = BTreeSet::new();
    for graph in &model.subgraphs {
        graph.operators.iter().for_each(|operator| counts.node(operator.code.to_string()));
        for tensor in &graph.tensors {
            let Some(data) = tensor.data.as_ref().filter(|_| seen.insert(tensor.buffer)) else { continue };
            counts.weight(tensor.element.name(), data.end - data.start);
        }
    }
    let value = |graph: &tflite::Subgraph, number: u32| {
        let tensor = &graph.tensors[number as usize];
        json!({"name": tensor.name, "type": tensor_type(tensor)})
    };
    let values = |numbers: fn(&tflite::Subgraph) -> &[u32]| {
        let graph = model.subgraphs.first();
        let each = graph.map(|graph| numbers(graph).iter().map(|&n| value(graph, n)).collect::<Vec<_>>());
        each.unwrap_or_default()
    };
    let signatures: Vec<_> = model.signatures.iter().map(|signature| &signature.key).collect();
    let mut told = json!({
        "model": reference.to_string(),
        "format": "tflite",
        "format_version": model.version,
        "name": model.description,
        "inputs": values(|graph| &graph.inputs),
        "outputs": values(|graph| &graph.outputs),
    });
    told_also(&mut told, counts.json());
    told_also(&mut told, [("signatures", json!(signatures)), ("file_bytes", json!(model.file.bytes))]);
    print(&told, is_json)
}

/// Type and shape of a tensor in a line, as ONNX's are told.
fn tensor_type(tensor: &tflite::Tensor) -> String {
    let extents: Vec<String> = match tensor.shape_signature.is_empty() {
        true => tensor.shape.iter().map(u32::to_string).collect(),
        false => {
            let extent = |extent: &i32| if *extent < 0 { "?".to_string() } else { extent.to_string() };
            tensor.shape_signature.iter().map(extent).collect()
        }
    };
    format!("{}[{}]", tensor.element, extents.join(", "))
}

fn told_also<const N: usize>(told: &mut Value, more: [(&'static str, Value); N]) {
    if let Value::Object(told) = told {
        told.extend(more.map(|(key, value)| (key.to_string(), value)));
    }
}

/// Prints it as JSON or as lines.
fn print(told: &Value, is_json: bool) -> Result<(), Failure> {
    if is_json {
        return crate::print(&format!("{told}\n"));
    }
    let mut lines = String::new();
    for (key, value) in told.as_object().into_iter().flatten() {
        let mut line = |key: &str, shown: String| {
            if !shown.is_empty() {
                lines += &format!("{:<24}{shown}\n", key.replace('_', " "));
            }
        };
        match value {
            Value::Array(list) => {
                let singular = key.strip_suffix('s').unwrap_or(key);
                list.iter().for_each(|item| line(singular, in_words(item)));
            }
            Value::Object(entries) => {
                entries.iter().for_each(|(name, value)| line(key, format!("{name}: {}", in_words(value))));
            }
            Value::Number(number) if key.ends_with("_bytes") => {
                line(key, format_bytes(number.as_u64().unwrap_or(0)));
            }
            Value::Number(number) if number.as_u64() == Some(0) => {}
            other => line(key, in_words(other)),
        }
    }
    crate::print(&lines)
}

/// An item of a list, or a text that may be long or have lines of its own.
fn in_words(value: &Value) -> String {
    const LONGEST: usize = 100;
    match value {
        Value::Object(item) => {
            let words = item.iter().map(|(key, value)| match (key.as_str(), value.as_u64()) {
                ("bytes", Some(bytes)) => format_bytes(bytes),
                ("tensors" | "nodes", Some(1)) => format!("1 {},", key.trim_end_matches('s')),
                ("tensors" | "nodes", Some(count)) => format!("{count} {key},"),
                _ => in_words(value),
            });
            words.collect::<Vec<_>>().join(" ").trim_end_matches(',').to_string()
        }
        Value::String(text) => {
            let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            match line.char_indices().nth(LONGEST) {
                Some((end, _)) => format!("{}...", &line[..end]),
                None => line,
            }
        }
        other => other.to_string(),
    }
}
