//! `lacre key list`: who may read, who may write, what this host holds.

use std::io;

use lacre_format::policy::RecipientEntry as PolicyRecipient;
use lacre_repo::op::{erase::ErasureState, homes::HomeRow};
use lacre_seal::recipient::{Recipient, RecipientKind};

use super::{delegate, role_name};
use crate::{
    command::{erase, streams},
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{HomeEntry, KeyListResult, RecipientEntry, RemovalEntry},
    term::{
        page::Page,
        table::{Align, Table},
    },
    vault::Vault,
};

/// Lists recipients, homes and the keys of this host.
///
/// # Errors
/// Those of the vault.
pub(super) fn run(invocation: &Invocation) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let explain = |error| vault.explain(error);
    let view = vault.repository.view().map_err(explain)?;
    let home = vault.repository.home();
    let (writer, admin) = (home.writer_keys().ok(), home.admin_key().ok());
    let maintenance = home.maintenance_keys().ok();
    let mine = [
        writer.as_ref().map(|keys| keys.signer.home),
        maintenance.as_ref().map(|keys| keys.signer.home),
        admin.as_ref().map(|signer| signer.home),
    ];
    let held_here = [
        writer.map(|_| "writer"),
        maintenance.map(|_| "maintenance"),
        admin.map(|_| "admin"),
        home.identity().exists().then_some("identity"),
        home.default_cell().exists().then_some("seal"),
    ];
    // Rules that this host cannot open are no reason not to list everything else.
    let delegated = vault.repository.delegated(&view).ok().flatten();
    let removals = vault.repository.removals().map_err(explain)?;
    let document = KeyListResult {
        recipients: view.policy.recipients.iter().map(recipient).collect(),
        homes: vault.repository.homes(&view).iter().map(|row| home_entry(row, &mine)).collect(),
        held_here: held_here.into_iter().flatten().map(str::to_owned).collect(),
        policy: view.policy.number,
        pinned: home.pin().map_err(explain)?.map(|pin| pin.policy),
        delegated: delegated.iter().flat_map(|rules| &rules.rules).map(delegate::entry).collect(),
        removals: removals
            .iter()
            .filter(|status| status.state != ErasureState::Complete)
            .map(|status| RemovalEntry {
                removal: status.id.to_string(),
                state: status.state.name().to_owned(),
                pending: status.pending.iter().map(erase::pending).collect(),
            })
            .collect(),
    };
    invocation.print(&document, |out| write(&document, out))?;
    Ok(Exit::Done)
}

fn write(document: &KeyListResult, out: &mut dyn Page) -> io::Result<()> {
    let mut recipients = Table::new(&[("recipient", Align::Left), ("kind", Align::Left)]);
    for entry in &document.recipients {
        recipients.row([entry.recipient.clone(), entry.kind.clone()]);
    }
    recipients.write(out)?;
    writeln!(out)?;
    let columns = ["home", "role", "label", "state", "last snapshot", ""];
    let mut homes = Table::new(&columns.map(|name| (name, Align::Left))).lowers("last snapshot").lowers("state");
    for entry in &document.homes {
        let here = if entry.this_host { "this host" } else { "" };
        let last = entry.last_snapshot.as_deref().map_or_else(|| "none".to_owned(), local);
        homes.row([
            entry.home.clone(),
            entry.role.clone(),
            entry.label.clone(),
            entry.state.clone(),
            last,
            here.to_owned(),
        ]);
    }
    homes.write(out)?;
    writeln!(out)?;
    for rules in &document.delegated {
        let job = rules.job.as_deref().unwrap_or("every other job");
        writeln!(out, "machines may forget of {job} what is not: {}", rules.rules)?;
    }
    for removal in &document.removals {
        for pending in &removal.pending {
            writeln!(out, "a removed recipient ({}): {}; {}", removal.state, pending.what, pending.command)?;
        }
    }
    writeln!(out, "policy {}", document.policy)?;
    let held = if document.held_here.is_empty() { "none".to_owned() } else { document.held_here.join(", ") };
    writeln!(out, "private keys on this host: {held}")
}

fn local(time: &str) -> String {
    time.parse().map_or_else(|_| time.to_owned(), human::time)
}

fn home_entry(row: &HomeRow, mine: &[Option<lacre_format::ids::HomeId>]) -> HomeEntry {
    let state = match (row.entry.is_revoked(), row.revoking) {
        (true, _) => "revoked",
        (false, true) => "being revoked",
        (false, false) => "enrolled",
    };
    HomeEntry {
        home: row.entry.home.to_string(),
        role: role_name(row.entry.role).to_owned(),
        this_host: mine.contains(&Some(row.entry.home)),
        label: row.entry.label.clone(),
        state: state.to_owned(),
        snapshots: u64::try_from(row.snapshots).unwrap_or(u64::MAX),
        last_snapshot: row.last_snapshot.map(streams::rfc3339),
        revoked: row.entry.revoked.as_ref().map(|pins| streams::rfc3339(pins.at)),
    }
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
