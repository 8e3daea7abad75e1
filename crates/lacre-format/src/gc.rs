//! Garbage collection: what a maintenance or admin home signs before it deletes, step by step.
//!
//! ```text
//! gc/<plan>/claim     somebody plans; whoever sees another's open claim withdraws
//! gc/<plan>/plan      what is condemned, and the outputs that hold what is still needed of it; stored before anything is deleted
//! gc/<plan>/waits     the sessions that were open when the plan stood: they have to end, or be voided, first
//! gc/<plan>/decided   what of the plan is kept after all; everything else goes
//! gc/<plan>/done      nothing is left to delete
//! ```

use minicbor::{Decode, Encode};

use crate::{
    codec,
    ids::{Digest, HomeId, Millis, PackName, PlanId, RepositoryId, SnapshotId},
};

/// Largest plan or step object.
pub const GC_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Most packs, segments or sessions of one plan.
pub const GC_NAMES_MAX: usize = 1 << 20;

/// A forgotten snapshot that a plan reclaims: what its writer's chain needs to stay whole without the object.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
pub struct Reclaimed {
    /// The snapshot.
    #[n(0)]
    pub snapshot: SnapshotId,
    /// Its writer.
    #[n(1)]
    pub home: HomeId,
    /// The writer's count of its snapshots.
    #[n(2)]
    pub seq: u32,
    /// BLAKE3 of the snapshot object.
    #[n(3)]
    pub digest: Digest,
    /// When its source was read.
    #[n(4)]
    pub taken: Millis,
    /// BLAKE3 of its writer's snapshot before it, so that a chain can be followed across it.
    #[n(5)]
    pub previous: Option<Digest>,
}

/// What a maintenance or admin home signs before it deletes anything.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct GcPlan {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The plan.
    #[n(1)]
    pub plan: PlanId,
    /// When it was made, by the signer's clock.
    #[n(2)]
    pub made: Millis,
    /// Packs of which nothing is needed.
    #[cbor(n(3), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub delete: Vec<PackName>,
    /// Packs of which everything needed was copied into the outputs.
    #[cbor(n(4), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub repack: Vec<PackName>,
    /// Packs that hold frames born elsewhere; nobody else may claim such frames.
    #[cbor(n(5), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub outputs: Vec<PackName>,
    /// Forgotten and void snapshots whose object, reach map and session go.
    #[cbor(n(6), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub snapshots: Vec<Reclaimed>,
    /// Sessions that ended without a snapshot and are voided and removed.
    #[cbor(n(7), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub sessions: Vec<SnapshotId>,
    /// Index segments that the merged ones replace.
    #[cbor(n(8), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub segments: Vec<Digest>,
    /// The merged index segments.
    #[cbor(n(9), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub merged: Vec<Digest>,
}

/// How far a garbage collection has come.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Encode, Decode)]
#[cbor(index_only)]
pub enum GcStage {
    /// Somebody is about to plan.
    #[n(0)]
    Claim,
    /// The plan stands; these sessions were open then.
    #[n(1)]
    Waits,
    /// It is decided what goes.
    #[n(2)]
    Decided,
    /// All of it is gone, or the claim was withdrawn.
    #[n(3)]
    Done,
}

/// What a maintenance or admin home signs at each step of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Encode, Decode)]
#[cbor(map)]
pub struct GcStep {
    /// The repository.
    #[n(0)]
    pub repository: RepositoryId,
    /// The plan.
    #[n(1)]
    pub plan: PlanId,
    /// When, by the signer's clock.
    #[n(2)]
    pub at: Millis,
    /// Which step.
    #[n(3)]
    pub stage: GcStage,
    /// `waits`: the sessions that were open.
    #[cbor(n(4), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub sessions: Vec<SnapshotId>,
    /// `decided`: condemned packs that are kept after all.
    #[cbor(n(5), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub packs: Vec<PackName>,
    /// `decided`: snapshots of the plan that are kept after all.
    #[cbor(n(6), decode_with = "codec::list::<_, _, GC_NAMES_MAX>")]
    pub snapshots: Vec<SnapshotId>,
}
