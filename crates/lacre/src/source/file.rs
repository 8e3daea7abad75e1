//! A regular file as a source: `lacre backup --file NAME=PATH`.

use std::{
    fs::{File, Metadata, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{Sink, SourceEnd, SourceError, pump_reader};
use crate::process::Interrupt;

/// Reads one regular file and proves that it did not change meanwhile.
#[derive(Debug)]
pub struct FileSource {
    path: PathBuf,
    interrupt: Interrupt,
}

impl FileSource {
    /// Prepares a file; a symbolic link to a regular file is followed.
    pub fn new(path: PathBuf, interrupt: Interrupt) -> FileSource {
        FileSource { path, interrupt }
    }

    /// Returns the path as text, for messages and source facts.
    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Reads the file to its end, pushing it into the sink.
    ///
    /// # Errors
    /// [`SourceError::NotAFile`] for folders, devices, pipes and sockets; [`SourceError::Changed`] when size, times or identity of
    /// the file differ after reading, or when another file has taken its name; the others as they are named.
    pub fn pump(&mut self, sink: Sink<'_>) -> Result<SourceEnd, SourceError> {
        let name = self.name();
        let start = |error| SourceError::Open { path: name.clone(), error };
        // The kind is looked at before opening too: opening a device can have effects, and a pipe would wait for its writer.
        refuse_special(&self.path, &std::fs::metadata(&self.path).map_err(start)?)?;
        let mut file = open(&self.path).map_err(start)?;
        let before = file.metadata().map_err(start)?;
        refuse_special(&self.path, &before)?;
        let bytes = pump_reader(&mut file, &name, before.size(), &self.interrupt, sink)?;
        let read = |error| SourceError::Read { source_name: name.clone(), bytes, error };
        let after = file.metadata().map_err(read)?;
        let named = std::fs::metadata(&self.path).map_err(read)?;
        let change = difference(&before, &after).or_else(|| difference(&before, &named)).or_else(|| {
            (before.size() != bytes).then(|| format!("its size is {} bytes, but {bytes} were read", before.size()))
        });
        if let Some(change) = change {
            return Err(SourceError::Changed { path: name, change });
        }
        Ok(SourceEnd { bytes, exit_status: None, verified: true, stderr_tail: String::new() })
    }
}

fn open(path: &Path) -> io::Result<File> {
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    OpenOptions::new().read(true).custom_flags(nonblocking).open(path)
}

fn refuse_special(path: &Path, metadata: &Metadata) -> Result<(), SourceError> {
    let kind = metadata.file_type();
    let kind = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a folder",
        () if kind.is_fifo() => "a named pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_block_device() || kind.is_char_device() => "a device",
        () => "something special",
    };
    Err(SourceError::NotAFile { path: path.display().to_string(), kind })
}

fn difference(before: &Metadata, after: &Metadata) -> Option<String> {
    if (before.dev(), before.ino()) != (after.dev(), after.ino()) {
        return Some("another file has taken its name".to_owned());
    }
    if before.size() != after.size() {
        return Some(format!("its size went from {} to {} bytes", before.size(), after.size()));
    }
    if (before.mtime(), before.mtime_nsec()) != (after.mtime(), after.mtime_nsec()) {
        return Some("it was written to".to_owned());
    }
    None
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write as _, path::Path};

    use super::{FileSource, SourceEnd, SourceError};
    use crate::process::Interrupt;

    fn pump(path: &Path, mut meanwhile: impl FnMut()) -> (Vec<u8>, Result<SourceEnd, SourceError>) {
        let mut bytes = Vec::new();
        let end = FileSource::new(path.to_owned(), Interrupt::default()).pump(&mut |piece| {
            bytes.extend_from_slice(piece);
            meanwhile();
            Ok(())
        });
        (bytes, end)
    }

    #[test]
    fn a_quiet_file_arrives_whole_also_through_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump");
        let content: Vec<u8> = (0..2_500_000_u32).map(|number| u8::try_from(number % 251).unwrap()).collect();
        fs::write(&path, &content).unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        for name in [path, link] {
            let (bytes, end) = pump(&name, || ());
            let end = end.unwrap();
            assert!(bytes == content && end.verified && end.exit_status.is_none() && end.bytes == 2_500_000);
        }
    }

    #[test]
    fn an_empty_file_is_read_as_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("empty");
        fs::write(&path, b"").unwrap();
        assert_eq!(pump(&path, || ()).1.unwrap().bytes, 0);
    }

    #[test]
    fn changes_during_the_read_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dump");
        let check = |meanwhile: &dyn Fn(), expected: &str| {
            fs::write(&path, vec![1; 1_500_000]).unwrap();
            let error = pump(&path, meanwhile).1.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(&|| fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"x").unwrap(), "its size");
        check(&|| fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(10).unwrap(), "its size");
        check(
            &|| {
                let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
                file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
            },
            "written to",
        );
        check(
            &|| {
                let other = folder.path().join("other");
                fs::write(&other, vec![1; 1_500_000]).unwrap();
                fs::rename(&other, &path).unwrap();
            },
            "taken its name",
        );
    }

    #[test]
    fn folders_pipes_devices_and_nothing_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        for (path, expected) in
            [(folder.path(), "a folder"), (&pipe, "a named pipe"), (Path::new("/dev/null"), "a device")]
        {
            assert!(pump(path, || ()).1.unwrap_err().to_string().contains(expected));
        }
        let missing = pump(&folder.path().join("missing"), || ()).1.unwrap_err();
        assert!(matches!(missing, SourceError::Open { .. }));
    }
}
