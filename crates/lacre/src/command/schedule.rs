//! `lacre schedule systemd|cron`: the schedule as units or crontab lines, with absolute paths and nothing left to the environment.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::{
    cli::{ScheduleAction, ScheduleArgs, SystemdArgs, value::StoreUrl},
    config::{ConfigFile, Settings, document::Value, operate::TaskKind, settle::default_home},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    output::{ScheduleFile, ScheduleResult},
    schedule::{
        cron::Cron,
        crontab::{self, Place},
        systemd::{self, Surroundings, Unit},
        zone,
    },
};

/// Prints or writes the schedule.
///
/// # Errors
/// [`Kind::Configuration`] for a schedule that cannot be read; those of files with `--dir`.
pub(super) fn run(invocation: &Invocation, args: &ScheduleArgs) -> Result<Exit, CliError> {
    let file = invocation.config_file()?;
    let settings = crate::config::settle(&file, &invocation.global, &invocation.origins)?;
    let tasks = tasks(&settings)?;
    zone(settings.operate.schedule.time_zone.as_deref())?;
    let place = place(invocation, &file, &settings)?;
    match &args.action {
        ScheduleAction::Cron => {
            let text = crontab::lines(&place, settings.operate.schedule.time_zone.as_deref(), &tasks);
            let document = ScheduleResult { files: vec![ScheduleFile { name: "crontab".to_owned(), text }] };
            invocation.print(&document, |out| out.write_all(document.files[0].text.as_bytes()))?;
        }
        ScheduleAction::Systemd(args) => {
            let units = systemd::units(&surroundings(&file, &settings, place, args), &tasks);
            write(invocation, args.dir.as_deref(), units)?;
        }
    }
    Ok(Exit::Done)
}

/// The tasks that are on, read.
///
/// # Errors
/// [`Kind::Configuration`] with the key of the one that cannot be read.
pub(super) fn tasks(settings: &Settings) -> Result<Vec<(TaskKind, Cron)>, CliError> {
    let read = |(task, text): &(TaskKind, String)| {
        let cron = Cron::parse(text).map_err(|why| {
            CliError::new(Kind::Configuration, format!("[schedule] {}: {why}", task.name()))
                .hint("write five fields: minute hour day month weekday, for example \"0 3 * * *\"")
        })?;
        Ok((*task, cron))
    };
    settings.operate.schedule.tasks.iter().map(read).collect()
}

/// Where the program, its configuration and its home lie, each as an absolute path.
pub(super) fn place(invocation: &Invocation, file: &ConfigFile, settings: &Settings) -> Result<Place, CliError> {
    let fail = |error: std::io::Error| CliError::io("cannot tell where this program lies", &error);
    let program = std::env::current_exe().map_err(fail)?;
    let absolute = |path: &Path| std::path::absolute(path).map_err(fail);
    let config = match (&invocation.global.config, &file.path) {
        (Some(path), _) | (None, Some(path)) => Some(absolute(path)?),
        (None, None) => None,
    };
    // The usual home depends on the user, and another user may be the one that runs it.
    let home = if settings.home == default_home() { None } else { Some(absolute(&settings.home)?) };
    Ok(Place { program, config, home })
}

fn surroundings(file: &ConfigFile, settings: &Settings, place: Place, args: &SystemdArgs) -> Surroundings {
    let mut writes: BTreeSet<PathBuf> = BTreeSet::from([settings.home.clone()]);
    if let Some(StoreUrl::Folder(folder)) = &settings.repository {
        writes.insert(folder.clone());
    }
    let parent = |path: &PathBuf| path.parent().map(Path::to_owned);
    writes.extend(settings.operate.log.iter().filter_map(parent));
    writes.extend(settings.operate.textfile.iter().filter_map(parent));
    let cells = settings.seal_cells.iter().filter_map(|cell| cell.strip_prefix("file:")).map(PathBuf::from);
    writes.extend(cells.filter_map(|path| parent(&path)));
    let owner = fs::metadata(&settings.home).ok().map(|home| home.uid()).filter(|uid| *uid != 0);
    Surroundings {
        place,
        user: args.user.clone().or_else(|| owner.map(user_name)),
        writes: writes.into_iter().collect(),
        credentials: credentials(file),
        zone: settings.operate.schedule.time_zone.clone(),
        jitter: settings.operate.schedule.jitter,
        persistent: !settings.operate.schedule.catch_up.is_zero(),
    }
}

/// The user of a number, from the user database; the number itself does as well.
fn user_name(uid: u32) -> String {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| uid.to_string())
}

/// Every systemd credential that the configuration names.
fn credentials(file: &ConfigFile) -> Vec<String> {
    let entries = file.document.sections().iter().flat_map(|section| section.entries.iter());
    let named = entries.filter(|(name, _)| name.ends_with("_credential")).filter_map(|(_, entry)| match &entry.value {
        Value::Text(name) => Some(name.clone()),
        _ => None,
    });
    named.collect::<BTreeSet<String>>().into_iter().collect()
}

fn write(invocation: &Invocation, folder: Option<&Path>, units: Vec<Unit>) -> Result<(), CliError> {
    if let Some(folder) = folder {
        for unit in &units {
            let path = folder.join(&unit.name);
            fs::write(&path, &unit.text)
                .map_err(|error| CliError::io(format!("cannot write {}", path.display()), &error))?;
        }
    }
    let files = units.into_iter().map(|unit| ScheduleFile { name: unit.name, text: unit.text }).collect();
    let document = ScheduleResult { files };
    invocation.print(&document, |out| {
        for file in &document.files {
            match folder {
                Some(folder) => writeln!(out, "{}", folder.join(&file.name).display())?,
                None => writeln!(out, "# /etc/systemd/system/{}\n{}", file.name, file.text)?,
            }
        }
        Ok(())
    })
}
