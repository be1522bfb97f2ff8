//! How checkpoints are given up, and how the job restarts, fails and ends.

use std::time::Duration;

use tidegate_types::{AttemptId, CheckpointId, SnapshotKind};

use super::{Coordinator, FINAL_RETRY, Phase};
use crate::{AbortReason, Action, Discarded, FailureReason, Fate, JobStatus, fate};

impl Coordinator {
    /// Gives up the checkpoints that have waited too long for acknowledgements.
    pub(super) fn expire(&mut self, now: Duration, actions: &mut Vec<Action>) {
        let timeout = self.config.timeout;
        loop {
            // One at a time: a failure too many gives up the rest for another reason.
            let late = self.pending.iter().find(|(_, pending)| {
                pending.missing() > 0 && pending.started.saturating_add(timeout) <= now
            });
            let Some((id, pending)) = late else { return };
            let (id, missing, kind) = (*id, pending.missing(), pending.barrier.kind);
            let reason = AbortReason::TimedOut { timeout, missing };
            self.abort_pending(id, &reason, now, actions);
            self.sweep(actions);
            self.count_failure(kind, reason, now, actions);
        }
    }

    pub(super) fn decline(
        &mut self,
        id: CheckpointId,
        position: usize,
        reason: AbortReason,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if self.aborted.report(id, position) {
            // It may have finished some of its files before it failed.
            actions.push(Action::Discard(Discarded { checkpoint: Some(id), files: Vec::new() }));
        }
        // Who has acknowledged cannot decline any more.
        let waiting = self.pending.get(&id).filter(|pending| !pending.has(position));
        let Some(kind) = waiting.map(|pending| pending.barrier.kind) else { return };
        self.abort_pending(id, &reason, now, actions);
        self.aborted.report(id, position);
        self.sweep(actions);
        self.count_failure(kind, reason, now, actions);
    }

    /// Gives up a checkpoint that is not being published.
    pub(super) fn abort_pending(
        &mut self,
        id: CheckpointId,
        reason: &AbortReason,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let Some(pending) = self.pending.remove(&id) else { return };
        self.note_abort(id, reason, now, actions);
        let mut files = pending.outlying_files();
        files.extend(self.registry.release_created_by(id));
        self.aborted.add(id, pending.reported());
        actions.push(Action::Discard(Discarded { checkpoint: Some(id), files }));
    }

    pub(super) fn note_abort(
        &mut self,
        id: CheckpointId,
        reason: &AbortReason,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        self.schedule.ended(now);
        self.statistics.aborted(id, reason);
        actions.push(Action::NotifyAborted(id, reason.clone()));
        if let Phase::Exhausted { not_before } = &mut self.phase {
            let pause = self.config.interval.map_or(FINAL_RETRY, |i| i.min(FINAL_RETRY));
            *not_before = now + pause;
        }
    }

    /// A savepoint that fails is told to who asked for it, and no sign that the job is ill: the
    /// directory that they named may be a wrong one.
    pub(super) fn count_failure(
        &mut self,
        kind: SnapshotKind,
        reason: AbortReason,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if kind == SnapshotKind::Savepoint || !reason.is_failure() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures > self.config.tolerable_failures {
            let failures = self.failures;
            self.fail(FailureReason::TooManyFailures { failures, last: reason }, now, actions);
        }
    }

    pub(super) fn fail(&mut self, reason: FailureReason, now: Duration, actions: &mut Vec<Action>) {
        if matches!(self.phase, Phase::Failing | Phase::Ended) {
            return;
        }
        self.abort_all(&AbortReason::JobEnded, now, actions);
        self.phase = Phase::Failing;
        actions.push(Action::FailJob(reason));
    }

    pub(super) fn restart(&mut self, attempt: AttemptId, now: Duration, actions: &mut Vec<Action>) {
        if self.phase == Phase::Ended || self.superseded {
            return;
        }
        self.discard_remains(actions);
        self.abort_all(&AbortReason::TasksRestarted, now, actions);
        self.sweep(actions);
        self.job.attempt = attempt;
        self.phase = Phase::Running;
        self.failures = 0;
        self.schedule.restarted(now);
    }

    pub(super) fn end(&mut self, status: JobStatus, now: Duration, actions: &mut Vec<Action>) {
        if self.phase == Phase::Ended {
            return;
        }
        self.discard_remains(actions);
        self.abort_all(&AbortReason::JobEnded, now, actions);
        let surplus = match fate(self.config.cleanup, status) {
            Fate::Delete => self.completed.truncate(0),
            Fate::KeepNewest => self.completed.truncate(1),
            // More than that are left by a process that crashed before it could delete the surplus.
            Fate::Keep => {
                let retained = usize::try_from(self.config.retained.get());
                self.completed.truncate(retained.unwrap_or(usize::MAX))
            }
        };
        self.phase = Phase::Ended;
        self.requested.clear();
        self.discard_completed(&surplus, actions);
    }

    fn abort_all(&mut self, reason: &AbortReason, now: Duration, actions: &mut Vec<Action>) {
        if let Some(publishing) = self.publishing.take() {
            let id = publishing.checkpoint;
            self.note_abort(id, reason, now, actions);
            self.condemned.insert(id, publishing);
        }
        let pending: Vec<_> = self.pending.keys().copied().collect();
        for id in pending {
            self.abort_pending(id, reason, now, actions);
        }
    }

    /// The tasks are gone: what they wrote for given-up checkpoints without reporting it goes too.
    fn discard_remains(&self, actions: &mut Vec<Action>) {
        let remains =
            self.aborted.ids().map(|id| Discarded { checkpoint: Some(id), files: Vec::new() });
        actions.extend(remains.map(Action::Discard));
    }
}
