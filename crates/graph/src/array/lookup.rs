//! Functions of a byte: a table says what each makes.
//!
//! The one design choice: whatever a function of whole numbers of eight bits is, and however it rounds, it is this operator with
//! another table.

use super::{ArrayOperator, ArrayType, View, ViewMut, fault};
use crate::Error;

/// For each byte of the first input, the element of the second that it is the number of, its bits taken without a sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lookup;

impl ArrayOperator for Lookup {
    fn infer(&self, inputs: &[ArrayType]) -> Result<Vec<ArrayType>, Error> {
        match inputs {
            [x, table] if x.elem.bytes() == 1 && *table.extents == [256] => {
                Ok(vec![ArrayType { elem: table.elem, ..*x }])
            }
            _ => fault("Lookup", "bytes and a table of 256 elements are needed", inputs),
        }
    }

    fn evaluate(&self, inputs: &[View<'_>], outputs: &mut [ViewMut<'_>], _: &mut [u8]) -> Result<(), Error> {
        let ([x, table], [out]) = (inputs, outputs) else { return fault("Lookup", "two inputs are needed", &[]) };
        let (bytes, table) = (x.bytes.unwrap_or_default(), table.bytes.unwrap_or_default());
        match out.kind.elem.bytes() {
            1 => each::<1>(bytes, table, out.bytes),
            2 => each::<2>(bytes, table, out.bytes),
            4 => each::<4>(bytes, table, out.bytes),
            _ => each::<8>(bytes, table, out.bytes),
        }
        Ok(())
    }
}

fn each<const N: usize>(bytes: &[u8], table: &[u8], out: &mut [u8]) {
    let Some(table) = table.as_chunks::<N>().0.first_chunk::<256>() else { return };
    out.as_chunks_mut::<N>().0.iter_mut().zip(bytes).for_each(|(to, byte)| *to = table[usize::from(*byte)]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::array::{Array, evaluate};
    use crate::{Elem, Extents};

    #[test]
    fn bytes_with_a_sign_are_found_by_their_bits() {
        let table: Vec<u8> = (0..256i32).flat_map(|x| (x * 1000).to_le_bytes()).collect();
        let array = |elem, extents: &[usize], bytes: Vec<u8>| Array {
            kind: ArrayType { elem, extents: Extents::new(extents).unwrap() },
            bytes: bytes.into(),
        };
        let x = array(Elem::I8, &[3], vec![0, 255, 128]);
        let made = evaluate(&Lookup.into(), &[&x, &array(Elem::I32, &[256], table)]).unwrap();
        assert_eq!(made[0].integers(), [0, 255_000, 128_000]);
    }
}
