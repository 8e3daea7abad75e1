//! `docs/CONFIG.md`, made from the declaration in `schema`; a test keeps the committed file the same.

use std::fmt::Write as _;

use super::{
    from_env,
    schema::{Effect, Shape, TABLES, Table},
};

const HEAD: &str = "\
# Configuration

Made from the source by a test; do not edit by hand.

`lacre.toml` is read from `--config FILE`, else `/etc/lacre/lacre.toml`, else `$XDG_CONFIG_HOME/lacre/lacre.toml`. A flag outranks an
environment variable, which outranks the file, which outranks the default. Every key at the top of the file, and of a table that stands
once, has an environment name, and `--set TABLE.KEY=VALUE` sets it for one command; lists are written there as in the file. A key Lacre does not know is an error with line, column and
a suggestion: `lacre config check` finds every mistake at once, `lacre config show` prints the settled values and where each comes from.

Secrets are never in this file: each comes from an environment variable (`NAME`, or the file named by `NAME_FILE`), a file, a program, or a
credential that systemd hands to the service (`LoadCredential=`).
Keep the file at mode 0600: it names programs that Lacre runs.
";

/// Makes the text of `docs/CONFIG.md`.
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    for table in &TABLES {
        write_table(table, &mut text).expect("writing to a string cannot fail");
    }
    text.push_str("\n## Names that `config from-env` understands\n\n| name | becomes |\n|---|---|\n");
    for (name, becomes) in from_env::NAMES {
        writeln!(text, "| `{name}` | {becomes} |").expect("writing to a string cannot fail");
    }
    text
}

fn write_table(table: &Table, text: &mut String) -> std::fmt::Result {
    let header = match (table.shape, table.name) {
        (Shape::Root, _) => String::new(),
        (Shape::Single, name) if name.starts_with("job.") => format!("[{name}]"),
        (Shape::Single, name) => format!("[{name}]"),
        (Shape::Named, name) => format!("[{name}.NAME]"),
        (Shape::List, name) => format!("[[{name}]]"),
    };
    let title = if header.is_empty() { "Top of the file".to_owned() } else { format!("`{header}`") };
    writeln!(text, "\n## {title}\n\n{}", table.help)?;
    if table.effect == Effect::ReadOnly {
        writeln!(text, "\nThis version reads and checks this table and does not act on it yet.")?;
    }
    writeln!(text, "\n| key | holds | default | environment | |\n|---|---|---|---|---|")?;
    for key in table.keys {
        let code = |value: Option<&str>| value.map_or_else(String::new, |value| format!("`{value}`"));
        writeln!(
            text,
            "| `{}` | {} | {} | {} | {} |",
            key.name,
            key.form.describe(),
            code(key.default),
            code(super::layer::environment_name(table, key).as_deref()),
            key.help
        )?;
    }
    let name = if table.name == "price" { super::prices::REPOSITORY } else { "backup" };
    let example = if header.is_empty() { String::new() } else { format!("{}\n", header.replace("NAME", name)) };
    writeln!(text, "\n```toml\n{example}{}\n```", table.example)
}
