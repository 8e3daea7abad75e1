//! What can go wrong between Lacre and PostgreSQL, each with what to do next.

use std::{io, path::PathBuf};

/// How the caller should react; maps onto the exit codes of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The connection string, an option or a file it names is wrong.
    Usage,
    /// The database, role or file is not there.
    NotFound,
    /// The server answers and does not let this user in.
    Denied,
    /// The server cannot be reached now; trying again may help.
    Unavailable,
    /// The source failed while it was being read; nothing was committed.
    SourceFailed,
    /// A safety rule refused.
    Refused,
    /// What was restored is not what was saved.
    Damaged,
    /// A step failed for a reason that is in the message.
    Failed,
    /// A person interrupted.
    Interrupted,
}

/// Why the PostgreSQL driver stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The connection string cannot be understood.
    #[error("cannot understand the connection string: {0}")]
    ConnectionString(String),
    /// A setting is known but its value is not accepted, or cannot be honoured here.
    #[error("connection parameter {name} cannot be {value:?}: {why}")]
    Parameter {
        /// Name as libpq spells it.
        name: String,
        /// The value as given; never a password.
        value: String,
        /// Why it is refused.
        why: String,
    },
    /// The service is in no service file.
    #[error("service {service:?} is not defined in {looked_in}")]
    ServiceNotFound {
        /// The name asked for.
        service: String,
        /// The files that were read.
        looked_in: String,
    },
    /// A file of the connection cannot be used.
    #[error("cannot use {path} as {role}: {why}", path = path.display())]
    ConnectionFile {
        /// The file.
        path: PathBuf,
        /// What it was wanted for.
        role: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// No host answered.
    #[error("cannot connect to {target}: {why}")]
    Unreachable {
        /// Redacted description of the server.
        target: String,
        /// One reason per host tried.
        why: String,
    },
    /// The server does not accept this user and password.
    #[error("{target} refuses the log-in of {user}: {why}")]
    AuthFailed {
        /// Redacted description of the server.
        target: String,
        /// The user that tried.
        user: String,
        /// The server's words.
        why: String,
    },
    /// The database does not exist.
    #[error("database {database:?} does not exist on {target}")]
    DatabaseMissing {
        /// The database asked for.
        database: String,
        /// Redacted description of the server.
        target: String,
    },
    /// TLS could not be set up as `sslmode` asks.
    #[error("TLS to {target} failed: {why}")]
    Tls {
        /// Redacted description of the server.
        target: String,
        /// What was wrong.
        why: String,
    },
    /// A connection pooler that hands one session to many clients is in the way.
    #[error("{target} is a connection pooler, not PostgreSQL itself: {why}")]
    Pooler {
        /// Redacted description of the server.
        target: String,
        /// How it was recognised.
        why: String,
    },
    /// A statement failed.
    #[error("{doing} failed on {target}: {why}")]
    Statement {
        /// What the driver was doing.
        doing: String,
        /// Redacted description of the database.
        target: String,
        /// The server's words, with its SQLSTATE.
        why: String,
        /// Five-character SQLSTATE, when the server sent one.
        sqlstate: Option<String>,
    },
    /// The connection broke.
    #[error("the connection to {target} broke while {doing}: {why}")]
    ServerGone {
        /// What the driver was doing.
        doing: String,
        /// Redacted description of the database.
        target: String,
        /// What the operating system or the server said last.
        why: String,
    },
    /// A PostgreSQL client program is not installed.
    #[error("{tool} is not installed; looked in {looked_in}")]
    ToolMissing {
        /// Name of the program.
        tool: &'static str,
        /// Folders that were searched.
        looked_in: String,
        /// Major version of the server, when known.
        server_major: Option<u32>,
    },
    /// The newest client program found is older than the server.
    #[error("{tool} {client} cannot read a PostgreSQL {server} server; found: {found}")]
    ClientTooOld {
        /// Name of the program.
        tool: &'static str,
        /// Newest version found.
        client: String,
        /// The server's version.
        server: String,
        /// Every version found, with its folder.
        found: String,
        /// Major version the server needs.
        server_major: u32,
    },
    /// A standby that may hand out an inconsistent dump.
    #[error("{target} is a standby running PostgreSQL {server}, which can export wrong snapshots during recovery")]
    StandbyUnsafe {
        /// Redacted description of the server.
        target: String,
        /// The server's version.
        server: String,
        /// The first minor version that is right.
        fixed_in: String,
    },
    /// A program could not be started.
    #[error("cannot run {tool}: {source}")]
    Spawn {
        /// Path of the program.
        tool: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A program ended badly.
    #[error("{tool} of {target} failed ({status}): {stderr}")]
    ToolFailed {
        /// Name of the program.
        tool: String,
        /// Redacted description of the database.
        target: String,
        /// Exit status or signal.
        status: String,
        /// The end of what it said.
        stderr: String,
    },
    /// `pg_dump` ended well but wrote nothing.
    #[error("pg_dump of {target} ended well but wrote nothing")]
    DumpEmpty {
        /// Redacted description of the database.
        target: String,
    },
    /// `pg_dump` ended well but its archive stops in the middle.
    #[error("the dump of {target} is cut short after {bytes} bytes: {why}")]
    DumpTruncated {
        /// Redacted description of the database.
        target: String,
        /// Bytes read.
        bytes: u64,
        /// What is missing.
        why: String,
    },
    /// What came out of `pg_dump` is not an archive.
    #[error("the dump of {target} is not an archive ({bytes} bytes read): {why}")]
    Garbage {
        /// Redacted description of the database.
        target: String,
        /// Bytes read.
        bytes: u64,
        /// What was found instead.
        why: String,
    },
    /// The place the dump goes to failed.
    #[error("cannot store the dump of {target}: {source}")]
    Sink {
        /// Redacted description of the database.
        target: String,
        /// The receiving side's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The place the snapshot comes from failed.
    #[error("cannot read {stream} of the snapshot: {source}")]
    Source {
        /// Name of the stream.
        stream: String,
        /// The giving side's error.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The snapshot holds something this driver cannot restore.
    #[error("the snapshot cannot be restored into a database: {0}")]
    NotRestorable(String),
    /// A table asked for is not in the snapshot.
    #[error("table {table:?} is not in the snapshot")]
    TableMissing {
        /// Name as asked for.
        table: String,
        /// Names that look alike.
        close: Vec<String>,
    },
    /// The target must be created and nobody asked for it.
    #[error("database {database:?} does not exist on {target}")]
    TargetMissing {
        /// The database to restore into.
        database: String,
        /// Redacted description of the server.
        target: String,
    },
    /// The target holds something and nobody asked to swap it.
    #[error("database {database:?} on {target} is not empty: {contents}")]
    TargetNotEmpty {
        /// The database to restore into.
        database: String,
        /// Redacted description of the server.
        target: String,
        /// What it holds, in short.
        contents: String,
    },
    /// The tables to restore are there already.
    #[error("database {database:?} on {target} has {tables} already, and rows are not mixed")]
    TablesThere {
        /// The database to restore into.
        database: String,
        /// Redacted description of the server.
        target: String,
        /// Their names, as they would be restored.
        tables: String,
    },
    /// A database has the name of a scratch database and does not say that it is one.
    #[error("database {database:?} on {target} has the name this drill needs and is not a scratch database of Lacre's")]
    ScratchTaken {
        /// Its name.
        database: String,
        /// Redacted description of the server.
        target: String,
    },
    /// A throw-away server did not start.
    #[error("a throw-away PostgreSQL server could not be started in {folder}: {why}", folder = folder.display())]
    ClusterFailed {
        /// Where.
        folder: PathBuf,
        /// What it said.
        why: String,
    },
    /// The role may not do what a restore needs.
    #[error("role {user} may not {what} on {target}")]
    NotAllowed {
        /// The role.
        user: String,
        /// The right that is missing.
        what: String,
        /// Redacted description of the server.
        target: String,
    },
    /// There is no room for a second copy.
    #[error("not enough room on the server's disk: {free} bytes are free, about {needed} are needed")]
    NoRoom {
        /// Bytes free in the data directory's file system.
        free: u64,
        /// Bytes the restored database will need.
        needed: u64,
    },
    /// Sessions hold the database that must be renamed.
    #[error("{count} sessions are connected to {database:?}: {sessions}")]
    SessionsConnected {
        /// The database.
        database: String,
        /// How many.
        count: usize,
        /// Who they are.
        sessions: String,
    },
    /// The restored rows are not the saved rows; the side database was kept for a look and nothing was renamed.
    #[error("what was restored into {side:?} is not what was saved: {what}")]
    RowsDiffer {
        /// The side database.
        side: String,
        /// The tables and how they differ.
        what: String,
    },
    /// Something failed halfway; the side database was removed or is named here.
    #[error("the restore stopped, nothing under {target:?} was touched: {source}")]
    Stopped {
        /// The name the restore was to appear under.
        target: String,
        /// Side database that is still there, if any.
        left: Option<String>,
        /// Why it stopped.
        #[source]
        source: Box<Error>,
    },
    /// The swap could not be completed.
    #[error("the swap of {target:?} did not happen: {why}")]
    SwapFailed {
        /// The database's name.
        target: String,
        /// The verified side database, still there.
        side: String,
        /// What failed and what state things are in.
        why: String,
    },
    /// The last look before the visible step said no.
    #[error("the restore into {side:?} is complete but must not be shown: {why}")]
    Vetoed {
        /// The verified side database, still there.
        side: String,
        /// The reason given.
        why: String,
    },
    /// The last look said that nobody may have what was restored any more; it is gone, or it is said why not.
    #[error("the restore into {side:?} must not be shown, and {}: {why}", match left {
        None => "was removed".to_owned(),
        Some(error) => format!("could not be removed ({error})"),
    })]
    Withdrawn {
        /// The side database.
        side: String,
        /// The reason given.
        why: String,
        /// Why it is still there, if it is.
        left: Option<Box<Error>>,
    },
    /// The last look before the transaction's end said no.
    #[error("nothing was restored into {database:?}: {why}")]
    RolledBack {
        /// The database, which is as it was.
        database: String,
        /// The reason given.
        why: String,
    },
    /// Reading or writing a local file, pipe or memory file failed.
    #[error("{doing}: {source}")]
    Io {
        /// What the driver was doing.
        doing: String,
        /// The operating system's reason.
        #[source]
        source: io::Error,
    },
    /// A person interrupted.
    #[error("interrupted while {0}")]
    Cancelled(String),
}

impl Error {
    /// Says how to react.
    pub fn kind(&self) -> Kind {
        match self {
            Self::ConnectionString(_)
            | Self::Parameter { .. }
            | Self::ServiceNotFound { .. }
            | Self::ConnectionFile { .. }
            | Self::TableMissing { .. }
            | Self::Pooler { .. } => Kind::Usage,
            Self::DatabaseMissing { .. } | Self::TargetMissing { .. } | Self::ToolMissing { .. } => Kind::NotFound,
            Self::AuthFailed { .. } => Kind::Denied,
            Self::Unreachable { .. } | Self::Tls { .. } => Kind::Unavailable,
            Self::ServerGone { .. }
            | Self::ClientTooOld { .. }
            | Self::StandbyUnsafe { .. }
            | Self::ToolFailed { .. }
            | Self::DumpEmpty { .. }
            | Self::DumpTruncated { .. }
            | Self::Garbage { .. } => Kind::SourceFailed,
            Self::TargetNotEmpty { .. }
            | Self::TablesThere { .. }
            | Self::ScratchTaken { .. }
            | Self::NotAllowed { .. }
            | Self::NoRoom { .. }
            | Self::SessionsConnected { .. }
            | Self::Vetoed { .. }
            | Self::Withdrawn { .. }
            | Self::RolledBack { .. } => Kind::Refused,
            Self::RowsDiffer { .. } => Kind::Damaged,
            Self::Stopped { source, .. } => source.kind(),
            Self::Cancelled(_) => Kind::Interrupted,
            Self::Statement { .. }
            | Self::Spawn { .. }
            | Self::Sink { .. }
            | Self::Source { .. }
            | Self::NotRestorable(_)
            | Self::SwapFailed { .. }
            | Self::ClusterFailed { .. }
            | Self::Io { .. } => Kind::Failed,
        }
    }

    /// The next thing to type or to change, when there is one.
    pub fn hint(&self) -> Option<String> {
        let text = match self {
            Self::ConnectionString(_) => "write it as postgres://user@host:5432/database or \"host=... dbname=...\"".to_owned(),
            Self::ServiceNotFound { .. } => "add the service to ~/.pg_service.conf or set PGSERVICEFILE".to_owned(),
            Self::Unreachable { .. } => "check host and port; `pg_isready -h HOST -p PORT` tells whether the server accepts connections".to_owned(),
            Self::AuthFailed { user, why, .. } if why.contains("does not exist") => {
                format!("name another user in the URL, or have the role made: CREATE ROLE {user} LOGIN")
            }
            Self::AuthFailed { why, .. } if why.contains("no pg_hba.conf entry") => {
                "the server's pg_hba.conf has no line that lets this user in from here".to_owned()
            }
            Self::AuthFailed { user, why, .. } if why.contains("not permitted to log in") => {
                format!("name another user in the URL, or: ALTER ROLE {user} LOGIN")
            }
            Self::AuthFailed { .. } => {
                "put the password into ~/.pgpass (mode 0600) as host:port:database:user:password, or set PGPASSWORD".to_owned()
            }
            Self::Tls { .. } => "sslmode=verify-full needs sslrootcert=FILE (or sslrootcert=system) and a host name the certificate carries".to_owned(),
            Self::Pooler { .. } => "connect to the server's own port; a dump needs one real session from beginning to end".to_owned(),
            Self::ToolMissing { server_major, .. } => install_hint(*server_major),
            Self::ClientTooOld { server_major, .. } => install_hint(Some(*server_major)),
            Self::StandbyUnsafe { fixed_in, .. } => format!("update the standby to {fixed_in} or back up the primary"),
            Self::DatabaseMissing { .. } => "`psql -l` lists the databases of the server".to_owned(),
            Self::TargetMissing { .. } => "add --create to have it created".to_owned(),
            Self::TargetNotEmpty { .. } => "add --swap to restore beside it and rename; the old one is kept".to_owned(),
            Self::TablesThere { .. } => "add --into-schema NAME to put them beside, into a schema where they are not".to_owned(),
            Self::ScratchTaken { .. } => "look into it, then rename or drop it; Lacre removes only what says that it is its own".to_owned(),
            Self::ClusterFailed { .. } => "name a server instead: [drill] server in lacre.toml, or --server URL".to_owned(),
            Self::NotAllowed { what, user, .. } if what.contains("create databases") => format!("ALTER ROLE {user} CREATEDB, or restore as a superuser"),
            Self::TableMissing { close, .. } if !close.is_empty() => format!("did you mean {}", close.join(", ")),
            Self::TableMissing { .. } => "`lacre ls SNAPSHOT` lists the tables; a name is schema.table".to_owned(),
            Self::NoRoom { .. } => "free space in the server's data directory, or restore to another server".to_owned(),
            Self::SessionsConnected { .. } => "stop the application, or let the swap end these sessions".to_owned(),
            Self::RowsDiffer { side, .. } => format!("the database {side:?} was kept for comparison; drop it when done"),
            Self::SwapFailed { side, .. } | Self::Vetoed { side, .. } => format!("the restored database is {side:?}; rename it when the reason is gone"),
            Self::Withdrawn { side, left: Some(_), .. } => format!("it holds what is being erased; remove it with: dropdb {side:?}"),
            Self::Stopped { left: Some(side), .. } => format!("remove what is left with: dropdb {side:?}"),
            Self::Stopped { source, .. } => return source.hint(),
            Self::ToolFailed { stderr, .. } if stderr.contains("permission denied") => {
                "the role must read every table: GRANT pg_read_all_data TO role (PostgreSQL 14 and newer)".to_owned()
            }
            Self::ToolFailed { stderr, .. } if stderr.contains("row-level security") || stderr.contains("row security") => {
                "the role must bypass row-level security: ALTER ROLE role BYPASSRLS".to_owned()
            }
            _ => return None,
        };
        Some(text)
    }
}

/// Names the package that brings client programs of one major version.
fn install_hint(server_major: Option<u32>) -> String {
    match server_major {
        Some(major) => format!(
            "install the package postgresql-client-{major} (Debian, Ubuntu) or postgresql{major} (RHEL), or point LACRE_PG_BIN at its bin folder"
        ),
        None => "install the package postgresql-client, or point LACRE_PG_BIN at the folder that holds it".to_owned(),
    }
}

/// What driver functions return.
pub type Result<T> = std::result::Result<T, Error>;
