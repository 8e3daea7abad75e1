//! Homes, on the admin's machine: enrolling one that asked, revoking one, and what it may forget by itself.

use std::cell::RefCell;

use lacre_format::{
    codec,
    header::ChainHead,
    ids::{Digest, HomeId, Millis, PublicKey},
    join::JoinGrant,
    keyring::{BUNDLE_BYTES_MAX, KEY_ENTRY_BYTES_MAX},
    log::{Event, LOG_ENTRY_BYTES_MAX, LogEntry, Revoking},
    name::{Named, ObjectName},
    object::Kind,
    policy::{HomeEntry, Retention, Revocation, Role},
    segment::SEGMENT_BYTES_MAX,
    session::SESSION_BYTES_MAX,
    signed::Signed,
};
use lacre_seal::{join::seal_structure, outer::SealPublic, structure::Structure};

use crate::{
    delegation::DelegatedRules,
    error::Error,
    lineage::{Link, heads},
    monitor::{Finding, Severity},
    op::join::{answer, checked_label, read_request},
    repository::Repository,
    view::{View, digest, fetch, is_strange, of_the_object},
};

/// A machine that was enrolled.
#[derive(Clone, Debug)]
pub struct Enrolled {
    /// Its id.
    pub home: HomeId,
    /// What it may sign.
    pub role: Role,
    /// How the policy calls it.
    pub label: String,
    /// The policy that says so.
    pub policy: u32,
    /// What goes back to the machine.
    pub token: String,
    /// Eight words that the machine sees too.
    pub fingerprint: String,
}

/// A machine whose key was revoked.
#[derive(Clone, Debug)]
pub struct Revoked {
    /// Its id.
    pub home: HomeId,
    /// How the policy calls it.
    pub label: String,
    /// The policy that says so.
    pub policy: u32,
    /// Snapshots of it that count.
    pub snapshots: usize,
    /// What lies in the store and is no object of anybody's.
    pub findings: Vec<Finding>,
}

/// A home of the policy and what is known of it.
#[derive(Clone, Debug)]
pub struct HomeRow {
    /// What the policy says.
    pub entry: HomeEntry,
    /// When its newest snapshot was taken.
    pub last_snapshot: Option<Millis>,
    /// Its snapshots that count.
    pub snapshots: usize,
    /// Whether an admin has begun to revoke it.
    pub revoking: bool,
}

impl Repository {
    /// Enrols the machine that made a request, and answers it. Asked again for the same machine, it answers again.
    ///
    /// # Errors
    /// [`Error::Usage`] for a request that is not whole; [`Error::Refused`] for a machine that was revoked or has another key or
    /// role already; [`Error::KeyMissing`] without the admin key.
    pub fn enrol(&self, request: &str, role: Role, label: Option<&str>, url: &str) -> Result<Enrolled, Error> {
        let admin = self.home().admin_key()?;
        let structure = self.structure()?;
        let asked = read_request(request)?.request;
        let mut label = checked_label(label.unwrap_or(&asked.label))?.to_owned();
        let (home, key) = (asked.home, asked.key);
        let sealed_to = SealPublic::from_bytes(&asked.sealed_to)
            .map_err(|error| Error::Usage { why: format!("the request's key cannot be used: {error}") })?;
        let view = self.view()?;
        let known = view.home(home).cloned();
        let (policy, policy_digest) = match known {
            Some(entry) => {
                refuse_other(&entry, &key, role)?;
                self.end_dead_turn(&admin, &view)?;
                label = entry.label;
                (view.policy.number, view.policy_digest)
            }
            None => {
                let entry = HomeEntry { home, key, role, label: label.clone(), revoked_at: None, revoked: None };
                let published = self.change_policy(&|view, policy| {
                    if view.policy.homes.iter().any(|known| known.key == key || known.home == home) {
                        return Err(Error::Refused { why: "that key is enrolled already".to_owned() });
                    }
                    policy.homes.push(entry.clone());
                    Ok(())
                })?;
                (published.number, published.digest)
            }
        };
        let sealed = seal_structure(&sealed_to, self.id(), home, &structure)
            .map_err(|error| Error::Bug { why: error.to_string() })?;
        let grant = JoinGrant {
            repository: self.id(),
            admin: view.admin,
            url: url.to_owned(),
            home,
            key,
            role,
            policy,
            policy_digest,
            sealed,
        };
        let (token, fingerprint) = answer(&admin, grant);
        Ok(Enrolled { home, role, label, policy, token, fingerprint })
    }

    /// Revokes a machine's key in two steps: the intent is written, then the heads of its chains are read and pinned. A run that
    /// commits in between either is pinned or sees the intent, so nothing that was acknowledged is lost.
    ///
    /// # Errors
    /// [`Error::Refused`] for this host's own admin key, the repository's first one, and an admin who was enrolled before this one;
    /// [`Error::Usage`] for an unknown home.
    pub fn revoke(&self, home: HomeId) -> Result<Revoked, Error> {
        let admin = self.home().admin_key()?;
        let view = self.view()?;
        let unknown = || Error::Usage { why: format!("no home of the policy has the id {home}") };
        let entry = view.home(home).ok_or_else(unknown)?.clone();
        if entry.home == admin.home || entry.key == view.admin {
            let why = "an admin does not revoke itself, and the repository's first admin key cannot be revoked";
            return Err(Error::Refused { why: why.to_owned() });
        }
        refuse_senior(&view, admin.home, &entry)?;
        let findings = RefCell::new(Vec::new());
        if !entry.is_revoked() {
            if !view.revoking.contains(&home) {
                self.append(&admin, &Event::Revoking(Revoking { home }))?;
            }
            self.change_policy(&|view, policy| {
                let (revoked_at, pins, strange) = self.pins(view, home)?;
                findings.replace(strange);
                let entry = policy.homes.iter_mut().find(|entry| entry.home == home).ok_or_else(unknown)?;
                (entry.revoked_at, entry.revoked) = (revoked_at, Some(pins));
                Ok(())
            })?;
        } else {
            self.end_dead_turn(&admin, &view)?;
        }
        let view = self.view()?;
        let snapshots = view.snapshots.values().filter(|known| known.header.home == home).count();
        let findings = findings.into_inner();
        Ok(Revoked { home, label: entry.label, policy: view.policy.number, snapshots, findings })
    }

    /// What of a home counts from now on: the head of its log, and everything else.
    fn pins(&self, view: &View, home: HomeId) -> Result<(Option<ChainHead>, Revocation, Vec<Finding>), Error> {
        let mut logged = heads(home, &self.log_links(view, home)?);
        let revoked_at = logged.pop();
        let (objects, findings) = self.single_objects(view, home)?;
        let pins = Revocation {
            at: Millis(self.clock().now().as_millisecond()),
            twins: logged,
            snapshots: heads(home, &view.snapshot_links(home)),
            objects,
        };
        Ok((revoked_at, pins, findings))
    }

    /// A home's log as a chain.
    fn log_links(&self, view: &View, home: HomeId) -> Result<Vec<Link>, Error> {
        let mut links = Vec::new();
        for object in self.store().list(&format!("log/{home}"))?.objects {
            let Some((name, Named::Log(_, seq, digest))) = ObjectName::parse(&object.name) else { continue };
            let bytes = match fetch(self.store(), &*self.catalog()?, &name, LOG_ENTRY_BYTES_MAX) {
                Ok(bytes) => bytes,
                Err(error) if of_the_object(&error) => continue,
                Err(error) => return Err(error),
            };
            let signed = Signed::decode(Kind::LogEntry, &bytes)
                .ok()
                .filter(|signed| signed.home == home && view.verify(Kind::LogEntry, &name, signed).is_ok());
            let entry = signed.and_then(|signed| codec::from_cbor::<LogEntry>("log entry", &signed.payload).ok());
            links.extend(entry.map(|entry| Link { seq, digest, previous: entry.previous }));
        }
        Ok(links)
    }

    /// BLAKE3 of what a home signed outside of its chains and that is believed today: voids, collections, lists and entries of the
    /// current seal, and index segments that no snapshot names.
    fn single_objects(&self, view: &View, home: HomeId) -> Result<(Vec<Digest>, Vec<Finding>), Error> {
        let (mut found, mut findings) = (Vec::new(), Vec::new());
        let generation = view.policy.generation;
        let (list, inbox) = (format!("keyring/{generation}"), format!("keyring/in/{generation}"));
        for object in self.store().list_many(&["void", "gc", "index", &list, &inbox])?.objects {
            let Some((name, named)) = ObjectName::parse(&object.name) else { continue };
            let (kind, bytes_max) = match named {
                Named::Void(_) | Named::VoidIntent(_) => (Kind::Void, SESSION_BYTES_MAX),
                Named::GcPlan(_) => (Kind::GcPlan, lacre_format::gc::GC_BYTES_MAX),
                Named::GcClaim(_) | Named::GcWaits(_) | Named::GcDecided(_) | Named::GcDone(_) => {
                    (Kind::GcStep, lacre_format::gc::GC_BYTES_MAX)
                }
                Named::Segment(digest) if !view.names_segment(&digest) => (Kind::Segment, SEGMENT_BYTES_MAX),
                Named::BundleList(_) => (Kind::BundleList, BUNDLE_BYTES_MAX),
                Named::KeyEntry(..) => (Kind::KeyEnvelope, KEY_ENTRY_BYTES_MAX),
                _ => continue,
            };
            let bytes = match self.store().get(&name, bytes_max).map_err(Error::from) {
                Ok(bytes) => bytes,
                Err(Error::Store(error)) if error.is_not_found() => continue,
                // Nobody signed it, and whoever can write to the store must not be able to keep a key from being revoked.
                Err(error) if is_strange(&error) => {
                    let advice = "it is not pinned and counts for nobody; somebody else can write to the store";
                    findings.push(Finding::new(Severity::Warning, error.to_string(), &name, advice));
                    continue;
                }
                Err(error) => return Err(error),
            };
            let Ok(signed) = Signed::decode(kind, &bytes) else { continue };
            if signed.home == home && view.verify(kind, &name, &signed).is_ok() {
                found.push(digest(&bytes));
            }
        }
        found.sort_unstable();
        Ok((found, findings))
    }

    /// All homes of the policy, with their newest snapshots.
    ///
    /// # Errors
    /// Errors of the store.
    pub fn homes(&self, view: &View) -> Vec<HomeRow> {
        let row = |entry: &HomeEntry| {
            let own = || view.snapshots.values().filter(|known| known.header.home == entry.home);
            HomeRow {
                entry: entry.clone(),
                last_snapshot: own().map(|known| known.header.taken).max(),
                snapshots: own().count(),
                revoking: view.revoking.contains(&entry.home) && !entry.is_revoked(),
            }
        };
        view.policy.homes.iter().map(row).collect()
    }

    /// Finds a home by the beginning of its id, or by its label.
    ///
    /// # Errors
    /// [`Error::Usage`] for none or several.
    pub fn find_home(&self, view: &View, name: &str) -> Result<HomeId, Error> {
        let fits = |entry: &&HomeEntry| !name.is_empty() && entry.home.to_string().starts_with(name);
        let mut found: Vec<HomeId> = view.policy.homes.iter().filter(fits).map(|entry| entry.home).collect();
        if found.is_empty() {
            let named = |entry: &&HomeEntry| entry.label == name && entry.role != Role::Admin;
            found = view.policy.homes.iter().filter(named).map(|entry| entry.home).collect();
        }
        match found.as_slice() {
            [only] => Ok(*only),
            [] => Err(Error::Usage { why: format!("no home is named {name:?}; `lacre key list` shows them") }),
            several => Err(Error::Usage {
                why: format!("{} homes are named {name:?}; write the beginning of one's id", several.len()),
            }),
        }
    }

    /// Publishes what writers' homes may forget by themselves, or takes it back.
    ///
    /// # Errors
    /// [`Error::KeyMissing`] without the admin key; [`Error::Overtaken`] while another admin changes seal or policy.
    pub fn delegate(&self, retention: Option<&Retention>) -> Result<u32, Error> {
        let sealed = match retention {
            Some(retention) => {
                let plaintext = codec::to_cbor(retention);
                Some(self.structure()?.seal(Structure::Retention, self.id(), &plaintext)?)
            }
            None => None,
        };
        let published = self.change_policy(&|_, policy| {
            policy.retention.clone_from(&sealed);
            Ok(())
        })?;
        Ok(published.number)
    }

    /// What writers' homes may forget by themselves; none where the policy leaves that to admins.
    ///
    /// # Errors
    /// [`Error::Damaged`] when the policy has rules that this host cannot open or understand.
    pub fn delegated(&self, view: &View) -> Result<Option<DelegatedRules>, Error> {
        if view.policy.retention.is_none() {
            return Ok(None);
        }
        let structure = self.structure()?;
        DelegatedRules::open(&view.policy, Some(&structure), self.id())
            .map(Some)
            .map_err(|why| Error::damaged("policy", why))
    }
}

/// Nobody revokes an admin who stands before them: no reader would believe the policy.
fn refuse_senior(view: &View, admin: HomeId, entry: &HomeEntry) -> Result<(), Error> {
    let homes = &view.policy.homes;
    let place = |home: HomeId| homes.iter().position(|entry| entry.home == home);
    let is_first = view.home(admin).is_some_and(|own| own.key == view.admin);
    if entry.role != Role::Admin || is_first || entry.is_revoked() || place(admin) < place(entry.home) {
        return Ok(());
    }
    let why = "an admin is revoked by one who was enrolled before them, or by the repository's first admin";
    Err(Error::Refused { why: why.to_owned() })
}

/// A machine that is enrolled already keeps its key and role; asking again only repeats the answer.
fn refuse_other(entry: &HomeEntry, key: &PublicKey, role: Role) -> Result<(), Error> {
    let why = if entry.is_revoked() {
        "that machine was revoked; make a new request on it (lacre key request)"
    } else if entry.key != *key {
        "a machine with that id is enrolled with another key"
    } else if entry.role != role {
        "that machine is enrolled with another role; make a new request on it (lacre key request)"
    } else {
        return Ok(());
    };
    Err(Error::Refused { why: why.to_owned() })
}
