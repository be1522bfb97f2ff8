//! Whether a checkpoint is whole: every file that it refers to is there and is the one written.

use std::collections::HashSet;

use tidegate_meta::CheckpointMetadata;

use crate::{FileProblem, FileResolver, LocatedCheckpoint, RestoreError};

/// Reads every file that the checkpoint refers to; names all that are missing or damaged at once.
pub fn verify(located: &LocatedCheckpoint) -> Result<(), RestoreError> {
    if located.is_verified() {
        return Ok(());
    }
    let problems = problems(&located.resolver(), &located.metadata);
    if problems.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Files { path: located.uri().into(), problems })
}

fn problems(resolver: &FileResolver, metadata: &CheckpointMetadata) -> Vec<FileProblem> {
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for operator in &metadata.operators {
        for (subtask, state) in &operator.subtasks {
            for file in state.files().filter(|file| seen.insert(*file)) {
                if let Err(fault) = resolver.check(file) {
                    problems.push(FileProblem {
                        reference: file.reference.clone(),
                        operator: operator.uid.clone(),
                        subtask: *subtask,
                        fault,
                    });
                }
            }
        }
    }
    problems
}
