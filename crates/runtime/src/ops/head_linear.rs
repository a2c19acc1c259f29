//! A product with a matrix for each head: the rows of one head gathered, then its rows of the tile at hand.
//!
//! Results lie where those of one product would, since the rows of the tensor are the columns of the output.

use super::Step;
use crate::Error;
use crate::arena::{floats_of, int8_of, quantized_of};
use crate::executor::Extra;
use graph::op::HeadLinear;
use graph::{Elem, Node};
use kernels::{QuantizedMut, Weights};

/// One tile after another, as they arrive; a tile has rows of one head or of several.
pub(super) fn head_linear(
    step: &mut Step<'_>,
    node: &Node,
    op: &HeadLinear,
    extra: &Extra,
) -> Result<(), Error> {
    let dtype = step.graph.weight_of(op.weight).dtype;
    let (input, output, heads) = (node.inputs[0], node.output, op.heads as usize);
    let (columns, stride) = (step.arena.columns(input) / heads, step.arena.columns(output));
    let elem = step.graph.value_of(input).elem;
    let range = |id| step.arena.range(id, &step.now);
    let (x, out) = (range(input)?, range(output)?);
    let rows = out.len() / (4 * stride);
    let room = step.arena.scratch(output)?;
    let room = room..room + rows * elem.row_bytes(columns as u64) as usize;
    for tile in extra.tiles.clone() {
        step.store.acquire(tile)?;
        let bytes = step.store.bytes(tile..tile + 1)?;
        let place = step.store.tiling().tiles[tile as usize];
        let ranges = [x.clone(), out.clone(), room.clone()];
        let unplanned = Error::Unplanned { value: output.0 };
        let [x, out, room] = step.arena.split_ranges(ranges).ok_or(unplanned)?;
        let (first, row_bytes) = (place.first_row as usize, bytes.len() / place.rows as usize);
        let (mut row, end) = (first, first + place.rows as usize);
        while row < end {
            let head = row / (stride / heads);
            let until = end.min((head + 1) * (stride / heads));
            gather(elem, x, (rows, heads, columns), head, room);
            let bytes = &bytes[(row - first) * row_bytes..(until - first) * row_bytes];
            let weights = Weights::in_rows(dtype, bytes, until - row, columns);
            match elem {
                Elem::Quantized => {
                    let x = quantized_of(room, rows, columns);
                    step.cpu.product(weights, &x, floats_of(out), stride, row, None);
                }
                _ => step.cpu.product_float(weights, floats_of(room), floats_of(out), stride, row),
            }
            row = until;
        }
        step.stats.bytes_touched += place.bytes;
        step.stats.macs += u64::from(place.rows) * columns as u64 * rows as u64;
        step.store.release(tile)?;
    }
    Ok(())
}

/// Copies one head of all rows of `x`, (rows, heads * columns), to `room`, (rows, columns).
fn gather(
    elem: Elem,
    x: &mut [u8],
    (rows, heads, columns): (usize, usize, usize),
    head: usize,
    room: &mut [u8],
) {
    if elem == Elem::Quantized {
        let (q, scale, sums) = int8_of(room, rows, columns);
        let x = quantized_of(x, rows, heads * columns);
        QuantizedMut { q, scale, sums }.take(&x, 0..rows, head * columns..(head + 1) * columns);
    } else {
        let rows = floats_of(x).chunks_exact(heads * columns).zip(floats_of(room).chunks_exact_mut(columns));
        rows.for_each(|(x, out)| out.copy_from_slice(&x[head * columns..][..columns]));
    }
}
