//! `lacre repo prune`: what nothing needs any more, given back; with `--dry-run` the same plan with its reasons.

use std::io;

use jiff::Timestamp;
use lacre_repo::op::prune::{
    Adopt, Economy, HeldBack, Keeper, Keepers, Losses, PlannedPack, PruneOptions, PrunePlan, PruneReport, PruneState,
    Untouchable, Waiting,
};

use super::findings;
use crate::{
    cli::PruneArgs,
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{PrunePack, PruneResult, WaitingEntry},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::{Vault, short, watching},
};

/// Packs that are kept and shown to people without `-v`.
const KEPT_SHOWN: usize = 10;

/// Collects garbage, or prints what would be collected: exit 3 when something has to be waited for.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation, args: &PruneArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let options = options(args);
    let document = if args.dry_run {
        dry(&vault.repository.plan_prune(&options).map_err(|error| vault.explain(error))?)
    } else {
        let (line, watching) = watching(invocation);
        let _shown = watching.shown(&vault, "prune", None);
        let report = vault.repository.prune(&options, &watching);
        line.finish();
        done(&report.map_err(|error| vault.explain(error))?)
    };
    let (document, findings) = document;
    invocation.print(&document, |out| {
        findings::write(&findings, out)?;
        write(&document, out)
    })?;
    let pending = document.state == "pending";
    if !args.dry_run {
        super::seal::rotate_if_due(invocation, &vault);
    }
    Ok(if pending { Exit::Findings } else { findings::exit(&findings) })
}

/// Prunes with the settings nobody asked to change, after `forget --prune`.
///
/// # Errors
/// Those of the vault.
pub(super) fn after_forget(invocation: &Invocation, vault: &Vault) -> Result<(PruneResult, Exit), CliError> {
    let (line, watching) = watching(invocation);
    let _shown = watching.shown(vault, "prune", None);
    let report = vault.repository.prune(&PruneOptions::default(), &watching);
    line.finish();
    let (document, found) = done(&report.map_err(|error| vault.explain(error))?);
    let exit = if document.state == "pending" { Exit::Findings } else { findings::exit(&found) };
    Ok((document, exit))
}

fn options(args: &PruneArgs) -> PruneOptions {
    let usual = PruneOptions::default();
    let percent =
        |given: Option<crate::cli::value::Percent>, usual: f64| given.map_or(usual, |share| share.fraction() * 100.0);
    PruneOptions {
        economy: Economy {
            repack_percent_max: percent(args.max_repack, usual.economy.repack_percent_max),
            dead_percent_min: percent(args.min_dead, usual.economy.dead_percent_min),
            gain_percent_min: percent(args.min_gain, usual.economy.gain_percent_min),
        },
        void_after: args.void_after.unwrap_or(usual.void_after),
        duration_max: args.max_duration,
        skew_max: usual.skew_max,
        losses: if args.accept_loss { Losses::Accept } else { Losses::Refuse },
        adopt: if args.adopt { Adopt::Any } else { Adopt::Own },
    }
}

fn dry(plan: &PrunePlan) -> (PruneResult, Vec<lacre_repo::Finding>) {
    let state = if plan.is_empty() { "nothing" } else { "planned" };
    let repacked: u64 = plan.repack.iter().map(|pack| pack.usage.live_bytes).sum();
    let document = PruneResult {
        dry_run: true,
        state: state.to_owned(),
        snapshots: plan.snapshots.len() as u64,
        packs: plan.packs,
        bytes_packs: plan.bytes,
        bytes_dead: plan.dead_bytes,
        packs_deleted: (plan.delete.len() + plan.repack.len()) as u64,
        packs_repacked: plan.repack.len() as u64,
        bytes_deleted: plan.delete.iter().chain(&plan.repack).map(|pack| pack.usage.bytes).sum(),
        bytes_written: repacked,
        bytes_freed: plan.gain(),
        objects_deleted: 0,
        delete: plan.delete.iter().map(entry).collect(),
        repack: plan.repack.iter().map(entry).collect(),
        kept: plan.kept.iter().map(entry).collect(),
        held_back: held_back(plan),
        waiting: plan.waiting.iter().map(waits).collect(),
        findings: findings::entries(&plan.findings),
    };
    (document, plan.findings.clone())
}

fn done(report: &PruneReport) -> (PruneResult, Vec<lacre_repo::Finding>) {
    let state = match report.state {
        PruneState::Nothing => "nothing",
        PruneState::Done => "done",
        PruneState::Pending => "pending",
    };
    let plan = report.plan.clone().unwrap_or_default();
    let document = PruneResult {
        dry_run: false,
        state: state.to_owned(),
        snapshots: report.snapshots,
        packs: plan.packs,
        bytes_packs: plan.bytes,
        bytes_dead: plan.dead_bytes,
        packs_deleted: report.packs_deleted,
        packs_repacked: plan.repack.len() as u64,
        bytes_deleted: report.bytes_deleted,
        bytes_written: report.bytes_written,
        bytes_freed: report.bytes_deleted.saturating_sub(report.bytes_written),
        objects_deleted: report.objects_deleted,
        delete: plan.delete.iter().map(entry).collect(),
        repack: plan.repack.iter().map(entry).collect(),
        kept: Vec::new(),
        held_back: held_back(&plan),
        waiting: report.waiting.iter().map(waits).collect(),
        findings: findings::entries(&report.findings),
    };
    (document, report.findings.clone())
}

fn held_back(plan: &PrunePlan) -> Option<String> {
    plan.held_back.map(|why| match why {
        HeldBack::Gain => "repacking would gain too little (--min-gain)".to_owned(),
        HeldBack::Share => "one run writes at most a share of the repository (--max-repack)".to_owned(),
    })
}

fn entry(pack: &PlannedPack) -> PrunePack {
    let untouchable = pack.usage.untouchable.map(|why| match why {
        Untouchable::Young => "stored while a session is open".to_owned(),
        Untouchable::Contested => "another pack claims the same birth name".to_owned(),
    });
    PrunePack {
        pack: pack.name.to_string(),
        bytes: pack.usage.bytes,
        frames: u64::from(pack.usage.frames),
        frames_needed: u64::from(pack.usage.live),
        bytes_dead: pack.usage.dead_bytes,
        why: untouchable.unwrap_or_else(|| needed_by(&pack.keepers)),
    }
}

/// Who needs a pack, in words.
fn needed_by(keepers: &Keepers) -> String {
    let name = |keeper: &Keeper| match keeper {
        Keeper::Snapshot(snapshot) => format!("snapshot {}", snapshot.short()),
        Keeper::Held(snapshot) => format!("held snapshot {}", snapshot.short()),
        Keeper::Base(snapshot) => format!("snapshot {}, on which an open session builds", snapshot.short()),
    };
    let named: Vec<String> = keepers.named.iter().map(name).collect();
    let more = keepers.count.saturating_sub(named.len() as u64);
    match (named.is_empty(), more) {
        (true, _) => "nothing needs it".to_owned(),
        (false, 0) => format!("needed by {}", named.join(", ")),
        (false, more) => format!("needed by {} and {more} more", named.join(", ")),
    }
}

fn waits(waiting: &Waiting) -> WaitingEntry {
    WaitingEntry {
        session: waiting.session.to_string(),
        home: waiting.home.to_string(),
        opened: waiting.opened.to_string(),
        why: waiting.blocked.clone().unwrap_or_else(|| "it is open".to_owned()),
    }
}

/// The result for people.
pub(super) fn write(document: &PruneResult, out: &mut dyn Page) -> io::Result<()> {
    if document.dry_run {
        write_packs(document, out)?;
    }
    let (freed, packs) = (human::bytes(document.bytes_freed), human::things(document.packs_deleted, ["pack", "packs"]));
    let snapshots = human::things(document.snapshots, ["snapshot", "snapshots"]);
    match document.state.as_str() {
        "nothing" => writeln!(
            out,
            "nothing to do: {} of {} in packs is dead, and nothing of it is worth a rewrite",
            human::bytes(document.bytes_dead),
            human::bytes(document.bytes_packs)
        )?,
        "planned" => writeln!(
            out,
            "{packs} would go ({} of them after copying {}), {snapshots} would be reclaimed: {freed} freed; nothing was changed (--dry-run)",
            human::count(document.packs_repacked),
            human::bytes(document.bytes_written)
        )?,
        _ => writeln!(
            out,
            "{packs} deleted, {} written anew, {snapshots} reclaimed: {freed} freed",
            human::bytes(document.bytes_written)
        )?,
    }
    if let Some(why) = &document.held_back {
        writeln!(out, "not everything that is dead enough is repacked: {why}")?;
    }
    for waiting in &document.waiting {
        let opened: Option<Timestamp> = waiting.opened.parse().ok();
        let since = opened.map_or_else(String::new, |opened| format!(", open since {}", human::time(opened)));
        let (session, home) = (short(&waiting.session), short(&waiting.home));
        writeln!(out, "waits for session {session} of home {home}{since}: {}", waiting.why)?;
    }
    if document.state == "pending" {
        writeln!(out, "pending: run lacre repo prune again later; it goes on where it stopped")?;
    }
    Ok(())
}

fn write_packs(document: &PruneResult, out: &mut dyn Page) -> io::Result<()> {
    let mut table = Table::new(&[
        ("", Align::Left),
        ("pack", Align::Left),
        ("size", Align::Right),
        ("dead", Align::Right),
        ("why", Align::Left),
    ]);
    let mut rows = |what: &str, packs: &[PrunePack], most: usize| {
        for pack in packs.iter().take(most) {
            let (size, dead) = (human::bytes(pack.bytes), human::bytes(pack.bytes_dead));
            table.row([what.to_owned(), short(&pack.pack).to_owned(), size, dead, pack.why.clone()]);
        }
    };
    rows("delete", &document.delete, usize::MAX);
    rows("repack", &document.repack, usize::MAX);
    rows("keep", &document.kept, KEPT_SHOWN);
    table.write(out)
}
