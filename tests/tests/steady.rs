//! A step takes no memory: however many layers there are, a token costs no more than a few words of text, and a run of a network
//! nothing at all.
//!
//! What it is: allocations of the whole process between two tokens, of models that are streamed, experts among them, and of
//! runs of a network. What it is not: the promise about bytes, which is `budget`'s.

use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use host::CountingAlloc;
use pintpot::tasks::Tensor;
use pintpot::{Engine, Flow, GenerateOptions, LoadOptions, Trouble};
use pintpot_tests::{tall, tiny};

#[global_allocator]
static HEAP: CountingAlloc = CountingAlloc;

/// Allocations are counted for the whole process, so one test runs at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Allocations that a token's text and the list of tokens may take.
const WORDS: u64 = 8;

#[test]
fn a_token_takes_no_memory() {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
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
            // Behind the first, what the prompt needed becomes room for weights.
            let most = counts[2..].windows(2).map(|two| two[1] - two[0]).max().unwrap();
            // A text may be held back for a few tokens.
            assert!(
                most <= 4 * WORDS,
                "{name} in {budget} bytes: {most} allocations from one text to the next"
            );
        }
    }
}

/// A field of a message of protocol buffers: text or another message.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, bytes.len() as u8], bytes].concat()
}

/// An array of eight numbers, by its name, as ONNX declares inputs and outputs.
fn port(name: &str) -> Vec<u8> {
    let extent = field(1, &[1 << 3, 8]);
    let array = [vec![1 << 3, 1], field(2, &extent)].concat();
    [field(1, name.as_bytes()), field(2, &field(1, &array))].concat()
}

/// An ONNX model: eight numbers through ten operators, each added to the input.
fn ten_nodes() -> Vec<u8> {
    let operators = ["Add", "Mul", "Sub", "Tanh", "Max", "Sigmoid", "Div", "Sqrt", "Min", "Exp"];
    let nodes = operators.iter().enumerate().map(|(n, operator)| {
        let from = if n == 0 { "x".to_string() } else { format!("v{n}") };
        let inputs = match *operator {
            "Tanh" | "Sigmoid" | "Sqrt" | "Exp" => field(1, from.as_bytes()),
            _ => [field(1, from.as_bytes()), field(1, b"x")].concat(),
        };
        let node =
            [inputs, field(2, format!("v{}", n + 1).as_bytes()), field(4, operator.as_bytes())].concat();
        field(1, &node)
    });
    let nodes: Vec<u8> = nodes.flatten().collect();
    let graph = [nodes, field(2, b"ten"), field(11, &port("x")), field(12, &port("v10"))].concat();
    let length = [(graph.len() as u8 & 0x7f) | 0x80, (graph.len() >> 7) as u8];
    let version = field(8, &[2 << 3, 17]);
    [&[1 << 3, 8, 7 << 3 | 2][..], &length, &graph, &version].concat()
}

#[test]
fn a_run_of_a_network_takes_no_memory() {
    const RUNS: u32 = 10_000;
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ten.onnx");
    std::fs::write(&path, ten_nodes()).unwrap();
    let engine = Engine::builder().memory("64MiB".parse().unwrap()).threads(Some(2)).build().unwrap();
    let mut network = engine.tensors(&path, &[]).unwrap();
    let fed: [f32; 8] = std::array::from_fn(|n| 0.5 + n as f32 / 8.0);
    let eight = Tensor::new(&[8], &fed).unwrap();
    let mut run = |runs: u32| {
        let (before, start) = (host::allocations(), Instant::now());
        (0..runs).for_each(|_| network.run(&[("x", eight)]).unwrap());
        (host::allocations() - before, start.elapsed())
    };
    run(100);
    let (allocations, time) = run(RUNS);
    println!("{RUNS} runs of ten nodes: {:.2} us each", time.as_secs_f64() * 1e6 / f64::from(RUNS));
    assert_eq!(allocations, 0);
    let x = 0.5f32;
    let tanh = ((x + x) * x - x).tanh();
    let want = ((1.0 / (1.0 + (-tanh.max(x)).exp())) / x).sqrt().min(x).exp();
    let made = network.output("v10").unwrap();
    let numbers = made.elements::<f32>().unwrap();
    assert!(numbers.len() == 8 && (numbers[0] - want).abs() < 1e-5, "{numbers:?} {want}");
    assert!(made.elements::<i32>().is_none() && network.output("v11").is_none());
    let wide = Tensor::new(&[2, 4], &fed).unwrap();
    let whole = Tensor::new(&[8], &[1i32; 8]).unwrap();
    for given in [vec![], vec![("y", eight)], vec![("x", wide)], vec![("x", whole)]] {
        assert_eq!(network.run(&given).unwrap_err().trouble(), Trouble::Usage, "{given:?}");
    }
    assert!(Tensor::new(&[9], &fed).is_err() && Tensor::new(&[usize::MAX, 2], &fed).is_err());
}
