//! Findings as every command shows them: one table, one JSON form, one rule for the exit code.

use std::io::{self, Write};

use lacre_repo::{Finding, Severity};

use crate::{
    exit::Exit,
    invocation::Invocation,
    output::{CheckFinding, FindingEntry},
    term::table::printable,
};

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
pub(super) fn write(findings: &[Finding], out: &mut dyn Write) -> io::Result<()> {
    for finding in findings {
        let severity = severity_name(finding.severity);
        writeln!(out, "{severity}: {}: {}", printable(&finding.object), printable(&finding.what))?;
        if !finding.advice.is_empty() {
            writeln!(out, "{:width$}  {}", "", printable(&finding.advice), width = severity.len())?;
        }
    }
    Ok(())
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
