//! What the writer refuses, and where it writes to.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tidegate_segment::{Change, Segment, SegmentError, SegmentWriter, Statistics, TimerEntry};
use tidegate_store::{CheckpointStorage, FsStorage, StoragePath};
use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, StateKind};

use crate::model::{Layer, keyed, open, origin, state};

fn writer(kind: StateKind) -> SegmentWriter<Vec<u8>> {
    let mut writer = SegmentWriter::new(Vec::new(), origin(1)).unwrap();
    writer.begin_state(&state("state", kind)).unwrap();
    writer
}

fn panics(action: impl FnOnce()) -> bool {
    catch_unwind(AssertUnwindSafe(action)).is_err()
}

#[test]
fn what_is_out_of_order_panics() {
    let mut keys: Vec<&[u8]> = vec![b"a", b"b", b"c"];
    keys.sort_by_key(|key| KeyHash::of_bytes(key));
    let write = |kind, entries: &[(usize, Change<'_>)]| {
        let mut writer = writer(kind);
        panics(|| {
            for (key, change) in entries {
                writer.write(&keyed(keys[*key], *change)).unwrap();
            }
        })
    };
    let (put, delete) = (Change::Put(b"v"), Change::Delete);
    let entry = |map_key| Change::PutEntry { map_key, value: b"v" };
    let (value, map) = (StateKind::Value, StateKind::Map);
    assert!(!write(value, &[(0, put), (1, put), (2, delete)]));
    assert!(write(value, &[(1, put), (0, put)]), "keys descend");
    assert!(write(value, &[(0, put), (0, put)]), "twice the same");
    assert!(write(value, &[(0, delete), (0, put)]), "twice the same");
    assert!(write(value, &[(0, entry(b"x"))]), "an entry of a map");
    assert!(!write(map, &[(0, delete), (0, entry(b"x")), (0, entry(b"y")), (1, entry(b"x"))]));
    assert!(write(map, &[(0, entry(b"y")), (0, entry(b"x"))]), "map keys descend");
    assert!(write(map, &[(0, entry(b"x")), (0, entry(b"x"))]), "twice the same");
    assert!(write(map, &[(0, entry(b"x")), (0, delete)]), "deleted after its entries");
    assert!(write(map, &[(0, put)]), "a value");
    assert!(panics(|| {
        let strange =
            tidegate_segment::KeyedEntry { hash: KeyHash::from_bits(1), ..keyed(b"a", put) };
        writer(value).write(&strange).unwrap();
    }));
}

#[test]
fn timers_out_of_order_panic() {
    let write = |timers: &[(i64, &[u8])]| {
        let mut writer = writer(StateKind::Timer);
        panics(|| {
            for (time_ms, key) in timers {
                let (hash, is_tombstone) = (KeyHash::of_bytes(key), false);
                writer
                    .write_timer(&TimerEntry { time_ms: *time_ms, hash, key, is_tombstone })
                    .unwrap();
            }
        })
    };
    assert!(!write(&[(i64::MIN, b"b"), (1, b"a"), (1, b"b"), (i64::MAX, b"")]));
    assert!(write(&[(2, b"a"), (1, b"a")]));
    assert!(write(&[(1, b"b"), (1, b"a")]));
    assert!(write(&[(1, b"a"), (1, b"a")]));
}

#[test]
fn states_and_key_groups_are_those_that_were_promised() {
    assert!(panics(|| writer(StateKind::Value)
        .begin_state(&state("state", StateKind::Map))
        .unwrap()));
    assert!(panics(|| drop(writer(StateKind::OperatorList))));
    let group = KeyGroup::new;
    let narrow = tidegate_segment::Origin {
        key_groups: KeyGroupRange::new(group(1), group(2)).unwrap(),
        ..origin(4)
    };
    let mut keys = (0..200_u8).map(|byte| [byte]);
    let of = |wanted| {
        let max = origin(4).max_parallelism;
        keys.find(|key| max.key_group_of(KeyHash::of_bytes(key)).get() == wanted).unwrap()
    };
    let [inside, outside] = [1, 3].map(of);
    let mut writer = SegmentWriter::new(Vec::new(), narrow).unwrap();
    writer.begin_state(&state("state", StateKind::Value)).unwrap();
    writer.write(&keyed(&inside, Change::Put(b""))).unwrap();
    assert!(panics(|| writer.write(&keyed(&outside, Change::Put(b""))).unwrap()));
}

#[test]
fn a_segment_goes_through_a_store_and_is_mapped() {
    let mut layer = Layer::default();
    for number in 0..50_000_u64 {
        layer.values.insert(number.to_le_bytes().to_vec(), Some(vec![9; 64]));
    }
    let directory = tempfile::tempdir().unwrap();
    let storage = FsStorage::open(directory.path()).unwrap();
    let path = StoragePath::new("shared/segment").unwrap();
    let mut writer = SegmentWriter::new(storage.create(&path).unwrap(), origin(128)).unwrap();
    writer.begin_state(&state("values", StateKind::Value)).unwrap();
    layer.value_entries().iter().for_each(|entry| writer.write(entry).unwrap());
    writer.begin_state(&state("maps", StateKind::Map)).unwrap();
    writer.begin_state(&state("timers", StateKind::Timer)).unwrap();
    let (file, summary) = writer.finish().unwrap();
    assert_eq!(file.finish().unwrap().length, summary.length);
    let names: Vec<&str> = summary.states.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["values", "maps", "timers"]);
    assert_eq!(summary.states[0].1.puts, 50_000);
    assert_eq!(summary.states[1].1, Statistics::default());
    let segment = Segment::open(&storage.local_path(&path).unwrap()).unwrap();
    assert_eq!(segment.length(), summary.length);
    layer.check(&segment);
    segment.verify(origin(128).key_groups).unwrap();
    segment.check_intact().unwrap();
}

/// Takes so many bytes and then fails.
struct Full(usize);

impl io::Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0 == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let taken = bytes.len().min(self.0);
        self.0 -= taken;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_an_error_that_keeps_its_source() {
    let values = 3 << 20;
    for room in [0, 1000, 1 << 20, (1 << 20) + 5, values] {
        let write = || {
            let mut writer = SegmentWriter::new(Full(room), origin(1))?;
            writer.begin_state(&state("state", StateKind::Value))?;
            writer.write(&keyed(b"k", Change::Put(&vec![1; values])))?;
            writer.finish().map(drop)
        };
        match write() {
            Err(SegmentError::Write { source }) => {
                assert_eq!(source.kind(), io::ErrorKind::StorageFull);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn an_empty_segment_is_a_segment() {
    let writer = SegmentWriter::new(Vec::new(), origin(1)).unwrap();
    let (bytes, summary) = writer.finish().unwrap();
    assert!(summary.states.is_empty());
    let segment = open(&bytes).unwrap();
    assert_eq!(segment.states().count(), 0);
    assert_eq!(segment.state("state"), None);
    segment.verify(origin(1).key_groups).unwrap();
}

#[test]
fn a_state_keeps_what_it_was_registered_with() {
    let list = state("a \"list\"", StateKind::List);
    let timers = state("Zeiten", StateKind::Timer);
    let mut writer = SegmentWriter::new(Vec::new(), origin(1)).unwrap();
    writer.begin_state(&list).unwrap();
    writer.begin_state(&timers).unwrap();
    let segment = open(&writer.finish().unwrap().0).unwrap();
    let states: Vec<_> = segment.states().map(|(_, state)| state.clone()).collect();
    assert_eq!(states, [list, timers]);
    let shared = Arc::new(segment);
    std::thread::spawn(move || assert_eq!(shared.states().count(), 2)).join().unwrap();
}

/// Bytes an entry of a state with 100,000 entries.
fn cost(kind: StateKind, key: impl Fn(u64) -> Vec<u8>, value: usize) -> f64 {
    let mut keys: Vec<Vec<u8>> = (0..100_000).map(key).collect();
    keys.sort_by_cached_key(|key| KeyHash::of_bytes(key));
    let mut writer = SegmentWriter::new(Vec::new(), origin(16)).unwrap();
    writer.begin_state(&state("state", kind)).unwrap();
    let value = vec![0x55; value];
    for key in &keys {
        writer.write(&keyed(key, Change::Put(&value))).unwrap();
    }
    f64::from(u32::try_from(writer.finish().unwrap().1.length).unwrap()) / 100_000.0
}

// The numbers of docs/format-segment.md, "What it costs".
#[test]
fn an_entry_costs_what_the_document_says() {
    let number = |n: u64| n.to_le_bytes().to_vec();
    let text = |n: u64| [&12_u32.to_le_bytes()[..], format!("{n:012}").as_bytes()].concat();
    let within = |found: f64, said: f64| assert!((found - said).abs() < 0.3, "{found}, not {said}");
    within(cost(StateKind::Value, number, 8), 23.4);
    within(cost(StateKind::Value, number, 64), 80.4);
    within(cost(StateKind::Aggregating, text, 24), 47.4);
    let mut writer = SegmentWriter::new(Vec::new(), origin(1)).unwrap();
    writer.begin_state(&state("map", StateKind::Map)).unwrap();
    for map_key in 0..100_000_u64 {
        let map_key = &map_key.to_be_bytes();
        writer.write(&keyed(b"key", Change::PutEntry { map_key, value: &[1; 8] })).unwrap();
    }
    let length = u32::try_from(writer.finish().unwrap().1.length).unwrap();
    within(f64::from(length) / 100_000.0, 23.4);
    let mut writer = SegmentWriter::new(Vec::new(), origin(1)).unwrap();
    writer.begin_state(&state("timers", StateKind::Timer)).unwrap();
    for time_ms in 0..100_000 {
        let (key, is_tombstone) = (&[7; 8], false);
        let hash = KeyHash::of_bytes(key);
        writer.write_timer(&TimerEntry { time_ms, hash, key, is_tombstone }).unwrap();
    }
    let length = u32::try_from(writer.finish().unwrap().1.length).unwrap();
    within(f64::from(length) / 100_000.0, 17.5);
}
