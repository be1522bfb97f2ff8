//! The overlay: what changed since the last freeze, as native values by key.
//!
//! Invariants: it has no memory of its own until the first write, so that making one is free; its
//! shards are ranges of key groups, so that rows sorted by hash within each shard are in the order
//! of a file; a key has at most one row.

use hashbrown::HashTable;
use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, StateKey};

use crate::table::{Placed, bucket_hash};

/// The most shards: few enough that an empty overlay is nothing, many enough that growing or
/// sorting one is short.
const SHARDS: usize = 256;

pub(crate) struct Overlay<K, D> {
    sharding: Sharding,
    shards: Vec<HashTable<Row<K, D>>>,
    rows: usize,
}

/// What has changed under one key.
pub(crate) struct Row<K, D> {
    pub(crate) hash: KeyHash,
    pub(crate) key: K,
    pub(crate) delta: D,
}

#[derive(Clone, Copy, Debug)]
struct Sharding {
    first: u16,
    shift: u32,
    count: usize,
}

impl Sharding {
    fn of(range: KeyGroupRange) -> Self {
        let shift = range.count().div_ceil(SHARDS).next_power_of_two().trailing_zeros();
        Self { first: range.first().get(), shift, count: ((range.count() - 1) >> shift) + 1 }
    }

    #[inline]
    fn shard(self, group: KeyGroup) -> usize {
        usize::from(group.get() - self.first) >> self.shift
    }
}

impl<K: StateKey, D> Overlay<K, D> {
    pub(crate) fn new(range: KeyGroupRange) -> Self {
        Self { sharding: Sharding::of(range), shards: Vec::new(), rows: 0 }
    }

    /// The overlay as it is, leaving an empty one.
    pub(crate) fn take(&mut self) -> Self {
        let (shards, rows) = (std::mem::take(&mut self.shards), std::mem::take(&mut self.rows));
        Self { sharding: self.sharding, shards, rows }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub(crate) fn len(&self) -> usize {
        self.rows
    }

    #[inline]
    pub(crate) fn find(&self, at: &Placed<K>) -> Option<&D> {
        let shard = self.shards.get(self.sharding.shard(at.group))?;
        let row = shard.find(bucket_hash(at.hash), |row| row.is_at(at));
        row.map(|row| &row.delta)
    }

    #[inline]
    pub(crate) fn find_mut(&mut self, at: &Placed<K>) -> Option<&mut D> {
        let shard = self.shards.get_mut(self.sharding.shard(at.group))?;
        let row = shard.find_mut(bucket_hash(at.hash), |row| row.is_at(at));
        row.map(|row| &mut row.delta)
    }

    /// Adds a row for a key that has none.
    pub(crate) fn insert(&mut self, at: &Placed<K>, delta: D) -> &mut D {
        if self.shards.is_empty() {
            self.shards.resize_with(self.sharding.count, HashTable::new);
        }
        self.rows += 1;
        let row = Row { hash: at.hash, key: at.key.clone(), delta };
        let shard = &mut self.shards[self.sharding.shard(at.group)];
        let entry = shard.insert_unique(bucket_hash(at.hash), row, |row| bucket_hash(row.hash));
        &mut entry.into_mut().delta
    }

    pub(crate) fn remove(&mut self, at: &Placed<K>) {
        let Some(shard) = self.shards.get_mut(self.sharding.shard(at.group)) else { return };
        if let Ok(found) = shard.find_entry(bucket_hash(at.hash), |row| row.is_at(at)) {
            found.remove();
            self.rows -= 1;
        }
    }

    /// The rows of the shard in which a key group is.
    pub(crate) fn near(&self, group: KeyGroup) -> impl Iterator<Item = &Row<K, D>> {
        self.shards.get(self.sharding.shard(group)).into_iter().flatten()
    }

    /// The shards, whose key groups ascend.
    pub(crate) fn shards(&self) -> impl Iterator<Item = &HashTable<Row<K, D>>> {
        self.shards.iter()
    }
}

impl<K: StateKey, D> Row<K, D> {
    #[inline]
    fn is_at(&self, at: &Placed<K>) -> bool {
        // The table has compared seven bits of the hash; another key is rare enough.
        self.key == at.key
    }
}

/// The canonical bytes of a key.
pub(crate) fn canonical<K: StateKey>(key: &K) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_ranges_of_key_groups() {
        for (first, count) in [(0, 1), (0, 128), (5, 256), (5, 257), (0, 32_768), (100, 600)] {
            let last = KeyGroup::new(first + (count - 1));
            let range = KeyGroupRange::new(KeyGroup::new(first), last).unwrap();
            let sharding = Sharding::of(range);
            let shards: Vec<_> = range.iter().map(|group| sharding.shard(group)).collect();
            assert!(shards.is_sorted() && shards[0] == 0, "{range}");
            assert_eq!(shards.last(), Some(&(sharding.count - 1)), "{range}");
            assert!(sharding.count <= SHARDS);
        }
    }
}
