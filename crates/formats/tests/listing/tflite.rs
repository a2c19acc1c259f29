//! A TFLite file as lines, as `tests/networks/listing_tflite.py` prints them.
//!
//! Not for people. The one design choice: settings are printed in Rust's own debugging form, which that script
//! imitates.

use host::ReadAt;
use pintpot_formats::tflite::{Model, Operator, OperatorCode, SparseDim, Subgraph, Tensor};
use pintpot_formats::{ArrayRef, Error};
use sha2::{Digest, Sha256};

use super::{digest, hex, json, put};

pub fn model(lines: &mut String, model: &Model, source: &dyn ReadAt) -> Result<(), Error> {
    put(lines, 0, &format!("tflite {} {}", model.version, json(&model.description)));
    for (name, range) in &model.metadata {
        put(lines, 0, &format!("metadata {} {}", json(name), digest(source, range)));
    }
    for signature in &model.signatures {
        put(lines, 0, &format!("signature {} {}", json(&signature.key), signature.subgraph));
        for (kind, names) in [("in", &signature.inputs), ("out", &signature.outputs)] {
            names.iter().for_each(|(name, number)| put(lines, 1, &format!("{kind} {} {number}", json(name))));
        }
    }
    model.subgraphs.iter().try_for_each(|graph| subgraph(lines, graph, source))
}

fn subgraph(lines: &mut String, graph: &Subgraph, source: &dyn ReadAt) -> Result<(), Error> {
    let (inputs, outputs) = (&graph.inputs, &graph.outputs);
    put(lines, 0, &format!("subgraph {} {inputs:?} {outputs:?}", json(&graph.name)));
    graph.tensors.iter().try_for_each(|one| tensor(lines, one, source))?;
    graph.operators.iter().for_each(|one| operator(lines, one, source));
    Ok(())
}

fn tensor(lines: &mut String, tensor: &Tensor, source: &dyn ReadAt) -> Result<(), Error> {
    let (shape, signature, buffer) = (&tensor.shape, &tensor.shape_signature, tensor.buffer);
    let data = tensor.data.as_ref().map_or("none".to_owned(), |range| digest(source, range));
    let flags = format!("{} {}", tensor.has_rank, tensor.is_variable);
    let name = json(&tensor.name);
    put(
        lines,
        1,
        &format!("tensor {name} {} {shape:?} {signature:?} {flags} {buffer} {data}", tensor.element),
    );
    if let Some(found) = &tensor.quantization {
        let mut parts = format!("quantization {} {}", found.axis, found.is_custom);
        for array in [&found.min, &found.max, &found.scale, &found.zero_point] {
            parts += &format!(" {}", numbers(array, source)?);
        }
        put(lines, 2, &parts);
    }
    if let Some(found) = &tensor.sparsity {
        put(lines, 2, &format!("sparsity {:?} {:?}", found.traversal_order, found.block_map));
        for dim in &found.dims {
            let line = match dim {
                SparseDim::Dense { size } => format!("dense {size}"),
                SparseDim::Csr { segments, indices } => {
                    format!("csr {} {}", numbers(segments, source)?, numbers(indices, source)?)
                }
            };
            put(lines, 3, &line);
        }
    }
    Ok(())
}

/// How many there are, and a digest of them as doubles.
fn numbers(array: &ArrayRef, source: &dyn ReadAt) -> Result<String, Error> {
    let mut hash = Sha256::new();
    for number in array.numbers::<f64>(source) {
        hash.update(number?.to_le_bytes());
    }
    Ok(format!("{}:{}", array.len(), &hex(hash.finalize())[..16]))
}

fn operator(lines: &mut String, operator: &Operator, source: &dyn ReadAt) {
    let code = match &operator.code {
        OperatorCode::Builtin(builtin) => builtin.name().to_owned(),
        OperatorCode::Custom(name) => format!("custom {}", json(name)),
    };
    let listed = |numbers: &[Option<u32>]| {
        let numbers: Vec<i64> = numbers.iter().map(|number| number.map_or(-1, i64::from)).collect();
        format!("{numbers:?}")
    };
    let (inputs, outputs) = (listed(&operator.inputs), listed(&operator.outputs));
    let (inner, mutated) = (listed(&operator.intermediates), &operator.mutated_inputs);
    put(lines, 1, &format!("operator {code} {} {inputs} {outputs} {inner} {mutated:?}", operator.version));
    put(lines, 2, &format!("{:?}", operator.options));
    if let Some(range) = &operator.custom_options {
        put(lines, 2, &format!("custom options {}", digest(source, range)));
    }
}
