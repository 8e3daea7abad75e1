//! A plain client of an S3 server, signed with Signature Version 4, to look at a store from the other side.
//!
//! It shares nothing with the product's client: what both agree on is the server's word.

use std::io::BufReader;
use std::net::TcpStream;
use std::time::Duration;

use aws_lc_rs::{digest, hmac};
use jiff::Timestamp;

use crate::http::{Request, Response, header, read_response, write_request};

const REGION: &str = "us-east-1";
/// How long a server may take to answer. A guard against hanging, not a measurement.
const PATIENCE: Duration = Duration::from_secs(60);

/// One key pair against one server on loopback.
#[derive(Clone, Debug)]
pub struct Client {
    port: u16,
    access_key: String,
    secret_key: String,
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Vec<u8>,
    /// The names and values of its headers.
    pub headers: Vec<(String, String)>,
}

/// One version of an object, or a marker that hides it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The object's name.
    pub key: String,
    /// The version's id.
    pub id: String,
    /// Whether it is a delete marker.
    pub marker: bool,
}

impl Client {
    /// A client of the server that listens on this port.
    #[must_use]
    pub fn new(port: u16, access_key: &str, secret_key: &str) -> Self {
        Self { port, access_key: access_key.to_owned(), secret_key: secret_key.to_owned() }
    }

    /// Stores an object, over whatever is there.
    pub fn put(&self, bucket: &str, key: &str, bytes: &[u8]) -> Answer {
        self.call("PUT", &format!("/{bucket}/{key}"), &[], &[], bytes)
    }

    /// Reads an object.
    pub fn get(&self, bucket: &str, key: &str) -> Answer {
        self.call("GET", &format!("/{bucket}/{key}"), &[], &[], b"")
    }

    /// Deletes an object without naming a version: where versions are kept, this hides it.
    pub fn delete(&self, bucket: &str, key: &str) -> Answer {
        self.call("DELETE", &format!("/{bucket}/{key}"), &[], &[], b"")
    }

    /// The names of the visible objects that begin so.
    pub fn keys(&self, bucket: &str, prefix: &str) -> Vec<String> {
        let mut keys = Vec::new();
        let mut token = String::new();
        loop {
            let mut query = vec![("list-type", "2"), ("prefix", prefix)];
            if !token.is_empty() {
                query.push(("continuation-token", &token));
            }
            let answer = self.call("GET", &format!("/{bucket}"), &query, &[], b"");
            let text = answer.expect(200);
            keys.extend(elements(&text, "Contents").iter().filter_map(|one| element(one, "Key")));
            match element(&text, "NextContinuationToken") {
                Some(next) if !next.is_empty() => token = next,
                _ => return keys,
            }
        }
    }

    /// Every version and every delete marker of objects that begin so; at most a thousand.
    pub fn versions(&self, bucket: &str, prefix: &str) -> Vec<Version> {
        let answer = self.call("GET", &format!("/{bucket}"), &[("versions", ""), ("prefix", prefix)], &[], b"");
        let text = answer.expect(200);
        assert_ne!(element(&text, "IsTruncated").as_deref(), Some("true"), "more versions than one page holds");
        let mut versions = Vec::new();
        for (tag, marker) in [("Version", false), ("DeleteMarker", true)] {
            versions.extend(
                elements(&text, tag).iter().filter_map(|one| {
                    Some(Version { key: element(one, "Key")?, id: element(one, "VersionId")?, marker })
                }),
            );
        }
        versions
    }

    /// Makes a bucket; with object lock if asked by header.
    pub(crate) fn make_bucket(&self, bucket: &str, headers: &[(&str, &str)]) {
        self.call("PUT", &format!("/{bucket}"), &[], headers, b"").expect(200);
    }

    /// Keeps the versions of a bucket from now on.
    pub(crate) fn keep_versions(&self, bucket: &str) {
        let body = b"<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status></VersioningConfiguration>";
        self.call("PUT", &format!("/{bucket}"), &[("versioning", "")], &[], body).expect(200);
    }

    /// One signed request.
    ///
    /// # Panics
    /// When no answer comes.
    pub fn call(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Answer {
        self.try_call(method, path, query, headers, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    /// One signed request that may find nobody there.
    pub(crate) fn try_call(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let request = self.signed(method, path, query, headers, body);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write_request(&mut stream, &request)?;
        let Response { status, headers, body } = read_response(&mut BufReader::new(stream), method)?;
        Ok(Answer { status, body, headers })
    }

    fn signed(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Request {
        let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let day = now.get(..8).expect("a date has eight digits").to_owned();
        let content = hex(digest::digest(&digest::SHA256, body).as_ref());
        let mut signed = vec![
            ("host".to_owned(), format!("127.0.0.1:{}", self.port)),
            ("x-amz-content-sha256".to_owned(), content.clone()),
            ("x-amz-date".to_owned(), now.clone()),
        ];
        signed.extend(headers.iter().map(|(name, value)| (name.to_lowercase(), (*value).to_owned())));
        signed.sort();
        let mut pairs: Vec<String> =
            query.iter().map(|(name, value)| format!("{}={}", encode(name, ""), encode(value, ""))).collect();
        pairs.sort();
        let (path, query) = (encode(path, "/"), pairs.join("&"));
        let names: Vec<&str> = signed.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let lines: String = signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let canonical = format!("{method}\n{path}\n{query}\n{lines}\n{names}\n{content}");
        let scope = format!("{day}/{REGION}/s3/aws4_request");
        let text = format!(
            "AWS4-HMAC-SHA256\n{now}\n{scope}\n{}",
            hex(digest::digest(&digest::SHA256, canonical.as_bytes()).as_ref())
        );
        let mut key = format!("AWS4{}", self.secret_key).into_bytes();
        for part in [day.as_str(), REGION, "s3", "aws4_request", &text] {
            key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), part.as_bytes()).as_ref().to_vec();
        }
        let signature = hex(&key);
        signed.push((
            "authorization".to_owned(),
            format!(
                "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={names}, Signature={signature}",
                self.access_key
            ),
        ));
        let target = if query.is_empty() { path } else { format!("{path}?{query}") };
        Request { method: method.to_owned(), target, headers: signed, body: body.to_vec() }
    }
}

impl Answer {
    /// The body as text, after a look at the status.
    ///
    /// # Panics
    /// When the status is another.
    #[track_caller]
    pub fn expect(&self, status: u16) -> String {
        let text = String::from_utf8_lossy(&self.body).into_owned();
        assert_eq!(self.status, status, "{text}");
        text
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Percent-encoding as Signature Version 4 wants it; the characters in `kept` stay.
fn encode(text: &str, kept: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        let character = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-_.~".contains(character) || kept.contains(character) {
            encoded.push(character);
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The insides of every element of this name, in the order of the text.
fn elements(text: &str, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&open).skip(1).filter_map(|rest| rest.split(&close).next()).map(ToOwned::to_owned).collect()
}

fn element(text: &str, name: &str) -> Option<String> {
    elements(text, name).into_iter().next()
}
