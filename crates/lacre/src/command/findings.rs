//! Findings as every command shows them: one table, one JSON form, one rule for the exit code.

use std::io;

use lacre_repo::{Finding, Severity};

use crate::{
    config::Settings,
    driver::postgres::tools::CLIENT_PROGRAMS,
    exit::Exit,
    invocation::Invocation,
    notify::memory::Memory,
    output::{CheckFinding, FindingEntry},
    term::{
        page::{self, Lead, Page},
        table::printable,
    },
};

/// The name of the memory of notes.
const NOTES: &str = "notes about this machine";

fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::Warning => "warning",
        Severity::Damage => "damage",
    }
}

/// Findings for JSON.
pub(super) fn entries(findings: &[Finding]) -> Vec<FindingEntry> {
    let entry = |finding: &Finding| FindingEntry {
        severity: severity_name(finding.severity).to_owned(),
        what: finding.what.clone(),
        object: finding.object.clone(),
        advice: finding.advice.clone(),
    };
    findings.iter().map(entry).collect()
}

/// Findings of an audit for JSON.
pub(super) fn check_entries(findings: &[Finding]) -> Vec<CheckFinding> {
    let entry = |finding: FindingEntry| CheckFinding {
        severity: finding.severity,
        what: finding.what,
        object: finding.object,
        advice: finding.advice,
    };
    entries(findings).into_iter().map(entry).collect()
}

/// Findings for people: what and on what in one line, what to do in the next.
pub(super) fn write(findings: &[Finding], out: &mut dyn Page) -> io::Result<()> {
    for finding in findings {
        let severity = severity_name(finding.severity);
        let what = format!("{}: {}", printable(&finding.object), printable(&finding.what));
        page::sentence(out, Lead::plain(&format!("{severity}: ")), &what)?;
        if !finding.advice.is_empty() {
            page::sentence(out, Lead::indent(severity.len() + 2), &printable(&finding.advice))?;
        }
    }
    Ok(())
}

/// What people are shown of these findings: a note about this machine's own programs is news once, and at the reminders of
/// [`Memory::wrong`]; it changes no exit code, and documents and records carry it every time.
pub(super) fn news(settings: &Settings, findings: &[Finding]) -> Vec<Finding> {
    let is_standing =
        |finding: &Finding| finding.severity == Severity::Note && finding.object.starts_with(CLIENT_PROGRAMS);
    if !findings.iter().any(is_standing) {
        return findings.to_vec();
    }
    // A memory of its own: whether anything was ever told to anybody is another question.
    let mut memory = Memory::open(&settings.home, NOTES);
    let mut is_news = |finding: &Finding| {
        let subject = format!("{}: {}", finding.object, finding.what);
        let is_news = !is_standing(finding) || memory.wrong(&subject);
        memory.heard(&subject);
        is_news
    };
    let news = findings.iter().filter(|finding| is_news(finding)).cloned().collect();
    // A home that cannot be written costs a note that is repeated.
    drop(memory.save());
    news
}

/// Findings on the way to a result, said on stderr.
pub(super) fn warn(invocation: &Invocation, findings: &[Finding]) {
    for finding in findings {
        let (object, what) = (printable(&finding.object), printable(&finding.what));
        invocation.terminal.warn(&format!("{object}: {what}; {}", printable(&finding.advice)));
    }
}

/// Notes change nothing; anything graver is worth a look.
pub(super) fn exit(findings: &[Finding]) -> Exit {
    if findings.iter().any(|finding| finding.severity > Severity::Note) { Exit::Findings } else { Exit::Done }
}
