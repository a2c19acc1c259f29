//! What the kernel charges a program that uses this crate, told by a group of its own.
//!
//! The test runs itself again as the child whose figures count.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pintpot_host as host;

use host::cgroup::{Cap, Limits, charge, evict};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// The child's part: its charge at the start, after the program's pages were dropped, with a fragmented heap,
/// and after that was given back; one line of bytes.
#[test]
fn child() {
    if std::env::var_os("PINTPOT_TEST_CHILD").is_none() {
        return;
    }
    host::refuse_huge_pages();
    host::tune_malloc();
    let now = || charge().map_or(0, |charge| charge.now);
    let start = now();
    host::drop_program_pages();
    std::thread::sleep(Duration::from_millis(100)); // what was being read ahead arrives
    host::drop_program_pages();
    let dropped = now();
    let mut small: Vec<Vec<u8>> = (0..60_000).map(|i| vec![1; 40 + i % 200]).collect();
    let mut kept = 0;
    small.retain(|_| {
        kept += 1;
        kept % 1000 == 0
    });
    let fragmented = now();
    host::trim_heap();
    println!("figures {start} {dropped} {fragmented} {} {}", now(), small.len());
}

#[test]
fn dropped_pages_are_not_charged() {
    let program = std::env::current_exe().unwrap();
    // A copy of its own, since pages that this very process has mapped cannot be dropped.
    let copy = tempfile::Builder::new().tempfile_in(".").unwrap().into_temp_path();
    std::fs::copy(&program, &copy).unwrap();
    evict(Path::new(&copy)).unwrap();
    let cap = match Cap::new(&Limits::default()) {
        Ok(cap) => cap,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    let mut command = Command::new(&*copy);
    command.args(["--exact", "child", "--nocapture"]).env("PINTPOT_TEST_CHILD", "1");
    cap.attach(&mut command).unwrap();
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().find_map(|line| line.split_once("figures ")).expect("the child's line").1;
    let figures: Vec<u64> = figures.split(' ').map(|figure| figure.parse().unwrap()).collect();
    let [start, dropped, fragmented, trimmed, _] = figures[..] else { panic!("{figures:?}") };
    let program = std::fs::metadata(&copy).unwrap().len();
    if start > program {
        assert!(dropped < start - program / 2, "{figures:?}, the program has {program}");
    } // else the disk does not read ahead and there was nothing to drop
    assert!(fragmented > dropped + (4 << 20) && trimmed < dropped + (3 << 20), "{figures:?}");
    assert!(cap.report().peak.is_none_or(|peak| peak >= fragmented), "{:?}", cap.report());
}
