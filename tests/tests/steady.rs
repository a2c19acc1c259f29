//! A step takes no memory: however many layers there are, a token costs no more than a few words of text.
//!
//! What it is: allocations of the whole process between two tokens, of models that are streamed, experts among them. What
//! it is not: the promise about bytes, which is `budget`'s.

use std::cell::RefCell;

use host::CountingAlloc;
use pintpot::{Engine, Flow, GenerateOptions, LoadOptions};
use pintpot_tests::{tall, tiny};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

/// Allocations that a token's text and the list of tokens may take.
const WORDS: u64 = 8;

#[test]
fn a_token_takes_no_memory() {
    let models = [
        ("deepseek3-tiny.gguf", 96),
        ("gpt-oss-mxfp4.gguf", 96),
        ("llama-q4.gguf", 256),
        ("qwen2moe-q8_0.gguf", 96),
    ];
    for (name, layers) in models {
        let folder = tempfile::tempdir().unwrap();
        let ((short, reference), path) = (tiny(name), folder.path().join(name));
        tall(&short, layers, &path);
        let options = LoadOptions { context: Some(128), ..LoadOptions::default() };
        let roomy = Engine::builder().memory("4GiB".parse().unwrap()).build().unwrap();
        let opened = roomy.open(&path).unwrap();
        let least = roomy.plan_in(&opened, &options, 0).unwrap().unwrap_err().needed;
        for budget in [least + (1 << 20), 4 << 30] {
            let memory = budget.to_string().parse().unwrap();
            let engine = Engine::builder().memory(memory).build().unwrap();
            let mut model = engine.load(&path, &options).unwrap();
            let counts = RefCell::new(Vec::with_capacity(64));
            let generate =
                GenerateOptions { max_tokens: Some(40), ignore_end: true, ..GenerateOptions::default() };
            model
                .generate(&reference.ids[..20], &generate, &mut |_| {
                    counts.borrow_mut().push(host::allocations());
                    Flow::Continue
                })
                .unwrap();
            let counts = counts.into_inner();
            let most = counts.windows(2).map(|two| two[1] - two[0]).max().unwrap();
            // A text may be held back for a few tokens.
            assert!(
                most <= 4 * WORDS,
                "{name} in {budget} bytes: {most} allocations from one text to the next"
            );
        }
    }
}
