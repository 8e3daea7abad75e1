//! Which policy counts: the newest of a line that begins with the repository's own admin key.
//!
//! In: objects below `policy/` of a store nobody trusts, and what this host has seen. Out: the tip. A policy is believed if the
//! repository's admin key signed it, or a home that the policy before it names as an admin. Whoever was revoked signs nothing that
//! counts beside or after the policy that says so; the key in `lacre.json` cannot be revoked, and nobody revokes an admin who
//! stands before them in the list. Where somebody stands the policy before says, and no policy but the root's moves, changes or leaves
//! out a home that was there.

use std::collections::{BTreeMap, BTreeSet};

use lacre_format::{
    codec,
    ids::{Digest, HomeId},
    manifest::Manifest,
    name::{Named, ObjectName},
    object::Kind,
    policy::{Adopted, HomeEntry, POLICY_BYTES_MAX, Policy, Role},
    signed::Signed,
};
use lacre_seal::sign;

use crate::{
    error::Error,
    home::Pin,
    monitor::{Finding, Severity},
    store::Listing,
    view::{Source, bounded, digest, fetch_listed, finding_of, foreign_name, of_the_object},
};

/// A policy object as it lies in the store, its hash checked and nothing else.
struct Found {
    name: ObjectName,
    digest: Digest,
    signed: Signed,
    policy: Policy,
    /// Whether the repository's own admin key signed it.
    by_root: bool,
}

/// A home that a believed policy revokes, and what it signed before: the ancestors of that policy.
type Banned = BTreeMap<HomeId, Vec<BTreeSet<Digest>>>;

/// The newest policy that counts, passing over those whose claims were found to be void.
pub(crate) fn newest(
    source: &Source<'_>,
    listing: &Listing,
    passed: &BTreeSet<Digest>,
    findings: &mut Vec<Finding>,
) -> Result<(Policy, Digest), Error> {
    let mut found = Vec::new();
    for object in bounded(listing.below("policy").collect())? {
        let Some((name, Named::Policy(number, name_digest))) = ObjectName::parse(&object.name) else {
            findings.push(foreign_name(&object.name));
            continue;
        };
        if passed.contains(&name_digest) {
            continue;
        }
        match source.judged(&name, || read(source, &name, object.bytes, (number, name_digest))) {
            Ok(policy) => found.push(policy),
            Err(error) if of_the_object(&error) => {
                let advice = "the policy is ignored; bring it back from a copy of the repository";
                findings.push(finding_of(&error, name, advice));
            }
            Err(error) => return Err(error),
        }
    }
    found.sort_by_key(|found| (found.policy.number, found.digest));
    let believed = believed(source.manifest, &found);
    for stranger in found.iter().filter(|found| !believed.contains(&found.digest)) {
        let what = "a policy that no admin of the policy before it signed, or one who was revoked";
        let advice = "it is ignored; ask who holds that key";
        findings.push(Finding::new(Severity::Warning, what, &stranger.name, advice));
    }
    let tip = found.into_iter().rfind(|found| believed.contains(&found.digest));
    let Some(Found { policy, digest, .. }) = tip else {
        return Err(Error::damaged("policy", "there is no valid policy in the repository"));
    };
    refuse_older(source.pin.filter(|pin| !passed.contains(&pin.digest)), &policy)?;
    Ok((policy, digest))
}

fn refuse_older(pin: Option<&Pin>, policy: &Policy) -> Result<(), Error> {
    match pin.filter(|pin| pin.policy > policy.number) {
        Some(pin) => {
            let why = format!("the newest is number {}, but this host has seen number {}", policy.number, pin.policy);
            Err(Error::damaged("policy", why))
        }
        None => Ok(()),
    }
}

/// The policy that bytes are, if they are the one that a name says. Who signed it is another question.
pub(crate) fn judge(
    manifest: &Manifest,
    name: &ObjectName,
    (number, name_digest): (u32, Digest),
    bytes: &[u8],
) -> Result<(Signed, Policy), Error> {
    if digest(bytes) != name_digest {
        return Err(Error::damaged(name, "its bytes do not hash to its name"));
    }
    let signed = Signed::decode(Kind::Policy, bytes).map_err(|error| Error::format(name, error))?;
    let policy: Policy = codec::from_cbor("policy", &signed.payload).map_err(|error| Error::format(name, error))?;
    if policy.number == number && policy.repository == manifest.repository {
        Ok((signed, policy))
    } else {
        Err(Error::damaged(name, "it is another policy's object"))
    }
}

/// Whether a policy is signed by the repository's own admin key, or by a home that one of these policies names as an admin. What of it
/// counts the whole line says.
pub(crate) fn is_an_admins(manifest: &Manifest, signed: &Signed, known: &[Policy]) -> bool {
    let by = |key| sign::verify(key, Kind::Policy, manifest.repository, signed).is_ok();
    let mut entries = known.iter().flat_map(|policy| &policy.homes);
    by(&manifest.admin) || entries.any(|entry| entry.role == Role::Admin && entry.home == signed.home && by(&entry.key))
}

fn read(
    source: &Source<'_>,
    name: &ObjectName,
    listed: u64,
    (number, name_digest): (u32, Digest),
) -> Result<Found, Error> {
    let bytes = fetch_listed(source.store, source.catalog, name, listed, POLICY_BYTES_MAX)?;
    let (signed, policy) = judge(source.manifest, name, (number, name_digest), &bytes)?;
    let by_root = sign::verify(&source.manifest.admin, Kind::Policy, source.manifest.repository, &signed).is_ok();
    Ok(Found { name: name.clone(), digest: name_digest, signed, policy, by_root })
}

/// The policies that count. Revocations are taken in until they change nothing more: an admin who was revoked may have revoked
/// others beside it.
fn believed(manifest: &Manifest, found: &[Found]) -> BTreeSet<Digest> {
    let mut banned = Banned::new();
    let mut line = followed(manifest, found, &banned);
    // Nobody revokes a senior, so each round settles at least one admin more.
    let rounds = found.iter().map(|found| found.policy.homes.len()).max().unwrap_or_default();
    for _ in 0..=rounds {
        let now = revoked_in(found, &line);
        if now == banned {
            break;
        }
        banned = now;
        line = followed(manifest, found, &banned);
    }
    line
}

/// Every policy that the root signed, or an admin of the believed policy before it; given in the order of their numbers.
fn followed(manifest: &Manifest, found: &[Found], banned: &Banned) -> BTreeSet<Digest> {
    let mut line: BTreeMap<Digest, &Policy> = BTreeMap::new();
    for candidate in found {
        let home = candidate.signed.home;
        let is_banned = banned.get(&home).into_iter().flatten().any(|before| !before.contains(&candidate.digest));
        if candidate.by_root || (!is_banned && is_admins(manifest, candidate, &line)) {
            line.insert(candidate.digest, &candidate.policy);
        }
    }
    line.into_keys().collect()
}

fn is_admins(manifest: &Manifest, candidate: &Found, line: &BTreeMap<Digest, &Policy>) -> bool {
    let Some(before) = candidate.policy.previous.and_then(|digest| line.get(&digest)) else { return false };
    let Some(place) = before.homes.iter().position(|entry| entry.home == candidate.signed.home) else { return false };
    let entry = &before.homes[place];
    entry.role == Role::Admin
        && !entry.is_revoked()
        && follows(before.number, &candidate.policy)
        && keeps_homes(before, place, &candidate.policy)
        && sign::verify(&entry.key, Kind::Policy, manifest.repository, &candidate.signed).is_ok()
}

/// Whether the homes of a policy are those of the one before in their order, and new ones after them. An admin's place is their rank: the
/// signer, who stands at `place`, revokes no admin at or before it, and takes nothing back that was revoked.
fn keeps_homes(before: &Policy, place: usize, policy: &Policy) -> bool {
    let keeps = |(at, (old, new)): (usize, (&HomeEntry, &HomeEntry))| {
        let is_the_same = (old.home, old.key, old.role) == (new.home, new.key, new.role);
        let may_revoke = old.role != Role::Admin || place < at;
        let is_as_revoked = if old.is_revoked() {
            (old.revoked_at, &old.revoked) == (new.revoked_at, &new.revoked)
        } else {
            !new.is_revoked() || may_revoke
        };
        is_the_same && is_as_revoked
    };
    policy.homes.len() >= before.homes.len() && before.homes.iter().zip(&policy.homes).enumerate().all(keeps)
}

/// The next number; or, where a copy became the repository, a higher one that says from which it comes.
fn follows(before: u32, policy: &Policy) -> bool {
    let adopts =
        |adopted: Adopted| adopted.policy == policy.number && adopted.from == before && adopted.policy > adopted.from;
    before.checked_add(1) == Some(policy.number) || policy.adopted.is_some_and(adopts)
}

/// Who is revoked by the policies of a line, as far as their signers stand before them.
fn revoked_in(found: &[Found], line: &BTreeSet<Digest>) -> Banned {
    let mut banned = Banned::new();
    for policy in found.iter().filter(|found| line.contains(&found.digest)) {
        // By the policy before: whoever signs one could write themselves to the front of it.
        let before = policy.policy.previous.and_then(|digest| found.iter().find(|found| found.digest == digest));
        let ranks = &before.unwrap_or(policy).policy.homes;
        let place = |home: HomeId| ranks.iter().position(|entry| entry.home == home);
        let admins = policy.policy.homes.iter().filter(|entry| entry.role == Role::Admin && entry.is_revoked());
        for entry in admins {
            let outranks =
                place(policy.signed.home).is_some_and(|signer| place(entry.home).is_none_or(|at| signer < at));
            if policy.by_root || outranks {
                let before = banned.entry(entry.home).or_default();
                let ancestors = ancestors(found, policy);
                if !before.contains(&ancestors) {
                    before.push(ancestors);
                }
            }
        }
    }
    banned
}

fn ancestors(found: &[Found], of: &Found) -> BTreeSet<Digest> {
    let by_digest: BTreeMap<Digest, &Found> = found.iter().map(|found| (found.digest, found)).collect();
    let mut before = BTreeSet::new();
    let mut next = of.policy.previous;
    while let Some(digest) = next.filter(|digest| before.insert(*digest)) {
        next = by_digest.get(&digest).and_then(|found| found.policy.previous);
    }
    before
}
