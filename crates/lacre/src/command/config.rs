//! `lacre config check|show|from-env`.

use std::{
    fs,
    io::{self, Read as _},
};

use owo_colors::OwoColorize as _;

use super::config_reach as reach;
use crate::{
    cli::{ConfigAction, ConfigArgs, ConfigCheckArgs, FromEnvArgs},
    config::{
        ConfigFile, check,
        document::{Problem, Weight},
        from_env, layer, settle,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{ConfigCheckResult, ConfigProblem, ConfigSetting, ConfigShowResult, FromEnvResult},
    term::{
        page::{self, Lead, Page},
        table::{Align, Table},
    },
};

/// The longest `.env` file that is read, bytes.
const ENV_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Runs the chosen action.
///
/// # Errors
/// [`Kind::Configuration`] when a file cannot be read; mistakes in it are a result, not an error, of `config check`.
pub(super) fn run(invocation: &Invocation, args: &ConfigArgs) -> Result<Exit, CliError> {
    match &args.action {
        ConfigAction::Check(args) => check_file(invocation, args),
        ConfigAction::Show => show(invocation),
        ConfigAction::FromEnv(args) => convert(invocation, args),
    }
}

fn check_file(invocation: &Invocation, args: &ConfigCheckArgs) -> Result<Exit, CliError> {
    let file = invocation.config_file()?;
    let mut problems = file.document.problems().to_vec();
    problems.extend(check::structure(&file.document));
    problems.extend(check::reach(&file.document));
    problems.sort_by_key(|problem| problem.place);
    problems.splice(0..0, file.file_problems.iter().cloned());
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    problems.extend(layer::strangers(names));
    // A file with mistakes does not say what to connect to.
    if !args.offline && problems.iter().all(|problem| problem.weight != Weight::Error) {
        let settings = settle::settle(&file, &invocation.global, &invocation.origins);
        problems.extend(reach::everything(invocation, &settings));
    }
    let worst = problems.iter().map(|problem| problem.weight).max();
    let result = ConfigCheckResult {
        file: file.path.as_ref().map(|path| path.display().to_string()),
        ok: worst != Some(Weight::Error),
        problems: problems.iter().map(entry).collect(),
    };
    invocation.print(&result, |out| write_problems(&file, &problems, out))?;
    Ok(match worst {
        Some(Weight::Error) => Exit::Usage,
        Some(Weight::Warning) => Exit::Findings,
        Some(Weight::Note) | None => Exit::Done,
    })
}

fn entry(problem: &Problem) -> ConfigProblem {
    let number =
        |of: fn(crate::config::document::Place) -> usize| problem.place.and_then(|place| u64::try_from(of(place)).ok());
    ConfigProblem {
        severity: problem.weight.name().to_owned(),
        line: number(|place| place.line),
        column: number(|place| place.column),
        what: problem.what.clone(),
        fix: problem.fix.clone(),
    }
}

fn write_problems(file: &ConfigFile, problems: &[Problem], out: &mut dyn Page) -> io::Result<()> {
    for problem in problems {
        let word = problem.weight.name();
        let shown = match problem.weight {
            Weight::Error => word.red().bold().to_string(),
            Weight::Warning => word.yellow().bold().to_string(),
            Weight::Note => word.dimmed().to_string(),
        };
        let lead = Lead { shown: &format!("{shown}: "), columns: page::width(word) + 2 };
        page::sentence(out, lead, &format!("{}: {}", file.place_of(problem), problem.what))?;
        let lead = Lead { shown: &format!("  {} ", "fix:".cyan()), columns: 7 };
        page::sentence(out, lead, &problem.fix)?;
        writeln!(out)?;
    }
    let count = |weight: Weight| {
        let count = problems.iter().filter(|problem| problem.weight == weight).count();
        human::things(count, weight.names())
    };
    let name = file.path.as_ref().map_or_else(|| "no configuration file".to_owned(), |path| path.display().to_string());
    writeln!(out, "{name}: {}, {}, {}", count(Weight::Error), count(Weight::Warning), count(Weight::Note))
}

fn show(invocation: &Invocation) -> Result<Exit, CliError> {
    let file = invocation.config_file()?;
    let settings = crate::config::settle(&file, &invocation.global, &invocation.origins)?;
    let result = ConfigShowResult {
        file: file.path.as_ref().map(|path| path.display().to_string()),
        settings: settings.shown.iter().map(setting).collect(),
    };
    invocation.print(&result, |out| {
        let mut table = Table::new(&[("key", Align::Left), ("value", Align::Left), ("from", Align::Left)]);
        for setting in &result.settings {
            table.row([setting.key.clone(), setting.value.clone(), setting.origin.clone()]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}

fn setting((key, value, origin): &(String, String, settle::Origin)) -> ConfigSetting {
    ConfigSetting { key: key.clone(), value: value.clone(), origin: origin.to_string() }
}

fn convert(invocation: &Invocation, args: &FromEnvArgs) -> Result<Exit, CliError> {
    let what = || format!("cannot read {}", args.file.display());
    let fail = |error: io::Error| CliError::new(Kind::Usage, what()).because(&error);
    let mut bytes = Vec::new();
    fs::File::open(&args.file).map_err(fail)?.take(ENV_FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(fail)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > ENV_FILE_BYTES_MAX {
        return Err(CliError::new(Kind::Usage, format!("{}: it is longer than {ENV_FILE_BYTES_MAX} bytes", what())));
    }
    let converted = from_env::convert(&String::from_utf8_lossy(&bytes));
    for warning in &converted.warnings {
        invocation.terminal.warn(warning);
    }
    let exit = if converted.warnings.is_empty() { Exit::Done } else { Exit::Findings };
    let result = FromEnvResult { toml: converted.toml, warnings: converted.warnings };
    invocation.print(&result, |out| out.write_all(result.toml.as_bytes()))?;
    Ok(exit)
}
