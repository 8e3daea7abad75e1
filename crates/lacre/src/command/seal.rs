//! `lacre seal status`, `verify` and `rotate`: who holds the seal.

use lacre_format::{
    ids::Millis,
    log::KitRecord,
    policy::{Holders, KitState},
};
use lacre_repo::{
    Severity,
    op::seal::{CellStatus, SealStatus},
};

use super::{findings, streams};
use crate::{
    cli::{SealAction, SealArgs},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{SealHolder, SealStatusResult},
    term::table::{Align, Table},
    vault::Vault,
};

/// Lists the holders; `verify` also judges them.
///
/// # Errors
/// Those of the vault and of cells that are there and cannot be read.
pub(super) fn run(invocation: &Invocation, args: &SealArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    if let SealAction::Rotate(args) = &args.action {
        return super::erase::rotate(invocation, &vault, args);
    }
    let status = vault.repository.seal_status().map_err(|error| vault.explain(error))?;
    let document = document(&status);
    invocation.print(&document, |out| {
        writeln!(out, "seal generation {}", document.generation)?;
        let mut table = Table::new(&[("holder", Align::Left), ("name", Align::Left), ("state", Align::Left)]);
        for holder in document.holders.iter().chain(&document.identity_sheets) {
            table.row([holder.kind.clone(), holder.name.clone(), holder.what.clone()]);
        }
        table.write(out)?;
        findings::write(&status.findings, out)
    })?;
    let damaged = status.findings.iter().any(|finding| finding.severity == Severity::Damage);
    Ok(match args.action {
        SealAction::Status | SealAction::Rotate(_) => Exit::Done,
        SealAction::Verify if damaged => Exit::Damage,
        SealAction::Verify => findings::exit(&status.findings),
    })
}

fn document(status: &SealStatus) -> SealStatusResult {
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
    let verified = holders.iter().filter(|holder| holder.verified).count();
    let needed = if status.holders == Holders::Single { 1 } else { 2 };
    SealStatusResult {
        generation: status.generation.number,
        holders_verified: u32::try_from(verified).unwrap_or(u32::MAX),
        ok: verified >= needed && status.findings.iter().all(|finding| finding.severity < Severity::Damage),
        holders,
        identity_sheets: status.identity_sheets.iter().map(of_identity_sheet).collect(),
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

fn of_cell(cell: &CellStatus, status: &SealStatus) -> SealHolder {
    let holds = cell.generations.contains(&status.generation);
    let what = match (cell.reachable, holds, cell.generations.is_empty()) {
        (false, _, _) => format!("not on this host (made on {})", cell.host),
        (true, true, _) => "holds the current generation".to_owned(),
        (true, false, true) => "holds no generation".to_owned(),
        (true, false, false) => "holds only other generations".to_owned(),
    };
    let newest = cell.generations.iter().map(|generation| generation.number).max();
    SealHolder { kind: "cell".to_owned(), name: cell.name.clone(), generation: newest, verified: holds, what }
}
