//! Writing what is under one key of an overlay, as bytes.

use tidegate_types::{KeyHash, StateKey};

use crate::layer::{LayerChange, LayerEntry};
use crate::{StateError, StateValue};

/// Gives the changes of one key to whoever writes the file.
pub(crate) struct KeyWriter<'k, 'w> {
    hash: KeyHash,
    key: &'k [u8],
    buffer: &'k mut Vec<u8>,
    write: &'k mut (dyn FnMut(LayerEntry<'_>) -> Result<(), StateError> + 'w),
}

impl<'k, 'w> KeyWriter<'k, 'w> {
    pub(crate) fn new(
        hash: KeyHash,
        key: &'k [u8],
        buffer: &'k mut Vec<u8>,
        write: &'k mut (dyn FnMut(LayerEntry<'_>) -> Result<(), StateError> + 'w),
    ) -> Self {
        Self { hash, key, buffer, write }
    }

    pub(crate) fn put<V: StateValue>(&mut self, value: &V) -> Result<(), StateError> {
        self.buffer.clear();
        value.encode_value(self.buffer);
        let change = LayerChange::Put(self.buffer);
        (self.write)(LayerEntry::Keyed { hash: self.hash, key: self.key, change })
    }

    pub(crate) fn delete(&mut self) -> Result<(), StateError> {
        let change = LayerChange::Delete;
        (self.write)(LayerEntry::Keyed { hash: self.hash, key: self.key, change })
    }

    /// An entry of a list or map, its value written by `encode`.
    pub(crate) fn put_entry(
        &mut self,
        map_key: &[u8],
        encode: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StateError> {
        self.buffer.clear();
        encode(self.buffer);
        let change = LayerChange::PutEntry { map_key, value: self.buffer };
        (self.write)(LayerEntry::Keyed { hash: self.hash, key: self.key, change })
    }

    pub(crate) fn delete_entry(&mut self, map_key: &[u8]) -> Result<(), StateError> {
        let change = LayerChange::DeleteEntry { map_key };
        (self.write)(LayerEntry::Keyed { hash: self.hash, key: self.key, change })
    }
}

/// Entries of a map, ascending by the canonical bytes of their keys.
pub(crate) fn sorted_by_name<'m, N: StateKey, V>(
    entries: impl Iterator<Item = (&'m N, V)>,
) -> Vec<(Vec<u8>, V)> {
    let encoded = entries.map(|(name, value)| (super::canonical(name), value));
    let mut sorted: Vec<_> = encoded.collect();
    sorted.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    sorted
}
