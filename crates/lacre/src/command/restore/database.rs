//! Restoring into a database: plan, agreement, hooks, work, result.

use std::{
    io,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::read::Snapshot;

use super::outlook;
use crate::{
    cli::RestoreArgs,
    command::{
        backup::environment,
        findings,
        restore::last_look::{Record, still_there},
    },
    driver::postgres::{
        report::Watch,
        restore::{
            Choice, Plan, RestoreOptions, RestoreReport, SnapshotSource, Veto,
            drill::{Outcome, ask},
            plan,
        },
        target::Target,
        vault::VaultSource,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{RestoreResult, RestoredTable},
    person::PersonLess,
    safe_url::SafeUrl,
    term::page::Page,
    term::{
        prompt::{Agreement, confirm, confirm_by_name},
        table::{Align, Table, printable},
    },
    vault::{Role, Vault, explain_driver, watching},
};

/// Restores into a database.
pub(super) fn run(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    without: Option<&dyn PersonLess>,
    args: &RestoreArgs,
    url: &SafeUrl,
) -> Result<Exit, CliError> {
    let started = Instant::now();
    let home = vault.repository.home().directory();
    let explain = |error| explain_driver(error, Role::Target, Some(home));
    refuse_other_sources(snapshot)?;
    let target = Target::resolve(url.expose(), &environment()).map_err(explain)?;
    let target = args.database.as_ref().map_or_else(|| target.clone(), |name| target.with_database(name));
    // Nothing is drawn while a person may be asked.
    let (line, watching) = watching(invocation);
    let _shown = watching.shown(vault, "restore", Some(snapshot.job().as_str()));
    watching.expect_bytes(snapshot.streams().iter().map(|stream| stream.bytes).sum());
    let streams = VaultSource::new(snapshot, Arc::new(watching.clone()));
    let source = without.map_or(&streams as &dyn SnapshotSource, PersonLess::source);
    let planned = plan(&target, source, options(args)).map_err(explain);
    line.finish();
    let planned = planned?;
    let adds = Adds::of(&planned, args);
    let said = outlook::say(invocation, vault, snapshot, &planned, adds.as_ref());
    agree(invocation, &planned, adds.as_ref(), Agreement::from(args.yes))?;
    let smoke = if args.no_smoke { Vec::new() } else { smoke_queries(vault, snapshot) };
    let replaces = planned.state.is_filled() && args.swap && args.tables.is_empty();
    let record = Record::begin(invocation, vault, snapshot.id());
    // Hooks stop and start what uses a database that is replaced; tables arrive beside what is in use.
    let hooks = if args.no_hooks || adds.is_some() { (Vec::new(), Vec::new()) } else { hooks_of(vault) };
    let done = with_hooks(invocation, &hooks, || {
        // After the hook that stops the application, so that nothing written meanwhile is missing in it.
        if replaces && !args.no_safety_snapshot {
            save_what_is_there(invocation, vault, snapshot, &target, url)?;
        }
        let line = watching.resume(invocation);
        let watch: Arc<dyn Watch> = Arc::new(watching.clone());
        let restored = planned.execute(&watch, &mut |ready| {
            still_there(vault, snapshot.id(), without)?;
            hold_up(&target.with_database(&ready.side), &smoke).map_err(Veto::Keep)
        });
        line.finish();
        restored.map_err(explain)
    });
    record.end();
    finish(invocation, done?, snapshot, adds.as_ref(), &said, started.elapsed())
}

/// Tables that are added to a database which holds other things.
pub(super) struct Adds(String);

impl Adds {
    fn of(plan: &Plan<'_>, args: &RestoreArgs) -> Option<Adds> {
        if args.tables.is_empty() || !plan.state.is_filled() {
            return None;
        }
        let tables = args.tables.iter().map(|table| printable(table)).collect::<Vec<_>>().join(", ");
        let (noun, are) = if args.tables.len() == 1 { ("table", "is") } else { ("tables", "are") };
        let into =
            args.into_schema.as_ref().map_or_else(String::new, |schema| format!(", into schema {}", printable(schema)));
        Some(Adds(format!("{noun} {tables} {are} added to {}{into}", printable(&plan.database))))
    }

    /// What is added and where to, as `table T is added to D, into schema S`.
    pub(super) fn what(&self) -> &str {
        &self.0
    }
}

/// Only an archive that was taken apart can become a database; where it came from does not matter.
pub(in crate::command) fn refuse_other_sources(snapshot: &Snapshot<'_>) -> Result<(), CliError> {
    let is_toc = |stream: &Stream| stream.kind == StreamKind::ArchiveToc;
    if snapshot.source() == "postgres" || snapshot.streams().iter().any(is_toc) {
        return Ok(());
    }
    let what =
        format!("snapshot {} was made from {} and holds no PostgreSQL archive", snapshot.id(), snapshot.source());
    Err(CliError::new(Kind::Usage, what)
        .hint("lacre restore SNAP --to-file FILE, or --to-command \"psql -d DATABASE\" for plain SQL"))
}

fn options(args: &RestoreArgs) -> RestoreOptions {
    let choice = |wanted: bool| if wanted { Choice::Allow } else { Choice::Refuse };
    let stamp = Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
    RestoreOptions {
        create: choice(args.create),
        swap: choice(args.swap),
        end_sessions: choice(args.swap),
        globals: choice(args.globals),
        jobs: usize::from(args.jobs),
        tables: args.tables.clone(),
        into_schema: args.into_schema.clone(),
        ..RestoreOptions::careful(stamp)
    }
}

/// Asks for the database's name before something that is there is replaced.
fn agree(invocation: &Invocation, plan: &Plan<'_>, adds: Option<&Adds>, agreement: Agreement) -> Result<(), CliError> {
    for leftover in &plan.leftovers {
        invocation.terminal.warn(&format!(
            "the database {leftover} is left from an earlier restore; drop it when it is no longer needed"
        ));
    }
    if let Some(adds) = adds {
        let question = format!("The {}; nothing that is there is changed. Go on?", adds.what());
        return confirm(&invocation.terminal, agreement, &question);
    }
    if !plan.state.is_filled() {
        return Ok(());
    }
    let mut consequence = format!(
        "The database {} holds data and will be replaced; the old one is kept under another name.",
        plan.database
    );
    if !plan.sessions.is_empty() {
        let who: Vec<String> =
            plan.sessions.iter().take(5).map(|session| format!("{} {}", session.pid, session.who)).collect();
        consequence.push_str(&format!(
            " {} connected sessions will be ended: {}.",
            plan.sessions.len(),
            who.join(", ")
        ));
    }
    confirm_by_name(&invocation.terminal, agreement, &consequence, &plan.database)
}

type Argvs = Vec<Vec<String>>;

fn hooks_of(vault: &Vault) -> (Argvs, Argvs) {
    (vault.settings.hooks.before_restore.clone(), vault.settings.hooks.after_restore.clone())
}

/// Runs the hooks around the work: those after it always, also when the work or a hook before it failed.
fn with_hooks<T>(
    invocation: &Invocation,
    (before, after): &(Argvs, Argvs),
    work: impl FnOnce() -> Result<T, CliError>,
) -> Result<T, CliError> {
    let done = before.iter().try_for_each(|argv| hook(argv, "before_restore")).and_then(|()| work());
    let mut failed = None;
    for argv in after {
        if let Err(error) = hook(argv, "after_restore") {
            invocation.terminal.warn(&error.message());
            failed = failed.or(Some(error));
        }
    }
    match (done, failed) {
        (Ok(_), Some(error)) => {
            Err(error.hint("the restore itself is done; run what the hook should have done by hand"))
        }
        (done, _) => done,
    }
}

fn hook(argv: &[String], name: &str) -> Result<(), CliError> {
    let Some((program, arguments)) = argv.split_first() else { return Ok(()) };
    let what = format!("the hook {name} {program:?} failed");
    // What a hook prints is talk; stdout belongs to the result.
    let output = Command::new(program)
        .env_remove("LACRE_PASSPHRASE")
        .args(arguments)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .status()
        .map_err(|error| CliError::io(what.clone(), &error))?;
    if output.success() { Ok(()) } else { Err(CliError::new(Kind::Io, format!("{what} with {output}"))) }
}

/// The queries of lacre.toml that must return true in a database before anybody uses it.
fn smoke_queries(vault: &Vault, snapshot: &Snapshot<'_>) -> Vec<String> {
    let of_job = vault.settings.jobs.iter().find(|job| job.name.as_str() == snapshot.job().as_str());
    let own = of_job.into_iter().flat_map(|job| &job.critical);
    vault.settings.drill.critical.iter().chain(own).cloned().collect()
}

/// Asks the critical queries in the side database.
fn hold_up(side: &Target, queries: &[String]) -> Result<(), String> {
    for query in queries {
        let check = ask(side, query).map_err(|error| error.to_string())?;
        if check.outcome != Outcome::Passed {
            return Err(format!("{}: {}", check.name, check.what));
        }
    }
    Ok(())
}

/// Saves the database that is about to be replaced, under a job of its own: `latest` of the real job stays what it is. What cannot be
/// saved is no reason not to restore: the database itself is kept under another name.
fn save_what_is_there(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    target: &Target,
    url: &SafeUrl,
) -> Result<(), CliError> {
    let name = snapshot.job().safety();
    let saved = name
        .as_str()
        .parse()
        .map_err(|why: String| CliError::new(Kind::Usage, why))
        .and_then(|job| crate::command::backup::database(invocation, vault, &job, url, target.database()));
    match saved {
        Ok(id) => {
            invocation.terminal.say(&format!("what is replaced is saved as snapshot {} of job {name}", id.short()));
            Ok(())
        }
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => {
            invocation.terminal.warn(&format!(
                "what is replaced is not saved as a snapshot: {}; the database itself is kept under another name",
                error.message()
            ));
            Ok(())
        }
    }
}

fn finish(
    invocation: &Invocation,
    report: RestoreReport,
    snapshot: &Snapshot<'_>,
    adds: Option<&Adds>,
    said: &[lacre_repo::Finding],
    took: Duration,
) -> Result<Exit, CliError> {
    let mut found: Vec<lacre_repo::Finding> = report.findings.into_iter().map(Into::into).collect();
    found.extend(snapshot.corrections());
    let document = RestoreResult {
        database: report.database,
        kept_database: report.kept,
        tables: report
            .tables
            .into_iter()
            .map(|table| RestoredTable { name: table.name, rows: table.rows, expected: table.expected })
            .collect(),
        verified: report.verified,
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        findings: findings::entries(&found),
    };
    // The plan has said what was known before; here follows what came of it.
    let later: Vec<_> = found.iter().filter(|finding| !said.contains(finding)).cloned().collect();
    invocation.print(&document, |out| {
        write_tables(&document, adds, out)?;
        findings::write(&later, out)
    })?;
    Ok(findings::exit(&found))
}

fn write_tables(document: &RestoreResult, adds: Option<&Adds>, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[("table", Align::Left), ("rows", Align::Right), ("expected", Align::Right)]);
    for restored in &document.tables {
        table.row([restored.name.clone(), human::count(restored.rows), human::count(restored.expected)]);
    }
    table.write(out)?;
    let proved = if document.verified { "every row compared and the same" } else { "row counts compared" };
    let took = human::duration(Duration::from_millis(document.duration_ms));
    match adds {
        Some(adds) => writeln!(out, "{} in {took}: {proved}", adds.what())?,
        None => writeln!(out, "database {} is restored in {took}: {proved}", document.database)?,
    }
    match &document.kept_database {
        Some(kept) => writeln!(out, "the database before is kept as {kept}; drop it when it is no longer needed"),
        None => Ok(()),
    }
}
