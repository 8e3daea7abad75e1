//! Erasing a person: where the vault, which knows runs of bytes, and the dump's own crate, which knows rows, meet.
//!
//! In: covered snapshots opened by the vault, a rules file, a subject. Out: which rows of which snapshot go, change or stay and why, what
//! traces are left, and the streams of the successors. It must not know the command line, and says nothing of a value anywhere.
//!
//! ```text
//! closure  the foreign keys of every snapshot, stage by stage over all of them, each stored run searched once       (closure.rs)
//! decide   each snapshot over the runs that were found; what is left is searched again and swept                     (decide.rs)
//! sweep    everything else that survives, each stored piece once                                                     (traces.rs)
//! write    the streams that change, and the framing of the archives they are in                              (write.rs, framing.rs)
//! ```

mod closure;
mod decide;
mod filter;
mod framing;
mod subject;
mod traces;
mod write;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use lacre_dump::{
    archive::Toc,
    closure::{KeyBook, Marks, Plan, Shape, ShapeId, Tally},
    copy::Identifier,
    personal::{Personal, Subject},
    rules::{Other, Problems, Residue, Rules, SubjectRules},
    schema::{Canon, Schema, TableName},
    select::Findings,
    sweep::Needles,
};
use lacre_format::{
    pack::Birth,
    root::{Stream, StreamKind},
};
use lacre_repo::op::erase::person::{Memo, Rewrite, Run, RunName};

use self::decide::{Outcome, Verdicts};
pub use self::{
    filter::{PersonLess, Without},
    subject::{read_identifiers, read_keys, subject_is, suppression},
    traces::{TraceKey, Traced},
};

/// Longest table of contents or framing that is held.
const STRUCTURE_BYTES_MAX: u64 = lacre_dump::limits::TOC_BYTES_MAX as u64;

/// Why a person could not be erased. Names of tables and numbers only, never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PersonError {
    /// The vault failed.
    #[error(transparent)]
    Vault(#[from] lacre_repo::Error),
    /// The rules do not fit a snapshot.
    #[error("the rules do not fit snapshot {snapshot}:\n{problems}")]
    Rules {
        /// The snapshot, abbreviated.
        snapshot: String,
        /// What does not fit, with lines of the rules file.
        problems: Problems,
    },
    /// The rules speak of no such kind of person.
    #[error("the rules file has no [subject.{0}]")]
    NoSubject(String),
    /// A snapshot holds no archive that was taken apart.
    #[error("snapshot {snapshot} holds no PostgreSQL archive, so its rows cannot be told apart")]
    NotRows {
        /// The snapshot, abbreviated.
        snapshot: String,
    },
    /// A table of contents is not understood.
    #[error("the definitions in snapshot {snapshot} are not understood: {why}")]
    Structure {
        /// The snapshot, abbreviated.
        snapshot: String,
        /// Why.
        why: String,
    },
    /// The walk along the keys failed.
    #[error(transparent)]
    Closure(#[from] lacre_dump::closure::ClosureError),
    /// Rows could not be searched.
    #[error("{table}: {source}")]
    Select {
        /// The table.
        table: String,
        /// Why.
        source: lacre_dump::select::SelectError,
    },
    /// Rules that contradict each other, or leave a foreign key dangling.
    #[error("{0}")]
    Undecided(String),
    /// What was written is not what should be left.
    #[error("what is left of {table} does not hold together: {why}")]
    Leftover {
        /// The table.
        table: String,
        /// What is wrong, in numbers.
        why: String,
    },
    /// A keys or identifiers file is not what it should be.
    #[error("{0}")]
    Input(String),
}

/// Whom an erasure is about, and what its rules say.
pub struct Request {
    /// The rules.
    pub rules: Rules,
    /// The kind of person.
    pub name: String,
    /// Whom.
    pub subject: Subject,
}

impl Request {
    pub(super) fn subject_rules(&self) -> Result<&SubjectRules, PersonError> {
        self.rules.subject(&self.name).ok_or_else(|| PersonError::NoSubject(self.name.clone()))
    }
}

/// What was found under one shape of rows.
#[derive(Default)]
struct Shaped {
    memo: Memo,
    findings: HashMap<RunName, Arc<Findings>>,
    /// How many keys of each set were known.
    horizon: Vec<u32>,
    /// Whether clean runs were swept when they were searched, and what was found.
    swept: bool,
    traced: Traced,
}

/// One snapshot.
struct Archive {
    id: String,
    /// The stream of its table of contents; none in a snapshot whose rows cannot be told apart.
    toc: Option<usize>,
    /// For each table of the plan, its stream.
    streams: Vec<Option<usize>>,
    /// For each table of the plan, the runs that need a decision, as often as they occur.
    marked: Vec<Vec<Run>>,
    searched: HashSet<usize>,
    marks: Marks,
    /// The columns of every table with rows, by dump id.
    columns: HashMap<u32, Arc<[String]>>,
    tallies: BTreeMap<String, Tally>,
}

/// Snapshots being searched for a person.
pub struct Search<'r> {
    rewrite: Rewrite<'r>,
    request: Request,
    book: KeyBook,
    plans: Vec<Plan>,
    archives: Vec<Archive>,
    shaped: HashMap<ShapeId, Shaped>,
    shapes: HashMap<ShapeId, Arc<Shape>>,
    needles: Option<Needles>,
    swept_for: Option<BTreeSet<(Identifier, Personal)>>,
    verdicts: Verdicts,
    outcomes: HashMap<(RunName, u64), Outcome>,
    traced: Traced,
    swept_rows: HashMap<Option<ShapeId>, Memo>,
    swept_tops: HashSet<Birth>,
    swept_facts: HashSet<(String, [u8; 32])>,
    root_key: Vec<(Identifier, Canon)>,
    root_columns: HashMap<Identifier, Canon>,
    root: TableName,
}

/// What an erasure of a person means, or did.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// By table, over all snapshots.
    pub tables: BTreeMap<String, Tally>,
    /// Why rows of a table are kept.
    pub bases: BTreeMap<String, Vec<String>>,
    /// By snapshot: rows removed and changed.
    pub snapshots: Vec<(u64, u64)>,
    /// Traces that are left.
    pub traces: Vec<(TraceKey, u64)>,
    /// Identifiers that were not searched for, by their columns.
    pub unsearched: Vec<String>,
    /// What a person should know.
    pub cautions: Vec<String>,
    /// Plaintext bytes of the chunks that were opened.
    pub bytes_read: u64,
}

impl<'r> Search<'r> {
    /// Lays the rules over every snapshot.
    ///
    /// # Errors
    /// Rules that do not fit, snapshots without rows, errors of the vault.
    pub fn new(rewrite: Rewrite<'r>, request: Request) -> Result<Self, PersonError> {
        let root = request.subject_rules()?.root.clone();
        let mut search = Self {
            rewrite,
            request,
            book: KeyBook::new(),
            plans: Vec::new(),
            archives: Vec::new(),
            shaped: HashMap::new(),
            shapes: HashMap::new(),
            needles: None,
            swept_for: None,
            verdicts: Verdicts::default(),
            outcomes: HashMap::new(),
            traced: Traced::default(),
            swept_rows: HashMap::new(),
            swept_tops: HashSet::new(),
            swept_facts: HashSet::new(),
            root_key: Vec::new(),
            root_columns: HashMap::new(),
            root,
        };
        for at in 0..search.rewrite.len() {
            search.load(at)?;
        }
        // Where no snapshot has rows, nothing says whom to sweep for.
        if let Some(first) = search.archives.first()
            && search.archives.iter().all(|archive| archive.toc.is_none())
        {
            return Err(PersonError::NotRows { snapshot: first.id.clone() });
        }
        Ok(search)
    }

    fn load(&mut self, at: usize) -> Result<(), PersonError> {
        let id = self.rewrite.id(at).short();
        let is_toc = |stream: &Stream| stream.kind == StreamKind::ArchiveToc && stream.name == "toc";
        let toc = self.rewrite.streams(at).iter().position(is_toc);
        let Some(toc) = toc else { return self.load_other(id) };
        let structure = |why: String| PersonError::Structure { snapshot: id.clone(), why };
        let bytes = self.rewrite.whole(at, toc, STRUCTURE_BYTES_MAX)?;
        let parsed = Toc::parse(&bytes).map_err(|error| structure(error.to_string()))?;
        let schema = Schema::of_archive(&parsed).map_err(|error| structure(error.to_string()))?;
        let rules = self.request.rules.subject(&self.request.name);
        let rules = rules.ok_or_else(|| PersonError::NoSubject(self.request.name.clone()))?;
        let plan = Plan::new(rules, &schema, &mut self.book)
            .map_err(|problems| PersonError::Rules { snapshot: id.clone(), problems })?;
        let key = rules.key.clone();
        self.learn_root(&schema, &key);
        let of_dump = |dump_id: i32| {
            let fits = |stream: &Stream| {
                stream.kind == StreamKind::Table
                    && stream.dump_id.and_then(|id| i32::try_from(id).ok()) == Some(dump_id)
            };
            self.rewrite.streams(at).iter().position(fits)
        };
        let streams: Vec<Option<usize>> = plan.tables.iter().map(|table| of_dump(table.dump_id)).collect();
        for table in &plan.tables {
            self.shapes.entry(table.shape_id).or_insert_with(|| Arc::clone(&table.shape));
        }
        let columns = parsed.tables().filter_map(|table| {
            let id = u32::try_from(table.entry.dump_id()).ok()?;
            let copy = table.copy?;
            Some((id, copy.columns.iter().map(ToString::to_string).collect::<Arc<[String]>>()))
        });
        self.archives.push(Archive {
            id,
            toc: Some(toc),
            marked: vec![Vec::new(); streams.len()],
            streams,
            searched: HashSet::new(),
            marks: Marks::default(),
            columns: columns.collect(),
            tallies: BTreeMap::new(),
        });
        self.plans.push(plan);
        Ok(())
    }

    /// A snapshot whose rows cannot be told apart is swept where the rules allow that, and stays as it is.
    fn load_other(&mut self, id: String) -> Result<(), PersonError> {
        if self.request.rules.sweep.other == Other::Refuse {
            return Err(PersonError::NotRows { snapshot: id });
        }
        self.plans.push(Plan::nothing(self.request.subject_rules()?.key.len()));
        self.archives.push(Archive {
            id,
            toc: None,
            marked: Vec::new(),
            streams: Vec::new(),
            searched: HashSet::new(),
            marks: Marks::default(),
            columns: HashMap::new(),
            tallies: BTreeMap::new(),
        });
        Ok(())
    }

    /// The root's columns with how their values are compared: tokens are made of that form.
    fn learn_root(&mut self, schema: &Schema, key: &[Identifier]) {
        let Some(root) = schema.find(&self.root) else { return };
        let table = schema.table(root);
        for column in &table.columns {
            self.root_columns.entry(column.name.clone()).or_insert_with(|| column.type_name.canon());
        }
        if self.root_key.is_empty() {
            let canon = |name: &Identifier| Some((name.clone(), *self.root_columns.get(name)?));
            self.root_key = key.iter().filter_map(canon).collect();
        }
    }

    /// Searches, decides and sweeps; writes nothing.
    ///
    /// # Errors
    /// Rules that contradict each other; what is left does not hold together; errors of the vault.
    pub fn run(&mut self) -> Result<Account, PersonError> {
        self.close()?;
        self.decide_all()?;
        self.sweep_all()?;
        Ok(self.account())
    }

    fn account(&self) -> Account {
        let mut account = Account { bytes_read: self.rewrite.bytes_read(), ..Account::default() };
        for (archive, plan) in self.archives.iter().zip(&self.plans) {
            let (mut removed, mut changed) = (0, 0);
            for (table, tally) in &archive.tallies {
                removed += tally.deleted;
                changed += tally.changed;
                account.tables.entry(table.clone()).or_default().add(tally);
            }
            account.snapshots.push((removed, changed));
            for table in plan.tables.iter().filter(|table| !table.bases.is_empty()) {
                let bases = account.bases.entry(table.name.to_string()).or_default();
                bases.extend(table.bases.iter().filter(|basis| !bases.contains(basis)).cloned().collect::<Vec<_>>());
            }
            for caution in &plan.cautions {
                let text = format!("{}: {}", caution.table, caution.what);
                if !account.cautions.contains(&text) {
                    account.cautions.push(text);
                }
            }
        }
        let mut traced = self.traced.clone();
        for shaped in self.shaped.values().filter(|shaped| shaped.swept) {
            traced.add(&shaped.traced);
        }
        account.traces = traced.into_list();
        if let Some(needles) = &self.needles {
            account.unsearched = needles.unsearched().iter().map(|(column, why)| format!("{column}: {why}")).collect();
        }
        let others = self.archives.iter().filter(|archive| archive.toc.is_none());
        account
            .unsearched
            .extend(others.map(|archive| format!("snapshot {}: its rows are not taken apart", archive.id)));
        account
    }

    /// The runs that change, in whichever snapshot.
    #[must_use]
    pub fn changing(&self) -> BTreeSet<RunName> {
        self.outcomes.keys().map(|(run, _)| run.clone()).collect()
    }

    /// What becomes of traces that are left.
    #[must_use]
    pub const fn residue(&self) -> Residue {
        self.request.rules.sweep.residue
    }

    /// The vault's side.
    #[must_use]
    pub const fn rewrite(&self) -> &Rewrite<'r> {
        &self.rewrite
    }

    /// The vault's side, to write.
    pub const fn rewrite_mut(&mut self) -> &mut Rewrite<'r> {
        &mut self.rewrite
    }

    fn identifiers(&self) -> &[(Identifier, Personal)] {
        &self.request.subject.identifiers
    }
}
