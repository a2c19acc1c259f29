//! A server of ours that runs already, as the verbs talk to it.
//!
//! What it is: one request, one reply, both JSON. What it is not: a client for others' servers. The one design choice: a
//! connection for each request, closed afterwards, so there is nothing to HTTP but a head and a body.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use crate::exit::{Code, Failure};
use crate::flags::{self, Args};
use crate::verbs::{HOST, PORT};

/// The longest that is read of a reply.
const LONGEST: u64 = 4 << 20;
/// How long a reply may take: a model answers to the end before it is unloaded.
const PATIENCE: Duration = Duration::from_secs(600);

/// Asks the server that the flags name.
pub(crate) fn ask(args: &Args, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Failure> {
    let host = args.get(&flags::HOST).unwrap_or(HOST);
    let port: u16 = args.read(&flags::PORT, "a port, from 1 to 65535")?.unwrap_or(PORT);
    let mut stream = TcpStream::connect((host, port)).map_err(|error| {
        let message = format!(
            "no server at {host}:{port}: {error}\n  pintpot serve MODEL starts one; --port names another"
        );
        Failure::new(Code::Failure, message)
    })?;
    let body = body.map_or(String::new(), Value::to_string);
    let key =
        args.get(&flags::API_KEY).map_or(String::new(), |key| format!("Authorization: Bearer {key}\r\n"));
    let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{kind}{key}Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut reply = Vec::new();
    let talked = stream
        .set_read_timeout(Some(PATIENCE))
        .and_then(|()| stream.write_all((head + &body).as_bytes()))
        .and_then(|()| stream.take(LONGEST).read_to_end(&mut reply));
    talked.map_err(|error| Failure::io(&format!("talk to {host}:{port}"), error))?;
    understood(&String::from_utf8_lossy(&reply)).unwrap_or_else(|| {
        Err(Failure::new(Code::Failure, format!("what answers at {host}:{port} is no pintpot")))
    })
}

/// The reply, or why it is none; `None` if it makes no sense.
fn understood(reply: &str) -> Option<Result<Value, Failure>> {
    let (head, body) = reply.split_once("\r\n\r\n")?;
    let status: u16 = head.split(' ').nth(1)?.parse().ok()?;
    let value: Value = serde_json::from_str(body).ok()?;
    if status == 200 {
        return Some(Ok(value));
    }
    let error = &value["error"];
    let message = error["message"].as_str().or(error.as_str())?;
    let code = match status {
        404 => Code::Missing,
        400..500 => Code::Usage,
        _ => Code::Failure,
    };
    Some(Err(Failure::new(code, message)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_understood_or_not() {
        let ok = understood("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{\"a\":1}").unwrap().unwrap();
        assert_eq!(ok["a"], 1);
        for (reply, code) in [
            ("HTTP/1.1 404 No\r\n\r\n{\"error\":{\"message\":\"m\"}}", Code::Missing),
            ("HTTP/1.1 401 No\r\n\r\n{\"error\":\"m\"}", Code::Usage),
            ("HTTP/1.1 503 No\r\n\r\n{\"error\":\"m\"}", Code::Failure),
        ] {
            let failure = understood(reply).unwrap().unwrap_err();
            assert_eq!((failure.code, failure.message.as_str()), (code, "m"), "{reply}");
        }
        for reply in ["", "x", "HTTP/1.1 200 OK\r\n\r\n<html>", "HTTP/1.1 x\r\n\r\n{}"] {
            assert!(understood(reply).is_none(), "{reply}");
        }
    }
}
