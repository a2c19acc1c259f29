//! Columns of heads: some of them copied out, and those of two values put side by side.

use super::Step;
use crate::Error;
use graph::Node;
use graph::op::{Concat, Slice};

/// Some columns of every head.
pub(super) fn slice(step: &mut Step<'_>, node: &Node, op: &Slice) -> Result<(), Error> {
    let (dim, first, len) = (op.head_dim as usize, op.first as usize, op.len as usize);
    let [x, out] = step.arena.split_floats([node.inputs[0], node.output], &step.now)?;
    for (x, out) in x.chunks_exact(dim).zip(out.chunks_exact_mut(len)) {
        out.copy_from_slice(&x[first..][..len]);
    }
    Ok(())
}

/// Every head of one value, then the same head of the other or the only one of its row.
pub(super) fn concat(step: &mut Step<'_>, node: &Node, op: &Concat) -> Result<(), Error> {
    let [first, second] = op.dims.map(|dim| dim as usize);
    let [x, y, out] = step.arena.split_floats([node.inputs[0], node.inputs[1], node.output], &step.now)?;
    // Heads of `x` for one of `y`.
    let each = x.len() / first / (y.len() / second);
    let heads = x.chunks_exact(first).enumerate().zip(out.chunks_exact_mut(first + second));
    for ((index, x), out) in heads {
        let (left, right) = out.split_at_mut(first);
        left.copy_from_slice(x);
        right.copy_from_slice(&y[index / each * second..][..second]);
    }
    Ok(())
}
