//! Quantised layers: exact sums of products, then one fraction in fixed point for each map.
//!
//! The one design choice: bytes stay bytes up to the kernel. A convolution is the product of its weights, as they lie in the file
//! but for the order, and windows laid beside each other; where each channel is by itself, sums are small enough for f32 to be
//! exact, and the kernel of floats takes them.

use super::Importer;
use super::scales::{Fixed, bounds};
use crate::Error;
use crate::tflite::Row;
use crate::tflite::call::{Call, Made};
use crate::tflite::held::{Held, Stored};
use crate::tflite::linear::{Layer, layer};
use crate::tflite::window::{Slide, places, weights};
use formats::tflite::Activation;
use graph::array::{BinaryKind, Conv, MatMul, Requantize};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] =
    &[("CONV_2D", conv), ("DEPTHWISE_CONV_2D", conv), ("FULLY_CONNECTED", fully_connected)];

/// Products of bytes, less what counts as zero, of which f32 adds up as many exactly.
const EXACT: usize = (1 << 24) / (255 * 255);

/// Numbers of a layer's scales: input, weights, bias if there is one, result.
struct Numbers {
    input: u32,
    weights: u32,
    bias: Option<u32>,
    made: u32,
}

impl Numbers {
    fn of(call: &Call<'_>) -> Result<Numbers, Error> {
        let (input, weights, made) = (call.input(0)?, call.input(1)?, call.output(0)?);
        Ok(Numbers { input, weights, bias: call.optional(2), made })
    }
}

impl Importer<'_> {
    /// Whether a layer is of whole numbers alone, and how it is added up.
    fn is_whole(&self, numbers: &Numbers) -> Result<bool, Error> {
        let [input, weights, made] =
            [numbers.input, numbers.weights, numbers.made].map(|number| self.elem(number));
        let bias = numbers.bias.map(|bias| self.elem(bias)).transpose()?;
        let narrow = |elem: Elem| matches!(elem, Elem::I8 | Elem::U8 | Elem::I16);
        let sums = matches!(bias, None | Some(Elem::I32 | Elem::I64));
        Ok(narrow(input?) && narrow(made?) && weights?.bytes() == 1 && sums)
    }

    /// Sums (with maps along `axis`) plus the bias, as what the result holds.
    fn finished(
        &mut self,
        sums: ValueId,
        axis: usize,
        numbers: &Numbers,
        activation: Activation,
        once: bool,
    ) -> Result<ValueId, Error> {
        let [from, to] = [self.scale(numbers.input)?, self.scale(numbers.made)?];
        let weights = self.weight_scales(numbers.weights)?;
        let fixed = weights
            .iter()
            .map(|&weight| Fixed::new(f64::from(from.scale) * f64::from(weight) / f64::from(to.scale)));
        let fixed: Vec<Fixed> = fixed.collect();
        let bounds = bounds(activation, to.elem, to.scale, to.zero);
        let expected = "no activation or one of the Relus is needed";
        let bounds = bounds.ok_or(Error::Attribute {
            attribute: "fused_activation_function",
            found: format!("{activation:?}"),
            expected,
        })?;
        let bias = match numbers.bias {
            Some(bias) => self.plain(bias)?,
            None => self.builder.number(Elem::I32, 0.0),
        };
        let list = |of: fn(&Fixed) -> i32| fixed.iter().map(|one| f64::from(of(one))).collect::<Vec<f64>>();
        let multipliers = self.builder.table(Elem::I32, &[fixed.len()], &list(|one| one.multiplier))?;
        let shifts = self.builder.table(Elem::I32, &[fixed.len()], &list(|one| one.shift))?;
        let op = Requantize { to: to.elem, axis, once, left: 0, zero: to.zero, bounds };
        self.builder.one(op, &[sums, bias, multipliers, shifts])
    }

    /// Whether sums are of 32 bits, as the bias is, or those of bytes.
    fn adds_short(&self, numbers: &Numbers) -> Result<bool, Error> {
        match numbers.bias {
            Some(bias) => Ok(self.elem(bias)? == Elem::I32),
            None => Ok(self.elem(numbers.input)?.bytes() == 1),
        }
    }

    /// One scale for all maps, or one for each.
    fn weight_scales(&mut self, number: u32) -> Result<Vec<f32>, Error> {
        let expected = "a scale is needed";
        let missing = Error::Attribute { attribute: "quantization", found: "none".into(), expected };
        Ok(self.scales(number)?.ok_or(missing)?.scale)
    }

    /// Weights as another kind of element, turned as they are read where they are a constant.
    fn weights_as(&mut self, number: u32, elem: Elem) -> Result<(), Error> {
        if let Some(stored) = self.stored(number) {
            self.hold(number, Held::stored(Stored { elem, ..stored }));
        }
        Ok(())
    }
}

fn conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let numbers = Numbers::of(call)?;
    if !importer.is_whole(&numbers)? {
        return importer.through_fractions(call);
    }
    let slide = Slide::of_conv(call)?;
    let x = importer.first(numbers.input)?;
    let own = importer.builder.extents(x)?;
    let channels = own.get(1).copied().unwrap_or(0);
    let kernel = match importer.extents(numbers.weights)?[..] {
        [_, height, width, _] => [height, width],
        _ => return call.wrong("weights", "four axes are needed"),
    };
    let windows = slide.windows(call, kernel, places(&own)?)?;
    let scale = importer.scale(numbers.input)?;
    let weight_zero = importer.zero_of(numbers.weights)?;
    let narrow = scale.elem.bytes() == 1;
    let common: usize = kernel.iter().product::<usize>() * if slide.each { 1 } else { channels };
    let sums = if narrow && !slide.each && importer.extents(numbers.weights)?.get(3) == Some(&channels) {
        let (w, _) = weights(importer, call, &slide, channels)?;
        let builder = &mut importer.builder;
        let zero = builder.number(builder.elem(x), scale.zero as f64);
        let weight_zero = builder.number(builder.elem(w), weight_zero);
        builder.beside([x, w], &windows, [zero, weight_zero])?
    } else {
        let elem = if narrow && common <= EXACT { Elem::F32 } else { Elem::F64 };
        importer.weights_as(numbers.weights, elem)?;
        let (mut w, groups) = weights(importer, call, &slide, channels)?;
        let builder = &mut importer.builder;
        w = builder.cast(w, elem)?;
        if weight_zero != 0.0 {
            w = builder.with_number(BinaryKind::Sub, w, weight_zero)?;
        }
        let mut x = builder.cast(x, elem)?;
        if scale.zero != 0 {
            x = builder.with_number(BinaryKind::Sub, x, scale.zero as f64)?;
        }
        let sums = builder
            .one(Conv { windows, groups, scales: false, bounds: None, then: None, tiles: None }, &[x, w])?;
        let short = importer.adds_short(&numbers)?;
        wide(importer, sums, short)?
    };
    let made = importer.finished(sums, 1, &numbers, slide.activation, false)?;
    Ok(Made::first(made))
}

/// Sums of 32 bits where TFLite has them.
fn wide(importer: &mut Importer<'_>, sums: ValueId, short: bool) -> Result<ValueId, Error> {
    if short && importer.builder.elem(sums) == Elem::F64 {
        importer.builder.cast(sums, Elem::I32)
    } else {
        Ok(sums)
    }
}

fn fully_connected(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let numbers = Numbers::of(call)?;
    if !importer.is_whole(&numbers)? {
        return importer.through_fractions(call);
    }
    let Layer { rows, made, activation } = layer(importer, call)?;
    let scale = importer.scale(numbers.input)?;
    let weight_zero = importer.zero_of(numbers.weights)?;
    let narrow = scale.elem.bytes() == 1;
    if !narrow {
        importer.weights_as(numbers.weights, Elem::F64)?;
    }
    let w = importer.constant(numbers.weights, Some(&[1, 0]))?;
    let builder = &mut importer.builder;
    let sums = if narrow {
        let zero = builder.number(scale.elem, scale.zero as f64);
        let weight_zero = builder.number(builder.elem(w), weight_zero);
        builder.one(MatMul { b_is_transposed: false, widens: true }, &[rows, w, zero, weight_zero])?
    } else {
        let rows = builder.cast(rows, Elem::F64)?;
        let rows = builder.with_number(BinaryKind::Sub, rows, scale.zero as f64)?;
        let w = builder.cast(w, Elem::F64)?;
        builder.one(MatMul { b_is_transposed: false, widens: false }, &[rows, w])?
    };
    // TFLite leaves this layer to a product of matrices that rounds once.
    let sums = wide(importer, sums, true)?;
    let y = importer.finished(sums, 1, &numbers, activation, true)?;
    Ok(Made::plain(importer.builder.reshaped(y, &made)?))
}
