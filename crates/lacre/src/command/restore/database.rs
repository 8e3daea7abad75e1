//! Restoring into a database: plan, agreement, hooks, work, result.

use std::{
    io::{self, Write},
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use lacre_format::root::{Stream, StreamKind};
use lacre_repo::op::read::Snapshot;

use crate::{
    cli::RestoreArgs,
    command::{
        backup::environment,
        findings,
        restore::last_look::{Record, still_there},
    },
    driver::postgres::{
        report::Watch,
        restore::{Choice, Plan, RestoreOptions, RestoreReport, SnapshotSource, plan},
        target::Target,
        vault::VaultSource,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{RestoreResult, RestoredTable},
    safe_url::SafeUrl,
    term::{
        prompt::{Agreement, confirm_by_name},
        table::{Align, Table},
    },
    vault::{Role, Vault, explain_driver, watching},
};

/// Restores into a database.
pub(super) fn run(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    without: Option<&dyn SnapshotSource>,
    args: &RestoreArgs,
    url: &SafeUrl,
) -> Result<Exit, CliError> {
    let started = Instant::now();
    let home = vault.repository.home().directory();
    let explain = |error| explain_driver(error, Role::Target, Some(home));
    refuse_other_sources(snapshot)?;
    let target = Target::resolve(url.expose(), &environment()).map_err(explain)?;
    // Nothing is drawn while a person may be asked.
    let (line, watching) = watching(invocation);
    watching.expect_bytes(snapshot.streams().iter().map(|stream| stream.bytes).sum());
    let streams = VaultSource::new(snapshot, Arc::new(watching.clone()));
    let planned = plan(&target, without.unwrap_or(&streams), options(args)).map_err(explain);
    line.finish();
    let planned = planned?;
    agree(invocation, &planned, Agreement::from(args.yes))?;
    let record = Record::begin(invocation, vault, snapshot.id());
    let hooks = if args.no_hooks { (Vec::new(), Vec::new()) } else { hooks_of(vault) };
    let done = with_hooks(invocation, &hooks, || {
        let line = watching.resume(invocation);
        let watch: Arc<dyn Watch> = Arc::new(watching.clone());
        let restored = planned.execute(&watch, &mut |_| still_there(vault, snapshot));
        line.finish();
        restored.map_err(explain)
    });
    record.end();
    finish(invocation, done?, snapshot, started.elapsed())
}

/// Only an archive that was taken apart can become a database; where it came from does not matter.
fn refuse_other_sources(snapshot: &Snapshot<'_>) -> Result<(), CliError> {
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
fn agree(invocation: &Invocation, plan: &Plan<'_>, agreement: Agreement) -> Result<(), CliError> {
    for leftover in &plan.leftovers {
        invocation.terminal.warn(&format!(
            "the database {leftover} is left from an earlier restore; drop it when it is no longer needed"
        ));
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

fn finish(
    invocation: &Invocation,
    report: RestoreReport,
    snapshot: &Snapshot<'_>,
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
    invocation.print(&document, |out| {
        write_tables(&document, out)?;
        findings::write(&found, out)
    })?;
    Ok(findings::exit(&found))
}

fn write_tables(document: &RestoreResult, out: &mut dyn Write) -> io::Result<()> {
    let mut table = Table::new(&[("table", Align::Left), ("rows", Align::Right), ("expected", Align::Right)]);
    for restored in &document.tables {
        table.row([restored.name.clone(), human::count(restored.rows), human::count(restored.expected)]);
    }
    table.write(out)?;
    let proved = if document.verified { "every row compared and the same" } else { "row counts compared" };
    let took = human::duration(Duration::from_millis(document.duration_ms));
    writeln!(out, "database {} is restored in {took}: {proved}", document.database)?;
    match &document.kept_database {
        Some(kept) => writeln!(out, "the database before is kept as {kept}; drop it when it is no longer needed"),
        None => Ok(()),
    }
}
