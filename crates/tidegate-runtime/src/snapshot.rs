//! Snapshots of a task: the short part on the task's thread, the long part on a snapshot thread.
//!
//! A barrier collects one [`OperatorJob`] from each operator of the chain. The task goes on with
//! the next record at once; the jobs run here and end in an acknowledgement or a decline.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, RecvTimeoutError, Sender, bounded, unbounded};
use tidegate_align::{AlignmentMode, AlignmentStats};
use tidegate_coordinator::{Acknowledgement, SubtaskStats};
use tidegate_state::SnapshotTarget;
use tidegate_types::{
    Barrier, OperatorUid, RegisteredState, SnapshotKind, Subtask, SubtaskState, TaskId,
};

use crate::cancel::Cancel;
use crate::driver::PATIENCE;
use crate::error::TaskError;
use crate::in_flight::ChannelJob;
use crate::report::Report;
use crate::task::AttemptContext;

/// The long part of one operator's snapshot.
pub(crate) type OperatorJob =
    Box<dyn FnOnce(&SnapshotContext<'_>) -> Result<OperatorSnapshot, TaskError> + Send>;

/// Where an operator's job writes, and whether anybody still waits for it.
pub(crate) struct SnapshotContext<'a> {
    pub(crate) target: SnapshotTarget<'a>,
    pub(crate) cancel: &'a Cancel,
}

/// What one operator of one subtask holds in a checkpoint.
#[derive(Debug, Default)]
pub(crate) struct OperatorSnapshot {
    pub(crate) registered: Vec<RegisteredState>,
    pub(crate) state: SubtaskState,
}

/// Goes down a chain with the barrier and takes each operator's job.
pub(crate) struct SnapshotBuilder {
    barrier: Barrier,
    announces: bool,
    jobs: Vec<(OperatorUid, OperatorJob)>,
}

impl SnapshotBuilder {
    pub(crate) fn new(barrier: Barrier, mode: AlignmentMode) -> Self {
        let announces = mode.announces() && barrier.kind == SnapshotKind::Checkpoint;
        Self { barrier, announces, jobs: Vec::new() }
    }

    /// Whether the barrier may overtake data on its way.
    pub(crate) fn announces(&self) -> bool {
        self.announces
    }

    pub(crate) fn barrier(&self) -> Barrier {
        self.barrier
    }

    pub(crate) fn add(&mut self, operator: OperatorUid, job: OperatorJob) {
        self.jobs.push((operator, job));
    }

    pub(crate) fn finish(self, origin: SnapshotOrigin) -> TaskSnapshot {
        TaskSnapshot { barrier: self.barrier, jobs: self.jobs, channels: None, origin }
    }
}

/// Whose snapshot it is, and what its short part took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotOrigin {
    pub(crate) task: TaskId,
    pub(crate) subtask: Subtask,
    pub(crate) start_delay: Duration,
    pub(crate) alignment: Duration,
    /// Bytes of the records that were processed during the alignment.
    pub(crate) processed: u64,
    pub(crate) synchronous: Duration,
}

/// The long part of a whole task's snapshot.
pub(crate) struct TaskSnapshot {
    barrier: Barrier,
    jobs: Vec<(OperatorUid, OperatorJob)>,
    /// Records in flight, and the operator whose they are.
    channels: Option<(OperatorUid, ChannelJob)>,
    origin: SnapshotOrigin,
}

impl TaskSnapshot {
    pub(crate) fn barrier(&self) -> Barrier {
        self.barrier
    }

    /// Adds what the barrier had overtaken, when that is known.
    pub(crate) fn with_channels(
        mut self,
        operator: OperatorUid,
        channels: ChannelJob,
        stats: AlignmentStats,
    ) -> Self {
        self.channels = Some((operator, channels));
        self.origin.alignment = stats.duration;
        self.origin.processed = stats.processed;
        self
    }
}

/// The snapshot threads of one attempt. A task's snapshots run in the order of their barriers.
pub(crate) struct SnapshotThreads {
    queue: Option<Sender<TaskSnapshot>>,
    threads: Vec<JoinHandle<()>>,
    // Carries nothing: it is closed when the last thread has ended.
    ended: Receiver<()>,
    patience: Duration,
}

/// Where tasks put their snapshots.
#[derive(Clone)]
pub(crate) struct SnapshotQueue(Sender<TaskSnapshot>);

impl SnapshotQueue {
    pub(crate) fn submit(&self, snapshot: TaskSnapshot) {
        // Refused only when the attempt is over; then nobody waits for the snapshot.
        let _ = self.0.send(snapshot);
    }
}

impl SnapshotThreads {
    /// Starts `count` threads. With more than one, snapshots of different tasks overlap; those of
    /// one task do too, but only when the job allows more than one checkpoint at a time.
    pub(crate) fn start(
        count: usize,
        shared: &Arc<AttemptContext>,
        reports: &Sender<Report>,
        cancel: &Cancel,
    ) -> Self {
        let (queue, jobs) = unbounded();
        let (alive, ended) = bounded(0);
        let threads = (0..count)
            .map(|index| {
                let alive: Sender<()> = alive.clone();
                let (jobs, shared) = (jobs.clone(), Arc::clone(shared));
                let (reports, cancel) = (reports.clone(), cancel.clone());
                std::thread::Builder::new()
                    .name(format!("snapshot-{index}"))
                    .spawn(move || {
                        let _alive = alive;
                        work(&jobs, &shared, &reports, &cancel);
                    })
                    .expect("the system has a thread for snapshots")
            })
            .collect();
        Self { queue: Some(queue), threads, ended, patience: PATIENCE }
    }

    pub(crate) fn queue(&self) -> SnapshotQueue {
        SnapshotQueue(self.queue.clone().expect("open until it is dropped"))
    }
}

impl Drop for SnapshotThreads {
    fn drop(&mut self) {
        self.queue = None;
        if matches!(self.ended.recv_timeout(self.patience), Err(RecvTimeoutError::Timeout)) {
            // What they still write is of no checkpoint, and removed when a job next runs there.
            tracing::warn!("a snapshot is still being written: its storage does not answer");
            return;
        }
        for thread in self.threads.drain(..) {
            // A panic in there was reported as a decline by `work` or is the end of the attempt.
            let _ = thread.join();
        }
    }
}

fn work(
    jobs: &Receiver<TaskSnapshot>,
    shared: &AttemptContext,
    reports: &Sender<Report>,
    cancel: &Cancel,
) {
    for snapshot in jobs {
        let (checkpoint, origin) = (snapshot.barrier.checkpoint, snapshot.origin);
        let run = std::panic::AssertUnwindSafe(|| run(snapshot, shared, cancel));
        let report = match std::panic::catch_unwind(run) {
            Ok(Ok(acknowledgement)) => Report::Acknowledged(Box::new(acknowledgement)),
            Ok(Err(error @ TaskError::OutputLost(_))) => Report::Failed {
                task: origin.task,
                subtask: origin.subtask,
                error: Box::new(error),
            },
            Ok(Err(error)) => Report::Declined {
                checkpoint,
                task: origin.task,
                subtask: origin.subtask,
                error: Box::new(error),
            },
            Err(panic) => Report::Failed {
                task: origin.task,
                subtask: origin.subtask,
                error: Box::new(TaskError::from_panic(panic.as_ref())),
            },
        };
        if reports.send(report).is_err() {
            return;
        }
    }
}

fn run(
    snapshot: TaskSnapshot,
    shared: &AttemptContext,
    cancel: &Cancel,
) -> Result<Acknowledgement, TaskError> {
    let started = Instant::now();
    let checkpoint = snapshot.barrier.checkpoint;
    // A savepoint has a directory of its own, and shares nothing.
    let (storage, exclusive) = match shared.savepoints.get(checkpoint) {
        Some(place) => (place.storage, place.directory),
        None => (Arc::clone(&shared.storage), shared.paths.checkpoint(checkpoint)),
    };
    let shared_files = shared.paths.shared();
    let target = SnapshotTarget {
        checkpoint,
        attempt: shared.attempt,
        storage: &*storage,
        exclusive: &exclusive,
        shared: &shared_files,
    };
    let context = SnapshotContext { target, cancel };
    let mut operators = Vec::with_capacity(snapshot.jobs.len());
    // Not between operators: what the first ones have written is acknowledged, and so found and
    // deleted, only if the others come to their end.
    cancel.check()?;
    for (uid, job) in snapshot.jobs {
        let OperatorSnapshot { registered, state } = job(&context)?;
        operators.push((uid, registered, state));
    }
    let mut persisted = 0;
    if let Some((uid, job)) = snapshot.channels {
        // The attempt is in the name, so that a superseded process can never overwrite.
        let (origin, attempt) = (snapshot.origin, shared.attempt);
        let name = format!("in-flight-{}-{}-{attempt}", origin.task.get(), origin.subtask.index());
        let written = job(&context.target, &name)?;
        persisted = written.length;
        if !operators.iter().any(|(known, ..)| *known == uid) {
            operators.push((uid.clone(), Vec::new(), SubtaskState::default()));
        }
        let (_, registered, state) =
            operators.iter_mut().find(|(known, ..)| *known == uid).expect("it was just added");
        registered.extend(written.registered);
        state.channels = written.handles;
    }
    Ok(Acknowledgement {
        checkpoint: snapshot.barrier.checkpoint,
        task: snapshot.origin.task,
        subtask: snapshot.origin.subtask,
        operators,
        stats: SubtaskStats {
            start_delay: snapshot.origin.start_delay,
            alignment: snapshot.origin.alignment,
            processed_in_alignment: snapshot.origin.processed,
            persisted_in_alignment: persisted,
            synchronous: snapshot.origin.synchronous,
            asynchronous: started.elapsed(),
            ..SubtaskStats::default()
        },
    })
}

#[cfg(test)]
mod tests {
    use tidegate_coordinator::CheckpointPaths;
    use tidegate_state::MemoryStateBackend;
    use tidegate_store::MemoryStorage;
    use tidegate_types::{
        AttemptId, CheckpointId, JobId, MaxParallelism, Parallelism, SnapshotKind,
    };

    use super::*;
    use crate::cancel::CancelSource;

    #[test]
    fn nobody_waits_for_a_snapshot_that_hangs() {
        let job = JobId::from_bytes([1; 16]);
        let shared = Arc::new(AttemptContext {
            job,
            attempt: AttemptId::new(1),
            max_parallelism: MaxParallelism::DEFAULT,
            parallelism: vec![Parallelism::ONE],
            edges: Vec::new(),
            backend: Arc::new(MemoryStateBackend::with_max_state_size(1)),
            storage: Arc::new(MemoryStorage::new()),
            paths: CheckpointPaths::of_job(job),
            savepoints: Arc::default(),
            restore: None,
            alignment: AlignmentMode::ExactlyOnce,
        });
        let (reports, _reports) = unbounded();
        let (_source, cancel) = CancelSource::new();
        let mut threads = SnapshotThreads::start(2, &shared, &reports, &cancel);
        threads.patience = Duration::from_millis(20);
        let (release, hangs) = bounded::<()>(0);
        let (checkpoint, kind) = (CheckpointId::FIRST, SnapshotKind::Checkpoint);
        let barrier = Barrier { checkpoint, kind, triggered_at_ms: 0 };
        let mut snapshot = SnapshotBuilder::new(barrier, AlignmentMode::ExactlyOnce);
        let uid = OperatorUid::new("hangs").unwrap();
        snapshot.add(
            uid,
            Box::new(move |_| {
                let _ = hangs.recv();
                Ok(OperatorSnapshot::default())
            }),
        );
        threads.queue().submit(snapshot.finish(SnapshotOrigin {
            task: TaskId::new(0),
            subtask: Subtask::new(0, Parallelism::ONE),
            start_delay: Duration::ZERO,
            alignment: Duration::ZERO,
            processed: 0,
            synchronous: Duration::ZERO,
        }));
        // It comes to its end here, though nothing was released.
        drop(threads);
        drop(release);
    }
}
