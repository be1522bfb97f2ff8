//! Checkpoints that are complete: their metadata is durable under its name.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{CheckpointId, FileHandle, FileReference, SnapshotKind, SubtaskState};

/// A complete checkpoint. Only the coordinator makes one, when it is told of the publication.
#[derive(Clone, Debug, PartialEq)]
pub struct CompletedCheckpoint {
    metadata: Arc<CheckpointMetadata>,
    // Whether the job may delete it: not a savepoint, unless it was claimed.
    is_owned: bool,
}

impl CompletedCheckpoint {
    pub(crate) fn new(metadata: Arc<CheckpointMetadata>) -> Self {
        let is_owned = metadata.kind != SnapshotKind::Savepoint;
        Self { metadata, is_owned }
    }

    pub(crate) fn claimed(metadata: Arc<CheckpointMetadata>) -> Self {
        Self { metadata, is_owned: true }
    }

    /// Which.
    pub fn checkpoint(&self) -> CheckpointId {
        self.metadata.checkpoint
    }

    /// For whom it was taken.
    pub fn kind(&self) -> SnapshotKind {
        self.metadata.kind
    }

    /// What was published.
    pub fn metadata(&self) -> &Arc<CheckpointMetadata> {
        &self.metadata
    }

    pub(crate) fn shared_files(&self) -> impl Iterator<Item = &FileHandle> {
        states(&self.metadata).flat_map(shared_files)
    }

    /// Files of no other checkpoint that do not lie in the checkpoint's own directory.
    pub(crate) fn outlying_files(&self) -> Vec<FileHandle> {
        states(&self.metadata).flat_map(outlying_files).cloned().collect()
    }
}

/// The checkpoint that a job goes on from.
#[derive(Clone, Debug, PartialEq)]
pub struct RestoredCheckpoint {
    pub(crate) metadata: Arc<CheckpointMetadata>,
    pub(crate) is_claimed: bool,
}

impl RestoredCheckpoint {
    /// A checkpoint that stays its owner's (`NO_CLAIM`): none of its files is deleted.
    #[must_use]
    pub fn not_claimed(metadata: Arc<CheckpointMetadata>) -> Self {
        Self { metadata, is_claimed: false }
    }

    /// A checkpoint that is the job's own from now on (`CLAIM`), a savepoint too: it is deleted
    /// when newer ones subsume it, and retained or deleted at the job's end like them.
    ///
    /// Whoever carries out the actions knows where it lies. References to files outside of its
    /// directory must be absolute if that is not the job's own directory.
    #[must_use]
    pub fn claimed(metadata: Arc<CheckpointMetadata>) -> Self {
        Self { metadata, is_claimed: true }
    }

    /// What it holds.
    #[must_use]
    pub fn metadata(&self) -> &Arc<CheckpointMetadata> {
        &self.metadata
    }
}

pub(crate) fn states(metadata: &CheckpointMetadata) -> impl Iterator<Item = &SubtaskState> {
    metadata.operators.iter().flat_map(|operator| operator.subtasks.iter().map(|(_, state)| state))
}

pub(crate) fn shared_files(state: &SubtaskState) -> impl Iterator<Item = &FileHandle> {
    state.keyed.iter().flat_map(|keyed| keyed.shared.iter().map(|shared| &shared.file))
}

/// The exclusive files that do not go with the checkpoint's directory.
pub(crate) fn outlying_files(state: &SubtaskState) -> impl Iterator<Item = &FileHandle> {
    let keyed = state.keyed.iter().filter_map(|keyed| keyed.manifest.file());
    let lists = state.lists.iter().filter_map(|list| list.items.file());
    let channels = state.channels.iter().filter_map(|channel| channel.records.file());
    let exclusive = keyed.chain(lists).chain(channels);
    exclusive.filter(|file| !matches!(file.reference, FileReference::InCheckpoint(_)))
}

/// The complete checkpoints that a job may go back to, oldest first.
#[derive(Clone, Debug)]
pub(crate) struct CompletedCheckpoints {
    // Invariant: ids ascend.
    checkpoints: VecDeque<CompletedCheckpoint>,
    retained: usize,
}

impl CompletedCheckpoints {
    pub(crate) fn new(retained: NonZeroU32) -> Self {
        let retained = usize::try_from(retained.get()).unwrap_or(usize::MAX);
        Self { checkpoints: VecDeque::new(), retained }
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &CompletedCheckpoint> {
        self.checkpoints.iter()
    }

    /// Adds the newest and takes out the ones too many. Savepoints count for nothing: older ones
    /// are forgotten as soon as a newer checkpoint is complete, and never handed out for deletion.
    pub(crate) fn add(&mut self, newest: CompletedCheckpoint) -> Vec<CompletedCheckpoint> {
        self.checkpoints.retain(|old| old.is_owned);
        self.recover(newest);
        let own = self.checkpoints.iter().filter(|checkpoint| checkpoint.is_owned).count();
        self.checkpoints.drain(..own.saturating_sub(self.retained)).collect()
    }

    /// Adds the newest and takes out none.
    pub(crate) fn recover(&mut self, newest: CompletedCheckpoint) {
        let last = self.checkpoints.back().map(CompletedCheckpoint::checkpoint);
        assert!(last < Some(newest.checkpoint()), "checkpoints complete in order");
        self.checkpoints.push_back(newest);
    }

    /// Takes out all but the newest `keep` of the job's own checkpoints, oldest first.
    pub(crate) fn truncate(&mut self, keep: usize) -> Vec<CompletedCheckpoint> {
        self.checkpoints.retain(|old| old.is_owned);
        let surplus = self.checkpoints.len().saturating_sub(keep);
        self.checkpoints.drain(..surplus).collect()
    }
}
