//! The way to a bucket: a URL, the environment and `[credential.NAME]` become the options of a store.
//!
//! In: `s3://bucket/prefix?region=R&endpoint=URL` or `b2://...`, of a seal cell with `credentials=NAME`, settings, environment variables. Out: an opened store. It must not
//! know requests.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use lacre_repo::store::{BucketOptions, Credentials, Store};

use super::{explain, profile};
use crate::{
    config::{Credential, Settings},
    error::{CliError, Kind},
    safe_url::SafeUrl,
    secret::{Secret, SecretSource, command_lines},
};

/// The region requests are signed for when nothing names one; gateways accept it.
const REGION_DEFAULT: &str = "us-east-1";
/// The longest file of certificates that is read, bytes.
const AUTHORITIES_BYTES_MAX: u64 = 1024 * 1024;

/// Who keeps a bucket for which no endpoint is named.
const AWS: &str = "aws";

/// What a URL of a bucket says.
#[derive(Debug, PartialEq, Eq)]
struct Place {
    /// Of a seal cell: the name of its keys.
    credentials: Option<String>,
    kind: BucketKind,
    bucket: String,
    prefix: String,
    region: Option<String>,
    endpoint: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BucketKind {
    S3,
    B2,
}

/// Opens the store a URL names, with the keys that `credentials` (a `[credential.NAME]`), the environment or a profile give.
///
/// # Errors
/// [`Kind::Usage`] for a URL that leads nowhere; [`Kind::Configuration`] when keys are missing.
pub(super) fn open(url: &SafeUrl, credentials: Option<&str>, settings: &Settings) -> Result<Store, CliError> {
    let place = Place::parse(url)?;
    if place.credentials.is_some() {
        return Err(CliError::new(Kind::Usage, "credentials=NAME in a URL is for seal cells alone")
            .hint("write credentials = \"NAME\" beside the repository or the copy in lacre.toml"));
    }
    // What is wrong with the URL comes before what is missing beside it.
    drop(region(&place)?);
    let keys = keys(place.kind, credentials, settings)?;
    let mut options = options(&place, keys, settings)?;
    options.lock = settings.object_lock;
    options.place = url.redacted();
    Store::open_bucket(&options).map_err(|error| explain(error.into(), None))
}

/// Opens the bucket of a seal cell; what is in it is never locked.
///
/// # Errors
/// As [`open`].
pub(super) fn open_cell(url: &SafeUrl, keys: Credentials, settings: &Settings) -> Result<Store, CliError> {
    let place = Place::parse(url)?;
    let mut options = options(&place, keys, settings)?;
    options.place = url.redacted();
    Store::open_bucket(&options).map_err(|error| explain(error.into(), None))
}

/// The keys of a seal cell: those it names, or `[seal] credentials`, or those of the environment.
pub(super) fn cell_keys(url: &SafeUrl, settings: &Settings) -> Result<Credentials, CliError> {
    let place = Place::parse(url)?;
    let name = place.credentials.as_deref().or(settings.seal_credentials.as_deref());
    keys(place.kind, name, settings)
}

/// The keys of the repository's own store.
pub(super) fn keys_of_store(url: &SafeUrl, settings: &Settings) -> Result<Credentials, CliError> {
    keys(Place::parse(url)?.kind, settings.credentials.as_deref(), settings)
}

/// A cell's URL with everything that another machine needs.
pub(super) fn whole_cell(url: &SafeUrl, settings: &Settings) -> Result<String, CliError> {
    let place = Place::parse(url)?;
    let region = region(&place)?;
    let (scheme, asked) = match place.kind {
        BucketKind::S3 => ("s3", endpoint(&place, &region)),
        BucketKind::B2 => ("b2", place.endpoint.clone()),
    };
    let prefix = if place.prefix.is_empty() { String::new() } else { format!("/{}", place.prefix) };
    let mut whole = format!("{scheme}://{}{prefix}?region={region}", place.bucket);
    if let Some(endpoint) = asked {
        whole.push_str(&format!("&endpoint={endpoint}"));
    }
    if let Some(name) = place.credentials.as_ref().or(settings.seal_credentials.as_ref()) {
        whole.push_str(&format!("&credentials={name}"));
    }
    Ok(whole)
}

/// Who keeps a bucket: its endpoint, or AWS.
pub(super) fn provider(url: &SafeUrl) -> Result<String, CliError> {
    let place = Place::parse(url)?;
    let region = region(&place)?;
    Ok(endpoint(&place, &region).map_or_else(|| AWS.to_owned(), |endpoint| normalised(&endpoint)))
}

/// One spelling for every endpoint that is the same place: how it is reached, the case of its name, a slash at its end and a port that goes
/// without saying make no other.
fn normalised(endpoint: &str) -> String {
    let lower = endpoint.to_ascii_lowercase();
    let (scheme, rest) = lower.split_once("://").unwrap_or(("https", &lower));
    let host = rest.split('/').next().unwrap_or(rest);
    let port = if scheme == "http" { ":80" } else { ":443" };
    let host = host.strip_suffix(port).unwrap_or(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_aws = host.starts_with("s3") && (host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn"));
    if is_aws { AWS.to_owned() } else { host.to_owned() }
}

/// Whether two URLs name one bucket.
pub(super) fn is_same(one: &SafeUrl, other: &SafeUrl) -> Result<bool, CliError> {
    Ok(provider(one)? == provider(other)? && Place::parse(one)?.bucket == Place::parse(other)?.bucket)
}

fn options(place: &Place, keys: Credentials, settings: &Settings) -> Result<BucketOptions, CliError> {
    let region = region(place)?;
    let mut options = BucketOptions::new(&place.bucket, &place.prefix, &region, keys);
    options.endpoint = endpoint(place, &region);
    options.plain_http = settings.plain_http;
    options.upload_bytes_per_second = settings.limits.upload;
    options.read_bytes_per_second = settings.limits.read;
    options.authorities = authorities()?;
    if let Some(patience) = settings.limits.patience {
        options.timeouts.patience = patience;
        options.timeouts.first_patience = options.timeouts.first_patience.min(patience);
    }
    Ok(options)
}

fn region(place: &Place) -> Result<String, CliError> {
    if let Some(region) = &place.region {
        return Ok(region.clone());
    }
    if place.kind == BucketKind::B2 {
        return Err(CliError::new(Kind::Usage, format!("the region of bucket {} is missing", place.bucket)).hint(
            format!("write b2://{}/{}?region=us-west-004, as the bucket's endpoint says", place.bucket, place.prefix),
        ));
    }
    let from_env = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    Ok(from_env.or_else(profile::region).unwrap_or_else(|| REGION_DEFAULT.to_owned()))
}

fn endpoint(place: &Place, region: &str) -> Option<String> {
    place.endpoint.clone().or_else(|| match place.kind {
        BucketKind::S3 => variable("AWS_ENDPOINT_URL_S3").or_else(|| variable("AWS_ENDPOINT_URL")),
        BucketKind::B2 => Some(format!("https://s3.{region}.backblazeb2.com")),
    })
}

fn keys(kind: BucketKind, name: Option<&str>, settings: &Settings) -> Result<Credentials, CliError> {
    if let Some(name) = name {
        let named = settings.credential.get(name).ok_or_else(|| {
            CliError::new(Kind::Configuration, format!("there is no [credential.{name}]"))
                .hint(format!("add a [credential.{name}] table to lacre.toml"))
        })?;
        return of_table(name, named);
    }
    let (id, secret) = match kind {
        BucketKind::S3 => ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
        BucketKind::B2 => ("B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"),
    };
    if is_given(id) || is_given(secret) {
        let keys = pair(&SecretSource::Env(id.to_owned()), &SecretSource::Env(secret.to_owned()))?;
        let token = (kind == BucketKind::S3 && is_given("AWS_SESSION_TOKEN"))
            .then(|| SecretSource::Env("AWS_SESSION_TOKEN".to_owned()).fetch())
            .transpose()?;
        return Ok(match token {
            Some(token) => keys.with_session_token(token.expose().to_owned()),
            None => keys,
        });
    }
    let found = if kind == BucketKind::S3 { profile::read(&profile::chosen())? } else { None };
    found.ok_or_else(|| {
        CliError::new(Kind::Configuration, "no keys of the bucket are given").hint(format!(
            "set {id} and {secret} (or the same with _FILE), or write [credential.NAME] and credentials = \"NAME\" into lacre.toml"
        ))
    })
}

fn of_table(name: &str, credential: &Credential) -> Result<Credentials, CliError> {
    match credential {
        Credential::Pair { access_key_id, secret_access_key } => pair(access_key_id, secret_access_key),
        Credential::Profile(profile_name) => profile::read(profile_name)?.ok_or_else(|| {
            CliError::new(
                Kind::Configuration,
                format!("[credential.{name}] names the profile {profile_name:?}, which has no keys"),
            )
            .hint(format!("aws configure --profile {profile_name}"))
        }),
        Credential::Command(argv) => {
            let mut lines = command_lines(argv)?.into_iter();
            let (Some(id), Some(secret)) = (lines.next(), lines.next()) else {
                let what = format!("the command of [credential.{name}] did not print two lines");
                return Err(CliError::new(Kind::Configuration, what).hint(
                    "it prints the access key id, the secret access key and, for temporary keys, the session token",
                ));
            };
            let keys = Credentials::new(id.expose().to_owned(), secret.expose().to_owned());
            Ok(match lines.next() {
                Some(token) => keys.with_session_token(token.expose().to_owned()),
                None => keys,
            })
        }
    }
}

fn pair(id: &SecretSource, secret: &SecretSource) -> Result<Credentials, CliError> {
    let (id, secret): (Secret, Secret) = (id.fetch()?, secret.fetch()?);
    Ok(Credentials::new(id.expose().to_owned(), secret.expose().to_owned()))
}

fn is_given(name: &str) -> bool {
    variable(name).is_some() || variable(&format!("{name}_FILE")).is_some()
}

/// A variable that is set to something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn authorities() -> Result<Option<Vec<u8>>, CliError> {
    let Some(path) = variable("AWS_CA_BUNDLE").map(PathBuf::from) else { return Ok(None) };
    let fail = |error: &dyn std::error::Error| {
        CliError::new(Kind::Configuration, format!("cannot read AWS_CA_BUNDLE {}", path.display())).because(error)
    };
    bounded_file(&path, AUTHORITIES_BYTES_MAX).map(Some).map_err(|error| fail(&error))
}

/// Reads a file of at most some bytes, through links: package managers and containers mount such files as links.
pub(super) fn bounded_file(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {bytes_max} bytes")));
    }
    Ok(bytes)
}

impl Place {
    fn parse(url: &SafeUrl) -> Result<Place, CliError> {
        let wrong = |what: String| {
            CliError::new(Kind::Usage, what)
                .hint("write s3://bucket/prefix?region=R&endpoint=https://host, or b2://bucket/prefix?region=R")
        };
        let text = url.expose();
        let (kind, rest) = match (text.strip_prefix("s3://"), text.strip_prefix("b2://")) {
            (Some(rest), _) => (BucketKind::S3, rest),
            (_, Some(rest)) => (BucketKind::B2, rest),
            _ => return Err(wrong(format!("{url} is no bucket"))),
        };
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
        if bucket.contains('@') {
            return Err(wrong("keys do not belong into the URL: every user of the machine can read it".to_owned()));
        }
        let (mut region, mut endpoint, mut credentials) = (None, None, None);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let place = match name {
                "region" => &mut region,
                "endpoint" => &mut endpoint,
                "credentials" => &mut credentials,
                _ => return Err(wrong(format!("{name:?} is no part of a bucket's URL"))),
            };
            if value.is_empty() || place.replace(unescaped(value)).is_some() {
                return Err(wrong(format!("{name} is empty or given twice in {url}")));
            }
        }
        let endpoint = endpoint.map(|host: String| if host.contains("://") { host } else { format!("https://{host}") });
        let prefix = prefix.trim_matches('/').to_owned();
        Ok(Place { credentials, kind, bucket: bucket.to_owned(), prefix, region, endpoint })
    }
}

/// Undoes `%3A` and `%2F`, which careful people write into the endpoint.
fn unescaped(value: &str) -> String {
    value.replace("%3A", ":").replace("%3a", ":").replace("%2F", "/").replace("%2f", "/")
}

#[cfg(test)]
mod tests {
    use super::{BucketKind, Place, is_same};

    #[test]
    fn one_bucket_has_many_spellings() {
        let same = |one: &str, other: &str| {
            let url = |text: &str| format!("s3://b/p?region=r&endpoint={text}").parse().unwrap();
            is_same(&url(one), &url(other)).unwrap()
        };
        for (one, other) in [
            ("https://S3.Example.org", "https://s3.example.org/"),
            ("https://s3.example.org:443", "s3.example.org"),
            ("http://127.0.0.1:80/", "http://127.0.0.1"),
            ("http://h:9000", "http://H:9000/"),
            ("https://s3.eu-west-1.amazonaws.com", "https://s3.amazonaws.com"),
        ] {
            assert!(same(one, other), "{one} {other}");
        }
        for (one, other) in
            [("http://h:9000", "http://h:9001"), ("https://a", "https://b"), ("http://h:443", "https://h")]
        {
            assert!(!same(one, other), "{one} {other}");
        }
        let url = |text: &str| text.parse().unwrap();
        let endpoint = "s3://b?region=us-west-004&endpoint=https://S3.us-west-004.backblazeb2.com";
        assert!(is_same(&url("b2://b?region=us-west-004"), &url(endpoint)).unwrap());
        assert!(!is_same(&url("b2://b?region=us-west-004"), &url("b2://c?region=us-west-004")).unwrap());
    }

    #[test]
    fn urls_name_bucket_prefix_region_and_endpoint() {
        let parse = |text: &str| Place::parse(&text.parse().unwrap());
        let place = parse("s3://b/p/q/?region=eu-west-1&endpoint=http%3A%2F%2F127.0.0.1:9000").unwrap();
        assert_eq!((place.kind, place.bucket.as_str(), place.prefix.as_str()), (BucketKind::S3, "b", "p/q"));
        assert_eq!(
            (place.region.as_deref(), place.endpoint.as_deref()),
            (Some("eu-west-1"), Some("http://127.0.0.1:9000"))
        );
        assert_eq!(
            parse("s3://b?endpoint=s3.example.org").unwrap().endpoint.as_deref(),
            Some("https://s3.example.org")
        );
        assert_eq!(
            parse("b2://b").unwrap(),
            Place {
                credentials: None,
                kind: BucketKind::B2,
                bucket: "b".into(),
                prefix: String::new(),
                region: None,
                endpoint: None
            }
        );
        assert_eq!(parse("s3://b?credentials=seal").unwrap().credentials.as_deref(), Some("seal"));
        for (text, reason) in [
            ("s3://key:secret@b/p", "do not belong"),
            ("s3://b/p?regoin=x", "regoin"),
            ("s3://b/p?region=", "empty"),
            ("s3://b/p?region=a&region=b", "twice"),
        ] {
            assert!(parse(text).unwrap_err().message().contains(reason), "{text}");
        }
    }
}
