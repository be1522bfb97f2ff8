//! Whatever is written is read back the same.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tidegate_meta::{
    CheckpointMetadata, MetadataView, OperatorSubtaskState, decode_subtask_states, encode,
    encode_subtask_states,
};
use tidegate_types::*;

fn handle() -> impl Strategy<Value = StateHandle> {
    prop_oneof![
        vec(any::<u8>(), 0..40).prop_map(|bytes| StateHandle::Inline(Arc::from(bytes))),
        file().prop_map(StateHandle::File),
    ]
}

fn file() -> impl Strategy<Value = FileHandle> {
    let reference = prop_oneof![
        "[a-z]{1,8}(/[a-z0-9]{1,8}){0,2}".prop_map(|p| FileReference::in_checkpoint(&p).unwrap()),
        "shared/[a-z0-9é]{1,20}".prop_map(|p| FileReference::in_job(&p).unwrap()),
        "s3://[a-z]{1,8}/[a-z]{1,8}".prop_map(|p| FileReference::absolute(&p).unwrap()),
    ];
    (reference, 0..1_u64 << 32, any::<[u8; 16]>()).prop_map(|(reference, length, digest)| {
        FileHandle { reference, length, digest: Digest::from_bytes(digest) }
    })
}

fn list() -> impl Strategy<Value = ListStateHandle> {
    let distribution = prop_oneof![
        Just(Distribution::Split),
        Just(Distribution::Union),
        Just(Distribution::Broadcast)
    ];
    ("[a-z]{1,10}", distribution, vec(vec(any::<u8>(), 0..9), 0..5)).prop_map(
        |(name, distribution, items)| ListStateHandle {
            name: name.into(),
            distribution,
            item_lengths: items.iter().map(|item| item.len() as u32).collect(),
            items: StateHandle::Inline(Arc::from(items.concat())),
        },
    )
}

fn keyed() -> impl Strategy<Value = KeyedStateHandle> {
    let backend = prop_oneof![
        Just(BackendKind::Canonical),
        Just(BackendKind::Fs),
        Just(BackendKind::RocksDb)
    ];
    let shared =
        ("[a-z]{0,9}", file()).prop_map(|(name, file)| SharedFile { name: name.into(), file });
    (backend, 0..128_u16, 0..128_u16, handle(), vec(shared, 0..4)).prop_map(
        |(backend, a, b, manifest, shared)| {
            let (first, last) = (KeyGroup::new(a.min(b)), KeyGroup::new(a.max(b)));
            let key_groups = KeyGroupRange::new(first, last).unwrap();
            KeyedStateHandle { backend, key_groups, manifest, shared }
        },
    )
}

fn subtask() -> impl Strategy<Value = SubtaskState> {
    (vec(keyed(), 0..3), vec(list(), 0..3), any::<bool>()).prop_map(|(keyed, lists, finished)| {
        SubtaskState { keyed, lists, channels: Vec::new(), finished }
    })
}

fn registered() -> impl Strategy<Value = RegisteredState> {
    let kind = prop_oneof![Just(StateKind::Value), Just(StateKind::Timer), Just(StateKind::List)];
    (".{0,12}", kind, any::<u64>(), any::<u32>(), ".{0,12}").prop_map(
        |(name, kind, fingerprint, schema_version, types)| RegisteredState {
            name: name.into(),
            kind,
            fingerprint,
            schema_version,
            types: types.into(),
        },
    )
}

prop_compose! {
    fn operators()(
        states in proptest::collection::btree_map(
            "[a-zé ]{1,12}",
            (vec(registered(), 0..3), proptest::collection::btree_map(0..40_u16, subtask(), 0..4)),
            0..4,
        ),
    ) -> Vec<OperatorState> {
        states.into_iter().map(|(uid, (registered, subtasks))| OperatorState {
            uid: OperatorUid::new(&uid).unwrap(),
            parallelism: Parallelism::new(40).unwrap(),
            max_parallelism: MaxParallelism::DEFAULT,
            registered,
            subtasks: subtasks.into_iter().collect(),
        }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn metadata_round_trips(
        operators in operators(), job_id: [u8; 16], job_name in ".{0,20}", number in 1..=u64::MAX,
        created_at_ms: u64, attempt: u64, kind in 0..3,
    ) {
        let kinds = [SnapshotKind::Checkpoint, SnapshotKind::Savepoint, SnapshotKind::Final];
        let metadata = CheckpointMetadata {
            job_id: JobId::from_bytes(job_id),
            job_name,
            checkpoint: CheckpointId::new(number).unwrap(),
            attempt: AttemptId::new(attempt),
            kind: kinds[kind as usize],
            created_at_ms,
            operators,
        };
        // One byte in front: the payload may lie anywhere.
        let bytes = [&[0][..], &encode(&metadata).unwrap()].concat();
        let view = MetadataView::open(&bytes[1..]).unwrap();
        prop_assert_eq!(view.operator_count(), metadata.operators.len());
        for (operator, expected) in view.operators().zip(&metadata.operators) {
            prop_assert_eq!(operator.uid(), expected.uid.as_str());
            prop_assert!(operator.subtasks().eq(expected.subtasks.iter().cloned()));
        }
        prop_assert_eq!(view.to_metadata(), metadata);
    }

    #[test]
    fn acknowledgements_round_trip(
        states in vec((".{1,9}", vec(registered(), 0..3), subtask()), 0..4),
    ) {
        let states: Vec<_> = states.into_iter().filter_map(|(uid, registered, state)| {
            Some(OperatorSubtaskState { uid: OperatorUid::new(&uid).ok()?, registered, state })
        }).collect();
        let bytes = encode_subtask_states(&states).unwrap();
        prop_assert_eq!(decode_subtask_states(&bytes).unwrap(), states);
    }
}
