//! `lacre key list`: who may read, who may write, what this host holds.

use lacre_format::policy::{RecipientEntry as PolicyRecipient, Role};
use lacre_seal::recipient::{Recipient, RecipientKind};

use crate::{
    cli::{KeyAction, KeyListArgs},
    error::CliError,
    exit::Exit,
    invocation::Invocation,
    output::{HomeEntry, KeyListResult, RecipientEntry},
    term::table::{Align, Table},
    vault::Vault,
};

/// Lists recipients, homes and the keys of this host.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation, args: &KeyListArgs) -> Result<Exit, CliError> {
    let KeyAction::List = args.action;
    let vault = Vault::open(invocation)?;
    let policy = vault.repository.view().map_err(|error| vault.explain(error))?.policy;
    let home = vault.repository.home();
    let (writer, admin) = (home.writer_keys().ok(), home.admin_key().ok());
    let mine = [writer.as_ref().map(|keys| keys.signer.home), admin.as_ref().map(|signer| signer.home)];
    let mut held_here = Vec::new();
    held_here.extend(writer.as_ref().map(|_| "writer".to_owned()));
    held_here.extend(admin.as_ref().map(|_| "admin".to_owned()));
    held_here.extend(home.identity().exists().then(|| "identity".to_owned()));
    held_here.extend(home.default_cell().exists().then(|| "seal".to_owned()));
    let document = KeyListResult {
        recipients: policy.recipients.iter().map(recipient).collect(),
        homes: policy
            .homes
            .iter()
            .map(|entry| HomeEntry {
                home: entry.home.to_string(),
                role: role(entry.role).to_owned(),
                this_host: mine.contains(&Some(entry.home)),
            })
            .collect(),
        held_here,
    };
    invocation.print(&document, |out| {
        let mut recipients = Table::new(&[("recipient", Align::Left), ("kind", Align::Left)]);
        for entry in &document.recipients {
            recipients.row([entry.recipient.clone(), entry.kind.clone()]);
        }
        recipients.write(out)?;
        writeln!(out)?;
        let mut homes = Table::new(&[("home", Align::Left), ("role", Align::Left), ("", Align::Left)]);
        for entry in &document.homes {
            let here = if entry.this_host { "this host" } else { "" };
            homes.row([entry.home.clone(), entry.role.clone(), here.to_owned()]);
        }
        homes.write(out)?;
        let held = if document.held_here.is_empty() { "none".to_owned() } else { document.held_here.join(", ") };
        writeln!(out, "\nprivate keys on this host: {held}")
    })?;
    Ok(Exit::Done)
}

fn recipient(entry: &PolicyRecipient) -> RecipientEntry {
    let known = Recipient::from_record(entry.kind, &entry.bytes).ok();
    let kind = match known.as_ref().map(Recipient::kind) {
        _ if entry.locked_identity.is_some() => "passphrase",
        Some(RecipientKind::AgeX25519) => "age",
        Some(RecipientKind::AgePq) => "age-pq",
        Some(RecipientKind::OpenPgp) => "openpgp",
        _ => "unknown",
    };
    RecipientEntry { kind: kind.to_owned(), recipient: entry.label.clone(), added: None }
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Writer => "writer",
        Role::Maintenance => "maintenance",
        Role::Admin => "admin",
    }
}
