//! `lacre.json` brought back before the repository can be opened at all: from a copy, or from this host's home, which keeps one of every
//! repository it has opened. It counts only if its admin key has signed a policy that is in the store.

use bytes::Bytes;
use lacre_format::{
    manifest::{MANIFEST_BYTES_MAX, Manifest},
    name::{Named, ObjectName},
    object::Kind,
    policy::POLICY_BYTES_MAX,
    signed::Signed,
};
use lacre_seal::{secret::repository_id, sign};

use crate::{
    error::Error,
    home::Home,
    op::repair::{How, Mended},
    repository::read_manifest,
    store::{Healed, Store},
};

/// Puts `lacre.json` right if it is damaged or missing; nothing if it is sound, or if nothing at hand has it.
///
/// # Errors
/// Errors of the stores.
pub fn repair(store: &Store, from: Option<&Store>, home: &Home) -> Result<Option<Mended>, Error> {
    match read_manifest(store) {
        Ok(_) => return Ok(None),
        Err(Error::NoRepository { .. } | Error::Damaged { .. } | Error::Format { .. }) => {}
        Err(error) => return Err(error),
    }
    let of_copy = from.and_then(|from| read_manifest(from).ok());
    let candidates = of_copy.into_iter().map(|found| (found, How::Fetched));
    let of_home = home.manifests().into_iter().map(|found| (found, How::Rebuilt));
    for (manifest, how) in candidates.chain(of_home) {
        if !has_signed(store, &manifest)? {
            continue;
        }
        let name = ObjectName::of(&Named::Manifest);
        let bytes = Bytes::from(manifest.encode());
        let is_good = |found: &[u8]| found == bytes;
        return match store.heal(&name, &bytes, MANIFEST_BYTES_MAX, &is_good)? {
            Healed::WasGood => Ok(None),
            Healed::Added | Healed::Replaced => {
                Ok(Some(Mended { object: name.to_string(), how, bytes: bytes.len() as u64 }))
            }
        };
    }
    Ok(None)
}

/// Whether the admin key of a manifest has signed a policy in this store.
fn has_signed(store: &Store, manifest: &Manifest) -> Result<bool, Error> {
    if repository_id(&manifest.admin, &manifest.nonce) != manifest.repository {
        return Ok(false);
    }
    for object in store.list("policy")?.objects {
        let Some((name, Named::Policy(..))) = ObjectName::parse(&object.name) else { continue };
        let Ok(bytes) = store.get(&name, POLICY_BYTES_MAX) else { continue };
        let Ok(signed) = Signed::decode(Kind::Policy, &bytes) else { continue };
        if sign::verify(&manifest.admin, Kind::Policy, manifest.repository, &signed).is_ok() {
            return Ok(true);
        }
    }
    Ok(false)
}
