//! Policies, judged by the admin's key alone.
//!
//! In: the manifest, a name, bytes nobody trusts. Out: the policy they are. Which of several is the newest the view says.

use lacre_format::{
    codec, ids::Digest, manifest::Manifest, name::ObjectName, object::Kind, policy::Policy, signed::Signed,
};
use lacre_seal::sign;

use crate::error::Error;

/// The policy that bytes are, if they are the one that a name says.
pub(crate) fn judge_policy(
    manifest: &Manifest,
    name: &ObjectName,
    (number, digest): (u32, Digest),
    bytes: &[u8],
) -> Result<Policy, Error> {
    if blake3::hash(bytes) != *digest.as_bytes() {
        return Err(Error::damaged(name, "its bytes do not hash to its name"));
    }
    let signed = Signed::decode(Kind::Policy, bytes).map_err(|error| Error::format(name, error))?;
    sign::verify(&manifest.admin, Kind::Policy, manifest.repository, &signed)
        .map_err(|error| Error::damaged(name, error.to_string()))?;
    let policy: Policy = codec::from_cbor("policy", &signed.payload).map_err(|error| Error::format(name, error))?;
    if policy.number == number && policy.repository == manifest.repository {
        Ok(policy)
    } else {
        Err(Error::damaged(name, "it is another policy's object"))
    }
}
