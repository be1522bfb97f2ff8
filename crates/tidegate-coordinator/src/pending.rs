//! A checkpoint under way: which subtasks have acknowledged, and with what.

use std::time::Duration;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{
    Barrier, CheckpointId, FileHandle, OperatorState, OperatorUid, RegisteredState, Subtask,
    SubtaskState,
};

use crate::completed::outlying_files;
use crate::{JobInfo, Topology};

/// What one subtask has acknowledged with.
pub(crate) type Part = Vec<(OperatorUid, Vec<RegisteredState>, SubtaskState)>;

#[derive(Clone, Debug)]
pub(crate) struct PendingCheckpoint {
    pub(crate) barrier: Barrier,
    /// When it was triggered, on the coordinator's clock.
    pub(crate) started: Duration,
    /// The newest checkpoint that was complete then: this one may use its shared files.
    pub(crate) base: Option<CheckpointId>,
    // By the position of the subtask in the topology.
    parts: Vec<Option<Part>>,
    missing: usize,
}

impl PendingCheckpoint {
    pub(crate) fn new(
        barrier: Barrier,
        started: Duration,
        base: Option<CheckpointId>,
        subtasks: usize,
    ) -> Self {
        Self { barrier, started, base, parts: vec![None; subtasks], missing: subtasks }
    }

    /// How many subtasks have not acknowledged.
    pub(crate) fn missing(&self) -> usize {
        self.missing
    }

    pub(crate) fn has(&self, position: usize) -> bool {
        self.parts[position].is_some()
    }

    pub(crate) fn take(&mut self, position: usize, part: Part) {
        let place = &mut self.parts[position];
        assert!(place.is_none(), "a repeated acknowledgement is refused before");
        *place = Some(part);
        self.missing -= 1;
    }

    /// Which subtasks have acknowledged.
    pub(crate) fn reported(&self) -> Vec<bool> {
        self.parts.iter().map(Option::is_some).collect()
    }

    /// Exclusive files that do not go with the checkpoint's directory.
    pub(crate) fn outlying_files(&self) -> Vec<FileHandle> {
        let states = self.parts.iter().flatten().flatten().map(|(_, _, state)| state);
        states.flat_map(outlying_files).cloned().collect()
    }

    /// The metadata, once nothing is missing.
    pub(crate) fn into_metadata(
        mut self,
        topology: &Topology,
        job: &JobInfo,
    ) -> CheckpointMetadata {
        assert_eq!(self.missing, 0, "checkpoint {} is not complete", self.barrier.checkpoint);
        let mut operators = Vec::new();
        let mut parts = self.parts.iter_mut();
        for task in &topology.tasks {
            let first = operators.len();
            operators.extend(task.operators.iter().map(|uid| OperatorState {
                uid: uid.clone(),
                parallelism: task.parallelism,
                max_parallelism: topology.max_parallelism,
                registered: Vec::new(),
                subtasks: Vec::new(),
            }));
            for (subtask, part) in Subtask::all(task.parallelism).zip(&mut parts) {
                for (uid, registered, state) in part.take().expect("nothing is missing") {
                    let known = operators[first..].iter_mut().find(|operator| operator.uid == uid);
                    let operator = known.expect("an operator of the task, as was checked before");
                    merge(&mut operator.registered, registered);
                    if state != SubtaskState::default() {
                        operator.subtasks.push((subtask.index(), state));
                    }
                }
            }
        }
        operators
            .retain(|operator| !operator.registered.is_empty() || !operator.subtasks.is_empty());
        CheckpointMetadata {
            job_id: job.job_id,
            job_name: job.job_name.clone(),
            checkpoint: self.barrier.checkpoint,
            attempt: job.attempt,
            kind: self.barrier.kind,
            created_at_ms: self.barrier.triggered_at_ms,
            operators,
        }
    }
}

// Subtasks register the same states, but one without keys may not have come to register all.
fn merge(registered: &mut Vec<RegisteredState>, more: Vec<RegisteredState>) {
    for state in more {
        if !registered.iter().any(|known| known.name == state.name && known.kind == state.kind) {
            registered.push(state);
        }
    }
}
