//! Forests of decision trees, as one operator of `ai.onnx.ml` has them or as the two before it.

use super::ml::ML;
use super::{Importer, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown, wrong};
use formats::onnx::AttributeValue;
use graph::array::{
    Array, BinaryKind, Pick, Reduce, ReduceKind, Select, Softmax, TreeVotes, Trees, UnaryKind,
};
use graph::{ArrayType, Elem, Extents, ValueId};
use std::collections::HashMap;

pub(super) const ROWS: &[Row] = &[
    (ML, "TreeEnsemble", |i, c| {
        let forest = Forest::of_leaves(i, c)?;
        let votes = match c.int_or("aggregate_function", 1)? {
            0 => TreeVotes::Average,
            1 => TreeVotes::Sum,
            2 => TreeVotes::Min,
            3 => TreeVotes::Max,
            other => return unknown("aggregate_function", &other.to_string(), "0 to 3 is needed"),
        };
        let targets = count(c, "n_targets", 1)?;
        let made = forest.vote(i, c, Trees { targets, votes })?;
        let post = ["NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT"];
        let place = usize::try_from(c.int_or("post_transform", 0)?).unwrap_or(post.len());
        Ok(vec![Item::Value(transformed(i, made, post.get(place).copied().unwrap_or("?"))?)])
    }),
    (ML, "TreeEnsembleClassifier", classifier),
    (ML, "TreeEnsembleRegressor", regressor),
];

fn count(call: &Call<'_>, name: &'static str, default: i64) -> Result<usize, Error> {
    let number = call.int_or(name, default)?;
    let count = usize::try_from(number).ok().filter(|count| *count < 1 << 24);
    count.map_or_else(|| unknown(name, &number.to_string(), "a number of targets is needed"), Ok)
}

/// Trees with nodes as the operator on arrays wants them.
#[derive(Default)]
struct Forest {
    /// Feature, comparison, next node if it holds, next node if not, whether it holds for what is not a number.
    nodes: Vec<[i64; 5]>,
    splits: Vec<f64>,
    roots: Vec<i64>,
    /// Of each leaf, targets and weights.
    leaves: Vec<Vec<(i64, f64)>>,
}

/// A setting of many numbers, be it a list or a tensor.
fn fractions(
    importer: &mut Importer<'_>,
    call: &Call<'_>,
    names: [&'static str; 2],
) -> Result<Vec<f64>, Error> {
    if let Some(tensor) = call.tensor(names[1])? {
        let id = importer.tensor(tensor)?;
        return importer.builder.fractions(id);
    }
    // The newer operator has tensors alone.
    if names[0] == names[1] {
        return Ok(Vec::new());
    }
    Ok(call.floats(names[0])?.unwrap_or_default().iter().map(|x| f64::from(*x)).collect())
}

fn lacks<T>(name: &'static str) -> Result<T, Error> {
    unknown(name, "too short", "a number for each node or leaf is needed")
}

/// A number of a list that must have one for each place.
fn at(list: &[i64], place: usize, name: &'static str) -> Result<i64, Error> {
    list.get(place).copied().map_or_else(|| lacks(name), Ok)
}

impl Forest {
    /// Trees whose leaves are apart from their nodes.
    fn of_leaves(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Forest, Error> {
        let list = |name: &'static str| Ok::<_, Error>(call.ints(name)?.unwrap_or_default());
        let modes = fractions(importer, call, ["nodes_modes", "nodes_modes"])?;
        let splits = fractions(importer, call, ["nodes_splits", "nodes_splits"])?;
        let members = fractions(importer, call, ["membership_values", "membership_values"])?;
        let weights = fractions(importer, call, ["leaf_weights", "leaf_weights"])?;
        let (features, missing) = (list("nodes_featureids")?, list("nodes_missing_value_tracks_true")?);
        let sides = [
            (list("nodes_truenodeids")?, list("nodes_trueleafs")?),
            (list("nodes_falsenodeids")?, list("nodes_falseleafs")?),
        ];
        let mut members = members.split(|x| x.is_nan());
        let targets = list("leaf_targetids")?;
        let leaves = targets.iter().zip(&weights).map(|(target, weight)| vec![(*target, *weight)]).collect();
        let mut forest = Forest { leaves, roots: list("tree_roots")?.to_vec(), ..Forest::default() };
        let mut more = Vec::new();
        for (place, &mode) in modes.iter().enumerate() {
            let next = |(ids, leaves): (&[i64], &[i64])| {
                let id = at(ids, place, "nodes_truenodeids")?;
                Ok::<_, Error>(if at(leaves, place, "nodes_trueleafs")? != 0 {
                    id.saturating_neg() - 1
                } else {
                    id
                })
            };
            let (yes, no) = (next(sides[0])?, next(sides[1])?);
            let feature = at(features, place, "nodes_featureids")?;
            let missing = missing.get(place).copied().unwrap_or(0);
            let split = splits.get(place).copied().unwrap_or(0.0);
            if mode != 6.0 {
                forest.nodes.push([feature, mode as i64, yes, no, missing]);
                forest.splits.push(split);
                continue;
            }
            // Membership is a chain of comparisons with each member.
            let set = members.next().unwrap_or_default();
            let (first, rest) = set.split_first().map_or((f64::NAN, &[][..]), |(first, rest)| (*first, rest));
            let start = modes.len() + more.len();
            let after = |step: usize| if step < rest.len() { (start + step) as i64 } else { no };
            forest.nodes.push([feature, 4, yes, after(0), missing]);
            forest.splits.push(first);
            more.extend(
                rest.iter().enumerate().map(|(step, x)| ([feature, 4, yes, after(step + 1), missing], *x)),
            );
        }
        forest.nodes.extend(more.iter().map(|(node, _)| *node));
        forest.splits.extend(more.iter().map(|(_, split)| *split));
        Ok(forest)
    }

    /// Trees whose leaves are nodes; votes have names that begin with `votes`.
    fn of_nodes(
        importer: &mut Importer<'_>,
        call: &Call<'_>,
        votes: [&'static str; 5],
    ) -> Result<Forest, Error> {
        let list = |name: &'static str| Ok::<_, Error>(call.ints(name)?.unwrap_or_default());
        let modes = match call.attribute("nodes_modes") {
            Some(AttributeValue::Strings(modes)) => modes,
            other => {
                return wrong("nodes_modes", other.unwrap_or(&AttributeValue::Int(0)), "names are needed");
            }
        };
        let splits = fractions(importer, call, ["nodes_values", "nodes_values_as_tensor"])?;
        let (trees, ids) = (list("nodes_treeids")?, list("nodes_nodeids")?);
        let (features, missing) = (list("nodes_featureids")?, list("nodes_missing_value_tracks_true")?);
        let (yes, no) = (list("nodes_truenodeids")?, list("nodes_falsenodeids")?);
        let (mut places, mut forest, mut last) = (HashMap::new(), Forest::default(), None);
        for (place, mode) in modes.iter().enumerate() {
            let key = (at(trees, place, "nodes_treeids")?, at(ids, place, "nodes_nodeids")?);
            let own = if **mode == *b"LEAF" {
                forest.leaves.push(Vec::new());
                -(forest.leaves.len() as i64)
            } else {
                forest.nodes.push([0; 5]);
                forest.nodes.len() as i64 - 1
            };
            places.insert(key, own);
            if last != Some(key.0) {
                last = Some(key.0);
                forest.roots.push(own);
            }
        }
        let kinds: [&[u8]; 6] =
            [b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ"];
        for (place, mode) in modes.iter().enumerate().filter(|(_, mode)| ***mode != *b"LEAF") {
            let Some(kind) = kinds.iter().position(|kind| **kind == **mode) else {
                return unknown("nodes_modes", &String::from_utf8_lossy(mode), "a comparison is needed");
            };
            let tree = at(trees, place, "nodes_treeids")?;
            let next = |ids: &[i64]| {
                let key = (tree, at(ids, place, "nodes_truenodeids")?);
                places.get(&key).copied().map_or_else(|| lacks("nodes_truenodeids"), Ok)
            };
            let node = forest.splits.len();
            forest.nodes[node] = [
                at(features, place, "nodes_featureids")?,
                kind as i64,
                next(yes)?,
                next(no)?,
                missing.get(place).copied().unwrap_or(0),
            ];
            forest.splits.push(splits.get(place).copied().map_or_else(|| lacks("nodes_values"), Ok)?);
        }
        let weights = fractions(importer, call, [votes[3], votes[4]])?;
        let (trees, ids, targets) = (list(votes[0])?, list(votes[1])?, list(votes[2])?);
        for (place, weight) in weights.into_iter().enumerate() {
            let key = (at(trees, place, votes[0])?, at(ids, place, votes[1])?);
            let leaf = places.get(&key).and_then(|own| usize::try_from(-1 - own).ok());
            let Some(leaf) = leaf.and_then(|leaf| forest.leaves.get_mut(leaf)) else {
                return lacks(votes[1]);
            };
            leaf.push((at(targets, place, votes[2])?, weight));
        }
        Ok(forest)
    }

    /// What the trees make of the call's input.
    fn vote(self, importer: &mut Importer<'_>, call: &Call<'_>, op: Trees) -> Result<ValueId, Error> {
        let mut x = call.value(0)?;
        if !importer.builder.elem(x).is_float() {
            x = importer.cast(x, Elem::F32)?;
        }
        let elem = if importer.builder.elem(x) == Elem::F64 { Elem::F64 } else { Elem::F32 };
        let mut start = 0;
        let mut starts = vec![0];
        starts.extend(self.leaves.iter().map(|leaf| {
            start += leaf.len() as i64;
            start
        }));
        let votes = self.leaves.concat();
        let (targets, weights): (Vec<i64>, Vec<f64>) = votes.into_iter().unzip();
        let nodes = self.nodes.concat();
        let integers = [(nodes, 5), (self.roots, 0), (starts, 0), (targets, 0)];
        let mut arrays = Vec::with_capacity(4);
        for (list, columns) in integers {
            let bytes =
                list.iter().flat_map(|x| i32::try_from(*x).unwrap_or(i32::MAX).to_le_bytes()).collect();
            arrays.push(constant(importer, Elem::I32, bytes, list.len(), columns)?);
        }
        let mut floats = |list: &[f64]| {
            let wide = list.iter().flat_map(|x| x.to_le_bytes());
            let narrow = list.iter().flat_map(|x| (*x as f32).to_le_bytes());
            let bytes = if elem == Elem::F64 { wide.collect() } else { narrow.collect() };
            constant(importer, elem, bytes, list.len(), 0)
        };
        let (splits, weights) = (floats(&self.splits)?, floats(&weights)?);
        let [nodes, roots, starts, targets] = arrays[..] else { return Err(Error::NoOutput) };
        let made = importer.builder.one(op, &[x, nodes, splits, roots, starts, targets, weights])?;
        let base = fractions(importer, call, ["base_values", "base_values_as_tensor"])?;
        if base.is_empty() {
            return Ok(made);
        }
        let bytes = base.iter().flat_map(|x| x.to_le_bytes()).collect();
        let base = constant(importer, Elem::F64, bytes, base.len(), 0)?;
        let base = importer.cast(base, importer.builder.elem(made))?;
        importer.of_both(BinaryKind::Add, made, base)
    }
}

/// A list, or a matrix of so many columns.
fn constant(
    importer: &mut Importer<'_>,
    elem: Elem,
    bytes: Box<[u8]>,
    len: usize,
    columns: usize,
) -> Result<ValueId, Error> {
    let matrix = [len.checked_div(columns).unwrap_or(0), columns];
    let extents = if columns > 0 { Extents::new(&matrix) } else { Extents::new(&[len]) };
    let extents = extents.ok_or(Error::NoOutput)?;
    Ok(importer.builder.constant(Array { kind: ArrayType { elem, extents }, bytes }))
}

fn transformed(importer: &mut Importer<'_>, scores: ValueId, post: &str) -> Result<ValueId, Error> {
    match post {
        "NONE" => Ok(scores),
        "LOGISTIC" => importer.of_each(UnaryKind::Sigmoid, scores),
        "SOFTMAX" => importer.builder.one(Softmax { axis: 1, log: false }, &[scores]),
        other => unknown("post_transform", other, "'NONE', 'SOFTMAX' or 'LOGISTIC' is needed"),
    }
}

fn regressor(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let names =
        ["target_treeids", "target_nodeids", "target_ids", "target_weights", "target_weights_as_tensor"];
    let forest = Forest::of_nodes(importer, call, names)?;
    let votes = match call.text_or("aggregate_function", "SUM")? {
        "AVERAGE" => TreeVotes::Average,
        "MAX" => TreeVotes::Max,
        "MIN" => TreeVotes::Min,
        "SUM" => TreeVotes::Sum,
        other => return unknown("aggregate_function", other, "'AVERAGE', 'SUM', 'MIN' or 'MAX' is needed"),
    };
    let targets = count(call, "n_targets", 1)?;
    let made = forest.vote(importer, call, Trees { targets, votes })?;
    Ok(vec![Item::Value(transformed(importer, made, call.text_or("post_transform", "NONE")?)?)])
}

/// The best class of each row and the scores of all. Classes that are texts are not computed with.
fn classifier(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let Some(labels) = call.ints("classlabels_int64s")? else {
        let texts = call.attribute("classlabels_strings").unwrap_or(&AttributeValue::Int(0));
        return wrong("classlabels_strings", texts, "classes that are numbers are needed");
    };
    let names = ["class_treeids", "class_nodeids", "class_ids", "class_weights", "class_weights_as_tensor"];
    let forest = Forest::of_nodes(importer, call, names)?;
    let votes = || forest.leaves.iter().flatten();
    let first = votes().next().map_or(0, |(class, _)| *class);
    // Of two classes, votes may be for one alone.
    let single = labels.len() == 2 && votes().all(|(class, _)| *class == first);
    let positive = votes().all(|(_, weight)| *weight >= 0.0);
    let post = call.text_or("post_transform", "NONE")?;
    let mut scores = forest.vote(importer, call, Trees { targets: labels.len(), votes: TreeVotes::Sum })?;
    if single {
        let yes = importer.part(scores, 1, usize::try_from(first).unwrap_or(0).min(1), 1)?;
        let mut no = importer.of_each(UnaryKind::Neg, yes)?;
        if post == "NONE" && positive {
            no = importer.with_number(BinaryKind::Add, no, 1.0)?;
        }
        scores = importer.join(&[no, yes], 1)?;
    }
    let scores = transformed(importer, scores, post)?;
    // The first of those that are the largest.
    let over = |kind, keeps| Reduce { kind, axes: vec![1], keeps };
    let most = importer.builder.one(over(ReduceKind::Max, true), &[scores])?;
    let is = importer.of_both(BinaryKind::Equal, scores, most)?;
    let numbers = importer.builder.integers_constant(&(0..labels.len() as i64).collect::<Vec<_>>())?;
    let none = importer.builder.number(Elem::I64, labels.len() as f64 - 1.0);
    let numbers = importer.builder.one(Select, &[is, numbers, none])?;
    let best = importer.builder.one(over(ReduceKind::Min, false), &[numbers])?;
    let labels = importer.builder.integers_constant(labels)?;
    let best = importer.builder.one(Pick { axis: 0 }, &[labels, best])?;
    let scores = importer.cast(scores, Elem::F32)?;
    Ok(vec![Item::Value(best), Item::Value(scores)])
}
