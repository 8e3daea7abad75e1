//! `lacre show` and `lacre ls`: what a snapshot holds.

use std::{collections::BTreeMap, io};

use lacre_format::root::Stream;
use lacre_repo::{
    Kind as VaultKind,
    op::{read::Snapshot, snapshots::SnapshotRow},
};

use super::streams;
use crate::{
    cli::{LsArgs, ShowArgs},
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::{LsResult, ShowResult, ShowStream, StreamEntry},
    term::{
        page::Page,
        table::{Align, Table, printable},
    },
    vault::Vault,
};

/// Shows one snapshot; without the keys only its signed header.
///
/// # Errors
/// Those of the vault; a missing key is none.
pub(super) fn show(invocation: &Invocation, args: &ShowArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let (id, keys) = vault.resolve_with_keys(invocation, &args.snapshot, &args.keys.kits)?;
    let rows = vault.repository.snapshots().map_err(|error| vault.explain(error))?.rows;
    let row = rows.into_iter().find(|row| row.snapshot == id);
    let row = row.ok_or_else(|| CliError::new(Kind::NotFound, format!("no snapshot is named {id}")))?;
    let mut document = header(&row);
    match vault.repository.open_snapshot(id, &keys) {
        Ok(snapshot) => unsealed(&snapshot, &mut document),
        Err(error) if error.kind() == VaultKind::NoKey => {
            invocation.terminal.detail(&vault.explain(error).message());
        }
        Err(error) => return Err(vault.explain(error)),
    }
    invocation.print(&document, |out| write_show(&document, out))?;
    Ok(Exit::Done)
}

fn header(row: &SnapshotRow) -> ShowResult {
    ShowResult {
        snapshot: row.snapshot.to_string(),
        job: row.label.as_ref().map_or_else(|| "?".to_owned(), |label| label.job.to_string()),
        time: streams::rfc3339(row.taken),
        state: streams::state(row.state),
        held: row.held.is_some(),
        home: row.known.header.home.to_string(),
        generation: row.known.header.generation.number,
        sealed: true,
        source: None,
        facts: BTreeMap::new(),
        tags: row.label.as_ref().map(|label| label.tags.clone()).unwrap_or_default(),
        streams: Vec::new(),
        findings: Vec::new(),
    }
}

fn unsealed(snapshot: &Snapshot<'_>, document: &mut ShowResult) {
    document.sealed = false;
    document.job = snapshot.job().to_string();
    document.source = Some(snapshot.source().to_owned());
    document.facts = snapshot.facts().clone();
    document.streams = snapshot.streams().iter().map(stream).collect();
}

fn stream(stream: &Stream) -> ShowStream {
    let StreamEntry { name, kind, rows, bytes } = streams::of_snapshot(stream);
    let digest = |lanes: &Vec<u64>| lanes.iter().map(|lane| format!("{lane:016x}")).collect::<String>();
    ShowStream {
        name,
        kind,
        rows,
        bytes,
        blake3: stream.blake3.to_string(),
        row_digest: stream.row_digest.as_ref().map(digest),
    }
}

fn write_show(document: &ShowResult, out: &mut dyn Page) -> io::Result<()> {
    let held = if document.held { ", held" } else { "" };
    let time = document.time.parse().map_or_else(|_| document.time.clone(), human::time);
    writeln!(out, "snapshot    {}", document.snapshot)?;
    writeln!(out, "job         {}", document.job)?;
    writeln!(out, "time        {time}")?;
    writeln!(out, "state       {}{held}", document.state.name())?;
    writeln!(out, "home        {}", document.home)?;
    writeln!(out, "generation  {}", document.generation)?;
    if !document.tags.is_empty() {
        writeln!(out, "tags        {}", printable(&document.tags.join(", ")))?;
    }
    if document.sealed {
        return writeln!(out, "sealed      yes; an identity and the seal show the rest");
    }
    writeln!(out, "source      {}", document.source.as_deref().unwrap_or_default())?;
    if !document.facts.is_empty() {
        writeln!(out)?;
        let width = document.facts.keys().map(|name| name.chars().count()).max().unwrap_or(0);
        for (name, value) in &document.facts {
            writeln!(out, "{:<width$}  {}", printable(name), printable(value))?;
        }
    }
    writeln!(out)?;
    let mut table = Table::new(&[
        ("stream", Align::Left),
        ("kind", Align::Left),
        ("rows", Align::Right),
        ("bytes", Align::Right),
        ("blake3", Align::Left),
    ])
    .lowers("blake3")
    .lowers("bytes");
    for stream in &document.streams {
        table.row([
            stream.name.clone(),
            stream.kind.clone(),
            stream.rows.map_or_else(String::new, human::count),
            human::count(stream.bytes),
            stream.blake3.clone(),
        ]);
    }
    table.write(out)
}

/// Lists the streams of a snapshot.
///
/// # Errors
/// Those of the vault, [`Kind::NoKey`] among them.
pub(super) fn ls(invocation: &Invocation, args: &LsArgs) -> Result<Exit, CliError> {
    let vault = Vault::open(invocation)?;
    let snapshot = vault.open_any(invocation, &args.snapshot, &args.keys.kits)?;
    let document = LsResult {
        snapshot: snapshot.id().to_string(),
        streams: snapshot.streams().iter().map(streams::of_snapshot).collect(),
    };
    invocation.print(&document, |out| {
        let columns = [("stream", Align::Left), ("kind", Align::Left), ("rows", Align::Right), ("size", Align::Right)];
        let mut table = Table::new(&columns);
        for stream in &document.streams {
            let rows = stream.rows.map_or_else(String::new, human::count);
            table.row([stream.name.clone(), stream.kind.clone(), rows, human::bytes(stream.bytes)]);
        }
        table.write(out)
    })?;
    Ok(Exit::Done)
}
