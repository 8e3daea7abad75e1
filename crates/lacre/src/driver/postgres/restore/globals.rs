//! Roles and tablespaces, from the snapshot's own copy of `pg_dumpall --globals-only`.
//!
//! In: that SQL. Out: what was missing on the server. It goes statement by statement over our own connection and not through `psql`, so that
//! no backslash command can run and each failure has a name. A role that exists is left exactly as it is: its password and rights on this
//! server are newer than the snapshot.

use std::collections::BTreeSet;

use super::{SnapshotSource, read_small, sql, stream_of};
use crate::driver::postgres::{
    dump::StreamKind,
    error::{Error, Result},
    limits, quote,
    report::{Finding, Findings},
    session::Session,
};

/// Applies the globals.
pub(super) fn apply(session: &Session, source: &dyn SnapshotSource, findings: &Findings) -> Result<()> {
    let Some(stream) = stream_of(source, &StreamKind::Globals) else {
        findings.add(Finding::warning(
            "the snapshot holds no roles or tablespaces",
            "globals",
            "create the roles by hand",
        ));
        return Ok(());
    };
    let bytes = read_small(source, &stream, limits::GLOBALS_BYTES_MAX)?;
    let script =
        String::from_utf8(bytes).map_err(|_| Error::NotRestorable("its roles are not UTF-8 text".to_owned()))?;
    let existing: BTreeSet<String> = session
        .rows("listing roles", "SELECT rolname FROM pg_catalog.pg_roles")?
        .into_iter()
        .flatten()
        .flatten()
        .collect();
    for statement in sql::statements(&script) {
        let words = sql::words(&statement);
        let word = |at: usize| words.get(at).map(String::as_str).unwrap_or_default();
        let role = matches!((word(0), word(1)), ("CREATE" | "ALTER", "ROLE")).then(|| word(2).to_owned());
        if word(0) == "SET" {
            // Session settings of psql; ours are pinned.
            continue;
        }
        if let Some(role) = role.filter(|role| existing.contains(role)) {
            if word(0) == "CREATE" {
                findings.add(Finding::note(
                    "the role exists on the server and is left as it is",
                    role,
                    "nothing to do",
                ));
            }
            continue;
        }
        // A password or comment is part of the statement, so only its first words may be shown.
        let shown = quote::one_line(&words.iter().take(3).cloned().collect::<Vec<_>>().join(" "));
        match session.run(&format!("running {shown}"), &statement) {
            Ok(()) => {}
            Err(Error::Statement { sqlstate: Some(code), .. }) if code == "42710" => {
                findings.add(Finding::note("it exists on the server and is left as it is", shown, "nothing to do"));
            }
            Err(error @ Error::Statement { .. }) => {
                findings.add(Finding::warning(error.to_string(), shown, "make it by hand"));
            }
            Err(error) => return Err(error),
        }
    }
    session.pin()
}
