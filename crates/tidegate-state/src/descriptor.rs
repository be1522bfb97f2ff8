//! Descriptors: the name under which a state is found again, and its schema version.

use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use tidegate_types::{RegisteredState, StateKey, StateKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::{StateTtlConfig, StateValue};

macro_rules! descriptor {
    ($(#[$doc:meta])* $name:ident<$($generic:ident),+>) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub struct $name<$($generic),+> {
            pub(crate) name: Arc<str>,
            pub(crate) schema_version: u32,
            pub(crate) ttl: Option<StateTtlConfig>,
            types: PhantomData<fn() -> ($($generic,)+)>,
        }

        impl<$($generic),+> $name<$($generic),+> {
            /// A state of this name, schema version 0. The name is unique within the operator.
            pub fn new(name: &str) -> Self {
                Self { name: name.into(), schema_version: 0, ttl: None, types: PhantomData }
            }

            /// Lets values expire. A state that was written with a time to live is restored with
            /// one, of whatever length, and one without it without.
            #[must_use]
            pub fn time_to_live(mut self, ttl: StateTtlConfig) -> Self {
                self.ttl = Some(ttl);
                self
            }

            /// Raise it when values change their meaning: restoring another version is refused.
            #[must_use]
            pub fn schema_version(mut self, version: u32) -> Self {
                self.schema_version = version;
                self
            }
        }
    };
}

descriptor! {
    /// Describes one value for each key.
    ValueStateDescriptor<V>
}
descriptor! {
    /// Describes a list of values for each key.
    ListStateDescriptor<V>
}
descriptor! {
    /// Describes a map for each key.
    MapStateDescriptor<N, V>
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
}

/// A state of values as it goes into the metadata.
pub(crate) fn registered<K: StateKey, V: StateValue>(
    name: &Arc<str>,
    kind: StateKind,
    schema_version: u32,
    map_key: Option<String>,
) -> RegisteredState {
    let value = V::type_name();
    let types = match map_key {
        Some(map_key) => format!("{} -> {map_key} -> {value}", K::type_name()),
        None => format!("{} -> {value}", K::type_name()),
    };
    described(name, kind, schema_version, &types, V::archived_size())
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
