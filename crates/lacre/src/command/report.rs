//! `lacre report`: one look at the store, made into a page; without a file, the checklist alone.

use std::{io, path::Path};

use jiff::{Timestamp, Zoned, tz::TimeZone};
use lacre_repo::{
    files::{self, Replace},
    op::{erase::ErasureState, forget::ForgetPlan, homes::HomeRow, stats::Stored, status::Status},
};
use lacre_seal::entropy;

use super::{
    cost, forget,
    init::host_name,
    operate::{self, Copies},
};
use crate::{
    cli::{ReportArgs, value::StoreUrl},
    config::Settings,
    cost::Cost,
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    lang::Lang,
    output::{ChecklistEntry, ReportResult},
    report::{self, Answer, Facts, Item, Kind as PageKind},
    status::{Report as Verdict, Weight, disk},
    term::{
        page::{self, Lead, Page},
        table::printable,
    },
    vault::Vault,
};

/// What one look at a repository gives.
pub(super) struct Gathered {
    /// What it says.
    pub(super) status: Status,
    stored: Stored,
    verdict: Verdict,
    retention: Option<ForgetPlan>,
    homes: Vec<HomeRow>,
    disk: Option<disk::Space>,
    cost: Option<Cost>,
    host: String,
    settings: Settings,
    place: StoreUrl,
    repository: String,
}

impl Gathered {
    /// Looks at the repository once.
    ///
    /// # Errors
    /// Those of the vault; a copy that cannot be seen is a state of it.
    pub(super) fn look(vault: &Vault, copies: Copies) -> Result<Gathered, CliError> {
        let explain = |error| vault.explain(error);
        let (status, stored) = operate::look_and_count(vault, copies)?;
        let now = Zoned::new(status.now, TimeZone::system());
        let rules = |job: &lacre_format::ids::JobName| forget::configured(&vault.settings, job);
        let planned = vault.repository.plan_forget_at(&status.view, &rules, None, &now);
        let retention = match planned {
            Ok(plan) => Some(plan),
            // A host that cannot read names of jobs sees the rest all the same.
            Err(lacre_repo::Error::KeyMissing { .. }) => None,
            Err(error) => return Err(explain(error)),
        };
        let disk = match &vault.place {
            StoreUrl::Folder(path) => disk::space(path).ok(),
            StoreUrl::Remote(_) | StoreUrl::Memory => None,
        };
        let prices = vault.settings.prices.as_ref().filter(|_| copies == Copies::Looked);
        let cost = prices.map(|prices| cost::estimate(vault, prices)).transpose()?;
        Ok(Gathered {
            verdict: operate::judge(vault, &status),
            homes: vault.repository.homes(&status.view),
            status,
            stored,
            retention,
            disk,
            cost,
            host: host_name(),
            settings: vault.settings.clone(),
            place: vault.place.clone(),
            repository: vault.repository.id().to_string(),
        })
    }

    /// The facts of a page.
    pub(super) fn facts(&self, lang: Lang, since: Option<Timestamp>) -> Facts<'_> {
        Facts {
            lang,
            zone: TimeZone::system(),
            since,
            status: &self.status,
            stored: &self.stored,
            settings: &self.settings,
            verdict: &self.verdict,
            retention: self.retention.as_ref(),
            copies: &self.status.copies,
            homes: &self.homes,
            disk: self.disk,
            repository: self.repository.clone(),
            place: &self.place,
            host: self.host.clone(),
            cost: self.settings.prices.as_ref().zip(self.cost.as_ref()),
        }
    }
}

/// A number for the policy of one page.
///
/// # Errors
/// [`Kind::Bug`] when the system gives no random bytes.
pub(super) fn nonce() -> Result<String, CliError> {
    let drawn = entropy::token().map_err(|error| CliError::new(Kind::Bug, "no random bytes").because(&error))?;
    Ok(lacre_format::ids::Token::new(*drawn.as_bytes()).to_string())
}

/// Writes the page; it is exit 0 whatever the page says.
///
/// # Errors
/// Those of the vault and of the file.
pub(super) fn run(invocation: &Invocation, args: &ReportArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let copies = if args.no_copies { Copies::Left } else { Copies::Looked };
    let gathered = Gathered::look(&vault, copies)?;
    let now = Zoned::new(gathered.status.now, TimeZone::system());
    let since = args.since.as_ref().and_then(|since| since.moment(&now));
    let facts = gathered.facts(args.lang, since);
    let items = report::checklist(&facts);
    if let Some(path) = &args.html {
        let page = report::page(&facts, PageKind::File, &nonce()?);
        if path == Path::new("-") {
            return invocation.terminal.result(|out| out.write_all(page.as_bytes())).map(|()| Exit::Done);
        }
        write_page(path, &page)?;
    }
    let document = document(&facts, args, &items);
    invocation.print(&document, |out| match &document.html {
        Some(file) => writeln!(out, "the report is in {file}"),
        None => write_checklist(&items, out),
    })?;
    Ok(Exit::Done)
}

/// The page names jobs, machines and places, so it is its owner's alone until they decide otherwise.
fn write_page(path: &Path, page: &str) -> Result<(), CliError> {
    files::write_secret_file(path, page.as_bytes(), Replace::Whole)
        .map_err(|error| CliError::new(Kind::Io, format!("cannot write {}", path.display())).because(&error))
}

fn document(facts: &Facts<'_>, args: &ReportArgs, items: &[Item]) -> ReportResult {
    let is_in = |at: lacre_format::ids::Millis| facts.since.is_none_or(|since| at.0 >= since.as_millisecond());
    let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
    let status = facts.status;
    let is_open = |state| matches!(state, ErasureState::Pending | ErasureState::Interim);
    ReportResult {
        html: args.html.as_ref().map(|path| path.display().to_string()),
        lang: facts.lang.tag().to_owned(),
        ok: facts.verdict.is_good(Weight::Must),
        time: status.now.to_string(),
        since: facts.since.map(|since| since.to_string()),
        snapshots: count(status.rows.iter().filter(|row| is_in(row.taken)).count()),
        runs: count(status.runs.iter().filter(|run| is_in(run.frame.ended)).count()),
        drills: count(status.view.ledger.drills.iter().filter(|(at, _)| is_in(*at)).count()),
        erasures_open: count(status.erasures.iter().filter(|erasure| is_open(erasure.state)).count()),
        checklist: items.iter().map(entry).collect(),
    }
}

fn entry(item: &Item) -> ChecklistEntry {
    ChecklistEntry {
        question: item.question.to_owned(),
        answer: item.answer.name().to_owned(),
        evidence: item.evidence.clone(),
        command: item.command.as_deref().map(str::to_owned),
    }
}

fn write_checklist(items: &[Item], out: &mut dyn Page) -> io::Result<()> {
    for item in items {
        let mark = match item.answer {
            Answer::Yes => "ok",
            Answer::No => "!!",
            Answer::Person => "--",
        };
        page::sentence(out, Lead::plain(&format!("{mark} ")), item.question)?;
        page::sentence(out, Lead::indent(3), &printable(&item.evidence))?;
        if let Some(command) = &item.command {
            page::hint(out, 3, command)?;
        }
    }
    Ok(())
}
