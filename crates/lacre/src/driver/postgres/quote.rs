//! Names and strings as SQL and conninfo want them.
//!
//! In: any text. Out: text that means exactly that to the server. Nothing here talks to a server.

/// Quotes a name as an SQL identifier, always with double quotes.
pub fn ident(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Quotes text as an SQL string literal that means the same whatever `standard_conforming_strings` says.
pub fn literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if text.contains('\\') { format!("E'{}'", quoted.replace('\\', "\\\\")) } else { format!("'{quoted}'") }
}

/// Quotes a value of a `key=value` connection string.
pub fn conninfo_value(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"))
}

/// Makes text from a server or a name safe to show on one line: control characters become escapes.
pub fn one_line(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// Cuts text to at most `bytes_max` bytes without splitting a character.
pub fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_strings_keep_their_meaning() {
        assert_eq!(ident("a\"b c\n"), "\"a\"\"b c\n\"");
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal("a\\'b"), "E'a\\\\''b'");
        assert_eq!(conninfo_value("o'b\\c"), "'o\\'b\\\\c'");
        assert_eq!(one_line("a\nb"), "a\\nb");
        assert_eq!(cut("aé", 2), "a");
        assert_eq!(cut("aé", 9), "aé");
    }
}
