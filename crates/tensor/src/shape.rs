//! Extents of a tensor, outermost first (row-major), at most four.
//!
//! GGUF stores extents innermost first; `formats` turns them round once, so that everybody else reads shapes
//! the way PyTorch prints them.

/// Extents, outermost first. At most [`Shape::MAX_RANK`]; every extent is at least one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    extents: [u64; Shape::MAX_RANK],
    rank: u8,
}

/// Why a list of extents is no shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShapeError {
    /// More extents than [`Shape::MAX_RANK`].
    #[error("{rank} dimensions, at most {max} are supported")]
    Rank {
        /// How many were given.
        rank: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A dimension of zero.
    #[error("dimension {axis} is zero")]
    Zero {
        /// Which one, outermost first.
        axis: usize,
    },
    /// The product of the extents does not fit in 63 bits.
    #[error("the number of elements overflows")]
    Overflow,
}

impl Shape {
    /// The largest number of dimensions.
    pub const MAX_RANK: usize = 4;

    /// Checks and stores extents, outermost first. A scalar is the empty list.
    pub fn new(extents: &[u64]) -> Result<Shape, ShapeError> {
        if extents.len() > Shape::MAX_RANK {
            return Err(ShapeError::Rank { rank: extents.len(), max: Shape::MAX_RANK });
        }
        let mut stored = [1; Shape::MAX_RANK];
        let mut product: u64 = 1;
        for (axis, &extent) in extents.iter().enumerate() {
            if extent == 0 {
                return Err(ShapeError::Zero { axis });
            }
            product = product.checked_mul(extent).ok_or(ShapeError::Overflow)?;
            stored[axis] = extent;
        }
        if product > i64::MAX as u64 {
            return Err(ShapeError::Overflow);
        }
        Ok(Shape { extents: stored, rank: extents.len() as u8 })
    }

    /// The extents, outermost first.
    pub fn extents(&self) -> &[u64] {
        &self.extents[..usize::from(self.rank)]
    }

    /// Product of all extents.
    pub fn elements(&self) -> u64 {
        self.extents().iter().product()
    }

    /// The innermost extent, along which blocks lie; 1 for a scalar.
    pub fn columns(&self) -> u64 {
        self.extents().last().copied().unwrap_or(1)
    }

    /// The product of all extents but the innermost: how many rows a matrix of this shape has.
    pub fn rows(&self) -> u64 {
        self.elements() / self.columns()
    }
}

impl std::fmt::Debug for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[")?;
        for (i, extent) in self.extents().iter().enumerate() {
            write!(f, "{}{extent}", if i == 0 { "" } else { ", " })?;
        }
        f.write_str("]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_refusals() {
        type Case = (&'static [u64], Result<(u64, u64), ShapeError>);
        let cases: [Case; 6] = [
            (&[], Ok((1, 1))),
            (&[5], Ok((1, 5))),
            (&[2, 3, 4], Ok((6, 4))),
            (&[2, 0], Err(ShapeError::Zero { axis: 1 })),
            (&[1, 1, 1, 1, 1], Err(ShapeError::Rank { rank: 5, max: 4 })),
            (&[1 << 40, 1 << 40], Err(ShapeError::Overflow)),
        ];
        for (extents, want) in cases {
            assert_eq!(Shape::new(extents).map(|s| (s.rows(), s.columns())), want, "{extents:?}");
        }
    }
}
