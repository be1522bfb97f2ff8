//! The settings of the RocksDB backend.

use std::num::NonZeroUsize;
use std::path::PathBuf;

/// Settings of the RocksDB backend, each with its configuration key; below
/// `state.backend.rocksdb.` where nothing else is said.
#[derive(Clone, Debug, PartialEq)]
pub struct RocksDbStateConfig {
    /// `execution.checkpointing.incremental` (`state.backend.incremental`): checkpoints refer to
    /// files of earlier ones. Otherwise each has files of its own.
    pub incremental: bool,
    /// `execution.checkpointing.data-inline-threshold` (`state.storage.fs.memory-threshold`): files
    /// of fewer bytes go into the metadata.
    pub data_inline_threshold: u64,
    /// `memory.fixed-per-tm`: bytes for the block cache and the write buffers of all subtasks of
    /// the process together. Indexes and filters are in it, too.
    pub memory_bytes: NonZeroUsize,
    /// `memory.write-buffer-ratio`: which part of the memory may be write buffers, from 0 to 1.
    pub write_buffer_ratio: f64,
    /// `writebuffer.size`: a state's write buffer becomes a file at so many bytes.
    pub write_buffer_bytes: NonZeroUsize,
    /// `writebuffer.count`: write buffers of a state, those that are being written included.
    pub write_buffers_max: NonZeroUsize,
    /// `compression`: of all files.
    pub compression: Compression,
    /// `use-bloom-filter` and `bloom-filter.bits-per-key`: bits for each key that tell most reads
    /// that a file does not have it; none without.
    pub bloom_bits_per_key: Option<f64>,
    /// `thread.num`: threads for flushes and compactions of a subtask.
    pub threads: NonZeroUsize,
    /// `checkpoint.transfer.thread.num`: threads that copy the files of a checkpoint.
    pub transfer_threads: NonZeroUsize,
    /// `localdir`: below it the databases lie, if not beside the checkpoints.
    pub local_directory: Option<PathBuf>,
}

/// How blocks of files are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Compression {
    /// Not at all.
    None,
    /// LZ4: fast.
    Lz4,
    /// Zstandard: small.
    Zstd,
}

impl Default for RocksDbStateConfig {
    fn default() -> Self {
        let some = |number| NonZeroUsize::new(number).expect("not zero");
        Self {
            incremental: true,
            data_inline_threshold: 20 << 10,
            memory_bytes: some(256 << 20),
            write_buffer_ratio: 0.5,
            write_buffer_bytes: some(64 << 20),
            write_buffers_max: some(2),
            compression: Compression::Lz4,
            bloom_bits_per_key: Some(10.0),
            threads: some(2),
            transfer_threads: some(4),
            local_directory: None,
        }
    }
}
