//! Bad networks: whatever an ONNX or TFLite file says, the answer is arrays or a complaint; soon, and within the budget.
//!
//! What it is: the small networks of `networks/`, tampered with, then read, built, planned, loaded and run in a fenced room. What
//! it is not: a search, which `fuzz/` is, nor a check of headers alone, which `crates/formats` has. The one design choice: a
//! number of an ONNX file is replaced with all lengths around it kept true, so that lies reach the importer.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use pintpot::{Array, ArrayType, Elem, Engine, Error, Examined, Extents, Feed, Trouble};
use pintpot_tests::corpus::Dice;
use pintpot_tests::root;

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

/// What the library may take from the heap for a network, whatever the file says.
const MOST: u64 = 48 << 20;
/// The budget is mostly the pages of the test program itself.
const BUDGET: u64 = 256 << 20;
/// What nothing takes longer than, on a busy machine.
const SOON: Duration = Duration::from_secs(8);
/// Files of each kind of trouble, made of each network.
const EACH: usize = 3;
/// Bytes of inputs, at most, of a network that is run.
const SMALL: usize = 1 << 20;
/// Numbers that extents, counts, axes and types should not be.
const LIES: [u64; 10] =
    [0, 1, 7, 1 << 16, 1 << 20, 1 << 31, u32::MAX as u64, 1 << 40, i64::MAX as u64, u64::MAX];
/// The deepest message in a message.
const DEPTH: usize = 12;

/// Every committed network.
fn networks() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("tests/networks")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let kind = path.extension().and_then(|end| end.to_str());
            match kind {
                _ if path.is_dir() => folders.push(path),
                Some("onnx" | "tflite") => found.push(path),
                _ => {}
            }
        }
    }
    found.sort();
    found
}

/// What was done to a network, and what is left of it.
fn tampered(good: &[u8], is_onnx: bool, dice: &mut Dice) -> Vec<(String, Vec<u8>)> {
    let mut bad = Vec::new();
    for _ in 0..EACH {
        let (cut, bit) = (dice.below(good.len()), dice.below(8 * good.len()));
        bad.push((format!("cut at {cut}"), good[..cut].to_vec()));
        let mut flipped = good.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        bad.push((format!("with bit {bit} flipped"), flipped));
        let (at, lie) = (dice.below(good.len().saturating_sub(8)), LIES[dice.below(LIES.len())]);
        let mut over = good.to_vec();
        // Fields of flat files are of four bytes, at multiples of four; so are many numbers of eight.
        let at = at - at % 4;
        over[at..at + 4].copy_from_slice(&lie.to_le_bytes()[..4]);
        bad.push((format!("with {lie} at {at}"), over));
    }
    // Numbers of eight bytes that are small lie in lists of extents and axes.
    let small = |at: &usize| {
        matches!(&good[*at + 1..*at + 8], [0, 0, 0, 0, 0, 0, 0] | [255, 255, 255, 255, 255, 255, 255])
    };
    let places: Vec<usize> = (0..good.len().saturating_sub(8)).filter(small).collect();
    for _ in 0..EACH.min(places.len()) {
        let (at, lie) = (places[dice.below(places.len())], LIES[dice.below(LIES.len())]);
        let mut over = good.to_vec();
        over[at..at + 8].copy_from_slice(&lie.to_le_bytes());
        bad.push((format!("with the number {lie} at {at}"), over));
    }
    let count = numbers(good);
    for _ in 0..if is_onnx { 4 * EACH } else { 0 } {
        let (number, lie) = (dice.below(count), LIES[dice.below(LIES.len())]);
        let changed = message(good, 0, &mut (number, lie)).expect("a message");
        bad.push((format!("whose number {number} is {lie}"), changed));
    }
    bad
}

/// Numbers in a message and those in it.
fn numbers(bytes: &[u8]) -> usize {
    let mut left = (usize::MAX, 0);
    let _ = message(bytes, 0, &mut left);
    usize::MAX - left.0
}

/// A message with the number of this number, counted from 0, replaced; `None` if the bytes are none.
fn message(bytes: &[u8], depth: usize, change: &mut (usize, u64)) -> Option<Vec<u8>> {
    let (mut at, mut made) = (0, Vec::new());
    while at < bytes.len() {
        let tag = varint(bytes, &mut at)?;
        if tag >> 3 == 0 {
            return None;
        }
        put(tag, &mut made);
        match tag & 7 {
            0 => {
                let number = varint(bytes, &mut at)?;
                put(if change.0 == 0 { change.1 } else { number }, &mut made);
                change.0 = change.0.wrapping_sub(1);
            }
            2 => {
                let len = usize::try_from(varint(bytes, &mut at)?).ok()?;
                let inner = bytes.get(at..at.checked_add(len)?)?;
                let before = change.0;
                let inner = match message(inner, depth + 1, change) {
                    Some(inner) if depth < DEPTH => inner,
                    _ => {
                        change.0 = before;
                        inner.to_vec()
                    }
                };
                put(inner.len() as u64, &mut made);
                made.extend(inner);
                at += len;
            }
            kind @ (1 | 5) => {
                let len = if kind == 1 { 8 } else { 4 };
                made.extend(bytes.get(at..at + len)?);
                at += len;
            }
            _ => return None,
        }
    }
    Some(made)
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        number |= u64::from(byte & 127) << shift;
        if byte < 128 {
            return Some(number);
        }
    }
    None
}

fn put(mut number: u64, to: &mut Vec<u8>) {
    while number > 127 {
        to.push(number as u8 | 128);
        number >>= 7;
    }
    to.push(number as u8);
}

/// Ones for an input as it is declared, every extent that is open `open`.
fn feed(input: &pintpot::DeclaredInput, open: usize) -> Option<Feed> {
    let elem = input.elem.as_ref()?.as_ref().ok().copied()?;
    let extents: Vec<usize> = input.extents.as_ref()?.iter().map(|extent| extent.unwrap_or(open)).collect();
    let kind = ArrayType { elem, extents: Extents::new(&extents)? };
    let small = extents.iter().try_fold(1usize, |all, extent| all.checked_mul(*extent))? <= 1 << 16;
    let bytes = (small && elem != Elem::F32)
        .then(|| Array::number(elem, 1.0).bytes.repeat(kind.extents.elements()).into_boxed_slice());
    Some(Feed { name: input.name.clone(), kind, bytes })
}

/// Reads, builds, plans, loads and runs.
fn attempt(path: &Path, open: usize) -> Result<(), Error> {
    let engine = Engine::builder().memory(host::Memory::Bytes(BUDGET)).threads(Some(1)).build()?;
    let Examined::Network(file) = engine.examine(path)? else { return Ok(()) };
    let feeds: Vec<Feed> = file.inputs().iter().filter_map(|input| feed(input, open)).collect();
    let built = engine.build_network(&file, &feeds)?;
    let planned = engine.plan_network(&built).map_err(|refused| Error::Refused(Box::new(refused)))?;
    assert!(planned.iter().map(|line| line.bytes).sum::<u64>() <= BUDGET);
    if built.inputs().iter().map(|port| port.kind.bytes()).sum::<usize>() > SMALL {
        return Ok(());
    }
    let ones: Vec<(String, Vec<u8>)> = (built.inputs().into_iter())
        .map(|port| {
            (port.name, Array::number(port.kind.elem, 1.0).bytes.repeat(port.kind.extents.elements()))
        })
        .collect();
    let mut network = engine.load_network(built)?;
    let ones: Vec<(&str, &[u8])> = ones.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    network.run(&ones)
}

/// What is wrong with how a bad network was met, if anything.
fn judge(what: &str, path: &Path, open: usize) -> Option<String> {
    let own = path.to_path_buf();
    let attempt = move || std::panic::catch_unwind(|| attempt(&own, open));
    match host::bounded(MOST, SOON, attempt) {
        Ok(Ok(Err(error))) if error.trouble() == Trouble::Failure => {
            Some(format!("{what}: no failure of the machine: {error}"))
        }
        Ok(Ok(_)) => None,
        Ok(Err(_)) => Some(format!("{what}: panic")),
        Err(overrun) => Some(format!("{what}: {overrun}")),
    }
}

#[test]
fn networks_that_lie_are_answered_or_refused() {
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() {
        "/dev/shm".into()
    } else {
        std::env::temp_dir()
    });
    let folder = folder.unwrap();
    let (mut wrong, mut count, begin) = (Vec::new(), 0, Instant::now());
    for good in networks() {
        let name = good.strip_prefix(root()).unwrap_or(&good).display().to_string();
        let is_onnx = name.ends_with(".onnx");
        let bytes = std::fs::read(&good).unwrap();
        let path = folder.path().join(if is_onnx { "bad.onnx" } else { "bad.tflite" });
        let mut dice = Dice(0x5eed ^ bytes.len() as u64);
        let mut cases = tampered(&bytes, is_onnx, &mut dice);
        cases.push(("as it is".to_string(), bytes));
        for (what, bytes) in cases {
            std::fs::write(&path, bytes).unwrap();
            wrong.extend(judge(&format!("{name} {what}"), &path, 2));
            count += 1;
        }
        for open in [0, 1 << 20, 1 << 40] {
            wrong.extend(judge(&format!("{name} for extents of {open}"), &path, open));
        }
    }
    println!("{count} networks in {:?}", begin.elapsed());
    assert!(wrong.is_empty(), "{} of {count}:\n{}", wrong.len(), wrong.join("\n"));
}
