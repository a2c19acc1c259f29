//! A server in a memory group, as a user starts it, and a client that counts what comes over the socket and when.
//!
//! What it is: the program, its address, and replies read event by event. What it is not: a library of HTTP. The one design
//! choice: whatever becomes of a test, the server ends with it.

use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use host::cgroup::Cap;
use serde_json::Value;

use crate::Program;

/// A server that ends when it is dropped.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: String,
}

/// What came back to a request.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// Status of the reply.
    pub status: u16,
    /// The body if it was not a stream, or the last event that was one.
    pub last: Value,
    /// Text of a stream, all of it.
    pub text: String,
    /// When each piece of text came, counted from the request.
    pub pieces: Vec<Duration>,
    /// Whether a stream said that it was done.
    pub done: bool,
}

/// The smallest budget that the program names when it refuses, as it has to be typed.
///
/// # Panics
/// If it does not refuse, or names none.
pub fn smallest(program: &Program, model: &str, flags: &[&str]) -> String {
    let refused = program.run(&[&["serve", model, "--memory", "1M"], flags].concat());
    assert_eq!(refused.code, Some(3), "{}", refused.err);
    let named = refused.err.lines().find_map(|line| line.trim().strip_prefix("smallest budget: --memory "));
    named.unwrap_or_else(|| panic!("{}", refused.err)).to_string()
}

impl Served {
    /// Starts `models` with `flags` in the group of `cap`, on a port that is free, with nothing of them in the page cache.
    ///
    /// # Panics
    /// If it does not come so far as to listen.
    pub fn start(program: &Program, models: &[&str], flags: &[&str], cap: &Cap) -> Served {
        let args = [&["serve"], models, &["--port", "0"], flags].concat();
        let child = program.start_heard(&args, models[0].as_ref(), cap).expect("a server");
        let mut served = Served { child, address: String::new() };
        let mut said = Vec::new();
        let err = served.child.stderr.take().expect("what it says");
        for line in BufReader::new(err).lines().map_while(Result::ok) {
            if let Some((_, address)) = line.split_once(" at http://") {
                served.address = address.to_string();
                return served;
            }
            said.push(line);
        }
        panic!("{}", said.join("\n"));
    }

    /// Asks it to end, and gives its exit code.
    ///
    /// # Panics
    /// If it cannot be asked.
    pub fn end(&mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().expect("kill").success());
        self.child.wait().expect("its end").code()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Posts `body` and hears the reply, but no more than so many pieces of it.
///
/// # Errors
/// What the socket says; a reply that is cut or that is none.
pub fn hear(address: &str, path: &str, body: &Value, most: usize) -> Result<Heard, Error> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(600)))?;
    let (body, start) = (body.to_string(), Instant::now());
    let head = "Host: localhost\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "POST {path} HTTP/1.1\r\n{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    let (mut reader, mut line) = (BufReader::new(stream), String::new());
    reader.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
    let (mut heard, mut chunked) = (Heard { status, ..Heard::default() }, false);
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line)? == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        chunked |= line.eq_ignore_ascii_case("transfer-encoding: chunked\r\n");
    }
    if !chunked {
        let mut whole = String::new();
        reader.read_to_string(&mut whole)?;
        heard.last = serde_json::from_str(&whole).unwrap_or_default();
        return Ok(heard);
    }
    let mut events = String::new();
    while heard.pieces.len() < most {
        let Some(chunk) = chunk(&mut reader)? else { return Ok(heard) };
        events.push_str(&chunk);
        while let Some((event, rest)) = events.split_once("\n\n") {
            take(event, start.elapsed(), &mut heard);
            events = rest.to_string();
        }
    }
    Ok(heard)
}

/// What `/metrics` says of a figure that has one line.
///
/// # Panics
/// If it says nothing.
pub fn figure(address: &str, name: &str) -> f64 {
    let mut stream = TcpStream::connect(address).expect("a connection");
    let get = "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let mut text = String::new();
    stream.write_all(get.as_bytes()).and_then(|()| stream.read_to_string(&mut text)).expect("figures");
    let begin = format!("pintpot_{name}{{");
    let line = text.lines().find(|line| line.starts_with(&begin));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{name}: {text}"))
}

/// The next piece of a body, `None` after the last.
fn chunk(reader: &mut impl BufRead) -> Result<Option<String>, Error> {
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let size = usize::from_str_radix(line.trim(), 16).map_err(|_| ErrorKind::UnexpectedEof)?;
    let mut bytes = vec![0; size + 2];
    reader.read_exact(&mut bytes)?;
    bytes.truncate(size);
    let text = String::from_utf8(bytes).map_err(|_| ErrorKind::InvalidData)?;
    Ok((size > 0).then_some(text))
}

fn take(event: &str, time: Duration, heard: &mut Heard) {
    let Some(data) = event.strip_prefix("data: ") else { return };
    if data == "[DONE]" {
        heard.done = true;
        return;
    }
    let value: Value = serde_json::from_str(data).unwrap_or_default();
    let text = value["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
    if !text.is_empty() {
        heard.text.push_str(text);
        heard.pieces.push(time);
    }
    heard.last = value;
}
