//! Snapshots of a task: the short part on the task's thread, the long part on a snapshot thread.
//!
//! A barrier collects one [`OperatorJob`] from each operator of the chain. The task goes on with
//! the next record at once; the jobs run here and end in an acknowledgement or a decline.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, unbounded};
use tidegate_coordinator::{Acknowledgement, SubtaskStats};
use tidegate_state::SnapshotTarget;
use tidegate_types::{Barrier, OperatorUid, RegisteredState, Subtask, SubtaskState, TaskId};

use crate::cancel::Cancel;
use crate::error::TaskError;
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
    jobs: Vec<(OperatorUid, OperatorJob)>,
}

impl SnapshotBuilder {
    pub(crate) fn new(barrier: Barrier) -> Self {
        Self { barrier, jobs: Vec::new() }
    }

    pub(crate) fn barrier(&self) -> Barrier {
        self.barrier
    }

    pub(crate) fn add(&mut self, operator: OperatorUid, job: OperatorJob) {
        self.jobs.push((operator, job));
    }

    pub(crate) fn finish(self, origin: SnapshotOrigin) -> TaskSnapshot {
        TaskSnapshot { barrier: self.barrier, jobs: self.jobs, origin }
    }
}

/// Whose snapshot it is, and what its short part took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SnapshotOrigin {
    pub(crate) task: TaskId,
    pub(crate) subtask: Subtask,
    pub(crate) alignment: Duration,
    pub(crate) synchronous: Duration,
}

/// The long part of a whole task's snapshot.
pub(crate) struct TaskSnapshot {
    barrier: Barrier,
    jobs: Vec<(OperatorUid, OperatorJob)>,
    origin: SnapshotOrigin,
}

/// The snapshot threads of one attempt. A task's snapshots run in the order of their barriers.
pub(crate) struct SnapshotThreads {
    queue: Option<Sender<TaskSnapshot>>,
    threads: Vec<JoinHandle<()>>,
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
        let threads = (0..count)
            .map(|index| {
                let (jobs, shared) = (jobs.clone(), Arc::clone(shared));
                let (reports, cancel) = (reports.clone(), cancel.clone());
                std::thread::Builder::new()
                    .name(format!("snapshot-{index}"))
                    .spawn(move || work(&jobs, &shared, &reports, &cancel))
                    .expect("the system has a thread for snapshots")
            })
            .collect();
        Self { queue: Some(queue), threads }
    }

    pub(crate) fn queue(&self) -> SnapshotQueue {
        SnapshotQueue(self.queue.clone().expect("open until it is dropped"))
    }
}

impl Drop for SnapshotThreads {
    fn drop(&mut self) {
        self.queue = None;
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
    for (uid, job) in snapshot.jobs {
        cancel.check()?;
        let OperatorSnapshot { registered, state } = job(&context)?;
        operators.push((uid, registered, state));
    }
    Ok(Acknowledgement {
        checkpoint: snapshot.barrier.checkpoint,
        task: snapshot.origin.task,
        subtask: snapshot.origin.subtask,
        operators,
        stats: SubtaskStats {
            alignment: snapshot.origin.alignment,
            synchronous: snapshot.origin.synchronous,
            asynchronous: started.elapsed(),
            ..SubtaskStats::default()
        },
    })
}
