//! One attempt: all tasks of the job as threads, from their start until the last one has ended.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use crossbeam::channel::{Receiver, Sender, unbounded};
use tidegate_coordinator::Acknowledgement;
use tidegate_types::{CheckpointId, Subtask, TaskId};

use crate::cancel::CancelSource;
use crate::error::TaskError;
use crate::exchange::OutputRoom;
use crate::graph::{Graph, Vertex};
use crate::report::{Command, Report};
use crate::snapshot::SnapshotThreads;
use crate::task::{AttemptContext, TaskContext};

/// The snapshot threads of an attempt: two, so that one slow write does not hold up the rest.
const SNAPSHOT_THREADS: usize = 2;

/// The running tasks of one attempt. Dropping it cancels them and waits for their end.
pub(crate) struct Attempt {
    tasks: Vec<RunningTask>,
    cancel: CancelSource,
    reports: Receiver<Report>,
    // `None` once it has ended.
    snapshots: Option<SnapshotThreads>,
}

struct RunningTask {
    is_source: bool,
    commands: Sender<Command>,
    thread: Option<JoinHandle<()>>,
}

impl Attempt {
    /// Starts every subtask of every task.
    pub(crate) fn start(graph: &Graph, shared: &Arc<AttemptContext>) -> Self {
        let (reports_in, reports) = unbounded();
        let (source, cancel) = CancelSource::new();
        let snapshots = SnapshotThreads::start(SNAPSHOT_THREADS, shared, &reports_in, &cancel);
        let mut tasks = Vec::new();
        for (position, vertex) in graph.vertices.iter().enumerate() {
            let task = TaskId::new(u32::try_from(position).expect("few tasks"));
            for subtask in Subtask::all(shared.parallelism[position]) {
                let (commands, receiver) = unbounded();
                let context = TaskContext {
                    shared: Arc::clone(shared),
                    task,
                    subtask,
                    operators: vertex.operators.clone(),
                    room: OutputRoom::default(),
                    commands: receiver,
                    reports: reports_in.clone(),
                    cancel: cancel.clone(),
                    snapshots: snapshots.queue(),
                };
                let thread = Some(spawn(vertex, context));
                tasks.push(RunningTask { is_source: vertex.is_source, commands, thread });
            }
        }
        Self { tasks, cancel: source, reports, snapshots: Some(snapshots) }
    }

    /// What the tasks report.
    pub(crate) fn reports(&self) -> &Receiver<Report> {
        &self.reports
    }

    /// How many subtasks there are.
    pub(crate) fn subtasks(&self) -> usize {
        self.tasks.len()
    }

    /// How many subtasks of sources there are.
    pub(crate) fn source_subtasks(&self) -> usize {
        self.tasks.iter().filter(|task| task.is_source).count()
    }

    /// Puts a barrier into every source.
    pub(crate) fn inject(&self, barrier: tidegate_types::Barrier) {
        self.tell_sources(Command::Inject(barrier));
    }

    /// Puts a barrier into every source and lets none read beyond it.
    pub(crate) fn stop(&self, barrier: tidegate_types::Barrier, drain: bool) {
        self.tell_sources(Command::Stop { barrier, drain });
    }

    /// Lets the sources read on after [`stop`](Self::stop).
    pub(crate) fn resume(&self) {
        self.tell_sources(Command::Resume);
    }

    /// Tells every task that a checkpoint is complete.
    pub(crate) fn completed(&self, checkpoint: CheckpointId) {
        self.tell_all(Command::Completed(checkpoint));
    }

    /// Tells every task that nobody waits for a checkpoint any more.
    pub(crate) fn aborted(&self, checkpoint: CheckpointId) {
        self.tell_all(Command::Aborted(checkpoint));
    }

    /// Tells every task to end, all being done.
    pub(crate) fn finish(&self) {
        self.tell_all(Command::Finish);
    }

    /// Ends the tasks and their snapshots. Gives what was acknowledged and nobody has taken: if the
    /// checkpoints are given up, its files are to be deleted.
    pub(crate) fn end(mut self) -> Vec<Acknowledgement> {
        self.end_threads();
        let late = self.reports.try_iter().filter_map(|report| match report {
            Report::Acknowledged(acknowledgement) => Some(*acknowledgement),
            _ => None,
        });
        late.collect()
    }

    fn end_threads(&mut self) {
        self.cancel.cancel();
        let threads: Vec<_> = self.tasks.drain(..).filter_map(|task| task.thread).collect();
        for thread in threads {
            // Panics were caught inside and reported.
            let _ = thread.join();
        }
        self.snapshots = None;
    }

    fn tell_sources(&self, command: Command) {
        for task in self.tasks.iter().filter(|task| task.is_source) {
            // A task that has ended has reported why; the report is on its way.
            let _ = task.commands.send(command);
        }
    }

    fn tell_all(&self, command: Command) {
        for task in &self.tasks {
            let _ = task.commands.send(command);
        }
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        self.end_threads();
    }
}

fn spawn(vertex: &Vertex, context: TaskContext) -> JoinHandle<()> {
    let factory = Arc::clone(&vertex.factory);
    let name = vertex.operators.last().map_or("task", |uid| uid.as_str());
    // Linux shows 15 bytes of a thread's name.
    let name: String = name.chars().take(11).collect();
    std::thread::Builder::new()
        .name(format!("{name}-{}", context.subtask.index()))
        .spawn(move || {
            let (task, subtask) = (context.task, context.subtask);
            let run = AssertUnwindSafe(|| factory(&context)?.run(&context));
            let report = match catch_unwind(run) {
                Ok(Ok(())) => Report::Finished,
                Ok(Err(error)) => Report::Failed { task, subtask, error: Box::new(error) },
                Err(panic) => {
                    let error = Box::new(TaskError::from_panic(panic.as_ref()));
                    Report::Failed { task, subtask, error }
                }
            };
            // Nobody listens once the attempt is being dropped.
            let _ = context.reports.send(report);
        })
        .expect("the system has a thread for each subtask")
}

impl TaskContext {
    /// The channels of an edge, by the type that they were made with.
    pub(crate) fn edge<T: 'static>(&self, edge: usize) -> &crate::exchange::EdgeChannels<T> {
        self.shared.edges[edge].downcast_ref().expect("an edge has the type of its stream")
    }
}
