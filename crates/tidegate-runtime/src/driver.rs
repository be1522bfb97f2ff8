//! The driver: carries out what the coordinator decides, for as long as the job lives.
//!
//! The coordinator is a pure function of events; here are the clock and the channels. Everything
//! below runs on one thread, which is not a task's, and which never waits for the storage: that is
//! what the storage thread does.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, after, never};
use crossbeam::select;
use tidegate_coordinator::{
    Action, Coordinator, Discarded, Event, FailureReason, JobStatus, PendingPublication,
    PublishError, discard, discard_at, publish_metadata_at, publish_owned,
};
use tidegate_types::{Barrier, CheckpointId, SnapshotKind, Subtask, TaskId};

use crate::attempt::Attempt;
use crate::claimed::RestoredFrom;
use crate::control::JobState;
use crate::error::{JobError, TaskError};
use crate::launch::chain;
use crate::place::CheckpointPlace;
use crate::report::Report;
use crate::savepoints::{Afterwards, SavepointRequest, Savepoints};
use crate::status::StatusBoard;
use crate::storage_thread::StorageThread;
use crate::task::wall_clock_ms;

/// The [`patience`](Driver::patience) of jobs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// Why somebody outside wants the job to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// It is no longer wanted: checkpoints are kept or deleted as configured.
    Cancel,
    /// The machine wants the process gone: checkpoints are kept.
    Suspend,
}

/// How an attempt ended.
#[derive(Debug)]
pub(crate) enum AttemptEnd {
    Finished,
    Stopped(Stop),
    TaskFailed {
        task: TaskId,
        subtask: Subtask,
        error: Box<TaskError>,
    },
    CheckpointsFailed(JobError),
    /// Event time was ended for a savepoint that then failed: what was emitted must be undone.
    DrainedInVain,
}

/// Drives one job's coordinator.
pub(crate) struct Driver {
    pub(crate) coordinator: Coordinator,
    pub(crate) place: Arc<CheckpointPlace>,
    pub(crate) storage: StorageThread,
    pub(crate) started: Instant,
    pub(crate) stops: Receiver<Stop>,
    pub(crate) status: Arc<StatusBoard>,
    /// How long the job's end waits for a storage that does nothing at all.
    pub(crate) patience: Duration,
    pub(crate) savepoints: Savepoints,
    /// What the job goes on from, if it does.
    pub(crate) restored: Option<RestoredFrom>,
}

/// What is known of the running attempt.
#[derive(Default)]
struct Progress {
    exhausted: HashSet<(TaskId, Subtask)>,
    finished: usize,
    end: Option<AttemptEnd>,
}

impl Driver {
    /// The time since the job's start, as the coordinator counts it.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Runs an attempt to its end.
    pub(crate) fn run(&mut self, attempt: &Attempt) -> AttemptEnd {
        let mut progress = Progress::default();
        loop {
            let wakeup = match self.coordinator.next_wakeup() {
                Some(at) => after(at.saturating_sub(self.now())),
                None => never(),
            };
            let event = select! {
                recv(attempt.reports()) -> report => {
                    let report = report.expect("the attempt holds a sender while it lives");
                    self.report(report, attempt, &mut progress)
                }
                recv(self.storage.reports()) -> report => {
                    self.storage.note(report.expect("the thread lives as long as it can be asked"))
                }
                recv(self.stops) -> stop => match stop {
                    Ok(stop) => return AttemptEnd::Stopped(stop),
                    Err(_) => unreachable!("the launcher holds a sender while the job runs"),
                },
                recv(self.savepoints.requests()) -> request => {
                    let request = request.expect("the savepoints hold their desk");
                    self.take_request(request)
                }
                recv(wakeup) -> _ => Some(Event::Tick),
            };
            if let Some(event) = event {
                self.handle(event, Some(attempt), &mut progress);
            }
            if let Some(end) = progress.end.take() {
                return end;
            }
        }
    }

    /// Before a restart: waits this long, and until it is certain what became of a publication under
    /// way, since that is what the tasks go on from. `Some` when the job is to end instead.
    pub(crate) fn pause(&mut self, delay: Duration) -> Option<AttemptEnd> {
        let deadline = self.now() + delay;
        let mut progress = Progress::default();
        while self.now() < deadline || self.storage.is_publishing() {
            let left = deadline.saturating_sub(self.now());
            let wakeup = if left.is_zero() { never() } else { after(left) };
            let event = select! {
                recv(self.storage.reports()) -> report => {
                    self.storage.note(report.expect("the thread lives as long as it can be asked"))
                }
                recv(self.stops) -> stop => match stop {
                    Ok(stop) => return Some(AttemptEnd::Stopped(stop)),
                    Err(_) => unreachable!("the launcher holds a sender while the job runs"),
                },
                recv(wakeup) -> _ => None,
            };
            if let Some(event) = event {
                self.handle(event, None, &mut progress);
            }
            // A checkpoint too many that failed does not matter any more, another owner does.
            if let Some(AttemptEnd::CheckpointsFailed(error @ JobError::Superseded { .. })) =
                progress.end.take()
            {
                return Some(AttemptEnd::CheckpointsFailed(error));
            }
        }
        None
    }

    /// Tells the coordinator something that concerns no running attempt.
    pub(crate) fn tell(&mut self, event: Event) {
        self.handle(event, None, &mut Progress::default());
    }

    /// The job has ended: deletes what the retention rules do not keep.
    pub(crate) fn job_ended(&mut self, status: JobStatus) {
        // First, so that a checkpoint that is about to be complete counts, and is not left behind.
        self.drain(StorageThread::is_publishing);
        self.tell(Event::JobEnded(status));
        self.drain(|storage| !storage.is_idle());
        self.savepoints.close();
    }

    fn take_request(&mut self, request: SavepointRequest) -> Option<Event> {
        if !self.coordinator.takes_requests() {
            self.savepoints.refuse(&request, "the job is ending");
            return None;
        }
        self.savepoints.wait(request);
        Some(Event::TriggerRequested(SnapshotKind::Savepoint))
    }

    fn drain(&mut self, is_busy: impl Fn(&StorageThread) -> bool) {
        while is_busy(&self.storage) {
            let Some(report) = self.storage.next(self.patience) else {
                tracing::warn!(
                    "{} does not answer: it is left as it is, and tidied up when a job next runs \
                     there",
                    self.place.storage.uri()
                );
                return;
            };
            if let Some(event) = self.storage.note(report) {
                self.tell(event);
            }
        }
    }

    fn report(
        &mut self,
        report: Report,
        attempt: &Attempt,
        progress: &mut Progress,
    ) -> Option<Event> {
        match report {
            Report::Acknowledged(acknowledgement) => {
                self.savepoints.acknowledged(&acknowledgement);
                Some(Event::Acknowledged(*acknowledgement))
            }
            Report::Declined { checkpoint, task, subtask, error } => {
                let reason = chain(&*error);
                tracing::warn!(%checkpoint, %subtask, "checkpoint declined: {reason}");
                self.status.checkpoint_failed();
                Some(Event::Declined { checkpoint, task, subtask, reason: reason.into() })
            }
            Report::SourceExhausted { task, subtask } => {
                progress.exhausted.insert((task, subtask));
                let all = progress.exhausted.len() == attempt.source_subtasks();
                all.then_some(Event::SourcesExhausted)
            }
            Report::Finished => {
                progress.finished += 1;
                if progress.finished == attempt.subtasks() {
                    progress.end = Some(AttemptEnd::Finished);
                }
                None
            }
            // A cancelled task follows another one's failure, whose report comes first or next.
            Report::Failed { error, .. } if matches!(*error, TaskError::Cancelled) => None,
            Report::Failed { task, subtask, error } => {
                progress.end = Some(AttemptEnd::TaskFailed { task, subtask, error });
                None
            }
        }
    }

    fn handle(&mut self, event: Event, attempt: Option<&Attempt>, progress: &mut Progress) {
        let now = self.now();
        for action in self.coordinator.handle(event, now, wall_clock_ms().unsigned_abs()) {
            self.perform(action, attempt, progress);
        }
    }

    fn perform(&mut self, action: Action, attempt: Option<&Attempt>, progress: &mut Progress) {
        match action {
            Action::InjectBarrier(barrier) => {
                if let Some(attempt) = attempt {
                    self.inject(barrier, attempt);
                }
            }
            Action::Publish(publication) => self.publish(publication),
            Action::NotifyComplete(checkpoint) => {
                self.completed(checkpoint, attempt);
            }
            Action::NotifyAborted(checkpoint, reason) => {
                if reason.is_failure() {
                    tracing::warn!(%checkpoint, "checkpoint aborted: {reason}");
                } else {
                    tracing::debug!(%checkpoint, "checkpoint aborted: {reason}");
                }
                if let Some(attempt) = attempt {
                    attempt.aborted(checkpoint);
                }
                match (self.savepoints.aborted(checkpoint, &reason.to_string()), attempt) {
                    (Some(Afterwards::Stop { drain: false }), Some(attempt)) => attempt.resume(),
                    (Some(Afterwards::Stop { drain: true }), Some(_)) => {
                        progress.end.get_or_insert(AttemptEnd::DrainedInVain);
                    }
                    _ => {}
                }
            }
            Action::Discard(discarded) => self.discard(discarded),
            Action::FinishJob => {
                if let Some(attempt) = attempt {
                    attempt.finish();
                }
            }
            Action::FailJob(reason @ FailureReason::Superseded { .. }) => {
                progress.end = Some(AttemptEnd::CheckpointsFailed(JobError::Superseded { reason }));
            }
            Action::FailJob(reason) => {
                progress.end =
                    Some(AttemptEnd::CheckpointsFailed(JobError::Checkpoints { reason }));
            }
        }
    }

    fn inject(&mut self, barrier: Barrier, attempt: &Attempt) {
        if barrier.kind != SnapshotKind::Savepoint {
            return attempt.inject(barrier);
        }
        match self.savepoints.triggered(barrier.checkpoint, attempt.subtasks()) {
            Afterwards::GoOn => attempt.inject(barrier),
            Afterwards::Stop { drain } => attempt.stop(barrier, drain),
        }
    }

    fn completed(&mut self, checkpoint: CheckpointId, attempt: Option<&Attempt>) {
        let afterwards = self.savepoints.completed(checkpoint);
        match afterwards {
            None => {
                tracing::debug!(%checkpoint, "checkpoint complete");
                self.status.checkpoint_completed(checkpoint, self.place.uri_of(checkpoint));
            }
            Some(Afterwards::GoOn) => return,
            Some(Afterwards::Stop { .. }) => self.status.state(JobState::Finishing),
        }
        if let Some(attempt) = attempt {
            attempt.completed(checkpoint);
            if afterwards.is_some() {
                attempt.finish();
            }
        }
    }

    fn publish(&mut self, publication: PendingPublication) {
        let place = Arc::clone(&self.place);
        let savepoint = self.savepoints.place(publication.checkpoint());
        self.storage.publish(Box::new(move || {
            let CheckpointPlace { storage, paths, ownership, .. } = &*place;
            let (checkpoint, metadata) = (publication.checkpoint(), publication.metadata());
            let outcome = match savepoint {
                // Its directory is nobody else's; but who has lost the job says nothing more of it.
                Some(savepoint) => ownership
                    .check()
                    .map_err(|source| PublishError::Storage { checkpoint, source })
                    .and_then(|()| {
                        let path = savepoint.metadata();
                        publish_metadata_at(&*savepoint.storage, &path, metadata)
                    }),
                None => publish_owned(&**storage, &**ownership, paths, metadata),
            };
            if let Err(error) = &outcome {
                tracing::warn!("checkpoint {checkpoint}: {}", chain(error));
            }
            Event::of_publication(checkpoint, &outcome)
        }));
    }

    /// Deletes it where it lies: a checkpoint of ours, a savepoint that was given up, or a claimed
    /// checkpoint.
    fn discard(&mut self, discarded: Discarded) {
        let place = Arc::clone(&self.place);
        let savepoint = discarded.checkpoint.and_then(|id| self.savepoints.place(id));
        let restored = self.restored.as_ref();
        let foreign = discarded.checkpoint.and_then(|id| restored?.foreign(id));
        self.storage.delete(Box::new(move || {
            let CheckpointPlace { registry, storage, paths, ownership } = &*place;
            // Who has taken the directory over numbers his checkpoints far above ours, so that
            // nothing of his is hit even if that happens right after this question.
            ownership.check()?;
            if let Some(savepoint) = &savepoint {
                discard_at(registry, &*savepoint.storage, &savepoint.directory, &discarded)
            } else if let Some(foreign) = &foreign {
                foreign.discard(&discarded)
            } else {
                discard(registry, &**storage, paths, &discarded)
            }
        }));
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use crossbeam::channel::{bounded, unbounded};
    use tidegate_coordinator::{
        Acknowledgement, CheckpointPaths, CoordinatorConfig, JobInfo, SubtaskStats, TaskTopology,
        Topology,
    };
    use tidegate_store::{
        MemoryStorage, OwnerInfo, Ownership, PublishOutcome, StorageError, StoragePath,
        StorageRegistry,
    };
    use tidegate_types::{
        AttemptId, CheckpointId, JobId, MaxParallelism, OperatorUid, Parallelism,
    };

    use super::*;

    /// Of a store that does not answer before it is released.
    #[derive(Debug)]
    struct Hung(Receiver<()>);

    impl Ownership for Hung {
        fn check(&self) -> Result<(), StorageError> {
            let _ = self.0.recv();
            Ok(())
        }

        fn publish(&self, _: &StoragePath, _: &[u8]) -> Result<PublishOutcome, StorageError> {
            self.check().map(|()| PublishOutcome::Published)
        }

        fn superseded(&self) -> Option<&OwnerInfo> {
            None
        }
    }

    #[test]
    fn a_store_that_hangs_does_not_hold_up_the_end_of_the_job() {
        let (release, hangs) = bounded(0);
        let job_id = JobId::from_bytes([1; 16]);
        let task = TaskTopology {
            task: TaskId::new(0),
            parallelism: Parallelism::ONE,
            operators: vec![OperatorUid::new("lines").unwrap()],
            is_source: true,
        };
        let topology = Topology { tasks: vec![task], max_parallelism: MaxParallelism::DEFAULT };
        let config = CoordinatorConfig {
            interval: Some(Duration::from_millis(1)),
            max_concurrent: NonZeroU32::MAX,
            ..CoordinatorConfig::default()
        };
        let (job_name, attempt) = ("test".to_owned(), AttemptId::new(1));
        let info = JobInfo { job_id, job_name, attempt };
        let coordinator = Coordinator::new(config, topology, info, CheckpointId::FIRST, None);
        let started = Instant::now();
        let (_stop, stops) = unbounded();
        let mut driver = Driver {
            coordinator,
            place: Arc::new(CheckpointPlace {
                registry: StorageRegistry::local(),
                storage: Arc::new(MemoryStorage::new()),
                paths: CheckpointPaths::of_job(job_id),
                ownership: Box::new(Hung(hangs)),
            }),
            storage: StorageThread::start(),
            started,
            stops,
            status: Arc::new(StatusBoard::new(started)),
            patience: Duration::from_millis(30),
            savepoints: Savepoints::new(job_id, StorageRegistry::local(), None),
            restored: None,
        };
        // A millisecond after its start, a checkpoint is due.
        while driver.coordinator.pending().count() == 0 {
            driver.tell(Event::Tick);
        }
        driver.tell(Event::Acknowledged(Acknowledgement {
            checkpoint: CheckpointId::FIRST,
            task: TaskId::new(0),
            subtask: Subtask::new(0, Parallelism::ONE),
            operators: Vec::new(),
            stats: SubtaskStats::default(),
        }));
        assert!(driver.storage.is_publishing());
        // Both come back, whatever the store does.
        driver.job_ended(JobStatus::Canceled);
        drop(driver);
        drop(release);
    }
}
