//! `lacre kit issue` and `lacre kit ack`: printed copies of the seal.

use lacre_repo::op::seal::Sheet;
use lacre_seal::kit::{IdentitySheet, Kit, KitChecksum};

use super::init::{
    QrCode, identity_sheet_of, refuse_existing, refuse_inside, refuse_unwritable, write_identity_sheet, write_kit,
    write_sheet,
};
use crate::{
    cli::{KitAckArgs, KitAction, KitArgs, KitIssueArgs},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    output::KitResult,
    runbook,
    term::{Form, prompt},
    vault::{Vault, identity_at_hand},
};

/// Issues or acknowledges a kit.
///
/// # Errors
/// Those of the vault, [`Kind::NoKey`] among them; [`Kind::Refused`] for words of another sheet.
pub(super) fn run(invocation: &Invocation, args: &KitArgs) -> Result<Exit, CliError> {
    match &args.action {
        KitAction::Issue(args) => issue(invocation, args),
        KitAction::Ack(args) => acknowledge(invocation, args),
    }
}

fn issue(invocation: &Invocation, args: &KitIssueArgs) -> Result<Exit, CliError> {
    if invocation.terminal.form == Form::Json && args.kit_file.is_none() {
        return Err(CliError::new(Kind::Usage, "with --json the kit cannot be printed").hint("add --kit-file FILE"));
    }
    let vault = Vault::open(invocation)?;
    if let Some(file) = args.kit_file.as_deref() {
        refuse_existing(file)?;
        refuse_existing(&identity_sheet_of(file))?;
        if let Some(folder) = vault.repository.store().local_path() {
            refuse_inside(file, folder)?;
        }
        refuse_unwritable(file)?;
    }
    let identity = if args.pointer {
        None
    } else {
        identity_at_hand(&vault).map(|secret| Kit::Identity(IdentitySheet { secret }))
    };
    let kit = if args.pointer {
        pointer(&vault)?
    } else {
        vault.repository.issue_kit(identity.as_ref()).map_err(|error| vault.explain(error))?
    };
    let notes = notes(invocation, &vault, &kit, identity.as_ref());
    let mut identity_sheet_file = None;
    if let Some(file) = args.kit_file.as_deref() {
        let made = "the kit is on record";
        write_kit(file, &kit, &notes, made)?;
        identity_sheet_file = write_identity_sheet(file, identity.as_ref(), made)?;
    }
    let (number, generation) = match &kit {
        Kit::Seal(kit) => (kit.number, kit.generation_number),
        Kit::Pointer(kit) => (kit.number, current(&vault)?),
        Kit::Identity(_) => return Err(CliError::new(Kind::Bug, "a kit of the seal came as an identity")),
    };
    let kit_file = args.kit_file.as_ref().map(|path| path.display().to_string());
    let document = KitResult { kit: number, generation, state: "issued".to_owned(), kit_file, identity_sheet_file };
    let qr = if invocation.terminal.stdout_is_terminal() { QrCode::Drawn } else { QrCode::LeftOut };
    invocation.print(&document, |out| {
        match &document.kit_file {
            Some(file) => writeln!(out, "kit {number} is in {file}; print it, keep the paper apart, delete the file")?,
            None => write_sheet(&kit, &notes, qr, out)?,
        }
        match (&document.identity_sheet_file, &identity) {
            (Some(file), _) => writeln!(out, "its identity sheet is in {file}; the same with that one")?,
            (None, Some(sheet)) => {
                writeln!(out)?;
                write_sheet(sheet, "", qr, out)?;
            }
            (None, None) if args.pointer => {}
            (None, None) => writeln!(out, "no identity sheet: no age identity is at hand (--identity FILE)")?,
        }
        writeln!(out, "then prove that it is readable: lacre kit ack {number}")?;
        if identity.is_some() {
            writeln!(out, "and the identity sheet: lacre kit ack {number} --identity-sheet")
        } else {
            Ok(())
        }
    })?;
    Ok(Exit::Done)
}

/// What to do with this very sheet when the server is gone. A sheet without it is as good, so what cannot be gathered is left out.
fn notes(invocation: &Invocation, vault: &Vault, kit: &Kit, identity: Option<&Kit>) -> String {
    let mut facts = super::runbook::gather(invocation, vault).unwrap_or_else(|error| {
        invocation.terminal.detail(&format!("the sheet names only what lacre.toml names: {}", error.message()));
        super::runbook::planned(&vault.settings)
    });
    if let (Kit::Seal(kit), Some(_)) = (kit, identity) {
        facts.identity_sheet = Some(kit.number);
    }
    runbook::short(&facts)
}

/// A sheet with the way to every cell that a bare machine can reach.
fn pointer(vault: &Vault) -> Result<Kit, CliError> {
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let mut cells = Vec::new();
    for entry in &view.policy.cells {
        cells.extend(vault.cells.pointer(&entry.name)?);
    }
    if cells.is_empty() {
        return Err(CliError::new(Kind::Usage, "no cell of this repository can be reached from a bare machine")
            .hint("lacre seal add-cell SPEC, with a bucket of its own or a command; or print a kit with the seal: lacre kit issue"));
    }
    vault.repository.issue_pointer(cells).map_err(|error| vault.explain(error))
}

fn current(vault: &Vault) -> Result<u32, CliError> {
    Ok(vault.repository.view().map_err(|error| vault.explain(error))?.policy.generation.number)
}

fn acknowledge(invocation: &Invocation, args: &KitAckArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let (number, state) = (args.number, if args.destroyed { "destroyed" } else { "verified" });
    let (sheet, name) =
        if args.identity_sheet { (Sheet::Identity, "the identity sheet of kit") } else { (Sheet::Seal, "kit") };
    if args.destroyed {
        vault.repository.attest_kit_destroyed(number, sheet).map_err(|error| vault.explain(error))?;
    } else {
        let words = match &args.checksum {
            Some(words) => words.clone(),
            None => prompt::line(
                &invocation.terminal,
                &format!("The four words after \"check\" on {name} {number}: "),
                "add --checksum \"four words of the sheet\"",
            )?,
        };
        let typed = KitChecksum::parse(&words)
            .map_err(|error| CliError::new(Kind::Usage, "these are not four words of a sheet").because(&error))?;
        vault.repository.acknowledge_kit(number, sheet, typed).map_err(|error| vault.explain(error))?;
    }
    let generation = vault.repository.view().map_err(|error| vault.explain(error))?;
    let generation = generation.kits.get(&number).map_or(generation.policy.generation, |(_, kit)| kit.generation);
    let document = KitResult {
        kit: number,
        generation: generation.number,
        state: state.to_owned(),
        kit_file: None,
        identity_sheet_file: None,
    };
    invocation.print(&document, |out| writeln!(out, "{name} {number} is {state}"))?;
    Ok(Exit::Done)
}
