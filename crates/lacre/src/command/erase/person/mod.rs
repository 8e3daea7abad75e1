//! `lacre erase person`: rules, whom, plan, confirmation, intent, successors, change of the seal, receipt.

mod carry;
mod plan;
mod resume;
mod whom;

use std::path::PathBuf;

use lacre_dump::rules::Residue;
use lacre_format::{
    erasure::Purpose,
    ids::{JobName, Millis, Token},
};
use lacre_repo::op::{
    erase::{EraseReason, person::PersonScope},
    rotate::RotateOptions,
};

pub(in crate::command) use self::carry::refuse_traces;
pub(super) use self::resume::resume;
use self::{carry::Asked, whom::Named};
use super::{copies, exit, find, hook, intended, is_due, kits, request_hash, settle, show, waits_for};
use crate::{
    cli::ErasePersonArgs,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::EraseResult,
    person::{Account, PersonError, Search},
    term::prompt::{self, Agreement},
    vault::{Vault, short},
};

/// Erases a person.
///
/// # Errors
/// [`Kind::Usage`] for rules that do not fit; [`Kind::Refused`] for traces that are left, and where nobody confirmed.
pub(super) fn run(invocation: &Invocation, vault: &Vault, args: &ErasePersonArgs) -> Result<Exit, CliError> {
    let named = Named::asked(invocation, args)?;
    let keys = vault.read_keys(invocation, &args.options.kit)?;
    let asked = Asked { invocation, vault, keys: &keys, named };
    let scope = scope(vault, args)?;
    if !args.options.dry_run
        && let Some(erasure) = rewritten(&asked, &scope)?
    {
        let mut document = plan::going_on(vault, erasure)?;
        return finish(invocation, vault, &args.options.kit, erasure, &mut document);
    }
    let (mut search, account) = asked.search(&scope)?;
    let mut document = plan::document(vault, &scope, &search, &account)?;
    if args.options.dry_run {
        if is_nowhere(&scope, &account) {
            "nothing".clone_into(&mut document.state);
            invocation.print(&document, |out| plan::write_nothing(&document, out))?;
            return Ok(Exit::Done);
        }
        if search.residue() == Residue::Fail && !account.traces.is_empty() {
            invocation.terminal.warn("as the rules are, this erasure would be refused because of the traces it leaves");
        }
        invocation.print(&document, |out| plan::write(&document, out))?;
        return Ok(Exit::Done);
    }
    refuse_traces(search.residue(), &account)?;
    if is_nowhere(&scope, &account) && unfinished(&asked, &search)?.is_none() {
        "nothing".clone_into(&mut document.state);
        invocation.print(&document, |out| plan::write_nothing(&document, out))?;
        return Ok(Exit::Done);
    }
    invocation.terminal.say(&show::text(|out| plan::write(&document, out)));
    confirm(invocation, args, &scope)?;
    let erasure = match unfinished(&asked, &search)? {
        Some(erasure) => erasure,
        None => intend(invocation, vault, args, &scope, &mut document)?,
    };
    document.erasure = Some(erasure.to_string());
    let go_on = |error: CliError| {
        error.hint(format!(
            "the intent stands: run the same command again to go on, or give it up: lacre erase cancel {erasure}"
        ))
    };
    asked.carry_out(&mut search, account, &scope, erasure, &mut document).map_err(go_on)?;
    drop(search);
    finish(invocation, vault, &args.options.kit, erasure, &mut document)
}

/// Whether the change of the seal would take nothing of the person from anywhere.
fn is_nowhere(scope: &PersonScope, account: &Account) -> bool {
    let is_touched = account.snapshots.iter().any(|(removed, changed)| removed + changed > 0);
    !is_touched
        && account.traces.is_empty()
        && scope.held.is_empty()
        && scope.forgotten.is_empty()
        && scope.in_flight.is_empty()
}

fn scope(vault: &Vault, args: &ErasePersonArgs) -> Result<PersonScope, CliError> {
    let jobs: Result<Vec<JobName>, _> = args.jobs.iter().map(|job| JobName::parse(&job.to_string())).collect();
    let jobs = jobs.map_err(|error| CliError::new(Kind::Usage, "that is no job name").because(&error))?;
    let scope = vault.repository.scope_person(&jobs).map_err(|error| vault.explain(error))?;
    if !scope.covered.is_empty() {
        return Ok(scope);
    }
    let what =
        if scope.held.is_empty() { "there is no snapshot to erase a person from" } else { "every snapshot is held" };
    Err(CliError::new(Kind::Refused, what).hint("lacre snapshots shows them; lacre release ends a hold"))
}

/// What cannot be taken back is confirmed by the job's name.
fn confirm(invocation: &Invocation, args: &ErasePersonArgs, scope: &PersonScope) -> Result<(), CliError> {
    let job = scope.jobs.first().map_or_else(|| "erase".to_owned(), ToString::to_string);
    let consequence = format!(
        "One person's rows leave {}, and become unreadable in every copy ever made. This cannot be taken back.",
        human::things(scope.covered.len(), ["snapshot", "snapshots"])
    );
    prompt::confirm_by_name(&invocation.terminal, Agreement::from(args.options.yes), &consequence, &job)
}

/// Signs the intent, and tells everybody who is to be told.
fn intend(
    invocation: &Invocation,
    vault: &Vault,
    args: &ErasePersonArgs,
    scope: &PersonScope,
    document: &mut EraseResult,
) -> Result<Token, CliError> {
    // What died before it said whom it is about would stand in the way of every later one.
    for nameless in vault.repository.nameless_persons(&scope.jobs).map_err(|error| vault.explain(error))? {
        vault.repository.cancel_erase(nameless).map_err(|error| vault.explain(error))?;
        let id = short(&nameless.to_string()).to_owned();
        invocation.terminal.say(&format!("erasure {id} ended before it said whom it is about: it is given up"));
    }
    let (request, salt) = request_hash(&args.options)?;
    document.request_salt = salt;
    let not_before = args.options.not_before.map(|at| Millis(at.as_millisecond()));
    let reason = EraseReason { code: args.options.reason.clone(), request, not_before };
    let erasure = vault.repository.intend_person(scope, &reason).map_err(|error| vault.explain(error))?;
    let counts = hook::Counts {
        snapshots: scope.covered.len(),
        bytes_dead: document.bytes_dead,
        bytes_shared: document.bytes_shared,
    };
    intended(invocation, vault, erasure, &counts);
    Ok(erasure)
}

/// An erasure of the very same person that was begun and not finished.
fn unfinished(asked: &Asked<'_>, search: &Search<'_>) -> Result<Option<Token>, CliError> {
    let begun = asked.vault.repository.unfinished_persons().map_err(|error| asked.vault.explain(error))?;
    let found = begun.into_iter().find(|erasure| asked.is_about(*erasure, search));
    if let Some(erasure) = found {
        asked.invocation.terminal.say(&format!("going on with erasure {}", short(&erasure.to_string())));
    }
    Ok(found)
}

/// An erasure of the very same person whose snapshots all have successors: only the change of the seal is missing.
fn rewritten(asked: &Asked<'_>, scope: &PersonScope) -> Result<Option<Token>, CliError> {
    let repository = &asked.vault.repository;
    let waiting = repository.rewritten_persons().map_err(|error| asked.vault.explain(error))?;
    let unfinished = repository.unfinished_persons().map_err(|error| asked.vault.explain(error))?;
    let waiting: Vec<Token> = waiting.into_iter().filter(|erasure| !unfinished.contains(erasure)).collect();
    if waiting.is_empty() {
        return Ok(None);
    }
    let Some(search) = asked.open(scope, std::sync::Arc::new(lacre_repo::Silent))? else { return Ok(None) };
    let found = waiting.into_iter().find(|erasure| asked.is_about(*erasure, &search));
    if let Some(erasure) = found {
        let id = short(&erasure.to_string()).to_owned();
        asked.invocation.terminal.say(&format!("going on with erasure {id}: its snapshots have their successors"));
    }
    Ok(found)
}

/// Changes the seal, so that only the successors are carried over, and writes the receipt.
fn finish(
    invocation: &Invocation,
    vault: &Vault,
    sheets: &[PathBuf],
    erasure: Token,
    document: &mut EraseResult,
) -> Result<Exit, CliError> {
    let died = vault.repository.account_of(erasure).map_err(|error| vault.explain(error))?;
    (document.bytes_dead, document.bytes_shared) = (died.bytes_dead, died.bytes_shared);
    let mut waiting = Vec::new();
    if is_due(&find(vault, &erasure.to_string())?) {
        let rotate =
            RotateOptions { purpose: Purpose::Erase, copies: copies(invocation, vault)?, ..RotateOptions::default() };
        let report = vault.repository.rotate(&rotate, &kits(vault, sheets)?).map_err(|error| {
            vault.explain(error).hint(format!("the successors are made and the intent stands; go on with: lacre erase resume, or give it up: lacre erase cancel {erasure}"))
        })?;
        super::super::findings::warn(invocation, &report.findings);
        waiting = waits_for(report.state);
        vault.repository.drop_suppressions().map_err(|error| vault.explain(error))?;
    }
    let status = settle(vault, erasure, waiting, &died, document)?;
    invocation.print(&*document, |out| show::write_erased(document, out))?;
    Ok(exit(&[status]))
}

/// An error of searching for a person, for people.
pub(in crate::command) fn explain(vault: &Vault, error: PersonError) -> CliError {
    match error {
        PersonError::Vault(error) => vault.explain(error),
        PersonError::Rules { .. } | PersonError::NoSubject(_) | PersonError::Input(_) => {
            CliError::new(Kind::Usage, error.to_string()).hint("the rules file is described in docs/ERASURE.md")
        }
        PersonError::NotRows { .. } => CliError::new(Kind::Refused, error.to_string())
            .hint("name the jobs with --job, or erase the whole snapshot: lacre erase snapshot")
            .hint("or let the rules say that it is only searched for identifiers: [sweep] other = \"sweep\""),
        PersonError::Leftover { .. } => CliError::new(Kind::Bug, error.to_string()),
        other => CliError::new(Kind::Refused, other.to_string()),
    }
}
