//! Where in a row something stands: a column, or a place within a column's JSON.

use std::fmt;

use crate::copy::Identifier;
use crate::limits::JSON_DEPTH_MAX;
use crate::schema::{SqlName, TableName};
use crate::sql::{Backslash, Token, tokens};

/// One step into JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Step {
    /// The member of this name, or the element of this number.
    Key(Vec<u8>),
    /// Every member or element.
    Any,
}

/// A way into JSON; never empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JsonPath(Vec<Step>);

impl JsonPath {
    /// The steps from the outside in.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0
    }

    /// Reads `a.b.0`, `a.*.b` or `a."b.c"`.
    #[must_use]
    pub fn parse(text: &str) -> Option<JsonPath> {
        let mut steps = Vec::new();
        let mut rest = text.trim();
        loop {
            let (step, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let end = quoted.find('"')?;
                    (Step::Key(quoted.as_bytes()[..end].to_vec()), &quoted[end + 1..])
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    match &rest[..end] {
                        "" => return None,
                        "*" => (Step::Any, &rest[end..]),
                        key => (Step::Key(key.as_bytes().to_vec()), &rest[end..]),
                    }
                }
            };
            steps.push(step);
            match after.strip_prefix('.') {
                _ if steps.len() > JSON_DEPTH_MAX => return None,
                Some(more) => rest = more,
                None if after.is_empty() => return Some(JsonPath(steps)),
                None => return None,
            }
        }
    }
}

impl fmt::Display for JsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, step) in self.0.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            match step {
                Step::Any => write!(f, "{dot}*")?,
                Step::Key(key) => {
                    let key = String::from_utf8_lossy(key);
                    let plain = !key.is_empty() && key != "*" && !key.contains(['.', '"']) && key.trim() == key;
                    let quote = if plain { "" } else { "\"" };
                    write!(f, "{dot}{quote}{key}{quote}")?;
                }
            }
        }
        Ok(())
    }
}

/// Where in a row a value stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lookup {
    /// The column.
    pub column: Identifier,
    /// The place within its JSON, if it is not the column itself.
    pub path: Option<JsonPath>,
}

impl Lookup {
    /// Reads `column`, `column->>'key'`, `column->'a'->0->>'b'`, with or without parentheses around it, as SQL writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Lookup> {
        let all: Vec<_> = tokens(text.as_bytes(), Backslash::Literal).collect();
        let mut all = all.as_slice();
        while let [Token::Symbol(b'('), inner @ .., Token::Symbol(b')')] = all {
            all = inner;
        }
        let (first, mut rest) = all.split_first()?;
        let column = first.name()?;
        let mut steps = Vec::new();
        while let [Token::Symbol(b'-'), Token::Symbol(b'>'), after @ ..] = rest {
            let after = after.strip_prefix(&[Token::Symbol(b'>')]).unwrap_or(after);
            let (step, after) = after.split_first()?;
            steps.push(match step {
                Token::Text(key) => Step::Key(key.to_vec()),
                Token::Number(index) => Step::Key(index.to_vec()),
                _ => return None,
            });
            rest = after;
        }
        let fits = rest.is_empty() && steps.len() <= JSON_DEPTH_MAX;
        fits.then_some(Lookup { column, path: (!steps.is_empty()).then_some(JsonPath(steps)) })
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", SqlName(&self.column))?;
        if let Some(path) = &self.path {
            write!(f, " at {path}")?;
        }
        Ok(())
    }
}

/// Reads the name of a column as SQL does.
pub(super) fn column_name(text: &str) -> Option<Identifier> {
    let mut all = tokens(text.as_bytes(), Backslash::Literal);
    let name = all.next()?.name()?;
    all.next().is_none().then_some(name)
}

/// Reads the name of a table with its schema as SQL does.
pub(super) fn table_name(text: &str) -> Option<TableName> {
    let all: Vec<_> = tokens(text.as_bytes(), Backslash::Literal).take(4).collect();
    match all.as_slice() {
        [schema, Token::Symbol(b'.'), table] => Some(TableName { schema: schema.name()?, table: table.name()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_read_and_shown() {
        for (text, shown) in
            [("a", "a"), ("a.b.0", "a.b.0"), ("a.*.c", "a.*.c"), ("a.\"b.c\"", "a.\"b.c\""), ("\"\"", "\"\"")]
        {
            assert_eq!(JsonPath::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", ".", "a.", "a..b", "a\"b\".c\"", "\"a", "\"a\"b"] {
            assert!(JsonPath::parse(text).is_none_or(|path| text == "a\"b\".c\"" && path.steps().len() == 2), "{text}");
        }
        assert_eq!(JsonPath::parse(&"a.".repeat(10_000)), None);
    }

    #[test]
    fn lookups_are_sql() {
        for (text, shown) in [
            ("user_id", "user_id"),
            ("\"User Id\"", "\"User Id\""),
            ("payload->>'user_id'", "payload at user_id"),
            ("(payload -> 'user' ->> 'id')", "payload at user.id"),
            ("list->0->>'id'", "list at 0.id"),
        ] {
            assert_eq!(Lookup::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", "a b", "a->", "a->>b", "a->>'x", "lower(a)", "1"] {
            assert_eq!(Lookup::parse(text), None, "{text}");
        }
        assert_eq!(table_name("app.Users").unwrap().to_string(), "app.users");
        assert_eq!(table_name("\"a.b\".\"C\"").unwrap().to_string(), "\"a.b\".\"C\"");
        assert!(table_name("users").is_none() && table_name("a.b.c").is_none());
    }
}
