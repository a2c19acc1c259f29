//! Einstein's sums: products of arrays whose axes have letters.
//!
//! The one design choice: two arrays at a time become one product of many matrices; letters of both that are still wanted
//! are its batches, those of both that are not are what is added up.

use super::{Importer, OWN, Row};
use crate::Error;
use crate::network::Item;
use crate::onnx::call::{Call, unknown};
use graph::ValueId;
use graph::array::{Along, Binary, BinaryKind, MatMul, Reduce, ReduceKind, Restride};

pub(super) const ROWS: &[Row] = &[(OWN, "Einsum", einsum)];

/// Stand for the axes that an ellipsis is, the innermost first; no letter is as large.
const ELLIPSIS: u32 = 1 << 24;

/// An array whose axes have letters.
#[derive(Clone)]
struct Term {
    value: ValueId,
    letters: Vec<u32>,
    extents: Vec<usize>,
}

impl Term {
    fn extent(&self, letter: u32) -> usize {
        self.letters.iter().position(|own| *own == letter).map_or(1, |axis| self.extents[axis])
    }
}

fn einsum(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Item>, Error> {
    let text: String = call.text_or("equation", "")?.chars().filter(|c| !c.is_whitespace()).collect();
    let wrong = || unknown("equation", &text, "letters for each axis of each input are needed");
    let (left, right) = match text.split_once("->") {
        Some((left, right)) => (left, Some(right)),
        None => (&*text, None),
    };
    let inputs = call.values()?;
    let lists: Vec<&str> = left.split(',').collect();
    if lists.len() != inputs.len() {
        return wrong();
    }
    let mut terms = Vec::with_capacity(inputs.len());
    for (list, value) in lists.into_iter().zip(inputs) {
        let extents = importer.builder.extents(value)?.to_vec();
        let Some(letters) = letters(list, Some(extents.len())) else { return wrong() };
        terms.push(diagonal(importer, Term { value, letters, extents })?);
    }
    let all: Vec<u32> = terms.iter().flat_map(|term| term.letters.iter().copied()).collect();
    let dots = all.iter().filter(|letter| **letter >= ELLIPSIS).max().map_or(0, |most| most - ELLIPSIS + 1);
    let wanted = match right {
        Some(right) => match letters(right, right.contains("...").then(|| right.len() - 3 + dots as usize)) {
            Some(wanted) => wanted,
            None => return wrong(),
        },
        None => {
            let once = |letter: &&u32| all.iter().filter(|other| other == letter).count() == 1;
            let mut once: Vec<u32> = all.iter().filter(|l| **l < ELLIPSIS).filter(once).copied().collect();
            once.sort_unstable();
            (0..dots).rev().map(|k| ELLIPSIS + k).chain(once).collect()
        }
    };
    let repeats = wanted.iter().enumerate().any(|(at, letter)| wanted[..at].contains(letter));
    if repeats || wanted.iter().any(|letter| !all.contains(letter)) {
        return wrong();
    }
    squeeze(importer, &mut terms)?;
    let mut terms = terms.into_iter();
    let Some(mut made) = terms.next() else { return wrong() };
    while let Some(next) = terms.next() {
        let later: Vec<u32> = terms.as_slice().iter().flat_map(|term| term.letters.clone()).collect();
        let keeps = |letter: u32| wanted.contains(&letter) || later.contains(&letter);
        made = product(importer, made, next, &keeps)?;
    }
    made = without(importer, made, &|letter| wanted.contains(&letter))?;
    let order = axes_of(&made, &wanted);
    Ok(vec![Item::Value(importer.transposed(made.value, &order)?)])
}

/// The letters of a list, with as many for an ellipsis as are missing to `rank`.
fn letters(list: &str, rank: Option<usize>) -> Option<Vec<u32>> {
    let plain = |text: &str| {
        let letters = text.chars().map(|letter| letter.is_alphabetic().then_some(u32::from(letter)));
        letters.collect::<Option<Vec<u32>>>()
    };
    let Some((before, behind)) = list.split_once("...") else {
        return plain(list).filter(|letters| rank.is_none_or(|rank| rank == letters.len()));
    };
    let (before, behind) = (plain(before)?, plain(behind)?);
    let dots = rank?.checked_sub(before.len() + behind.len())? as u32;
    Some(before.into_iter().chain((0..dots).rev().map(|k| ELLIPSIS + k)).chain(behind).collect())
}

fn axes_of(term: &Term, letters: &[u32]) -> Vec<usize> {
    letters.iter().filter_map(|letter| term.letters.iter().position(|own| own == letter)).collect()
}

/// A letter that an array has twice is its diagonal.
fn diagonal(importer: &mut Importer<'_>, mut term: Term) -> Result<Term, Error> {
    while let Some((first, second)) = (0..term.letters.len()).find_map(|axis| {
        let first = term.letters[..axis].iter().position(|letter| *letter == term.letters[axis])?;
        Some((first, axis))
    }) {
        let side = term.extents[first];
        if term.extents[second] != side {
            return unknown(
                "equation",
                &format!("{:?}", term.extents),
                "equal extents for a letter are needed",
            );
        }
        // Both behind all others, as one axis, of which every so many-th element is on the diagonal.
        let mut order: Vec<usize> = (0..term.letters.len()).filter(|k| *k != first && *k != second).collect();
        let others = order.clone();
        order.extend([first, second]);
        let moved = importer.transposed(term.value, &order)?;
        let outer: usize = others.iter().map(|axis| term.extents[*axis]).product();
        let flat = importer.reshaped(moved, &[outer, side * side])?;
        let axes = vec![
            Along::Axis { axis: 0, len: None, start: 0, step: 1 },
            Along::Axis { axis: 1, len: Some(side), start: 0, step: side as isize + 1 },
        ];
        let cut = importer.builder.one(Restride { axes, at: vec![0; 2] }, &[flat])?;
        let pick = |list: &[u32]| others.iter().map(|axis| list[*axis]).chain([list[first]]).collect();
        let letters = pick(&term.letters);
        let extents: Vec<usize> = others.iter().map(|axis| term.extents[*axis]).chain([side]).collect();
        term = Term { value: importer.reshaped(cut, &extents)?, letters, extents };
    }
    Ok(term)
}

/// Takes a letter away where its extent is one and elsewhere it is not.
fn squeeze(importer: &mut Importer<'_>, terms: &mut [Term]) -> Result<(), Error> {
    let copies = terms.to_vec();
    for term in terms {
        let most = |letter: u32| copies.iter().map(|term| term.extent(letter)).max().unwrap_or(1);
        let keeps: Vec<bool> = term
            .letters
            .iter()
            .zip(&term.extents)
            .map(|(letter, extent)| *extent != 1 || most(*letter) == 1)
            .collect();
        if keeps.iter().all(|keeps| *keeps) {
            continue;
        }
        let mut keep = keeps.iter();
        term.letters.retain(|_| keep.next().copied().unwrap_or(true));
        let mut keep = keeps.iter();
        term.extents.retain(|_| keep.next().copied().unwrap_or(true));
        term.value = importer.reshaped(term.value, &term.extents)?;
    }
    Ok(())
}

/// The array added up along letters that nobody wants.
fn without(importer: &mut Importer<'_>, mut term: Term, keeps: &dyn Fn(u32) -> bool) -> Result<Term, Error> {
    let axes: Vec<usize> = (0..term.letters.len()).filter(|axis| !keeps(term.letters[*axis])).collect();
    if axes.is_empty() {
        return Ok(term);
    }
    let mut at = 0..;
    term.extents.retain(|_| at.next().is_some_and(|axis| !axes.contains(&axis)));
    term.letters.retain(|letter| keeps(*letter));
    term.value = importer.builder.one(Reduce { kind: ReduceKind::Sum, axes, keeps: false }, &[term.value])?;
    Ok(term)
}

/// Two arrays as one.
fn product(
    importer: &mut Importer<'_>,
    a: Term,
    b: Term,
    keeps: &dyn Fn(u32) -> bool,
) -> Result<Term, Error> {
    let a = without(importer, a, &|letter| keeps(letter) || b.letters.contains(&letter))?;
    let b = without(importer, b, &|letter| keeps(letter) || a.letters.contains(&letter))?;
    let both = |letter: &u32| a.letters.contains(letter) && b.letters.contains(letter);
    let some = |of: &Term, is: &dyn Fn(&u32) -> bool| {
        of.letters.iter().filter(|l| is(l)).copied().collect::<Vec<_>>()
    };
    let batch = some(&a, &|letter| both(letter) && keeps(*letter));
    let common = some(&a, &|letter| both(letter) && !keeps(*letter));
    let (rows, columns) = (some(&a, &|letter| !both(letter)), some(&b, &|letter| !both(letter)));
    let letters = [&batch[..], &rows, &columns].concat();
    let extents: Vec<usize> = letters.iter().map(|letter| a.extent(*letter).max(b.extent(*letter))).collect();
    let size =
        |of: &Term, letters: &[u32]| letters.iter().map(|letter| of.extent(*letter)).product::<usize>();
    let moved = |importer: &mut Importer<'_>, of: &Term, order: [&[u32]; 3]| {
        let value = importer.transposed(of.value, &axes_of(of, &order.concat()))?;
        importer.reshaped(value, &order.map(|letters| size(of, letters)))
    };
    let left = moved(importer, &a, [&batch, &rows, &common])?;
    // As it lies, if that is one of the two ways that a product takes.
    let b_is_transposed = b.letters == [&batch[..], &columns, &common].concat();
    let order: [&[u32]; 3] =
        if b_is_transposed { [&batch, &columns, &common] } else { [&batch, &common, &columns] };
    let right = moved(importer, &b, order)?;
    let made = if common.is_empty() && rows.is_empty() && columns.is_empty() {
        importer.builder.one(Binary { kind: BinaryKind::Mul }, &[left, right])?
    } else {
        importer.builder.one(MatMul { b_is_transposed, widens: false }, &[left, right])?
    };
    Ok(Term { value: importer.reshaped(made, &extents)?, letters, extents })
}
