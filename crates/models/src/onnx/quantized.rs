//! Arithmetic on small whole numbers with scales and zeros.
//!
//! The one design choice: products are of whole numbers and exact; everything else is done on the numbers that they stand for.

use super::window::{conv_of, windows_of};
use super::{Importer, MICROSOFT, OWN, Row};
use crate::Error;
use crate::network::{Item, axis_of};
use crate::onnx::call::{Call, unknown};
use graph::array::{Along, BinaryKind, MatMul, Quantize, Reduce, ReduceKind, Restride, Select, UnaryKind};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    (OWN, "ConvInteger", conv_integer),
    (OWN, "DequantizeLinear", dequantize_linear),
    (OWN, "DynamicQuantizeLinear", dynamic_quantize_linear),
    (OWN, "MatMulInteger", mat_mul_integer),
    (OWN, "QLinearConv", conv_linear),
    (OWN, "QLinearMatMul", mat_mul_linear),
    (OWN, "QuantizeLinear", quantize_linear),
    (MICROSOFT, "DequantizeLinear", dequantize_linear),
    (MICROSOFT, "DynamicQuantizeMatMul", dynamic_mat_mul),
    (MICROSOFT, "MatMulIntegerToFloat", mat_mul_to_float),
    (MICROSOFT, "QGemm", gemm),
    (MICROSOFT, "QLinearAdd", |i, c| both(i, c, BinaryKind::Add)),
    (MICROSOFT, "QLinearConcat", concat),
    (MICROSOFT, "QLinearConv", conv_linear),
    (MICROSOFT, "QLinearGlobalAveragePool", global_average),
    (MICROSOFT, "QLinearLeakyRelu", |i, c| {
        let kind = UnaryKind::LeakyRelu { alpha: c.float_or("alpha", 0.01)? };
        one(i, c, |i, x| i.of_each(kind, x))
    }),
    (MICROSOFT, "QLinearMul", |i, c| both(i, c, BinaryKind::Mul)),
    (MICROSOFT, "QLinearSigmoid", |i, c| one(i, c, |i, x| i.of_each(UnaryKind::Sigmoid, x))),
    (MICROSOFT, "QuantizeLinear", quantize_linear),
];

/// How a scale and a zero belong to an array.
#[derive(Clone, Copy)]
struct Spread {
    axis: i64,
    /// Elements along the axis that share a scale, if not all or one.
    block: usize,
}

impl Spread {
    const NONE: Spread = Spread { axis: 1, block: 0 };

    fn new(call: &Call<'_>) -> Result<Spread, Error> {
        let block = call.int_or("block_size", 0)?;
        let block = usize::try_from(block);
        let block = block.or_else(|_| unknown("block_size", "negative", "a number of elements is needed"))?;
        Ok(Spread { axis: call.int_or("axis", 1)?, block })
    }
}

impl Importer<'_> {
    fn quantize(&mut self, op: Quantize, inputs: &[ValueId], spread: Spread) -> Result<ValueId, Error> {
        let [x, factors @ ..] = inputs else { return Err(Error::MissingInput { input: 0 }) };
        let own = self.builder.extents(*x)?;
        if spread.block > 0 && factors.iter().any(|factor| self.builder.rank(*factor) == own.len()) {
            return self.quantize_blocks(op, *x, factors, spread);
        }
        let mut inputs = vec![*x];
        for &factor in factors {
            inputs.push(match self.builder.extents(factor)?[..] {
                [] => factor,
                [1] => self.reshaped(factor, &[])?,
                [count] => {
                    let axis = axis_of(spread.axis, own.len())?;
                    let mut extents = vec![1; own.len() - axis];
                    extents[0] = count;
                    self.reshaped(factor, &extents)?
                }
                _ => factor,
            });
        }
        self.builder.one(op, &inputs)
    }

    /// Blocks become an axis of their own, or factors are repeated where the last block is smaller.
    fn quantize_blocks(
        &mut self,
        op: Quantize,
        x: ValueId,
        factors: &[ValueId],
        Spread { axis, block }: Spread,
    ) -> Result<ValueId, Error> {
        let own = self.builder.extents(x)?;
        let axis = axis_of(axis, own.len())?;
        let (before, within): (usize, usize) =
            (own[..axis].iter().product(), own[axis + 1..].iter().product());
        let (extent, blocks) = (own[axis], own[axis].div_ceil(block));
        if blocks * block == extent {
            let mut inputs = vec![self.reshaped(x, &[before, blocks, block, within])?];
            for &factor in factors {
                inputs.push(self.reshaped(factor, &[before, blocks, 1, within])?);
            }
            let made = self.builder.one(op, &inputs)?;
            return self.reshaped(made, &own);
        }
        let mut inputs = vec![self.reshaped(x, &[before, extent, within])?];
        for &factor in factors {
            let flat = self.reshaped(factor, &[before, blocks, within])?;
            let along = |axis| Along::Axis { axis, len: None, start: 0, step: 1 };
            let axes = vec![along(0), along(1), Along::Repeat(block), along(2)];
            let repeated = self.builder.one(Restride { axes, at: vec![0; 3] }, &[flat])?;
            let flat = self.reshaped(repeated, &[before, blocks * block, within])?;
            inputs.push(self.part(flat, 1, 0, extent)?);
        }
        let made = self.builder.one(op, &inputs)?;
        self.reshaped(made, &own)
    }

    /// The numbers that whole numbers stand for, as f32, with one scale and zero for all.
    fn meant(&mut self, x: ValueId, scale: ValueId, zero: Option<ValueId>) -> Result<ValueId, Error> {
        let inputs: Vec<ValueId> = [x, scale].into_iter().chain(zero).collect();
        self.quantize(Quantize { to: Elem::F32, back: true, away: false }, &inputs, Spread::NONE)
    }

    /// The way back, to the kind of `like` or of the zero.
    fn kept(
        &mut self,
        x: ValueId,
        scale: ValueId,
        zero: Option<ValueId>,
        like: Elem,
    ) -> Result<ValueId, Error> {
        let to = zero.map_or(like, |zero| self.builder.elem(zero));
        let inputs: Vec<ValueId> = [x, scale].into_iter().chain(zero).collect();
        self.quantize(Quantize { to, back: false, away: false }, &inputs, Spread::NONE)
    }

    /// The product of whole numbers, exactly.
    fn integer_product(
        &mut self,
        [a, b]: [ValueId; 2],
        [a_zero, b_zero]: [Option<ValueId>; 2],
    ) -> Result<ValueId, Error> {
        let mut inputs = vec![a, b];
        if a_zero.is_some() || b_zero.is_some() {
            for (array, zero) in [(a, a_zero), (b, b_zero)] {
                let elem = self.builder.elem(array);
                inputs.push(zero.unwrap_or_else(|| self.builder.number(elem, 0.0)));
            }
        }
        self.builder.one(MatMul { b_is_transposed: false, widens: true }, &inputs)
    }

    /// The scale of a product: of rows by that of columns.
    fn product_scale(&mut self, rows: ValueId, columns: ValueId) -> Result<ValueId, Error> {
        let rows = self.of_rows(rows)?;
        let (rows, columns) = (self.cast(rows, Elem::F32)?, self.cast(columns, Elem::F32)?);
        self.of_both(BinaryKind::Mul, rows, columns)
    }

    /// A factor for each row, or for all.
    fn of_rows(&mut self, factor: ValueId) -> Result<ValueId, Error> {
        match self.builder.extents(factor)?[..] {
            [1] => self.reshaped(factor, &[]),
            [rows] => self.reshaped(factor, &[rows, 1]),
            _ => Ok(factor),
        }
    }

    /// As small whole numbers, with a scale and a zero by what is in the array.
    fn dynamic(&mut self, x: ValueId) -> Result<[ValueId; 3], Error> {
        let axes: Vec<usize> = (0..self.builder.rank(x)).collect();
        let mut bound = |kind, pick| {
            let found = self.builder.one(Reduce { kind, axes: axes.clone(), keeps: false }, &[x])?;
            self.with_number(pick, found, 0.0)
        };
        let least = bound(ReduceKind::Min, BinaryKind::Min)?;
        let most = bound(ReduceKind::Max, BinaryKind::Max)?;
        let range = self.of_both(BinaryKind::Sub, most, least)?;
        let scale = self.with_number(BinaryKind::Div, range, 255.0)?;
        let flat = self.with_number(BinaryKind::Equal, range, 0.0)?;
        let one = self.builder.number(Elem::F32, 1.0);
        let scale = self.builder.one(Select, &[flat, one, scale])?;
        let zero = self.of_both(BinaryKind::Div, least, scale)?;
        let zero = self.of_each(UnaryKind::Neg, zero)?;
        let zero = self.of_each(UnaryKind::Round, zero)?;
        let zero = self.with_number(BinaryKind::Max, zero, 0.0)?;
        let zero = self.with_number(BinaryKind::Min, zero, 255.0)?;
        let zero = self.cast(zero, Elem::U8)?;
        Ok([self.kept(x, scale, Some(zero), Elem::U8)?, scale, zero])
    }
}

fn value(id: ValueId) -> Result<Vec<Item>, Error> {
    Ok(vec![Item::Value(id)])
}

fn quantize_linear(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut inputs = vec![call.value(0)?, call.value(1)?];
    let zero = call.optional(2)?;
    inputs.extend(zero);
    let to = match (zero, call.int_or("output_dtype", 0)?) {
        (Some(zero), _) => importer.builder.elem(zero),
        (None, 0) => Elem::U8,
        (None, id) => super::elem_of_id("output_dtype", id)?,
    };
    value(importer.quantize(Quantize { to, back: false, away: false }, &inputs, Spread::new(call)?)?)
}

fn dequantize_linear(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let mut inputs = vec![call.value(0)?, call.value(1)?];
    inputs.extend(call.optional(2)?);
    let to = match call.int_or("output_dtype", 0)? {
        0 => importer.builder.elem(inputs[1]),
        id => super::elem_of_id("output_dtype", id)?,
    };
    value(importer.quantize(Quantize { to, back: true, away: false }, &inputs, Spread::new(call)?)?)
}

fn dynamic_quantize_linear(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    Ok(importer.dynamic(call.value(0)?)?.map(Item::Value).into())
}

fn mat_mul_integer(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let zeros = [call.optional(2)?, call.optional(3)?];
    value(importer.integer_product([call.value(0)?, call.value(1)?], zeros)?)
}

fn mat_mul_linear(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let zeros = [call.optional(2)?, call.optional(5)?];
    let product = importer.integer_product([call.value(0)?, call.value(3)?], zeros)?;
    let scale = importer.product_scale(call.value(1)?, call.value(4)?)?;
    let meant =
        importer.builder.one(Quantize { to: Elem::F32, back: true, away: false }, &[product, scale])?;
    let (scale, zero) = (importer.of_rows(call.value(6)?)?, call.optional(7)?);
    let zero = zero.map(|zero| importer.of_rows(zero)).transpose()?;
    let like = importer.builder.elem(call.value(0)?);
    value(importer.kept(meant, scale, zero, like)?)
}

/// A product of whole numbers as what it stands for, plus a bias.
pub(super) fn product_to_float(
    importer: &mut Importer<'_>,
    arrays: [ValueId; 2],
    scales: [ValueId; 2],
    zeros: [Option<ValueId>; 2],
    bias: Option<ValueId>,
) -> Result<Vec<Item>, Error> {
    let product = importer.integer_product(arrays, zeros)?;
    let scale = importer.product_scale(scales[0], scales[1])?;
    let made =
        importer.builder.one(Quantize { to: Elem::F32, back: true, away: false }, &[product, scale])?;
    value(match bias {
        Some(bias) => importer.of_both(BinaryKind::Add, made, bias)?,
        None => made,
    })
}

fn mat_mul_to_float(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let (arrays, scales) = ([call.value(0)?, call.value(1)?], [call.value(2)?, call.value(3)?]);
    product_to_float(importer, arrays, scales, [call.optional(4)?, call.optional(5)?], call.optional(6)?)
}

fn dynamic_mat_mul(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let [a, scale, zero] = importer.dynamic(call.value(0)?)?;
    let (arrays, scales) = ([a, call.value(1)?], [scale, call.value(2)?]);
    product_to_float(importer, arrays, scales, [Some(zero), call.optional(3)?], call.optional(4)?)
}

/// A product plus a bias of whole numbers at its scale; as floats if no scale of the result is given.
fn gemm(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let [mut a, mut b] = [call.value(0)?, call.value(3)?];
    let like = importer.builder.elem(a);
    for (name, array) in [("transA", &mut a), ("transB", &mut b)] {
        if call.int_or(name, 0)? != 0 {
            *array = importer.transposed(*array, &[1, 0])?;
        }
    }
    let mut sum = importer.integer_product([a, b], [call.optional(2)?, call.optional(5)?])?;
    if let Some(bias) = call.optional(6)? {
        sum = importer.of_both(BinaryKind::Add, sum, bias)?;
    }
    let scale = importer.product_scale(call.value(1)?, call.value(4)?)?;
    let scale = super::reduce::scaled(importer, scale, call.float_or("alpha", 1.0)?)?;
    let meant = importer.builder.one(Quantize { to: Elem::F32, back: true, away: false }, &[sum, scale])?;
    match call.optional(7)? {
        Some(scale) => value(importer.kept(meant, scale, call.optional(8)?, like)?),
        None => value(meant),
    }
}

/// What a convolution adds up, exactly.
fn integer_conv(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    pairs: [(ValueId, Option<ValueId>); 2],
    bias: Option<ValueId>,
) -> Result<ValueId, Error> {
    let [x, w] = pairs.map(|(array, _)| array);
    let (windows, groups) = windows_of(importer, call, [x, w])?;
    let builder = &mut importer.builder;
    let kernel = builder.extents(w)?;
    let is_image = kernel.len() == 4 && windows.kernel[..] == kernel[2..];
    let sums = if is_image && groups == 1 && builder.extents(x)?.get(1) == Some(&kernel[1]) {
        let mut zeros = [x, w];
        for (zero, (array, given)) in zeros.iter_mut().zip(pairs) {
            let nothing = builder.number(builder.elem(array), 0.0);
            let given = given.unwrap_or(nothing);
            *zero =
                if builder.extents(given)?.elements() == 1 { builder.reshaped(given, &[])? } else { given };
        }
        builder.beside([x, w], &windows, zeros)?
    } else {
        let common: usize = kernel.iter().skip(1).product();
        small_conv(importer, call, pairs, if common <= EXACT { Elem::F32 } else { Elem::I32 })?
    };
    let Some(bias) = bias else { return Ok(sums) };
    let rank = importer.builder.rank(sums);
    let bias = importer.per_channel(bias, rank)?;
    importer.of_both(BinaryKind::Add, sums, bias)
}

/// Products of bytes, less what counts as zero, of which f32 adds up as many exactly.
const EXACT: usize = (1 << 24) / (255 * 255);

/// A convolution of whole numbers without their zeros, so that margins are zero as well, as `elem`.
fn small_conv(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    pairs: [(ValueId, Option<ValueId>); 2],
    elem: Elem,
) -> Result<ValueId, Error> {
    let mut inputs = Vec::with_capacity(2);
    for (place, (array, zero)) in pairs.into_iter().enumerate() {
        let mut wide = importer.cast(array, elem)?;
        if let Some(zero) = zero {
            let mut zero = importer.cast(zero, elem)?;
            // Weights may have a zero for each channel that comes out: their first axis.
            if place == 1 && importer.builder.extents(zero)?.elements() > 1 {
                let rank = importer.builder.rank(array);
                zero = importer.per_channel(zero, rank + 1)?;
            } else {
                zero = importer.reshaped(zero, &[])?;
            }
            wide = importer.of_both(BinaryKind::Sub, wide, zero)?;
        }
        inputs.push(wide);
    }
    let sums = conv_of(importer, call, &inputs)?;
    importer.cast(sums, Elem::I32)
}

fn conv_integer(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let pairs = [(call.value(0)?, call.optional(2)?), (call.value(1)?, call.optional(3)?)];
    value(integer_conv(importer, call, pairs, None)?)
}

fn channels_first(call: &Call<'_>) -> Result<(), Error> {
    match call.int_or("channels_last", 0)? {
        0 => Ok(()),
        _ => unknown("channels_last", "1", "channels must be the second axis"),
    }
}

fn conv_linear(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    channels_first(call)?;
    let (x, w) = (call.value(0)?, call.value(3)?);
    let sum =
        integer_conv(importer, call, [(x, call.optional(2)?), (w, call.optional(5)?)], call.optional(8)?)?;
    let rank = importer.builder.rank(sum);
    let of_weights = importer.per_channel(call.value(4)?, rank)?;
    let of_input = importer.reshaped(call.value(1)?, &[])?;
    let scale = importer.of_both(BinaryKind::Mul, of_weights, of_input)?;
    let meant = importer.builder.one(Quantize { to: Elem::F32, back: true, away: false }, &[sum, scale])?;
    let like = importer.builder.elem(x);
    value(importer.kept(meant, call.value(6)?, call.optional(7)?, like)?)
}

/// An operator on the numbers that one array stands for.
fn one(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    f: impl Fn(&mut Importer<'_>, ValueId) -> Result<ValueId, Error>,
) -> Result<Vec<Item>, Error> {
    let x = call.value(0)?;
    let like = importer.builder.elem(x);
    let meant = importer.meant(x, call.value(1)?, call.optional(2)?)?;
    let made = f(importer, meant)?;
    value(importer.kept(made, call.value(3)?, call.optional(4)?, like)?)
}

fn global_average(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    channels_first(call)?;
    one(importer, call, |importer, x| {
        let axes = (2..importer.builder.rank(x)).collect();
        importer.builder.one(Reduce { kind: ReduceKind::Mean, axes, keeps: true }, &[x])
    })
}

fn both(importer: &mut Importer<'_>, call: &Call<'_>, kind: BinaryKind) -> Result<Vec<Item>, Error> {
    let like = importer.builder.elem(call.value(0)?);
    let a = importer.meant(call.value(0)?, call.value(1)?, call.optional(2)?)?;
    let b = importer.meant(call.value(3)?, call.value(4)?, call.optional(5)?)?;
    let made = importer.of_both(kind, a, b)?;
    value(importer.kept(made, call.value(6)?, call.optional(7)?, like)?)
}

fn concat(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let count = call.inputs.len().saturating_sub(2) / 3;
    let mut arrays = Vec::with_capacity(count);
    for place in (0..count).map(|number| 2 + 3 * number) {
        arrays.push(importer.meant(call.value(place)?, call.value(place + 1)?, call.optional(place + 2)?)?);
    }
    let first = *arrays.first().ok_or(Error::MissingInput { input: 2 })?;
    let axis = call.axis("axis", 1, importer.builder.rank(first))?;
    let joined = importer.join(&arrays, axis)?;
    let like = importer.builder.elem(call.value(2)?);
    value(importer.kept(joined, call.value(0)?, call.optional(1)?, like)?)
}
