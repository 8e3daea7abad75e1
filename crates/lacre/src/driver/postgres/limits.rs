//! Every bound of the driver, in one place.

use std::time::Duration;

/// Bytes of a child's standard error that are kept: the first half and the last half of this.
pub const STDERR_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one line of a child's standard error that are judged together.
pub const STDERR_LINE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of a password file, service file or certificate file that are read.
pub const CONFIG_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Hosts tried from one connection string.
pub const HOSTS_MAX: usize = 32;
/// How long one attempt to connect may take when neither the connection string nor the environment says.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a running child is looked at for an interruption.
pub const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// How long a critical query of a drill may take.
pub const CRITICAL_QUERY_TIMEOUT: Duration = Duration::from_secs(600);
/// How long a throw-away server may take to start or to stop.
pub const CLUSTER_PATIENCE: Duration = Duration::from_secs(60);
/// How long a killed child may take to disappear before the driver stops waiting for its error output.
pub const KILL_GRACE: Duration = Duration::from_secs(5);
/// Bytes of rows gathered before they go to the server as one `CopyData` message.
pub const COPY_BUFFER_BYTES: usize = 256 * 1024;
/// Bytes of one large object written by one statement.
pub const LARGE_OBJECT_CHUNK_BYTES: usize = 1024 * 1024;
/// Large objects, or bytes of them, written in one transaction.
pub const LARGE_OBJECTS_PER_TRANSACTION: u64 = 512;
/// Bytes of a table of contents that a restore accepts: it is kept in memory.
pub const TOC_BYTES_MAX: usize = 512 * 1024 * 1024;
/// Bytes of the globals that a restore accepts: they are kept in memory.
pub const GLOBALS_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Findings one restore keeps; further ones are counted.
pub const FINDINGS_MAX: usize = 1_000;
/// Side databases of earlier restores that are named.
pub const LEFTOVERS_MAX: usize = 100;
/// COPY connections a restore opens when not told otherwise.
pub const RESTORE_JOBS_DEFAULT: usize = 2;
/// COPY connections a restore opens at most.
pub const RESTORE_JOBS_MAX: usize = 64;
/// How long a swap waits for terminated sessions to disappear.
pub const SWAP_DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
/// Bytes of an identifier in PostgreSQL (`NAMEDATALEN` - 1).
pub const IDENTIFIER_BYTES_MAX: usize = 63;
/// Bytes read from a dump's pipe at once.
pub const PIPE_BUFFER_BYTES: usize = 1024 * 1024;
/// Tables whose size estimate is read for the progress total.
pub const TABLE_ESTIMATES_MAX: usize = 100_000;
/// A read from a pipe smaller than this is followed by a pause.
pub const GULP_BYTES: usize = 256 * 1024;
/// How long a pipe may fill after a small read; at 1 GB/s a mebibyte of pipe is not full yet.
pub const GULP_PAUSE: Duration = Duration::from_millis(1);
