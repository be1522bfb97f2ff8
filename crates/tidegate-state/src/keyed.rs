//! The keyed state of an operator: the current key, the registered states, the timers.

use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{
    CheckpointId, KeyHash, OperatorUid, RegisteredState, SnapshotKind, StateKey, StateKind,
};

use crate::backend::{
    Entry, FrozenTable, KeyedContext, KeyedStateBackend, RestoredKeyedState, StateBackend,
    StateTable,
};
use crate::descriptor::{described, registered};
use crate::handles::{AggregatingState, ListState, MapState, ReducingState, Slots, ValueState};
use crate::slot::{ListSlot, MapSlot, Slot, ValueSlot};
use crate::table::{Labels, Placed, Table};
use crate::timers::TimerTable;
use crate::{
    AggregateFunction, AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor,
    ReducingStateDescriptor, SnapshotJob, StateError, StateValue, TimeDomain, ValueStateDescriptor,
};

/// The keyed state of one subtask of an operator, for keys of type `K`.
///
/// It stays on the thread that opened it. The state handles that it gives out see the state of
/// the current key.
pub struct KeyedState<K: StateKey> {
    context: KeyedContext,
    backend: Box<dyn KeyedStateBackend>,
    names: Vec<Arc<str>>,
    current: Rc<RefCell<Option<Placed<K>>>>,
    event_timers: Rc<RefCell<TimerTable<K>>>,
    processing_timers: Rc<RefCell<TimerTable<K>>>,
}

impl<K: StateKey> KeyedState<K> {
    /// Opens the keyed state of a subtask, with what is restored of it.
    pub fn open(
        backend: &dyn StateBackend,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Self, StateError> {
        let timers = |domain: TimeDomain| {
            let labels = labels(&context.operator, &domain.state_name(), "");
            Rc::new(RefCell::new(TimerTable::new(labels, context.key_groups)))
        };
        let mut this = Self {
            context: context.clone(),
            backend: backend.open_keyed(context, restored)?,
            names: Vec::new(),
            current: Rc::default(),
            event_timers: timers(TimeDomain::EventTime),
            processing_timers: timers(TimeDomain::ProcessingTime),
        };
        for domain in [TimeDomain::EventTime, TimeDomain::ProcessingTime] {
            let types = format!("{} -> time", K::type_name());
            let state = described(&domain.state_name(), StateKind::Timer, 0, &types, 8);
            let table = Rc::clone(this.timers(domain));
            this.register(&state, Box::new(Shared(table)))?;
        }
        Ok(this)
    }

    /// Makes `key` the current key. `hash` is its [`StateKey::key_hash`], which the exchange has
    /// computed already.
    ///
    /// # Panics
    ///
    /// When the key belongs to another subtask.
    pub fn set_current_key(&self, key: K, hash: KeyHash) {
        let group = self.context.max_parallelism.key_group_of(hash);
        assert!(
            self.context.key_groups.contains(group),
            "key {key:?} of key group {group} came to the subtask with {}",
            self.context.key_groups
        );
        *self.current.borrow_mut() = Some(Placed { key, hash, group });
    }

    /// The current key, if there is one. The key stays current while the result lives.
    pub fn current_key(&self) -> Option<Ref<'_, K>> {
        Ref::filter_map(self.current.borrow(), |current| current.as_ref().map(|at| &at.key)).ok()
    }

    /// Registers one value for each key.
    #[expect(clippy::needless_pass_by_value, reason = "as the other kinds take their descriptors")]
    pub fn value<V: StateValue>(
        &mut self,
        descriptor: ValueStateDescriptor<V>,
    ) -> Result<ValueState<V>, StateError> {
        self.value_of_kind(&descriptor, StateKind::Value).map(ValueState::new)
    }

    /// Registers a list of values for each key.
    pub fn list<V: StateValue>(
        &mut self,
        descriptor: ListStateDescriptor<V>,
    ) -> Result<ListState<V>, StateError> {
        let ListStateDescriptor { name, schema_version, .. } = descriptor;
        let state = registered::<K, V>(&name, StateKind::List, schema_version, None);
        self.table::<ListSlot<V>>(&state).map(ListState::new)
    }

    /// Registers a map for each key.
    pub fn map<N: StateKey, V: StateValue>(
        &mut self,
        descriptor: MapStateDescriptor<N, V>,
    ) -> Result<MapState<N, V>, StateError> {
        let MapStateDescriptor { name, schema_version, .. } = descriptor;
        let inner = Some(N::type_name());
        let state = registered::<K, V>(&name, StateKind::Map, schema_version, inner);
        self.table::<MapSlot<N, V>>(&state).map(MapState::new)
    }

    /// Registers one value for each key, into which additions are folded.
    pub fn reducing<V: StateValue>(
        &mut self,
        descriptor: ReducingStateDescriptor<V>,
    ) -> Result<ReducingState<V>, StateError> {
        let ReducingStateDescriptor { value, reduce } = descriptor;
        let slots = self.value_of_kind(&value, StateKind::Reducing)?;
        Ok(ReducingState::new(slots, reduce))
    }

    /// Registers one accumulator for each key.
    pub fn aggregating<A: AggregateFunction>(
        &mut self,
        descriptor: AggregatingStateDescriptor<A>,
    ) -> Result<AggregatingState<A>, StateError> {
        let AggregatingStateDescriptor { value, function } = descriptor;
        let slots = self.value_of_kind(&value, StateKind::Aggregating)?;
        Ok(AggregatingState::new(slots, function))
    }

    /// Registers a timer of the current key. One that exists already is not doubled.
    ///
    /// # Panics
    ///
    /// When there is no current key.
    pub fn register_timer(&self, domain: TimeDomain, time_ms: i64) {
        let current = self.current.borrow();
        let at = current.as_ref().expect("a timer is registered while a record is processed");
        self.timers(domain).borrow_mut().register(at, time_ms);
    }

    /// Takes back a timer of the current key. One that does not exist is no error.
    ///
    /// # Panics
    ///
    /// When there is no current key.
    pub fn delete_timer(&self, domain: TimeDomain, time_ms: i64) {
        let current = self.current.borrow();
        let at = current.as_ref().expect("a timer is deleted while a record is processed");
        self.timers(domain).borrow_mut().delete(at, time_ms);
    }

    /// The earliest timer, in milliseconds since the Unix epoch.
    pub fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        self.timers(domain).borrow().next()
    }

    /// Takes the earliest timer that is not after `time_ms`, makes its key the current one and
    /// gives its time. Timers of the same time come in the order of key group and key.
    pub fn pop_timer(&self, domain: TimeDomain, time_ms: i64) -> Result<Option<i64>, StateError> {
        let popped = self.timers(domain).borrow_mut().pop(time_ms);
        Ok(popped.map(|(time, key)| {
            let hash = key.key_hash();
            self.set_current_key(key, hash);
            time
        }))
    }

    /// The short part of a snapshot: freezes every state. The job writes it on another thread.
    pub fn snapshot(
        &mut self,
        checkpoint: CheckpointId,
        kind: SnapshotKind,
    ) -> Result<Box<dyn SnapshotJob>, StateError> {
        self.backend.snapshot(checkpoint, kind)
    }

    fn timers(&self, domain: TimeDomain) -> &Rc<RefCell<TimerTable<K>>> {
        match domain {
            TimeDomain::EventTime => &self.event_timers,
            TimeDomain::ProcessingTime => &self.processing_timers,
        }
    }

    fn value_of_kind<V: StateValue>(
        &mut self,
        descriptor: &ValueStateDescriptor<V>,
        kind: StateKind,
    ) -> Result<Rc<dyn Slots<ValueSlot<V>>>, StateError> {
        let ValueStateDescriptor { name, schema_version, .. } = descriptor;
        self.table(&registered::<K, V>(name, kind, *schema_version, None))
    }

    fn table<S: Slot>(&mut self, state: &RegisteredState) -> Result<Rc<dyn Slots<S>>, StateError> {
        let labels = labels(&self.context.operator, &state.name, &state.types);
        let table = Table::<K, S>::new(labels.clone(), self.context.key_groups);
        let table = Rc::new(RefCell::new(table));
        self.register(state, Box::new(Shared(Rc::clone(&table))))?;
        Ok(Rc::new(OfCurrentKey { table, current: Rc::clone(&self.current), labels }))
    }

    fn register(
        &mut self,
        state: &RegisteredState,
        table: Box<dyn StateTable>,
    ) -> Result<(), StateError> {
        if self.names.contains(&state.name) {
            let (operator, state) = (self.context.operator.clone(), Arc::clone(&state.name));
            return Err(StateError::DuplicateName { operator, state });
        }
        self.backend.register(state, table)?;
        self.names.push(Arc::clone(&state.name));
        Ok(())
    }
}

fn labels(operator: &OperatorUid, state: &Arc<str>, types: &str) -> Labels {
    Labels { operator: operator.clone(), state: Arc::clone(state), types: types.into() }
}

/// A table that the operator's handles and the backend both hold.
struct Shared<T>(Rc<RefCell<T>>);

impl<T: StateTable> StateTable for Shared<T> {
    fn load(
        &mut self,
        group: tidegate_types::KeyGroup,
        entry: Entry<'_>,
    ) -> Result<(), StateError> {
        self.0.borrow_mut().load(group, entry)
    }

    fn freeze(&mut self) -> Box<dyn FrozenTable> {
        self.0.borrow_mut().freeze()
    }
}

/// A table as the handles see it: the slot of the current key.
struct OfCurrentKey<K, S> {
    table: Rc<RefCell<Table<K, S>>>,
    current: Rc<RefCell<Option<Placed<K>>>>,
    labels: Labels,
}

impl<K: StateKey, S: Slot> OfCurrentKey<K, S> {
    fn current(&self) -> Result<Ref<'_, Placed<K>>, StateError> {
        Ref::filter_map(self.current.borrow(), Option::as_ref).map_err(|_| {
            let Labels { operator, state, .. } = &self.labels;
            StateError::NoCurrentKey { operator: operator.clone(), state: Arc::clone(state) }
        })
    }
}

impl<K: StateKey, S: Slot> Slots<S> for OfCurrentKey<K, S> {
    fn read(&self, show: &mut dyn FnMut(Option<&S>)) -> Result<(), StateError> {
        let current = self.current()?;
        show(self.table.borrow().get(&current));
        Ok(())
    }

    fn modify(&self, change: &mut dyn FnMut(&mut Option<S>)) -> Result<(), StateError> {
        let current = self.current()?;
        self.table.borrow_mut().modify(&current, change);
        Ok(())
    }
}
