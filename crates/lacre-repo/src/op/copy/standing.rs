//! Whose copy it is, and whether the repository may be what is missing something.
//!
//! In: a copy as it was listed before the repository was. Out: how it stands. What a copy holds beyond the repository counts only as far as
//! signatures reach: a file that somebody put there makes no copy ahead.

use lacre_format::{
    codec,
    header::{ChainHead, Header, SNAPSHOT_BYTES_MAX, SnapshotObject},
    ids::{Digest, HomeId},
    log::LOG_ENTRY_BYTES_MAX,
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, POLICY_BYTES_MAX},
    signed::Signed,
};

use super::{
    AheadOf, CopyPlace, CopyState, Lost, SyncOptions,
    carry::digest_of,
    source::{Source, Target},
};
use crate::{
    error::Error,
    monitor::things,
    monitor::{Finding, Severity},
    repository::Repository,
    store::StoreError,
};

/// How a copy stands before anything is sent.
pub(super) struct Judged {
    /// The state that keeps it from being written to, or how it begins.
    pub(super) state: CopyState,
    pub(super) findings: Vec<Finding>,
}

/// What an object that only the copy holds tells.
enum Beyond {
    /// A signed record that the repository lacks.
    Ahead(String),
    /// A policy beside the repository's own.
    Forked(String),
    /// It was written to the lost place before a copy of it was adopted.
    Leftover,
    /// Nothing: unsigned, deleted by a plan, or of no weight.
    Nothing,
}

impl Repository {
    /// Judges a copy.
    pub(super) fn judge_copy(
        &self,
        copy: &CopyPlace,
        target: &Target,
        source: &Source,
        options: SyncOptions,
    ) -> Result<Judged, Error> {
        let judged = |state, findings| Ok(Judged { state, findings });
        let finding = |what: String, advice: &str| vec![Finding::new(Severity::Warning, what, &copy.name, advice)];
        let own = self.manifest().encode();
        match &target.manifest {
            Some(found) if *found == own.as_bytes() => {}
            Some(_) => {
                let what = format!("another repository lies in {}", copy.store.place());
                return judged(CopyState::Foreign, finding(what, "it is left alone: give the copy a place of its own"));
            }
            None if source.beyond(target).next().is_some() || has_strangers(target) => {
                let what = format!("something that is no copy lies in {}", copy.store.place());
                return judged(CopyState::Foreign, finding(what, "it is left alone: give the copy an empty place"));
            }
            None if target.listing.objects.is_empty() && options.lost == Lost::Name => {
                return match self.home().copy_note(&copy.name)? {
                    Some(_) => {
                        let what = format!("a copy was in {} and nothing is there now", copy.store.place());
                        let advice = "mount its disk; or, if it is lost, begin anew: lacre copy sync --begin-anew NAME";
                        judged(CopyState::Missing, finding(what, advice))
                    }
                    None => judged(CopyState::Empty, Vec::new()),
                };
            }
            None => return judged(CopyState::Empty, Vec::new()),
        }
        self.judge_beyond(copy, target, source, options)
    }

    fn judge_beyond(
        &self,
        copy: &CopyPlace,
        target: &Target,
        source: &Source,
        options: SyncOptions,
    ) -> Result<Judged, Error> {
        let (mut findings, mut leftovers) = (Vec::new(), Vec::new());
        for (name, named, bytes) in source.beyond(target) {
            let beyond = match self.weigh_beyond(copy, source, &name, &named, bytes) {
                Ok(beyond) => beyond,
                Err(Error::Store(error)) if !error.is_not_found() && !is_its_own(&error) => return Err(error.into()),
                // Unsigned or damaged: it says nothing, and a check of the copy names it.
                Err(_) => Beyond::Nothing,
            };
            match beyond {
                Beyond::Nothing => {}
                Beyond::Leftover => leftovers.push(named),
                Beyond::Forked(what) => {
                    let advice =
                        "two places were the repository at the same time: nothing is written; decide which one counts";
                    findings.push(Finding::new(Severity::Warning, what, &copy.name, advice));
                    return Ok(Judged { state: CopyState::Forked, findings });
                }
                Beyond::Ahead(what) => {
                    let accepted = options.ahead == AheadOf::Accept;
                    let advice = if accepted {
                        "it stays where it is"
                    } else {
                        "the repository may have lost it: look before you go on with lacre copy sync --accept-ahead"
                    };
                    findings.push(Finding::new(Severity::Warning, what, &copy.name, advice));
                    if !accepted {
                        return Ok(Judged { state: CopyState::Ahead, findings });
                    }
                }
            }
        }
        let knows = source.view.policy.adopted.is_some_and(|adopted| target.has_policy_since(adopted.policy));
        findings.extend(name_leftovers(copy, &leftovers, if knows { Severity::Note } else { Severity::Warning }));
        Ok(Judged { state: CopyState::Behind, findings })
    }

    fn weigh_beyond(
        &self,
        copy: &CopyPlace,
        source: &Source,
        name: &ObjectName,
        named: &Named,
        bytes: u64,
    ) -> Result<Beyond, Error> {
        let view = &source.view;
        let adopted = view.policy.adopted;
        let ahead = |what: &str| {
            if adopted.is_some() { Beyond::Leftover } else { Beyond::Ahead(format!("it holds {what} ({name})")) }
        };
        match named {
            Named::Policy(number, digest) => {
                let signer = self.signed_policy(copy, source, name, *digest)?;
                let newest = view.policy.number;
                if *number > newest && view.home(signer).is_some_and(HomeEntry::is_revoked) {
                    return Ok(Beyond::Nothing);
                }
                let is_older = adopted.is_some_and(|adopted| *number < adopted.policy);
                Ok(match number.cmp(&newest) {
                    _ if is_older => Beyond::Leftover,
                    std::cmp::Ordering::Greater => Beyond::Ahead(format!(
                        "it holds policy {number}, the repository's newest is {newest}: the copy was adopted, or the repository was set back"
                    )),
                    _ => Beyond::Forked(format!("it holds another policy {number} than the repository")),
                })
            }
            Named::Log(home, seq, digest) => {
                let logged = ChainHead { home: *home, seq: *seq, digest: *digest };
                if view.home(*home).is_some_and(|entry| is_beyond(log_pins(entry), &logged)) {
                    return Ok(Beyond::Nothing);
                }
                let stored = copy.store.get(name, bytes.min(LOG_ENTRY_BYTES_MAX))?;
                let signed = Signed::decode(Kind::LogEntry, &stored).map_err(|error| Error::format(name, error))?;
                view.verify(Kind::LogEntry, name, &signed)?;
                let is_named = digest_of(&stored) == *digest;
                Ok(if is_named { ahead("a log entry that the repository lacks") } else { Beyond::Nothing })
            }
            Named::Snapshot(snapshot) => {
                if view.plans.reclaimed.contains_key(snapshot) || view.voided.contains(snapshot) {
                    return Ok(Beyond::Nothing);
                }
                let (header, digest) = self.header_in(copy, source, name, bytes)?;
                let head = ChainHead { home: header.home, seq: header.seq, digest };
                if view.home(header.home).is_some_and(|entry| is_beyond(snapshot_pins(entry), &head)) {
                    return Ok(Beyond::Nothing);
                }
                let is_left = adopted.is_some_and(|adopted| header.policy < adopted.policy);
                let what = format!("it holds snapshot {}, which the repository lacks", snapshot.short());
                Ok(if is_left { Beyond::Leftover } else { Beyond::Ahead(what) })
            }
            _ => Ok(Beyond::Nothing),
        }
    }

    fn signed_policy(
        &self,
        copy: &CopyPlace,
        source: &Source,
        name: &ObjectName,
        digest: Digest,
    ) -> Result<HomeId, Error> {
        let stored = copy.store.get(name, POLICY_BYTES_MAX)?;
        let signed = Signed::decode(Kind::Policy, &stored).map_err(|error| Error::format(name, error))?;
        source.view.verify(Kind::Policy, name, &signed)?;
        if digest_of(&stored) == digest {
            Ok(signed.home)
        } else {
            Err(Error::damaged(name, "it is not what its name says"))
        }
    }

    fn header_in(
        &self,
        copy: &CopyPlace,
        source: &Source,
        name: &ObjectName,
        bytes: u64,
    ) -> Result<(Header, Digest), Error> {
        let stored = copy.store.get(name, bytes.min(SNAPSHOT_BYTES_MAX))?;
        let object = SnapshotObject::decode(&stored).map_err(|error| Error::format(name, error))?;
        source.view.verify(Kind::Snapshot, name, &object.signed)?;
        let header = codec::from_cbor("snapshot header", &object.signed.payload);
        header.map(|header| (header, digest_of(&stored))).map_err(|error| Error::format(name, error))
    }
}

/// Where the chains of a revoked key end; nothing for a key that may still sign.
type Pins = Option<Vec<ChainHead>>;

fn log_pins(entry: &HomeEntry) -> Pins {
    let twins = entry.revoked.iter().flat_map(|pins| pins.twins.iter().copied());
    entry.is_revoked().then(|| entry.revoked_at.into_iter().chain(twins).collect())
}

fn snapshot_pins(entry: &HomeEntry) -> Pins {
    entry.is_revoked().then(|| entry.revoked.iter().flat_map(|pins| pins.snapshots.clone()).collect())
}

/// Whether an element of a chain lies beyond where a revocation pinned it: whoever holds the revoked key can put such a one into any copy,
/// and it counts nowhere.
fn is_beyond(pins: Pins, head: &ChainHead) -> bool {
    let reaches = |pin: &ChainHead| pin.seq > head.seq || (pin.seq == head.seq && pin.digest == head.digest);
    pins.is_some_and(|pins| !pins.iter().any(reaches))
}

/// Whether an object that could not be read is itself to blame, not the store.
fn is_its_own(error: &StoreError) -> bool {
    matches!(error, StoreError::TooLarge { .. } | StoreError::Foreign { .. } | StoreError::OutOfRange { .. })
}

fn has_strangers(target: &Target) -> bool {
    // What a probe of the place left behind is ours.
    let unknown = |name: &str| ObjectName::parse(name).is_none() && !name.starts_with("probe/");
    !target.listing.foreign.is_empty() || target.listing.objects.iter().any(|object| unknown(&object.name))
}

/// What the place held before another copy of it became the repository: nobody else has it. It is graver the first time.
fn name_leftovers(copy: &CopyPlace, leftovers: &[Named], severity: Severity) -> Option<Finding> {
    let snapshots: Vec<String> = leftovers
        .iter()
        .filter_map(|named| match named {
            Named::Snapshot(snapshot) => Some(snapshot.short()),
            _ => None,
        })
        .collect();
    let (severity, what) = match (snapshots.len(), leftovers.len()) {
        (0, 0) => return None,
        (0, records) => {
            let of = [
                "record of the time before the repository was adopted lies",
                "records of the time before the repository was adopted lie",
            ];
            (Severity::Note, format!("{} only here", things(records, of)))
        }
        (count, _) => (
            severity,
            format!(
                "{} of the time before the repository was adopted, only here: {}",
                things(count, ["snapshot", "snapshots"]),
                snapshots.join(", ")
            ),
        ),
    };
    let advice =
        "restore what you need of them with --repo and this copy's URL; the next change of the seal leaves them behind";
    Some(Finding::new(severity, what, &copy.name, advice))
}
