//! A small server on the loopback: it is asked and nothing is told to it, everything bounded.
//!
//! In: a listening socket and a [`Site`]. Out: HTTP/1.0, a connection for each answer. It knows no page, changes nothing and reads no body.

use std::{
    io::{self, Read as _, Write as _},
    net::{IpAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

/// The longest request that is read, bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often the end is looked for.
const PAUSE: Duration = Duration::from_millis(50);
/// Connections at once; browsers open some before they have anything to ask.
const CONNECTIONS_MAX: usize = 16;

/// What somebody asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The path without its query.
    pub path: String,
    /// Whom the client believes to ask.
    pub host: Option<String>,
}

impl Request {
    /// Whether the client means this machine: a page of another name that leads here (DNS rebinding) does not.
    pub fn is_for_loopback(&self) -> bool {
        let Some(host) = &self.host else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.is_empty() => name,
            _ => host.as_str(),
        };
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Code and words.
    pub status: &'static str,
    /// The body's type.
    pub kind: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A line of text.
    pub fn text(status: &'static str, body: impl Into<String>) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", headers: Vec::new(), body: body.into() }
    }
}

/// Pages by their paths.
pub trait Site: Sync {
    /// Answers a request to read.
    fn answer(&self, request: &Request) -> Answer;
}

/// Serves until it is over.
pub fn serve(listener: &TcpListener, site: &dyn Site, over: &AtomicBool) {
    let open = AtomicUsize::new(0);
    thread::scope(|scope| {
        while !over.load(Ordering::Relaxed) {
            if open.load(Ordering::Relaxed) >= CONNECTIONS_MAX {
                thread::sleep(PAUSE);
                continue;
            }
            let Ok((stream, _)) = listener.accept() else {
                thread::sleep(PAUSE);
                continue;
            };
            open.fetch_add(1, Ordering::Relaxed);
            let open = &open;
            scope.spawn(move || {
                // A client that went away or made no sense is not the server's trouble.
                drop(converse(stream, site, over));
                open.fetch_sub(1, Ordering::Relaxed);
            });
        }
    });
}

fn converse(mut stream: TcpStream, site: &dyn Site, over: &AtomicBool) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(PAUSE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let text = read(&mut stream, over)?;
    let mut words = text.lines().next().unwrap_or_default().split_whitespace();
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default().to_owned();
    let answer = match method {
        "GET" | "HEAD" => site.answer(&Request { path, host: header(&text, "host") }),
        _ => Answer {
            headers: vec![("allow", "GET, HEAD".to_owned())],
            ..Answer::text("405 Method Not Allowed", "GET only\n")
        },
    };
    write!(
        stream,
        "HTTP/1.0 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\n",
        answer.status,
        answer.kind,
        answer.body.len()
    )?;
    for (name, value) in &answer.headers {
        write!(stream, "{name}: {value}\r\n")?;
    }
    stream.write_all(b"connection: close\r\n\r\n")?;
    if method != "HEAD" {
        stream.write_all(answer.body.as_bytes())?;
    }
    stream.flush()
}

/// The head of a request, as far as it comes in time.
fn read(stream: &mut TcpStream, over: &AtomicBool) -> io::Result<String> {
    let started = Instant::now();
    let mut request = Vec::new();
    let mut piece = [0_u8; 1024];
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        if over.load(Ordering::Relaxed) || started.elapsed() > PATIENCE {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match stream.read(&mut piece) {
            Ok(0) => break,
            Ok(count) => request.extend_from_slice(&piece[..count]),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(String::from_utf8_lossy(&request).into_owned())
}

/// A header, when it stands there once: two of them would be two opinions.
fn header(text: &str, name: &str) -> Option<String> {
    let mut found = text.lines().skip(1).take_while(|line| !line.is_empty()).filter_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.trim().eq_ignore_ascii_case(name).then(|| value.trim().to_owned())
    });
    let first = found.next()?;
    found.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::{Request, header};

    fn is_for_loopback(host: Option<&str>) -> bool {
        Request { path: "/".into(), host: host.map(str::to_owned) }.is_for_loopback()
    }

    #[test]
    fn only_names_of_the_loopback_are_answered() {
        for good in ["127.0.0.1:9188", "127.0.0.1", "localhost:80", "LocalHost", "[::1]:9188", "[::1]", "127.8.9.1:1"] {
            assert!(is_for_loopback(Some(good)), "{good}");
        }
        for bad in [
            "evil.example",
            "evil.example:9188",
            "127.0.0.1.evil.example",
            "10.0.0.1:9188",
            "localhost.evil",
            "",
            ":9188",
            "[::2]:1",
        ] {
            assert!(!is_for_loopback(Some(bad)), "{bad}");
        }
        assert!(!is_for_loopback(None));
    }

    #[test]
    fn a_header_stands_once_and_above_the_empty_line() {
        let text = "GET / HTTP/1.1\r\nHost:  a \r\nx: y\r\n\r\nhost: b\r\n";
        assert_eq!(header(text, "host").as_deref(), Some("a"));
        assert_eq!(header("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", "host"), None);
        assert_eq!(header("GET / HTTP/1.1\r\n\r\n", "host"), None);
    }
}
