//! The suite that every backend passes, in each of the places and modes of this one.

use std::num::NonZeroUsize;
use std::sync::Arc;

use tidegate_state::conformance;
use tidegate_state_fs::{CompactionConfig, FsStateBackend, FsStateConfig};
use tidegate_store::{CheckpointStorage, FsStorage, MemoryStorage, StoragePath};

fn local(directory: &tempfile::TempDir) -> Arc<dyn CheckpointStorage> {
    Arc::new(FsStorage::open(directory.path()).unwrap())
}

fn working(storage: &Arc<dyn CheckpointStorage>) -> FsStateBackend {
    let directory = StoragePath::new("taskowned").unwrap();
    FsStateBackend::in_checkpoint_directory().with_working_directory(Arc::clone(storage), directory)
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
fn where_nothing_can_be_mapped_or_linked() {
    let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
    conformance::run(&working(&storage), &storage);
}

#[test]
fn with_whole_checkpoints() {
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&directory);
    let config = FsStateConfig { incremental: false, ..FsStateConfig::default() };
    conformance::run(&working(&storage).with_config(config), &storage);
}

#[test]
fn with_an_overlay_of_a_few_entries_and_constant_merging() {
    let directory = tempfile::tempdir().unwrap();
    let storage = local(&directory);
    let config = FsStateConfig {
        overlay_max_bytes: 2_000,
        compaction: CompactionConfig {
            max_segments: NonZeroUsize::new(2).unwrap(),
            min_merge: NonZeroUsize::new(2).unwrap(),
            max_space_amplification_percent: 10,
        },
        ..FsStateConfig::default()
    };
    conformance::run(&working(&storage).with_config(config), &storage);
}
