//! Values that no version of ours writes are refused by name.

use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal_in_place};
use tidegate_meta::{
    CheckpointMetadata, MetadataError, MetadataView, OperatorSubtaskState, decode_subtask_states,
    encode, encode_subtask_states,
};
use tidegate_types::{KeyGroup, KeyGroupRange, OperatorUid, StateHandle, SubtaskState};

use crate::sample;

/// The field that is refused in the sample after a change. Encoding is made to skip its own check,
/// which exists in debug builds, by catching its panic.
fn refused(change: impl FnOnce(&mut CheckpointMetadata)) -> String {
    let mut metadata = sample::metadata();
    change(&mut metadata);
    let metadata = std::panic::AssertUnwindSafe(metadata);
    match std::panic::catch_unwind(|| encode(&metadata)) {
        Ok(Ok(bytes)) => match MetadataView::open(&bytes) {
            Err(MetadataError::Value { field, .. }) => field.to_owned(),
            other => panic!("not refused: {other:?}"),
        },
        Ok(Err(error)) => panic!("{error}"),
        Err(panic) => panic.downcast_ref::<String>().unwrap().clone(),
    }
}

#[test]
fn what_contradicts_itself_is_refused_by_name() {
    type Change = fn(&mut CheckpointMetadata);
    let cases: [(&str, Change); 6] = [
        ("operator.uid", |m| m.operators[1].uid = OperatorUid::new("read gauges").unwrap()),
        ("subtask.index", |m| m.operators[0].subtasks[0].0 = 1),
        ("subtask.index", |m| m.operators[1].subtasks.swap(0, 1)),
        ("list.item_lengths", |m| m.operators[0].subtasks[0].1.lists[0].item_lengths[0] = 3),
        ("channel.record_lengths", |m| {
            m.operators[1].subtasks[1].1.channels[0].record_lengths.clear();
        }),
        ("keyed.key_groups", |m| {
            let range = KeyGroupRange::new(KeyGroup::new(64), KeyGroup::new(128)).unwrap();
            m.operators[1].subtasks[1].1.keyed[0].key_groups = range;
        }),
    ];
    for (field, change) in cases {
        let refusal = refused(change);
        assert!(refusal.contains(field), "{field}: {refusal}");
    }
}

// Only the files themselves can tell that it is not so; until then it is shown as it is.
#[test]
fn files_longer_than_anything_are_counted_without_overflow() {
    let mut metadata = sample::metadata();
    for (_, state) in metadata.operators.iter_mut().flat_map(|operator| &mut operator.subtasks) {
        for shared in state.keyed.iter_mut().flat_map(|keyed| &mut keyed.shared) {
            shared.file.length = u64::MAX;
        }
    }
    let bytes = encode(&metadata).unwrap();
    let metadata = MetadataView::open(&bytes).unwrap().to_metadata();
    assert_eq!(metadata.state_length(), u64::MAX);
}

#[test]
fn an_oversized_checkpoint_is_refused_before_it_is_laid_out() {
    let mut metadata = sample::metadata();
    let state: std::sync::Arc<[u8]> = vec![0; 64 << 20].into();
    let subtask = &mut metadata.operators[1].subtasks[0].1;
    let mut keyed = subtask.keyed[0].clone();
    keyed.manifest = StateHandle::Inline(state);
    // The same 64 MiB seventeen times: the arithmetic refuses, nothing is copied.
    subtask.keyed = vec![keyed; 17];
    let error = encode(&metadata).unwrap_err();
    assert!(matches!(error, MetadataError::TooLong { limit, .. } if limit == 1 << 30), "{error}");
}

#[test]
fn the_reserved_index_of_an_acknowledgement_is_checked() {
    let uid = OperatorUid::new("count").unwrap();
    let states =
        [OperatorSubtaskState { uid, registered: Vec::new(), state: SubtaskState::default() }];
    let mut bytes = encode_subtask_states(&states).unwrap();
    assert_eq!(decode_subtask_states(&bytes).unwrap(), states);
    // The uid's 5 bytes, the uid's list and that of the registered states: there it is.
    bytes[HEADER_LENGTH + 5 + 16] = 1;
    seal_in_place(FrameKind::Acknowledgement, &mut bytes);
    let error = decode_subtask_states(&bytes).unwrap_err();
    assert!(matches!(error, MetadataError::Value { field: "subtask.index", .. }), "{error}");
}
