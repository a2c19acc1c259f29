//! Recurrent networks: products with weights in rows, gates by functions of elements.

use super::elements::map_kind;
use super::{floats, floats_mut};
use graph::array::{Recurrent, RecurrentKind, View, ViewMut};
use host::{as_bytes, cast_mut};
use kernels::{Cpu, JoinKind, MapKind, Weights};
use tensor::DType;

/// One direction of one sequence.
struct Walker<'a> {
    cpu: &'a Cpu,
    kind: RecurrentKind,
    /// (gates hidden, width), (gates hidden, hidden)
    weights: [Weights<'a>; 2],
    /// Of both; (gates hidden) each.
    bias: Option<[&'a [f32]; 2]>,
    /// Of the gates, of the candidate, of the cell.
    functions: [MapKind; 3],
    hidden: usize,
}

/// What a direction works in.
struct Work<'a> {
    h: &'a mut [f32],
    c: &'a mut [f32],
    /// (gates hidden): from the row, from the state.
    gates: [&'a mut [f32]; 2],
}

pub(super) fn recurrent(
    cpu: &Cpu,
    op: &Recurrent,
    inputs: &[View<'_>],
    outputs: &mut [ViewMut<'_>],
    scratch: &mut [u8],
) -> Option<()> {
    let with = op.with;
    if op.clip.is_some() || with.lengths || with.peepholes || op.kind == RecurrentKind::Plain {
        return None;
    }
    let [x, w, r, more @ ..] = inputs else { return None };
    let mut more = more.iter();
    let mut next = |there: bool| match there {
        true => Some(Some(floats(more.next()?)?)),
        false => Some(None),
    };
    let (bias, first_h, first_c) = (next(with.bias)?, next(with.hidden)?, next(with.cell)?);
    let extents = x.kind.extents;
    let (rows, batch) = if op.batch_first { (extents[1], extents[0]) } else { (extents[0], extents[1]) };
    let (width, hidden, directions) = (extents[2], r.kind.extents[2], w.kind.extents[0]);
    let gates = op.gates() * hidden;
    let (x, w, r) = (floats(x)?, floats(w)?, floats(r)?);
    if width == 0 || hidden == 0 {
        return None;
    }
    let work: &mut [f32] = cast_mut(scratch)?;
    let (h, work) = work.split_at_mut_checked(hidden)?;
    let (c, work) = work.split_at_mut_checked(hidden)?;
    let (a, b) = work.split_at_mut_checked(gates)?;
    let mut work = Work { h, c, gates: [a, b.get_mut(..gates)?] };
    let (all, last) = outputs.split_at_mut(usize::from(op.all));
    let functions = op.activations.len() / directions;
    for direction in 0..directions {
        let own = &op.activations[direction * functions..][..functions];
        let function = |place: usize| map_kind(*own.get(place).or(own.last())?);
        let matrix = |all, columns: usize| {
            Weights::in_rows(DType::F32, as_bytes(part(all, direction, gates * columns)), gates, columns)
        };
        let walker = Walker {
            cpu,
            kind: op.kind,
            weights: [matrix(w, width), matrix(r, hidden)],
            bias: bias.map(|bias| part(bias, direction, 2 * gates).split_at(gates).into()),
            functions: [function(0)?, function(1)?, function(2)?],
            hidden,
        };
        for sequence in 0..batch {
            let state = match op.batch_first {
                true => sequence * directions + direction,
                false => direction * batch + sequence,
            };
            for (to, first) in [(&mut *work.h, first_h), (&mut *work.c, first_c)] {
                match first {
                    Some(first) => to.copy_from_slice(part(first, state, hidden)),
                    None => to.fill(0.0),
                }
            }
            for step in 0..rows {
                let row = if op.backwards[direction] { rows - 1 - step } else { step };
                let (from, to) = match op.batch_first {
                    true => (sequence * rows + row, (sequence * rows + row) * directions + direction),
                    false => (row * batch + sequence, (row * directions + direction) * batch + sequence),
                };
                walker.step(part(x, from, width), &mut work);
                for all in &mut *all {
                    floats_mut(all)?[to * hidden..][..hidden].copy_from_slice(work.h);
                }
            }
            for (to, state_now) in last.iter_mut().zip([&*work.h, &*work.c]) {
                floats_mut(to)?[state * hidden..][..hidden].copy_from_slice(state_now);
            }
        }
    }
    Some(())
}

/// The part of this number.
fn part(all: &[f32], number: usize, len: usize) -> &[f32] {
    &all[number * len..][..len]
}

impl Walker<'_> {
    /// One row: the gates, then the new state.
    fn step(&self, x: &[f32], work: &mut Work<'_>) {
        let Work { h, c, gates: [a, b] } = work;
        let (cpu, hidden) = (self.cpu, self.hidden);
        let [of_row, of_state] = self.weights;
        let resets_first = self.kind == RecurrentKind::Gru { linear: false };
        cpu.product_float(of_row, x, a, of_row.rows, 0);
        // A GRU's last gate may see the state only after the reset.
        let seeing = if resets_first { 2 * hidden } else { of_state.rows };
        let row_bytes = hidden * size_of::<f32>();
        let part = |rows: std::ops::Range<usize>| Weights {
            bytes: &of_state.bytes[rows.start * row_bytes..rows.end * row_bytes],
            rows: rows.len(),
            ..of_state
        };
        cpu.product_float(part(0..seeing), h, &mut b[..seeing], seeing, 0);
        if let Some([of_row, of_state]) = self.bias {
            cpu.join(JoinKind::Add, None, of_row, a);
            cpu.join(JoinKind::Add, None, &of_state[..seeing], &mut b[..seeing]);
        }
        let [gate, candidate, out] = self.functions;
        match self.kind {
            RecurrentKind::Lstm { couples } => {
                cpu.join(JoinKind::Add, None, b, a);
                cpu.map(gate, None, &mut a[..3 * hidden]);
                cpu.map(candidate, None, &mut a[3 * hidden..]);
                for i in 0..hidden {
                    let (input, new) = (a[i], a[3 * hidden + i]);
                    let forget = if couples { 1.0 - input } else { a[2 * hidden + i] };
                    c[i] = forget * c[i] + input * new;
                }
                h.copy_from_slice(c);
                cpu.map(out, None, h);
                cpu.join(JoinKind::Mul, None, &a[hidden..2 * hidden], h);
            }
            _ => {
                cpu.join(JoinKind::Add, None, &b[..2 * hidden], &mut a[..2 * hidden]);
                cpu.map(gate, None, &mut a[..2 * hidden]);
                if resets_first {
                    let (reset, seen) = b.split_at_mut(hidden);
                    reset.copy_from_slice(h);
                    cpu.join(JoinKind::Mul, None, &a[hidden..2 * hidden], reset);
                    let seen = &mut seen[..hidden];
                    cpu.product_float(part(2 * hidden..3 * hidden), reset, seen, hidden, 0);
                    cpu.join(JoinKind::Add, None, seen, &mut a[2 * hidden..]);
                    if let Some([_, of_state]) = self.bias {
                        cpu.join(JoinKind::Add, None, &of_state[2 * hidden..], &mut a[2 * hidden..]);
                    }
                } else {
                    let (gates, new) = a.split_at_mut(2 * hidden);
                    let seen = &mut b[2 * hidden..];
                    cpu.join(JoinKind::Mul, None, &gates[hidden..], seen);
                    cpu.join(JoinKind::Add, None, seen, new);
                }
                cpu.map(candidate, None, &mut a[2 * hidden..]);
                for i in 0..hidden {
                    let z = a[i];
                    h[i] = (1.0 - z) * a[2 * hidden + i] + z * h[i];
                }
            }
        }
    }
}
