//! The job graph as it is being built: tasks, the edges between them, and what must happen to
//! sinks before a task starts.

mod job;
mod keyed_stream;
mod stream;

use std::any::Any;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_connect::{ConnectError, Recovery, SinkOwnership};
use tidegate_types::{CheckpointId, InvalidId, JobId, OperatorUid, Parallelism, TaskId};

use crate::error::{JobError, TaskError};
use crate::push::{Push, Tee};
use crate::record::Data;
use crate::task::{TaskContext, TaskFactory};

pub use job::{Job, SourceBuilder};
pub use keyed_stream::KeyedStream;
pub use stream::Stream;

/// All of a job.
#[derive(Default)]
pub(crate) struct Graph {
    pub(crate) vertices: Vec<Vertex>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) inputs: Vec<InputHook>,
    pub(crate) sinks: Vec<SinkHook>,
    /// The first thing wrong with the graph, told when the job starts.
    pub(crate) problem: Option<JobError>,
}

/// One task of the job.
pub(crate) struct Vertex {
    pub(crate) parallelism: Option<Parallelism>,
    pub(crate) operators: Vec<OperatorUid>,
    pub(crate) is_source: bool,
    pub(crate) factory: TaskFactory,
}

/// Makes the channels of an edge: `EdgeChannels<T>` of the edge's type.
pub(crate) type Connect = fn(Parallelism, Parallelism) -> Arc<dyn Any + Send + Sync>;

/// A connection between two tasks.
pub(crate) struct Edge {
    pub(crate) from: TaskId,
    pub(crate) to: TaskId,
    pub(crate) connect: Connect,
}

/// Finds what a source has to read.
pub(crate) struct InputHook {
    pub(crate) uid: String,
    /// Called before anything is touched, by a job that has no positions of this source yet.
    pub(crate) check: Box<dyn Fn() -> Result<(), ConnectError> + Send + Sync>,
}

/// Takes the place where a sink writes and settles what earlier attempts left there.
pub(crate) struct SinkHook {
    pub(crate) uid: OperatorUid,
    /// Called once, before the first attempt; what it returns is kept while the job runs.
    pub(crate) own: OwnSink,
    /// Called before each attempt with all committables of the restored checkpoint.
    pub(crate) recover: RecoverSink,
}

pub(crate) type OwnSink =
    Box<dyn Fn(JobId, bool) -> Result<SinkOwnership, ConnectError> + Send + Sync>;
pub(crate) type RecoverSink = Box<
    dyn Fn(JobId, Option<CheckpointId>, &[Vec<u8>]) -> Result<Recovery, ConnectError> + Send + Sync,
>;

pub(crate) type SharedGraph = Arc<Mutex<Graph>>;

impl Graph {
    pub(crate) fn add_vertex(&mut self, is_source: bool, factory: TaskFactory) -> TaskId {
        let id = TaskId::new(u32::try_from(self.vertices.len()).expect("fewer than 2^32 tasks"));
        self.vertices.push(Vertex { parallelism: None, operators: Vec::new(), is_source, factory });
        id
    }

    pub(crate) fn add_edge(&mut self, from: TaskId, to: TaskId, connect: Connect) -> usize {
        self.edges.push(Edge { from, to, connect });
        self.edges.len() - 1
    }

    pub(crate) fn vertex(&mut self, task: TaskId) -> &mut Vertex {
        &mut self.vertices[task.get() as usize]
    }

    /// Adds an operator to a task. What is wrong with its uid is told when the job starts.
    pub(crate) fn add_operator(&mut self, task: TaskId, uid: &str) -> OperatorUid {
        let uid = match OperatorUid::new(uid) {
            Ok(uid) => uid,
            Err(invalid) => {
                self.report(invalid);
                return OperatorUid::new("invalid").expect("a plain word");
            }
        };
        if self.vertices.iter().any(|vertex| vertex.operators.contains(&uid)) {
            self.problem.get_or_insert(JobError::DuplicateUid { uid: uid.clone() });
        }
        self.vertex(task).operators.push(uid.clone());
        uid
    }

    fn report(&mut self, invalid: InvalidId) {
        self.problem.get_or_insert(invalid.into());
    }
}

/// Builds the chain that takes a stream's records in one subtask.
type ConsumerFactory<T> =
    Box<dyn Fn(&TaskContext) -> Result<Box<dyn Push<T>>, TaskError> + Send + Sync>;

/// A point of the graph at which records of one type come out, and who takes them there.
pub(crate) struct Outlet<T> {
    pub(crate) task: TaskId,
    consumers: Mutex<Vec<ConsumerFactory<T>>>,
}

impl<T: Data> Outlet<T> {
    pub(crate) fn new(task: TaskId) -> Arc<Self> {
        Arc::new(Self { task, consumers: Mutex::new(Vec::new()) })
    }

    pub(crate) fn add(
        &self,
        consumer: impl Fn(&TaskContext) -> Result<Box<dyn Push<T>>, TaskError> + Send + Sync + 'static,
    ) {
        self.consumers.lock().push(Box::new(consumer));
    }

    /// The chain behind this point. A single consumer costs nothing extra.
    pub(crate) fn build(&self, context: &TaskContext) -> Result<Box<dyn Push<T>>, TaskError> {
        let consumers = self.consumers.lock();
        let mut branches =
            consumers.iter().map(|build| build(context)).collect::<Result<Vec<_>, _>>()?;
        match branches.len() {
            1 => Ok(branches.remove(0)),
            _ => Ok(Box::new(Tee { branches })),
        }
    }
}
