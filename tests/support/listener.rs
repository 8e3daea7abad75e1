//! A plain HTTP server of the tests: remembers what it is asked, answers as a test says. Ends when it is dropped.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// One request, as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    /// The path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
    }

    /// A value of the query.
    pub(crate) fn query(&self, name: &str) -> Option<&str> {
        let query = self.target.split_once('?')?.1;
        query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

/// Status, further headers, body.
pub(crate) type Answer = (u16, Vec<(&'static str, String)>, String);

type Answers = dyn Fn(&Asked) -> Answer + Send + Sync;

/// The server.
pub(crate) struct Listener {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    over: Arc<AtomicBool>,
}

impl Listener {
    /// Answers 200 to everything.
    pub(crate) fn start() -> Listener {
        Listener::answering(|_| (200, Vec::new(), "OK".to_owned()))
    }

    pub(crate) fn answering(answers: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Listener {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let (asked, over) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (heard, ended, answers): (_, _, Arc<Answers>) = (Arc::clone(&asked), Arc::clone(&over), Arc::new(answers));
        thread::spawn(move || {
            for stream in socket.incoming().flatten() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let (heard, answers) = (Arc::clone(&heard), Arc::clone(&answers));
                // A client that goes away is no failure of the server.
                thread::spawn(move || drop(serve(stream, &heard, &*answers)));
            }
        });
        Listener { address, asked, over }
    }

    /// A URL of this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Everything that was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn forget(&self) {
        self.asked.lock().unwrap().clear();
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(stream: TcpStream, asked: &Mutex<Vec<Asked>>, answers: &Answers) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or_default();
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let request = Asked { method, target, headers, body: String::from_utf8_lossy(&body).into_owned() };
    let (status, more, text) = answers(&request);
    asked.lock().unwrap().push(request);
    let mut stream = stream;
    write!(stream, "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n", text.len())?;
    for (name, value) in more {
        write!(stream, "{name}: {value}\r\n")?;
    }
    write!(stream, "\r\n{text}")?;
    stream.flush()
}
