//! What lies in the model's storage, by name.

use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{AttemptId, CheckpointId, FileReference, OperatorState, SnapshotKind};

use super::tasks::{ModelSubtask, file};
use crate::common::{id, job, state_with, topology, uid};

/// What an earlier run has left: checkpoint 3, with files that this run may use again.
pub(crate) fn restored_checkpoint(subtasks: &[ModelSubtask]) -> Arc<CheckpointMetadata> {
    let max_parallelism = topology(1, 1).max_parallelism;
    let operators = ["source", "sink"].map(|operator| {
        let own = || subtasks.iter().filter(|subtask| subtask.operator == uid(operator));
        let state = |subtask: &ModelSubtask| {
            let name = format!("shared/restored-{operator}-{}", subtask.subtask.index());
            let shared = file(FileReference::in_job(&name).unwrap());
            (subtask.subtask.index(), state_with(&[shared]))
        };
        OperatorState {
            uid: uid(operator),
            parallelism: own().next().unwrap().subtask.parallelism(),
            max_parallelism,
            registered: Vec::new(),
            subtasks: own().map(state).collect(),
        }
    });
    Arc::new(CheckpointMetadata {
        job_id: job().job_id,
        job_name: job().job_name,
        checkpoint: id(3),
        attempt: AttemptId::new(0),
        kind: SnapshotKind::Checkpoint,
        created_at_ms: 0,
        operators: operators.into(),
    })
}

/// The names on disk of all that a checkpoint refers to.
pub(crate) fn files(metadata: &CheckpointMetadata) -> impl Iterator<Item = String> {
    let states = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    let files = states.flat_map(|(_, state)| state.files());
    files.map(|file| name(metadata.checkpoint, &file.reference))
}

pub(crate) fn name(checkpoint: CheckpointId, reference: &FileReference) -> String {
    match reference {
        FileReference::InCheckpoint(path) => format!("chk-{checkpoint}/{path}"),
        other => other.as_str().to_owned(),
    }
}
