//! `lacre repo repair`: what is damaged or missing put right, and what is lost named.

use std::io;

use lacre_repo::{
    Severity,
    home::Home,
    op::repair::{self, AddParity, How, LostStream, Mended, RepairOptions, RepairReport},
    store::Store,
};

use super::findings;
use crate::{
    cli::RepairArgs,
    error::CliError,
    exit::Exit,
    human,
    invocation::Invocation,
    output::{IncompleteEntry, LostStreamEntry, MendedEntry, RepairResult, StretchEntry},
    term::{page::Page, table::printable},
    vault::{self, Vault, explain, open_copy_named, short, watching},
};

/// Stretches of one stream that people are shown without `-v`.
const STRETCHES_SHOWN: usize = 5;

/// Repairs the repository: exit 4 when something is lost, 3 with findings.
///
/// # Errors
/// Those of the vault and of the copy.
pub(super) fn run(invocation: &Invocation, args: &RepairArgs) -> Result<Exit, CliError> {
    let settings = invocation.settings()?;
    let from = args.from.as_deref().map(|named| open_copy_named(named, &settings)).transpose()?;
    let manifest = manifest(invocation, from.as_ref())?;
    let vault = Vault::open(invocation)?;
    let keys = vault.read_keys(invocation, &args.keys.kits);
    // Where no policy is left nobody can say which keys are wanted; the copy may have one.
    let keys = if from.is_some() { keys.unwrap_or_default() } else { keys? };
    let add_parity = if args.parity { AddParity::Yes } else { AddParity::No };
    let (line, watching) = watching(invocation);
    let report = vault.repository.repair(&RepairOptions { from, add_parity }, &keys, &watching);
    line.finish();
    let mut report = report.map_err(|error| vault.explain(error))?;
    report.mended.extend(manifest);
    let document = document(&report);
    invocation.print(&document, |out| {
        findings::write(&report.findings, out)?;
        write(&document, out)
    })?;
    let is_news = report.findings.iter().any(|finding| finding.severity == Severity::Damage);
    Ok(if is_news { Exit::Damage } else { findings::exit(&report.findings) })
}

/// `lacre.json` first: without it nothing opens.
fn manifest(invocation: &Invocation, from: Option<&Store>) -> Result<Option<Mended>, CliError> {
    let settings = invocation.settings()?;
    let place = invocation.repository(&settings)?;
    let store = vault::open_store(&place, &settings)?;
    let home = Home::open(&settings.home).map_err(|error| explain(error, None))?;
    repair::manifest::repair(&store, from, &home).map_err(|error| explain(error, None))
}

fn document(report: &RepairReport) -> RepairResult {
    let how = |how: How| match how {
        How::Fetched => "fetched",
        How::Corrected => "corrected",
        How::Rebuilt => "rebuilt",
    };
    let mended = report.mended.iter().map(|mended| MendedEntry {
        object: mended.object.clone(),
        how: how(mended.how).to_owned(),
        bytes: mended.bytes,
    });
    let incomplete = report
        .incomplete
        .iter()
        .map(|(snapshot, frames)| IncompleteEntry { snapshot: snapshot.to_string(), frames: *frames });
    RepairResult {
        objects: report.objects,
        bytes_read: report.bytes_read,
        bytes_fetched: report.bytes_fetched,
        mended: mended.collect(),
        parity_added: report.parity_added,
        left: report.left.clone(),
        incomplete: incomplete.collect(),
        streams: report.streams.iter().map(stream).collect(),
        recorded: report.recorded,
        not_done: report.not_done.clone(),
        findings: findings::entries(&report.findings),
    }
}

fn stream(lost: &LostStream) -> LostStreamEntry {
    let stretches = lost.stretches.iter().map(|stretch| StretchEntry {
        start: stretch.start,
        bytes: stretch.bytes,
        first_row: stretch.first_row,
        last_row: stretch.last_row,
    });
    LostStreamEntry {
        snapshot: lost.snapshot.to_string(),
        stream: lost.stream.clone(),
        bytes: lost.bytes,
        rows: lost.rows,
        stretches: stretches.collect(),
    }
}

fn write(document: &RepairResult, out: &mut dyn Page) -> io::Result<()> {
    for mended in &document.mended {
        writeln!(out, "{}: {}", mended.how, mended.object)?;
    }
    for lost in &document.streams {
        let rows = lost.rows.map_or_else(String::new, |rows| format!(", {}", human::things(rows, ["row", "rows"])));
        let (snapshot, stream) = (short(&lost.snapshot), printable(&lost.stream));
        writeln!(out, "lost: snapshot {snapshot} stream {stream}: {}{rows}", human::bytes(lost.bytes))?;
        lost.stretches.iter().take(STRETCHES_SHOWN).try_for_each(|stretch| write_stretch(stretch, out))?;
        if lost.stretches.len() > STRETCHES_SHOWN {
            writeln!(out, "      and {} stretches more (--json lists them)", lost.stretches.len() - STRETCHES_SHOWN)?;
        }
    }
    for snapshot in &document.incomplete {
        writeln!(
            out,
            "incomplete: snapshot {}, {} of its frames are lost",
            short(&snapshot.snapshot),
            snapshot.frames
        )?;
    }
    if document.parity_added > 0 {
        writeln!(out, "{} parity now", human::things(document.parity_added, ["pack has", "packs have"]))?;
    }
    for what in &document.not_done {
        writeln!(out, "not done: {what}")?;
    }
    let verdict = match (document.mended.len(), document.left.len().max(document.incomplete.len())) {
        (0, 0) => "nothing was damaged".to_owned(),
        (mended, 0) => format!("{} put right, nothing is lost", human::things(mended, ["object was", "objects were"])),
        (mended, left) => {
            let (mended, left) =
                (human::things(mended, ["object was", "objects were"]), human::things(left, ["is", "are"]));
            format!("{mended} put right, {left} LOST")
        }
    };
    writeln!(out, "{verdict}; {} proved", human::things(document.objects, ["object", "objects"]))?;
    if !(document.left.is_empty() && document.incomplete.is_empty()) && document.recorded {
        writeln!(out, "the loss is on record; the next backup stores again what it needs of it")?;
    }
    Ok(())
}

fn write_stretch(stretch: &StretchEntry, out: &mut dyn Page) -> io::Result<()> {
    let length = stretch.bytes.map_or_else(|| "an unknown length".to_owned(), human::bytes);
    let at = stretch.start.map_or_else(|| "behind them".to_owned(), |start| format!("at byte {start}"));
    match (stretch.first_row, stretch.last_row) {
        (Some(first), Some(last)) => writeln!(out, "      rows {first} to {last} ({length} {at})"),
        (Some(first), None) => writeln!(out, "      from row {first} ({length} {at})"),
        _ => writeln!(out, "      {length} {at}"),
    }
}
