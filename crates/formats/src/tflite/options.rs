//! Settings of TFLite's own operators.
//!
//! Not their meaning. The one design choice: one table, a row for each kind of settings with its fields, their slots
//! and defaults; what is not in it is kept by number, so that an importer can refuse it. Source: tensorflow,
//! `schema.fbs`, `BuiltinOptions`.

use super::TensorType;
use crate::Error;
use crate::flat::{Flat, Table};
use crate::limits::Meter;

/// A kind of field.
trait Setting: Sized {
    /// Reads the field in a slot.
    fn read(
        flat: &mut Flat<'_>,
        table: &Table,
        slot: u16,
        default: Self,
        meter: &mut Meter,
    ) -> Result<Self, Error>;
}

/// `$type: $flat $reader` for each kind of field.
macro_rules! settings {
    ($($type:ty: |$flat:ident, $table:ident, $slot:ident, $default:ident, $meter:ident| $read:expr;)*) => {$(
        impl Setting for $type {
            fn read(
                $flat: &mut Flat<'_>,
                $table: &Table,
                $slot: u16,
                $default: $type,
                $meter: &mut Meter,
            ) -> Result<$type, Error> {
                $read
            }
        }
    )*};
}

settings! {
    Box<[f32]>: |flat, table, slot, _default, meter| flat.numbers(table, slot, meter);
    Box<[i32]>: |flat, table, slot, _default, meter| flat.numbers(table, slot, meter);
    Box<str>: |flat, table, slot, _default, meter| flat.text(table, slot, meter);
    TensorType: |flat, table, slot, default, _meter| {
        let id = flat.scalar(table, slot, default as u8)?;
        TensorType::from_id(id).ok_or_else(|| Error::ElementType { tensor: "".into(), id: id.into() })
    };
    bool: |flat, table, slot, default, _meter| flat.bool(table, slot, default);
    f32: |flat, table, slot, default, _meter| flat.scalar(table, slot, default);
    i32: |flat, table, slot, default, _meter| flat.scalar(table, slot, default);
    i64: |flat, table, slot, default, _meter| flat.scalar(table, slot, default);
    u32: |flat, table, slot, default, _meter| flat.scalar(table, slot, default);
}

/// Declares choices of which a byte holds one.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident),* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(missing_docs)]
        pub enum $name {
            $($variant,)*
        }

        settings! {
            $name: |flat, table, slot, default, _meter| {
                let all = [$($name::$variant),*];
                let chosen = flat.scalar(table, slot, default as u8)?;
                let what = concat!("a setting has an unknown ", stringify!($name));
                all.get(usize::from(chosen)).copied().ok_or(Error::Malformed { what, offset: table.at })
            };
        }
    )*};
}

choices! {
    /// What is done to a result.
    Activation { None, Relu, ReluN1To1, Relu6, Tanh, SignBit }
    /// Which of two ways an LSTM is told.
    LstmKernel { Full, Basic }
    /// How what lies outside repeats what lies inside.
    MirrorPad { Reflect, Symmetric }
    /// What is done at borders.
    Padding { Same, Valid }
    /// How the weights of a fully connected layer lie.
    WeightsFormat { Default, Shuffled4x16Int8 }
}

/// Declares settings: number, name, and fields as slot, name, type and default.
macro_rules! options {
    (
        $($number:literal $variant:ident { $($slot:literal $field:ident: $type:ty = $default:expr),* $(,)? },)*
    ) => {
        /// The settings of an operator; fields are named as in the schema, and have its meaning.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum Options {
            /// None that matter: the file has none, or a table without fields.
            None,
            /// Settings that are not read: their number among the builtin options, or among the second ones.
            Other { number: u8, is_second: bool },
            $($variant { $($field: $type),* },)*
        }

        /// Reads the settings of the kind `number`; those of the second list count from [`SECOND`].
        pub(super) fn read(
            number: u16,
            flat: &mut Flat<'_>,
            table: &Table,
            meter: &mut Meter,
        ) -> Result<Options, Error> {
            Ok(match number {
                $($number => Options::$variant {
                    $($field: <$type as Setting>::read(flat, table, $slot, $default, meter)?),*
                },)*
                number if WITHOUT_FIELDS.contains(&number) => Options::None,
                number => Options::Other { number: number as u8, is_second: number >= SECOND },
            })
        }
    };
}

/// What is added to the numbers of the second list, `BuiltinOptions2`.
pub(super) const SECOND: u16 = 1 << 8;

/// Settings without fields.
const WITHOUT_FIELDS: &[u16] = &[
    22, 24, 25, 26, 33, 34, 36, 38, 39, 41, 42, 43, 44, 45, 46, 47, 48, 51, 52, 53, 54, 56, 60, 62, 63, 65,
    66, 67, 68, 72, 73, 76, 78, 81, 82, 83, 84, 85, 86, 88, 89, 90, 91, 95, 96, 97, 98, 99, 100, 104, 105,
    108, 109, 110, 112, 113, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126,
];

options! {
    1 Conv2d {
        0 padding: Padding = Padding::Same,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 fused_activation_function: Activation = Activation::None,
        4 dilation_w_factor: i32 = 1,
        5 dilation_h_factor: i32 = 1,
        6 quantized_bias_type: TensorType = TensorType::Float32,
    },
    2 DepthwiseConv2d {
        0 padding: Padding = Padding::Same,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 depth_multiplier: i32 = 0,
        4 fused_activation_function: Activation = Activation::None,
        5 dilation_w_factor: i32 = 1,
        6 dilation_h_factor: i32 = 1,
    },
    5 Pool2d {
        0 padding: Padding = Padding::Same,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 filter_width: i32 = 0,
        4 filter_height: i32 = 0,
        5 fused_activation_function: Activation = Activation::None,
    },
    6 Svdf {
        0 rank: i32 = 0,
        1 fused_activation_function: Activation = Activation::None,
        2 asymmetric_quantize_inputs: bool = false,
    },
    7 Rnn {
        0 fused_activation_function: Activation = Activation::None,
        1 asymmetric_quantize_inputs: bool = false,
    },
    8 FullyConnected {
        0 fused_activation_function: Activation = Activation::None,
        1 weights_format: WeightsFormat = WeightsFormat::Default,
        2 keep_num_dims: bool = false,
        3 asymmetric_quantize_inputs: bool = false,
        4 quantized_bias_type: TensorType = TensorType::Float32,
    },
    9 Softmax { 0 beta: f32 = 0.0 },
    10 Concatenation { 0 axis: i32 = 0, 1 fused_activation_function: Activation = Activation::None },
    11 Add { 0 fused_activation_function: Activation = Activation::None, 1 pot_scale_int16: bool = true },
    12 L2Norm { 0 fused_activation_function: Activation = Activation::None },
    13 LocalResponseNormalization {
        0 radius: i32 = 0,
        1 bias: f32 = 0.0,
        2 alpha: f32 = 0.0,
        3 beta: f32 = 0.0,
    },
    14 Lstm {
        0 fused_activation_function: Activation = Activation::None,
        1 cell_clip: f32 = 0.0,
        2 proj_clip: f32 = 0.0,
        3 kernel_type: LstmKernel = LstmKernel::Full,
        4 asymmetric_quantize_inputs: bool = false,
    },
    15 ResizeBilinear { 2 align_corners: bool = false, 3 half_pixel_centers: bool = false },
    16 Call { 0 subgraph: u32 = 0 },
    17 Reshape { 0 new_shape: Box<[i32]> = Box::default() },
    19 SpaceToDepth { 0 block_size: i32 = 0 },
    21 Mul { 0 fused_activation_function: Activation = Activation::None },
    23 Gather { 0 axis: i32 = 0, 1 batch_dims: i32 = 0 },
    27 Reducer { 0 keep_dims: bool = false },
    28 Sub { 0 fused_activation_function: Activation = Activation::None, 1 pot_scale_int16: bool = true },
    29 Div { 0 fused_activation_function: Activation = Activation::None },
    30 Squeeze { 0 squeeze_dims: Box<[i32]> = Box::default() },
    31 SequenceRnn {
        0 time_major: bool = false,
        1 fused_activation_function: Activation = Activation::None,
        2 asymmetric_quantize_inputs: bool = false,
    },
    32 StridedSlice {
        0 begin_mask: i32 = 0,
        1 end_mask: i32 = 0,
        2 ellipsis_mask: i32 = 0,
        3 new_axis_mask: i32 = 0,
        4 shrink_axis_mask: i32 = 0,
        5 offset: bool = false,
    },
    35 Split { 0 num_splits: i32 = 0 },
    37 Cast {
        0 in_data_type: TensorType = TensorType::Float32,
        1 out_data_type: TensorType = TensorType::Float32,
    },
    40 ArgMax { 0 output_type: TensorType = TensorType::Float32 },
    49 TransposeConv {
        0 padding: Padding = Padding::Same,
        1 stride_w: i32 = 0,
        2 stride_h: i32 = 0,
        3 fused_activation_function: Activation = Activation::None,
        4 quantized_bias_type: TensorType = TensorType::Float32,
    },
    50 SparseToDense { 0 validate_indices: bool = false },
    55 Shape { 0 out_type: TensorType = TensorType::Float32 },
    57 ArgMin { 0 output_type: TensorType = TensorType::Float32 },
    58 FakeQuant { 0 min: f32 = 0.0, 1 max: f32 = 0.0, 2 num_bits: i32 = 0, 3 narrow_range: bool = false },
    59 Pack { 0 values_count: i32 = 0, 1 axis: i32 = 0 },
    61 OneHot { 0 axis: i32 = 0 },
    64 Unpack { 0 num: i32 = 0, 1 axis: i32 = 0 },
    69 BidirectionalSequenceLstm {
        0 fused_activation_function: Activation = Activation::None,
        1 cell_clip: f32 = 0.0,
        2 proj_clip: f32 = 0.0,
        3 merge_outputs: bool = false,
        4 time_major: bool = true,
        5 asymmetric_quantize_inputs: bool = false,
    },
    70 BidirectionalSequenceRnn {
        0 time_major: bool = false,
        1 fused_activation_function: Activation = Activation::None,
        2 merge_outputs: bool = false,
        3 asymmetric_quantize_inputs: bool = false,
    },
    71 UnidirectionalSequenceLstm {
        0 fused_activation_function: Activation = Activation::None,
        1 cell_clip: f32 = 0.0,
        2 proj_clip: f32 = 0.0,
        3 time_major: bool = false,
        4 asymmetric_quantize_inputs: bool = false,
        5 diagonal_recurrent_tensors: bool = false,
    },
    74 ResizeNearestNeighbor { 0 align_corners: bool = false, 1 half_pixel_centers: bool = false },
    75 LeakyRelu { 0 alpha: f32 = 0.0 },
    77 MirrorPad { 0 mode: MirrorPad = MirrorPad::Reflect },
    79 SplitV { 0 num_splits: i32 = 0 },
    80 Unique { 0 idx_out_type: TensorType = TensorType::Int32 },
    87 ReverseSequence { 0 seq_dim: i32 = 0, 1 batch_dim: i32 = 0 },
    92 If { 0 then_subgraph_index: i32 = 0, 1 else_subgraph_index: i32 = 0 },
    93 While { 0 cond_subgraph_index: i32 = 0, 1 body_subgraph_index: i32 = 0 },
    94 DepthToSpace { 0 block_size: i32 = 0 },
    101 BatchMatMul {
        0 adj_x: bool = false,
        1 adj_y: bool = false,
        2 asymmetric_quantize_inputs: bool = false,
    },
    102 Cumsum { 0 exclusive: bool = false, 1 reverse: bool = false },
    103 CallOnce { 0 init_subgraph_index: i32 = 0 },
    106 Conv3d {
        0 padding: Padding = Padding::Same,
        1 stride_d: i32 = 0,
        2 stride_w: i32 = 0,
        3 stride_h: i32 = 0,
        4 fused_activation_function: Activation = Activation::None,
        5 dilation_d_factor: i32 = 1,
        6 dilation_w_factor: i32 = 1,
        7 dilation_h_factor: i32 = 1,
    },
    107 Hashtable {
        0 table_id: i32 = 0,
        1 key_dtype: TensorType = TensorType::Float32,
        2 value_dtype: TensorType = TensorType::Float32,
    },
    111 VarHandle { 0 container: Box<str> = Box::default(), 1 shared_name: Box<str> = Box::default() },
    114 Random { 0 seed: i64 = 0, 1 seed2: i64 = 0 },
    115 Bucketize { 0 boundaries: Box<[f32]> = Box::default() },
    116 Gelu { 0 approximate: bool = false },
    277 StablehloComposite { 1 decomposition_subgraph_index: i32 = 0 },
}
