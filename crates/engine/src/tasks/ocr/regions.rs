//! Lines of text on a map of how likely each pixel is text.
//!
//! What it is: what follows the network of differentiable binarisation: connected pixels above a threshold, the smallest rectangle
//! around each, grown again by what the training had shrunk it. What it is not: what the text says. The one design choice: pixels
//! are connected as runs of a row, so that memory goes with what is on the page; beyond a bound of runs, nothing is looked at.
//! M. Liao et al., Real-time Scene Text Detection with Differentiable Binarization, 2020.

use super::shape::{hull, mean, smallest};
use crate::tasks::Point;

/// A pixel is text above this.
const THRESHOLD: f32 = 0.3;
/// A region is text if its mean is at least this.
const REGION_THRESHOLD: f32 = 0.6;
/// By how much of its area over its outline a region grows.
const UNCLIP: f32 = 1.5;
/// Sides that a region must have at least, and after it has grown.
const LEAST: f32 = 3.0;
const LEAST_GROWN: f32 = 5.0;
/// Runs on a page, and regions, at most.
const MOST_RUNS: usize = 1 << 16;
const MOST_REGIONS: usize = 1000;
/// Bytes that the search takes at most: runs and their regions.
pub(super) const BYTES: u64 = (MOST_RUNS * (size_of::<Run>() + size_of::<u32>())) as u64;

/// Connected pixels of a row.
#[derive(Clone, Copy)]
struct Run {
    row: u32,
    first: u32,
    last: u32,
    /// The run that stands for the region, or leads to it.
    parent: u32,
}

/// The root of a run's region.
fn root(runs: &mut [Run], mut at: usize) -> usize {
    while runs[at].parent as usize != at {
        let parent = runs[at].parent as usize;
        runs[at].parent = runs[parent].parent;
        at = parent;
    }
    at
}

/// All runs of a map, those that touch (also by a corner) with the same root.
fn runs(map: &[f32], columns: usize) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut before = 0..0;
    for (row, values) in map.chunks_exact(columns).enumerate() {
        let start = runs.len();
        let mut above = before.clone();
        let mut at = 0;
        while let Some(first) = values[at..].iter().position(|&value| value > THRESHOLD).map(|i| at + i) {
            let len = values[first..].iter().position(|&value| value <= THRESHOLD);
            at = len.map_or(columns, |len| first + len);
            if runs.len() == MOST_RUNS {
                return runs;
            }
            let own = runs.len();
            runs.push(Run { row: row as u32, first: first as u32, last: at as u32 - 1, parent: own as u32 });
            while above.start < above.end && (runs[above.start].last as usize) + 1 < first {
                above.start += 1;
            }
            for other in
                above.clone().take_while(|&other| runs[other].first as usize <= at).collect::<Vec<_>>()
            {
                let (a, b) = (root(&mut runs, other), root(&mut runs, own));
                runs[a.max(b)].parent = a.min(b) as u32;
            }
        }
        before = start..runs.len();
    }
    runs
}

/// The corners of every region of a map, in its pixels, from the last to the first.
pub(super) fn regions(map: &[f32], columns: usize) -> Vec<[Point; 4]> {
    if columns == 0 {
        return Vec::new();
    }
    let mut runs = runs(map, columns);
    // By region, in one order for all; a root stands first.
    let roots: Vec<u32> = (0..runs.len()).map(|at| root(&mut runs, at) as u32).collect();
    runs.iter_mut().zip(roots).for_each(|(run, root)| run.parent = root);
    runs.sort_by_key(|run| (run.parent, run.row, run.first));
    let found = runs.chunk_by(|a, b| a.parent == b.parent).filter_map(|region| {
        let rows = region.chunk_by(|a, b| a.row == b.row).filter_map(|row| Some((row.first()?, row.last()?)));
        let ends = rows.flat_map(|(a, b)| [a.first, b.last].map(|x| [x as f32, a.row as f32]));
        let askew = smallest(&hull(&mut ends.collect()))?;
        let [w, h] = askew.size;
        if w.min(h) < LEAST || mean(map, columns, &askew.corners()) < REGION_THRESHOLD {
            return None;
        }
        let grown = askew.grown(w * h * UNCLIP / (2.0 * (w + h)));
        (grown.size[0].min(grown.size[1]) >= LEAST_GROWN).then(|| grown.corners())
    });
    found.take(MOST_REGIONS).collect()
}

/// Puts lines in the order of reading: from the top, and from the left where they begin about as high.
pub(super) fn in_order(lines: &mut [[Point; 4]]) {
    const SAME: f32 = 10.0;
    lines.sort_by(|a, b| a[0][1].total_cmp(&b[0][1]).then(a[0][0].total_cmp(&b[0][0])));
    for end in 1..lines.len() {
        for at in (0..end).rev() {
            let ([a, ..], [b, ..]) = (lines[at], lines[at + 1]);
            if (b[1] - a[1]).abs() >= SAME || b[0] >= a[0] {
                break;
            }
            lines.swap(at, at + 1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_that_touch_are_a_region() {
        // Two bars, and a hook whose arms meet below.
        let picture = [
            "....................",
            ".########....####...",
            ".########....####...",
            ".########....####...",
            ".########....####...",
            "....................",
            ".##..........##.....",
            ".##..........##.....",
            ".##..........##.....",
            ".##..........##.....",
            ".##############.....",
            ".##############.....",
        ];
        let map: Vec<f32> =
            picture.iter().flat_map(|row| row.bytes().map(|b| if b == b'#' { 0.9 } else { 0.0 })).collect();
        let found = regions(&map, 20);
        // The hook is too empty inside its rectangle.
        assert_eq!(found.len(), 2, "{found:?}");
        let grow = 7.0 * 3.0 * UNCLIP / 20.0;
        let corners = [[1.0 - grow, 1.0 - grow], [8.0 + grow, 4.0 + grow]];
        for (found, expected) in [found[0][0], found[0][2]].iter().flatten().zip(corners.iter().flatten()) {
            assert!((found - expected).abs() < 1e-4, "{found} is not {expected}");
        }
        assert!(regions(&map, 0).is_empty());
        assert!(regions(&[1.0; 40], 40).is_empty(), "a line of one pixel is no region");
    }

    #[test]
    fn lines_are_read_from_the_left_where_they_are_about_as_high() {
        let line = |x: f32, y: f32| [[x, y], [x + 5.0, y], [x + 5.0, y + 5.0], [x, y + 5.0]];
        let mut lines = [line(50.0, 8.0), line(5.0, 30.0), line(3.0, 12.0), line(20.0, 11.0)];
        in_order(&mut lines);
        assert_eq!(lines.map(|line| line[0][0]), [3.0, 20.0, 50.0, 5.0]);
    }
}
