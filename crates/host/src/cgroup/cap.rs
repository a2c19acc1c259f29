//! Runs a command in a group of its own, so that the kernel itself says what it took.
//!
//! Not part of the engine: it is how a promise about memory is proven. The one design choice: the child joins
//! the group between fork and exec, so the group is charged for it from its first page and for nothing else.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use super::{Group, Version};
use crate::error::Error;
use crate::sys;

/// What a command may have.
#[derive(Clone, Debug, Default)]
pub struct Limits {
    /// The most memory in bytes, page cache included; `None` only measures.
    pub memory: Option<u64>,
    /// Bytes a second that it may read from the disk under [`Limits::disk_of`].
    pub read_rate: Option<u64>,
    /// A file or folder on the disk whose reads are counted and slowed.
    pub disk_of: Option<PathBuf>,
}

/// What a command took. A figure that this kernel does not keep is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The most bytes that were charged at once.
    pub peak: Option<u64>,
    /// How often it met its limit and memory had to be taken back.
    pub limit_hits: Option<u64>,
    /// Processes that were killed for memory.
    pub oom_kills: Option<u64>,
    /// Pages that had to be read from a disk when they were touched.
    pub major_faults: Option<u64>,
    /// Bytes read from the disk under [`Limits::disk_of`].
    pub bytes_read: Option<u64>,
}

/// Groups for one command; removed when dropped.
#[derive(Debug)]
pub struct Cap {
    memory: Group,
    disk: Option<(Group, String)>,
}

impl Cap {
    /// Makes the groups. Needs the right to: root, or a delegated part of the hierarchy.
    pub fn new(limits: &Limits) -> Result<Cap, Error> {
        let memory = create("memory", "memory")?;
        let mut cap = Cap { memory, disk: None };
        if let Some(bytes) = limits.memory {
            let (file, value) = match cap.memory.version {
                Version::V1 => ("memory.limit_in_bytes", bytes.to_string()),
                Version::V2 => ("memory.max", bytes.to_string()),
            };
            write(&cap.memory, file, &value)?;
        }
        if let Some(path) = &limits.disk_of {
            let device = whole_disk(path).map_err(|source| Error::Open { path: path.clone(), source })?;
            let disk = match create("blkio", "io")? {
                // One group serves both where version 2 has both controllers.
                group if group.mount == cap.memory.mount => {
                    remove(&group);
                    cap.memory.clone()
                }
                group => group,
            };
            let (disk, device) = cap.disk.insert((disk, device));
            // Without a rule version 1 does not count.
            let rate = limits.read_rate.unwrap_or(1 << 40);
            match disk.version {
                Version::V1 => write(disk, "blkio.throttle.read_bps_device", &format!("{device} {rate}"))?,
                Version::V2 => write(disk, "io.max", &format!("{device} rbps={rate}"))?,
            }
        }
        Ok(cap)
    }

    /// Makes the child of `command` join the groups before it runs.
    pub fn attach(&self, command: &mut Command) -> Result<(), Error> {
        let groups = std::iter::once(&self.memory).chain(self.disk.as_ref().map(|(group, _)| group));
        let open = |group: &Group| {
            let path = group.dir.join("cgroup.procs");
            File::options().write(true).open(&path).map_err(|source| Error::Open { path, source })
        };
        sys::join_groups(command, groups.map(open).collect::<Result<_, _>>()?);
        Ok(())
    }

    /// Bytes that are charged now.
    pub fn usage(&self) -> Option<u64> {
        self.memory.number("memory.usage_in_bytes", "memory.current")
    }

    /// Makes the peak what is charged now; whether this kernel lets it.
    pub fn reset_peak(&self) -> bool {
        self.memory.version == Version::V1 && write(&self.memory, "memory.max_usage_in_bytes", "0").is_ok()
    }

    /// What was charged to the groups so far.
    pub fn report(&self) -> Report {
        let group = &self.memory;
        let peak = group.number("memory.max_usage_in_bytes", "memory.peak");
        let bytes_read = self.disk.as_ref().and_then(|(group, device)| bytes_read(group, device));
        match group.version {
            Version::V1 => Report {
                peak,
                limit_hits: group.number("memory.failcnt", ""),
                oom_kills: group.field("memory.oom_control", "oom_kill"),
                major_faults: group.field("memory.stat", "total_pgmajfault"),
                bytes_read,
            },
            Version::V2 => {
                let event = |name| group.field("memory.events", name);
                Report {
                    peak,
                    limit_hits: event("max").map(|max| max + event("high").unwrap_or(0)),
                    oom_kills: event("oom_kill"),
                    major_faults: group.field("memory.stat", "pgmajfault"),
                    bytes_read,
                }
            }
        }
    }
}

impl Drop for Cap {
    fn drop(&mut self) {
        remove(&self.memory);
        if let Some((disk, _)) = &self.disk {
            remove(disk);
        }
    }
}

/// Drops the cached pages of a file, so that the next reader pays for them itself. Pages that some process has
/// mapped stay.
pub fn evict(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::Open { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    // Dirty pages cannot be dropped. A file that cannot be synced has none of ours.
    let _ = file.sync_data();
    sys::drop_cache(&file, 0, 0);
    Ok(())
}

/// A new, empty group with this controller: at the top of its hierarchy, or as near to it as is allowed.
fn create(v1: &str, v2: &'static str) -> Result<Group, Error> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let own = Group::of_self(v1, v2)
        .ok_or(Error::NoGroup { controller: v2, source: io::ErrorKind::NotFound.into() })?;
    let name = format!("pintpot-{}-{}", std::process::id(), COUNT.fetch_add(1, Relaxed));
    let mut parents: Vec<Group> = own.ancestors().collect();
    parents.reverse();
    let mut refused = io::Error::from(io::ErrorKind::NotFound);
    for parent in parents {
        let group = Group { dir: parent.dir.join(&name), ..parent.clone() };
        match fs::create_dir(&group.dir) {
            Ok(()) if has_controller(&parent, &group, v2) => return Ok(group),
            Ok(()) => remove(&group),
            Err(source) => refused = source,
        }
    }
    Err(Error::NoGroup { controller: v2, source: refused })
}

/// Whether `group` is charged for what `controller` counts; version 2 wants it enabled in the parent.
fn has_controller(parent: &Group, group: &Group, controller: &str) -> bool {
    let listed = || {
        let names = fs::read_to_string(group.dir.join("cgroup.controllers")).unwrap_or_default();
        names.split_whitespace().any(|name| name == controller)
    };
    group.version == Version::V1
        || listed()
        || (fs::write(parent.dir.join("cgroup.subtree_control"), format!("+{controller}")).is_ok()
            && listed())
}

fn write(group: &Group, file: &str, value: &str) -> Result<(), Error> {
    let path = group.dir.join(file);
    fs::write(&path, value).map_err(|source| Error::Open { path, source })
}

/// Removes a group whose command has ended; stragglers move up, cached pages are dropped.
fn remove(group: &Group) {
    let parent = group.dir.parent().unwrap_or(&group.mount).join("cgroup.procs");
    for attempt in 0..20 {
        let left = fs::read_to_string(group.dir.join("cgroup.procs")).unwrap_or_default();
        for process in left.lines() {
            let _ = fs::write(&parent, process);
        }
        let _ = fs::write(group.dir.join("memory.force_empty"), "0"); // version 1 only
        if fs::remove_dir(&group.dir).is_ok() || !group.dir.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5 << (attempt / 4)));
    }
}

/// `major:minor` of the disk that holds `path`; a partition's rules go to its whole disk.
fn whole_disk(path: &Path) -> io::Result<String> {
    let (major, minor) = sys::device_of(path)?;
    let device = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    if device.join("partition").exists() {
        let disk = fs::canonicalize(device)?.join("../dev");
        return Ok(fs::read_to_string(disk)?.trim().to_owned());
    }
    Ok(format!("{major}:{minor}"))
}

/// Bytes read from `device` by the group.
fn bytes_read(group: &Group, device: &str) -> Option<u64> {
    let (file, key) = match group.version {
        Version::V1 => ("blkio.throttle.io_service_bytes", "Read "), // 254:0 Read 4096
        Version::V2 => ("io.stat", "rbytes="),                       // 254:0 rbytes=4096 wbytes=0 ...
    };
    let text = fs::read_to_string(group.dir.join(file)).ok()?;
    let of_device = |line: &str| {
        let counters = line.strip_prefix(device)?;
        let number = counters.split_once(key)?.1;
        number.split_whitespace().next()?.parse().ok()
    };
    Some(text.lines().find_map(of_device).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group, or a line that says why this test did nothing.
    fn cap(limits: &Limits) -> Option<Cap> {
        Cap::new(limits).inspect_err(|error| eprintln!("skipped: {error}")).ok()
    }

    fn shell(cap: &Cap, script: &str) -> std::process::Output {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        cap.attach(&mut command).unwrap();
        command.output().unwrap()
    }

    const HOLD_8_MB: &str = "x=$(head -c 8000000 /dev/zero | tr '\\0' a); echo ${#x}";

    #[test]
    fn memory_is_measured_and_limited() {
        let Some(free) = cap(&Limits::default()) else { return };
        assert_eq!(shell(&free, HOLD_8_MB).stdout, b"8000000\n");
        let report = free.report();
        assert!(report.peak.is_none_or(|peak| (8_000_000..80_000_000).contains(&peak)), "{report:?}");
        assert_eq!((report.limit_hits, report.oom_kills), (Some(0), Some(0)));
        let dir = free.memory.dir.clone();
        drop(free);
        assert!(!dir.exists());
        let Some(tight) = cap(&Limits { memory: Some(4 << 20), ..Limits::default() }) else { return };
        let output = shell(&tight, HOLD_8_MB);
        let report = tight.report();
        assert!(!output.status.success() || output.stdout.is_empty(), "{output:?}");
        assert!(report.limit_hits > Some(0) && report.peak.is_none_or(|peak| peak <= 4 << 20), "{report:?}");
    }

    #[test]
    fn reads_are_counted_and_slowed() {
        let mut file = tempfile::NamedTempFile::new_in(".").unwrap();
        io::Write::write_all(&mut file, &vec![7; 4 << 20]).unwrap();
        let disk_of = Some(file.path().to_owned());
        let limits = Limits { memory: None, read_rate: Some(8 << 20), disk_of };
        let Some(cap) = cap(&limits) else { return };
        evict(file.path()).unwrap();
        let start = std::time::Instant::now();
        let output = shell(&cap, &format!("cat {} | wc -c", file.path().display()));
        assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "4194304");
        let (report, took) = (cap.report(), start.elapsed());
        assert!(report.bytes_read >= Some(4 << 20), "{report:?}");
        assert!(took > Duration::from_millis(250), "{took:?}");
    }
}
