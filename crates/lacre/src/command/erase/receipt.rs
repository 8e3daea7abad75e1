//! `lacre receipt`: receipt files, and proving one with a public key alone.

use std::{
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use lacre_format::{
    codec,
    erasure::{Declared, PersonAccount, Receipt},
    ids::{Digest, PublicKey, RepositoryId, Token},
    log::{Event, LOG_ENTRY_BYTES_MAX, LogEntry},
    object::Kind as ObjectKind,
    signed::Signed,
};
use lacre_repo::{
    files::{self, Replace},
    op::erase::{SignedReceipt, verify_receipt},
};

use super::super::streams;
use crate::{
    cli::{ReceiptAction, ReceiptArgs, ReceiptShowArgs, ReceiptVerifyArgs},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{
        self, ErasedEntry, ErasedTableEntry, ReceiptAccount, ReceiptCell, ReceiptKit, ReceiptPerson, ReceiptResult,
        ReceiptSnapshot, ReceiptSuccessor, ReceiptText, TraceEntry,
    },
    term::{page::Page, table::printable},
    vault::{Vault, explain},
};

/// Largest receipt file: its object twice in hexadecimal and once in words.
const RECEIPT_FILE_BYTES_MAX: u64 = 8 * LOG_ENTRY_BYTES_MAX;

/// The state of a receipt that waits for nothing more.
const COMPLETE: &str = "complete";

/// Shows or verifies a receipt.
///
/// # Errors
/// [`Kind::Damaged`] for a receipt that is not what the admin signed; those of the vault.
pub(in crate::command) fn run(invocation: &Invocation, args: &ReceiptArgs) -> Result<Exit, CliError> {
    match &args.action {
        ReceiptAction::Show(args) => show(invocation, args),
        ReceiptAction::Verify(args) => verify(invocation, args),
    }
}

fn show(invocation: &Invocation, args: &ReceiptShowArgs) -> Result<Exit, CliError> {
    let path = Path::new(&args.receipt);
    let document = if path.exists() {
        let shown = read(path)?;
        refuse_unlike_signed(&shown, path)?;
        let command = format!("lacre receipt verify {} --admin-key KEY", path.display());
        invocation.terminal.warn(&format!("not verified: {command}"));
        shown
    } else {
        let vault = Vault::open(invocation)?;
        let status = super::find(&vault, &args.receipt)?;
        let signed = vault.repository.newest_receipt(status.erasure).map_err(|error| vault.explain(error))?;
        with_accounts(&vault, &signed)?
    };
    invocation.print(&document, |out| write_text(&document, out))?;
    Ok(Exit::Done)
}

/// What a file says is what its signed object says; whose signature that is, only a key tells.
fn refuse_unlike_signed(shown: &ReceiptResult, path: &Path) -> Result<(), CliError> {
    let signed = unhex(&shown.signed_object)
        .and_then(|object| Signed::decode(ObjectKind::LogEntry, &object).ok())
        .and_then(|signed| -> Option<LogEntry> { codec::from_cbor("log entry", &signed.payload).ok() })
        .and_then(|entry| entry.event().ok());
    match signed {
        Some(Event::Receipt(receipt)) if text_of(&receipt) == shown.receipt => Ok(()),
        _ => Err(CliError::new(Kind::Damaged, format!("{}: what it says is not what was signed", path.display()))
            .hint("believe only the signed object; ask for the receipt again")),
    }
}

fn verify(invocation: &Invocation, args: &ReceiptVerifyArgs) -> Result<Exit, CliError> {
    let shown = read(&args.file)?;
    let bad_key = || CliError::new(Kind::Usage, "an admin's public key has 64 hexadecimal digits");
    let admin = PublicKey::parse(args.admin_key.trim()).map_err(|_| bad_key())?;
    let damaged = |what: &str| CliError::new(Kind::Damaged, format!("{}: {what}", args.file.display()));
    let repository = RepositoryId::parse(&shown.repository).map_err(|_| damaged("its repository is no id"))?;
    let object = unhex(&shown.signed_object).ok_or_else(|| damaged("its signed object is not hexadecimal"))?;
    let signed = verify_receipt(&object, repository, &admin).map_err(|error| explain(error, None))?;
    let mut proved = document(repository, &signed);
    for account in &shown.accounts {
        let object = unhex(&account.object).ok_or_else(|| damaged("an account is not hexadecimal"))?;
        let hash = Digest::new(*blake3::hash(&object).as_bytes());
        let is_signed = signed.receipt.person.as_ref().is_some_and(|person| person.accounts.contains(&hash));
        let content = codec::from_cbor("person account", &object).map_err(|_| damaged("an account cannot be read"))?;
        let said = account_of(&content, &object);
        if !is_signed || said != *account {
            return Err(damaged("an account is not the one that was signed for"));
        }
        proved.accounts.push(said);
    }
    if proved.receipt != shown.receipt || proved.signer != shown.signer || proved.entry != shown.entry {
        return Err(damaged("what it says is not what was signed")
            .hint("believe only the signed object; ask for the receipt again"));
    }
    invocation.print(&proved, |out| {
        writeln!(out, "the signature is good: entry {} of admin {}", proved.entry, proved.signer)?;
        write_text(&proved, out)
    })?;
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<ReceiptResult, CliError> {
    let failed = |error: &io::Error| {
        CliError::new(Kind::NotFound, format!("cannot read the receipt {}", path.display())).because(error)
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    file.take(RECEIPT_FILE_BYTES_MAX).read_to_string(&mut text).map_err(|error| failed(&error))?;
    serde_json::from_str(&text)
        .map_err(|error| CliError::new(Kind::Damaged, format!("{} is no receipt", path.display())).because(&error))
}

fn path_of(vault: &Vault, erasure: Token) -> PathBuf {
    vault.repository.home().directory().join("receipts").join(format!("{erasure}.json"))
}

/// Whether a receipt still has to be written, or written again.
pub(super) fn is_missing_or_interim(vault: &Vault, erasure: Token) -> bool {
    read(&path_of(vault, erasure)).map_or(true, |document| document.receipt.state != COMPLETE)
}

/// Writes the receipt file into this home, replacing an earlier, interim one.
pub(in crate::command) fn write(vault: &Vault, signed: &SignedReceipt) -> Result<String, CliError> {
    let path = path_of(vault, signed.receipt.erasure);
    let text = output::to_json(&with_accounts(vault, signed)?);
    let written = path
        .parent()
        .map_or(Ok(()), files::create_private_directory)
        .and_then(|()| files::write_secret_file(&path, text.as_bytes(), Replace::Whole));
    written.map_err(|error| vault.explain(error.into()))?;
    Ok(path.display().to_string())
}

fn document(repository: RepositoryId, signed: &SignedReceipt) -> ReceiptResult {
    ReceiptResult {
        repository: repository.to_string(),
        signer: signed.place.home.to_string(),
        entry: signed.place.seq,
        receipt: text_of(&signed.receipt),
        signed_object: hex(&signed.object),
        accounts: Vec::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A receipt with the accounts it has the hashes of, where this host can open them.
fn with_accounts(vault: &Vault, signed: &SignedReceipt) -> Result<ReceiptResult, CliError> {
    let mut document = document(vault.repository.id(), signed);
    if signed.receipt.person.is_some() {
        let accounts =
            vault.repository.person_accounts(signed.receipt.erasure).map_err(|error| vault.explain(error))?;
        document.accounts = accounts.iter().map(|(account, object)| account_of(account, object)).collect();
    }
    Ok(document)
}

fn account_of(account: &PersonAccount, object: &[u8]) -> ReceiptAccount {
    ReceiptAccount {
        jobs: account.jobs.iter().map(ToString::to_string).collect(),
        subject: account.subject.clone(),
        rules: account.rules.to_string(),
        tables: account
            .tables
            .iter()
            .map(|table| ErasedTableEntry {
                table: table.table.clone(),
                removed: table.removed,
                changed: table.changed,
                kept: table.kept,
                bases: table.bases.clone(),
            })
            .collect(),
        snapshots: account
            .snapshots
            .iter()
            .map(|rows| ErasedEntry {
                old: rows.old.to_string(),
                new: Some(rows.new.to_string()),
                rows_removed: Some(rows.removed),
            })
            .collect(),
        traces: account
            .traces
            .iter()
            .map(|trace| TraceEntry {
                place: trace.place.clone(),
                column: trace.column.clone(),
                identifier: trace.identifier.clone(),
                form: trace.form.clone(),
                count: trace.count,
            })
            .collect(),
        unsearched: account.unsearched.clone(),
        object: hex(object),
    }
}

fn text_of(receipt: &Receipt) -> ReceiptText {
    let declared = |item: &lacre_format::erasure::Attestation| match item.state {
        Declared::Destroyed => format!("{}: destroyed", item.item),
        Declared::Lost => format!("{}: lost", item.item),
    };
    ReceiptText {
        erasure: receipt.erasure.to_string(),
        state: if receipt.complete { COMPLETE } else { "interim" }.to_owned(),
        snapshots: receipt
            .snapshots
            .iter()
            .map(|erased| ReceiptSnapshot {
                snapshot: erased.snapshot.to_string(),
                commitment: erased.commitment.to_string(),
            })
            .collect(),
        from: receipt.from.to_string(),
        to: receipt.to.to_string(),
        bundle: receipt.bundle.to_string(),
        cells: receipt
            .cells
            .iter()
            .map(|cell| ReceiptCell {
                cell: cell.cell.clone(),
                generation: cell.generation.to_string(),
                evidence: cell.evidence.clone(),
            })
            .collect(),
        kits: receipt
            .kits
            .iter()
            .map(|kit| ReceiptKit { kit: kit.number, generation: kit.generation.to_string(), destroyed: kit.destroyed })
            .collect(),
        pending: receipt.pending.clone(),
        declared: receipt.declared.iter().map(declared).collect(),
        physical: receipt.physical.as_ref().map(|physical| physical.lines.clone()).unwrap_or_default(),
        bytes_dead: receipt.bytes_dead,
        bytes_shared: receipt.bytes_shared,
        reason: receipt.reason.clone(),
        request: receipt.request.map(|digest| digest.to_string()),
        intended: streams::rfc3339(receipt.intended),
        signed: streams::rfc3339(receipt.signed),
        person: receipt.person.as_ref().map(|person| ReceiptPerson {
            unseen: person.unseen,
            accounts: person.accounts.iter().map(ToString::to_string).collect(),
            successors: person
                .successors
                .iter()
                .map(|pair| ReceiptSuccessor { old: pair.old.to_string(), new: pair.new.to_string() })
                .collect(),
        }),
    }
}

fn write_text(document: &ReceiptResult, out: &mut dyn Page) -> io::Result<()> {
    let receipt = &document.receipt;
    writeln!(out, "receipt of erasure {}", receipt.erasure)?;
    writeln!(out, "repository   {}", document.repository)?;
    writeln!(out, "state        {}", receipt.state)?;
    writeln!(out, "intended     {}", receipt.intended)?;
    writeln!(out, "signed       {}", receipt.signed)?;
    if !receipt.reason.is_empty() {
        writeln!(out, "reason       {}", printable(&receipt.reason))?;
    }
    if let Some(request) = &receipt.request {
        writeln!(out, "request      {request} (BLAKE3 of salt and reference)")?;
    }
    let destroyed = if receipt.state == COMPLETE { "destroyed" } else { "not yet destroyed everywhere" };
    writeln!(out, "seal         {} {destroyed}, {} follows", receipt.from, receipt.to)?;
    writeln!(
        out,
        "unreadable   {}; shared with survivors {}",
        human::bytes(receipt.bytes_dead),
        human::bytes(receipt.bytes_shared)
    )?;
    for snapshot in &receipt.snapshots {
        writeln!(out, "snapshot     {} (key commitment {})", snapshot.snapshot, snapshot.commitment)?;
    }
    write_person(document, out)?;
    for cell in &receipt.cells {
        writeln!(
            out,
            "cell         {}: generation {}: {}",
            printable(&cell.cell),
            cell.generation,
            printable(&cell.evidence)
        )?;
    }
    for kit in &receipt.kits {
        let state = if kit.destroyed { "attested as destroyed" } else { "not accounted for" };
        writeln!(out, "kit          {}: generation {}: {state}", kit.kit, kit.generation)?;
    }
    for item in &receipt.declared {
        writeln!(out, "declared     {} (vouched for by an admin, not proven)", printable(item))?;
    }
    for item in &receipt.physical {
        writeln!(out, "stored       {} (ciphertext that nothing opens)", printable(item))?;
    }
    for item in &receipt.pending {
        writeln!(out, "pending      {}", printable(item))?;
    }
    Ok(())
}

fn write_person(document: &ReceiptResult, out: &mut dyn Page) -> io::Result<()> {
    let Some(person) = &document.receipt.person else { return Ok(()) };
    writeln!(
        out,
        "about        one person, in everything of these jobs that had not seen entry {} of the log",
        person.unseen
    )?;
    for account in &document.accounts {
        writeln!(out, "jobs         {}", printable(&account.jobs.join(", ")))?;
        writeln!(out, "rules        subject {}, BLAKE3 {}", printable(&account.subject), account.rules)?;
        for table in &account.tables {
            let kept = if table.bases.is_empty() { String::new() } else { format!(" ({})", table.bases.join("; ")) };
            writeln!(
                out,
                "table        {}: {} removed, {} changed, {} kept{}",
                printable(&table.table),
                human::things(table.removed, ["row", "rows"]),
                table.changed,
                table.kept,
                printable(&kept)
            )?;
        }
        for rows in &account.snapshots {
            let new = rows.new.as_deref().unwrap_or_default();
            writeln!(
                out,
                "replaced     {} by {new}: {} removed",
                rows.old,
                human::things(rows.rows_removed.unwrap_or_default(), ["row", "rows"])
            )?;
        }
        for trace in &account.traces {
            let column = trace.column.as_deref().unwrap_or("-");
            writeln!(
                out,
                "trace left   {} {}: {} times, of {}",
                printable(&trace.place),
                printable(column),
                trace.count,
                printable(&trace.identifier)
            )?;
        }
    }
    Ok(())
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}
