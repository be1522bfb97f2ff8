//! Sinks that commit in two phases.

use std::any::Any;
use std::fmt;

use tidegate_types::{AttemptId, CheckpointId, JobId, OperatorUid, Subtask};

use crate::ConnectError;

/// One subtask's part of a sink that writes ahead and commits with checkpoints.
///
/// The protocol, of which the caller carries out the numbered steps:
/// 1. `write` records.
/// 2. At a barrier, `seal` what was written since the last one, and `finish` it (on any thread): it is
///    durable then, though invisible, and described by *committables*. `prepare` does both at once.
///    The caller keeps the committables in the checkpoint, together with all earlier ones that are not
///    committed yet: when a checkpoint is aborted, what was sealed for it belongs to the next.
/// 3. When that checkpoint is complete, `commit` all committables it holds, then forget them.
/// 4. After a failure, [`SinkFactory::recover_job`] once with all committables of the checkpoint.
pub trait TwoPhaseSink: Send {
    /// What is written.
    type Record;

    /// Takes a record. It is part of the next checkpoint.
    fn write(&mut self, record: Self::Record) -> Result<(), ConnectError>;

    /// Ends what was written since the last call, quickly: what takes long is left to
    /// [`SealedOutput::finish`]. Records written from now on belong to the next checkpoint.
    fn seal(&mut self, checkpoint: CheckpointId) -> Result<SealedOutput, ConnectError>;

    /// Seals and finishes. Empty when nothing was written; never a committable for the second time.
    fn prepare(&mut self, checkpoint: CheckpointId) -> Result<Vec<Vec<u8>>, ConnectError> {
        self.seal(checkpoint)?.finish()
    }

    /// Makes prepared output visible. Idempotent: committing again what is committed does nothing.
    fn commit(&mut self, committables: &[Vec<u8>]) -> Result<(), ConnectError>;
}

/// Output that is sealed and not durable yet. If it is dropped or fails to finish, its records are
/// lost to this attempt, which must then be restarted from its last checkpoint.
#[must_use = "records of output that is not finished are lost"]
pub struct SealedOutput {
    finish: Option<FinishOutput>,
}

type FinishOutput = Box<dyn FnOnce() -> Result<Vec<Vec<u8>>, ConnectError> + Send>;

impl SealedOutput {
    /// No record was written.
    pub const fn nothing() -> Self {
        Self { finish: None }
    }

    /// Made durable by `finish`, which gives the committables.
    pub fn new(
        finish: impl FnOnce() -> Result<Vec<Vec<u8>>, ConnectError> + Send + 'static,
    ) -> Self {
        Self { finish: Some(Box::new(finish)) }
    }

    /// Whether there is nothing to be made durable.
    pub const fn is_nothing(&self) -> bool {
        self.finish.is_none()
    }

    /// Makes it durable. This takes as long as the disk does; it may be done on another thread, and
    /// while the sink is written to.
    pub fn finish(self) -> Result<Vec<Vec<u8>>, ConnectError> {
        self.finish.map_or_else(|| Ok(Vec::new()), |finish| finish())
    }
}

impl fmt::Debug for SealedOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedOutput").field("is_nothing", &self.is_nothing()).finish()
    }
}

/// Makes the subtasks' writers of one sink, and does once per job what must not be done by each.
///
/// Order of a job's start: `prepare_job`, `recover_job`, then `open` for every subtask. After a
/// failure within the process, the ownership stays: `recover_job`, then `open` again.
pub trait SinkFactory: Send + Sync + 'static {
    /// What a subtask writes with.
    type Writer: TwoPhaseSink + 'static;

    /// Takes the sink's target for this job. `restored` says whether the job goes on from a
    /// checkpoint; one that does not must not find committed output of whatever origin.
    fn prepare_job(&self, job: JobId, restored: bool) -> Result<SinkOwnership, ConnectError>;

    /// Brings the target to the state of a checkpoint: commits `committables`, which are those of
    /// *all* subtasks in the checkpoint, and discards what belongs to no checkpoint up to it.
    /// `restored_from` is `None` for a job that begins anew.
    ///
    /// No writer of this sink may be open meanwhile.
    fn recover_job(
        &self,
        job: JobId,
        restored_from: Option<CheckpointId>,
        committables: &[Vec<u8>],
    ) -> Result<Recovery, ConnectError>;

    /// The writer of one subtask.
    fn open(&self, context: &SinkContext) -> Result<Self::Writer, ConnectError>;
}

/// For whom a writer is opened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SinkContext {
    /// The job.
    pub job: JobId,
    /// The sink's operator.
    pub operator: OperatorUid,
    /// Which of its subtasks.
    pub subtask: Subtask,
    /// Which incarnation of the job. No two that write to the same target may have the same number
    /// while output of the earlier one is uncommitted.
    pub attempt: AttemptId,
}

/// What [`SinkFactory::recover_job`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// How many of the restored committables were not committed before.
    pub committed: usize,
    /// How many uncommitted leftovers were removed.
    pub removed: usize,
    /// Committed output of checkpoints *after* the one restored from, by name. It was taken back
    /// (made invisible, not deleted), for the job will produce these records again.
    pub taken_back: Vec<String>,
}

/// The hold of a job on a sink's target. Dropping it gives the target free.
pub struct SinkOwnership {
    _hold: Option<Box<dyn Any + Send + Sync>>,
}

impl SinkOwnership {
    /// Of a target that needs no protection, such as standard output.
    #[must_use]
    pub const fn unneeded() -> Self {
        Self { _hold: None }
    }

    /// Held until `hold` is dropped.
    pub fn held_by(hold: impl Any + Send + Sync) -> Self {
        Self { _hold: Some(Box::new(hold)) }
    }
}

impl fmt::Debug for SinkOwnership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SinkOwnership").finish_non_exhaustive()
    }
}
