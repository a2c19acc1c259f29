//! Branches, loops, lists and what may be missing: all that exists only while a network is built.
//!
//! The one design choice: a branch whose condition is known is taken, a loop whose end is known is rolled out, and lists are
//! lists of values; what depends on numbers that only a run knows is refused by name.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::Call;
use formats::onnx::Graph;
use graph::array::Select;
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "ConcatFromSequence", concat_from_sequence),
    (OWN, "If", branch),
    (OWN, "Loop", roll_out),
    (OWN, "Optional", |_, call| Ok(vec![call.inputs.first().cloned().unwrap_or(Item::None)])),
    (OWN, "OptionalGetElement", |_, call| match call.inputs.first() {
        None | Some(Item::None) => Err(Error::MissingInput { input: 0 }),
        Some(item) => Ok(vec![item.clone()]),
    }),
    (OWN, "OptionalHasElement", |importer, call| {
        let has = !matches!(call.inputs.first(), None | Some(Item::None));
        Ok(vec![Item::Value(importer.builder.number(Elem::Bool, f64::from(u8::from(has))))])
    }),
    (OWN, "Scan", scan),
    (OWN, "SequenceAt", |importer, call| {
        let (items, at) = (call.sequence(0)?, importer.builder.integer(call.value(1)?)?);
        Ok(vec![items[place(at, items.len(), 0)?].clone()])
    }),
    (OWN, "SequenceConstruct", |_, call| Ok(vec![Item::Sequence(call.inputs.clone())])),
    (OWN, "SequenceEmpty", |_, _| Ok(vec![Item::Sequence(Vec::new())])),
    (OWN, "SequenceErase", |importer, call| {
        let mut items = call.sequence(0)?.to_vec();
        let at = call.optional(1)?.map(|at| importer.builder.integer(at)).transpose()?.unwrap_or(-1);
        items.remove(place(at, items.len(), 0)?);
        Ok(vec![Item::Sequence(items)])
    }),
    (OWN, "SequenceInsert", |importer, call| {
        let mut items = call.sequence(0)?.to_vec();
        let at = call.optional(2)?.map(|at| importer.builder.integer(at)).transpose()?;
        let at = at.map_or(Ok(items.len()), |at| place(at, items.len(), 1))?;
        items.insert(at, Item::Value(call.value(1)?));
        Ok(vec![Item::Sequence(items)])
    }),
    (OWN, "SequenceLength", |importer, call| {
        let len = call.sequence(0)?.len() as f64;
        Ok(vec![Item::Value(importer.builder.number(Elem::I64, len))])
    }),
    (OWN, "SequenceMap", sequence_map),
    (OWN, "SplitToSequence", split_to_sequence),
];

/// Times that a loop may run.
const ROLLED_OUT: i64 = 1 << 14;

/// A place in a list of `len`, negative ones from its end; `more` places behind its last count too.
fn place(at: i64, len: usize, more: usize) -> Result<usize, Error> {
    let from_front = if at < 0 { at.saturating_add(len as i64) } else { at };
    let place = usize::try_from(from_front).ok().filter(|place| *place < len + more);
    place.ok_or(Error::Position { position: at, len })
}

fn branch<'a>(importer: &mut Importer<'a>, call: &Call<'a>) -> Result<Vec<Item>, Error> {
    let condition = call.value(0)?;
    match importer.builder.integer(condition) {
        Ok(is) => importer.inner(call.graph(if is != 0 { "then_branch" } else { "else_branch" })?, &[]),
        Err(Error::DataDependent) => both(importer, call, condition),
        Err(error) => Err(error),
    }
}

/// Where only a run knows the condition both branches run, and it chooses between what they give, if that is of one kind.
fn both<'a>(importer: &mut Importer<'a>, call: &Call<'a>, condition: ValueId) -> Result<Vec<Item>, Error> {
    let made = ["then_branch", "else_branch"].map(|name| importer.inner(call.graph(name)?, &[]));
    let [ours, theirs] = made;
    ours?
        .iter()
        .zip(&theirs?)
        .map(|(a, b)| {
            let (a, b) = (importer.builder.value(a)?, importer.builder.value(b)?);
            let builder = &mut importer.builder;
            if builder.elem(a) != builder.elem(b) || builder.extents(a)? != builder.extents(b)? {
                return Err(Error::DataDependent);
            }
            // One condition, whatever its rank, for all elements.
            let condition = importer.reshaped(condition, &[])?;
            Ok(Item::Value(importer.builder.one(Select, &[condition, a, b])?))
        })
        .collect()
}

/// The loop's body once after another; what it gives besides is joined.
fn roll_out<'a>(importer: &mut Importer<'a>, call: &Call<'a>) -> Result<Vec<Item>, Error> {
    let body = call.graph("body")?;
    let most = call.optional(0)?.map(|most| importer.builder.integer(most)).transpose()?;
    let mut goes_on =
        call.optional(1)?.map(|is| importer.builder.integer(is)).transpose()?.is_none_or(|is| is != 0);
    let mut carried = call.inputs.get(2..).unwrap_or_default().to_vec();
    let mut gathered: Vec<Vec<Item>> = vec![Vec::new(); body.outputs.len().saturating_sub(1 + carried.len())];
    let mut times = 0;
    while goes_on && most.is_none_or(|most| times < most) {
        if times >= ROLLED_OUT {
            return Err(Error::ManyNodes { most: ROLLED_OUT as usize });
        }
        let turn = importer.builder.number(Elem::I64, times as f64);
        let is = importer.builder.number(Elem::Bool, 1.0);
        let inputs = [&[Item::Value(turn), Item::Value(is)], &carried[..]].concat();
        let mut made = importer.inner(body, &inputs)?.into_iter();
        let condition = made.next().ok_or(Error::NoOutput)?;
        carried = made.by_ref().take(carried.len()).collect();
        gathered.iter_mut().zip(made).for_each(|(list, item)| list.push(item));
        times += 1;
        let condition = importer.builder.value(&condition)?;
        goes_on = importer.builder.integer(condition)? != 0;
    }
    let scans = body.outputs.get(1 + carried.len()..).unwrap_or_default();
    for (list, output) in gathered.iter().zip(scans) {
        carried.push(Item::Value(importer.stack(list, 0, output)?));
    }
    Ok(carried)
}

impl<'a> Importer<'a> {
    /// Arrays of equal extents as one, along a new axis; of none, what the file declares them to be.
    fn stack(
        &mut self,
        items: &[Item],
        axis: usize,
        declared: &formats::onnx::ValueInfo,
    ) -> Result<ValueId, Error> {
        let mut slices = Vec::with_capacity(items.len());
        for item in items {
            let id = self.builder.value(item)?;
            let mut extents = self.builder.extents(id)?.to_vec();
            let at = axis.min(extents.len());
            extents.insert(at, 1);
            slices.push(self.reshaped(id, &extents)?);
        }
        if slices.is_empty() {
            return self.nothing(declared);
        }
        self.join(&slices, axis)
    }

    /// No array of a declared type, along a new first axis.
    fn nothing(&mut self, declared: &formats::onnx::ValueInfo) -> Result<ValueId, Error> {
        let crate::network::Given::Array { kind, .. } = super::declared(declared)? else {
            return Err(Error::NotAnArray);
        };
        let extents = graph::Extents::new(&[&[0], &kind.extents[..]].concat()).ok_or(Error::NoOutput)?;
        let kind = graph::ArrayType { extents, ..kind };
        Ok(self.builder.constant(graph::array::Array { kind, bytes: Box::default() }))
    }
}

/// The body once for each slice. Before opset 9 there is a batch around everything.
fn scan<'a>(importer: &mut Importer<'a>, call: &Call<'a>) -> Result<Vec<Item>, Error> {
    let body = call.graph("body")?;
    let scanned = (call.int_or("num_scan_inputs", 0)?.max(0) as usize).min(call.inputs.len());
    if call.version < 9 {
        return scan_batches(importer, call, body, scanned);
    }
    let states = call.inputs.len().saturating_sub(scanned);
    let (state, inputs) = call.inputs.split_at(states);
    let outputs = body.outputs.len().saturating_sub(states);
    let list =
        |name, len| -> Result<Vec<i64>, Error> { Ok(call.ints(name)?.map_or(vec![0; len], <[i64]>::to_vec)) };
    let ways = [
        list("scan_input_axes", scanned)?,
        list("scan_input_directions", scanned)?,
        list("scan_output_axes", outputs)?,
        list("scan_output_directions", outputs)?,
    ];
    scan_once(importer, body, state, inputs, &ways)
}

/// One scan: `ways` are axes and directions of inputs, and those of outputs.
fn scan_once<'a>(
    importer: &mut Importer<'a>,
    body: &'a Graph,
    state: &[Item],
    inputs: &[Item],
    ways: &[Vec<i64>; 4],
) -> Result<Vec<Item>, Error> {
    let mut len = 0;
    let mut axes = Vec::new();
    for (item, axis) in inputs.iter().zip(&ways[0]) {
        let id = importer.builder.value(item)?;
        let extents = importer.builder.extents(id)?;
        let axis = axis_of(*axis, extents.len())?;
        (len, axes) = (extents[axis], [&axes[..], &[(id, axis)]].concat());
    }
    let mut state = state.to_vec();
    let mut gathered: Vec<Vec<Item>> = vec![Vec::new(); body.outputs.len().saturating_sub(state.len())];
    for turn in 0..len {
        let mut given = state.clone();
        for (&(id, axis), direction) in axes.iter().zip(&ways[1]) {
            let at = if *direction == 0 { turn } else { len - 1 - turn };
            given.push(Item::Value(importer.slice_at(id, axis, at)?));
        }
        let mut made = importer.inner(body, &given)?.into_iter();
        state = made.by_ref().take(state.len()).collect();
        gathered.iter_mut().zip(made).for_each(|(list, item)| list.push(item));
    }
    let scans = body.outputs.get(state.len()..).unwrap_or_default();
    for (n, (mut list, output)) in gathered.into_iter().zip(scans).enumerate() {
        if ways[3].get(n).is_some_and(|direction| *direction != 0) {
            list.reverse();
        }
        let rank = match list.first() {
            Some(item) => importer.builder.rank(importer.builder.value(item)?) + 1,
            None => 1,
        };
        let axis = axis_of(ways[2].get(n).copied().unwrap_or(0), rank)?;
        state.push(Item::Value(importer.stack(&list, axis, output)?));
    }
    Ok(state)
}

/// Scans as they were before opset 9: each element of a batch by itself.
fn scan_batches<'a>(
    importer: &mut Importer<'a>,
    call: &Call<'a>,
    body: &'a Graph,
    scanned: usize,
) -> Result<Vec<Item>, Error> {
    let items = call.inputs.get(1..).unwrap_or_default();
    let states = items.len().saturating_sub(scanned);
    let directions = call.ints("directions")?.map_or(vec![0; scanned], <[i64]>::to_vec);
    let outputs = body.outputs.len().saturating_sub(states);
    let ways = [vec![0; scanned], directions, vec![0; outputs], vec![0; outputs]];
    let first = importer.builder.value(items.first().ok_or(Error::MissingInput { input: 1 })?)?;
    let batch = importer.builder.extents(first)?.first().copied().unwrap_or(0);
    let mut made: Vec<Vec<Item>> = vec![Vec::new(); body.outputs.len()];
    for n in 0..batch {
        let mut own = Vec::new();
        for item in items {
            let id = importer.builder.value(item)?;
            own.push(Item::Value(importer.slice_at(id, 0, n)?));
        }
        let (state, inputs) = own.split_at(states);
        let one = scan_once(importer, body, state, inputs, &ways)?;
        made.iter_mut().zip(one).for_each(|(list, item)| list.push(item));
    }
    let stacked =
        made.iter().zip(&body.outputs).map(|(list, output)| importer.stack(list, 0, output).map(Item::Value));
    stacked.collect()
}

impl Importer<'_> {
    /// The slice at a place of an axis, without the axis.
    fn slice_at(&mut self, id: ValueId, axis: usize, at: usize) -> Result<ValueId, Error> {
        let mut extents = self.builder.extents(id)?.to_vec();
        let slice = self.part(id, axis, at, 1)?;
        extents.remove(axis);
        self.reshaped(slice, &extents)
    }
}

fn concat_from_sequence(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let items = call.sequence(0)?.to_vec();
    let mut arrays = items.iter().map(|item| importer.builder.value(item)).collect::<Result<Vec<_>, _>>()?;
    let first = *arrays.first().ok_or(Error::MissingInput { input: 0 })?;
    let new = usize::from(call.int_or("new_axis", 0)? != 0);
    let axis = axis_of(call.int_or("axis", 0)?, importer.builder.rank(first) + new)?;
    if new == 1 {
        for array in &mut arrays {
            let mut extents = importer.builder.extents(*array)?.to_vec();
            extents.insert(axis, 1);
            *array = importer.reshaped(*array, &extents)?;
        }
    }
    Ok(vec![Item::Value(importer.join(&arrays, axis)?)])
}

fn split_to_sequence(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let input = call.value(0)?;
    let own = importer.builder.extents(input)?;
    let axis = call.axis("axis", 0, own.len())?;
    let (lengths, keeps): (Vec<i64>, bool) = match call.optional(1)? {
        None if own[axis] > ROLLED_OUT as usize => {
            return Err(Error::ManyNodes { most: ROLLED_OUT as usize });
        }
        None => (vec![1; own[axis]], call.int_or("keepdims", 1)? != 0),
        Some(split) if importer.builder.rank(split) == 0 => {
            let each = importer.builder.integer(split)?.max(1);
            let extent = own[axis] as i64;
            ((0..extent).step_by(each as usize).map(|at| each.min(extent - at)).collect(), true)
        }
        Some(split) => (importer.builder.integers(split)?, true),
    };
    let (mut start, mut items) = (0, Vec::new());
    for len in lengths {
        let len = len.max(0) as usize;
        let part = match keeps {
            true => importer.part(input, axis, start, len)?,
            false => importer.slice_at(input, axis, start)?,
        };
        items.push(Item::Value(part));
        start += len;
    }
    Ok(vec![Item::Sequence(items)])
}

/// The body once for each place of the first list.
fn sequence_map<'a>(importer: &mut Importer<'a>, call: &Call<'a>) -> Result<Vec<Item>, Error> {
    let body = call.graph("body")?;
    let len = call.sequence(0)?.len();
    let mut made: Vec<Vec<Item>> = vec![Vec::new(); body.outputs.len()];
    for at in 0..len {
        let given = call.inputs.iter().map(|input| match input {
            Item::Sequence(items) => {
                items.get(at).cloned().ok_or(Error::Position { position: at as i64, len: items.len() })
            }
            item => Ok(item.clone()),
        });
        let given = given.collect::<Result<Vec<_>, _>>()?;
        let one = importer.inner(body, &given)?;
        made.iter_mut().zip(one).for_each(|(list, item)| list.push(item));
    }
    Ok(made.into_iter().map(Item::Sequence).collect())
}
