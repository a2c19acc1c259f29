//! All readers, on disk and in memory, against the bytes that were written.

use std::io::Write;
use std::path::PathBuf;

use super::*;
use crate::fault::Fault;

/// A file of `len` bytes that follow a rule; `None` if there is no such folder.
fn sample(folder: &str, len: usize) -> Option<(tempfile::NamedTempFile, Vec<u8>)> {
    let folder = PathBuf::from(folder);
    let bytes: Vec<u8> = (0..len).map(|i| (i * 31 + i / 1009) as u8).collect();
    let mut file = tempfile::NamedTempFile::new_in(folder).ok()?;
    file.write_all(&bytes).ok()?;
    file.as_file().sync_all().ok()?;
    Some((file, bytes))
}

/// A stream over one such file, its files' bytes, and the file. `None` where io_uring is refused.
fn stream(folder: &str, reader: Reader, window: usize) -> Option<(Stream, Vec<u8>, tempfile::NamedTempFile)> {
    let (file, bytes) = sample(folder, 1_000_003)?;
    let flash = Arc::new(FlashFile::open(file.path()).unwrap());
    let options = Options { reader, depth: 4, request_bytes: 16 << 10, max_runs: 8, max_extents: 24 };
    match Stream::new(&Ledger::new(64 << 20), vec![flash], window, options) {
        Ok(stream) => Some((stream, bytes, file)),
        Err(Error::NoUring { source }) => {
            eprintln!("skipped: {source}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Numbers without pattern, the same every time.
fn noise(state: &mut u64) -> u64 {
    *state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
    *state >> 33
}

fn extent(offset: u64, len: u64) -> Extent {
    Extent { file: 0, offset, len }
}

#[test]
fn runs_arrive_whole_in_any_mixture() {
    for folder in [".", "/dev/shm"] {
        for reader in Reader::NAMED {
            let Some((mut stream, bytes, _file)) = stream(folder, reader, 300_000) else { continue };
            let mut state = 1;
            let mut held = std::collections::VecDeque::new();
            let mut pushed = 0;
            while pushed < 300 || !held.is_empty() {
                let count = 1 + noise(&mut state) % 4;
                let run: Vec<Extent> = (0..count)
                    .map(|_| {
                        let offset = noise(&mut state) % bytes.len() as u64;
                        extent(offset, (noise(&mut state) % 40_000).min(bytes.len() as u64 - offset))
                    })
                    .collect();
                let id = if pushed < 300 { stream.push(&run).unwrap() } else { None };
                if let Some(id) = id {
                    held.push_back((id, run));
                    pushed += 1;
                    continue;
                }
                let (id, run) = held.pop_front().unwrap();
                stream.wait(id).unwrap();
                for e in &run {
                    let got = stream.bytes(id, 0, e.offset, e.len).unwrap();
                    assert!(got == &bytes[e.offset as usize..][..e.len as usize], "{reader:?} {e:?}");
                }
                stream.release(id);
                assert_eq!(stream.bytes(id, 0, run[0].offset, run[0].len), None);
            }
            let stats = stream.stats();
            assert!(stats.bytes_wanted > 0 && stats.bytes_read >= stats.bytes_wanted, "{stats:?}");
            assert_eq!(stream.reader(), reader);
        }
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_was_read_ahead_into_the_page_cache_is_gone_afterwards() {
    let Some((mut stream, bytes, file)) = stream(".", Reader::Cached, 300_000) else { return };
    crate::cgroup::evict(file.path()).unwrap();
    for round in 0..3 {
        for start in (777..900_000).step_by(70_000) {
            let run = [extent(start, 41_111), extent(start + 41_111, 20_000 + round)];
            let id = stream.push(&run).unwrap().unwrap();
            stream.wait(id).unwrap();
            let part = run[1];
            let got = stream.bytes(id, 0, part.offset, part.len).unwrap();
            assert!(got == &bytes[part.offset as usize..][..part.len as usize]);
            stream.release(id);
        }
    }
    drop(stream);
    let left = crate::cached_share(file.path()).unwrap_or(0.0);
    assert!(left == 0.0, "{left} of the file is still cached");
}

#[test]
fn room_returns_in_order_and_cancelled_runs_too() {
    for reader in Reader::NAMED {
        let Some((mut stream, bytes, _file)) = stream(".", reader, 1 << 20) else { continue };
        let part = extent(100, 250_000);
        let ids: Vec<RunId> = (0..4).map(|_| stream.push(&[part]).unwrap().unwrap()).collect();
        assert_eq!(stream.push(&[part]).unwrap(), None);
        stream.release(ids[1]); // not the oldest, and perhaps not complete
        assert!(matches!(stream.wait(ids[1]), Err(Error::Released)));
        assert_eq!(stream.push(&[part]).unwrap(), None);
        stream.release(ids[0]); // whatever of the two is still being read
        let id = stream.push(&[part, part]).unwrap().unwrap();
        stream.wait(id).unwrap();
        assert_eq!(stream.bytes(id, 0, 100, 250_000), Some(&bytes[100..250_100]));
        stream.push(&[]).unwrap().map(|empty| stream.wait(empty).unwrap()).unwrap();
        stream.reset().unwrap();
        assert!(matches!(stream.wait(id), Err(Error::Released)));
        assert!(stream.push(&[extent(0, 1_000_003)]).unwrap().is_some(), "and dropped while under way");
    }
}

#[test]
fn a_fault_is_an_error_of_its_run_or_the_right_bytes() {
    for reader in Reader::NAMED {
        for fault in [Fault::Error, Fault::Short, Fault::Slow] {
            for n in 1..=9 {
                let Some((mut stream, bytes, _file)) = stream(".", reader, 1 << 20) else { continue };
                stream.files[0].fail_read_after(n, fault);
                let ids = [0, 300_000].map(|at| stream.push(&[extent(at, 64 << 10)]).unwrap().unwrap());
                let failed = ids.map(|id| stream.wait(id).is_err());
                let want = fault == Fault::Error;
                // Four reads for the first run, five for the second, whose start is not aligned.
                assert_eq!(failed, [want && n <= 4, want && n > 4], "{reader:?} {fault:?} {n}");
                for (id, at) in ids.into_iter().zip([0, 300_000]) {
                    let got = stream.bytes(id, 0, at, 64 << 10);
                    assert!(got.is_none_or(|got| got == &bytes[at as usize..][..64 << 10]));
                    assert_eq!(got.is_none(), stream.wait(id).is_err());
                }
            }
        }
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let Some((mut stream, bytes, file)) = stream(".", Reader::Pread, 100_000) else { return };
    let end = bytes.len() as u64;
    for wrong in
        [extent(end, 1), extent(0, end + 1), extent(u64::MAX, 2), Extent { file: 1, offset: 0, len: 1 }]
    {
        assert!(matches!(stream.push(&[extent(0, 9), wrong]), Err(Error::Extent { .. })), "{wrong:?}");
    }
    assert!(matches!(stream.push(&[extent(0, 200_000)]), Err(Error::Window { .. })));
    assert!(matches!(stream.push(&[extent(0, 1); 25]), Err(Error::Extents { count: 25, most: 24 })));
    assert!(stream.push(&[extent(end - 5, 5)]).unwrap().is_some());
    file.as_file().set_len(10).unwrap();
    let cut = stream.push(&[extent(8192, 9000)]).unwrap().unwrap();
    let error = stream.wait(cut).unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[test]
fn the_window_needed_is_enough() {
    let runs = [vec![extent(3, 70_000), extent(100_000, 1)], vec![extent(511, 2)], vec![extent(0, 90_000)]];
    let flat: Vec<Extent> = runs.concat();
    for align in [1, 512, 4096] {
        let need = Stream::window_needed(&flat, align);
        assert!((160_003..300_000).contains(&need), "{align} {need}");
    }
    let Some((mut stream, _, _file)) = stream(".", Reader::Pread, Stream::window_needed(&flat, 512) as usize)
    else {
        return;
    };
    let mut held = std::collections::VecDeque::new();
    for run in runs.iter().cycle().take(60) {
        if held.len() == runs.len() {
            let oldest = held.pop_front().unwrap();
            stream.wait(oldest).unwrap();
            stream.release(oldest);
        }
        held.push_back(stream.push(run).unwrap().expect("three runs fit wherever the ring stands"));
    }
}
