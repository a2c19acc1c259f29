//! NumPy's names of kinds of elements, without the sign of the order of bytes.
//!
//! Not arrays, nor their files. The one design choice: a kind that NumPy has not, brain floats, has no name here; whoever gives
//! those away widens them.

use graph::Elem;

const KINDS: [(Elem, &str); 12] = [
    (Elem::Bool, "b1"),
    (Elem::F16, "f2"),
    (Elem::F32, "f4"),
    (Elem::F64, "f8"),
    (Elem::I8, "i1"),
    (Elem::I16, "i2"),
    (Elem::I32, "i4"),
    (Elem::I64, "i8"),
    (Elem::U8, "u1"),
    (Elem::U16, "u2"),
    (Elem::U32, "u4"),
    (Elem::U64, "u8"),
];

/// The name of a kind, such as `f4`.
pub fn kind(elem: Elem) -> Option<&'static str> {
    KINDS.iter().find(|(own, _)| *own == elem).map(|(_, kind)| *kind)
}

/// The kind of that name.
pub fn elem(kind: &str) -> Option<Elem> {
    KINDS.iter().find(|(_, own)| *own == kind).map(|(elem, _)| *elem)
}
