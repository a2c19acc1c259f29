//! `pintpot landmarks`: points on faces, hands and people, from picture to picture.
//!
//! What it is: the kind, the pictures and the folder of networks that the command line names, and the points told or drawn. What it
//! is not: the following. The one design choice: a picture is a line, as JSON or for people, as soon as it was looked at.

use std::path::Path;

use host::format_bytes;
use pintpot::image::Source;
use pintpot::tasks::{Follow, Followed, Kind};
use serde_json::{Value, json};

use super::Verb;
use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::{pictures, report, setup, size};

pub(super) const VERB: Verb = Verb {
    name: "landmarks",
    operands: &["KIND", "PICTURE..."],
    summary: "mark the points of a face, hand or pose on pictures, each followed from the one before",
    flags: &[&[&flags::MODELS, &flags::OUT_DIR], setup::ENGINE, &[&flags::PLAN, &flags::JSON]],
    run,
};

fn run(args: &Args) -> Result<(), Failure> {
    let [kind, images @ ..] = &*args.operands else {
        return Err(Failure::usage(
            "nothing is named\n  pintpot landmarks face portrait.png --models FOLDER",
        ));
    };
    let (_, kind) = *Kind::ALL.iter().find(|(name, _)| name == kind).ok_or_else(|| {
        Failure::usage(format!("{kind:?} is not followed\n  face, hand or pose come before the pictures"))
    })?;
    let [first, ..] = images else {
        return Err(Failure::usage(
            "no picture is named\n  pintpot landmarks face portrait.png --models FOLDER",
        ));
    };
    let folder = args.get(&flags::MODELS).ok_or_else(|| {
        Failure::usage("no networks are named\n  --models FOLDER has MediaPipe's, such as face_detection_short_range.tflite")
    })?;
    let engine = setup::engine(args)?;
    let budget = engine.budget().bytes;
    let mut follow = Follow::in_folder(kind, Path::new(folder))?;
    let source = open(first)?;
    let plan = follow.plan_in(&engine, &source, budget)?;
    let lines = plan.map_err(|refused| {
        let mut text =
            format!("{first} cannot be looked at in {}; nothing was loaded\n", format_bytes(budget));
        text += &report::ledger_text(&refused.lines);
        text += &format!("  smallest budget: --memory {}", size::budget(refused.needed));
        Failure::new(Code::Budget, text)
    })?;
    if args.is_on(&flags::PLAN) {
        let smallest = follow.plan_in(&engine, &source, 0)?.map_or_else(|refused| refused.needed, |_| 0);
        let value = json!({
            "smallest_budget_bytes": smallest,
            "peak_bytes": lines.iter().map(|line| line.bytes).sum::<u64>(),
            "ledger": report::ledger(&lines),
        });
        return crate::print(&format!("{value}\n"));
    }
    drop(source);
    let folder = args.get(&flags::OUT_DIR).map(Path::new);
    if let Some(folder) = folder {
        let failed = |error| Failure::io(&format!("make {}", folder.display()), error);
        std::fs::create_dir_all(folder).map_err(failed)?;
    }
    for image in images {
        let mut followed = follow.next(&engine, &open(image)?)?;
        if let Some(folder) = folder {
            followed.found.iter().for_each(|found| found.draw(&mut followed.picture));
            let stem = Path::new(image).file_stem().unwrap_or_default();
            pictures::write(&followed.picture, &folder.join(stem).with_extension("png"))?;
        }
        crate::print(&if args.is_on(&flags::JSON) {
            format!("{}\n", told(image, &followed))
        } else {
            shown(image, &followed)
        })?;
    }
    Ok(())
}

fn open(image: &str) -> Result<Source, Failure> {
    Ok(Source::open(Path::new(image)).map_err(pintpot::Error::from)?)
}

fn told(image: &str, followed: &Followed) -> Value {
    let found = followed.found.iter().map(|found| {
        let marks = found.marks.iter().map(|mark| {
            let [x, y] = mark.at;
            match mark.visibility {
                Some(share) => json!([x, y, mark.depth, share]),
                None => json!([x, y, mark.depth]),
            }
        });
        json!({"score": found.score, "points": marks.collect::<Vec<_>>()})
    });
    json!({"image": image, "found": found.collect::<Vec<_>>(), "anew": followed.is_anew})
}

fn shown(image: &str, followed: &Followed) -> String {
    let way = if followed.is_anew { "looked for" } else { "followed" };
    let mut text = format!("{image}: {} found ({way})\n", followed.found.len());
    for found in &followed.found {
        let first = found.marks.first().map_or([0.0; 2], |mark| mark.at);
        text += &format!(
            "{:6.2} %  {} points, the first at {:.0},{:.0}\n",
            found.score * 100.0,
            found.marks.len(),
            first[0],
            first[1]
        );
    }
    text
}
