//! Choosing what to restore and where to, on a terminal.
//!
//! In: a person's answers. Out: the arguments they stand for. Nothing is changed here; an answer that does not come is no answer.

use jiff::Timestamp;
use lacre_format::ids::SnapshotId;
use lacre_repo::op::snapshots::{SnapshotRow, SnapshotState};

use crate::{
    cli::RestoreArgs,
    config::JobSource,
    error::{CliError, Kind},
    human,
    invocation::Invocation,
    safe_url::SafeUrl,
    term::{
        self, prompt,
        table::{Align, Table},
    },
    vault::Vault,
};

/// Snapshots that are listed.
const LISTED_MAX: usize = 20;
/// How often a person may mistype.
const ATTEMPTS_MAX: u32 = 3;

/// Asks for a snapshot and a target.
///
/// # Errors
/// [`Kind::Usage`] when there is no terminal; [`Kind::Refused`] when no answer comes; [`Kind::NotFound`] when there is no snapshot.
pub(super) fn choose(
    invocation: &Invocation,
    vault: &Vault,
    args: &RestoreArgs,
) -> Result<(SnapshotId, RestoreArgs), CliError> {
    if !invocation.terminal.can_ask() || invocation.global.json {
        return Err(CliError::new(Kind::Usage, "nothing says what to restore, and there is no terminal to ask on")
            .hint(format!("lacre restore latest:{} --to postgres:///NEW --create", a_job(vault))));
    }
    let list = vault.repository.snapshots().map_err(|error| vault.explain(error))?;
    let mut live: Vec<SnapshotRow> = list.rows.into_iter().filter(|row| row.state == SnapshotState::Live).collect();
    live.reverse();
    if live.is_empty() {
        return Err(
            CliError::new(Kind::NotFound, "there is no snapshot to restore").hint("lacre snapshots    (lists them)")
        );
    }
    show(&live);
    let row = which(invocation, &live)?;
    let chosen = target(invocation, vault, row, args)?;
    Ok((row.snapshot, chosen))
}

/// A job to begin an example with: the first of the configuration, or a word for one.
fn a_job(vault: &Vault) -> &str {
    vault.settings.jobs.first().map_or("JOB", |job| job.name.as_str())
}

fn show(live: &[SnapshotRow]) {
    let mut table = Table::new(&[
        ("", Align::Right),
        ("snapshot", Align::Left),
        ("time", Align::Left),
        ("job", Align::Left),
        ("size", Align::Right),
        ("", Align::Left),
    ])
    .lowers("size");
    for (at, row) in live.iter().take(LISTED_MAX).enumerate() {
        let time = Timestamp::from_millisecond(row.taken.0).map_or_else(|_| String::new(), human::time);
        let (job, size) = row.label.as_ref().map_or_else(
            || ("?".to_owned(), String::new()),
            |label| (label.job.to_string(), human::bytes(label.bytes)),
        );
        let proved = if row.verified { "verified" } else { "" };
        table.row([(at + 1).to_string(), row.snapshot.short(), time, job, size, proved.to_owned()]);
    }
    term::talk(|err| {
        table.write(err)?;
        let more = live.len().saturating_sub(LISTED_MAX);
        let older = human::things(more, ["older one is", "older ones are"]);
        if more > 0 { writeln!(err, "{older} not listed (lacre snapshots)") } else { Ok(()) }
    });
}

fn ask(invocation: &Invocation, question: &str) -> Result<String, CliError> {
    invocation.interrupt.check()?;
    let answer = prompt::line(&invocation.terminal, question, "name everything on the command line")?;
    invocation.interrupt.check()?;
    if answer.is_empty() {
        return Err(CliError::new(Kind::Refused, "nothing was chosen; nothing was changed"));
    }
    Ok(answer)
}

/// A number of the list, or the beginning of an id.
fn which<'l>(invocation: &Invocation, live: &'l [SnapshotRow]) -> Result<&'l SnapshotRow, CliError> {
    for _ in 0..ATTEMPTS_MAX {
        let answer = ask(invocation, "Which one (number, or the beginning of its id)? ")?;
        let by_number = answer.parse::<usize>().ok().filter(|number| *number <= LISTED_MAX);
        let numbered = by_number.and_then(|number| live.get(number.checked_sub(1)?));
        let mut by_id = live.iter().filter(|row| answer.len() >= 4 && row.snapshot.to_string().starts_with(&answer));
        match (numbered, by_id.next(), by_id.next()) {
            (Some(row), ..) | (None, Some(row), None) => return Ok(row),
            _ => term::talk(|err| writeln!(err, "That is none of them.")),
        }
    }
    Err(CliError::new(Kind::Refused, "no snapshot was chosen; nothing was changed"))
}

/// Where to: beside the job's own database, in its place, or anywhere else.
fn target(
    invocation: &Invocation,
    vault: &Vault,
    row: &SnapshotRow,
    args: &RestoreArgs,
) -> Result<RestoreArgs, CliError> {
    let job = row.label.as_ref().map(|label| label.job.as_str());
    let configured = vault.settings.jobs.iter().find(|known| Some(known.name.as_str()) == job);
    let own = configured.and_then(|job| match &job.source {
        JobSource::Postgres(url) => Some(url.clone()),
        _ => None,
    });
    let mut chosen = args.clone();
    let question = match &own {
        Some(url) => {
            term::talk(|err| {
                writeln!(err, "  copy   beside {url}, as a new database")?;
                writeln!(err, "  swap   in place of {url}; what is there now is kept")?;
                writeln!(err, "  or the URL of a database, or a file for the archive (file:PATH)")
            });
            "Where to (copy, swap, URL or file:PATH)? "
        }
        None => "Where to (URL of a database, or file:PATH for the archive)? ",
    };
    let answer = ask(invocation, question)?;
    match (answer.as_str(), own) {
        ("copy", Some(url)) => {
            let name = ask(invocation, "Name of the new database? ")?;
            (chosen.to, chosen.database, chosen.create) = (Some(url), Some(name), true);
        }
        ("swap", Some(url)) => (chosen.to, chosen.create, chosen.swap) = (Some(url), true, true),
        (other, _) => match other.strip_prefix("file:") {
            Some(path) => chosen.to_file = Some(path.into()),
            None if !other.contains("://") && !other.contains('=') => {
                return Err(CliError::new(Kind::Usage, format!("'{other}' is no URL of a database"))
                    .hint("write postgres://HOST/DATABASE, or file:PATH"));
            }
            None => {
                let url: SafeUrl = other
                    .parse()
                    .map_err(|why| CliError::new(Kind::Usage, format!("'{other}' is no URL of a database: {why}")))?;
                (chosen.to, chosen.create) = (Some(url), true);
            }
        },
    }
    Ok(chosen)
}
