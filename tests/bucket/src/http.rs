//! As much of HTTP/1.1 (RFC 9112) as servers and clients of object stores speak: heads, and bodies by length or in chunks.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// Longest line and most lines of a head.
const LINE_BYTES_MAX: u64 = 64 * 1024;
const HEADERS_MAX: usize = 200;
/// Longest body.
const BODY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// Names and values in the order of the wire.
pub(crate) type Headers = Vec<(String, String)>;

#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone, Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) headers: Headers,
    pub(crate) body: Vec<u8>,
}

/// The value of a header, whatever the case of its name.
pub(crate) fn header<'a>(headers: &'a Headers, name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

pub(crate) fn set_header(headers: &mut Headers, name: &str, value: &str) {
    headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    headers.push((name.to_owned(), value.to_owned()));
}

impl Response {
    pub(crate) fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let headers = vec![("Content-Type".to_owned(), kind.to_owned())];
        Self { status, headers, body: body.into() }
    }

    /// An error as S3 words it.
    pub(crate) fn error(status: u16, code: &str) -> Self {
        let text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{code}, for the test</Message></Error>"
        );
        Self::new(status, "application/xml", text)
    }

    /// The bytes of the head; the length announced is that of the whole body unless the server already said one (HEAD).
    pub(crate) fn head(&self) -> Vec<u8> {
        let mut head = format!("HTTP/1.1 {} Answer\r\n", self.status);
        let announced = header(&self.headers, "content-length").is_some();
        for (name, value) in &self.headers {
            if !name.eq_ignore_ascii_case("transfer-encoding") && !name.eq_ignore_ascii_case("connection") {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        if !announced && self.status != 204 {
            head.push_str(&format!("Content-Length: {}\r\n", self.body.len()));
        }
        head.push_str("\r\n");
        head.into_bytes()
    }
}

/// The next request of a connection; `None` when the client closed it.
pub(crate) fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Option<Request>> {
    let Some(first) = read_line(stream)? else { return Ok(None) };
    let mut words = first.split(' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Err(bad("a request line")) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let headers = read_headers(stream)?;
    if header(&headers, "expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue")) {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    let body = match body_of(&headers)? {
        Body::Length(length) => read_exactly(stream, length)?,
        Body::Chunks => read_chunks(stream)?,
        Body::Unknown => Vec::new(),
    };
    Ok(Some(Request { method, target, headers, body }))
}

/// Sends a request with its own headers, and nothing added but its length and what ends the connection.
pub(crate) fn write_request(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    let mut head = format!("{} {} HTTP/1.1\r\n", request.method, request.target);
    for (name, value) in &request.headers {
        let ours = ["connection", "content-length", "transfer-encoding", "expect"];
        if !ours.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
    }
    if !request.body.is_empty() || ["PUT", "POST"].contains(&request.method.as_str()) {
        head.push_str(&format!("Content-Length: {}\r\n", request.body.len()));
    }
    head.push_str("Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&request.body)
}

/// The answer to a request of this method, interim answers left out.
pub(crate) fn read_response(stream: &mut BufReader<TcpStream>, method: &str) -> io::Result<Response> {
    loop {
        let first = read_line(stream)?.ok_or_else(|| bad("an answer"))?;
        let status = first.split(' ').nth(1).and_then(|word| word.parse().ok()).ok_or_else(|| bad("a status"))?;
        let headers = read_headers(stream)?;
        if status == 100 {
            continue;
        }
        if method == "HEAD" || status == 204 || status == 304 {
            return Ok(Response { status, headers, body: Vec::new() });
        }
        let body = match body_of(&headers)? {
            Body::Length(length) => read_exactly(stream, length)?,
            Body::Chunks => read_chunks(stream)?,
            Body::Unknown => {
                let mut body = Vec::new();
                stream.take(BODY_BYTES_MAX).read_to_end(&mut body)?;
                body
            }
        };
        return Ok(Response { status, headers, body });
    }
}

enum Body {
    Length(u64),
    Chunks,
    Unknown,
}

fn body_of(headers: &Headers) -> io::Result<Body> {
    if header(headers, "transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(Body::Chunks);
    }
    match header(headers, "content-length") {
        None => Ok(Body::Unknown),
        Some(text) => text.trim().parse().map(Body::Length).map_err(|_| bad("a length")),
    }
}

fn read_line(stream: &mut BufReader<TcpStream>) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    if stream.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    let text = String::from_utf8(line).map_err(|_| bad("a line of text"))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn read_headers(stream: &mut BufReader<TcpStream>) -> io::Result<Headers> {
    let mut headers = Headers::new();
    loop {
        let line = read_line(stream)?.ok_or_else(|| bad("a head's end"))?;
        if line.is_empty() {
            return Ok(headers);
        }
        let (name, value) = line.split_once(':').ok_or_else(|| bad("a header"))?;
        headers.push((name.to_owned(), value.trim().to_owned()));
        if headers.len() > HEADERS_MAX {
            return Err(bad("fewer headers"));
        }
    }
}

fn read_exactly(stream: &mut BufReader<TcpStream>, length: u64) -> io::Result<Vec<u8>> {
    if length > BODY_BYTES_MAX {
        return Err(bad("a shorter body"));
    }
    let mut body = Vec::new();
    stream.take(length).read_to_end(&mut body)?;
    if u64::try_from(body.len()) == Ok(length) { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn read_chunks(stream: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = read_line(stream)?.ok_or_else(|| bad("a chunk"))?;
        let size = line.split(';').next().unwrap_or_default();
        let size = u64::from_str_radix(size, 16).map_err(|_| bad("a chunk's size"))?;
        if size == 0 {
            read_headers(stream)?;
            return Ok(body);
        }
        body.extend(read_exactly(stream, size)?);
        read_line(stream)?;
        if u64::try_from(body.len()).unwrap_or(u64::MAX) > BODY_BYTES_MAX {
            return Err(bad("a shorter body"));
        }
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("expected {what}"))
}
