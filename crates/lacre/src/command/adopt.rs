//! `lacre repo adopt`: a copy becomes the repository, because the place it was a copy of is gone.

use std::{io, sync::Arc};

use lacre_repo::{
    Finding, Repository, SystemClock,
    home::Home,
    op::{
        adopt::{AdoptPlan, Vouched},
        keys::ReadKeys,
    },
};
use lacre_seal::kit::Kit;

use super::findings;
use crate::{
    cli::{AdoptArgs, value::StoreUrl},
    config::Settings,
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::AdoptResult,
    term::page::Page,
    term::prompt::{self, Agreement},
    vault::{CellWay, configured_repository, explain, open_store, parse_cells, read_sheets},
};

/// Adopts the copy that `--repo` names: exit 3 when something is lost.
///
/// # Errors
/// Those of the vault; [`Kind::Refused`] while the repository answers, when nobody confirmed, and when an erasure may be missing.
pub(super) fn run(invocation: &Invocation, args: &AdoptArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let place = invocation.repository(&settings)?;
    let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
    let store = open_store(&place, &settings)?;
    let cells = CellWay::new(&settings, &invocation.interrupt);
    let copy = Repository::open(store, &home, Arc::new(SystemClock))
        .map_err(|error| explain(error, None))?
        .with_cells(Arc::clone(&cells) as Arc<dyn lacre_repo::cell::CellReach>);
    let explained = |error| explain(error, Some(copy.home().directory()));
    refuse_while_it_answers(invocation, &settings, &place, &copy)?;
    let keys = keys(&settings, &cells, args)?;
    let plan = copy.plan_adopt(&keys).map_err(explained)?;
    let mut found = plan.losses();
    found.extend(plan.findings.iter().cloned());
    let document = document(&plan, &found, args);
    if args.dry_run {
        invocation.print(&document, |out| write(&document, &found, &place, out))?;
        return Ok(findings::exit(&found));
    }
    if !args.yes {
        findings::warn(invocation, &found);
    }
    let consequence = format!(
        "{place} becomes the repository with {}; the place it was copied from is never accepted as the repository again",
        human::things(plan.snapshots, ["snapshot", "snapshots"])
    );
    prompt::confirm(&invocation.terminal, Agreement::from(args.yes), &consequence)?;
    let vouched = if args.accept_unseen { Vouched::NoErasureMissing } else { Vouched::No };
    copy.adopt(&keys, vouched).map_err(explained)?;
    invocation.print(&document, |out| write(&document, &found, &place, out))?;
    Ok(findings::exit(&found))
}

/// A copy is adopted when the repository is gone. One that answers is brought along instead.
fn refuse_while_it_answers(
    invocation: &Invocation,
    settings: &Settings,
    place: &StoreUrl,
    copy: &Repository,
) -> Result<(), CliError> {
    let Some(configured) = configured_repository(invocation)?.filter(|configured| configured != place) else {
        return Ok(());
    };
    // Its keys are those of the repository, whatever --repo says.
    let Ok(store) = open_store(&configured, settings) else { return Ok(()) };
    let same = lacre_repo::repository::id_in(&store).is_ok_and(|id| id == copy.id());
    if !same {
        return Ok(());
    }
    let what = format!("the repository at {configured} answers: two places would be the repository");
    Err(CliError::new(Kind::Refused, what)
        .hint("lacre copy sync    (brings the copies up to date; restores can read a copy directly with --repo)")
        .hint("to move on purpose: sync, take the old place away or name the new one in lacre.toml, then adopt"))
}

fn keys(settings: &Settings, cells: &CellWay, args: &AdoptArgs) -> Result<ReadKeys, CliError> {
    let mut keys = ReadKeys { cells: parse_cells(&settings.seal_cells)?, ..ReadKeys::default() };
    for path in &args.kit {
        for sheet in read_sheets(path)? {
            match sheet {
                Kit::Seal(kit) => keys.kits.push(kit),
                Kit::Pointer(kit) => keys.cells.extend(cells.learn(kit)?),
                Kit::Identity(_) => {}
            }
        }
    }
    Ok(keys)
}

fn document(plan: &AdoptPlan, found: &[Finding], args: &AdoptArgs) -> AdoptResult {
    AdoptResult {
        dry_run: args.dry_run,
        policy: plan.policy,
        from: plan.from,
        generation: plan.generation.number,
        snapshots: plan.snapshots,
        brought: plan.brought,
        lost: plan.lost.iter().map(ToString::to_string).collect(),
        closed: plan.closed.iter().map(ToString::to_string).collect(),
        sessions: plan.sessions.iter().map(ToString::to_string).collect(),
        erasures: plan.erasures.iter().map(ToString::to_string).collect(),
        unseen: plan.unseen.clone(),
        findings: findings::entries(found),
    }
}

fn write(document: &AdoptResult, found: &[Finding], place: &StoreUrl, out: &mut dyn Page) -> io::Result<()> {
    findings::write(found, out)?;
    let verb = if document.dry_run { "would become" } else { "is now" };
    writeln!(
        out,
        "{place} {verb} the repository: {}, {} known to be lost, policy {} (before: {})",
        human::things(document.snapshots, ["snapshot", "snapshots"]),
        human::count(document.lost.len() as u64),
        document.policy,
        document.from
    )?;
    if !document.dry_run {
        writeln!(
            out,
            "next: write repository = \"{place}\" into lacre.toml of every host, and take it out of its [[copy]] list"
        )?;
        writeln!(
            out,
            "then: lacre repo check, lacre backup; the old place, should it come back, can serve as a [[copy]]"
        )?;
    }
    Ok(())
}
