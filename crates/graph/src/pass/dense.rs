//! Takes into a product with one matrix what that matrix is made of, if it is bytes that are widened (a cast and a scale, or what
//! counts as zero and a scale), and what follows it: a bias for each column and a function of each element.
//!
//! Only where nobody else reads what comes between. Weights are then read as they lie, and exist as floats a panel at a time. The
//! result is the same to the bit: what is rounded is rounded as before.

use super::fuse::is_activation;
use super::made::Made;
use crate::array::{
    ArrayOp, ArrayOperator, Binary, BinaryKind, Cast, Dense, MatMul, Quantize, Unary, UnaryKind,
};
use crate::{ArrayType, Elem, Error, Graph, Node, Op, ValueId};

/// Recognises products with weights.
pub fn recognise_dense(graph: &mut Graph) -> Result<(), Error> {
    let nodes = std::mem::take(&mut graph.nodes);
    let made = Made::new(graph, &nodes);
    for node in &nodes {
        let found = activated(&made, graph, node)
            .or_else(|| moved(&made, graph, node))
            .or_else(|| product(&made, graph, node).filter(|found| found.op != Dense::PLAIN));
        let fits = found.filter(|found| found.fits(graph, node));
        graph.nodes.push(match fits {
            Some(found) => Node::new(Op::Array(found.op.into()), found.inputs, node.output),
            None => node.clone(),
        });
    }
    Ok(())
}

/// A product that was found.
struct Found {
    op: Dense,
    inputs: Vec<ValueId>,
}

impl Found {
    /// Whether it makes what `node` does.
    fn fits(&self, graph: &Graph, node: &Node) -> bool {
        let kinds: Option<Vec<ArrayType>> = self.inputs.iter().map(|id| kind_of(graph, *id)).collect();
        let made = kinds.and_then(|kinds| self.op.infer(&kinds).ok());
        made.is_some_and(|made| kind_of(graph, node.output) == made.first().copied())
    }
}

fn kind_of(graph: &Graph, id: ValueId) -> Option<ArrayType> {
    let value = graph.value_of(id);
    Some(ArrayType { elem: value.elem, extents: value.dims.known()? })
}

/// The node that makes what one node alone reads.
fn own<'a>(made: &Made<'a>, id: ValueId) -> Option<&'a Node> {
    made.own(id)?;
    made.nodes.get(*made.makers.get(&id)?)
}

/// A function of each element of a product, moved or not.
fn activated(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Found> {
    let (Op::Array(ArrayOp::Unary(Unary { kind })), &[x]) = (&node.op, &node.inputs[..]) else { return None };
    if !is_activation(*kind) && *kind != UnaryKind::Relu {
        return None;
    }
    let before = own(made, x)?;
    let found = moved(made, graph, before).or_else(|| product(made, graph, before))?;
    Some(Found { op: Dense { then: Some(*kind), ..found.op }, ..found })
}

/// A product and what is added to each of its columns.
fn moved(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Found> {
    let Op::Array(ArrayOp::Binary(Binary { kind: BinaryKind::Add })) = node.op else { return None };
    let &[a, b] = &node.inputs[..] else { return None };
    [(a, b), (b, a)].into_iter().find_map(|(x, bias)| {
        let mut found = product(made, graph, own(made, x)?)?;
        let (of_bias, of_product) = (kind_of(graph, bias)?, kind_of(graph, x)?);
        // The same for each row, and there before the product is.
        let is_row = of_bias.extents.last() == of_product.extents.last()
            && of_bias.extents.elements() == *of_product.extents.last()?;
        (is_row && graph.constant_of(bias).is_some()).then(|| {
            found.inputs.push(bias);
            Found { op: Dense { biases: true, ..found.op }, inputs: found.inputs }
        })
    })
}

/// A product with one matrix.
fn product(made: &Made<'_>, graph: &Graph, node: &Node) -> Option<Found> {
    let Op::Array(ArrayOp::MatMul(MatMul { b_is_transposed: false, widens: false })) = node.op else {
        return None;
    };
    let &[a, w] = &node.inputs[..] else { return None };
    if made.decided.contains(&node.output) {
        return None;
    }
    let plain = || Found { op: Dense::PLAIN, inputs: vec![a, w] };
    let Some((bytes, factors)) = widened(made, graph, w) else { return Some(plain()) };
    let op = Dense { scales: true, zeros: factors.len() > 1, ..Dense::PLAIN };
    let inputs = [&[a, bytes], &factors[..]].concat();
    // Where scales do not fit, floats do.
    let found = Found { op, inputs };
    Some(if found.fits(graph, node) { found } else { plain() })
}

/// The bytes of a constant that floats are made of; their scale and what counts as zero.
fn widened(made: &Made<'_>, graph: &Graph, id: ValueId) -> Option<(ValueId, Vec<ValueId>)> {
    let is_constant = |id: &ValueId| graph.constant_of(*id).is_some();
    let (bytes, factors) = match made.maker(id)? {
        (ArrayOp::Quantize(Quantize { to: Elem::F32, back: true, .. }), [bytes, factors @ ..]) => {
            (*bytes, factors.to_vec())
        }
        (ArrayOp::Binary(Binary { kind: BinaryKind::Mul }), &[x, y]) => {
            [(x, y), (y, x)].into_iter().find_map(|(x, scale)| match made.maker(x)? {
                (ArrayOp::Cast(Cast { to: Elem::F32 }), &[bytes]) => Some((bytes, vec![scale])),
                _ => None,
            })?
        }
        _ => return None,
    };
    let is_narrow = matches!(graph.value_of(bytes).elem, Elem::I8 | Elem::U8);
    (is_narrow && is_constant(&bytes) && factors.iter().all(is_constant)).then_some((bytes, factors))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Data, Dims, Extents};

    fn kind(elem: Elem, list: &[usize]) -> ArrayType {
        ArrayType { elem, extents: Extents::new(list).unwrap() }
    }

    fn floats(graph: &mut Graph, list: &[usize]) -> ValueId {
        let kind = kind(Elem::F32, list);
        let bytes = (0..kind.extents.elements()).flat_map(|i| (i as f32 / 8.0 - 0.5).to_le_bytes()).collect();
        graph.constant(kind, Data::Here(bytes))
    }

    /// A product with bytes, cast and scaled, a bias and Gelu; then one with bytes, less what counts as zero.
    fn taken_apart() -> Graph {
        let mut graph = Graph::new();
        let x = graph.input(Dims::from(Extents::new(&[1, 2, 4]).unwrap()), Elem::F32);
        let bytes = graph.constant(kind(Elem::I8, &[4, 3]), Data::Here((0..12).map(|i| i * 21).collect()));
        let (scale, bias) = (floats(&mut graph, &[1, 3]), floats(&mut graph, &[3]));
        let more = graph.constant(kind(Elem::U8, &[3, 2]), Data::Here((0..6).map(|i| i * 50).collect()));
        let (rows, zeros) = (floats(&mut graph, &[3, 1]), Data::Here([3, 5, 7].into()));
        let zeros = graph.constant(kind(Elem::U8, &[3, 1]), zeros);
        let product = MatMul { b_is_transposed: false, widens: false };
        let binary = |graph: &mut Graph, kind, a, b| graph.push_array(Binary { kind }, &[a, b]).unwrap()[0];
        let wide = graph.push_array(Cast { to: Elem::F32 }, &[bytes]).unwrap()[0];
        let wide = binary(&mut graph, BinaryKind::Mul, wide, scale);
        let y = graph.push_array(product, &[x, wide]).unwrap()[0];
        let y = binary(&mut graph, BinaryKind::Add, y, bias);
        let y = graph.push_array(Unary { kind: UnaryKind::Gelu }, &[y]).unwrap()[0];
        let meant = Quantize { to: Elem::F32, back: true, away: false };
        let wide = graph.push_array(meant, &[more, rows, zeros]).unwrap()[0];
        let y = graph.push_array(product, &[y, wide]).unwrap()[0];
        graph.outputs.push(y);
        graph
    }

    #[test]
    fn bytes_that_are_widened_go_into_the_product_with_what_follows() {
        let mut graph = taken_apart();
        let x: Vec<f32> = (0..8).map(|i| i as f32 / 3.0 - 1.0).collect();
        let before = crate::pass::fuse::run(&graph, &x);
        recognise_dense(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        crate::verify(&graph).unwrap();
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["Dense", "Dense"]);
        assert_eq!(crate::pass::fuse::run(&graph, &x), before);
    }

    #[test]
    fn what_somebody_else_reads_stays() {
        let mut graph = taken_apart();
        let moved = graph.nodes.iter().find(|node| node.op.name() == "Unary").unwrap().inputs[0];
        graph.outputs.insert(0, moved);
        recognise_dense(&mut graph).unwrap();
        crate::pass::remove_dead(&mut graph).unwrap();
        let names: Vec<&str> = graph.nodes.iter().map(|node| node.op.name()).collect();
        assert_eq!(names, ["Dense", "Unary", "Dense"]);
    }
}
