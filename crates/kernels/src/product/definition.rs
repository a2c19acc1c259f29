//! The quantised product as it is defined: [`tensor::BlockFormat::unpack`] and plain arithmetic.
//!
//! Slow; every other product gives the same bits. It also serves the formats without a kernel of their own and
//! matrices too small for a panel. Groups of a row in ascending order: `acc = fma(scale * da, isum, acc)`, and for
//! formats with minimums `accm = fma(min, da * asum, accm)`; the result is `acc - accm`.

use super::{ACTIVATION_GROUP, Order, Place, Slice};
use crate::isa::{Isa, Kernel, fused};
use tensor::{BlockFormat, Groups, PanelOrder};

/// Columns whose sums are carried together, so that a block is unpacked once for them.
const TILE: usize = 8;

/// The product of `slice` with `format`, the format of its weights.
pub(crate) struct Definition<'a> {
    pub slice: &'a Slice<'a>,
    pub format: &'a dyn BlockFormat,
}

impl<I: Isa> Kernel<I> for Definition<'_> {
    #[inline(always)]
    fn run(self, _: I) {
        let Definition { slice, format } = self;
        for row in slice.rows.clone() {
            for first in slice.columns.clone().step_by(TILE) {
                let columns = TILE.min(slice.columns.end - first);
                for (c, &sum) in row_sums(slice, format, row, first, columns)[..columns].iter().enumerate() {
                    // SAFETY: the row belongs to this slice.
                    unsafe { slice.target.set(row, first + c, sum) }
                }
            }
        }
    }
}

#[inline(always)]
fn row_sums(
    slice: &Slice,
    format: &dyn BlockFormat,
    row: usize,
    first: usize,
    columns: usize,
) -> [f32; TILE] {
    let (dtype, x) = (slice.weights.dtype, slice.x);
    let (n, last) = (x.count(), first + columns - 1);
    let places: [Place; TILE] = std::array::from_fn(|c| Place::of(last.min(first + c), n));
    let (elements, group) = (dtype.block_elements(), format.group());
    let (row_bytes, block_bytes) = (slice.weights.row_bytes(), dtype.block_bytes());
    let order = PanelOrder::of(dtype).filter(|_| slice.weights.order == Order::Panels);
    let panel = row / PanelOrder::ROWS * PanelOrder::ROWS * row_bytes;
    let mut apart = [0; PanelOrder::LARGEST_BLOCK];
    let (mut groups, mut acc, mut accm) = (Groups::default(), [0.0f32; TILE], [0.0f32; TILE]);
    for block in 0..row_bytes / block_bytes {
        let bytes = match order {
            Some(order) => {
                let panel = &slice.weights.bytes[panel..][..PanelOrder::ROWS * row_bytes];
                order.block(panel, row % PanelOrder::ROWS, block, &mut apart[..block_bytes]);
                &apart[..block_bytes]
            }
            None => &slice.weights.bytes[row * row_bytes + block * block_bytes..][..block_bytes],
        };
        format.unpack(bytes, &mut groups);
        for g in 0..elements / group {
            let at = block * elements + g * group;
            let q = &groups.q[g * group..][..group];
            for c in 0..columns {
                let (a, da, sums) = x.group(places[c], at / ACTIVATION_GROUP);
                // Groups of 16 are halves.
                let half = at % ACTIVATION_GROUP;
                let products = q.iter().zip(&a.as_flattened()[half..half + group]);
                let isum: i32 = products.map(|(&q, &a)| i32::from(q) * i32::from(a)).sum();
                acc[c] = fused(groups.scale[g] * da, isum as f32, acc[c]);
                if format.has_min() {
                    let asum: i32 = sums[half / 16..(half + group) / 16].iter().map(|&s| i32::from(s)).sum();
                    accm[c] = fused(groups.min[g], da * asum as f32, accm[c]);
                }
            }
        }
    }
    for c in 0..columns {
        acc[c] -= if format.has_min() { accm[c] } else { 0.0 };
    }
    acc
}
