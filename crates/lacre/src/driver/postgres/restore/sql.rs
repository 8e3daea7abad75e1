//! Cutting SQL scripts into statements and names, without understanding more of it than that.
//!
//! In: text as PostgreSQL's own tools write it. Out: statements, or the same text with some qualified names changed. Strings, quoted names,
//! dollar quotes and comments are respected; `psql`'s backslash commands, which no server understands, are dropped.

use std::collections::BTreeSet;

/// A piece of SQL that means something on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'a> {
    /// A name or keyword, with its double quotes if it has them.
    Word(&'a str),
    /// A string constant with its quotes.
    Text(&'a str),
    /// Anything else: one character, a comment, white space, a dollar-quoted body.
    Other(&'a str),
}

impl<'a> Token<'a> {
    fn source(self) -> &'a str {
        match self {
            Self::Word(text) | Self::Text(text) | Self::Other(text) => text,
        }
    }
}

/// Takes the first token off a non-empty text.
fn token(text: &str) -> (Token<'_>, &str) {
    let split = |at: usize| text.split_at_checked(at).unwrap_or((text, ""));
    let first = text.chars().next().unwrap_or(' ');
    if text.starts_with("--") {
        let (comment, rest) = split(text.find('\n').unwrap_or(text.len()));
        return (Token::Other(comment), rest);
    }
    if text.starts_with("/*") {
        let (comment, rest) = split(text.find("*/").map_or(text.len(), |at| at + 2));
        return (Token::Other(comment), rest);
    }
    if first == '\'' {
        let (string, rest) = split(quoted_end(text, 0, '\'', Escapes::No));
        return (Token::Text(string), rest);
    }
    if first == '"' {
        let (name, rest) = split(quoted_end(text, 0, '"', Escapes::No));
        return (Token::Word(name), rest);
    }
    if first == '$'
        && let Some(end) = dollar_end(text)
    {
        let (body, rest) = split(end);
        return (Token::Other(body), rest);
    }
    if first.is_alphabetic() || first == '_' {
        if (first == 'E' || first == 'e') && text.get(1..2) == Some("'") {
            let (string, rest) = split(quoted_end(text, 1, '\'', Escapes::Yes));
            return (Token::Text(string), rest);
        }
        let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(text.len());
        let (word, rest) = split(end);
        return (Token::Word(word), rest);
    }
    let (other, rest) = split(first.len_utf8());
    (Token::Other(other), rest)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    Yes,
    No,
}

/// Finds the end of a quoted piece whose opening quote is at `from`.
fn quoted_end(text: &str, from: usize, quote: char, escapes: Escapes) -> usize {
    let mut chars = text.char_indices().skip_while(|(at, _)| *at <= from).peekable();
    while let Some((at, c)) = chars.next() {
        if c == '\\' && escapes == Escapes::Yes {
            chars.next();
        } else if c == quote && chars.next_if(|(_, next)| *next == quote).is_none() {
            return at + quote.len_utf8();
        }
    }
    text.len()
}

/// Finds the end of a `$tag$...$tag$` body that begins the text.
fn dollar_end(text: &str) -> Option<usize> {
    let tag_end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..tag_end)?;
    let name = tag.trim_matches('$');
    if name.chars().any(|c| !(c.is_alphanumeric() || c == '_')) || name.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    Some(text.get(tag_end..)?.find(tag).map_or(text.len(), |at| tag_end + at + tag_end))
}

/// Cuts a script into its statements, without their semicolons.
pub(super) fn statements(script: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut current = String::new();
    let mut rest = script;
    let mut line_start = true;
    while !rest.is_empty() {
        // Between statements a backslash at a line's beginning is a command for psql.
        if line_start && rest.starts_with('\\') && current.trim().is_empty() {
            rest = rest.find('\n').and_then(|at| rest.get(at..)).unwrap_or_default();
            continue;
        }
        let (token, after) = token(rest);
        rest = after;
        let source = token.source();
        line_start = source == "\n";
        match token {
            Token::Other(";") => {
                push_statement(&mut list, &mut current);
            }
            Token::Other(comment) if comment.starts_with("--") => {}
            _ => current.push_str(source),
        }
    }
    push_statement(&mut list, &mut current);
    list
}

fn push_statement(list: &mut Vec<String>, current: &mut String) {
    let statement = current.trim();
    if !statement.is_empty() {
        list.push(statement.to_owned());
    }
    current.clear();
}

/// The words of a statement, unquoted where they were quoted.
pub(super) fn words(statement: &str) -> Vec<String> {
    let mut list = Vec::new();
    let mut rest = statement;
    while !rest.is_empty() {
        let (token, after) = token(rest);
        rest = after;
        if let Token::Word(word) = token {
            list.push(unquote(word));
        }
    }
    list
}

fn unquote(word: &str) -> String {
    match word.strip_prefix('"').and_then(|word| word.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => word.to_owned(),
    }
}

/// Moves qualified names to another schema: every `schema.name` whose pair is in `moved`, in code and in string constants that
/// hold exactly such a name (as `nextval('public.users_id_seq'::regclass)` does).
pub(super) fn move_names(statement: &str, moved: &BTreeSet<(String, String)>, into: &str) -> String {
    let mut out = String::with_capacity(statement.len());
    let mut rest = statement;
    while !rest.is_empty() {
        let (first, after) = token(rest);
        if let Token::Word(schema) = first
            && let Some(behind) = after.strip_prefix('.')
            && let (Token::Word(name), tail) = token_or_nothing(behind)
            && moved.contains(&(unquote(schema), unquote(name)))
        {
            out.push_str(into);
            out.push('.');
            out.push_str(name);
            rest = tail;
            continue;
        }
        if let Token::Text(text) = first
            && let Some(inner) = text.strip_prefix('\'').and_then(|text| text.strip_suffix('\''))
            && whole_name(inner, moved)
        {
            out.push('\'');
            out.push_str(&move_names(&inner.replace("''", "'"), moved, into).replace('\'', "''"));
            out.push('\'');
            rest = after;
            continue;
        }
        out.push_str(first.source());
        rest = after;
    }
    out
}

fn token_or_nothing(text: &str) -> (Token<'_>, &str) {
    if text.is_empty() { (Token::Other(""), "") } else { token(text) }
}

/// Says whether a string is nothing but one qualified name that moves.
fn whole_name(text: &str, moved: &BTreeSet<(String, String)>) -> bool {
    let text = text.replace("''", "'");
    let (Token::Word(schema), after) = token_or_nothing(&text) else { return false };
    let Some(behind) = after.strip_prefix('.') else { return false };
    matches!(token_or_nothing(behind), (Token::Word(name), "") if moved.contains(&(unquote(schema), unquote(name))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_only_at_semicolons_that_are_code() {
        let script = "\\restrict x\n-- a;b\nSELECT ';', \"a;b\", E'\\';', $$;$$, $t$;$$;$t$ /* ; */;\nSET x = 1;\n\n\\unrestrict x\n";
        assert_eq!(statements(script), ["SELECT ';', \"a;b\", E'\\';', $$;$$, $t$;$$;$t$ /* ; */", "SET x = 1"]);
        assert_eq!(statements("a\n;\\x"), ["a", "\\x"]);
        assert_eq!(statements("'never closed ; "), ["'never closed ;"]);
        assert_eq!(words("CREATE ROLE \"a \"\"b\""), ["CREATE", "ROLE", "a \"b"]);
    }

    #[test]
    fn names_move_in_code_and_in_strings_that_are_names() {
        let moved = BTreeSet::from([
            ("public".to_owned(), "users".to_owned()),
            ("public".to_owned(), "users_id_seq".to_owned()),
        ]);
        let check = |from: &str, to: &str| assert_eq!(move_names(from, &moved, "\"s\""), to);
        check("CREATE TABLE public.users (a public.mood)", "CREATE TABLE \"s\".users (a public.mood)");
        check("nextval('public.users_id_seq'::regclass)", "nextval('\"s\".users_id_seq'::regclass)");
        check("DEFAULT 'see public.users'", "DEFAULT 'see public.users'");
        check("ALTER TABLE \"public\".\"users\" OWNER TO x", "ALTER TABLE \"s\".\"users\" OWNER TO x");
        check("x.public.usersx", "x.public.usersx");
    }
}
