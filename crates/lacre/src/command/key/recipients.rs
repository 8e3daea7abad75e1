//! Recipients: one more who may read, or one less.

use lacre_repo::op::{erase::ErasureState, rotate::RotateOptions};

use crate::{
    cli::{AddRecipientArgs, RemoveRecipientArgs},
    command::{
        erase, findings,
        init::{PASSPHRASE_QUESTION, named_recipients},
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{AddRecipientResult, PendingEntry, RemoveRecipientResult},
    term::prompt::{self, Agreement},
    vault::Vault,
};

/// Adds recipients, and wraps what there is to them if asked.
///
/// # Errors
/// [`Kind::Usage`] for something that is no recipient; those of the vault.
pub(super) fn add(invocation: &Invocation, args: &AddRecipientArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let named = named_recipients(&args.recipients, &args.pgp, args.passphrase.then_some(PASSPHRASE_QUESTION))?;
    if named.is_empty() && !args.rewrap {
        return Err(CliError::new(Kind::Usage, "no recipient was named")
            .hint("lacre key add-recipient age1..., or --pgp CERTFILE, or --passphrase"));
    }
    // Keys are read before anything is changed: a wrong identity file is no half of a change.
    let keys = args.rewrap.then(|| vault.read_keys(invocation, &args.kit)).transpose()?;
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let (mut labels, mut policy, mut older) = (Vec::new(), view.policy.number, 0);
    for new in &named {
        let added = vault.repository.add_recipient(new).map_err(|error| vault.explain(error))?;
        labels.push(added.label);
        (policy, older) = (added.policy, added.older);
    }
    let rewrap = match &keys {
        Some(keys) => vault.repository.rewrap(keys).map_err(|error| {
            vault.explain(error).hint("the recipient is added all the same; lacre key add-recipient --rewrap goes on")
        })?,
        None => lacre_repo::op::rotate::Rewrap::default(),
    };
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let document = AddRecipientResult {
        recipients: labels,
        policy,
        older: wide(older.saturating_sub(rewrap.wrapped.len())),
        rewrapped: wide(rewrap.wrapped.len()),
    };
    invocation.print(&document, |out| {
        for recipient in &document.recipients {
            writeln!(out, "{recipient} may read every snapshot from now on (policy {})", document.policy)?;
        }
        if document.rewrapped > 0 {
            writeln!(
                out,
                "{} wrapped to them as well",
                human::things(document.rewrapped, ["older snapshot was", "older snapshots were"])
            )?;
        }
        if document.older > 0 {
            writeln!(
                out,
                "{} cannot be read by them",
                human::things(document.older, ["older snapshot", "older snapshots"])
            )?;
            writeln!(out, "with an identity that reads those and the seal at hand, --rewrap wraps them again")?;
        }
        Ok(())
    })?;
    Ok(if rewrap.left.is_empty() { Exit::Done } else { Exit::Findings })
}

/// Removes a recipient.
///
/// # Errors
/// [`Kind::Usage`] for an unknown one; [`Kind::Refused`] for the last one or when nobody confirmed; those of the vault.
pub(super) fn remove(invocation: &Invocation, args: &RemoveRecipientArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let keys = vault.read_keys(invocation, &args.kit)?;
    let question = format!("Remove {} from all snapshots and change the seal?", args.recipient);
    prompt::confirm(&invocation.terminal, Agreement::from(args.yes), &question)?;
    let options = RotateOptions { copies: erase::copies(invocation, &vault)?, ..RotateOptions::default() };
    let removed =
        vault.repository.remove_recipient(&args.recipient, &keys, &options).map_err(|error| vault.explain(error))?;
    findings::warn(invocation, &removed.rotation.findings);
    let status = vault.repository.removals().map_err(|error| vault.explain(error))?;
    let status = status.into_iter().find(|status| status.id == removed.id);
    let receipt = vault.repository.sign_removal_receipt(removed.id).map_err(|error| vault.explain(error))?;
    let document = RemoveRecipientResult {
        removal: removed.id.to_string(),
        recipient: removed.label,
        policy: removed.policy,
        state: status.as_ref().map_or(ErasureState::Pending, |status| status.state).name().to_owned(),
        pending: status.iter().flat_map(|status| &status.pending).map(erase::pending).collect(),
        receipt: Some(erase::write_receipt_file(&vault, &receipt)?),
    };
    invocation.print(&document, |out| {
        writeln!(out, "{} may read no new snapshot (policy {})", document.recipient, document.policy)?;
        writeln!(out, "removal {}: {}", document.removal, document.state)?;
        for PendingEntry { what, command, .. } in &document.pending {
            writeln!(out, "pending: {what}; {command}")?;
        }
        document.receipt.as_ref().map_or(Ok(()), |file| writeln!(out, "receipt: {file}"))
    })?;
    Ok(if document.pending.is_empty() { Exit::Done } else { Exit::ErasurePending })
}
