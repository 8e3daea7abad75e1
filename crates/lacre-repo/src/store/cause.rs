//! Why a remote store does not do what it was asked, told apart by what a person does next.

use std::fmt;

/// Why a remote store failed; [`Cause::advice`] says what to do.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Cause {
    /// The options given cannot lead to a store.
    Settings,
    /// The endpoint is plain http and not on this machine.
    PlainHttp,
    /// The bucket does not exist.
    NoBucket,
    /// The bucket lies in another region.
    WrongRegion {
        /// Which one, if the store says so.
        expected: Option<String>,
    },
    /// The store does not know the access key, or its secret is another one.
    WrongKey,
    /// The temporary keys have expired.
    Expired,
    /// The key has no right to do this.
    NotAllowed,
    /// This machine's clock is too far from the store's.
    ClockSkew,
    /// The store's certificate is not trusted here.
    Certificate,
    /// The store points to another address; keys are never sent there.
    Redirected,
    /// What answers is no object store.
    NotAStore,
    /// The store refuses the request as such.
    Rejected,
    /// The host's name is not known.
    HostUnknown,
    /// Nothing answers at the address.
    Down,
    /// The encrypted connection could not be made.
    Tls,
    /// No answer in time, or a transfer that stood still.
    Silent,
    /// The connection broke.
    Cut,
    /// The store asks for a pause, or is failing.
    Busy,
    /// The store, its quota or its cap is used up.
    Full,
}

/// What is to be done about a cause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Remedy {
    /// Somebody corrects settings, keys or rights.
    Correct,
    /// The same again later.
    Wait,
}

impl Cause {
    /// Whether time may heal it, or somebody has to.
    #[must_use]
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::HostUnknown | Self::Down | Self::Tls | Self::Silent | Self::Cut | Self::Busy | Self::Full => {
                Remedy::Wait
            }
            _ => Remedy::Correct,
        }
    }

    /// What a person does next.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Settings => "write s3://bucket/prefix?region=R, with &endpoint=https://host for a store other than AWS".into(),
            Self::PlainHttp => "use https://; --allow-http sends names and sizes (never keys or contents) in the clear".into(),
            Self::NoBucket => "check the bucket's name and region, or create it; Lacre never creates buckets".into(),
            Self::WrongRegion { expected: Some(region) } => format!("write ?region={region} into the URL, or set AWS_REGION={region}"),
            Self::WrongRegion { expected: None } => "write the bucket's region as ?region=R into the URL, or set AWS_REGION".into(),
            Self::WrongKey => "check access key and secret: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY, or [credential.NAME]".into(),
            Self::Expired => "get new temporary keys and run this again; [credential.NAME] command = [...] fetches them at each run".into(),
            Self::NotAllowed => "give the key this right: docs/STORES.md has the policy of each role".into(),
            Self::ClockSkew => "set this machine's clock (NTP) and run this again".into(),
            Self::Certificate => "check the endpoint; AWS_CA_BUNDLE=FILE names the certificate of a private authority".into(),
            Self::Redirected => "use the endpoint and region of the bucket itself; keys are never sent to another host".into(),
            Self::NotAStore => "check the endpoint: a web page or a proxy's login may answer in its place".into(),
            Self::Rejected => "check endpoint and region; lacre doctor --store URL tries what the store can do".into(),
            Self::HostUnknown => "check the endpoint's spelling and this machine's name resolution, then run this again".into(),
            Self::Down | Self::Tls | Self::Silent | Self::Cut => "check the network and the store, then run this again: it is safe".into(),
            Self::Busy => "run this again later: it is safe".into(),
            Self::Full => "make room in the store or raise its quota, then run this again".into(),
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Settings => "the store's settings are wrong",
            Self::PlainHttp => "the endpoint is not encrypted",
            Self::NoBucket => "the bucket does not exist",
            Self::WrongRegion { expected: Some(region) } => return write!(out, "the bucket lies in region {region}"),
            Self::WrongRegion { expected: None } => "the bucket lies in another region",
            Self::WrongKey => "the store does not accept the access key",
            Self::Expired => "the temporary keys have expired",
            Self::NotAllowed => "the key has no right to do this",
            Self::ClockSkew => "this machine's clock differs too much from the store's",
            Self::Certificate => "the store's certificate is not trusted",
            Self::Redirected => "the store points to another address",
            Self::NotAStore => "what answers is no object store",
            Self::Rejected => "the store rejects the request",
            Self::HostUnknown => "the store's host name is not known",
            Self::Down => "nothing answers at the store's address",
            Self::Tls => "the encrypted connection to the store failed",
            Self::Silent => "the store does not answer in time",
            Self::Cut => "the connection to the store broke",
            Self::Busy => "the store is busy or failing",
            Self::Full => "the store is full",
        })
    }
}
