//! What is made again from other objects: index segments from the footers of packs, reach maps from the roots of their snapshots.

use lacre_format::{
    codec,
    ids::{Digest, Millis},
    name::{Named, ObjectName},
    object::Kind,
    reach::RebuiltReach,
};
use lacre_seal::structure::Structure;

use crate::{
    error::{Error, Kind as ErrorKind},
    home::Signer,
    locate::packs_listed,
    monitor::Severity,
    op::{
        prune::Merge,
        repair::{How, Mended, Repair},
    },
    view::{Known, View},
};

impl Repair<'_> {
    /// Makes index segments and reach maps again where nothing has them.
    pub(super) fn rebuild(&mut self, view: &View) -> Result<(), Error> {
        self.segments(view)?;
        self.reach_maps(view)
    }

    /// One segment for every pack that no readable segment names. Without the structure key this waits for a host that has it: packs are
    /// found by their own footers meanwhile.
    fn segments(&mut self, view: &View) -> Result<(), Error> {
        let repository = self.repository;
        if !repository.has_structure() {
            return Ok(());
        }
        let findings = repository.refresh(view)?;
        let damaged = findings.iter().any(|finding| {
            matches!(ObjectName::parse(&finding.object), Some((_, Named::Segment(_))))
                && finding.severity == Severity::Damage
        });
        if !damaged {
            return Ok(());
        }
        let Some(signer) = self.signer(view)? else {
            self.report.not_done.push("a new index: this host has no key that may sign one".to_owned());
            return Ok(());
        };
        let present = packs_listed(&self.store().list("packs")?.objects);
        let mut merge = Merge::default();
        for name in present.into_keys().filter(|name| !self.lost.contains(name)) {
            let catalog = repository.catalog()?;
            if catalog.pack_by_name(name)?.is_some() && !catalog.is_in_segment(name)? {
                merge.packs.insert(name);
            }
        }
        for digest in repository.put_merged(&signer, &merge, &[])? {
            let object = ObjectName::of(&Named::Segment(digest)).to_string();
            self.report.mended.push(Mended { object, how: How::Rebuilt, bytes: 0 });
        }
        Ok(())
    }

    /// A key that may sign segments: the admin's, or a writer's that is enrolled.
    fn signer(&self, view: &View) -> Result<Option<Signer>, Error> {
        match self.repository.maintainer(view) {
            Ok(signer) => return Ok(Some(signer)),
            Err(error) if error.kind() == ErrorKind::NoKey => {}
            Err(error) => return Err(error),
        }
        match self.repository.home().writer_keys() {
            Ok(keys) => Ok(view.home(keys.signer.home).is_some().then_some(keys.signer)),
            Err(Error::KeyMissing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn reach_maps(&mut self, view: &View) -> Result<(), Error> {
        let live = |known: &&Known| view.snapshots.contains_key(&known.header.snapshot);
        for known in view.snapshots.values().filter(live) {
            let snapshot = known.header.snapshot;
            match self.repository.reach(known) {
                Ok(_) | Err(Error::KeyMissing { .. }) => continue,
                Err(Error::Damaged { .. } | Error::Format { .. }) => {}
                Err(error) => return Err(error),
            }
            if self.keys.identities.is_empty() {
                self.report.not_done.push(format!(
                    "the reach map of snapshot {}: only its root knows it (--identity)",
                    snapshot.short()
                ));
                continue;
            }
            match self.reach_map(view, known) {
                Ok(mended) => self.report.mended.push(mended),
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                Err(error) => {
                    let why = format!("the reach map of snapshot {}: {error}", snapshot.short());
                    self.report.not_done.push(why);
                }
            }
        }
        Ok(())
    }

    fn reach_map(&self, view: &View, known: &Known) -> Result<Mended, Error> {
        let repository = self.repository;
        let signer = repository.maintainer(view)?;
        let snapshot = known.header.snapshot;
        let reach = repository.open_in(view, snapshot, self.keys)?.births()?;
        let sealed = repository.structure()?.seal(Structure::Reach(snapshot), repository.id(), &reach.encode())?;
        let rebuilt = RebuiltReach {
            repository: repository.id(),
            snapshot,
            made: Millis(repository.clock().now().as_millisecond()),
            salt: sealed.salt,
            map: sealed.ciphertext,
        };
        let signed = signer.key.sign(Kind::RebuiltReach, repository.id(), signer.home, codec::to_cbor(&rebuilt));
        let object = signed.encode(Kind::RebuiltReach);
        let digest = Digest::new(*blake3::hash(&object).as_bytes());
        let (name, bytes) = (ObjectName::of(&Named::RebuiltReach(snapshot, digest)), object.len() as u64);
        repository.put(&name, object)?;
        Ok(Mended { object: name.to_string(), how: How::Rebuilt, bytes })
    }
}
