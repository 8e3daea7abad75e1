//! `lacre erase` and `lacre seal rotate`: plan, confirmation, intent, change of the seal, receipt.

mod hook;
mod person;
mod receipt;
mod show;

use std::collections::BTreeSet;

use lacre_format::{
    erasure::{Declared, Purpose},
    ids::{Digest, Millis, SnapshotId, Token},
};
use lacre_repo::op::{
    copy::{CopyPlace, CopyState},
    erase::{Account, ErasePlan, EraseReason, ErasureState, ErasureStatus, LastVerified},
    keys::ReadKeys,
    rotate::{Adoption, Pending, RotateOptions, RotationState},
};
use lacre_seal::{entropy, kit::Kit};

pub(super) use self::{
    person::{explain as explain_person, refuse_traces},
    receipt::run as receipt,
    receipt::write as write_receipt_file,
    show::pending,
};
use crate::{
    cli::{
        DeclaredState, EraseAction, EraseArgs, EraseAttestArgs, EraseGuardArgs, EraseOptions, EraseProveArgs,
        EraseResumeArgs, PersonAgainArgs,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{EraseResult, ErasuresResult, GuardResult, ProveResult, RotateResult},
    term::prompt::{self, Agreement},
    vault::{Making, Vault, read_sheets},
};

/// Erases, or deals with erasures.
///
/// # Errors
/// Those of the vault; [`Kind::Refused`] for what a guard forbids or nobody confirmed.
pub(super) fn run(invocation: &Invocation, args: &EraseArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    super::import::sweep(invocation, &vault)?;
    match &args.action {
        EraseAction::Snapshot(args) => {
            let snapshots: Result<Vec<SnapshotId>, CliError> =
                args.snapshots.iter().map(|name| vault.resolve(name)).collect();
            erase(invocation, &vault, &snapshots?, &args.options)
        }
        EraseAction::Job(args) => {
            let job = lacre_format::ids::JobName::parse(args.job.as_str())
                .map_err(|error| CliError::new(Kind::Usage, "that is no job name").because(&error))?;
            let before = Millis(args.before.as_millisecond());
            let snapshots = vault.repository.taken_before(&job, before).map_err(|error| vault.explain(error))?;
            if snapshots.is_empty() {
                return Err(CliError::new(
                    Kind::NotFound,
                    format!("no snapshot of {job} was taken before {}", args.before),
                )
                .hint("lacre snapshots lists them"));
            }
            erase(invocation, &vault, &snapshots, &args.options)
        }
        EraseAction::Person(args) => person::run(invocation, &vault, args),
        EraseAction::Resume(args) => resume(invocation, &vault, &args.resume, &args.person),
        EraseAction::Cancel(args) => {
            let status = find(&vault, &args.erasure)?;
            vault.repository.cancel_erase(status.erasure).map_err(|error| vault.explain(error))?;
            vault.repository.drop_suppressions().map_err(|error| vault.explain(error))?;
            show_all(invocation, &vault, Some(status.erasure), &[])
        }
        EraseAction::Approve(args) => {
            let status = find(&vault, &args.erasure)?;
            vault.repository.approve_erase(status.erasure).map_err(|error| vault.explain(error))?;
            show_all(invocation, &vault, Some(status.erasure), &[])
        }
        EraseAction::Guard(args) => guard(invocation, &vault, args),
        EraseAction::Status(args) => {
            let only = args.erasure.as_ref().map(|id| find(&vault, id)).transpose()?;
            show_all(invocation, &vault, only.map(|status| status.erasure), &[])
        }
        EraseAction::Prove(args) => prove(invocation, &vault, args),
        EraseAction::Attest(args) => attest(invocation, &vault, args),
    }
}

fn erase(
    invocation: &Invocation,
    vault: &Vault,
    snapshots: &[SnapshotId],
    options: &EraseOptions,
) -> Result<Exit, CliError> {
    let last = if options.allow_last { LastVerified::Allow } else { LastVerified::Keep };
    let plan = vault.repository.plan_erase(snapshots, last).map_err(|error| vault.explain(error))?;
    let mut document = show::plan(vault, &plan)?;
    if options.dry_run {
        invocation.print(&document, |out| show::write_plan(&document, out))?;
        return Ok(Exit::Done);
    }
    invocation.terminal.say(&show::text(|out| show::write_plan(&document, out)));
    confirm(invocation, &plan, options)?;
    let (request, salt) = request_hash(options)?;
    let not_before = options.not_before.map(|at| Millis(at.as_millisecond()));
    let reason = EraseReason { code: options.reason.clone(), request, not_before };
    let erasure = vault.repository.intend_erase(&plan, &reason).map_err(|error| vault.explain(error))?;
    document.erasure = Some(erasure.to_string());
    document.request_salt = salt;
    let counts = hook::Counts {
        snapshots: plan.snapshots.len(),
        bytes_dead: plan.account.bytes_dead,
        bytes_shared: plan.account.bytes_shared,
    };
    intended(invocation, vault, erasure, &counts);
    let mut waiting = Vec::new();
    if is_due(&find(vault, &erasure.to_string())?) {
        let rotate =
            RotateOptions { purpose: Purpose::Erase, copies: copies(invocation, vault)?, ..RotateOptions::default() };
        let keys = kits(vault, &options.kit)?;
        let report = vault.repository.rotate(&rotate, &keys).map_err(|error| {
            vault.explain(error).hint(format!("the intent stands and its snapshots are refused; go on with: lacre erase resume, or give it up: lacre erase cancel {erasure}"))
        })?;
        super::findings::warn(invocation, &report.findings);
        waiting = waits_for(report.state);
    }
    let status = settle(vault, erasure, waiting, &plan.account, &mut document)?;
    invocation.print(&document, |out| show::write_erased(&document, out))?;
    Ok(exit(&[status]))
}

/// What a change of the seal waits for.
fn waits_for(state: RotationState) -> Vec<Pending> {
    if let RotationState::Pending(pending) = state { pending } else { Vec::new() }
}

/// Says what became of an erasure that was carried out: what it waits for now replaces what its plan foresaw.
fn settle(
    vault: &Vault,
    erasure: Token,
    waiting: Vec<Pending>,
    died: &Account,
    document: &mut EraseResult,
) -> Result<ErasureStatus, CliError> {
    let status = find(vault, &erasure.to_string())?;
    document.state = status.state.name().to_owned();
    let mut said = BTreeSet::new();
    let all = waiting.iter().chain(&status.pending);
    document.pending = all.filter(|pending| said.insert(&pending.item)).map(show::pending).collect();
    document.receipt = write_receipt(vault, &status, Some(died))?;
    Ok(status)
}

/// An intent was signed: whoever watches over erasures hears of it at once, whoever signed it.
fn intended(invocation: &Invocation, vault: &Vault, erasure: Token, counts: &hook::Counts) {
    super::operate::tell_erasures(invocation, vault);
    hook::run(invocation, vault, erasure, counts);
}

/// What cannot be taken back is confirmed by the job's name.
fn confirm(invocation: &Invocation, plan: &ErasePlan, options: &EraseOptions) -> Result<(), CliError> {
    let job = plan.snapshots.iter().find_map(|row| row.label.as_ref()).map(|label| label.job.to_string());
    let consequence = format!(
        "{} unreadable in every copy ever made. This cannot be taken back.",
        human::things(plan.snapshots.len(), ["snapshot becomes", "snapshots become"])
    );
    prompt::confirm_by_name(
        &invocation.terminal,
        Agreement::from(options.yes),
        &consequence,
        job.as_deref().unwrap_or("erase"),
    )
}

/// Only a salted hash of the request's reference is signed: references of tickets can be guessed.
fn request_hash(options: &EraseOptions) -> Result<(Option<Digest>, Option<String>), CliError> {
    let Some(reference) = &options.request else { return Ok((None, None)) };
    let salt = entropy::salt().map_err(|error| CliError::new(Kind::Bug, "no random bytes").because(&error))?;
    let mut message = salt.as_bytes().to_vec();
    message.extend_from_slice(reference.as_bytes());
    Ok((Some(Digest::new(*blake3::hash(&message).as_bytes())), Some(salt.to_string())))
}

/// The seals that were typed in: changing the seal needs no identity.
fn kits(vault: &Vault, sheets: &[std::path::PathBuf]) -> Result<ReadKeys, CliError> {
    let mut keys = ReadKeys::default();
    for path in sheets {
        for sheet in read_sheets(path)? {
            match sheet {
                Kit::Seal(kit) => keys.kits.push(kit),
                Kit::Pointer(kit) => keys.cells.extend(vault.cells.learn(kit)?),
                Kit::Identity(_) => {}
            }
        }
    }
    Ok(keys)
}

/// Rotates the seal by hand.
///
/// # Errors
/// Those of the vault.
pub(super) fn rotate(invocation: &Invocation, vault: &Vault, args: &EraseResumeArgs) -> Result<Exit, CliError> {
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    // What is still wrapped to somebody who was removed is wrapped again on the way, where an identity opens it.
    let keys = match view.policy.rewrap_below {
        Some(_) => vault.read_keys(invocation, &args.kit)?,
        None => kits(vault, &args.kit)?,
    };
    let options = options(invocation, vault, args, Purpose::Rotate)?;
    let report = vault.repository.rotate(&options, &keys).map_err(|error| vault.explain(error))?;
    super::findings::warn(invocation, &report.findings);
    let pending = match &report.state {
        RotationState::Closed => Vec::new(),
        RotationState::Pending(pending) => pending.iter().map(show::pending).collect(),
    };
    let document = RotateResult {
        due: None,
        from: report.from.number,
        to: report.to.number,
        carried: report.carried,
        dropped: report.dropped.iter().map(ToString::to_string).collect(),
        state: if pending.is_empty() { "closed".to_owned() } else { "pending".to_owned() },
        pending,
    };
    invocation.print(&document, |out| show::write_rotated(&document, out))?;
    Ok(if document.pending.is_empty() { Exit::Done } else { Exit::ErasurePending })
}

/// Rotates the seal as part of other work: what is to be done about it is talk.
///
/// # Errors
/// Those of the vault.
pub(super) fn rotate_quietly(invocation: &Invocation, vault: &Vault) -> Result<(), CliError> {
    let options = RotateOptions { copies: copies(invocation, vault)?, ..RotateOptions::default() };
    let report = vault.repository.rotate(&options, &ReadKeys::default()).map_err(|error| vault.explain(error))?;
    super::findings::warn(invocation, &report.findings);
    invocation.terminal.say(&format!("the seal was due and is changed: generation {}", report.to.number));
    if let RotationState::Pending(pending) = &report.state {
        for item in pending {
            invocation.terminal.warn(&format!("{}; {}", item.what, item.command));
        }
    }
    Ok(())
}

fn guard(invocation: &Invocation, vault: &Vault, args: &EraseGuardArgs) -> Result<Exit, CliError> {
    if let Some(approvals) = args.approvals {
        vault.repository.require_approvals(approvals).map_err(|error| vault.explain(error))?;
    }
    let policy = vault.repository.view().map_err(|error| vault.explain(error))?.policy;
    let document = GuardResult { approvals: policy.approvals.unwrap_or_default() };
    invocation.print(&document, |out| match document.approvals {
        0 => writeln!(out, "an erasure needs no other admin's approval"),
        count => {
            let others = human::things(count, ["other admin", "other admins"]);
            writeln!(out, "an erasure needs the approval of {others}")
        }
    })?;
    Ok(Exit::Done)
}

/// The copies that get a new seal's list, bundle and policy first; one that cannot be opened is said, and keeps no seal from changing.
pub(super) fn copies(invocation: &Invocation, vault: &Vault) -> Result<Vec<CopyPlace>, CliError> {
    let opened = vault.open_copies(None, Making::Never)?;
    // A copy that was never made has nothing to open.
    let closed = opened.closed.into_iter().filter(|status| status.state != CopyState::Empty);
    let found: Vec<lacre_repo::Finding> = closed.flat_map(|status| status.findings).collect();
    super::findings::warn(invocation, &found);
    Ok(opened.places)
}

fn options(
    invocation: &Invocation,
    vault: &Vault,
    args: &EraseResumeArgs,
    purpose: Purpose,
) -> Result<RotateOptions, CliError> {
    let accept_loss: Result<Vec<SnapshotId>, CliError> = args.accept_loss.iter().map(|id| full_id(id)).collect();
    let adoption = if args.adopt { Adoption::TakeOver } else { Adoption::Never };
    Ok(RotateOptions { purpose, adoption, accept_loss: accept_loss?, copies: copies(invocation, vault)? })
}

fn full_id(text: &str) -> Result<SnapshotId, CliError> {
    SnapshotId::parse(text)
        .map_err(|error| CliError::new(Kind::Usage, format!("{text:?} is no full snapshot id")).because(&error))
}

fn resume(
    invocation: &Invocation,
    vault: &Vault,
    args: &EraseResumeArgs,
    person: &PersonAgainArgs,
) -> Result<Exit, CliError> {
    person::resume(invocation, vault, &args.kit, person)?;
    let view = vault.repository.view().map_err(|error| vault.explain(error))?;
    let due = vault.repository.erasures().map_err(|error| vault.explain(error))?;
    let open = view.ledger.open_claims().next().is_some();
    let must_rotate = |status: &ErasureStatus| {
        let late = status.pending.iter().any(|item| item.item.starts_with("entry:"));
        late || is_due(status)
    };
    if open || due.iter().any(must_rotate) {
        let report = vault
            .repository
            .rotate(&options(invocation, vault, args, Purpose::Erase)?, &kits(vault, &args.kit)?)
            .map_err(|error| vault.explain(error))?;
        super::findings::warn(invocation, &report.findings);
        if let RotationState::Pending(pending) = &report.state {
            for item in pending {
                invocation.terminal.warn(&format!("{}; {}", item.what, item.command));
            }
        }
        vault.repository.drop_suppressions().map_err(|error| vault.explain(error))?;
    }
    let mut written = Vec::new();
    for status in vault.repository.erasures().map_err(|error| vault.explain(error))? {
        let settled = matches!(status.state, ErasureState::Interim | ErasureState::Complete);
        let changed = due.iter().any(|before| before.erasure == status.erasure && before.state != status.state);
        if settled && (changed || receipt::is_missing_or_interim(vault, status.erasure)) {
            let file = write_receipt(vault, &status, None)?;
            written.extend(file.map(|file| (status.erasure, file)));
        }
    }
    show_all(invocation, vault, None, &written)
}

/// Whether only a change of the seal is missing: nobody has to approve it any more, its cool-down has ended, and what a person's erasure
/// covers has its successors.
fn is_due(status: &ErasureStatus) -> bool {
    status.state == ErasureState::Pending && status.pending.iter().all(|item| item.item == "rotation")
}

/// Signs and writes the receipt of an erasure that has left its snapshots behind.
fn write_receipt(vault: &Vault, status: &ErasureStatus, account: Option<&Account>) -> Result<Option<String>, CliError> {
    if !matches!(status.state, ErasureState::Interim | ErasureState::Complete) {
        return Ok(None);
    }
    let account = match account {
        Some(account) => *account,
        None => vault.repository.account_of(status.erasure).map_err(|error| vault.explain(error))?,
    };
    let copies = vault.open_copies(None, Making::Never)?.places;
    let signed = vault.repository.sign_receipt_with_copies(status.erasure, &account, &copies);
    let signed = signed.map_err(|error| vault.explain(error))?;
    receipt::write(vault, &signed).map(Some)
}

fn find(vault: &Vault, id: &str) -> Result<ErasureStatus, CliError> {
    let all = vault.repository.erasures().map_err(|error| vault.explain(error))?;
    let mut fitting = all.into_iter().filter(|status| !id.is_empty() && status.erasure.to_string().starts_with(id));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Ok(only),
        (None, _) => Err(CliError::new(Kind::NotFound, format!("no erasure is named {id}")).hint("lacre erase status")),
        (Some(_), Some(_)) => {
            Err(CliError::new(Kind::Usage, format!("{id} is the start of several erasures")).hint("give more digits"))
        }
    }
}

fn show_all(
    invocation: &Invocation,
    vault: &Vault,
    only: Option<Token>,
    written: &[(Token, String)],
) -> Result<Exit, CliError> {
    let mut all = vault.repository.erasures().map_err(|error| vault.explain(error))?;
    all.retain(|status| only.is_none_or(|only| only == status.erasure));
    let document = ErasuresResult { erasures: all.iter().map(|status| show::status(status, written)).collect() };
    invocation.print(&document, |out| show::write_all(&document, out))?;
    Ok(exit(&all))
}

fn exit(all: &[ErasureStatus]) -> Exit {
    let open = all.iter().any(|status| matches!(status.state, ErasureState::Pending | ErasureState::Interim));
    if open { Exit::ErasurePending } else { Exit::Done }
}

fn attest(invocation: &Invocation, vault: &Vault, args: &EraseAttestArgs) -> Result<Exit, CliError> {
    let state = match args.state {
        DeclaredState::Destroyed => Declared::Destroyed,
        DeclaredState::Lost => Declared::Lost,
    };
    vault.repository.attest(&args.item, state).map_err(|error| vault.explain(error))?;
    show_all(invocation, vault, None, &[])
}

fn prove(invocation: &Invocation, vault: &Vault, args: &EraseProveArgs) -> Result<Exit, CliError> {
    let named: Result<Vec<SnapshotId>, CliError> = args.snapshots.iter().map(|id| full_id(id)).collect();
    let mut snapshots = named?;
    if snapshots.is_empty() {
        let view = vault.repository.view().map_err(|error| vault.explain(error))?;
        snapshots.extend(view.ledger.dropped());
    }
    if snapshots.is_empty() {
        return Err(CliError::new(Kind::Usage, "this repository knows of no erased snapshot")
            .hint("in a copy that has not heard of the erasure, name the snapshots: their ids stand on the receipt"));
    }
    let keys = vault.read_keys(invocation, &args.kit)?;
    let proof = vault.repository.prove_erased(&snapshots, &keys).map_err(|error| vault.explain(error))?;
    let wide = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let document = ProveResult {
        snapshots: wide(snapshots.len()),
        identities: wide(proof.identities),
        seals: wide(proof.seals),
        objects: wide(proof.objects),
        tried: wide(proof.tried),
        succeeded: wide(proof.succeeded),
        opened: proof.opened.iter().map(ToString::to_string).collect(),
    };
    invocation.print(&document, |out| show::write_proof(&document, out))?;
    Ok(if proof.succeeded == 0 { Exit::Done } else { Exit::Damage })
}
