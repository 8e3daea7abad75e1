//! What belongs to the database itself and not to anything in it: owner, rights, settings, labels.
//!
//! In: the recorded facts. Out: the same on the side database. What cannot be replayed, because a role is missing for instance, is a finding.
//! The comment and the connection limit come last, in the transaction that renames.

use super::Plan;
use crate::driver::postgres::{
    error::{Error, Result},
    facts::{DatabaseFacts, Grant},
    quote,
    report::{Finding, Findings},
};

/// Settings that the catalogue holds as a list of quoted names; each name is a literal of its own.
const NAME_LISTS: &[&str] = &[
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Replays everything on the side database.
pub(super) fn apply(plan: &Plan<'_>, findings: &Findings) -> Result<()> {
    // Chosen tables do not bring the database's own properties along.
    if plan.selected.is_some() {
        return Ok(());
    }
    for (what, sql) in statements(&plan.facts, &plan.side) {
        match plan.maintenance.run(&format!("setting the {what}"), &sql) {
            Ok(()) => {}
            Err(error @ Error::Statement { .. }) => {
                findings.add(Finding::warning(
                    error.to_string(),
                    format!("{what} of database {}", plan.database),
                    "set it by hand when what it needs is there",
                ));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Replays on a scratch database the settings that change how its text is read and found; none that loads code or belongs to a role.
pub(super) fn apply_settings(plan: &Plan<'_>, findings: &Findings) {
    let name = quote::ident(&plan.side);
    let harmless = |name: &str| {
        let name = name.to_lowercase();
        !name.ends_with("preload_libraries") && !name.contains("tablespace") && !name.contains('.')
    };
    for setting in plan.facts.settings.iter().filter(|setting| setting.role.is_none() && harmless(&setting.name)) {
        let value = setting_value(&setting.name, &setting.value);
        let sql = format!("ALTER DATABASE {name} SET {} TO {value}", setting_name(&setting.name));
        if let Err(error) = plan.maintenance.run("setting the database's settings", &sql) {
            findings.add(Finding::warning(
                error.to_string(),
                format!("setting {} of database {}", setting.name, plan.database),
                "critical queries may see another search path than the application",
            ));
        }
    }
}

/// One statement per property, each with a word for messages.
fn statements(facts: &DatabaseFacts, side: &str) -> Vec<(&'static str, String)> {
    let name = quote::ident(side);
    let mut list = Vec::new();
    // An archive without the definition of its database tells no owner.
    if !facts.owner.is_empty() {
        list.push(("owner", format!("ALTER DATABASE {name} OWNER TO {}", quote::ident(&facts.owner))));
    }
    if let Some(grants) = &facts.grants {
        list.push(("rights", format!("REVOKE ALL ON DATABASE {name} FROM PUBLIC, {}", quote::ident(&facts.owner))));
        for grant in grants {
            list.push(("rights", grant_statement(&name, grant, &facts.owner)));
        }
    }
    for setting in &facts.settings {
        let subject = match &setting.role {
            Some(role) => format!("ROLE {} IN DATABASE {name}", quote::ident(role)),
            None => format!("DATABASE {name}"),
        };
        list.push((
            "setting",
            format!(
                "ALTER {subject} SET {} TO {}",
                setting_name(&setting.name),
                setting_value(&setting.name, &setting.value)
            ),
        ));
    }
    for label in &facts.labels {
        list.push((
            "security label",
            format!(
                "SECURITY LABEL FOR {} ON DATABASE {name} IS {}",
                quote::ident(&label.provider),
                quote::literal(&label.label)
            ),
        ));
    }
    if facts.tablespace != "pg_default" {
        list.push(("tablespace", format!("ALTER DATABASE {name} SET TABLESPACE {}", quote::ident(&facts.tablespace))));
    }
    if facts.is_template {
        list.push(("template mark", format!("ALTER DATABASE {name} IS_TEMPLATE true")));
    }
    list
}

fn grant_statement(name: &str, grant: &Grant, owner: &str) -> String {
    let grantee = grant.grantee.as_deref().map_or_else(|| "PUBLIC".to_owned(), quote::ident);
    let option = if grant.grantable { " WITH GRANT OPTION" } else { "" };
    let granting = format!("GRANT {} ON DATABASE {name} TO {grantee}{option}", grant.privilege);
    // A right someone else passed on is only the same right when that role grants it.
    if grant.grantor == owner {
        granting
    } else {
        format!("SET ROLE {}; {granting}; RESET ROLE", quote::ident(&grant.grantor))
    }
}

/// A setting's name as SQL: each part of `extension.setting` is an identifier.
fn setting_name(name: &str) -> String {
    name.split('.').map(quote::ident).collect::<Vec<_>>().join(".")
}

fn setting_value(name: &str, value: &str) -> String {
    if !NAME_LISTS.contains(&name.to_lowercase().as_str()) {
        return quote::literal(value);
    }
    let names = split_names(value);
    if names.is_empty() {
        "''".to_owned()
    } else {
        names.iter().map(|name| quote::literal(name)).collect::<Vec<_>>().join(", ")
    }
}

/// Splits `"$user", public` into its names.
fn split_names(value: &str) -> Vec<String> {
    let mut names = Vec::new();
    let mut chars = value.chars().peekable();
    loop {
        while chars.next_if(|c| c.is_whitespace() || *c == ',').is_some() {}
        let Some(first) = chars.peek().copied() else { return names };
        let mut name = String::new();
        if first == '"' {
            chars.next();
            while let Some(c) = chars.next() {
                if c == '"' && chars.next_if_eq(&'"').is_none() {
                    break;
                }
                name.push(c);
            }
        } else {
            while let Some(c) = chars.next_if(|c| *c != ',') {
                name.push(c);
            }
            name = name.trim_end().to_owned();
        }
        names.push(name);
    }
}

/// What the renaming transaction sets besides the name.
pub(super) fn last_statements(facts: &DatabaseFacts, name: &str) -> String {
    let comment = facts.comment.as_deref().map_or_else(|| "NULL".to_owned(), quote::literal);
    let name = quote::ident(name);
    let limit = if facts.connection_limit >= 0 {
        format!("ALTER DATABASE {name} CONNECTION LIMIT {}; ", facts.connection_limit)
    } else {
        String::new()
    };
    format!("{limit}COMMENT ON DATABASE {name} IS {comment}; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_names_are_taken_apart_and_other_values_are_not() {
        assert_eq!(setting_value("search_path", "\"$user\", public, \"a\"\"b, c\""), "'$user', 'public', 'a\"b, c'");
        assert_eq!(setting_value("search_path", ""), "''");
        assert_eq!(setting_value("work_mem", "a, b"), "'a, b'");
        assert_eq!(setting_name("my.Thing"), "\"my\".\"Thing\"");
    }
}
