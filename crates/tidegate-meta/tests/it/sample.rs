//! A small checkpoint in which every field and every tag that a checkpoint may have occurs.

use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::*;

pub(crate) fn metadata() -> CheckpointMetadata {
    CheckpointMetadata {
        job_id: JobId::from_bytes(std::array::from_fn(|index| index as u8)),
        job_name: "tides".to_owned(),
        checkpoint: CheckpointId::new(42).unwrap(),
        attempt: AttemptId::new(3),
        kind: SnapshotKind::Checkpoint,
        created_at_ms: 951_782_400_123,
        operators: vec![source(), counter()],
    }
}

fn source() -> OperatorState {
    let splits = ListStateHandle {
        name: "splits".into(),
        distribution: Distribution::Split,
        item_lengths: vec![2, 3],
        items: inline(b"a:bcd"),
    };
    let state = SubtaskState { lists: vec![splits], finished: true, ..SubtaskState::default() };
    OperatorState {
        uid: OperatorUid::new("read gauges").unwrap(),
        parallelism: Parallelism::ONE,
        max_parallelism: MaxParallelism::DEFAULT,
        registered: Vec::new(),
        subtasks: vec![(0, state)],
    }
}

fn counter() -> OperatorState {
    let levels = RegisteredState {
        name: "levels".into(),
        kind: StateKind::Map,
        fingerprint: 0x0123_4567_89AB_CDEF,
        schema_version: 2,
        types: "String -> u64".into(),
    };
    let first = SubtaskState {
        keyed: vec![keyed(BackendKind::Canonical, 0, 63, inline(b"keyed state"), Vec::new())],
        ..SubtaskState::default()
    };
    let exclusive = file(FileReference::in_checkpoint("count-1").unwrap(), b"manifest");
    let shared = SharedFile {
        name: "7.segment".into(),
        file: file(FileReference::in_job("shared/7.segment").unwrap(), b"segment"),
    };
    let in_flight = ChannelStateHandle {
        kind: ChannelKind::Input,
        gate: 0,
        channel: 1,
        record_lengths: vec![4],
        records: StateHandle::File(file(
            FileReference::absolute("hdfs://name/checkpoints/in-flight").unwrap(),
            b"wave",
        )),
    };
    let second = SubtaskState {
        keyed: vec![keyed(BackendKind::Fs, 64, 127, StateHandle::File(exclusive), vec![shared])],
        channels: vec![in_flight],
        ..SubtaskState::default()
    };
    OperatorState {
        uid: OperatorUid::new("count").unwrap(),
        parallelism: Parallelism::new(3).unwrap(),
        max_parallelism: MaxParallelism::DEFAULT,
        registered: vec![levels],
        subtasks: vec![(0, first), (2, second)],
    }
}

fn inline(bytes: &[u8]) -> StateHandle {
    StateHandle::Inline(Arc::from(bytes))
}

fn file(reference: FileReference, content: &[u8]) -> FileHandle {
    FileHandle { reference, length: content.len() as u64, digest: Digest::of(content) }
}

fn keyed(
    backend: BackendKind,
    first: u16,
    last: u16,
    manifest: StateHandle,
    shared: Vec<SharedFile>,
) -> KeyedStateHandle {
    let key_groups = KeyGroupRange::new(KeyGroup::new(first), KeyGroup::new(last)).unwrap();
    KeyedStateHandle { backend, key_groups, manifest, shared }
}
