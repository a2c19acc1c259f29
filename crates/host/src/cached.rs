//! How much of a file the page cache holds.
//!
//! Not a way to change that. The one design choice: the file is mapped for the question alone and no byte of it is
//! touched, so asking neither reads nor keeps a page. `mincore(2)`.

use std::fs::File;
use std::path::Path;

use crate::sys;

/// The share of the pages of the file at `path` that are in the page cache, from 0 to 1. `None` if the file cannot be
/// opened, is empty, or the system does not tell; Linux calls every page of a file that is not the user's to write cached.
pub fn cached_share(path: &Path) -> Option<f64> {
    let (cached, pages) = sys::cached_pages(&File::open(path).ok()?)?;
    (pages > 0).then(|| cached as f64 / pages as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn what_was_written_just_now_is_cached_and_a_share_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        assert_eq!(cached_share(&path), None);
        std::fs::write(&path, []).unwrap();
        assert_eq!(cached_share(&path), None);
        std::fs::write(&path, vec![1; 300_001]).unwrap();
        let share = cached_share(&path).unwrap();
        assert!(share > 0.0 && share <= 1.0, "{share}");
    }
}
