//! What the kernel charges this process beside the memory it asked for, and how to keep that small.
//!
//! Not an account: the figures come from `/proc`, for the ledger to be made true and for reports. The one
//! design choice: a program's own file counts too. The disk's read-ahead may pull all of it into memory when it
//! is started, so what was not needed is dropped and what is needed comes back in small pieces. `proc(5)`.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::sys;

/// What is read of code at once. Half of it would keep a fifth less in memory, and double the kernel's list of mappings.
const CODE_PIECE: usize = 32 << 10;
/// How often it is looked at how much of the program is there.
const LOOKED_AT: Duration = Duration::from_secs(1);

/// What of this process is in memory, in bytes. All 0 where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Memory of its own.
    pub anon: u64,
    /// Pages of mapped files.
    pub file: u64,
    /// Memory shared with others.
    pub shared: u64,
    /// The kernel's tables that map all this.
    pub page_tables: u64,
    /// Threads, the main one included.
    pub threads: u64,
}

/// What of this process is in memory now.
pub fn resident() -> Resident {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| -> u64 {
        let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        value.and_then(|value| value.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    };
    let kib = |name: &str| field(name) * 1024;
    Resident {
        anon: kib("RssAnon"),
        file: kib("RssFile"),
        shared: kib("RssShmem"),
        page_tables: kib("VmPTE"),
        threads: field("Threads"),
    }
}

/// Pages that had to be read from a disk when they were touched, so far.
pub fn major_faults() -> u64 {
    // The second field is a name in parentheses that may hold spaces; majflt is the twelfth.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    after_name.split(' ').nth(9).and_then(|count| count.parse().ok()).unwrap_or(0)
}

/// What this process maps of its program's file and of libraries, in bytes. All 0 where the system does not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgramBytes {
    /// The program's own code.
    pub code: u64,
    /// All of the program's own file.
    pub own: u64,
    /// Libraries too: what their pages may cost at most.
    pub mapped: u64,
}

/// What this process maps of its program's file and of libraries.
pub fn program_bytes() -> ProgramBytes {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let own = fs::read_link("/proc/self/exe").unwrap_or_default();
    let mut bytes = ProgramBytes::default();
    for mapping in maps.lines().filter_map(Mapping::parse).filter(Mapping::is_program) {
        let len = (mapping.end - mapping.start) as u64;
        bytes.mapped += len;
        if Path::new(mapping.path) == own {
            bytes.own += len;
            bytes.code += if mapping.rights == "r-xp" { len } else { 0 };
        }
    }
    bytes
}

/// What this process maps of the file that holds this very code: the program, or the library that a program has loaded.
pub fn library_bytes() -> ProgramBytes {
    let (maps, here) =
        (fs::read_to_string("/proc/self/maps").unwrap_or_default(), library_bytes as fn() -> _);
    let parts = || maps.lines().filter_map(Mapping::parse).filter(Mapping::is_program);
    let own = parts().find(|part| (part.start..part.end).contains(&(here as usize)));
    let mut bytes = ProgramBytes::default();
    for part in parts().filter(|part| own.as_ref().is_some_and(|own| own.path == part.path)) {
        let len = (part.end - part.start) as u64;
        bytes.own += len;
        bytes.mapped += len;
        bytes.code += if part.rights == "r-xp" { len } else { 0 };
    }
    bytes
}

/// Drops the pages of the program and its libraries. Those still needed come back as they are touched, constants one by
/// one, code by `CODE_PIECE`. Pages that a disk is reading ahead at this moment stay, so call it twice: when the program starts,
/// and when what it loads is loaded, which drops the code of loading too.
pub fn drop_program_pages() {
    if let Ok(smaps) = File::open("/proc/self/smaps") {
        for_each_mapping(BufReader::new(smaps), |mapping, own| {
            if mapping.is_program() {
                if mapping.rights == "r-xp" && mapping.end - mapping.start > CODE_PIECE {
                    sys::divide_mapping(mapping.start, mapping.end, CODE_PIECE);
                }
                sys::drop_mapping(mapping.start, mapping.end, own == Some(0));
            }
        });
    }
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    for path in files(&maps) {
        if let Ok(file) = File::open(path) {
            sys::drop_cache(&file, 0, 0);
        }
    }
}

/// Keeps the pages of the program and its libraries within what the account says of them.
#[derive(Debug)]
pub struct ProgramPages {
    most: u64,
    looked: Instant,
}

impl ProgramPages {
    /// At most so many bytes.
    pub fn new(most: u64) -> ProgramPages {
        ProgramPages { most, looked: Instant::now() }
    }

    /// Looks once a second, and drops them if they are more; those in use come back. Allocates nothing until it does.
    pub fn keep(&mut self) {
        if self.looked.elapsed() >= LOOKED_AT {
            self.looked = Instant::now();
            if mapped_files().is_some_and(|bytes| bytes > self.most) {
                drop_program_pages();
            }
        }
    }
}

/// Bytes of mapped files that are in memory; the kernel is quick to tell.
fn mapped_files() -> Option<u64> {
    let (mut text, mut file) = ([0; 128], File::open("/proc/self/statm").ok()?);
    let len = file.read(&mut text).ok()?;
    let pages: u64 = str::from_utf8(&text[..len]).ok()?.split(' ').nth(2)?.parse().ok()?;
    Some(pages * crate::page_size() as u64)
}

/// Calls `each` with every mapping in `smaps` and KiB of it that are copies of this process's own, if that is told.
fn for_each_mapping(smaps: impl BufRead, mut each: impl FnMut(&Mapping<'_>, Option<u64>)) {
    let (mut header, mut own) = (String::new(), None);
    for line in smaps.lines().map_while(Result::ok) {
        if Mapping::parse(&line).is_some() {
            Mapping::parse(&header).inspect(|mapping| each(mapping, own));
            (header, own) = (line, None);
        } else if let Some(size) = ["Anonymous:", "Swap:"].iter().find_map(|name| line.strip_prefix(name)) {
            // What cannot be read is something.
            let kib = size.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(1);
            own = Some(own.unwrap_or(0) + kib);
        }
    }
    Mapping::parse(&header).inspect(|mapping| each(mapping, own));
}

/// Keeps huge pages away from heap and stacks, where one written byte would be charged as two megabytes. A
/// [`crate::Region`] that asks for them still gets them where the kernel can tell the two apart. Call it first
/// in `main`.
pub fn refuse_huge_pages() {
    sys::refuse_huge_pages();
}

/// Bytes that the kernel charges for a process with `threads` threads that touches `mapped` bytes: its
/// structures, the threads' own stacks, page tables, and charges that each CPU takes in advance.
pub fn kernel_overhead(threads: usize, mapped: u64) -> u64 {
    const PROCESS: u64 = 256 << 10;
    const THREAD: u64 = crate::threads::KERNEL_PER_THREAD as u64;
    /// Charged to a group at once by a CPU that needs one page: 64 pages.
    const BATCH: u64 = 64 * 4096;
    // A thread wanders, but not over all of a large machine.
    let cpus =
        std::thread::available_parallelism().map_or(1, usize::from).min(threads.saturating_mul(2)) as u64;
    // Eight bytes a page, in tables of 4 KiB that are seldom full.
    let tables = (mapped / 512).saturating_add(64 << 10);
    let stacks = (threads as u64).saturating_mul(THREAD);
    (PROCESS + cpus * BATCH).saturating_add(stacks).saturating_add(tables)
}

/// A line of `/proc/self/maps`.
#[derive(Debug, PartialEq, Eq)]
struct Mapping<'a> {
    start: usize,
    end: usize,
    rights: &'a str,
    path: &'a str,
}

impl Mapping<'_> {
    /// `55d0-55d9 r-xp 00001000 fe:00 1234    /usr/bin/pintpot`
    fn parse(line: &str) -> Option<Mapping<'_>> {
        let mut fields = line.splitn(6, ' ');
        let (start, end) = fields.next()?.split_once('-')?;
        let address = |text| usize::from_str_radix(text, 16).ok();
        let (start, end) = (address(start)?, address(end)?);
        let rights = fields.next()?;
        Some(Mapping { start, end, rights, path: fields.nth(3)?.trim_start() })
    }

    /// Whether it is a private, unwritable part of a file, as programs and libraries are.
    fn is_program(&self) -> bool {
        matches!(self.rights, "r-xp" | "r--p") && self.path.starts_with('/')
    }
}

/// The files with executable mappings, each once.
fn files(maps: &str) -> impl Iterator<Item = &str> {
    let text = |mapping: &Mapping<'_>| mapping.rights == "r-xp" && Path::new(mapping.path).is_absolute();
    let mut previous = "";
    maps.lines().filter_map(Mapping::parse).filter(text).map(|mapping| mapping.path).filter(move |&path| {
        let new = path != previous;
        previous = path;
        new
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_read() {
        let maps = "\
            1000-3000 r--p 00000000 fe:00 7    /a b/c\n\
            3000-4000 r-xp 00002000 fe:00 7    /a b/c\n\
            4000-5000 rw-p 00003000 fe:00 7    /a b/c\n\
            5000-6000 rw-p 00000000 00:00 0 \n\
            6000-7000 r-xp 00000000 00:00 0    [vdso]\n\
            nonsense\n";
        let found: Vec<_> = maps.lines().filter_map(Mapping::parse).collect();
        assert_eq!(found[0], Mapping { start: 0x1000, end: 0x3000, rights: "r--p", path: "/a b/c" });
        let program: Vec<bool> = found.iter().map(Mapping::is_program).collect();
        assert_eq!(program, [true, true, false, false, false]);
        assert_eq!(files(maps).collect::<Vec<_>>(), ["/a b/c"]);
    }

    #[test]
    fn own_copies_are_counted() {
        let smaps = "\
            1000-3000 r--p 00000000 fe:00 7    /a\n\
            Rss:    8 kB\nAnonymous:    0 kB\nSwap:    0 kB\nVmFlags: rd mr\n\
            3000-4000 r--p 00002000 fe:00 7    /a\n\
            Anonymous:    4 kB\nSwap:    8 kB\n\
            5000-6000 r--p 00003000 fe:00 7    /a\n\
            Anonymous:    all\n\
            7000-8000 r--p 00003000 fe:00 7    /a\n";
        let mut found = Vec::new();
        for_each_mapping(smaps.as_bytes(), |mapping, own| found.push((mapping.start, own)));
        assert_eq!(found, [(0x1000, Some(0)), (0x3000, Some(12)), (0x5000, Some(1)), (0x7000, None)]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_has_memory_and_outlives_its_dropped_pages() {
        let now = resident();
        assert!(now.anon > 0 && now.file > 0 && now.page_tables > 0 && now.threads > 0, "{now:?}");
        let ProgramBytes { code, own, mapped } = program_bytes();
        assert!(code > 100_000 && own > code && mapped > own, "{code} of {own} of {mapped}");
        let library = library_bytes();
        assert!(library.code == code && library.own == own && library.mapped == own, "{library:?}");
        let (text, constant) = (i32::from_str_radix, "still here");
        let files = mapped_files().unwrap();
        assert!(files > 100_000 && files < now.file * 2, "{files}, {now:?}");
        drop_program_pages();
        let pieces = fs::read_to_string("/proc/self/maps").unwrap();
        let pieces =
            pieces.lines().filter_map(Mapping::parse).filter(|m| m.rights == "r-xp" && m.is_program());
        for piece in pieces {
            assert!(piece.end - piece.start <= CODE_PIECE, "{piece:?}");
        }
        let mut pages = ProgramPages { most: 0, looked: Instant::now() };
        pages.keep();
        std::thread::sleep(LOOKED_AT);
        pages.keep();
        assert_eq!(text("7f", 16), Ok(127));
        assert_eq!(constant.len(), 10);
        assert!(major_faults() < 1 << 40);
        assert!(kernel_overhead(4, 1 << 30) > kernel_overhead(1, 1 << 20));
    }
}
