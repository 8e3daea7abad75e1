//! What `pg_restore` said, sorted into findings.
//!
//! In: its standard error, in English because its locale is pinned. Out: one finding per failed entry, with the object's name. The statement
//! that failed is left out: it can be pages long and is in the snapshot.

use crate::driver::postgres::{quote, report::Finding};

/// Messages that change nothing about the result, with the reason.
const HARMLESS: &[(&str, &str)] = &[
    (
        "unrecognized configuration parameter \"transaction_timeout\"",
        "the target server is older than the client and does not know this session setting",
    ),
    (
        "unrecognized configuration parameter \"idle_in_transaction_session_timeout\"",
        "the target server is older than the client and does not know this session setting",
    ),
    (
        "unrecognized configuration parameter \"default_table_access_method\"",
        "the target server is older than the client and has one access method only",
    ),
    ("unrecognized configuration parameter \"xmloption\"", "the target server was built without XML"),
    ("schema \"public\" already exists", "every new database has it"),
];

/// Says whether a line of a verbose `pg_restore` is a complaint or names the entry of one; statements and progress are neither.
pub(super) fn is_one(line: &[u8]) -> bool {
    line.strip_prefix(b"pg_restore: ").is_some_and(|text| {
        [&b"from TOC entry "[..], b"error: ", b"warning: ", b"fatal: "].iter().any(|start| text.starts_with(start))
    })
}

/// Reads all complaints.
pub(super) fn read(stderr: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut object = None;
    for line in stderr.lines() {
        let Some(text) = line.strip_prefix("pg_restore: ") else {
            if line.starts_with('[') && line.ends_with(" bytes left out]") {
                findings.push(Finding::warning(
                    "pg_restore complained too much to list all of it",
                    "pg_restore",
                    "solve what is listed and restore again",
                ));
            }
            continue;
        };
        if let Some(entry) = text.strip_prefix("from TOC entry ") {
            object = Some(entry_name(entry));
        } else if let Some(error) = text.strip_prefix("error: ") {
            // Before the first entry it speaks of the session's settings.
            findings.push(complaint(error, object.clone().unwrap_or_else(|| "session".to_owned())));
        } else if let Some(warning) = text.strip_prefix("warning: ")
            && !warning.starts_with("errors ignored on restore")
        {
            findings.push(Finding::note(
                quote::one_line(warning),
                object.clone().unwrap_or_else(|| "pg_restore".to_owned()),
                "see pg_restore's manual page",
            ));
        }
    }
    findings
}

/// `215; 1259 16390 TABLE users postgres` without the numbers and the owner.
fn entry_name(entry: &str) -> String {
    let words: Vec<&str> = entry.split(' ').collect();
    let from = if words.first().is_some_and(|word| word.ends_with(';')) { 3 } else { 0 };
    let to = words.len().saturating_sub(usize::from(words.len() > from + 2));
    quote::one_line(&words.get(from..to).unwrap_or(&words).join(" "))
}

fn complaint(error: &str, object: String) -> Finding {
    let what = error.strip_prefix("could not execute query: ").unwrap_or(error);
    let what = what.split_once(":  ").map_or(what, |(_, message)| message);
    let what = quote::one_line(what);
    if let Some((_, why)) = HARMLESS.iter().find(|(text, _)| what.contains(text)) {
        return Finding::note(format!("{what}: {why}"), object, "nothing to do");
    }
    let advice = if what.starts_with("role ") && what.contains("does not exist") {
        "restore with --globals, or create the role and set owner and rights again"
    } else if what.contains("extension") || what.contains("could not open extension control file") {
        "install the extension's package on the server and restore again"
    } else {
        "make it by hand: `cat SNAPSHOT toc | pg_restore -f -` shows its definition"
    };
    Finding::warning(what, object, advice)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::postgres::report::Severity;

    #[test]
    fn each_failed_entry_becomes_a_finding_with_its_name() {
        let stderr = "pg_restore: while INITIALIZING:\n\
            pg_restore: error: could not execute query: ERROR:  unrecognized configuration parameter \"transaction_timeout\"\n\
            Command was: SET transaction_timeout = 0;\n\
            pg_restore: while PROCESSING TOC:\n\
            pg_restore: from TOC entry 215; 1259 16390 TABLE users app owner\n\
            pg_restore: error: could not execute query: ERROR:  type \"mood\" does not exist\n\
            LINE 2:     m mood\n\
            Command was: CREATE TABLE x;\n\n\
            pg_restore: from TOC entry 9; 0 0 ACL TABLE t app\n\
            pg_restore: error: could not execute query: ERROR:  role \"gone\" does not exist\n\
            pg_restore: warning: errors ignored on restore: 3\n";
        let found = read(stderr);
        assert_eq!(found.len(), 3);
        assert_eq!((found[0].severity, found[0].object.as_str()), (Severity::Note, "session"));
        assert_eq!((found[1].severity, found[1].object.as_str()), (Severity::Warning, "TABLE users app"));
        assert_eq!(found[1].what, "type \"mood\" does not exist");
        assert!(found[2].advice.contains("--globals"));
        let kept: Vec<&str> = stderr.lines().filter(|line| is_one(line.as_bytes())).collect();
        assert_eq!(read(&kept.join("\n")), found);
        assert_eq!(kept.len(), 6);
    }
}
