//! Operators on arrays with random settings, extents and bytes, most of which almost fit: they end with arrays or with an
//! error, never with a panic.

use pintpot_graph::array::{
    Array, ArrayOp, Attention, Detections, DetectionsBy, MatMul, MatMulBlocks, Norm, Quantize, Recurrent,
    RecurrentInputs, RecurrentKind, Rotary, Scores, TreeVotes, Trees, UnaryKind, evaluate,
};
use pintpot_graph::{ArrayType, Elem, Extents};

/// Numbers that look random and are the same in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides
    }

    fn is(&mut self) -> bool {
        self.roll(2) == 1
    }

    fn of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.roll(list.len())]
    }

    fn float(&mut self) -> Elem {
        self.of(&[Elem::F32, Elem::F32, Elem::F64, Elem::F16, Elem::BF16])
    }

    /// An array of these extents, or now and then of others.
    fn array(&mut self, elem: Elem, extents: &[usize]) -> Array {
        let mut extents = extents.to_vec();
        if self.roll(40) == 0 && !extents.is_empty() {
            let axis = self.roll(extents.len());
            extents[axis] = self.roll(4);
        }
        if self.roll(60) == 0 {
            extents.pop();
        }
        let elem =
            if self.roll(60) == 0 { self.of(&[Elem::I64, Elem::U8, Elem::Bool, Elem::F32]) } else { elem };
        let kind = ArrayType { elem, extents: Extents::new(&extents).expect("they are small") };
        // Small whole numbers of any kind, so that those that count something often make sense.
        let wild = self.roll(4) == 0;
        let bytes = (0..kind.bytes()).map(|at| match (wild, at % elem.bytes()) {
            (true, _) => self.roll(256) as u8,
            (false, 0) => self.roll(5) as u8,
            _ => 0,
        });
        let bytes = bytes.collect();
        Array { kind, bytes }
    }
}

fn attention(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let [batch, heads, rows, keys, width] = std::array::from_fn(|_| dice.roll(4));
    let (groups, elem, flat) = (1 + dice.roll(2), dice.float(), dice.is());
    let op = Attention {
        heads: [heads * groups, heads],
        scale: 0.5,
        cap: dice.of(&[0.0, 1.0]),
        caps_first: dice.is(),
        causal: dice.of(&[None, Some(0), Some(2), Some(-1), Some(isize::MAX)]),
        window: dice.of(&[None, Some(0), Some(1), Some(usize::MAX)]),
        masked: dice.is(),
        lengths: dice.is(),
        scores: dice.of(&[None, Some(Scores::Masked), Some(Scores::Weights)]),
    };
    let mut array = |heads: usize, rows: usize| match flat {
        true => dice.array(elem, &[batch, rows, heads * width]),
        false => dice.array(elem, &[batch, heads, rows, width]),
    };
    let mut inputs = vec![array(heads * groups, rows), array(heads, keys), array(heads, keys)];
    if op.masked {
        let elem = dice.of(&[elem, Elem::Bool]);
        inputs.push(dice.array(elem, &[1, rows, keys]));
    }
    if op.lengths {
        inputs.push(dice.array(Elem::I32, &[batch]));
    }
    (op.into(), inputs)
}

fn recurrent(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let kind = dice.of(&[
        RecurrentKind::Gru { linear: true },
        RecurrentKind::Gru { linear: false },
        RecurrentKind::Lstm { couples: false },
        RecurrentKind::Lstm { couples: true },
        RecurrentKind::Plain,
    ]);
    let (gates, functions) = match kind {
        RecurrentKind::Gru { .. } => (3, 2),
        RecurrentKind::Lstm { .. } => (4, 3),
        RecurrentKind::Plain => (1, 1),
    };
    let [rows, batch, width, hidden] = std::array::from_fn(|_| dice.roll(4));
    let backwards = dice.of(&[&[false][..], &[true], &[false, true]]).to_vec();
    let (directions, batch_first, elem) = (backwards.len(), dice.is(), dice.float());
    let [bias, lengths, first, cell, peepholes] = std::array::from_fn(|_| dice.is());
    let op = Recurrent {
        kind,
        activations: vec![UnaryKind::Tanh; directions * functions],
        backwards,
        clip: dice.of(&[None, Some(0.5), Some(f32::NAN)]),
        batch_first,
        all: dice.is(),
        with: RecurrentInputs { bias, lengths, hidden: first, cell, peepholes },
    };
    let state = if batch_first { [batch, directions, hidden] } else { [directions, batch, hidden] };
    let (outer, inner) = if batch_first { (batch, rows) } else { (rows, batch) };
    let mut inputs = vec![
        dice.array(elem, &[outer, inner, width]),
        dice.array(elem, &[directions, gates * hidden, width]),
        dice.array(elem, &[directions, gates * hidden, hidden]),
    ];
    let more: [(bool, Elem, &[usize]); 5] = [
        (bias, elem, &[directions, 2 * gates * hidden]),
        (lengths, Elem::I32, &[batch]),
        (first, elem, &state),
        (cell, elem, &state),
        (peepholes, elem, &[directions, 3 * hidden]),
    ];
    for (_, elem, extents) in more.into_iter().filter(|(there, ..)| *there) {
        inputs.push(dice.array(elem, extents));
    }
    (op.into(), inputs)
}

fn rotary(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let [batch, heads, rows, half] = std::array::from_fn(|_| dice.roll(4));
    let elem = dice.float();
    let op = Rotary { heads, width: 2 * half, interleaved: dice.is() };
    let x = match dice.is() {
        true => dice.array(elem, &[batch, rows, heads * 2 * half]),
        false => dice.array(elem, &[batch, heads, rows, 2 * half]),
    };
    let positions = dice.is();
    let table = if positions { vec![5, half] } else { vec![batch, rows, half] };
    let mut inputs = vec![x, dice.array(elem, &table), dice.array(elem, &table)];
    if positions {
        let places = if dice.is() { vec![batch, rows] } else { vec![1] };
        inputs.push(dice.array(Elem::I64, &places));
    }
    (op.into(), inputs)
}

fn products(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let [rows, common, columns] = std::array::from_fn(|_| dice.roll(9));
    if dice.is() {
        let [a, b] = [dice.of(&[Elem::U8, Elem::I8]), dice.of(&[Elem::U8, Elem::I8])];
        let op = MatMul { b_is_transposed: dice.is(), widens: true };
        let of_b = if op.b_is_transposed { [columns, common] } else { [common, columns] };
        let zeros = [dice.of(&[rows, 1]), dice.of(&[columns, 1])];
        let inputs = vec![
            dice.array(a, &[rows, common]),
            dice.array(b, &of_b),
            dice.array(a, &zeros[..1]),
            dice.array(b, &zeros[1..]),
        ];
        return (op.into(), inputs);
    }
    let (bits, block) = (dice.of(&[2, 4, 8, 3]), dice.of(&[4, 8, 0, usize::MAX]));
    let (zeros, bias, elem) = (dice.is(), dice.is(), dice.float());
    let op = MatMulBlocks { common, columns, bits, block, zeros, bias };
    let blocks = common.div_ceil(block.max(1));
    let mut inputs = vec![
        dice.array(elem, &[rows, common]),
        dice.array(Elem::U8, &[columns, blocks, block.min(8) * bits / 8]),
        dice.array(elem, &[columns, blocks]),
    ];
    if zeros {
        let packed = dice.is();
        inputs.push(match packed {
            true => dice.array(Elem::U8, &[columns, (blocks * bits).div_ceil(8)]),
            false => dice.array(elem, &[columns, blocks]),
        });
    }
    if bias {
        inputs.push(dice.array(elem, &[columns]));
    }
    (op.into(), inputs)
}

fn trees(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let [rows, features, nodes, trees, leaves, votes] = std::array::from_fn(|_| dice.roll(5));
    let votes_become = dice.of(&[TreeVotes::Average, TreeVotes::Max, TreeVotes::Min, TreeVotes::Sum]);
    let op = Trees { targets: dice.roll(5), votes: votes_become };
    let elem = dice.float();
    let inputs = vec![
        dice.array(elem, &[rows, features]),
        dice.array(Elem::I32, &[nodes, 5]),
        dice.array(elem, &[nodes]),
        dice.array(Elem::I32, &[trees]),
        dice.array(Elem::I32, &[leaves]),
        dice.array(Elem::I32, &[votes]),
        dice.array(elem, &[votes]),
    ];
    (op.into(), inputs)
}

fn detections(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let [boxes, width, told] = std::array::from_fn(|_| dice.roll(6));
    let op = Detections {
        most: dice.of(&[0, 1, 4, 9, usize::MAX]),
        by: dice.of(&[DetectionsBy::Box(told), DetectionsBy::Class(told)]),
        skip: dice.roll(2),
        score: dice.of(&[0.0, f32::NEG_INFINITY, f32::NAN]),
        overlap: dice.of(&[0.5, 1.0, -1.0]),
    };
    let elem = dice.float();
    (op.into(), vec![dice.array(elem, &[boxes, 4]), dice.array(elem, &[boxes, width])])
}

fn each_element(dice: &mut Dice) -> (ArrayOp, Vec<Array>) {
    let extents: [usize; 3] = std::array::from_fn(|_| dice.roll(4));
    let elem = dice.float();
    if dice.is() {
        let moments = dice.of(&[None, Some(Elem::F32)]);
        let op = Norm { axis: dice.roll(5), epsilon: 1e-5, centers: dice.is(), moments };
        let inputs = vec![
            dice.array(elem, &extents),
            dice.array(elem, &extents[1..]),
            dice.array(elem, &extents[2..]),
        ];
        return (op.into(), inputs);
    }
    let narrow = dice.of(&[Elem::I8, Elem::U8, Elem::I16, Elem::U16, Elem::I32]);
    let (back, zero) = (dice.is(), dice.is());
    let op = Quantize { to: if back { elem } else { narrow }, back, away: false };
    let of_x = if back { narrow } else { elem };
    let mut inputs = vec![dice.array(of_x, &extents), dice.array(elem, &extents[1..])];
    if zero {
        inputs.push(dice.array(narrow, &extents[1..]));
    }
    (op.into(), inputs)
}

#[test]
fn operators_never_panic() {
    let mut dice = Dice(1);
    let kinds = [attention, recurrent, rotary, products, trees, detections, each_element];
    let mut done = [0; 7];
    for round in 0..60_000 {
        let kind = round % kinds.len();
        let (op, inputs) = kinds[kind](&mut dice);
        let inputs: Vec<&Array> = inputs.iter().collect();
        let kinds: Vec<ArrayType> = inputs.iter().map(|input| input.kind).collect();
        let _ = op.cost(&kinds);
        done[kind] += usize::from(evaluate(&op, &inputs).is_ok());
    }
    assert!(done.iter().all(|done| *done > 500), "too few fit: {done:?}");
}
