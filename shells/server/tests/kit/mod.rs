//! A server with a real model on a free port, and a client that writes bytes as they are.
//!
//! Not a mock: the sockets are the system's. The one design choice: the client knows no more of HTTP than it takes to split
//! a reply, so that it can be as rude as a test wants.

#![allow(dead_code)] // every file of tests uses a part of it

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pintpot::tasks::SpeechService;
use pintpot::{Crowd, Engine, LoadOptions, Service, Shelved};
use pintpot_server::{Facts, Limits, Scribe, Scribes, Served, Server};
use serde_json::Value;

/// A server that runs until it is dropped.
pub struct Running {
    pub address: SocketAddr,
    pub stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What came back.
#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// The values of a stream of events, without the last, which says that it is done.
    pub fn events(&self) -> Vec<Value> {
        let mut events: Vec<&str> = self.body.split("\n\n").collect();
        assert_eq!(events.pop(), Some(""), "{}", self.body);
        assert_eq!(events.pop(), Some("data: [DONE]"), "{}", self.body);
        let json = |event: &str| serde_json::from_str(event.strip_prefix("data: ").unwrap()).unwrap();
        events.into_iter().filter(|event| !event.starts_with(':')).map(json).collect()
    }
}

/// How models are loaded that share a budget.
pub fn several(context: u32, limits: &Limits) -> LoadOptions {
    let crowd = Crowd { answers: 4, queue: 16, contexts: 2, connections: limits.bytes() };
    LoadOptions { context: Some(context), crowd: Some(crowd), ..LoadOptions::default() }
}

impl Running {
    /// Serves `model` as "m" in a context of so many tokens.
    pub fn start(model: &Path, context: u32, change: impl FnOnce(&mut Served, &mut Crowd)) -> Running {
        let limits = Limits { drain: Duration::from_secs(20), ..Limits::new(Some(context)) };
        let mut served = Served {
            host: "127.0.0.1".into(),
            port: 0,
            api_keys: Vec::new(),
            queue: 0,
            max_tokens: None,
            limits,
        };
        let mut crowd = Crowd { answers: 4, queue: 16, contexts: 4, connections: 0 };
        change(&mut served, &mut crowd);
        served.queue = crowd.queue;
        let (stop, path) = (Arc::new(AtomicBool::new(false)), model.to_path_buf());
        let (tell, told) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let engine = Engine::builder().memory("1GiB".parse().unwrap()).threads(Some(2)).build().unwrap();
            let options =
                LoadOptions { context: Some(context), crowd: Some(crowd), ..LoadOptions::default() };
            let model = engine.load(&path, &options).unwrap();
            let facts = Facts { name: "m".into(), context, ..Facts::default() };
            let ledger = engine.ledger().clone();
            let service = Service::start(model, crowd.queue as usize).unwrap();
            let server = Server::new(served, vec![facts], ledger, service).unwrap();
            tell.send(server.address().unwrap()).unwrap();
            server.run(&stopped);
        });
        Running { address: told.recv().unwrap(), stop, thread: Some(thread) }
    }

    /// Serves several models in a budget; each is called as its file is.
    pub fn share(models: &[PathBuf], context: u32, budget: u64, keep: Option<Duration>) -> Running {
        let limits = Limits { drain: Duration::from_secs(20), ..Limits::new(Some(context)) };
        let options = several(context, &limits);
        let (host, queue) = ("127.0.0.1".to_string(), 16);
        let served = Served { host, port: 0, api_keys: Vec::new(), queue, max_tokens: None, limits };
        let (stop, models) = (Arc::new(AtomicBool::new(false)), models.to_vec());
        let (tell, told) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let memory = budget.to_string().parse().unwrap();
            let engine = Engine::builder().memory(memory).threads(Some(2)).build().unwrap();
            let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_string();
            let facts = models.iter().map(|path| Facts { name: name(path), context, ..Facts::default() });
            let facts = facts.collect();
            let shelved =
                |path: &PathBuf| Shelved { name: name(path), path: path.clone(), options, prepare: None };
            let shelved = models.iter().map(shelved).collect();
            let ledger = engine.ledger().clone();
            let service = Service::share(engine, shelved, 16, keep, None).unwrap();
            let server = Server::new(served, facts, ledger, service).unwrap();
            tell.send(server.address().unwrap()).unwrap();
            server.run(&stopped);
        });
        Running { address: told.recv().unwrap(), stop, thread: Some(thread) }
    }

    /// Serves a model of speech in a budget.
    pub fn speech(model: &Path, budget: &str) -> Running {
        let (limits, host, queue) = (Limits::silent().and_speech(), "127.0.0.1".to_string(), 4);
        let served = Served { host, port: 0, api_keys: Vec::new(), queue, max_tokens: None, limits };
        let (stop, path, memory) =
            (Arc::new(AtomicBool::new(false)), model.to_path_buf(), budget.parse().unwrap());
        let (tell, told) = channel();
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let engine = Engine::builder().memory(memory).threads(Some(2)).build().unwrap();
            let speech = engine.open_speech(&path).unwrap().with_connections(limits.bytes());
            let service = SpeechService::start(engine.load_speech(speech).unwrap(), queue as usize).unwrap();
            let scribe = Scribe { facts: Facts { name: "w".into(), ..Facts::default() }, service };
            let ledger = engine.ledger().clone();
            let scribes = Scribes::new(vec![scribe], &ledger, (ledger.budget() - ledger.used()) / 2);
            let service = Service::empty(ledger.budget()).unwrap();
            let server = Server::new(served, Vec::new(), ledger, service).unwrap().with_speech(scribes);
            tell.send(server.address().unwrap()).unwrap();
            server.run(&stopped);
        });
        Running { address: told.recv().unwrap(), stop, thread: Some(thread) }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// Sends bytes and reads all that comes back.
    pub fn raw(&self, bytes: &[u8]) -> Reply {
        let mut stream = self.connect();
        // Who is refused early may not get all of it out.
        let _ = stream.write_all(bytes);
        read(&mut stream)
    }

    pub fn send(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        self.raw(request(method, path, headers, body).as_bytes())
    }

    pub fn get(&self, path: &str) -> Reply {
        self.send("GET", path, "", "")
    }

    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, "", &body.to_string())
    }

    /// A figure of `/metrics`.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.starts_with(&format!("pintpot_{name}{{")));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok())
            .unwrap_or_else(|| panic!("{name}: {text}"))
    }

    /// Waits until a figure of `/metrics` is what it should be.
    pub fn until(&self, name: &str, value: f64) {
        let start = Instant::now();
        while self.metric(name) != value {
            assert!(start.elapsed() < Duration::from_secs(20), "{name} is {}", self.metric(name));
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells it to end and waits until it has.
    pub fn end(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// A request that closes its connection afterwards.
pub fn request(method: &str, path: &str, headers: &str, body: &str) -> String {
    let (mut kind, mut length) = ("", String::new());
    if !body.is_empty() {
        kind = "Content-Type: application/json\r\n";
        length = format!("Content-Length: {}\r\n", body.len());
    }
    format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{kind}{length}{headers}\r\n{body}"
    )
}

/// Reads a reply to the end of its connection.
pub fn read(stream: &mut TcpStream) -> Reply {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    let body = if chunked { joined(body) } else { body.to_string() };
    Reply { status, head: head.to_string(), body }
}

/// A body that came in chunks.
fn joined(mut body: &str) -> String {
    let mut whole = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap_or(0);
        if size == 0 || rest.len() < size {
            break;
        }
        whole.push_str(&rest[..size]);
        body = rest[size..].trim_start_matches("\r\n");
    }
    whole
}
