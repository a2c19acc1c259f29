//! What `doctor` measured, kept for the other verbs.
//!
//! What it is: one JSON file in the XDG state folder. What it is not: the measurement. The one design choice: a file
//! that cannot be read, or was measured with other threads or kernels, is as good as none.

use std::path::PathBuf;

use pintpot::Profile;
use serde_json::Value;

use crate::exit::Failure;

/// Where the profile is.
pub(crate) fn path() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local").join("state")))?;
    Some(state.join("pintpot").join("profile.json"))
}

/// The stored profile for these kernels on so many threads.
pub(crate) fn load(threads: usize, isa: &str) -> Option<Profile> {
    let text = std::fs::read(path()?).ok()?;
    let profile: Profile = serde_json::from_slice(&text).ok()?;
    (profile.threads as usize == threads && profile.isa == isa).then_some(profile)
}

/// Stores a profile, which may say more than [`load`] reads; gives where.
pub(crate) fn store(profile: &Value) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = path() else { return Ok(None) };
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(&path, serde_json::to_vec_pretty(profile)?)
    };
    write().map_err(|error| Failure::io(&format!("write {}", path.display()), error))?;
    Ok(Some(path))
}
