//! The entries of one key's map: behind the key when they are few, else with an index of their own.
//!
//! Invariant: a run is in `pending` until it is known to be short; a long one streams through.

use std::convert::Infallible;

use xxhash_rust::xxh3::xxh3_64;

use crate::index::{Coding, LINE, Row};
use crate::layout::{RUN, SHORT_RUN_BYTES, SHORT_RUN_ENTRIES};

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

    /// Appends the record of a long run and its lines to the parts of a key group's index.
    pub(super) fn index(&mut self, payload: u64, records: &mut Vec<u8>, lines: &mut Vec<u8>) {
        // The data have the order of map keys, lines that of hashes.
        self.entries.sort_unstable();
        let coding = Coding::new(self.length);
        let homes = coding.homes(self.entries.len());
        let before = (lines.len() / LINE) as u64;
        let rows = self.entries.iter();
        let rows = rows.map(|(hash, offset)| Row { fraction: *hash, hash: *hash, offset: *offset });
        let mut emit = |line: &[u8; LINE]| {
            lines.extend_from_slice(line);
            Ok::<(), Infallible>(())
        };
        let Ok(count) = coding.write(homes, rows, &mut emit);
        let start = records.len();
        records.extend_from_slice(&payload.to_le_bytes());
        records.extend_from_slice(&self.length.to_le_bytes());
        records.extend_from_slice(&(self.entries.len() as u64).to_le_bytes());
        records.extend_from_slice(&before.to_le_bytes());
        records.extend_from_slice(&homes.to_le_bytes());
        records.extend_from_slice(&count.to_le_bytes());
        records.extend_from_slice(&u64::from(self.is_after_delete).to_le_bytes());
        debug_assert_eq!(records.len() - start, RUN);
    }
}
