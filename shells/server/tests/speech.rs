//! Sounds over a socket: what is said, and what is refused before it is read.
//!
//! What it is: Whisper behind a real socket. What it is not: OpenAI's own client, which `tests/clients` runs. The one design choice: the
//! expected text is faster-whisper's of the same clip.

mod kit;

use std::io::Write;
use std::path::PathBuf;

use kit::{Reply, Running, read};
use pintpot_tests::absent;

const TEXT: &str = "Ever tried, ever failed. No matter, try again. Fail again. Fail better.";
const PATH: &str = "/v1/audio/transcriptions";

/// A server of tiny.en, and a clip.
fn server() -> Option<(Running, Vec<u8>)> {
    let folder = PathBuf::from(std::env::var_os("PINTPOT_TEST_MODELS")?);
    let clip = std::fs::read(folder.join("beckett/beckett.wav")).ok()?;
    let model = folder.join("whisper-tiny.en");
    model.exists().then(|| (Running::speech(&model, "160MiB"), clip))
}

fn head(length: &str) -> String {
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: multipart/form-data; boundary=b\r\n{length}\r\n\r\n"
    )
}

/// A form with a sound and fields.
fn form(sound: &[u8], fields: &[(&str, &str)]) -> Vec<u8> {
    let part = |name: &str| format!("--b\r\nContent-Disposition: form-data; {name}\r\n\r\n").into_bytes();
    let mut body = [&part("name=file; filename=\"a.wav\"")[..], sound, b"\r\n"].concat();
    for (name, value) in fields {
        body.extend([&part(&format!("name=\"{name}\""))[..], value.as_bytes(), b"\r\n"].concat());
    }
    body.extend(b"--b--\r\n");
    body
}

fn ask(server: &Running, body: &[u8]) -> Reply {
    server.raw(&[head(&format!("Content-Length: {}", body.len())).as_bytes(), body].concat())
}

#[test]
fn what_is_said_comes_back_and_what_is_wrong_is_refused() {
    let Some((server, clip)) = server() else {
        return absent("whisper-tiny.en and beckett.wav");
    };
    let said = ask(&server, &form(&clip, &[("model", "w"), ("response_format", "text")]));
    assert_eq!((said.status, said.body.trim()), (200, TEXT), "{said:?}");
    // Without a name there is only one; the stream ends as OpenAI's does.
    let events = ask(&server, &form(&clip, &[("stream", "true")])).events();
    assert_eq!(events.last().unwrap()["text"], TEXT);

    // Whoever says that he has much to send is refused at once; he has sent nothing.
    let large = server.raw(head("Content-Length: 999999999").as_bytes());
    assert_eq!((large.status, large.json()["error"]["param"].as_str()), (413, Some("file")), "{large:?}");
    assert_eq!(server.raw(head("Transfer-Encoding: chunked").as_bytes()).status, 411);
    let json = server.send("POST", PATH, "Content-Type: application/json\r\n", "{}");
    assert_eq!(json.status, 415, "{json:?}");
    for (body, code) in [
        (b"nothing".to_vec(), "invalid_request"),
        (form(&clip, &[])[..1000].to_vec(), "invalid_request"),
        (form(b"no sound", &[]), "invalid_value"),
        (form(&clip, &[("model", "other")]), "model_not_found"),
        (form(&clip, &[("language", "de")]), "invalid_value"),
        (form(&clip, &[("odd", "1")]), "unknown_parameter"),
    ] {
        let refused = ask(&server, &body);
        assert_eq!(refused.json()["error"]["code"].as_str(), Some(code), "{refused:?}");
        assert!((400..500).contains(&refused.status));
    }

    // Who goes before the end keeps nobody waiting.
    let body = form(&clip, &[]);
    let mut gone = server.connect();
    gone.write_all(&[head(&format!("Content-Length: {}", body.len())).as_bytes(), &body].concat()).unwrap();
    drop(gone);
    assert_eq!(ask(&server, &body).json()["text"], TEXT);
    // A sound in no hurry comes in pieces.
    let mut slow = server.connect();
    slow.write_all(head(&format!("Content-Length: {}", body.len())).as_bytes()).unwrap();
    body.chunks(50_000).for_each(|piece| slow.write_all(piece).unwrap());
    assert_eq!(read(&mut slow).json()["text"], TEXT);
}
