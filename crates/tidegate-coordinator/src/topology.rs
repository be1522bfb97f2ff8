//! Who takes part in a checkpoint.

use tidegate_types::{AttemptId, JobId, MaxParallelism, OperatorUid, Parallelism, Subtask, TaskId};

/// The tasks of a job, every subtask of which acknowledges every checkpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    /// The tasks.
    pub tasks: Vec<TaskTopology>,
    /// The number of key groups of the job.
    pub max_parallelism: MaxParallelism,
}

/// One task: a chain of operators that run together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskTopology {
    /// Which.
    pub task: TaskId,
    /// How many subtasks it has.
    pub parallelism: Parallelism,
    /// Its operators, each in no other task.
    pub operators: Vec<OperatorUid>,
    /// Whether barriers are injected into it.
    pub is_source: bool,
}

/// Whose checkpoints they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobInfo {
    /// The job.
    pub job_id: JobId,
    /// Its name, for people.
    pub job_name: String,
    /// Its present incarnation.
    pub attempt: AttemptId,
}

impl Topology {
    /// How many subtasks all tasks have together.
    #[must_use]
    pub fn subtasks(&self) -> usize {
        self.tasks.iter().map(|task| usize::from(task.parallelism.get())).sum()
    }

    /// The task that has the operator.
    pub(crate) fn task_of(&self, operator: &OperatorUid) -> Option<&TaskTopology> {
        self.tasks.iter().find(|task| task.operators.contains(operator))
    }

    /// The place of a subtask among all of them; `None` when there is no such subtask.
    pub(crate) fn position(&self, task: TaskId, subtask: Subtask) -> Option<usize> {
        let mut before = 0;
        for candidate in &self.tasks {
            if candidate.task == task {
                let known = candidate.parallelism == subtask.parallelism();
                return known.then(|| before + usize::from(subtask.index()));
            }
            before += usize::from(candidate.parallelism.get());
        }
        None
    }
}
