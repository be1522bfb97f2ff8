//! The keys: their names, those they had earlier, and what they accept.

use crate::config::ConfigWarning;
use crate::config::entries::Entry;
use crate::config::nearest::nearest;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// The names it had in earlier versions of Flink, all of them understood.
    pub deprecated: &'static [&'static str],
    /// What is accepted, for people to read.
    pub accepted: &'static str,
}

/// All settings.
pub fn all() -> &'static [Key] {
    ALL
}

/// The setting with this name, present or deprecated.
pub fn find(name: &str) -> Option<&'static Key> {
    ALL.iter().find(|key| key.name == name || key.deprecated.contains(&name))
}

const DURATION: &str = "a duration such as \"200 ms\", \"10 s\" or \"1 min\"; a plain number is \
                        milliseconds";
const POSITIVE_DURATION: &str = "a duration above zero such as \"200 ms\", \"10 s\" or \"1 min\"; \
                                 a plain number is milliseconds";
const DIRECTORY: &str = "a directory as path or URI, such as file:///var/lib/checkpoints";
const SWITCH: &str = "true or false";
const FROM_ONE: &str = "a whole number, 1 or more";
const FROM_ZERO: &str = "a whole number, 0 or more";
const SIZE: &str = "a size above zero such as \"5 mb\" or \"512 kb\" (1 kb is 1024 bytes); a plain \
                    number is bytes";
const ANY_SIZE: &str = "a size such as \"20 kb\" (1 kb is 1024 bytes); a plain number is bytes";
const PARALLELISM: &str = "a whole number from 1 to 32768";

const ALL: &[Key] = &[
    key(CHECKPOINTS_DIR, &["state.checkpoints.dir"], DIRECTORY),
    key(SAVEPOINTS_DIR, &["state.savepoints.dir"], DIRECTORY),
    key(BACKEND, &["state.backend"], "memory, fs or rocksdb"),
    key(INCREMENTAL, &["state.backend.incremental"], SWITCH),
    key(MAX_STATE_SIZE, &[], SIZE),
    key(FS_CHECKPOINT_DIR, &[], DIRECTORY),
    key(FS_OVERLAY_MAX_BYTES, &[], SIZE),
    key(FS_MAX_SEGMENTS, &[], FROM_ONE),
    key(FS_MIN_MERGE, &[], FROM_ONE),
    key(FS_MAX_SPACE_AMPLIFICATION, &[], FROM_ONE),
    key(CACHE_DIR, &[], "a directory of the local file system, as path"),
    key(CACHE_MAX_BYTES, &[], SIZE),
    key(ROCKSDB_CHECKPOINT_DIR, &[], DIRECTORY),
    key(ROCKSDB_LOCAL_DIR, &[], "a directory as path"),
    key(ROCKSDB_MEMORY, &[], SIZE),
    key(ROCKSDB_WRITE_BUFFER_RATIO, &[], "a number from 0 to 1, such as 0.5"),
    key(ROCKSDB_WRITE_BUFFER, &[], SIZE),
    key(ROCKSDB_WRITE_BUFFERS, &[], "a whole number, 2 or more"),
    key(ROCKSDB_COMPRESSION, &[], "none, lz4 or zstd"),
    key(ROCKSDB_BLOOM_FILTER, &[], SWITCH),
    key(ROCKSDB_BLOOM_BITS, &[], FROM_ONE),
    key(ROCKSDB_THREADS, &[], FROM_ONE),
    key(ROCKSDB_TRANSFER_THREADS, &[], FROM_ONE),
    key(INLINE_THRESHOLD, &["state.storage.fs.memory-threshold"], ANY_SIZE),
    key(NUM_RETAINED, &["state.checkpoints.num-retained"], FROM_ONE),
    key(INTERVAL, &[], POSITIVE_DURATION),
    key(MODE, &[], "EXACTLY_ONCE or AT_LEAST_ONCE"),
    key(TIMEOUT, &[], POSITIVE_DURATION),
    key(MIN_PAUSE, &[], DURATION),
    key(MAX_CONCURRENT, &[], FROM_ONE),
    key(TOLERABLE_FAILED, &[], FROM_ZERO),
    key(
        RETENTION,
        &[],
        "RETAIN_ON_CANCELLATION, DELETE_ON_CANCELLATION or NO_EXTERNALIZED_CHECKPOINTS",
    ),
    key(UNALIGNED, &["execution.checkpointing.unaligned"], SWITCH),
    key(ALIGNED_TIMEOUT, &["execution.checkpointing.alignment-timeout"], DURATION),
    key(
        RESTART_STRATEGY,
        &["restart-strategy"],
        "none, fixed-delay, failure-rate or exponential-delay",
    ),
    key(FIXED_DELAY_ATTEMPTS, &[], FROM_ZERO),
    key(FIXED_DELAY_DELAY, &[], DURATION),
    key(FAILURE_RATE_MAX, &[], FROM_ZERO),
    key(FAILURE_RATE_INTERVAL, &[], POSITIVE_DURATION),
    key(FAILURE_RATE_DELAY, &[], DURATION),
    key(EXPONENTIAL_INITIAL, &[], POSITIVE_DURATION),
    key(EXPONENTIAL_MAX, &[], POSITIVE_DURATION),
    key(EXPONENTIAL_MULTIPLIER, &[], "a number above 1, such as 1.5"),
    key(EXPONENTIAL_RESET, &[], POSITIVE_DURATION),
    key(EXPONENTIAL_JITTER, &[], "a number from 0 to 1, such as 0.1"),
    key(EXPONENTIAL_ATTEMPTS, &[], FROM_ONE),
    key(PARALLELISM_DEFAULT, &[], PARALLELISM),
    key(MAX_PARALLELISM, &[], PARALLELISM),
];

const fn key(
    name: &'static str,
    deprecated: &'static [&'static str],
    accepted: &'static str,
) -> Key {
    Key { name, deprecated, accepted }
}

pub(super) const CHECKPOINTS_DIR: &str = "execution.checkpointing.dir";
pub(super) const SAVEPOINTS_DIR: &str = "execution.checkpointing.savepoint-dir";
pub(super) const BACKEND: &str = "state.backend.type";
pub(super) const INCREMENTAL: &str = "execution.checkpointing.incremental";
pub(super) const MAX_STATE_SIZE: &str = "state.backend.memory.max-state-size";
pub(super) const FS_CHECKPOINT_DIR: &str = "state.backend.fs.checkpointdir";
pub(super) const FS_OVERLAY_MAX_BYTES: &str = "state.backend.fs.overlay-max-bytes";
pub(super) const FS_MAX_SEGMENTS: &str = "state.backend.fs.compaction.max-segments";
pub(super) const FS_MIN_MERGE: &str = "state.backend.fs.compaction.min-merge";
pub(super) const FS_MAX_SPACE_AMPLIFICATION: &str =
    "state.backend.fs.compaction.max-space-amplification-percent";
pub(super) const CACHE_DIR: &str = "state.cache.dir";
pub(super) const CACHE_MAX_BYTES: &str = "state.cache.max-bytes";
pub(super) const ROCKSDB_PREFIX: &str = "state.backend.rocksdb.";
pub(super) const ROCKSDB_CHECKPOINT_DIR: &str = "state.backend.rocksdb.checkpointdir";
pub(super) const ROCKSDB_LOCAL_DIR: &str = "state.backend.rocksdb.localdir";
pub(super) const ROCKSDB_MEMORY: &str = "state.backend.rocksdb.memory.fixed-per-tm";
pub(super) const ROCKSDB_WRITE_BUFFER_RATIO: &str =
    "state.backend.rocksdb.memory.write-buffer-ratio";
pub(super) const ROCKSDB_WRITE_BUFFER: &str = "state.backend.rocksdb.writebuffer.size";
pub(super) const ROCKSDB_WRITE_BUFFERS: &str = "state.backend.rocksdb.writebuffer.count";
pub(super) const ROCKSDB_COMPRESSION: &str = "state.backend.rocksdb.compression";
pub(super) const ROCKSDB_BLOOM_FILTER: &str = "state.backend.rocksdb.use-bloom-filter";
pub(super) const ROCKSDB_BLOOM_BITS: &str = "state.backend.rocksdb.bloom-filter.bits-per-key";
pub(super) const ROCKSDB_THREADS: &str = "state.backend.rocksdb.thread.num";
pub(super) const ROCKSDB_TRANSFER_THREADS: &str =
    "state.backend.rocksdb.checkpoint.transfer.thread.num";
pub(super) const INLINE_THRESHOLD: &str = "execution.checkpointing.data-inline-threshold";
pub(super) const NUM_RETAINED: &str = "execution.checkpointing.num-retained";
pub(super) const INTERVAL: &str = "execution.checkpointing.interval";
pub(super) const MODE: &str = "execution.checkpointing.mode";
pub(super) const TIMEOUT: &str = "execution.checkpointing.timeout";
pub(super) const MIN_PAUSE: &str = "execution.checkpointing.min-pause";
pub(super) const MAX_CONCURRENT: &str = "execution.checkpointing.max-concurrent-checkpoints";
pub(super) const TOLERABLE_FAILED: &str = "execution.checkpointing.tolerable-failed-checkpoints";
pub(super) const RETENTION: &str = "execution.checkpointing.externalized-checkpoint-retention";
pub(super) const UNALIGNED: &str = "execution.checkpointing.unaligned.enabled";
pub(super) const ALIGNED_TIMEOUT: &str = "execution.checkpointing.aligned-checkpoint-timeout";
pub(super) const RESTART_PREFIX: &str = "restart-strategy.";
pub(super) const RESTART_STRATEGY: &str = "restart-strategy.type";
pub(super) const FIXED_DELAY_ATTEMPTS: &str = "restart-strategy.fixed-delay.attempts";
pub(super) const FIXED_DELAY_DELAY: &str = "restart-strategy.fixed-delay.delay";
pub(super) const FAILURE_RATE_MAX: &str = "restart-strategy.failure-rate.max-failures-per-interval";
pub(super) const FAILURE_RATE_INTERVAL: &str =
    "restart-strategy.failure-rate.failure-rate-interval";
pub(super) const FAILURE_RATE_DELAY: &str = "restart-strategy.failure-rate.delay";
pub(super) const EXPONENTIAL_INITIAL: &str = "restart-strategy.exponential-delay.initial-backoff";
pub(super) const EXPONENTIAL_MAX: &str = "restart-strategy.exponential-delay.max-backoff";
pub(super) const EXPONENTIAL_MULTIPLIER: &str =
    "restart-strategy.exponential-delay.backoff-multiplier";
pub(super) const EXPONENTIAL_RESET: &str =
    "restart-strategy.exponential-delay.reset-backoff-threshold";
pub(super) const EXPONENTIAL_JITTER: &str = "restart-strategy.exponential-delay.jitter-factor";
pub(super) const EXPONENTIAL_ATTEMPTS: &str =
    "restart-strategy.exponential-delay.attempts-before-reset-backoff";
pub(super) const PARALLELISM_DEFAULT: &str = "parallelism.default";
pub(super) const MAX_PARALLELISM: &str = "pipeline.max-parallelism";

pub(super) fn unknown(entry: Entry) -> ConfigWarning {
    let names = ALL.iter().flat_map(|key| key.deprecated.iter().copied().chain([key.name]));
    let nearest = nearest(&entry.key, names);
    ConfigWarning::UnknownKey { origin: entry.origin, key: entry.key, nearest }
}
