//! Definitions, made by `pg_restore` from an archive that holds no data.
//!
//! In: the snapshot's table of contents. Out: everything before the rows, and later everything after them. The archive reaches `pg_restore`
//! whole, in a memory file: it has a size, it can be read by several workers, and it cannot break in the middle.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf};

use lacre_dump::archive::{Entry, Toc, write_schema_only};

use super::{Work, complaints, tables};
use crate::driver::postgres::{
    child::{Running, Task},
    error::{Error, Result},
    memory_file::MemoryFile,
    report::Event,
    tools::Toolset,
};

/// The definitions of one snapshot, ready for `pg_restore`.
pub(super) struct Schema<'a> {
    work: &'a Work<'a>,
    program: PathBuf,
    archive: MemoryFile,
    /// Dump ids to restore, one a line, when tables were chosen.
    list: Option<MemoryFile>,
    /// The same in three parts, where indexes of partitioned tables are put together out of those of their partitions.
    parts: Option<Parts>,
}

/// What comes after the rows, in the order in which it is made.
///
/// Left to itself, `pg_restore` attaches indexes of several partitions at the same moment, and PostgreSQL then now and then leaves the index
/// of the partitioned table invalid, without an error: seen with 15.18 in two of forty-two drills on a machine with much to do. So they are
/// attached one after the other, behind all that they are made of and before what may rest on them (foreign keys need a valid index).
struct Parts {
    /// Indexes and the constraints that are indexes.
    built: MemoryFile,
    /// What puts them together.
    attached: MemoryFile,
    /// Everything else.
    rest: MemoryFile,
}

impl Parts {
    fn of(toc: &Toc, ids: &BTreeSet<i32>) -> Result<Option<Self>> {
        let tagged = |tags: &[&'static [u8]]| -> BTreeSet<i32> {
            let found = tags.iter().flat_map(|tag| toc.of_kind(tag)).map(|entry| entry.dump_id());
            found.filter(|id| ids.contains(id)).collect()
        };
        let attached = tagged(&[b"INDEX ATTACH"]);
        if attached.is_empty() {
            return Ok(None);
        }
        let built = tagged(&[b"INDEX", b"CONSTRAINT"]);
        let rest = ids.iter().filter(|id| !attached.contains(id) && !built.contains(id)).copied().collect();
        let file = |ids: &BTreeSet<i32>| list_file(ids, toc);
        Ok(Some(Self { built: file(&built)?, attached: file(&attached)?, rest: file(&rest)? }))
    }
}

/// The memory file with the archive that holds definitions only.
pub(super) fn archive_file(toc: &Toc) -> Result<MemoryFile> {
    let mut archive = MemoryFile::create()?;
    write_schema_only(archive.file(), toc)
        .map_err(|error| Error::NotRestorable(format!("its definitions cannot be written: {error}")))?;
    Ok(archive)
}

/// A memory file with the list `pg_restore --use-list` reads.
pub(super) fn list_file(ids: &BTreeSet<i32>, toc: &Toc) -> Result<MemoryFile> {
    let mut text = String::new();
    for entry in toc.entries().filter(|entry| ids.contains(&entry.dump_id())) {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{};", entry.dump_id());
    }
    MemoryFile::with(text.as_bytes())
}

impl<'a> Schema<'a> {
    /// Prepares the definitions, of the chosen tables if some were chosen.
    pub(super) fn read(
        work: &'a Work<'a>,
        tools: &Toolset,
        toc: &Toc,
        selected: &Option<BTreeSet<i32>>,
    ) -> Result<Self> {
        let (ids, is_all) = match selected {
            Some(selected) => {
                let (ids, skipped) = tables::entries(toc, selected);
                work.findings.extend(skipped);
                (ids, false)
            }
            None => {
                // Entries with data are not in the archive of definitions, and a list may name only what is there.
                let made = |entry: &Entry<'_>| !entry.has_data() && !work.left_out.contains(entry.dump_id());
                (toc.entries().filter(made).map(|entry| entry.dump_id()).collect(), work.left_out.is_empty())
            }
        };
        let list = if is_all { None } else { Some(list_file(&ids, toc)?) };
        let parts = Parts::of(toc, &ids)?;
        Ok(Self { work, program: tools.program("pg_restore")?, archive: archive_file(toc)?, list, parts })
    }

    /// Makes types, functions, tables, and gives sequences their values: all that rows need, and what no row changes.
    pub(super) fn before_rows(&self) -> Result<()> {
        self.run(&["--section=pre-data", "--section=data"], self.list.as_ref())
    }

    /// Makes indexes, constraints, triggers, policies, and fills materialized views.
    pub(super) fn after_rows(&self) -> Result<()> {
        let jobs =
            format!("--jobs={}", self.work.options.jobs.clamp(1, crate::driver::postgres::limits::RESTORE_JOBS_MAX));
        let side_by_side = ["--section=post-data", &jobs];
        let Some(parts) = &self.parts else { return self.run(&side_by_side, self.list.as_ref()) };
        self.run(&side_by_side, Some(&parts.built))?;
        self.run(&["--section=post-data"], Some(&parts.attached))?;
        self.run(&side_by_side, Some(&parts.rest))
    }

    fn run(&self, sections: &[&str], list: Option<&MemoryFile>) -> Result<()> {
        // Only a verbose pg_restore names the entry an error belongs to.
        // An empty name makes pg_restore take PGDATABASE, so that no name is ever read as a connection string.
        let mut arguments = vec!["--no-password".to_owned(), "--verbose".to_owned(), "--dbname=".to_owned()];
        arguments.extend(sections.iter().map(|section| (*section).to_owned()));
        arguments.extend(super::sandbox::arguments(self.work.options).iter().map(|argument| (*argument).to_owned()));
        let mut files = vec![&self.archive];
        if let Some(list) = list {
            arguments.push(format!("--use-list={}", list.path()));
            files.push(list);
        }
        arguments.push(self.archive.path());
        let task = Task {
            program: &self.program,
            arguments,
            target: &self.work.target,
            settings: &[("synchronous_commit", "off")],
            files: &files,
            keep: complaints::is_one,
        };
        let (running, mut stdout) = Running::start(&task, self.work.watch)?;
        // It writes nothing with --dbname; reading to the end only waits for it.
        let read = std::io::copy(&mut stdout, &mut std::io::sink());
        let ended = running.wait()?;
        read.map_err(|source| Error::Io { doing: "waiting for pg_restore".to_owned(), source })?;
        let complete = ended.status.success()
            || (ended.status.code() == Some(1) && ended.stderr.contains("errors ignored on restore"));
        if ended.cancelled || !complete {
            return Err(Running::failed("pg_restore", &self.work.target, &ended));
        }
        self.work.findings.extend(complaints::read(&ended.stderr));
        self.work.watch.event(Event::Bytes(0));
        Ok(())
    }
}
