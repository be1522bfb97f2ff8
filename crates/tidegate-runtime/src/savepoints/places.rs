//! Where the snapshots of savepoints go, by number: asked by the snapshot threads.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_coordinator::{CheckpointPaths, FileResolver};
use tidegate_store::{CheckpointStorage, StorageError, StoragePath, StorageRegistry};
use tidegate_types::CheckpointId;

/// A savepoint's own directory.
#[derive(Clone, Debug)]
pub(crate) struct SavepointPlace {
    pub(crate) registry: StorageRegistry,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) directory: StoragePath,
}

impl SavepointPlace {
    /// The directory `name` in the directory of savepoints.
    pub(crate) fn new(
        registry: &StorageRegistry,
        savepoints: &str,
        name: &str,
    ) -> Result<Self, StorageError> {
        let storage = registry.open(savepoints)?;
        Ok(Self { registry: registry.clone(), storage, directory: StoragePath::new(name)? })
    }

    /// The URI, as `run -s` takes it.
    pub(crate) fn uri(&self) -> String {
        format!("{}/{}", self.storage.uri(), self.directory)
    }

    pub(crate) fn metadata(&self) -> StoragePath {
        let path = self.directory.join(CheckpointPaths::METADATA);
        path.expect("a savepoint's name is short")
    }

    pub(crate) fn resolver(&self) -> FileResolver {
        let (registry, storage) = (self.registry.clone(), Arc::clone(&self.storage));
        FileResolver::new(registry, storage, self.directory.clone())
    }
}

/// The places of all savepoints under way and of those that were given up.
#[derive(Debug, Default)]
pub(crate) struct SavepointPlaces(Mutex<BTreeMap<CheckpointId, SavepointPlace>>);

impl SavepointPlaces {
    pub(crate) fn insert(&self, checkpoint: CheckpointId, place: SavepointPlace) {
        self.0.lock().insert(checkpoint, place);
    }

    pub(crate) fn get(&self, checkpoint: CheckpointId) -> Option<SavepointPlace> {
        self.0.lock().get(&checkpoint).cloned()
    }

    /// From now on it belongs to the user: nothing can find it here to delete it.
    pub(crate) fn remove(&self, checkpoint: CheckpointId) {
        self.0.lock().remove(&checkpoint);
    }
}
