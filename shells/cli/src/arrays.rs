//! A network on the command line: its inputs from files of arrays or numbers, its outputs to files or the screen.
//!
//! What it is not: people's data, nor models of language, which `verbs/run.rs` knows. The one design choice: a file of an
//! array is read and written past the page cache, so that it costs what the account says.

use std::io::Write;
use std::path::{Path, PathBuf};

use host::{FlashFile, NewFile, ReadAt, format_bytes};
use hub::Reference;
use pintpot::{
    Array, ArrayType, BuiltNetwork, DeclaredInput, Elem, Engine, Examined, Extents, Feed, Network,
    NetworkFile, PortType, npy, numpy,
};
use serde_json::{Value, json};

use crate::exit::{Code, Failure};
use crate::flags::{self, Args, Flag};
use crate::{find, paint, pictures, report, setup, size, sounds};

/// The flags of networks that both `run` and `plan` take.
pub(crate) const FLAGS: &[&Flag] = &[&flags::INPUT, &flags::SHAPE];

/// Elements that are printed as JSON at most, and on a line for people.
const PRINTED: usize = 1 << 16;
const SHOWN: usize = 6;
/// Numbers of JSON that are on the heap at a time.
const AT_A_TIME: usize = 256;
/// Bytes that are written before they are forced to the disk.
const UNSETTLED: usize = 256 << 10;

/// A network that the command line names, in an engine as it wants it.
pub(crate) struct Found {
    pub name: String,
    pub engine: Engine,
    pub file: NetworkFile,
}

/// The network that the command line names, if that is what it is.
pub(crate) fn found(reference: &Reference, args: &Args) -> Result<Option<Found>, Failure> {
    let Reference::Path(path) = reference else { return Ok(None) };
    let is_weights =
        |end: &str| path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case(end));
    if !path.is_file() || ["gguf", "json", "safetensors"].into_iter().any(is_weights) {
        return Ok(None);
    }
    let engine = setup::engine(args)?;
    let name = reference.to_string();
    match find::examined(reference, &engine)? {
        Examined::Network(file) => Ok(Some(Found { name, engine, file })),
        _ => Ok(None),
    }
}

/// `pintpot run` of a network.
pub(crate) fn run(found: &Found, args: &Args) -> Result<(), Failure> {
    let feeds = feeds(found, args)?;
    complete(found, &feeds)?;
    let built = built(found, &feeds)?;
    let inputs: Vec<(String, Box<[u8]>)> =
        feeds.into_iter().filter_map(|feed| Some((feed.name, feed.bytes?))).collect();
    let mut network = loaded(found, built)?;
    let given: Vec<(&str, &[u8])> = inputs.iter().map(|(name, bytes)| (&**name, &**bytes)).collect();
    let start = std::time::Instant::now();
    network.run(&given)?;
    let seconds = start.elapsed().as_secs_f64();
    let folder = args.get(&flags::OUT_DIR).map(Path::new);
    if let Some(folder) = folder {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::io(&format!("make {}", folder.display()), error))?;
        for port in network.outputs().to_vec() {
            write(&network, &port, folder)?;
        }
    }
    let is_json = args.is_on(&flags::JSON);
    if is_json {
        let peak: u64 = network.lines().iter().map(|line| line.bytes).sum();
        let value = json!({
            "model": found.name,
            "seconds": seconds,
            "planned_peak_bytes": peak,
            "budget_bytes": found.engine.budget().bytes,
            "ledger": report::ledger(network.lines()),
        });
        return tell(&value, &network, folder.is_none());
    }
    if folder.is_none() {
        let lines: String = network.outputs().iter().map(|port| shown(&network, port)).collect();
        crate::print(&lines)?;
    }
    if args.is_on(&flags::STATS) {
        eprint!("{:.3} ms\n{}", seconds * 1e3, report::ledger_text(network.lines()));
    }
    Ok(())
}

/// `pintpot plan` of a network.
pub(crate) fn plan(found: &Found, args: &Args) -> Result<(), Failure> {
    let built = match (args.get(&flags::IMAGE), args.get(&flags::AUDIO)) {
        (Some(image), _) => pictures::built(found, image, args)?,
        (None, Some(_)) => sounds::built(found, args)?,
        (None, None) => match paint::asked(found, args)? {
            Some(pipeline) => paint::built(found, &pipeline, args)?,
            None => built(found, &feeds(found, args)?)?,
        },
    };
    let smallest = match found.engine.plan_network_in(&built, 0) {
        Ok(_) => 0,
        Err(refused) => refused.needed,
    };
    let placed = found.engine.place_network(&built, found.engine.budget().bytes);
    let placed = placed.map_err(|refused| refusal(found, &built, &refused))?;
    let peak = placed.peak();
    let (arena, bound) = placed.arena_bytes();
    if args.is_on(&flags::JSON) {
        let ports = |ports: Vec<PortType>| -> Vec<Value> {
            ports.iter().map(|port| json!({"name": port.name, "type": port.kind.to_string()})).collect()
        };
        let value = json!({
            "model": found.name,
            "fits": true,
            "budget_bytes": found.engine.budget().bytes,
            "peak_bytes": peak,
            "smallest_budget_bytes": smallest,
            "ledger": report::ledger(&placed.lines),
            "inputs": ports(built.inputs()),
            "outputs": ports(built.outputs()),
            "operators": built.operators(),
            "multiply_adds": built.macs(),
            "weight_bytes": built.weight_bytes(),
            "arena_bytes": arena,
            "arena_bound_bytes": bound,
            "bands": placed.bands.map(|bands| json!({
                "count": bands.count,
                "rows": bands.rows,
                "cut": bands.cut.to_string(),
                "whole_arena_bytes": bands.whole_arena,
                "recompute": bands.recompute,
            })),
            "streamed_bytes": placed.streamed.as_ref().map_or(0, |streamed| streamed.bytes()),
        });
        return crate::print(&format!("{value}\n"));
    }
    let mut text = format!("{}: fits in {}\n", found.name, found.engine.budget());
    text += &report::ledger_text(&placed.lines);
    text += &format!("  {:<12}{:>11}\n", "peak", format_bytes(peak));
    for (what, ports) in [("input", built.inputs()), ("output", built.outputs())] {
        ports.iter().for_each(|port| text += &format!("{what} {}: {}\n", port.name, port.kind));
    }
    text += &format!(
        "{} operators, {:.1} million multiply-adds; weights {}; arena {}, {} alive at once\n",
        built.nodes(),
        built.macs() as f64 / 1e6,
        format_bytes(built.weight_bytes()),
        format_bytes(arena),
        format_bytes(bound),
    );
    if let Some(bands) = placed.bands {
        text += &format!(
            "its head down to {} is made in {} bands of {} rows: {:.3} times the multiply-adds of the head, arena {} whole\n",
            bands.cut,
            bands.count,
            bands.rows,
            bands.recompute,
            format_bytes(bands.whole_arena),
        );
    }
    if let Some(streamed) = placed.streamed {
        text += &format!("weights of {} are read in every run\n", format_bytes(streamed.bytes()));
    }
    text += &format!("smallest budget: --memory {}\n", size::budget(smallest));
    crate::print(&text)
}

/// The network, built for what is said of its inputs.
pub(crate) fn built(found: &Found, feeds: &[Feed]) -> Result<BuiltNetwork, Failure> {
    Ok(found.engine.build_network(&found.file, feeds)?.with_files_at_hand())
}

/// The network, loaded, or why it does not fit.
pub(crate) fn loaded(found: &Found, built: BuiltNetwork) -> Result<Network, Failure> {
    if let Err(refused) = found.engine.plan_network(&built) {
        return Err(refusal(found, &built, &refused));
    }
    Ok(found.engine.load_network(built)?)
}

pub(crate) fn refusal(found: &Found, built: &BuiltNetwork, refused: &pintpot::Refusal) -> Failure {
    let mut text =
        format!("{} cannot run in {}; nothing was loaded\n", found.name, format_bytes(refused.budget));
    text += &format!(
        "  needs at least {} (all weights are {}, values of a run {} where no part is made in bands)\n",
        format_bytes(refused.needed),
        format_bytes(built.weight_bytes()),
        format_bytes(built.arena_bytes().0),
    );
    text += &report::ledger_text(&refused.lines);
    text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
    Failure::new(Code::Budget, text)
}

/// Says which input has no elements yet.
fn complete(found: &Found, feeds: &[Feed]) -> Result<(), Failure> {
    let fed = |name: &str| feeds.iter().any(|feed| feed.name == name && feed.bytes.is_some());
    match found.file.inputs().iter().find(|input| !fed(&input.name) && !input.has_default) {
        None => Ok(()),
        Some(DeclaredInput { name, text, .. }) => Err(Failure::usage(format!(
            "input '{name}' is missing; it is {text}\n  give it with --input {name}=FILE.npy, or numbers: --input {name}=1,2"
        ))),
    }
}

/// What `--input` and `--shape` say of the inputs.
pub(crate) fn feeds(found: &Found, args: &Args) -> Result<Vec<Feed>, Failure> {
    let mut feeds: Vec<Feed> = Vec::new();
    for text in args.all(&flags::SHAPE) {
        let wrong = || flags::wrong(&flags::SHAPE, text, "a name and extents, such as x=1x3x224x224");
        let (name, shape) = text.split_once('=').ok_or_else(wrong)?;
        let extents = shape.split(['x', ',']).filter(|part| !part.is_empty()).map(str::parse);
        let extents = extents.collect::<Result<Vec<usize>, _>>().map_err(|_| wrong())?;
        let kind = ArrayType { elem: elem(found, name)?, extents: Extents::new(&extents).ok_or_else(wrong)? };
        feeds.push(Feed { name: name.to_string(), kind, bytes: None });
    }
    for text in args.all(&flags::INPUT) {
        let wrong = || {
            flags::wrong(
                &flags::INPUT,
                text,
                "a name and a file or numbers, such as x=picture.npy or sr=16000",
            )
        };
        let (name, what) = text.split_once('=').ok_or_else(wrong)?;
        let path = PathBuf::from(what);
        let array = if path.is_file() {
            let fed: u64 = feeds.iter().filter_map(|feed| Some(feed.bytes.as_ref()?.len() as u64)).sum();
            file(&path, name, found.engine.budget().bytes.saturating_sub(fed))?
        } else {
            numbers(what, elem(found, name)?, declared_rank(found, name)).ok_or_else(wrong)?
        };
        feeds.retain(|feed| feed.name != name);
        feeds.push(Feed::from((name.to_string(), array)));
    }
    Ok(feeds)
}

fn input(found: &Found, name: &str) -> Option<DeclaredInput> {
    found.file.inputs().into_iter().find(|input| input.name == name)
}

/// The kind of element that an input declares.
fn elem(found: &Found, name: &str) -> Result<Elem, Failure> {
    let names = || found.file.inputs().into_iter().map(|input| input.name).collect::<Vec<_>>().join(", ");
    let missing = || pintpot::Error::NoSuchInput { name: name.to_string(), inputs: names() };
    let input = input(found, name).ok_or_else(missing)?;
    match input.elem {
        Some(elem) => Ok(elem?),
        None => Err(Failure::new(
            Code::Missing,
            format!("input '{name}' is {}, which has no shape of its own", input.text),
        )),
    }
}

fn declared_rank(found: &Found, name: &str) -> Option<usize> {
    Some(input(found, name)?.extents?.len())
}

/// Numbers of the command line as an array of the rank that is declared; one number may be a single one.
fn numbers(text: &str, elem: Elem, rank: Option<usize>) -> Option<Array> {
    let numbers = text.split(',').map(|number| match number.trim() {
        "true" => Some(1.0),
        "false" => Some(0.0),
        number => number.parse::<f64>().ok(),
    });
    let numbers = numbers.collect::<Option<Vec<f64>>>()?;
    let rank = rank.unwrap_or(usize::from(numbers.len() > 1));
    let mut extents = vec![1; rank];
    match extents.last_mut() {
        Some(last) => *last = numbers.len(),
        None if numbers.len() == 1 => {}
        None => return None,
    }
    let bytes = numbers.iter().flat_map(|&number| Array::number(elem, number).bytes.into_vec()).collect();
    Some(Array { kind: ArrayType { elem, extents: Extents::new(&extents)? }, bytes })
}

/// An array from a file, if it is no larger than `room` bytes.
fn file(path: &Path, name: &str, room: u64) -> Result<Array, Failure> {
    let damaged =
        |what: String| Failure::new(Code::Damaged, format!("{}, for input '{name}': {what}", path.display()));
    let file = FlashFile::open(path).map_err(pintpot::Error::from)?;
    let mut start = vec![0; file.len().min(4096) as usize];
    file.read_exact_at(0, &mut start).map_err(|error| damaged(error.to_string()))?;
    let header = npy::read(&start).map_err(|error| damaged(error.to_string()))?;
    let elem = numpy::elem(&header.kind)
        .ok_or_else(|| damaged(format!("arrays of type {} are not read", header.kind)))?;
    let extents = Extents::new(&header.extents).ok_or_else(|| damaged("too many elements".into()))?;
    let kind = ArrayType { elem, extents };
    let stored = file.len().saturating_sub(header.start as u64);
    if stored != kind.bytes() as u64 {
        return Err(damaged(format!("{stored} bytes of elements, but {kind} takes {}", kind.bytes())));
    }
    if stored > room {
        let (needed, room) = (format_bytes(stored), format_bytes(room));
        let text = format!(
            "{}, for input '{name}', takes {needed}; there are {room}\n  say more with --memory",
            path.display()
        );
        return Err(Failure::new(Code::Budget, text));
    }
    let mut bytes = vec![0; kind.bytes()];
    file.read_exact_at(header.start as u64, &mut bytes).map_err(|error| damaged(error.to_string()))?;
    Ok(Array { kind, bytes: bytes.into() })
}

/// An output to a file.
fn write(network: &Network, port: &PortType, folder: &Path) -> Result<(), Failure> {
    let Some((kind, bytes)) = network.output(&port.name) else { return Ok(()) };
    let path = folder.join(format!("{}.npy", port.name.replace('/', "_")));
    let (kind, wide) = match kind.elem {
        // NumPy has no brain floats.
        Elem::BF16 => ("f4", Some(Array { kind, bytes: bytes.into() }.fractions())),
        elem => (numpy::kind(elem).unwrap_or("V1"), None),
    };
    let extents = network.output(&port.name).map(|(kind, _)| kind.extents).unwrap_or_default();
    let failed = |error| Failure::io(&format!("write {}", path.display()), error);
    let mut file = NewFile::replace(&path).map_err(pintpot::Error::from)?;
    file.write_all(&npy::header(kind, &extents)).map_err(failed)?;
    match wide {
        Some(numbers) => numbers.iter().try_for_each(|x| file.write_all(&(*x as f32).to_le_bytes())),
        // What is not on the disk yet is memory too.
        None => bytes.chunks(UNSETTLED).try_for_each(|piece| {
            file.write_all(piece)?;
            if bytes.len() > UNSETTLED { file.settle().map_err(std::io::Error::other) } else { Ok(()) }
        }),
    }
    .map_err(failed)?;
    file.finish().map_err(pintpot::Error::from)?;
    Ok(())
}

/// Prints an object of JSON with all outputs, their numbers a few at a time: as a whole they would be many times their bytes.
fn tell(value: &Value, network: &Network, with_data: bool) -> Result<(), Failure> {
    let open = |value: &Value| {
        let text = value.to_string();
        text.strip_suffix('}').unwrap_or(&text).to_string()
    };
    crate::print(&(open(value) + ",\"outputs\":["))?;
    for (number, port) in network.outputs().iter().enumerate() {
        let comma = if number > 0 { "," } else { "" };
        let Some((kind, bytes)) = network.output(&port.name) else {
            crate::print(&format!("{comma}{}", json!({"name": port.name})))?;
            continue;
        };
        let told =
            json!({"name": port.name, "type": format!("{:?}", kind.elem), "shape": kind.extents.to_vec()});
        crate::print(&format!("{comma}{}", open(&told)))?;
        if with_data && kind.extents.elements() <= PRINTED {
            crate::print(",\"data\":[")?;
            for (number, bytes) in bytes.chunks(AT_A_TIME * kind.elem.bytes()).enumerate() {
                let extents = Extents::new(&[bytes.len() / kind.elem.bytes()]).unwrap_or_default();
                let part = Array { kind: ArrayType { extents, ..kind }, bytes: bytes.into() };
                let part = match kind.elem.is_float() {
                    true => json!(part.fractions()),
                    false => json!(part.integers()),
                };
                let comma = if number > 0 { "," } else { "" };
                let part = part.to_string();
                crate::print(&format!("{comma}{}", part.trim_matches(['[', ']'])))?;
            }
            crate::print("]")?;
        }
        crate::print("}")?;
    }
    crate::print("]}\n")
}

/// An output on a line for people.
fn shown(network: &Network, port: &PortType) -> String {
    let Some((kind, bytes)) = network.output(&port.name) else { return String::new() };
    let (width, count) = (kind.elem.bytes(), kind.extents.elements().min(SHOWN));
    let Some(extents) = Extents::new(&[count]) else { return String::new() };
    let first = Array { kind: ArrayType { extents, ..kind }, bytes: bytes[..count * width].into() };
    let numbers: Vec<String> = match kind.elem.is_float() {
        true => first.fractions().iter().map(|x| format!("{x:.6}")).collect(),
        false => first.integers().iter().map(i64::to_string).collect(),
    };
    let more = if kind.extents.elements() > count { " ..." } else { "" };
    format!("{} {kind}: {}{more}\n", port.name, numbers.join(" "))
}
