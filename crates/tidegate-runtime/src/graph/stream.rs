//! Streams: what comes out of an operator, and what can be done with it.

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use tidegate_connect::{SinkFactory, TwoPhaseSink};
use tidegate_state::StateValue;
use tidegate_types::StateKey;

use super::{KeyedStream, Outlet, SharedGraph, SinkHook};
use crate::exchange::{ChannelWriter, EdgeChannels, Rebalance};
use crate::in_flight::Codec;
use crate::operators::{AssignTimestamps, Emitter, Filter, FlatMap, Map, Print};
use crate::push::Push;
use crate::record::Data;
use crate::sink::SinkOperator;
use crate::task::{GateTask, TaskBody, TaskContext};

/// Records on their way from one operator to the next. A stream may be used more than once: each
/// use sees every record.
pub struct Stream<T> {
    pub(super) graph: SharedGraph,
    pub(super) outlet: Arc<Outlet<T>>,
}

impl<T> Clone for Stream<T> {
    fn clone(&self) -> Self {
        Self { graph: Arc::clone(&self.graph), outlet: Arc::clone(&self.outlet) }
    }
}

impl<T: Data> Stream<T> {
    /// Makes one record of each record.
    pub fn map<U: Data>(&self, function: impl Fn(T) -> U + Send + Sync + 'static) -> Stream<U> {
        let function = Arc::new(function);
        self.chain(move |down| Box::new(Map { function: Arc::clone(&function), down }))
    }

    /// Keeps the records for which the predicate holds.
    pub fn filter(&self, predicate: impl Fn(&T) -> bool + Send + Sync + 'static) -> Self {
        let predicate = Arc::new(predicate);
        self.chain(move |down| Box::new(Filter { predicate: Arc::clone(&predicate), down }))
    }

    /// Makes any number of records of each record.
    pub fn flat_map<U: Data>(
        &self,
        function: impl Fn(T, &mut Emitter<'_, U>) + Send + Sync + 'static,
    ) -> Stream<U> {
        let function = Arc::new(function);
        self.chain(move |down| Box::new(FlatMap { function: Arc::clone(&function), down }))
    }

    /// Gives each record its event time in milliseconds since the Unix epoch. Watermarks trail the
    /// newest event time by `out_of_orderness`: records later than that are late.
    pub fn assign_timestamps(
        &self,
        out_of_orderness: Duration,
        timestamp_of: impl Fn(&T) -> i64 + Send + Sync + 'static,
    ) -> Self {
        let timestamp_of = Arc::new(timestamp_of);
        let out_of_orderness_ms =
            i64::try_from(out_of_orderness.as_millis()).unwrap_or(i64::MAX - 1);
        self.chain(move |down| {
            let timestamp_of = Arc::clone(&timestamp_of);
            let (newest, emitted) = (None, None);
            Box::new(AssignTimestamps { timestamp_of, out_of_orderness_ms, newest, emitted, down })
        })
    }

    /// Sends each record to the subtask that owns its key. On its way it may become part of an
    /// unaligned checkpoint; so its type is one that could be state ([`StateValue`]).
    pub fn key_by<K: StateKey>(
        &self,
        key_of: impl Fn(&T) -> K + Send + Sync + 'static,
    ) -> KeyedStream<K, T>
    where
        T: StateValue,
    {
        KeyedStream::new(self.clone(), Arc::new(key_of))
    }

    /// Spreads the records evenly over the subtasks of a new task. On its way a record may become
    /// part of an unaligned checkpoint; so its type is one that could be state ([`StateValue`]).
    pub fn rebalance(&self) -> Self
    where
        T: StateValue,
    {
        let out = self.new_task(EdgeChannels::<T>::connect, |edge, context, outlet| {
            let inputs = context.edge::<T>(edge).take_receivers(context.subtask.index());
            let task = GateTask::new(inputs, outlet.build(context)?, Codec::plain(), context)?;
            Ok(Box::new(task) as Box<dyn TaskBody>)
        });
        let edge = out.1;
        self.outlet.add(move |context| {
            let channels = context.edge::<T>(edge).take_senders(context.subtask.index());
            let writer = ChannelWriter::new(channels, context);
            Ok(Box::new(Rebalance { next: usize::from(context.subtask.index()), writer }))
        });
        out.0
    }

    /// Writes the records with exactly-once effect. The uid names what is yet to be committed.
    pub fn sink<F>(&self, uid: &str, factory: F)
    where
        F: SinkFactory,
        F::Writer: TwoPhaseSink<Record = T>,
    {
        let factory = Arc::new(factory);
        let uid = self.graph.lock().add_operator(self.outlet.task, uid);
        let (own, recover) = (Arc::clone(&factory), Arc::clone(&factory));
        self.graph.lock().sinks.push(SinkHook {
            uid: uid.clone(),
            own: Box::new(move |job, restored| own.prepare_job(job, restored)),
            recover: Box::new(move |job, from, items| recover.recover_job(job, from, items)),
        });
        self.outlet.add(move |context| {
            Ok(Box::new(SinkOperator::open(uid.clone(), &*factory, context)?) as Box<dyn Push<T>>)
        });
    }

    /// Writes each record as a line to standard output. Lines since the last checkpoint are
    /// printed again after a failure.
    pub fn print(&self)
    where
        T: Display,
    {
        self.outlet.add(|_| Ok(Box::new(Print) as Box<dyn Push<T>>));
    }

    fn chain<U: Data>(
        &self,
        operator: impl Fn(Box<dyn Push<U>>) -> Box<dyn Push<T>> + Send + Sync + 'static,
    ) -> Stream<U> {
        let outlet = Outlet::new(self.outlet.task);
        let next = Arc::clone(&outlet);
        self.outlet.add(move |context| Ok(operator(next.build(context)?)));
        Stream { graph: Arc::clone(&self.graph), outlet }
    }

    /// A new task behind an edge from this stream's task: its stream and the edge.
    pub(super) fn new_task<U: Data>(
        &self,
        connect: super::Connect,
        build: impl Fn(usize, &TaskContext, &Outlet<U>) -> Result<Box<dyn TaskBody>, crate::TaskError>
        + Send
        + Sync
        + 'static,
    ) -> (Stream<U>, usize) {
        let late = Arc::new(std::sync::OnceLock::new());
        let factory = {
            let late = Arc::clone(&late);
            Arc::new(move |context: &TaskContext| {
                let (edge, outlet): &(usize, Arc<Outlet<U>>) =
                    late.get().expect("set below, before any task starts");
                build(*edge, context, outlet)
            })
        };
        let mut graph = self.graph.lock();
        let task = graph.add_vertex(false, factory);
        let edge = graph.add_edge(self.outlet.task, task, connect);
        let outlet = Outlet::new(task);
        assert!(late.set((edge, Arc::clone(&outlet))).is_ok(), "set once");
        (Stream { graph: Arc::clone(&self.graph), outlet }, edge)
    }
}
