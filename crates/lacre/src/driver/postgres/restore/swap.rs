//! The visible step: one transaction that renames the old database away and the side database into its place.
//!
//! Both renames are in one transaction, so there is no moment at which neither or both exist under the name, whenever anybody dies. Renaming
//! takes a lock that new connections wait for; the sessions still connected are ended while it waits. Nothing like
//! `ALLOW_CONNECTIONS false`, which would outlive a crash, is needed.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::{Choice, Plan, TargetState, plan::sessions, properties, side};
use crate::driver::postgres::{
    error::{Error, Result},
    limits, quote,
    report::Finding,
    session::Session,
};

/// How often sessions are ended while the rename waits for them.
const ENDING_INTERVAL: Duration = Duration::from_millis(100);
/// SQLSTATE of a database that others use.
const IN_USE: &str = "55006";

/// What the visible step did.
pub(super) struct Shown {
    pub(super) kept: Option<String>,
    pub(super) ended_sessions: Vec<String>,
    pub(super) findings: Vec<Finding>,
}

/// Refuses a swap under people's feet before any work is done.
pub(super) fn refuse_connected(plan: &Plan<'_>) -> Result<()> {
    let connected = sessions(&plan.maintenance, &plan.database)?;
    if connected.is_empty() {
        return Ok(());
    }
    Err(connected_error(&plan.database, &connected))
}

fn connected_error(database: &str, connected: &[super::SessionInfo]) -> Error {
    let list = connected
        .iter()
        .take(5)
        .map(|session| format!("{} {}", session.pid, session.who))
        .collect::<Vec<_>>()
        .join(", ");
    Error::SessionsConnected { database: database.to_owned(), count: connected.len(), sessions: list }
}

/// Renames.
pub(super) fn show(plan: &Plan<'_>) -> Result<Shown> {
    let mut shown = Shown { kept: None, ended_sessions: Vec::new(), findings: Vec::new() };
    let name = quote::ident(&plan.database);
    let mut sql = String::from("BEGIN; ");
    let kept = (plan.state != TargetState::Missing)
        .then(|| side::suffixed(&plan.database, &format!("_before_{}", plan.options.stamp)));
    if let Some(kept) = &kept {
        sql.push_str(&format!("ALTER DATABASE {name} RENAME TO {}; ", quote::ident(kept)));
    }
    sql.push_str(&format!("ALTER DATABASE {} RENAME TO {name}; ", quote::ident(&plan.side)));
    sql.push_str(&properties::last_statements(&plan.facts, &plan.database));
    sql.push_str("COMMIT");
    rename(plan, &sql, &mut shown)?;
    if let Some(kept) = kept {
        if plan.state == TargetState::Empty {
            drop_empty(plan, &kept, &mut shown);
        } else {
            shown.kept = Some(kept);
        }
    }
    Ok(shown)
}

/// Runs the transaction, ending sessions beside it, until it succeeds or the time is up.
fn rename(plan: &Plan<'_>, sql: &str, shown: &mut Shown) -> Result<()> {
    let failed = |why: String| Error::SwapFailed { target: plan.database.clone(), side: plan.side.clone(), why };
    let deadline = Instant::now() + limits::SWAP_DRAIN_TIMEOUT;
    loop {
        let outcome = thread::scope(|scope| {
            let renaming = scope.spawn(|| plan.maintenance.run("renaming the databases", sql));
            let ended = end_sessions(plan, || renaming.is_finished(), shown);
            let outcome = renaming.join().unwrap_or_else(|_| Err(failed("the renaming thread died".to_owned())));
            (outcome, ended)
        });
        let error = match outcome {
            (Ok(()), _) => return Ok(()),
            (Err(error), ended) => {
                // The session is inside a failed transaction; without this every later statement fails too.
                plan.maintenance.run("giving the rename up", "ROLLBACK")?;
                ended.map_err(|error| failed(error.to_string()))?;
                error
            }
        };
        let connected = sessions(&plan.maintenance, &plan.database)?;
        if side::sqlstate(&error) != Some(IN_USE) {
            side::mark_complete(plan)?;
            return Err(failed(error.to_string()));
        }
        if Instant::now() >= deadline || (plan.options.end_sessions == Choice::Refuse && !connected.is_empty()) {
            side::mark_complete(plan)?;
            return Err(if connected.is_empty() {
                failed(error.to_string())
            } else {
                failed(connected_error(&plan.database, &connected).to_string())
            });
        }
    }
}

/// Ends the sessions of the old database, again and again while the rename holds new ones back.
fn end_sessions(plan: &Plan<'_>, done: impl Fn() -> bool, shown: &mut Shown) -> Result<()> {
    if plan.state == TargetState::Missing || plan.options.end_sessions == Choice::Refuse {
        return Ok(());
    }
    let killer = Session::connect(&plan.reactor, plan.maintenance.target())?;
    while !done() {
        for session in sessions(&killer, &plan.database)? {
            killer.run("ending a session", &format!("SELECT pg_catalog.pg_terminate_backend({})", session.pid))?;
            if !shown.ended_sessions.contains(&session.who) {
                shown.ended_sessions.push(session.who);
            }
        }
        thread::sleep(ENDING_INTERVAL);
    }
    Ok(())
}

/// Removes the database that was empty at the beginning, if it still is.
fn drop_empty(plan: &Plan<'_>, kept: &str, shown: &mut Shown) {
    let still_empty =
        Session::connect(&plan.reactor, &plan.maintenance.target().with_database(kept)).and_then(|session| {
            session.value(
                "looking into the old database",
                "SELECT NOT EXISTS (SELECT FROM pg_catalog.pg_class WHERE oid >= 16384)",
            )
        });
    let dropped = match still_empty {
        Ok(Some(answer)) if answer == "t" => drop_patiently(plan, kept),
        Ok(_) => Err(Error::NotRestorable("somebody put something into it meanwhile".to_owned())),
        Err(error) => Err(error),
    };
    if let Err(error) = dropped {
        shown.kept = Some(kept.to_owned());
        shown.findings.push(Finding::note(
            format!("the empty database that was there is kept: {error}"),
            kept.to_owned(),
            "drop it when nobody needs it",
        ));
    }
}

/// Our own look into it may take a moment to end; a session of somebody else's makes this fail, which is right.
fn drop_patiently(plan: &Plan<'_>, kept: &str) -> Result<()> {
    plan.maintenance.run("removing the empty database", &format!("DROP DATABASE {}", quote::ident(kept)))
}
