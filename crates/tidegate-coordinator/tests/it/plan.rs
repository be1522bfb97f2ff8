//! Dealing state out: nothing is lost and nothing given twice, at any parallelism.

use std::sync::Arc;

use tidegate_coordinator::{
    InFlightHead, InFlightSelection, RestoreError, RestorePlan, RestoredList, SubtaskRestore,
    Topology, registered_in_flight,
};
use tidegate_meta::CheckpointMetadata;
use tidegate_types::{
    AttemptId, BackendKind, ChannelKind, ChannelStateHandle, CheckpointId, Distribution, JobId,
    KeyGroup, KeyGroupRange, KeyedStateHandle, ListStateHandle, MaxParallelism, OperatorState,
    Parallelism, RegisteredState, SnapshotKind, StateHandle, StateKey, StateKind, Subtask,
    SubtaskState,
};

use crate::common::{topology, uid, width};

/// What one subtask holds while it runs: its key groups and the items of its three lists.
#[derive(Clone, Default)]
struct Held {
    key_groups: Option<KeyGroupRange>,
    split: Vec<Vec<u8>>,
    union: Vec<Vec<u8>>,
    broadcast: Vec<Vec<u8>>,
}

fn list(name: &str, distribution: Distribution, items: &[Vec<u8>]) -> ListStateHandle {
    ListStateHandle {
        name: name.into(),
        distribution,
        item_lengths: items.iter().map(|item| u32::try_from(item.len()).unwrap()).collect(),
        items: StateHandle::Inline(items.concat().into()),
    }
}

fn state(held: &Held) -> SubtaskState {
    let keyed = held.key_groups.map(|key_groups| KeyedStateHandle {
        backend: BackendKind::Canonical,
        key_groups,
        manifest: StateHandle::Inline(key_groups.to_string().as_bytes().into()),
        shared: Vec::new(),
    });
    SubtaskState {
        keyed: keyed.into_iter().collect(),
        lists: vec![
            list("split", Distribution::Split, &held.split),
            list("union", Distribution::Union, &held.union),
            list("broadcast", Distribution::Broadcast, &held.broadcast),
        ],
        ..SubtaskState::default()
    }
}

fn metadata(states: Vec<SubtaskState>) -> CheckpointMetadata {
    let parallelism = width(u16::try_from(states.len()).unwrap());
    let registered = RegisteredState {
        name: "count".into(),
        kind: StateKind::Value,
        fingerprint: 7,
        schema_version: 0,
        types: "u64".into(),
    };
    CheckpointMetadata {
        job_id: JobId::from_bytes([1; 16]),
        job_name: "test".to_owned(),
        checkpoint: CheckpointId::FIRST,
        attempt: AttemptId::new(1),
        kind: SnapshotKind::Checkpoint,
        created_at_ms: 0,
        operators: vec![OperatorState {
            uid: uid("sink"),
            parallelism,
            max_parallelism: MaxParallelism::DEFAULT,
            registered: vec![registered],
            subtasks: (0..).zip(states).collect(),
        }],
    }
}

fn restore(held: &[Held], parallelism: Parallelism) -> Vec<SubtaskRestore> {
    let metadata = metadata(held.iter().map(state).collect());
    let plan = RestorePlan::new(&metadata, &topology(1, parallelism.get()), false).unwrap();
    Subtask::all(parallelism).map(|subtask| plan.for_subtask(&uid("sink"), subtask)).collect()
}

fn items(lists: &[RestoredList], name: &str) -> Vec<Vec<u8>> {
    let list = lists.iter().find(|list| &*list.name == name).unwrap();
    list.items.iter().map(|item| item.bytes().unwrap().to_vec()).collect()
}

fn sorted(mut items: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    items.sort();
    items
}

/// Checks a step of the rescaling and gives what runs afterwards.
fn rescale(held: &[Held], parallelism: Parallelism) -> Vec<Held> {
    let restored = restore(held, parallelism);
    let all =
        |of: fn(&Held) -> &Vec<Vec<u8>>| held.iter().flat_map(of).cloned().collect::<Vec<_>>();
    let split = restored.iter().flat_map(|restore| items(&restore.lists, "split"));
    assert_eq!(sorted(split.collect()), sorted(all(|held| &held.split)), "split items");
    let counts = restored.iter().map(|restore| items(&restore.lists, "split").len());
    if held.len() != restored.len() {
        let (least, most) = (counts.clone().min().unwrap(), counts.max().unwrap());
        assert!(most - least <= 1, "dealt out evenly: {least} to {most}");
    }
    for (subtask, restore) in Subtask::all(parallelism).zip(&restored) {
        assert_eq!(items(&restore.lists, "union"), all(|held| &held.union), "union items");
        assert_eq!(items(&restore.lists, "broadcast"), held[0].broadcast, "broadcast items");
        let own = KeyGroupRange::of_subtask(MaxParallelism::DEFAULT, subtask);
        for group in own.iter() {
            let covers = |handle: &&KeyedStateHandle| handle.key_groups.contains(group);
            let count = restore.keyed.iter().map(|(handle, _)| handle).filter(covers).count();
            assert_eq!(count, 1, "key group {group} of subtask {subtask}");
        }
        for (handle, registered) in &restore.keyed {
            assert!(handle.key_groups.intersection(own).is_some(), "{subtask} needs nothing of it");
            assert_eq!(registered.len(), 1);
        }
    }
    let next = |(subtask, restore): (Subtask, &SubtaskRestore)| Held {
        key_groups: Some(KeyGroupRange::of_subtask(MaxParallelism::DEFAULT, subtask)),
        split: items(&restore.lists, "split"),
        // A union list that every subtask writes back whole would grow; each keeps one.
        union: vec![vec![u8::try_from(subtask.index()).unwrap(); 3]],
        broadcast: items(&restore.lists, "broadcast"),
    };
    Subtask::all(parallelism).zip(&restored).map(next).collect()
}

fn one(split_items: u8) -> Vec<Held> {
    vec![Held {
        key_groups: KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(127)),
        split: (0..split_items).map(|n| vec![n; usize::from(n % 5)]).collect(),
        union: vec![b"u".to_vec(), Vec::new()],
        broadcast: vec![b"rule 1".to_vec(), b"rule 2".to_vec()],
    }]
}

#[test]
fn rescaling_from_one_to_two_to_seven_to_three_loses_and_doubles_nothing() {
    for split_items in [0, 1, 2, 6, 7, 23] {
        let mut held = one(split_items);
        for parallelism in [2, 7, 3] {
            held = rescale(&held, width(parallelism));
        }
    }
}

#[test]
fn every_pair_of_small_parallelisms_partitions() {
    for from in 1..=9 {
        for to in 1..=9 {
            let held = rescale(&one(13), width(from));
            rescale(&held, width(to));
        }
    }
}

#[test]
fn unchanged_parallelism_keeps_the_assignment() {
    let mut held = rescale(&one(23), width(3));
    // As unevenly as it may have become.
    let moved = std::mem::take(&mut held[0].split);
    held[2].split.extend(moved);
    for (restore, held) in restore(&held, width(3)).iter().zip(&held) {
        assert_eq!(items(&restore.lists, "split"), held.split);
        assert_eq!(restore.keyed.len(), 1);
    }
}

#[test]
fn state_of_an_unknown_operator_is_refused_unless_allowed() {
    let mut metadata = metadata(vec![state(&one(1)[0])]);
    metadata.operators[0].uid = uid("gone");
    let error = RestorePlan::new(&metadata, &topology(1, 1), false).unwrap_err();
    assert!(matches!(&error, RestoreError::Unclaimed { operators } if *operators == [uid("gone")]));
    assert!(error.to_string().contains("gone"), "{error}");
    let plan = RestorePlan::new(&metadata, &topology(1, 1), true).unwrap();
    let subtask = Subtask::new(0, Parallelism::ONE);
    assert_eq!(plan.for_subtask(&uid("sink"), subtask), SubtaskRestore::default());
    // Without state there is nothing to lose.
    metadata.operators[0].subtasks.clear();
    assert!(RestorePlan::new(&metadata, &topology(1, 1), false).is_ok());
}

#[test]
fn what_does_not_fit_is_refused() {
    let metadata = metadata(vec![state(&one(1)[0]), state(&one(1)[0])]);
    let max_parallelism = MaxParallelism::new(64).unwrap();
    let other_max = Topology { max_parallelism, ..topology(1, 1) };
    let error = RestorePlan::new(&metadata, &other_max, true).unwrap_err();
    assert!(matches!(error, RestoreError::MaxParallelism { .. }), "{error}");

    let error = RestorePlan::new(&metadata, &topology(1, 129), true).unwrap_err();
    assert!(matches!(error, RestoreError::Parallelism { .. }), "{error}");

    let mut mixed = metadata.clone();
    mixed.operators[0].subtasks[1].1.lists[0].distribution = Distribution::Union;
    let error = RestorePlan::new(&mixed, &topology(1, 1), true).unwrap_err();
    assert!(matches!(error, RestoreError::MixedDistribution { .. }), "{error}");

    let mut in_flight = metadata;
    in_flight.operators[0].subtasks[1].1.channels.push(ChannelStateHandle {
        kind: ChannelKind::Input,
        gate: 0,
        channel: 0,
        record_lengths: vec![1],
        records: StateHandle::Inline(Arc::from(*b"r")),
    });
    let error = RestorePlan::new(&in_flight, &topology(1, 3), true).unwrap_err();
    assert!(matches!(error, RestoreError::InFlight { .. }), "{error}");
    let plan = RestorePlan::new(&in_flight, &topology(1, 2), true).unwrap();
    let channels = |index| plan.for_subtask(&uid("sink"), Subtask::new(index, width(2))).channels;
    assert_eq!((channels(0).len(), channels(1).len()), (0, 1));
}

/// Records in flight to keys 0 to 99, dealt out to subtasks as the job would have.
fn keyed_in_flight(from: Parallelism) -> CheckpointMetadata {
    let max = MaxParallelism::DEFAULT;
    let states = Subtask::all(from).map(|subtask| {
        let range = KeyGroupRange::of_subtask(max, subtask);
        let mut state = SubtaskState::default();
        for channel in 0..2 {
            let mine = |key: &u64| range.contains(max.key_group_of(key.key_hash()));
            let keys = (0..100_u64).filter(mine).filter(|key| key % 2 == u64::from(channel));
            // Two of each key: their order is to stay.
            let records = keys.flat_map(|key| [(key, 1), (key, 2)]).map(|(key, turn)| {
                let mut record = Vec::new();
                InFlightHead { timestamp_ms: turn, key: Some(key.key_hash()) }.encode(&mut record);
                key.encode_key(&mut record);
                record
            });
            let records: Vec<Vec<u8>> = records.collect();
            state.channels.push(ChannelStateHandle {
                kind: ChannelKind::Input,
                gate: 0,
                channel,
                record_lengths: records.iter().map(|r| u32::try_from(r.len()).unwrap()).collect(),
                records: StateHandle::Inline(records.concat().into()),
            });
        }
        state
    });
    let mut metadata = metadata(states.collect());
    metadata.operators[0].registered.push(registered_in_flight("u64 -> ()", 0, true));
    metadata
}

#[test]
fn records_in_flight_go_to_the_owners_of_their_keys_in_order_at_every_small_parallelism() {
    for (from, to) in (1..=6).flat_map(|from| (1..=6).map(move |to| (from, to))) {
        let metadata = keyed_in_flight(width(from));
        let plan = RestorePlan::new(&metadata, &topology(1, to), false).unwrap();
        let mut all = Vec::new();
        for subtask in Subtask::all(width(to)) {
            let range = KeyGroupRange::of_subtask(MaxParallelism::DEFAULT, subtask);
            let restore = plan.for_subtask(&uid("sink"), subtask);
            let mut turns = std::collections::HashMap::new();
            for handle in &restore.channels {
                let StateHandle::Inline(bytes) = &handle.records else { panic!("inline") };
                let mut rest = &**bytes;
                for length in &handle.record_lengths {
                    let (mut record, tail) = rest.split_at(*length as usize);
                    rest = tail;
                    if restore.in_flight.takes(record) {
                        let head = InFlightHead::decode(&mut record).unwrap();
                        let key = u64::decode_key(&mut record).unwrap();
                        assert!(
                            range.contains(MaxParallelism::DEFAULT.key_group_of(key.key_hash()))
                        );
                        let before = turns.insert(key, head.timestamp_ms).unwrap_or(0);
                        assert_eq!(before + 1, head.timestamp_ms, "the order of key {key}");
                        all.push((key, head.timestamp_ms));
                    }
                }
            }
        }
        all.sort_unstable();
        let expected: Vec<_> = (0..100).flat_map(|key| [(key, 1), (key, 2)]).collect();
        assert_eq!(all, expected, "from {from} to {to}");
    }
}

#[test]
fn a_record_that_cannot_be_read_is_nobodys_to_lose_and_queued_output_is_refused() {
    let range = KeyGroupRange::new(KeyGroup::new(0), KeyGroup::new(0)).unwrap();
    let selection =
        InFlightSelection::KeyGroups { max_parallelism: MaxParallelism::DEFAULT, range };
    assert!(selection.takes(&[]) && selection.takes(&[9, 9]));
    let mut metadata = keyed_in_flight(width(2));
    metadata.operators[0].subtasks[1].1.channels[0].kind = ChannelKind::Output;
    let error = RestorePlan::new(&metadata, &topology(1, 2), false).unwrap_err();
    assert!(matches!(error, RestoreError::QueuedOutput { .. }), "{error}");
}

#[test]
fn a_subtask_has_finished_when_all_had_or_the_same_one_had() {
    let finished = SubtaskState { finished: true, ..SubtaskState::default() };
    let running = state(&one(1)[0]);
    let restored = |states, parallelism| -> Vec<bool> {
        let plan = RestorePlan::new(&metadata(states), &topology(1, parallelism), false).unwrap();
        let subtasks = Subtask::all(width(parallelism));
        subtasks.map(|subtask| plan.for_subtask(&uid("sink"), subtask).finished).collect()
    };
    assert_eq!(restored(vec![finished.clone(), running.clone()], 2), [true, false]);
    assert_eq!(restored(vec![finished.clone(), running], 3), [false; 3]);
    assert_eq!(restored(vec![finished.clone(), finished], 3), [true; 3]);
}
