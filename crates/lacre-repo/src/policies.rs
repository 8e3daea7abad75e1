//! Which policy counts: the newest that the admin signed and that is not passed over.
//!
//! In: objects below `policy/` of a store nobody trusts, and what this host has seen. Out: the tip.

use std::collections::BTreeSet;

use lacre_format::{
    codec,
    ids::Digest,
    manifest::Manifest,
    name::{Named, ObjectName},
    object::Kind,
    policy::{POLICY_BYTES_MAX, Policy},
    signed::Signed,
};
use lacre_seal::sign;

use crate::{
    catalog::Catalog,
    error::Error,
    home::Pin,
    monitor::{Finding, Severity},
    store::{Listing, Store},
    view::{bounded, digest, fetch_listed, foreign_name, of_the_object},
};

pub(crate) fn newest(
    store: &Store,
    catalog: &Catalog,
    manifest: &Manifest,
    pin: Option<&Pin>,
    listing: &Listing,
    passed: &BTreeSet<Digest>,
    findings: &mut Vec<Finding>,
) -> Result<(Policy, Digest), Error> {
    let mut newest: Option<(Policy, Digest)> = None;
    for object in bounded(listing.below("policy").collect())? {
        let Some((name, Named::Policy(number, name_digest))) = ObjectName::parse(&object.name) else {
            findings.push(foreign_name(&object.name));
            continue;
        };
        if passed.contains(&name_digest) {
            continue;
        }
        match read_policy(store, catalog, manifest, &name, object.bytes, (number, name_digest)) {
            Ok(policy) => newest = Some((policy, name_digest)),
            Err(error) if of_the_object(&error) => {
                let advice = "the policy is ignored; bring it back from a copy of the repository";
                findings.push(Finding::new(Severity::Damage, error.to_string(), name, advice));
            }
            Err(error) => return Err(error),
        }
    }
    let Some((policy, name_digest)) = newest else {
        return Err(Error::damaged("policy", "there is no valid policy in the repository"));
    };
    if let Some(pin) = pin.filter(|pin| pin.policy > policy.number) {
        let why = format!("the newest is number {}, but this host has seen number {}", policy.number, pin.policy);
        return Err(Error::damaged("policy", why));
    }
    Ok((policy, name_digest))
}

fn read_policy(
    store: &Store,
    catalog: &Catalog,
    manifest: &Manifest,
    name: &ObjectName,
    listed: u64,
    (number, name_digest): (u32, Digest),
) -> Result<Policy, Error> {
    let bytes = fetch_listed(store, catalog, name, listed, POLICY_BYTES_MAX)?;
    if digest(&bytes) != name_digest {
        return Err(Error::damaged(name, "its bytes do not hash to its name"));
    }
    let signed = Signed::decode(Kind::Policy, &bytes).map_err(|error| Error::format(name, error))?;
    sign::verify(&manifest.admin, Kind::Policy, manifest.repository, &signed)
        .map_err(|error| Error::damaged(name, error.to_string()))?;
    let policy: Policy = codec::from_cbor("policy", &signed.payload).map_err(|error| Error::format(name, error))?;
    if policy.number == number && policy.repository == manifest.repository {
        Ok(policy)
    } else {
        Err(Error::damaged(name, "it is another policy's object"))
    }
}
