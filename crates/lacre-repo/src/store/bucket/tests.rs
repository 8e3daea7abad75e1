//! The bucket against a small HTTP server of this process that answers as a test wants.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    num::NonZeroU64,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use lacre_format::name::ObjectName;

use super::{
    BucketOptions, Conditional, Credentials, PlainHttp, Timeouts,
    pace::{Limiter, Pulse},
};
use crate::store::{Cause, PutOutcome, Store, StoreError};

/// A request as it arrived.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

/// What is sent back: the bytes as they are, after which the connection is closed.
type Reply = Vec<u8>;

struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    /// Answers each request with what `answer` makes of it and of its number, from 1; an empty reply hangs up.
    fn start(answer: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let (seen, answer) = (Arc::clone(&asked), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (seen, answer) = (Arc::clone(&seen), Arc::clone(&answer));
                std::thread::spawn(move || {
                    let Some(request) = read(&stream) else { return };
                    let number = {
                        let mut seen = seen.lock().unwrap();
                        seen.push(request.clone());
                        seen.len()
                    };
                    let reply = answer(&request, number);
                    drop((&stream).write_all(&reply));
                });
            }
        });
        Server { address, asked }
    }

    fn options(&self) -> BucketOptions {
        let keys = Credentials::new("id".to_owned(), "secret".to_owned());
        let mut options = BucketOptions::new("vault", "some/where", "us-east-1", keys);
        options.endpoint = Some(format!("http://{}", self.address));
        options.timeouts = Timeouts {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(20),
            stall: Duration::from_secs(20),
            patience: Duration::from_secs(30),
            first_patience: Duration::from_secs(30),
            pause: Duration::from_millis(1),
        };
        options
    }

    fn store(&self) -> Store {
        Store::open_bucket(&self.options()).unwrap()
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

fn read(stream: &TcpStream) -> Option<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some(Asked { method, target, headers, body })
}

fn reply(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Reply {
    let mut out = format!("HTTP/1.1 {status} X\r\nconnection: close\r\n").into_bytes();
    for (name, value) in headers {
        out.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    out.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    out.extend_from_slice(body);
    out
}

fn stored() -> Reply {
    reply(200, &[("etag", "\"1\"")], b"")
}

fn complaint(status: u16, code: &str) -> Reply {
    let body = format!("<Error><Code>{code}</Code><Message>no {code} today</Message></Error>");
    reply(status, &[("content-type", "application/xml")], body.as_bytes())
}

fn name(text: &str) -> ObjectName {
    ObjectName::from_path(text).unwrap()
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

#[track_caller]
fn cause(error: StoreError) -> Cause {
    match error {
        StoreError::Remote { cause, .. } => cause,
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn a_put_is_signed_conditional_and_of_known_length() {
    let server = Server::start(|_, _| stored());
    assert_eq!(server.store().put_new(&name("snap/ab"), bytes("hello")).unwrap(), PutOutcome::Created);
    let asked = server.asked();
    assert_eq!((asked.len(), asked[0].method.as_str()), (1, "PUT"));
    assert_eq!(asked[0].target, "/vault/some/where/snap/ab");
    assert_eq!(asked[0].body, b"hello");
    let header = |name: &str| asked[0].headers.get(name).map(String::as_str);
    assert_eq!(header("if-none-match"), Some("*"));
    assert_eq!((header("content-length"), header("transfer-encoding")), (Some("5"), None));
    // SHA-256 of "hello", FIPS 180-4.
    assert_eq!(
        header("x-amz-content-sha256"),
        Some("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
    );
    let signature = header("authorization").unwrap();
    assert!(signature.starts_with("AWS4-HMAC-SHA256 Credential=id/"), "{signature}");
    assert!(signature.contains("if-none-match"), "the condition is signed: {signature}");
}

#[test]
fn a_taken_name_is_left_alone() {
    let server = Server::start(|_, _| complaint(412, "PreconditionFailed"));
    assert_eq!(server.store().put_new(&name("snap/ab"), bytes("x")).unwrap(), PutOutcome::AlreadyExists);
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn an_answer_lost_after_the_write_is_found_out() {
    let lost = |stored: &'static str| {
        Server::start(move |asked, number| match (asked.method.as_str(), number) {
            ("PUT", 1) => Vec::new(),
            ("PUT", _) => complaint(412, "PreconditionFailed"),
            _ => reply(200, &[("etag", "\"1\"")], stored.as_bytes()),
        })
    };
    let ours = lost("mine");
    assert_eq!(ours.store().put_new(&name("snap/ab"), bytes("mine")).unwrap(), PutOutcome::Created);
    assert_eq!(ours.asked().iter().map(|asked| asked.method.as_str()).collect::<Vec<_>>(), ["PUT", "PUT", "GET"]);
    let theirs = lost("other");
    assert_eq!(theirs.store().put_new(&name("snap/ab"), bytes("mine")).unwrap(), PutOutcome::AlreadyExists);
}

#[test]
fn a_500_after_the_commit_is_no_conflict() {
    let server = Server::start(|asked, number| match (asked.method.as_str(), number) {
        ("PUT", 1) => complaint(500, "InternalError"),
        ("PUT", _) => complaint(412, "PreconditionFailed"),
        _ => reply(200, &[("etag", "\"1\"")], b"mine"),
    });
    assert_eq!(server.store().put_new(&name("snap/ab"), bytes("mine")).unwrap(), PutOutcome::Created);
}

#[test]
fn a_store_without_conditions_is_asked_once_and_remembered() {
    let server = Server::start(|asked, _| match (asked.method.as_str(), asked.headers.contains_key("if-none-match")) {
        ("PUT", true) => complaint(501, "NotImplemented"),
        ("PUT", false) => stored(),
        _ => reply(404, &[], b""),
    });
    let store = server.store();
    assert_eq!(store.conditional(), Conditional::Unknown);
    assert_eq!(store.put_new(&name("snap/ab"), bytes("x")).unwrap(), PutOutcome::Created);
    assert_eq!(store.conditional(), Conditional::Absent);
    let pack = format!("packs/aa/{}", "a".repeat(64));
    assert_eq!(store.put_new(&name(&pack), bytes("x")).unwrap(), PutOutcome::Created);
    let methods: Vec<String> = server.asked().into_iter().map(|asked| asked.method).collect();
    assert_eq!(methods, ["PUT", "HEAD", "PUT", "PUT"]);
}

#[test]
fn a_busy_store_is_asked_again_and_a_refusal_is_not() {
    let server = Server::start(|_, number| if number < 4 { complaint(503, "SlowDown") } else { stored() });
    assert_eq!(server.store().put_new(&name("snap/ab"), bytes("x")).unwrap(), PutOutcome::Created);
    assert_eq!(server.asked().len(), 4);
    for (status, code, wanted) in [
        (403, "AccessDenied", Cause::NotAllowed),
        (403, "InvalidAccessKeyId", Cause::WrongKey),
        (404, "NoSuchBucket", Cause::NoBucket),
        (507, "StorageFull", Cause::Full),
    ] {
        let server = Server::start(move |_, _| complaint(status, code));
        assert_eq!(cause(server.store().put_new(&name("snap/ab"), bytes("x")).unwrap_err()), wanted);
        assert_eq!(cause(server.store().get(&name("snap/ab"), 10).unwrap_err()), wanted);
        assert_eq!(cause(server.store().list("snap").unwrap_err()), wanted);
        assert_eq!(server.asked().len(), 3, "{code} is not tried again");
    }
}

#[test]
fn tries_end() {
    let server = Server::start(|_, _| complaint(500, "InternalError"));
    let error = server.store().get(&name("snap/ab"), 10).unwrap_err();
    assert!(error.is_transient());
    assert!(error.to_string().contains("InternalError"), "{error}");
    assert_eq!(cause(error), Cause::Busy);
    assert_eq!(server.asked().len(), usize::try_from(super::TRIES_MAX).unwrap());
}

#[test]
fn keys_never_follow_a_redirection() {
    let reached = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reached);
    let other = Server::start(move |_, _| {
        count.fetch_add(1, Ordering::SeqCst);
        stored()
    });
    for status in [301, 302, 307, 308] {
        let location = format!("http://{}/vault/some/where/snap/ab", other.address);
        let server = Server::start(move |_, _| reply(status, &[("location", &location)], b""));
        assert_eq!(cause(server.store().put_new(&name("snap/ab"), bytes("x")).unwrap_err()), Cause::Redirected);
        assert_eq!(cause(server.store().get(&name("snap/ab"), 9).unwrap_err()), Cause::Redirected);
    }
    assert_eq!(reached.load(Ordering::SeqCst), 0);
}

#[test]
fn a_web_page_is_no_store() {
    let page = b"<html><body>Log in to the network</body></html>";
    let server =
        Server::start(|_, _| reply(200, &[("content-type", "text/html; charset=utf-8"), ("etag", "\"p\"")], page));
    let store = server.store();
    assert_eq!(cause(store.put_new(&name("snap/ab"), bytes("x")).unwrap_err()), Cause::NotAStore);
    assert_eq!(cause(store.get(&name("snap/ab"), 1000).unwrap_err()), Cause::NotAStore);
    assert_eq!(cause(store.get_range(&name("snap/ab"), 0..100).unwrap_err()), Cause::NotAStore);
    assert_eq!(cause(store.list("snap").unwrap_err()), Cause::NotAStore);
    let silent = Server::start(|_, _| reply(200, &[], b""));
    assert_eq!(cause(silent.store().put_new(&name("snap/ab"), bytes("x")).unwrap_err()), Cause::NotAStore);
    assert_eq!(cause(silent.store().list("snap").unwrap_err()), Cause::NotAStore);
}

#[test]
fn a_cut_answer_is_read_again() {
    let server = Server::start(|_, number| {
        let whole = reply(200, &[("etag", "\"1\"")], b"0123456789");
        if number == 1 { whole[..whole.len() - 4].to_vec() } else { whole }
    });
    assert_eq!(server.store().get(&name("snap/ab"), 10).unwrap(), "0123456789");
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn an_answer_over_its_bound_is_not_read() {
    let server = Server::start(|_, _| reply(200, &[("etag", "\"1\"")], b"0123456789"));
    let error = server.store().get(&name("snap/ab"), 9).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { size: 10, limit: 9, .. }), "{error:?}");
    assert_eq!(server.asked().len(), 1);
}

#[test]
fn a_transfer_that_stands_still_is_given_up() {
    let server = Server::start(|_, _| {
        std::thread::sleep(Duration::from_secs(5));
        stored()
    });
    let mut options = server.options();
    options.timeouts.answer = Duration::from_millis(50);
    options.timeouts.stall = Duration::from_millis(50);
    options.timeouts.first_patience = Duration::from_millis(200);
    let store = Store::open_bucket(&options).unwrap();
    assert_eq!(cause(store.put_new(&name("snap/ab"), bytes("x")).unwrap_err()), Cause::Silent);
    assert!(server.asked().len() > 1, "it is tried again first");
}

#[test]
fn nothing_at_the_address_is_said_soon() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let server = Server { address: listener.local_addr().unwrap().to_string(), asked: Arc::default() };
    drop(listener);
    let mut options = server.options();
    options.timeouts.first_patience = Duration::from_millis(50);
    let error = Store::open_bucket(&options).unwrap().get(&name("lacre.json"), 10).unwrap_err();
    assert!(error.is_transient());
    assert_eq!(cause(error), Cause::Down);
}

#[test]
fn ranges_are_what_was_asked_for() {
    let server = Server::start(|asked, _| match asked.headers.get("range").map(String::as_str) {
        Some("bytes=2-4") => reply(206, &[("content-range", "bytes 2-4/10")], b"234"),
        Some("bytes=8-11") => reply(206, &[("content-range", "bytes 8-9/10")], b"89"),
        Some("bytes=3-5") => reply(206, &[("content-range", "bytes 0-2/10")], b"012"),
        Some("bytes=20-21") => complaint(416, "InvalidRange"),
        Some(_) => reply(200, &[("etag", "\"1\"")], b"0123456789"),
        None => reply(200, &[], b""),
    });
    let store = server.store();
    let read = |range| store.get_range(&name("snap/ab"), range);
    assert_eq!(read(2..5).unwrap(), "234");
    assert!(matches!(read(8..12), Err(StoreError::OutOfRange { .. })));
    assert!(matches!(read(20..22), Err(StoreError::OutOfRange { .. })));
    assert_eq!(cause(read(3..6).unwrap_err()), Cause::NotAStore);
    assert_eq!(read(0..10).unwrap(), "0123456789");
    assert!(matches!(read(5..6), Err(StoreError::TooLarge { .. })), "a whole object is no range");
    assert!(matches!(read(0..0), Ok(empty) if empty.is_empty()));
}

fn page(keys: &[&str], next: Option<&str>) -> Reply {
    let mut body = String::from("<ListBucketResult>");
    for key in keys {
        body.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>3</Size><LastModified>2026-11-23T01:02:03.000Z</LastModified></Contents>"
        ));
    }
    match next {
        Some(next) => body
            .push_str(&format!("<IsTruncated>true</IsTruncated><NextContinuationToken>{next}</NextContinuationToken>")),
        None => body.push_str("<IsTruncated>false</IsTruncated>"),
    }
    body.push_str("</ListBucketResult>");
    reply(200, &[("content-type", "application/xml"), ("date", "Mon, 23 Nov 2020 02:41:37 GMT")], body.as_bytes())
}

#[test]
fn listings_go_page_by_page_and_stay_below_the_prefix() {
    let server = Server::start(|asked, _| {
        assert!(asked.target.contains("prefix=some%2Fwhere%2Fsnap%2F"), "{}", asked.target);
        if asked.target.contains("continuation-token=more%2B") {
            page(&["some/where/snap/aa", "some/where/snap/"], None)
        } else {
            page(&["some/where/snap/cc", "some/where/snap/bb"], Some("more+"))
        }
    });
    let store = server.store();
    let listing = store.list("snap/").unwrap();
    assert_eq!(
        listing.objects.iter().map(|object| object.name.as_str()).collect::<Vec<_>>(),
        ["snap/aa", "snap/bb", "snap/cc"]
    );
    assert_eq!(listing.objects[0].modified.to_string(), "2026-11-23T01:02:03Z");
    assert_eq!(listing.foreign.len(), 1);
    assert!(store.clock_skew().unwrap().as_hours() < -24, "the store's clock is years behind");
    assert_eq!(store.http_requests(), Some(2));
}

#[test]
fn listings_that_lie_are_refused() {
    let endless = Server::start(|_, _| page(&["some/where/snap/aa"], Some("again")));
    assert_eq!(cause(endless.store().list("snap").unwrap_err()), Cause::NotAStore);
    assert_eq!(endless.asked().len(), 2);
    let elsewhere = Server::start(|_, _| page(&["other/snap/aa"], None));
    assert_eq!(cause(elsewhere.store().list("snap").unwrap_err()), Cause::NotAStore);
}

#[test]
fn plain_http_stays_on_this_machine() {
    let keys = || Credentials::new("id".to_owned(), "secret".to_owned());
    let open = |endpoint: &str, plain_http| {
        let mut options = BucketOptions::new("vault", "", "us-east-1", keys());
        options.endpoint = Some(endpoint.to_owned());
        options.plain_http = plain_http;
        Store::open_bucket(&options).map(drop)
    };
    assert_eq!(cause(open("http://store.example", PlainHttp::Loopback).unwrap_err()), Cause::PlainHttp);
    assert_eq!(cause(open("http://localhost.example", PlainHttp::Loopback).unwrap_err()), Cause::PlainHttp);
    assert!(open("http://store.example", PlainHttp::Anywhere).is_ok());
    assert!(open("http://[::1]:9000", PlainHttp::Loopback).is_ok());
    for bad in ["ftp://x", "x", "https://user:pw@host", "https://host/path", "https://host?x=y", ""] {
        assert_eq!(cause(open(bad, PlainHttp::Anywhere).unwrap_err()), Cause::Settings, "{bad}");
    }
}

#[test]
fn options_that_lead_nowhere_are_refused() {
    let keys = Credentials::new("id".to_owned(), "secret".to_owned());
    assert_eq!(format!("{keys:?}"), "Credentials(***)");
    let good = BucketOptions::new("vault", "/a/b/", "eu-west-1", keys);
    assert_eq!(good.base_url().unwrap(), "https://vault.s3.eu-west-1.amazonaws.com");
    assert_eq!((good.place.as_str(), good.prefix.as_str()), ("s3://vault/a/b", "a/b"));
    let with = |change: &dyn Fn(&mut BucketOptions)| {
        let mut options = good.clone();
        change(&mut options);
        options.base_url()
    };
    let dotted = with(&|options| options.bucket = "my.vault".to_owned()).unwrap();
    assert_eq!(dotted, "https://s3.eu-west-1.amazonaws.com/my.vault");
    let bad: [&dyn Fn(&mut BucketOptions); 7] = [
        &|options| options.bucket = String::new(),
        &|options| options.bucket = "a/b".to_owned(),
        &|options| options.prefix = "a//b".to_owned(),
        &|options| options.prefix = "../b".to_owned(),
        &|options| options.region = "eu west".to_owned(),
        &|options| options.credentials = Credentials::new("id".to_owned(), "two\nlines".to_owned()),
        &|options| options.credentials = Credentials::new(String::new(), "secret".to_owned()),
    ];
    for change in bad {
        assert_eq!(cause(with(change).unwrap_err()), Cause::Settings);
    }
}

#[test]
fn a_limit_spreads_bytes_over_time() {
    let limiter = Limiter::new(NonZeroU64::new(1_000_000).unwrap());
    let waits: Vec<Duration> = (0..20).map(|_| limiter.reserve(100_000)).collect();
    assert!(waits[0] < Duration::from_millis(200), "{waits:?}");
    // Two seconds of bytes, less the burst of a quarter; time may pass meanwhile, so only the order of size is certain.
    assert!(waits[19] <= Duration::from_secs(2), "{waits:?}");
    assert!(waits.windows(2).any(|pair| pair[1] > pair[0]), "{waits:?}");
}

#[test]
fn a_limited_upload_arrives_whole() {
    let server =
        Server::start(|asked, _| if asked.body.len() == 200_000 { stored() } else { complaint(400, "BadDigest") });
    let mut options = server.options();
    options.upload_bytes_per_second = NonZeroU64::new(2_000_000);
    let store = Store::open_bucket(&options).unwrap();
    assert_eq!(store.put_new(&name("snap/ab"), Bytes::from(vec![7; 200_000])).unwrap(), PutOutcome::Created);
}

#[test]
fn silence_ends_when_nothing_beats() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let pulse = Pulse::new();
        pulse.beat();
        pulse.silence(Duration::from_millis(5)).await;
    });
}
