//! Every bound of the vault, with its arithmetic.
//!
//! Peak memory of a backup, at any size of the source: a pack of chunks being filled and one being stored of 16 MiB each (a bucket, to which
//! two are stored at a time, has one more), a pack of nodes of 4 MiB, batches in flight (workers + 2 queues of 2) x 512 KiB x (plaintext +
//! sealed) about 8 MiB, 8 bytes for each chunk of the base, and for each new one 11 to 14 in the index of the run and about 11 in the footers of
//! its packs: about 50 MiB, and 8 to 25 MiB for a million chunks. Where packs get parity, 8 MiB more for its tables, and 1.3 MiB for the
//! recovery shards twice and two groups of a stripe.

/// How long a run waits for another to leave a short critical section.
pub(crate) const LOCK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(600);
/// Plaintext bytes handed to a worker at a time.
pub(crate) const BATCH_BYTES: usize = 512 * 1024;
/// Batches waiting for a worker, and results waiting for the packer.
pub(crate) const BATCHES_WAITING: usize = 2;
/// Restores that ended and that no log was told of, of which a home keeps the newest.
pub(crate) const RESTORES_NOTED_MAX: usize = 256;
/// Imports of one host that take dumps apart at the same time; a list of persons takes one more each.
pub(crate) const IMPORT_FOLDERS_MAX: u32 = 255;
/// Most worker threads.
pub(crate) const WORKERS_MAX: usize = 16;
/// Buffers of batches, and of sealed frames, that wait to be used again: 512 KiB each.
pub(crate) const SPARE_BUFFERS: usize = 8;
/// Buffers that closed packs are stored from, so most packs in flight at a time: 16 MiB each. A store that takes one object at a time needs one:
/// it is written in less time than the next is filled.
pub(crate) const PACK_BUFFERS: usize = 2;
/// A pack of nodes is closed when it holds this much: a manifest has one part in sixty of its stream's bytes, so a pack of 16 MiB would be held half
/// filled for most of a run. Whoever reads nodes from afar reads whole packs of them, and less with each.
pub(crate) const NODE_PACK_BYTES: usize = 4 * 1024 * 1024;
/// Streams an audit remembers as read: 64 bytes each.
pub(crate) const STREAMS_REMEMBERED_MAX: usize = 200_000;
/// Rows of one block of the writer's index: 24 KiB.
pub(crate) const INDEX_BLOCK_ROWS: usize = 256;
/// Blocks of the base's index that a thread keeps: 200 KiB.
pub(crate) const INDEX_BLOCKS_KEPT: usize = 8;
/// Rows of an index that are found again: 8 bytes each, so 64 MiB at the most. What is beyond is stored again, never lost.
pub(crate) const INDEX_ROWS_MAX: usize = 8 * 1024 * 1024;
/// Whole packs kept while reading: 48 MiB, two of chunks and one of nodes.
pub(crate) const PACKS_KEPT: usize = 3;
/// Nodes that are read from one pack by themselves before the whole pack is.
pub(crate) const NODE_READS_MAX: u32 = 3;
/// A pack is read whole when a group of chunks needs at least one part in so many of it.
pub(crate) const WHOLE_PACK_DIVISOR: u64 = 64;
/// Packs whose footers are kept decoded while reading.
pub(crate) const FOOTERS_KEPT: usize = 64;
/// Bytes of footers in one index segment: sealing, signing and reading one hold up to eight copies of it at a time.
pub(crate) const SEGMENT_FOOTERS_BYTES: usize = 1024 * 1024;
/// How often a writer re-makes its key entry because the policy moved before it gives up.
pub(crate) const ANCHOR_ATTEMPTS_MAX: u32 = 8;
/// How often frames are looked for again because a collection moved them while they were read.
pub(crate) const READ_ATTEMPTS_MAX: u32 = 4;
/// Most log entries, policies and snapshots that are read.
pub(crate) const OBJECTS_MAX: usize = 1_000_000;
/// Stretches of a pack closer than this are read in one request.
pub(crate) const GAP_BYTES_MAX: u64 = 1024 * 1024;
/// The same for a store on this machine, where a request costs no round trip.
pub(crate) const LOCAL_GAP_BYTES_MAX: u64 = 4 * 1024;
/// Longest stretch of a pack read in one request.
pub(crate) const STRETCH_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Leaves that are read ahead as one group.
pub(crate) const GROUP_RAW_BYTES: u64 = 1024 * 1024;
/// A snapshot's source must give at least this part of its base's bytes: one in two.
pub(crate) const SHRINK_DIVISOR: u64 = 2;
/// Longest reach map that is kept on this host for the next run.
pub(crate) const REACH_KEPT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most tags of a snapshot.
pub(crate) const TAGS_MAX: usize = lacre_format::header::TAGS_MAX;
/// How often a survey is made again because packs moved while it was made.
pub(crate) const SURVEY_ATTEMPTS_MAX: u32 = 2;
/// Snapshots that are named as the reason why a pack stays.
pub(crate) const KEEPERS_NAMED_MAX: usize = 4;
/// Packs that are shown with the reason why their dead frames stay.
pub(crate) const KEPT_SHOWN_MAX: usize = 1_000;
/// Packs stored this much before an open session was are still taken for its own: stores tell times in whole seconds.
pub(crate) const YOUTH_MARGIN: std::time::Duration = std::time::Duration::from_secs(2);
/// Nothing is deleted by a host whose clock differs from the store's by more.
pub(crate) const SKEW_MAX: std::time::Duration = std::time::Duration::from_secs(300);
/// A session that did not end is voided after this time by the store's clock, unless asked otherwise.
pub(crate) const VOID_AFTER: std::time::Duration = std::time::Duration::from_secs(48 * 3600);
/// Footers of one merged index segment: the plaintext, its CBOR, the ciphertext and the signed object are held at once.
pub(crate) const MERGED_SEGMENT_BYTES: usize = 8 * 1024 * 1024;
/// Packs of one copy that are under way at the same time: 16 MiB each, so 64 MiB.
pub(crate) const COPY_LANES_MAX: usize = 4;
/// How often a sync begins again because a collection took objects while they were copied.
pub(crate) const COPY_ROUNDS_MAX: u32 = 4;
/// How far the number of an adopting policy is above all that are known: the lost place may have published some unseen.
pub(crate) const ADOPTION_STEP: u32 = 1_000;
/// So many small segments make a merge worth its cost.
pub(crate) const SMALL_SEGMENTS_MIN: usize = 4;
/// Groups of chunks that are opened side by side while rows are compared or searched: 1 MiB each.
pub(crate) const GROUPS_AT_ONCE: usize = 8;
/// Chunks a search remembers as searched: about 24 bytes each. What is beyond is searched again.
pub(crate) const CHUNKS_SEARCHED_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one row that is longer than its chunk.
pub(crate) const ROW_BYTES_MAX: usize = 1024 * 1024 * 1024;
/// Most values of one cell: generations of every repository that keeps its seal there.
pub(crate) const CELL_VALUES_MAX: usize = 10_000;
/// Longest list that the command of a cell prints, bytes: so many names of 91 characters and what else it keeps.
pub(crate) const CELL_LISTING_BYTES_MAX: usize = 1024 * 1024;
/// Roots that are opened to learn the key of labels, newest first.
pub(crate) const ROOTS_TRIED_MAX: usize = 64;
/// Longest row that is searched for a person, with the rows of the chunks it begins and ends in: it is held in memory.
pub(crate) const RUN_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Small objects that are read from afar at a time.
pub(crate) const PREFETCH_PARALLEL: usize = 8;
/// Longest object that is read ahead: eight of them are 8 MiB.
pub(crate) const PREFETCH_BYTES_MAX: u64 = 1024 * 1024;
/// So many small objects that no rollup holds make a new one worth it: each costs a machine from afar a request.
pub(crate) const ROLLUP_MIN: usize = 4;
/// Where rollups cannot be deleted, an eighth of all small objects has to be new before another one is written beside them.
pub(crate) const ROLLUP_SHARE: usize = 8;
/// Most rollups of a store: no more are read, and beside so many none is written.
pub(crate) const ROLLUPS_MAX: usize = 64;
/// After so many rollups that held nothing that was wanted no other is read.
pub(crate) const ROLLUPS_IN_VAIN_MAX: usize = 2;
/// Bytes of a rollup that are as good as one request saved.
pub(crate) const ROLLUP_BYTES_A_READ: u64 = 256 * 1024;
/// Small objects that are read together while a rollup is made: 16 MiB at most.
pub(crate) const ROLLUP_BATCH: usize = 256;
/// Fewer objects than these are read where they are needed.
pub(crate) const PREFETCH_MIN: usize = 2;
/// How long a look at the status waits for all copies together.
pub(crate) const GLANCE_PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);
