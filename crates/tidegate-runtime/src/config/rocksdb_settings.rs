//! The settings of the RocksDB backend, which are known whether or not it is part of the program.

use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};

use crate::config::values::{number, size};
use crate::config::{Factor, keys};

/// The settings `state.backend.rocksdb.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RocksDbSettings {
    /// `checkpointdir`: the URI or path for the files of checkpoints, if they are not to be beside
    /// the metadata.
    pub checkpoint_dir: Option<String>,
    /// `localdir`: the path of a directory for databases, if they are not to be beside the
    /// checkpoints.
    pub local_dir: Option<String>,
    /// `memory.fixed-per-tm`: bytes for all databases of the process. 256 MiB unless set.
    pub memory: NonZeroU64,
    /// `memory.write-buffer-ratio`: which part of it may be write buffers. 0.5 unless set.
    pub write_buffer_ratio: Factor,
    /// `writebuffer.size`: bytes. 64 MiB unless set.
    pub write_buffer: NonZeroU64,
    /// `writebuffer.count`: 2 for each state unless set.
    pub write_buffers: NonZeroUsize,
    /// `compression`.
    pub compression: RocksDbCompression,
    /// `use-bloom-filter`.
    pub bloom_filter: bool,
    /// `bloom-filter.bits-per-key`: 10 unless set.
    pub bloom_bits_per_key: NonZeroU32,
    /// `thread.num`: 2 for each subtask unless set.
    pub threads: NonZeroUsize,
    /// `checkpoint.transfer.thread.num`: 4 unless set.
    pub transfer_threads: NonZeroUsize,
}

/// How RocksDB compresses its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RocksDbCompression {
    /// Not at all.
    None,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Default for RocksDbSettings {
    fn default() -> Self {
        let some = |number| NonZeroUsize::new(number).expect("not zero");
        let bytes = |number| NonZeroU64::new(number).expect("not zero");
        Self {
            checkpoint_dir: None,
            local_dir: None,
            memory: bytes(256 << 20),
            write_buffer_ratio: Factor::parse("0.5").expect("a number"),
            write_buffer: bytes(64 << 20),
            write_buffers: some(2),
            compression: RocksDbCompression::Lz4,
            bloom_filter: true,
            bloom_bits_per_key: NonZeroU32::new(10).expect("not zero"),
            threads: some(2),
            transfer_threads: some(4),
        }
    }
}

impl RocksDbSettings {
    /// Takes a setting; `None` when its value is not accepted.
    pub(super) fn set(&mut self, name: &'static str, text: &str) -> Option<()> {
        let usable = |text: &str| !text.chars().any(char::is_control);
        let directory = |text: &str| usable(text).then(|| text.to_owned());
        let bytes = |text| size(text).and_then(NonZeroU64::new);
        match name {
            keys::ROCKSDB_CHECKPOINT_DIR => self.checkpoint_dir = Some(directory(text)?),
            keys::ROCKSDB_LOCAL_DIR => self.local_dir = Some(directory(text)?),
            keys::ROCKSDB_MEMORY => self.memory = bytes(text)?,
            keys::ROCKSDB_WRITE_BUFFER_RATIO => {
                self.write_buffer_ratio = Factor::parse(text).filter(|f| *f <= Factor::ONE)?;
            }
            keys::ROCKSDB_WRITE_BUFFER => self.write_buffer = bytes(text)?,
            // One is filled while another is being written.
            keys::ROCKSDB_WRITE_BUFFERS => {
                self.write_buffers = number(text).filter(|n: &NonZeroUsize| n.get() >= 2)?;
            }
            keys::ROCKSDB_COMPRESSION => {
                self.compression = match text.to_ascii_lowercase().as_str() {
                    "none" | "no_compression" => RocksDbCompression::None,
                    "lz4" | "lz4_compression" => RocksDbCompression::Lz4,
                    "zstd" | "zstd_compression" => RocksDbCompression::Zstd,
                    _ => return None,
                };
            }
            keys::ROCKSDB_BLOOM_FILTER => {
                self.bloom_filter = text.to_ascii_lowercase().parse().ok()?;
            }
            keys::ROCKSDB_BLOOM_BITS => self.bloom_bits_per_key = number(text)?,
            keys::ROCKSDB_THREADS => self.threads = number(text)?,
            keys::ROCKSDB_TRANSFER_THREADS => self.transfer_threads = number(text)?,
            _ => unreachable!("every key of the table has a field: {name}"),
        }
        Some(())
    }
}
