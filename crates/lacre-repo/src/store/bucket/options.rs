//! How a bucket is reached: its place, its keys, its limits.
//!
//! In: plain values that the caller took from flags, files and its environment. Out: options that were checked, and the URL requests
//! go to. It must not know requests.

use std::{fmt, num::NonZeroU64, time::Duration};

use zeroize::Zeroizing;

use crate::store::{Cause, LockMode, StoreError};

/// The longest key an object may have, prefix included, in bytes: S3 allows 1024.
const PREFIX_BYTES_MAX: usize = 512;
/// Bucket names of S3 have 3 to 63 characters; gateways allow a few more.
const BUCKET_CHARS: std::ops::RangeInclusive<usize> = 1..=100;
/// The longest access key, secret or session token, bytes.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// Packs that are stored at the same time unless the caller says otherwise.
pub const PARALLEL_DEFAULT: usize = 4;

/// Keys of a bucket: an access key and its secret, with a session token if they are temporary. Wiped when dropped, shown nowhere.
#[derive(Clone)]
pub struct Credentials {
    pub(super) access_key_id: Zeroizing<String>,
    pub(super) secret_access_key: Zeroizing<String>,
    pub(super) session_token: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Takes ownership of an access key and its secret.
    #[must_use]
    pub fn new(access_key_id: String, secret_access_key: String) -> Self {
        Self {
            access_key_id: Zeroizing::new(access_key_id),
            secret_access_key: Zeroizing::new(secret_access_key),
            session_token: None,
        }
    }

    /// Adds the session token of temporary keys.
    #[must_use]
    pub fn with_session_token(mut self, token: String) -> Self {
        self.session_token = Some(Zeroizing::new(token));
        self
    }

    /// The access key id, which is no secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// Gives id, secret and session token away, for a sheet that carries them.
    #[must_use]
    pub fn into_parts(self) -> (Zeroizing<String>, Zeroizing<String>, Option<Zeroizing<String>>) {
        (self.access_key_id, self.secret_access_key, self.session_token)
    }

    fn is_usable(&self) -> bool {
        let plain = |text: &str| {
            !text.is_empty() && text.len() <= SECRET_BYTES_MAX && text.bytes().all(|byte| byte.is_ascii_graphic())
        };
        plain(&self.access_key_id)
            && plain(&self.secret_access_key)
            && self.session_token.as_ref().is_none_or(|token| plain(token))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Credentials(***)")
    }
}

/// What a store does with `If-None-Match: *`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Conditional {
    /// Not known yet: it is sent, and what the store answers is remembered for this run.
    #[default]
    Unknown,
    /// A second PUT of a name is refused with 412.
    Supported,
    /// The header is refused (B2 answers 501).
    Absent,
    /// The header is ignored: a second PUT replaces the first.
    Ignored,
}

/// Where requests may go unencrypted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PlainHttp {
    /// To this machine only.
    #[default]
    Loopback,
    /// Anywhere: an operator said so.
    Anywhere,
}

/// How long is waited for what.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the first byte of an answer after the request was sent.
    pub answer: Duration,
    /// Without a single byte moving either way; the transfer is then abandoned and tried again.
    pub stall: Duration,
    /// For one verb with all its tries, once this store has answered anything.
    pub patience: Duration,
    /// The same as long as this store has never answered.
    pub first_patience: Duration,
    /// Before the second try; doubled for each further one.
    pub pause: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            answer: Duration::from_secs(60),
            stall: Duration::from_secs(30),
            patience: Duration::from_secs(300),
            first_patience: Duration::from_secs(15),
            pause: Duration::from_millis(200),
        }
    }
}

/// How long new objects are locked; packs, indexes, reach maps and snapshots only, never keys, policies, logs or markers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lock {
    /// By whom it can be lifted.
    pub mode: LockMode,
    /// For how many days, from 1.
    pub days: u32,
}

/// How a bucket is reached.
#[derive(Clone, Debug)]
pub struct BucketOptions {
    /// Its name.
    pub bucket: String,
    /// What every object's name begins with inside the bucket; may be empty.
    pub prefix: String,
    /// Its region, as requests are signed for it.
    pub region: String,
    /// `https://host[:port]` of a store other than AWS; requests then name the bucket in their path.
    pub endpoint: Option<String>,
    /// The keys.
    pub credentials: Credentials,
    /// Where requests may go unencrypted.
    pub plain_http: PlainHttp,
    /// What is known of conditional PUT.
    pub conditional: Conditional,
    /// Whether new objects are locked.
    pub lock: Option<Lock>,
    /// How long is waited.
    pub timeouts: Timeouts,
    /// Bytes written a second at the most.
    pub upload_bytes_per_second: Option<NonZeroU64>,
    /// Bytes read a second at the most.
    pub read_bytes_per_second: Option<NonZeroU64>,
    /// Packs stored at the same time.
    pub parallel: usize,
    /// Certificates (PEM) that are trusted besides those of this machine.
    pub authorities: Option<Vec<u8>>,
    /// How the place is shown to people, e.g. `s3://bucket/prefix`.
    pub place: String,
}

impl BucketOptions {
    /// Options with the defaults for an AWS bucket.
    #[must_use]
    pub fn new(bucket: &str, prefix: &str, region: &str, credentials: Credentials) -> Self {
        let prefix = prefix.trim_matches('/').to_owned();
        let place = if prefix.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{prefix}") };
        Self {
            bucket: bucket.to_owned(),
            prefix,
            region: region.to_owned(),
            endpoint: None,
            credentials,
            plain_http: PlainHttp::default(),
            conditional: Conditional::default(),
            lock: None,
            timeouts: Timeouts::default(),
            upload_bytes_per_second: None,
            read_bytes_per_second: None,
            parallel: PARALLEL_DEFAULT,
            authorities: None,
            place,
        }
    }

    /// Checks every part and makes the URL of the bucket, without a last slash.
    pub(super) fn base_url(&self) -> Result<String, StoreError> {
        let wrong = |detail: String| StoreError::Remote { name: String::new(), cause: Cause::Settings, detail };
        let is_host_part = |character: char| character.is_ascii_alphanumeric() || ".-_".contains(character);
        if !BUCKET_CHARS.contains(&self.bucket.len()) || !self.bucket.chars().all(is_host_part) {
            return Err(wrong(format!("{:?} cannot be the name of a bucket", self.bucket)));
        }
        let bad_segment = |segment: &str| segment.is_empty() || segment == "." || segment == "..";
        let bad_prefix = !self.prefix.is_empty() && self.prefix.split('/').any(bad_segment);
        if bad_prefix || self.prefix.len() > PREFIX_BYTES_MAX || self.prefix.chars().any(char::is_control) {
            return Err(wrong(format!("{:?} cannot be a prefix", self.prefix)));
        }
        if self.region.is_empty() || !self.region.chars().all(is_host_part) {
            return Err(wrong(format!("{:?} cannot be a region", self.region)));
        }
        if !self.credentials.is_usable() {
            return Err(wrong("the keys are empty or hold spaces or line breaks".to_owned()));
        }
        match &self.endpoint {
            Some(endpoint) => Ok(format!("{}/{}", self.checked_endpoint(endpoint)?, self.bucket)),
            // A certificate of AWS covers one label in front of its host name.
            None if self.bucket.contains('.') || self.bucket.contains('_') => {
                Ok(format!("https://s3.{}.amazonaws.com/{}", self.region, self.bucket))
            }
            None => Ok(format!("https://{}.s3.{}.amazonaws.com", self.bucket, self.region)),
        }
    }

    fn checked_endpoint<'a>(&self, endpoint: &'a str) -> Result<&'a str, StoreError> {
        let wrong = |cause: Cause, detail: String| StoreError::Remote { name: String::new(), cause, detail };
        let endpoint = endpoint.trim_end_matches('/');
        let url = reqwest::Url::parse(endpoint)
            .map_err(|error| wrong(Cause::Settings, format!("{endpoint:?} is no endpoint: {error}")))?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !bare || url.password().is_some() || !url.has_host() {
            return Err(wrong(Cause::Settings, "an endpoint is https://host or https://host:port".to_owned()));
        }
        match url.scheme() {
            "https" => Ok(endpoint),
            "http" if self.plain_http == PlainHttp::Anywhere || is_loopback(&url) => Ok(endpoint),
            "http" => Err(wrong(Cause::PlainHttp, endpoint.to_owned())),
            other => Err(wrong(Cause::Settings, format!("an endpoint begins with https://, not {other}://"))),
        }
    }
}

/// Whether a URL can only lead to this machine.
pub(super) fn is_loopback(url: &reqwest::Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}
