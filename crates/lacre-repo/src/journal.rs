//! The logs of all homes, believed entry by entry as far as signature, role and pins reach, and what they say when applied in order.
//!
//! In: objects below `log/`. Out: what is forgotten, held, verified, claimed and erased, in the view; everything else is a finding.
//! Which role an event needs stands in one table, `lacre_format::authority`; what a delegated forget may name is judged by
//! `delegation`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use lacre_format::{
    authority::Authority,
    codec,
    header::ChainHead,
    ids::{Digest, HomeId, Millis, PlanId, SnapshotId},
    log::{Event, LOG_ENTRY_BYTES_MAX, LogEntry},
    name::{Named, ObjectName},
    object::Kind,
    policy::Role,
    signed::Signed,
};

use crate::{
    delegation::{Delegation, Wish},
    error::Error,
    lineage::{Link, reached},
    monitor::things,
    monitor::{Finding, Severity},
    store::Listing,
    view::{Source, View, bounded, digest, fetch_listed, finding_of, foreign_name, of_the_object},
};

/// One log entry that is believed.
pub(crate) struct Believed {
    pub(crate) home: HomeId,
    pub(crate) role: Role,
    pub(crate) seq: u32,
    pub(crate) digest: Digest,
    /// When it was signed, by its signer's clock.
    pub(crate) at: Millis,
    /// When the store took it, by the store's clock.
    pub(crate) written: Timestamp,
    pub(crate) event: Event,
}

/// An entry whose signature holds, before the pins of revoked keys are asked.
struct Read {
    name: ObjectName,
    previous: Option<Digest>,
    believed: Believed,
}

/// The bytes of an entry, which are what its name says; or what is there instead.
fn fetch_entry(source: &Source<'_>, name: &ObjectName, listed: u64, head: ChainHead) -> Result<Vec<u8>, Error> {
    let bytes = fetch_listed(source.store, source.catalog, name, listed, LOG_ENTRY_BYTES_MAX)?;
    if digest(&bytes) == head.digest {
        Ok(bytes)
    } else {
        Err(Error::damaged(name, "its bytes do not hash to its name"))
    }
}

/// Entries of one home with one number.
#[derive(Default)]
pub(crate) struct Twins {
    found: Vec<(String, Vec<ChainHead>)>,
    /// Those that their home says landed late.
    late: BTreeSet<Digest>,
    /// Those of which this host knows it and has not said so yet.
    pub(crate) own: Vec<ChainHead>,
}

impl Believed {
    fn place(&self) -> ChainHead {
        ChainHead { home: self.home, seq: self.seq, digest: self.digest }
    }
}

impl View {
    pub(crate) fn read_logs(&mut self, source: &Source<'_>, listing: &Listing) -> Result<Vec<Believed>, Error> {
        let (mut entries, mut unread) = (Vec::new(), Vec::new());
        for object in bounded(listing.below("log").collect())? {
            let Some((name, Named::Log(home, seq, name_digest))) = ObjectName::parse(&object.name) else {
                self.findings.push(foreign_name(&object.name));
                continue;
            };
            let head = ChainHead { home, seq, digest: name_digest };
            let fetched = source.judged(&name, || fetch_entry(source, &name, object.bytes, head));
            let is_whole = fetched.is_ok();
            match fetched.and_then(|bytes| self.read_entry(&name, &bytes, head)) {
                Ok((entry, role, event)) => entries.push(Read {
                    previous: entry.previous,
                    believed: Believed {
                        home,
                        role,
                        seq,
                        digest: name_digest,
                        at: entry.at,
                        written: object.modified,
                        event,
                    },
                    name,
                }),
                Err(error) if of_the_object(&error) => {
                    // It is what its name says, so it never was an entry: nothing is lost with it.
                    if is_whole {
                        self.never_entries.insert(name.to_string());
                    } else {
                        unread.push((home, seq, name.to_string()));
                    }
                    let advice = "the entry is ignored; if you did not expect it, somebody else can write to the store";
                    self.findings.push(finding_of(&error, name, advice));
                }
                Err(error) => return Err(error),
            }
        }
        let beyond = self.beyond_pins(&entries);
        let mut believed = Vec::with_capacity(entries.len());
        let mut previous: Vec<ChainHead> = Vec::new();
        for read in entries {
            if beyond.contains(&read.believed.digest) {
                let what = "its signer's key is revoked, and it is none of the entries that were pinned then";
                let advice = "it is ignored; if you did not expect it, somebody else holds that key";
                self.findings.push(Finding::new(Severity::Warning, what, read.name, advice));
                continue;
            }
            let head = read.believed.place();
            self.chain(&read.name, &previous, head, read.previous);
            previous.retain(|known| (known.home, known.seq) == (head.home, head.seq));
            previous.push(head);
            believed.push(read.believed);
        }
        // Beside an entry with the same number it is one that somebody put there.
        let numbers: BTreeSet<(HomeId, u32)> = believed.iter().map(|entry| (entry.home, entry.seq)).collect();
        let beside = unread.into_iter().filter(|(home, seq, _)| numbers.contains(&(*home, *seq)));
        self.never_entries.extend(beside.map(|(.., name)| name));
        Ok(believed)
    }

    /// The entries of revoked keys that their pins do not reach.
    fn beyond_pins(&self, entries: &[Read]) -> BTreeSet<Digest> {
        let mut beyond = BTreeSet::new();
        for home in self.policy.homes.iter().filter(|entry| entry.is_revoked()) {
            let of_home = entries.iter().filter(|read| read.believed.home == home.home);
            let links: Vec<Link> = of_home
                .map(|read| Link { seq: read.believed.seq, digest: read.believed.digest, previous: read.previous })
                .collect();
            let twins = home.revoked.iter().flat_map(|pins| pins.twins.iter().copied());
            let pins: Vec<ChainHead> = home.revoked_at.into_iter().chain(twins).collect();
            let counts = reached(&links, &pins);
            beyond.extend(links.iter().map(|link| link.digest).filter(|digest| !counts.contains(digest)));
        }
        beyond
    }

    fn read_entry(&self, name: &ObjectName, bytes: &[u8], head: ChainHead) -> Result<(LogEntry, Role, Event), Error> {
        let signed = Signed::decode(Kind::LogEntry, bytes).map_err(|error| Error::format(name, error))?;
        let role = self.verify(Kind::LogEntry, name, &signed)?.role;
        let entry: LogEntry =
            codec::from_cbor("log entry", &signed.payload).map_err(|error| Error::format(name, error))?;
        let is_its_own = signed.home == head.home && entry.home == head.home && entry.seq == head.seq;
        if !is_its_own || entry.repository != self.repository {
            return Err(Error::damaged(name, "it is another entry's object"));
        }
        let event = entry.event().map_err(|error| Error::format(name, error))?;
        Ok((entry, role, event))
    }

    /// Follows one home's chain; entries come sorted by home and number. Of two with one number, the next follows either.
    fn chain(&mut self, name: &ObjectName, twins: &[ChainHead], head: ChainHead, previous: Option<Digest>) {
        let before = twins.first().filter(|before| before.home == head.home);
        let follows = match before {
            None => head.seq == 0 && previous.is_none(),
            Some(before) => before.seq + 1 == head.seq && twins.iter().any(|twin| previous == Some(twin.digest)),
        };
        let twin = before.is_some_and(|before| before.seq == head.seq);
        if twin {
            let twins = twins.iter().copied().chain([head]).collect();
            self.twins.found.push((name.to_string(), twins));
        } else if !follows {
            let advice = "an entry before it is missing: compare with a copy of the repository";
            self.findings.push(Finding::new(Severity::Damage, "the log has a gap before this entry", name, advice));
        }
        self.heads.retain(|known| known.home != head.home);
        self.heads.push(head);
    }

    /// Two entries with one number are two machines with one key, unless one of them is a request that was answered to nobody and landed
    /// after its process had ended: its home says so in its log, and this host knows what it sent itself.
    pub(crate) fn settle_twins(&mut self, sent: &[ChainHead]) {
        for (name, twins) in std::mem::take(&mut self.twins.found) {
            if twins.iter().any(|head| self.twins.late.contains(&head.digest)) {
                continue;
            }
            if let Some(own) = twins.iter().find(|head| sent.contains(head)) {
                self.twins.own.push(*own);
                continue;
            }
            let number = twins.first().map_or(0, |head| head.seq);
            let what = format!("two entries have number {number}: one signing key is used on two machines");
            let advice = "both entries count; enrol each machine with a key of its own";
            self.findings.push(Finding::new(Severity::Warning, what, name, advice));
        }
    }

    /// Applies what the logs say, in the order of its time, but for what homes without the admin key wish to forget: that comes back,
    /// to be judged when all else is known.
    pub(crate) fn apply(&mut self, mut entries: Vec<Believed>) -> Vec<Wish> {
        // One home's entries keep their order whatever its clock did: no time lies before the one signed earlier.
        let mut floors: BTreeMap<HomeId, Millis> = BTreeMap::new();
        for entry in &mut entries {
            let floor = floors.entry(entry.home).or_insert(entry.at);
            entry.at = entry.at.max(*floor);
            *floor = entry.at;
        }
        entries.sort_by_key(|entry| (entry.at, entry.home, entry.seq));
        let mut wishes = Vec::new();
        for entry in entries {
            if Authority::of_event(&entry.event).admits(entry.role) {
                self.apply_one(entry, &mut wishes);
            } else {
                self.refuse(entry.home, entry.seq, "an event that its signer's role does not allow");
            }
        }
        // A hold outranks a forget, whichever came first.
        self.forgotten.retain(|snapshot| !self.held.contains_key(snapshot));
        self.erased = self.ledger.to_erase();
        self.erased.retain(|snapshot| !self.held.contains_key(snapshot));
        self.erased.extend(self.ledger.dropped().into_iter().filter(|snapshot| !self.held.contains_key(snapshot)));
        wishes
    }

    fn apply_one(&mut self, entry: Believed, wishes: &mut Vec<Wish>) {
        let place = entry.place();
        match entry.event {
            Event::Forget(named) if entry.role == Role::Admin => self.forgotten.extend(named.snapshots),
            Event::Forget(ref named) => {
                let snapshots: BTreeSet<SnapshotId> = named.snapshots.iter().copied().collect();
                let held = snapshots.iter().filter(|snapshot| self.held.contains_key(snapshot)).copied().collect();
                let Believed { home, role, seq, at, written, .. } = entry;
                wishes.push(Wish { home, role, seq, at, written, snapshots, held });
            }
            Event::Unforget(named) => {
                self.forgotten.retain(|snapshot| !named.snapshots.contains(snapshot));
                for wish in wishes {
                    wish.snapshots.retain(|snapshot| !named.snapshots.contains(snapshot));
                }
            }
            Event::Hold(named) => {
                self.held.extend(named.snapshots.iter().map(|snapshot| (*snapshot, named.reason.clone())));
            }
            Event::Release(named) => self.held.retain(|snapshot, _| !named.snapshots.contains(snapshot)),
            Event::Check(record) => {
                let proved = record.snapshots.iter().filter(|_| record.level >= 4);
                let by_another = proved.filter(|snapshot| self.is_by_another(**snapshot, entry.home));
                self.verified.extend(by_another.copied().collect::<Vec<_>>());
                self.checks.push((entry.at, record));
            }
            Event::Drill(record) => {
                // One that passed is a check of level 6, under the same terms.
                let passed = self.ledger.drill(entry.at, record).filter(|_| Authority::Maintenance.admits(entry.role));
                let known = passed.and_then(|snapshot| self.snapshots.get(&snapshot));
                let by_another = known.filter(|known| known.header.home != entry.home);
                self.verified.extend(by_another.map(|known| known.header.snapshot));
            }
            Event::Kit(record) => {
                let sheets = if record.identity.is_some() { &mut self.identity_sheets } else { &mut self.kits };
                sheets.insert(record.number, (entry.at, record));
            }
            Event::Loss(record) => self.lost.take(entry.at, record),
            Event::Late(late) if late.entry.home == entry.home => drop(self.twins.late.insert(late.entry.digest)),
            Event::Revoking(record) => drop(self.revoking.insert(record.home)),
            Event::Restore(record) => self.ledger.restore(entry.home, &record),
            Event::Prune(record) => {
                self.ledger.pruned_at = Some(entry.at);
                self.ledger.pruned.insert(record.plan, record);
            }
            Event::Run(record) => self.ledger.runs.push((entry.home, record)),
            event => drop(self.ledger.apply(place, entry.at, &event)),
        }
    }

    /// Forgets what homes without the admin key wish, within the rules of the policy: what the rules keep stays.
    ///
    /// A wish is dated by who signs it, so its place among the others decides nothing: it is judged by every check, hold and erasure that
    /// stands, those that came later too. Otherwise a wish dated just before a check would take what that check verified.
    pub(crate) fn grant(&mut self, wishes: &[Wish], source: &Source<'_>) {
        let mut delegation = Delegation::new(source.structure);
        for wish in wishes {
            let is_new =
                |snapshot: &SnapshotId| self.snapshots.contains_key(snapshot) && !self.forgotten.contains(snapshot);
            let wanted: BTreeSet<SnapshotId> = wish.snapshots.iter().copied().filter(is_new).collect();
            if wanted.is_empty() {
                continue;
            }
            match delegation.allowed(self, wish, &wanted) {
                Ok(allowed) => {
                    let kept = wanted.difference(&allowed).count();
                    self.forgotten.extend(allowed);
                    if kept > 0 {
                        let what = format!(
                            "it forgets {}: the policy's rules keep them",
                            things(kept, ["snapshot", "snapshots"])
                        );
                        self.refuse(wish.home, wish.seq, &what);
                    }
                }
                Err(why) => self.refuse(wish.home, wish.seq, why),
            }
        }
    }

    fn refuse(&mut self, home: HomeId, seq: u32, what: &str) {
        let object = format!("log/{home}/{seq:08}");
        self.findings.push(Finding::new(Severity::Warning, what, object, "it is ignored; ask who holds that key"));
    }
}

/// The garbage collections whose end a home that may say so has signed.
pub(crate) fn pruned(entries: &[Believed]) -> BTreeSet<PlanId> {
    let ended = |entry: &Believed| match &entry.event {
        Event::Prune(record) if Authority::of_event(&entry.event).admits(entry.role) => Some(record.plan),
        _ => None,
    };
    entries.iter().filter_map(ended).collect()
}
