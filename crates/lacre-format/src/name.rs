//! Names of objects in the store. Every name holds a hash, a random id or a generation id, so nothing is ever overwritten.

use crate::{
    error::FormatError,
    ids::{Digest, GenerationId, HomeId, PackName, PlanId, SnapshotId, Token, read_decimal},
};

/// The name of one object: a relative path of at most five segments of `[A-Za-z0-9._-]`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ObjectName(String);

/// What a name says its object is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// `lacre.json`.
    Manifest,
    /// `policy/<n>-<digest>`.
    Policy(u32, Digest),
    /// `log/<home>/<seq>-<digest>`.
    Log(HomeId, u32, Digest),
    /// `packs/<hh>/<name>`.
    Pack(PackName),
    /// `parity/<hh>/<name of the pack>`.
    Parity(PackName),
    /// `index/<digest>`.
    Segment(Digest),
    /// `snap/<sid>`.
    Snapshot(SnapshotId),
    /// `reach/<sid>`.
    Reach(SnapshotId),
    /// `reach/<sid>-<digest>`.
    RebuiltReach(SnapshotId, Digest),
    /// `keyring/in/<gen>/<sid>-<token>`.
    KeyEntry(GenerationId, SnapshotId, Token),
    /// `keyring/<gen>/bundle`.
    Bundle(GenerationId),
    /// `keyring/<gen>/list`.
    BundleList(GenerationId),
    /// `session/<sid>/open`.
    Session(SnapshotId),
    /// `session/<sid>/end`.
    SessionEnd(SnapshotId),
    /// `void/<sid>/intent`.
    VoidIntent(SnapshotId),
    /// `void/<sid>/final`.
    Void(SnapshotId),
    /// `gc/<plan>/claim`.
    GcClaim(PlanId),
    /// `gc/<plan>/plan`.
    GcPlan(PlanId),
    /// `gc/<plan>/waits`.
    GcWaits(PlanId),
    /// `gc/<plan>/decided`.
    GcDecided(PlanId),
    /// `gc/<plan>/done`.
    GcDone(PlanId),
    /// `suppress/<sid>-<erasure>`.
    Suppression(SnapshotId, Token),
    /// `rollup/<objects>-<digest>`.
    Rollup(u32, Digest),
}

impl ObjectName {
    /// The name of an object.
    #[must_use]
    pub fn of(named: &Named) -> Self {
        Self(match named {
            Named::Manifest => "lacre.json".to_owned(),
            Named::Policy(number, digest) => format!("policy/{number:08}-{digest}"),
            Named::Log(home, seq, digest) => format!("log/{home}/{seq:08}-{digest}"),
            Named::Pack(name) => sharded("packs", *name),
            Named::Parity(name) => sharded("parity", *name),
            Named::Segment(digest) => format!("index/{digest}"),
            Named::Snapshot(sid) => format!("snap/{sid}"),
            Named::Reach(sid) => format!("reach/{sid}"),
            Named::RebuiltReach(sid, digest) => format!("reach/{sid}-{digest}"),
            Named::KeyEntry(generation, sid, token) => format!("keyring/in/{generation}/{sid}-{token}"),
            Named::Bundle(generation) => format!("keyring/{generation}/bundle"),
            Named::BundleList(generation) => format!("keyring/{generation}/list"),
            Named::Session(sid) => format!("session/{sid}/open"),
            Named::SessionEnd(sid) => format!("session/{sid}/end"),
            Named::VoidIntent(sid) => format!("void/{sid}/intent"),
            Named::Void(sid) => format!("void/{sid}/final"),
            Named::GcClaim(plan) => format!("gc/{plan}/claim"),
            Named::GcPlan(plan) => format!("gc/{plan}/plan"),
            Named::GcWaits(plan) => format!("gc/{plan}/waits"),
            Named::GcDecided(plan) => format!("gc/{plan}/decided"),
            Named::GcDone(plan) => format!("gc/{plan}/done"),
            Named::Suppression(sid, erasure) => format!("suppress/{sid}-{erasure}"),
            Named::Rollup(objects, digest) => format!("rollup/{objects:08}-{digest}"),
        })
    }

    /// Reads a name found in a listing: `None` for anything Lacre does not write.
    #[must_use]
    pub fn parse(text: &str) -> Option<(Self, Named)> {
        let segments: Vec<&str> = text.split('/').collect();
        let named = match segments.as_slice() {
            ["lacre.json"] => Named::Manifest,
            ["policy", last] => numbered(last).map(|(number, digest)| Named::Policy(number, digest))?,
            ["log", home, last] => {
                let (seq, digest) = numbered(last)?;
                Named::Log(HomeId::parse(home).ok()?, seq, digest)
            }
            ["packs", _, name] => Named::Pack(PackName::parse(name).ok()?),
            ["parity", _, name] => Named::Parity(PackName::parse(name).ok()?),
            ["index", digest] => Named::Segment(Digest::parse(digest).ok()?),
            ["snap", sid] => Named::Snapshot(SnapshotId::parse(sid).ok()?),
            ["reach", last] => match last.split_once('-') {
                None => Named::Reach(SnapshotId::parse(last).ok()?),
                Some((sid, digest)) => Named::RebuiltReach(SnapshotId::parse(sid).ok()?, Digest::parse(digest).ok()?),
            },
            ["keyring", "in", generation, last] => {
                let (sid, token) = last.split_once('-')?;
                let sid = SnapshotId::parse(sid).ok()?;
                Named::KeyEntry(GenerationId::parse(generation).ok()?, sid, Token::parse(token).ok()?)
            }
            ["keyring", generation, "bundle"] => Named::Bundle(GenerationId::parse(generation).ok()?),
            ["keyring", generation, "list"] => Named::BundleList(GenerationId::parse(generation).ok()?),
            ["session", sid, "open"] => Named::Session(SnapshotId::parse(sid).ok()?),
            ["session", sid, "end"] => Named::SessionEnd(SnapshotId::parse(sid).ok()?),
            ["void", sid, "intent"] => Named::VoidIntent(SnapshotId::parse(sid).ok()?),
            ["void", sid, "final"] => Named::Void(SnapshotId::parse(sid).ok()?),
            ["gc", plan, "claim"] => Named::GcClaim(PlanId::parse(plan).ok()?),
            ["gc", plan, "plan"] => Named::GcPlan(PlanId::parse(plan).ok()?),
            ["gc", plan, "waits"] => Named::GcWaits(PlanId::parse(plan).ok()?),
            ["gc", plan, "decided"] => Named::GcDecided(PlanId::parse(plan).ok()?),
            ["gc", plan, "done"] => Named::GcDone(PlanId::parse(plan).ok()?),
            ["suppress", last] => {
                let (sid, erasure) = last.split_once('-')?;
                Named::Suppression(SnapshotId::parse(sid).ok()?, Token::parse(erasure).ok()?)
            }
            ["rollup", last] => numbered(last).map(|(objects, digest)| Named::Rollup(objects, digest))?,
            _ => return None,
        };
        let name = Self::of(&named);
        (name.0 == text).then_some((name, named))
    }

    /// Takes any relative path that is safe as an object name, for tests of stores.
    ///
    /// # Errors
    /// [`FormatError::BadId`] when a segment is empty, starts with a dot, is over 255 bytes or holds another character.
    pub fn from_path(path: &str) -> Result<Self, FormatError> {
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let segment =
            |text: &str| !text.is_empty() && text.len() <= 255 && !text.starts_with('.') && text.bytes().all(alphabet);
        if path.split('/').all(segment) {
            Ok(Self(path.to_owned()))
        } else {
            Err(FormatError::BadId { what: "ObjectName" })
        }
    }

    /// The name as text, segments separated by `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for ObjectName {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.0)
    }
}

/// Packs and what belongs to them lie in folders by the first byte of their name, so that none holds them all.
fn sharded(folder: &str, name: PackName) -> String {
    let hex = name.to_string();
    let shard: String = hex.chars().take(2).collect();
    format!("{folder}/{shard}/{hex}")
}

fn numbered(text: &str) -> Option<(u32, Digest)> {
    let (number, digest) = text.split_once('-')?;
    Some((read_decimal(number)?, Digest::parse(digest).ok()?))
}
