//! Between segments and the canonical form of savepoints: bytes to bytes, without any Rust type.

use std::collections::BTreeMap;

use tidegate_segment::{Change, KeyedEntry, TimerEntry};
use tidegate_state::{CanonicalReader, Entry, FrozenTable, StateBase, StateError};
use tidegate_types::{CheckpointId, KeyGroup, KeyHash, RegisteredState, StateKind};

use crate::base::FsBase;
use crate::error::FsStateError;
use crate::place::{Place, Writer};
use crate::stored::Part;

/// The number of the chunk that a restored list becomes: below that of every freeze.
const FIRST_CHUNK: u64 = 0;

/// What segments hold of one state, as entries of the canonical form.
pub(crate) struct AsEntries {
    pub(crate) base: FsBase,
    pub(crate) kind: StateKind,
}

/// An entry that grows by items.
#[derive(Default)]
struct Growing {
    hash: Option<KeyHash>,
    key: Vec<u8>,
    count: u32,
    items: Vec<u8>,
}

impl Growing {
    fn is_of(&self, key: &[u8]) -> bool {
        self.hash.is_some() && self.key == key
    }

    fn begin(&mut self, hash: KeyHash, key: &[u8]) {
        self.hash = Some(hash);
        self.key.clear();
        self.key.extend_from_slice(key);
        self.count = 0;
        self.items.clear();
    }

    fn item(&mut self, bytes: &[u8]) {
        let length = u32::try_from(bytes.len()).expect("what is in a segment is below 4 GiB");
        self.items.extend_from_slice(&length.to_le_bytes());
        self.items.extend_from_slice(bytes);
        self.count += 1;
    }

    /// Items that have their lengths in front already.
    fn chunk(&mut self, mut bytes: &[u8]) {
        self.items.extend_from_slice(bytes);
        while let Some((length, rest)) = bytes.split_first_chunk() {
            bytes = rest.get(u32::from_le_bytes(*length) as usize..).unwrap_or_default();
            self.count += 1;
        }
    }

    fn show(
        &self,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some(hash) = self.hash else { return Ok(()) };
        visit(Entry { hash, key: &self.key, count: self.count, items: &self.items })
    }
}

impl FrozenTable for AsEntries {
    fn entries(
        &self,
        group: KeyGroup,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let mut growing = Growing::default();
        if self.kind == StateKind::Timer {
            for ((hash, key), times) in self.timers(group)? {
                growing.begin(hash, &key);
                times.iter().for_each(|time| growing.item(&time.to_le_bytes()));
                growing.show(visit)?;
            }
            return Ok(());
        }
        for entry in self.base.merged(group) {
            let KeyedEntry { hash, key, change } = entry?;
            if !growing.is_of(key) {
                growing.show(visit)?;
                growing.begin(hash, key);
            }
            match (change, self.kind) {
                (Change::Put(value), _) => growing.item(value),
                (Change::PutEntry { value, .. }, StateKind::List) => growing.chunk(value),
                (Change::PutEntry { map_key, value }, _) => {
                    growing.item(map_key);
                    growing.item(value);
                }
                (Change::Delete | Change::DeleteEntry { .. }, _) => {
                    unreachable!("merged down to the oldest, there are no tombstones")
                }
            }
        }
        growing.show(visit)
    }
}

type Times = BTreeMap<(KeyHash, Vec<u8>), Vec<i64>>;

impl AsEntries {
    fn timers(&self, group: KeyGroup) -> Result<Times, StateError> {
        let mut timers = Times::new();
        self.base.timers(group, i64::MIN, &mut |time, key| {
            let place = (KeyHash::of_bytes(key), key.to_vec());
            timers.entry(place).or_default().push(time);
            std::ops::ControlFlow::Continue(())
        })?;
        Ok(timers)
    }
}

/// Writes what canonical state holds of the subtask's key groups as a segment.
pub(crate) fn import(
    place: &Place,
    checkpoint: CheckpointId,
    readers: &[CanonicalReader],
) -> Result<Part, StateError> {
    let mut states: Vec<&RegisteredState> = Vec::new();
    for state in readers.iter().flat_map(CanonicalReader::states) {
        if !states.iter().any(|known| known.name == state.name) {
            states.push(state);
        }
    }
    let stored = place.write(checkpoint, |writer| {
        for state in states {
            place.written(writer.begin_state(state))?;
            for group in place.context.key_groups.iter() {
                Import { place, state, writer }.group(group, readers)?;
            }
        }
        Ok(())
    })?;
    Ok(Part { stored, key_groups: place.context.key_groups })
}

struct Import<'a> {
    place: &'a Place,
    state: &'a RegisteredState,
    writer: &'a mut Writer,
}

impl Import<'_> {
    fn group(&mut self, group: KeyGroup, readers: &[CanonicalReader]) -> Result<(), StateError> {
        let mut last: Option<(KeyHash, Vec<u8>)> = None;
        let mut timers: Vec<(i64, KeyHash, Vec<u8>)> = Vec::new();
        let holders = readers.iter().filter(|reader| reader.key_groups().contains(group));
        for (reader, number) in holders.filter_map(|r| Some((r, r.state(&self.state.name)?))) {
            reader.read(group, number, &mut |entry| {
                let key = (entry.hash, entry.key.to_vec());
                // The writer relies on it, and the bytes come from outside.
                if last.as_ref().is_some_and(|last| *last >= key)
                    || self.place.context.max_parallelism.key_group_of(entry.hash) != group
                {
                    return Err(self.unordered());
                }
                last = Some(key);
                match self.state.kind {
                    StateKind::Timer => self.collect(entry, &mut timers),
                    StateKind::List => {
                        let map_key = &FIRST_CHUNK.to_be_bytes();
                        self.write(entry, Change::PutEntry { map_key, value: entry.items })
                    }
                    StateKind::Map => self.map(entry),
                    _ => match Items(entry.items).next() {
                        Some(value) => self.write(entry, Change::Put(value)),
                        None => Err(self.other_kind()),
                    },
                }
            })?;
        }
        timers.sort_unstable_by(|a, b| (a.0, &a.2).cmp(&(b.0, &b.2)));
        timers.dedup();
        for (time_ms, hash, key) in &timers {
            let (time_ms, hash) = (*time_ms, *hash);
            let timer = TimerEntry { time_ms, hash, key, is_tombstone: false };
            self.place.written(self.writer.write_timer(&timer))?;
        }
        Ok(())
    }

    fn write(&mut self, entry: Entry<'_>, change: Change<'_>) -> Result<(), StateError> {
        let entry = KeyedEntry { hash: entry.hash, key: entry.key, change };
        self.place.written(self.writer.write(&entry))
    }

    fn map(&mut self, entry: Entry<'_>) -> Result<(), StateError> {
        let mut items = Items(entry.items);
        let mut last = None;
        while let Some(map_key) = items.next() {
            let value = items.next().ok_or_else(|| self.other_kind())?;
            if last.replace(map_key).is_some_and(|last| last >= map_key) {
                return Err(self.unordered());
            }
            self.write(entry, Change::PutEntry { map_key, value })?;
        }
        Ok(())
    }

    fn collect(
        &self,
        entry: Entry<'_>,
        timers: &mut Vec<(i64, KeyHash, Vec<u8>)>,
    ) -> Result<(), StateError> {
        for item in Items(entry.items) {
            let time = item.try_into().map_err(|_| self.other_kind())?;
            timers.push((i64::from_le_bytes(time), entry.hash, entry.key.to_vec()));
        }
        Ok(())
    }

    fn unordered(&self) -> StateError {
        self.place.failed(FsStateError::Unordered { state: self.state.name.clone() })
    }

    fn other_kind(&self) -> StateError {
        let (state, kind) = (self.state.name.clone(), self.state.kind);
        self.place.failed(FsStateError::OtherKind { state, kind })
    }
}

/// Items with their lengths in front; ends where they cease to be items.
struct Items<'a>(&'a [u8]);

impl<'a> Iterator for Items<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(item)
    }
}

/// Moves restored state through a table that migrates it.
pub(crate) fn load(
    base: FsBase,
    state: &RegisteredState,
    groups: impl Iterator<Item = KeyGroup>,
    load: &mut dyn FnMut(KeyGroup, Entry<'_>) -> Result<(), StateError>,
) -> Result<(), StateError> {
    let entries = AsEntries { base, kind: state.kind };
    for group in groups {
        entries.entries(group, &mut |entry| load(group, entry))?;
    }
    Ok(())
}
