//! Deleting for good: every version of a name, one by one, and locks that forbid it for a while.
//!
//! In: object names. Out: what became of them. In a versioned bucket a plain DELETE only hides an object behind a marker, so versions
//! are listed and deleted by their ids, markers too. It must not know why something is deleted.

use std::collections::BTreeSet;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use lacre_format::name::ObjectName;
use md5::{Digest as _, Md5};
use reqwest::Method;

use super::{
    Inner, SMALL_ANSWER_BYTES_MAX, no_store, read_request, remote,
    wire::{Answer, Request, here},
    xml,
};
use crate::store::{Cause, Deletion, LIST_ENTRIES_MAX, LockMode, StoreError, Versioning, bucket::PAGE_BYTES_MAX};

/// Most versions of one name that are deleted in one call; more come with the next.
const VERSIONS_MAX: usize = 10_000;
/// Parts of the repository that a lock may hold. Keys, policies, logs and markers never are: what must be able to die must not be locked.
const LOCKED: [&str; 4] = ["packs/", "index/", "snap/", "reach/"];

/// One version of a name.
struct Version {
    id: String,
    is_marker: bool,
}

impl Inner {
    /// Deletes every version of a name that the store lets go.
    pub(super) async fn delete(&self, name: &str) -> Result<Deletion, StoreError> {
        if self.versioning(name).await? == Versioning::Off {
            let answer = match self.delete_one(name, None).await {
                Ok(answer) => answer,
                Err(error) => return self.pending(name, None, error).await,
            };
            if answer.header("x-amz-delete-marker") != Some("true") && answer.header("x-amz-version-id").is_none() {
                return Ok(Deletion::Gone);
            }
            self.learn_versioning(Versioning::On);
        }
        let versions = match self.versions(name).await {
            Ok(versions) => versions,
            // Without the right to see versions an object can only be hidden.
            Err(StoreError::Remote { cause: Cause::NotAllowed | Cause::Rejected, .. }) => {
                self.delete_one(name, None).await?;
                return Ok(Deletion::Hidden);
            }
            Err(error) => return Err(error),
        };
        let mut outcome = Deletion::Gone;
        // Markers go last and only with everything else: what a lock keeps stays as visible as it was, for whoever tries again.
        for version in versions.iter().filter(|version| !version.is_marker) {
            if let Err(error) = self.delete_one(name, Some(&version.id)).await {
                outcome = outcome.and(self.pending(name, Some(&version.id), error).await?);
            }
        }
        if outcome == Deletion::Gone {
            for version in versions.iter().filter(|version| version.is_marker) {
                self.delete_one(name, Some(&version.id)).await?;
            }
        }
        Ok(outcome)
    }

    async fn delete_one(&self, name: &str, version: Option<&str>) -> Result<Answer, StoreError> {
        let key = self.full(name);
        let mut request = read_request(Method::DELETE, &key, SMALL_ANSWER_BYTES_MAX);
        request.query.extend(version.map(|id| ("versionId", id.to_owned())));
        let answer = self.ask(name, &request).await?.answer;
        match answer.status {
            200 | 202 | 204 | 404 => Ok(answer),
            status => Err(remote(name, Cause::Rejected, format!("HTTP {status}"))),
        }
    }

    /// Whether a refusal to delete is a lock, and until when.
    async fn pending(&self, name: &str, version: Option<&str>, refusal: StoreError) -> Result<Deletion, StoreError> {
        let StoreError::Remote { cause: Cause::NotAllowed | Cause::Rejected, detail, .. } = &refusal else {
            return Err(refusal);
        };
        let lower = detail.to_ascii_lowercase();
        let says_lock = ["lock", "worm", "retention", "retain", "legal hold"].iter().any(|word| lower.contains(word));
        let key = self.full(name);
        let mut request = read_request(Method::HEAD, &key, 0);
        request.query.extend(version.map(|id| ("versionId", id.to_owned())));
        let Ok(reply) = self.ask(name, &request).await else {
            return if says_lock { Ok(Deletion::Pending { until: None }) } else { Err(refusal) };
        };
        let until = reply.answer.header("x-amz-object-lock-retain-until-date").and_then(|date| date.parse().ok());
        let is_held = reply.answer.header("x-amz-object-lock-legal-hold") == Some("ON");
        let is_locked = until.is_some_and(|until: Timestamp| until > self.store_now());
        if is_held || is_locked || says_lock {
            let until = until.filter(|_| !is_held);
            return Ok(Deletion::Pending { until });
        }
        Err(refusal)
    }

    /// Whether the bucket keeps versions; asked once.
    pub(super) async fn versioning(&self, name: &str) -> Result<Versioning, StoreError> {
        let known = self.known_versioning();
        if known != Versioning::Unknown {
            return Ok(known);
        }
        let request = Request {
            query: vec![("versioning", String::new())],
            ..read_request(Method::GET, "", SMALL_ANSWER_BYTES_MAX)
        };
        let found = match self.ask(name, &request).await {
            Ok(reply) if reply.answer.status == 200 => {
                let mut status = String::new();
                let root = xml::elements(&reply.answer.body, &mut |path, text| {
                    if path.last().is_some_and(|last| last == "Status") {
                        text.trim().clone_into(&mut status);
                    }
                });
                match root {
                    // A suspended bucket still holds the versions of before.
                    Ok(root) if root == "VersioningConfiguration" && status.is_empty() => Versioning::Off,
                    Ok(root) if root == "VersioningConfiguration" => Versioning::On,
                    _ => Versioning::Unknown,
                }
            }
            Ok(_) => Versioning::Off,
            Err(StoreError::Remote { cause: Cause::NotAllowed | Cause::Rejected, .. }) => Versioning::Unknown,
            Err(error) => return Err(error),
        };
        self.learn_versioning(found);
        Ok(found)
    }

    async fn versions(&self, name: &str) -> Result<Vec<Version>, StoreError> {
        let key = self.full(name);
        let mut versions = Vec::new();
        let mut marker = None::<(String, String)>;
        loop {
            let page = self.version_page(name, &key, marker.take()).await?;
            let beyond = page.entries.iter().any(|entry| entry.key > key);
            let here = page.entries.into_iter().filter(|entry| entry.key == key);
            versions.extend(here.map(|entry| Version { id: entry.version, is_marker: entry.is_marker }));
            marker = page.next;
            if marker.is_none() || beyond || versions.len() >= VERSIONS_MAX {
                return Ok(versions);
            }
        }
    }

    async fn version_page(
        &self,
        name: &str,
        prefix: &str,
        from: Option<(String, String)>,
    ) -> Result<xml::Page, StoreError> {
        let mut query =
            vec![("versions", String::new()), ("encoding-type", "url".to_owned()), ("prefix", prefix.to_owned())];
        if let Some((key, version)) = from {
            query.push(("key-marker", key));
            if !version.is_empty() {
                query.push(("version-id-marker", version));
            }
        }
        let request = Request { query, ..read_request(Method::GET, "", PAGE_BYTES_MAX) };
        let reply = self.ask(name, &request).await?;
        if reply.answer.status != 200 {
            return Err(remote(name, Cause::Rejected, format!("HTTP {}", reply.answer.status)));
        }
        xml::page(&reply.answer.body, "ListVersionsResult")
            .map_err(|_| no_store(name, "no listing of versions came back"))
    }

    /// The names below a prefix of which a version is kept, visible or hidden; a marker alone keeps nothing.
    pub(super) async fn names_kept(&self, below: &str) -> Result<BTreeSet<String>, StoreError> {
        if self.versioning(below).await? == Versioning::Off {
            return Ok(self.list(below).await?.objects.into_iter().map(|object| object.name).collect());
        }
        let prefix = format!("{}/", self.full(below));
        let strip = if self.prefix.is_empty() { 0 } else { self.prefix.len() + 1 };
        let (mut names, mut marker, mut seen) = (BTreeSet::new(), None::<(String, String)>, BTreeSet::new());
        loop {
            let page = self.version_page(below, &prefix, marker.take()).await?;
            for entry in page.entries.iter().filter(|entry| !entry.is_marker) {
                let name = entry.key.get(strip..).filter(|_| entry.key.starts_with(&prefix));
                names.insert(name.ok_or_else(|| no_store(below, "versions of other names than asked for"))?.to_owned());
            }
            let Some(next) = page.next else { return Ok(names) };
            if names.len() > LIST_ENTRIES_MAX || !seen.insert(next.clone()) {
                return Err(no_store(below, "a listing of versions that never ends"));
            }
            marker = Some(next);
        }
    }

    /// The headers that lock an object of a class that is locked, if these options lock at all.
    pub(super) fn lock_headers(&self, name: &str, bytes: &Bytes) -> Vec<(&'static str, String)> {
        let Some(lock) = self.lock.filter(|_| LOCKED.iter().any(|class| name.starts_with(class))) else {
            return Vec::new();
        };
        let until = self.store_now().saturating_add(SignedDuration::from_hours(24 * i64::from(lock.days)));
        vec![
            ("x-amz-object-lock-mode", lock.mode.name().to_owned()),
            ("x-amz-object-lock-retain-until-date", until.map_or_else(|_| String::new(), second)),
            // The store wants to be sure of what it will not let go.
            ("content-md5", md5_base64(bytes)),
        ]
    }

    /// Locks an object that is stored until a later time.
    pub(super) async fn extend_lock(&self, name: &ObjectName, until: Timestamp) -> Result<(), StoreError> {
        let Some(lock) = self.lock.filter(|_| LOCKED.iter().any(|class| name.as_str().starts_with(class))) else {
            return Ok(());
        };
        let body = Bytes::from(format!(
            "<Retention xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Mode>{}</Mode><RetainUntilDate>{}</RetainUntilDate></Retention>",
            lock.mode.name(),
            second(until)
        ));
        let key = self.full(name.as_str());
        let request = Request {
            query: vec![("retention", String::new())],
            headers: vec![("content-md5", md5_base64(&body))],
            body,
            ..read_request(Method::PUT, &key, SMALL_ANSWER_BYTES_MAX)
        };
        match self.ask(name.as_str(), &request).await?.answer.status {
            200 | 204 => Ok(()),
            404 => Err(StoreError::NotFound { name: name.to_string() }),
            status => Err(remote(name.as_str(), Cause::Rejected, format!("HTTP {status}"))),
        }
    }

    /// Now, by the store's clock as far as it is known.
    pub(super) fn store_now(&self) -> Timestamp {
        let here = here();
        let skew = SignedDuration::from_millis(self.wire.skew_ms().unwrap_or_default());
        here.saturating_add(skew).unwrap_or(here)
    }
}

impl LockMode {
    fn name(self) -> &'static str {
        match self {
            Self::Governance => "GOVERNANCE",
            Self::Compliance => "COMPLIANCE",
        }
    }
}

/// A time in whole seconds, as S3 wants it.
fn second(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn md5_base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(bytes))
}
