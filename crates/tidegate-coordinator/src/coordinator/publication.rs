//! From the last acknowledgement to the completion, and what it makes superfluous.

use std::sync::Arc;
use std::time::Duration;

use tidegate_meta::CheckpointMetadata;
use tidegate_store::Determinacy;
use tidegate_types::{CheckpointId, SnapshotKind};

use super::{Coordinator, Phase};
use crate::completed::{outlying_files, shared_files, states};
use crate::{
    AbortReason, Action, CompletedCheckpoint, Discarded, FailureReason, PendingPublication,
};

impl Coordinator {
    /// Starts the oldest publication that is possible, unless one is under way.
    pub(super) fn publish_next(&mut self, actions: &mut Vec<Action>) {
        if self.publishing.is_some() {
            return;
        }
        let ready = self.pending.iter().find(|(_, pending)| pending.missing() == 0);
        let Some(pending) = ready.map(|(id, _)| *id).and_then(|id| self.pending.remove(&id)) else {
            return;
        };
        let metadata = Arc::new(pending.into_metadata(&self.topology, &self.job));
        self.publishing = Some(Arc::clone(&metadata));
        actions.push(Action::Publish(PendingPublication { metadata }));
    }

    pub(super) fn published(&mut self, id: CheckpointId, now: Duration, actions: &mut Vec<Action>) {
        if let Some(condemned) = self.condemned.remove(&id) {
            self.discard_published(&condemned, actions);
            self.sweep(actions);
        } else if let Some(publishing) = self.take_publishing(id) {
            self.complete(CompletedCheckpoint::new(publishing), now, actions);
        }
    }

    fn complete(
        &mut self,
        completed: CompletedCheckpoint,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let (id, kind) = (completed.checkpoint(), completed.kind());
        self.failures = 0;
        self.schedule.ended(now);
        self.statistics.completed(id, now);
        actions.push(Action::NotifyComplete(id));
        let older: Vec<_> = self.pending.range(..id).map(|(older, _)| *older).collect();
        for older in older {
            self.abort_pending(older, &AbortReason::Subsumed { by: id }, now, actions);
        }
        if kind == SnapshotKind::Savepoint {
            completed.shared_files().for_each(|file| self.registry.disown(id, file));
        }
        let surplus = self.completed.add(completed);
        self.discard_completed(&surplus, actions);
        if kind == SnapshotKind::Final {
            self.phase = Phase::Finishing;
            actions.push(Action::FinishJob);
        }
    }

    /// Hands out complete checkpoints, oldest first, that are no longer in `completed`.
    pub(super) fn discard_completed(
        &mut self,
        surplus: &[CompletedCheckpoint],
        actions: &mut Vec<Action>,
    ) {
        for (index, old) in surplus.iter().enumerate() {
            let next = surplus.get(index + 1).map(CompletedCheckpoint::checkpoint);
            let floor = self.oldest_user();
            let mut files = old.outlying_files();
            files.extend(self.registry.release_below(next.map_or(floor, |next| next.min(floor))));
            actions.push(Action::Discard(Discarded { checkpoint: Some(old.checkpoint()), files }));
        }
        self.sweep(actions);
    }

    /// Frees the files whose last user has gone in some other way than by being subsumed.
    pub(super) fn sweep(&mut self, actions: &mut Vec<Action>) {
        let files = if self.phase == Phase::Ended {
            let completed = self.completed.iter().map(CompletedCheckpoint::metadata);
            let kept = completed.chain(self.condemned.values());
            let used = kept.flat_map(|metadata| states(metadata)).flat_map(shared_files);
            self.registry.release_except(&used.map(|file| &file.reference).collect())
        } else {
            self.registry.release_below(self.oldest_user())
        };
        if !files.is_empty() {
            actions.push(Action::Discard(Discarded { checkpoint: None, files }));
        }
    }

    /// The oldest checkpoint whose shared files are needed. What goes wrong without the bases:
    ///
    /// 1. checkpoint 3 completes, and uses file A;
    /// 2. 4 and 5 are triggered; a task means to use A again in 5, not in 4;
    /// 3. 4 completes and subsumes 3, the newest registered user of A; A would be deleted;
    /// 4. the acknowledgement of 5 arrives and refers to A.
    ///
    /// So a pending checkpoint holds what was the newest complete one at its trigger. One that is
    /// being published has registered all that it uses.
    fn oldest_user(&self) -> CheckpointId {
        let completed = self.completed.iter().map(CompletedCheckpoint::checkpoint);
        let pending = self.pending.iter().map(|(id, pending)| pending.base.unwrap_or(*id));
        let publishing = self.publishing.iter().chain(self.condemned.values());
        let publishing = publishing.map(|metadata| metadata.checkpoint);
        completed.chain(pending).chain(publishing).min().unwrap_or(self.next)
    }

    pub(super) fn publish_failed(
        &mut self,
        id: CheckpointId,
        determinacy: Determinacy,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        let (publishing, reason) = if let Some(condemned) = self.condemned.remove(&id) {
            (condemned, None)
        } else if let Some(publishing) = self.take_publishing(id) {
            (publishing, Some(AbortReason::PublicationFailed { determinacy }))
        } else {
            return;
        };
        if determinacy == Determinacy::Indeterminate {
            self.aborted.add_in_doubt(id);
        }
        if let Some(reason) = &reason {
            self.note_abort(id, reason, now, actions);
        }
        self.discard_published(&publishing, actions);
        self.sweep(actions);
        if let Some(reason) = reason {
            self.count_failure(publishing.kind, reason, now, actions);
        }
    }

    /// What lies under that number is somebody else's, and all the rest may be too.
    pub(super) fn publish_superseded(
        &mut self,
        id: CheckpointId,
        now: Duration,
        actions: &mut Vec<Action>,
    ) {
        if self.take_publishing(id).is_some() {
            self.note_abort(id, &AbortReason::Superseded, now, actions);
        } else if self.condemned.remove(&id).is_none() {
            return;
        }
        self.superseded = true;
        self.fail(FailureReason::Superseded { checkpoint: id }, now, actions);
    }

    fn discard_published(&mut self, metadata: &CheckpointMetadata, actions: &mut Vec<Action>) {
        let id = metadata.checkpoint;
        let mut files: Vec<_> = states(metadata).flat_map(outlying_files).cloned().collect();
        files.extend(self.registry.release_created_by(id));
        actions.push(Action::Discard(Discarded { checkpoint: Some(id), files }));
    }

    fn take_publishing(&mut self, id: CheckpointId) -> Option<Arc<CheckpointMetadata>> {
        self.publishing.take_if(|publishing| publishing.checkpoint == id)
    }
}
