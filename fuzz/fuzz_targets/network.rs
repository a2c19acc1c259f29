//! Fuzzes the importers of ONNX and TFLite: what can be read is built for the inputs that it declares, passes and all, and
//! planned.

#![no_main]

use formats::{Bytes, Limits, onnx, tflite};
use graph::{ArrayType, Bounds, Elem, Extents, Plan};
use host::ReadAt;
use models::network::{Given, Network};

const LIMITS: Limits = Limits { heap: 1 << 20 };
/// Elements, at most, of an input whose numbers are given.
const FEW: usize = 1 << 10;
/// What stands for extents that are open.
const OPEN: usize = 2;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let source = Bytes::new(bytes);
    if let Ok(model) = onnx::read(&source, LIMITS) {
        let inputs = model.graph.inputs.iter().filter_map(|input| {
            let onnx::ValueType::Tensor { element, shape } = &input.value_type else { return None };
            let elem = models::onnx::elem(&input.name, *element).ok()?;
            let extent = |dim: &onnx::Dim| match dim {
                onnx::Dim::Value(extent) => usize::try_from(*extent).ok(),
                _ => Some(OPEN),
            };
            let extents: Vec<usize> = shape.as_ref()?.iter().map(extent).collect::<Option<_>>()?;
            Some((input.name.to_string(), ArrayType { elem, extents: Extents::new(&extents)? }))
        });
        both(inputs.collect(), &|given| models::onnx::build(&model, &[&source as &dyn ReadAt], given).ok());
    }
    if let Ok(model) = tflite::read(&source, LIMITS) {
        let inputs = models::tflite::inputs(&model).filter_map(|(name, tensor)| {
            let elem = models::tflite::elem(&name, tensor.element).ok()?;
            let extents = models::tflite::extents(tensor)?.into_iter().map(|extent| extent.unwrap_or(OPEN));
            let extents = Extents::new(&extents.collect::<Vec<_>>())?;
            Some((name.into_owned(), ArrayType { elem, extents }))
        });
        both(inputs.collect(), &|given| models::tflite::build(&model, &[&source as &dyn ReadAt], given).ok());
    }
});

/// Builds and plans a network for inputs whose numbers are not known, and for ones.
fn both(inputs: Vec<(String, ArrayType)>, build: &dyn Fn(&[(&str, Given<'_>)]) -> Option<Network>) {
    let ones: Vec<Option<Vec<u8>>> = inputs.iter().map(|(_, kind)| ones(kind)).collect();
    for is_known in [false, true] {
        let given = inputs.iter().zip(&ones).map(|((name, kind), ones)| {
            let bytes = ones.as_deref().filter(|_| is_known);
            (&**name, Given::Array { kind: *kind, bytes })
        });
        if let Some(network) = build(&given.collect::<Vec<_>>()) {
            let _ = Plan::new(&network.graph, Bounds { rows: 1, logit_rows: 1 });
        }
    }
}

fn ones(kind: &ArrayType) -> Option<Vec<u8>> {
    let count = kind.extents.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent))?;
    (count <= FEW && kind.elem != Elem::F32)
        .then(|| graph::array::Array::number(kind.elem, 1.0).bytes.repeat(count))
}
