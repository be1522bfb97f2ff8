//! The examples of `docs/format.md`, compared with what the code writes.

use std::iter::zip;

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, ListStateDescriptor, MapStateDescriptor,
    MemoryStateBackend, OperatorStateStore, SnapshotResult, SnapshotTarget, StateValue, TimeDomain,
    ValueStateDescriptor,
};
use tidegate_store::{MemoryStorage, StoragePath};
use tidegate_types::{
    AttemptId, CheckpointId, Digest, Distribution, KeyGroupRange, KeyHash, MaxParallelism,
    OperatorUid, Parallelism, SnapshotKind, StateHandle, StateKey, Subtask,
};

const DOCUMENT: &str = include_str!("../../../../docs/format.md");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// The bytes of the dump with this name; every line says where it stands.
fn dump(name: &str) -> Vec<u8> {
    let (_, rest) = DOCUMENT.split_once(&format!("```text {name}\n")).unwrap();
    let mut bytes = Vec::new();
    for line in rest.split("```").next().unwrap().lines() {
        let (offset, rest) = line.trim_start().split_once("  ").unwrap();
        assert_eq!(offset.parse(), Ok(bytes.len()), "{line}");
        let words = rest.split("  ").next().unwrap().split(' ');
        bytes.extend(words.map(|word| u8::from_str_radix(word, 16).unwrap()));
    }
    bytes
}

fn expect_row(row: &str) {
    assert!(DOCUMENT.lines().any(|line| line == row), "docs/format.md lacks the row\n{row}");
}

fn key<K: StateKey>(shown: &str, key: &K) {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    let (hash, max) = (key.key_hash(), MaxParallelism::DEFAULT);
    let bytes = if bytes.is_empty() { String::new() } else { format!("`{}` ", hex(&bytes)) };
    let group = max.key_group_of(hash);
    let owner = group.owner(max, Parallelism::new(4).unwrap()).index();
    let most = MaxParallelism::new(MaxParallelism::LIMIT).unwrap().key_group_of(hash);
    let (name, hash) = (K::type_name(), hash.get());
    expect_row(&format!(
        "| `{shown}` | `{name}` | {bytes}| `{hash:016x}` | {group} | {owner} | {most} |"
    ));
}

fn value<V: StateValue>(shown: &str, value: &V) {
    let mut bytes = Vec::new();
    value.encode_value(&mut bytes);
    expect_row(&format!("| `{shown}` | `{}` | `{}` |", V::type_name(), hex(&bytes)));
}

#[test]
fn keys_are_written_hashed_and_placed_as_documented() {
    key("()", &());
    key("true", &true);
    key("7", &7_u64);
    key("-2", &-2_i32);
    key("\"\"", &String::new());
    key("\"tide\"", &"tide".to_owned());
    key("[1, 2]", &vec![1_u8, 2]);
    key("(\"EWR\", 7)", &("EWR".to_owned(), 7_u32));
    key("\"Grüße\"", &"Grüße".to_owned());
    key("18446744073709551615", &u64::MAX);
    for (max, parallelism) in [(128, 4), (128, 3), (10, 4), (7, 3)] {
        let most = MaxParallelism::new(max).unwrap();
        let subtasks = Subtask::all(Parallelism::new(parallelism).unwrap());
        let ranges = subtasks.map(|subtask| KeyGroupRange::of_subtask(most, subtask).to_string());
        let ranges = ranges.collect::<Vec<_>>().join(", ");
        expect_row(&format!("| {max} | {parallelism} | {ranges} |"));
    }
}

#[test]
fn digests_are_as_documented() {
    for (shown, bytes) in [("none", &b""[..]), ("`abc`", b"abc")] {
        let checksum = KeyHash::of_bytes(bytes).get();
        expect_row(&format!("| {shown} | `{checksum:016x}` | `{}` |", Digest::of(bytes)));
    }
}

#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
struct Gauge {
    level_mm: i64,
    readings: u32,
}

#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Tide {
    Slack,
    Ebb(u16),
    Flood { mm: u32 },
}

#[test]
fn values_are_written_as_documented() {
    value("-2", &-2_i32);
    value("1.5", &1.5_f64);
    value("true", &true);
    value("'ß'", &'ß');
    for text in ["", "tide", "flooding", "spring tide"] {
        value(&format!("{text:?}"), &text.to_owned());
    }
    value("[1, 2]", &vec![1_u16, 2]);
    value("[]", &Vec::<u16>::new());
    value("[\"spring tide\", \"ebb\"]", &vec!["spring tide".to_owned(), "ebb".to_owned()]);
    value("Some(7)", &Some(7_u32));
    value("None", &None::<u32>);
    value("(7, \"tide\")", &(7_u64, "tide".to_owned()));
    value("[1, 2, 3]", &[1_u16, 2, 3]);
    value("Gauge { level_mm: -5, readings: 3 }", &Gauge { level_mm: -5, readings: 3 });
    value("Slack", &Tide::Slack);
    value("Ebb(258)", &Tide::Ebb(258));
    value("Flood { mm: 3 }", &Tide::Flood { mm: 3 });
    value("Box(7)", &Box::new(7_u32));
}

/// The example of "Keyed state, byte by byte".
fn snapshot() -> SnapshotResult {
    let max_parallelism = MaxParallelism::new(2).unwrap();
    let subtask = Subtask::new(0, Parallelism::ONE);
    let context = KeyedContext {
        operator: OperatorUid::new("count").unwrap(),
        subtask,
        max_parallelism,
        key_groups: KeyGroupRange::of_subtask(max_parallelism, subtask),
        attempt: AttemptId::new(1),
    };
    let backend = MemoryStateBackend::new();
    let mut keyed = KeyedState::<String>::open(&backend, &context, Vec::new()).unwrap();
    let seen = keyed.value(ValueStateDescriptor::<u64>::new("seen")).unwrap();
    let log = keyed.list(ListStateDescriptor::<u16>::new("log")).unwrap();
    let by = keyed.map(MapStateDescriptor::<u8, u16>::new("by")).unwrap();
    for (key, count) in [("ebb", 1), ("flood", 2), ("tide", 3)] {
        let key = key.to_owned();
        let hash = key.key_hash();
        keyed.set_current_key(key, hash);
        seen.put(count).unwrap();
    }
    log.update(vec![258, 1]).unwrap();
    by.put(9, 90).unwrap();
    by.put(2, 20).unwrap();
    keyed.register_timer(TimeDomain::EventTime, 1000);
    keyed.register_timer(TimeDomain::EventTime, -1);
    let (exclusive, shared) =
        (StoragePath::new("chk-1").unwrap(), StoragePath::new("shared").unwrap());
    let target = SnapshotTarget {
        checkpoint: CheckpointId::FIRST,
        attempt: context.attempt,
        storage: &MemoryStorage::new(),
        exclusive: &exclusive,
        shared: &shared,
    };
    let job = keyed.snapshot(CheckpointId::FIRST, SnapshotKind::Checkpoint).unwrap();
    job.run(&target, &CancelToken::new()).unwrap()
}

#[test]
fn keyed_state_is_written_as_documented() {
    let result = snapshot();
    let StateHandle::Inline(frame) = &result.keyed[0].manifest else { panic!("not inline") };
    let documented = dump("keyed-state");
    for (offset, (found, expected)) in zip(&frame[..], &documented).enumerate() {
        assert_eq!(found, expected, "at offset {offset}");
    }
    assert_eq!(frame.len(), documented.len());
}

#[test]
fn fingerprints_are_as_documented() {
    let mut store = OperatorStateStore::new(OperatorUid::new("count").unwrap());
    store.list::<(String, u64)>("splits", Distribution::Split).unwrap();
    let registered = [snapshot().registered, store.snapshot().1].concat();
    assert_eq!(registered.len(), 6);
    for state in registered {
        let begin = format!("| `{}: {}; ", state.kind, state.types);
        let row = DOCUMENT.lines().find(|line| line.starts_with(&begin)).unwrap();
        let text = row.split('`').nth(1).unwrap();
        assert_eq!(KeyHash::of_bytes(text.as_bytes()).get(), state.fingerprint, "{text}");
        expect_row(&format!("| `{text}` | `{:016x}` |", state.fingerprint));
    }
}
