//! Speech: what Whisper writes down of clips whose words are known, in the smallest budget that a refusal names.
//!
//! What it is: the program, in a group where there may be one. What it is not: a measure of errors. The one design choice: the
//! references are what faster-whisper 1.2.1 (CTranslate2, greedy) writes down of the same files with the same weights, to
//! the letter. `speech/fetch.py` brings models and clips.

use std::path::{Path, PathBuf};

use host::cgroup::Limits;
use pintpot_tests::{Answer, Program, absent, can_cap};

const CLIPS: [&str; 6] =
    ["librivox/0870", "librivox/0880", "librivox/0890", "librivox/0920", "librivox/0930", "beckett/beckett"];
const JOHN: &str = "And Mr. John Dashwood had then leisure to consider how much there might be prudently in his power to do \
                    for them.";
const UNLESS: &str = "Unless to be rather cold-hearted and rather selfish is to be ill-disposed.";
const AMIABLE: &str = "He might even have been made amiable himself.";
const BECKETT: &str = "Ever tried, ever failed. No matter, try again. Fail again. Fail better.";
const OF_TINY: [&str; 6] = [
    JOHN,
    "He was not an old-sposed young man.",
    UNLESS,
    "Had he married a more amiable woman, he might have been made still more respectable than he was.",
    AMIABLE,
    BECKETT,
];
const OF_BASE: [&str; 6] = [
    JOHN,
    "He was not an ill-disposed young man.",
    UNLESS,
    "Had he married a more amiable woman he might have been made still more respectable than he was?",
    AMIABLE,
    BECKETT,
];

/// The folder of test models, if it holds these.
fn folder(model: &str) -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?);
    let is_there =
        folder.join(model).exists() && CLIPS.iter().all(|clip| folder.join(format!("{clip}.wav")).exists());
    is_there.then_some(folder)
}

/// The smallest budget that the refusal of another names.
fn smallest(program: &Program, model: &str, sound: &str) -> String {
    named(&program.run(&["transcribe", model, sound, "--memory", "1MiB"]))
}

/// The smallest budget that a refusal names.
fn named(refused: &Answer) -> String {
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    let named = refused.err.lines().find_map(|line| line.trim().strip_prefix("smallest budget: --memory "));
    named.unwrap_or_else(|| panic!("no budget is named: {}", refused.err)).to_string()
}

fn check(model: &str, texts: &[&str]) {
    let Some(folder) = folder(model) else {
        return absent(model);
    };
    let program = Program::built();
    let weights = folder.join(model);
    let (name, file) = (weights.to_str().unwrap(), weights.join("model.bin"));
    let sounds = CLIPS.map(|clip| folder.join(format!("{clip}.wav")));
    let budget = smallest(&program, name, sounds[0].to_str().unwrap());
    for (sound, text) in sounds.iter().zip(texts) {
        let args = ["transcribe", name, sound.to_str().unwrap(), "--format", "json", "--memory", &budget];
        let answer = if can_cap() { capped(&program, &args, &file) } else { program.run(&args) }.json();
        assert_eq!(answer["text"].as_str(), Some(*text), "{}", sound.display());
        assert!(answer["language"].is_null() || answer["language"] == "en");
    }
}

/// What a run says whose peak and whose limit are the budget.
fn capped(program: &Program, args: &[&str], file: &Path) -> Answer {
    let budget: host::Memory = args[args.len() - 1].parse().unwrap();
    let bytes = budget.resolve().unwrap().bytes;
    let free = program.run_capped(args, file, &Limits::default()).unwrap();
    let peak = free.report.peak.unwrap();
    assert!(peak <= bytes, "{args:?}: the peak is {peak}, the budget {bytes}");
    let limited = Limits { memory: Some(bytes), ..Limits::default() };
    let answer = program.run_capped(args, file, &limited).unwrap();
    let met = (answer.code, answer.report.oom_kills, answer.report.limit_hits);
    assert_eq!(met, (Some(0), Some(0), Some(0)), "{args:?}: {}", answer.err);
    assert_eq!(answer.out, free.out, "{args:?}");
    answer
}

#[test]
fn tiny_writes_down_what_is_said() {
    check("whisper-tiny.en", &OF_TINY);
}

#[test]
fn base_writes_down_what_is_said() {
    check("whisper-base", &OF_BASE);
}

/// What Silero's own `get_speech_timestamps` finds with onnxruntime.
const SPOKEN: [(f64, f64); 6] =
    [(0.322, 1.246), (1.858, 2.846), (3.49, 4.222), (4.866, 5.63), (6.626, 7.422), (8.13, 8.926)];

#[test]
fn speech_is_heard_where_silero_hears_it() {
    let Some(folder) = folder("silero-vad") else {
        return absent("silero-vad");
    };
    let place = |name: &str| folder.join(name).to_str().unwrap().to_string();
    let (program, sound) = (Program::built(), place("beckett/beckett.wav"));
    for model in ["silero_vad.onnx", "silero_vad_16k_op15.onnx", "silero_vad_op18_ifless.onnx"] {
        let answer = program.run(&["listen", &place(&format!("silero-vad/{model}")), &sound, "--json"]);
        let value = answer.json();
        let pieces = value["speech"].as_array().unwrap_or_else(|| panic!("{model}: {}", answer.err)).iter();
        let times =
            |piece: &serde_json::Value| (piece["start"].as_f64().unwrap(), piece["end"].as_f64().unwrap());
        assert_eq!(pieces.map(times).collect::<Vec<_>>(), SPOKEN, "{model}");
    }
}

#[test]
fn a_stranger_is_no_model_of_speech() {
    let tiny = pintpot_tests::tiny(&pintpot_tests::tiny_names()[0]).0;
    let answer = Program::built().run(&["transcribe", tiny.to_str().unwrap(), "sound.wav"]);
    assert_eq!(answer.code, Some(4), "{}", answer.err);
}

/// The folder of openWakeWord's networks, if they are here.
fn wake_words() -> Option<PathBuf> {
    let folder = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?).join("openwakeword");
    folder.join("embedding_model.onnx").exists().then_some(folder)
}

const WAKE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/speech/wake.wav");

/// Frame by frame, what openWakeWord's own package hears (`speech/make_wake.py`).
#[test]
fn words_that_wake_are_heard_as_openwakeword_hears_them() {
    let Some(folder) = wake_words() else {
        return absent("openwakeword");
    };
    let expected: serde_json::Value = serde_json::from_str(include_str!("../speech/wake.json")).unwrap();
    let engine = pintpot::Engine::builder().memory("256MiB".parse().unwrap()).build().unwrap();
    for (name, expected) in expected.as_object().unwrap() {
        let built = engine.build_wake(&folder.join(format!("{name}.onnx")), None).unwrap();
        let mut wake = engine.load_wake(built).unwrap();
        // The clip has 16,000 samples of 8 bits a second behind 44 bytes.
        let bytes = std::fs::read(WAKE).unwrap();
        let samples: Vec<f32> = bytes[44..].iter().map(|byte| (f32::from(*byte) - 128.0) / 128.0).collect();
        let frames = samples.chunks(pintpot::tasks::Wake::FRAME);
        let scores: Vec<f64> = frames.map(|frame| f64::from(wake.frame(frame).unwrap()[0])).collect();
        let first = expected["first"].as_u64().unwrap() as usize;
        let expected = expected["scores"].as_array().unwrap();
        assert_eq!(scores[first..].len(), expected.len(), "{name}");
        for (score, expected) in scores[first..].iter().zip(expected) {
            let expected = expected.as_f64().unwrap();
            assert!((score - expected).abs() < 1e-3, "{name}: {score} for {expected}");
        }
    }
}

#[test]
fn words_that_wake_are_told_once_in_the_smallest_budget() {
    let Some(folder) = wake_words() else {
        return absent("openwakeword");
    };
    let program = Program::built();
    for (name, at) in [("alexa_v0.1", 1.9), ("hey_jarvis_v0.1", 3.4)] {
        let file = folder.join(format!("{name}.onnx"));
        let model = file.to_str().unwrap();
        let budget = named(&program.run(&["listen", model, WAKE, "--memory", "1MiB"]));
        let args = ["listen", model, WAKE, "--json", "--memory", &budget];
        let answer = if can_cap() { capped(&program, &args, &file) } else { program.run(&args) }.json();
        let words = answer["words"].as_array().unwrap();
        assert_eq!(words.len(), 1, "{answer}");
        assert!((words[0]["at"].as_f64().unwrap() - at).abs() < 0.3, "{answer}");
        assert!(words[0]["score"].as_f64().unwrap() > 0.5, "{answer}");
    }
}

/// Sample by sample what onnxruntime makes of the same phonemes (`speech/make_speak.py`), and the same again for the same seed.
#[test]
fn a_voice_says_what_onnxruntime_says() {
    let folder = std::env::var_os("PINTPOT_TEST_MODELS").map(PathBuf::from).unwrap_or_default();
    let voice = folder.join("piper-joe/en_US-joe-medium.onnx");
    if !voice.with_extension("onnx.json").exists() {
        return absent("piper-joe");
    }
    let expected: serde_json::Value = serde_json::from_str(include_str!("../speech/speak.json")).unwrap();
    let phonemes = expected["phonemes"].as_str().unwrap();
    let engine = pintpot::Engine::builder().memory("256MiB".parse().unwrap()).build().unwrap();
    let speak = engine.open_speak(&voice).unwrap();
    let say = |seed, noise| {
        let (mut sound, options) = (Vec::new(), pintpot::tasks::SpeakOptions { seed, noise });
        speak.say(&engine, phonemes, &options, &mut |samples| sound.extend_from_slice(samples)).unwrap();
        sound
    };
    let plain = say(1, Some(0.0));
    assert_eq!(plain.len() as u64, expected["count"].as_u64().unwrap());
    for (ours, theirs) in plain.iter().step_by(97).zip(expected["samples"].as_array().unwrap()) {
        assert!((f64::from(*ours) - theirs.as_f64().unwrap()).abs() < 1e-4, "{ours} for {theirs}");
    }
    assert_eq!(plain, say(2, Some(0.0)));
    let chance = say(1, None);
    assert!(chance == say(1, None) && chance != say(2, None));
}

/// A budget is refused for each half; the one that the second names is enough for both.
#[test]
fn a_voice_speaks_in_the_smallest_budget() {
    let folder = std::env::var_os("PINTPOT_TEST_MODELS").map(PathBuf::from).unwrap_or_default();
    let voice = folder.join("piper-joe/en_US-joe-medium.onnx");
    if !voice.with_extension("onnx.json").exists() {
        return absent("piper-joe");
    }
    let (program, scratch) = (Program::built(), tempfile::tempdir().unwrap());
    let said = scratch.path().join("said.wav");
    let (model, out) = (voice.to_str().unwrap(), said.to_str().unwrap());
    let args = ["speak", model, "--phonemes", "həlˈoʊ", "--out", out, "--memory"];
    let first = named(&program.run(&[&args[..], &["16MiB"]].concat()));
    let budget = named(&program.run(&[&args[..], &[&first]].concat()));
    assert!(!said.exists(), "what was refused has left a file");
    let args = [&args[..], &[&budget]].concat();
    let answer = if can_cap() { capped(&program, &args, &voice) } else { program.run(&args) };
    assert_eq!(answer.code, Some(0), "{}", answer.err);
    let wav = std::fs::read(&said).unwrap();
    let stated = u32::from_le_bytes(wav[40..44].try_into().unwrap()) as usize;
    assert_eq!((&wav[..4], stated), (&b"RIFF"[..], wav.len() - 44));
}
