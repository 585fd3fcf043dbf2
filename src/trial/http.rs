//! One request over HTTP/1.1 to this thread's network, and its answer: enough to look at what a service serves.

use std::io::{Read, Write};
use std::time::Duration;

use super::service::connect;
use crate::report::plain;

/// More of an answer is not read.
const MOST_BYTES: u64 = 16 << 20;
/// How long the service may be silent.
const SILENCE: Duration = Duration::from_secs(10);

/// An answer over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its header fields in their order.
    pub header: Vec<(String, String)>,
    /// Its body, chunks put together.
    pub body: Vec<u8>,
}

impl Answer {
    /// Reads the bytes of an answer; `None` when they are no HTTP.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.split("\r\n");
        let status = lines.next()?.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
        let field = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
        let mut answer = Self { status, header: lines.filter_map(field).collect(), body: bytes[end + 4..].to_vec() };
        let is_chunked = answer.fields("transfer-encoding").any(|value| value.eq_ignore_ascii_case("chunked"));
        if is_chunked {
            answer.body = joined(&answer.body);
        }
        Some(answer)
    }

    /// The values of a header field, whatever the case of its name.
    pub fn fields<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.header.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// The chunks of a body as one; what is broken ends it.
fn joined(mut bytes: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") {
        let size = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let size = usize::from_str_radix(size.split(';').next().unwrap_or_default().trim(), 16).unwrap_or(0);
        let rest = &bytes[end + 2..];
        let Some(chunk) = rest.get(..size).filter(|_| size > 0) else { break };
        body.extend_from_slice(chunk);
        bytes = rest.get(size + 2..).unwrap_or_default();
    }
    body
}

/// Asks a service for a path. The error completes "`URL` ...".
///
/// # Errors
/// When nothing listens, or what answers is no HTTP.
pub fn ask(port: u16, path: &str) -> Result<Answer, String> {
    let mut stream = connect(port).ok_or("can't be connected to")?;
    let failed = |error: std::io::Error| format!("breaks off: {}", plain(&error));
    stream.set_read_timeout(Some(SILENCE)).map_err(failed)?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: mkimage\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).map_err(failed)?;
    let mut bytes = Vec::new();
    // A reset after the answer is none of its own.
    let ended = stream.take(MOST_BYTES).read_to_end(&mut bytes);
    Answer::parse(&bytes).ok_or_else(|| match ended {
        Err(error) => failed(error),
        Ok(_) => "answers, but not in HTTP".to_owned(),
    })
}
