//! Reading the small XML documents of S3: pages of listings, and errors.
//!
//! In: the body of an answer, which anybody on the way may have made. Out: what the elements hold, or that it is no such document.
//! Documents with a DTD are refused, references other than the five of XML and characters by number are refused, depth is bounded.

use quick_xml::{Reader, events::Event};

/// Deepest nesting that is read.
const DEPTH_MAX: usize = 8;
/// Longest text of one element, bytes.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// The body is no XML document of the expected kind.
#[derive(Debug)]
pub(super) struct NotXml;

/// Calls `visit` with the path of each element when it ends and the text directly inside; returns the name of the root.
pub(super) fn elements(body: &[u8], visit: &mut dyn FnMut(&[String], &str)) -> Result<String, NotXml> {
    let text = std::str::from_utf8(body).map_err(|_| NotXml)?;
    let mut reader = Reader::from_str(text);
    reader.config_mut().expand_empty_elements = true;
    let (mut path, mut texts, mut root) = (Vec::<String>::new(), Vec::<String>::new(), None::<String>);
    loop {
        match reader.read_event().map_err(|_| NotXml)? {
            Event::Start(start) => {
                if path.len() >= DEPTH_MAX || (path.is_empty() && root.is_some()) {
                    return Err(NotXml);
                }
                let name = String::from_utf8(start.local_name().as_ref().to_vec()).map_err(|_| NotXml)?;
                root.get_or_insert_with(|| name.clone());
                path.push(name);
                texts.push(String::new());
            }
            Event::End(_) => {
                let text = texts.pop().ok_or(NotXml)?;
                visit(&path, &text);
                path.pop();
            }
            Event::Text(piece) => append(&mut texts, &piece.decode().map_err(|_| NotXml)?)?,
            Event::CData(piece) => append(&mut texts, &piece.decode().map_err(|_| NotXml)?)?,
            Event::GeneralRef(reference) => {
                let character = match reference.resolve_char_ref().map_err(|_| NotXml)? {
                    Some(character) => character,
                    None => named(&reference.decode().map_err(|_| NotXml)?).ok_or(NotXml)?,
                };
                append(&mut texts, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::DocType(_) => return Err(NotXml),
            Event::Eof => break,
            _ => {}
        }
    }
    if path.is_empty() { root.ok_or(NotXml) } else { Err(NotXml) }
}

fn append(texts: &mut [String], piece: &str) -> Result<(), NotXml> {
    let Some(text) = texts.last_mut() else {
        return if piece.trim().is_empty() { Ok(()) } else { Err(NotXml) };
    };
    if text.len() + piece.len() > TEXT_BYTES_MAX {
        return Err(NotXml);
    }
    text.push_str(piece);
    Ok(())
}

fn named(reference: &str) -> Option<char> {
    Some(match reference {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

/// One object or version in a page.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) bytes: Option<u64>,
    pub(super) modified: String,
    pub(super) version: String,
    pub(super) is_marker: bool,
}

/// A page of a listing of objects or of versions.
#[derive(Default, Debug)]
pub(super) struct Page {
    pub(super) entries: Vec<Entry>,
    /// Where the next page begins: a token, or a key and a version.
    pub(super) next: Option<(String, String)>,
}

/// Reads a page of `ListObjectsV2` or `ListObjectVersions`.
pub(super) fn page(body: &[u8], root: &str) -> Result<Page, NotXml> {
    let (mut page, mut entry, mut is_truncated, mut is_encoded) = (Page::default(), Entry::default(), false, false);
    let (mut next, mut next_version, mut bad_size) = (String::new(), String::new(), false);
    let found = elements(body, &mut |path, text| {
        let names: Vec<&str> = path.iter().skip(1).map(String::as_str).collect();
        match names.as_slice() {
            ["IsTruncated"] => is_truncated = text.trim() == "true",
            ["EncodingType"] => is_encoded = text.trim() == "url",
            ["NextContinuationToken" | "NextKeyMarker"] => text.clone_into(&mut next),
            ["NextVersionIdMarker"] => text.clone_into(&mut next_version),
            ["Contents" | "Version" | "DeleteMarker", "Key"] => text.clone_into(&mut entry.key),
            ["Contents" | "Version", "Size"] => {
                entry.bytes = text.trim().parse().ok();
                bad_size |= entry.bytes.is_none();
            }
            ["Contents" | "Version" | "DeleteMarker", "LastModified"] => text.clone_into(&mut entry.modified),
            ["Version" | "DeleteMarker", "VersionId"] => text.clone_into(&mut entry.version),
            ["Contents" | "Version"] => page.entries.push(std::mem::take(&mut entry)),
            ["DeleteMarker"] => page.entries.push(Entry { is_marker: true, ..std::mem::take(&mut entry) }),
            _ => {}
        }
    })?;
    let without_key = page.entries.iter().any(|entry| entry.key.is_empty());
    if found != root || bad_size || without_key || (is_truncated && next.is_empty()) {
        return Err(NotXml);
    }
    if is_encoded {
        for entry in &mut page.entries {
            entry.key = decoded(&entry.key).ok_or(NotXml)?;
        }
        if root != "ListBucketResult" {
            next = decoded(&next).ok_or(NotXml)?;
        }
    }
    page.next = is_truncated.then_some((next, next_version));
    Ok(page)
}

/// What a store says about a request that failed.
#[derive(Default, Debug, Clone)]
pub(super) struct Complaint {
    pub(super) code: String,
    pub(super) message: String,
    pub(super) region: String,
}

/// Reads an error document; anything else is no complaint.
pub(super) fn complaint(body: &[u8]) -> Option<Complaint> {
    let mut complaint = Complaint::default();
    let root = elements(body, &mut |path, text| {
        let [_, name] = path else { return };
        match name.as_str() {
            "Code" => text.trim().clone_into(&mut complaint.code),
            "Message" => text.trim().clone_into(&mut complaint.message),
            "Region" => text.trim().clone_into(&mut complaint.region),
            _ => {}
        }
    });
    root.ok().filter(|root| root == "Error").map(|_| complaint)
}

/// Undoes percent encoding, with `+` as the space some stores make of it.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit =
                    |byte: Option<u8>| char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(rest.next())? * 16 + digit(rest.next())?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Percent-encodes what is not unreserved (RFC 3986 section 2.3); `/` stays where `keep_slash` says so.
pub(super) fn encoded(text: &str, slash: Slash) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(byte)),
            b'/' if slash == Slash::Kept => out.push('/'),
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

/// What becomes of `/` when a text is percent-encoded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Slash {
    /// It separates segments.
    Kept,
    /// It is part of a value.
    Encoded,
}

#[cfg(test)]
mod tests {
    use super::{Slash, complaint, elements, encoded, page};

    #[test]
    fn a_page_of_a_listing() {
        let body = br#"<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><IsTruncated>true</IsTruncated>
            <EncodingType>url</EncodingType><NextContinuationToken>a&amp;b+</NextContinuationToken>
            <Contents><Key>p/a%20%26b</Key><Size>12</Size><LastModified>2026-11-23T01:02:03.000Z</LastModified><Owner><ID>x</ID></Owner></Contents>
            <Contents><Key>p/c</Key><Size>0</Size></Contents><CommonPrefixes/></ListBucketResult>"#;
        let page = page(body, "ListBucketResult").unwrap();
        assert_eq!(page.entries.len(), 2);
        assert_eq!((page.entries[0].key.as_str(), page.entries[0].bytes), ("p/a &b", Some(12)));
        assert_eq!(page.next.unwrap().0, "a&b+");
    }

    #[test]
    fn versions_and_markers() {
        let body = b"<ListVersionsResult><IsTruncated>false</IsTruncated><Version><Key>a</Key><VersionId>1</VersionId><Size>3</Size></Version>\
            <DeleteMarker><Key>a</Key><VersionId>2</VersionId></DeleteMarker></ListVersionsResult>";
        let page = page(body, "ListVersionsResult").unwrap();
        assert_eq!(page.entries.iter().map(|entry| entry.is_marker).collect::<Vec<_>>(), [false, true]);
        assert_eq!(page.entries[1].version, "2");
        assert!(page.next.is_none());
    }

    #[test]
    fn what_is_no_listing_is_refused() {
        for body in [
            &b"<html><body>Welcome</body></html>"[..],
            b"",
            b"plain",
            b"<ListBucketResult>",
            b"<ListBucketResult><Contents><Key>a</Key><Size>x</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><Contents><Size>1</Size></Contents></ListBucketResult>",
            b"<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
            b"<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult>&a;</ListBucketResult>",
            b"<ListBucketResult>&a;</ListBucketResult>",
            b"\xff\xfe",
        ] {
            assert!(page(body, "ListBucketResult").is_err(), "{}", String::from_utf8_lossy(body));
        }
        let deep = format!("{}{}", "<a>".repeat(100), "</a>".repeat(100));
        assert!(elements(deep.as_bytes(), &mut |_, _| {}).is_err());
    }

    #[test]
    fn errors_say_their_code() {
        let found = complaint(b"<Error><Code>NoSuchBucket</Code><Message>gone &lt;here&gt;</Message></Error>").unwrap();
        assert_eq!((found.code.as_str(), found.message.as_str()), ("NoSuchBucket", "gone <here>"));
        assert!(complaint(b"<html/>").is_none());
    }

    #[test]
    fn texts_are_percent_encoded() {
        assert_eq!(encoded("a/b c+\u{e9}", Slash::Kept), "a/b%20c%2B%C3%A9");
        assert_eq!(encoded("a/b", Slash::Encoded), "a%2Fb");
    }
}
