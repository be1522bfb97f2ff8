//! The table: native values by key, copied on write after a freeze.
//!
//! Invariants:
//! - a table holds the keys of its key groups and no others: `groups[i]` is group `first + i`;
//! - a frozen table shares its groups; whoever writes to a shared group clones that group first,
//!   so that a freeze costs a pointer for each key group and the first write after it one group;
//! - an entry without a slot is no entry.

use std::sync::Arc;

use hashbrown::HashTable;
use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, OperatorUid, StateKey};

use crate::StateError;
use crate::backend::{Entry, FrozenTable, StateTable};
use crate::slot::{ItemReader, ItemWriter, Slot, whole_key};

pub(crate) struct Table<K, S> {
    labels: Labels,
    first: u16,
    groups: Vec<Arc<Group<K, S>>>,
}

/// What errors say of a table.
#[derive(Clone, Debug)]
pub(crate) struct Labels {
    pub(crate) operator: OperatorUid,
    pub(crate) state: Arc<str>,
    pub(crate) types: Arc<str>,
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
fn bucket_hash(hash: KeyHash) -> u64 {
    hash.get().rotate_left(32)
}

impl<K: StateKey, S: Slot> Table<K, S> {
    pub(crate) fn new(labels: Labels, range: KeyGroupRange) -> Self {
        let groups = range.iter().map(|_| Arc::new(HashTable::new())).collect();
        Self { labels, first: range.first().get(), groups }
    }

    pub(crate) fn get(&self, at: &Placed<K>) -> Option<&S> {
        let group = &self.groups[self.index(at.group)];
        let row = group.find(bucket_hash(at.hash), |row| row.hash == at.hash && row.key == at.key);
        row.and_then(|row| row.slot.as_ref())
    }

    /// Lets `change` put, replace or take what is under the key.
    pub(crate) fn modify(&mut self, at: &Placed<K>, change: &mut dyn FnMut(&mut Option<S>)) {
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

impl<K: StateKey, S: Slot> StateTable for Table<K, S> {
    fn load(&mut self, group: KeyGroup, entry: Entry<'_>) -> Result<(), StateError> {
        let Labels { operator, state, types } = &self.labels;
        let key = whole_key(entry.key).map_err(|source| StateError::Key {
            operator: operator.clone(),
            state: Arc::clone(state),
            source,
        })?;
        let items = ItemReader::new(entry.items, entry.count);
        let slot = items.and_then(S::read).ok_or_else(|| StateError::Value {
            operator: operator.clone(),
            state: Arc::clone(state),
            length: entry.items.len(),
            types: (&**types).into(),
        })?;
        let mut slot = Some(slot);
        self.modify(&Placed { key, hash: entry.hash, group }, &mut |old| *old = slot.take());
        Ok(())
    }

    fn freeze(&mut self) -> Box<dyn FrozenTable> {
        Box::new(Frozen { first: self.first, groups: self.groups.clone() })
    }
}

struct Frozen<K, S> {
    first: u16,
    groups: Vec<Arc<Group<K, S>>>,
}

impl<K: StateKey, S: Slot> FrozenTable for Frozen<K, S> {
    fn entries(&self, group: KeyGroup, visit: &mut dyn FnMut(Entry<'_>)) {
        let group = &self.groups[usize::from(group.get() - self.first)];
        let mut rows: Vec<&Row<K, S>> = group.iter().collect();
        rows.sort_unstable_by_key(|row| row.hash);
        let (mut key, mut items) = (Vec::new(), Vec::new());
        for row in in_canonical_order(rows) {
            let Some(slot) = &row.slot else { continue };
            key.clear();
            row.key.encode_key(&mut key);
            let mut writer = ItemWriter::new(&mut items);
            slot.write(&mut writer);
            let count = writer.count();
            visit(Entry { hash: row.hash, key: &key, count, items: &items });
        }
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
