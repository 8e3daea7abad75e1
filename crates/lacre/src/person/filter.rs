//! A snapshot that is handed out without a person who is still in it.
//!
//! In: an opened snapshot and the suppression lists beside it. Out: a source of a restore whose tables, framing and figures are those the
//! successor will have. Nothing is written, and what does not change is verified as ever.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    io::Write,
    sync::{Arc, Mutex},
};

use lacre_dump::{
    closure::SubjectLookup,
    copy::{Identifier, RowCounter},
    personal::{Personal, Subject, suppression_form},
    rules::{Residue, Rules},
    schema::{Canon, TableName},
};
use lacre_format::{
    ids::{Digest, Token},
    suppression::Suppression,
};
use lacre_repo::{
    Monitor,
    op::{
        erase::person::{Memo, Rewrite, Seen},
        read::Snapshot,
    },
};
use lacre_seal::suppression::token;

use super::{Account, PersonError, Request, Search, write::Structure};
use crate::driver::postgres::{
    dump::{BoxError, Rows},
    restore::{SnapshotSource, StreamRef},
    vault::VaultSource,
};

/// A snapshot without a person.
pub struct Without<'s> {
    inner: VaultSource<'s>,
    search: Mutex<Search<'s>>,
    facts: BTreeMap<String, String>,
    streams: Vec<StreamRef>,
    structure: Structure,
    changed: BTreeSet<String>,
    account: Account,
    residue: Residue,
    erasure: Token,
}

impl<'s> Without<'s> {
    /// Looks for the person of a list in one opened snapshot, and works out what is left of it.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn new(
        rewrite: Rewrite<'s>,
        list: &Suppression,
        snapshot: &'s Snapshot<'s>,
        monitor: Arc<dyn Monitor>,
    ) -> Result<Self, PersonError> {
        let rules = Rules::parse(&list.rules)
            .map_err(|problems| PersonError::Rules { snapshot: snapshot.id().short(), problems })?;
        let request = Request { rules, name: list.subject.clone(), subject: Subject::default() };
        let mut search = Search::new(rewrite, request)?;
        let _all = search.find_subject(list)?;
        // No row of this snapshot is the person's or refers to them: it is handed out as it is.
        let subject = &search.request.subject;
        let is_there = !subject.keys.is_empty() || !subject.identifiers.is_empty();
        let account = if is_there { search.run()? } else { Account::default() };
        let residue = search.residue();
        let inner = VaultSource::new(snapshot, monitor);
        let mut streams = inner.streams().to_vec();
        let mut facts = inner.facts().clone();
        let (figures, structure) = search.left_of(0)?;
        let mut changed = BTreeSet::new();
        for (number, figures) in figures {
            let name = &search.rewrite.streams(0)[number].name;
            for stream in streams.iter_mut().filter(|stream| stream.name == *name) {
                stream.bytes = figures.bytes;
                stream.rows = Rows { count: Some(figures.rows), digest: figures.digest };
            }
            changed.insert(name.clone());
        }
        for (name, bytes) in &structure.streams {
            for stream in streams.iter_mut().filter(|stream| stream.name == *name) {
                stream.bytes = bytes.len() as u64;
            }
        }
        if let Some(bytes) = structure.archive_bytes {
            facts.insert("archive.bytes".to_owned(), bytes.to_string());
        }
        if !changed.is_empty() {
            super::write::FACTS_OF_THE_WHOLE.iter().for_each(|fact| drop(facts.remove(*fact)));
        }
        let search = Mutex::new(search);
        Ok(Self { inner, search, facts, streams, structure, changed, account, residue, erasure: list.erasure })
    }

    /// What is left out, and what traces remain.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// What becomes of traces by the rules of the list.
    #[must_use]
    pub const fn residue(&self) -> Residue {
        self.residue
    }
}

/// A source that leaves a person out, and the erasure that says so.
pub trait PersonLess {
    /// The erasure.
    fn erasure(&self) -> Token;

    /// What is left.
    fn source(&self) -> &dyn SnapshotSource;
}

impl PersonLess for Without<'_> {
    fn erasure(&self) -> Token {
        self.erasure
    }

    fn source(&self) -> &dyn SnapshotSource {
        self
    }
}

impl SnapshotSource for Without<'_> {
    fn short_id(&self) -> String {
        self.inner.short_id()
    }

    fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    fn streams(&self) -> &[StreamRef] {
        &self.streams
    }

    fn read(&self, stream: &StreamRef, sink: &mut dyn Write) -> Result<(), BoxError> {
        if let Some(bytes) = self.structure.streams.get(&stream.name) {
            return Ok(sink.write_all(bytes)?);
        }
        if !self.changed.contains(&stream.name) {
            return self.inner.read(stream, sink);
        }
        let mut counter = RowCounter::copy();
        let mut search = self.search.lock().map_err(|_| "a thread panicked while it read rows")?;
        search.emit(0, &stream.name, &mut |piece| {
            counter.push(piece);
            sink.write_all(piece).map_err(lacre_repo::Error::Sink)
        })?;
        let left = counter.finish();
        let same = stream.rows.digest.is_none_or(|digest| digest == left.digest.lanes());
        if left.bytes == stream.bytes && same {
            Ok(())
        } else {
            Err("what is left of it is not what was worked out".into())
        }
    }
}

impl Search<'_> {
    /// Tells the person again by tokens: the keys of the root's rows that have one, and where the root's row is gone those of the rows that
    /// refer to it; with them the identifiers that rows refer to. `false` when some key is found nowhere.
    ///
    /// # Errors
    /// Errors of the vault; values that cannot be read.
    pub fn find_subject(&mut self, list: &Suppression) -> Result<bool, PersonError> {
        let mut told = Told::default();
        self.tell(list, &mut told, Whose::Root)?;
        if !list.keys.iter().all(|token| told.tokens.contains(token)) || !list.identifiers.is_empty() {
            self.tell(list, &mut told, Whose::AnyTable)?;
        }
        self.request.subject.keys = told.keys.into_iter().collect();
        self.request.subject.identifiers = told.identifiers.into_iter().collect();
        let are_told = list.keys.iter().all(|token| told.tokens.contains(token));
        Ok(!self.request.subject.keys.is_empty() && are_told)
    }

    fn tell(&mut self, list: &Suppression, told: &mut Told, whose: Whose) -> Result<(), PersonError> {
        let tokens = Tokens { list, root: &self.root, root_key: &self.root_key, root_columns: &self.root_columns };
        for at in 0..self.rewrite.len() {
            for (table, stream) in self.archives[at].streams.iter().enumerate() {
                let mut lookups = self.plans[at].subject_lookups(table);
                lookups.retain(|lookup| whose == Whose::AnyTable || lookup.is_identity);
                let Some(stream) = stream.filter(|_| !lookups.is_empty()) else { continue };
                let mut failed = None;
                self.rewrite.look(at, stream, &mut Memo::default(), &mut |_, rows| {
                    let lines = rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty());
                    for (number, row) in (0..).zip(lines) {
                        for lookup in &lookups {
                            match lookup.values(number, row) {
                                Ok(Some(values)) => tokens.compare(told, lookup, values),
                                Ok(None) => {}
                                Err(source) => drop(failed.get_or_insert(source)),
                            }
                        }
                    }
                    Ok(Seen::Clean)
                })?;
                if let Some(source) = failed {
                    let table = self.plans[at].tables[table].name.to_string();
                    return Err(PersonError::Select { table, source });
                }
            }
        }
        Ok(())
    }
}

/// A list's tokens, and what they are made of.
struct Tokens<'t> {
    list: &'t Suppression,
    root: &'t TableName,
    root_key: &'t [(Identifier, Canon)],
    root_columns: &'t HashMap<Identifier, Canon>,
}

impl Tokens<'_> {
    fn found(&self, tokens: &[Digest], columns: &[(Identifier, Canon)], values: &[Personal]) -> Option<Digest> {
        let form = suppression_form(self.root, columns, values)?;
        Some(token(&self.list.key, form.expose())).filter(|token| tokens.contains(token))
    }

    fn compare(&self, told: &mut Told, lookup: &SubjectLookup<'_>, values: Vec<Personal>) {
        if let ([value], Some(column)) = (values.as_slice(), &lookup.identifier) {
            let canon = self.root_columns.get(column).copied().unwrap_or(Canon::Exact);
            if self.found(&self.list.identifiers, &[(column.clone(), canon)], &values).is_some() {
                told.identifiers.insert((column.clone(), value.clone()));
            }
        }
        if !lookup.is_key {
            return;
        }
        if let Some(token) = self.found(&self.list.keys, self.root_key, &values) {
            told.tokens.insert(token);
            told.keys.insert(values);
        }
    }
}

/// Which tables are asked for the person.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    Root,
    AnyTable,
}

/// What tokens told.
#[derive(Default)]
struct Told {
    tokens: BTreeSet<Digest>,
    keys: BTreeSet<Vec<Personal>>,
    identifiers: BTreeSet<(Identifier, Personal)>,
}
