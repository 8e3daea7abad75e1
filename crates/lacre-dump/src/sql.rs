//! Tokens of the SQL that dumps hold.
//!
//! Comes in: statements as a database tool wrote them. Goes out: tokens, with quotes and escapes resolved. Must not know: what a statement means.
//!
//! Any bytes give tokens; a quote that never ends gives [`Token::Broken`] and nothing after it, so that nobody mistakes the inside of a string
//! for SQL. The lexical rules are those of PostgreSQL's documentation, chapter "Lexical Structure".

use std::borrow::Cow;

use crate::copy::Identifier;

/// What a backslash means within an ordinary string constant (`standard_conforming_strings`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Backslash {
    /// Itself: the setting is `on`, as in every recent dump.
    #[default]
    Literal,
    /// It begins an escape: the setting is `off`.
    Escape,
}

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token<'a> {
    /// A word without quotes: a keyword or a name, as it stands.
    Word(&'a [u8]),
    /// A name in double quotes, without them.
    Quoted(Cow<'a, [u8]>),
    /// The value of a string constant of any kind.
    Text(Cow<'a, [u8]>),
    /// A number without its sign.
    Number(&'a [u8]),
    /// Any other byte.
    Symbol(u8),
    /// A quote or comment that never ends.
    Broken,
}

impl Token<'_> {
    /// Whether this is the given keyword (in lower case), written without quotes.
    #[must_use]
    pub fn is(&self, keyword: &str) -> bool {
        matches!(self, Token::Word(word) if word.eq_ignore_ascii_case(keyword.as_bytes()))
    }

    /// The name this token stands for: words are folded to lower case.
    #[must_use]
    pub fn name(&self) -> Option<Identifier> {
        match self {
            Token::Word(word) => Some(Identifier::new(word.to_ascii_lowercase())),
            Token::Quoted(name) if !name.is_empty() => Some(Identifier::new(name.to_vec())),
            _ => None,
        }
    }
}

/// The tokens of a text.
#[must_use]
pub fn tokens(text: &[u8], backslash: Backslash) -> Tokens<'_> {
    Tokens { rest: text, backslash }
}

/// Iterator over tokens, see [`tokens`].
#[derive(Debug, Clone)]
pub struct Tokens<'a> {
    rest: &'a [u8],
    backslash: Backslash,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        if !self.skip_blank() {
            return Some(self.broken());
        }
        let first = *self.rest.first()?;
        Some(match first {
            b'"' => self.quoted(),
            b'\'' => self.string(self.backslash, 1),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.rest.get(1).is_some_and(u8::is_ascii_digit) => self.number(),
            byte if begins_a_name(byte) => self.word(),
            byte => {
                self.rest = &self.rest[1..];
                Token::Symbol(byte)
            }
        })
    }
}

impl<'a> Tokens<'a> {
    fn broken(&mut self) -> Token<'a> {
        self.rest = &[];
        Token::Broken
    }

    /// Steps over space and comments; false if a comment never ends.
    fn skip_blank(&mut self) -> bool {
        loop {
            let trimmed = self.rest.trim_ascii_start();
            self.rest = trimmed.strip_prefix(b"\x0b").unwrap_or(trimmed);
            if self.rest.starts_with(b"--") {
                let end = memchr::memchr(b'\n', self.rest).unwrap_or(self.rest.len());
                self.rest = &self.rest[end..];
            } else if self.rest.starts_with(b"/*") {
                let Some(after) = behind_comment(self.rest) else { return false };
                self.rest = after;
            } else if self.rest.len() == trimmed.len() {
                return true;
            }
        }
    }

    fn word(&mut self) -> Token<'a> {
        let len = self.rest.iter().take_while(|byte| continues_a_name(**byte)).count();
        let (word, rest) = self.rest.split_at(len);
        if rest.first() == Some(&b'\'') {
            match word {
                b"e" | b"E" => return self.string(Backslash::Escape, 2),
                b"b" | b"B" | b"x" | b"X" | b"n" | b"N" => return self.string(Backslash::Literal, 2),
                _ => {}
            }
        }
        self.rest = rest;
        Token::Word(word)
    }

    fn number(&mut self) -> Token<'a> {
        let mut len = 0;
        while let Some(byte) = self.rest.get(len) {
            let after_exponent = len > 0 && matches!(self.rest[len - 1], b'e' | b'E');
            let takes = byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_');
            let signs_exponent = matches!(byte, b'+' | b'-') && after_exponent;
            if !takes && !signs_exponent {
                break;
            }
            len += 1;
        }
        let (number, rest) = self.rest.split_at(len);
        self.rest = rest;
        Token::Number(number)
    }

    fn quoted(&mut self) -> Token<'a> {
        match behind_quote(&self.rest[1..], b'"', Backslash::Literal) {
            Some((raw, rest)) => {
                self.rest = rest;
                Token::Quoted(undouble(raw, b'"'))
            }
            None => self.broken(),
        }
    }

    /// A string constant whose quote opens so many bytes ahead.
    fn string(&mut self, backslash: Backslash, open: usize) -> Token<'a> {
        let Some((raw, rest)) = behind_quote(&self.rest[open..], b'\'', backslash) else { return self.broken() };
        self.rest = rest;
        Token::Text(match backslash {
            Backslash::Literal => undouble(raw, b'\''),
            Backslash::Escape => unescape(raw),
        })
    }

    /// A dollar-quoted string, or a lone dollar sign.
    fn dollar(&mut self) -> Token<'a> {
        let tag = self.rest[1..].iter().take_while(|byte| continues_a_name(**byte) && **byte != b'$').count() + 2;
        let opens = self.rest.get(tag - 1) == Some(&b'$') && !self.rest[1].is_ascii_digit();
        if !opens {
            self.rest = &self.rest[1..];
            return Token::Symbol(b'$');
        }
        let (quote, inside) = self.rest.split_at(tag);
        match memchr::memmem::find(inside, quote) {
            Some(end) => {
                self.rest = &inside[end + tag..];
                Token::Text(Cow::Borrowed(&inside[..end]))
            }
            None => self.broken(),
        }
    }
}

/// What follows a comment, which may hold others.
fn behind_comment(text: &[u8]) -> Option<&[u8]> {
    let mut depth = 0usize;
    let mut at = 0;
    loop {
        at += memchr::memchr2(b'/', b'*', text.get(at..)?)?;
        match text.get(at..at + 2)? {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return text.get(at..);
        }
    }
}

/// The inside of a quoted thing, and what follows its closing quote.
fn behind_quote(text: &[u8], quote: u8, backslash: Backslash) -> Option<(&[u8], &[u8])> {
    let mut at = 0;
    loop {
        at += memchr::memchr2(quote, b'\\', text.get(at..)?)?;
        if text[at] == b'\\' && text[at] != quote {
            at += if backslash == Backslash::Escape { 2 } else { 1 };
        } else if text.get(at + 1) == Some(&quote) {
            at += 2;
        } else {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
}

/// Halves doubled quotes.
fn undouble(raw: &[u8], quote: u8) -> Cow<'_, [u8]> {
    if memchr::memchr(quote, raw).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        value.push(*byte);
        if *byte == quote {
            bytes.next();
        }
    }
    Cow::Owned(value)
}

/// Resolves the escapes `pg_dump` writes in `E''` strings: doubled backslashes and quotes; other escapes as in C, without Unicode.
fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\'' => {
                bytes.next();
                value.push(b'\'');
            }
            b'\\' => match bytes.next() {
                Some(b'n') => value.push(b'\n'),
                Some(b't') => value.push(b'\t'),
                Some(b'r') => value.push(b'\r'),
                Some(b'b') => value.push(0x08),
                Some(b'f') => value.push(0x0c),
                Some(other) => value.push(*other),
                None => {}
            },
            plain => value.push(*plain),
        }
    }
    Cow::Owned(value)
}

const fn begins_a_name(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'_' | 0x80..)
}

const fn continues_a_name(byte: u8) -> bool {
    begins_a_name(byte) || byte.is_ascii_digit() || byte == b'$'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<Token<'_>> {
        tokens(text.as_bytes(), Backslash::Literal).collect()
    }

    fn text(value: &str) -> Token<'_> {
        Token::Text(Cow::Borrowed(value.as_bytes()))
    }

    #[test]
    fn words_names_numbers_and_symbols() {
        assert_eq!(
            read("ALTER \"odd \"\"x\".ção1 (1.5e-3,.5) -1"),
            [
                Token::Word(b"ALTER"),
                Token::Quoted(Cow::Borrowed(b"odd \"x")),
                Token::Symbol(b'.'),
                Token::Word("ção1".as_bytes()),
                Token::Symbol(b'('),
                Token::Number(b"1.5e-3"),
                Token::Symbol(b','),
                Token::Number(b".5"),
                Token::Symbol(b')'),
                Token::Symbol(b'-'),
                Token::Number(b"1"),
            ]
        );
    }

    #[test]
    fn strings_of_every_kind() {
        assert_eq!(read("'it''s \\'"), [text("it's \\")]);
        assert_eq!(read("E'a\\'b\\\\n\\n'''"), [text("a'b\\n\n'")]);
        assert_eq!(read("$$a;'b$$ $x1$ $$ \" $x1$;"), [text("a;'b"), text(" $$ \" "), Token::Symbol(b';')]);
        assert_eq!(read("$1 x"), [Token::Symbol(b'$'), Token::Number(b"1"), Token::Word(b"x")]);
        assert_eq!(read("B'01' x'ff'"), [text("01"), text("ff")]);
        let old: Vec<_> = tokens(b"'a\\'b'", Backslash::Escape).collect();
        assert_eq!(old, [text("a'b")]);
    }

    #[test]
    fn comments_are_blank_and_may_hold_others() {
        assert_eq!(read("a -- b ' \n/* x /* y */ ' */ c"), [Token::Word(b"a"), Token::Word(b"c")]);
    }

    #[test]
    fn what_never_ends_hides_what_follows() {
        for broken in ["'a b", "\"a b", "$$a b", "$t$a$$", "/* a /* */ b", "E'a\\'", "x'"] {
            assert_eq!(read(broken).last(), Some(&Token::Broken), "{broken}");
            assert!(read(broken).len() == 1, "{broken}");
        }
    }

    #[test]
    fn names_are_folded_unless_quoted() {
        let names: Vec<_> = read("Users \"Users\" \"\" 1").iter().map(Token::name).collect();
        assert_eq!(names, [Some(Identifier::new("users")), Some(Identifier::new("Users")), None, None]);
    }
}
