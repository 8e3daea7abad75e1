//! Restoring bytes: the archive as `pg_dump` wrote it, or the one raw stream, into a file, a program or stdout.
//!
//! Nothing appears under a file's name before every byte was proved and is on disk.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
};

use lacre_format::root::StreamKind;
use lacre_repo::{files, op::read::Snapshot};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::{
    cli::RestoreArgs,
    command::{
        findings,
        restore::last_look::{Record, still_there},
    },
    driver::postgres::{
        restore::{
            SnapshotSource,
            archive::{self, Written},
        },
        vault::VaultSource,
    },
    error::{CliError, Kind},
    exit::Exit,
    human,
    invocation::Invocation,
    output::RestoreToBytesResult,
    person::PersonLess,
    term::Form,
    vault::{Role, Vault, explain_driver, watching},
};

/// Bytes gathered before they are written.
const BUFFER_BYTES: usize = 256 * 1024;

/// With `--stdout` the bytes themselves are the result, so there is no room for a document.
pub(super) fn refuse_json_on_stdout(invocation: &Invocation, args: &RestoreArgs) -> Result<(), CliError> {
    if args.stdout && invocation.terminal.form == Form::Json {
        return Err(CliError::new(Kind::Usage, "--stdout writes the bytes themselves and leaves no room for --json")
            .hint("use --to-file FILE --json"));
    }
    Ok(())
}

/// Writes the snapshot's bytes where they were asked for.
pub(super) fn run(
    invocation: &Invocation,
    vault: &Vault,
    snapshot: &Snapshot<'_>,
    without: Option<&dyn PersonLess>,
    args: &RestoreArgs,
) -> Result<Exit, CliError> {
    let job = Job { invocation, vault, snapshot, without };
    let record = Record::begin(invocation, vault, snapshot.id());
    let written = job.anywhere(args);
    record.end();
    let written = written?;
    let blake3 = blake3::Hash::from_bytes(written.blake3).to_hex().to_string();
    let document = RestoreToBytesResult { bytes: written.bytes, blake3 };
    let corrections = snapshot.corrections();
    findings::warn(invocation, &corrections);
    let exit = findings::exit(&corrections);
    let said = format!("{} written and verified, BLAKE3 {}", human::bytes(document.bytes), document.blake3);
    if args.stdout {
        invocation.terminal.detail(&said);
        return Ok(exit);
    }
    invocation.print(&document, |out| writeln!(out, "{said}"))?;
    Ok(exit)
}

struct Job<'a> {
    invocation: &'a Invocation,
    vault: &'a Vault,
    snapshot: &'a Snapshot<'a>,
    /// The same without a person who is being erased from it.
    without: Option<&'a dyn PersonLess>,
}

impl Job<'_> {
    fn anywhere(&self, args: &RestoreArgs) -> Result<Written, CliError> {
        if let Some(path) = &args.to_file {
            self.to_file(path)
        } else if let Some(command) = &args.to_command {
            self.to_command(command)
        } else {
            let mut out = self.invocation.terminal.raw_stdout()?;
            let written = self.write(&mut out)?;
            // The bytes are out; whoever reads them learns from the exit code that they must not be used.
            self.look()?;
            Ok(written)
        }
    }

    /// The last look before what was read becomes visible.
    fn look(&self) -> Result<(), CliError> {
        still_there(self.vault, self.snapshot.id(), self.without).map_err(|why| {
            let what = format!("snapshot {} is not restored: {why}", self.snapshot.id());
            CliError::new(Kind::Refused, what).hint("lacre snapshots shows which snapshots there are")
        })
    }

    /// Writes all bytes and compares them with what was recorded.
    fn write(&self, out: &mut dyn Write) -> Result<Written, CliError> {
        let (line, watching) = watching(self.invocation);
        let parts = self.snapshot.streams().iter().filter(|stream| stream.kind != StreamKind::Globals);
        watching.expect_bytes(parts.map(|stream| stream.bytes).sum());
        let streams = VaultSource::new(self.snapshot, Arc::new(watching));
        let source = self.without.map_or(&streams as &dyn SnapshotSource, PersonLess::source);
        let written = archive::write(source, out);
        line.finish();
        let home = self.vault.repository.home().directory();
        let written = written.map_err(|error| match error {
            crate::driver::postgres::error::Error::Io { source, .. } => {
                CliError::io("the output could not be written", &source)
            }
            other => explain_driver(other, Role::Target, Some(home)),
        })?;
        let hash = blake3::Hash::from_bytes(written.blake3).to_hex();
        match source.facts().get("archive.blake3") {
            Some(recorded) if recorded.as_str() != hash.as_str() => {
                let what = format!("the archive of snapshot {} is not the one pg_dump wrote", self.snapshot.id());
                Err(CliError::new(Kind::Damaged, what).hint("lacre repo check --read-data"))
            }
            _ => Ok(written),
        }
    }

    /// Writes beside the target under another name, syncs, and renames; a file that is there already stays.
    fn to_file(&self, path: &Path) -> Result<Written, CliError> {
        if fs::symlink_metadata(path).is_ok() {
            return Err(exists(path));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let part = Part::create(folder, path)?;
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, &part.file);
        let written = self.write(&mut out)?;
        let fail = |error: &io::Error| CliError::io(format!("cannot write {}", path.display()), error);
        out.flush().map_err(|error| fail(&error))?;
        drop(out);
        part.file.sync_all().map_err(|error| fail(&error))?;
        self.look()?;
        part.publish(path)?;
        files::sync_directory(folder)
            .map_err(|error| CliError::new(Kind::Io, format!("cannot sync {}", folder.display())).because(&error))?;
        Ok(written)
    }

    fn to_command(&self, command: &str) -> Result<Written, CliError> {
        let mut words = command.split_whitespace();
        let program = words.next().ok_or_else(|| CliError::new(Kind::Usage, "--to-command names no program"))?;
        let fail = |error: &io::Error| CliError::io(format!("cannot run {program}"), error);
        // With --json stdout is ours; what the program prints is then talk.
        let stdout = match self.invocation.terminal.form {
            Form::Text => Stdio::inherit(),
            Form::Json => Stdio::from(std::io::stderr()),
        };
        let mut child = Command::new(program)
            .env_remove("LACRE_PASSPHRASE")
            .args(words)
            .stdin(Stdio::piped())
            .stdout(stdout)
            .spawn()
            .map_err(|error| fail(&error))?;
        let stdin = child.stdin.take().expect("stdin was asked to be piped");
        let mut out = BufWriter::with_capacity(BUFFER_BYTES, stdin);
        let written = self.write(&mut out).and_then(|written| self.look().map(|()| written));
        if written.as_ref().is_err_and(|error| error.kind() == Kind::Refused) {
            // A program that never sees the end of its input does not take it for whole.
            child.kill().map_err(|error| fail(&error))?;
        }
        // Dropping the pipe tells the program that the bytes end; what did not reach it shows in its exit status.
        drop(out);
        let status = child.wait().map_err(|error| fail(&error))?;
        match written {
            Ok(written) if status.success() => Ok(written),
            Err(error) if error.kind() != Kind::BrokenPipe => Err(error),
            _ => Err(CliError::new(Kind::Io, format!("{program} ended with {status}; what it made is not complete"))),
        }
    }
}

fn exists(path: &Path) -> CliError {
    CliError::new(Kind::Refused, format!("{} exists already and is not overwritten", path.display()))
        .hint("name a new file, or remove the old one first")
}

/// A file under a temporary name; removed when dropped unless it was published.
struct Part {
    path: PathBuf,
    file: File,
}

impl Part {
    fn create(folder: &Path, target: &Path) -> Result<Part, CliError> {
        let mut name = OsString::from(".");
        name.push(target.file_name().unwrap_or_default());
        name.push(format!(".{}.part", std::process::id()));
        let path = folder.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| CliError::io(format!("cannot create {}", path.display()), &error))?;
        Ok(Part { path, file })
    }

    /// Gives the file its name, unless somebody took it meanwhile.
    fn publish(self, target: &Path) -> Result<(), CliError> {
        match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) => Err(exists(target)),
            // Some file systems cannot refuse to replace; a hard link can, everywhere.
            Err(_) => fs::hard_link(&self.path, target)
                .map_err(|error| CliError::io(format!("cannot give {} its name", target.display()), &error)),
        }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a publication nothing lies under this name any more.
        let _gone = fs::remove_file(&self.path);
    }
}
