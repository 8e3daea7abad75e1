//! `lacre init`: a repository, its keys, its seal, and the sheets to print.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use lacre_repo::{
    Repository, SystemClock,
    cell::CellPlace,
    files::{self, Replace},
    home::Home,
    op::init::{CellSetup, CreateOptions, CreateReport, KitChoice, NewRecipient},
    store::Store,
};
use lacre_seal::{
    kit::Kit,
    passphrase::new_passphrase_recipient,
    pgp::CERT_FILE_BYTES_MAX,
    recipient::{RECIPIENTS_MAX, Recipient},
};

use zeroize::Zeroizing;

use super::runbook;
use crate::{
    cli::{InitArgs, value::StoreUrl},
    config::{JobSource, Settings},
    error::{CliError, Kind},
    exit::Exit,
    invocation::Invocation,
    output::InitResult,
    runbook::short,
    term::page::Page,
    term::{Form, qr},
    vault::{CellWay, create_store, explain, new_passphrase},
};

/// The largest file of recipients, bytes.
const RECIPIENT_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Creates the repository and shows what to keep where.
///
/// # Errors
/// [`Kind::Usage`] for an existing repository or a wrong recipient, [`Kind::Refused`] for a cell or kit in a bad place.
pub(super) fn run(invocation: &Invocation, args: &InitArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let place = invocation.repository(&settings)?;
    if invocation.terminal.form == Form::Json && args.kit_file.is_none() && !args.no_kit {
        return Err(CliError::new(Kind::Usage, "with --json the recovery kit cannot be printed")
            .hint("add --kit-file FILE (a new file, kept apart from this machine), or --no-kit"));
    }
    if let Some(file) = args.kit_file.as_deref() {
        refuse_existing(file)?;
        refuse_existing(&identity_sheet_of(file))?;
    }
    let specs = if args.seal_cells.is_empty() { &settings.seal_cells } else { &args.seal_cells };
    let way = CellWay::new(&settings, &invocation.interrupt);
    let cells: Vec<CellPlace> = specs.iter().map(|spec| way.place(spec)).collect::<Result<_, _>>()?;
    let setup = way.setup(&cells, &place)?;
    let options = CreateOptions {
        recipients: named_recipients(&args.recipients, &args.pgp, args.passphrase.then_some(PASSPHRASE_QUESTION))?,
        cells,
        kit: if args.no_kit { KitChoice::None } else { KitChoice::Print },
        host: host_name(),
        sources: sources(&settings),
    };
    let store = create_store(&place, &settings)?;
    if let (Some(file), Some(folder)) = (args.kit_file.as_deref(), store.local_path()) {
        refuse_inside(file, folder)?;
    }
    args.kit_file.as_deref().map_or(Ok(()), refuse_unwritable)?;
    let (repository, report) = create(store, &settings, options, &setup)?;
    let notes = notes(&settings, &place, &report);
    let mut identity_sheet_file = None;
    if let (Some(file), Some(kit)) = (args.kit_file.as_deref(), &report.kit) {
        write_kit(file, kit, &notes, MADE)?;
        identity_sheet_file = write_identity_sheet(file, report.identity_sheet.as_ref(), MADE)?;
    }
    let identity = report.identity_sheet.iter().map(|sheet| (sheet, ""));
    let protection = protection(invocation, &repository, &place);
    let document = InitResult {
        repository: report.repository.to_string(),
        identity_file: report.identity_file.as_ref().map(|path| path.display().to_string()),
        kit_file: args.kit_file.as_ref().filter(|_| report.kit.is_some()).map(|path| path.display().to_string()),
        identity_sheet_file,
        cells: report.cells.clone(),
    };
    let qr = if invocation.terminal.stdout_is_terminal() { QrCode::Drawn } else { QrCode::LeftOut };
    invocation.print(&document, |out| {
        writeln!(out, "repository {} is ready in {place}", document.repository)?;
        if args.kit_file.is_none() {
            for (sheet, below) in report.kit.iter().map(|kit| (kit, notes.as_str())).chain(identity) {
                writeln!(out)?;
                write_sheet(sheet, below, qr, out)?;
            }
        }
        writeln!(out)?;
        advice(&report, &document, &settings, out)?;
        protection.iter().try_for_each(|line| writeln!(out, "5. store: {line}."))
    })?;
    Ok(Exit::Done)
}

fn create(
    store: Store,
    settings: &Settings,
    options: CreateOptions,
    setup: &CellSetup,
) -> Result<(Repository, CreateReport), CliError> {
    let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
    Repository::create_reaching(store, &home, options, Arc::new(SystemClock), setup)
        .map_err(|error| explain(error, None))
}

/// What a bucket does against a stolen writer's keys, in one line, and whatever else is wrong with it. The repository stands: a
/// probe that fails is a warning.
fn protection(invocation: &Invocation, repository: &Repository, place: &StoreUrl) -> Option<String> {
    if !matches!(place, StoreUrl::Remote(_)) {
        let folder = "a folder keeps one version of each file and locks none: whoever steals a machine that writes here can destroy it \
                      all. Keep a copy where no writer can delete";
        return Some(folder.to_owned());
    }
    match repository.probe_store() {
        Ok(probe) => {
            for fact in probe.facts().into_iter().filter(|fact| !fact.ok) {
                let advice = fact.advice.unwrap_or_default();
                invocation.terminal.warn(&format!("{}: {}; {advice}", fact.name, fact.value));
            }
            Some(probe.protection())
        }
        Err(error) => {
            let error = explain(error, None);
            invocation.terminal.warn(&format!("the store could not be tried: {}", error.message()));
            None
        }
    }
}

/// The lines: what is where, and where it should go.
fn advice(report: &CreateReport, document: &InitResult, settings: &Settings, out: &mut dyn Page) -> io::Result<()> {
    let keys = settings.home.join("repos").join(&document.repository);
    match &report.identity_file {
        Some(path) => writeln!(
            out,
            "1. identity: {} reads every backup. Move it to the people who restore; no backup needs it.",
            path.display()
        )?,
        None => writeln!(out, "1. identities: the private keys of the recipients you named stay with their owners.")?,
    }
    writeln!(
        out,
        "2. seal: {} holds what may still be read. Keep it off this host if you can, and never inside a backup.",
        document.cells.join(", ")
    )?;
    match (&document.kit_file, &report.kit) {
        (Some(file), _) => {
            let also = match &document.identity_sheet_file {
                Some(identity) => format!(" and {identity}, keep the two papers apart, delete the files"),
                None => ", keep the paper apart, delete the file".to_owned(),
            };
            writeln!(out, "3. kit: print {file}{also}; then: {}", acknowledge(report))?;
        }
        (None, Some(_)) => {
            let sheets = if report.identity_sheet.is_some() { "both sheets" } else { "the sheet" };
            writeln!(
                out,
                "3. kit: keep {sheets} above on paper, apart from each other; then: {}",
                acknowledge(report)
            )?;
        }
        (None, None) => {
            writeln!(out, "3. kit: none. If the cell is lost, every backup is lost; lacre kit issue prints one.")?;
        }
    }
    writeln!(
        out,
        "4. admin key: {} may forget and change policy. Move it to an admin's machine; backups need only writer.key.",
        keys.join("admin.key").display()
    )
}

/// The commands that prove the papers legible.
fn acknowledge(report: &CreateReport) -> &'static str {
    if report.identity_sheet.is_some() {
        "lacre kit ack 1, lacre kit ack 1 --identity-sheet"
    } else {
        "lacre kit ack 1"
    }
}

/// Whether a sheet is shown with its QR code.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum QrCode {
    /// On a terminal, where a camera can see it.
    Drawn,
    /// In a file or a pipe.
    LeftOut,
}

/// Writes a sheet, with its QR code where a camera can see it.
pub(super) fn write_sheet(sheet: &Kit, notes: &str, code: QrCode, out: &mut dyn Page) -> io::Result<()> {
    out.write_all(with_notes(sheet, notes).as_bytes())?;
    match (code == QrCode::Drawn).then(|| qr::draw(&sheet.encode_qr())).flatten() {
        Some(drawing) => write!(out, "\n{drawing}"),
        None => Ok(()),
    }
}

/// Refuses a kit file that is there already, before anything is made.
pub(super) fn refuse_existing(file: &Path) -> Result<(), CliError> {
    if fs::symlink_metadata(file).is_ok() {
        let what = format!("the kit file {} exists already and is not overwritten", file.display());
        return Err(CliError::new(Kind::Refused, what).hint("name a new file with --kit-file"));
    }
    Ok(())
}

/// Refuses a place where no file can be made, before anything is signed: a kit that nobody holds is one that erasures wait for.
pub(super) fn refuse_unwritable(file: &Path) -> Result<(), CliError> {
    let tried = files::write_secret_file(file, b"", Replace::Never);
    tried.map_err(|error| std::io::Error::other(error.to_string())).and_then(|()| fs::remove_file(file)).map_err(
        |error| {
            CliError::new(Kind::Io, format!("the kit cannot be written to {}; nothing was made", file.display()))
                .because(&error)
                .hint("name a file in a folder that is there and can be written, with --kit-file")
        },
    )
}

/// Law L6: nothing that holds the seal lies inside the repository.
pub(super) fn refuse_inside(file: &Path, folder: &Path) -> Result<(), CliError> {
    if files::is_inside(file, folder).unwrap_or(true) {
        let what = format!("the kit file {} would lie inside the repository {}", file.display(), folder.display());
        return Err(CliError::new(Kind::Refused, what).hint("name a place elsewhere, best on a removable disk"));
    }
    Ok(())
}

/// Where the identity sheet goes when the kit goes to a file.
pub(super) fn identity_sheet_of(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push("-identity");
    PathBuf::from(name)
}

/// Writes the identity sheet beside the kit, if there is one, and says where.
pub(super) fn write_identity_sheet(file: &Path, sheet: Option<&Kit>, made: &str) -> Result<Option<String>, CliError> {
    let Some(sheet) = sheet else { return Ok(None) };
    let beside = identity_sheet_of(file);
    write_kit(&beside, sheet, "", made)?;
    Ok(Some(beside.display().to_string()))
}

/// What to do with the sheet when the server is gone.
fn notes(settings: &Settings, place: &StoreUrl, report: &CreateReport) -> String {
    let mut facts = runbook::planned(settings);
    facts.place = place.to_string();
    if let (Some(Kit::Seal(kit)), Some(_)) = (&report.kit, &report.identity_sheet) {
        facts.identity_sheet = Some(kit.number);
    }
    short(&facts)
}

/// A sheet with text below it that is no part of it.
fn with_notes(sheet: &Kit, notes: &str) -> Zeroizing<String> {
    let text = sheet.encode_text();
    // Reserved at once: a text that grows leaves unwiped copies behind.
    let mut whole = Zeroizing::new(String::with_capacity(text.len() + notes.len() + 1));
    whole.push_str(&text);
    if !notes.is_empty() {
        whole.push('\n');
        whole.push_str(notes);
    }
    whole
}

/// What stands by the time `init` writes its kit.
const MADE: &str = "the repository is made";

/// Writes a kit to a new private file; `made` says what stands even where this fails.
pub(super) fn write_kit(file: &Path, kit: &Kit, notes: &str, made: &str) -> Result<(), CliError> {
    files::write_secret_file(file, with_notes(kit, notes).as_bytes(), Replace::Never).map_err(|error| {
        CliError::new(Kind::Io, format!("{made}, but its sheet could not be written to {}", file.display()))
            .because(&error)
            .hint("lacre kit issue --kit-file FILE    (makes another)")
    })
}

/// What a person is asked who wants to open backups with a passphrase.
pub(super) const PASSPHRASE_QUESTION: &str = "New passphrase that opens the backups";

/// Everybody who may read, from flags, and whoever answers the question for a passphrase.
pub(super) fn named_recipients(
    texts: &[String],
    certificates: &[PathBuf],
    passphrase: Option<&str>,
) -> Result<Vec<NewRecipient>, CliError> {
    let plain = |recipient| NewRecipient { recipient, locked_identity: None };
    let mut found = Vec::new();
    for text in texts {
        found.extend(recipients_of(text)?.into_iter().map(plain));
    }
    for path in certificates {
        let what = || format!("cannot use the OpenPGP certificate {}", path.display());
        let bytes = read(path, u64::try_from(CERT_FILE_BYTES_MAX).unwrap_or(u64::MAX), &what)?;
        let parsed =
            Recipient::from_openpgp_cert(&bytes).map_err(|error| CliError::new(Kind::Usage, what()).because(&error))?;
        found.extend(parsed.into_iter().map(plain));
    }
    if let Some(question) = passphrase {
        let passphrase = new_passphrase(question)?;
        let (recipient, locked) = new_passphrase_recipient(&passphrase.expose().to_owned().into())
            .map_err(|error| CliError::new(Kind::Usage, "cannot use the passphrase").because(&error))?;
        found.push(NewRecipient { recipient, locked_identity: Some(locked) });
    }
    if found.len() > RECIPIENTS_MAX {
        return Err(CliError::new(Kind::Usage, format!("{} recipients, more than {RECIPIENTS_MAX}", found.len())));
    }
    Ok(found)
}

/// One recipient, or those in a file: one a line, `#` begins a comment.
fn recipients_of(text: &str) -> Result<Vec<Recipient>, CliError> {
    let wrong = |text: &str, error: &lacre_seal::recipient::RecipientError| {
        CliError::new(Kind::Usage, format!("{text:?} is no recipient"))
            .because(error)
            .hint("write a public key (age1...), a file of them, or --pgp CERTFILE for OpenPGP")
    };
    let path = Path::new(text);
    if !path.is_file() {
        return Recipient::parse(text).map(|recipient| vec![recipient]).map_err(|error| wrong(text, &error));
    }
    let what = || format!("cannot read the recipients in {}", path.display());
    let bytes = read(path, RECIPIENT_FILE_BYTES_MAX, &what)?;
    let content = String::from_utf8(bytes).map_err(|error| CliError::new(Kind::Usage, what()).because(&error))?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let recipients: Vec<Recipient> =
        lines.map(|line| Recipient::parse(line).map_err(|error| wrong(line, &error))).collect::<Result<_, _>>()?;
    if recipients.is_empty() {
        return Err(CliError::new(Kind::Usage, format!("{}: it holds no recipient", what())));
    }
    Ok(recipients)
}

fn read(path: &Path, bytes_max: u64, what: &dyn Fn() -> String) -> Result<Vec<u8>, CliError> {
    files::read_file(path, bytes_max)
        .map(|file| file.bytes)
        .map_err(|error| CliError::new(Kind::Usage, what()).because(&error))
}

/// The files that jobs of the configuration back up.
pub(super) fn sources(settings: &Settings) -> Vec<PathBuf> {
    let file = |source: &JobSource| match source {
        JobSource::File(path) => Some(path.clone()),
        _ => None,
    };
    settings.jobs.iter().filter_map(|job| file(&job.source)).filter(|path| path.exists()).collect()
}

pub(super) fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = name.trim();
    if name.is_empty() { "this host".to_owned() } else { name.to_owned() }
}
