//! The naive model: ordered maps of what each layer says, and segments made of them.

use std::collections::BTreeMap;
use std::path::Path;

use tidegate_segment::{
    Change, KeyedEntry, Lookup, MergedEntries, MergedTimers, Origin, Segment, SegmentError,
    SegmentWriter, TimerEntry, Tombstones,
};
use tidegate_types::{
    AttemptId, CheckpointId, KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, RegisteredState,
    StateKind,
};

pub(crate) type Bytes = Vec<u8>;

/// What one layer says. `None` is a tombstone.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Layer {
    pub(crate) values: BTreeMap<Bytes, Option<Bytes>>,
    pub(crate) maps: BTreeMap<Bytes, Map>,
    pub(crate) timers: BTreeMap<(i64, Bytes), bool>,
}

/// What a layer says of one key's map.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Map {
    pub(crate) is_deleted: bool,
    pub(crate) entries: BTreeMap<Bytes, Option<Bytes>>,
}

pub(crate) fn state(name: &str, kind: StateKind) -> RegisteredState {
    let (name, types) = (name.into(), "bytes -> bytes".into());
    RegisteredState { name, kind, fingerprint: 0x1234_5678_9ABC_DEF0, schema_version: 3, types }
}

pub(crate) fn origin(max: u16) -> Origin {
    let max_parallelism = MaxParallelism::new(max).unwrap();
    Origin {
        checkpoint: CheckpointId::new(7).unwrap(),
        attempt: AttemptId::new(2),
        max_parallelism,
        key_groups: KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(max - 1)).unwrap(),
    }
}

pub(crate) fn keyed<'a>(key: &'a [u8], change: Change<'a>) -> KeyedEntry<'a> {
    KeyedEntry { hash: KeyHash::of_bytes(key), key, change }
}

impl Layer {
    pub(crate) fn value_entries(&self) -> Vec<KeyedEntry<'_>> {
        let entries = self
            .values
            .iter()
            .map(|(key, value)| keyed(key, value.as_deref().map_or(Change::Delete, Change::Put)));
        sorted(entries.collect())
    }

    pub(crate) fn map_entries(&self) -> Vec<KeyedEntry<'_>> {
        let mut all = Vec::new();
        for (key, map) in &self.maps {
            if map.is_deleted {
                all.push(keyed(key, Change::Delete));
            }
            for (map_key, value) in &map.entries {
                all.push(keyed(key, entry_change(map_key, value.as_deref())));
            }
        }
        sorted(all)
    }

    pub(crate) fn timer_entries(&self, max: MaxParallelism) -> Vec<TimerEntry<'_>> {
        let mut all: Vec<TimerEntry<'_>> = self
            .timers
            .iter()
            .map(|((time_ms, key), is_tombstone)| TimerEntry {
                time_ms: *time_ms,
                hash: KeyHash::of_bytes(key),
                key,
                is_tombstone: *is_tombstone,
            })
            .collect();
        all.sort_by(|a, b| a.key_group(max).cmp(&b.key_group(max)).then_with(|| a.cmp_place(b)));
        all
    }

    /// The segment with this layer.
    pub(crate) fn write(&self, max: u16) -> Bytes {
        let mut writer = SegmentWriter::new(Vec::new(), origin(max)).unwrap();
        writer.begin_state(&state("values", StateKind::Value)).unwrap();
        self.value_entries().iter().for_each(|entry| writer.write(entry).unwrap());
        writer.begin_state(&state("maps", StateKind::Map)).unwrap();
        self.map_entries().iter().for_each(|entry| writer.write(entry).unwrap());
        writer.begin_state(&state("timers", StateKind::Timer)).unwrap();
        for timer in self.timer_entries(origin(max).max_parallelism) {
            writer.write_timer(&timer).unwrap();
        }
        let length = writer.length();
        let (bytes, summary) = writer.finish().unwrap();
        assert_eq!(summary.length, bytes.len() as u64);
        assert!(length < summary.length);
        bytes
    }

    /// Whether the segment says all of this and nothing else.
    pub(crate) fn check(&self, segment: &Segment) {
        self.try_check(segment).unwrap();
    }

    /// As [`check`](Self::check): errors of the segment are returned, wrong answers panic.
    pub(crate) fn try_check(&self, segment: &Segment) -> Result<(), SegmentError> {
        let number = |name| segment.state(name).unwrap();
        let (values, maps, timers) = (number("values"), number("maps"), number("timers"));
        for (key, value) in &self.values {
            let found = segment.get(values, KeyHash::of_bytes(key), key)?;
            assert_eq!(found, lookup(value.as_deref()), "{key:02x?}");
        }
        for (key, map) in &self.maps {
            let hash = KeyHash::of_bytes(key);
            for (map_key, value) in &map.entries {
                let found = segment.get_entry(maps, hash, key, map_key)?;
                assert_eq!(found, lookup(value.as_deref()), "{key:02x?} {map_key:02x?}");
            }
            let expected = if map.is_deleted { Lookup::Tombstone } else { Lookup::Absent };
            assert_eq!(segment.get_entry(maps, hash, key, b"no such key")?, expected);
            let of_key = segment.entries_of_key(maps, hash, key)?;
            let of_key: Vec<_> = of_key.collect::<Result<_, _>>()?;
            let all = self.map_entries();
            let expected: Vec<_> = all.iter().filter(|e| e.key == key).copied().collect();
            assert_eq!(of_key, expected);
        }
        for ((time, key), is_tombstone) in &self.timers {
            let found = segment.timer(timers, *time, KeyHash::of_bytes(key), key)?;
            let expected = if *is_tombstone { Lookup::Tombstone } else { Lookup::Found(&[]) };
            assert_eq!(found, expected);
        }
        let max = segment.origin().max_parallelism;
        let (mut found, mut found_maps, mut found_timers) = (Vec::new(), Vec::new(), Vec::new());
        for group in (0..max.get()).map(KeyGroup::new) {
            for entry in segment.entries(values, group) {
                found.push(entry?);
            }
            for entry in segment.entries(maps, group) {
                found_maps.push(entry?);
            }
            for timer in segment.timers(timers, group, i64::MIN) {
                found_timers.push(timer?);
            }
        }
        assert_eq!(found, self.value_entries());
        assert_eq!(found_maps, self.map_entries());
        assert_eq!(found_timers, self.timer_entries(max));
        Ok(())
    }

    /// What one sees of this layer and older ones below it.
    pub(crate) fn over(&self, older: &Self, tombstones: Tombstones) -> Self {
        let mut merged = older.clone();
        merged.values.extend(self.values.clone());
        merged.timers.extend(self.timers.clone());
        for (key, map) in &self.maps {
            let below = merged.maps.entry(key.clone()).or_default();
            if map.is_deleted {
                *below = map.clone();
            } else {
                below.entries.extend(map.entries.clone());
            }
        }
        for map in merged.maps.values_mut() {
            // A deletion of the whole map hides what a tombstone hides.
            let drops = tombstones == Tombstones::Drop || map.is_deleted;
            map.entries.retain(|_, value| value.is_some() || !drops);
            map.is_deleted &= tombstones == Tombstones::Keep;
        }
        if tombstones == Tombstones::Drop {
            merged.values.retain(|_, value| value.is_some());
            merged.timers.retain(|_, is_tombstone| !*is_tombstone);
        }
        merged.maps.retain(|_, map| map.is_deleted || !map.entries.is_empty());
        merged
    }
}

pub(crate) fn open(bytes: &[u8]) -> Result<Segment, SegmentError> {
    Segment::from_bytes(Path::new("the test's segment"), bytes.to_vec())
}

fn entry_change<'a>(map_key: &'a [u8], value: Option<&'a [u8]>) -> Change<'a> {
    match value {
        Some(value) => Change::PutEntry { map_key, value },
        None => Change::DeleteEntry { map_key },
    }
}

fn lookup(value: Option<&[u8]>) -> Lookup<'_> {
    value.map_or(Lookup::Tombstone, Lookup::Found)
}

fn sorted(mut entries: Vec<KeyedEntry<'_>>) -> Vec<KeyedEntry<'_>> {
    entries.sort_by(KeyedEntry::cmp_place);
    entries
}

/// The merged entries of a state with this name over all key groups.
pub(crate) fn merged_entries<'a>(
    newest_first: &'a [Segment],
    name: &str,
    tombstones: Tombstones,
) -> Vec<KeyedEntry<'a>> {
    let groups = (0..newest_first[0].origin().max_parallelism.get()).map(KeyGroup::new);
    let merged = groups.flat_map(|group| {
        let streams =
            newest_first.iter().map(|s| s.entries(s.state(name).expect("it has it"), group));
        MergedEntries::new(streams, tombstones)
    });
    merged.collect::<Result<_, _>>().unwrap()
}

/// The merged timers over all key groups.
pub(crate) fn merged_timers(
    newest_first: &[Segment],
    tombstones: Tombstones,
) -> Vec<TimerEntry<'_>> {
    let groups = (0..newest_first[0].origin().max_parallelism.get()).map(KeyGroup::new);
    let merged = groups.flat_map(|group| {
        let streams = newest_first
            .iter()
            .map(|s| s.timers(s.state("timers").expect("it has it"), group, i64::MIN));
        MergedTimers::new(streams, tombstones)
    });
    merged.collect::<Result<_, _>>().unwrap()
}
