//! A snapshot that is handed out without a person who is still in it.
//!
//! In: an opened snapshot and the suppression lists beside it. Out: a source of a restore whose tables, framing and figures are those the
//! successor will have. Nothing is written, and what does not change is verified as ever.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write,
    sync::{Arc, Mutex},
};

use lacre_dump::{
    closure::Part,
    copy::{RowCounter, fields},
    personal::{Personal, Subject, suppression_form},
    rules::Rules,
};
use lacre_format::suppression::Suppression;
use lacre_repo::{
    Monitor,
    op::{
        erase::person::{Memo, Rewrite, Seen},
        read::Snapshot,
    },
};
use lacre_seal::suppression::token;

use super::{PersonError, Request, Search, write::Structure};
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
        search.find_subject(list)?;
        // Nobody of that kind is in this snapshot: it is handed out as it is.
        if !search.request.subject.keys.is_empty() {
            search.run()?;
        }
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
            facts.remove("archive.blake3");
        }
        Ok(Self { inner, search: Mutex::new(search), facts, streams, structure, changed })
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
    /// Tells the person again by tokens: the keys of the root's rows that have one.
    pub(super) fn find_subject(&mut self, list: &Suppression) -> Result<(), PersonError> {
        let mut keys: BTreeSet<Vec<Personal>> = BTreeSet::new();
        for at in 0..self.rewrite.len() {
            for (table, stream) in self.archives[at].streams.iter().enumerate() {
                let shape = &self.plans[at].tables[table].shape;
                let matcher = shape.matchers.iter().find(|matcher| matcher.is_identity);
                let (Some(matcher), Some(stream)) = (matcher, stream) else { continue };
                let places: Vec<usize> = matcher.parts.iter().map(|(part, _): &(Part, _)| part.field()).collect();
                let (root, root_key) = (&self.root, &self.root_key);
                self.rewrite.look(at, *stream, &mut Memo::default(), &mut |_, rows| {
                    for row in rows.split(|byte| *byte == b'\n').filter(|row| !row.is_empty()) {
                        let values: Vec<_> =
                            fields(row).map(|field| field.value().map(|value| value.into_owned())).collect();
                        let key: Option<Vec<Personal>> = places
                            .iter()
                            .map(|place| values.get(*place).cloned().flatten().map(Personal::new))
                            .collect();
                        let Some(key) = key else { continue };
                        let form = suppression_form(root, root_key, &key);
                        if form.is_some_and(|form| list.keys.contains(&token(&list.key, form.expose()))) {
                            keys.insert(key);
                        }
                    }
                    Ok(Seen::Clean)
                })?;
            }
        }
        self.request.subject.keys = keys.into_iter().collect();
        Ok(())
    }
}
