//! Statements that define tables and constraints.
//!
//! Comes in: one statement. Goes out: what it says, with names instead of tables. Must not know: which tables exist.

use super::types::TypeName;
use super::{DefaultValue, OnDelete, PartNulls, TableName};
use crate::copy::Identifier;
use crate::limits::SQL_TOKENS_MAX;
use crate::sql::{Backslash, Token, tokens};

/// What a statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Statement {
    Table(NewTable),
    Domain {
        name: TableName,
        base: TypeName,
    },
    Key {
        table: TableName,
        name: Identifier,
        is_primary: bool,
        columns: Vec<Identifier>,
    },
    ForeignKey(NewForeignKey),
    Check {
        table: TableName,
        name: Identifier,
        words: Vec<Identifier>,
    },
    Attach {
        parent: TableName,
        child: TableName,
    },
    Inherit {
        child: TableName,
        parent: TableName,
    },
    SetDefault {
        table: TableName,
        column: Identifier,
        value: DefaultValue,
    },
    SetNotNull {
        table: TableName,
        column: Identifier,
    },
    /// Nothing that matters here.
    Other,
    /// It should have been understood.
    NotUnderstood(&'static str),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewTable {
    pub(super) name: TableName,
    pub(super) columns: Vec<NewColumn>,
    pub(super) not_null: Vec<Identifier>,
    pub(super) checks: Vec<(Identifier, Vec<Identifier>)>,
    pub(super) inherits: Vec<TableName>,
    pub(super) partition_of: Option<TableName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewColumn {
    pub(super) name: Identifier,
    pub(super) type_name: TypeName,
    pub(super) not_null: bool,
    pub(super) default: DefaultValue,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NewForeignKey {
    pub(super) name: Identifier,
    pub(super) from: TableName,
    pub(super) from_columns: Vec<Identifier>,
    pub(super) to: TableName,
    pub(super) to_columns: Vec<Identifier>,
    pub(super) on_delete: OnDelete,
    pub(super) nulls: PartNulls,
}

/// The statements of a definition, which ends each with a semicolon.
pub(super) fn statements(definition: &[u8], backslash: Backslash) -> Vec<Statement> {
    let all: Vec<_> = tokens(definition, backslash).take(SQL_TOKENS_MAX + 1).collect();
    if all.len() > SQL_TOKENS_MAX {
        return vec![Statement::NotUnderstood("fewer tokens")];
    }
    all.split(|token| *token == Token::Symbol(b';'))
        .filter(|tokens| !tokens.is_empty())
        .map(|tokens| statement(Scan { tokens, at: 0 }))
        .collect()
}

fn statement(mut scan: Scan<'_>) -> Statement {
    let read = if scan.word("create") {
        while scan.word("unlogged") || scan.word("foreign") || scan.word("temporary") || scan.word("global") {}
        if scan.word("table") {
            scan.table().map(Statement::Table).ok_or("a list of columns")
        } else if scan.word("domain") {
            scan.domain().ok_or("AS and a type")
        } else if scan.word("unique") && scan.word("index") {
            scan.unique_index().ok_or("ON and a list of columns")
        } else {
            Ok(Statement::Other)
        }
    } else if scan.word("alter") {
        let _foreign = scan.word("foreign");
        if scan.word("table") { scan.alter_table() } else { Ok(Statement::Other) }
    } else {
        Ok(Statement::Other)
    };
    read.unwrap_or_else(Statement::NotUnderstood)
}

/// Reads tokens from the front.
struct Scan<'t> {
    tokens: &'t [Token<'t>],
    at: usize,
}

impl<'t> Scan<'t> {
    fn peek(&self) -> Option<&'t Token<'t>> {
        self.tokens.get(self.at)
    }

    fn word(&mut self, keyword: &str) -> bool {
        let is = self.peek().is_some_and(|token| token.is(keyword));
        self.at += usize::from(is);
        is
    }

    fn words(&mut self, keywords: &[&str]) -> bool {
        let ahead = self.tokens.get(self.at..).unwrap_or_default();
        let is = ahead.len() >= keywords.len() && ahead.iter().zip(keywords).all(|(token, word)| token.is(word));
        self.at += if is { keywords.len() } else { 0 };
        is
    }

    fn symbol(&mut self, symbol: u8) -> bool {
        let is = self.peek() == Some(&Token::Symbol(symbol));
        self.at += usize::from(is);
        is
    }

    fn name(&mut self) -> Option<Identifier> {
        let name = self.peek()?.name()?;
        self.at += 1;
        Some(name)
    }

    fn table_name(&mut self) -> Option<TableName> {
        let first = self.name()?;
        Some(match self.symbol(b'.') {
            true => TableName { schema: first, table: self.name()? },
            false => TableName { schema: Identifier::new(""), table: first },
        })
    }

    /// `(a, b)`; operator classes, collations and orders behind a name are passed over.
    fn names(&mut self) -> Option<Vec<Identifier>> {
        Some(self.group()?.iter().filter_map(|part| part.first()?.name()).collect())
    }

    /// The parts between parentheses, cut at commas; nothing if there is no parenthesis or no end to it.
    fn group(&mut self) -> Option<Vec<&'t [Token<'t>]>> {
        if !self.symbol(b'(') {
            return None;
        }
        let mut parts = Vec::new();
        let mut depth = 0usize;
        let mut start = self.at;
        loop {
            match self.peek()? {
                Token::Broken => return None,
                Token::Symbol(b'(' | b'[') => depth += 1,
                Token::Symbol(b')') if depth == 0 => break,
                Token::Symbol(b')' | b']') => depth = depth.checked_sub(1)?,
                Token::Symbol(b',') if depth == 0 => {
                    parts.push(&self.tokens[start..self.at]);
                    start = self.at + 1;
                }
                _ => {}
            }
            self.at += 1;
        }
        if start < self.at {
            parts.push(&self.tokens[start..self.at]);
        }
        self.at += 1;
        Some(parts)
    }

    fn table(&mut self) -> Option<NewTable> {
        self.words(&["if", "not", "exists"]);
        let mut table = NewTable {
            name: self.table_name()?,
            columns: Vec::new(),
            not_null: Vec::new(),
            checks: Vec::new(),
            inherits: Vec::new(),
            partition_of: None,
        };
        if self.words(&["partition", "of"]) {
            table.partition_of = Some(self.table_name()?);
        } else if self.word("of") {
            self.table_name()?;
        }
        if self.peek() == Some(&Token::Symbol(b'(')) {
            for element in self.group()? {
                Scan { tokens: element, at: 0 }.element(&mut table)?;
            }
        } else if table.partition_of.is_none() {
            return None;
        }
        if self.word("inherits") {
            for parent in self.group()? {
                table.inherits.push(Scan { tokens: parent, at: 0 }.table_name()?);
            }
        }
        Some(table)
    }

    /// One element between the parentheses of CREATE TABLE.
    fn element(&mut self, table: &mut NewTable) -> Option<()> {
        let start = self.at;
        let constraint = if self.word("constraint") { self.name() } else { None };
        if self.words(&["not", "null"]) {
            table.not_null.push(self.name()?);
        } else if self.word("check") {
            let name = constraint.unwrap_or_else(|| Identifier::new("check"));
            table.checks.push((name, words_in(&self.tokens[self.at..])));
        } else if constraint.is_none() {
            self.at = start;
            let column = self.column(table)?;
            table.columns.push(column);
        }
        // Keys and foreign keys never stand here in a dump: they are statements of their own, so that they come after the rows.
        Some(())
    }

    fn column(&mut self, table: &mut NewTable) -> Option<NewColumn> {
        let name = self.name()?;
        let type_name = self.type_name();
        let mut column = NewColumn { name, type_name, not_null: false, default: DefaultValue::Null };
        while self.at < self.tokens.len() {
            if self.words(&["not", "null"]) {
                column.not_null = true;
            } else if self.word("default") {
                column.default = self.default_value();
            } else if self.word("generated") {
                column.default = DefaultValue::Expression;
                self.at += 1;
            } else if self.word("check") {
                let start = self.at;
                self.group()?;
                let check = (Identifier::new("check"), words_in(&self.tokens[start..self.at]));
                table.checks.push(check);
            } else if self.peek() == Some(&Token::Symbol(b'(')) {
                self.group()?;
            } else {
                self.at += 1;
            }
        }
        Some(column)
    }

    /// A type, up to the first word that cannot belong to it.
    fn type_name(&mut self) -> TypeName {
        const ENDS: [&str; 14] = [
            "not",
            "null",
            "default",
            "generated",
            "collate",
            "constraint",
            "check",
            "options",
            "compression",
            "storage",
            "primary",
            "unique",
            "references",
            "encode",
        ];
        let mut found = TypeName::default();
        while let Some(token) = self.peek() {
            let ends = ENDS.iter().any(|word| token.is(word))
                || (token.is("with") && self.tokens.get(self.at + 1).is_some_and(|next| next.is("options")));
            if ends {
                break;
            }
            match token {
                Token::Symbol(b'.') => found.schema = Some(Identifier::new(std::mem::take(&mut found.name))),
                Token::Symbol(b'[') => found.array = true,
                Token::Symbol(b'(') => {
                    if self.group().is_none() {
                        break;
                    }
                    continue;
                }
                token => {
                    if let Some(word) = token.name() {
                        if !found.name.is_empty() {
                            found.name.push(b' ');
                        }
                        found.name.extend_from_slice(word.as_bytes());
                    }
                }
            }
            self.at += 1;
        }
        found
    }

    /// A default, up to the next clause of the column.
    fn default_value(&mut self) -> DefaultValue {
        let start = self.at;
        self.at += 1;
        while let Some(token) = self.peek() {
            if ["not", "constraint", "check", "generated", "collate", "null"].iter().any(|word| token.is(word)) {
                break;
            }
            if self.peek() == Some(&Token::Symbol(b'(')) && self.group().is_some() {
                continue;
            }
            self.at += 1;
        }
        constant(&self.tokens[start.min(self.tokens.len())..self.at.min(self.tokens.len())])
    }

    fn domain(&mut self) -> Option<Statement> {
        let name = self.table_name()?;
        let _as = self.word("as");
        let base = self.type_name();
        (!base.name.is_empty()).then_some(Statement::Domain { name, base })
    }

    fn unique_index(&mut self) -> Option<Statement> {
        self.words(&["if", "not", "exists"]);
        let name = self.name()?;
        if !self.word("on") {
            return None;
        }
        let _only = self.word("only");
        let table = self.table_name()?;
        if self.word("using") {
            self.name()?;
        }
        let start = self.at;
        self.group()?;
        let columns = words_in(&self.tokens[start..self.at]);
        Some(Statement::Key { table, name, is_primary: false, columns })
    }

    fn alter_table(&mut self) -> Result<Statement, &'static str> {
        self.words(&["if", "exists"]);
        let _only = self.word("only");
        let table = self.table_name().ok_or("the name of a table")?;
        if self.words(&["add", "constraint"]) {
            let name = self.name().ok_or("the name of a constraint")?;
            return self.constraint(table, name);
        }
        if self.words(&["attach", "partition"]) {
            let child = self.table_name().ok_or("the name of a partition")?;
            return Ok(Statement::Attach { parent: table, child });
        }
        if self.word("inherit") {
            let parent = self.table_name().ok_or("the name of a parent")?;
            return Ok(Statement::Inherit { child: table, parent });
        }
        if self.words(&["alter", "column"]) {
            let column = self.name().ok_or("the name of a column")?;
            if self.words(&["set", "default"]) {
                return Ok(Statement::SetDefault { table, column, value: constant(&self.tokens[self.at..]) });
            }
            if self.words(&["set", "not", "null"]) {
                return Ok(Statement::SetNotNull { table, column });
            }
        }
        Ok(Statement::Other)
    }

    fn constraint(&mut self, table: TableName, name: Identifier) -> Result<Statement, &'static str> {
        if self.words(&["foreign", "key"]) {
            return self.foreign_key(table, name);
        }
        if self.word("check") {
            return Ok(Statement::Check { table, name, words: words_in(&self.tokens[self.at..]) });
        }
        if self.words(&["not", "null"]) {
            let column = self.name().ok_or("the name of a column")?;
            return Ok(Statement::SetNotNull { table, column });
        }
        let is_primary = self.words(&["primary", "key"]);
        if !is_primary && !self.word("unique") {
            return Ok(Statement::Other); // an exclusion constraint
        }
        let _nulls = self.words(&["nulls", "not", "distinct"]);
        let columns = self.names().filter(|columns| !columns.is_empty()).ok_or("a list of columns")?;
        Ok(Statement::Key { table, name, is_primary, columns })
    }

    fn foreign_key(&mut self, from: TableName, name: Identifier) -> Result<Statement, &'static str> {
        let from_columns = self.plain_names().ok_or("a list of columns")?;
        if !self.word("references") {
            return Err("REFERENCES");
        }
        let to = self.table_name().ok_or("the name of a table")?;
        let to_columns = match self.peek() {
            Some(Token::Symbol(b'(')) => self.plain_names().ok_or("a list of columns")?,
            _ => Vec::new(),
        };
        let mut key = NewForeignKey {
            name,
            from,
            from_columns,
            to,
            to_columns,
            on_delete: OnDelete::NoAction,
            nulls: PartNulls::ReferToNothing,
        };
        while let Some(token) = self.peek() {
            if *token == Token::Broken {
                return Err("an end to every quote");
            }
            if self.words(&["match", "full"]) {
                key.nulls = PartNulls::AreRefused;
            } else if self.words(&["on", "delete"]) {
                key.on_delete = self.action(&key.from_columns)?;
            } else {
                self.at += 1; // MATCH SIMPLE, ON UPDATE, DEFERRABLE, NOT VALID
            }
        }
        Ok(Statement::ForeignKey(key))
    }

    /// `(a, b)` of names and nothing else.
    fn plain_names(&mut self) -> Option<Vec<Identifier>> {
        let group = self.group()?;
        let names: Option<Vec<_>> = group
            .iter()
            .map(|part| match part {
                [one] => one.name(),
                _ => None,
            })
            .collect();
        names.filter(|names| !names.is_empty())
    }

    fn action(&mut self, all: &[Identifier]) -> Result<OnDelete, &'static str> {
        if self.word("cascade") {
            return Ok(OnDelete::Cascade);
        }
        if self.word("restrict") {
            return Ok(OnDelete::Restrict);
        }
        if self.words(&["no", "action"]) {
            return Ok(OnDelete::NoAction);
        }
        let to_null = self.words(&["set", "null"]);
        if !to_null && !self.words(&["set", "default"]) {
            return Err("an action after ON DELETE");
        }
        let columns = match self.peek() {
            Some(Token::Symbol(b'(')) => self.plain_names().ok_or("a list of columns")?,
            _ => all.to_vec(),
        };
        Ok(if to_null { OnDelete::SetNull(columns) } else { OnDelete::SetDefault(columns) })
    }
}

/// Every name in an expression; some are functions and types.
fn words_in(tokens: &[Token<'_>]) -> Vec<Identifier> {
    let mut words: Vec<_> = tokens.iter().filter_map(Token::name).collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// The value of a default: `'x'::text`, `1`, `-1`, `'-1'::integer`, `(0)::numeric`, `true`, `NULL::text`.
fn constant(tokens: &[Token<'_>]) -> DefaultValue {
    let (tokens, cast) = match tokens {
        [Token::Symbol(b'('), inner @ .., Token::Symbol(b')')] if !inner.contains(&Token::Symbol(b'(')) => {
            (inner, &[][..])
        }
        [
            Token::Symbol(b'('),
            sign @ Token::Symbol(b'-'),
            number @ Token::Number(_),
            Token::Symbol(b')'),
            rest @ ..,
        ] => {
            return match (sign, number) {
                (_, Token::Number(digits)) if is_cast(rest) => DefaultValue::Constant([b"-", *digits].concat()),
                _ => DefaultValue::Expression,
            };
        }
        [Token::Symbol(b'('), one, Token::Symbol(b')'), rest @ ..] => (std::slice::from_ref(one), rest),
        [Token::Symbol(b'-'), Token::Number(_), ..] => tokens.split_at(2),
        [_, ..] => tokens.split_at(1),
        [] => return DefaultValue::Null,
    };
    if !is_cast(cast) {
        return DefaultValue::Expression;
    }
    match tokens {
        [Token::Text(text)] => DefaultValue::Constant(text.to_vec()),
        [Token::Number(digits)] => DefaultValue::Constant(digits.to_vec()),
        [Token::Symbol(b'-'), Token::Number(digits)] => DefaultValue::Constant([b"-", *digits].concat()),
        [word] if word.is("true") => DefaultValue::Constant(b"t".to_vec()),
        [word] if word.is("false") => DefaultValue::Constant(b"f".to_vec()),
        [word] if word.is("null") => DefaultValue::Null,
        _ => DefaultValue::Expression,
    }
}

/// Whether these tokens are nothing, or a cast to a type.
fn is_cast(tokens: &[Token<'_>]) -> bool {
    match tokens {
        [] => true,
        [Token::Symbol(b':'), Token::Symbol(b':'), rest @ ..] => rest.iter().all(|token| {
            matches!(token, Token::Word(_) | Token::Quoted(_) | Token::Number(_))
                || matches!(token, Token::Symbol(b'.' | b'(' | b')' | b'[' | b']' | b','))
        }),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
