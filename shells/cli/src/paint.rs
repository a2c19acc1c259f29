//! A network that paints: noise in, a picture out.
//!
//! What it is: a seed, numbers and a pipeline of the command line, and the picture in a file. What it is not: the painting, which is
//! the library's. The one design choice: it is what `run` does with a network whose pipeline makes pictures of noise, unless the
//! noise itself is given with `--input`, or its extents with `--shape`.

use std::path::Path;

use pintpot::BuiltNetwork;
use pintpot::tasks::{Input, Painter, Pipeline};
use serde_json::json;

use crate::arrays::{self, Found};
use crate::exit::Failure;
use crate::flags::{self, Args};
use crate::{pictures, report};

/// The pipeline of a network that paints, if that is what is asked for.
pub(crate) fn asked(found: &Found, args: &Args) -> Result<Option<Pipeline>, Failure> {
    let stem = Path::new(&found.name).file_stem().and_then(|stem| stem.to_str()).unwrap_or("");
    let pipeline = match args.get(&flags::PIPELINE) {
        Some(name) => Some(Pipeline::named(name)?),
        None => Pipeline::of(stem),
    };
    let Some(Input::Noise(noise)) = pipeline.as_ref().map(|pipeline| &pipeline.input) else {
        return Ok(None);
    };
    let given =
        args.all(&flags::INPUT).chain(args.all(&flags::SHAPE)).filter_map(|text| text.split_once('='));
    let is_given =
        given.map(|(name, _)| name).any(|name| noise.name.as_deref().is_none_or(|own| own == name));
    Ok(pipeline.filter(|_| !is_given))
}

/// Calls `work` with what the command line says.
fn with<T>(
    found: &Found,
    pipeline: &Pipeline,
    args: &Args,
    work: impl FnOnce(&Painter<'_>) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let number = |text: &str| {
        let wrong = || flags::wrong(&flags::INPUT, text, "a name and a number, such as difficulty=0.5");
        let (name, number) = text.split_once('=').ok_or_else(wrong)?;
        Ok((name.to_string(), number.parse().map_err(|_| wrong())?))
    };
    let numbers = args.all(&flags::INPUT).map(number).collect::<Result<Vec<(String, f32)>, Failure>>()?;
    let seed = args.read(&flags::SEED, "a whole number")?.unwrap_or(0);
    work(&Painter { file: &found.file, pipeline, seed, numbers: &numbers })
}

/// The network, built for its noise.
pub(crate) fn built(found: &Found, pipeline: &Pipeline, args: &Args) -> Result<BuiltNetwork, Failure> {
    with(found, pipeline, args, |painter| Ok(painter.build(&found.engine)?))
}

/// `pintpot run` of a network that paints.
pub(crate) fn run(found: &Found, pipeline: &Pipeline, args: &Args) -> Result<(), Failure> {
    let painted = with(found, pipeline, args, |painter| {
        let built = painter.build(&found.engine)?;
        if let Err(refused) = found.engine.plan_network(&built) {
            return Err(arrays::refusal(found, &built, &refused));
        }
        Ok(painter.run(&found.engine, built)?)
    })?;
    let out = args.get(&flags::OUT);
    if let Some(out) = out {
        pictures::write(&painted.picture, Path::new(out))?;
    }
    let (width, height, [least, most]) =
        (painted.picture.width(), painted.picture.height(), painted.extremes);
    if args.is_on(&flags::JSON) {
        let value = json!({
            "task": "paint",
            "model": found.name,
            "width": width,
            "height": height,
            "least": least,
            "most": most,
            "seconds": painted.seconds,
            "planned_peak_bytes": painted.lines.iter().map(|line| line.bytes).sum::<u64>(),
            "budget_bytes": found.engine.budget().bytes,
            "ledger": report::ledger(&painted.lines),
        });
        return crate::print(&format!("{value}\n"));
    }
    let hint = if out.is_some() { "" } else { "; --out FILE.png keeps the picture" };
    crate::print(&format!("{width} x {height}, numbers from {least:.3} to {most:.3}{hint}\n"))?;
    if args.is_on(&flags::STATS) {
        eprint!("{:.3} ms\n{}", painted.seconds * 1e3, report::ledger_text(&painted.lines));
    }
    Ok(())
}
