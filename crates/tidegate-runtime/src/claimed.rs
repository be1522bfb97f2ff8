//! The checkpoint that this run goes on from, and whose it is.

use std::fs;
use std::sync::Arc;

use tidegate_coordinator::{
    CheckpointPaths, FileResolver, LocatedCheckpoint, RestoredCheckpoint, rebased,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_store::{
    CheckpointStorage, OwnerInfo, Ownership, StorageError, StoragePath, StorageRegistry,
};
use tidegate_types::CheckpointId;

use crate::error::JobError;
use crate::place::CheckpointPlace;
use crate::run_options::ClaimMode;

/// A restored checkpoint.
pub(crate) struct RestoredFrom {
    pub(crate) metadata: Arc<CheckpointMetadata>,
    pub(crate) resolver: FileResolver,
    claim: ClaimMode,
    /// Of a claimed checkpoint outside of the job's own directory.
    foreign: Option<Arc<ForeignPlace>>,
}

/// Where a claimed checkpoint lies, held for as long as this run lasts.
pub(crate) struct ForeignPlace {
    registry: StorageRegistry,
    pub(crate) storage: Arc<dyn CheckpointStorage>,
    pub(crate) directory: StoragePath,
    _ownership: Box<dyn Ownership>,
}

impl RestoredFrom {
    /// Takes the checkpoint as it is to be used; a claimed one is taken away from everybody else.
    pub(crate) fn new(
        located: &LocatedCheckpoint,
        claim: ClaimMode,
        place: &CheckpointPlace,
        owner: &OwnerInfo,
    ) -> Result<Self, JobError> {
        let (metadata, resolver) = (Arc::clone(&located.metadata), located.resolver());
        if claim == ClaimMode::NoClaim || is_home(located, place) {
            return Ok(Self { metadata, resolver, claim, foreign: None });
        }
        let held = match located.directory.file_name().and_then(CheckpointPaths::checkpoint_of) {
            // The other checkpoints of its job's directory may use the same files.
            Some(_) => located.directory.parent().expect("it has a name"),
            None => located.directory.clone(),
        };
        let foreign = ForeignPlace {
            registry: located.registry.clone(),
            storage: Arc::clone(&located.storage),
            directory: located.directory.clone(),
            _ownership: located.storage.own(&held, owner)?,
        };
        Ok(Self { metadata: rebased(located)?, resolver, claim, foreign: Some(Arc::new(foreign)) })
    }

    /// A checkpoint of the run itself, whose program was started again.
    pub(crate) fn own(located: &LocatedCheckpoint) -> Self {
        let (metadata, resolver) = (Arc::clone(&located.metadata), located.resolver());
        Self { metadata, resolver, claim: ClaimMode::Claim, foreign: None }
    }

    /// What the coordinator is told of it.
    pub(crate) fn for_coordinator(&self) -> RestoredCheckpoint {
        let metadata = Arc::clone(&self.metadata);
        match self.claim {
            ClaimMode::NoClaim => RestoredCheckpoint::not_claimed(metadata),
            ClaimMode::Claim => RestoredCheckpoint::claimed(metadata),
        }
    }

    /// Whether new checkpoints may refer to its files.
    pub(crate) fn may_be_shared(&self) -> bool {
        self.claim == ClaimMode::Claim
    }

    /// Where the checkpoint with this number lies, if it is this one and lies elsewhere.
    pub(crate) fn foreign(&self, checkpoint: CheckpointId) -> Option<Arc<ForeignPlace>> {
        self.foreign.clone().filter(|_| self.metadata.checkpoint == checkpoint)
    }
}

/// Whether it is a checkpoint of the job's own directory, however that is written.
fn is_home(located: &LocatedCheckpoint, place: &CheckpointPlace) -> bool {
    let own = place.paths.checkpoint(located.metadata.checkpoint);
    let canonical = |storage: &dyn CheckpointStorage, path: &StoragePath| {
        storage.local_path(path).and_then(|path| fs::canonicalize(path).ok())
    };
    match (canonical(&*located.storage, &located.directory), canonical(&*place.storage, &own)) {
        (Some(found), Some(own)) => found == own,
        (None, None) => located.uri() == place.uri_of(located.metadata.checkpoint),
        _ => false,
    }
}

impl ForeignPlace {
    /// Deletes the claimed checkpoint, which a newer one has subsumed.
    pub(crate) fn discard(
        &self,
        discarded: &tidegate_coordinator::Discarded,
    ) -> Result<(), StorageError> {
        tidegate_coordinator::discard_at(&self.registry, &*self.storage, &self.directory, discarded)
    }
}
