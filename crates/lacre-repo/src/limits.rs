//! Every bound of the vault, with its arithmetic.
//!
//! Peak memory of a backup, at any size of the source: the pack being filled 16 MiB, the pack being written 16 MiB, the node pack
//! up to 16 MiB, batches in flight (workers + 2 queues of 2) x 512 KiB x (plaintext + sealed) about 8 MiB, two index caches of
//! 8 MiB: about 72 MiB, under the promised 96.

/// Plaintext bytes handed to a worker at a time.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;
/// Batches waiting for a worker, and results waiting for the packer.
pub(crate) const BATCHES_WAITING: usize = 2;
/// Most worker threads.
pub(crate) const WORKERS_MAX: usize = 16;
/// Pages of an index database kept in memory, in KiB.
pub(crate) const INDEX_CACHE_KIB: u32 = 8 * 1024;
/// Packs whose footers are kept decoded while reading.
pub(crate) const FOOTERS_KEPT: usize = 64;
/// How often a writer re-makes its key entry because the policy moved before it gives up.
pub(crate) const ANCHOR_ATTEMPTS_MAX: u32 = 8;
/// Most log entries, policies and snapshots that are read.
pub(crate) const OBJECTS_MAX: usize = 1_000_000;
/// Stretches of a pack closer than this are read in one request.
pub(crate) const GAP_BYTES_MAX: u64 = 1024 * 1024;
/// Longest stretch of a pack read in one request.
pub(crate) const STRETCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Leaves that are read ahead as one group.
pub(crate) const GROUP_RAW_BYTES: u64 = 2 * 1024 * 1024;
/// A snapshot's source must give at least this part of its base's bytes: one in two.
pub(crate) const SHRINK_DIVISOR: u64 = 2;
/// Most tags of a snapshot.
pub(crate) const TAGS_MAX: usize = 32;
