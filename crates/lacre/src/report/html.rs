//! Pieces of a page, in which nothing stands unescaped that is not written here in the program.
//!
//! In: literals, which are markup, and values, which are text. Out: [`Markup`]. The macro `html!` tells the two apart by what they are
//! to the compiler, so that a name with `<script>` in it has no way to become one.

use std::fmt::{self, Write as _};

/// A piece of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// Nothing yet.
    pub fn new() -> Markup {
        Markup::default()
    }

    /// Adds markup that stands in the program.
    pub fn raw(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Adds a value.
    pub fn add(&mut self, value: &(impl Show + ?Sized)) {
        value.show(&mut self.0);
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text of the page.
    pub fn into_string(self) -> String {
        self.0
    }

    /// The words alone, as they were before they were escaped.
    pub fn plain(&self) -> String {
        let mut out = String::new();
        let mut is_tag = false;
        for character in self.0.chars() {
            match character {
                '<' => is_tag = true,
                '>' => is_tag = false,
                _ if !is_tag => out.push(character),
                _ => {}
            }
        }
        let escapes = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];
        escapes.iter().fold(out, |text, (escape, character)| text.replace(escape, character))
    }

    /// Markup that stands in the program, as a piece.
    pub fn of(markup: &'static str) -> Markup {
        Markup(markup.to_owned())
    }

    /// A value as text, as a piece.
    pub fn text(value: impl Show) -> Markup {
        let mut markup = Markup::new();
        markup.add(&value);
        markup
    }
}

/// What can stand in a page.
pub trait Show {
    /// Writes it, so that it says there what it is and does nothing.
    fn show(&self, out: &mut String);
}

impl Show for str {
    fn show(&self, out: &mut String) {
        for character in self.chars() {
            match character {
                '&' => out.push_str("&amp;"),
                '<' => out.push_str("&lt;"),
                '>' => out.push_str("&gt;"),
                '"' => out.push_str("&quot;"),
                '\'' => out.push_str("&#39;"),
                '\n' | '\t' => out.push(' '),
                _ if character.is_control() || turns_text(character) => out.push('\u{fffd}'),
                _ => out.push(character),
            }
        }
    }
}

/// Characters that change the direction of what follows: a name with one would be read as another name.
fn turns_text(character: char) -> bool {
    matches!(character, '\u{200e}' | '\u{200f}' | '\u{061c}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl Show for String {
    fn show(&self, out: &mut String) {
        self.as_str().show(out);
    }
}

impl Show for Markup {
    fn show(&self, out: &mut String) {
        out.push_str(&self.0);
    }
}

impl<T: Show + ?Sized> Show for &T {
    fn show(&self, out: &mut String) {
        (*self).show(out);
    }
}

impl<T: Show> Show for Option<T> {
    fn show(&self, out: &mut String) {
        if let Some(value) = self {
            value.show(out);
        }
    }
}

/// Whole numbers stand as they are; for people they are text by then.
macro_rules! numbers {
    ($($kind:ty),*) => {$(
        impl Show for $kind {
            fn show(&self, out: &mut String) {
                // Memory takes every write.
                let _always = write!(out, "{self}");
            }
        }
    )*};
}

numbers!(u8, u32, u64, usize, i64);

/// A place in a plot, in units of its view box: one digit after the point is finer than any screen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct At(pub f64);

impl Show for At {
    fn show(&self, out: &mut String) {
        let _always = write!(out, "{}", (self.0 * 10.0).round() / 10.0);
    }
}

impl fmt::Display for Markup {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Adds literals as markup and values as text: `html!(page, "<td>", name, "</td>")`.
macro_rules! html {
    ($out:expr $(,)?) => {};
    ($out:expr, $markup:literal $(, $($rest:tt)*)?) => {
        $out.raw($markup);
        $($crate::report::html::html!($out, $($rest)*);)?
    };
    ($out:expr, $value:expr $(, $($rest:tt)*)?) => {
        $out.add(&$value);
        $($crate::report::html::html!($out, $($rest)*);)?
    };
}

pub(crate) use html;

/// Where the text of a column stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// Text.
    Text,
    /// Numbers, to the right.
    Number,
}

/// A table with a caption; on a narrow screen it is the table that scrolls, not the page.
#[derive(Debug)]
pub struct Table {
    caption: String,
    columns: Vec<(String, Column)>,
    rows: Vec<Vec<Markup>>,
}

impl Table {
    /// A table without rows.
    pub fn new(caption: impl Into<String>) -> Table {
        Table { caption: caption.into(), columns: Vec::new(), rows: Vec::new() }
    }

    /// Adds a column of text.
    #[must_use]
    pub fn text(mut self, head: impl Into<String>) -> Table {
        self.columns.push((head.into(), Column::Text));
        self
    }

    /// Adds a column of numbers.
    #[must_use]
    pub fn number(mut self, head: impl Into<String>) -> Table {
        self.columns.push((head.into(), Column::Number));
        self
    }

    /// Adds a row; its first cell is its head.
    pub fn row(&mut self, cells: impl IntoIterator<Item = Markup>) {
        let mut row: Vec<Markup> = cells.into_iter().collect();
        row.resize(self.columns.len(), Markup::new());
        self.rows.push(row);
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The table as a piece of a page.
    pub fn markup(&self) -> Markup {
        let mut out = Markup::new();
        html!(out, "<div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"", self.caption, "\"><table>");
        html!(out, "<caption>", self.caption, "</caption><thead><tr>");
        for (head, column) in &self.columns {
            out.raw(if *column == Column::Number { "<th scope=\"col\" class=\"n\">" } else { "<th scope=\"col\">" });
            html!(out, head, "</th>");
        }
        out.raw("</tr></thead><tbody>");
        for row in &self.rows {
            out.raw("<tr>");
            for (number, (cell, (_, column))) in row.iter().zip(&self.columns).enumerate() {
                match (number, column) {
                    (0, _) => {
                        html!(out, "<th scope=\"row\">", cell, "</th>");
                    }
                    (_, Column::Text) => {
                        html!(out, "<td>", cell, "</td>");
                    }
                    (_, Column::Number) => {
                        html!(out, "<td class=\"n\">", cell, "</td>");
                    }
                }
            }
            out.raw("</tr>");
        }
        out.raw("</tbody></table></div>");
        out
    }
}

/// A command to type.
pub fn code(text: &str) -> Markup {
    let mut out = Markup::new();
    html!(out, "<code>", text, "</code>");
    out
}

#[cfg(test)]
mod tests {
    use super::{At, Markup, Table};

    #[test]
    fn values_are_text_and_literals_are_markup() {
        let mut out = Markup::new();
        let name = "<script>alert(\"1\")</script> & 'x'".to_owned();
        html!(out, "<p title=\"", name, "\">", name.len(), "</p>", At(1.25), Some("<"), None::<&str>);
        assert_eq!(
            out.into_string(),
            "<p title=\"&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;x&#39;\">33</p>1.3&lt;"
        );
    }

    #[test]
    fn a_name_cannot_turn_or_break_a_line() {
        assert_eq!(
            Markup::text("a\u{202e}b\u{1b}[31m\nc\td\u{2066}").into_string(),
            "a\u{fffd}b\u{fffd}[31m c d\u{fffd}"
        );
    }

    #[test]
    fn pieces_are_not_escaped_twice_and_rows_are_as_long_as_their_table() {
        let mut table = Table::new("a < b").text("x").number("y");
        table.row([Markup::text("<")]);
        table.row([Markup::of("<b>1</b>"), Markup::text(2_u64), Markup::text("too much")]);
        let text = table.markup().into_string();
        assert!(text.contains("<caption>a &lt; b</caption>"), "{text}");
        assert!(text.contains("<tr><th scope=\"row\">&lt;</th><td class=\"n\"></td></tr>"), "{text}");
        assert!(text.contains("<tr><th scope=\"row\"><b>1</b></th><td class=\"n\">2</td></tr>"), "{text}");
        assert!(!text.contains("too much"));
    }

    #[test]
    fn words_come_back_out_of_a_piece() {
        let mut out = Markup::new();
        let words = "a < b & \"c\" &lt;".to_owned();
        html!(out, "<b lang=\"en\">", words, "</b> d");
        assert_eq!(out.plain(), "a < b & \"c\" &lt; d");
    }
}
