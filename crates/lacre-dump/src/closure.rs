//! Which rows belong to a person: the rules laid over one snapshot's own schema, and the walk along its foreign keys.
//!
//! Comes in: rules, a schema, the subject; then, table by table, what [`crate::select`] found in the rows. Goes out: a [`Plan`] (what to look
//! for in which table, in which order), and for each snapshot its [`Marks`] (which keys belong to the person there), from which
//! [`crate::select`] decides over rows. Must not know: where rows are kept, and how many snapshots there are.
//!
//! How a closure is taken, and why keys are shared between snapshots while decisions are not, is `docs/decisions/person-closure.md`.
//!
//! ```text
//! book = KeyBook::new()
//! for each snapshot: plan = Plan::new(rules, schema, book); walk = Walk::new(plan, subject, book)
//! while any walk has tables:      all snapshots stage by stage, so that what one chunk says serves all of them
//!     for each table of walk.tables(), each run of whole rows in it:
//!         findings = scan(plan.shape(table), book, rows)   or those of the same rows and shape, while they cover walk's keys
//!         walk.absorb(table, findings, book)
//!     walk.end_pass()
//! marks = walk.finish();  for each run of rows with findings: verdict = decide(shape, findings, marks)?; rewrite(verdict, rows)
//! ```

mod check;
mod keys;
mod order;
mod plan;
mod resolve;
mod subject;
mod walk;

use std::sync::Arc;

use crate::copy::Identifier;
use crate::rules::JsonPath;
use crate::schema::{Canon, TableId, TableName};

pub use keys::{KeyBook, Mark, Marks, Scope, SetId, SetName, ShapeId};
pub use subject::SubjectLookup;
pub use walk::{Tally, Walk};

/// Where in a row a part of a reference stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Part {
    /// In the field of this number, from 0.
    Field(usize),
    /// Within the JSON of the field of this number.
    Json {
        /// The field.
        field: usize,
        /// The place within it.
        path: JsonPath,
        /// Whether PostgreSQL wrote it in its own form, in which a value has one spelling.
        is_normal: bool,
    },
}

impl Part {
    /// The field's number.
    #[must_use]
    pub const fn field(&self) -> usize {
        match self {
            Part::Field(field) | Part::Json { field, .. } => *field,
        }
    }
}

/// What becomes of one field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Change {
    /// It becomes NULL.
    Null,
    /// It becomes this text.
    Text(Vec<u8>),
    /// The JSON at these places becomes `null`.
    JsonNull(Vec<JsonPath>),
    /// The JSON at these places goes away.
    JsonRemove(Vec<JsonPath>),
}

/// A change of a field.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Edit {
    /// The field's number, from 0.
    pub field: usize,
    /// What it becomes.
    pub change: Change,
}

/// What follows for a row that refers to the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// It is deleted.
    Delete,
    /// It is the person's and stays as it is.
    Keep,
    /// It is the person's and stays, changed.
    Edit(Vec<Edit>),
    /// It stays and is no longer the person's.
    Unlink(Vec<Edit>),
    /// The foreign key of this name forbids that it stays as it is.
    Refuse(Identifier),
}

/// A way in which a row can refer to the person.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Matcher {
    /// Where the reference stands and how its parts are compared.
    pub parts: Vec<(Part, Canon)>,
    /// Fields that must have these canonical values.
    pub when: Vec<(usize, Canon, Vec<u8>)>,
    /// The keys it is compared with.
    pub set: SetId,
    /// The least that must be known of the key.
    pub strength: Mark,
    /// What follows.
    pub outcome: Outcome,
    /// Whether this is the root's own key, which is no reference.
    pub is_identity: bool,
    /// The foreign key this stands for, if it is one.
    pub constraint: Option<Identifier>,
}

/// Keys that are taken from rows that belong to the person, because others refer to them.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Harvest {
    /// The set they go to.
    pub set: SetId,
    /// The fields and how they are compared.
    pub parts: Vec<(usize, Canon)>,
}

/// What is looked for in the rows of a table. Two tables, or one table in two snapshots, with equal shapes give equal findings for equal rows.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Shape {
    /// How many fields a row has.
    pub fields: usize,
    /// The references.
    pub matchers: Vec<Matcher>,
    /// The keys.
    pub harvests: Vec<Harvest>,
    /// Fields of the root whose values identify the person.
    pub identifiers: Vec<(Identifier, usize)>,
}

/// A table in the plan.
#[derive(Debug, Clone)]
pub struct TablePlan {
    /// The table in the schema.
    pub id: TableId,
    /// Its name.
    pub name: TableName,
    /// The archive's number of its rows.
    pub dump_id: i32,
    /// What is looked for in its rows.
    pub shape: Arc<Shape>,
    /// The shape's number, for remembering what was found under it.
    pub shape_id: ShapeId,
    /// Reasons of the rules that keep rows of it.
    pub bases: Vec<String>,
}

/// Something a person should know before the plan is carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caution {
    /// The table.
    pub table: TableName,
    /// What may go wrong.
    pub what: String,
}

/// What to look for in which tables of one snapshot, in which order.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The tables that may hold rows of the person, in no particular order.
    pub tables: Vec<TablePlan>,
    /// Cautions.
    pub cautions: Vec<Caution>,
    /// Numbers into `tables`: each stage needs only keys of the stages before it and, where it is a circle, its own.
    stages: Vec<Vec<usize>>,
    /// The sets that the root's key belongs to, each with the order of its columns there.
    root_sets: Vec<(SetId, Vec<usize>)>,
    /// What the subject's keys are marked as.
    root_mark: Mark,
    /// Sets of single columns of the root that other tables refer to.
    identifiers: Vec<(Identifier, SetId)>,
    key_canon: Vec<Canon>,
}

impl Plan {
    /// The plan of a snapshot whose rows cannot be told apart, for a key of so many columns: there is nothing to look for.
    #[must_use]
    pub fn nothing(key_columns: usize) -> Plan {
        Plan {
            tables: Vec::new(),
            cautions: Vec::new(),
            stages: Vec::new(),
            root_sets: Vec::new(),
            root_mark: Mark::default(),
            identifiers: Vec::new(),
            key_canon: vec![Canon::Exact; key_columns],
        }
    }

    /// The last stage in which rows of the root are searched: after it no more identifiers are found.
    #[must_use]
    pub fn root_stage(&self) -> usize {
        let is_root = |at: &usize| {
            let table = self.tables.get(*at);
            table.is_some_and(|table| table.shape.matchers.iter().any(|matcher| matcher.is_identity))
        };
        self.stages.iter().rposition(|stage| stage.iter().any(is_root)).unwrap_or(0)
    }

    /// How many stages the tables are searched in.
    #[must_use]
    pub fn stages(&self) -> usize {
        self.stages.len()
    }
}

/// Why a closure could not be taken. Names of tables and counts only, never values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClosureError {
    /// A bound was reached.
    #[error("more than {max} keys of {table} belong to the subject")]
    TooManyKeys {
        /// The table.
        table: String,
        /// The bound.
        max: usize,
    },
    /// The bytes of all keys together are too many.
    #[error("the keys of the subject take more than {0} bytes")]
    TooManyKeyBytes(usize),
    /// Tables that refer to each other did not come to rest.
    #[error("the rows of {table} were searched {passes} times and still lead to new ones")]
    TooManyPasses {
        /// A table of the circle.
        table: String,
        /// How often.
        passes: usize,
    },
    /// The subject has keys with another number of values than the root's key has columns.
    #[error("a key of the subject has {given} values, the rules' key has {wanted} columns")]
    KeyWidth {
        /// Values given.
        given: usize,
        /// Columns in the rules.
        wanted: usize,
    },
    /// The subject has no key and no identifier.
    #[error("the subject has neither a key nor an identifier that the rules refer to")]
    NoSubject,
}
