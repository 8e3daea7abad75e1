//! The database beside the target: its name, its birth, its end.
//!
//! A comment on it says that it is incomplete; name and comment together make it recognisable after a crash.

use super::{Plan, SnapshotSource};
use crate::driver::postgres::{
    error::{Error, Result},
    limits, quote,
    report::{Finding, Findings},
    session::Session,
};

/// The comment of a side database that is being filled.
const INCOMPLETE: &str = "lacre: incomplete restore of snapshot ";
/// The comment of a side database that is complete but was not renamed.
const COMPLETE: &str = "lacre: complete restore, not renamed, of snapshot ";
/// Names tried for one snapshot when earlier ones are taken.
const NAMES_MAX: u32 = 20;

/// `name` cut so that `suffix` fits into an identifier.
pub(super) fn suffixed(name: &str, suffix: &str) -> String {
    format!("{}{suffix}", quote::cut(name, limits::IDENTIFIER_BYTES_MAX.saturating_sub(suffix.len())))
}

/// Picks the side database's name and lists those of earlier restores.
pub(super) fn choose(maintenance: &Session, database: &str, short_id: &str) -> Result<(String, Vec<String>)> {
    let sql = "SELECT d.datname, pg_catalog.shobj_description(d.oid, 'pg_database') FROM pg_catalog.pg_database d WHERE d.datname LIKE '%\\_lacre\\_%'";
    let stem = suffixed(database, "_lacre_");
    let stem = stem.strip_suffix("_lacre_").unwrap_or(&stem);
    let found: Vec<(String, bool)> = maintenance
        .rows("looking for earlier restores", sql)?
        .into_iter()
        .filter_map(|row| match row.as_slice() {
            [Some(name), comment] => {
                Some((name.clone(), comment.as_deref().is_some_and(|comment| comment.starts_with("lacre: "))))
            }
            _ => None,
        })
        .filter(|(name, ours)| *ours || name.starts_with(&format!("{}_lacre_", quote::cut(stem, 40))))
        .collect();
    let leftovers = found.into_iter().map(|(name, _)| name).take(limits::LEFTOVERS_MAX).collect::<Vec<_>>();
    for number in 1..=NAMES_MAX {
        let suffix = if number == 1 { format!("_lacre_{short_id}") } else { format!("_lacre_{short_id}_{number}") };
        let name = suffixed(database, &suffix);
        if !leftovers.contains(&name) {
            return Ok((name, leftovers));
        }
        if removable(maintenance, &name)? {
            return Ok((name.clone(), leftovers.into_iter().filter(|left| *left != name).collect()));
        }
    }
    Err(Error::NotRestorable(format!(
        "{NAMES_MAX} side databases of it exist already; drop those that are not needed: {}",
        leftovers.join(", ")
    )))
}

/// A side database of the same snapshot that nobody uses and that says itself that it is incomplete.
fn removable(maintenance: &Session, name: &str) -> Result<bool> {
    let sql = format!(
        "SELECT coalesce(pg_catalog.shobj_description(d.oid, 'pg_database'), '') LIKE {} \
         AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a WHERE a.datid = d.oid) \
         FROM pg_catalog.pg_database d WHERE d.datname = {}",
        quote::literal(&format!("{INCOMPLETE}%")),
        quote::literal(name)
    );
    Ok(maintenance.value("looking at an earlier restore", &sql)?.as_deref() == Some("t"))
}

/// What a side database says of itself while it is being filled.
pub(super) fn incomplete(source: &dyn SnapshotSource) -> String {
    format!("{INCOMPLETE}{}", source.short_id())
}

/// Creates the side database, under the next free name if somebody took the planned one meanwhile: a restore that was killed while the server
/// was still creating its database, for instance.
pub(super) fn create_beside(plan: &mut Plan<'_>, findings: &Findings) -> Result<()> {
    let comment = incomplete(plan.source);
    for _ in 0..NAMES_MAX {
        match create(plan, &comment, findings) {
            // 23505: it was being created at the same time; 42P04: it exists.
            Err(error) if matches!(sqlstate(&error), Some("23505" | "42P04")) => {
                plan.side = choose(&plan.maintenance, &plan.database, &plan.source.short_id())?.0;
            }
            done => return done,
        }
    }
    create(plan, &comment, findings)
}

/// Creates the side database as the original was created.
pub(super) fn create(plan: &Plan<'_>, comment: &str, findings: &Findings) -> Result<()> {
    let maintenance = &plan.maintenance;
    let exists = format!("SELECT 1 FROM pg_catalog.pg_database WHERE datname = {}", quote::literal(&plan.side));
    if maintenance.value("looking for an earlier restore", &exists)?.is_some() {
        // The plan took this name only because it is an abandoned, incomplete one of the same snapshot.
        maintenance.run("removing an abandoned restore", &format!("DROP DATABASE {}", quote::ident(&plan.side)))?;
        findings.add(Finding::note(
            "an abandoned, incomplete restore of the same snapshot was removed",
            plan.side.clone(),
            "nothing to do",
        ));
    }
    let name = quote::ident(&plan.side);
    let mut refused = None;
    for (fidelity, clause) in locale_clauses(plan) {
        let sql = format!(
            "CREATE DATABASE {name} TEMPLATE template0 ENCODING {} {clause}",
            quote::literal(&plan.facts.encoding)
        );
        match maintenance.run("creating the side database", &sql) {
            Ok(()) => {
                if fidelity == Fidelity::Fallback {
                    findings.add(Finding::warning(
                        format!(
                            "the database's locale could not be made as recorded: {}",
                            refused.map_or_else(
                                || "the server does not know its provider".to_owned(),
                                |error: Error| error.to_string()
                            )
                        ),
                        plan.database.clone(),
                        "install the locale on the server and restore again; until then text may sort differently",
                    ));
                }
                return maintenance.run(
                    "marking the side database",
                    &format!("COMMENT ON DATABASE {name} IS {}", quote::literal(comment)),
                );
            }
            // 22023: a locale the server does not have or that does not fit the encoding; 42601, 42809: a provider it does not know.
            Err(error @ Error::Statement { .. })
                if matches!(sqlstate(&error), Some("22023" | "42601" | "42809" | "0A000")) =>
            {
                let _ = refused.get_or_insert(error);
            }
            Err(error) => return Err(error),
        }
    }
    Err(refused.unwrap_or_else(|| Error::NotRestorable("the side database could not be created".to_owned())))
}

pub(super) fn sqlstate(error: &Error) -> Option<&str> {
    match error {
        Error::Statement { sqlstate, .. } => sqlstate.as_deref(),
        _ => None,
    }
}

/// Whether a way to create the database gives the locale that was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fidelity {
    Exact,
    Fallback,
}

/// How to ask for the locale: as recorded, then the C library's half of it, then the C locale, which every server has.
fn locale_clauses(plan: &Plan<'_>) -> Vec<(Fidelity, String)> {
    let facts = &plan.facts;
    if facts.collate.is_empty() || facts.ctype.is_empty() {
        // An archive without the definition of its database: the server's own locale is as good as any.
        return vec![(Fidelity::Exact, String::new()), (Fidelity::Fallback, "LC_COLLATE 'C' LC_CTYPE 'C'".to_owned())];
    }
    let libc = format!("LC_COLLATE {} LC_CTYPE {}", quote::literal(&facts.collate), quote::literal(&facts.ctype));
    let locale = facts.locale.as_deref().map(quote::literal);
    let (exact, libc_fidelity) = match (facts.locale_provider.as_str(), locale) {
        ("i", Some(locale)) if plan.server.major >= 15 => {
            let rules = facts
                .icu_rules
                .as_deref()
                .filter(|_| plan.server.major >= 16)
                .map(|rules| format!(" ICU_RULES {}", quote::literal(rules)));
            (
                Some(format!("LOCALE_PROVIDER icu ICU_LOCALE {locale}{} {libc}", rules.unwrap_or_default())),
                Fidelity::Fallback,
            )
        }
        ("b", Some(locale)) if plan.server.major >= 17 => {
            (Some(format!("LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale} {libc}")), Fidelity::Fallback)
        }
        ("c", _) if plan.server.major >= 15 => (Some(format!("LOCALE_PROVIDER libc {libc}")), Fidelity::Fallback),
        ("c", _) => (None, Fidelity::Exact),
        // The recorded provider is newer than the server.
        _ => (None, Fidelity::Fallback),
    };
    let mut clauses: Vec<(Fidelity, String)> = exact.into_iter().map(|clause| (Fidelity::Exact, clause)).collect();
    clauses.push((libc_fidelity, libc));
    clauses.push((Fidelity::Fallback, "LC_COLLATE 'C' LC_CTYPE 'C'".to_owned()));
    clauses
}

/// Ends a restore that failed: the side database is removed, or named when it cannot be.
pub(super) fn stopped(plan: &Plan<'_>, error: Error) -> Error {
    let left = remove(plan).err().map(|_| plan.side.clone());
    Error::Stopped { target: plan.database.clone(), left, source: Box::new(error) }
}

/// Removes the side database, which this restore made.
pub(super) fn remove(plan: &Plan<'_>) -> Result<()> {
    // Sessions of this restore end a moment after their threads; the server needs that moment to let go of the database.
    let sql = format!("DROP DATABASE IF EXISTS {}", quote::ident(&plan.side));
    let force = if plan.server.major >= 13 { format!("{sql} WITH (FORCE)") } else { sql };
    plan.maintenance.run("removing the side database", &force)
}

/// Marks a complete side database that is kept for a person to look at.
pub(super) fn mark_complete(plan: &Plan<'_>) -> Result<()> {
    let comment = format!("{COMPLETE}{}", plan.source.short_id());
    let sql = format!("COMMENT ON DATABASE {} IS {}", quote::ident(&plan.side), quote::literal(&comment));
    plan.maintenance.run("marking the side database", &sql)
}
