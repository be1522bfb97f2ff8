//! The rows of one shard of an overlay, given in the order of a file.
//!
//! The order is that of hashes, so that a row lies anywhere in memory as to it, and reading it waits for memory. A few
//! thousand rows at a time are therefore encoded one after the other before the first of them is given: a loop that
//! does nothing else waits for many rows at once. Writing takes twice as long without.
//!
//! Invariant: at most [`AHEAD`] bytes are encoded ahead, and one row more.

use hashbrown::HashTable;
use rkyv::ser::allocator::Arena;
use tidegate_types::{KeyHash, StateKey};

use super::Delta;
use super::entries::KeyWriter;
use super::overlay::Row;
use crate::StateError;
use crate::layer::{LayerChange, LayerEntry};
use crate::value::Encoder;

/// How much is encoded ahead, in bytes: what a processor keeps near.
const AHEAD: usize = 256 << 10;

/// Rows for each bucket of the first pass of sorting.
const BUCKET: usize = 8;

/// What takes an entry.
type Write<'w> = dyn FnMut(LayerEntry<'_>) -> Result<(), StateError> + 'w;

/// Memory that is used again from shard to shard.
pub(super) struct Batch<'r, K, D> {
    /// Of the freeze.
    epoch: u64,
    stale: Option<i64>,
    /// In the order of the table.
    rows: Vec<Hashed<'r, K, D>>,
    sorted: Vec<Hashed<'r, K, D>>,
    ends: Vec<u32>,
    ahead: Vec<Encoded>,
    bytes: Vec<u8>,
    arena: Arena,
    key: Vec<u8>,
    value: Vec<u8>,
}

/// A row, and its hash where it can be looked at without the row.
type Hashed<'r, K, D> = (KeyHash, &'r Row<K, D>);

/// Where a row is in `bytes`: the key, and the value behind it.
#[derive(Clone, Copy, Debug)]
struct Encoded {
    start: usize,
    value: usize,
    end: usize,
    is_put: bool,
}

impl<'r, K: StateKey, D: Delta> Batch<'r, K, D> {
    pub(super) fn new(epoch: u64, stale: Option<i64>) -> Self {
        Self {
            epoch,
            stale,
            rows: Vec::new(),
            sorted: Vec::new(),
            ends: Vec::new(),
            ahead: Vec::new(),
            bytes: Vec::new(),
            arena: Arena::new(),
            key: Vec::new(),
            value: Vec::new(),
        }
    }

    /// Gives every change of a shard: by hash, of equal hashes by the bytes of the keys.
    pub(super) fn write(
        &mut self,
        shard: &'r HashTable<Row<K, D>>,
        write: &mut Write<'_>,
    ) -> Result<(), StateError> {
        self.rows.clear();
        self.rows.extend(shard.iter().map(|row| (row.hash, row)));
        self.sort();
        let sorted = std::mem::take(&mut self.sorted);
        let written = if D::IS_FLAT {
            self.write_ahead(&sorted, write)
        } else {
            self.write_each(&sorted, write)
        };
        self.sorted = sorted;
        written
    }

    /// Hashes are uniform between the first and the last, so that each of many buckets gets few.
    #[expect(clippy::cast_possible_truncation, reason = "a bucket is below the number of rows")]
    fn sort(&mut self) {
        let hashes = || self.rows.iter().map(|(hash, _)| hash.get());
        let (first, last) = (hashes().min().unwrap_or(0), hashes().max().unwrap_or(0));
        let buckets = (self.rows.len() / BUCKET).next_power_of_two();
        let bits = u64::BITS - (last - first).leading_zeros();
        let shift = bits.saturating_sub(buckets.trailing_zeros());
        // With one bucket for hashes that are far apart, all of the bits are shifted out.
        let bucket = |hash: KeyHash| (hash.get() - first).checked_shr(shift).unwrap_or(0) as usize;
        self.ends.clear();
        self.ends.resize(buckets + 1, 0);
        for (hash, _) in &self.rows {
            self.ends[bucket(*hash) + 1] += 1;
        }
        for index in 1..=buckets {
            self.ends[index] += self.ends[index - 1];
        }
        self.sorted.clone_from(&self.rows);
        for row in &self.rows {
            // The begin of what is left of the bucket; of all of it the end, at last.
            let next = &mut self.ends[bucket(row.0)];
            self.sorted[*next as usize] = *row;
            *next += 1;
        }
        let mut start = 0;
        for end in &self.ends[..buckets] {
            let bucket = &mut self.sorted[start..*end as usize];
            bucket.sort_unstable_by_key(|(hash, _)| *hash);
            let same = bucket.chunk_by_mut(|a, b| a.0 == b.0).filter(|same| same.len() > 1);
            same.for_each(|same| same.sort_by_cached_key(|(_, row)| super::canonical(&row.key)));
            start = *end as usize;
        }
    }

    fn write_ahead(
        &mut self,
        mut rows: &[Hashed<'_, K, D>],
        write: &mut Write<'_>,
    ) -> Result<(), StateError> {
        while !rows.is_empty() {
            self.encode_ahead(rows);
            for ((hash, _), encoded) in rows.iter().zip(&self.ahead) {
                let (key, value) =
                    self.bytes[encoded.start..encoded.end].split_at(encoded.value - encoded.start);
                let change =
                    if encoded.is_put { LayerChange::Put(value) } else { LayerChange::Delete };
                write(LayerEntry::Keyed { hash: *hash, key, change })?;
            }
            rows = &rows[self.ahead.len()..];
        }
        Ok(())
    }

    fn encode_ahead(&mut self, rows: &[Hashed<'_, K, D>]) {
        self.ahead.clear();
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        let mut encoder = Encoder::new(bytes, &mut self.arena);
        for (_, row) in rows {
            let start = encoder.bytes().len();
            if start >= AHEAD {
                break;
            }
            row.key.encode_key(encoder.bytes());
            let value = encoder.bytes().len();
            let is_put = row.delta.encode(self.stale, &mut encoder);
            self.ahead.push(Encoded { start, value, end: encoder.bytes().len(), is_put });
        }
        self.bytes = encoder.into_bytes();
    }

    fn write_each(
        &mut self,
        rows: &[Hashed<'_, K, D>],
        write: &mut Write<'_>,
    ) -> Result<(), StateError> {
        rows.iter().try_for_each(|(hash, row)| {
            self.key.clear();
            row.key.encode_key(&mut self.key);
            let mut write = KeyWriter::new(*hash, &self.key, &mut self.value, write);
            row.delta.write(self.epoch, self.stale, &mut write)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::ValueDelta;
    use super::*;
    use crate::StateValue;

    /// What was written: hash, key, value.
    type Written = Vec<(u64, Vec<u8>, Option<Vec<u8>>)>;

    fn written(rows: &[Row<u64, ValueDelta<Vec<u8>>>]) -> Written {
        let mut shard = HashTable::new();
        for Row { hash, key, delta } in rows {
            let row = Row { hash: *hash, key: *key, delta: delta.clone() };
            shard.insert_unique(hash.get(), row, |row| row.hash.get());
        }
        let (mut batch, mut written) = (Batch::new(1, None), Written::new());
        // Twice, with the memory of the first time.
        for _ in 0..2 {
            written.clear();
            let taken = batch.write(&shard, &mut |entry| {
                let LayerEntry::Keyed { hash, key, change } = entry else { panic!("{entry:?}") };
                let value = match change {
                    LayerChange::Put(value) => Some(value.to_vec()),
                    _ => None,
                };
                written.push((hash.get(), key.to_vec(), value));
                Ok(())
            });
            taken.unwrap();
        }
        written
    }

    #[test]
    fn rows_come_by_hash_and_key_with_their_values_however_many() {
        let few = (0..40).map(|count| (count, u64::MAX));
        let many = [(1, 1), (7, 3), (100, 1), (5_000, 700), (5_000, u64::MAX)];
        for (count, hashes) in few.chain(many) {
            let row = |key: u64| {
                let hash = KeyHash::of_bytes(&key.to_le_bytes()).get() % hashes;
                let value = (!key.is_multiple_of(5)).then(|| vec![7; (key % 500) as usize]);
                Row { hash: KeyHash::from_bits(hash), key, delta: ValueDelta::of(value) }
            };
            let rows: Vec<_> = (0..count).map(row).collect();
            let mut expected: Written = rows
                .iter()
                .map(|row| {
                    let value = row.delta.value().map(|value| {
                        let mut bytes = Vec::new();
                        value.encode_value(&mut bytes);
                        bytes
                    });
                    (row.hash.get(), row.key.to_le_bytes().to_vec(), value)
                })
                .collect();
            expected.sort();
            assert!(written(&rows) == expected, "{count} rows of {hashes} hashes");
        }
    }
}
