//! A small HTTP server for tests, on this machine only.
//!
//! What it is: canned answers, one per request, with ranges, early hang-ups and a record of what was asked. What it is
//! not: HTTP beyond that; one connection serves one request. The one design choice: std alone.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::Settings;

/// Folders below `dir`, and `endpoint` for a hub.
pub(crate) fn settings(dir: &Path, endpoint: &str) -> Settings {
    Settings {
        models: dir.join("models"),
        hf_cache: dir.join("hf"),
        hf_endpoint: endpoint.to_string(),
        hf_token: Some("secret".to_string()),
        ca_file: None,
        offline: false,
    }
}

/// What the server says to one request.
#[derive(Clone)]
pub(crate) struct Answer {
    status: u16,
    body: Vec<u8>,
    headers: String,
    cut: Option<usize>,
    ranges: bool,
}

impl Answer {
    pub fn file(body: &[u8]) -> Answer {
        Answer { status: 200, body: body.to_vec(), headers: String::new(), cut: None, ranges: true }
    }

    pub fn status(status: u16) -> Answer {
        Answer { status, ..Answer::file(b"") }
    }

    pub fn header(mut self, name: &str, value: &str) -> Answer {
        self.headers += &format!("{name}: {value}\r\n");
        self
    }

    /// Hangs up after this many bytes of the body.
    pub fn cut_after(self, bytes: usize) -> Answer {
        Answer { cut: Some(bytes), ..self }
    }

    pub fn without_ranges(self) -> Answer {
        Answer { ranges: false, ..self }
    }
}

/// One request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub path: String,
    pub range: String,
    pub authorization: String,
}

/// Answers as many requests as it has answers, then is gone.
pub(crate) struct Server {
    pub url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub fn start(answers: Vec<Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&asked);
        std::thread::spawn(move || {
            for answer in answers {
                let (stream, _) = listener.accept().unwrap();
                let request = read_request(&stream);
                record.lock().unwrap().push(request.clone());
                // The client may hang up first, as it does when it is told too much.
                let _ = respond(stream, &answer, &request);
            }
        });
        Server { url, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub fn ranges(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.range).collect()
    }
}

fn read_request(stream: &TcpStream) -> Asked {
    let mut asked = Asked::default();
    for line in BufReader::new(stream).lines() {
        let line = line.unwrap();
        if line.is_empty() {
            break;
        }
        match line.split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("range") => asked.range = value.to_string(),
            Some((name, value)) if name.eq_ignore_ascii_case("authorization") => {
                asked.authorization = value.to_string()
            }
            Some(_) => {}
            None => asked.path = line.split(' ').nth(1).unwrap().to_string(),
        }
    }
    asked
}

fn respond(mut stream: TcpStream, answer: &Answer, request: &Asked) -> std::io::Result<()> {
    let total = answer.body.len();
    let range = request
        .range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'))
        .filter(|_| answer.ranges);
    let (status, from, to) = match range {
        Some((from, to)) if answer.status == 200 => {
            (206, from.parse().unwrap(), to.parse().map_or(total, |last: usize| last + 1))
        }
        _ => (answer.status, 0, total),
    };
    let mut head = format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\nContent-Length: {}\r\n{}",
        to - from,
        answer.headers
    );
    if status == 206 {
        head += &format!("Content-Range: bytes {from}-{}/{total}\r\n", to - 1);
    }
    let body = &answer.body[from..to];
    stream.write_all(head.as_bytes())?;
    stream.write_all(b"\r\n")?;
    stream.write_all(&body[..answer.cut.unwrap_or(body.len()).min(body.len())])
}
