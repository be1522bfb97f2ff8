//! The driver: carries out what the coordinator decides, for as long as the job lives.
//!
//! The coordinator is a pure function of events; here are the clock, the channels and the storage.
//! Everything below runs on one thread, which is not a task's: a slow publication delays the next
//! checkpoint and never a record.

use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, after, never};
use crossbeam::select;
use tidegate_coordinator::{
    Action, Coordinator, Event, JobStatus, PendingPublication, discard, publish_metadata,
};
use tidegate_types::{Subtask, TaskId};

use crate::attempt::Attempt;
use crate::error::{JobError, TaskError};
use crate::launch::chain;
use crate::place::CheckpointPlace;
use crate::report::Report;
use crate::status::StatusBoard;
use crate::task::wall_clock_ms;

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
    TaskFailed { task: TaskId, subtask: Subtask, error: Box<TaskError> },
    CheckpointsFailed(JobError),
}

/// Drives one job's coordinator.
pub(crate) struct Driver {
    pub(crate) coordinator: Coordinator,
    pub(crate) place: CheckpointPlace,
    pub(crate) started: Instant,
    pub(crate) stops: Receiver<Stop>,
    pub(crate) status: Arc<StatusBoard>,
}

/// What is known of the running attempt.
struct Progress {
    exhausted: HashSet<(TaskId, Subtask)>,
    finished: usize,
    end: Option<AttemptEnd>,
}

impl Driver {
    /// Runs an attempt to its end.
    pub(crate) fn run(&mut self, attempt: &Attempt) -> AttemptEnd {
        let mut progress = Progress { exhausted: HashSet::new(), finished: 0, end: None };
        loop {
            let wakeup = match self.coordinator.next_wakeup() {
                Some(at) => after(at.saturating_sub(self.started.elapsed())),
                None => never(),
            };
            let event = select! {
                recv(attempt.reports()) -> report => {
                    let report = report.expect("the attempt holds a sender while it lives");
                    self.report(report, attempt, &mut progress)
                }
                recv(self.stops) -> stop => match stop {
                    Ok(stop) => return AttemptEnd::Stopped(stop),
                    Err(_) => unreachable!("the launcher holds a sender while the job runs"),
                },
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

    /// Waits before a restart; `Some` when the job is to stop instead.
    pub(crate) fn pause(&self, delay: Duration) -> Option<Stop> {
        self.stops.recv_timeout(delay).ok()
    }

    /// Tells the coordinator something that concerns no running attempt.
    pub(crate) fn tell(&mut self, event: Event) {
        let mut progress = Progress { exhausted: HashSet::new(), finished: 0, end: None };
        self.handle(event, None, &mut progress);
    }

    /// The job has ended: deletes what the retention rules do not keep.
    pub(crate) fn job_ended(&mut self, status: JobStatus) {
        self.tell(Event::JobEnded(status));
    }

    fn report(
        &mut self,
        report: Report,
        attempt: &Attempt,
        progress: &mut Progress,
    ) -> Option<Event> {
        match report {
            Report::Acknowledged(acknowledgement) => Some(Event::Acknowledged(*acknowledgement)),
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
        let mut events = VecDeque::from([event]);
        while let Some(event) = events.pop_front() {
            let now = self.started.elapsed();
            for action in self.coordinator.handle(event, now, wall_clock_ms().unsigned_abs()) {
                events.extend(self.perform(action, attempt, progress));
            }
        }
    }

    fn perform(
        &mut self,
        action: Action,
        attempt: Option<&Attempt>,
        progress: &mut Progress,
    ) -> Option<Event> {
        match action {
            Action::InjectBarrier(barrier) => {
                attempt?.inject(barrier);
                None
            }
            Action::Publish(publication) => Some(self.publish(&publication)),
            Action::NotifyComplete(checkpoint) => {
                tracing::debug!(%checkpoint, "checkpoint complete");
                self.status.checkpoint_completed(checkpoint, self.place.uri_of(checkpoint));
                attempt?.completed(checkpoint);
                None
            }
            Action::NotifyAborted(checkpoint, reason) => {
                tracing::warn!(%checkpoint, "checkpoint aborted: {reason}");
                attempt?.aborted(checkpoint);
                None
            }
            Action::Discard(discarded) => {
                let result = discard(&*self.place.storage, &self.place.paths, &discarded);
                if let Err(error) = result {
                    // Not fatal: what is left is recognised and removed by the next owner.
                    tracing::warn!("cannot delete an old checkpoint: {}", chain(&error));
                }
                None
            }
            Action::FinishJob => {
                attempt?.finish();
                None
            }
            Action::FailJob(reason) => {
                progress.end =
                    Some(AttemptEnd::CheckpointsFailed(JobError::Checkpoints { reason }));
                None
            }
        }
    }

    fn publish(&self, publication: &PendingPublication) -> Event {
        let CheckpointPlace { storage, paths, ownership } = &self.place;
        // Asked anew each time: an owner that was stopped and superseded must publish nothing.
        if let Err(error) = ownership.check() {
            tracing::error!("checkpoint {}: {}", publication.checkpoint(), chain(&error));
            return Event::PublishSuperseded(publication.checkpoint());
        }
        let outcome = publish_metadata(&**storage, paths, publication.metadata());
        if let Err(error) = &outcome {
            tracing::warn!("checkpoint {}: {}", publication.checkpoint(), chain(error));
        }
        Event::of_publication(publication.checkpoint(), &outcome)
    }
}
