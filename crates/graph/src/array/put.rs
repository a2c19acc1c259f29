//! What becomes of an element where another is put.
//!
//! Not an operator: what those share that put elements into an array.

use super::order::is_nan;
use super::{View, ViewMut, Wide, each_wide};

/// What becomes of an element where another is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutKind {
    /// Their sum.
    Add,
    /// The larger.
    Max,
    /// The smaller.
    Min,
    /// Their product.
    Mul,
    /// The other.
    Set,
}

impl PutKind {
    /// Puts `len` elements of `from`, from `at` on, into `out`, from `to` on.
    pub(super) fn put(self, out: &mut ViewMut<'_>, to: usize, from: &View<'_>, at: usize, len: usize) {
        if self == PutKind::Set {
            let width = out.kind.elem.bytes();
            let bytes = &from.bytes.unwrap_or_default()[at * width..(at + len) * width];
            out.bytes[to * width..(to + len) * width].copy_from_slice(bytes);
        } else {
            each_wide!(out.kind.elem, W => for i in 0..len {
                self.combine::<W>(out, to + i, from, at + i);
            });
        }
    }

    fn combine<W: Wide>(self, out: &mut ViewMut<'_>, to: usize, from: &View<'_>, at: usize) {
        let (mut old, mut new) = ([W::default()], [W::default()]);
        super::lanes::load(out.kind.elem, out.bytes, to, &mut old);
        from.load(at, &mut new);
        let (old, new) = (old[0], new[0]);
        let put = match self {
            PutKind::Add => old.add(new),
            PutKind::Max => {
                if new > old || is_nan(new) {
                    new
                } else {
                    old
                }
            }
            PutKind::Min => {
                if new < old || is_nan(new) {
                    new
                } else {
                    old
                }
            }
            PutKind::Mul => old.mul(new),
            PutKind::Set => new,
        };
        out.store(to, &[put]);
    }
}

/// Makes `out` what `input` is, unless it lies there.
pub(super) fn begin(input: &View<'_>, out: &mut ViewMut<'_>) {
    if let Some(bytes) = input.bytes {
        out.bytes.copy_from_slice(bytes);
    }
}
