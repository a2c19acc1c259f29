//! Networks that walk along a sequence with a state: plain ones, GRU (arXiv 1406.1078) and LSTM with peepholes (Gers and
//! Schmidhuber, 2000).
//!
//! The one design choice: one operator for all three; they differ in the gates of a row and in what becomes of them, and the
//! walk, the directions and the layouts are the same. A sequence is walked to its end before the next one, so that what it
//! works in does not grow with the batch.

use super::floats::{Float, Run, dot, each_float};
use super::{ArrayOperator, ArrayType, LANES, UnaryKind, View, ViewMut, extents, fault, lanes};
use crate::{Cost, Elem, Error};

/// Which gates there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecurrentKind {
    /// Update, reset, hidden.
    Gru {
        /// Whether the reset gate comes after the product instead of before it.
        linear: bool,
    },
    /// Input, output, forget, cell.
    Lstm {
        /// Whether the forget gate is what the input gate leaves.
        couples: bool,
    },
    /// The hidden state alone.
    Plain,
}

/// Inputs that are there behind the sequences and the two arrays of weights, in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecurrentInputs {
    /// Biases of both arrays of weights: (directions, 2 gates hidden).
    pub bias: bool,
    /// Lengths of the sequences.
    pub lengths: bool,
    /// The hidden state at the beginning.
    pub hidden: bool,
    /// The cell state at the beginning.
    pub cell: bool,
    /// What gates see of the cell: (directions, 3 hidden), for input, output and forget.
    pub peepholes: bool,
}

/// A recurrent network over sequences (rows, batch, width) with weights (directions, gates hidden, width) and (directions, gates
/// hidden, hidden). It makes all hidden states (rows, directions, batch, hidden) and the last ones (directions, batch,
/// hidden), of an LSTM those of the cell as well.
#[derive(Clone, Debug, PartialEq)]
pub struct Recurrent {
    /// Which gates.
    pub kind: RecurrentKind,
    /// For each direction, whether it starts at the end.
    pub backwards: Vec<bool>,
    /// For each direction: of the gates, of the candidate, and of an LSTM's cell.
    pub activations: Vec<UnaryKind>,
    /// What goes into activations is held to that much.
    pub clip: Option<f32>,
    /// Whether the batch comes first everywhere.
    pub batch_first: bool,
    /// Whether all hidden states are made; otherwise only the last ones.
    pub all: bool,
    /// Inputs that are there.
    pub with: RecurrentInputs,
}

/// Extents.
#[derive(Clone, Copy)]
struct Sizes {
    rows: usize,
    batch: usize,
    width: usize,
    hidden: usize,
    directions: usize,
}

/// Inputs by what they are.
struct Inputs<'a> {
    x: View<'a>,
    w: View<'a>,
    r: View<'a>,
    more: [Option<View<'a>>; 5],
}

/// One direction of one sequence.
#[derive(Clone, Copy)]
struct Walker<'a> {
    w: Run<'a>,
    r: Run<'a>,
    bias: Option<Run<'a>>,
    peepholes: Option<Run<'a>>,
    activations: &'a [UnaryKind],
    sizes: Sizes,
}

impl Recurrent {
    /// Gates of a row.
    pub fn gates(&self) -> usize {
        match self.kind {
            RecurrentKind::Gru { .. } => 3,
            RecurrentKind::Lstm { .. } => 4,
            RecurrentKind::Plain => 1,
        }
    }

    /// Activations of a direction.
    fn functions(&self) -> usize {
        match self.kind {
            RecurrentKind::Gru { .. } => 2,
            RecurrentKind::Lstm { .. } => 3,
            RecurrentKind::Plain => 1,
        }
    }

    fn states(&self) -> usize {
        1 + usize::from(matches!(self.kind, RecurrentKind::Lstm { .. }))
    }

    fn present(&self) -> [bool; 5] {
        let RecurrentInputs { bias, lengths, hidden, cell, peepholes } = self.with;
        [bias, lengths, hidden, cell, peepholes]
    }

    fn sizes(&self, inputs: &[ArrayType]) -> Option<Sizes> {
        let [x, w, r, ..] = inputs else { return None };
        let ([a, b, width], [directions, _, _], [_, _, hidden]) = (&x.extents[..], &w.extents[..], &r.extents[..])
        else {
            return None;
        };
        let (rows, batch) = if self.batch_first { (*b, *a) } else { (*a, *b) };
        Some(Sizes { rows, batch, width: *width, hidden: *hidden, directions: *directions })
    }

    /// Whether all inputs have the extents that they must have.
    fn fits(&self, inputs: &[ArrayType], sizes: Sizes) -> bool {
        let Sizes { batch, width, hidden, directions, .. } = sizes;
        let gates = self.gates() * hidden;
        let state = if self.batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
        let expected: [&[usize]; 5] =
            [&[directions, 2 * gates], &[batch], &state, &state, &[directions, 3 * hidden]];
        let more = self.present().into_iter().zip(expected).filter(|(present, _)| *present);
        let expected = [&[directions, gates, width][..], &[directions, gates, hidden]];
        let expected: Vec<&[usize]> = expected.into_iter().chain(more.map(|(_, extents)| extents)).collect();
        let lengths = 3 + usize::from(self.with.bias);
        inputs.len() == 1 + expected.len()
            && inputs[1..].iter().zip(expected).all(|(input, expected)| *input.extents == *expected)
            && (0..inputs.len()).all(|at| inputs[at].elem.is_float() != (self.with.lengths && at == lengths))
            && directions == self.backwards.len()
            && self.activations.len() == directions * self.functions()
    }
}

impl ArrayOperator for Recurrent {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        let sizes = self.sizes(inputs).filter(|sizes| self.fits(inputs, *sizes));
        let Some(Sizes { rows, batch, hidden, directions, .. }) = sizes else {
            return fault("Recurrent", "sequences and weights that fit each other are needed", inputs);
        };
        let made = |list: &[usize]| Ok(ArrayType { elem: inputs[0].elem, extents: extents("Recurrent", list)? });
        let (all, last) = match self.batch_first {
            true => ([batch, rows, directions, hidden], [batch, directions, hidden]),
            false => ([rows, directions, batch, hidden], [directions, batch, hidden]),
        };
        let last = std::iter::repeat_n(&last[..], self.states());
        self.all.then_some(&all[..]).into_iter().chain(last).map(made).collect()
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], scratch: &mut [u8]) -> Result<(), Error> {
        let [x, w, r, more @ ..] = inputs else { return fault("Recurrent", "three inputs are needed", &[]) };
        let mut rest = more.iter().copied();
        let more = self.present().map(|present| if present { rest.next() } else { None });
        let inputs = Inputs { x: *x, w: *w, r: *r, more };
        each_float!(x.kind.elem, W => self.run::<W>(&inputs, outputs, scratch))
    }

    fn cost(&self, inputs: &[ArrayType]) -> Cost {
        let Some(s) = self.sizes(inputs) else { return Cost::default() };
        let factors = [self.gates(), s.hidden, s.width + s.hidden, s.rows, s.batch, s.directions];
        let macs = factors.iter().fold(1u64, |product, factor| product.saturating_mul(*factor as u64));
        Cost { macs, ..Cost::default() }
    }

    /// The states, and the gates twice: kernels have what comes from the row and from the state apart.
    fn scratch(&self, inputs: &[ArrayType]) -> usize {
        let wide = if inputs.first().is_some_and(|x| x.elem == Elem::F64) { 8 } else { 4 };
        self.sizes(inputs).map_or(0, |sizes| (2 + 2 * self.gates().max(2)) * sizes.hidden * wide)
    }
}

impl Recurrent {
    fn run<W: Float>(
        &self,
        inputs: &Inputs<'_>,
        outputs: &mut [ViewMut<'_>],
        scratch: &mut [u8],
    ) -> Result<(), Error> {
        let Some(sizes) = self.sizes(&[inputs.x.kind, inputs.w.kind, inputs.r.kind]) else {
            return fault("Recurrent", "another layout", &[]);
        };
        let Sizes { rows, batch, width, hidden, directions } = sizes;
        let [bias, lengths, first_hidden, first_cell, peepholes] = &inputs.more;
        let gates = self.gates() * hidden;
        let (states, work) = scratch.split_at_mut(2 * hidden * W::ELEM.bytes());
        let (h, c) = states.split_at_mut(hidden * W::ELEM.bytes());
        let (all, last) = outputs.split_at_mut(usize::from(self.all));
        for direction in 0..directions {
            let functions = self.functions();
            let walker = Walker {
                w: Run::of(&inputs.w, direction * gates * width),
                r: Run::of(&inputs.r, direction * gates * hidden),
                bias: bias.as_ref().map(|bias| Run::of(bias, direction * 2 * gates)),
                peepholes: peepholes.as_ref().map(|view| Run::of(view, direction * 3 * hidden)),
                activations: &self.activations[direction * functions..][..functions],
                sizes,
            };
            for sequence in 0..batch {
                let at = |outer: usize, inner: usize, extents: (usize, usize)| {
                    if self.batch_first { inner * extents.0 + outer } else { outer * extents.1 + inner }
                };
                let state = at(direction, sequence, (directions, batch)) * hidden;
                for (state_bytes, first) in [(&mut *h, first_hidden), (&mut *c, first_cell)] {
                    match first {
                        Some(view) => move_elements::<W>(Run::of(view, state), state_bytes, hidden),
                        None => state_bytes.fill(0),
                    }
                }
                let len = lengths.as_ref().map_or(rows, |lengths| {
                    let mut len = [0i64];
                    lengths.load(sequence, &mut len);
                    usize::try_from(len[0]).unwrap_or(0).min(rows)
                });
                for step in 0..rows {
                    let row = if self.backwards[direction] && step < len { len - 1 - step } else { step };
                    if step < len {
                        let x = Run::of(&inputs.x, at(row, sequence, (rows, batch)) * width);
                        self.step::<W>(&walker, x, (h, c), work);
                    }
                    let place = match self.batch_first {
                        true => (sequence * rows + row) * directions + direction,
                        false => (row * directions + direction) * batch + sequence,
                    };
                    for all in &mut *all {
                        put::<W>(h, step < len, all, place * hidden, hidden);
                    }
                }
                for (view, bytes) in last.iter_mut().zip([&*h, &*c]) {
                    put::<W>(bytes, true, view, state, hidden);
                }
            }
        }
        Ok(())
    }

    /// One row: the gates, then the new state.
    fn step<W: Float>(&self, walker: &Walker<'_>, x: Run<'_>, (h, c): (&mut [u8], &mut [u8]), work: &mut [u8]) {
        let Sizes { width, hidden, .. } = walker.sizes;
        let gates = self.gates() * hidden;
        let bias = |place: usize| walker.bias.map_or(W::default(), |bias| bias.at(place));
        // A GRU's last gate sees the state only after the reset.
        let seeing = if matches!(self.kind, RecurrentKind::Gru { .. }) { 2 * hidden } else { gates };
        for gate in 0..gates {
            let mut sum: W = dot(x, Run { start: walker.w.start + gate * width, ..walker.w }, width);
            sum = sum.add(bias(gate));
            if gate < seeing {
                let state = Run::work::<W>(h, 0);
                let row = Run { start: walker.r.start + gate * hidden, ..walker.r };
                sum = sum.add(dot(state, row, hidden)).add(bias(gates + gate));
            }
            lanes::store(W::ELEM, &[sum], gate, work);
        }
        match self.kind {
            RecurrentKind::Gru { linear } => {
                self.reset::<W>(walker, linear, h, work);
                self.each::<W>(hidden, |first, len| self.gru::<W>(walker, linear, h, work, (first, len)));
            }
            RecurrentKind::Lstm { couples } => {
                self.each::<W>(hidden, |first, len| self.lstm::<W>(walker, couples, (h, c), work, (first, len)));
            }
            RecurrentKind::Plain => self.each::<W>(hidden, |first, len| {
                let mut x = [W::default(); LANES];
                Run::work::<W>(work, 0).load(first, &mut x[..len]);
                self.activate(walker.activations[0], &mut x[..len]);
                lanes::store(W::ELEM, &x[..len], first, h);
            }),
        }
    }

    fn each<W: Float>(&self, hidden: usize, mut visit: impl FnMut(usize, usize)) {
        (0..hidden).step_by(LANES).for_each(|first| visit(first, LANES.min(hidden - first)));
    }

    fn activate<W: Float>(&self, kind: UnaryKind, x: &mut [W]) {
        if let Some(clip) = self.clip {
            let most = W::of_f32(clip);
            let least = W::default().sub(most);
            x.iter_mut().for_each(|x| *x = if *x > most { most } else if *x < least { least } else { *x });
        }
        W::apply(kind, x);
    }

    /// Of a GRU: the first two gates, and what the third one sees of the state behind them all.
    fn reset<W: Float>(&self, walker: &Walker<'_>, linear: bool, h: &[u8], work: &mut [u8]) {
        let hidden = walker.sizes.hidden;
        let (mut x, mut y) = ([W::default(); LANES], [W::default(); LANES]);
        self.each::<W>(2 * hidden, |first, len| {
            Run::work::<W>(work, 0).load(first, &mut x[..len]);
            self.activate(walker.activations[0], &mut x[..len]);
            lanes::store(W::ELEM, &x[..len], first, work);
        });
        let bias = |place: usize| walker.bias.map_or(W::default(), |bias| bias.at(5 * hidden + place));
        let row = |place: usize| Run { start: walker.r.start + (2 * hidden + place) * hidden, ..walker.r };
        if linear {
            for place in 0..hidden {
                let sum: W = dot(Run::work::<W>(h, 0), row(place), hidden);
                lanes::store(W::ELEM, &[sum.add(bias(place))], 3 * hidden + place, work);
            }
            return;
        }
        self.each::<W>(hidden, |first, len| {
            Run::work::<W>(work, hidden).load(first, &mut x[..len]);
            Run::work::<W>(h, 0).load(first, &mut y[..len]);
            x[..len].iter_mut().zip(&y[..len]).for_each(|(x, y)| *x = x.mul(*y));
            lanes::store(W::ELEM, &x[..len], 3 * hidden + first, work);
        });
        for place in 0..hidden {
            let seen: W = Run::work::<W>(work, 2 * hidden).at(place);
            let sum: W = dot(Run::work::<W>(work, 3 * hidden), row(place), hidden);
            lanes::store(W::ELEM, &[seen.add(sum).add(bias(place))], 2 * hidden + place, work);
        }
    }

    fn gru<W: Float>(
        &self,
        walker: &Walker<'_>,
        linear: bool,
        h: &mut [u8],
        work: &[u8],
        (first, len): (usize, usize),
    ) {
        let hidden = walker.sizes.hidden;
        let mut rows = [[W::default(); LANES]; 5];
        let [z, r, new, state, old] = &mut rows;
        for (gate, row) in [&mut *z, r, new, state].into_iter().enumerate() {
            Run::work::<W>(work, gate * hidden).load(first, &mut row[..len]);
        }
        Run::work::<W>(h, 0).load(first, &mut old[..len]);
        if linear {
            (0..len).for_each(|i| new[i] = new[i].add(r[i].mul(state[i])));
        }
        self.activate(walker.activations[1], &mut new[..len]);
        (0..len).for_each(|i| new[i] = W::of_i64(1).sub(z[i]).mul(new[i]).add(z[i].mul(old[i])));
        lanes::store(W::ELEM, &new[..len], first, h);
    }

    fn lstm<W: Float>(
        &self,
        walker: &Walker<'_>,
        couples: bool,
        (h, c): (&mut [u8], &mut [u8]),
        work: &[u8],
        (first, len): (usize, usize),
    ) {
        let hidden = walker.sizes.hidden;
        let mut rows = [[W::default(); LANES]; 5];
        let [input, output, forget, new, cell] = &mut rows;
        for (gate, row) in [&mut *input, output, forget, new].into_iter().enumerate() {
            Run::work::<W>(work, gate * hidden).load(first, &mut row[..len]);
        }
        Run::work::<W>(c, 0).load(first, &mut cell[..len]);
        let peep = |gate: usize, x: &mut [W], cell: &[W]| {
            if let Some(peepholes) = walker.peepholes {
                let mut p = [W::default(); LANES];
                peepholes.load(gate * hidden + first, &mut p[..len]);
                x.iter_mut().zip(cell).zip(&p).for_each(|((x, c), p)| *x = x.add(p.mul(*c)));
            }
        };
        let [gate, candidate, out, ..] = *walker.activations else { return };
        peep(0, &mut input[..len], &cell[..len]);
        peep(2, &mut forget[..len], &cell[..len]);
        self.activate(gate, &mut input[..len]);
        self.activate(gate, &mut forget[..len]);
        self.activate(candidate, &mut new[..len]);
        for i in 0..len {
            let forget = if couples { W::of_i64(1).sub(input[i]) } else { forget[i] };
            cell[i] = forget.mul(cell[i]).add(input[i].mul(new[i]));
        }
        lanes::store(W::ELEM, &cell[..len], first, c);
        peep(1, &mut output[..len], &cell[..len]);
        self.activate(gate, &mut output[..len]);
        // As onnxruntime has it, the cell itself is not held.
        W::apply(out, &mut cell[..len]);
        (0..len).for_each(|i| output[i] = output[i].mul(cell[i]));
        lanes::store(W::ELEM, &output[..len], first, h);
    }
}

/// Elements into what an operator works in.
fn move_elements<W: Float>(from: Run<'_>, to: &mut [u8], len: usize) {
    let mut x = [W::default(); LANES];
    for first in (0..len).step_by(LANES) {
        let x = &mut x[..LANES.min(len - first)];
        from.load(first, x);
        lanes::store(W::ELEM, x, first, to);
    }
}

/// A state, or zeros, into an output.
fn put<W: Float>(state: &[u8], there: bool, to: &mut ViewMut<'_>, start: usize, len: usize) {
    let mut x = [W::default(); LANES];
    for first in (0..len).step_by(LANES) {
        let x = &mut x[..LANES.min(len - first)];
        if there {
            Run::work::<W>(state, 0).load(first, x);
        }
        to.store(start + first, x);
    }
}
