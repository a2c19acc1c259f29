//! From the bytes of a TFLite file to a [`Model`].
//!
//! Not a validator of graphs, but of their numbers. The one design choice: what several places of the file may share
//! (a table, a vector) is charged for each time it is read, so that a small file cannot stand for a large one.

use std::ops::Range;

use host::ReadAt;

use super::options::{self, Options};
use super::{
    Builtin, Model, Operator, OperatorCode, Quantization, Signature, SparseDim, Sparsity, Subgraph, Tensor,
    TensorType,
};
use crate::flat::{Flat, Table, Vector};
use crate::limits::Meter;
use crate::reader::Reader;
use crate::{ArrayRef, Element, Error, FilePart, Limits};

/// What stands at byte 4 of every file.
const MAGIC: [u8; 4] = *b"TFL3";

/// Lists of numbers that take at most so many bytes are held.
const HELD_MAX: u64 = 4 << 10;

/// Whether these bytes are a TFLite file.
pub(crate) fn is_model(source: &dyn ReadAt) -> bool {
    let mut reader = Reader::new(source, 0, source.len());
    reader.array::<8>().is_ok_and(|bytes| bytes[4..] == MAGIC)
}

/// Reads the header of a TFLite file.
pub fn read(source: &dyn ReadAt, limits: Limits) -> Result<Model, Error> {
    let mut meter = Meter::new(limits);
    let mut flat = Flat::new(source);
    let magic = flat.array(4)?;
    if magic != MAGIC {
        return Err(Error::NotAModel { magic });
    }
    let root = flat.root()?;
    let version = flat.scalar(&root, 0, 0)?;
    if version != 3 {
        return Err(Error::UnsupportedSchema { version });
    }
    let codes = flat.offsets(&root, 1)?;
    let buffers = flat.offsets(&root, 4)?;
    let description = flat.text(&root, 3, &mut meter)?;
    let mut parser = Parser { flat, meter, codes, buffers, subgraphs: 0 };
    let list = parser.flat.offsets(&root, 2)?;
    parser.subgraphs = list.len;
    let subgraphs = parser.list(list, Parser::subgraph)?;
    let list = parser.flat.offsets(&root, 6)?;
    let metadata = parser.list(list, Parser::metadata)?;
    let list = parser.flat.offsets(&root, 7)?;
    let signatures = parser.list(list, |parser, table| parser.signature(table, &subgraphs))?;
    let file = FilePart { path: Default::default(), bytes: source.len() };
    Ok(Model { version, description, subgraphs, signatures, metadata, file, heap: parser.meter.used() })
}

struct Parser<'a> {
    flat: Flat<'a>,
    meter: Meter,
    codes: Vector,
    buffers: Vector,
    /// How many there are.
    subgraphs: u64,
}

fn malformed<T>(what: &'static str, table: &Table) -> Result<T, Error> {
    Err(Error::Malformed { what, offset: table.at })
}

impl Parser<'_> {
    /// Reads each table of a list.
    fn list<T>(
        &mut self,
        list: Vector,
        mut read: impl FnMut(&mut Self, &Table) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut items = Vec::new();
        for index in 0..list.len {
            let table = self.flat.element(&list, index)?;
            self.meter.make_room(&mut items)?;
            items.push(read(self, &table)?);
        }
        Ok(items)
    }

    fn subgraph(&mut self, table: &Table) -> Result<Subgraph, Error> {
        let name = self.flat.text(table, 4, &mut self.meter)?;
        let list = self.flat.offsets(table, 0)?;
        let tensors = self.list(list, Parser::tensor)?;
        let inputs = self.known(table, 1, tensors.len())?;
        let outputs = self.known(table, 2, tensors.len())?;
        let list = self.flat.offsets(table, 3)?;
        let operators = self.list(list, |parser, table| parser.operator(table, tensors.len()))?;
        Ok(Subgraph { name, tensors, inputs, outputs, operators })
    }

    /// Numbers of tensors of which none may be left out.
    fn known(&mut self, table: &Table, slot: u16, tensors: usize) -> Result<Box<[u32]>, Error> {
        let numbers = self.tensors(table, slot, tensors)?;
        self.meter.charge_block(4 * numbers.len())?;
        let known: Option<Box<[u32]>> = numbers.iter().copied().collect();
        match known {
            Some(known) => Ok(known),
            None => malformed("an input or output of a graph is left out", table),
        }
    }

    /// Numbers of tensors; -1 is one that is left out.
    fn tensors(&mut self, table: &Table, slot: u16, tensors: usize) -> Result<Box<[Option<u32>]>, Error> {
        let numbers = self.flat.numbers::<i32>(table, slot, &mut self.meter)?;
        self.meter.charge_block(numbers.len().saturating_mul(size_of::<Option<u32>>()))?;
        let number = |&number: &i32| match u32::try_from(number) {
            Ok(number) if (number as usize) < tensors => Some(Some(number)),
            Err(_) if number == -1 => Some(None),
            _ => None,
        };
        let numbers: Option<Box<[_]>> = numbers.iter().map(number).collect();
        match numbers {
            Some(numbers) => Ok(numbers),
            None => malformed("a number is of no tensor", table),
        }
    }

    fn tensor(&mut self, table: &Table) -> Result<Tensor, Error> {
        let name = self.flat.text(table, 3, &mut self.meter)?;
        let shape = self.flat.numbers::<i32>(table, 0, &mut self.meter)?;
        let shape: Result<Box<[u32]>, _> = shape.iter().map(|&extent| u32::try_from(extent)).collect();
        let Ok(shape) = shape else { return malformed("a tensor has a negative extent", table) };
        self.meter.charge_block(4 * shape.len())?;
        let id = self.flat.scalar::<u8>(table, 1, 0)?;
        let unknown = || Error::ElementType { tensor: name.clone(), id: id.into() };
        let element = TensorType::from_id(id).ok_or_else(unknown)?;
        let buffer = self.flat.scalar::<u32>(table, 2, 0)?;
        let quantization = match self.flat.child(table, 4)? {
            Some(table) => Some(self.quantization(&table)?),
            None => None,
        };
        let sparsity = match self.flat.child(table, 6)? {
            Some(table) => Some(self.sparsity(&table)?),
            None => None,
        };
        let tensor = Tensor {
            data: self.buffer(buffer)?,
            shape_signature: self.flat.numbers(table, 7, &mut self.meter)?,
            has_rank: self.flat.bool(table, 8, false)?,
            is_variable: self.flat.bool(table, 5, false)?,
            name,
            shape,
            element,
            buffer,
            quantization,
            sparsity,
        };
        check_size(tensor)
    }

    /// Where the bytes of a buffer lie; `None` if it is empty.
    fn buffer(&mut self, number: u32) -> Result<Option<Range<u64>>, Error> {
        if number == 0 && self.buffers.len == 0 {
            return Ok(None);
        }
        let table = self.flat.element(&self.buffers, number.into())?;
        let data = self.flat.vector(&table, 0, 1)?;
        if data.len > 0 {
            return Ok(Some(data.range()));
        }
        // What is larger than FlatBuffers can hold stands behind them.
        let (start, len) = (self.flat.scalar::<u64>(&table, 1, 0)?, self.flat.scalar::<u64>(&table, 2, 0)?);
        self.behind(start, len)
    }

    /// Bytes behind the FlatBuffers; an offset of 1 or less is none.
    fn behind(&mut self, start: u64, len: u64) -> Result<Option<Range<u64>>, Error> {
        if start <= 1 || len == 0 {
            return Ok(None);
        }
        self.flat.inside(start, len)?;
        Ok(Some(start..start + len))
    }

    fn quantization(&mut self, table: &Table) -> Result<Quantization, Error> {
        let axis = self.flat.scalar::<i32>(table, 6, 0)?;
        let Ok(axis) = u32::try_from(axis) else { return malformed("a negative dimension", table) };
        Ok(Quantization {
            min: self.array(table, 0, Element::F32)?,
            max: self.array(table, 1, Element::F32)?,
            scale: self.array(table, 2, Element::F32)?,
            zero_point: self.array(table, 3, Element::I64)?,
            is_custom: self.flat.scalar::<u8>(table, 4, 0)? != 0,
            axis,
        })
    }

    /// A list of numbers: held if it is short.
    fn array(&mut self, table: &Table, slot: u16, element: Element) -> Result<ArrayRef, Error> {
        let vector = self.flat.vector(table, slot, element.least_bytes())?;
        let range = vector.range();
        let bytes = range.end - range.start;
        if bytes > HELD_MAX {
            return Ok(ArrayRef::in_file(element, vector.len, 0, range));
        }
        self.meter.charge_block(bytes as usize)?;
        Ok(ArrayRef::held(element, vector.len, self.flat.bytes(&vector)?))
    }

    fn sparsity(&mut self, table: &Table) -> Result<Sparsity, Error> {
        let traversal_order = self.flat.numbers(table, 0, &mut self.meter)?;
        let block_map = self.flat.numbers(table, 1, &mut self.meter)?;
        let list = self.flat.offsets(table, 2)?;
        let dims = self.list(list, Parser::sparse_dim)?;
        Ok(Sparsity { traversal_order, block_map, dims })
    }

    fn sparse_dim(&mut self, table: &Table) -> Result<SparseDim, Error> {
        match self.flat.scalar::<u8>(table, 0, 0)? {
            0 => {
                let size = self.flat.scalar::<i32>(table, 1, 0)?;
                match u32::try_from(size) {
                    Ok(size) => Ok(SparseDim::Dense { size }),
                    Err(_) => malformed("a negative dimension", table),
                }
            }
            1 => {
                let segments = self.indices(table, 2)?;
                let indices = self.indices(table, 4)?;
                Ok(SparseDim::Csr { segments, indices })
            }
            _ => malformed("a dimension is stored in an unknown way", table),
        }
    }

    /// Indices of one of three widths: the slot with the width, then that with the list.
    fn indices(&mut self, table: &Table, slot: u16) -> Result<ArrayRef, Error> {
        let element = match self.flat.scalar::<u8>(table, slot, 0)? {
            1 => Element::I32,
            2 => Element::U16,
            3 => Element::U8,
            _ => return malformed("indices are of an unknown type", table),
        };
        match self.flat.child(table, slot + 1)? {
            Some(values) => self.array(&values, 0, element),
            None => malformed("indices are missing", table),
        }
    }

    fn operator(&mut self, table: &Table, tensors: usize) -> Result<Operator, Error> {
        let number = self.flat.scalar::<u32>(table, 0, 0)?;
        let (code, version) = self.code(number)?;
        let mutated = self.flat.numbers::<u8>(table, 7, &mut self.meter)?;
        self.meter.charge_block(mutated.len())?;
        let custom = self.flat.vector(table, 5, 1)?;
        let custom_options = match custom.len {
            0 => {
                let start = self.flat.scalar::<u64>(table, 9, 0)?;
                let len = self.flat.scalar::<u64>(table, 10, 0)?;
                self.behind(start, len)?
            }
            _ => Some(custom.range()),
        };
        Ok(Operator {
            code,
            version,
            inputs: self.tensors(table, 1, tensors)?,
            outputs: self.tensors(table, 2, tensors)?,
            intermediates: self.tensors(table, 8, tensors)?,
            mutated_inputs: mutated.iter().map(|&byte| byte != 0).collect(),
            options: self.options(table)?,
            custom_options,
        })
    }

    /// What the operator of a number is.
    fn code(&mut self, number: u32) -> Result<(OperatorCode, i32), Error> {
        let table = self.flat.element(&self.codes, number.into())?;
        // The first field had no room for codes from 127 on.
        let (old, new) = (self.flat.scalar::<i8>(&table, 0, 0)?, self.flat.scalar::<i32>(&table, 3, 0)?);
        let id = new.max(old.into());
        let version = self.flat.scalar(&table, 2, 1)?;
        let code = match u32::try_from(id).ok().and_then(Builtin::from_code) {
            Some(Builtin::Custom) => OperatorCode::Custom(self.flat.text(&table, 1, &mut self.meter)?),
            Some(builtin) => OperatorCode::Builtin(builtin),
            None => return Err(Error::UnknownOperator { code: id }),
        };
        Ok((code, version))
    }

    fn options(&mut self, table: &Table) -> Result<Options, Error> {
        let (number, slot) = match self.flat.scalar::<u8>(table, 11, 0)? {
            0 => (self.flat.scalar::<u8>(table, 3, 0)?.into(), 4),
            second => (options::SECOND + u16::from(second), 12),
        };
        let Some(settings) = self.flat.child(table, slot)?.filter(|_| number != 0) else {
            return Ok(Options::None);
        };
        let options = options::read(number, &mut self.flat, &settings, &mut self.meter)?;
        let graphs = match options {
            Options::If { then_subgraph_index, else_subgraph_index } => {
                [then_subgraph_index, else_subgraph_index]
            }
            Options::While { cond_subgraph_index, body_subgraph_index } => {
                [cond_subgraph_index, body_subgraph_index]
            }
            Options::CallOnce { init_subgraph_index } => [init_subgraph_index; 2],
            Options::StablehloComposite { decomposition_subgraph_index } => [decomposition_subgraph_index; 2],
            Options::Call { subgraph } => [i32::try_from(subgraph).unwrap_or(-1); 2],
            _ => return Ok(options),
        };
        let exists = |&graph: &i32| u64::try_from(graph).is_ok_and(|graph| graph < self.subgraphs);
        if graphs.iter().all(exists) { Ok(options) } else { malformed("a number is of no graph", table) }
    }

    fn metadata(&mut self, table: &Table) -> Result<(Box<str>, Range<u64>), Error> {
        let name = self.flat.text(table, 0, &mut self.meter)?;
        let number = self.flat.scalar(table, 1, 0)?;
        Ok((name, self.buffer(number)?.unwrap_or(0..0)))
    }

    fn signature(&mut self, table: &Table, subgraphs: &[Subgraph]) -> Result<Signature, Error> {
        let subgraph = self.flat.scalar::<u32>(table, 4, 0)?;
        let Some(graph) = subgraphs.get(subgraph as usize) else {
            return malformed("a number is of no graph", table);
        };
        let mut names = |slot| {
            let list = self.flat.offsets(table, slot)?;
            self.list(list, |parser, table| {
                let number = parser.flat.scalar::<u32>(table, 1, 0)?;
                let name = parser.flat.text(table, 0, &mut parser.meter)?;
                if number as usize >= graph.tensors.len() {
                    return malformed("a number is of no tensor", table);
                }
                Ok((name, number))
            })
        };
        let (inputs, outputs) = (names(0)?, names(1)?);
        let key = self.flat.text(table, 2, &mut self.meter)?;
        Ok(Signature { key, subgraph, inputs, outputs })
    }
}

/// Refuses a constant that is not as long as its shape says; a sparse one has a length of its own.
fn check_size(tensor: Tensor) -> Result<Tensor, Error> {
    let (Some(data), None) = (&tensor.data, &tensor.sparsity) else { return Ok(tensor) };
    let found = data.end - data.start;
    let expected = match tensor.element.bits() {
        0 => found,
        _ => tensor.elements().and_then(|elements| tensor.element.bytes_of(elements)).unwrap_or(u64::MAX),
    };
    match found == expected {
        true => Ok(tensor),
        false => Err(Error::Size { tensor: tensor.name, expected, found }),
    }
}
