//! What lies in a job's directory: read by its owner before the job starts.

use std::collections::HashSet;
use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_store::{CheckpointStorage, StorageRegistry};
use tidegate_types::{CheckpointId, FileReference, SnapshotKind};

use crate::locate::{locate_in, read_checkpoint, storage_error, uri};
use crate::maintain::checkpoints;
use crate::{
    CheckpointPaths, FileFault, FileProblem, LocatedCheckpoint, RestoreError, SkippedCheckpoint,
    verify,
};

/// The complete checkpoints of a job's directory.
#[derive(Debug, Default)]
pub struct Survey {
    /// Those that the present run has taken, in an earlier process of its: oldest first. They are
    /// the run's to delete.
    pub own: Vec<LocatedCheckpoint>,
    /// Those of earlier runs, which belong to whoever keeps them: oldest first.
    pub others: Vec<Arc<CheckpointMetadata>>,
    /// Those whose metadata is damaged: what they refer to is not known.
    pub unreadable: Vec<SkippedCheckpoint>,
}

impl Survey {
    /// The files below the job's directory that a checkpoint there refers to.
    pub(crate) fn used(&self) -> HashSet<&str> {
        let own = self.own.iter().map(|located| &located.metadata);
        let operators = own.chain(&self.others).flat_map(|metadata| &metadata.operators);
        let states = operators.flat_map(|operator| &operator.subtasks);
        let files = states.flat_map(|(_, state)| state.files());
        files.filter_map(|file| in_job(&file.reference)).collect()
    }
}

/// The newest of its own checkpoints that a run goes on from.
#[derive(Debug)]
pub struct NewestOwn {
    /// It, with all of its files checked; `None` when there is none that is whole.
    pub checkpoint: Option<LocatedCheckpoint>,
    /// Newer ones that are damaged, newest first. They are no longer the run's own: somebody may
    /// want to look at them.
    pub skipped: Vec<SkippedCheckpoint>,
}

impl Survey {
    /// Finds it, and counts what is newer and damaged to the [`others`](Self::others).
    ///
    /// Fails when a file cannot be read for another reason than damage: going back further because
    /// of a storage that is out of order for a moment would be wrong.
    pub fn newest_own(&mut self) -> Result<NewestOwn, RestoreError> {
        let mut skipped = Vec::new();
        while let Some(newest) = self.own.pop() {
            match verify(&newest) {
                Ok(()) => {
                    let found = locate_in(&newest.registry, &newest.storage, &newest.directory)?;
                    self.own.push(newest);
                    return Ok(NewestOwn { checkpoint: Some(found), skipped });
                }
                Err(RestoreError::Files { path, problems }) if problems.iter().all(is_damage) => {
                    let error = RestoreError::Files { path: path.clone(), problems };
                    skipped.push(SkippedCheckpoint { path, error });
                    self.others.push(newest.metadata);
                }
                Err(other) => return Err(other),
            }
        }
        Ok(NewestOwn { checkpoint: None, skipped })
    }
}

fn is_damage(problem: &FileProblem) -> bool {
    !matches!(problem.fault, FileFault::Unreadable(_))
}

fn in_job(reference: &FileReference) -> Option<&str> {
    match reference {
        FileReference::InJob(path) => Some(path),
        _ => None,
    }
}

/// Reads all complete checkpoints. Own ones are those from `since` on, the first number that the run
/// could give; without it, there are none.
///
/// Fails when the storage does: whoever does not know all checkpoints must not delete anything.
pub fn survey(
    registry: &StorageRegistry,
    storage: &Arc<dyn CheckpointStorage>,
    paths: &CheckpointPaths,
    since: Option<CheckpointId>,
) -> Result<Survey, RestoreError> {
    let mut survey = Survey::default();
    let failed = |source| storage_error(&uri(&**storage, &paths.job_directory()), source);
    for checkpoint in checkpoints(&**storage, paths).map_err(failed)? {
        match read_checkpoint(registry, storage, paths.checkpoint(checkpoint)) {
            Ok(located) => {
                let metadata = &located.metadata;
                let is_own = since.is_some_and(|since| metadata.checkpoint >= since)
                    && metadata.kind != SnapshotKind::Savepoint;
                if is_own {
                    survey.own.push(located);
                } else {
                    survey.others.push(located.metadata);
                }
            }
            Err(RestoreError::Incomplete { .. }) => {}
            // What the storage does not give at the moment may be needed all the same.
            Err(error @ RestoreError::Storage { .. }) => return Err(error),
            Err(error) => {
                let path = uri(&**storage, &paths.checkpoint(checkpoint));
                survey.unreadable.push(SkippedCheckpoint { path, error });
            }
        }
    }
    Ok(survey)
}
