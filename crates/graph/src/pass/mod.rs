//! Rewrites of a graph, one file each; every pass keeps [`crate::verify`] true.

mod activations;
mod attention;
mod dead;
mod dense;
mod fuse;
mod int8;
mod late;
mod made;
mod meant;
mod norms;
mod pick;
mod share;
mod tiles;

pub use activations::recognise_activations;
pub use attention::recognise_attention;
pub use dead::remove_dead;
pub use dense::recognise_dense;
pub use fuse::fuse_convolutions;
pub use int8::int8_products;
pub use late::pick_rows_early;
pub use meant::recognise_meant_products;
pub use norms::recognise_norms;
pub use pick::pick_first;
pub use share::share_equal;
pub use tiles::choose_tiles;

use crate::{Error, Graph, verify};

/// A rewrite in place.
pub type Pass = fn(&mut Graph) -> Result<(), Error>;

/// The passes that every graph goes through before it is planned, in order.
pub fn standard(graph: &mut Graph) -> Result<(), Error> {
    for pass in [int8_products, share_equal, remove_dead] as [Pass; 3] {
        pass(graph)?;
        if cfg!(debug_assertions) {
            verify(graph)?;
        }
    }
    verify(graph)
}

/// The passes that every network goes through before it is planned, in order.
pub fn network(graph: &mut Graph) -> Result<(), Error> {
    let passes: [Pass; 11] = [
        remove_dead,
        pick_first,
        recognise_attention,
        recognise_norms,
        recognise_meant_products,
        recognise_activations,
        remove_dead,
        recognise_dense,
        fuse_convolutions,
        choose_tiles,
        remove_dead,
    ];
    for pass in passes {
        pass(graph)?;
        if cfg!(debug_assertions) {
            verify(graph)?;
        }
    }
    verify(graph)
}
