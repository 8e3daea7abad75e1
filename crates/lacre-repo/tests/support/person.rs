//! The erasure of a person as the vault sees it: what a row is, and whose, is decided here.

use std::sync::Arc;

use lacre_format::{
    erasure::{PersonAccount, Successor},
    ids::{Digest, JobName, Salt, Token},
    suppression::Suppression,
};
use lacre_repo::{
    Error, Repository, Silent,
    op::{
        erase::{
            EraseReason,
            person::{Cause, Decide, Figures, Memo, Rewrite, RunName, Seen},
        },
        keys::ReadKeys,
    },
};
use lacre_seal::suppression::{list_key, token};

/// Whose rows go.
#[derive(Clone, Copy)]
pub(crate) struct Person {
    /// Whether a row is theirs.
    pub(crate) is_theirs: fn(&[u8]) -> bool,
    /// The value of which the list beside a covered snapshot holds a token.
    pub(crate) key: &'static [u8],
    /// The jobs; none: all.
    pub(crate) jobs: &'static [&'static str],
}

impl Person {
    /// What is left of rows.
    pub(crate) fn without(&self, rows: &[u8]) -> Vec<u8> {
        let rows = rows.split_inclusive(|byte| *byte == b'\n');
        rows.filter(|row| !(self.is_theirs)(row.strip_suffix(b"\n").unwrap_or(row))).flatten().copied().collect()
    }

    /// How many of the rows are theirs.
    pub(crate) fn rows_in(&self, rows: &[u8]) -> u64 {
        rows.split(|byte| *byte == b'\n').filter(|row| (self.is_theirs)(row)).count() as u64
    }

    /// The jobs an erasure names.
    pub(crate) fn jobs(&self) -> Vec<JobName> {
        self.jobs.iter().map(|job| JobName::parse(job).unwrap()).collect()
    }
}

/// Leaves their rows out of a run.
pub(crate) struct Leave {
    pub(crate) person: Person,
    pub(crate) rewritten: usize,
}

impl Decide for Leave {
    fn verdict(&mut self, _: &RunName) -> Option<u64> {
        Some(0)
    }

    fn rewrite(&mut self, _: &RunName, _: u64, rows: &[u8], out: &mut Vec<u8>) -> Result<(), Cause> {
        self.rewritten += 1;
        out.extend_from_slice(&self.person.without(rows));
        Ok(())
    }
}

/// What was done: which snapshots were replaced, which runs were looked at, how many rewritten, how many bytes written.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) erasure: Token,
    pub(crate) successors: Vec<Successor>,
    pub(crate) looked: Vec<RunName>,
    pub(crate) rewritten: usize,
    pub(crate) bytes_written: u64,
}

/// Erases a person up to the record, or goes on with what was begun; the seal is not changed yet.
pub(crate) fn rewrite(repository: &Repository, keys: &ReadKeys, person: &Person) -> Result<Done, Error> {
    let scope = repository.scope_person(&person.jobs())?;
    let reason = EraseReason { code: "art17".to_owned(), ..EraseReason::default() };
    let erasure = match repository.unfinished_persons()?.first() {
        Some(erasure) => *erasure,
        None => repository.intend_person(&scope, &reason)?,
    };
    go_on(repository, keys, person, erasure)
}

/// Carries an intended erasure out, up to the record.
pub(crate) fn go_on(repository: &Repository, keys: &ReadKeys, person: &Person, erasure: Token) -> Result<Done, Error> {
    let scope = repository.scope_intended(erasure)?;
    let mut rewrite = repository.open_covered(&scope.covered, keys, Arc::new(Silent))?;
    let list = list(person, erasure);
    let mut memo = Memo::default();
    let (looked, figures) = look(&mut rewrite, person, &mut memo)?;
    (0..rewrite.len()).try_for_each(|at| rewrite.suppress(at, &list))?;
    let held = repository.open_covered(&scope.held, keys, Arc::new(Silent))?;
    (0..held.len()).try_for_each(|at| held.suppress(at, &list))?;
    rewrite.begin(erasure)?;
    let mut leave = Leave { person: *person, rewritten: 0 };
    for (at, figures) in figures.into_iter().enumerate() {
        rewrite.rebuild(at, 0, &memo, &mut leave, figures)?;
    }
    let made = rewrite.commit()?;
    repository.record_rewritten(&made.successors, &scope.held, &account(erasure))?;
    let (successors, bytes_written) = (made.successors, made.bytes_written);
    Ok(Done { erasure, successors, looked, rewritten: leave.rewritten, bytes_written })
}

/// Looks through every run of rows: those looked at, and what will be left of each stream.
pub(crate) fn look(
    rewrite: &mut Rewrite<'_>,
    person: &Person,
    memo: &mut Memo,
) -> Result<(Vec<RunName>, Vec<Figures>), Error> {
    let (mut looked, mut figures) = (Vec::new(), Vec::new());
    for at in 0..rewrite.len() {
        let marked = rewrite.look(at, 0, memo, &mut |name, rows| {
            looked.push(name.clone());
            Ok(if person.rows_in(rows) > 0 { Seen::Marked } else { Seen::Clean })
        })?;
        let stream = rewrite.streams(at)[0].clone();
        let (mut bytes, mut rows) = (stream.bytes, stream.rows);
        for run in &marked {
            let old = rewrite.rows(run)?;
            bytes -= (old.len() - person.without(&old).len()) as u64;
            rows -= person.rows_in(&old);
        }
        figures.push(Figures { bytes, rows, digest: None });
    }
    Ok((looked, figures))
}

/// The list that keeps the person out of a restore.
fn list(person: &Person, erasure: Token) -> Suppression {
    let key = list_key().unwrap();
    Suppression {
        erasure,
        subject: "user".to_owned(),
        rules: String::new(),
        keys: vec![token(&key, person.key)],
        key,
        identifiers: Vec::new(),
    }
}

/// What the sealed account of these tests says.
pub(crate) fn account(erasure: Token) -> PersonAccount {
    PersonAccount {
        salt: Salt::new([5; 16]),
        erasure,
        jobs: Vec::new(),
        subject: "user".to_owned(),
        rules: Digest::new([0; 32]),
        tables: Vec::new(),
        snapshots: Vec::new(),
        traces: Vec::new(),
        unsearched: Vec::new(),
    }
}
