//! All kernels of one instruction set, as plain function pointers.
//!
//! Not generic, so that the rest of pintpot needs no instruction sets in its types; chosen once, by
//! [`crate::best`]. A set is handed out only on a CPU that has its instructions.

use crate::activation::{Activate, Glu};
use crate::attention::{AttentionSlice, Merge, StoreKv};
use crate::dense::{AttendSlice, DenseSlice, PlaneSlice, TileSlice, WholeSlice};
use crate::elementwise::{Add, AddScaled, Gate, Scale, Scores, SoftCap};
use crate::fixed::FixedSlice;
use crate::isa::{self, Isa};
use crate::map::{Join, Map};
use crate::narrow::Narrow;
use crate::norm::RmsNorm;
use crate::product::definition::Definition;
use crate::product::float::FloatSlice;
use crate::product::outer::OuterSlice;
use crate::product::{InterleaveFn, Slice, SliceFn};
use crate::quantize::Quantize;
use crate::rope::Rope;
use crate::rows::{Rows, Totals};
use crate::silicon::{Multiply, Read};
use tensor::{DType, PanelOrder};

/// The kernels of one instruction set; see [`crate::best`].
pub struct KernelSet {
    name: &'static str,
    dots: &'static [(DType, SliceFn)],
    interleave: InterleaveFn,
    pub(crate) activate: fn(Activate),
    pub(crate) add: fn(Add),
    pub(crate) add_scaled: fn(AddScaled),
    pub(crate) attend: fn(AttendSlice),
    pub(crate) attention: fn(AttentionSlice),
    pub(crate) definition: fn(Definition),
    pub(crate) dense: fn(DenseSlice),
    pub(crate) fixed: fn(FixedSlice),
    pub(crate) gate: fn(Gate),
    pub(crate) glu: fn(Glu),
    pub(crate) join: fn(Join),
    pub(crate) map: fn(Map),
    pub(crate) merge: fn(Merge),
    pub(crate) multiply: fn(Multiply),
    pub(crate) narrow: fn(Narrow),
    pub(crate) outer: fn(OuterSlice),
    pub(crate) planes: fn(PlaneSlice),
    pub(crate) product_float: fn(FloatSlice),
    pub(crate) quantize: fn(Quantize),
    pub(crate) read: fn(Read),
    pub(crate) rms_norm: fn(RmsNorm),
    pub(crate) rope: fn(Rope),
    pub(crate) rows: fn(Rows),
    pub(crate) scale: fn(Scale),
    pub(crate) scores: fn(Scores),
    pub(crate) soft_cap: fn(SoftCap),
    pub(crate) store_kv: fn(StoreKv),
    pub(crate) tiles: fn(TileSlice),
    pub(crate) totals: fn(Totals),
    pub(crate) whole: fn(WholeSlice),
}

impl KernelSet {
    /// The set of `I`, if this CPU has it.
    pub(crate) fn detect<I: Isa>() -> Option<&'static KernelSet> {
        I::detect().map(|_| Self::of::<I>())
    }

    /// The set of `I`.
    pub(crate) const fn of<I: Isa>() -> &'static KernelSet {
        &const {
            KernelSet {
                name: I::NAME,
                dots: I::DOTS,
                interleave: I::INTERLEAVE,
                activate: |kernel| isa::run::<I, _>(kernel),
                add: |kernel| isa::run::<I, _>(kernel),
                add_scaled: |kernel| isa::run::<I, _>(kernel),
                attend: |kernel| isa::run::<I, _>(kernel),
                attention: |kernel| isa::run::<I, _>(kernel),
                definition: |kernel| isa::run::<I, _>(kernel),
                dense: |kernel| isa::run::<I, _>(kernel),
                fixed: |kernel| isa::run::<I, _>(kernel),
                gate: |kernel| isa::run::<I, _>(kernel),
                glu: |kernel| isa::run::<I, _>(kernel),
                join: |kernel| isa::run::<I, _>(kernel),
                map: |kernel| isa::run::<I, _>(kernel),
                merge: |kernel| isa::run::<I, _>(kernel),
                multiply: |kernel| isa::run::<I, _>(kernel),
                narrow: |kernel| isa::run::<I, _>(kernel),
                outer: |kernel| isa::run::<I, _>(kernel),
                planes: |kernel| isa::run::<I, _>(kernel),
                product_float: |kernel| isa::run::<I, _>(kernel),
                quantize: |kernel| isa::run::<I, _>(kernel),
                read: |kernel| isa::run::<I, _>(kernel),
                rms_norm: |kernel| isa::run::<I, _>(kernel),
                rope: |kernel| isa::run::<I, _>(kernel),
                rows: |kernel| isa::run::<I, _>(kernel),
                scale: |kernel| isa::run::<I, _>(kernel),
                scores: |kernel| isa::run::<I, _>(kernel),
                soft_cap: |kernel| isa::run::<I, _>(kernel),
                store_kv: |kernel| isa::run::<I, _>(kernel),
                tiles: |kernel| isa::run::<I, _>(kernel),
                totals: |kernel| isa::run::<I, _>(kernel),
                whole: |kernel| isa::run::<I, _>(kernel),
            }
        }
    }

    /// The name of the instruction set, as `PINTPOT_ISA` takes it.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Puts rows of `row_bytes` bytes, which lie one after another, side by side: panels as [`PanelOrder::interleave`] makes
    /// them.
    ///
    /// # Panics
    /// If these are not panels of whole blocks, or `panels` is not as long.
    pub fn interleave(&self, order: PanelOrder, rows: &[u8], row_bytes: usize, panels: &mut [u8]) {
        (self.interleave)(order, rows, row_bytes, panels)
    }

    /// The quantised types with a kernel of their own in this set.
    pub fn fast_types(&self) -> impl Iterator<Item = DType> {
        self.dots.iter().map(|dot| dot.0)
    }

    /// A slice of a quantised product, by the kernel for the type of its weights or by the definition.
    ///
    /// # Panics
    /// If the weights are not quantised: a mistake of the caller.
    pub(crate) fn product(&self, slice: &Slice) {
        let dtype = slice.weights.dtype;
        match (self.dots.iter().find(|dot| dot.0 == dtype), dtype.block()) {
            (Some((_, product)), _) => product(slice),
            (None, Some(format)) if dtype.is_quantized() => (self.definition)(Definition { slice, format }),
            _ => panic!("{dtype} is not quantised; use product_float"),
        }
    }
}
