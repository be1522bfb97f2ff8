//! The coordinator: a function of events and the time to actions.
//!
//! What stays true:
//! - checkpoint ids ascend, and each ends exactly once: complete or aborted;
//! - one publication is under way at a time, and checkpoints complete in the order of their ids;
//! - a checkpoint is complete when the driver says that its metadata is durable, never before;
//! - nothing that a complete or pending checkpoint refers to is handed out for deletion;
//! - nothing of the checkpoint that the job was restored from is ever handed out for deletion,
//!   unless it was claimed: then it is one of the job's own.

mod end;
mod publication;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{Barrier, CheckpointId, SnapshotKind};

use crate::aborted::AbortedCheckpoints;
use crate::completed::{CompletedCheckpoints, outlying_files, shared_files, states};
use crate::pending::PendingCheckpoint;
use crate::schedule::Schedule;
use crate::{
    AbortReason, AcknowledgeOutcome, Acknowledgement, Action, CompletedCheckpoint,
    CoordinatorConfig, Discarded, Event, JobInfo, RestoredCheckpoint, SharedStateRegistry,
    Statistics, Topology,
};

/// The longest wait before a failed final checkpoint is tried again.
const FINAL_RETRY: Duration = Duration::from_secs(1);

/// Decides when checkpoints start, when they are complete, and what is deleted.
///
/// `now` is the time since some fixed start, such as that of the process; the first periodic
/// checkpoint is due one interval after that start.
#[derive(Clone, Debug)]
pub struct Coordinator {
    config: CoordinatorConfig,
    topology: Topology,
    job: JobInfo,
    next: CheckpointId,
    phase: Phase,
    schedule: Schedule,
    requested: VecDeque<SnapshotKind>,
    pending: BTreeMap<CheckpointId, PendingCheckpoint>,
    // The metadata of the checkpoint whose publication is under way.
    publishing: Option<Arc<CheckpointMetadata>>,
    // Given up while their publication was under way: deleted when its outcome is known, since a
    // deletion before it would leave behind what appears after it.
    condemned: BTreeMap<CheckpointId, Arc<CheckpointMetadata>>,
    aborted: AbortedCheckpoints,
    completed: CompletedCheckpoints,
    registry: SharedStateRegistry,
    statistics: Statistics,
    failures: u32,
    // Another process writes to the job's directory: nothing in there is ours to delete any more.
    superseded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Running,
    // All input is read: the next checkpoint is the final one, not before this time.
    Exhausted { not_before: Duration },
    Finishing,
    Failing,
    Ended,
}

impl Coordinator {
    /// Of a job that starts with checkpoint `next`, from nothing or from a restored checkpoint.
    #[must_use]
    pub fn new(
        config: CoordinatorConfig,
        topology: Topology,
        job: JobInfo,
        next: CheckpointId,
        restored: Option<RestoredCheckpoint>,
    ) -> Self {
        let mut registry = SharedStateRegistry::new();
        let mut completed = CompletedCheckpoints::new(config.retained);
        if let Some(RestoredCheckpoint { metadata, is_claimed }) = restored {
            for file in states(&metadata).flat_map(shared_files) {
                match is_claimed {
                    true => registry.register(metadata.checkpoint, file),
                    false => registry.disown(metadata.checkpoint, file),
                }
            }
            if is_claimed {
                // The first one is never one too many.
                completed.add(CompletedCheckpoint::claimed(metadata));
            }
        }
        Self {
            schedule: Schedule::new(&config),
            completed,
            config,
            topology,
            job,
            next,
            phase: Phase::Running,
            requested: VecDeque::new(),
            pending: BTreeMap::new(),
            publishing: None,
            condemned: BTreeMap::new(),
            aborted: AbortedCheckpoints::default(),
            registry,
            statistics: Statistics::default(),
            failures: 0,
            superseded: false,
        }
    }

    /// Takes up the complete checkpoints of the same run that an earlier process has left behind:
    /// the newest is [`latest_completed`](Self::latest_completed), and all are deleted when they are
    /// subsumed, like those to come. Before any event.
    ///
    /// # Panics
    ///
    /// When their ids do not ascend.
    #[must_use]
    pub fn with_recovered(
        mut self,
        completed: impl IntoIterator<Item = Arc<CheckpointMetadata>>,
    ) -> Self {
        for metadata in completed {
            self.next = self.next.max(metadata.checkpoint.next());
            let completed = CompletedCheckpoint::new(metadata);
            for file in completed.shared_files() {
                self.registry.register(completed.checkpoint(), file);
            }
            self.completed.recover(completed);
        }
        self
    }

    /// What a checkpoint of somebody else refers to is never deleted, though checkpoints of this
    /// job may come to use it. Before any event.
    #[must_use]
    pub fn with_foreign(mut self, metadata: &CheckpointMetadata) -> Self {
        for file in states(metadata).flat_map(shared_files) {
            self.registry.disown(metadata.checkpoint, file);
        }
        self
    }

    /// Takes in an event; gives what is to be done, in order. `wall_clock_ms` is the time of day in
    /// milliseconds since the Unix epoch; it is written down and decides nothing.
    pub fn handle(&mut self, event: Event, now: Duration, wall_clock_ms: u64) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Tick => {}
            Event::TriggerRequested(kind) => self.request(kind, now),
            Event::Acknowledged(acknowledgement) => {
                self.take_acknowledgement(acknowledgement, &mut actions);
            }
            Event::Declined { checkpoint, task, subtask, reason } => {
                if let Some(position) = self.topology.position(task, subtask) {
                    let reason = AbortReason::Declined { task, subtask, reason };
                    self.decline(checkpoint, position, reason, now, &mut actions);
                }
            }
            Event::SourcesExhausted => self.request(SnapshotKind::Final, now),
            Event::Published(checkpoint) => self.published(checkpoint, now, &mut actions),
            Event::PublishFailed { checkpoint, determinacy } => {
                self.publish_failed(checkpoint, determinacy, now, &mut actions);
            }
            Event::PublishSuperseded(checkpoint) => {
                self.publish_superseded(checkpoint, now, &mut actions);
            }
            Event::TasksRestarted { attempt } => {
                self.restart(attempt, now, &mut actions);
                // What is due waits for the next event: nobody may be there yet to take a barrier.
                return actions;
            }
            Event::JobEnded(status) => self.end(status, now, &mut actions),
        }
        self.go_on(now, wall_clock_ms, &mut actions);
        actions
    }

    /// Like [`handle`](Self::handle) of [`Event::Acknowledged`], and says what became of it.
    pub fn acknowledge(
        &mut self,
        acknowledgement: Acknowledgement,
        now: Duration,
        wall_clock_ms: u64,
    ) -> (AcknowledgeOutcome, Vec<Action>) {
        let mut actions = Vec::new();
        let outcome = self.take_acknowledgement(acknowledgement, &mut actions);
        self.go_on(now, wall_clock_ms, &mut actions);
        (outcome, actions)
    }

    /// When an [`Event::Tick`] is due, on the clock of `now`; `None` when nothing waits for time.
    pub fn next_wakeup(&self) -> Option<Duration> {
        let waiting = self.pending.values().filter(|pending| pending.missing() > 0);
        let timeouts = waiting.map(|pending| pending.started.saturating_add(self.config.timeout));
        timeouts.chain(self.next_trigger().map(|(at, _)| at)).min()
    }

    /// The newest complete checkpoint of this run: what tasks restart from.
    pub fn latest_completed(&self) -> Option<&CompletedCheckpoint> {
        self.completed.iter().next_back()
    }

    /// Whether a snapshot that is asked for now will be taken: not once the job is finishing,
    /// failing or has ended.
    pub fn takes_requests(&self) -> bool {
        self.phase == Phase::Running
    }

    /// The complete checkpoints that are kept, oldest first.
    pub fn completed(&self) -> impl DoubleEndedIterator<Item = &CompletedCheckpoint> {
        self.completed.iter()
    }

    /// The checkpoints under way, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = CheckpointId> {
        let publishing = self.publishing.iter().map(|publishing| publishing.checkpoint);
        let mut ids: Vec<_> = publishing.chain(self.pending.keys().copied()).collect();
        ids.sort_unstable();
        ids.into_iter()
    }

    /// What became of the latest checkpoints.
    pub fn statistics(&self) -> &Statistics {
        &self.statistics
    }

    fn request(&mut self, kind: SnapshotKind, now: Duration) {
        match (kind, self.phase) {
            (SnapshotKind::Final, Phase::Running) => {
                self.phase = Phase::Exhausted { not_before: now };
            }
            (SnapshotKind::Checkpoint | SnapshotKind::Savepoint, Phase::Running) => {
                // Each who asks for a savepoint gets one; for a checkpoint any new one will do.
                if kind == SnapshotKind::Savepoint || !self.requested.contains(&kind) {
                    self.requested.push_back(kind);
                }
            }
            // A final checkpoint is on its way and leaves nothing to be asked for, or all is over.
            (_, Phase::Exhausted { .. } | Phase::Finishing | Phase::Failing | Phase::Ended) => {}
        }
    }

    /// What time alone, or room for another checkpoint, makes due.
    fn go_on(&mut self, now: Duration, wall_clock_ms: u64, actions: &mut Vec<Action>) {
        self.expire(now, actions);
        while let Some((at, trigger)) = self.next_trigger() {
            if at > now {
                break;
            }
            self.trigger(trigger, now, wall_clock_ms, actions);
        }
        self.publish_next(actions);
        if self.superseded {
            actions.retain(|action| !matches!(action, Action::Discard(_)));
        }
    }

    /// When the next checkpoint starts, unless an event changes that.
    fn next_trigger(&self) -> Option<(Duration, Trigger)> {
        let under_way = self.pending.len() + usize::from(self.publishing.is_some());
        match self.phase {
            Phase::Finishing | Phase::Failing | Phase::Ended => return None,
            // It waits for those under way, which complete or time out.
            Phase::Exhausted { not_before } => {
                return (under_way == 0).then_some((not_before, Trigger::Final));
            }
            Phase::Running => {}
        }
        let room = usize::try_from(self.config.max_concurrent.get()).unwrap_or(usize::MAX);
        // Nothing newer may complete before a savepoint that somebody waits for.
        let publishing = self.publishing.iter().map(|publishing| publishing.kind);
        let mut kinds = publishing.chain(self.pending.values().map(|pending| pending.barrier.kind));
        if under_way >= room || kinds.any(|kind| kind == SnapshotKind::Savepoint) {
            return None;
        }
        if let Some(kind) = self.requested.front() {
            return Some((Duration::ZERO, Trigger::Requested(*kind)));
        }
        if under_way > 0 && !self.config.min_pause.is_zero() {
            return None;
        }
        self.schedule.due().map(|at| (at, Trigger::Periodic))
    }

    fn trigger(
        &mut self,
        trigger: Trigger,
        now: Duration,
        wall_clock_ms: u64,
        actions: &mut Vec<Action>,
    ) {
        let kind = match trigger {
            Trigger::Periodic => {
                self.schedule.triggered(now);
                SnapshotKind::Checkpoint
            }
            Trigger::Requested(kind) => {
                self.requested.pop_front();
                kind
            }
            Trigger::Final => SnapshotKind::Final,
        };
        let checkpoint = self.next;
        self.next = checkpoint.next();
        let barrier = Barrier { checkpoint, kind, triggered_at_ms: wall_clock_ms };
        let base = self.latest_completed().map(CompletedCheckpoint::checkpoint);
        let pending = PendingCheckpoint::new(barrier, now, base, self.topology.subtasks());
        self.pending.insert(checkpoint, pending);
        self.statistics.triggered(barrier, now);
        actions.push(Action::InjectBarrier(barrier));
    }

    fn take_acknowledgement(
        &mut self,
        acknowledgement: Acknowledgement,
        actions: &mut Vec<Action>,
    ) -> AcknowledgeOutcome {
        let outcome = match self.known_position(&acknowledgement) {
            None => AcknowledgeOutcome::UnknownSubtask,
            Some(position) => self.take_known(position, acknowledgement, actions),
        };
        self.statistics.acknowledged(outcome);
        outcome
    }

    fn known_position(&self, acknowledgement: &Acknowledgement) -> Option<usize> {
        let Acknowledgement { task, subtask, operators, .. } = acknowledgement;
        let position = self.topology.position(*task, *subtask)?;
        let task = self.topology.tasks.iter().find(|known| known.task == *task)?;
        let fits = operators.iter().enumerate().all(|(index, (uid, _, _))| {
            task.operators.contains(uid)
                && operators[..index].iter().all(|(other, _, _)| other != uid)
        });
        fits.then_some(position)
    }

    fn take_known(
        &mut self,
        position: usize,
        acknowledgement: Acknowledgement,
        actions: &mut Vec<Action>,
    ) -> AcknowledgeOutcome {
        let id = acknowledgement.checkpoint;
        let Some(pending) = self.pending.get_mut(&id) else {
            return self.take_late(position, &acknowledgement, actions);
        };
        if pending.has(position) {
            return AcknowledgeOutcome::Duplicate;
        }
        let Acknowledgement { task, subtask, operators, stats, .. } = acknowledgement;
        let mut length = 0_u64;
        for (_, _, state) in &operators {
            length = length.saturating_add(state.length());
            shared_files(state).for_each(|file| self.registry.register(id, file));
        }
        self.statistics.part(id, (task, subtask), &stats, length);
        pending.take(position, operators);
        if pending.missing() == 0 {
            AcknowledgeOutcome::Completed
        } else {
            AcknowledgeOutcome::Accepted
        }
    }

    fn take_late(
        &mut self,
        position: usize,
        acknowledgement: &Acknowledgement,
        actions: &mut Vec<Action>,
    ) -> AcknowledgeOutcome {
        let id = acknowledgement.checkpoint;
        let completed = self.completed.iter().any(|completed| completed.checkpoint() == id);
        let publishing = self.publishing.iter().any(|publishing| publishing.checkpoint == id);
        if completed || publishing {
            return AcknowledgeOutcome::Duplicate;
        }
        // Only what is known to be given up is deleted: a savepoint has left our books too, and is
        // the user's.
        if self.aborted.report(id, position) {
            let states = || acknowledgement.operators.iter().map(|(_, _, state)| state);
            let unused = states().flat_map(shared_files);
            let unused = unused.filter(|file| !self.registry.contains(&file.reference));
            let files = states().flat_map(outlying_files).chain(unused).cloned().collect();
            actions.push(Action::Discard(Discarded { checkpoint: Some(id), files }));
        }
        AcknowledgeOutcome::Discarded
    }
}

#[derive(Clone, Copy, Debug)]
enum Trigger {
    Periodic,
    Requested(SnapshotKind),
    Final,
}
