//! From definitions to a schema.
//!
//! Comes in: definitions in any order. Goes out: tables that know each other. Must not know: how a statement is written.

use std::collections::HashMap;

use super::parse::{NewForeignKey, NewTable, Statement, statements};
use super::{
    Column, DefaultValue, ForeignKey, Schema, SchemaError, Table, TableId, TableName, TableStream, TypeName, UniqueKey,
};
use crate::archive::{Setting, Toc};
use crate::copy::{CopyStatement, Identifier};
use crate::limits::{SCHEMA_DEPTH_MAX, SCHEMA_TABLES_MAX};
use crate::sql::Backslash;

/// The kinds of entries whose definitions are read; `TABLE ATTACH` and the others come after the tables they speak of.
const KINDS: [&[u8]; 10] = [
    b"DOMAIN",
    b"TABLE",
    b"FOREIGN TABLE",
    b"TABLE ATTACH",
    b"DEFAULT",
    b"CONSTRAINT",
    b"CHECK CONSTRAINT",
    b"FK CONSTRAINT",
    b"INDEX",
    b"NOT NULL",
];

/// Gathers definitions; see [`Schema`].
#[derive(Debug, Default)]
pub struct SchemaReader {
    backslash: Backslash,
    tables: Vec<NewTable>,
    domains: HashMap<TableName, TypeName>,
    others: Vec<Statement>,
    streams: HashMap<TableName, TableStream>,
}

impl Schema {
    /// Reads the schema of an archive.
    ///
    /// # Errors
    /// A definition that decides over rows and is not understood, or names what the archive does not define.
    pub fn of_archive(toc: &Toc) -> Result<Schema, SchemaError> {
        let mut reader = SchemaReader::new(match toc.setting(Setting::StandardStrings).as_deref() {
            Some(b"off") => Backslash::Escape,
            _ => Backslash::Literal,
        });
        for entry in toc.entries().filter(|entry| KINDS.contains(&entry.desc())) {
            reader.definition(entry.definition())?;
        }
        for data in toc.tables() {
            let name = TableName { schema: Identifier::new(data.schema), table: Identifier::new(data.name) };
            reader.stream(name, data.entry.dump_id(), data.copy.as_ref());
        }
        reader.finish()
    }
}

impl SchemaReader {
    /// Begins.
    #[must_use]
    pub fn new(backslash: Backslash) -> SchemaReader {
        SchemaReader { backslash, ..SchemaReader::default() }
    }

    /// Takes one definition or several.
    ///
    /// # Errors
    /// One that should be understood and is not.
    pub fn definition(&mut self, sql: &[u8]) -> Result<(), SchemaError> {
        for statement in statements(sql, self.backslash) {
            match statement {
                Statement::Table(table) => {
                    if self.tables.len() >= SCHEMA_TABLES_MAX {
                        return Err(SchemaError::TooLarge("tables"));
                    }
                    self.tables.push(table);
                }
                Statement::Domain { name, base } => {
                    self.domains.insert(name, base);
                }
                Statement::Other => {}
                Statement::NotUnderstood(what) => {
                    let head = sql.split(|byte| *byte == b'(').next().unwrap_or_default().trim_ascii();
                    let head = String::from_utf8_lossy(head).split_whitespace().collect::<Vec<_>>().join(" ");
                    return Err(SchemaError::NotUnderstood { kind: "definition", name: head, what });
                }
                other => {
                    if self.others.len() >= 4 * SCHEMA_TABLES_MAX {
                        return Err(SchemaError::TooLarge("constraints"));
                    }
                    self.others.push(other);
                }
            }
        }
        Ok(())
    }

    /// Says where the rows of a table are.
    pub fn stream(&mut self, table: TableName, dump_id: i32, copy: Option<&CopyStatement>) {
        let columns = copy.map(|copy| copy.columns.clone());
        self.streams.insert(table, TableStream { dump_id, columns });
    }

    /// Puts everything together.
    ///
    /// # Errors
    /// A definition that names a table which is not defined.
    pub fn finish(mut self) -> Result<Schema, SchemaError> {
        let mut schema = Schema::default();
        let mut new = std::mem::take(&mut self.tables);
        for (at, table) in new.iter().enumerate() {
            schema.by_name.insert(table.name.clone(), TableId(at));
            schema.tables.push(self.bare(table));
        }
        self.relate(&mut schema, &mut new)?;
        inherit_columns(&mut schema);
        let mut open = Vec::new();
        for statement in std::mem::take(&mut self.others) {
            match statement {
                Statement::ForeignKey(key) => open.push(key),
                other => settle(&mut schema, other)?,
            }
        }
        for key in open {
            foreign_key(&mut schema, key)?;
        }
        Ok(schema)
    }

    /// A table with its own columns, related to no other.
    fn bare(&mut self, new: &NewTable) -> Table {
        let columns = new.columns.iter().map(|column| {
            let (type_name, is_domain) = self.behind_domains(&column.type_name);
            Column {
                name: column.name.clone(),
                type_name,
                is_domain,
                not_null: column.not_null || new.not_null.contains(&column.name),
                default: column.default.clone(),
            }
        });
        Table {
            name: new.name.clone(),
            columns: columns.collect(),
            checks: new.checks.clone(),
            keys: Vec::new(),
            partition_of: None,
            inherits: Vec::new(),
            stream: self.streams.remove(&new.name),
            partitions: Vec::new(),
            heirs: Vec::new(),
        }
    }

    fn behind_domains(&self, declared: &TypeName) -> (TypeName, bool) {
        let mut found = declared.clone();
        let mut is_domain = false;
        for _ in 0..SCHEMA_DEPTH_MAX {
            let name = TableName {
                schema: found.schema.clone().unwrap_or_else(|| Identifier::new("")),
                table: Identifier::new(found.name.clone()),
            };
            let Some(base) = self.domains.get(&name) else { break };
            is_domain = true;
            found = TypeName { array: found.array || base.array, ..base.clone() };
        }
        (found, is_domain)
    }

    /// Partitions and heirs, wherever they are stated.
    fn relate(&mut self, schema: &mut Schema, new: &mut [NewTable]) -> Result<(), SchemaError> {
        let mut pairs = Vec::new();
        for table in new {
            pairs.extend(table.inherits.drain(..).map(|parent| (table.name.clone(), parent, false)));
            pairs.extend(table.partition_of.take().map(|parent| (table.name.clone(), parent, true)));
        }
        for statement in &self.others {
            match statement {
                Statement::Attach { parent, child } => pairs.push((child.clone(), parent.clone(), true)),
                Statement::Inherit { child, parent } => pairs.push((child.clone(), parent.clone(), false)),
                _ => {}
            }
        }
        for (child, parent, is_partition) in pairs {
            let child_id = known(schema, "table", &child, &child)?;
            let parent_id = known(schema, "table", &child, &parent)?;
            if is_partition {
                schema.tables[child_id.0].partition_of = Some(parent_id);
                schema.tables[parent_id.0].partitions.push(child_id);
            } else {
                schema.tables[child_id.0].inherits.push(parent_id);
                schema.tables[parent_id.0].heirs.push(child_id);
            }
        }
        Ok(())
    }
}

fn known(schema: &Schema, kind: &'static str, name: &TableName, table: &TableName) -> Result<TableId, SchemaError> {
    schema.find(table).ok_or_else(|| SchemaError::UnknownTable {
        kind,
        name: name.to_string(),
        table: table.to_string(),
    })
}

/// Gives heirs the columns, checks and NOT NULLs of those they inherit from; partitions list their own columns, except in old dumps.
fn inherit_columns(schema: &mut Schema) {
    let mut done = vec![false; schema.tables.len()];
    for _ in 0..SCHEMA_DEPTH_MAX {
        let mut waiting = false;
        for at in 0..schema.tables.len() {
            if done[at] {
                continue;
            }
            let table = &schema.tables[at];
            let parents: Vec<TableId> = table.inherits.iter().copied().chain(table.partition_of).collect();
            if parents.iter().any(|parent| !done[parent.0]) {
                waiting = true;
                continue;
            }
            let mut columns: Vec<Column> = Vec::new();
            let mut checks = Vec::new();
            for parent in parents {
                let parent = &schema.tables[parent.0];
                columns.extend(parent.columns.iter().cloned());
                checks.extend(parent.checks.iter().cloned());
            }
            merge(&mut schema.tables[at], columns, checks);
            done[at] = true;
        }
        if !waiting {
            break;
        }
    }
}

fn merge(table: &mut Table, inherited: Vec<Column>, checks: Vec<(Identifier, Vec<Identifier>)>) {
    let own = std::mem::take(&mut table.columns);
    for column in inherited.into_iter().chain(own) {
        match table.columns.iter_mut().find(|known| known.name == column.name) {
            None => table.columns.push(column),
            Some(known) => {
                let not_null = known.not_null || column.not_null;
                let type_name =
                    if column.type_name.name.is_empty() { known.type_name.clone() } else { column.type_name.clone() };
                *known = Column { not_null, type_name, is_domain: known.is_domain || column.is_domain, ..column };
            }
        }
    }
    for check in checks {
        if !table.checks.contains(&check) {
            table.checks.push(check);
        }
    }
}

/// Adds what a statement says of one table.
fn settle(schema: &mut Schema, statement: Statement) -> Result<(), SchemaError> {
    match statement {
        Statement::Key { table, name, is_primary, columns } => {
            // A materialized view may have unique indexes, too.
            let Some(id) = schema.find(&table) else { return Ok(()) };
            schema.tables[id.0].keys.push(UniqueKey { name, is_primary, columns });
        }
        Statement::Check { table, name, words } => {
            let id = known(schema, "check", &table, &table)?;
            schema.tables[id.0].checks.push((name, words));
        }
        Statement::SetDefault { table, column, value } => {
            with_column(schema, &table, &column, |column| column.default = value)?;
        }
        Statement::SetNotNull { table, column } => {
            with_column(schema, &table, &column, |column| column.not_null = true)?;
        }
        _ => {}
    }
    Ok(())
}

fn with_column(
    schema: &mut Schema,
    table: &TableName,
    column: &Identifier,
    change: impl FnOnce(&mut Column),
) -> Result<(), SchemaError> {
    let id = known(schema, "column", table, table)?;
    if let Some(column) = schema.tables[id.0].columns.iter_mut().find(|known| known.name == *column) {
        change(column);
    }
    Ok(())
}

fn foreign_key(schema: &mut Schema, key: NewForeignKey) -> Result<(), SchemaError> {
    let from = known(schema, "foreign key", &key.from, &key.from)?;
    let to = known(schema, "foreign key", &key.from, &key.to)?;
    let to_columns = match key.to_columns {
        named if !named.is_empty() => named,
        _ => schema.table(to).primary_key().unwrap_or_default().to_vec(),
    };
    let wrong = |what| SchemaError::NotUnderstood { kind: "foreign key", name: key.name.to_string(), what };
    if to_columns.len() != key.from_columns.len() {
        return Err(wrong("as many columns on both sides"));
    }
    if schema.foreign_keys.len() >= SCHEMA_TABLES_MAX {
        return Err(SchemaError::TooLarge("foreign keys"));
    }
    schema.foreign_keys.push(ForeignKey {
        name: key.name,
        from,
        from_columns: key.from_columns,
        to,
        to_columns,
        on_delete: key.on_delete,
        nulls: key.nulls,
    });
    Ok(())
}

impl DefaultValue {
    /// The constant, or nothing for NULL; an error word if it must be computed.
    pub(crate) fn constant(&self) -> Option<Option<&[u8]>> {
        match self {
            DefaultValue::Null => Some(None),
            DefaultValue::Constant(value) => Some(Some(value)),
            DefaultValue::Expression => None,
        }
    }
}
