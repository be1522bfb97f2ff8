//! What became of the latest checkpoints, for people and metrics.

use std::collections::VecDeque;
use std::time::Duration;

use tidegate_types::{Barrier, CheckpointId, SnapshotKind, Subtask, TaskId};

use crate::{AbortReason, AcknowledgeOutcome, SubtaskStats};

/// How many checkpoints the history goes back.
const HISTORY: usize = 10;

/// The counts since the coordinator began, and the latest checkpoints.
#[derive(Clone, Debug, Default)]
pub struct Statistics {
    counts: Counts,
    history: VecDeque<CheckpointStatistics>,
}

/// How often something has happened since the coordinator began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Checkpoints that were started.
    pub triggered: u64,
    /// Checkpoints that completed.
    pub completed: u64,
    /// Checkpoints that were given up, for whatever reason.
    pub aborted: u64,
    /// Acknowledgements that were taken.
    pub accepted: u64,
    /// Acknowledgements that repeated another one.
    pub duplicate: u64,
    /// Acknowledgements of subtasks that the job does not have.
    pub unknown: u64,
    /// Acknowledgements that came too late.
    pub discarded: u64,
}

/// One checkpoint of the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointStatistics {
    /// Which.
    pub checkpoint: CheckpointId,
    /// For whom.
    pub kind: SnapshotKind,
    /// When it started: milliseconds since the Unix epoch.
    pub triggered_at_ms: u64,
    /// How far it has come.
    pub status: CheckpointStatus,
    /// How many subtasks have acknowledged.
    pub acknowledged: usize,
    /// The bytes of all state in it, files of earlier checkpoints included.
    pub state_length: u64,
    /// The longest of all subtasks, each figure for itself; the sums of their bytes.
    pub slowest: SubtaskStats,
    /// Each subtask that has acknowledged, in that order.
    pub subtasks: Vec<SubtaskStatistics>,
    // On the coordinator's clock.
    started: Duration,
}

/// What one subtask's part of a checkpoint took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubtaskStatistics {
    /// The task.
    pub task: TaskId,
    /// The subtask.
    pub subtask: Subtask,
    /// What it took.
    pub stats: SubtaskStats,
}

/// How far a checkpoint has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckpointStatus {
    /// It is under way.
    Pending,
    /// It is complete.
    Completed {
        /// From the trigger to the publication.
        duration: Duration,
    },
    /// It was given up.
    Aborted {
        /// Why.
        reason: AbortReason,
    },
}

impl Statistics {
    /// The counts since the coordinator began.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// The latest ten checkpoints, oldest first.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = &CheckpointStatistics> {
        self.history.iter()
    }

    pub(crate) fn triggered(&mut self, barrier: Barrier, now: Duration) {
        self.counts.triggered += 1;
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        self.history.push_back(CheckpointStatistics {
            checkpoint: barrier.checkpoint,
            kind: barrier.kind,
            triggered_at_ms: barrier.triggered_at_ms,
            status: CheckpointStatus::Pending,
            acknowledged: 0,
            state_length: 0,
            slowest: SubtaskStats::default(),
            subtasks: Vec::new(),
            started: now,
        });
    }

    pub(crate) fn acknowledged(&mut self, outcome: AcknowledgeOutcome) {
        *match outcome {
            AcknowledgeOutcome::Accepted | AcknowledgeOutcome::Completed => {
                &mut self.counts.accepted
            }
            AcknowledgeOutcome::Duplicate => &mut self.counts.duplicate,
            AcknowledgeOutcome::UnknownSubtask => &mut self.counts.unknown,
            AcknowledgeOutcome::Discarded => &mut self.counts.discarded,
        } += 1;
    }

    pub(crate) fn part(
        &mut self,
        id: CheckpointId,
        (task, subtask): (TaskId, Subtask),
        stats: &SubtaskStats,
        length: u64,
    ) {
        if let Some(entry) = self.entry(id) {
            let slowest = &mut entry.slowest;
            slowest.start_delay = slowest.start_delay.max(stats.start_delay);
            slowest.alignment = slowest.alignment.max(stats.alignment);
            for (sum, more) in [
                (&mut slowest.processed_in_alignment, stats.processed_in_alignment),
                (&mut slowest.persisted_in_alignment, stats.persisted_in_alignment),
            ] {
                *sum = sum.saturating_add(more);
            }
            slowest.synchronous = slowest.synchronous.max(stats.synchronous);
            slowest.asynchronous = slowest.asynchronous.max(stats.asynchronous);
            slowest.written = slowest.written.saturating_add(stats.written);
            entry.subtasks.push(SubtaskStatistics { task, subtask, stats: *stats });
            entry.acknowledged += 1;
            entry.state_length = entry.state_length.saturating_add(length);
        }
    }

    pub(crate) fn completed(&mut self, id: CheckpointId, now: Duration) {
        self.counts.completed += 1;
        if let Some(entry) = self.entry(id) {
            let duration = now.saturating_sub(entry.started);
            entry.status = CheckpointStatus::Completed { duration };
        }
    }

    pub(crate) fn aborted(&mut self, id: CheckpointId, reason: &AbortReason) {
        self.counts.aborted += 1;
        if let Some(entry) = self.entry(id) {
            entry.status = CheckpointStatus::Aborted { reason: reason.clone() };
        }
    }

    fn entry(&mut self, id: CheckpointId) -> Option<&mut CheckpointStatistics> {
        self.history.iter_mut().rev().find(|entry| entry.checkpoint == id)
    }
}
