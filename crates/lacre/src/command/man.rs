//! `lacre man --dir D`.

use std::fs;

use clap::CommandFactory as _;

use crate::{
    cli::{Cli, ManArgs},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    output::ManResult,
};

/// Writes one page per command: `lacre.1`, `lacre-backup.1`, `lacre-repo-check.1` and so on.
///
/// # Errors
/// Those of the folder and its files.
pub(super) fn run(invocation: &Invocation, args: &ManArgs) -> Result<Exit, CliError> {
    if !args.dir.is_dir() {
        let what = format!("{} is not a folder", args.dir.display());
        return Err(CliError::new(Kind::Usage, what).hint(format!("mkdir -p {}", args.dir.display())));
    }
    let mut root = Cli::command();
    root.build();
    let mut pages = Vec::new();
    collect(&root, "lacre".to_owned(), &mut pages)?;
    let mut files = Vec::new();
    for (name, page) in pages {
        let path = args.dir.join(format!("{name}.1"));
        fs::write(&path, page).map_err(|error| CliError::io(format!("cannot write {}", path.display()), &error))?;
        files.push(path.display().to_string());
    }
    let result = ManResult { files };
    invocation.print(&result, |out| result.files.iter().try_for_each(|file| writeln!(out, "{file}")))?;
    Ok(Exit::Done)
}

/// The tree is ours and four deep at most, so recursion is bounded by it.
fn collect(command: &clap::Command, name: String, pages: &mut Vec<(String, Vec<u8>)>) -> Result<(), CliError> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).title(name.to_uppercase());
    man.render(&mut page).map_err(|error| CliError::io(format!("cannot make the page {name}"), &error))?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        collect(below, format!("{name}-{}", below.get_name()), pages)?;
    }
    pages.push((name, page));
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::collect;
    use crate::cli::Cli;

    #[test]
    fn every_visible_command_has_a_page() {
        let mut root = Cli::command();
        root.build();
        let mut pages = Vec::new();
        collect(&root, "lacre".to_owned(), &mut pages).unwrap();
        let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        for name in ["lacre", "lacre-backup", "lacre-repo-check", "lacre-config-from-env", "lacre-kit-ack"] {
            assert!(names.contains(&name), "{name} in {names:?}");
        }
        assert!(!names.contains(&"lacre-check"));
        assert!(pages.iter().all(|(_, page)| page.len() > 200));
    }
}
