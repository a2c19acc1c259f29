//! Fuzzes the reader of `tokenizer.json`, and what it builds with a text.

#![no_main]

use processors::text::JsonTokenizer;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(survey) = JsonTokenizer::survey(bytes) else { return };
    // What a file of this length cannot hold, the engine refuses before it builds.
    if survey.counts().tokens > bytes.len() {
        return;
    }
    let Ok(tokenizer) = survey.build(bytes) else { return };
    let mut ids = Vec::new();
    let Ok(()) = tokenizer.encode_prompt("Hello  world, 1234 <s>\u{e9}\u{1f600}\n\tx", true, &mut ids) else { return };
    if let Ok(made) = tokenizer.encode_texts("Hello, w\u{f6}rld", Some("\u{4e2d} x"), 8) {
        ids.extend(made.ids);
    }
    for id in ids {
        assert!((id as usize) < tokenizer.len());
        let _ = tokenizer.bytes(id);
    }
});
