//! The settings of a job as typed values.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tidegate_align::AlignmentMode;
use tidegate_coordinator::{CoordinatorConfig, ExternalizedCheckpointCleanup};
use tidegate_state_fs::{CompactionConfig, FsStateConfig};
use tidegate_store::{
    CheckpointStorage, DataDirectory, EntropyMarker, FileCache, StorageError, StorageFactory,
    StorageRegistry, StorageSettings,
};
use tidegate_types::{MaxParallelism, Parallelism};

use crate::config::stores::default_cache;
use crate::config::{RestartStrategy, RocksDbSettings};

/// The settings of a job, one field each, whatever name they were given by.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobConfig {
    /// `execution.checkpointing.dir`: the URI or path below which each job has its directory.
    pub checkpoints_dir: Option<String>,
    /// `execution.checkpointing.savepoint-dir`: the URI or path for savepoints.
    pub savepoints_dir: Option<String>,
    /// `state.backend.type`.
    pub backend: Backend,
    /// `execution.checkpointing.incremental`; the memory backend takes no notice of it.
    pub incremental: bool,
    /// `state.backend.fs.checkpointdir`: the URI or path for the fs backend's files, if they are
    /// not to be beside the checkpoints' metadata.
    pub fs_checkpoint_dir: Option<String>,
    /// `state.backend.fs.overlay-max-bytes`: 256 MiB for each subtask unless set.
    pub fs_overlay_max_bytes: u64,
    /// `state.backend.fs.compaction.*`.
    pub fs_compaction: CompactionConfig,
    /// `state.backend.rocksdb.*`.
    pub rocksdb: RocksDbSettings,
    /// `execution.checkpointing.data-inline-threshold`: files of the RocksDB backend of fewer bytes
    /// go into the metadata. 20 KiB unless set.
    pub data_inline_threshold: u64,
    /// `state.backend.memory.max-state-size`: bytes per state. 5 MiB unless set.
    pub memory_max_state_size: u64,
    /// `state.cache.dir`: where copies of files of remote stores are kept, to be mapped. Unless set,
    /// in the user's directory of caches.
    pub cache_dir: Option<PathBuf>,
    /// `state.cache.max-bytes`: 8 GiB unless set.
    pub cache_max_bytes: u64,
    /// `s3.*`, `gs.*`, `azure.*`, `hdfs.*`, `fs.*` and so on: end points and credentials of stores.
    pub stores: StorageSettings,
    /// `s3.entropy.key` and `s3.entropy.length`: what stands for random letters in directories for
    /// checkpoints' data.
    pub entropy: Option<EntropyMarker>,
    /// `execution.checkpointing.num-retained`: how many completed checkpoints are kept.
    pub num_retained: NonZeroU32,
    /// `execution.checkpointing.interval`: no checkpoints are made unless set. Above zero.
    pub interval: Option<Duration>,
    /// `execution.checkpointing.mode`.
    pub mode: CheckpointingMode,
    /// `execution.checkpointing.unaligned.enabled`: barriers overtake the records in flight, which
    /// become part of the checkpoint. Only exactly once, and one checkpoint at a time.
    pub unaligned: bool,
    /// `execution.checkpointing.aligned-checkpoint-timeout`: with `unaligned`, how old a checkpoint
    /// is before its barriers overtake. Zero: they do at once.
    pub aligned_timeout: Duration,
    /// `execution.checkpointing.timeout`: 10 minutes unless set. Above zero.
    pub timeout: Duration,
    /// `execution.checkpointing.min-pause`, between the end of one and the start of the next.
    pub min_pause: Duration,
    /// `execution.checkpointing.max-concurrent-checkpoints`.
    pub max_concurrent: NonZeroU32,
    /// `execution.checkpointing.tolerable-failed-checkpoints`: how many in a row.
    pub tolerable_failed: u32,
    /// `execution.checkpointing.externalized-checkpoint-retention`.
    pub retention: ExternalizedCheckpointCleanup,
    /// `restart-strategy.*`. Unless set: [`RestartStrategy::ExponentialDelay`] with checkpoints,
    /// which is Flink's choice, and [`RestartStrategy::None`] without.
    pub restart_strategy: RestartStrategy,
    /// `parallelism.default`.
    pub parallelism: Parallelism,
    /// `pipeline.max-parallelism`.
    pub max_parallelism: MaxParallelism,
}

impl JobConfig {
    /// The settings that concern the fs backend.
    pub fn fs(&self) -> FsStateConfig {
        FsStateConfig {
            incremental: self.incremental,
            overlay_max_bytes: self.fs_overlay_max_bytes,
            compaction: self.fs_compaction,
        }
    }

    /// The stores of these factories, with the settings and the cache of this configuration.
    pub fn registry(
        &self,
        factories: impl IntoIterator<Item = Arc<dyn StorageFactory>>,
    ) -> StorageRegistry {
        let directory = self.cache_dir.clone().unwrap_or_else(default_cache);
        let cache = FileCache::new(directory, self.cache_max_bytes);
        StorageRegistry::new(factories, self.stores.clone()).with_cache(Arc::new(cache))
    }

    /// Where the metadata of checkpoints goes: `checkpoints_dir` without what stands for entropy.
    pub fn metadata_dir(&self) -> Option<String> {
        let directory = self.checkpoints_dir.as_deref()?;
        let marker = self.entropy.as_ref();
        Some(marker.map_or_else(|| directory.to_owned(), |marker| marker.removed_from(directory)))
    }

    /// Where data files go if not beside the metadata: `fs_checkpoint_dir`, or `checkpoints_dir` if
    /// its data is to have entropy.
    fn data_dir(&self) -> Option<&str> {
        let has_entropy =
            |directory: &&str| self.entropy.as_ref().is_some_and(|marker| marker.is_in(directory));
        let checkpoints = self.checkpoints_dir.as_deref().filter(has_entropy);
        self.fs_checkpoint_dir.as_deref().or(checkpoints)
    }

    /// Where the data files go of checkpoints whose metadata is in this storage, if not beside it.
    ///
    /// # Errors
    ///
    /// When the configured URI names no store.
    pub fn data_directory(
        &self,
        registry: &StorageRegistry,
        metadata: &dyn CheckpointStorage,
    ) -> Result<Option<DataDirectory>, StorageError> {
        if self.backend != Backend::Fs {
            return Ok(None);
        }
        let Some(uri) = self.data_dir() else { return Ok(None) };
        let data = DataDirectory::open(registry, uri, self.entropy.as_ref())?;
        Ok(Some(data.of_metadata(metadata.uri())))
    }

    /// The settings that concern the RocksDB backend.
    #[cfg(feature = "rocksdb")]
    pub fn rocksdb(&self) -> tidegate_state_rocksdb::RocksDbStateConfig {
        use std::num::NonZeroUsize;

        use tidegate_state_rocksdb::{Compression, RocksDbStateConfig};

        use crate::config::RocksDbCompression;

        let RocksDbSettings { memory, write_buffer, .. } = self.rocksdb;
        let bytes = |bytes| NonZeroUsize::try_from(bytes).unwrap_or(NonZeroUsize::MAX);
        let bits = f64::from(self.rocksdb.bloom_bits_per_key.get());
        RocksDbStateConfig {
            incremental: self.incremental,
            data_inline_threshold: self.data_inline_threshold,
            memory_bytes: bytes(memory),
            write_buffer_ratio: self.rocksdb.write_buffer_ratio.get(),
            write_buffer_bytes: bytes(write_buffer),
            write_buffers_max: self.rocksdb.write_buffers,
            compression: match self.rocksdb.compression {
                RocksDbCompression::None => Compression::None,
                RocksDbCompression::Lz4 => Compression::Lz4,
                RocksDbCompression::Zstd => Compression::Zstd,
            },
            bloom_bits_per_key: self.rocksdb.bloom_filter.then_some(bits),
            threads: self.rocksdb.threads,
            transfer_threads: self.rocksdb.transfer_threads,
            local_directory: self.rocksdb.local_dir.as_ref().map(Into::into),
        }
    }

    /// How barriers and data relate.
    pub fn alignment(&self) -> AlignmentMode {
        match (self.mode, self.unaligned) {
            (CheckpointingMode::AtLeastOnce, _) => AlignmentMode::AtLeastOnce,
            (CheckpointingMode::ExactlyOnce, false) => AlignmentMode::ExactlyOnce,
            (CheckpointingMode::ExactlyOnce, true) if self.aligned_timeout.is_zero() => {
                AlignmentMode::Unaligned
            }
            (CheckpointingMode::ExactlyOnce, true) => {
                AlignmentMode::AlignedWithTimeout { timeout: self.aligned_timeout }
            }
        }
    }

    /// The settings that concern the coordinator.
    pub fn coordinator(&self) -> CoordinatorConfig {
        CoordinatorConfig {
            interval: self.interval,
            min_pause: self.min_pause,
            timeout: self.timeout,
            max_concurrent: self.max_concurrent,
            tolerable_failures: self.tolerable_failed,
            retained: self.num_retained,
            cleanup: self.retention,
        }
    }
}

impl Default for JobConfig {
    fn default() -> Self {
        Self {
            checkpoints_dir: None,
            savepoints_dir: None,
            backend: Backend::Fs,
            incremental: true,
            fs_checkpoint_dir: None,
            fs_overlay_max_bytes: FsStateConfig::default().overlay_max_bytes,
            fs_compaction: CompactionConfig::default(),
            rocksdb: RocksDbSettings::default(),
            data_inline_threshold: 20 << 10,
            memory_max_state_size: 5 << 20,
            cache_dir: None,
            cache_max_bytes: 8 << 30,
            stores: StorageSettings::default(),
            entropy: None,
            num_retained: NonZeroU32::MIN,
            interval: None,
            mode: CheckpointingMode::ExactlyOnce,
            unaligned: false,
            aligned_timeout: Duration::ZERO,
            timeout: Duration::from_mins(10),
            min_pause: Duration::ZERO,
            max_concurrent: NonZeroU32::MIN,
            tolerable_failed: 0,
            retention: ExternalizedCheckpointCleanup::NoExternalizedCheckpoints,
            restart_strategy: RestartStrategy::None,
            parallelism: Parallelism::ONE,
            max_parallelism: MaxParallelism::DEFAULT,
        }
    }
}

/// What a restored job may count on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CheckpointingMode {
    /// Every record counts once.
    ExactlyOnce,
    /// Every record counts, some of them twice; no input waits for another during a checkpoint.
    AtLeastOnce,
}

/// A state backend by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Backend {
    /// State in a hash map, written into the metadata file.
    Memory,
    /// State in mapped segment files.
    Fs,
    /// State in RocksDB, if the program is built with the feature `rocksdb`.
    RocksDb,
}

#[cfg(all(test, feature = "rocksdb"))]
#[test]
fn the_defaults_of_the_rocksdb_backend_are_its_own() {
    let expected = tidegate_state_rocksdb::RocksDbStateConfig::default();
    assert_eq!(JobConfig::default().rocksdb(), expected);
}
