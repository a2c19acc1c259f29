//! What differs between operating systems, behind one set of names.
//!
//! Not an abstraction for its own sake: a function is here only if two systems need two bodies. `linux` keeps
//! every promise; `portable` is std alone and keeps as many as std can, saying which not.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub(crate) use linux::*;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
pub(crate) use portable::*;
