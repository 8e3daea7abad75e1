//! The probe of a bucket: two writes of one name, a race, and what the bucket says of itself.
//!
//! In: an open bucket. Out: a [`Probe`]. A second connection reads and lists what the first has written.

use bytes::Bytes;
use reqwest::Method;

use super::{
    Conditional, Inner, SMALL_ANSWER_BYTES_MAX, put_request, read_request,
    wire::{Answer, Request, Wire},
    xml,
};
use crate::store::{Cause, DeleteRight, LockMode, ObjectLock, Probe, StoreError};

/// Bytes of one object of the probe.
const PROBED_BYTES_MAX: u64 = 1024;

impl Inner {
    /// Finds out what the bucket can do; `mark` makes the names of this probe unique.
    pub(super) async fn probe(&self, mark: &str) -> Result<Probe, StoreError> {
        let name = format!("probe/{mark}-twice");
        let body = |text: &str| Bytes::from(format!("{mark} {text}"));
        let first = self.put_conditional(&name, body("first")).await?;
        let mut conditional = Conditional::Absent;
        if first.status == 501 || first.status == 400 {
            self.put_plain(&name, body("first")).await?;
        } else {
            super::created(&name, &first).map(drop)?;
            let second = self.put_conditional(&name, body("second")).await?;
            conditional = if second.status == 412 { Conditional::Supported } else { Conditional::Ignored };
        }
        let other = self.second_connection()?;
        let read = other.get(&name, PROBED_BYTES_MAX).await;
        let expected = if conditional == Conditional::Ignored { body("second") } else { body("first") };
        let reads_own_writes = matches!(read, Ok(stored) if stored == expected);
        let listing = other.list("probe").await?;
        let lists_own_writes = listing.objects.iter().any(|object| object.name == name);
        let mut names = vec![name];
        if conditional == Conditional::Supported {
            let name = format!("probe/{mark}-race");
            conditional = self.race(&other, &name, [body("left"), body("right")]).await?;
            names.push(name);
        }
        self.learn(conditional);
        let versioning = self.versioning("").await?;
        let object_lock = self.object_lock().await?;
        let (deletes, left_over) = self.tidy_up(&names).await?;
        Ok(Probe {
            place: self.place.clone(),
            conditional,
            versioning,
            object_lock,
            reads_own_writes,
            lists_own_writes,
            deletes,
            clock_skew: self.wire.skew_ms().map(jiff::SignedDuration::from_millis),
            left_over,
        })
    }

    /// Two writers of one name at once: exactly one may win, and what is stored must be the winner's.
    async fn race(&self, other: &Inner, name: &str, bodies: [Bytes; 2]) -> Result<Conditional, StoreError> {
        let [left, right] = bodies.clone();
        let (one, two) = tokio::join!(self.put_conditional(name, left), other.put_conditional(name, right));
        let (one, two) = (one?, two?);
        let is_won = |answer: &Answer| matches!(answer.status, 200 | 201 | 204);
        let stored = self.get(name, PROBED_BYTES_MAX).await?;
        let winner = bodies.iter().zip([&one, &two]).find(|(_, answer)| is_won(answer)).map(|(body, _)| body);
        let is_fair = is_won(&one) != is_won(&two) && winner.is_some_and(|winner| *winner == stored);
        Ok(if is_fair { Conditional::Supported } else { Conditional::Ignored })
    }

    async fn put_conditional(&self, name: &str, bytes: Bytes) -> Result<Answer, StoreError> {
        let key = self.full(name);
        let mut put = put_request(&key, &bytes);
        put.headers.push(("if-none-match", "*".to_owned()));
        match self.ask(name, &put).await {
            Ok(reply) => Ok(reply.answer),
            Err(StoreError::Remote { cause: Cause::Rejected, detail, .. }) if detail.contains("header") => {
                Ok(Answer { status: 501, headers: reqwest::header::HeaderMap::new(), body: Bytes::new() })
            }
            Err(error) => Err(error),
        }
    }

    async fn put_plain(&self, name: &str, bytes: Bytes) -> Result<(), StoreError> {
        let key = self.full(name);
        let reply = self.ask(name, &put_request(&key, &bytes)).await?;
        super::created(name, &reply.answer).map(drop)
    }

    /// The same bucket over connections of its own.
    fn second_connection(&self) -> Result<Inner, StoreError> {
        let mut options = self.options.clone();
        options.conditional = Conditional::Unknown;
        Inner::open(&options, Wire::new(&options)?)
    }

    async fn object_lock(&self) -> Result<ObjectLock, StoreError> {
        let request = Request {
            query: vec![("object-lock", String::new())],
            ..read_request(Method::GET, "", SMALL_ANSWER_BYTES_MAX)
        };
        let answer = match self.ask("", &request).await {
            Ok(reply) => reply.answer,
            Err(StoreError::Remote { cause: Cause::NotAllowed | Cause::Rejected, .. }) => {
                return Ok(ObjectLock::Unknown);
            }
            Err(StoreError::Remote { cause: Cause::NotAStore, .. }) => return Ok(ObjectLock::Absent),
            Err(error) => return Err(error),
        };
        Ok(if answer.status == 200 { lock_of(&answer.body) } else { ObjectLock::Absent })
    }

    async fn tidy_up(&self, names: &[String]) -> Result<(DeleteRight, Vec<String>), StoreError> {
        let (mut right, mut left_over) = (DeleteRight::Allowed, Vec::new());
        for name in names {
            let found = match self.delete(name).await {
                Ok(deletion) => DeleteRight::of(deletion),
                Err(StoreError::Remote { cause: Cause::NotAllowed, .. }) => DeleteRight::Denied,
                Err(error) => return Err(error),
            };
            if found != DeleteRight::Allowed {
                left_over.push(name.clone());
                right = found;
            }
        }
        Ok((right, left_over))
    }
}

fn lock_of(body: &[u8]) -> ObjectLock {
    let (mut enabled, mut mode, mut days) = (false, None, 0_u32);
    let root = xml::elements(body, &mut |path, text| match (path.last().map(String::as_str), text.trim()) {
        (Some("ObjectLockEnabled"), text) => enabled = text == "Enabled",
        (Some("Mode"), "COMPLIANCE") => mode = Some(LockMode::Compliance),
        (Some("Mode"), "GOVERNANCE") => mode = Some(LockMode::Governance),
        (Some("Days"), text) => days = text.parse().unwrap_or_default(),
        (Some("Years"), text) => days = text.parse::<u32>().unwrap_or_default().saturating_mul(365),
        _ => {}
    });
    match (root.is_ok_and(|root| root == "ObjectLockConfiguration") && enabled, mode) {
        (false, _) => ObjectLock::Absent,
        (true, Some(mode)) if days > 0 => ObjectLock::Default { mode, days },
        (true, _) => ObjectLock::Enabled,
    }
}
