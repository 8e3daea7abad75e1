//! Searching for a person and carrying an intended erasure out, up to the record.

use std::{collections::BTreeSet, sync::Arc};

use lacre_dump::{
    personal::Subject,
    rules::{Residue, Rules},
};
use lacre_format::{
    erasure::{ErasedRows, ErasedTable, PersonAccount, TraceCount},
    ids::{Digest, Token},
};
use lacre_repo::{
    Monitor,
    op::{
        erase::person::{Made, PersonScope},
        keys::ReadKeys,
    },
};
use lacre_seal::entropy;

use super::{
    explain,
    plan::{tables_of, traces_of},
    whom::{Named, Whom},
};
use crate::{
    error::{CliError, Kind},
    human,
    invocation::Invocation,
    output::{EraseResult, ErasedEntry, ErasedTableEntry, TraceEntry},
    person::{self, Account, PersonError, Request, Search},
    vault::{Vault, watching},
};

/// Traces named in a refusal; all are in the plan.
const TRACES_NAMED_MAX: usize = 8;

/// What was asked for.
pub(super) struct Asked<'a> {
    pub(super) invocation: &'a Invocation,
    pub(super) vault: &'a Vault,
    pub(super) keys: &'a ReadKeys,
    pub(super) named: Named,
}

impl Asked<'_> {
    fn explain(&self, error: PersonError) -> CliError {
        explain(self.vault, error)
    }

    /// Opens the snapshots and searches them; writes nothing.
    pub(super) fn search(&self, scope: &PersonScope) -> Result<(Search<'_>, Account), CliError> {
        let (line, watching) = watching(self.invocation);
        let searched = self.open(scope, Arc::new(watching)).and_then(|search| {
            let untold = || {
                CliError::new(Kind::Refused, "what is left does not tell any more whom the erasure is about")
                    .hint("say it again: lacre erase resume --rules FILE --subject NAME --key-file FILE")
            };
            let mut search = search.ok_or_else(untold)?;
            let account = search.run().map_err(|error| self.explain(error))?;
            Ok((search, account))
        });
        line.finish();
        searched
    }

    /// Opens the snapshots; nothing where tokens do not say whom.
    pub(super) fn open(&self, scope: &PersonScope, monitor: Arc<dyn Monitor>) -> Result<Option<Search<'_>>, CliError> {
        let rewrite = self.vault.repository.open_covered(&scope.covered, self.keys, monitor);
        let rewrite = rewrite.map_err(|error| self.vault.explain(error))?;
        let rules = Rules::parse(&self.named.rules).map_err(|problems| {
            CliError::new(Kind::Usage, format!("{} has mistakes:\n{problems}", self.named.rules_name))
        })?;
        let subject = match &self.named.whom {
            Whom::Named(subject) => subject.clone(),
            Whom::Listed(_) => Subject::default(),
        };
        let request = Request { rules, name: self.named.kind.clone(), subject };
        let mut search = Search::new(rewrite, request).map_err(|error| self.explain(error))?;
        if let Whom::Listed(list) = &self.named.whom
            && !(search.find_subject(list).map_err(|error| self.explain(error))? && list.identifiers.is_empty())
        {
            return Ok(None);
        }
        Ok(Some(search))
    }

    /// Whether an erasure is about the person who was named; one whose list does not open is about somebody whom nobody can tell.
    pub(super) fn is_about(&self, erasure: Token, search: &Search<'_>) -> bool {
        let list = self.vault.repository.suppression_of(erasure, self.keys);
        list.is_ok_and(|open| person::subject_is(search, &open.list))
    }

    /// Lists again, after the intent; makes, proves and records the successors.
    pub(super) fn carry_out<'s>(
        &'s self,
        search: &mut Search<'s>,
        account: Account,
        planned: &PersonScope,
        erasure: Token,
        document: &mut EraseResult,
    ) -> Result<(), CliError> {
        let vault = self.vault;
        let scope = vault.repository.scope_intended(erasure).map_err(|error| vault.explain(error))?;
        let ids = |scope: &PersonScope| scope.covered.iter().map(|row| row.snapshot).collect::<BTreeSet<_>>();
        let mut account = account;
        if ids(&scope) != ids(planned) {
            (*search, account) = self.search(&scope)?;
            refuse_traces(search.residue(), &account)?;
        }
        self.suppress(search, &scope, erasure)?;
        let rewrite = search.rewrite_mut();
        rewrite.begin(erasure).map_err(|error| vault.explain(error))?;
        search.write().map_err(|error| self.explain(error))?;
        let made = search.rewrite_mut().commit().map_err(|error| vault.explain(error))?;
        let record = self.record(erasure, &scope, &account, &made)?;
        vault
            .repository
            .record_rewritten(&made.successors, &scope.held, &record)
            .map_err(|error| vault.explain(error))?;
        document.snapshots = record
            .snapshots
            .iter()
            .map(|rows| ErasedEntry {
                old: rows.old.to_string(),
                new: Some(rows.new.to_string()),
                rows_removed: Some(rows.removed),
            })
            .collect();
        document.tables = tables_of(&account);
        document.traces = traces_of(&account);
        document.bytes_written = made.bytes_written;
        Ok(())
    }

    /// Lists beside every snapshot that still holds the person: whoever restores it meanwhile, restores it without them.
    fn suppress(&self, search: &Search<'_>, scope: &PersonScope, erasure: Token) -> Result<(), CliError> {
        let vault = self.vault;
        let list = person::suppression(search, erasure, &self.named.rules).map_err(|error| self.explain(error))?;
        for at in 0..search.rewrite().len() {
            search.rewrite().suppress(at, &list).map_err(|error| vault.explain(error))?;
        }
        let held = vault.repository.open_covered(&scope.held, self.keys, Arc::new(lacre_repo::Silent));
        let held = held.map_err(|error| vault.explain(error))?;
        for at in 0..held.len() {
            held.suppress(at, &list).map_err(|error| vault.explain(error))?;
        }
        Ok(())
    }

    fn record(
        &self,
        erasure: Token,
        scope: &PersonScope,
        account: &Account,
        made: &Made,
    ) -> Result<PersonAccount, CliError> {
        let salt = entropy::salt().map_err(|error| CliError::new(Kind::Bug, "no random bytes").because(&error))?;
        let rows = made.successors.iter().zip(&account.snapshots).map(|(pair, (removed, changed))| ErasedRows {
            old: pair.old,
            new: pair.new,
            removed: *removed,
            changed: *changed,
        });
        let table = |entry: ErasedTableEntry| ErasedTable {
            table: entry.table,
            removed: entry.removed,
            changed: entry.changed,
            kept: entry.kept,
            bases: entry.bases,
        };
        let trace = |entry: TraceEntry| TraceCount {
            place: entry.place,
            column: entry.column,
            identifier: entry.identifier,
            form: entry.form,
            count: entry.count,
        };
        Ok(PersonAccount {
            salt,
            erasure,
            jobs: scope.jobs.clone(),
            subject: self.named.kind.clone(),
            rules: Digest::new(*blake3::hash(self.named.rules.as_bytes()).as_bytes()),
            tables: tables_of(account).into_iter().map(table).collect(),
            snapshots: rows.collect(),
            traces: traces_of(account).into_iter().map(trace).collect(),
            unsearched: account.unsearched.clone(),
        })
    }
}

/// Traces fail the erasure before anything is signed, unless the rules allow them.
pub(in crate::command) fn refuse_traces(residue: Residue, account: &Account) -> Result<(), CliError> {
    if account.traces.is_empty() || residue == Residue::Report {
        return Ok(());
    }
    let named: Vec<String> = account
        .traces
        .iter()
        .take(TRACES_NAMED_MAX)
        .map(|(key, count)| {
            let column = key.column.as_ref().map_or_else(String::new, |column| format!(".{column}"));
            format!(
                "{}{column}: {}, of {} ({})",
                key.place,
                human::things(*count, ["time", "times"]),
                key.identifier,
                key.form
            )
        })
        .collect();
    let what = format!(
        "traces of the person would be left in {}:\n  {}",
        human::things(account.traces.len(), ["place", "places"]),
        named.join("\n  ")
    );
    Err(CliError::new(Kind::Refused, what)
        .hint("say in the rules what becomes of those columns, or allow it there: [sweep] residue = \"report\""))
}
