//! Fuzzes the reader of WAV, and what makes a sound of any rate one of 16 kHz: it takes no more heap than it says.

#![no_main]

use std::time::Duration;

use host::CountingAlloc;
use processors::audio::Sound;

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

const TIME: Duration = Duration::from_secs(5);

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let bytes = bytes.to_vec();
    let heard = host::bounded(Sound::<&[u8]>::HEAP_BYTES, TIME, move || {
        let Ok(mut sound) = Sound::new(&bytes[..]) else { return };
        let mut samples = [0.0; 512];
        while let Ok(count) = sound.read(&mut samples) {
            assert!(samples[..count].iter().all(|sample| sample.is_finite()));
            if count < samples.len() {
                return;
            }
        }
    });
    heard.expect("a sound takes what it says");
});
