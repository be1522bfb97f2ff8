//! Keyed streams: each key's records come, in order, to the one subtask that holds its state.

use std::sync::Arc;

use tidegate_state::{KeyedState, StateError, StateValue};
use tidegate_types::StateKey;

use super::Stream;
use crate::error::UserError;
use crate::exchange::{ChannelWriter, EdgeChannels, KeyBy};
use crate::in_flight::Codec;
use crate::keyed::{KeyedOperator, KeyedProcess, ProcessContext, StateSetup};
use crate::record::{Data, Keyed};
use crate::task::{GateTask, TaskBody};

/// A stream that is divided by key.
pub struct KeyedStream<K, T> {
    stream: Stream<T>,
    key_of: Arc<dyn Fn(&T) -> K + Send + Sync>,
}

impl<K: StateKey, T: StateValue> KeyedStream<K, T> {
    pub(super) fn new(stream: Stream<T>, key_of: Arc<dyn Fn(&T) -> K + Send + Sync>) -> Self {
        Self { stream, key_of }
    }

    /// Processes each record with state of its key. `setup` runs once in each subtask: it
    /// registers the states and returns the function that is called for each record.
    pub fn process<O, F, P>(&self, uid: &str, setup: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&mut StateSetup<'_, K>) -> Result<P, StateError> + Send + Sync + 'static,
        P: FnMut(&K, T, &mut ProcessContext<'_, K, O>) -> Result<(), UserError> + 'static,
    {
        self.process_with(uid, setup)
    }

    /// Like [`KeyedStream::process`], for a [`KeyedProcess`] that also handles timers.
    ///
    /// # Panics
    ///
    /// Never: the graph is complete before a task looks at it.
    pub fn process_with<O, F, P>(&self, uid: &str, setup: F) -> Stream<O>
    where
        O: Data,
        F: Fn(&mut StateSetup<'_, K>) -> Result<P, StateError> + Send + Sync + 'static,
        P: KeyedProcess<K, T, O> + 'static,
    {
        let late = Arc::new(std::sync::OnceLock::new());
        let uid_of_task = Arc::clone(&late);
        let connect = EdgeChannels::<Keyed<K, T>>::connect;
        let (out, edge) = self.stream.new_task(connect, move |edge, context, outlet| {
            let uid: &tidegate_types::OperatorUid = uid_of_task.get().expect("set below");
            let (backend_context, restored) = context.keyed(uid)?;
            let backend = &*context.shared.backend;
            let keyed = KeyedState::open(backend, &backend_context, restored)?;
            let down = outlet.build(context)?;
            let operator = KeyedOperator::new(uid.clone(), keyed, &setup, down)?;
            let inputs = context.edge(edge).take_receivers(context.subtask.index());
            let task = GateTask::new(inputs, Box::new(operator), Codec::keyed(), context)?;
            Ok(Box::new(task) as Box<dyn TaskBody>)
        });
        let uid = out.graph.lock().add_operator(out.outlet.task, uid);
        assert!(late.set(uid).is_ok(), "set once");
        let key_of = Arc::clone(&self.key_of);
        let to = out.outlet.task;
        self.stream.outlet.add(move |context| {
            let channels = context.edge(edge).take_senders(context.subtask.index());
            Ok(Box::new(KeyBy {
                key_of: Arc::new({
                    let key_of = Arc::clone(&key_of);
                    move |value: &T| key_of(value)
                }),
                max_parallelism: context.shared.max_parallelism,
                parallelism: context.shared.parallelism[to.get() as usize],
                writer: ChannelWriter::new(channels, context),
            }))
        });
        out
    }
}
