//! Attention of arrays to arrays.

use super::{floats, floats_mut};
use graph::array::{Attention, Layout, View, ViewMut};
use kernels::{Attend, Cpu, Heads, Mask};

/// Where nothing but products, a mask and the order decide what is seen.
pub(super) fn attention(
    cpu: &Cpu,
    op: Attention,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
) -> Option<()> {
    let ([q, k, v, more @ ..], [out]) = (inputs, outputs) else { return None };
    let [queries, keys, values] = op.layouts(&[q.kind, k.kind, v.kind])?;
    let is_plain = op.cap == 0.0 && op.window.is_none() && !op.lengths && op.scores.is_none();
    let together = [queries.batch, queries.heads, queries.rows, keys.rows];
    if !is_plain || together.contains(&0) || !Attend::takes(queries.width, values.width) {
        return None;
    }
    let mask = match more {
        [] => None,
        [mask] => Some(Mask { x: floats(mask)?, strides: Attention::mask_strides(&mask.kind, together)? }),
        _ => return None,
    };
    let made = Layout::new(&out.kind, op.heads[0])?;
    let task = Attend {
        q: heads(q, queries)?,
        k: heads(k, keys)?,
        v: heads(v, values)?,
        scale: op.scale,
        mask,
        causal: op.causal,
        out: strides(made),
    };
    cpu.attend(&task, floats_mut(out)?);
    Some(())
}

fn heads<'a>(view: &View<'a>, layout: Layout) -> Option<Heads<'a>> {
    let Layout { batch, heads, rows, width, .. } = layout;
    Some(Heads { x: floats(view)?, count: [batch, heads, rows], width, strides: strides(layout) })
}

fn strides(layout: Layout) -> [usize; 3] {
    let Layout { heads, rows, width, strides, .. } = layout;
    [heads * rows * width, strides[0], strides[1]]
}
