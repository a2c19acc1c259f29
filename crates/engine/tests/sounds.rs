//! Networks that hear sounds window by window.
//!
//! What it is: a small network for ten words, of the form of MLPerf Tiny's and trained here, on words of a synthetic voice, beside
//! LiteRT's reference kernels fed with TensorFlow's coefficients (tests/speech/make_words.py), and sounds of odd lengths.

use pintpot::tasks::{Hear, Heard, Input, Pipeline, wav_header};
use pintpot::{Engine, Examined, Flow, NetworkFile};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests")
}

fn engine() -> Engine {
    Engine::builder().memory("256MiB".parse().unwrap()).build().unwrap()
}

fn network(engine: &Engine, name: &str) -> NetworkFile {
    let Examined::Network(file) = engine.examine(&folder().join(name)).unwrap() else { panic!("a network") };
    file
}

/// A pipeline as a user writes it.
fn written(text: &str) -> Result<Pipeline, pintpot::Error> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Pipeline::named(file.path().to_str().unwrap())
}

/// What is heard in a sound, in windows, and how long it was.
fn heard(name: &str, pipeline: &Pipeline, top: usize, sound: &[u8]) -> (Vec<Heard>, f64) {
    let engine = engine();
    let file = network(&engine, name);
    let hear = Hear { file: &file, pipeline, top };
    let mut all = Vec::new();
    let built = hear.build(&engine).unwrap();
    let told = hear.run(&engine, built, sound, &mut |heard| {
        all.push(heard);
        Flow::Continue
    });
    (all, told.unwrap().seconds)
}

/// WAV of 16 kHz.
fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = samples.iter().flat_map(|sample| sample.to_le_bytes());
    wav_header(16_000, samples.len() as u32).into_iter().chain(bytes).collect()
}

#[test]
fn words_are_those_that_litert_hears() {
    let expected = std::fs::read(folder().join("speech/words.json")).unwrap();
    let expected: Vec<Value> = serde_json::from_slice(&expected).unwrap();
    let sound = std::fs::read(folder().join("speech/words.wav")).unwrap();
    let pipeline = Pipeline::of("kws_ref_model").unwrap();
    let (windows, seconds) = heard("speech/kws_ref_model_small.tflite", &pipeline, 12, &sound);
    assert_eq!((windows.len(), seconds), (expected.len(), 3.0));
    for (window, expected) in windows.iter().zip(&expected) {
        assert_eq!(Some(window.start), expected["start"].as_f64());
        for class in &window.classes {
            let share = expected["shares"][class.index].as_f64().unwrap();
            // One step of what the network gives is 1/256.
            assert!((f64::from(class.score) - share).abs() < 0.005, "{window:?}, {expected}");
        }
    }
    let words = windows.iter().step_by(2).map(|window| &*window.classes[0].label);
    assert_eq!(words.collect::<Vec<_>>(), ["yes", "no", "left"]);
}

#[test]
fn a_sound_of_any_length_is_heard_to_its_end() {
    let pipeline = Pipeline::of("kws_ref_model").unwrap();
    for (samples, ends) in [
        (0, &[][..]),
        (1, &[1]),
        (15_999, &[15_999]),
        (16_000, &[16_000]),
        (16_001, &[16_000, 16_001]),
        (40_000, &[16_000, 24_000, 32_000, 40_000]),
    ] {
        let sound = wav(&vec![100; samples]);
        let (windows, seconds) = heard("speech/kws_ref_model_small.tflite", &pipeline, 1, &sound);
        let samples_of = |seconds: f64| (seconds * 16_000.0).round() as usize;
        let heard: Vec<usize> = windows.iter().map(|window| samples_of(window.end)).collect();
        assert_eq!((&*heard, samples_of(seconds)), (ends, samples));
    }
}

#[test]
fn samples_go_to_the_network_as_they_are() {
    // A network that makes gelu of sixty numbers tells what it was given.
    let numbers = 60;
    let settings = format!("samples = {numbers}\nhop = 0.003");
    let text = format!("[sound]\n{settings}\n[output]\ntask = \"classify\"\n");
    let pipeline = written(&text).unwrap();
    let sound: Vec<i16> = (1..=62).map(|n| n * 500).collect();
    let (windows, _) = heard("networks/litert/gelu_f32.tflite", &pipeline, numbers, &wav(&sound));
    let gelu = |x: f32| x * 0.5 * (1.0 + libm::erff(x / 2f32.sqrt()));
    assert_eq!(windows.len(), 2);
    // The second begins 48 samples later; silence follows the last.
    for (window, first, count) in [(&windows[0], 0, 60), (&windows[1], 48, 14)] {
        for class in &window.classes {
            let sample = sound.get(first + class.index).filter(|_| class.index < count);
            let expected = gelu(f32::from(*sample.unwrap_or(&0)) / 32_768.0);
            assert!((class.score - expected).abs() < 1e-5, "{window:?}");
        }
    }
    let loudest = written(&text.replace("hop", "loudness = \"loudest\"\nhop")).unwrap();
    let (windows, _) = heard("networks/litert/gelu_f32.tflite", &loudest, 1, &wav(&[-16_384, 8_192]));
    assert!((windows[0].classes[0].score - gelu(0.5)).abs() < 1e-5, "{windows:?}");
}

#[test]
fn what_a_network_does_not_take_is_told_before_it_is_loaded() {
    let engine = engine();
    let file = network(&engine, "speech/kws_ref_model_small.tflite");
    let build = |pipeline: &Pipeline| {
        Hear { file: &file, pipeline, top: 1 }.build(&engine).err().expect("a refusal").to_string()
    };
    let mut pipeline = Pipeline::of("kws_ref_model").unwrap();
    let Input::Sound(sound) = &mut pipeline.input else { panic!("a sound") };
    sound.mel.as_mut().unwrap().frames = 48;
    let error = build(&pipeline);
    assert!(error.contains("49, 10, 1]") && error.contains("48 x 10"), "{error}");
    let error = build(&Pipeline::named("mobilenetv2").unwrap());
    assert!(error.contains("pictures"), "{error}");
    let small = Engine::builder().memory("4MiB".parse().unwrap()).build().unwrap();
    let pipeline = Pipeline::of("kws_ref_model").unwrap();
    let hear = Hear { file: &file, pipeline: &pipeline, top: 1 };
    let refused = hear.run(&small, hear.build(&small).unwrap(), &b""[..], &mut |_| Flow::Stop);
    assert!(matches!(refused, Err(pintpot::Error::Refused(_))));
}

/// What may stand behind a key, and seldom does.
const ODD: &[&str] = &[
    "0",
    "1",
    "2",
    "3",
    "7",
    "10",
    "480",
    "512",
    "640",
    "8192",
    "8193",
    "48000",
    "65536",
    "1048576",
    "-1",
    "9223372036854775807",
    "0.0",
    "-0.5",
    "1e-320",
    "1e300",
    "nan",
    "inf",
    "-inf",
    "\"30 ms\"",
    "\"-1 ms\"",
    "\"1e9 ms\"",
    "\"ms\"",
    "\"db\"",
    "\"none\"",
    "\"slaney\"",
    "\"bands-time\"",
    "true",
    "[]",
];

/// Whatever the numbers of a pipeline are, it is refused, or what hears takes no more than a few mebibytes.
#[test]
fn odd_pipelines_are_refused_or_small() {
    let text = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tasks/pipelines/keyword-spotting.toml"),
    );
    let text = text.unwrap();
    let mut more = text.clone();
    for line in [
        "emphasis = 0.0",
        "floor = 0.0",
        "range = 80.0",
        "ortho = true",
        "area = false",
        "mean = 0.0",
        "std = 1.0",
    ] {
        more = more.replace("frames = 49", &format!("{line}\nframes = 49"));
    }
    let keys = more.lines().filter_map(|line| line.split_once(" = ")).map(|(key, _)| key);
    // Any word may be the name of a file of labels.
    let keys: Vec<&str> = keys.filter(|key| *key != "labels").collect();
    let (engine, mut taken) = (engine(), 0);
    let file = network(&engine, "speech/kws_ref_model_small.tflite");
    let sound = wav(&[1_000; 9]);
    for (n, key) in keys.iter().enumerate() {
        for (m, value) in ODD.iter().enumerate() {
            // Another line changes with it.
            let other = keys[(n + 5 * m + 1) % keys.len()];
            let change = |line: &str| match line.split_once(" = ") {
                Some((own, _)) if own == *key => format!("{key} = {value}\n"),
                Some((own, _)) if own == other && m % 2 == 0 => {
                    format!("{own} = {}\n", ODD[(n + m) % ODD.len()])
                }
                _ => format!("{line}\n"),
            };
            let Ok(pipeline) = written(&more.lines().map(change).collect::<String>()) else { continue };
            let hear = Hear { file: &file, pipeline: &pipeline, top: 1 };
            let Ok(built) = hear.build(&engine) else { continue };
            let data = engine.plan_network(&built).unwrap();
            let data = data.iter().find(|line| line.part == pintpot::Part::Data).map_or(0, |line| line.bytes);
            assert!(data < 32 << 20, "{key} = {value}: {data}");
            hear.run(&engine, built, &sound[..], &mut |_| Flow::Continue).unwrap();
            taken += 1;
        }
    }
    assert!(taken > 50, "only {taken} were taken");
}
