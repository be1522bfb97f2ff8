//! The entries of one key's map: behind the key when they are few, else with an index of their own.
//!
//! Invariant: a run is in `pending` until it is known to be short; a long one streams through.

use xxhash_rust::xxh3::xxh3_64;

use crate::layout::{RUN, SHORT_RUN_BYTES, SHORT_RUN_ENTRIES, Slots};

/// A run in the making.
#[derive(Default)]
pub(super) struct Run {
    /// Whether the map was deleted before its entries.
    pub(super) is_after_delete: bool,
    /// Where the payload begins in the data of the key group, once the run is long.
    pub(super) long: Option<u64>,
    pub(super) pending: Vec<u8>,
    pub(super) length: u64,
    /// Hashes of map keys, and the offsets of their entries.
    entries: Vec<(u64, u64)>,
}

impl Run {
    pub(super) fn clear(&mut self) {
        self.is_after_delete = false;
        self.long = None;
        self.pending.clear();
        self.length = 0;
        self.entries.clear();
    }

    /// Whether one more entry of so many bytes makes it long.
    pub(super) fn outgrows(&self, length: usize) -> bool {
        self.long.is_none()
            && (self.entries.len() == SHORT_RUN_ENTRIES
                || self.pending.len() + length > SHORT_RUN_BYTES)
    }

    /// Notes an entry of so many bytes.
    pub(super) fn note(&mut self, map_key: &[u8], length: usize) {
        self.entries.push((xxh3_64(map_key), self.length));
        self.length += length as u64;
    }

    /// Appends the record of a long run and its slots to the parts of a key group's index.
    pub(super) fn index(&self, payload: u64, records: &mut Vec<u8>, slots: &mut Vec<u8>) {
        let table = Slots::new(self.entries.len(), self.length);
        let mut words = vec![table.free(); table.count as usize];
        for (hash, offset) in &self.entries {
            let mut slot = table.first(*hash) as usize;
            while words[slot] != table.free() {
                slot = (slot + 1) % words.len();
            }
            words[slot] = table.taken(*hash, *offset);
        }
        let start = records.len();
        records.extend_from_slice(&payload.to_le_bytes());
        records.extend_from_slice(&self.length.to_le_bytes());
        // Relative to the first table of slots; the reader knows where that is.
        records.extend_from_slice(&(slots.len() as u64).to_le_bytes());
        records.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        records.extend_from_slice(&table.count.to_le_bytes());
        records.extend_from_slice(&[table.width, table.offset_bits]);
        records.extend_from_slice(&u16::from(self.is_after_delete).to_le_bytes());
        debug_assert_eq!(records.len() - start, RUN);
        for word in words {
            slots.extend_from_slice(&word.to_le_bytes()[..usize::from(table.width)]);
        }
    }
}
