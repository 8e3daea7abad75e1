//! `lacre runbook`: what to do on the worst days, filled with what this repository is.
//!
//! Facts are names, places, sizes and times. Of keys only their places are known here, and of URLs what may be shown.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lacre_format::{
    policy::{KitState, Role},
    root::StreamKind,
};
use lacre_repo::op::{read::Snapshot, seal::SealStatus, snapshots::SnapshotRow, status::Status};

use super::{backup, operate, streams};
use crate::{
    cli::{RunbookArgs, ScenarioName, value::SnapshotName},
    config::{JobSource, Settings},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{RunbookBlock, RunbookResult},
    runbook::{
        self, Scenario,
        facts::{Cell, Copy, Database, Facts, Hand, Job, Night, Rehearsal},
    },
    safe_url::SafeUrl,
    vault::{Vault, short},
};

/// Writes the page.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation, args: &RunbookArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let facts = gather(invocation, &vault)?;
    let scenarios = args.scenario.map_or_else(|| Scenario::ALL.to_vec(), |name| vec![scenario(name)]);
    let page = runbook::write(&facts, &scenarios, args.lang);
    let block = |block: runbook::Block| RunbookBlock { name: block.name, commands: block.commands };
    let document = RunbookResult {
        scenarios: scenarios.iter().map(|scenario| scenario.name().to_owned()).collect(),
        lang: args.lang.tag().to_owned(),
        markdown: page.text,
        commands: page.blocks.into_iter().map(block).collect(),
    };
    invocation.print(&document, |out| out.write_all(document.markdown.as_bytes()))?;
    Ok(Exit::Done)
}

fn scenario(name: ScenarioName) -> Scenario {
    match name {
        ScenarioName::TotalLoss => Scenario::TotalLoss,
        ScenarioName::Corruption => Scenario::Corruption,
        ScenarioName::Deletion => Scenario::Deletion,
        ScenarioName::LostKey => Scenario::LostKey,
        ScenarioName::LostSeal => Scenario::LostSeal,
        ScenarioName::Ransomware => Scenario::Ransomware,
        ScenarioName::Erasure => Scenario::Erasure,
    }
}

/// What is known before there is a repository: what the configuration names.
pub(super) fn planned(settings: &Settings) -> Facts {
    let job = |job: &crate::config::Job| Job {
        name: job.name.to_string(),
        database: database_of(settings, job.name.as_str()),
        // Whoever reads the sheet later finds a snapshot of each.
        newest: Some(Night { id: String::new(), time: String::new(), size: String::new(), rows: String::new() }),
        ..Job::default()
    };
    let copy = |copy: &crate::config::CopySettings| Copy {
        name: copy.name.to_string(),
        place: copy.url.to_string(),
        state: String::new(),
    };
    Facts {
        made: human::time(Timestamp::now()),
        version: env!("CARGO_PKG_VERSION"),
        host: backup::host(),
        place: settings.repository.as_ref().map_or_else(String::new, ToString::to_string),
        copies: settings.copies.iter().map(copy).collect(),
        jobs: settings.jobs.iter().map(job).collect(),
        ..Facts::default()
    }
}

/// Gathers what a page is filled with.
///
/// # Errors
/// Those of the vault.
pub(super) fn gather(invocation: &Invocation, vault: &Vault) -> Result<Facts, CliError> {
    let status = operate::look(vault)?;
    let listing = vault.repository.store().list("").map_err(|error| vault.explain(error.into()))?;
    let bytes: u64 = listing.objects.iter().map(|object| object.bytes).sum();
    let objects = u64::try_from(listing.objects.len()).unwrap_or(u64::MAX);
    let policy = &status.view.policy;
    let role = |role: Role| match role {
        Role::Writer => "writer",
        Role::Maintenance => "maintenance",
        Role::Admin => "admin",
    };
    let identity = match has_identity(vault) {
        true => Hand::AtHand,
        false => Hand::Elsewhere,
    };
    let seal = match status.seal.cells.iter().any(|cell| cell.holds) {
        true => Hand::AtHand,
        false => Hand::Elsewhere,
    };
    let opened = Opened { invocation, vault, can_open: identity == Hand::AtHand && seal == Hand::AtHand };
    let mut facts = Facts {
        repository: vault.repository.id().to_string(),
        place: vault.place.to_string(),
        stored: format!("{} in {}", human::bytes(bytes), human::things(objects, ["object", "objects"])),
        readers: policy.recipients.iter().map(|entry| entry.label.clone()).collect(),
        homes: policy
            .homes
            .iter()
            .filter(|home| !home.is_revoked())
            .map(|home| (home.label.clone(), role(home.role).to_owned()))
            .collect(),
        keys: vault.repository.home().directory().to_owned(),
        config: invocation.config_file()?.path,
        identity,
        seal,
        jobs: jobs(&opened, &status),
        ..planned(&vault.settings)
    };
    for copy in &mut facts.copies {
        let known = status.copies.iter().find(|known| known.name == copy.name);
        copy.state = known.map_or_else(String::new, |known| known.state.name().to_owned());
    }
    holders(&status.seal, &mut facts);
    Ok(facts)
}

fn has_identity(vault: &Vault) -> bool {
    let named = &vault.settings.identities;
    if named.is_empty() { vault.repository.home().identity().exists() } else { named.iter().any(|path| path.exists()) }
}

fn holders(seal: &SealStatus, facts: &mut Facts) {
    facts.cells = seal.cells.iter().map(|cell| Cell { place: cell.name.clone(), host: cell.host.clone() }).collect();
    // One that was read back is named before one that may be illegible.
    let mut kits: Vec<_> = seal
        .kits
        .iter()
        .map(|(_, kit)| kit)
        .filter(|kit| kit.generation == seal.generation && kit.state != KitState::Destroyed)
        .collect();
    kits.sort_by_key(|kit| (kit.state != KitState::Acknowledged, kit.number));
    facts.kits = kits.iter().map(|kit| kit.number).collect();
    let pointers = seal.pointers.iter().filter(|(_, pointer)| pointer.state != KitState::Destroyed);
    facts.pointers = pointers.map(|(_, pointer)| pointer.number).collect();
    let sheets = seal.identity_sheets.iter().filter(|(_, sheet)| sheet.state != KitState::Destroyed);
    facts.identity_sheet = sheets.map(|(_, sheet)| sheet.number).next_back();
}

/// Snapshots that may be looked into, where their keys are at hand anyway.
struct Opened<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    can_open: bool,
}

impl<'a> Opened<'a> {
    fn newest(&self, job: &str) -> Option<Snapshot<'a>> {
        let name: SnapshotName = format!("latest:{job}").parse().ok().filter(|_| self.can_open)?;
        match self.vault.open_any(self.invocation, &name, &[]) {
            Ok(snapshot) => Some(snapshot),
            Err(error) => {
                self.invocation.terminal.detail(&format!("{job} is not looked into: {}", error.message()));
                None
            }
        }
    }
}

fn jobs(opened: &Opened<'_>, status: &Status) -> Vec<Job> {
    let settings = &opened.vault.settings;
    let mut rows: BTreeMap<String, Vec<&SnapshotRow>> =
        settings.jobs.iter().map(|job| (job.name.to_string(), Vec::new())).collect();
    for row in &status.rows {
        let (true, Some(job)) = (row.state == lacre_repo::op::snapshots::SnapshotState::Live, row.night_of()) else {
            continue;
        };
        rows.entry(job.to_string()).or_default().push(row);
    }
    rows.into_iter().map(|(name, rows)| job(opened, status, name, &rows)).collect()
}

fn job(opened: &Opened<'_>, status: &Status, name: String, rows: &[&SnapshotRow]) -> Job {
    let drill = status
        .drills
        .iter()
        .rev()
        .find(|drill| drill.record.passed && drill.job.as_ref().is_some_and(|job| job.as_str() == name))
        .map(|drill| Rehearsal {
            time: human::time(streams::moment(drill.at)),
            recovery: human::duration(std::time::Duration::from_millis(drill.record.rto_ms)),
        });
    let snapshot = if rows.is_empty() { None } else { opened.newest(&name) };
    let largest = snapshot.as_ref().and_then(|snapshot| {
        let tables = snapshot.streams().iter().filter(|stream| stream.kind == StreamKind::Table);
        tables.max_by_key(|stream| stream.rows).map(|stream| stream.name.clone())
    });
    let holds_database = snapshot.as_ref().is_some_and(|snapshot| snapshot.source() == "postgres");
    let unnamed = || {
        let database = snapshot.as_ref()?.facts().get("database.name").cloned().unwrap_or_else(|| name.clone());
        holds_database.then(|| Database { url: format!("postgres:///{database}"), name: database })
    };
    Job {
        database: database_of(&opened.vault.settings, &name).or_else(unnamed),
        count: rows.len(),
        newest: rows.last().map(|row| night(row)),
        before: rows.len().checked_sub(2).and_then(|at| rows.get(at)).map(|row| night(row)),
        oldest: rows.first().map(|row| night(row)),
        drill,
        table: largest,
        name,
    }
}

fn night(row: &SnapshotRow) -> Night {
    let label = row.label.as_ref();
    Night {
        id: short(&row.snapshot.to_string()).to_owned(),
        time: human::time(streams::moment(row.taken)),
        size: label.map_or_else(String::new, |label| human::bytes(label.bytes)),
        rows: label.map_or_else(String::new, |label| human::count(label.rows)),
    }
}

/// The database of a configured job.
fn database_of(settings: &Settings, job: &str) -> Option<Database> {
    let job = settings.jobs.iter().find(|known| known.name.as_str() == job)?;
    let JobSource::Postgres(url) = &job.source else { return None };
    let name = database_name(url).unwrap_or_else(|| job.name.to_string());
    // What stands for a password in text that is shown would be taken for one.
    let shown = if url.has_password() { format!("postgres:///{name}") } else { url.expose().to_owned() };
    Some(Database { name, url: shown })
}

/// The database that a URL or a connection string names.
fn database_name(url: &SafeUrl) -> Option<String> {
    let text = url.expose();
    let name = match text.split_once("://") {
        Some((_, rest)) => rest.split(['?', '#']).next()?.split_once('/')?.1.to_owned(),
        None => text.split_whitespace().find_map(|pair| pair.strip_prefix("dbname="))?.to_owned(),
    };
    (!name.is_empty() && !name.contains('%')).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::database_name;

    #[test]
    fn the_database_of_a_job() {
        let name = |url: &str| database_name(&url.parse().unwrap());
        assert_eq!(name("postgres://backup@db/astro?sslmode=require").as_deref(), Some("astro"));
        assert_eq!(name("postgres:///astro").as_deref(), Some("astro"));
        assert_eq!(name("host=db dbname=astro").as_deref(), Some("astro"));
        assert_eq!(name("postgres://db"), None);
    }
}
