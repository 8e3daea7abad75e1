//! The commit of a backup: index delta, reach, anchor, snapshot, and what follows.

use std::{
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use lacre_format::{
    codec,
    frame::padme,
    header::{Header, Label, SnapshotObject, StreamCut},
    ids::{Digest, GenerationId, Millis, SnapshotId, Token},
    keyring::KeyEnvelope,
    name::{Named, ObjectName},
    object::Kind,
    policy::Policy,
    reach::Reach,
    root::{Root, Stream, StreamKind},
    segment::{SEGMENT_PACKS_MAX, Segment, SegmentPack},
    session::Outcome,
};
use lacre_seal::{
    entropy, key_entry, outer::SealPublic, recipient::Recipient, root::seal_root, secret::SnapshotKey,
    structure::Structure,
};
use minicbor::bytes::ByteVec;

use crate::{
    catalog::KnownPack,
    error::Error,
    files::LockFile,
    home::Signer,
    limits::{ANCHOR_ATTEMPTS_MAX, LOCK_PATIENCE, REACH_KEPT_BYTES_MAX, SEGMENT_FOOTERS_BYTES, SHRINK_DIVISOR},
    monitor::{Finding, Progress, Severity},
    op::backup::{Backup, kept_reach, pipeline::Produced, put_end, stream::StreamSummary},
    pack::salted_object,
    repository::Repository,
    view::View,
};

/// What the driver knows of its source when it has ended well.
#[derive(Clone, Debug, Default)]
pub struct SourceFacts {
    /// The driver: `postgres`, `command`, `file`, `stdin`.
    pub kind: String,
    /// Facts by name.
    pub facts: BTreeMap<String, String>,
    /// What the driver found.
    pub findings: Vec<Finding>,
    /// How long the source itself took, in milliseconds.
    pub source_ms: u64,
}

/// What a backup did.
#[derive(Clone, Debug)]
pub struct BackupReport {
    /// The snapshot.
    pub snapshot: SnapshotId,
    /// The streams in order.
    pub streams: Vec<StreamSummary>,
    /// Plaintext bytes read.
    pub bytes_read: u64,
    /// Plaintext bytes of new chunks.
    pub bytes_new: u64,
    /// Bytes added to the store, everything counted.
    pub bytes_stored: u64,
    /// Chunks.
    pub chunks: u64,
    /// New chunks.
    pub chunks_new: u64,
    /// How long the run took, in milliseconds.
    pub duration_ms: u64,
    /// How long the source took, in milliseconds.
    pub source_ms: u64,
    /// What was found.
    pub findings: Vec<Finding>,
}

/// A key entry that lies under the tip policy.
pub(crate) struct Anchor {
    pub(crate) policy: u32,
    pub(crate) generation: GenerationId,
    pub(crate) token: Token,
    pub(crate) entry: Digest,
}

impl Backup<'_> {
    /// Commits the snapshot. Call it only when every source has ended well (law L1).
    ///
    /// # Errors
    /// The first error of the pipeline; [`Error::Refused`] for an empty or much smaller source; [`Error::Overtaken`] when the
    /// session was voided meanwhile.
    pub fn commit(mut self, source: SourceFacts) -> Result<BackupReport, Error> {
        let stopped = || Error::Bug { why: "the pipeline has ended".to_owned() };
        let produced = self.pipeline.take().ok_or_else(stopped).and_then(super::pipeline::Pipeline::finish);
        let committed = produced.and_then(|produced| self.commit_produced(produced, source));
        if committed.is_err() && !self.stands {
            // The session ends without a snapshot; an error of that end is less telling than the one at hand.
            drop(self.repository.home().destroy_indexes(&self.job, self.indexed));
            let ended = put_end(self.repository, &self.keys.signer, self.snapshot, Outcome::Abandoned);
            drop(ended.and_then(|()| self.repository.home().forget_session(&self.job, self.snapshot)));
        }
        committed
    }

    fn commit_produced(&mut self, produced: Produced, source: SourceFacts) -> Result<BackupReport, Error> {
        let Produced { streams, reach, packs, chunks, chunks_new, bytes_new, index } = produced;
        let bytes: u64 = streams.iter().map(|stream| stream.bytes).sum();
        let opened = self.streams.lock().map_or(u32::MAX, |streams| *streams);
        if u32::try_from(streams.len()) != Ok(opened) {
            return Err(Error::Bug { why: format!("{opened} streams were opened and {} ended", streams.len()) });
        }
        self.guard(bytes)?;
        self.monitor.progress(Progress::Phase("committing".to_owned()));
        index.finish()?;
        let (segments, segment_bytes) = self.repository.put_segments(&self.keys.signer, &packs)?;
        let reach_object = self.put_reach(&reach)?;
        self.resolve(&reach)?;
        let stored = packs.iter().map(|pack| pack.bytes).sum::<u64>() + segment_bytes + reach_object.1;
        let label = self.label(&streams, stored);
        let key = SnapshotKey::generate(self.snapshot)?;
        let root = self.root(&source, streams)?;
        let root = seal_root(&key, &root);
        if matches!(source.kind.as_str(), "file" | "stdin") {
            // A file or pipe was made before this run looked: it cannot claim to have seen any intent (rule 2).
            self.seen.clear();
        }
        // Snapshots of one writer are numbered: two jobs of this host commit one after the other.
        let _turn = LockFile::acquire_within(&self.repository.home().directory().join("commit.lock"), LOCK_PATIENCE)?;
        let anchor = self.anchor(&key)?;
        let header = self.header(&key, &root, segments, reach_object.0, &anchor, &label)?;
        self.put_snapshot(&header, root)?;
        self.after_commit(&packs)?;
        let mut findings = std::mem::take(&mut self.findings);
        findings.extend(source.findings);
        let finished = self.finished.lock().map(|mut finished| std::mem::take(&mut *finished)).unwrap_or_default();
        let duration = self.repository.clock().now().duration_since(self.started);
        Ok(BackupReport {
            snapshot: self.snapshot,
            streams: finished,
            bytes_read: bytes,
            bytes_new,
            bytes_stored: self.repository.store().counts().bytes_sent.saturating_sub(self.sent_before),
            chunks,
            chunks_new,
            duration_ms: u64::try_from(duration.as_millis()).unwrap_or_default(),
            source_ms: source.source_ms,
            findings,
        })
    }

    /// Law L1: a source that gave nothing, or less than half of last time, is a failure unless allowed.
    fn guard(&self, bytes: u64) -> Result<(), Error> {
        if bytes == 0 && !self.options.allow_empty {
            let why = "the source gave no data at all; --allow-empty accepts that".to_owned();
            return Err(Error::Refused { why });
        }
        let before = self.previous.as_ref().map_or(0, |label| label.bytes);
        if padme(bytes) < before / SHRINK_DIVISOR && !self.options.allow_shrink {
            let why = format!(
                "the source gave {bytes} bytes, under half of the {before} of the last snapshot; --allow-shrink accepts that"
            );
            return Err(Error::Refused { why });
        }
        Ok(())
    }

    fn put_reach(&self, reach: &Reach) -> Result<(Digest, u64), Error> {
        let object = self.repository.reach_object(self.snapshot, reach)?;
        let (digest, bytes) = (Digest::new(*blake3::hash(&object).as_bytes()), object.len() as u64);
        if object.len() <= REACH_KEPT_BYTES_MAX {
            // Only a cache: the next run of this host need not read it again.
            drop(self.repository.catalog()?.keep_object(&kept_reach(&self.job), &object));
        }
        self.repository.put_plain(&ObjectName::of(&Named::Reach(self.snapshot)), object)?;
        Ok((digest, bytes))
    }

    /// Rule 3: every pack the snapshot needs is in the store now, whatever a cache believes.
    fn resolve(&self, reach: &Reach) -> Result<(), Error> {
        let Some(pack) = self.repository.unresolved(&self.view, reach)?.first().copied() else { return Ok(()) };
        // A run that slept until it was voided: what it had stored was garbage by then, and was collected.
        self.refuse_voided(&self.repository.view()?)?;
        Err(Error::PackMissing { pack: pack.to_string(), frames: reach.slots(pack).count() as u64 })
    }

    fn refuse_voided(&self, tip: &View) -> Result<(), Error> {
        if tip.voided.contains(&self.snapshot) || tip.void_intents.contains(&self.snapshot) {
            return Err(Error::Overtaken { why: "the session was voided while the run was under way".to_owned() });
        }
        Ok(())
    }

    fn label(&self, streams: &[Stream], stored: u64) -> Label {
        let cuts = streams.iter().map(|stream| StreamCut {
            stream: self.secret.stream_tag(&stream.name),
            version: stream.cut.0,
            target_bytes: stream.cut.1,
            bytes: padme(stream.bytes),
        });
        let is_rows =
            |stream: &&Stream| matches!(stream.kind, StreamKind::Table | StreamKind::Opaque | StreamKind::Sql);
        Label {
            job: self.job.clone(),
            bytes: padme(streams.iter().map(|stream| stream.bytes).sum()),
            rows: streams.iter().filter(is_rows).map(|stream| stream.rows).sum(),
            streams: u32::try_from(streams.len()).unwrap_or(u32::MAX),
            cuts: cuts.collect(),
            tags: self.options.tags.clone(),
            stored,
        }
    }

    fn root(&self, source: &SourceFacts, streams: Vec<Stream>) -> Result<Root, Error> {
        Ok(Root {
            repository: self.repository.id(),
            snapshot: self.snapshot,
            job: self.job.clone(),
            taken: self.taken,
            source: source.kind.clone(),
            facts: source.facts.clone(),
            streams,
            structure_key: self.repository.structure()?.to_root(),
            stream_secret: self.secret.to_root(),
        })
    }

    /// Rule 4: PUT the key entry, then read the tip; if the policy moved, make the entry again. Only an anchored run commits.
    fn anchor(&mut self, key: &SnapshotKey) -> Result<Anchor, Error> {
        for _ in 0..ANCHOR_ATTEMPTS_MAX {
            let anchor = self.put_key_entry(key)?;
            let tip = self.repository.view()?;
            // What a claim has published that another may take over counts for nobody before that is decided.
            if tip.policy.claim.is_some_and(|claim| tip.ledger.is_in_doubt(claim)) {
                let why = "another admin is deciding whether the newest policy counts".to_owned();
                return Err(Error::Overtaken { why });
            }
            let same = tip.policy.number == anchor.policy && tip.policy_digest == self.view.policy_digest;
            self.view = tip;
            self.refuse_revoked()?;
            if same {
                return Ok(anchor);
            }
        }
        Err(Error::Overtaken { why: "the policy changed again and again while the run was committing".to_owned() })
    }

    fn put_key_entry(&mut self, key: &SnapshotKey) -> Result<Anchor, Error> {
        let (anchor, findings) =
            self.repository.put_key_entry(&self.keys.signer, self.snapshot, key, &self.view.policy)?;
        self.findings.extend(findings);
        Ok(anchor)
    }

    fn header(
        &self,
        key: &SnapshotKey,
        root: &[u8],
        segments: Vec<Digest>,
        reach: Digest,
        anchor: &Anchor,
        label: &Label,
    ) -> Result<Header, Error> {
        let home = self.keys.signer.home;
        let last = self.view.last_of(home);
        let sealed_label = self.repository.structure()?.seal(
            Structure::Label(self.snapshot),
            self.repository.id(),
            &codec::to_cbor(label),
        )?;
        Ok(Header {
            repository: self.repository.id(),
            snapshot: self.snapshot,
            home,
            seq: last.map_or(0, |(seq, _)| seq.saturating_add(1)),
            previous: last.map(|(_, digest)| digest),
            taken: self.taken,
            committed: Millis(self.repository.clock().now().as_millisecond()),
            session: self.session,
            base: self.base,
            seen: self.seen.clone(),
            policy: anchor.policy,
            generation: anchor.generation,
            token: anchor.token,
            key_entry: anchor.entry,
            key_commitment: key.commitment(self.repository.id(), self.snapshot),
            root: Digest::new(*blake3::hash(root).as_bytes()),
            reach,
            segments,
            label_salt: sealed_label.salt,
            label: sealed_label.ciphertext,
            derived_from: None,
            opened: self.opened.clone(),
            erasure: None,
        })
    }

    /// Rule 5: the commit point. Read back, then read what could have voided the session.
    fn put_snapshot(&mut self, header: &Header, root: Vec<u8>) -> Result<(), Error> {
        let signer = &self.keys.signer;
        let signed = signer.key.sign(Kind::Snapshot, self.repository.id(), signer.home, codec::to_cbor(header));
        let object = SnapshotObject { signed, root }.encode();
        let name = ObjectName::of(&Named::Snapshot(self.snapshot));
        // Once the request is out the snapshot may stand, whatever answer comes back: the session is not denied any more.
        self.stands = true;
        self.repository.put(&name, object.clone())?;
        // Only a cache: a run that has committed does not fail for it.
        if let Err(error) = self.repository.catalog().and_then(|catalog| catalog.keep_object(name.as_str(), &object)) {
            tracing::warn!(%error, "the snapshot is not cached");
        }
        let tip: View = self.repository.view()?;
        if tip.persons.covered.contains_key(&self.snapshot) || tip.persons.late.contains(&self.snapshot) {
            let why = "a person is being erased from this job, and this run began before that: its snapshot will not be kept; run it again";
            return Err(Error::Overtaken { why: why.to_owned() });
        }
        self.refuse_voided(&tip)?;
        self.view = tip;
        self.refuse_revoked()
    }

    /// Revoking writes its intent before it reads the heads it pins, and this reads after the snapshot is stored: what is acknowledged
    /// is pinned (rules 1 and 5).
    fn refuse_revoked(&self) -> Result<(), Error> {
        if self.view.may_sign(self.keys.signer.home) {
            Ok(())
        } else {
            Err(Error::Overtaken { why: "this host was revoked while the run was under way".to_owned() })
        }
    }

    /// The snapshot stands. Only now may the old index die and the session end; a failure here loses no data.
    fn after_commit(&mut self, packs: &[KnownPack]) -> Result<(), Error> {
        let next_base = self.next_base();
        let mut note = |what: String| {
            let advice = "the snapshot is committed; the next run cleans up";
            self.findings.push(Finding::new(Severity::Warning, what, "session", advice));
        };
        // The end says that the old index is gone: erasures count on it, so it is not written before.
        let home = self.repository.home();
        // Nobody can say when the next restore is, so nothing is kept for it that an erasure would have to wait for.
        let kept = (!self.job.is_safety()).then_some(next_base);
        let ended = home
            .destroy_indexes(&self.job, kept)
            .and_then(|()| put_end(self.repository, &self.keys.signer, self.snapshot, Outcome::Committed))
            .and_then(|()| home.forget_session(&self.job, self.snapshot));
        if let Err(error) = ended {
            note(error.to_string());
        }
        tracing::info!(snapshot = %self.snapshot, packs = packs.len(), "committed");
        Ok(())
    }
}

impl Repository {
    /// Stores the footers of new packs in index segments, which also enter the catalog; gives their digests and length.
    pub(crate) fn put_segments(&self, signer: &Signer, packs: &[KnownPack]) -> Result<(Vec<Digest>, u64), Error> {
        let structure = self.structure()?;
        let mut digests = Vec::new();
        let mut bytes = 0u64;
        let mut rest = packs;
        while !rest.is_empty() {
            let (some, later) = rest.split_at(packs_of_one_segment(rest));
            rest = later;
            let mut packs: Vec<SegmentPack> = some
                .iter()
                .map(|pack| SegmentPack {
                    name: pack.name,
                    bytes: pack.bytes,
                    footer: ByteVec::from(pack.footer.clone()),
                })
                .collect();
            packs.sort_by_key(|pack| pack.name);
            let sealed = structure.seal(Structure::Segment, self.id(), &codec::to_cbor(&Segment { packs }))?;
            let signed = signer.key.sign(Kind::Segment, self.id(), signer.home, codec::to_cbor(&sealed));
            let object = signed.encode(Kind::Segment);
            let digest = Digest::new(*blake3::hash(&object).as_bytes());
            bytes += object.len() as u64;
            self.put_plain(&ObjectName::of(&Named::Segment(digest)), object)?;
            self.catalog()?.add_packs(Some(&digest), some)?;
            digests.push(digest);
        }
        Ok((digests, bytes))
    }

    /// A reach map as it is stored.
    pub(crate) fn reach_object(&self, snapshot: SnapshotId, reach: &Reach) -> Result<Vec<u8>, Error> {
        let sealed = self.structure()?.seal(Structure::Reach(snapshot), self.id(), &reach.encode())?;
        Ok(salted_object(Kind::Reach, &sealed))
    }

    /// Wraps a snapshot's key to the recipients of a policy and seals it to that policy's generation.
    pub(crate) fn put_key_entry(
        &self,
        signer: &Signer,
        snapshot: SnapshotId,
        key: &SnapshotKey,
        policy: &Policy,
    ) -> Result<(Anchor, Vec<Finding>), Error> {
        let now = SystemTime::UNIX_EPOCH
            + Duration::from_millis(u64::try_from(self.clock().now().as_millisecond()).unwrap_or_default());
        let (recipients, findings) = usable(policy, now)?;
        let repository = self.id();
        let entry = key_entry::make_key_entry(key, repository, snapshot, policy.number, &recipients, now)?;
        let signed =
            signer.key.sign(Kind::KeyEntry, repository, signer.home, codec::to_cbor(&entry)).encode(Kind::KeyEntry);
        let digest = Digest::new(*blake3::hash(&signed).as_bytes());
        let public =
            SealPublic::from_bytes(&policy.seal_public).map_err(|error| Error::damaged("policy", error.to_string()))?;
        if public.hash8() != policy.generation.hash {
            return Err(Error::damaged("policy", "its seal key is not of the generation it names"));
        }
        let sealed = public.seal(&signed).map_err(|error| Error::Bug { why: error.to_string() })?;
        let envelope = KeyEnvelope { snapshot, generation: policy.generation, entry: digest, sealed };
        let signed = signer.key.sign(Kind::KeyEnvelope, repository, signer.home, codec::to_cbor(&envelope));
        let object = signed.encode(Kind::KeyEnvelope);
        let token = entropy::token()?;
        self.put(&ObjectName::of(&Named::KeyEntry(policy.generation, snapshot, token)), object)?;
        Ok((Anchor { policy: policy.number, generation: policy.generation, token, entry: digest }, findings))
    }
}

/// The recipients that can be wrapped to today; an expired certificate is a finding, none left is an error.
fn usable(policy: &Policy, now: SystemTime) -> Result<(Vec<Recipient>, Vec<Finding>), Error> {
    let mut usable = Vec::new();
    let mut findings = Vec::new();
    for entry in &policy.recipients {
        let recipient = Recipient::from_record(entry.kind, &entry.bytes)?;
        match recipient.check(now) {
            Ok(_) => usable.push(recipient),
            Err(error) => {
                let advice = "renew the certificate; until then only the other recipients can read new snapshots";
                findings.push(Finding::new(Severity::Warning, error.to_string(), &entry.label, advice));
            }
        }
    }
    if usable.is_empty() {
        return Err(Error::Refused { why: "no recipient of the policy can be encrypted to today".to_owned() });
    }
    Ok((usable, findings))
}

/// How many of the first packs go into one segment: at least one, and no more than a reader can hold several copies of.
fn packs_of_one_segment(packs: &[KnownPack]) -> usize {
    let mut footers = 0usize;
    let fits = packs.iter().take(SEGMENT_PACKS_MAX).take_while(|pack| {
        footers = footers.saturating_add(pack.footer.len());
        footers <= SEGMENT_FOOTERS_BYTES
    });
    fits.count().max(1).min(packs.len())
}

#[cfg(test)]
mod tests {
    use lacre_format::ids::{PackId, PackName};

    use super::*;

    fn pack(footer_bytes: usize) -> KnownPack {
        let (id, name) = (PackId::new([0; PackId::LEN]), PackName::new([0; PackName::LEN]));
        KnownPack { id, name, bytes: 0, footer: vec![0; footer_bytes] }
    }

    #[test]
    fn a_segment_takes_packs_until_their_footers_are_many_bytes() {
        let quarter = SEGMENT_FOOTERS_BYTES / 4;
        let packs: Vec<KnownPack> = (0..10).map(|_| pack(quarter)).collect();
        assert_eq!(packs_of_one_segment(&packs), 4);
        assert_eq!(packs_of_one_segment(&packs[..3]), 3);
        assert_eq!(packs_of_one_segment(&[pack(2 * SEGMENT_FOOTERS_BYTES), pack(1)]), 1, "one pack always fits");
        let small: Vec<KnownPack> = (0..SEGMENT_PACKS_MAX + 1).map(|_| pack(1)).collect();
        assert_eq!(packs_of_one_segment(&small), SEGMENT_PACKS_MAX);
    }
}
