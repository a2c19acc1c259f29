//! The program as a user meets it: exit codes and the line that says why.
//!
//! What it is: a table of command lines that need no network. With `PINTPOT_TEST_MODELS`, a folder that holds
//! `smollm2.gguf`, also those that need a model. What it is not: a test of answers. The one design choice: folders of
//! its own, so that nothing of the user's is seen or touched.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Runs the program with an empty home.
fn pintpot(home: &Path, line: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pintpot"))
        .args(line)
        .env_clear()
        .env("HOME", home)
        .env("HF_HUB_OFFLINE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

fn check(home: &Path, cases: &[(&[&str], i32, &str)]) {
    for (line, code, said) in cases {
        let output = pintpot(home, line);
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text);
        assert_eq!(output.status.code(), Some(*code), "{line:?}: {text}");
        assert!(text.contains(said), "{line:?}: {text}");
    }
}

/// A network that tests of the formats read too.
macro_rules! sample {
    ($name:literal) => {
        concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/networks/sample/", $name)
    };
}

#[test]
fn networks_are_shown() {
    const ONNX: &str = sample!("everything_onnx/model.onnx");
    const TFLITE: &str = sample!("everything_tflite/model.tflite");
    let home = tempfile::tempdir().unwrap();
    check(
        home.path(),
        &[
            (&["show", ONNX], 0, "opset                   local.ops 1"),
            (&["show", ONNX, "--json"], 0, "{\"operator\":\"Identity\",\"nodes\":3}"),
            (&["show", TFLITE], 0, "operator                CONV_2D 1 node"),
            (&["plan", TFLITE], 4, "this operator is not supported"),
        ],
    );
}

#[test]
fn a_disk_that_is_full_leaves_nothing_half_written() {
    let home = tempfile::tempdir().unwrap();
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/tiny/gemma3-q8_0.gguf");
    // The system refuses to make a file larger than so many KiB, as a full disk does.
    let line = format!(
        "trap '' XFSZ; ulimit -f 64; exec {} pack {model} packed.gguf",
        env!("CARGO_BIN_EXE_pintpot")
    );
    let output = Command::new("bash").args(["-c", &line]).current_dir(home.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(5), "{said}");
    assert!(said.contains("cannot write") && said.contains("nothing was left there"), "{said}");
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn networks_take_arrays_and_give_them() {
    const RANGE: &str = sample!("test_range_float_type_positive_delta_expanded/model.onnx");
    const SUM: &str = sample!("test_scan_sum/model.onnx");
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let (file, folder) = (out.join("output.npy"), out.to_str().unwrap());
    let inputs = ["--input", "start=1", "--input", "limit=6", "--input", "delta=2"];
    let run = |more: &[&'static str]| -> Vec<&'static str> { [&["run", RANGE], &inputs[..], more].concat() };
    let written = [&run(&[])[..], &["--out-dir", folder]].concat();
    let array = format!("initial=@{}", file.display());
    check(
        home.path(),
        &[
            (&run(&[]), 0, "output F32[3]: 1.000000 3.000000 5.000000"),
            (&run(&["--json"]), 0, "\"data\":[1.0,3.0,5.0]"),
            (&run(&["--memory", "1MiB"]), 3, "smallest budget: --memory"),
            (&run(&["hello"]), 2, "a network takes no prompt"),
            (&["run", RANGE, "--input", "start=1"], 2, "input 'limit' is missing; it is float[]"),
            (&["run", RANGE, "--input", "nope=1"], 2, "no input 'nope'; it takes start, limit, delta"),
            (&["run", RANGE, "--input", "start=x"], 2, "a name and a file or numbers"),
            (&["plan", RANGE, "--shape", "start=1x-3"], 2, "a name and extents"),
            (&["plan", SUM], 0, "smallest budget: --memory"),
            (&["run", SUM, "--input", &array], 2, "a name and a file or numbers"),
            (&written, 0, ""),
        ],
    );
    let bytes = std::fs::read(&file).unwrap();
    assert!(bytes.starts_with(b"\x93NUMPY") && bytes.ends_with(&5f32.to_le_bytes()));
    let given = format!("start={}", file.display());
    check(home.path(), &[(&["run", RANGE, "--input", &given], 2, "is missing")]);
}

#[test]
fn a_cache_that_cannot_be_written_is_named() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("file");
    std::fs::write(&file, "").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
    command.args(["pull", "smollm2"]).env_remove("HF_HUB_OFFLINE").env("XDG_CACHE_HOME", &file);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for said in [file.to_str().unwrap(), "check the path and its permissions"] {
        assert!(text.contains(said), "{text}");
    }
}

#[test]
fn codes_and_words() {
    let home = tempfile::tempdir().unwrap();
    let junk = home.path().join("junk.gguf");
    std::fs::write(&junk, "no model at all").unwrap();
    let cut = home.path().join("cut.gguf");
    std::fs::write(&cut, b"GGUF\x03\0\0\0\xff\xff\xff").unwrap();
    let (note, empty) = (home.path().join("note.txt"), home.path().join("empty.gguf"));
    std::fs::write(&note, "hello\n").unwrap();
    std::fs::write(&empty, "").unwrap();
    let [junk, cut, note, empty] = [&junk, &cut, &note, &empty].map(|path| path.to_str().unwrap());
    check(
        home.path(),
        &[
            (&[], 0, "usage: pintpot VERB"),
            (&["--version"], 0, "pintpot "),
            (&["run", "--help"], 0, "--memory SIZE"),
            (&["frob"], 2, "there is no verb"),
            (&["run"], 2, "no model is named"),
            (&["run", "smollm2", "hi", "--frob"], 2, "there is no flag --frob"),
            (&["run", "smollm2", "hi", "--temp", "warm"], 2, "it must be a number"),
            (&["run", "smollm2", "hi", "--memory", "much"], 2, "not an amount of memory"),
            (&["run", "smollm2", "hi", "--kv", "q2"], 2, "f16 or q8_0"),
            (&["run", "smollm2", ""], 2, "the prompt is empty"),
            (&["run", "hf:one", "hi"], 2, "a repository is ORG/NAME"),
            (&["run", "smollm9", "hi"], 4, "the catalog has"),
            (&["run", "./none.gguf", "hi"], 4, "there is no file"),
            (&["run", "smollm2", "hi", "--memory", "64MiB"], 4, "fetch it first: pintpot pull smollm2"),
            (&["run", "smollm2", "hi"], 6, "HF_HUB_OFFLINE"),
            (&["pull", "hf:org/name"], 6, "HF_HUB_OFFLINE"),
            (&["plan", "hf:org/name"], 6, "HF_HUB_OFFLINE"),
            (&["run", junk, "hi"], 4, "not a model file"),
            (&["run", cut, "hi"], 5, "cut.gguf"),
            (&["run", note, "hi"], 4, "note.txt: not a model file"),
            (&["run", empty, "hi"], 5, "empty.gguf: damaged file"),
            (&["run", "/dev/null", "hi"], 4, "neither a file nor a folder"),
            (&["run", junk, "hi", "--memory", "0"], 2, "not an amount of memory"),
            (&["run", junk, "hi", "-c", "-5"], 2, "it must be a number of tokens"),
            (&["run", junk, "hi", "-t", "0"], 2, "from 1 to 1024"),
            (&["run", junk, junk, "hi"], 2, "one word too many"),
            (&["run", "--memory"], 2, "missing argument"),
            (&["ls"], 0, "no models yet"),
            (&["ls", "--json"], 0, "[]"),
            (&["rm", "smollm2"], 4, "is not on this machine"),
            (&["rm", "-m", "smollm2"], 2, "there is no flag -m here"),
            (&["run", "-m", "smollm2", "one", "two"], 2, "one word too many"),
            (&["rm", junk], 1, "remove the file yourself"),
        ],
    );
}

#[test]
fn with_a_tiny_model() {
    let home = tempfile::tempdir().unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
    let sound = std::fs::read(&tiny).unwrap();
    let with = |name: &str, old: &[u8], new: &[u8]| {
        let at = sound.windows(old.len()).position(|bytes| bytes == old).unwrap();
        let path = home.path().join(name);
        std::fs::write(&path, [&sound[..at], new, &sound[at + old.len()..]].concat()).unwrap();
        path.to_str().unwrap().to_string()
    };
    let stranger = with("stranger.gguf", b"\x05\0\0\0\0\0\0\0llama", b"\x05\0\0\0\0\0\0\0lambs");
    let layers = with("layers.gguf", b"block_count\x04\0\0\0\x02", b"block_count\x04\0\0\0\0");
    let note = home.path().join("note.txt");
    std::fs::write(&note, "hello\n").unwrap();
    let (tiny, note) = (tiny.to_str().unwrap(), note.to_str().unwrap());
    let long = "word ".repeat(600);
    check(
        home.path(),
        &[
            (&["run", tiny, "hi", "-n", "2"], 0, ""),
            (&["run", tiny, "hi", "-n", "0"], 0, ""),
            (&["run", tiny, "hi", "-n", "-1"], 2, "it must be a number of tokens"),
            (&["run", tiny, "hi", "-c", "0"], 2, "at least 1"),
            (&["run", tiny, "hi", "-c", "100000"], 2, "use -c 512 or less"),
            (&["run", tiny, &long, "-c", "64"], 2, "but the context holds 64"),
            (&["run", tiny, "hi", "--temp", "nan"], 2, "--temp is NaN"),
            (&["run", tiny, "hi", "--top-p", "2"], 2, "at most 1"),
            (&["run", tiny, "hi", "--isa", "abacus"], 2, "no kernels named 'abacus'"),
            (&["run", tiny, "hi", "--memory", "1M"], 3, "smallest budget: --memory"),
            (&["eval", tiny, "--text", note], 2, "take a longer text or a smaller --window"),
            (&["run", &stranger, "hi"], 4, "architecture 'lambs' is not supported"),
            (&["run", &layers, "hi"], 5, "layers.gguf: damaged file: 'llama.block_count' is 0"),
        ],
    );
}

#[test]
fn nobody_answers() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
    command.args(["pull", "hf:org/name"]).env_clear().env("HOME", home.path()).stdin(Stdio::null());
    let output = command.env("HF_ENDPOINT", "http://127.0.0.1:9").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("127.0.0.1"), "{text}");
}

/// Answers a request for `body`, or for a range of it; if `stuck`, half of that and then nothing, until the other side
/// is gone. Gives the range as it was asked for.
fn answer(mut stream: TcpStream, body: &[u8], stuck: bool) -> std::io::Result<String> {
    let lines = BufReader::new(stream.try_clone()?).lines();
    let head: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
    let asked =
        head.iter().find_map(|line| line.to_lowercase().strip_prefix("range: bytes=").map(str::to_string));
    let (from, to) = asked.as_deref().and_then(|range| range.split_once('-')).unwrap_or(("0", ""));
    let (from, to) = (from.parse().unwrap(), to.parse().map_or(body.len(), |last: usize| last + 1));
    let status = match &asked {
        Some(_) => format!("206 Part\r\nContent-Range: bytes {from}-{}/{}", to - 1, body.len()),
        None => "200 OK".to_string(),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nETag: \"v1\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        to - from
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body[from..if stuck { from + (to - from) / 2 } else { to }])?;
    if stuck {
        stream.read_to_end(&mut Vec::new())?;
    }
    Ok(asked.unwrap_or_default())
}

#[test]
fn a_download_that_was_killed_goes_on_where_it_was() {
    let home = tempfile::tempdir().unwrap();
    let tiny = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/tiny/llama-q4.gguf");
    let body = std::fs::read(tiny).unwrap();
    let (half, listener) = (body.len() as u64 / 2, TcpListener::bind("127.0.0.1:0").unwrap());
    let url = format!("http://{}/tiny.gguf", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().flatten().enumerate() {
            // The first asks how long it is; the second is killed.
            let range = answer(stream, &body, number == 1).unwrap_or_default();
            record.lock().unwrap().push(range);
        }
    });
    let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
    command.args(["run", &url, "hi", "-n", "2"]).env_clear().env("HOME", home.path()).stdin(Stdio::null());
    let mut first = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let begin = Instant::now();
    while largest(home.path()) < half {
        assert!(begin.elapsed() < Duration::from_secs(30), "nothing was fetched");
        std::thread::sleep(Duration::from_millis(5));
    }
    first.kill().unwrap();
    first.wait().unwrap();
    let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ranges = asked.lock().unwrap().clone();
    assert_eq!(ranges.last().unwrap(), &format!("{half}-"), "{ranges:?}");
}

/// Bytes of the largest file below a folder.
fn largest(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => largest(&entry.path()),
            _ => entry.metadata().map_or(0, |data| data.len()),
        })
        .max()
        .unwrap_or(0)
}

#[test]
fn typed_wins_over_environment_wins_over_file() {
    let home = tempfile::tempdir().unwrap();
    let config = home.path().join(".config/pintpot");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("config.toml"), "kv = \"file\"\n").unwrap();
    for (environment, typed, wins) in
        [(None, None, "file"), (Some("env"), None, "env"), (Some("env"), Some("typed"), "typed")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pintpot"));
        command.args(["run", "smollm2", "hi"]).env_clear().env("HOME", home.path()).stdin(Stdio::null());
        command.args(typed.map(|value| format!("--kv={value}")));
        command.envs(environment.map(|value| ("PINTPOT_KV", value)));
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains(&format!("--kv is {wins};")), "{text}");
    }
}

#[test]
fn with_a_model() {
    let models = std::env::var_os("PINTPOT_TEST_MODELS").unwrap_or_default();
    let model = Path::new(&models).join("smollm2.gguf");
    if !model.exists() {
        assert!(std::env::var_os("PINTPOT_TEST_STRICT").is_none(), "there is no {}", model.display());
        eprintln!("skipped: PINTPOT_TEST_MODELS names no folder with smollm2.gguf");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let model = model.to_str().unwrap();
    // The program of a test build is large itself.
    let limits = ["-c", "300", "--memory", "96MiB"];
    let answer = |more: &[&str]| {
        let output = pintpot(
            home.path(),
            &[&["run", model, "Name a colour.", "-n", "4", "--json"], &limits[..], more].concat(),
        );
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (value["text"].to_string(), value["logits_digest"].to_string())
    };
    let plain = answer(&[]);
    assert_eq!(plain, answer(&["-t", "1", "--isa", "scalar"]));
    assert_ne!(plain, answer(&["--system", "Shout."]));
    check(
        home.path(),
        &[
            (&["show", model], 0, "llama"),
            (&["plan", model, "-c", "300", "--memory", "64MiB"], 0, "smallest budget: --memory"),
            (&["plan", model, "--memory", "10MiB", "--json"], 3, "\"fits\":false"),
            (&["run", model, "hi", "--memory", "10MiB"], 3, "smallest budget: --memory"),
            (&["run", model, "hi", "-c", "1000000"], 2, "was made for"),
            (
                &["run", model, "a long prompt that is too long", "-c", "4", "--memory", "64MiB"],
                2,
                "the context holds 4",
            ),
            (&["eval", model], 2, "--text FILE"),
        ],
    );
}
