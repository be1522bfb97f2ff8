//! Descriptors: the name under which a state is found again, and its schema version.

use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{RegisteredState, StateKey, StateKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::schema::{Earlier, Migration};
use crate::{StateTtlConfig, StateValue};

macro_rules! descriptor {
    ($(#[$doc:meta])* $name:ident<$($generic:ident),+> of $value:ident) => {
        $(#[$doc])*
        pub struct $name<$($generic),+> {
            pub(crate) name: Arc<str>,
            pub(crate) schema_version: u32,
            pub(crate) ttl: Option<StateTtlConfig>,
            pub(crate) migrations: Vec<Migration<$value>>,
            types: PhantomData<fn() -> ($($generic,)+)>,
        }

        impl<$($generic),+> $name<$($generic),+> {
            /// A state of this name, schema version 0. The name is unique within the operator.
            pub fn new(name: &str) -> Self {
                let (schema_version, ttl, migrations) = (0, None, Vec::new());
                Self { name: name.into(), schema_version, ttl, migrations, types: PhantomData }
            }

            /// Lets values expire. A state that was written with a time to live is restored with
            /// one, of whatever length, and one without it without.
            #[must_use]
            pub fn time_to_live(mut self, ttl: StateTtlConfig) -> Self {
                self.ttl = Some(ttl);
                self
            }

            /// Raise it when values change their meaning: restoring another version is refused,
            /// unless it is migrated.
            #[must_use]
            pub fn schema_version(mut self, version: u32) -> Self {
                self.schema_version = version;
                self
            }

            /// Takes on values that were written as schema version `from_version` with the type
            /// `Old`: each becomes what `migrate` makes of it when the state is restored. May be
            /// said once for each earlier version.
            #[must_use]
            pub fn migrate<Old: StateValue>(
                mut self,
                from_version: u32,
                migrate: impl Fn(Old) -> $value + 'static,
            ) -> Self {
                self.migrations.push(Migration::new(from_version, migrate));
                self
            }
        }

        impl<$($generic),+> Clone for $name<$($generic),+> {
            fn clone(&self) -> Self {
                let (name, migrations) = (Arc::clone(&self.name), self.migrations.clone());
                let (schema_version, ttl) = (self.schema_version, self.ttl);
                Self { name, schema_version, ttl, migrations, types: PhantomData }
            }
        }

        impl<$($generic),+> fmt::Debug for $name<$($generic),+> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("name", &self.name)
                    .field("schema_version", &self.schema_version)
                    .field("migrations", &self.migrations)
                    .finish()
            }
        }
    };
}

descriptor! {
    /// Describes one value for each key.
    ///
    /// A state whose type has changed says how the old values become new ones:
    ///
    /// ```
    /// use tidegate_state::{KeyedContext, KeyedState, MemoryStateBackend, ValueStateDescriptor};
    /// use tidegate_state::{CancelToken, RestoredKeyedState, SnapshotTarget, StateSource};
    /// # use std::sync::Arc;
    /// # use tidegate_store::{MemoryStorage, StoragePath};
    /// # use tidegate_types::*;
    ///
    /// /// What the first release of the job kept of a gauge: its level in centimetres.
    /// type GaugeV1 = u32;
    ///
    /// /// What it keeps today.
    /// #[derive(Clone, Debug, PartialEq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
    /// struct Gauge {
    ///     level_mm: i64,
    ///     readings: u32,
    /// }
    ///
    /// # let backend = MemoryStateBackend::new();
    /// # let subtask = Subtask::new(0, Parallelism::ONE);
    /// # let max_parallelism = MaxParallelism::DEFAULT;
    /// # let context = KeyedContext {
    /// #     operator: OperatorUid::new("gauges")?,
    /// #     subtask,
    /// #     max_parallelism,
    /// #     key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
    /// #     attempt: AttemptId::new(1),
    /// # };
    /// # let cuxhaven = || ("Cuxhaven".to_owned(), "Cuxhaven".to_owned().key_hash());
    /// // The first release …
    /// let mut state = KeyedState::<String>::open(&backend, &context, Vec::new())?;
    /// let gauge = state.value(ValueStateDescriptor::<GaugeV1>::new("gauge"))?;
    /// # let (key, hash) = cuxhaven();
    /// # state.set_current_key(key, hash);
    /// gauge.put(312)?;
    /// # let job = state.snapshot(CheckpointId::FIRST, SnapshotKind::Savepoint)?;
    /// # let (storage, path) = (MemoryStorage::new(), StoragePath::new("savepoint")?);
    /// # let target = SnapshotTarget {
    /// #     checkpoint: CheckpointId::FIRST,
    /// #     attempt: AttemptId::new(1),
    /// #     storage: &storage,
    /// #     exclusive: &path,
    /// #     shared: &path,
    /// # };
    /// # let result = job.run(&target, &CancelToken::new())?;
    /// # let handle = result.keyed[0].clone();
    /// # let StateHandle::Inline(bytes) = &handle.manifest else { unreachable!("it is tiny") };
    /// # let manifest = StateSource::from(Arc::clone(bytes));
    /// # let registered = result.registered.clone();
    /// # let (shared, may_be_shared) = (Vec::new(), false);
    /// # let restored = RestoredKeyedState { handle, manifest, registered, shared, may_be_shared };
    /// # let restored = vec![restored];
    ///
    /// // … and the second one, which goes on from its savepoint.
    /// let descriptor = ValueStateDescriptor::<Gauge>::new("gauge")
    ///     .schema_version(1)
    ///     .migrate(0, |cm: GaugeV1| Gauge { level_mm: i64::from(cm) * 10, readings: 1 });
    /// let mut state = KeyedState::<String>::open(&backend, &context, restored)?;
    /// let gauge = state.value(descriptor)?;
    /// # let (key, hash) = cuxhaven();
    /// # state.set_current_key(key, hash);
    /// assert_eq!(gauge.get()?, Some(Gauge { level_mm: 3120, readings: 1 }));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ValueStateDescriptor<V> of V
}
descriptor! {
    /// Describes a list of values for each key.
    ListStateDescriptor<V> of V
}
descriptor! {
    /// Describes a map for each key. Its values can be migrated; its names keep their type.
    MapStateDescriptor<N, V> of V
}

/// Describes one value for each key, into which additions are folded.
#[derive(Clone)]
pub struct ReducingStateDescriptor<V> {
    pub(crate) value: ValueStateDescriptor<V>,
    pub(crate) reduce: Rc<dyn Fn(V, V) -> V>,
}

impl<V> ReducingStateDescriptor<V> {
    /// A state of this name; `reduce(old, added)` gives the new value.
    pub fn new(name: &str, reduce: impl Fn(V, V) -> V + 'static) -> Self {
        Self { value: ValueStateDescriptor::new(name), reduce: Rc::new(reduce) }
    }

    /// See [`ValueStateDescriptor::schema_version`].
    #[must_use]
    pub fn schema_version(mut self, version: u32) -> Self {
        self.value = self.value.schema_version(version);
        self
    }

    /// See [`ValueStateDescriptor::time_to_live`].
    #[must_use]
    pub fn time_to_live(mut self, ttl: StateTtlConfig) -> Self {
        self.value = self.value.time_to_live(ttl);
        self
    }

    /// See [`ValueStateDescriptor::migrate`].
    #[must_use]
    pub fn migrate<Old: StateValue>(
        mut self,
        from_version: u32,
        migrate: impl Fn(Old) -> V + 'static,
    ) -> Self {
        self.value = self.value.migrate(from_version, migrate);
        self
    }
}

/// How inputs become an accumulator and an accumulator a result.
pub trait AggregateFunction: 'static {
    /// What is added.
    type Input;
    /// What is kept.
    type Accumulator: StateValue;
    /// What is read.
    type Output;

    /// The accumulator of no input.
    fn create(&self) -> Self::Accumulator;

    /// Adds one input.
    fn add(&self, accumulator: &mut Self::Accumulator, input: Self::Input);

    /// The result of what was added.
    fn result(&self, accumulator: &Self::Accumulator) -> Self::Output;
}

/// Describes one accumulator for each key.
#[derive(Clone, Debug)]
pub struct AggregatingStateDescriptor<A: AggregateFunction> {
    pub(crate) value: ValueStateDescriptor<A::Accumulator>,
    pub(crate) function: A,
}

impl<A: AggregateFunction> AggregatingStateDescriptor<A> {
    /// A state of this name.
    pub fn new(name: &str, function: A) -> Self {
        Self { value: ValueStateDescriptor::new(name), function }
    }

    /// See [`ValueStateDescriptor::schema_version`].
    #[must_use]
    pub fn schema_version(mut self, version: u32) -> Self {
        self.value = self.value.schema_version(version);
        self
    }

    /// See [`ValueStateDescriptor::time_to_live`].
    #[must_use]
    pub fn time_to_live(mut self, ttl: StateTtlConfig) -> Self {
        self.value = self.value.time_to_live(ttl);
        self
    }

    /// See [`ValueStateDescriptor::migrate`]; what is migrated is the accumulator.
    #[must_use]
    pub fn migrate<Old: StateValue>(
        mut self,
        from_version: u32,
        migrate: impl Fn(Old) -> A::Accumulator + 'static,
    ) -> Self {
        self.value = self.value.migrate(from_version, migrate);
        self
    }
}

/// A state of values as it goes into the metadata, and its earlier versions likewise.
pub(crate) fn registered<K: StateKey, V: StateValue>(
    name: &Arc<str>,
    kind: StateKind,
    version: (u32, &[Migration<V>]),
    map_key: Option<&str>,
) -> (RegisteredState, Vec<Earlier<V>>) {
    let (schema_version, migrations) = version;
    let types = |value: &str| match map_key {
        Some(map_key) => format!("{} -> {map_key} -> {value}", K::type_name()),
        None => format!("{} -> {value}", K::type_name()),
    };
    let now = types(&V::type_name());
    let now = described(name, kind, schema_version, &now, V::archived_size());
    let earlier = |earlier: &Migration<V>| {
        let types = types(&earlier.value_type);
        let (version, size) = (earlier.from_version, earlier.archived_size);
        (described(name, kind, version, &types, size), Rc::clone(&earlier.decode))
    };
    (now, migrations.iter().map(earlier).collect())
}

/// The fingerprint is XXH3-64 of the types' names and the archived size (docs/format.md).
pub(crate) fn described(
    name: &Arc<str>,
    kind: StateKind,
    schema_version: u32,
    types: &str,
    archived_size: usize,
) -> RegisteredState {
    RegisteredState {
        name: Arc::clone(name),
        kind,
        fingerprint: xxh3_64(format!("{kind}: {types}; {archived_size}").as_bytes()),
        schema_version,
        types: types.into(),
    }
}
