//! What tasks tell the driver, and what the driver tells tasks.

use tidegate_coordinator::Acknowledgement;
use tidegate_types::{Barrier, CheckpointId, Subtask, TaskId};

use crate::error::TaskError;

/// From a task (or its snapshot) to the driver.
#[derive(Debug)]
pub(crate) enum Report {
    /// The task's part of a checkpoint is durable.
    Acknowledged(Box<Acknowledgement>),
    /// The task's part of a checkpoint could not be written; the task itself goes on.
    Declined { checkpoint: CheckpointId, task: TaskId, subtask: Subtask, error: Box<TaskError> },
    /// A source subtask has read all of its input.
    SourceExhausted { task: TaskId, subtask: Subtask },
    /// The task has ended, after [`Command::Finish`].
    Finished,
    /// The task has ended with an error, or because it was cancelled.
    Failed { task: TaskId, subtask: Subtask, error: Box<TaskError> },
}

/// From the driver to a task.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Command {
    /// Put this barrier into the stream (sources only).
    Inject(Barrier),
    /// Put this barrier into the stream and read no further (sources only). `drain`: event time
    /// ends before the barrier.
    Stop { barrier: Barrier, drain: bool },
    /// Read on: nothing came of stopping (sources only).
    Resume,
    /// The checkpoint is complete and durable.
    Completed(CheckpointId),
    /// Nobody waits for the checkpoint any more.
    Aborted(CheckpointId),
    /// All input is processed and all output is committed: end.
    Finish,
}
