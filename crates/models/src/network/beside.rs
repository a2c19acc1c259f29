//! A convolution of bytes as one product.
//!
//! Not a kernel. The one design choice: windows are laid beside each other by nodes that move bytes, with margins of what counts as
//! zero, so that the product of bytes is the only arithmetic.

use super::Builder;
use crate::Error;
use graph::array::{Along, MatMul, Pad, PadKind, Restride, Windows};
use graph::{ArrayType, ValueId};

impl Builder<'_> {
    /// Sums of 32 bits: of an image (batch, channels, height, width) by weights (maps, channels, height, width of a window). What counts
    /// as zero in the image is one number, in the weights one or one for each map.
    pub(crate) fn beside(
        &mut self,
        [x, w]: [ValueId; 2],
        windows: &Windows,
        [zero, weight_zero]: [ValueId; 2],
    ) -> Result<ValueId, Error> {
        let own = self.extents(x)?;
        let [batch, channels, ..] = own[..] else { return Err(Error::Axis { axis: 3, rank: own.len() }) };
        let maps = self.extents(w)?.first().copied().unwrap_or(0);
        // Windows that make no sense are an error here.
        let made = windows.count("Conv", &ArrayType { elem: self.elem(x), extents: own }, false)?;
        let margins = |list: &[usize]| [0, 0, list[0] as isize, list[1] as isize].to_vec();
        let mut padded = x;
        if windows.before.iter().chain(&windows.behind).any(|margin| *margin > 0) {
            let (before, behind) = (margins(&windows.before), margins(&windows.behind));
            padded = self.one(Pad { kind: PadKind::Constant, before, behind }, &[x, zero])?;
        }
        let common = channels * windows.kernel[0] * windows.kernel[1];
        let places = made[0] * made[1];
        let along = |axis: usize, len: usize, step: usize| Along::Axis {
            axis,
            len: Some(len),
            start: 0,
            step: step as isize,
        };
        let axes = vec![
            along(0, batch, 1),
            along(1, channels, 1),
            along(2, windows.kernel[0], windows.dilations[0]),
            along(3, windows.kernel[1], windows.dilations[1]),
            along(2, made[0], windows.strides[0]),
            along(3, made[1], windows.strides[1]),
        ];
        let plain = windows.kernel == [1, 1] && windows.strides == [1, 1];
        let columns = if plain { padded } else { self.one(Restride { axes, at: vec![0; 4] }, &[padded])? };
        let shape = if batch == 1 { vec![common, places] } else { vec![batch, common, places] };
        let columns = self.reshaped(columns, &shape)?;
        let rows = self.reshaped(w, &[maps, common])?;
        let op = MatMul { b_is_transposed: false, widens: true };
        let sums = self.one(op, &[rows, columns, weight_zero, zero])?;
        self.reshaped(sums, &[batch, maps, made[0], made[1]])
    }
}
