//! What `doctor` measured of the machine and `profile` of a model, kept for the other verbs.
//!
//! What it is: JSON files in the XDG state folder. What it is not: the measurement. The one design choice: a file
//! that cannot be read, or was measured with other threads or kernels, is as good as none.

use std::path::PathBuf;

use pintpot::{Opened, Profile, Reuse};
use serde_json::Value;

use crate::exit::Failure;

/// Where the profile of the machine is.
fn path() -> Option<PathBuf> {
    Some(folder()?.join("profile.json"))
}

/// Where what is known of the experts of a model is: by the name and the size of its file.
pub(crate) fn path_of(opened: &Opened) -> Option<PathBuf> {
    let name = opened.path.file_name()?.to_string_lossy().into_owned();
    Some(folder()?.join("experts").join(format!("{name}-{}.json", opened.weight_bytes())))
}

fn folder() -> Option<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let state = state.or_else(|| Some(std::env::home_dir()?.join(".local").join("state")))?;
    Some(state.join("pintpot"))
}

/// The stored profile for these kernels on so many threads.
pub(crate) fn load(threads: usize, isa: &str) -> Option<Profile> {
    let text = std::fs::read(path()?).ok()?;
    let profile: Profile = serde_json::from_slice(&text).ok()?;
    (profile.threads as usize == threads && profile.isa == isa).then_some(profile)
}

/// How the experts of a model are reused, if it was profiled.
pub(crate) fn reuse(opened: &Opened) -> Option<Reuse> {
    serde_json::from_slice(&std::fs::read(path_of(opened)?).ok()?).ok()
}

/// What is to be said of a forecast for a mixture whose routers nobody has looked at; `profiled` is nothing for other models.
pub(crate) fn remark(profiled: Option<bool>) -> &'static str {
    match profiled {
        Some(false) => {
            "\nall experts are taken to be equally likely; pintpot profile MODEL finds out how they are reused\n"
        }
        _ => "",
    }
}

/// Stores how experts are reused where [`path_of`] says, for [`reuse`]; gives where.
pub(crate) fn store_reuse(path: Option<PathBuf>, reuse: &Reuse) -> Result<Option<PathBuf>, Failure> {
    write(path, &serde_json::json!(reuse))
}

/// Stores a profile, which may say more than [`load`] reads; gives where.
pub(crate) fn store(profile: &Value) -> Result<Option<PathBuf>, Failure> {
    write(path(), profile)
}

fn write(path: Option<PathBuf>, value: &Value) -> Result<Option<PathBuf>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let write = || {
        std::fs::create_dir_all(path.parent().unwrap_or(&path))?;
        std::fs::write(&path, serde_json::to_vec_pretty(value)?)
    };
    write().map_err(|error| Failure::io(&format!("write {}", path.display()), error))?;
    Ok(Some(path))
}
