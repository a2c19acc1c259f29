//! Pictures of a sound, as TensorFlow and librosa draw them.
//!
//! What tests/speech/spectrograms.json holds was written by its make_spectrograms.py.

use std::time::Duration;

use host::CountingAlloc;
use pintpot_processors::audio::{Mel, Order, RATE, Spectrogram};
use serde_json::{Value, json};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

/// Two tones and a hiss, a second long.
fn sound() -> Vec<f32> {
    let mut state = 12_345u64;
    let sample = |t: u32| {
        state = (state * 1_103_515_245 + 12_345) & 0x7fff_ffff;
        let hiss = state as f64 / f64::from(0x7fff_ffffu32) - 0.5;
        let tone = |hertz: f64| (2.0 * std::f64::consts::PI * f64::from(t) * hertz / f64::from(RATE)).sin();
        let later = if t > RATE / 2 { 0.1 * tone(3_000.0) } else { 0.0 };
        (0.3 * tone(440.0) + later + 0.01 * hiss) as f32
    };
    (0..RATE).map(sample).collect()
}

#[test]
fn pictures_are_those_of_tensorflow_and_librosa() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/speech/spectrograms.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let sound = sound();
    assert!(cases.len() > 5);
    for case in cases {
        let settings: Spectrogram = serde_json::from_value(case["settings"].clone()).unwrap();
        settings.check(RATE).unwrap();
        let (frames, rows) = (settings.frames, settings.rows());
        let mut picture = vec![1.0; frames * rows];
        Mel::new(&settings, RATE).draw(&sound, &mut picture);
        for number in case["numbers"].as_array().unwrap() {
            let place = |n: usize| number[n].as_u64().unwrap() as usize;
            let (frame, row) = (place(0), place(1));
            let at = match settings.order {
                Order::BandsTime => row * frames + frame,
                Order::TimeBands => frame * rows + row,
            };
            let expected = number[2].as_f64().unwrap();
            let apart = (f64::from(picture[at]) - expected).abs();
            // Theirs are sums of 32-bit floats.
            let most = 2e-4 * (1.0 + expected.abs());
            assert!(apart < most, "{}: {number} is {}", case["settings"], picture[at]);
        }
    }
}

/// What draws a picture has no more on the heap than it says, and that is bounded.
#[test]
fn pictures_take_what_they_say() {
    let small = json!({"window": 1, "step": 1, "bands": 1, "frames": 1});
    let large =
        json!({"window": 5, "step": 65_536, "fft": 8192, "bands": 512, "frames": 2048, "coefficients": 512});
    let wide = json!({"window": 8192, "step": 1, "bands": 128, "frames": 8192, "scale": "htk", "slopes": "mel", "area": true});
    for settings in [small, large, wide] {
        let settings: Spectrogram = serde_json::from_value(settings).unwrap();
        settings.check(RATE).unwrap();
        let told = settings.heap_bytes(RATE);
        assert!(told < 16 << 20, "{settings:?}: {told}");
        let samples = vec![0.5; settings.samples(RATE).min(20_000)];
        let mut picture = vec![0.0; settings.frames * settings.rows()];
        let drawn = host::bounded(told, Duration::from_secs(60), move || {
            Mel::new(&settings, RATE).draw(&samples, &mut picture);
            assert!(picture.iter().all(|number| number.is_finite()));
        });
        drawn.expect("a picture takes what it says");
    }
}

#[test]
fn settings_of_no_picture_are_refused() {
    let good = json!({"window": 480, "step": 320, "bands": 40, "frames": 49, "log": "ten", "floor": 1e-10});
    let check = |value: Value| -> Result<(), String> {
        let settings: Spectrogram = serde_json::from_value(value).map_err(|error| error.to_string())?;
        settings.check(RATE)
    };
    check(good.clone()).unwrap();
    for (key, value, why) in [
        ("window", json!(0), "window"),
        ("window", json!("30"), "30 ms"),
        ("window", json!("-1 ms"), "30 ms"),
        ("window", json!(8193), "window"),
        ("fft", json!(479), "fft no fewer"),
        ("fft", json!(511), "twos, threes"),
        ("step", json!(0), "step"),
        ("emphasis", json!(1.5), "emphasis"),
        ("power", json!(3), "power"),
        ("bands", json!(0), "bands"),
        ("bands", json!(u64::MAX), "bands"),
        ("coefficients", json!(41), "coefficients"),
        ("lowest", json!(-1.0), "lowest"),
        ("lowest", json!(7_990.0), "lowest"),
        ("highest", json!(8_001.0), "8000 Hz"),
        ("floor", json!(0.0), "silence"),
        ("range", json!(-1.0), "range"),
        ("std", json!(0.0), "std"),
        ("frames", json!(0), "frames"),
        ("frames", json!(u64::MAX), "frames"),
        ("scale", json!("bark"), "bark"),
        ("hop", json!(1), "hop"),
    ] {
        let mut bad = good.clone();
        bad[key] = value;
        let error = check(bad).unwrap_err();
        assert!(error.contains(why), "{key}: {error}");
    }
}
