//! The survey: what is needed, and what every pack holds of it.
//!
//! In: the store as it is now. Out: the mark, which is the union of the reach maps of all live snapshots and of the bases of open
//! sessions, and a count for every pack. A reach map that is missing or bad stops it: what is not known to be garbage is not garbage.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use lacre_format::{
    gc::Reclaimed,
    ids::{Digest, PackId, PackName, SnapshotId},
    name::{Named, ObjectName},
    pack::{Birth, Footer},
    reach::Reach,
    segment::SEGMENT_BYTES_MAX,
};

use crate::{
    catalog::KnownPack,
    error::Error,
    limits::{KEEPERS_NAMED_MAX, SURVEY_ATTEMPTS_MAX, YOUTH_MARGIN},
    locate::packs_listed,
    monitor::{Finding, Severity},
    op::{
        prune::Losses,
        sessions::{Sessions, Standing},
    },
    repository::Repository,
    store::Listing,
    view::{Known, View},
};

/// Why a pack's frames are needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Keeper {
    /// A live snapshot uses them.
    Snapshot(SnapshotId),
    /// A held snapshot uses them.
    Held(SnapshotId),
    /// A session that is open may reuse the frames of this snapshot.
    Base(SnapshotId),
}

/// Who needs a pack: some by name, and how many in all.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Keepers {
    /// The first few.
    pub named: Vec<Keeper>,
    /// All of them.
    pub count: u64,
}

/// What a pack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PackUse {
    /// The object's length in bytes.
    pub bytes: u64,
    /// Frames in it.
    pub frames: u32,
    /// Frames that are needed and lie nowhere before it.
    pub live: u32,
    /// Their sealed bytes.
    pub live_bytes: u64,
    /// Frames that are needed and lie in another pack too.
    pub doubles: u32,
    /// Sealed bytes of everything that is not `live`.
    pub dead_bytes: u64,
    /// Why the pack must not be touched, although it holds dead frames.
    pub untouchable: Option<Untouchable>,
}

/// Why a pack is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Untouchable {
    /// It was stored while a session was open that may still commit it.
    Young,
    /// Another pack claims the same birth name: which of them is right, only a reader can tell.
    Contested,
}

/// What the store holds and what of it is needed.
pub(crate) struct Survey {
    pub(crate) view: View,
    pub(crate) sessions: Sessions,
    pub(crate) marks: Reach,
    /// The part of it that no snapshot needs which is not incomplete on record: it may lie nowhere.
    given_up: Reach,
    /// Every pack that is listed and whose footer is known.
    pub(crate) packs: BTreeMap<PackName, PackUse>,
    pub(crate) keepers: BTreeMap<PackId, Keepers>,
    /// The birth names of which each pack holds needed frames, for the reasons; only packs that also hold dead ones.
    pub(crate) holds: BTreeMap<PackName, BTreeSet<PackId>>,
    /// Segments that are listed, with the packs they name.
    pub(crate) segments: BTreeMap<Digest, Vec<PackName>>,
    /// Snapshots of erasures that are not complete. Their frames go; they themselves say which jobs' writers are waited for.
    pub(crate) unsettled: BTreeSet<SnapshotId>,
    /// Birth names that more than one pack claims as its own.
    pub(crate) contested: BTreeSet<PackId>,
    pub(crate) findings: Vec<Finding>,
}

impl Survey {
    /// Bytes of all packs that are listed.
    pub(crate) fn total_bytes(&self) -> u64 {
        self.packs.values().map(|pack| pack.bytes).sum()
    }

    /// Bytes of frames that nothing needs, and of packs that go as they are.
    pub(crate) fn dead(&self) -> (u64, u64) {
        let dead = self.packs.values().map(|pack| pack.dead_bytes).sum();
        let wholly = self.packs.values();
        let wholly = wholly.filter(|pack| pack.live == 0 && pack.doubles == 0 && pack.untouchable.is_none());
        (dead, wholly.map(|pack| pack.bytes).sum())
    }

    /// Forgotten, void and erased snapshots whose frames no session may still want, and whose labels no erasure does.
    pub(crate) fn reclaimable(&self) -> Vec<Reclaimed> {
        let bases: BTreeSet<SnapshotId> = self.sessions.open().filter_map(|(_, session)| session.base).collect();
        let goes = |known: &&Known| {
            let snapshot = known.header.snapshot;
            !self.view.is_needed(snapshot) && !bases.contains(&snapshot) && !self.unsettled.contains(&snapshot)
        };
        let reclaimed = |known: &Known| Reclaimed {
            snapshot: known.header.snapshot,
            home: known.header.home,
            seq: known.header.seq,
            digest: known.digest,
            taken: known.header.taken,
            previous: known.header.previous,
        };
        self.view.snapshots.values().filter(goes).map(reclaimed).collect()
    }

    /// Who needs a pack.
    pub(crate) fn keepers_of(&self, name: PackName) -> Keepers {
        let mut all = Keepers::default();
        let mut named = BTreeSet::new();
        for keepers in self.holds.get(&name).into_iter().flatten().filter_map(|id| self.keepers.get(id)) {
            named.extend(keepers.named.iter().copied());
            all.count = all.count.max(keepers.count);
        }
        all.named = named.into_iter().take(KEEPERS_NAMED_MAX).collect();
        all
    }
}

impl Repository {
    /// Surveys the store. Packs are listed before sessions, and sessions before snapshots are read, so that a pack that is listed is
    /// marked, or belongs to a session that is seen open, or is garbage.
    pub(crate) fn survey(&self, losses: Losses) -> Result<Survey, Error> {
        let mut attempts = 0;
        loop {
            match self.survey_once(losses) {
                // Another collection may have moved frames since packs were listed.
                Err(Error::PackMissing { .. }) if attempts < SURVEY_ATTEMPTS_MAX => attempts += 1,
                other => return other,
            }
        }
    }

    fn survey_once(&self, losses: Losses) -> Result<Survey, Error> {
        let listing = self.store().list("packs")?;
        let names = self.session_names()?;
        let view = self.view()?;
        let mut findings = view.findings.clone();
        findings.extend(self.refresh(&view)?);
        let sessions = self.sessions(names, &view)?;
        findings.extend(sessions.findings.iter().cloned());
        self.nothing_lost(&view, &sessions, losses)?;
        let (marks, keepers) = self.mark(&view, &sessions)?;
        let unsettled = self.unsettled_erasures(&view);
        let given_up = self.given_up(&view, &sessions)?;
        let present = packs_listed(&listing.objects);
        let oldest = sessions.open().map(|(_, session)| session.written).min();
        let young: BTreeSet<PackName> = match oldest {
            Some(oldest) => {
                let horizon = oldest.checked_sub(SignedDuration::try_from(YOUTH_MARGIN).unwrap_or_default());
                let horizon = horizon.unwrap_or(Timestamp::MIN);
                let young: Vec<_> =
                    listing.objects.iter().filter(|object| object.modified >= horizon).cloned().collect();
                packs_listed(&young).into_keys().collect()
            }
            None => BTreeSet::new(),
        };
        let mut survey = Survey {
            view,
            sessions,
            marks,
            given_up,
            packs: BTreeMap::new(),
            keepers,
            holds: BTreeMap::new(),
            segments: self.segments_listed(&listing)?,
            unsettled,
            contested: BTreeSet::new(),
            findings,
        };
        self.count(&mut survey, &present, &young)?;
        Ok(survey)
    }

    fn segments_listed(&self, packs: &Listing) -> Result<BTreeMap<Digest, Vec<PackName>>, Error> {
        let mut segments = BTreeMap::new();
        let is_superseded = self.all_in_segments(packs)?;
        for object in self.store().list("index")?.objects {
            let Some((name, Named::Segment(digest))) = ObjectName::parse(&object.name) else { continue };
            if self.catalog()?.has_segment(&digest)? {
                segments.insert(digest, self.catalog()?.segment_packs(&digest)?);
                continue;
            }
            // One that could not be read is left where it is, unless it is damaged for sure and nothing needs it.
            let stored = self.store().get(&name, SEGMENT_BYTES_MAX);
            if is_superseded && stored.is_ok_and(|stored| blake3::hash(&stored) != *digest.as_bytes()) {
                segments.insert(digest, Vec::new());
            }
        }
        Ok(segments)
    }

    /// Snapshots that must be there and are not, or cannot be read: what they need is not known, so nothing is known to be garbage. Nor is
    /// anything while records of an admin are lost: what was forgotten may be held.
    fn nothing_lost(&self, view: &View, sessions: &Sessions, losses: Losses) -> Result<(), Error> {
        if losses == Losses::Accept {
            return Ok(());
        }
        view.refuse_lost_records()?;
        let on_record = |snapshot: &SnapshotId| view.lost.snapshots.contains_key(snapshot);
        if let Some(snapshot) = sessions.with(Standing::Lost).find(|snapshot| !on_record(snapshot)) {
            let why = "its session committed it, and it is not in the repository: bring it back from a copy, or say that it is lost with --accept-loss";
            return Err(Error::damaged(ObjectName::of(&Named::Snapshot(snapshot)), why));
        }
        // What lies under the name of an open session's snapshot may be a snapshot that was damaged, if it can be one at all.
        let may_be_one =
            |snapshot: &SnapshotId| sessions.unfinished.contains_key(snapshot) && !view.strange.contains(snapshot);
        let is_snapshot = |finding: &&Finding| {
            finding.severity == Severity::Damage
                && match ObjectName::parse(&finding.object) {
                    Some((_, Named::Snapshot(snapshot))) => may_be_one(&snapshot),
                    _ => finding.object.starts_with("writer "),
                }
        };
        match view.findings.iter().find(is_snapshot) {
            Some(finding) => {
                let why =
                    format!("{}: bring it back from a copy, or say that it is lost with --accept-loss", finding.what);
                Err(Error::damaged(&finding.object, why))
            }
            None => Ok(()),
        }
    }

    /// What only snapshots need that are on record as incomplete.
    fn given_up(&self, view: &View, sessions: &Sessions) -> Result<Reach, Error> {
        let is_whole = |snapshot: &SnapshotId| !view.lost.snapshots.contains_key(snapshot);
        let live = |snapshot: &&SnapshotId| view.is_live(**snapshot);
        let mut given_up = Reach::default();
        let lost: Vec<&SnapshotId> =
            view.snapshots.keys().filter(live).filter(|snapshot| !is_whole(snapshot)).collect();
        if lost.is_empty() {
            return Ok(given_up);
        }
        let bases = sessions.open().filter_map(|(_, open)| open.base);
        let whole: BTreeSet<SnapshotId> =
            view.snapshots.keys().filter(live).copied().chain(bases).filter(is_whole).collect();
        let mut strict = Reach::default();
        for known in whole.iter().filter_map(|snapshot| view.snapshots.get(snapshot)) {
            strict.merge(&self.reach(known)?);
        }
        for known in lost.into_iter().filter_map(|snapshot| view.snapshots.get(snapshot)) {
            let reach = self.reach(known)?;
            for pack in reach.packs() {
                let only_here =
                    reach.slots(pack).map(|slot| Birth { pack, slot }).filter(|birth| !strict.contains(*birth));
                only_here.for_each(|birth| given_up.insert(birth));
            }
        }
        Ok(given_up)
    }

    /// The union of what is needed.
    pub(crate) fn mark(&self, view: &View, sessions: &Sessions) -> Result<(Reach, BTreeMap<PackId, Keepers>), Error> {
        let mut needed: BTreeMap<SnapshotId, Keeper> = BTreeMap::new();
        for snapshot in view.snapshots.keys().filter(|snapshot| view.is_needed(**snapshot)) {
            let held = view.held.contains_key(snapshot);
            let keeper = if held { Keeper::Held(*snapshot) } else { Keeper::Snapshot(*snapshot) };
            needed.insert(*snapshot, keeper);
        }
        for (session, base) in sessions.open().filter_map(|(session, open)| open.base.map(|base| (session, base))) {
            if view.snapshots.contains_key(&base) {
                needed.entry(base).or_insert(Keeper::Base(base));
            } else if !view.plans.reclaimed.contains_key(&base) && !view.voided.contains(&base) {
                let why = format!("the open session {} builds on it, and it is not in the repository", session.short());
                return Err(Error::damaged(ObjectName::of(&Named::Snapshot(base)), why));
            }
        }
        let mut marks = Reach::default();
        let mut keepers: BTreeMap<PackId, Keepers> = BTreeMap::new();
        for (snapshot, keeper) in needed {
            let Some(known) = view.snapshots.get(&snapshot) else { continue };
            let reach = self.reach(known)?;
            for pack in reach.packs() {
                let keepers = keepers.entry(pack).or_default();
                keepers.count += 1;
                if keepers.named.len() < KEEPERS_NAMED_MAX {
                    keepers.named.push(keeper);
                }
            }
            marks.merge(&reach);
        }
        Ok((marks, keepers))
    }

    /// Counts what every pack holds of the mark.
    fn count(
        &self,
        survey: &mut Survey,
        present: &BTreeMap<PackName, u64>,
        young: &BTreeSet<PackName>,
    ) -> Result<(), Error> {
        let names = self.catalog()?.pack_names()?;
        let mut owners: BTreeMap<PackId, PackName> = BTreeMap::new();
        for (name, _) in names.iter().filter(|(name, _)| present.contains_key(name)) {
            let Some(known) = self.catalog()?.pack_by_name(*name)? else { continue };
            if owners.insert(known.id, known.name).is_some() {
                survey.contested.insert(known.id);
            }
        }
        for id in &survey.contested {
            let what = "two packs claim one birth name; both are kept as they are";
            let advice = "somebody else may hold a writer's key; frames are taken from the one that authenticates";
            survey.findings.push(Finding::new(Severity::Warning, what, id, advice));
        }
        let mut placed = Reach::default();
        for (name, _) in names {
            let Some(bytes) = present.get(&name) else { continue };
            let Some(known) = self.catalog()?.pack_by_name(name)? else { continue };
            if known.bytes != *bytes {
                // A finding of `check`; what has another length than was signed for is not touched.
                continue;
            }
            let mut counted = survey.count_pack(&known, &mut placed)?;
            if counted.live == 0 && counted.doubles == 0 && young.contains(&name) {
                counted.untouchable = Some(Untouchable::Young);
            }
            survey.packs.insert(name, counted);
        }
        survey.all_placed(&placed)
    }
}

impl Survey {
    fn count_pack(&mut self, known: &KnownPack, placed: &mut Reach) -> Result<PackUse, Error> {
        let footer = Footer::decode(&known.footer).map_err(|error| Error::format(known.name, error))?;
        let mut counted = PackUse { bytes: known.bytes, ..PackUse::default() };
        let is_output = self.view.plans.outputs.contains(&known.name);
        let contested = self.contested.contains(&known.id);
        let mut holds = BTreeSet::new();
        let mut claims = false;
        for (slot, frame) in (0u32..).zip(&footer.frames) {
            counted.frames += 1;
            claims |= frame.born.is_some() && !is_output;
            let birth = birth_of(&footer, slot, frame.born, Claims::from(is_output));
            let live = birth.filter(|birth| self.marks.contains(*birth));
            let Some(birth) = live else {
                counted.dead_bytes += u64::from(frame.bytes);
                continue;
            };
            holds.insert(birth.pack);
            if placed.contains(birth) && !contested {
                counted.doubles += 1;
                counted.dead_bytes += u64::from(frame.bytes);
            } else {
                placed.insert(birth);
                counted.live += 1;
                counted.live_bytes += u64::from(frame.bytes);
            }
        }
        if contested && counted.live > 0 {
            counted.untouchable = Some(Untouchable::Contested);
        }
        if claims {
            let what = "it claims frames that were born in other packs, and no plan names it";
            let advice = "the claim is ignored; somebody else may hold a writer's key";
            let object = ObjectName::of(&Named::Pack(known.name));
            self.findings.push(Finding::new(Severity::Warning, what, object, advice));
        }
        if counted.dead_bytes > 0 && !holds.is_empty() {
            self.holds.insert(known.name, holds);
        }
        Ok(counted)
    }

    /// Every frame that is needed lies somewhere.
    fn all_placed(&self, placed: &Reach) -> Result<(), Error> {
        for pack in self.marks.packs() {
            let lies = |birth: Birth| placed.contains(birth) || self.given_up.contains(birth);
            let missing = self.marks.slots(pack).filter(|slot| !lies(Birth { pack, slot: *slot })).count();
            if missing > 0 {
                return Err(Error::PackMissing { pack: pack.to_string(), frames: missing as u64 });
            }
        }
        Ok(())
    }
}

/// The name under which a frame of a pack may be needed. A claim to hold frames born elsewhere counts only in an output of a plan.
pub(crate) fn birth_of(footer: &Footer, slot: u32, born: Option<Birth>, claims: Claims) -> Option<Birth> {
    match (born, claims) {
        (None, _) => Some(Birth { pack: footer.pack, slot }),
        (Some(birth), Claims::Believed) => Some(birth),
        (Some(_), Claims::Ignored) => None,
    }
}

/// Whether a pack's claims to hold frames born elsewhere count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Claims {
    /// It is an output of a plan.
    Believed,
    /// It is not.
    Ignored,
}

impl From<bool> for Claims {
    /// Believed of outputs of plans only.
    fn from(is_output: bool) -> Self {
        if is_output { Self::Believed } else { Self::Ignored }
    }
}
