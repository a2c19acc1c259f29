//! The engine in a few lines: `cargo run --release --example answer -- MODEL MEMORY PROMPT`.

use pintpot::{Engine, Error, Flow, GenerateOptions, LoadOptions, Message};

#[global_allocator]
static ALLOCATOR: host::CountingAlloc = host::CountingAlloc;

fn main() -> Result<(), Error> {
    host::tune_malloc();
    let mut args = std::env::args().skip(1);
    let mut next = |or: &str| args.next().unwrap_or_else(|| or.to_string());
    let (path, memory, prompt) = (next("model.gguf"), next("auto"), next("What is the capital of France?"));
    let engine = Engine::builder().memory(memory.parse()?).build()?;
    let options = LoadOptions { context: Some(512), ..LoadOptions::default() };
    let mut model = engine.load(path.as_ref(), &options)?;
    let ids = model.encode_chat(&[Message::new("user", prompt)])?;
    let options = GenerateOptions { max_tokens: Some(64), ..GenerateOptions::default() };
    let answer = model.generate(&ids, &options, &mut |text| {
        print!("{text}");
        Flow::Continue
    })?;
    println!();
    eprintln!("{:?} {} {:?}", answer.finish, answer.digest, answer.timing);
    for line in &model.placement().lines {
        eprintln!("{:12} {:>12}", line.part.name(), line.bytes);
    }
    eprintln!(
        "peak {} chunk {} window {}",
        model.placement().peak(),
        model.placement().bounds.rows,
        model.placement().window_bytes
    );
    Ok(())
}
