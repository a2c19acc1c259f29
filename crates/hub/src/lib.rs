//! Where models come from: names, sources, download, cache.
//!
//! What it is: a [`Reference`] (what the user typed) becomes a [`Local`] (files on this disk), through a [`Hub`]. What
//! it is not: a reader of models, nor bound by the memory budget; buffers are small, but a pull is its own program
//! run. The one design choice: looking ([`Hub::resolve`]) never uses the network and fetching ([`Hub::pull`]) never
//! happens by the way, so a run under a small budget can refuse and say `pull`.
//!
//! Hugging Face repositories share the cache of the Hugging Face tools; everything else lies in our own folder.
//! Packages come through `pip` and `npm`, never around them.

#![forbid(unsafe_code)]

mod archive;
pub mod catalog;
mod client;
mod error;
mod hf;
mod http;
mod hub;
mod local;
mod partial;
mod progress;
mod reference;
mod remote;
mod select;
mod settings;
mod store;
#[cfg(test)]
mod testing;

pub use error::{Class, Error, Result};
pub use hub::Hub;
pub use local::Local;
pub use progress::{Doing, Event, Progress};
pub use reference::{Package, Pick, Reference, Registry, Repo, Url};
pub use remote::RemoteFile;
pub use settings::{DEFAULT_ENDPOINT, Settings};
