//! What passed through a proxy.

use std::collections::BTreeMap;

use super::rule::Kind;
use crate::http::{Request, header};

/// One request and what became of it.
#[derive(Clone, Debug)]
pub struct Record {
    /// What it asked for.
    pub kind: Kind,
    /// Its method.
    pub method: String,
    /// Its path, percent-decoded, with `?` and the decoded query if there is one.
    pub target: String,
    /// The names and values of its headers.
    pub headers: Vec<(String, String)>,
    /// Length of its body in bytes.
    pub sent: u64,
    /// Length of the answer's body in bytes; 0 without an answer.
    pub received: u64,
    /// The status the client heard; none if it heard nothing.
    pub status: Option<u16>,
    /// Whether a rule struck it.
    pub struck: bool,
}

impl Record {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// How many requests of each kind passed, and how many bytes of bodies went either way.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Count {
    /// Requests by kind.
    pub kinds: BTreeMap<Kind, u64>,
    /// Bytes of bodies sent by the client.
    pub sent: u64,
    /// Bytes of bodies received by the client.
    pub received: u64,
}

impl Count {
    /// The count of these records.
    #[must_use]
    pub fn of(records: &[Record]) -> Self {
        let mut count = Self::default();
        for record in records {
            *count.kinds.entry(record.kind).or_default() += 1;
            count.sent += record.sent;
            count.received += record.received;
        }
        count
    }

    /// Requests of one kind.
    #[must_use]
    pub fn of_kind(&self, kind: Kind) -> u64 {
        self.kinds.get(&kind).copied().unwrap_or(0)
    }

    /// Requests of every kind.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.kinds.values().sum()
    }
}

/// What a request asks for.
pub(super) fn kind_of(request: &Request) -> Kind {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let names: Vec<&str> = query
        .split('&')
        .map(|pair| pair.split('=').next().unwrap_or_default())
        .filter(|name| !name.is_empty())
        .collect();
    let asks = |name: &str| names.contains(&name);
    let of_bucket = path.trim_matches('/').split('/').count() < 2;
    match request.method.as_str() {
        "PUT" if asks("retention") || asks("legal-hold") || of_bucket => Kind::Config,
        "PUT" => Kind::Put,
        "GET" if asks("versions") => Kind::ListVersions,
        "GET" if of_bucket && (asks("list-type") || asks("prefix") || names.is_empty()) => Kind::List,
        "GET" if of_bucket || asks("retention") || asks("legal-hold") => Kind::Config,
        "GET" if header(&request.headers, "range").is_some() => Kind::GetRange,
        "GET" => Kind::Get,
        "HEAD" => Kind::Head,
        "DELETE" if asks("versionId") => Kind::DeleteVersion,
        "DELETE" => Kind::Delete,
        _ => Kind::Post,
    }
}

/// Percent-decoding; what is no encoding stays.
pub(super) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, code) {
            (b'%', Some(code)) => {
                out.push(code);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}
