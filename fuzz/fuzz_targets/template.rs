//! Fuzzes chat templates. A template that is given up leaves a sleeping thread and what it held, so a long search
//! needs a high limit of memory.

#![no_main]

use processors::text::{ChatTemplate, Message, RenderOptions};

#[global_allocator]
static HEAP: host::CountingAlloc = host::CountingAlloc;

libfuzzer_sys::fuzz_target!(|source: &str| {
    let template = ChatTemplate::new(source, "<s>", "</s>");
    let messages = [Message::new("user", "Hello"), Message::new("assistant", "Hi")];
    let options = RenderOptions { limit: 1 << 16, ..RenderOptions::default() };
    if let Ok(text) = template.render(&messages, &options) {
        assert!(text.len() <= 1 << 16);
    }
});
