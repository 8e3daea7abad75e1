//! Chains: whether the snapshots and logs of a home follow each other without a gap, and what of a revoked key still counts.
//!
//! In: what was read of every home. Out: findings for what is missing or does not follow, and of a revoked key exactly what the
//! policy's pins reach. Other homes' snapshots are never touched by what a key without standing signed. A record of an admin that is
//! missing is no reason to destroy anything: it may have been a hold, or the intent that made a snapshot count.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    header::ChainHead,
    ids::{Digest, HomeId, SnapshotId},
    name::{Named, ObjectName},
    policy::Role,
};

use crate::{
    error::Error,
    monitor::{Finding, Severity},
    view::View,
};

/// One element of a chain: its number, its hash, and the hash of the one before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Link {
    pub(crate) seq: u32,
    pub(crate) digest: Digest,
    pub(crate) previous: Option<Digest>,
}

/// The elements that pinned heads reach by going back.
pub(crate) fn reached(links: &[Link], heads: &[ChainHead]) -> BTreeSet<Digest> {
    let mut sorted: Vec<&Link> = links.iter().collect();
    sorted.sort_by_key(|link| std::cmp::Reverse(link.seq));
    let mut expected: BTreeSet<(u32, Digest)> = heads.iter().map(|head| (head.seq, head.digest)).collect();
    let mut reached = BTreeSet::new();
    for link in sorted {
        if expected.contains(&(link.seq, link.digest)) {
            reached.insert(link.digest);
            expected.extend(link.seq.checked_sub(1).zip(link.previous));
        }
    }
    reached
}

/// The elements that no other follows: pinning them pins the rest.
pub(crate) fn heads(home: HomeId, links: &[Link]) -> Vec<ChainHead> {
    let followed: BTreeSet<Digest> = links.iter().filter_map(|link| link.previous).collect();
    let last = links.iter().filter(|link| !followed.contains(&link.digest));
    let heads: BTreeSet<ChainHead> = last.map(|link| ChainHead { home, seq: link.seq, digest: link.digest }).collect();
    heads.into_iter().collect()
}

/// The home whose log, or an entry of it, a finding is about.
fn log_of(object: &str) -> Option<HomeId> {
    let home = object.strip_prefix("log/")?.split('/').next()?;
    HomeId::parse(home).ok()
}

impl View {
    /// A home's snapshots as a chain, those that were reclaimed among them.
    pub(crate) fn snapshot_links(&self, home: HomeId) -> Vec<Link> {
        let there = self.snapshots.values().filter(|known| known.header.home == home).map(|known| Link {
            seq: known.header.seq,
            digest: known.digest,
            previous: known.header.previous,
        });
        let gone = self.plans.reclaimed.values().filter(|gone| gone.home == home).map(|gone| Link {
            seq: gone.seq,
            digest: gone.digest,
            previous: gone.previous,
        });
        there.chain(gone).collect()
    }

    /// Takes out the snapshots of revoked keys that no pin reaches: they are reported and displace none.
    pub(crate) fn drop_beyond_pins(&mut self) {
        let revoked: Vec<(HomeId, Vec<ChainHead>)> = self
            .policy
            .homes
            .iter()
            .filter(|entry| entry.is_revoked())
            .map(|entry| (entry.home, entry.revoked.iter().flat_map(|pins| pins.snapshots.clone()).collect()))
            .collect();
        for (home, pins) in revoked {
            let counts = reached(&self.snapshot_links(home), &pins);
            let of_home = self.snapshots.iter().filter(|(_, known)| known.header.home == home);
            let beyond: Vec<SnapshotId> =
                of_home.filter(|(_, known)| !counts.contains(&known.digest)).map(|(snapshot, _)| *snapshot).collect();
            for snapshot in beyond {
                self.snapshots.remove(&snapshot);
                let why = "its signer's key is revoked, and it is none of the snapshots that were pinned then";
                self.unbelieved.insert(snapshot, why.to_owned());
                let advice = "it is ignored; if you did not expect it, somebody else holds that key";
                self.findings.push(Finding::new(
                    Severity::Warning,
                    why,
                    ObjectName::of(&Named::Snapshot(snapshot)),
                    advice,
                ));
            }
        }
    }

    /// Snapshots and policies say which log entries had been read: a log that now ends before one of them was shortened.
    pub(crate) fn compare_with_seen(&mut self) {
        let mut newest: BTreeMap<HomeId, (u32, String)> = BTreeMap::new();
        for known in self.snapshots.values() {
            for head in &known.header.seen {
                let reader = format!("the writer of snapshot {}", known.header.snapshot.short());
                let seen = newest.entry(head.home).or_insert((head.seq, reader.clone()));
                if seen.0 < head.seq {
                    *seen = (head.seq, reader);
                }
            }
        }
        for head in &self.policy.heads {
            let reader = format!("the admin who signed policy {}", self.policy.number);
            let seen = newest.entry(head.home).or_insert((head.seq, reader.clone()));
            if seen.0 < head.seq {
                *seen = (head.seq, reader);
            }
        }
        // What a revoked key signed beyond its pins does not count, whoever had read it.
        newest.retain(|home, _| self.home(*home).is_none_or(|entry| !entry.is_revoked()));
        for (home, (seq, reader)) in newest {
            let ends = self.heads.iter().find(|head| head.home == home).map(|head| head.seq);
            if ends.is_none_or(|ends| ends < seq) {
                // Not who had read it: a loss on record is known by this text, and snapshots come and go.
                let what = format!("the log ends before entry {seq}, which somebody had read");
                let advice = format!(
                    "{reader} had read it, so somebody took its newest entries away, holds perhaps among them: compare with a copy of the repository"
                );
                self.findings.push(Finding::new(Severity::Damage, what, format!("log/{home}"), advice));
            }
        }
    }

    /// What says that records of an admin or of a maintenance home are lost: a gap in the log, an entry that does not read, an end before
    /// what somebody had read. A loss on record is none, and neither is what never was an entry: whoever can write to the store could stop
    /// every erasure with it.
    pub(crate) fn lost_record(&self) -> Option<&Finding> {
        let holds_back =
            |home: HomeId| self.home(home).is_some_and(|entry| matches!(entry.role, Role::Admin | Role::Maintenance));
        let is_lost = |finding: &&Finding| {
            finding.severity == Severity::Damage
                && log_of(&finding.object).is_some_and(holds_back)
                && !self.never_entries.contains(&finding.object)
        };
        self.findings.iter().find(is_lost)
    }

    /// Nothing is given up by what a log does not say: what is missing from it may have been a hold.
    ///
    /// # Errors
    /// [`Error::Damaged`] while records are lost.
    pub(crate) fn refuse_lost_records(&self) -> Result<(), Error> {
        match self.lost_record() {
            Some(finding) => {
                let why = format!(
                    "{}: bring its entries back from a copy, or put the loss on record with `lacre repo repair`; until then nothing is destroyed, because a hold may be among them",
                    finding.what
                );
                Err(Error::damaged(&finding.object, why))
            }
            None => Ok(()),
        }
    }

    /// Every writer counts its snapshots: a number that is missing is a snapshot that somebody took away.
    pub(crate) fn follow_writers(&mut self) {
        let mut numbers: BTreeMap<HomeId, Vec<u32>> = BTreeMap::new();
        for known in self.snapshots.values() {
            numbers.entry(known.header.home).or_default().push(known.header.seq);
        }
        // A signed record says that these were reclaimed; their numbers are not missing.
        for gone in self.plans.reclaimed.values() {
            numbers.entry(gone.home).or_default().push(gone.seq);
        }
        self.follow_chains();
        for (home, mut numbers) in numbers {
            numbers.sort_unstable();
            let mut expected = 0;
            for number in numbers {
                let object = format!("writer {}", home.short());
                if number > expected {
                    let what = format!("snapshot number {expected} of this writer is missing");
                    let advice = "it was taken out of the store: bring it back from a copy of the repository";
                    self.findings.push(Finding::new(Severity::Damage, what, object, advice));
                } else if number < expected {
                    let what = format!("two snapshots have number {number}: one signing key is used on two machines");
                    let advice = "both count; enrol each machine with a key of its own";
                    self.findings.push(Finding::new(Severity::Warning, what, object, advice));
                }
                expected = number.saturating_add(1);
            }
        }
    }

    /// Every writer signs the hash of its snapshot before: one that is there and is another was exchanged, or never was before it.
    fn follow_chains(&mut self) {
        let mut digests: BTreeMap<(HomeId, u32), Vec<Digest>> = BTreeMap::new();
        for known in self.snapshots.values() {
            digests.entry((known.header.home, known.header.seq)).or_default().push(known.digest);
        }
        for gone in self.plans.reclaimed.values() {
            digests.entry((gone.home, gone.seq)).or_default().push(gone.digest);
        }
        for known in self.snapshots.values() {
            let header = &known.header;
            let before = header.seq.checked_sub(1).map(|seq| digests.get(&(header.home, seq)));
            let follows = match (before, header.previous) {
                (None, None) | (Some(None), Some(_)) => true,
                (Some(Some(candidates)), Some(previous)) => candidates.contains(&previous),
                (None, Some(_)) | (Some(_), None) => false,
            };
            if !follows {
                let what = format!("it does not follow snapshot number {} of its writer", i64::from(header.seq) - 1);
                let advice = "the one before it was exchanged, or its writer's key was used elsewhere: compare with a copy of the repository";
                let name = ObjectName::of(&Named::Snapshot(header.snapshot));
                self.findings.push(Finding::new(Severity::Damage, what, name, advice));
            }
        }
    }
}
