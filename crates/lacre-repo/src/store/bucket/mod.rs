//! Stores in a bucket: S3, B2 and what speaks like them.
//!
//! In: object names, whole objects. Out: outcomes, listings and typed errors. Requests are ours ([`wire`]), with our own deadlines and
//! tries; only their signature is `object_store`'s. It must not know what objects mean.

mod listing;
mod options;
mod pace;
mod probe;
#[cfg(test)]
mod tests;
mod verdict;
mod versions;
mod wire;
mod xml;

use std::{
    collections::BTreeSet,
    hash::{BuildHasher as _, RandomState},
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lacre_format::name::ObjectName;
use reqwest::Method;

pub use options::{BucketOptions, Conditional, Credentials, Lock, PARALLEL_DEFAULT, PlainHttp, Timeouts};

use self::{
    options::Timeouts as Waits,
    verdict::{Verdict, judge},
    wire::{Answer, Arrived, Request, Wire},
};
use super::{Cause, Deletion, Listing, Probe, PutOutcome, StoreError, Versioning, remote::wait};

/// Most tries of one request.
const TRIES_MAX: u32 = 12;
/// Longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15);
/// Longest page of a listing: 1000 entries with the longest names and encodings.
const PAGE_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Longest object that is read back to see whether a lost PUT stored it.
const COMPARED_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Bodies of answers that should have none.
const SMALL_ANSWER_BYTES_MAX: u64 = 64 * 1024;

/// A prefix in a bucket behind blocking calls.
pub(super) struct BucketStore {
    inner: Arc<Inner>,
}

struct Inner {
    wire: Wire,
    prefix: String,
    place: String,
    parallel: usize,
    waits: Waits,
    lock: Option<Lock>,
    options: BucketOptions,
    conditional: Mutex<Conditional>,
    versioning: Mutex<Versioning>,
}

/// An answer, and whether an earlier try of the same request may have been carried out.
struct Reply {
    answer: Answer,
    earlier: Arrived,
}

impl BucketStore {
    pub(super) fn open(options: &BucketOptions) -> Result<Self, StoreError> {
        Ok(Self { inner: Arc::new(Inner::open(options, Wire::new(options)?)?) })
    }

    pub(super) fn access_key_id(&self) -> &str {
        self.inner.options.credentials.access_key_id()
    }

    pub(super) fn place(&self) -> &str {
        &self.inner.place
    }

    pub(super) fn parallel(&self) -> usize {
        self.inner.parallel
    }

    pub(super) fn requests(&self) -> u64 {
        self.inner.wire.requests()
    }

    pub(super) fn clock_skew(&self) -> Option<SignedDuration> {
        self.inner.wire.skew_ms().map(SignedDuration::from_millis)
    }

    pub(super) fn conditional(&self) -> Conditional {
        self.inner.conditional()
    }

    pub(super) fn put_new(&self, name: &ObjectName, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        let (inner, key) = (Arc::clone(&self.inner), name.to_string());
        wait(name.as_str(), async move { inner.put_new(&key, bytes).await })?
    }

    pub(super) fn replace(&self, name: &ObjectName, bytes: Bytes) -> Result<(), StoreError> {
        let (inner, key) = (Arc::clone(&self.inner), name.to_string());
        wait(name.as_str(), async move { inner.replace(&key, bytes).await })?
    }

    pub(super) fn get(&self, name: &ObjectName, bytes_max: u64) -> Result<Bytes, StoreError> {
        let (inner, key) = (Arc::clone(&self.inner), name.to_string());
        wait(name.as_str(), async move { inner.get(&key, bytes_max).await })?
    }

    pub(super) fn get_range(&self, name: &ObjectName, range: Range<u64>) -> Result<Bytes, StoreError> {
        let (inner, key) = (Arc::clone(&self.inner), name.to_string());
        wait(name.as_str(), async move { inner.get_range(&key, range).await })?
    }

    pub(super) fn list(&self, prefix: &str) -> Result<Listing, StoreError> {
        let (inner, below) = (Arc::clone(&self.inner), prefix.to_owned());
        wait(prefix, async move { inner.list(&below).await })?
    }

    pub(super) fn list_many(&self, prefixes: &[&str]) -> Result<Listing, StoreError> {
        let inner = Arc::clone(&self.inner);
        let wanted: Vec<String> = prefixes.iter().map(|prefix| (*prefix).to_owned()).collect();
        wait("", async move { inner.list_many(wanted).await })?
    }

    pub(super) fn names_kept(&self, prefix: &str) -> Result<BTreeSet<String>, StoreError> {
        let (inner, below) = (Arc::clone(&self.inner), prefix.to_owned());
        wait(prefix, async move { inner.names_kept(&below).await })?
    }

    pub(super) fn delete(&self, name: &ObjectName) -> Result<Deletion, StoreError> {
        let (inner, key) = (Arc::clone(&self.inner), name.to_string());
        wait(name.as_str(), async move { inner.delete(&key).await })?
    }

    pub(super) fn extend_lock(&self, name: &ObjectName, until: Timestamp) -> Result<(), StoreError> {
        let (inner, owned) = (Arc::clone(&self.inner), name.clone());
        wait(name.as_str(), async move { inner.extend_lock(&owned, until).await })?
    }

    pub(super) fn lock_days(&self) -> Option<u32> {
        self.inner.lock.map(|lock| lock.days)
    }

    pub(super) fn probe(&self, mark: String) -> Result<Probe, StoreError> {
        let inner = Arc::clone(&self.inner);
        wait("", async move { inner.probe(&mark).await })?
    }
}

impl Inner {
    fn open(options: &BucketOptions, wire: Wire) -> Result<Self, StoreError> {
        if options.lock.is_some_and(|lock| lock.days == 0) {
            return Err(remote("", Cause::Settings, "a lock of no days locks nothing".to_owned()));
        }
        Ok(Self {
            wire,
            prefix: options.prefix.clone(),
            place: options.place.clone(),
            parallel: options.parallel.max(1),
            waits: options.timeouts,
            lock: options.lock,
            options: options.clone(),
            conditional: Mutex::new(options.conditional),
            versioning: Mutex::new(Versioning::Unknown),
        })
    }

    fn known_versioning(&self) -> Versioning {
        *self.versioning.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn_versioning(&self, versioning: Versioning) {
        *self.versioning.lock().unwrap_or_else(PoisonError::into_inner) = versioning;
    }

    fn conditional(&self) -> Conditional {
        *self.conditional.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn(&self, conditional: Conditional) {
        *self.conditional.lock().unwrap_or_else(PoisonError::into_inner) = conditional;
    }

    fn full(&self, name: &str) -> String {
        match (self.prefix.as_str(), name) {
            ("", name) => name.to_owned(),
            (prefix, "") => prefix.to_owned(),
            (prefix, name) => format!("{prefix}/{name}"),
        }
    }

    /// Asks until there is an answer worth looking at, within the patience of these options.
    async fn ask(&self, name: &str, request: &Request<'_>) -> Result<Reply, StoreError> {
        let begun = Instant::now();
        let mut earlier = Arrived::Never;
        let mut tries = 0;
        loop {
            tries += 1;
            let (cause, detail, asked) = match self.wire.send(request).await {
                Ok(answer) => match judge(&answer) {
                    Verdict::Take => return Ok(Reply { answer, earlier }),
                    Verdict::Fail { cause, detail } => return Err(remote(name, cause, detail)),
                    Verdict::Again { cause, detail, pause } => {
                        earlier = Arrived::Perhaps;
                        (cause, detail, pause)
                    }
                },
                Err(trouble) => {
                    if let Some(size) = trouble.too_large {
                        let limit = request.answer_bytes_max;
                        return Err(StoreError::TooLarge { name: name.to_owned(), size, limit });
                    }
                    if trouble.arrived == Arrived::Perhaps {
                        earlier = Arrived::Perhaps;
                    }
                    if matches!(trouble.cause, Cause::Settings | Cause::Certificate) {
                        return Err(remote(name, trouble.cause, trouble.detail));
                    }
                    (trouble.cause, trouble.detail, None)
                }
            };
            let patience = if self.wire.has_answered() { self.waits.patience } else { self.waits.first_patience };
            let pause = asked.unwrap_or_default().max(jittered(self.waits.pause, tries));
            if tries >= TRIES_MAX || begun.elapsed() + pause > patience {
                return Err(remote(name, cause, format!("{detail} ({tries} tries)")));
            }
            tracing::debug!(name, %cause, detail, tries, "the store is asked again");
            tokio::time::sleep(pause).await;
        }
    }

    async fn put_new(&self, name: &str, bytes: Bytes) -> Result<PutOutcome, StoreError> {
        let key = self.full(name);
        if matches!(self.conditional(), Conditional::Unknown | Conditional::Supported) {
            let mut put = put_request(&key, &bytes);
            put.headers.extend(self.lock_headers(name, &bytes));
            put.headers.push(("if-none-match", "*".to_owned()));
            match self.ask(name, &put).await {
                Ok(reply) if is_unsupported(&reply.answer) => self.learn(Conditional::Absent),
                Ok(reply) if reply.answer.status == 412 => {
                    return match reply.earlier {
                        Arrived::Never => Ok(PutOutcome::AlreadyExists),
                        Arrived::Perhaps => self.compare(name, &bytes).await,
                    };
                }
                Ok(reply) => return created(name, &reply.answer),
                Err(StoreError::Remote { cause: Cause::Rejected, detail, .. }) if detail.contains("header") => {
                    tracing::debug!(name, detail, "the store refuses If-None-Match");
                    self.learn(Conditional::Absent);
                }
                Err(error) => return Err(error),
            }
        }
        // The name of a pack is the hash of its bytes: storing it twice changes nothing, so looking first is not worth a request.
        if !name.starts_with("packs/") && self.exists(name).await? {
            return Ok(PutOutcome::AlreadyExists);
        }
        let mut put = put_request(&key, &bytes);
        put.headers.extend(self.lock_headers(name, &bytes));
        let reply = self.ask(name, &put).await?;
        created(name, &reply.answer)
    }

    /// A PUT without a condition; where versions are kept it is one more of them.
    async fn replace(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let key = self.full(name);
        let mut put = put_request(&key, &bytes);
        put.headers.extend(self.lock_headers(name, &bytes));
        let reply = self.ask(name, &put).await?;
        created(name, &reply.answer).map(drop)
    }

    /// Tells whether what is stored are the bytes that an earlier, unanswered try may have stored.
    async fn compare(&self, name: &str, bytes: &Bytes) -> Result<PutOutcome, StoreError> {
        match self.get(name, COMPARED_BYTES_MAX).await {
            Ok(stored) if stored == *bytes => Ok(PutOutcome::Created),
            Ok(_) | Err(StoreError::TooLarge { .. }) => Ok(PutOutcome::AlreadyExists),
            // Without the right to read, the caller's own reading back decides.
            Err(StoreError::Remote { cause: Cause::NotAllowed, .. }) => Ok(PutOutcome::AlreadyExists),
            Err(error) => Err(error),
        }
    }

    async fn exists(&self, name: &str) -> Result<bool, StoreError> {
        Ok(self.head(name).await?.is_some())
    }

    /// The size of an object, if it is there.
    async fn head(&self, name: &str) -> Result<Option<u64>, StoreError> {
        let key = self.full(name);
        let reply = self.ask(name, &read_request(Method::HEAD, &key, 0)).await?;
        match reply.answer.status {
            404 => Ok(None),
            200..=299 if reply.answer.is_html() => Err(no_store(name, "a web page answers")),
            200..=299 => {
                let size = reply.answer.header("content-length").and_then(|size| size.parse().ok());
                size.map(Some).ok_or_else(|| no_store(name, "an object without a size"))
            }
            status => Err(remote(name, Cause::Rejected, format!("HTTP {status}"))),
        }
    }

    async fn get(&self, name: &str, bytes_max: u64) -> Result<Bytes, StoreError> {
        let key = self.full(name);
        let reply = self.ask(name, &read_request(Method::GET, &key, bytes_max)).await?;
        match reply.answer.status {
            404 => Err(StoreError::NotFound { name: name.to_owned() }),
            200 if reply.answer.is_html() => Err(no_store(name, "a web page answers")),
            200 => Ok(reply.answer.body),
            status => Err(remote(name, Cause::Rejected, format!("HTTP {status}"))),
        }
    }

    async fn get_range(&self, name: &str, range: Range<u64>) -> Result<Bytes, StoreError> {
        let out_of_range = || StoreError::OutOfRange { name: name.to_owned(), start: range.start, end: range.end };
        if range.is_empty() {
            let size = self.head(name).await?.ok_or_else(|| StoreError::NotFound { name: name.to_owned() })?;
            return if size < range.end { Err(out_of_range()) } else { Ok(Bytes::new()) };
        }
        let key = self.full(name);
        let length = range.end - range.start;
        let mut request = read_request(Method::GET, &key, length);
        request.headers.push(("range", format!("bytes={}-{}", range.start, range.end - 1)));
        let reply = self.ask(name, &request).await?;
        let body = reply.answer.body.clone();
        let begins = format!("bytes {}-", range.start);
        match reply.answer.status {
            404 => Err(StoreError::NotFound { name: name.to_owned() }),
            416 => Err(out_of_range()),
            200 | 206 if reply.answer.is_html() => Err(no_store(name, "a web page answers")),
            // Some gateways answer a range with 200, and say in the header what it is.
            200 | 206 if reply.answer.header("content-range").is_some_and(|given| given.starts_with(&begins)) => {
                if u64::try_from(body.len()).is_ok_and(|got| got == length) {
                    Ok(body)
                } else {
                    Err(out_of_range())
                }
            }
            206 => Err(no_store(name, "another range than asked for")),
            // The whole object, from a store that knows no ranges; the answer's bound let it pass only if it is no longer.
            200 if range.start == 0 && u64::try_from(body.len()).is_ok_and(|got| got == length) => Ok(body),
            200 if range.start == 0 => Err(out_of_range()),
            200 => Err(no_store(name, "the whole object instead of a range")),
            status => Err(remote(name, Cause::Rejected, format!("HTTP {status}"))),
        }
    }
}

fn read_request(method: Method, key: &str, answer_bytes_max: u64) -> Request<'_> {
    Request { method, key, query: Vec::new(), headers: Vec::new(), body: Bytes::new(), answer_bytes_max }
}

fn put_request<'a>(key: &'a str, bytes: &Bytes) -> Request<'a> {
    Request {
        method: Method::PUT,
        key,
        query: Vec::new(),
        headers: vec![("content-type", "application/octet-stream".to_owned())],
        body: bytes.clone(),
        answer_bytes_max: SMALL_ANSWER_BYTES_MAX,
    }
}

/// A PUT was carried out only if what answers names the stored bytes: a proxy's page with status 200 does not.
fn created(name: &str, answer: &Answer) -> Result<PutOutcome, StoreError> {
    match answer.status {
        200 | 201 | 204 if answer.is_html() || answer.header("etag").is_none() => {
            Err(no_store(name, "the answer to a PUT carries no ETag"))
        }
        200 | 201 | 204 => Ok(PutOutcome::Created),
        404 => Err(remote(name, Cause::NoBucket, "HTTP 404".to_owned())),
        status => Err(remote(name, Cause::Rejected, format!("HTTP {status}"))),
    }
}

/// Whether a store says that it does not know conditional PUT.
fn is_unsupported(answer: &Answer) -> bool {
    // Of the refusals, only NotImplemented comes this far.
    matches!(answer.status, 501 | 400 | 403)
}

fn remote(name: &str, cause: Cause, detail: String) -> StoreError {
    StoreError::Remote { name: name.to_owned(), cause, detail }
}

fn no_store(name: &str, detail: &str) -> StoreError {
    remote(name, Cause::NotAStore, detail.to_owned())
}

/// The pause before the next try: doubled each time, and between half and all of that, so that many hosts do not come back at once.
fn jittered(first: Duration, tries: u32) -> Duration {
    let full = first.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(PAUSE_MAX);
    let drawn = u32::try_from(RandomState::new().hash_one(tries) % 1024).unwrap_or_default();
    full / 2 + full / 2 * drawn / 1024
}
