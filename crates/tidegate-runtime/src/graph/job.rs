//! `Job`: where a job's streams begin.

use std::num::NonZeroU64;
use std::sync::Arc;

use parking_lot::Mutex;
use tidegate_connect::SplitSource;
use tidegate_types::Parallelism;

use super::{Graph, InputHook, Outlet, SharedGraph, Stream};
use crate::record::Data;
use crate::task::{SourceInput, SourceTask, TaskBody, TaskContext};

/// A job under construction. Streams that begin here are its graph.
pub struct Job {
    pub(crate) graph: SharedGraph,
}

impl Job {
    pub(crate) fn new() -> Self {
        Self { graph: Arc::new(Mutex::new(Graph::default())) }
    }

    /// The graph, when it is complete. Streams that are still held can add nothing to it.
    pub(crate) fn into_graph(self) -> Graph {
        std::mem::take(&mut *self.graph.lock())
    }

    /// A stream of a source's records. The uid names the source's positions in checkpoints.
    pub fn source<S: SplitSource>(&self, uid: &str, source: S) -> SourceBuilder<S> {
        SourceBuilder {
            graph: Arc::clone(&self.graph),
            uid: uid.to_owned(),
            source,
            rate: None,
            parallelism: None,
        }
    }
}

/// A source, before its stream begins.
pub struct SourceBuilder<S> {
    graph: SharedGraph,
    uid: String,
    source: S,
    rate: Option<NonZeroU64>,
    parallelism: Option<Parallelism>,
}

impl<S> SourceBuilder<S>
where
    S: SplitSource,
    S::Record: Data,
{
    /// Reads at most this many records a second, over all subtasks. `None`: as fast as it can.
    #[must_use]
    pub fn rate_limit(mut self, records_per_second: Option<NonZeroU64>) -> Self {
        self.rate = records_per_second;
        self
    }

    /// Reads with this many subtasks, whatever the parallelism of the job. One subtask keeps the
    /// order of the input for each key.
    #[must_use]
    pub fn parallelism(mut self, parallelism: Parallelism) -> Self {
        self.parallelism = Some(parallelism);
        self
    }

    /// The stream of the records.
    ///
    /// # Panics
    ///
    /// Never: the graph is complete before a task looks at it.
    pub fn stream(self) -> Stream<S::Record> {
        let Self { graph, uid, source, rate, parallelism } = self;
        let input = Arc::new(SourceInput::new(source));
        // The factory needs the uid and the outlet, which need the task that it makes.
        let late = Arc::new(std::sync::OnceLock::new());
        let factory = {
            let (late, input) = (Arc::clone(&late), Arc::clone(&input));
            Arc::new(move |context: &TaskContext| {
                let (uid, outlet): &(_, Arc<Outlet<S::Record>>) =
                    late.get().expect("set below, before any task starts");
                let down = outlet.build(context)?;
                let task = SourceTask::open(Clone::clone(uid), &input, rate, down, context)?;
                Ok(Box::new(task) as Box<dyn TaskBody>)
            })
        };
        let check = move || input.splits().map(drop);
        graph.lock().inputs.push(InputHook { uid: uid.clone(), check: Box::new(check) });
        let task = graph.lock().add_vertex(true, factory);
        let uid = graph.lock().add_operator(task, &uid);
        graph.lock().vertex(task).parallelism = parallelism;
        let outlet = Outlet::new(task);
        let set = late.set((uid, Arc::clone(&outlet)));
        assert!(set.is_ok(), "set once");
        Stream { graph, outlet }
    }
}
