//! Boxes on a picture, as OpenCV chooses among those that onnxruntime says, and as LiteRT tells them.
//!
//! What it is: little networks of the forms that detectors have. What boxes/ holds was written by tests/pictures/boxes.py.

use pintpot::image::Source;
use pintpot::tasks::{Input, Look, Pipeline, Seen, Task};
use pintpot::{Engine, Examined};
use serde_json::Value;
use std::path::Path;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/pictures/boxes");

#[test]
fn boxes_are_those_of_opencv() {
    let folder = Path::new(FOLDER);
    let references: Value =
        serde_json::from_slice(&std::fs::read(folder.join("found.json")).unwrap()).unwrap();
    for (form, pipeline) in [
        ("columns.onnx", "yolo"),
        ("rows.onnx", "yolo-object"),
        ("chosen.onnx", "yolo-chosen"),
        ("apart.onnx", concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/pictures/boxes/apart.toml")),
        ("ssd.tflite", "ssd-mobilenet"),
    ] {
        let engine = Engine::builder().memory("64MiB".parse().unwrap()).build().unwrap();
        let Examined::Network(file) = engine.examine(&folder.join(form)).unwrap() else {
            panic!("{form}: a network")
        };
        let mut pipeline = Pipeline::named(pipeline).unwrap();
        let Input::Picture(picture) = &mut pipeline.input else { panic!("{form}: a picture") };
        (picture.width, picture.height) = (64, 64);
        let Task::Boxes(boxes) = &mut pipeline.output else { panic!("{form}: boxes") };
        boxes.threshold = 0.6;
        // Those that have chosen say so by 1.
        boxes.overlap = if boxes.overlap < 1.0 { 0.3 } else { 1.0 };
        let source = Source::open(&folder.join("picture.png")).unwrap();
        let look = Look { file: &file, pipeline: &pipeline, source: &source, keep: false, top: 0 };
        let seen = look.run(&engine, look.build(&engine).unwrap()).unwrap().seen;
        let Seen::Objects(objects) = seen else { panic!("{form}: {seen:?}") };
        let (name, _) = form.split_once('.').unwrap();
        let expected = references[name].as_array().unwrap();
        assert_eq!(objects.len(), expected.len(), "{form}: {objects:?}");
        for (object, expected) in objects.iter().zip(expected) {
            let near = |ours: f32, theirs: &Value, by: f64| {
                assert!(
                    (f64::from(ours) - theirs.as_f64().unwrap()).abs() < by,
                    "{form}: {object:?}, {expected}"
                );
            };
            // A step of the bytes of a picture is twice as much.
            near(object.score, &expected["score"], 2e-3);
            for (corner, n) in object.corners.iter().zip(0..) {
                corner
                    .iter()
                    .zip(0..)
                    .for_each(|(&at, m): (_, usize)| near(at, &expected["corners"][n][m], 0.01));
            }
            let label = if expected["class"] == 0 { "person" } else { "bicycle" };
            assert_eq!(object.label.as_deref(), Some(label), "{form}");
        }
    }
}
