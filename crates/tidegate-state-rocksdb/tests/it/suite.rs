//! The suite that every backend passes, in each of the places and modes of this one.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_state::conformance;
use tidegate_state_rocksdb::{Compression, RocksDbStateBackend, RocksDbStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, MemoryStorage, StoragePath};

fn local(directory: &tempfile::TempDir) -> Arc<dyn CheckpointStorage> {
    Arc::new(FsStorage::open(directory.path()).unwrap())
}

fn working(storage: &Arc<dyn CheckpointStorage>) -> RocksDbStateBackend {
    let directory = StoragePath::new("taskowned").unwrap();
    let backend = RocksDbStateBackend::in_checkpoint_directory();
    backend.with_working_directory(Arc::clone(storage), directory)
}

#[test]
fn beside_the_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&directory);
    conformance::run(&working(&storage), &storage);
    let left = std::fs::read_dir(directory.path().join("taskowned")).unwrap().count();
    assert_eq!(left, 0, "working files go with the task");
}

#[test]
fn where_nothing_can_be_linked() {
    let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
    let config = RocksDbStateConfig { data_inline_threshold: 0, ..RocksDbStateConfig::default() };
    conformance::run(&working(&storage).with_config(config), &storage);
}

#[test]
fn with_whole_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&directory);
    let config = RocksDbStateConfig {
        incremental: false,
        data_inline_threshold: 0,
        ..RocksDbStateConfig::default()
    };
    conformance::run(&working(&storage).with_config(config), &storage);
}

#[test]
fn with_a_write_buffer_of_a_few_entries_and_other_settings() {
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&directory);
    let local_directory = tempfile::tempdir().unwrap();
    let some = |number| NonZeroUsize::new(number).unwrap();
    let config = RocksDbStateConfig {
        data_inline_threshold: 0,
        memory_bytes: some(1 << 20),
        write_buffer_ratio: 0.1,
        write_buffer_bytes: some(4 << 10),
        write_buffers_max: some(3),
        compression: Compression::Zstd,
        bloom_bits_per_key: None,
        threads: some(1),
        transfer_threads: some(1),
        local_directory: Some(local_directory.path().join("made/if/absent")),
        ..RocksDbStateConfig::default()
    };
    conformance::run(&working(&storage).with_config(config), &storage);
    let left = std::fs::read_dir(local_directory.path().join("made/if/absent")).unwrap().count();
    assert_eq!(left, 0, "databases go with the task");
}
