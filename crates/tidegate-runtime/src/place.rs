//! Where the job's checkpoints go, and the right to write there.

use std::sync::Arc;

use tidegate_coordinator::CheckpointPaths;
use tidegate_store::{CheckpointStorage, Ownership, StorageRegistry};
use tidegate_types::CheckpointId;

/// The job's checkpoint directory, owned by this process while it exists.
#[derive(Debug)]
pub(crate) struct CheckpointPlace {
    /// Where the stores are that files of checkpoints may lie in.
    pub(crate) registry: StorageRegistry,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) paths: CheckpointPaths,
    pub(crate) ownership: Box<dyn Ownership>,
}

impl CheckpointPlace {
    /// The URI of a checkpoint's directory, as `run -s` takes it.
    pub(crate) fn uri_of(&self, checkpoint: CheckpointId) -> String {
        format!("{}/{}", self.storage.uri(), self.paths.checkpoint(checkpoint))
    }
}
