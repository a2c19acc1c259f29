//! What is followed: faces, hands, people; the rules of each.
//!
//! What it is: which files, which outputs, and which points say where it is. What it is not: the way from picture to picture. The
//! one design choice: a kind is a value with its rules as data and two functions.

use super::{Mark, Point};
use crate::tasks::roi::{Grow, Roi, angle};
use crate::tasks::values::sigmoid;
use crate::tasks::{Fit, Object, PictureInput};
use crate::{Error, Extents};
use processors::image::{CHANNELS, Filter, Layout};
use std::path::{Path, PathBuf};

/// What is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 468 points of a face.
    Face,
    /// 21 points of a hand.
    Hand,
    /// 33 points of a person.
    Pose,
}

/// The rules of a kind.
pub(super) struct Rules {
    /// Pixels of a side of what the marker sees.
    pub side: usize,
    /// Its outputs: the points, how likely it is one, and maps of where each point is.
    pub points: &'static str,
    pub score: &'static str,
    pub heat: Option<&'static str>,
    /// Whether the score is not a share yet.
    pub is_logit: bool,
    /// Numbers of a point.
    pub values: usize,
    /// A factor of its depth.
    pub depth: f32,
    /// Points that are told.
    pub count: usize,
    /// How many are followed at once.
    pub most: usize,
    /// Where the points are looked for after it was found, and after they were marked.
    pub from_object: fn(&Object) -> Option<Roi>,
    pub from_marks: fn(&[Mark]) -> Option<Roi>,
}

static FACE: Rules = Rules {
    side: 192,
    points: "conv2d_21",
    score: "conv2d_31",
    heat: None,
    is_logit: true,
    values: 3,
    depth: 1.0,
    count: 468,
    most: 4,
    from_object: |face| {
        let (right, left) = (*face.points.first()?, *face.points.get(1)?);
        Some(upright(face, angle(right, left, false)).grown(Grow { shift: 0.0, scale: 1.5 }))
    },
    from_marks: |marks| {
        let (right, left) = (marks.get(33)?.at, marks.get(263)?.at);
        let bounds = Roi::around(marks.iter().map(|mark| mark.at), 0.0);
        Some(Roi { angle: angle(right, left, false), ..bounds }.grown(Grow { shift: 0.0, scale: 1.5 }))
    },
};

/// Points of a hand that lie still while its fingers move.
const STILL: [usize; 12] = [0, 1, 2, 3, 5, 6, 9, 10, 13, 14, 17, 18];

static HAND: Rules = Rules {
    side: 224,
    points: "Identity",
    score: "Identity_1",
    heat: None,
    is_logit: false,
    values: 3,
    depth: 2.5,
    count: 21,
    most: 2,
    from_object: |palm| {
        let (wrist, middle) = (*palm.points.first()?, *palm.points.get(2)?);
        Some(upright(palm, angle(wrist, middle, true)).grown(Grow { shift: -0.5, scale: 2.6 }))
    },
    from_marks: |marks| {
        let at = |index: usize| marks.get(index).map(|mark| mark.at);
        let (wrist, index, middle, ring) = (at(0)?, at(5)?, at(9)?, at(13)?);
        let root: Point = std::array::from_fn(|axis| ((index[axis] + ring[axis]) / 2.0 + middle[axis]) / 2.0);
        let still = STILL.iter().filter_map(|&index| at(index));
        Some(Roi::around(still, angle(wrist, root, true)).grown(Grow { shift: -0.1, scale: 2.0 }))
    },
};

static POSE: Rules = Rules {
    side: 256,
    points: "Identity",
    score: "Identity_1",
    heat: Some("Identity_3"),
    is_logit: false,
    values: 5,
    depth: 1.0,
    count: 33,
    most: 1,
    from_object: |person| {
        let (hips, reach) = (*person.points.first()?, *person.points.get(1)?);
        Some(Roi::reaching(hips, reach).grown(Grow { shift: 0.0, scale: 1.25 }))
    },
    from_marks: |marks| {
        let (hips, reach) = (marks.get(33)?.at, marks.get(34)?.at);
        Some(Roi::reaching(hips, reach).grown(Grow { shift: 0.0, scale: 1.25 }))
    },
};

/// The box of a thing as it stands on the picture, to be turned about its middle.
fn upright(object: &Object, angle: f32) -> Roi {
    Roi { angle, ..Roi::around(object.corners.into_iter(), 0.0) }
}

impl Kind {
    /// All kinds, by name.
    pub const ALL: [(&'static str, Kind); 3] =
        [("face", Kind::Face), ("hand", Kind::Hand), ("pose", Kind::Pose)];

    pub(super) fn rules(self) -> &'static Rules {
        match self {
            Kind::Face => &FACE,
            Kind::Hand => &HAND,
            Kind::Pose => &POSE,
        }
    }

    /// The detector and the marker in a folder.
    pub(super) fn files(self, folder: &Path) -> Result<(PathBuf, PathBuf), Error> {
        let (detectors, markers): (&[&str], &[&str]) = match self {
            Kind::Face => (&["face_detection_short", "face_detection"], &["face_landmark"]),
            Kind::Hand => (&["palm_detection"], &["hand_landmark"]),
            Kind::Pose => (&["pose_detection"], &["pose_landmark"]),
        };
        let failed = |source| Error::Host(host::Error::Open { path: folder.to_path_buf(), source });
        let entries = std::fs::read_dir(folder).map_err(failed)?;
        let mut paths: Vec<PathBuf> =
            entries.take(4096).filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let named = |begin: &str| {
            paths.iter().find(|path| {
                path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(begin))
            })
        };
        let find = |begins: &[&str], what| {
            let found = begins.iter().find_map(|begin| named(begin)).cloned();
            found.ok_or(Error::NoPart { folder: folder.to_path_buf(), what })
        };
        let detector = find(detectors, "detector (face_detection, palm_detection or pose_detection)")?;
        Ok((detector, find(markers, "network of points (face_landmark, hand_landmark or pose_landmark)")?))
    }
}

impl Rules {
    /// What the marker sees.
    pub fn input(&self) -> PictureInput {
        PictureInput {
            name: None,
            width: self.side,
            height: self.side,
            fit: Fit::Stretch,
            border: 0,
            shorter: 0,
            filter: Filter::Linear,
            sampled: true,
            scale: 1.0 / 255.0,
            mean: [0.0; CHANNELS],
            std: [1.0; CHANNELS],
            bgr: false,
            layout: Layout::Nhwc,
        }
    }
}

/// Moves points, in pixels of `side`, to the middle of the heat around them, where it is hot enough.
pub(super) fn refine(points: &mut [[f32; 5]], side: usize, extents: &Extents, heat: &[f32]) {
    const AROUND: usize = 3;
    const HOT: f32 = 0.5;
    let [_, rows, columns, maps] = **extents else { return };
    if heat.len() != rows * columns * maps {
        return;
    }
    for (map, point) in points.iter_mut().enumerate().take(maps) {
        let [x, y] = [point[0] / side as f32 * columns as f32, point[1] / side as f32 * rows as f32];
        // What is not on the map, or is no number, stays.
        if !(0.0..columns as f32).contains(&x) || !(0.0..rows as f32).contains(&y) {
            continue;
        }
        let (column, row) = (x as usize, y as usize);
        let (mut sum, mut sum_x, mut sum_y, mut hottest) = (0.0, 0.0, 0.0, 0f32);
        for row in row.saturating_sub(AROUND)..(row + AROUND + 1).min(rows) {
            for column in column.saturating_sub(AROUND)..(column + AROUND + 1).min(columns) {
                let share = sigmoid(heat[(row * columns + column) * maps + map]);
                sum += share;
                sum_x += share * column as f32;
                sum_y += share * row as f32;
                hottest = hottest.max(share);
            }
        }
        if hottest >= HOT && sum > 0.0 {
            point[0] = sum_x / sum / columns as f32 * side as f32;
            point[1] = sum_y / sum / rows as f32 * side as f32;
        }
    }
}
