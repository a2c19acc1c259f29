//! Operators of `ai.onnx.ml`: features and labels.

use super::{Importer, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, wrong};
use formats::onnx::AttributeValue;
use graph::array::{Array, BinaryKind, Pick, Reduce, ReduceKind, Select};
use graph::{ArrayType, Elem, Extents, ValueId};

/// The domain of these operators.
pub(super) const ML: &str = "ai.onnx.ml";

pub(super) const ROWS: &[Row] = &[
    (ML, "ArrayFeatureExtractor", extract),
    (ML, "Binarizer", |i, c| {
        let x = c.value(0)?;
        let is = i.with_number(BinaryKind::Greater, x, f64::from(c.float_or("threshold", 0.0)?))?;
        let elem = i.builder.elem(x);
        Ok(vec![Item::Value(i.cast(is, elem)?)])
    }),
    (ML, "LabelEncoder", encode),
];

/// Columns by their numbers.
fn extract(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (x, numbers) = (call.value(0)?, call.value(1)?);
    let own = importer.builder.extents(x)?;
    let count = importer.builder.extents(numbers)?.elements();
    let axis = own.len().checked_sub(1).ok_or(Error::Axis { axis: -1, rank: 0 })?;
    let numbers = importer.reshaped(numbers, &[count])?;
    let made = importer.builder.one(Pick { axis }, &[x, numbers])?;
    if own.len() == 1 {
        return Ok(vec![Item::Value(importer.reshaped(made, &[1, count])?)]);
    }
    Ok(vec![Item::Value(made)])
}

/// A list of numbers that is a setting, as a constant.
fn numbers(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    names: [&'static str; 3],
) -> Result<Option<ValueId>, Error> {
    let [tensor, floats, integers] = names;
    let (elem, bytes): (_, Vec<u8>) = if let Some(tensor) = call.tensor(tensor)? {
        let id = importer.tensor(tensor)?;
        let count = importer.builder.extents(id)?.elements();
        return importer.reshaped(id, &[count]).map(Some);
    } else if let Some(list) = call.floats(floats)? {
        (Elem::F32, list.iter().flat_map(|x| x.to_le_bytes()).collect())
    } else if let Some(list) = call.ints(integers)? {
        (Elem::I64, list.iter().flat_map(|x| x.to_le_bytes()).collect())
    } else {
        return Ok(None);
    };
    let extents = Extents::new(&[bytes.len() / elem.bytes()]).ok_or(Error::NoOutput)?;
    Ok(Some(importer.builder.constant(Array { kind: ArrayType { elem, extents }, bytes: bytes.into() })))
}

/// For each number the value whose key it is. Texts are not computed with.
fn encode(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let keys = numbers(importer, call, ["keys_tensor", "keys_floats", "keys_int64s"])?;
    let values = numbers(importer, call, ["values_tensor", "values_floats", "values_int64s"])?;
    let (Some(keys), Some(values)) = (keys, values) else {
        let texts = call.attribute("keys_strings").or(call.attribute("values_strings"));
        return wrong("keys", texts.unwrap_or(&AttributeValue::Int(0)), "numbers are needed");
    };
    let elem = importer.builder.elem(values);
    let default = match (call.tensor("default_tensor")?, elem.is_float()) {
        (Some(tensor), _) => {
            let id = importer.tensor(tensor)?;
            importer.reshaped(id, &[])?
        }
        (None, true) => importer.builder.number(elem, f64::from(call.float_or("default_float", -0.0)?)),
        (None, false) => importer.builder.number(elem, call.int_or("default_int64", -1)? as f64),
    };
    let own = importer.builder.extents(x)?;
    let column = importer.reshaped(x, &[own.elements(), 1])?;
    let is = importer.of_both(BinaryKind::Equal, column, keys)?;
    let zero = importer.builder.number(elem, 0.0);
    let chosen = importer.builder.one(Select, &[is, values, zero])?;
    let over = |kind| Reduce { kind, axes: vec![1], keeps: false };
    let sum = importer.builder.one(over(ReduceKind::Sum), &[chosen])?;
    let any = importer.builder.one(over(ReduceKind::Any), &[is])?;
    let made = importer.builder.one(Select, &[any, sum, default])?;
    Ok(vec![Item::Value(importer.reshaped(made, &own)?)])
}
