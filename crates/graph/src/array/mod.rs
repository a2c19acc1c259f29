//! Operators on arrays of any rank and type: what networks in ONNX and TFLite are made of.
//!
//! What it is: a closed list, one file each, with its parameters, its rule for types and extents (`infer`), its
//! definition in plain code that also runs until a backend has a faster one (`evaluate`), and its cost. What it is not:
//! the file formats' own operators; importers break those down into these. The one design choice: an operator is a
//! function of views over memory that somebody else planned; it allocates nothing, and it never panics on what is in
//! its inputs.

mod floats;
mod lanes;
mod order;
mod put;
mod tiles;
mod walk;
mod window;

use crate::{Cost, Elem, Error, Extents, MAX_RANK};
use std::fmt;

pub(crate) use lanes::{LANES, Wide, each_wide};
pub use put::PutKind;
pub use walk::{Stretch, Walk, repeated};
pub use window::Windows;

/// What an array is: kind of element and extents.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ArrayType {
    /// Kind of element.
    pub elem: Elem,
    /// Extents, outermost first.
    pub extents: Extents,
}

impl ArrayType {
    /// Bytes of all elements.
    pub fn bytes(&self) -> usize {
        self.extents.elements() * self.elem.bytes()
    }
}

impl fmt::Display for ArrayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{:?}", self.elem, self.extents)
    }
}

impl fmt::Debug for ArrayType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An array to be read: elements without gaps, row-major, little-endian.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// What it is.
    pub kind: ArrayType,
    /// Its elements, or nothing if the first output lies in the same storage and holds them.
    pub bytes: Option<&'a [u8]>,
}

/// An array to be written.
pub struct ViewMut<'a> {
    /// What it is; an operator whose result may be smaller than its rule says sets the extents that came out.
    pub kind: ArrayType,
    /// Its elements; those of the input that lies in the same storage before they are overwritten.
    pub bytes: &'a mut [u8],
}

macro_rules! arrays {
    ($($file:ident: $name:ident $(with $($also:ident),+)?;)*) => {
        $(mod $file; pub use $file::{$name $(, $($also),+)?};)*

        /// One operation on arrays with its parameters.
        #[derive(Clone, Debug, PartialEq)]
        #[allow(missing_docs)]
        pub enum ArrayOp { $($name($name)),* }

        $(impl From<$name> for ArrayOp {
            fn from(op: $name) -> ArrayOp {
                ArrayOp::$name(op)
            }
        })*

        impl ArrayOp {
            fn operator(&self) -> &dyn ArrayOperator {
                match self { $(ArrayOp::$name(op) => op),* }
            }

            /// The operator's name.
            pub fn name(&self) -> &'static str {
                match self { $(ArrayOp::$name(_) => stringify!($name)),* }
            }
        }
    };
}

arrays! {
    attention: Attention with Layout, Scores;
    binary: Binary with BinaryKind;
    blend: Blend;
    cast: Cast;
    compress: Compress;
    conv: Conv;
    conv_transpose: ConvTranspose;
    cumulate: Cumulate;
    deform: Deform;
    dense: Dense with DenseFactors;
    detections: Detections with DetectionsBy;
    determinant: Determinant;
    extreme: Extreme;
    fourier: Fourier;
    from_columns: FromColumns;
    grams: Grams;
    join: Join;
    lookup: Lookup;
    matmul: MatMul with Product;
    matmul_blocks: MatMulBlocks;
    matmul_meant: MatMulMeant;
    non_zero: NonZero;
    norm: Norm;
    pad: Pad with PadKind;
    pick: Pick;
    pick_elements: PickElements;
    pick_slices: PickSlices;
    pool: Pool with PoolKind;
    put_elements: PutElements;
    put_slices: PutSlices;
    put_stretch: PutStretch;
    quantize: Quantize;
    random: Random with RandomKind;
    recurrent: Recurrent with RecurrentInputs, RecurrentKind;
    reduce: Reduce with ReduceKind;
    region_average: RegionAverage;
    region_max: RegionMax;
    requantize: Requantize with scaled;
    reshape: Reshape;
    restride: Restride with Along;
    reverse: Reverse;
    rotary: Rotary;
    sample: Sample with Beyond, SampleKind;
    select: Select;
    softmax: Softmax;
    suppress: Suppress;
    top: Top;
    trees: Trees with TreeVotes;
    triangle: Triangle;
    unary: Unary with UnaryKind;
    unique: Unique;
}

/// What every operator on arrays says of itself.
pub(crate) trait ArrayOperator {
    /// Types and extents of what it makes; the most, if those depend on what is in the inputs.
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error>;
    /// The definition. `scratch` has as many bytes as [`ArrayOperator::scratch`] says, at a multiple of 64.
    fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error>;
    /// Work.
    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let elements = |input: &ArrayType| input.extents.elements() as u64;
        Cost { float_ops: inputs.iter().map(elements).max().unwrap_or(0), ..Cost::default() }
    }
    /// The input whose storage the first output may take over, if nobody reads that input later.
    fn in_place(&self) -> Option<usize> {
        None
    }
    /// Whether the only output is the first input under another name.
    fn is_alias(&self) -> bool {
        false
    }
    /// Whether extents of what it makes depend on what is in the inputs.
    fn is_dynamic(&self) -> bool {
        false
    }
    /// Bytes that it works in besides.
    fn scratch(&self, _inputs: &[ArrayType]) -> usize {
        0
    }
}

impl ArrayOp {
    /// Types and extents of what it makes; the most, if those depend on what is in the inputs.
    ///
    /// # Errors
    /// [`Error::Array`] if it cannot take such inputs, [`Error::Overflow`] if what it makes is too large to count.
    pub fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        self.operator().infer(inputs)
    }

    /// The definition: `outputs` are of the kinds that [`ArrayOp::infer`] says, `scratch` has as many bytes as
    /// [`ArrayOp::scratch`] says and lies at a multiple of 64.
    ///
    /// # Errors
    /// [`Error::Content`] if a number in an input makes no sense.
    pub fn evaluate(
        &self,
        inputs: &[View<'_>],
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        self.operator().evaluate(inputs, outputs, scratch)
    }

    /// Work.
    pub fn cost(&self, inputs: &[ArrayType]) -> Cost {
        self.operator().cost(inputs)
    }

    /// The input whose storage the first output may take over, if nobody reads that input later.
    pub fn in_place(&self) -> Option<usize> {
        self.operator().in_place()
    }

    /// Whether the only output is the first input under another name.
    pub fn is_alias(&self) -> bool {
        self.operator().is_alias()
    }

    /// Whether extents of what it makes depend on what is in the inputs.
    pub fn is_dynamic(&self) -> bool {
        self.operator().is_dynamic()
    }

    /// Bytes that it works in besides.
    pub fn scratch(&self, inputs: &[ArrayType]) -> usize {
        self.operator().scratch(inputs)
    }

    /// Bytes on the heap, for the ledger: lists of a few numbers for each axis.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            ArrayOp::Binary(_) | ArrayOp::Cast(_) | ArrayOp::Join(_) | ArrayOp::Unary(_) => 0,
            _ => 4 * (MAX_RANK * size_of::<usize>() + 16),
        }
    }
}

impl View<'_> {
    /// Its elements; those of `output` if it lies there.
    pub fn bytes_or<'b>(&'b self, output: &'b ViewMut<'_>) -> &'b [u8] {
        self.bytes.unwrap_or(output.bytes)
    }

    /// Elements from `start` on, each as what its kind is computed as.
    pub(crate) fn load<W: Wide>(&self, start: usize, out: &mut [W]) {
        lanes::load(self.kind.elem, self.bytes.unwrap_or_default(), start, out);
    }

    /// All elements as whole numbers, one after another.
    pub(crate) fn integers(&self) -> impl Iterator<Item = i64> + '_ {
        (0..self.kind.extents.elements()).map(|at| {
            let mut number = [0i64];
            self.load(at, &mut number);
            number[0]
        })
    }
}

impl ViewMut<'_> {
    /// Elements from `start` on become `values`, each as its kind holds it.
    pub(crate) fn store<W: Wide>(&mut self, start: usize, values: &[W]) {
        lanes::store(self.kind.elem, values, start, self.bytes);
    }
}

/// What is wrong with inputs.
pub(crate) fn fault<T>(op: &'static str, what: &'static str, inputs: &[ArrayType]) -> Result<T, Error> {
    Err(Error::Array { op, what, found: inputs.into() })
}

/// Extents of something that is made, if they can be counted.
pub(crate) fn extents(op: &'static str, extents: &[usize]) -> Result<Extents, Error> {
    Extents::new(extents).ok_or(Error::Overflow { op, what: "the number of elements" })
}

/// The extents that arrays have together when each is repeated along axes where it has one element or none.
pub(crate) fn broadcast(op: &'static str, inputs: &[ArrayType]) -> Result<Extents, Error> {
    let rank = inputs.iter().map(|input| input.extents.len()).max().unwrap_or(0);
    let mut together = extents(op, &[1; MAX_RANK][..rank])?;
    for input in inputs {
        let shift = rank - input.extents.len();
        for (axis, &extent) in input.extents.iter().enumerate() {
            match (together[shift + axis], extent) {
                (_, 1) => {}
                (1, extent) => together[shift + axis] = extent,
                (known, extent) if known == extent => {}
                _ => return fault(op, "extents must be equal or one", inputs),
            }
        }
    }
    extents(op, &together)
}

/// An array of its own: what a constant is while a graph is built, and what tests compare.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// What it is.
    pub kind: ArrayType,
    /// Its elements without gaps, row-major, little-endian.
    pub bytes: Box<[u8]>,
}

impl Array {
    /// A single number.
    pub fn number(elem: Elem, number: f64) -> Array {
        let kind = ArrayType { elem, extents: Extents::default() };
        let mut bytes = vec![0; kind.bytes()];
        match elem {
            // Not every whole number is an f64.
            Elem::I64 | Elem::U64 => lanes::store(elem, &[number as i64], 0, &mut bytes),
            _ => lanes::store(elem, &[number], 0, &mut bytes),
        }
        Array { kind, bytes: bytes.into() }
    }

    /// Its elements as whole numbers.
    pub fn integers(&self) -> Vec<i64> {
        let mut numbers = vec![0i64; self.kind.extents.elements()];
        lanes::load(self.kind.elem, &self.bytes, 0, &mut numbers);
        numbers
    }

    /// Its elements as fractions.
    pub fn fractions(&self) -> Vec<f64> {
        let mut numbers = vec![0f64; self.kind.extents.elements()];
        lanes::load(self.kind.elem, &self.bytes, 0, &mut numbers);
        numbers
    }
}

/// What `op` makes of `inputs`, in memory of its own: for constants, and for tests.
///
/// # Errors
/// As [`ArrayOp::infer`] and [`ArrayOp::evaluate`].
pub fn evaluate(op: &ArrayOp, inputs: &[&Array]) -> Result<Vec<Array>, Error> {
    let kinds: Vec<ArrayType> = inputs.iter().map(|input| input.kind).collect();
    let made = op.infer(&kinds)?;
    let mut scratch = vec![0; op.scratch(&kinds)];
    let mut buffers: Vec<Vec<u8>> = made.iter().map(|kind| vec![0; kind.bytes()]).collect();
    let views: Vec<View<'_>> =
        inputs.iter().map(|input| View { kind: input.kind, bytes: Some(&input.bytes) }).collect();
    let mut outputs: Vec<ViewMut<'_>> =
        made.iter().zip(&mut buffers).map(|(kind, bytes)| ViewMut { kind: *kind, bytes }).collect();
    op.evaluate(&views, &mut outputs, &mut scratch)?;
    let made: Vec<ArrayType> = outputs.iter().map(|output| output.kind).collect();
    let arrays = made.into_iter().zip(buffers).map(|(kind, mut bytes)| {
        bytes.truncate(kind.bytes());
        Array { kind, bytes: bytes.into() }
    });
    Ok(arrays.collect())
}
