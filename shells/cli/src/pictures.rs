//! A network that looks at a picture: `--image`.
//!
//! What it is: the file of the picture and the pipeline that the command line names, and the answer told or drawn. What it is
//! not: a task; the library has those. The one design choice: what was seen is one JSON object whatever the task, with places in
//! pixels of the upright picture.

use std::io::Write;
use std::path::Path;

use host::NewFile;
use pintpot::BuiltNetwork;
use pintpot::image::{Picture, Source};
use pintpot::tasks::{Class, Input, Look, Pipeline, Seen};
use serde_json::{Value, json};

use crate::arrays::{self, Found};
use crate::exit::Failure;
use crate::flags::{self, Args, Flag};
use crate::report;

/// The flags of networks that look at pictures, which both `run` and `plan` take.
pub(crate) const FLAGS: &[&Flag] = &[&flags::IMAGE, &flags::PIPELINE];

/// Classes that are told if nobody says how many.
const TOP: usize = 5;
/// Bytes that are written before they are forced to the disk.
const UNSETTLED: usize = 256 << 10;

/// How the network is fed with pictures, or with sounds, and read.
pub(crate) fn pipeline(found: &Found, sounds: bool, args: &Args) -> Result<Pipeline, Failure> {
    if let Some(name) = args.get(&flags::PIPELINE) {
        return Ok(Pipeline::named(name)?);
    }
    let stem = Path::new(&found.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    Pipeline::of(stem).ok_or_else(|| {
        let alike = |pipeline: &Pipeline| match pipeline.input {
            Input::Sound(_) => sounds,
            Input::Picture(_) => !sounds,
            _ => false,
        };
        let known: Vec<&str> =
            Pipeline::known().filter(|(_, pipeline)| alike(pipeline)).map(|(name, _)| name).collect();
        let what = if sounds { "sounds" } else { "pictures" };
        Failure::usage(format!(
            "{}: nothing is known of how it takes {what}\n  say it with --pipeline FILE.toml, or the name of one of: {}",
            found.name,
            known.join(", ")
        ))
    })
}

/// Calls `work` with the look that the command line asks for.
fn with<T>(
    found: &Found,
    image: &str,
    args: &Args,
    work: impl FnOnce(&Look<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let pipeline = pipeline(found, false, args)?;
    let source = Source::open(Path::new(image)).map_err(pintpot::Error::from)?;
    let keep = args.get(&flags::OUT).is_some();
    let top = args.read(&flags::TOP, "a number of classes")?.unwrap_or(TOP);
    work(&Look { file: &found.file, pipeline: &pipeline, source: &source, keep, top })
}

/// The network, built for the picture.
pub(crate) fn built(found: &Found, image: &str, args: &Args) -> Result<BuiltNetwork, Failure> {
    with(found, image, args, |look| Ok(look.build(&found.engine)?))
}

/// `pintpot run` of a network that looks at a picture.
pub(crate) fn run(found: &Found, image: &str, args: &Args) -> Result<(), Failure> {
    let looked = with(found, image, args, |look| {
        let built = look.build(&found.engine)?;
        if let Err(refused) = found.engine.plan_network(&built) {
            return Err(arrays::refusal(found, &built, &refused));
        }
        Ok(look.run(&found.engine, built)?)
    })?;
    if let (Some(out), Some(mut picture)) = (args.get(&flags::OUT), looked.picture) {
        looked.seen.draw(&mut picture);
        write(&picture, Path::new(out))?;
    }
    if args.is_on(&flags::JSON) {
        let mut value = told(&looked.seen);
        value["model"] = json!(found.name);
        value["image"] = json!(image);
        value["seconds"] = json!(looked.seconds);
        value["planned_peak_bytes"] = json!(looked.lines.iter().map(|line| line.bytes).sum::<u64>());
        value["budget_bytes"] = json!(found.engine.budget().bytes);
        value["ledger"] = report::ledger(&looked.lines);
        return crate::print(&format!("{value}\n"));
    }
    crate::print(&shown(&looked.seen))?;
    if args.is_on(&flags::STATS) {
        eprint!("{:.3} ms\n{}", looked.seconds * 1e3, report::ledger_text(&looked.lines));
    }
    Ok(())
}

/// Writes a picture as PNG; the file is there whole or not at all.
pub(crate) fn write(picture: &Picture, path: &Path) -> Result<(), Failure> {
    /// Bytes that wait to be written are memory too.
    struct Settled(NewFile, usize);
    impl Write for Settled {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let written = self.0.write(bytes)?;
            self.1 += written;
            if self.1 > UNSETTLED {
                self.1 = 0;
                self.0.settle().map_err(std::io::Error::other)?;
            }
            Ok(written)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }
    let failed = |error| Failure::io(&format!("write {}", path.display()), error);
    if path.is_file() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let mut file = Settled(NewFile::create(path).map_err(pintpot::Error::from)?, 0);
    picture.view().write_png(&mut file).map_err(failed)?;
    file.0.finish().map_err(pintpot::Error::from)?;
    Ok(())
}

/// A class, as JSON.
pub(crate) fn class(class: &Class) -> Value {
    json!({"index": class.index, "label": class.label, "score": class.score})
}

/// What was seen, as JSON.
fn told(seen: &Seen) -> Value {
    match seen {
        Seen::Classes(classes) => {
            json!({"task": "classify", "classes": classes.iter().map(class).collect::<Vec<_>>()})
        }
        Seen::Line(line) => json!({"task": "read", "text": line.text, "score": line.score}),
        Seen::Mask(mask) => {
            json!({"task": "segment", "width": mask.width, "height": mask.height, "mean_share": mask.mean()})
        }
        Seen::Objects(objects) => {
            let object = |object: &pintpot::tasks::Object| json!({"label": object.label, "score": object.score, "corners": object.corners, "points": object.points});
            json!({"task": "detect", "objects": objects.iter().map(object).collect::<Vec<_>>()})
        }
        Seen::Points(points) => json!({"task": "landmarks", "points": points}),
        _ => json!({}),
    }
}

/// What was seen, for people.
fn shown(seen: &Seen) -> String {
    match seen {
        Seen::Classes(classes) => {
            classes.iter().map(|class| format!("{:6.2} %  {}\n", class.score * 100.0, class.label)).collect()
        }
        Seen::Mask(mask) => format!("{:6.2} %  of the picture\n", mask.mean() * 100.0),
        Seen::Objects(objects) => {
            let object = |object: &pintpot::tasks::Object| {
                let [[x0, y0], [x1, y1]] = object.corners;
                let label = object.label.as_deref().unwrap_or("");
                format!("{:6.2} %  {x0:.0},{y0:.0} to {x1:.0},{y1:.0} {label}\n", object.score * 100.0)
            };
            objects.iter().map(object).collect()
        }
        Seen::Line(line) => format!("{:6.2} %  {}\n", line.score * 100.0, line.text),
        Seen::Points(points) => points.iter().map(|[x, y]| format!("{x:.1},{y:.1}\n")).collect(),
        _ => String::new(),
    }
}
