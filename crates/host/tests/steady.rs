//! Once set up, the stream and the pool neither allocate nor are charged for more than they reserved.
//!
//! The figures are those of the whole process, so this file holds one test.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::Arc;

use pintpot_host as host;

use host::{CountingAlloc, Extent, FlashFile, Ledger, Part, Pool, Reader, Stream, StreamOptions};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

const WINDOW: usize = 2 << 20;
const LEN: u64 = 8 << 20;

/// Passes the whole file through the window.
fn pass(stream: &mut Stream, pool: &Pool, held: &mut VecDeque<(host::RunId, Extent)>) -> u64 {
    let mut sums = [0u64; 8];
    let mut next = 0;
    while next < LEN || !held.is_empty() {
        let extent = Extent { file: 0, offset: next, len: 300_000.min(LEN - next) };
        if next < LEN
            && let Some(run) = stream.push(&[extent]).unwrap()
        {
            held.push_back((run, extent));
            next += extent.len;
            continue;
        }
        let (run, extent) = held.pop_front().unwrap();
        stream.wait(run).unwrap();
        let bytes = stream.bytes(run, 0, extent.offset, extent.len).unwrap();
        pool.split(&mut sums, 1, &|part, sum| {
            let part = bytes.chunks(bytes.len().div_ceil(8)).nth(part).unwrap_or(&[]);
            sum[0] += part.iter().map(|&b| u64::from(b)).sum::<u64>();
        });
        stream.release(run);
    }
    sums.iter().sum()
}

#[test]
fn a_steady_state_allocates_nothing() {
    host::tune_malloc();
    let bytes: Vec<u8> = (0..LEN).map(|i| (i % 251) as u8).collect();
    let want: u64 = bytes.iter().map(|&b| u64::from(b)).sum();
    let mut file = tempfile::NamedTempFile::new_in(".").unwrap();
    file.write_all(&bytes).unwrap();
    file.as_file().sync_all().unwrap();
    drop(bytes);
    host::trim_heap();

    let ledger = Ledger::new(16 << 20);
    let pool = Pool::new(&ledger, 3).unwrap();
    let readers = [Reader::Auto].into_iter().chain(Reader::NAMED);
    for reader in readers.filter(|reader| reader.is_granted()) {
        let flash = Arc::new(FlashFile::open(file.path()).unwrap());
        let options = StreamOptions { reader, ..StreamOptions::default() };
        let mut stream = Stream::new(&ledger, vec![flash], WINDOW, options).unwrap();
        let mut held = VecDeque::with_capacity(64);
        let start = host::resident();
        assert_eq!(pass(&mut stream, &pool, &mut held), want);
        let before = host::allocations();
        for _ in 0..3 {
            assert_eq!(pass(&mut stream, &pool, &mut held), want);
        }
        assert_eq!(host::allocations() - before, 0, "{reader:?}");
        let grown = host::resident().anon.saturating_sub(start.anon);
        let reserved: u64 = ledger.lines().iter().map(|(_, bytes)| bytes).sum();
        assert!(grown <= reserved, "{grown} of {reserved} by {reader:?}");
        assert!(ledger.lines()[Part::Window as usize].1 == WINDOW as u64);
    }
    assert!(host::heap_in_use() > 0 && host::heap_peak() >= LEN);
}
