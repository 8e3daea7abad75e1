//! An HTTP/1.1 proxy in front of a real server: it counts, remembers, and breaks what its rules say.
//!
//! It answers for itself only where a rule or a [`Personality`] says so; everything else is forwarded byte for byte, with the
//! client's own `Host`, so that signatures stay valid. A thread serves each connection; all end when the proxy is dropped.

mod record;
mod rule;

use std::collections::HashMap;
use std::io::{self, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

pub use record::{Count, Record};
pub use rule::{Effect, Kind, Rule};

use crate::http::{Request, Response, header, read_request, read_response, set_header, write_request};
use record::{decoded, kind_of};

/// How long the server may take to answer the proxy. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which store the proxy passes for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Personality {
    /// The server's own.
    Own,
    /// Backblaze B2's: 501 to every condition. In front of a bucket with versions a deletion without a version hides, as there.
    Backblaze,
    /// Nobody is behind it: it listens, remembers and answers 200 with nothing. Where no credential may ever arrive.
    Trap,
}

/// A proxy on a port of the loopback; dropping it breaks every connection.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    upstream: Mutex<SocketAddr>,
    personality: Personality,
    rules: Mutex<Vec<(Rule, u64)>>,
    records: Mutex<Vec<Record>>,
    late: Mutex<Vec<Request>>,
    listings: Mutex<HashMap<String, Response>>,
    connections: Mutex<Vec<TcpStream>>,
    stalled: Mutex<Stalled>,
    freed: Condvar,
    stopping: AtomicBool,
}

#[derive(Default)]
struct Stalled {
    waiting: u64,
    generation: u64,
}

/// What goes back to the client.
enum Reply {
    Whole(Response),
    Cut(Response, usize),
    Slow(Response, usize, Duration),
    Nothing,
}

impl Proxy {
    /// A proxy in front of the server on this port.
    #[must_use]
    pub fn before(port: u16) -> Self {
        Self::start(port, Personality::Own)
    }

    /// A proxy that passes for Backblaze B2, in front of the server on this port.
    #[must_use]
    pub fn backblaze(port: u16) -> Self {
        Self::start(port, Personality::Backblaze)
    }

    /// A server of nothing, which remembers who came.
    #[must_use]
    pub fn trap() -> Self {
        Self::start(0, Personality::Trap)
    }

    fn start(port: u16, personality: Personality) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            upstream: Mutex::new(SocketAddr::from(([127, 0, 0, 1], port))),
            personality,
            rules: Mutex::default(),
            records: Mutex::default(),
            late: Mutex::default(),
            listings: Mutex::default(),
            connections: Mutex::default(),
            stalled: Mutex::default(),
            freed: Condvar::new(),
            stopping: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopping.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let shared = Arc::clone(&accepting);
                lock(&shared.connections).extend(stream.try_clone());
                thread::spawn(move || {
                    // A connection that breaks is what half of the tests want; there is nobody to tell.
                    drop(shared.serve(stream));
                });
            }
        });
        Self { address, shared }
    }

    /// The port it listens on.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Its URL.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Forwards to another port from now on, as after a restart elsewhere.
    pub fn turn_to(&self, port: u16) {
        lock(&self.shared.upstream).set_port(port);
    }

    /// Adds a rule; of several that match a request, the first added that is due strikes.
    pub fn rule(&self, rule: Rule) {
        lock(&self.shared.rules).push((rule, 0));
    }

    /// Takes every rule away.
    pub fn heal(&self) {
        lock(&self.shared.rules).clear();
        self.release();
    }

    /// What passed since the start or [`Proxy::forget`], in the order in which answers were ready.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        lock(&self.shared.records).clone()
    }

    /// Forgets what passed.
    pub fn forget(&self) {
        lock(&self.shared.records).clear();
    }

    /// How many requests passed since the start or [`Proxy::forget`].
    #[must_use]
    pub fn count(&self) -> Count {
        Count::of(&lock(&self.shared.records))
    }

    /// How many requests rules have struck since the start or [`Proxy::forget`].
    #[must_use]
    pub fn strikes(&self) -> usize {
        lock(&self.shared.records).iter().filter(|record| record.struck).count()
    }

    /// Ends every stall.
    pub fn release(&self) {
        lock(&self.shared.stalled).generation += 1;
        self.shared.freed.notify_all();
    }

    /// How many requests are stalled now.
    #[must_use]
    pub fn stalled(&self) -> u64 {
        lock(&self.shared.stalled).waiting
    }

    /// Forwards the requests that [`Effect::Late`] kept back; gives the statuses of the server's answers, 0 for none.
    pub fn deliver_late(&self) -> Vec<u16> {
        let late = std::mem::take(&mut *lock(&self.shared.late));
        late.iter().map(|request| self.shared.forward(request).map_or(0, |response| response.status)).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.release();
        for connection in lock(&self.shared.connections).drain(..) {
            drop(connection.shutdown(Shutdown::Both));
        }
        // Wakes the thread that accepts, so that it sees it is time to go.
        drop(TcpStream::connect(self.address));
    }
}

impl Shared {
    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let mut reader = BufReader::new(stream);
        while let Some(request) = read_request(&mut reader)? {
            if self.stopping.load(Ordering::SeqCst) {
                return Ok(());
            }
            let target = decoded(&request.target);
            let effect = self.strike(kind_of(&request), &target);
            let struck = effect.is_some();
            let reply = self.reply(&request, &target, effect);
            let (status, received) = match &reply {
                Reply::Whole(response) | Reply::Slow(response, ..) => (Some(response.status), response.body.len()),
                Reply::Cut(response, bytes) => (Some(response.status), response.body.len().min(*bytes)),
                Reply::Nothing => (None, 0),
            };
            lock(&self.records).push(Record {
                kind: kind_of(&request),
                method: request.method.clone(),
                target,
                headers: request.headers.clone(),
                sent: u64::try_from(request.body.len()).unwrap(),
                received: u64::try_from(received).unwrap(),
                status,
                struck,
            });
            if !send(reader.get_mut(), &reply)? {
                return reader.get_mut().shutdown(Shutdown::Both);
            }
            if header(&request.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// The effect of the first rule that is due; every rule that matches counts the request.
    fn strike(&self, kind: Kind, target: &str) -> Option<Effect> {
        let mut struck = None;
        for (rule, seen) in lock(&self.rules).iter_mut() {
            if rule.kind.is_some_and(|wanted| wanted != kind) || !target.contains(&rule.path) {
                continue;
            }
            *seen += 1;
            if struck.is_none() && rule.is_due(*seen) {
                struck = Some(rule.effect.clone());
            }
        }
        struck
    }

    fn reply(&self, request: &Request, target: &str, effect: Option<Effect>) -> Reply {
        let Some(effect) = effect else { return self.pass(request) };
        match effect {
            Effect::Refuse { status, code } => Reply::Whole(Response::error(status, code)),
            Effect::Close => Reply::Nothing,
            Effect::AnswerLost => {
                drop(self.pass(request));
                Reply::Nothing
            }
            Effect::RefuseAfter { status, code } => {
                drop(self.pass(request));
                Reply::Whole(Response::error(status, code))
            }
            Effect::Stall => {
                drop(self.pass(request));
                self.stall();
                Reply::Nothing
            }
            Effect::Twice => {
                drop(self.pass(request));
                self.pass(request)
            }
            Effect::Late => {
                lock(&self.late).push(request.clone());
                Reply::Nothing
            }
            Effect::Redirect { status, to } => {
                let mut response = Response::error(status, "TemporaryRedirect");
                set_header(&mut response.headers, "Location", &format!("{to}{}", request.target));
                Reply::Whole(response)
            }
            Effect::Html => Reply::Whole(Response::new(
                200,
                "text/html",
                "<!DOCTYPE html><html><body>Please sign in.</body></html>",
            )),
            Effect::Frozen => self.frozen(request, target),
            altering => match self.pass(request) {
                Reply::Whole(response) => altered(response, &altering),
                other => other,
            },
        }
    }

    /// The answer as the personality gives it.
    fn pass(&self, request: &Request) -> Reply {
        let conditional = ["if-none-match", "if-match"].iter().any(|name| header(&request.headers, name).is_some());
        match self.personality {
            Personality::Trap => Reply::Whole(Response::new(200, "application/xml", "")),
            Personality::Backblaze if request.method == "PUT" && conditional => {
                Reply::Whole(Response::error(501, "NotImplemented"))
            }
            Personality::Own | Personality::Backblaze => self.forward(request).map_or(Reply::Nothing, Reply::Whole),
        }
    }

    fn frozen(&self, request: &Request, target: &str) -> Reply {
        if let Some(known) = lock(&self.listings).get(target) {
            return Reply::Whole(known.clone());
        }
        let reply = self.pass(request);
        if let Reply::Whole(response) = &reply {
            lock(&self.listings).insert(target.to_owned(), response.clone());
        }
        reply
    }

    fn stall(&self) {
        let mut stalled = lock(&self.stalled);
        let generation = stalled.generation;
        stalled.waiting += 1;
        while stalled.generation == generation && !self.stopping.load(Ordering::SeqCst) {
            stalled = self.freed.wait(stalled).unwrap();
        }
        stalled.waiting -= 1;
    }

    fn forward(&self, request: &Request) -> io::Result<Response> {
        let address = *lock(&self.upstream);
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write_request(&mut stream, request)?;
        read_response(&mut BufReader::new(stream), &request.method)
    }
}

fn altered(mut response: Response, effect: &Effect) -> Reply {
    match effect {
        Effect::Slow { piece_bytes, pause } => Reply::Slow(response, *piece_bytes, *pause),
        Effect::Cut { bytes } => Reply::Cut(response, *bytes),
        Effect::FlipBit { bit } => {
            let length = response.body.len();
            if let Some(byte) = response.body.get_mut((bit / 8) % length.max(1)) {
                *byte ^= 1 << (bit % 8);
            }
            Reply::Whole(response)
        }
        Effect::Skew { seconds } => {
            let date = Timestamp::now() + SignedDuration::from_secs(*seconds);
            let text = date.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
            set_header(&mut response.headers, "Date", &text);
            Reply::Whole(response)
        }
        _ => Reply::Whole(response),
    }
}

/// Sends a reply; whether the connection may go on.
fn send(stream: &mut TcpStream, reply: &Reply) -> io::Result<bool> {
    match reply {
        Reply::Nothing => Ok(false),
        Reply::Whole(response) => {
            stream.write_all(&response.head())?;
            stream.write_all(&response.body)?;
            Ok(true)
        }
        Reply::Cut(response, bytes) => {
            stream.write_all(&response.head())?;
            let kept = response.body.get(..*bytes).unwrap_or(&response.body);
            stream.write_all(kept)?;
            Ok(false)
        }
        Reply::Slow(response, piece_bytes, pause) => {
            stream.write_all(&response.head())?;
            for piece in response.body.chunks((*piece_bytes).max(1)) {
                stream.write_all(piece)?;
                thread::sleep(*pause);
            }
            Ok(true)
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
