//! `lacre seal`: who holds the seal, and changing it.

use lacre_format::{
    ids::Millis,
    log::{KitRecord, PointerRecord},
    policy::{Holders, KitState},
};
use lacre_repo::{
    Severity,
    op::{
        cells::RotationDue,
        seal::{CellStatus, SealStatus},
    },
};

use super::{cells, findings, streams};
use crate::{
    cli::{SealAction, SealArgs, SealRotateArgs},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{RotateResult, SealHolder, SealStatusResult},
    term::table::{Align, Table},
    vault::Vault,
};

/// Lists the holders, judges them, changes the seal or the cells.
///
/// # Errors
/// Those of the vault and of cells that are there and cannot be read.
pub(super) fn run(invocation: &Invocation, args: &SealArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    match &args.action {
        SealAction::Rotate(args) => rotate(invocation, &vault, args),
        SealAction::AddCell(args) => cells::add(invocation, &vault, args),
        SealAction::RemoveCell(args) => cells::remove(invocation, &vault, args),
        SealAction::MoveCell(args) => cells::relocate(invocation, &vault, args),
        SealAction::Status => status(invocation, &vault, Judged::No),
        SealAction::Verify => status(invocation, &vault, Judged::Yes),
    }
}

/// Whether what is found decides the exit code.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judged {
    No,
    Yes,
}

fn rotate(invocation: &Invocation, vault: &Vault, args: &SealRotateArgs) -> Result<Exit, CliError> {
    if !args.if_due {
        return super::erase::rotate(invocation, vault, &args.resume);
    }
    let Some(every) = vault.settings.rotate_every else {
        return Err(CliError::new(Kind::Configuration, "nothing says how often the seal is changed")
            .hint("set rotate_every = \"90d\" in [seal] of lacre.toml, or change it now: lacre seal rotate"));
    };
    let due = due(vault, every)?;
    if due.is_due && due.blocked.is_none() {
        return super::erase::rotate(invocation, vault, &args.resume);
    }
    let current = vault.repository.view().map_err(|error| vault.explain(error))?.policy.generation.number;
    let document = RotateResult {
        from: current,
        to: current,
        carried: 0,
        dropped: Vec::new(),
        state: if due.is_due { "by_hand".to_owned() } else { "not_due".to_owned() },
        pending: Vec::new(),
        due: Some(due.due_at.to_string()),
    };
    invocation.print(&document, |out| match &due.blocked {
        Some(why) if due.is_due => writeln!(out, "the seal was due to change on {}: {why}", human::time(due.due_at)),
        _ => writeln!(out, "the seal is due to change on {}", human::time(due.due_at)),
    })?;
    Ok(if due.is_due { Exit::Findings } else { Exit::Done })
}

/// Changes the seal after the nightly work, when it is due and needs nobody; what is wrong with it is a warning there.
pub(super) fn rotate_if_due(invocation: &Invocation, vault: &Vault) {
    let Some(every) = vault.settings.rotate_every.filter(|_| vault.repository.home().admin_key().is_ok()) else {
        return;
    };
    let rotated = due(vault, every).and_then(|due| match due.blocked {
        _ if !due.is_due => Ok(()),
        Some(why) => {
            invocation.terminal.warn(&format!("the seal was due to change on {}: {why}", human::time(due.due_at)));
            Ok(())
        }
        None => super::erase::rotate_quietly(invocation, vault),
    });
    if let Err(error) = rotated {
        invocation.terminal.warn(&format!("the seal was not changed: {}", error.message()));
    }
}

fn due(vault: &Vault, every: std::time::Duration) -> Result<RotationDue, CliError> {
    let every = jiff::SignedDuration::try_from(every).unwrap_or(jiff::SignedDuration::MAX);
    vault.repository.rotation_due(every).map_err(|error| vault.explain(error))
}

fn status(invocation: &Invocation, vault: &Vault, judged: Judged) -> Result<Exit, CliError> {
    let status = vault.repository.seal_status().map_err(|error| vault.explain(error))?;
    let due = vault.settings.rotate_every.map(|every| due(vault, every)).transpose()?;
    let document = document(&status, due.as_ref());
    invocation.print(&document, |out| {
        writeln!(out, "seal generation {}", document.generation)?;
        let mut table =
            Table::new(&[("holder", Align::Left), ("name", Align::Left), ("state", Align::Left)]).lowers("name");
        let sheets = document.identity_sheets.iter().chain(&document.pointer_kits);
        for holder in document.holders.iter().chain(sheets) {
            table.row([holder.kind.clone(), holder.name.clone(), holder.what.clone()]);
        }
        table.write(out)?;
        if let Some(due) = &due {
            let how = due.blocked.as_deref().map_or_else(|| "by itself".to_owned(), |why| format!("by hand: {why}"));
            writeln!(out, "the seal is due to change on {}, {how}", human::time(due.due_at))?;
        }
        findings::write(&status.findings, out)
    })?;
    let damaged = status.findings.iter().any(|finding| finding.severity == Severity::Damage);
    Ok(match judged {
        Judged::No => Exit::Done,
        Judged::Yes if damaged => Exit::Damage,
        Judged::Yes => findings::exit(&status.findings),
    })
}

fn document(status: &SealStatus, due: Option<&RotationDue>) -> SealStatusResult {
    let mut holders: Vec<SealHolder> = status.cells.iter().map(|cell| of_cell(cell, status)).collect();
    for (at, kit) in &status.kits {
        let current = kit.generation == status.generation;
        let state = state_name(kit.state);
        let stale = if current { "" } else { ", of an older generation" };
        holders.push(SealHolder {
            kind: "kit".to_owned(),
            name: kit.number.to_string(),
            generation: Some(kit.generation.number),
            verified: current && kit.state == KitState::Acknowledged,
            what: format!("{state}{stale}, {}", human::time(streams::moment(*at))),
        });
    }
    let verified = status.holders_verified;
    let needed = if status.holders == Holders::Single { 1 } else { 2 };
    SealStatusResult {
        generation: status.generation.number,
        holders_verified: u32::try_from(verified).unwrap_or(u32::MAX),
        ok: verified >= needed && status.findings.iter().all(|finding| finding.severity < Severity::Damage),
        holders,
        identity_sheets: status.identity_sheets.iter().map(of_identity_sheet).collect(),
        pointer_kits: status.pointers.iter().map(of_pointer).collect(),
        sealed_at: streams::moment(status.sealed_at).to_string(),
        rotation_due: due.map(|due| due.due_at.to_string()),
        rotation_blocked: due.and_then(|due| due.blocked.clone()),
    }
}

fn state_name(state: KitState) -> &'static str {
    match state {
        KitState::Issued => "issued, not acknowledged",
        KitState::Acknowledged => "acknowledged",
        KitState::Destroyed => "destroyed",
    }
}

fn of_identity_sheet((at, sheet): &(Millis, KitRecord)) -> SealHolder {
    SealHolder {
        kind: "identity sheet".to_owned(),
        name: sheet.number.to_string(),
        generation: None,
        verified: sheet.state == KitState::Acknowledged,
        what: format!("{}, {}", state_name(sheet.state), human::time(streams::moment(*at))),
    }
}

fn of_pointer((at, pointer): &(Millis, PointerRecord)) -> SealHolder {
    let cells = human::things(pointer.cells.len(), ["cell", "cells"]);
    SealHolder {
        kind: "pointer kit".to_owned(),
        name: pointer.number.to_string(),
        generation: None,
        verified: pointer.state == KitState::Acknowledged,
        what: format!("{}, leads to {cells}, {}", state_name(pointer.state), human::time(streams::moment(*at))),
    }
}

fn of_cell(cell: &CellStatus, status: &SealStatus) -> SealHolder {
    let holds = cell.holds;
    let others = cell.generations.iter().filter(|held| **held != status.generation).count();
    let what = match (cell.reachable, holds, cell.generations.is_empty()) {
        (false, _, _) => format!("not reached from this host (made on {})", cell.host),
        (true, true, _) if others > 0 => {
            format!("holds the current generation and {}", human::things(others, ["other", "others"]))
        }
        (true, true, _) => "holds the current generation".to_owned(),
        (true, false, true) => "holds no generation".to_owned(),
        (true, false, false) => "holds only other generations".to_owned(),
    };
    let newest = cell.generations.iter().map(|generation| generation.number).max();
    SealHolder { kind: "cell".to_owned(), name: cell.name.clone(), generation: newest, verified: holds, what }
}
