//! The model of the subtasks: what they hold, upload, use again and report.

use std::collections::{BTreeMap, VecDeque};

use tidegate_coordinator::{Acknowledgement, SubtaskStats};
use tidegate_types::{
    AttemptId, Barrier, CheckpointId, Digest, Distribution, FileHandle, FileReference,
    ListStateHandle, OperatorUid, StateHandle, Subtask, SubtaskState, TaskId,
};

use super::rng::Rng;
use crate::common::state_with;

/// What the driver has told a subtask.
#[derive(Clone, Copy)]
pub(crate) enum Command {
    Barrier(Barrier),
    Completed(CheckpointId),
}

/// One subtask: its state is a set of segments; a segment that the newest checkpoint it knows to
/// be complete has in a file is not written again.
pub(crate) struct ModelSubtask {
    pub(crate) task: TaskId,
    pub(crate) subtask: Subtask,
    pub(crate) operator: OperatorUid,
    pub(crate) commands: VecDeque<Command>,
    segments: Vec<u64>,
    confirmed: BTreeMap<u64, FileHandle>,
    tentative: BTreeMap<CheckpointId, BTreeMap<u64, FileHandle>>,
}

impl ModelSubtask {
    pub(crate) fn new(task: TaskId, subtask: Subtask, operator: OperatorUid) -> Self {
        Self {
            task,
            subtask,
            operator,
            commands: VecDeque::new(),
            segments: Vec::new(),
            confirmed: BTreeMap::new(),
            tentative: BTreeMap::new(),
        }
    }

    /// Starts anew with the files of a restored checkpoint, or with nothing.
    pub(crate) fn restart(&mut self, restored: &[FileHandle], names: &mut u64) {
        self.commands.clear();
        self.tentative.clear();
        let mut confirmed = BTreeMap::new();
        for file in restored {
            *names += 1;
            confirmed.insert(*names, file.clone());
        }
        self.segments = confirmed.keys().copied().collect();
        self.confirmed = confirmed;
    }

    pub(crate) fn completed(&mut self, checkpoint: CheckpointId) {
        if let Some(files) = self.tentative.remove(&checkpoint) {
            self.confirmed = files;
        }
        self.tentative.retain(|older, _| *older > checkpoint);
    }

    /// Takes a snapshot; gives its acknowledgement and the files that it has written.
    pub(crate) fn snapshot(
        &mut self,
        barrier: Barrier,
        attempt: AttemptId,
        names: &mut u64,
        rng: &mut Rng,
    ) -> (Acknowledgement, Vec<FileReference>) {
        if rng.chance(20) {
            self.segments.clear();
        }
        if rng.chance(70) {
            *names += 1;
            self.segments.push(*names);
        }
        let mut written = Vec::new();
        let mut files = BTreeMap::new();
        for segment in &self.segments {
            let file = self.confirmed.get(segment).cloned().unwrap_or_else(|| {
                *names += 1;
                let file = file(FileReference::in_job(&format!("shared/{names}")).unwrap());
                written.push(file.reference.clone());
                file
            });
            files.insert(*segment, file);
        }
        let shared: Vec<_> = files.values().cloned().collect();
        self.tentative.insert(barrier.checkpoint, files);

        let mut state = state_with(&shared);
        *names += 1;
        let own = format!("{attempt}-{names}");
        let exclusive = file(FileReference::in_checkpoint(&own).unwrap());
        written.push(exclusive.reference.clone());
        state.keyed[0].manifest = StateHandle::File(exclusive);
        if rng.chance(30) {
            let outlying = file(FileReference::absolute(&format!("x://data/{own}")).unwrap());
            written.push(outlying.reference.clone());
            state.lists.push(list(outlying));
        }
        (self.acknowledgement(barrier.checkpoint, state), written)
    }

    pub(crate) fn acknowledgement(
        &self,
        checkpoint: CheckpointId,
        state: SubtaskState,
    ) -> Acknowledgement {
        Acknowledgement {
            checkpoint,
            task: self.task,
            subtask: self.subtask,
            operators: vec![(self.operator.clone(), Vec::new(), state)],
            stats: SubtaskStats::default(),
        }
    }
}

pub(crate) fn file(reference: FileReference) -> FileHandle {
    FileHandle { reference, length: 1, digest: Digest::of(b"") }
}

fn list(file: FileHandle) -> ListStateHandle {
    ListStateHandle {
        name: "items".into(),
        distribution: Distribution::Split,
        item_lengths: vec![1],
        items: StateHandle::File(file),
    }
}
