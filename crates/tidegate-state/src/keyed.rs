//! The keyed state of an operator: the current key, the registered states, the timers.

mod current;

use std::any::Any;
use std::cell::{Cell, Ref, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{
    CheckpointId, KeyGroup, KeyHash, RegisteredState, SnapshotKind, StateKey, StateKind,
};

use self::current::{Current, OfCurrentKey};
use crate::backend::{
    Acceptance, Entry, FrozenTable, KeyedContext, KeyedStateBackend, RestoredKeyedState,
    StateBackend, StateTable,
};
use crate::descriptor::{described, registered};
use crate::handles::{
    AggregatingState, ListSlots, ListState, MapSlots, MapState, ReducingState, ValueSlots,
    ValueState,
};
use crate::layer::{FrozenOverlay, LayeredTable, StateBase};
use crate::layered::{Delta, Layered, LayeredTimers, ListDelta, MapDelta, ValueDelta};
use crate::schema::{Labels, Migration, Schema};
use crate::slot::{ListSlot, MapSlot, Slot, ValueSlot};
use crate::stored::{Items, Migrating, Named, OneValue, Stored, StoredTimers, TimerSchema};
use crate::table::{Placed, StateKeys, Table};
use crate::timers::{TimerTable, Timers};
use crate::ttl::{Clock, Expiring, Stamped};
use crate::{
    AggregateFunction, AggregatingStateDescriptor, ListStateDescriptor, MapStateDescriptor,
    ReducingStateDescriptor, SnapshotJob, StateError, StateTtlConfig, StateValue, TimeDomain,
    ValueStateDescriptor,
};

/// The keyed state of one subtask of an operator, for keys of type `K`.
///
/// It stays on the thread that opened it. The state handles that it gives out see the state of
/// the current key.
pub struct KeyedState<K: StateKey> {
    context: KeyedContext,
    backend: Box<dyn KeyedStateBackend>,
    /// The registered states, and whose keys they are.
    states: Vec<(Arc<str>, KeysOf<K>)>,
    current: Current<K>,
    event_timers: Rc<RefCell<dyn Timers<K>>>,
    processing_timers: Rc<RefCell<dyn Timers<K>>>,
    now_ms: Rc<Cell<i64>>,
    expires: bool,
}

type KeysOf<K> = Rc<RefCell<dyn StateKeys<K>>>;

/// A table of the backend's sort.
enum Opened<K, S: Slot, D: Delta, F> {
    Whole(OfCurrentKey<K, Table<K, S>>),
    Layered(OfCurrentKey<K, Layered<K, D>>),
    Stored(OfCurrentKey<K, Stored<K, F, S::Value>>),
}

impl<K: StateKey> KeyedState<K> {
    /// Opens the keyed state of a subtask, with what is restored of it.
    pub fn open(
        backend: &dyn StateBackend,
        context: &KeyedContext,
        restored: Vec<RestoredKeyedState>,
    ) -> Result<Self, StateError> {
        let mut backend = backend.open_keyed(context, restored)?;
        let event_timers = open_timers(&mut *backend, context, TimeDomain::EventTime)?;
        let processing_timers = open_timers(&mut *backend, context, TimeDomain::ProcessingTime)?;
        Ok(Self {
            context: context.clone(),
            backend,
            states: Vec::new(),
            current: Rc::default(),
            event_timers,
            processing_timers,
            now_ms: Rc::default(),
            expires: false,
        })
    }

    /// Makes `key` the current key. `hash` is its [`StateKey::key_hash`], which the exchange has
    /// computed already.
    ///
    /// # Panics
    ///
    /// When the key belongs to another subtask.
    #[inline]
    pub fn set_current_key(&self, key: K, hash: KeyHash) {
        let group = self.context.max_parallelism.key_group_of(hash);
        if !self.context.key_groups.contains(group) {
            current::misplaced(&key, group, self.context.key_groups);
        }
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
        let ListStateDescriptor { name, schema_version, migrations, ttl, .. } = descriptor;
        let Some(ttl) = ttl else {
            let schema = self.schema(&name, StateKind::List, (schema_version, &migrations), None);
            return self.list_table(schema, None).map(ListState::new);
        };
        let (clock, migrations) = (self.clock(ttl), stamped(&migrations));
        let schema = self.schema(&name, StateKind::List, (schema_version, &migrations), None);
        let slots = self.list_table::<Stamped<V>>(schema, Some(clock.clone()))?;
        Ok(ListState::new(Rc::new(Expiring { slots, clock })))
    }

    /// Registers a map for each key.
    pub fn map<N: StateKey, V: StateValue>(
        &mut self,
        descriptor: MapStateDescriptor<N, V>,
    ) -> Result<MapState<N, V>, StateError> {
        let MapStateDescriptor { name, schema_version, migrations, ttl, .. } = descriptor;
        let names = N::type_name();
        let (kind, names) = (StateKind::Map, Some(&*names));
        let Some(ttl) = ttl else {
            let schema = self.schema(&name, kind, (schema_version, &migrations), names);
            return self.map_table::<N, V>(schema, None).map(MapState::new);
        };
        let (clock, migrations) = (self.clock(ttl), stamped(&migrations));
        let schema = self.schema(&name, kind, (schema_version, &migrations), names);
        let slots = self.map_table::<N, Stamped<V>>(schema, Some(clock.clone()))?;
        Ok(MapState::new(Rc::new(Expiring { slots, clock })))
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

    /// Shows every key of this subtask that has something in the state of this name: by key group,
    /// then by hash. Keys whose values have expired may be among them. None when no such state is
    /// registered.
    ///
    /// `visit` may use and change state: what it does to keys of the same key group is not seen
    /// any more.
    pub fn for_each_key<E: From<StateError>>(
        &self,
        state: &str,
        mut visit: impl FnMut(&K) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some((_, table)) = self.states.iter().find(|(name, _)| &**name == state) else {
            return Ok(());
        };
        for group in self.context.key_groups.iter() {
            let keys = table.borrow().keys_of(group)?;
            keys.iter().try_for_each(&mut visit)?;
        }
        Ok(())
    }

    /// Sets the time by which values expire, in milliseconds since the Unix epoch.
    pub fn set_time(&self, now_ms: i64) {
        self.now_ms.set(now_ms);
    }

    /// Whether any state has a time to live, so that the time is worth setting.
    pub fn expires(&self) -> bool {
        self.expires
    }

    /// To be called between records, often: see [`KeyedStateBackend::maintain`].
    pub fn maintain(&mut self) -> Result<(), StateError> {
        self.backend.maintain(self.now_ms.get())
    }

    /// See [`KeyedStateBackend::notify_complete`].
    pub fn notify_complete(&mut self, checkpoint: CheckpointId) {
        self.backend.notify_complete(checkpoint);
    }

    /// See [`KeyedStateBackend::notify_aborted`].
    pub fn notify_aborted(&mut self, checkpoint: CheckpointId) {
        self.backend.notify_aborted(checkpoint);
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

    /// The earliest timer, in milliseconds since the Unix epoch; when that cannot be read,
    /// `i64::MIN`, and [`pop_timer`](Self::pop_timer) tells why.
    pub fn next_timer(&self, domain: TimeDomain) -> Option<i64> {
        self.timers(domain).borrow_mut().next()
    }

    /// Takes the earliest timer that is not after `time_ms`, makes its key the current one and
    /// gives its time. Timers of the same time come in the order of key group and key.
    pub fn pop_timer(&self, domain: TimeDomain, time_ms: i64) -> Result<Option<i64>, StateError> {
        let popped = self.timers(domain).borrow_mut().pop(time_ms)?;
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

    fn timers(&self, domain: TimeDomain) -> &RefCell<dyn Timers<K>> {
        match domain {
            TimeDomain::EventTime => &*self.event_timers,
            TimeDomain::ProcessingTime => &*self.processing_timers,
        }
    }

    fn clock(&mut self, ttl: StateTtlConfig) -> Clock {
        self.expires = true;
        Clock::new(Rc::clone(&self.now_ms), ttl)
    }

    fn value_of_kind<V: StateValue>(
        &mut self,
        descriptor: &ValueStateDescriptor<V>,
        kind: StateKind,
    ) -> Result<Rc<dyn ValueSlots<V>>, StateError> {
        let ValueStateDescriptor { name, schema_version, migrations, ttl, .. } = descriptor;
        let Some(ttl) = *ttl else {
            let schema = self.schema(name, kind, (*schema_version, migrations), None);
            return self.value_table(schema, None);
        };
        let (clock, migrations) = (self.clock(ttl), stamped(migrations));
        let schema = self.schema(name, kind, (*schema_version, &migrations), None);
        let slots = self.value_table::<Stamped<V>>(schema, Some(clock.clone()))?;
        Ok(Rc::new(Expiring { slots, clock }))
    }

    fn schema<V: StateValue>(
        &self,
        name: &Arc<str>,
        kind: StateKind,
        version: (u32, &[Migration<V>]),
        map_key: Option<&str>,
    ) -> Schema<V> {
        let (registered, earlier) = registered::<K, V>(name, kind, version, map_key);
        let operator = self.context.operator.clone();
        Schema::new(Labels { operator, registered }, earlier)
    }

    fn value_table<V: StateValue>(
        &mut self,
        schema: Schema<V>,
        clock: Option<Clock>,
    ) -> Result<Rc<dyn ValueSlots<V>>, StateError> {
        Ok(match self.open_table::<ValueSlot<V>, ValueDelta<V>, OneValue>(schema, clock)? {
            Opened::Whole(table) => Rc::new(table),
            Opened::Layered(table) => Rc::new(table),
            Opened::Stored(table) => Rc::new(table),
        })
    }

    fn list_table<V: StateValue>(
        &mut self,
        schema: Schema<V>,
        clock: Option<Clock>,
    ) -> Result<Rc<dyn ListSlots<V>>, StateError> {
        Ok(match self.open_table::<ListSlot<V>, ListDelta<V>, Items>(schema, clock)? {
            Opened::Whole(table) => Rc::new(table),
            Opened::Layered(table) => Rc::new(table),
            Opened::Stored(table) => Rc::new(table),
        })
    }

    fn map_table<N: StateKey, V: StateValue>(
        &mut self,
        schema: Schema<V>,
        clock: Option<Clock>,
    ) -> Result<Rc<dyn MapSlots<N, V>>, StateError> {
        Ok(match self.open_table::<MapSlot<N, V>, MapDelta<N, V>, Named<N>>(schema, clock)? {
            Opened::Whole(table) => Rc::new(table),
            Opened::Layered(table) => Rc::new(table),
            Opened::Stored(table) => Rc::new(table),
        })
    }

    fn open_table<S: Slot, D: Delta<Value = S::Value>, F: 'static>(
        &mut self,
        mut schema: Schema<S::Value>,
        clock: Option<Clock>,
    ) -> Result<Opened<K, S, D, F>, StateError>
    where
        Layered<K, D>: StateKeys<K>,
    {
        let KeyedContext { operator, key_groups, max_parallelism, .. } = &self.context;
        let labels = schema.labels.clone();
        let (state, name) = (&labels.registered, Arc::clone(&labels.registered.name));
        let timers = [TimeDomain::EventTime, TimeDomain::ProcessingTime];
        let is_taken = timers.iter().any(|domain| domain.state_name() == name);
        if is_taken || self.states.iter().any(|(known, _)| *known == name) {
            return Err(StateError::DuplicateName { operator: operator.clone(), state: name });
        }
        let current = Rc::clone(&self.current);
        let expiry = clock.as_ref().map(|clock| clock.expiry(state.kind == StateKind::List));
        if let Some(backend) = self.backend.as_stored() {
            let kind = state.kind;
            let mut migrating = Migrating { schema: &mut schema, kind };
            let rows = backend.register_stored(state, expiry, &mut migrating)?;
            let table = Rc::new(RefCell::new(Stored::<K, F, S::Value>::new(schema, kind, rows)));
            self.states.push((name, Rc::clone(&table) as KeysOf<K>));
            return Ok(Opened::Stored(OfCurrentKey { table, current, labels }));
        }
        let Some(backend) = self.backend.as_layered() else {
            let table = Table::<K, S>::new(schema, *key_groups, clock);
            let table = Rc::new(RefCell::new(table));
            self.backend.register(state, Box::new(Shared(Rc::clone(&table))))?;
            self.states.push((name, Rc::clone(&table) as KeysOf<K>));
            return Ok(Opened::Whole(OfCurrentKey { table, current, labels }));
        };
        let table = Layered::<K, D>::new(schema, *key_groups, *max_parallelism, clock);
        let table = Rc::new(RefCell::new(table));
        backend.register_layered(state, expiry, Box::new(Shared(Rc::clone(&table))))?;
        self.states.push((name, Rc::clone(&table) as KeysOf<K>));
        Ok(Opened::Layered(OfCurrentKey { table, current, labels }))
    }
}

fn open_timers<K: StateKey>(
    backend: &mut dyn KeyedStateBackend,
    context: &KeyedContext,
    domain: TimeDomain,
) -> Result<Rc<RefCell<dyn Timers<K>>>, StateError> {
    let types = format!("{} -> time", K::type_name());
    let state = described(&domain.state_name(), StateKind::Timer, 0, &types, 8);
    let labels = Labels { operator: context.operator.clone(), registered: state.clone() };
    if let Some(stored) = backend.as_stored() {
        let store = stored.register_stored(&state, None, &mut TimerSchema(&labels))?;
        let timers = StoredTimers::<K>::new(labels, context.key_groups, store);
        return Ok(Rc::new(RefCell::new(timers)));
    }
    let Some(layered) = backend.as_layered() else {
        let timers = Rc::new(RefCell::new(TimerTable::<K>::new(labels, context.key_groups)));
        backend.register(&state, Box::new(Shared(Rc::clone(&timers))))?;
        return Ok(timers);
    };
    let timers = Rc::new(RefCell::new(LayeredTimers::<K>::new(labels, context.key_groups)));
    layered.register_layered(&state, None, Box::new(Shared(Rc::clone(&timers))))?;
    Ok(timers)
}

/// Migrations of values that have a stamp now and had one then.
fn stamped<V: StateValue>(migrations: &[Migration<V>]) -> Vec<Migration<Stamped<V>>> {
    migrations.iter().map(Stamped::migration).collect()
}

/// A table that the operator's handles and the backend both hold.
struct Shared<T>(Rc<RefCell<T>>);

impl<T: StateTable> StateTable for Shared<T> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.0.borrow_mut().accept(found)
    }

    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        self.0.borrow_mut().load(group, entry)
    }

    fn freeze(&mut self) -> Box<dyn FrozenTable> {
        self.0.borrow_mut().freeze()
    }
}

impl<T: LayeredTable> LayeredTable for Shared<T> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.0.borrow_mut().accept(found)
    }

    fn restore(&mut self, base: Arc<dyn StateBase>) {
        self.0.borrow_mut().restore(base);
    }

    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        self.0.borrow_mut().load(group, entry)
    }

    fn freeze(&mut self, epoch: u64) -> Option<Arc<dyn FrozenOverlay>> {
        self.0.borrow_mut().freeze(epoch)
    }

    fn rebase(&mut self, base: Arc<dyn StateBase>, epoch: u64) -> Vec<Box<dyn Any + Send>> {
        self.0.borrow_mut().rebase(base, epoch)
    }

    fn overlay_bytes(&self) -> u64 {
        self.0.borrow().overlay_bytes()
    }
}
