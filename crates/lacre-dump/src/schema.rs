//! Tables, keys and foreign keys of a database, as a dump's own definitions state them.
//!
//! Comes in: the table of contents of an archive, or SQL definitions one by one. Goes out: [`Schema`], which answers what refers to what.
//! Must not know: rows, rules, or a live database.
//!
//! Only what decides over rows is read: columns with types, defaults and whether they may be NULL; primary keys, unique keys and unique
//! indexes; foreign keys with their `ON DELETE` action; partitions; inheritance; domains. Everything else is passed over. What should be
//! understood and is not, a foreign key above all, is an error: a key that is not seen is a row that is not found.

mod parse;
mod read;
mod types;

use std::collections::HashMap;
use std::fmt;

use crate::copy::Identifier;
use crate::limits::SCHEMA_DEPTH_MAX;

pub use read::SchemaReader;
pub use types::{Canon, Family, TypeName};

/// The name of a table with its schema.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableName {
    /// The schema; empty only in dumps that do not name it.
    pub schema: Identifier,
    /// The table.
    pub table: Identifier,
}

impl fmt::Display for TableName {
    /// The name as SQL: parts in quotes where they need them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.schema.as_bytes().is_empty() {
            write!(f, "{}.", SqlName(&self.schema))?;
        }
        write!(f, "{}", SqlName(&self.table))
    }
}

/// Shows a name as SQL would write it.
pub struct SqlName<'a>(pub &'a Identifier);

impl fmt::Display for SqlName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.0.as_bytes();
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_';
        if bytes.iter().all(plain) && !bytes.first().is_some_and(u8::is_ascii_digit) {
            return write!(f, "{}", self.0);
        }
        let mut quoted = Vec::new();
        self.0.quote(&mut quoted);
        f.write_str(&String::from_utf8_lossy(&quoted))
    }
}

/// A table's number within its [`Schema`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TableId(usize);

/// What a column holds where nothing is said.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum DefaultValue {
    /// NULL, because there is no default or it says so.
    #[default]
    Null,
    /// A constant, as text.
    Constant(Vec<u8>),
    /// Something only a database can compute.
    Expression,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: Identifier,
    /// Its type, behind domains.
    pub type_name: TypeName,
    /// Whether the type as declared is a domain, whose checks cannot be evaluated here.
    pub is_domain: bool,
    /// Whether NULL is refused.
    pub not_null: bool,
    /// What it holds where nothing is said.
    pub default: DefaultValue,
}

/// A set of columns whose values occur once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UniqueKey {
    /// The constraint or index.
    pub name: Identifier,
    /// Whether it is the primary key, which also refuses NULL.
    pub is_primary: bool,
    /// The columns; of an index over expressions, those that can be told.
    pub columns: Vec<Identifier>,
}

/// Where and in which order the rows of a table stand in the dump.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableStream {
    /// The archive's number of the data set.
    pub dump_id: i32,
    /// The columns in the order of the fields; nothing if the rows are not COPY text.
    pub columns: Option<Vec<Identifier>>,
}

/// A table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// Its columns, inherited ones first.
    pub columns: Vec<Column>,
    /// The columns named by each of its CHECK constraints.
    pub checks: Vec<(Identifier, Vec<Identifier>)>,
    /// Its primary key, unique constraints and unique indexes.
    pub keys: Vec<UniqueKey>,
    /// The table it is a partition of.
    pub partition_of: Option<TableId>,
    /// The tables it inherits from.
    pub inherits: Vec<TableId>,
    /// Its rows in the dump; nothing for a partitioned table, a foreign one, or where data was left out.
    pub stream: Option<TableStream>,
    partitions: Vec<TableId>,
    heirs: Vec<TableId>,
}

impl Table {
    /// A column by its name.
    #[must_use]
    pub fn column(&self, name: &Identifier) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == *name)
    }

    /// The primary key's columns.
    #[must_use]
    pub fn primary_key(&self) -> Option<&[Identifier]> {
        self.keys.iter().find(|key| key.is_primary).map(|key| key.columns.as_slice())
    }

    /// Whether other tables are partitions of this one.
    #[must_use]
    pub fn is_partitioned(&self) -> bool {
        !self.partitions.is_empty()
    }
}

/// What happens to a row when the one it refers to is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnDelete {
    /// Nothing: the deletion fails if the row is still there at the end.
    NoAction,
    /// The deletion fails.
    Restrict,
    /// The row is deleted, too.
    Cascade,
    /// These columns become NULL.
    SetNull(Vec<Identifier>),
    /// These columns take their default.
    SetDefault(Vec<Identifier>),
}

/// What a foreign key of several columns means when some of them are NULL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PartNulls {
    /// It refers to nothing (`MATCH SIMPLE`).
    #[default]
    ReferToNothing,
    /// It is refused: all of them are NULL, or none (`MATCH FULL`).
    AreRefused,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignKey {
    /// The constraint's name.
    pub name: Identifier,
    /// The table that refers.
    pub from: TableId,
    /// Its columns.
    pub from_columns: Vec<Identifier>,
    /// The table referred to.
    pub to: TableId,
    /// Its columns, one for each of the others.
    pub to_columns: Vec<Identifier>,
    /// What a deletion does.
    pub on_delete: OnDelete,
    /// What a NULL in some of the columns means.
    pub nulls: PartNulls,
}

/// Why a schema could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// A definition that decides over rows has a form that is not known.
    #[error("the {kind} {name} is written in a form that is not understood: {what}")]
    NotUnderstood {
        /// The kind of the object.
        kind: &'static str,
        /// The object.
        name: String,
        /// What was expected.
        what: &'static str,
    },
    /// A definition names a table that the dump does not define.
    #[error(
        "the {kind} {name} names {table}, which the dump does not define (was the dump made with --table or --schema?)"
    )]
    UnknownTable {
        /// The kind of the object.
        kind: &'static str,
        /// The object.
        name: String,
        /// The table.
        table: String,
    },
    /// A bound was reached.
    #[error("the schema has too many {0}")]
    TooLarge(&'static str),
}

/// Tables and what they refer to.
#[derive(Debug, Clone, Default)]
pub struct Schema {
    tables: Vec<Table>,
    by_name: HashMap<TableName, TableId>,
    foreign_keys: Vec<ForeignKey>,
}

impl Schema {
    /// The tables in the order of the dump.
    pub fn tables(&self) -> impl Iterator<Item = (TableId, &Table)> {
        self.tables.iter().enumerate().map(|(at, table)| (TableId(at), table))
    }

    /// The foreign keys in the order of the dump.
    #[must_use]
    pub fn foreign_keys(&self) -> &[ForeignKey] {
        &self.foreign_keys
    }

    /// A table by its name.
    #[must_use]
    pub fn find(&self, name: &TableName) -> Option<TableId> {
        self.by_name.get(name).copied()
    }

    /// A table of this schema.
    ///
    /// # Panics
    /// If the number is of another schema.
    #[must_use]
    pub fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0]
    }

    /// The table at the top of the partitions a table belongs to; itself if it is no partition.
    #[must_use]
    pub fn top(&self, id: TableId) -> TableId {
        let mut top = id;
        for _ in 0..SCHEMA_DEPTH_MAX {
            match self.table(top).partition_of {
                Some(parent) => top = parent,
                None => break,
            }
        }
        top
    }

    /// The tables that hold the rows of `id`: its partitions down to the last ones, or itself.
    #[must_use]
    pub fn leaves(&self, id: TableId) -> Vec<TableId> {
        self.below(id, |table| &table.partitions, |table| !table.is_partitioned())
    }

    /// The tables that hold the rows `SELECT ... FROM id` gives: its leaves, its heirs, and theirs.
    #[must_use]
    pub fn rows_of(&self, id: TableId) -> Vec<TableId> {
        let heirs = self.below(id, |table| &table.heirs, |_| true);
        let mut all: Vec<_> = heirs.into_iter().flat_map(|heir| self.leaves(heir)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// `id` and what hangs below it, in the order found, as far as it passes the filter.
    fn below(
        &self,
        id: TableId,
        children: impl Fn(&Table) -> &[TableId],
        filter: impl Fn(&Table) -> bool,
    ) -> Vec<TableId> {
        let mut found = Vec::new();
        let mut seen = std::collections::HashSet::from([id]);
        let mut open = vec![id];
        while let Some(next) = open.pop() {
            let table = self.table(next);
            if filter(table) {
                found.push(next);
            }
            open.extend(children(table).iter().copied().filter(|child| seen.insert(*child)));
        }
        found.sort_unstable();
        found
    }
}

impl TableId {
    /// The number, from 0.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0
    }
}
