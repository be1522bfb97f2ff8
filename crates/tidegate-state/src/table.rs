//! The tables of the memory backend: native values by key, copied on write after a freeze.
//!
//! Invariants:
//! - a table holds the keys of its key groups and no others: `groups[i]` is group `first + i`;
//! - a frozen table shares its groups; whoever writes to a shared group clones that group first,
//!   so that a freeze costs a pointer for each key group and the first write after it one group;
//! - an entry without a slot is no entry.

use std::sync::Arc;

use hashbrown::{HashMap, HashTable};
use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, RegisteredState, StateKey};

use crate::backend::{Acceptance, Entry, FrozenTable, StateTable};
use crate::schema::{Labels, Schema};
use crate::slot::{ItemReader, ItemWriter, ListSlot, MapSlot, Slot, ValueSlot};
use crate::ttl::Clock;
use crate::{StateError, StateValue, ValueRef};

/// One value for each key.
pub(crate) trait ValueTable<K, V: StateValue> {
    fn get(&self, at: &Placed<K>) -> Result<Option<V>, StateError>;

    fn read(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError>;

    fn put(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError>;

    fn update(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError>;

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError>;
}

/// A list for each key.
pub(crate) trait ListTable<K, V: StateValue> {
    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(ValueRef<'_, V>),
    ) -> Result<(), StateError>;

    fn add(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError>;

    fn replace(&mut self, at: &Placed<K>, values: Vec<V>) -> Result<(), StateError>;
}

/// A map for each key.
pub(crate) trait MapTable<K, N, V: StateValue> {
    fn read(
        &self,
        at: &Placed<K>,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError>;

    fn put(&mut self, at: &Placed<K>, name: N, value: V) -> Result<(), StateError>;

    fn remove(&mut self, at: &Placed<K>, name: &N) -> Result<Option<V>, StateError>;

    /// Ascending by the canonical bytes of the names.
    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(&N, ValueRef<'_, V>),
    ) -> Result<(), StateError>;

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError>;
}

/// The keys that have state.
pub(crate) trait StateKeys<K> {
    /// Those of a key group, ascending by hash and canonical bytes.
    fn keys_of(&self, group: KeyGroup) -> Result<Vec<K>, StateError>;
}

pub(crate) struct Table<K, S: Slot> {
    schema: Schema<S::Value>,
    clock: Option<Clock>,
    first: u16,
    groups: Vec<Arc<Group<K, S>>>,
}

type Group<K, S> = HashTable<Row<K, S>>;

#[derive(Clone)]
struct Row<K, S> {
    hash: KeyHash,
    key: K,
    // `None` only while it is being changed.
    slot: Option<S>,
}

/// A key with what was computed from it.
#[derive(Clone, Debug)]
pub(crate) struct Placed<K> {
    pub(crate) key: K,
    pub(crate) hash: KeyHash,
    pub(crate) group: KeyGroup,
}

/// The table's own use of a key's hash. All keys of a key group agree in the highest bits of the
/// hash, which hashbrown takes for its tags: without the rotation every tag would be equal.
pub(crate) fn bucket_hash(hash: KeyHash) -> u64 {
    hash.get().rotate_left(32)
}

impl<K: StateKey, S: Slot> Table<K, S> {
    pub(crate) fn new(
        schema: Schema<S::Value>,
        range: KeyGroupRange,
        clock: Option<Clock>,
    ) -> Self {
        let groups = range.iter().map(|_| Arc::new(HashTable::new())).collect();
        Self { schema, clock, first: range.first().get(), groups }
    }

    fn slot(&self, at: &Placed<K>) -> Option<&S> {
        let group = &self.groups[self.index(at.group)];
        let row = group.find(bucket_hash(at.hash), |row| row.hash == at.hash && row.key == at.key);
        row.and_then(|row| row.slot.as_ref())
    }

    /// Lets `change` put, replace or take what is under the key.
    fn modify(&mut self, at: &Placed<K>, change: &mut dyn FnMut(&mut Option<S>)) {
        let index = self.index(at.group);
        let group = Arc::make_mut(&mut self.groups[index]);
        let same = |row: &Row<K, S>| row.hash == at.hash && row.key == at.key;
        if let Some(row) = group.find_mut(bucket_hash(at.hash), same) {
            change(&mut row.slot);
            if row.slot.is_none() {
                let found = group.find_entry(bucket_hash(at.hash), same);
                found.ok().expect("it was just found").remove();
            }
            return;
        }
        let mut slot = None;
        change(&mut slot);
        if slot.is_some() {
            let row = Row { hash: at.hash, key: at.key.clone(), slot };
            group.insert_unique(bucket_hash(at.hash), row, |row| bucket_hash(row.hash));
        }
    }

    fn index(&self, group: KeyGroup) -> usize {
        usize::from(group.get() - self.first)
    }
}

impl<K: StateKey, V: StateValue> ValueTable<K, V> for Table<K, ValueSlot<V>> {
    fn get(&self, at: &Placed<K>) -> Result<Option<V>, StateError> {
        Ok(self.slot(at).map(|slot| slot.0.clone()))
    }

    fn read(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        show(self.slot(at).map(|slot| ValueRef::Native(&slot.0)));
        Ok(())
    }

    fn put(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        let mut value = Some(ValueSlot(value));
        self.modify(at, &mut |slot| *slot = value.take());
        Ok(())
    }

    fn update(
        &mut self,
        at: &Placed<K>,
        change: &mut dyn FnMut(&mut Option<V>),
    ) -> Result<(), StateError> {
        self.modify(at, &mut |slot| {
            let mut value = slot.take().map(|slot| slot.0);
            change(&mut value);
            *slot = value.map(ValueSlot);
        });
        Ok(())
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        self.modify(at, &mut |slot| *slot = None);
        Ok(())
    }
}

impl<K: StateKey, V: StateValue> ListTable<K, V> for Table<K, ListSlot<V>> {
    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        let items = self.slot(at).into_iter().flat_map(|list| &list.0);
        items.for_each(|value| show(ValueRef::Native(value)));
        Ok(())
    }

    fn add(&mut self, at: &Placed<K>, value: V) -> Result<(), StateError> {
        let mut value = Some(value);
        self.modify(at, &mut |slot| {
            slot.get_or_insert_with(|| ListSlot(Vec::new())).0.extend(value.take());
        });
        Ok(())
    }

    fn replace(&mut self, at: &Placed<K>, values: Vec<V>) -> Result<(), StateError> {
        let mut list = (!values.is_empty()).then_some(ListSlot(values));
        self.modify(at, &mut |slot| *slot = list.take());
        Ok(())
    }
}

impl<K: StateKey, N: StateKey, V: StateValue> MapTable<K, N, V> for Table<K, MapSlot<N, V>> {
    fn read(
        &self,
        at: &Placed<K>,
        name: &N,
        show: &mut dyn FnMut(Option<ValueRef<'_, V>>),
    ) -> Result<(), StateError> {
        show(self.slot(at).and_then(|map| map.0.get(name)).map(ValueRef::Native));
        Ok(())
    }

    fn put(&mut self, at: &Placed<K>, name: N, value: V) -> Result<(), StateError> {
        let mut entry = Some((name, value));
        self.modify(at, &mut |slot| {
            slot.get_or_insert_with(|| MapSlot(HashMap::default())).0.extend(entry.take());
        });
        Ok(())
    }

    fn remove(&mut self, at: &Placed<K>, name: &N) -> Result<Option<V>, StateError> {
        let mut removed = None;
        // Looked up first, so that a miss does not copy a shared group.
        if self.slot(at).is_some_and(|map| map.0.contains_key(name)) {
            self.modify(at, &mut |slot| {
                removed = slot.as_mut().and_then(|map| map.0.remove(name));
                if slot.as_ref().is_some_and(|map| map.0.is_empty()) {
                    *slot = None;
                }
            });
        }
        Ok(removed)
    }

    fn visit(
        &self,
        at: &Placed<K>,
        show: &mut dyn FnMut(&N, ValueRef<'_, V>),
    ) -> Result<(), StateError> {
        let sorted = self.slot(at).into_iter().flat_map(MapSlot::sorted);
        sorted.for_each(|(_, name, value)| show(name, ValueRef::Native(value)));
        Ok(())
    }

    fn clear(&mut self, at: &Placed<K>) -> Result<(), StateError> {
        self.modify(at, &mut |slot| *slot = None);
        Ok(())
    }
}

impl<K: StateKey, S: Slot> StateKeys<K> for Table<K, S> {
    fn keys_of(&self, group: KeyGroup) -> Result<Vec<K>, StateError> {
        let mut rows: Vec<&Row<K, S>> = self.groups[self.index(group)].iter().collect();
        rows.sort_unstable_by_key(|row| row.hash);
        Ok(in_canonical_order(rows).into_iter().map(|row| row.key.clone()).collect())
    }
}

impl<K: StateKey, S: Slot> StateTable for Table<K, S> {
    fn accept(&mut self, found: &RegisteredState) -> Result<Acceptance, StateError> {
        self.schema.accept(found)
    }

    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        let labels: &Labels = &self.schema.labels;
        let key = labels.key(entry.key)?;
        let items = ItemReader::new(entry.items, entry.count);
        let slot = items.and_then(|items| S::read(items, &*self.schema.decode));
        let slot = slot.ok_or_else(|| labels.value_error(entry.items.len()))?;
        let mut slot = Some(slot);
        self.modify(&Placed { key, hash: entry.hash, group }, &mut |old| *old = slot.take());
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn FrozenTable> {
        let stale = self.clock.as_ref().map(Clock::stale);
        Box::new(Frozen { first: self.first, stale, groups: self.groups.clone() })
    }
}

struct Frozen<K, S> {
    first: u16,
    /// Values stamped up to this had expired.
    stale: Option<i64>,
    groups: Vec<Arc<Group<K, S>>>,
}

impl<K: StateKey, S: Slot> FrozenTable for Frozen<K, S> {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let group = &self.groups[usize::from(group.get() - self.first)];
        let mut rows: Vec<&Row<K, S>> = group.iter().collect();
        rows.sort_unstable_by_key(|row| row.hash);
        let (mut key, mut items) = (Vec::new(), Vec::new());
        for row in in_canonical_order(rows) {
            let Some(slot) = &row.slot else { continue };
            key.clear();
            row.key.encode_key(&mut key);
            let mut writer = ItemWriter::new(&mut items);
            slot.write(&mut writer, self.stale);
            let count = writer.count();
            if count > 0 {
                visit(Entry { hash: row.hash, key: &key, count, items: &items })?;
            }
        }
        Ok(())
    }
}

/// Rows that ascend by hash, so that those with equal hashes ascend by the bytes of their keys.
fn in_canonical_order<K: StateKey, S>(mut rows: Vec<&Row<K, S>>) -> Vec<&Row<K, S>> {
    let encoded = |row: &&Row<K, S>| {
        let mut bytes = Vec::new();
        row.key.encode_key(&mut bytes);
        bytes
    };
    rows.chunk_by_mut(|a, b| a.hash == b.hash)
        .filter(|same| same.len() > 1)
        .for_each(|same| same.sort_by_cached_key(encoded));
    rows
}
