//! Looking before touching: what the target is, what will happen to it, and whether it can work.
//!
//! In: a target, a snapshot, options. Out: a [`Plan`] that a person can be shown and asked about; nothing was changed to make it.

use std::collections::BTreeSet;

use lacre_dump::archive::{Setting, Toc};

use super::{
    Choice, Isolation, RestoreOptions, SnapshotSource, StreamRef, read_small,
    sandbox::{self, LeftOut},
    stream_of,
};
use crate::driver::postgres::{
    dump::{StreamKind, table_names},
    error::{Error, Result},
    facts::DatabaseFacts,
    limits, quote,
    report::Finding,
    session::{Reactor, Session},
    target::Target,
    tools::{Toolset, Version},
};

/// What is there under the target's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetState {
    /// Nothing.
    Missing,
    /// A database without anything in it.
    Empty,
    /// A database with this in it, in short.
    Filled(String),
}

impl TargetState {
    /// Something would be replaced.
    pub fn is_filled(&self) -> bool {
        matches!(self, Self::Filled(_))
    }
}

/// A session connected to the target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionInfo {
    /// Process number on the server.
    pub pid: i32,
    /// Role, program and address in one line.
    pub who: String,
}

/// What a restore will do.
pub struct Plan<'a> {
    /// The name the data will appear under.
    pub database: String,
    /// What is there now.
    pub state: TargetState,
    /// The side database.
    pub side: String,
    /// Sessions that a swap has to end.
    pub sessions: Vec<SessionInfo>,
    /// Side databases of earlier restores.
    pub leftovers: Vec<String>,
    /// Bytes the restored database will need, about.
    pub needed_bytes: u64,
    /// Bytes free where the server keeps its data; `None` when that cannot be known.
    pub free_bytes: Option<u64>,
    /// What will not work as recorded, already known now.
    pub findings: Vec<Finding>,
    pub(super) reactor: Reactor,
    pub(super) maintenance: Session,
    pub(super) source: &'a dyn SnapshotSource,
    pub(super) options: RestoreOptions,
    pub(super) facts: DatabaseFacts,
    pub(super) tools: Toolset,
    pub(super) toc: Toc,
    /// Dump ids of the tables asked for; `None` is everything.
    pub(super) selected: Option<BTreeSet<i32>>,
    pub(super) server: Version,
    /// What a sandbox does not make.
    pub(super) left_out: LeftOut,
}

/// Makes a plan.
///
/// # Errors
/// Those of connecting; [`Error::TargetMissing`], [`Error::TargetNotEmpty`], [`Error::NotAllowed`], [`Error::NoRoom`],
/// [`Error::NotRestorable`], [`Error::TableMissing`], [`Error::ToolMissing`], [`Error::ClientTooOld`].
pub fn plan<'a>(target: &Target, source: &'a dyn SnapshotSource, options: RestoreOptions) -> Result<Plan<'a>> {
    let facts = DatabaseFacts::from_map(source.facts())?;
    let toc = read_toc(source)?;
    let selected = select(&toc, &options)?;
    refuse_statements(&toc, &selected)?;
    let reactor = Reactor::start()?;
    let maintenance = maintenance_session(&reactor, target)?;
    maintenance.pin()?;
    let server = Version::from_number(maintenance.number("reading the server's version", "SHOW server_version_num")?);
    let archive = Version::parse(&String::from_utf8_lossy(toc.header().dump_version));
    let tools = Toolset::find("pg_restore", target.environment(), server, archive)?;
    let database = target.database().to_owned();
    let (state, own) = target_state(&reactor, &maintenance, &database)?;
    check_state(&maintenance, &database, &state, &options)?;
    // Chosen tables enter the filled database itself: no second database is made, and they are a part of the whole.
    let beside = options.tables.is_empty() || !state.is_filled();
    let needed_bytes = if beside {
        facts.size_bytes
    } else {
        table_streams(source, &selected).iter().map(|stream| stream.bytes).sum()
    };
    let free_bytes = free_bytes(&maintenance)?;
    if beside {
        check_rights(&maintenance)?;
    }
    if let Some(free) = free_bytes.filter(|free| *free < needed_bytes) {
        return Err(Error::NoRoom { free, needed: needed_bytes });
    }
    let (side, leftovers) = match options.isolation {
        Isolation::Open => super::side::choose(&maintenance, &database, &source.short_id())?,
        // What is only rehearsed is made under its own name and never renamed.
        Isolation::Sandbox => (database.clone(), Vec::new()),
    };
    let left_out = sandbox::left_out(&toc, options.isolation);
    // Our own look inside has ended, but its process may take a moment more to be gone.
    let sessions = sessions(&maintenance, &database)?.into_iter().filter(|session| Some(session.pid) != own).collect();
    let mut findings = target.findings().to_vec();
    findings.extend(tools.findings());
    findings.extend(foresee(&maintenance, &facts, server, &toc)?);
    findings.extend(leftovers.iter().map(|name| {
        Finding::note(
            "an earlier restore left a side database",
            name.clone(),
            format!("drop it when no restore uses it: dropdb {}", quote::ident(name)),
        )
    }));
    Ok(Plan {
        database,
        state,
        side,
        sessions,
        leftovers,
        needed_bytes,
        free_bytes,
        findings,
        reactor,
        maintenance,
        source,
        options,
        facts,
        tools,
        toc,
        selected,
        server,
        left_out,
    })
}

/// Reads and parses the table of contents.
pub(super) fn read_toc(source: &dyn SnapshotSource) -> Result<Toc> {
    let Some(stream) = stream_of(source, &StreamKind::Toc) else {
        let why = if stream_of(source, &StreamKind::Opaque).is_some() {
            "its archive is of a version that could not be taken apart; write it to a file and use that version's pg_restore"
        } else {
            "it holds no PostgreSQL archive"
        };
        return Err(Error::NotRestorable(why.to_owned()));
    };
    let bytes = read_small(source, &stream, limits::TOC_BYTES_MAX)?;
    Toc::parse(&bytes).map_err(|error| Error::NotRestorable(format!("its table of contents cannot be read: {error}")))
}

/// Finds the tables asked for by name.
fn select(toc: &Toc, options: &RestoreOptions) -> Result<Option<BTreeSet<i32>>> {
    if options.tables.is_empty() {
        return Ok(None);
    }
    let names = table_names(toc);
    let mut selected = BTreeSet::new();
    for wanted in &options.tables {
        let qualified = if wanted.contains('.') { wanted.clone() } else { format!("public.{wanted}") };
        let found: Vec<i32> =
            names.iter().filter(|(_, name)| **name == *wanted || **name == qualified).map(|(id, _)| *id).collect();
        if found.is_empty() {
            let last = wanted.rsplit('.').next().unwrap_or_default();
            let close = names
                .values()
                .filter(|name| name.rsplit('.').next() == Some(last) || name.contains(last))
                .take(3)
                .cloned()
                .collect();
            return Err(Error::TableMissing { table: wanted.clone(), close });
        }
        selected.extend(found);
    }
    Ok(Some(selected))
}

/// Rows that were dumped as INSERT statements are SQL, which only `pg_restore` runs.
fn refuse_statements(toc: &Toc, selected: &Option<BTreeSet<i32>>) -> Result<()> {
    let wanted = |id: i32| selected.as_ref().is_none_or(|selected| selected.contains(&id));
    match toc.tables().find(|table| wanted(table.entry.dump_id()) && table.copy.is_none()) {
        Some(table) => Err(Error::NotRestorable(format!(
            "the rows of {} are saved as statements, which only pg_restore runs: write the archive with --to-file",
            String::from_utf8_lossy(table.name)
        ))),
        None => Ok(()),
    }
}

/// Connects to a database that is not the target, so that the target can be renamed.
pub(super) fn maintenance_session(reactor: &Reactor, target: &Target) -> Result<Session> {
    let mut missing = None;
    for name in ["postgres", "template1"].into_iter().filter(|name| *name != target.database()) {
        match Session::connect(reactor, &target.with_database(name)) {
            Ok(session) => return Ok(session),
            Err(error @ Error::DatabaseMissing { .. }) => missing = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(missing.unwrap_or_else(|| Error::NotRestorable("there is no database to connect to meanwhile".to_owned())))
}

/// What is there, and the process that looked inside.
fn target_state(reactor: &Reactor, maintenance: &Session, database: &str) -> Result<(TargetState, Option<i32>)> {
    let sql = format!("SELECT datallowconn FROM pg_catalog.pg_database WHERE datname = {}", quote::literal(database));
    match maintenance.value("looking for the target", &sql)?.as_deref() {
        None => return Ok((TargetState::Missing, None)),
        Some("t") => {}
        Some(_) => {
            let what = "it does not accept connections, so nobody can look into it";
            return Ok((TargetState::Filled(what.to_owned()), None));
        }
    }
    let session = Session::connect(reactor, &maintenance.target().with_database(database))?;
    // Objects made after initdb have identifiers from 16384 on; those that belong to an extension are counted as that extension.
    let sql = "SELECT (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind IN ('r', 'p', 'f') AND oid >= 16384), \
               (SELECT count(*) FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm', 'S') AND oid >= 16384) \
               + (SELECT count(*) FROM pg_catalog.pg_proc WHERE oid >= 16384) + (SELECT count(*) FROM pg_catalog.pg_type WHERE oid >= 16384 AND typrelid = 0) \
               + (SELECT count(*) FROM pg_catalog.pg_namespace WHERE oid >= 16384 AND nspname !~ '^pg_(toast_)?temp_') \
               + (SELECT count(*) FROM pg_catalog.pg_extension WHERE oid >= 16384) + (SELECT count(*) FROM pg_catalog.pg_largeobject_metadata), \
               pg_catalog.pg_size_pretty(pg_catalog.pg_database_size(current_database())), pg_catalog.pg_backend_pid()";
    let row = session.rows("looking into the target", sql)?.into_iter().next().unwrap_or_default();
    let text = |index: usize| row.get(index).cloned().flatten().unwrap_or_default();
    let own = text(3).parse().ok();
    if text(0) == "0" && text(1) == "0" {
        return Ok((TargetState::Empty, own));
    }
    let number = |index: usize| text(index).parse::<u64>().unwrap_or_default();
    let tables = crate::human::things(number(0), ["table", "tables"]);
    let others = crate::human::things(number(1), ["other object", "other objects"]);
    Ok((TargetState::Filled(format!("{tables} and {others}, {}", text(2))), own))
}

fn check_state(maintenance: &Session, database: &str, state: &TargetState, options: &RestoreOptions) -> Result<()> {
    let target = maintenance.target().server();
    if maintenance.value("asking for the server's role", "SELECT pg_catalog.pg_is_in_recovery()")?.as_deref()
        == Some("t")
    {
        return Err(Error::NotRestorable(format!("{target} is a standby and takes no changes")));
    }
    match state {
        TargetState::Missing if options.create == Choice::Refuse => {
            Err(Error::TargetMissing { database: database.to_owned(), target })
        }
        // Chosen tables go into a filled database, as long as it does not have them yet; that is looked at where it is done.
        TargetState::Filled(_) if !options.tables.is_empty() => Ok(()),
        TargetState::Filled(contents) if options.swap == Choice::Refuse => {
            Err(Error::TargetNotEmpty { database: database.to_owned(), target, contents: contents.clone() })
        }
        _ => Ok(()),
    }
}

fn check_rights(maintenance: &Session) -> Result<()> {
    let sql = "SELECT rolsuper OR rolcreatedb FROM pg_catalog.pg_roles WHERE rolname = current_user";
    if maintenance.value("asking for rights", sql)?.as_deref() == Some("t") {
        return Ok(());
    }
    Err(Error::NotAllowed {
        user: maintenance.target().user().to_owned(),
        what: "create databases".to_owned(),
        target: maintenance.target().server(),
    })
}

/// Room on the server's disk, when the server is this machine and its folder can be seen.
fn free_bytes(maintenance: &Session) -> Result<Option<u64>> {
    if !maintenance.target().is_local() {
        return Ok(None);
    }
    let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'data_directory'";
    let Some(folder) = maintenance.value("asking for the data directory", sql)? else { return Ok(None) };
    // A loopback address may still lead into a container, whose path means nothing here: then there is no such folder, or no answer.
    Ok(rustix::fs::statvfs(folder.as_str()).ok().map(|stat| stat.f_bavail.saturating_mul(stat.f_frsize)))
}

/// Sessions of other people in a database.
pub(super) fn sessions(maintenance: &Session, database: &str) -> Result<Vec<SessionInfo>> {
    let sql = format!(
        "SELECT pid, coalesce(usename, '?') || ' (' || coalesce(nullif(application_name, ''), 'no name') || ') from ' \
         || coalesce(pg_catalog.host(client_addr), 'this machine') \
         FROM pg_catalog.pg_stat_activity WHERE datname = {} AND backend_type = 'client backend' ORDER BY pid",
        quote::literal(database)
    );
    let rows = maintenance.rows("listing sessions", &sql)?;
    Ok(rows
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(pid), Some(who)] => Some(SessionInfo { pid: pid.parse().ok()?, who: quote::one_line(who) }),
            _ => None,
        })
        .collect())
}

/// Says before the start what cannot come out as recorded: missing extensions and roles, an older server.
fn foresee(maintenance: &Session, facts: &DatabaseFacts, server: Version, toc: &Toc) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    if server.major < facts.server().major {
        findings.push(Finding::warning(
            format!("the snapshot comes from PostgreSQL {}, the target is older ({server}); some definitions may be refused", facts.server()),
            "server",
            "restore to a server of the same or a newer major version",
        ));
    }
    let available: BTreeSet<String> = maintenance
        .rows("listing extensions", "SELECT name FROM pg_catalog.pg_available_extensions")?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    for extension in facts.extensions.iter().filter(|extension| !available.contains(&extension.name)) {
        findings.push(Finding::warning(
            format!("extension {} {} is not available on the target server", extension.name, extension.version),
            extension.name.clone(),
            "install its package on the server before restoring",
        ));
    }
    let roles: BTreeSet<String> = maintenance
        .rows("listing roles", "SELECT rolname FROM pg_catalog.pg_roles")?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    let owners: BTreeSet<String> = toc
        .entries()
        .map(|entry| String::from_utf8_lossy(entry.owner()).into_owned())
        .chain([facts.owner.clone()])
        .filter(|owner| !owner.is_empty() && !roles.contains(owner))
        .collect();
    for owner in owners {
        findings.push(Finding::warning(
            format!("role {owner:?} owns objects of the snapshot and does not exist on the target server"),
            owner,
            "restore with --globals, or create the role",
        ));
    }
    Ok(findings)
}

/// The encoding all text of the archive is in.
pub(super) fn encoding(toc: &Toc) -> String {
    toc.setting(Setting::Encoding)
        .map_or_else(|| "UTF8".to_owned(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The streams that hold rows of tables, of the chosen tables if some were chosen.
pub(super) fn table_streams(source: &dyn SnapshotSource, selected: &Option<BTreeSet<i32>>) -> Vec<StreamRef> {
    let chosen = |stream: &&StreamRef| match (selected, stream.dump_id) {
        (Some(selected), Some(id)) => selected.contains(&id),
        (Some(_), None) => false,
        (None, _) => true,
    };
    source.streams().iter().filter(|stream| stream.kind == StreamKind::Table).filter(chosen).cloned().collect()
}
