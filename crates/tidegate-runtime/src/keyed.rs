//! The keyed operator: sets the current key, calls the job's function, fires timers.

use std::marker::PhantomData;
use std::time::Instant;

use tidegate_state::{
    KeyedState, ListState, ListStateDescriptor, MapState, MapStateDescriptor, StateError,
    StateValue, TimeDomain, ValueState, ValueStateDescriptor,
};
use tidegate_types::{CheckpointId, OperatorUid, StateKey};

use crate::error::{TaskError, UserError};
use crate::operators::Emitter;
use crate::push::{Lifecycle, Push};
use crate::record::{Keyed, NO_TIMESTAMP, Record};
use crate::snapshot::{OperatorSnapshot, SnapshotBuilder};
use crate::task::wall_clock_ms;

/// What processes the records of a keyed stream, one key at a time.
///
/// A closure `|key, value, context| -> Result<(), UserError>` will do where there are no timers.
pub trait KeyedProcess<K: StateKey, T, O> {
    /// Processes one record. State handles see the state of `key`.
    fn process(
        &mut self,
        key: &K,
        value: T,
        context: &mut ProcessContext<'_, K, O>,
    ) -> Result<(), UserError>;

    /// A timer that was registered under `key` has come due.
    fn on_timer(
        &mut self,
        key: &K,
        timer: Timer,
        context: &mut ProcessContext<'_, K, O>,
    ) -> Result<(), UserError> {
        let _ = (key, timer, context);
        Ok(())
    }
}

impl<K, T, O, F> KeyedProcess<K, T, O> for F
where
    K: StateKey,
    F: FnMut(&K, T, &mut ProcessContext<'_, K, O>) -> Result<(), UserError>,
{
    fn process(
        &mut self,
        key: &K,
        value: T,
        context: &mut ProcessContext<'_, K, O>,
    ) -> Result<(), UserError> {
        self(key, value, context)
    }
}

/// A timer that has come due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The watermark has reached this event time, in milliseconds since the Unix epoch.
    EventTime(i64),
    /// The clock has reached this time, in milliseconds since the Unix epoch.
    ProcessingTime(i64),
}

/// Registers the states of a keyed operator, once for each subtask, before its first record.
pub struct StateSetup<'a, K: StateKey> {
    keyed: &'a mut KeyedState<K>,
}

impl<K: StateKey> StateSetup<'_, K> {
    /// One value for each key.
    pub fn value<V: StateValue>(&mut self, name: &str) -> Result<ValueState<V>, StateError> {
        self.keyed.value(ValueStateDescriptor::new(name))
    }

    /// A list of values for each key.
    pub fn list<V: StateValue>(&mut self, name: &str) -> Result<ListState<V>, StateError> {
        self.keyed.list(ListStateDescriptor::new(name))
    }

    /// A map for each key.
    pub fn map<N: StateKey, V: StateValue>(
        &mut self,
        name: &str,
    ) -> Result<MapState<N, V>, StateError> {
        self.keyed.map(MapStateDescriptor::new(name))
    }

    /// All that the state backend offers: descriptors with schema versions, reducing and
    /// aggregating state.
    pub fn keyed_state(&mut self) -> &mut KeyedState<K> {
        self.keyed
    }
}

/// What a keyed function sees besides key and value: time, timers, and the way out.
pub struct ProcessContext<'a, K: StateKey, O> {
    keyed: &'a KeyedState<K>,
    emitter: Emitter<'a, O>,
    timestamp: i64,
    watermark: i64,
}

impl<K: StateKey, O> ProcessContext<'_, K, O> {
    /// Passes a value to the next operator, with the event time of the record (or timer).
    pub fn emit(&mut self, value: O) {
        self.emitter.emit(value);
    }

    /// The event time of the record in milliseconds since the Unix epoch, if it has one.
    pub fn timestamp(&self) -> Option<i64> {
        (self.timestamp != NO_TIMESTAMP).then_some(self.timestamp)
    }

    /// The newest watermark: no record at or below this event time is expected any more.
    /// `i64::MIN` before the first.
    pub fn watermark(&self) -> i64 {
        self.watermark
    }

    /// Calls `on_timer` for the current key once the watermark reaches `time_ms`. Registering the
    /// same time again changes nothing.
    pub fn register_event_time_timer(&mut self, time_ms: i64) {
        self.keyed.register_timer(TimeDomain::EventTime, time_ms);
    }

    /// Calls `on_timer` for the current key once the clock reaches `time_ms`.
    pub fn register_processing_time_timer(&mut self, time_ms: i64) {
        self.keyed.register_timer(TimeDomain::ProcessingTime, time_ms);
    }

    /// Takes back an event-time timer of the current key.
    pub fn delete_event_time_timer(&mut self, time_ms: i64) {
        self.keyed.delete_timer(TimeDomain::EventTime, time_ms);
    }

    /// Takes back a processing-time timer of the current key.
    pub fn delete_processing_time_timer(&mut self, time_ms: i64) {
        self.keyed.delete_timer(TimeDomain::ProcessingTime, time_ms);
    }
}

pub(crate) struct KeyedOperator<K: StateKey, T, O, P> {
    uid: OperatorUid,
    keyed: KeyedState<K>,
    process: P,
    watermark: i64,
    down: Box<dyn Push<O>>,
    input: PhantomData<fn(T)>,
}

impl<K, T, O, P> KeyedOperator<K, T, O, P>
where
    K: StateKey,
    P: KeyedProcess<K, T, O>,
{
    pub(crate) fn new(
        uid: OperatorUid,
        mut keyed: KeyedState<K>,
        setup: impl FnOnce(&mut StateSetup<'_, K>) -> Result<P, StateError>,
        down: Box<dyn Push<O>>,
    ) -> Result<Self, TaskError> {
        keyed.set_time(wall_clock_ms());
        let process = setup(&mut StateSetup { keyed: &mut keyed })?;
        Ok(Self { uid, keyed, process, watermark: i64::MIN, down, input: PhantomData })
    }

    fn fire(&mut self, domain: TimeDomain, time_ms: i64) -> Result<(), TaskError> {
        while let Some(time) = self.keyed.pop_timer(domain, time_ms)? {
            let key = self.keyed.current_key().expect("a timer has a key");
            let timestamp = if domain == TimeDomain::EventTime { time } else { NO_TIMESTAMP };
            let timer = match domain {
                TimeDomain::EventTime => Timer::EventTime(time),
                TimeDomain::ProcessingTime => Timer::ProcessingTime(time),
            };
            let mut context = ProcessContext {
                keyed: &self.keyed,
                emitter: Emitter::new(&mut *self.down, timestamp),
                timestamp,
                watermark: self.watermark,
            };
            let result = self.process.on_timer(&key, timer, &mut context);
            context.emitter.finish()?;
            result.map_err(|source| TaskError::User { operator: self.uid.clone(), source })?;
        }
        Ok(())
    }
}

impl<K, T, O, P> Lifecycle for KeyedOperator<K, T, O, P>
where
    K: StateKey,
    P: KeyedProcess<K, T, O>,
{
    fn downstream(&mut self) -> Option<&mut dyn Lifecycle> {
        Some(&mut *self.down)
    }

    fn watermark(&mut self, watermark: i64) -> Result<(), TaskError> {
        self.watermark = watermark;
        self.fire(TimeDomain::EventTime, watermark)?;
        self.down.watermark(watermark)
    }

    fn barrier(&mut self, snapshot: &mut SnapshotBuilder) -> Result<(), TaskError> {
        let barrier = snapshot.barrier();
        let job = self.keyed.snapshot(barrier.checkpoint, barrier.kind)?;
        snapshot.add(
            self.uid.clone(),
            Box::new(move |context| {
                let result = job.run(&context.target, context.cancel.token())?;
                let mut snapshot =
                    OperatorSnapshot { registered: result.registered, ..Default::default() };
                snapshot.state.keyed = result.keyed;
                Ok(snapshot)
            }),
        );
        self.down.barrier(snapshot)
    }

    fn flush(&mut self, now: Instant, idle: bool) -> Result<(), TaskError> {
        if self.keyed.expires() {
            self.keyed.set_time(wall_clock_ms());
        }
        self.keyed.maintain()?;
        self.down.flush(now, idle)
    }

    fn aborted(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.keyed.notify_aborted(checkpoint);
        self.down.aborted(checkpoint)
    }

    fn completed(&mut self, checkpoint: CheckpointId) -> Result<(), TaskError> {
        self.keyed.notify_complete(checkpoint);
        self.down.completed(checkpoint)
    }

    fn advance_clock(&mut self, now_ms: i64) -> Result<(), TaskError> {
        self.fire(TimeDomain::ProcessingTime, now_ms)?;
        self.down.advance_clock(now_ms)
    }

    fn next_timer_ms(&mut self) -> Option<i64> {
        let own = self.keyed.next_timer(TimeDomain::ProcessingTime);
        own.into_iter().chain(self.down.next_timer_ms()).min()
    }
}

impl<K, T, O, P> Push<Keyed<K, T>> for KeyedOperator<K, T, O, P>
where
    K: StateKey,
    P: KeyedProcess<K, T, O>,
{
    fn push(&mut self, record: Record<Keyed<K, T>>) -> Result<(), TaskError> {
        let Keyed { key, hash, value } = record.value;
        self.keyed.set_current_key(key, hash);
        let key = self.keyed.current_key().expect("it was just set");
        let mut context = ProcessContext {
            keyed: &self.keyed,
            emitter: Emitter::new(&mut *self.down, record.timestamp),
            timestamp: record.timestamp,
            watermark: self.watermark,
        };
        let result = self.process.process(&key, value, &mut context);
        context.emitter.finish()?;
        result.map_err(|source| TaskError::User { operator: self.uid.clone(), source })
    }
}
