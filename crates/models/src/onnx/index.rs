//! Operators that find elements, take them by their places or put them there, and lists of numbers.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::{Call, unknown};
use graph::array::{
    Array, Binary, BinaryKind, Cast, Compress, Cumulate, Extreme, Grams, NonZero, Pick, PickElements,
    PickSlices, PutElements, PutKind, PutSlices, PutStretch, Reverse, Select, Top, Triangle, Unique,
};
use graph::{ArrayOp, ArrayType, Elem, Extents, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "ArgMax", |i, c| arg(i, c, true)),
    (OWN, "ArgMin", |i, c| arg(i, c, false)),
    (OWN, "Compress", compress),
    (OWN, "CumProd", |i, c| cumulate(i, c, true)),
    (OWN, "CumSum", |i, c| cumulate(i, c, false)),
    (OWN, "EyeLike", eye_like),
    (OWN, "GatherElements", |i, c| {
        let inputs = [c.value(0)?, c.value(1)?];
        let axis = c.axis("axis", 0, i.builder.rank(inputs[0]))?;
        i.single(PickElements { axis }, &inputs)
    }),
    (OWN, "GatherND", |i, c| {
        let batch = c.int_or("batch_dims", 0)?.max(0) as usize;
        i.single(PickSlices { batch }, &[c.value(0)?, c.value(1)?])
    }),
    (OWN, "Hardmax", hardmax),
    (OWN, "NonZero", |i, c| i.single(NonZero, &[c.value(0)?])),
    (OWN, "OneHot", one_hot),
    (OWN, "Range", range),
    (OWN, "ReverseSequence", |i, c| {
        let time_first = c.int_or("time_axis", 0)? == 0;
        i.single(Reverse { time_first }, &[c.value(0)?, c.value(1)?])
    }),
    (OWN, "Scatter", scatter_elements),
    (OWN, "ScatterElements", scatter_elements),
    (OWN, "ScatterND", |i, c| {
        i.single(PutSlices { kind: put_kind(c)? }, &[c.value(0)?, c.value(1)?, c.value(2)?])
    }),
    (OWN, "TensorScatter", tensor_scatter),
    (OWN, "TfIdfVectorizer", count_grams),
    (OWN, "TopK", top),
    (OWN, "Trilu", |i, c| {
        let diagonal = c.optional(1)?.map(|k| i.builder.integer(k)).transpose()?.unwrap_or(0);
        i.single(Triangle { diagonal, upper: c.int_or("upper", 1)? != 0 }, &[c.value(0)?])
    }),
    (OWN, "Unique", unique),
];

/// Numbers that a list of the importer's own may have.
const LIST_MAX: usize = 1 << 24;

impl Importer<'_> {
    /// What an operator makes that makes one array.
    pub fn single(&mut self, op: impl Into<ArrayOp>, inputs: &[ValueId]) -> Result<Vec<Item>, Error> {
        Ok(vec![Item::Value(self.builder.one(op, inputs)?)])
    }

    /// A constant array of these numbers.
    pub fn table(&mut self, elem: Elem, extents: &[usize], numbers: &[f64]) -> Result<ValueId, Error> {
        let overflow = graph::Error::Overflow { op: "Constant", what: "the number of elements" };
        let extents = Extents::new(extents).ok_or(overflow)?;
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let wide = Array { kind: ArrayType { elem: Elem::F64, extents }, bytes };
        let wide = self.builder.constant(wide);
        if elem == Elem::F64 { Ok(wide) } else { self.builder.one(Cast { to: elem }, &[wide]) }
    }

    /// 0, 1, 2 ... along an axis of an array of `rank`, as i64.
    pub fn counted(&mut self, len: usize, axis: usize, rank: usize, first: i64) -> Result<ValueId, Error> {
        let too_many = graph::Error::Overflow { op: "Range", what: "the number of elements" };
        if len > LIST_MAX {
            return Err(too_many.into());
        }
        let numbers: Vec<i64> = (0..len as i64).map(|at| first.wrapping_add(at)).collect();
        let list = self.builder.integers_constant(&numbers)?;
        let mut extents = vec![1; rank];
        *extents.get_mut(axis).ok_or(Error::Axis { axis: axis as i64, rank })? = len;
        self.reshaped(list, &extents)
    }
}

fn arg(importer: &mut Importer<'_>, call: &Call<'_>, largest: bool) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let axis = call.axis("axis", 0, importer.builder.rank(input))?;
    let (keeps, last) = (call.int_or("keepdims", 1)? != 0, call.int_or("select_last_index", 0)? != 0);
    importer.single(Extreme { axis, keeps, largest, last }, &[input])
}

/// Slices that are known beforehand are picked, so that all extents are known.
fn compress(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (mut input, is) = (call.value(0)?, call.value(1)?);
    let rank = importer.builder.rank(input);
    let axis = call.int("axis")?.map(|axis| axis_of(axis, rank)).transpose()?;
    if importer.builder.graph.constant_of(is).is_none() || importer.builder.is_dynamic(input) {
        return importer.single(Compress { axis }, &[input, is]);
    }
    if axis.is_none() {
        let elements = importer.builder.extents(input)?.elements();
        input = importer.reshaped(input, &[elements])?;
    }
    let axis = axis.unwrap_or(0);
    let len = importer.builder.extents(input)?[axis];
    let is = importer.builder.integers(is)?;
    let chosen: Vec<i64> = (0..).zip(is).take(len).filter(|(_, is)| *is != 0).map(|(at, _)| at).collect();
    let chosen = importer.builder.integers_constant(&chosen)?;
    importer.single(Pick { axis }, &[input, chosen])
}

fn cumulate(importer: &mut Importer<'_>, call: &Call<'_>, product: bool) -> Result<Vec<Item>, Error> {
    let (input, axis) = (call.value(0)?, call.value(1)?);
    let axis = importer.builder.integer(axis)?;
    let axis = importer.builder.axis(input, axis)?;
    let (exclusive, reverse) = (call.int_or("exclusive", 0)? != 0, call.int_or("reverse", 0)? != 0);
    importer.single(Cumulate { axis, exclusive, product, reverse }, &[input])
}

fn eye_like(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let [rows, columns] = importer.builder.extents(input)?[..] else {
        return Err(Error::Axis { axis: 1, rank: importer.builder.rank(input) });
    };
    let to = match call.int("dtype")? {
        Some(id) => super::elem_of_id("dtype", id)?,
        None => importer.builder.elem(input),
    };
    let row = importer.counted(rows, 0, 2, 0)?;
    let column = importer.counted(columns, 1, 2, call.int_or("k", 0)?.saturating_neg())?;
    let is = importer.builder.one(Binary { kind: BinaryKind::Equal }, &[row, column])?;
    importer.single(Cast { to }, &[is])
}

/// Before opset 13 all axes from the one that is named on are taken as one.
fn hardmax(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let axis = call.axis("axis", if call.version < 13 { 1 } else { -1 }, own.len())?;
    let mut flat = own.to_vec();
    if call.version < 13 {
        flat = vec![own[..axis].iter().product(), own[axis..].iter().product()];
    }
    let (axis, rank) = (if call.version < 13 { 1 } else { axis }, flat.len());
    let value = importer.reshaped(input, &flat)?;
    let largest = Extreme { axis, keeps: true, largest: true, last: false };
    let place = importer.builder.one(largest, &[value])?;
    let places = importer.counted(flat[axis], axis, rank, 0)?;
    let is = importer.builder.one(Binary { kind: BinaryKind::Equal }, &[place, places])?;
    let made = importer.builder.one(Cast { to: importer.builder.elem(input) }, &[is])?;
    Ok(vec![Item::Value(importer.reshaped(made, &own)?)])
}

/// A place from the front, or the same from the end, is the number's own.
fn one_hot(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (numbers, depth, values) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let depth = importer.builder.integer(depth)?.max(0) as usize;
    let mut own = importer.builder.extents(numbers)?.to_vec();
    let rank = own.len() + 1;
    let axis = call.axis("axis", -1, rank)?;
    own.insert(axis, 1);
    let mut numbers = importer.reshaped(numbers, &own)?;
    if importer.builder.elem(numbers) != Elem::I64 {
        numbers = importer.builder.one(Cast { to: Elem::I64 }, &[numbers])?;
    }
    let equal = Binary { kind: BinaryKind::Equal };
    let (front, back) =
        (importer.counted(depth, axis, rank, 0)?, importer.counted(depth, axis, rank, -(depth as i64))?);
    let is_front = importer.builder.one(equal, &[numbers, front])?;
    let is_back = importer.builder.one(equal, &[numbers, back])?;
    let is = importer.builder.one(Binary { kind: BinaryKind::Or }, &[is_front, is_back])?;
    let (off, on) = (importer.part(values, 0, 0, 1)?, importer.part(values, 0, 1, 1)?);
    importer.single(Select, &[is, on, off])
}

fn range(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (start, limit, delta) = (call.value(0)?, call.value(1)?, call.value(2)?);
    let elem = importer.builder.elem(start);
    let too_many = || graph::Error::Overflow { op: "Range", what: "the number of elements" };
    if elem.is_float() {
        let mut one = |id| Ok::<f64, Error>(importer.builder.fractions(id)?.first().copied().unwrap_or(0.0));
        let (start, limit, delta) = (one(start)?, one(limit)?, one(delta)?);
        let count = ((limit - start) / delta).ceil().max(0.0);
        if count.is_nan() || count > LIST_MAX as f64 {
            return Err(too_many().into());
        }
        let numbers: Vec<f64> = (0..count as usize).map(|at| start + at as f64 * delta).collect();
        return Ok(vec![Item::Value(importer.table(elem, &[numbers.len()], &numbers)?)]);
    }
    let mut one = |id| importer.builder.integer(id).map(i128::from);
    let (start, limit, delta) = (one(start)?, one(limit)?, one(delta)?);
    if delta == 0 {
        return unknown("delta", "0", "a step that is not zero is needed");
    }
    let (way, step) = if delta > 0 { (limit - start, delta) } else { (start - limit, -delta) };
    let count = (way.max(0) + step - 1) / step;
    if count > LIST_MAX as i128 {
        return Err(too_many().into());
    }
    let numbers: Vec<i64> = (0..count).map(|at| (start + at * delta) as i64).collect();
    let list = importer.builder.integers_constant(&numbers)?;
    if elem == Elem::I64 {
        return Ok(vec![Item::Value(list)]);
    }
    importer.single(Cast { to: elem }, &[list])
}

fn put_kind(call: &Call<'_>) -> Result<PutKind, Error> {
    Ok(match call.text_or("reduction", "none")? {
        "none" => PutKind::Set,
        "add" => PutKind::Add,
        "max" => PutKind::Max,
        "min" => PutKind::Min,
        "mul" => PutKind::Mul,
        other => return unknown("reduction", other, "'none', 'add', 'max', 'min' or 'mul' is needed"),
    })
}

fn scatter_elements(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let inputs = [call.value(0)?, call.value(1)?, call.value(2)?];
    let axis = call.axis("axis", 0, importer.builder.rank(inputs[0]))?;
    importer.single(PutElements { axis, kind: put_kind(call)? }, &inputs)
}

fn tensor_scatter(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (past, new) = (call.value(0)?, call.value(1)?);
    let axis = call.axis("axis", -2, importer.builder.rank(past))?;
    let wraps = match call.text_or("mode", "linear")? {
        "linear" => false,
        "circular" => true,
        other => return unknown("mode", other, "'linear' or 'circular' is needed"),
    };
    let starts = match call.optional(2)? {
        Some(starts) => starts,
        None => {
            let batch = importer.builder.extents(past)?.first().copied().unwrap_or(0);
            importer.table(Elem::I64, &[batch], &vec![0.0; batch.min(LIST_MAX)])?
        }
    };
    importer.single(PutStretch { axis, wraps }, &[past, new, starts])
}

/// Counts of sequences of numbers; those of texts are not computed.
fn count_grams(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let list = |name| Ok::<_, Error>(call.ints(name)?.unwrap_or_default());
    let Some(sequences) = call.ints("pool_int64s")? else {
        return Err(Error::Element { name: "pool_strings".into(), element: "string" });
    };
    let places = list("ngram_indexes")?;
    let counts = places.iter().copied().max().map_or(0, |most| most.clamp(0, LIST_MAX as i64) as usize + 1);
    let number = |name, default| Ok::<_, Error>(call.int_or(name, default)?.clamp(0, 1 << 20) as usize);
    let lengths = [number("min_gram_length", 1)?, number("max_gram_length", 1)?];
    let op = Grams { lengths, skips: number("max_skip_count", 0)?, counts };
    let mut inputs = vec![input];
    for numbers in [sequences, list("ngram_counts")?, places] {
        inputs.push(importer.builder.integers_constant(numbers)?);
    }
    let mut made = importer.builder.one(op, &inputs)?;
    let mode = call.text_or("mode", "TF")?;
    if mode == "IDF" {
        let one = importer.builder.number(Elem::F32, 1.0);
        made = importer.builder.one(Binary { kind: BinaryKind::Min }, &[made, one])?;
    }
    if let (true, Some(weights)) = (mode != "TF", call.floats("weights")?) {
        let mut weights: Vec<f64> = weights.iter().map(|weight| f64::from(*weight)).collect();
        weights.resize(counts, 0.0);
        let weights = importer.table(Elem::F32, &[counts], &weights)?;
        made = importer.builder.one(Binary { kind: BinaryKind::Mul }, &[made, weights])?;
    }
    Ok(vec![Item::Value(made)])
}

/// How many is an input, or before opset 10 a setting.
fn top(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let count = match call.optional(1)? {
        Some(count) => importer.builder.integer(count)?,
        None => call.int_or("k", 0)?,
    };
    let axis = call.axis("axis", -1, importer.builder.rank(input))?;
    let Ok(count) = usize::try_from(count) else {
        return unknown("K", &count.to_string(), "a number that is not negative is needed");
    };
    let largest = call.int_or("largest", 1)? != 0;
    let made = importer.builder.push(Top { axis, count, largest }, &[input])?;
    Ok(made.into_iter().map(Item::Value).collect())
}

fn unique(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let rank = importer.builder.rank(input);
    let axis = call.int("axis")?.map(|axis| axis_of(axis, rank)).transpose()?;
    let made = importer.builder.push(Unique { axis, sorted: call.int_or("sorted", 1)? != 0 }, &[input])?;
    Ok(made.into_iter().map(Item::Value).collect())
}
