//! A file that somebody touches while a model is streamed from it.
//!
//! What it is: cut off, written over, and replaced under its name, in the middle of an answer. What it is not: a damaged
//! file from the start, which is `hostile`'s. The one design choice: an answer is either right or an error.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use pintpot::{Completion, Engine, Error, Flow, GenerateOptions, LoadOptions, Trouble};
use pintpot_tests::{tall, tiny};

/// Answers with as little memory as there can be; `touch` is called at the third piece of text.
fn answer(path: &Path, ids: &[u32], touch: &dyn Fn()) -> Result<Completion, Error> {
    let options = LoadOptions { context: Some(128), ..LoadOptions::default() };
    let roomy = Engine::builder().memory("4GiB".parse()?).build()?;
    let opened = roomy.open(path)?;
    let least = match roomy.plan_in(&opened, &options, 0)? {
        Ok(placement) => placement.peak(),
        Err(refusal) => refusal.needed,
    };
    let engine = Engine::builder().memory((least + (1 << 20)).to_string().parse()?).build()?;
    let mut model = engine.load_opened(opened, &options)?;
    assert!(model.placement().streamed_bytes() > 0, "{} is not streamed", path.display());
    let generate = GenerateOptions { max_tokens: Some(30), ignore_end: true, ..GenerateOptions::default() };
    let mut pieces = 0;
    model.generate(ids, &generate, &mut |_| {
        pieces += 1;
        if pieces == 3 {
            touch();
        }
        Flow::Continue
    })
}

#[test]
fn an_answer_is_right_or_an_error() {
    for (name, layers) in [("llama-q4.gguf", 256), ("qwen3moe-q4.gguf", 192)] {
        let folder = tempfile::tempdir().unwrap();
        let (short, reference) = tiny(name);
        let (path, other) = (folder.path().join(name), folder.path().join("other"));
        let ids = &reference.ids[..20];
        let write = |path: &Path| tall(&short, layers, path);
        write(&path);
        let plain = answer(&path, ids, &|| ()).unwrap().digest;

        let cut = || File::options().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        let error = answer(&path, ids, &cut).map(|answer| answer.digest.to_string()).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Damaged, "{name}: {error}");
        assert!(error.to_string().contains("was changed"), "{name}: {error}");

        write(&path);
        let over = || {
            let file = File::options().write(true).open(&path).unwrap();
            let end = file.metadata().unwrap().len();
            file.write_all_at(&[0x5a; 64 << 10], end / 2).unwrap();
        };
        let error = answer(&path, ids, &over).map(|answer| answer.digest.to_string()).unwrap_err();
        assert_eq!(error.trouble(), Trouble::Damaged, "{name}: {error}");

        // Whoever replaces a file as one should leaves the old one to those who read it.
        write(&path);
        let replaced = || {
            fs::write(&other, b"something else").unwrap();
            fs::rename(&other, &path).unwrap();
        };
        assert_eq!(answer(&path, ids, &replaced).unwrap().digest, plain, "{name}");
    }
}
