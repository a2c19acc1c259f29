//! Operators whose windows slide over places: convolutions and pools. They are done with channels first.

use super::call::{Call, Made};
use super::held::FIRST;
use super::{Importer, Row};
use crate::Error;
use formats::tflite::{Activation, Options, Padding};
use graph::array::{BinaryKind, Conv, ConvTranspose, Pool, PoolKind, UnaryKind, Windows};
use graph::{Extents, ValueId};
use host::ReadAt;

pub(super) const ROWS: &[Row] = &[
    ("AVERAGE_POOL_2D", |i, c| pool(i, c, PoolKind::Average { margins: false })),
    ("CONV_2D", conv),
    ("CONV_3D", conv_3d),
    ("Convolution2DTransposeBias", conv_transpose_custom),
    ("DEPTHWISE_CONV_2D", conv),
    ("L2_POOL_2D", l2_pool),
    ("MAX_POOL_2D", |i, c| pool(i, c, PoolKind::Max { place: false, columns_first: false })),
    ("TRANSPOSE_CONV", conv_transpose),
];

/// Axes of weights that lie as (maps, places, channels) when channels come before places.
const MAPS_FIRST: [usize; 4] = FIRST;
/// Axes of weights that lie as (1, places, maps) when maps come first.
const EACH_FIRST: [usize; 4] = [3, 0, 1, 2];

/// Places of a window along an axis, at most: a file need not have as many to ask for them.
const KERNEL_MAX: usize = 4096;

/// How windows lie, from settings along height and width.
pub(super) struct Slide {
    pub padding: Padding,
    pub strides: [i32; 2],
    pub dilations: [i32; 2],
    pub activation: Activation,
    /// Whether each channel is by itself.
    pub each: bool,
}

impl Slide {
    pub fn of_conv(call: &Call<'_>) -> Result<Slide, Error> {
        let each = matches!(call.operator.options, Options::DepthwiseConv2d { .. });
        match call.operator.options {
            Options::Conv2d {
                padding,
                stride_w,
                stride_h,
                fused_activation_function: activation,
                dilation_w_factor,
                dilation_h_factor,
                ..
            }
            | Options::DepthwiseConv2d {
                padding,
                stride_w,
                stride_h,
                fused_activation_function: activation,
                dilation_w_factor,
                dilation_h_factor,
                ..
            } => Ok(Slide {
                padding,
                strides: [stride_h, stride_w],
                dilations: [dilation_h_factor, dilation_w_factor],
                activation,
                each,
            }),
            _ => call.wrong("builtin_options", "settings of a convolution are needed"),
        }
    }

    /// Windows of `kernel` places on `places`.
    pub fn windows(&self, call: &Call<'_>, kernel: [usize; 2], places: [usize; 2]) -> Result<Windows, Error> {
        windows(call, self.padding, [&self.strides, &self.dilations], &kernel, &places)
    }
}

/// Windows of `kernel` places on `places` along any number of axes, with strides and dilations.
fn windows(
    call: &Call<'_>,
    padding: Padding,
    steps: [&[i32]; 2],
    kernel: &[usize],
    places: &[usize],
) -> Result<Windows, Error> {
    if kernel.iter().any(|extent| !(1..=KERNEL_MAX).contains(extent)) {
        return call.wrong("filter", "windows of 1 to 4096 places are needed");
    }
    let positive = |list: &[i32]| {
        let list: Option<Vec<usize>> =
            list.iter().map(|x| usize::try_from(*x).ok().filter(|x| (1..1 << 20).contains(x))).collect();
        list.map_or_else(|| call.wrong("stride", "strides and dilations from 1 to 1048575 are needed"), Ok)
    };
    let (strides, dilations) = (positive(steps[0])?, positive(steps[1])?);
    let (before, behind) = (vec![0; kernel.len()], vec![0; kernel.len()]);
    let mut windows = Windows { kernel: kernel.to_vec(), strides, dilations, before, behind };
    if padding == Padding::Same {
        for (axis, extent) in places.iter().enumerate() {
            let stride = windows.strides[axis];
            let needed = extent.div_ceil(stride).saturating_sub(1) * stride + windows.reach(axis);
            let margin = needed.saturating_sub(*extent);
            (windows.before[axis], windows.behind[axis]) = (margin / 2, margin - margin / 2);
        }
    }
    Ok(windows)
}

/// Height and width of what has channels first.
pub(super) fn places(extents: &Extents) -> Result<[usize; 2], Error> {
    match extents[..] {
        [_, _, height, width] => Ok([height, width]),
        _ => Err(Error::Axis { axis: 3, rank: extents.len() }),
    }
}

/// Weights of a convolution with maps and channels before places, and groups that do not see each other.
pub(super) fn weights(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    slide: &Slide,
    channels: usize,
) -> Result<(ValueId, usize), Error> {
    let number = call.input(1)?;
    let order = if slide.each { &EACH_FIRST } else { &MAPS_FIRST };
    let own = importer.extents(number)?;
    let groups = match own[..] {
        [1, _, _, _] if slide.each => channels,
        [_, _, _, within] if !slide.each && within > 0 && channels.is_multiple_of(within) => {
            channels / within
        }
        _ => return call.wrong("weights", "weights that fit the channels are needed"),
    };
    Ok((importer.constant(number, Some(order))?, groups))
}

fn conv(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let slide = Slide::of_conv(call)?;
    let x = importer.first(call.input(0)?)?;
    let own = importer.builder.extents(x)?;
    let (w, groups) = weights(importer, call, &slide, own.get(1).copied().unwrap_or(0))?;
    let kernel = places(&importer.builder.extents(w)?)?;
    let windows = slide.windows(call, kernel, places(&own)?)?;
    let mut inputs = vec![x, w];
    if let Some(bias) = call.optional(2) {
        inputs.push(importer.plain(bias)?);
    }
    let made = importer
        .builder
        .one(Conv { windows, groups, scales: false, bounds: None, then: None, tiles: None }, &inputs)?;
    Ok(Made::first(importer.activated(made, slide.activation)?))
}

/// Channels are last, and of weights maps are behind them.
fn conv_3d(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::Conv3d {
        padding,
        stride_d,
        stride_w,
        stride_h,
        fused_activation_function,
        dilation_d_factor,
        dilation_w_factor,
        dilation_h_factor,
    } = call.operator.options
    else {
        return call.wrong("builtin_options", "settings of a convolution are needed");
    };
    let x = importer.plain(call.input(0)?)?;
    if importer.builder.rank(x) != 5 || importer.extents(call.input(1)?)?.len() != 5 {
        return call.wrong("input", "five axes are needed");
    }
    let x = importer.builder.turned(x, &[0, 4, 1, 2, 3])?;
    let w = importer.constant(call.input(1)?, Some(&[4, 3, 0, 1, 2]))?;
    let (own, of_w) = (importer.builder.extents(x)?, importer.builder.extents(w)?);
    if of_w[1] == 0 || !own[1].is_multiple_of(of_w[1]) {
        return call.wrong("weights", "weights that fit the channels are needed");
    }
    let strides = [stride_d, stride_h, stride_w];
    let dilations = [dilation_d_factor, dilation_h_factor, dilation_w_factor];
    let windows = windows(call, padding, [&strides, &dilations], &of_w[2..], &own[2..])?;
    let mut inputs = vec![x, w];
    if let Some(bias) = call.optional(2) {
        inputs.push(importer.plain(bias)?);
    }
    let conv =
        Conv { windows, groups: own[1] / of_w[1], scales: false, bounds: None, then: None, tiles: None };
    let made = importer.builder.one(conv, &inputs)?;
    let made = importer.activated(made, fused_activation_function)?;
    Ok(Made::plain(importer.builder.turned(made, &[0, 2, 3, 4, 1])?))
}

pub(super) fn slide_of_pool(call: &Call<'_>) -> Result<(Slide, [usize; 2]), Error> {
    let Options::Pool2d {
        padding,
        stride_w,
        stride_h,
        filter_width,
        filter_height,
        fused_activation_function: activation,
    } = call.operator.options
    else {
        return call.wrong("builtin_options", "settings of a pool are needed");
    };
    let kernel = [filter_height, filter_width].map(|x| usize::try_from(x).unwrap_or(0));
    let slide = Slide { padding, strides: [stride_h, stride_w], dilations: [1; 2], activation, each: true };
    Ok((slide, kernel))
}

fn pool(importer: &mut Importer<'_>, call: &Call<'_>, kind: PoolKind) -> Result<Vec<Made>, Error> {
    let (slide, kernel) = slide_of_pool(call)?;
    let x = importer.first(call.input(0)?)?;
    let windows = slide.windows(call, kernel, places(&importer.builder.extents(x)?)?)?;
    let made = importer.builder.one(Pool { kind, windows, ceil: false }, &[x])?;
    Ok(Made::first(importer.activated(made, slide.activation)?))
}

/// The root of the mean of squares.
fn l2_pool(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let (slide, kernel) = slide_of_pool(call)?;
    let x = importer.first(call.input(0)?)?;
    let windows = slide.windows(call, kernel, places(&importer.builder.extents(x)?)?)?;
    let square = importer.builder.of_both(BinaryKind::Mul, x, x)?;
    let kind = PoolKind::Average { margins: false };
    let made = importer.builder.one(Pool { kind, windows, ceil: false }, &[square])?;
    let made = importer.builder.of_each(UnaryKind::Sqrt, made)?;
    Ok(Made::first(importer.activated(made, slide.activation)?))
}

fn conv_transpose(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let Options::TransposeConv { padding, stride_w, stride_h, fused_activation_function: activation, .. } =
        call.operator.options
    else {
        return call.wrong("builtin_options", "settings of a transposed convolution are needed");
    };
    let shape = importer.integers(call.input(0)?)?;
    let made = match shape[..] {
        [_, height, width, _] => [height, width].map(|extent| usize::try_from(extent).unwrap_or(0)),
        _ => return call.wrong("output_shape", "four extents are needed"),
    };
    let slide = Slide { padding, strides: [stride_h, stride_w], dilations: [1; 2], activation, each: false };
    upward(importer, call, &slide, [call.input(2)?, call.input(1)?], call.optional(3), Some(made))
}

/// MediaPipe's, whose settings are three numbers: the padding, and strides along width and height.
fn conv_transpose_custom(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let range = call.operator.custom_options.clone().unwrap_or(0..0);
    let mut numbers = [0; 12];
    let file: Option<&&dyn ReadAt> = importer.builder.files().first();
    let read = file.filter(|_| range.end.saturating_sub(range.start) >= 12);
    let Some(Ok(())) = read.map(|file| file.read_exact_at(range.start, &mut numbers)) else {
        return call.wrong("custom_options", "the padding and two strides are needed");
    };
    let (numbers, _) = numbers.as_chunks::<4>();
    let [padding, width, height] = [0, 1, 2].map(|at| i32::from_le_bytes(numbers[at]));
    let padding = match padding {
        1 => Padding::Same,
        2 => Padding::Valid,
        _ => return call.wrong("padding", "1 or 2 is needed"),
    };
    let (strides, activation) = ([height, width], Activation::None);
    let slide = Slide { padding, strides, dilations: [1; 2], activation, each: false };
    upward(importer, call, &slide, [call.input(0)?, call.input(1)?], call.optional(2), None)
}

/// A transposed convolution of an input by weights; `made` is the height and width that come out, if the file says so.
fn upward(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    slide: &Slide,
    [input, weights]: [u32; 2],
    bias: Option<u32>,
    made: Option<[usize; 2]>,
) -> Result<Vec<Made>, Error> {
    let x = importer.first(input)?;
    let own = places(&importer.builder.extents(x)?)?;
    let w = importer.constant(weights, Some(&EACH_FIRST))?;
    let kernel = places(&importer.builder.extents(w)?)?;
    // No margins: what is too much is taken away here.
    let open = Slide { padding: Padding::Valid, ..*slide };
    let mut windows = open.windows(call, kernel, own)?;
    let mut more = vec![0; 2];
    for axis in 0..2 {
        let reach = own[axis].saturating_sub(1) * windows.strides[axis] + kernel[axis];
        let asked = match (made, slide.padding) {
            (Some(made), _) => made[axis],
            (None, Padding::Same) => own[axis].saturating_mul(windows.strides[axis]),
            (None, Padding::Valid) => reach,
        };
        let margin = reach.saturating_sub(asked);
        let before = if slide.padding == Padding::Same { margin / 2 } else { 0 };
        (windows.before[axis], windows.behind[axis]) = (before, margin - before);
        more[axis] = asked.saturating_sub(reach);
    }
    let mut inputs = vec![x, w];
    if let Some(bias) = bias {
        inputs.push(importer.plain(bias)?);
    }
    let made = importer.builder.one(ConvTranspose { windows, groups: 1, more }, &inputs)?;
    Ok(Made::first(importer.activated(made, slide.activation)?))
}
