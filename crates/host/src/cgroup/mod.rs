//! The control groups that this process lives in, and what they allow.
//!
//! Not a manager: it reads, and only [`Cap`], for proofs, makes groups of its own. The one design choice: both
//! versions are one thing with two spellings, so the rest sees directories and figures. A system without
//! `/proc/self/cgroup` simply has no groups. Kernel documentation, admin-guide/cgroup-v1/memory and cgroup-v2.

mod cap;

use std::fs;
use std::path::{Path, PathBuf};

pub use cap::{Cap, Limits, Report, evict};

/// How a group's files are spelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    V1,
    V2,
}

/// One group of one controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) version: Version,
    /// The group's directory.
    pub(crate) dir: PathBuf,
    /// Where its hierarchy is mounted; an ancestor of `dir` or the same.
    pub(crate) mount: PathBuf,
}

impl Group {
    /// This process's group under `controller` (`memory`, `blkio` in version 1, `io` in version 2).
    pub(crate) fn of_self(v1: &str, v2: &str) -> Option<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        find(&groups, &mounts, v1).or_else(|| {
            let unified = find(&groups, &mounts, "")?;
            let offered = fs::read_to_string(unified.mount.join("cgroup.controllers")).ok()?;
            offered.split_whitespace().any(|name| name == v2).then_some(unified)
        })
    }

    /// The group and all above it that can be seen, innermost first.
    pub(crate) fn ancestors(&self) -> impl Iterator<Item = Group> {
        let up = self.dir.ancestors().take_while(|dir| dir.starts_with(&self.mount));
        up.map(|dir| Group { dir: dir.to_owned(), ..self.clone() })
    }

    /// The number in a file of the group; `None` for `max` and for a missing file.
    pub(crate) fn number(&self, v1: &str, v2: &str) -> Option<u64> {
        let file = if self.version == Version::V1 { v1 } else { v2 };
        fs::read_to_string(self.dir.join(file)).ok()?.trim().parse().ok()
    }

    /// The number beside `key` in a file of lines `key number`.
    pub(crate) fn field(&self, file: &str, key: &str) -> Option<u64> {
        let text = fs::read_to_string(self.dir.join(file)).ok()?;
        text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' ')?.trim().parse().ok())
    }

    /// The most memory that this group may hold, its ancestors aside.
    fn limit(&self) -> Option<u64> {
        let hard = self.number("memory.limit_in_bytes", "memory.max");
        // Version 1 says "none" with the largest number of whole pages.
        let hard = hard.filter(|&bytes| bytes < 1 << 62);
        let soft = (self.version == Version::V2).then(|| self.number("", "memory.high")).flatten();
        hard.into_iter().chain(soft).min()
    }

    /// Bytes charged to the group that the kernel cannot simply drop.
    fn held_for_good(&self) -> Option<u64> {
        let usage = self.number("memory.usage_in_bytes", "memory.current")?;
        let prefix = if self.version == Version::V1 { "total_" } else { "" };
        let cached = ["active_file", "inactive_file"]
            .map(|kind| self.field("memory.stat", &format!("{prefix}{kind}")).unwrap_or(0));
        Some(usage.saturating_sub(cached.iter().sum()))
    }
}

/// What the tightest group around this process leaves to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Room {
    pub(crate) bytes: u64,
    pub(crate) dir: PathBuf,
}

/// The tightest of all memory groups around this process, which itself holds `own` bytes. `None` if none has
/// a limit.
pub(crate) fn tightest(own: u64) -> Option<Room> {
    let group = Group::of_self("memory", "memory")?;
    let room = |group: Group| {
        let others = group.held_for_good().unwrap_or(0).saturating_sub(own);
        Some(Room { bytes: group.limit()?.saturating_sub(others), dir: group.dir })
    };
    group.ancestors().filter_map(room).min_by_key(|room| room.bytes)
}

/// What is charged to this process's own memory group, in bytes, whatever else lives in it included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charge {
    /// The most that ever was.
    pub peak: u64,
    /// What is now.
    pub now: u64,
}

/// What is charged to this process's own memory group; `None` if there is none or the kernel keeps no peak.
pub fn charge() -> Option<Charge> {
    let group = Group::of_self("memory", "memory")?;
    let peak = group.number("memory.max_usage_in_bytes", "memory.peak")?;
    let now = group.number("memory.usage_in_bytes", "memory.current")?;
    Some(Charge { peak, now })
}

/// Finds the group of a version 1 controller, or of version 2 if `controller` is empty, in the texts of
/// `/proc/self/cgroup` and `/proc/self/mountinfo`.
fn find(groups: &str, mounts: &str, controller: &str) -> Option<Group> {
    // 4:memory:/user/1000
    let path = groups.lines().find_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let names = fields.next()?;
        let matches =
            if controller.is_empty() { names.is_empty() } else { names.split(',').any(|n| n == controller) };
        matches.then(|| fields.next()).flatten()
    })?;
    // 35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
    let (root, mount) = mounts.lines().find_map(|line| {
        let (left, right) = line.split_once(" - ")?;
        let mut right = right.split(' ');
        let kind = right.next()?;
        let options = right.nth(1)?;
        let matches = match controller {
            "" => kind == "cgroup2",
            name => kind == "cgroup" && options.split(',').any(|option| option == name),
        };
        let mut left = left.split(' ').skip(3);
        matches.then(|| Some((left.next()?, left.next()?))).flatten()
    })?;
    let mount = PathBuf::from(mount);
    // In a container the mount may show a part of the hierarchy that the path is not told from.
    let below = Path::new(path).strip_prefix(root).unwrap_or(Path::new(""));
    let plain = below.components().all(|part| matches!(part, std::path::Component::Normal(_)));
    let dir = mount.join(if plain { below } else { Path::new("") });
    let version = if controller.is_empty() { Version::V2 } else { Version::V1 };
    let dir = if dir.is_dir() { dir } else { mount.clone() };
    Some(Group { version, dir, mount })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_what_proc_says() {
        let here = std::env::temp_dir();
        let here = here.to_str().unwrap();
        let v1 = format!("35 31 0:32 / {here} rw,relatime shared:9 - cgroup cgroup rw,memory,hugetlb\n");
        let v2 = format!("38 31 0:35 / {here} rw - cgroup2 cgroup2 rw\n");
        let part = v1.replace(" / ", " /docker/1 ");
        let cases = [
            ("4:memory:/\n", &v1, "memory", Some("")),
            ("4:cpu,memory:/nowhere\n", &v1, "memory", Some("")),
            ("4:memory:/docker/1\n", &part, "memory", Some("")),
            ("4:memory:/elsewhere\n", &part, "memory", Some("")),
            ("0::/../x\n", &v2, "", Some("")),
            ("0::/\n", &v1, "", None),
            ("4:memory:/\n", &v2, "memory", None),
            ("nonsense", &v1, "memory", None),
        ];
        for (groups, mounts, controller, want) in cases {
            let got = find(groups, mounts, controller);
            let want = want.map(|below| Path::new(here).join(below));
            assert_eq!(got.map(|group| group.dir), want, "{groups}");
        }
    }
}
