//! What importers build networks with: nodes are added, and what is always the same is worked out at once.
//!
//! Not a pass over a finished graph. The one design choice: an importer asks for extents and numbers as if all were known;
//! where they follow from constants or from inputs that are at hand they are, and otherwise the question is an error that
//! says so.

use super::{Form, Item, Place};
use crate::Error;
use graph::array::{Array, evaluate};
use graph::op::Op;
use graph::{ArrayOp, ArrayType, Data, Elem, Extents, Graph, ValueId, Weight};
use host::ReadAt;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use tensor::{DType, Shape};

/// Bytes up to which a constant that is worked out is kept instead of the node.
const FOLD_MAX: usize = 64 << 10;
/// Bytes up to which a constant in a file is held by the graph.
const SMALL: usize = 8 << 10;
/// Bytes up to which the numbers of an array may be asked for.
const ASK_MAX: usize = 4 << 20;
/// Nodes that a network may have; loops are rolled out.
const NODES_MAX: usize = 1 << 18;

/// A network under construction.
pub(crate) struct Builder<'a> {
    pub graph: Graph,
    files: &'a [&'a dyn ReadAt],
    pub weights: Vec<Place>,
    weight_ids: HashMap<(u32, u64, ArrayType, Form), ValueId>,
    /// By value, the node that makes it and which of its outputs it is.
    makers: HashMap<ValueId, (usize, usize)>,
    /// Numbers of values that are known, be it from inputs.
    known: HashMap<ValueId, Rc<Array>>,
    /// Inputs whose numbers are at hand.
    given: HashMap<ValueId, Rc<Array>>,
    pub decided: BTreeSet<ValueId>,
    pub dynamic: Vec<bool>,
}

impl<'a> Builder<'a> {
    pub fn new(files: &'a [&'a dyn ReadAt]) -> Builder<'a> {
        Builder {
            graph: Graph::new(),
            files,
            weights: Vec::new(),
            weight_ids: HashMap::new(),
            makers: HashMap::new(),
            known: HashMap::new(),
            given: HashMap::new(),
            decided: BTreeSet::new(),
            dynamic: Vec::new(),
        }
    }

    /// The files that constants lie in.
    pub fn files(&self) -> &'a [&'a dyn ReadAt] {
        self.files
    }

    /// Declares an input.
    pub fn input(&mut self, kind: ArrayType, bytes: Option<&[u8]>) -> ValueId {
        let id = self.graph.input(kind.extents.into(), kind.elem);
        if let Some(bytes) = bytes.filter(|bytes| bytes.len() <= ASK_MAX) {
            self.given.insert(id, Rc::new(Array { kind, bytes: bytes.into() }));
        }
        id
    }

    /// A constant whose elements are at hand.
    pub fn constant(&mut self, array: Array) -> ValueId {
        let id = self.graph.constant(array.kind, Data::Here(array.bytes.clone()));
        self.known.insert(id, Rc::new(array));
        id
    }

    /// A constant that lies in a file.
    pub fn constant_in_file(&mut self, name: &str, kind: ArrayType, place: Place) -> Result<ValueId, Error> {
        let key = (place.file, place.range.start, kind, place.form.clone());
        if let Some(&id) = self.weight_ids.get(&key) {
            return Ok(id);
        }
        let id = if kind.bytes() <= SMALL {
            let bytes = self.read(&place, kind, name)?;
            self.constant(Array { kind, bytes })
        } else {
            // Whatever its rank, a matrix of its outermost extent.
            let rows = kind.extents.first().copied().unwrap_or(1).max(1) as u64;
            let shape = Shape::new(&[rows, kind.extents.elements() as u64 / rows]);
            let shape = shape.map_err(|source| Error::Shape { name: name.into(), source })?;
            let (tensor, dtype) = (self.weights.len(), stored(kind.elem));
            self.weights.push(place);
            let weight = self.graph.weight(Weight { name: name.into(), tensor, dtype, shape, offset: 0.0 });
            self.graph.constant(kind, Data::InFile(weight))
        };
        self.weight_ids.insert(key, id);
        Ok(id)
    }

    fn read(&self, place: &Place, kind: ArrayType, name: &str) -> Result<Box<[u8]>, Error> {
        let failed = |source| Error::Read { name: name.into(), source };
        let file = self.files.get(place.file as usize);
        let file = file.ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))?;
        let mut bytes = vec![0; kind.bytes()];
        place.read(*file, &mut bytes).map_err(failed)?;
        Ok(bytes.into())
    }

    /// Adds a node, or works it out at once if it is always the same; gives all that it makes.
    pub fn push(&mut self, op: impl Into<ArrayOp>, inputs: &[ValueId]) -> Result<Vec<ValueId>, Error> {
        let op = op.into();
        if let Some(made) = self.fold(&op, inputs)? {
            return Ok(made);
        }
        if self.graph.nodes.len() >= NODES_MAX {
            return Err(Error::ManyNodes { most: NODES_MAX });
        }
        let dynamic = op.is_dynamic() || inputs.iter().any(|id| self.is_dynamic(*id));
        let made = self.graph.push_array(op, inputs)?;
        let node = self.graph.nodes.len() - 1;
        for (output, id) in made.iter().enumerate() {
            self.makers.insert(*id, (node, output));
        }
        self.dynamic.resize(self.graph.values.len(), false);
        made.iter().for_each(|id| self.dynamic[id.0 as usize] = dynamic);
        Ok(made)
    }

    /// As [`Builder::push`], of an operator that makes one array.
    pub fn one(&mut self, op: impl Into<ArrayOp>, inputs: &[ValueId]) -> Result<ValueId, Error> {
        self.push(op, inputs)?.first().copied().ok_or(Error::NoOutput)
    }

    /// What an operator makes of constants, if that is not much larger than they are.
    fn fold(&mut self, op: &ArrayOp, inputs: &[ValueId]) -> Result<Option<Vec<ValueId>>, Error> {
        let here = |id: &ValueId| match self.graph.constant_of(*id) {
            Some(Data::Here(_)) => self.known.get(id).cloned(),
            _ => None,
        };
        let Some(arrays) = inputs.iter().map(here).collect::<Option<Vec<_>>>() else { return Ok(None) };
        let kinds: Vec<ArrayType> = arrays.iter().map(|array| array.kind).collect();
        let made: usize = op.infer(&kinds)?.iter().map(ArrayType::bytes).sum();
        if made > FOLD_MAX.max(arrays.iter().map(|array| array.bytes.len()).sum()) {
            return Ok(None);
        }
        let arrays: Vec<&Array> = arrays.iter().map(|array| &**array).collect();
        let made = evaluate(op, &arrays)?;
        Ok(Some(made.into_iter().map(|array| self.constant(array)).collect()))
    }

    /// What a value is; if it is dynamic, at most.
    pub fn most(&self, id: ValueId) -> ArrayType {
        let value = self.graph.value_of(id);
        ArrayType { elem: value.elem, extents: value.dims.known().unwrap_or_default() }
    }

    /// Kind of element of a value.
    pub fn elem(&self, id: ValueId) -> Elem {
        self.graph.value_of(id).elem
    }

    /// How many extents a value has.
    pub fn rank(&self, id: ValueId) -> usize {
        self.graph.value_of(id).dims.as_slice().len()
    }

    /// The extents of a value.
    ///
    /// # Errors
    /// [`Error::DataDependent`] if they are known only when it is there.
    pub fn extents(&self, id: ValueId) -> Result<Extents, Error> {
        if self.is_dynamic(id) { Err(Error::DataDependent) } else { Ok(self.most(id).extents) }
    }

    /// The node that makes a value.
    pub fn maker(&self, id: ValueId) -> Option<&graph::Node> {
        self.makers.get(&id).and_then(|(node, _)| self.graph.nodes.get(*node))
    }

    /// Whether the extents of a value are known only when it is there.
    pub fn is_dynamic(&self, id: ValueId) -> bool {
        self.dynamic.get(id.0 as usize).copied().unwrap_or(false)
    }

    /// An axis as it is counted from the front.
    pub fn axis(&self, id: ValueId, axis: i64) -> Result<usize, Error> {
        axis_of(axis, self.rank(id))
    }

    /// The numbers of a value, now. If they come from an input the network is good for such inputs only.
    ///
    /// # Errors
    /// [`Error::DataDependent`] if they are not known before the network runs.
    pub fn array(&mut self, id: ValueId) -> Result<Rc<Array>, Error> {
        if let Some(array) = self.known.get(&id) {
            return Ok(Rc::clone(array));
        }
        let array = if let Some(given) = self.given.get(&id) {
            self.decided.insert(id);
            Rc::clone(given)
        } else if let Some(Data::InFile(weight)) = self.graph.constant_of(id) {
            let kind = self.most(id);
            if kind.bytes() > ASK_MAX {
                return Err(Error::DataDependent);
            }
            let weight = self.graph.weight_of(*weight);
            let (place, name) = (self.weights[weight.tensor].clone(), weight.name.clone());
            Rc::new(Array { kind, bytes: self.read(&place, kind, &name)? })
        } else {
            self.work_out(id)?
        };
        self.known.insert(id, Rc::clone(&array));
        Ok(array)
    }

    /// The numbers of a value that a node makes, from those that it is made of.
    fn work_out(&mut self, id: ValueId) -> Result<Rc<Array>, Error> {
        // A long chain must not need a deep stack: what is needed is worked out in the order of the nodes.
        let mut wanted = BTreeSet::new();
        let mut open = vec![id];
        while let Some(id) = open.pop() {
            if self.known.contains_key(&id) {
                continue;
            }
            let Some(&(node, _)) = self.makers.get(&id) else {
                self.array_of_leaf(id)?;
                continue;
            };
            if wanted.insert(node) {
                open.extend(&self.graph.nodes[node].inputs);
            }
        }
        for node in wanted {
            let node = self.graph.nodes[node].clone();
            let Op::Array(op) = &node.op else { return Err(Error::DataDependent) };
            let inputs = node.inputs.iter().map(|id| self.known.get(id).cloned());
            let inputs = inputs.collect::<Option<Vec<_>>>().ok_or(Error::DataDependent)?;
            let kinds: Vec<ArrayType> = inputs.iter().map(|array| array.kind).collect();
            if op.infer(&kinds)?.iter().map(ArrayType::bytes).sum::<usize>() > ASK_MAX {
                return Err(Error::DataDependent);
            }
            let made = evaluate(op, &inputs.iter().map(|array| &**array).collect::<Vec<_>>())?;
            self.known.extend(node.outputs().zip(made.into_iter().map(Rc::new)));
        }
        self.known.get(&id).cloned().ok_or(Error::DataDependent)
    }

    /// The numbers of a value that no node makes.
    fn array_of_leaf(&mut self, id: ValueId) -> Result<(), Error> {
        let at_hand = self.given.contains_key(&id) || self.graph.constant_of(id).is_some();
        if at_hand { self.array(id).map(drop) } else { Err(Error::DataDependent) }
    }

    /// The numbers of a value as whole numbers.
    pub fn integers(&mut self, id: ValueId) -> Result<Vec<i64>, Error> {
        Ok(self.array(id)?.integers())
    }

    /// The only number of a value as a whole number.
    pub fn integer(&mut self, id: ValueId) -> Result<i64, Error> {
        self.integers(id)?.first().copied().ok_or(Error::DataDependent)
    }

    /// The numbers of a value as fractions.
    pub fn fractions(&mut self, id: ValueId) -> Result<Vec<f64>, Error> {
        Ok(self.array(id)?.fractions())
    }

    /// A constant list of whole numbers.
    pub fn integers_constant(&mut self, numbers: &[i64]) -> Result<ValueId, Error> {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        let extents = Extents::new(&[numbers.len()]).ok_or(Error::ManyNodes { most: NODES_MAX })?;
        Ok(self.constant(Array { kind: ArrayType { elem: Elem::I64, extents }, bytes }))
    }

    /// A constant number of a kind.
    pub fn number(&mut self, elem: Elem, number: f64) -> ValueId {
        self.constant(Array::number(elem, number))
    }

    /// An array, where a list or nothing could be.
    pub fn value(&self, item: &Item) -> Result<ValueId, Error> {
        match item {
            Item::Value(id) => Ok(*id),
            _ => Err(Error::NotAnArray),
        }
    }
}

/// An axis as it is counted from the front.
pub(crate) fn axis_of(axis: i64, rank: usize) -> Result<usize, Error> {
    let from_front = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    let axis_of = usize::try_from(from_front).ok().filter(|axis| *axis < rank);
    axis_of.ok_or(Error::Axis { axis, rank })
}

/// A type of the same width, for what is only read as bytes.
fn stored(elem: Elem) -> DType {
    match elem.bytes() {
        1 => DType::I8,
        2 => DType::I16,
        4 => DType::I32,
        _ => DType::I64,
    }
}
