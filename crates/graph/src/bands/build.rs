//! A graph whose head is made in bands.

use super::sight::cut;
use super::{BANDS_MAX, Head, HeadNode, array, kind_of, makers};
use crate::array::{Along, ArrayOp, Join, Restride};
use crate::{Graph, Node, Op, ValueId};
use std::ops::Range;

/// Rows of a value that are there.
#[derive(Clone, Debug, Default)]
struct There {
    rows: Range<usize>,
    value: Option<ValueId>,
}

/// What a band does of what a node makes.
#[derive(Clone, Debug, Default)]
struct Share {
    /// The first row that this band or one behind it looks at.
    needed: usize,
    /// What the band makes.
    own: Range<usize>,
}

/// Bands of a head, one after another.
struct Bands<'g> {
    graph: &'g Graph,
    head: &'g Head,
    /// By value, the place in the head of the node that makes it.
    places: Vec<Option<usize>>,
    /// By node of the head, the rows that the bands so far have left of what it makes.
    there: Vec<There>,
    /// By node of the head, where the rows of what it makes end that were made so far.
    done: Vec<usize>,
    /// By node of the head, the last node of it that reads what it makes.
    readers: Vec<usize>,
    to: Graph,
}

impl Head {
    /// The same graph with this head in bands of so many rows of the cut; `None` if there would be too many or the numbers would be
    /// others.
    pub fn in_bands(&self, graph: &Graph, rows: usize) -> Option<Graph> {
        if rows == 0 || rows >= self.rows || self.rows.div_ceil(rows) > BANDS_MAX {
            return None;
        }
        let inside =
            |maker: &Option<usize>| self.nodes.binary_search_by_key(&(*maker)?, |node| node.index).ok();
        let places: Vec<Option<usize>> = makers(graph).iter().map(inside).collect();
        let mut to = graph.clone();
        to.nodes.clear();
        let count = self.nodes.len();
        let mut readers = vec![count; count];
        for (place, node) in self.nodes.iter().enumerate() {
            let inputs = graph.nodes[node.index].inputs.iter().filter_map(|id| places[id.0 as usize]);
            inputs.for_each(|input| readers[input] = place);
        }
        let there = vec![There::default(); count];
        let mut bands = Bands { graph, head: self, places, there, done: vec![0; count], readers, to };
        let mut end = rows as isize - bands.lead();
        let mut parts = Vec::new();
        while bands.done.last().is_some_and(|done| *done < self.rows) {
            parts.extend(bands.band([end, end + rows as isize])?);
            end += rows as isize;
        }
        let Bands { mut to, places, .. } = bands;
        to.nodes.push(Node::new(Op::Array(Join { axis: 2 }.into()), parts, self.cut));
        let below = graph.nodes.iter().filter(|node| places[node.output.0 as usize].is_none());
        to.nodes.extend(below.cloned());
        Some(to)
    }
}

impl Bands<'_> {
    /// Rows of the cut by which what is above it must be ahead: bands before the first row of the cut make no more of anything
    /// than others do.
    fn lead(&self) -> isize {
        let lead = self.ends(0).into_iter().zip(self.ends(1)).map(|(near, far)| {
            let step = (far - near).max(1);
            (near.max(0) + step - 1) / step
        });
        lead.max().unwrap_or(0)
    }

    /// Where rows of all values end for rows of the cut before `end`, were there rows without end both ways.
    fn ends(&self, end: isize) -> Vec<isize> {
        let nodes = &self.head.nodes;
        let mut ends = vec![isize::MIN; nodes.len()];
        if let Some(cut) = ends.last_mut() {
            *cut = end;
        }
        for (place, node) in nodes.iter().enumerate().rev() {
            let end = ends[place];
            for (id, sight) in self.graph.nodes[node.index].inputs.iter().zip(&node.sights) {
                if let (Some(input), Some(sight)) = (self.places[id.0 as usize], sight) {
                    ends[input] = ends[input].max(sight.end(end));
                }
            }
        }
        ends
    }

    /// Goes on until rows of the cut before the first of two ends are there; the second is the next band's. Gives the new rows.
    fn band(&mut self, ends: [isize; 2]) -> Option<Option<ValueId>> {
        let shares = self.shares(ends[0]);
        for (done, share) in self.done.iter_mut().zip(&shares) {
            *done = share.own.end.max(*done);
        }
        let next = self.shares(ends[1]);
        for (place, share) in shares.iter().enumerate() {
            self.make(place, share)?;
            // What nobody looks at any more goes at once.
            for (input, left) in next.iter().enumerate().take(place) {
                if self.readers[input] == place {
                    self.forget(input, left.needed)?;
                }
            }
        }
        let is_new = shares.last().is_some_and(|share| !share.own.is_empty());
        Some(self.there.last().and_then(|there| there.value).filter(|_| is_new))
    }

    /// Which rows of which values a band makes.
    fn shares(&self, end: isize) -> Vec<Share> {
        let (ends, nodes) = (self.ends(end), &self.head.nodes);
        let mut shares = vec![Share { needed: usize::MAX, ..Share::default() }; nodes.len()];
        for (place, node) in nodes.iter().enumerate().rev() {
            let from = &self.graph.nodes[node.index];
            let rows = kind_of(self.graph, from.output).map_or(0, |kind| kind.extents[node.axis]);
            let (share, done) = (&mut shares[place], self.done[place]);
            share.needed = if place + 1 == nodes.len() { done } else { share.needed.min(rows) };
            let mut next = share.needed;
            if node.kept {
                next = done.max(share.needed);
                share.own = next..rows.min(ends[place].max(0) as usize).max(next);
            }
            let own = share.own.clone();
            for (id, sight) in from.inputs.iter().zip(&node.sights) {
                let (Some(input), Some(sight)) = (self.places[id.0 as usize], sight) else { continue };
                let extent = kind_of(self.graph, *id).map_or(0, |kind| kind.extents[sight.axis]);
                let share = &mut shares[input];
                share.needed = share.needed.min(sight.first(next, extent));
                if !own.is_empty() && !nodes[input].kept {
                    share.own = hull(&share.own, sight.seen(&own, extent));
                }
            }
        }
        shares
    }

    /// Makes what a band makes of a value, beside what is left of the bands before.
    fn make(&mut self, place: usize, share: &Share) -> Option<()> {
        let (node, own) = (&self.head.nodes[place], share.own.clone());
        if own.is_empty() {
            return Some(()); // what is there will do
        }
        let mut value = self.rows_of(node, &own)?;
        let before = std::mem::take(&mut self.there[place]);
        let kept = share.needed.max(before.rows.start)..own.start.min(before.rows.end);
        let mut rows = own;
        if node.kept && !kept.is_empty() {
            let old = self.part(before.value?, node.axis, &before.rows, &kept)?;
            let joined = self.to.push_array(Join { axis: node.axis }, &[old, value]).ok()?;
            (value, rows) = (*joined.first()?, kept.start..rows.end);
        }
        self.there[place] = There { rows, value: Some(value) };
        Some(())
    }

    /// Leaves rows from `needed` on of what is there of a value.
    fn forget(&mut self, place: usize, needed: usize) -> Option<()> {
        let There { rows, value } = self.there[place].clone();
        let left = needed.clamp(rows.start, rows.end)..rows.end;
        if let (Some(value), true) = (value, left != rows && self.head.nodes[place].kept) {
            let value = if left.is_empty() {
                None
            } else {
                Some(self.part(value, self.head.nodes[place].axis, &rows, &left)?)
            };
            self.there[place] = There { rows: left, value };
        }
        Some(())
    }

    /// Makes rows of what a node makes.
    fn rows_of(&mut self, node: &HeadNode, own: &Range<usize>) -> Option<ValueId> {
        let from = &self.graph.nodes[node.index];
        let (op, kinds) = array(self.graph, from)?;
        let whole = kind_of(self.graph, from.output)?;
        let mut op = op.clone();
        let mut inputs = Vec::with_capacity(from.inputs.len());
        for (number, (id, sight)) in from.inputs.iter().zip(&node.sights).enumerate() {
            let Some(sight) = sight else {
                inputs.push(*id);
                continue;
            };
            let kind = &kinds[number];
            let extent = kind.extents[sight.axis];
            let seen = sight.seen(own, extent);
            if number == 0 {
                op = cut(&op, &whole, (node.axis, sight), (own, &seen), &kind.extents)?;
            }
            let there = match self.places[id.0 as usize] {
                Some(place) => self.there[place].clone(),
                None => There { rows: 0..extent, value: Some(*id) },
            };
            inputs.push(self.part(there.value?, sight.axis, &there.rows, &seen)?);
        }
        let made = self.to.push_array(op, &inputs).ok()?;
        let made = *made.first()?;
        let mut expected = whole;
        expected.extents[node.axis] = own.len();
        (kind_of(&self.to, made)? == expected).then_some(made)
    }

    /// Some of the rows of a value that are there.
    fn part(
        &mut self,
        value: ValueId,
        axis: usize,
        there: &Range<usize>,
        wanted: &Range<usize>,
    ) -> Option<ValueId> {
        if there == wanted {
            return Some(value);
        }
        if wanted.start < there.start || wanted.end > there.end {
            return None;
        }
        let rank = kind_of(&self.to, value)?.extents.len();
        let mut op = Restride::transpose(&(0..rank).collect::<Vec<_>>());
        let (len, start) = (Some(wanted.len()), wanted.start - there.start);
        *op.axes.get_mut(axis)? = Along::Axis { axis, len, start, step: 1 };
        self.to.push_array(ArrayOp::from(op), &[value]).ok()?.first().copied()
    }
}

/// The least range that both lie in.
fn hull(a: &Range<usize>, b: Range<usize>) -> Range<usize> {
    if a.is_empty() { b } else { a.start.min(b.start)..a.end.max(b.end) }
}
