//! From a validated payload to owned values. Every `expect` here is a check of `validate`.

use std::sync::Arc;

use rkyv::rend::unaligned::u32_ule;
use rkyv::vec::ArchivedVec;
use tidegate_types::{
    BackendKind, ChannelKind, ChannelStateHandle, CheckpointId, Digest, Distribution, FileHandle,
    KeyGroup, KeyGroupRange, KeyedStateHandle, ListStateHandle, MaxParallelism, OperatorState,
    OperatorUid, Parallelism, RegisteredState, SharedFile, SnapshotKind, StateHandle, StateKind,
    SubtaskState,
};

use crate::v1::{
    ArchivedChannel, ArchivedHandle, ArchivedKeyed, ArchivedList, ArchivedMetadata,
    ArchivedOperator, ArchivedRegistered, ArchivedShared, ArchivedSubtask,
};
use crate::validate;

const CHECKED: &str = "checked when the view was opened";

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect(CHECKED)
}

pub(crate) fn uid(bytes: &[u8]) -> OperatorUid {
    OperatorUid::new(text(bytes)).expect(CHECKED)
}

pub(crate) fn checkpoint(metadata: &ArchivedMetadata) -> CheckpointId {
    CheckpointId::new(metadata.checkpoint.to_native()).expect(CHECKED)
}

pub(crate) fn snapshot_kind(tag: u8) -> SnapshotKind {
    match tag {
        1 => SnapshotKind::Checkpoint,
        2 => SnapshotKind::Savepoint,
        _ => SnapshotKind::Final,
    }
}

pub(crate) fn parallelism(operator: &ArchivedOperator) -> (Parallelism, MaxParallelism) {
    let parallelism = Parallelism::new(operator.parallelism.to_native()).expect(CHECKED);
    (parallelism, MaxParallelism::new(operator.max_parallelism.to_native()).expect(CHECKED))
}

pub(crate) fn operator(operator: &ArchivedOperator) -> OperatorState {
    let (parallelism, max_parallelism) = parallelism(operator);
    OperatorState {
        uid: uid(&operator.uid),
        parallelism,
        max_parallelism,
        registered: operator.registered.iter().map(registered).collect(),
        subtasks: operator.subtasks.iter().map(|s| (s.index.to_native(), subtask(s))).collect(),
    }
}

pub(crate) fn registered(registered: &ArchivedRegistered) -> RegisteredState {
    RegisteredState {
        name: text(&registered.name).into(),
        kind: match registered.kind {
            1 => StateKind::Value,
            2 => StateKind::List,
            3 => StateKind::Map,
            4 => StateKind::Reducing,
            5 => StateKind::Aggregating,
            6 => StateKind::Timer,
            _ => StateKind::OperatorList,
        },
        fingerprint: registered.fingerprint.to_native(),
        schema_version: registered.schema_version.to_native(),
        types: text(&registered.types).into(),
    }
}

pub(crate) fn subtask(subtask: &ArchivedSubtask) -> SubtaskState {
    SubtaskState {
        keyed: subtask.keyed.iter().map(keyed).collect(),
        lists: subtask.lists.iter().map(list).collect(),
        channels: subtask.channels.iter().map(channel).collect(),
        finished: subtask.progress == 2,
    }
}

fn keyed(keyed: &ArchivedKeyed) -> KeyedStateHandle {
    let first = KeyGroup::new(keyed.first_key_group.to_native());
    let last = KeyGroup::new(keyed.last_key_group.to_native());
    KeyedStateHandle {
        backend: match keyed.backend {
            1 => BackendKind::Canonical,
            2 => BackendKind::Fs,
            _ => BackendKind::RocksDb,
        },
        key_groups: KeyGroupRange::new(first, last).expect(CHECKED),
        manifest: handle(&keyed.manifest),
        shared: keyed.shared.iter().map(shared).collect(),
    }
}

fn shared(shared: &ArchivedShared) -> SharedFile {
    SharedFile { name: text(&shared.name).into(), file: file(&shared.file) }
}

fn list(list: &ArchivedList) -> ListStateHandle {
    ListStateHandle {
        name: text(&list.name).into(),
        distribution: match list.distribution {
            1 => Distribution::Split,
            2 => Distribution::Union,
            _ => Distribution::Broadcast,
        },
        item_lengths: lengths(&list.item_lengths),
        items: handle(&list.items),
    }
}

fn channel(channel: &ArchivedChannel) -> ChannelStateHandle {
    ChannelStateHandle {
        kind: if channel.kind == 1 { ChannelKind::Input } else { ChannelKind::Output },
        gate: channel.gate.to_native(),
        channel: channel.index.to_native(),
        record_lengths: lengths(&channel.record_lengths),
        records: handle(&channel.records),
    }
}

fn lengths(lengths: &ArchivedVec<u32_ule>) -> Vec<u32> {
    lengths.iter().map(|length| length.to_native()).collect()
}

fn handle(handle: &ArchivedHandle) -> StateHandle {
    if handle.place == 1 {
        StateHandle::Inline(Arc::from(handle.content.as_slice()))
    } else {
        StateHandle::File(file(handle))
    }
}

fn file(handle: &ArchivedHandle) -> FileHandle {
    FileHandle {
        reference: validate::reference(handle.place, text(&handle.content)).expect(CHECKED),
        length: handle.length.to_native(),
        digest: Digest::from_bytes(handle.digest),
    }
}
