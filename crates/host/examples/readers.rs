//! How fast a file streams by each reader, request size and depth: `readers FILE [ROUNDS] [RUN_KIB] [READER]...`.
//!
//! Not the survey of `pintpot doctor`, which must be quick. The one design choice: each figure is taken right after one of
//! the default way and told as a ratio to it too, since what a disk gives varies by more than the ways do.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use pintpot_host as host;

use host::{Error, Extent, FlashFile, Ledger, ReadAt, Reader, Stream, StreamOptions};

const REQUESTS: [usize; 4] = [128 << 10, 512 << 10, 1 << 20, 4 << 20];
const DEPTHS: [usize; 3] = [2, 8, 32];
const TIME: Duration = Duration::from_millis(250);

/// A file and how far it was read, in runs of how many bytes, of which the window holds three.
struct Walk<'a> {
    path: &'a Path,
    run: u64,
    at: u64,
}

/// MB/s, and seconds of processors a GB.
type Figure = (f64, f64);

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let number = |n: usize, or: u64| args.get(n).and_then(|text| text.parse().ok()).unwrap_or(or);
    let Some(path) = args.first().map(Path::new) else {
        eprintln!("readers FILE [ROUNDS] [RUN_KIB] [READER]...");
        return Ok(());
    };
    let named: Vec<Reader> = args.iter().skip(3).map(|name| name.parse()).collect::<Result<_, _>>()?;
    let readers = if named.is_empty() { Reader::NAMED.to_vec() } else { named };
    let mut walk = Walk { path, run: number(2, 512) << 10, at: 0 };
    let ways = readers.into_iter().flat_map(|reader| {
        let way = move |(request_bytes, depth)| StreamOptions {
            reader,
            depth,
            request_bytes,
            ..StreamOptions::default()
        };
        REQUESTS.into_iter().flat_map(|bytes| DEPTHS.map(|depth| (bytes, depth))).map(way)
    });
    let ways: Vec<_> = ways.filter(|way| way.request_bytes as u64 <= walk.run).collect();
    let mut figures: Vec<Vec<(Figure, f64)>> = vec![Vec::new(); ways.len()];
    for _ in 0..number(1, 5) {
        for (way, figures) in ways.iter().zip(&mut figures) {
            let (default, _) = walk.measure(StreamOptions::default())?;
            let figure = walk.measure(*way)?;
            figures.push((figure, figure.0 / default));
        }
    }
    println!("reader     request  depth  MB/s (least to most)  of default (least to most)  CPU s/GB");
    for (way, figures) in ways.iter().zip(&figures) {
        let sorted = |value: fn(&(Figure, f64)) -> f64| {
            let mut values: Vec<f64> = figures.iter().map(value).collect();
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        };
        let (rate, ratio, cpu) = (sorted(|f| f.0.0), sorted(|f| f.1), sorted(|f| f.0.1));
        print!("{:<7}{:>8} KiB{:>7}", way.reader.name(), way.request_bytes >> 10, way.depth);
        print!("{:>6.0} ({:>4.0} to {:>4.0})", rate.0, rate.1, rate.2);
        println!("{:>9.2} ({:.2} to {:.2}){:>15.3}", ratio.0, ratio.1, ratio.2, cpu.0);
    }
    Ok(())
}

impl Walk<'_> {
    /// Reads on for a while.
    fn measure(&mut self, options: StreamOptions) -> Result<Figure, Error> {
        let file = Arc::new(FlashFile::open(self.path)?);
        let last = file.len() - self.run;
        let window = Stream::window_needed(&[Extent { file: 0, offset: 1, len: self.run }; 3], file.align());
        let mut stream = Stream::new(&Ledger::new(u64::MAX / 2), vec![file], window as usize, options)?;
        let (start, before, mut read) = (Instant::now(), cpu_seconds(), 0);
        let mut held = VecDeque::new();
        while start.elapsed() < TIME {
            while let Some(id) = stream.push(&[Extent { file: 0, offset: self.at, len: self.run }])? {
                held.push_back(id);
                self.at = if self.at + self.run > last { 0 } else { self.at + self.run };
            }
            let Some(id) = held.pop_front() else { break };
            stream.wait(id)?;
            stream.release(id);
            read += self.run;
        }
        let rate = read as f64 / 1e6 / start.elapsed().as_secs_f64();
        stream.reset()?;
        Ok((rate, (cpu_seconds() - before) * 1e9 / read as f64))
    }
}

/// Seconds that processors worked for this process, the kernel's threads of it included; 0 where nobody tells.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
