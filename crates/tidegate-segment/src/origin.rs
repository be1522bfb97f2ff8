//! Who made a segment, of which keys, and how much of what is in it.

use std::ops::AddAssign;

use tidegate_types::{AttemptId, CheckpointId, KeyGroupRange, MaxParallelism};

/// Who made a segment, and of which keys. In the header of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// The checkpoint for which it was written, or the newest one whose segments it merges.
    pub checkpoint: CheckpointId,
    /// The attempt of the job that wrote it.
    pub attempt: AttemptId,
    /// The number of key groups of the job: it places every key.
    pub max_parallelism: MaxParallelism,
    /// The key groups that may have entries.
    pub key_groups: KeyGroupRange,
}

/// How much a part of a segment holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Statistics {
    /// Different keys; of timers, records.
    pub keys: u64,
    /// Values, entries of maps, timers.
    pub puts: u64,
    /// Deletions of any kind. They are dead bytes as soon as no older segment is below.
    pub tombstones: u64,
    /// Bytes of entries, keys included, tombstones included.
    pub data_bytes: u64,
    /// Of these, bytes of tombstones (a deletion in a map without its key's bytes).
    pub tombstone_bytes: u64,
    /// Bytes of the index over them.
    pub index_bytes: u64,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        self.keys += other.keys;
        self.puts += other.puts;
        self.tombstones += other.tombstones;
        self.data_bytes += other.data_bytes;
        self.tombstone_bytes += other.tombstone_bytes;
        self.index_bytes += other.index_bytes;
    }
}
