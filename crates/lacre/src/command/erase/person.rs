//! `lacre erase person`: rules, whom, plan, confirmation, intent, successors, change of the seal, receipt.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write},
    path::Path,
    sync::Arc,
};

use jiff::Timestamp;
use lacre_dump::{personal::Subject, rules::Rules};
use lacre_format::{
    erasure::{ErasedRows, ErasedTable, PersonAccount, Purpose, TraceCount},
    ids::{Digest, JobName, Millis, SnapshotId, Token},
};
use lacre_repo::op::{
    erase::{
        EraseReason,
        person::{Made, PersonScope},
    },
    keys::ReadKeys,
    rotate::{RotateOptions, RotationState},
};
use lacre_seal::entropy;
use zeroize::Zeroizing;

use super::{exit, find, kits, request_hash, show, write_receipt};
use crate::{
    cli::ErasePersonArgs,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{EraseResult, ErasedEntry, ErasedTableEntry, TraceEntry},
    person::{self, Account, PersonError, Request, Search},
    secret::Secret,
    term::{
        prompt::{self, Agreement},
        table::printable,
    },
    vault::{Vault, short, watching},
};

/// Longest rules file that is read.
const RULES_BYTES_MAX: u64 = 4 << 20;
/// Longest key or identifier file.
const SUBJECT_BYTES_MAX: u64 = 16 << 20;
/// Traces named in a refusal; all are in the plan.
const TRACES_NAMED_MAX: usize = 8;

/// What was asked for.
struct Asked<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    args: &'a ErasePersonArgs,
    keys: ReadKeys,
    rules: String,
    subject: Subject,
}

/// Erases a person.
///
/// # Errors
/// [`Kind::Usage`] for rules that do not fit; [`Kind::Refused`] for traces that are left, and where nobody confirmed.
pub(super) fn run(invocation: &Invocation, vault: &Vault, args: &ErasePersonArgs) -> Result<Exit, CliError> {
    let rules = read_text(&args.rules, RULES_BYTES_MAX, "rules file")?.to_string();
    let subject = subject(invocation, args)?;
    let keys = vault.read_keys(invocation, &args.options.kit)?;
    let asked = Asked { invocation, vault, args, keys, rules, subject };
    let jobs: Result<Vec<JobName>, _> = args.jobs.iter().map(|job| JobName::parse(&job.to_string())).collect();
    let jobs = jobs.map_err(|error| CliError::new(Kind::Usage, "that is no job name").because(&error))?;
    let scope = vault.repository.scope_person(&jobs).map_err(|error| vault.explain(error))?;
    if scope.covered.is_empty() {
        let what = if scope.held.is_empty() {
            "there is no snapshot to erase a person from"
        } else {
            "every snapshot is held"
        };
        return Err(CliError::new(Kind::Refused, what).hint("lacre snapshots shows them; lacre release ends a hold"));
    }
    let (mut search, account) = asked.search(&scope)?;
    let mut document = asked.plan(&scope, &search, &account)?;
    if args.options.dry_run {
        invocation.print(&document, |out| write_plan(&document, out))?;
        return Ok(Exit::Done);
    }
    refuse_traces(&search, &account)?;
    invocation.terminal.say(&show::text(|out| write_plan(&document, out)));
    asked.confirm(&scope)?;
    let (request, salt) = request_hash(&args.options)?;
    document.request_salt = salt;
    let erasure = match asked.unfinished(&search)? {
        Some(erasure) => erasure,
        None => {
            let not_before = args.options.not_before.map(|at| Millis(at.as_millisecond()));
            let reason = EraseReason { code: args.options.reason.clone(), request, not_before };
            vault.repository.intend_person(&scope, &reason).map_err(|error| vault.explain(error))?
        }
    };
    document.erasure = Some(erasure.to_string());
    let go_on = |error: CliError| {
        error.hint(format!(
            "the intent stands: run the same command again to go on, or give it up: lacre erase cancel {erasure}"
        ))
    };
    asked.carry_out(&mut search, account, &scope, erasure, &mut document).map_err(go_on)?;
    drop(search);
    asked.finish(erasure, &mut document)
}

impl Asked<'_> {
    fn explain(&self, error: PersonError) -> CliError {
        explain(self.vault, error)
    }

    /// Opens the snapshots and searches them; writes nothing.
    fn search(&self, scope: &PersonScope) -> Result<(Search<'_>, Account), CliError> {
        let (line, watching) = watching(self.invocation);
        let searched = self.search_with(scope, watching);
        line.finish();
        searched
    }

    fn search_with(
        &self,
        scope: &PersonScope,
        watching: crate::vault::Watching,
    ) -> Result<(Search<'_>, Account), CliError> {
        let rewrite = self.vault.repository.open_covered(&scope.covered, &self.keys, Arc::new(watching));
        let rewrite = rewrite.map_err(|error| self.vault.explain(error))?;
        let rules = Rules::parse(&self.rules).map_err(|problems| {
            CliError::new(Kind::Usage, format!("{} has mistakes:\n{problems}", self.args.rules.display()))
        })?;
        let request = Request { rules, name: self.args.subject.clone(), subject: self.subject.clone() };
        let mut search = Search::new(rewrite, request).map_err(|error| self.explain(error))?;
        let account = search.run().map_err(|error| self.explain(error))?;
        Ok((search, account))
    }

    fn plan(&self, scope: &PersonScope, search: &Search<'_>, account: &Account) -> Result<EraseResult, CliError> {
        let vault = self.vault;
        let view = vault.repository.view().map_err(|error| vault.explain(error))?;
        let estimate = vault.repository.person_estimate(scope, &search.changing());
        let estimate = estimate.map_err(|error| vault.explain(error))?;
        let count = |forgotten: &[SnapshotId]| u64::try_from(forgotten.len()).unwrap_or(u64::MAX);
        let erased = scope.covered.iter().zip(&account.snapshots).map(|(row, (removed, _))| ErasedEntry {
            old: row.snapshot.to_string(),
            new: None,
            rows_removed: Some(*removed),
        });
        Ok(EraseResult {
            erasure: None,
            snapshots: erased.collect(),
            state: "planned".to_owned(),
            pending: Vec::new(),
            receipt: None,
            bytes_dead: estimate.bytes_dead,
            bytes_shared: estimate.bytes_shared,
            in_flight: scope.in_flight.iter().map(ToString::to_string).collect(),
            writers: scope
                .writers
                .iter()
                .map(|home| view.home(*home).map_or_else(|| home.short(), |entry| entry.label.clone()))
                .collect(),
            forgotten: count(&scope.forgotten),
            request_salt: None,
            tables: tables_of(account),
            traces: traces_of(account),
            unsearched: account.unsearched.clone(),
            held: scope.held.iter().map(|row| row.snapshot.to_string()).collect(),
            cautions: account.cautions.clone(),
            bytes_read: account.bytes_read,
            bytes_written: 0,
        })
    }

    /// What cannot be taken back is confirmed by the job's name.
    fn confirm(&self, scope: &PersonScope) -> Result<(), CliError> {
        let job = scope.jobs.first().map_or_else(|| "erase".to_owned(), ToString::to_string);
        let consequence = format!(
            "One person's rows leave {} snapshot(s), and become unreadable in every copy ever made. This cannot be taken back.",
            scope.covered.len()
        );
        prompt::confirm_by_name(&self.invocation.terminal, Agreement::from(self.args.options.yes), &consequence, &job)
    }

    /// An erasure of the very same person that was begun and not finished.
    fn unfinished(&self, search: &Search<'_>) -> Result<Option<Token>, CliError> {
        let repository = &self.vault.repository;
        for erasure in repository.unfinished_persons().map_err(|error| self.vault.explain(error))? {
            // One whose list does not open is about somebody whom nobody can tell.
            if let Ok(open) = repository.suppression_of(erasure, &self.keys)
                && person::subject_is(search, &open.list)
            {
                self.invocation.terminal.say(&format!("going on with erasure {}", short(&erasure.to_string())));
                return Ok(Some(erasure));
            }
        }
        Ok(None)
    }

    /// Lists again, after the intent; makes, proves and records the successors.
    fn carry_out<'s>(
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
            refuse_traces(search, &account)?;
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
        let list = person::suppression(search, erasure, &self.rules).map_err(|error| self.explain(error))?;
        for at in 0..search.rewrite().len() {
            search.rewrite().suppress(at, &list).map_err(|error| vault.explain(error))?;
        }
        let held = vault.repository.open_covered(&scope.held, &self.keys, Arc::new(lacre_repo::Silent));
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
            subject: self.args.subject.clone(),
            rules: Digest::new(*blake3::hash(self.rules.as_bytes()).as_bytes()),
            tables: tables_of(account).into_iter().map(table).collect(),
            snapshots: rows.collect(),
            traces: traces_of(account).into_iter().map(trace).collect(),
            unsearched: account.unsearched.clone(),
        })
    }

    /// Changes the seal, so that only the successors are carried over, and writes the receipt.
    fn finish(&self, erasure: Token, document: &mut EraseResult) -> Result<Exit, CliError> {
        let vault = self.vault;
        let died = vault.repository.account_of(erasure).map_err(|error| vault.explain(error))?;
        (document.bytes_dead, document.bytes_shared) = (died.bytes_dead, died.bytes_shared);
        let waits = self.args.options.not_before.is_some_and(|at| at > Timestamp::now());
        if !waits {
            let rotate = RotateOptions { purpose: Purpose::Erase, ..RotateOptions::default() };
            let report = vault.repository.rotate(&rotate, &kits(vault, &self.args.options.kit)?).map_err(|error| {
                vault.explain(error).hint(format!("the successors are made and the intent stands; go on with: lacre erase resume, or give it up: lacre erase cancel {erasure}"))
            })?;
            super::super::findings::warn(self.invocation, &report.findings);
            if let RotationState::Pending(pending) = &report.state {
                document.pending = pending.iter().map(show::pending).collect();
            }
            vault.repository.drop_suppressions().map_err(|error| vault.explain(error))?;
        }
        let status = find(vault, &erasure.to_string())?;
        document.state = status.state.name().to_owned();
        document.pending.extend(status.pending.iter().map(show::pending));
        document.pending.dedup_by(|one, other| one.item == other.item);
        document.receipt = write_receipt(vault, &status, Some(&died))?;
        self.invocation.print(&*document, |out| show::write_erased(document, out))?;
        Ok(exit(&[status]))
    }
}

/// An error of searching for a person, for people.
pub(in crate::command) fn explain(vault: &Vault, error: PersonError) -> CliError {
    match error {
        PersonError::Vault(error) => vault.explain(error),
        PersonError::Rules { .. } | PersonError::NoSubject(_) | PersonError::Input(_) => {
            CliError::new(Kind::Usage, error.to_string()).hint("the rules file is described in docs/ERASURE.md")
        }
        PersonError::NotRows { .. } => CliError::new(Kind::Refused, error.to_string())
            .hint("name the jobs with --job, or erase the whole snapshot: lacre erase snapshot"),
        PersonError::Leftover { .. } => CliError::new(Kind::Bug, error.to_string()),
        other => CliError::new(Kind::Refused, other.to_string()),
    }
}

/// Traces fail the erasure before anything is signed, unless the rules allow them.
fn refuse_traces(search: &Search<'_>, account: &Account) -> Result<(), CliError> {
    if account.traces.is_empty() || !search.traces_fail() {
        return Ok(());
    }
    let named: Vec<String> = account
        .traces
        .iter()
        .take(TRACES_NAMED_MAX)
        .map(|(key, count)| {
            let column = key.column.as_ref().map_or_else(String::new, |column| format!(".{column}"));
            format!("{}{column}: {count} times, of {} ({})", key.place, key.identifier, key.form)
        })
        .collect();
    let what =
        format!("traces of the person would be left in {} places:\n  {}", account.traces.len(), named.join("\n  "));
    Err(CliError::new(Kind::Refused, what)
        .hint("say in the rules what becomes of those columns, or allow it there: [sweep] residue = \"report\""))
}

fn tables_of(account: &Account) -> Vec<ErasedTableEntry> {
    let is_touched = |(name, tally): &(&String, &lacre_dump::closure::Tally)| {
        tally.deleted + tally.changed + tally.kept > 0 || account.bases.contains_key(*name)
    };
    let entry = |(name, tally): (&String, &lacre_dump::closure::Tally)| ErasedTableEntry {
        table: name.clone(),
        removed: tally.deleted,
        changed: tally.changed,
        kept: tally.kept,
        bases: account.bases.get(name).cloned().unwrap_or_default(),
    };
    account.tables.iter().filter(is_touched).map(entry).collect()
}

fn traces_of(account: &Account) -> Vec<TraceEntry> {
    let entry = |(key, count): &(person::TraceKey, u64)| TraceEntry {
        place: key.place.clone(),
        column: key.column.clone(),
        identifier: key.identifier.clone(),
        form: key.form.to_owned(),
        count: *count,
    };
    account.traces.iter().map(entry).collect()
}

/// Whom, from the files, standard input, the command line or a question.
fn subject(invocation: &Invocation, args: &ErasePersonArgs) -> Result<Subject, CliError> {
    let input = |error: PersonError| CliError::new(Kind::Usage, error.to_string());
    let keys = match (&args.key, &args.key_file) {
        (Some(key), _) => {
            let advice = "--key is visible to other programs of this host; prefer --key-file, or - for standard input";
            invocation.terminal.warn(advice);
            person::read_keys(key).map_err(input)?
        }
        (None, Some(path)) => person::read_keys(&read_text(path, SUBJECT_BYTES_MAX, "key file")?).map_err(input)?,
        (None, None) if invocation.terminal.can_ask() => {
            let typed: Secret = prompt::passphrase("Key of the person")?;
            person::read_keys(typed.expose()).map_err(input)?
        }
        (None, None) => {
            return Err(CliError::new(Kind::Refused, "nobody says whom to erase, and there is no terminal to ask on")
                .hint("--key-file FILE, or --key-file - for standard input"));
        }
    };
    let mut identifiers = Vec::new();
    for path in &args.identifier_files {
        let text = read_text(path, SUBJECT_BYTES_MAX, "identifier file")?;
        identifiers.extend(person::read_identifiers(&text).map_err(input)?);
    }
    Ok(Subject { keys, identifiers })
}

fn read_text(path: &Path, bytes_max: u64, what: &str) -> Result<Zeroizing<String>, CliError> {
    let failed = |error: &io::Error| {
        CliError::new(Kind::Usage, format!("cannot read the {what} {}", path.display())).because(error)
    };
    let mut text = Zeroizing::new(String::new());
    let read = if path == Path::new("-") {
        io::stdin().lock().take(bytes_max).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(bytes_max).read_to_string(&mut text))
    };
    read.map_err(|error| failed(&error))?;
    Ok(text)
}

fn write_plan(document: &EraseResult, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "erase one person from {} snapshot(s):", document.snapshots.len())?;
    for snapshot in &document.snapshots {
        let rows = snapshot.rows_removed.unwrap_or_default();
        writeln!(out, "  {}: {} rows go", short(&snapshot.old), human::count(rows))?;
    }
    for table in &document.tables {
        let why = if table.bases.is_empty() { String::new() } else { format!(": {}", table.bases.join("; ")) };
        writeln!(
            out,
            "  {}: {} rows go, {} change, {} stay{}",
            printable(&table.table),
            human::count(table.removed),
            human::count(table.changed),
            human::count(table.kept),
            printable(&why)
        )?;
    }
    writeln!(out, "dies in every copy:     {}", human::bytes(document.bytes_dead))?;
    writeln!(out, "stays, survivors share: {}", human::bytes(document.bytes_shared))?;
    if document.forgotten > 0 {
        writeln!(out, "forgotten snapshots that die as well: {}", document.forgotten)?;
    }
    for snapshot in &document.held {
        writeln!(out, "held, keeps the person until it is released: {}", short(snapshot))?;
    }
    for session in &document.in_flight {
        writeln!(out, "will be void: the backup {} that is running now", short(session))?;
    }
    for trace in &document.traces {
        let column = trace.column.as_deref().unwrap_or("-");
        writeln!(
            out,
            "trace left: {} {}: {} times, of {} ({})",
            printable(&trace.place),
            printable(column),
            trace.count,
            printable(&trace.identifier),
            trace.form
        )?;
    }
    for column in &document.unsearched {
        writeln!(out, "not searched for: {}", printable(column))?;
    }
    for caution in &document.cautions {
        writeln!(out, "look at: {}", printable(caution))?;
    }
    writeln!(out, "complete after the next backup of: {}", document.writers.join(", "))
}
