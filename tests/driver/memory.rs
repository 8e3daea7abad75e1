//! A snapshot held in memory: the driver's two traits without a repository, so that its tests speak of the driver alone.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lacre::driver::postgres::conninfo::Environment;
use lacre::driver::postgres::dump::{BoxError, DumpOptions, DumpReport, DumpSink, Rows, Source, StreamSpec};
use lacre::driver::postgres::error::Error;
use lacre::driver::postgres::report::{Event, Watch};
use lacre::driver::postgres::restore::{Choice, RestoreOptions, RestoreReport, SnapshotSource, StreamRef, plan};
use lacre::driver::postgres::target::Target;

/// Called with the name of every stream that is read.
type OnRead = Box<dyn Fn(&str) + Sync>;

/// Streams in the order they were closed, and what the driver said about their source.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) streams: Vec<StreamRef>,
    pub(crate) contents: Vec<Vec<u8>>,
    pub(crate) facts: BTreeMap<String, String>,
    /// Reading this stream fails after half of its bytes, as a damaged repository would.
    pub(crate) damaged: Option<String>,
    /// Called with the name of each stream that is read.
    pub(crate) on_read: Option<OnRead>,
}

/// A stream being written.
pub(crate) struct Open {
    spec: StreamSpec,
    bytes: Vec<u8>,
}

impl Write for Open {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DumpSink for Memory {
    type Stream = Open;

    fn open(&mut self, spec: StreamSpec) -> Result<Open, BoxError> {
        Ok(Open { spec, bytes: Vec::new() })
    }

    fn close(&mut self, stream: Open, rows: Rows) -> Result<(), BoxError> {
        let Open { spec, bytes } = stream;
        let length = u64::try_from(bytes.len())?;
        assert!(self.streams.iter().all(|other| other.name != spec.name), "two streams called {}", spec.name);
        self.streams.push(StreamRef { name: spec.name, kind: spec.kind, dump_id: spec.dump_id, bytes: length, rows });
        self.contents.push(bytes);
        Ok(())
    }
}

impl SnapshotSource for Memory {
    fn short_id(&self) -> String {
        "0badcafe".to_owned()
    }

    fn facts(&self) -> &BTreeMap<String, String> {
        &self.facts
    }

    fn streams(&self) -> &[StreamRef] {
        &self.streams
    }

    fn read(&self, stream: &StreamRef, sink: &mut dyn Write) -> Result<(), BoxError> {
        if let Some(on_read) = &self.on_read {
            on_read(&stream.name);
        }
        let bytes = self.bytes(&stream.name);
        if self.damaged.as_ref() == Some(&stream.name) {
            sink.write_all(&bytes[..bytes.len() / 2])?;
            return Err("the digest is wrong".into());
        }
        // Odd pieces, so that nothing downstream can rely on how they are cut.
        for piece in bytes.chunks(65_521) {
            sink.write_all(piece)?;
        }
        Ok(())
    }
}

impl Memory {
    pub(crate) fn bytes(&self, name: &str) -> &[u8] {
        let at =
            self.streams.iter().position(|stream| stream.name == name).unwrap_or_else(|| panic!("no stream {name}"));
        &self.contents[at]
    }

    pub(crate) fn rows(&self, name: &str) -> u64 {
        self.streams.iter().find(|stream| stream.name == name).unwrap().rows.count.unwrap()
    }
}

/// A watch that can be told to stop, and that remembers steps.
#[derive(Default)]
pub(crate) struct Ear {
    pub(crate) stop: AtomicBool,
    pub(crate) stop_at: Mutex<Option<String>>,
    pub(crate) bytes: AtomicU64,
}

impl Watch for Ear {
    fn event(&self, event: Event) {
        match event {
            Event::Bytes(bytes) => {
                self.bytes.fetch_add(bytes, Ordering::SeqCst);
            }
            Event::Stream(name) if self.stop_at.lock().unwrap().as_ref() == Some(&name) => {
                self.stop.store(true, Ordering::SeqCst);
            }
            _ => {}
        }
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }
}

/// An ear nobody speaks through.
pub(crate) fn quiet() -> Arc<dyn Watch> {
    Arc::new(Ear::default())
}

/// The environment tests connect with: nothing of the machine's but where programs are.
pub(crate) fn environment(extra: &[(&str, &str)]) -> Environment {
    let fixed = [("PATH", "/usr/bin:/bin"), ("HOME", "/nonexistent")];
    Environment::new(fixed.iter().chain(extra).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

pub(crate) fn target(url: &str) -> Target {
    Target::resolve(url, &environment(&[])).unwrap()
}

/// Dumps a database into memory.
pub(crate) fn dump(target: &Target) -> Result<(Memory, DumpReport), Error> {
    dump_watched(target, &quiet())
}

pub(crate) fn dump_watched(target: &Target, watch: &Arc<dyn Watch>) -> Result<(Memory, DumpReport), Error> {
    let mut memory = Memory::default();
    let report = Source::open(target)?.dump(&DumpOptions::default(), &mut memory, watch)?;
    memory.facts = report.facts.clone();
    Ok((memory, report))
}

/// Options that allow everything but refusing.
pub(crate) fn permissive() -> RestoreOptions {
    RestoreOptions {
        create: Choice::Allow,
        swap: Choice::Allow,
        end_sessions: Choice::Allow,
        incomplete: Choice::Refuse,
        ..RestoreOptions::careful("20261122T231500Z")
    }
}

pub(crate) fn restore(target: &Target, memory: &Memory, options: RestoreOptions) -> Result<RestoreReport, Error> {
    plan(target, memory, options)?.execute(&quiet(), &mut |_| Ok(()))
}
