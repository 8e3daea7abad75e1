//! Places in JSON text, found and edited without touching anything else.
//!
//! Comes in: JSON text and paths. Goes out: ranges of bytes, or the text with some of them replaced. Must not know: rows.
//!
//! PostgreSQL writes `jsonb` as `{"a": 1, "b": [2, 3]}` with its own order of members; replacing or taking out a member leaves exactly the text
//! that `jsonb_set` or `#-` give.

use std::borrow::Cow;
use std::ops::Range;

use crate::rules::{JsonPath, Step};

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotJson;

/// A place a path leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    /// The value.
    value: Range<usize>,
    /// What goes away with the member or element: its name, its value, one comma.
    whole: Range<usize>,
}

/// What becomes of the places a path leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Editing {
    /// They become `null`.
    Null,
    /// They go away.
    Remove,
}

/// The value at a path without wildcards, as text: strings without quotes and escapes, numbers and booleans as they stand.
///
/// Nothing if there is no such place, or if `null`, an object or an array stands there. Of members with one name the last one counts, as it
/// does for PostgreSQL.
///
/// # Errors
/// Text that is not JSON as far as it was read.
pub fn text_at<'j>(json: &'j [u8], path: &JsonPath) -> Result<Option<Cow<'j, [u8]>>, NotJson> {
    let found = find(json, path)?;
    let Some(last) = found.last() else { return Ok(None) };
    let value = &json[last.value.clone()];
    Ok(match value.first() {
        Some(b'{' | b'[') | None => None,
        Some(b'"') => Some(decode(&value[1..value.len() - 1])),
        _ if value == b"null" => None,
        _ => Some(Cow::Borrowed(value)),
    })
}

/// The text with every place the paths lead to edited; nothing if they lead nowhere.
///
/// # Errors
/// Text that is not JSON as far as it was read.
pub fn edit(json: &[u8], paths: &[JsonPath], editing: Editing) -> Result<Option<Vec<u8>>, NotJson> {
    let mut current: Option<Vec<u8>> = None;
    for path in paths {
        let text = current.as_deref().unwrap_or(json);
        let found = find(text, path)?;
        if found.is_empty() {
            continue;
        }
        let mut edited = Vec::with_capacity(text.len());
        let mut kept = 0;
        for place in &found {
            let range = if editing == Editing::Null { &place.value } else { &place.whole };
            // Neighbours that both go away may claim the same comma.
            edited.extend_from_slice(text.get(kept..range.start).unwrap_or_default());
            if editing == Editing::Null {
                edited.extend_from_slice(b"null");
            }
            kept = kept.max(range.end);
        }
        edited.extend_from_slice(text.get(kept..).unwrap_or_default());
        current = Some(edited);
    }
    Ok(current)
}

fn find(json: &[u8], path: &JsonPath) -> Result<Vec<Found>, NotJson> {
    let mut reader = Reader { json, at: 0 };
    let mut found = Vec::new();
    reader.space();
    reader.walk(path.steps(), &mut found)?;
    Ok(found)
}

struct Reader<'j> {
    json: &'j [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.json.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> bool {
        let is = self.peek() == Some(byte);
        self.at += usize::from(is);
        is
    }

    /// Walks into the value that begins here; afterwards the reader is behind it.
    ///
    /// It calls itself once for each step of the path, whose length is bounded.
    fn walk(&mut self, steps: &[Step], found: &mut Vec<Found>) -> Result<(), NotJson> {
        let Some((step, rest)) = steps.split_first() else { return self.skip() };
        let (is_object, close) = match self.peek() {
            Some(b'{') => (true, b'}'),
            Some(b'[') => (false, b']'),
            _ => return self.skip(),
        };
        self.at += 1;
        self.space();
        if self.take(close) {
            return Ok(());
        }
        let mut comma: Option<usize> = None;
        for index in 0usize.. {
            let start = self.at;
            let fits = if is_object { self.member_fits(step)? } else { element_fits(step, index) };
            let value_start = self.at;
            let mut below = Vec::new();
            if fits && !rest.is_empty() {
                self.walk(rest, &mut below)?;
            } else {
                self.skip()?;
            }
            let value = value_start..self.at;
            self.space();
            let next_comma = self.at;
            let goes_on = self.take(b',');
            self.space();
            if fits && rest.is_empty() {
                let whole = match comma {
                    _ if goes_on => start..self.at,
                    Some(comma) => comma..value.end,
                    None => start..value.end,
                };
                below.push(Found { value, whole });
            }
            found.append(&mut below);
            if !goes_on {
                return if self.take(close) { Ok(()) } else { Err(NotJson) };
            }
            comma = Some(next_comma);
        }
        Err(NotJson)
    }

    /// Reads a member's name and colon; whether the step leads into it.
    fn member_fits(&mut self, step: &Step) -> Result<bool, NotJson> {
        let start = self.at + 1;
        if self.peek() != Some(b'"') {
            return Err(NotJson);
        }
        self.string()?;
        let name = &self.json[start..self.at - 1];
        let fits = match step {
            Step::Any => true,
            Step::Key(key) => *decode(name) == key[..],
        };
        self.space();
        if !self.take(b':') {
            return Err(NotJson);
        }
        self.space();
        Ok(fits)
    }

    /// Steps over a string, which begins here.
    fn string(&mut self) -> Result<(), NotJson> {
        self.at += 1;
        loop {
            let rest = self.json.get(self.at..).ok_or(NotJson)?;
            self.at += memchr::memchr2(b'"', b'\\', rest).ok_or(NotJson)?;
            if self.take(b'"') {
                return Ok(());
            }
            self.at += 2;
        }
    }

    /// Steps over a value of any kind.
    fn skip(&mut self) -> Result<(), NotJson> {
        let mut depth = 0usize;
        loop {
            match self.peek().ok_or(NotJson)? {
                b'"' => self.string()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1).ok_or(NotJson)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' if depth > 0 => self.at += 1,
                b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E' => {
                    let takes = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.');
                    self.at += self.json[self.at..].iter().take_while(|byte| takes(byte)).count();
                }
                _ => return Err(NotJson),
            }
            if depth == 0 {
                return Ok(());
            }
        }
    }
}

fn element_fits(step: &Step, index: usize) -> bool {
    match step {
        Step::Any => true,
        Step::Key(key) => str::from_utf8(key).is_ok_and(|key| key.parse() == Ok(index)),
    }
}

/// A string's content without its escapes; what is no escape stays as it is.
fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', raw) else { return Cow::Borrowed(raw) };
    let mut value = raw[..first].to_vec();
    let mut rest = &raw[first..];
    while let Some((byte, after)) = rest.split_first() {
        rest = after;
        if *byte != b'\\' {
            value.push(*byte);
            continue;
        }
        let Some((code, after)) = rest.split_first() else { break };
        rest = after;
        match code {
            b'b' => value.push(0x08),
            b'f' => value.push(0x0c),
            b'n' => value.push(b'\n'),
            b'r' => value.push(b'\r'),
            b't' => value.push(b'\t'),
            b'u' => {
                let (letter, after) = unicode(rest);
                value.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                rest = after;
            }
            other => value.push(*other),
        }
    }
    Cow::Owned(value)
}

/// The letter of a `\u` escape whose digits begin `rest`, with the second half of a pair if there is one.
fn unicode(rest: &[u8]) -> (char, &[u8]) {
    let unit = |bytes: &[u8]| u32::from_str_radix(str::from_utf8(bytes.get(..4)?).ok()?, 16).ok();
    let Some(first) = unit(rest) else { return (char::REPLACEMENT_CHARACTER, rest) };
    let after = &rest[4..];
    if (0xd800..0xdc00).contains(&first)
        && let Some(second) = after.strip_prefix(b"\\u").and_then(unit)
        && (0xdc00..0xe000).contains(&second)
    {
        let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
        return (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), &after[6..]);
    }
    (char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER), after)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> JsonPath {
        JsonPath::parse(text).unwrap()
    }

    fn at(json: &str, way: &str) -> Result<Option<String>, NotJson> {
        Ok(text_at(json.as_bytes(), &path(way))?.map(|text| String::from_utf8(text.into_owned()).unwrap()))
    }

    fn edited(json: &str, ways: &[&str], editing: Editing) -> Option<String> {
        let paths: Vec<_> = ways.iter().map(|way| path(way)).collect();
        edit(json.as_bytes(), &paths, editing).unwrap().map(|text| String::from_utf8(text).unwrap())
    }

    #[test]
    fn values_are_found() {
        let json = r#" {"a": {"b": [1, {"c": "x\"y\u00e3\ud83d\ude00"}]}, "d": null, "e": true, "\u0061b": -1.5e3, "d\n": {}} "#;
        for (way, value) in [
            ("a.b.0", Some("1")),
            ("a.b.1.c", Some("x\"yã😀")),
            ("d", None),
            ("e", Some("true")),
            ("ab", Some("-1.5e3")),
            ("a", None),
            ("x", None),
            ("a.b.2", None),
            ("e.f", None),
        ] {
            assert_eq!(at(json, way).unwrap().as_deref(), value, "{way}");
        }
        assert_eq!(at(r#"{"a": 1, "a": 2}"#, "a").unwrap().as_deref(), Some("2"));
        assert_eq!(at("7", "a"), Ok(None));
    }

    #[test]
    fn what_is_not_json_is_told() {
        for json in
            ["", "{", "{\"a\"", "{\"a\":", "{\"a\": 1", "{a: 1}", "[1, ", "\"a", "{\"a\": 1 \"b\": 2}", "{\"a\": \"\\"]
        {
            assert_eq!(at(json, "b"), Err(NotJson), "{json}");
        }
    }

    #[test]
    fn edits_leave_the_rest_alone() {
        let json = r#"{"a": 1, "b": {"c": [1, 2, 3]}, "d": "x"}"#;
        for (ways, nulled, removed) in [
            (&["a"][..], r#"{"a": null, "b": {"c": [1, 2, 3]}, "d": "x"}"#, r#"{"b": {"c": [1, 2, 3]}, "d": "x"}"#),
            (&["d"], r#"{"a": 1, "b": {"c": [1, 2, 3]}, "d": null}"#, r#"{"a": 1, "b": {"c": [1, 2, 3]}}"#),
            (
                &["b.c.1"],
                r#"{"a": 1, "b": {"c": [1, null, 3]}, "d": "x"}"#,
                r#"{"a": 1, "b": {"c": [1, 3]}, "d": "x"}"#,
            ),
            (
                &["b.c.*"],
                r#"{"a": 1, "b": {"c": [null, null, null]}, "d": "x"}"#,
                r#"{"a": 1, "b": {"c": []}, "d": "x"}"#,
            ),
            (&["b.c"], r#"{"a": 1, "b": {"c": null}, "d": "x"}"#, r#"{"a": 1, "b": {}, "d": "x"}"#),
            (&["a", "d"], r#"{"a": null, "b": {"c": [1, 2, 3]}, "d": null}"#, r#"{"b": {"c": [1, 2, 3]}}"#),
            (&["*"], r#"{"a": null, "b": null, "d": null}"#, "{}"),
        ] {
            assert_eq!(edited(json, ways, Editing::Null).as_deref(), Some(nulled), "{ways:?}");
            assert_eq!(edited(json, ways, Editing::Remove).as_deref(), Some(removed), "{ways:?}");
        }
        assert_eq!(edited(json, &["x.y", "a.b"], Editing::Null), None);
        assert_eq!(edited("{ \"a\" :1 , \"b\":2 }", &["b"], Editing::Remove).as_deref(), Some("{ \"a\" :1  }"));
    }

    #[test]
    fn deep_nesting_needs_no_stack() {
        let deep = format!("{{\"a\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert_eq!(at(&deep, "b"), Ok(None));
    }
}
