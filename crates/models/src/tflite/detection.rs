//! What detectors end with: boxes around anchors, and the choice among those that lie over one another.
//!
//! Meaning: tensorflow, `lite/kernels/detection_postprocess.cc`. The one design choice: boxes are worked out by the operators
//! that are there, in f64 as TFLite does it; only the choice has one of its own.

use super::call::{Call, Made};
use super::settings::Settings;
use super::{Importer, Row};
use crate::Error;
use graph::array::{BinaryKind, Detections, DetectionsBy, Pick, Select, Suppress, UnaryKind};
use graph::{Elem, ValueId};

pub(super) const ROWS: &[Row] = &[
    ("NON_MAX_SUPPRESSION_V4", |i, c| suppress(i, c, false)),
    ("NON_MAX_SUPPRESSION_V5", |i, c| suppress(i, c, true)),
    ("TFLite_Detection_PostProcess", detections),
];

/// Boxes that stay at most.
const MOST: usize = 1 << 20;
/// Things of a class at most, if that is not said.
const OF_CLASS: usize = 100;

fn detections(importer: &mut Importer<'_>, call: &Call<'_>) -> Result<Vec<Made>, Error> {
    let settings = Settings::read(importer, call)?;
    let count = |name, usual| settings.count(call, name, usual);
    let overlap = settings.one(call, "nms_iou_threshold")?;
    if !(overlap > 0.0 && overlap <= 1.0) {
        return call.wrong("nms_iou_threshold", "a number above 0 and up to 1 is needed");
    }
    let scores = importer.plain(call.input(1)?)?;
    let [1, boxes, width] = importer.builder.extents(scores)?[..] else {
        return call.wrong("class_predictions", "scores of each box on one picture are needed");
    };
    // There may be a score for nothing before those of classes.
    let skip = match width.checked_sub(count("num_classes", None)?) {
        Some(skip @ 0..=1) if skip < width => skip,
        _ => return call.wrong("num_classes", "as many as there are scores, or one less, is needed"),
    };
    let by = match count("use_regular_nms", Some(0))? {
        0 => DetectionsBy::Box(count("max_classes_per_detection", None)?),
        _ => DetectionsBy::Class(count("detections_per_class", Some(OF_CLASS))?),
    };
    let most = count("max_detections", None)?;
    let score = settings.one(call, "nms_score_threshold")? as f32;
    let corners = corners(importer, call, &settings)?;
    let scores = importer.builder.reshaped(scores, &[boxes, width])?;
    let op = Detections { most, by, skip, score, overlap: overlap as f32 };
    let made = importer.builder.push(op, &[corners, scores])?;
    let [told, classes, shares, number] = made[..] else { return Err(Error::NoOutput) };
    let lists = [told, classes, shares].map(|list| {
        let extents = [&[1], &importer.builder.extents(list)?[..]].concat();
        importer.builder.reshaped(list, &extents)
    });
    let lists = lists.into_iter().collect::<Result<Vec<ValueId>, Error>>()?;
    Ok(lists.into_iter().chain([number]).flat_map(Made::plain).collect())
}

/// Places of boxes that stay, likeliest first, with their scores if those are told, and how many they are; zeros behind them.
fn suppress(importer: &mut Importer<'_>, call: &Call<'_>, tells_scores: bool) -> Result<Vec<Made>, Error> {
    let most = importer.integers(call.input(2)?)?.first().copied().unwrap_or(-1);
    let most = usize::try_from(most).ok().filter(|most| *most <= MOST);
    let Some(most) = most else { return call.wrong("max_output_size", "a count is needed") };
    let mut setting = |input| {
        let id = importer.plain(call.input(input)?)?;
        importer.builder.fractions(id)?.first().map(|number| *number as f32).ok_or(Error::DataDependent)
    };
    let (overlap, score) = (setting(3)?, setting(4)?);
    if tells_scores && setting(5)? != 0.0 {
        return call.wrong("soft_nms_sigma", "0 is needed");
    }
    let (boxes, scores) = (importer.plain(call.input(0)?)?, importer.plain(call.input(1)?)?);
    let builder = &mut importer.builder;
    let [count] = builder.extents(scores)?[..] else { return call.wrong("scores", "a list is needed") };
    let all = [builder.reshaped(boxes, &[1, count, 4])?, builder.reshaped(scores, &[1, 1, count])?];
    // Here as much as is said is too much already.
    let op =
        Suppress { centered: false, most, overlap: overlap.next_down(), score: Some(score), filled: true };
    let made = builder.push(op, &all)?;
    let [rows, number] = made[..] else { return Err(Error::NoOutput) };
    let places = builder.part_along(rows, 1, 2, 1)?;
    let len = most.min(count);
    let places = builder.reshaped(places, &[len])?;
    let nothing = builder.table(Elem::I64, &[most - len], &vec![0.0; most - len])?;
    let places = builder.join(&[places, nothing], 0)?;
    let mut told = vec![builder.cast(places, Elem::I32)?];
    if tells_scores {
        let picked = builder.one(Pick { axis: 0 }, &[scores, places])?;
        let list = builder.integers_constant(&(0..most as i64).collect::<Vec<i64>>())?;
        let is = builder.of_both(BinaryKind::Less, list, number)?;
        let zero = builder.number(builder.elem(scores), 0.0);
        told.push(builder.one(Select, &[is, picked, zero])?);
    }
    let number = builder.reshaped(number, &[])?;
    told.push(builder.cast(number, Elem::I32)?);
    Ok(told.into_iter().flat_map(Made::plain).collect())
}

/// Top, left, bottom and right of boxes whose middles and sizes are said as parts of those of anchors: (box, 4).
fn corners(importer: &mut Importer<'_>, call: &Call<'_>, settings: &Settings) -> Result<ValueId, Error> {
    let (said, anchors) = (importer.plain(call.input(0)?)?, importer.plain(call.input(2)?)?);
    let builder = &mut importer.builder;
    // What stands behind the four numbers are points, which are not told.
    let (boxes, width) = match builder.extents(said)?[..] {
        [1, boxes, width] if width >= 4 => (boxes, width),
        _ => return call.wrong("box_encodings", "four numbers of each box on one picture are needed"),
    };
    if builder.extents(anchors)?[..] != [boxes, 4] {
        return call.wrong("anchors", "as many as there are boxes are needed");
    }
    let said = builder.reshaped(said, &[boxes, width])?;
    let (said, anchors) = (builder.cast(said, Elem::F64)?, builder.cast(anchors, Elem::F64)?);
    let mut pair = |of, first, names: Option<[&'static str; 2]>| {
        let pair = builder.part_along(of, 1, first, 2)?;
        let Some(names) = names else { return Ok(pair) };
        let scales = [settings.one(call, names[0])?, settings.one(call, names[1])?];
        let scales = builder.table(Elem::F64, &[2], &scales)?;
        builder.of_both(BinaryKind::Div, pair, scales)
    };
    let (from, size) = (pair(anchors, 0, None)?, pair(anchors, 2, None)?);
    let (far, long) =
        (pair(said, 0, Some(["y_scale", "x_scale"]))?, pair(said, 2, Some(["h_scale", "w_scale"]))?);
    let far = builder.of_both(BinaryKind::Mul, far, size)?;
    let middle = builder.of_both(BinaryKind::Add, far, from)?;
    let long = builder.of_each(UnaryKind::Exp, long)?;
    let half = builder.with_number(BinaryKind::Mul, long, 0.5)?;
    let half = builder.of_both(BinaryKind::Mul, half, size)?;
    let (middle, half) = (builder.cast(middle, Elem::F32)?, builder.cast(half, Elem::F32)?);
    let ends =
        [builder.of_both(BinaryKind::Sub, middle, half)?, builder.of_both(BinaryKind::Add, middle, half)?];
    builder.join(&ends, 1)
}
