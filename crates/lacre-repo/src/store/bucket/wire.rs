//! One request on the wire: signed, sent once, watched, its answer read within bounds.
//!
//! In: a verb's request. Out: the store's answer whatever its status, or why there is none and whether the request may have been
//! carried out all the same. Redirects are never followed, so keys stay with the host they are for. It must not know retries or verbs.

use std::{
    error::Error as _,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use object_store::{
    aws::{AwsAuthorizer, AwsCredential},
    client::{HttpRequest, HttpRequestBody},
};
use reqwest::{
    Method,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};

use super::{
    options::{BucketOptions, Timeouts, is_loopback},
    pace::{Limiter, Paced, Pulse},
    xml::{Slash, encoded},
};
use crate::store::{Cause, StoreError};

/// Longest error document that is read.
const COMPLAINT_BYTES_MAX: u64 = 64 * 1024;
/// Unknown skew of the store's clock.
const SKEW_UNKNOWN: i64 = i64::MIN;

/// One request; `key` is the object's full name inside the bucket.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) key: &'a str,
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Bytes,
    /// Most bytes of a good answer.
    pub(super) answer_bytes_max: u64,
}

/// What the store said.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(super) fn is_html(&self) -> bool {
        self.header("content-type").is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
    }
}

/// Why there is no answer.
pub(super) struct Trouble {
    pub(super) cause: Cause,
    pub(super) detail: String,
    /// Whether the store may have carried the request out.
    pub(super) arrived: Arrived,
    /// The size of an answer over its bound.
    pub(super) too_large: Option<u64>,
}

/// Whether a request without an answer was carried out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Arrived {
    Never,
    Perhaps,
}

/// The connection to one bucket.
pub(super) struct Wire {
    client: reqwest::Client,
    base: String,
    region: String,
    credential: AwsCredential,
    upload: Option<Arc<Limiter>>,
    read: Option<Arc<Limiter>>,
    timeouts: Timeouts,
    skew_ms: AtomicI64,
    has_answered: AtomicBool,
    requests: AtomicU64,
}

impl Wire {
    pub(super) fn new(options: &BucketOptions) -> Result<Self, StoreError> {
        let base = options.base_url()?;
        let settings = |detail: String| StoreError::Remote { name: String::new(), cause: Cause::Settings, detail };
        let url = reqwest::Url::parse(&base).map_err(|error| settings(error.to_string()))?;
        let mut client = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(options.timeouts.connect)
            .pool_max_idle_per_host(options.parallel.max(1))
            .http1_only()
            .referer(false)
            .user_agent(concat!("lacre/", env!("CARGO_PKG_VERSION")));
        if is_loopback(&url) {
            client = client.no_proxy();
        }
        if let Some(pem) = &options.authorities {
            let bad = |error: reqwest::Error| settings(format!("the authority's certificates cannot be read: {error}"));
            for certificate in reqwest::Certificate::from_pem_bundle(pem).map_err(bad)? {
                client = client.add_root_certificate(certificate);
            }
        }
        let client = client.build().map_err(|error| settings(reasons(&error)))?;
        let keys = &options.credentials;
        Ok(Self {
            client,
            base,
            region: options.region.clone(),
            credential: AwsCredential {
                key_id: keys.access_key_id.to_string(),
                secret_key: keys.secret_access_key.to_string(),
                token: keys.session_token.as_ref().map(|token| token.to_string()),
            },
            upload: options.upload_bytes_per_second.map(|rate| Arc::new(Limiter::new(rate))),
            read: options.read_bytes_per_second.map(|rate| Arc::new(Limiter::new(rate))),
            timeouts: options.timeouts,
            skew_ms: AtomicI64::new(SKEW_UNKNOWN),
            has_answered: AtomicBool::new(false),
            requests: AtomicU64::new(0),
        })
    }

    /// Whether anything at all has ever answered.
    pub(super) fn has_answered(&self) -> bool {
        self.has_answered.load(Ordering::Relaxed)
    }

    /// Requests sent, tries counted.
    pub(super) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// How far the store's clock is ahead of this machine's, in milliseconds, by its last answer.
    pub(super) fn skew_ms(&self) -> Option<i64> {
        Some(self.skew_ms.load(Ordering::Relaxed)).filter(|skew| *skew != SKEW_UNKNOWN)
    }

    /// Sends a request once.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Answer, Trouble> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let signed = self.signed(request)?;
        let pulse = Pulse::new();
        let mut sending = self.client.request(request.method.clone(), self.url(request)).headers(signed);
        if !request.body.is_empty() || request.method == Method::PUT {
            let paced = Paced::new(request.body.clone(), self.upload.clone(), pulse.clone());
            sending =
                sending.header(header::CONTENT_LENGTH, request.body.len()).body(reqwest::Body::wrap_stream(paced));
        }
        let longest = self.timeouts.answer.max(self.timeouts.stall);
        let response = tokio::select! {
            response = sending.send() => response.map_err(|error| trouble(&error))?,
            () = pulse.silence(longest) => return Err(silent("no answer", longest, Arrived::Perhaps)),
        };
        self.has_answered.store(true, Ordering::Relaxed);
        self.note_clock(response.headers());
        self.answer(response, request).await
    }

    async fn answer(&self, mut response: reqwest::Response, request: &Request<'_>) -> Result<Answer, Trouble> {
        let status = response.status();
        let headers = response.headers().clone();
        let limit = if status.is_success() { request.answer_bytes_max } else { COMPLAINT_BYTES_MAX };
        let announced = if request.method == Method::HEAD { None } else { response.content_length() };
        if status.is_success()
            && let Some(size) = announced.filter(|size| *size > limit)
        {
            return Err(too_large(size));
        }
        let expected = announced.unwrap_or_default().min(limit);
        let mut body = BytesMut::with_capacity(usize::try_from(expected).unwrap_or_default());
        loop {
            let piece = tokio::time::timeout(self.timeouts.stall, response.chunk())
                .await
                .map_err(|_| silent("the answer stood still", self.timeouts.stall, Arrived::Perhaps))?
                .map_err(|error| Trouble { arrived: Arrived::Perhaps, ..trouble(&error) })?;
            let Some(piece) = piece else { break };
            let length = u64::try_from(body.len().saturating_add(piece.len())).unwrap_or(u64::MAX);
            if length > limit {
                if status.is_success() {
                    return Err(too_large(length));
                }
                break;
            }
            body.extend_from_slice(&piece);
            if let Some(limiter) = &self.read {
                tokio::time::sleep(limiter.reserve(piece.len())).await;
            }
        }
        Ok(Answer { status: status.as_u16(), headers, body: body.freeze() })
    }

    fn url(&self, request: &Request<'_>) -> String {
        let mut url = format!("{}/{}", self.base, encoded(request.key, Slash::Kept));
        for (at, (name, value)) in request.query.iter().enumerate() {
            let mark = if at == 0 { "?" } else { "&" };
            url.extend([mark, name, "=", encoded(value, Slash::Encoded).as_str()]);
        }
        url
    }

    /// The headers of a request with its signature (AWS Signature Version 4), which covers the hash of the body.
    fn signed(&self, request: &Request<'_>) -> Result<HeaderMap, Trouble> {
        let fail =
            |detail: String| Trouble { cause: Cause::Settings, detail, arrived: Arrived::Never, too_large: None };
        let mut unsigned = HttpRequest::new(HttpRequestBody::from(request.body.clone()));
        *unsigned.method_mut() = request.method.clone();
        *unsigned.uri_mut() = self.url(request).parse().map_err(|error| fail(format!("bad URL: {error}")))?;
        for (name, value) in &request.headers {
            let value = HeaderValue::from_str(value).map_err(|error| fail(error.to_string()))?;
            unsigned.headers_mut().insert(HeaderName::from_static(name), value);
        }
        AwsAuthorizer::new(&self.credential, "s3", &self.region)
            .try_authorize(&mut unsigned, None)
            .map_err(|error| fail(error.to_string()))?;
        Ok(std::mem::take(unsigned.headers_mut()))
    }

    fn note_clock(&self, headers: &HeaderMap) {
        let date = headers.get(header::DATE).and_then(|value| value.to_str().ok());
        let Some(store) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else { return };
        let here = here();
        // A Date header has whole seconds: half of one is its mean error.
        let skew = store.timestamp().as_millisecond().saturating_add(500).saturating_sub(here.as_millisecond());
        self.skew_ms.store(skew, Ordering::Relaxed);
    }
}

/// This machine's clock, which is only ever compared with the store's.
#[expect(clippy::disallowed_methods, reason = "how wrong this machine's clock is can only be measured with it")]
pub(super) fn here() -> jiff::Timestamp {
    jiff::Timestamp::try_from(SystemTime::now()).unwrap_or(jiff::Timestamp::UNIX_EPOCH)
}

fn too_large(size: u64) -> Trouble {
    Trouble {
        cause: Cause::Rejected,
        detail: format!("the answer has {size} bytes"),
        arrived: Arrived::Perhaps,
        too_large: Some(size),
    }
}

fn silent(what: &str, longest: Duration, arrived: Arrived) -> Trouble {
    Trouble {
        cause: Cause::Silent,
        detail: format!("{what} for {} s", longest.as_secs_f32()),
        arrived,
        too_large: None,
    }
}

/// Sorts what the HTTP client says by what a person does about it.
fn trouble(error: &reqwest::Error) -> Trouble {
    let detail = reasons(error);
    let lower = detail.to_ascii_lowercase();
    let kinds = io_kinds(error);
    let cause = if lower.contains("dns error") || lower.contains("failed to lookup address") {
        Cause::HostUnknown
    } else if lower.contains("certificate") {
        Cause::Certificate
    } else if kinds.contains(&io::ErrorKind::ConnectionRefused) {
        Cause::Down
    } else if error.is_connect()
        && ["tls", "handshake", "invalidcontenttype", "corrupt message"].iter().any(|word| lower.contains(word))
    {
        Cause::Tls
    } else if error.is_timeout() {
        Cause::Silent
    } else if error.is_connect() {
        Cause::Down
    } else if error.is_builder() {
        Cause::Settings
    } else {
        Cause::Cut
    };
    let arrived = if error.is_connect() || error.is_builder() { Arrived::Never } else { Arrived::Perhaps };
    Trouble { cause, detail, arrived, too_large: None }
}

/// What an error and its sources say; the innermost is what happened.
fn reasons(error: &reqwest::Error) -> String {
    let mut innermost: Option<String> = None;
    let mut source = error.source();
    let mut all = String::new();
    while let Some(inner) = source {
        let text = inner.to_string();
        if innermost.as_deref() != Some(text.as_str()) {
            if !all.is_empty() {
                all.push_str(": ");
            }
            all.push_str(&text);
        }
        innermost = Some(text);
        source = inner.source();
    }
    if all.is_empty() { error.to_string() } else { all }
}

fn io_kinds(error: &reqwest::Error) -> Vec<io::ErrorKind> {
    let mut kinds = Vec::new();
    let mut source = error.source();
    while let Some(inner) = source {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            kinds.push(io.kind());
        }
        source = inner.source();
    }
    kinds
}
