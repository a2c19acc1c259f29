//! Symbolic links, which std offers under another name on every system.
//!
//! What it is: one function. What it is not: a way around a system that forbids links; the caller has another plan.
//! The one design choice: `target` is stored as it is given, so a relative one stays relative to the link.

use std::io;
use std::path::Path;

/// Makes `link` a symbolic link to the file `target`.
///
/// # Errors
/// What the system says; `Unsupported` where there are no links. Windows grants them to few users.
pub fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    #[cfg(unix)]
    return std::os::unix::fs::symlink(target, link);
    #[cfg(windows)]
    return std::os::windows::fs::symlink_file(target, link);
    #[cfg(not(any(unix, windows)))]
    return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{target:?} {link:?}")));
}
