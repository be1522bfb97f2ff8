//! From owned values to a sealed frame.

use rkyv::Serialize;
use rkyv::api::high::{HighSerializer, to_bytes_in};
use rkyv::rancor::Failure;
use rkyv::ser::allocator::ArenaHandle;
use tidegate_types::{
    BackendKind, ChannelKind, ChannelStateHandle, Distribution, FileReference, KeyedStateHandle,
    ListStateHandle, OperatorState, RegisteredState, SharedFile, SnapshotKind, StateHandle,
    StateKind, SubtaskState,
};

use crate::frame::{FrameKind, HEADER_LENGTH, seal_in_place};
use crate::v1::{
    Bytes, Channel, Handle, Keyed, List, Metadata, Operator, Registered, Shared, Subtask,
};
use crate::{CheckpointMetadata, MetadataError, MetadataView};

/// The longest metadata in bytes, frame included: 1 GiB. Half of what the payload's 32-bit
/// offsets can reach.
pub const MAX_LENGTH: u64 = 1 << 30;

/// The metadata file of a checkpoint.
///
/// # Errors
///
/// [`MetadataError::TooLong`] above [`MAX_LENGTH`].
pub fn encode(metadata: &CheckpointMetadata) -> Result<Vec<u8>, MetadataError> {
    let subtasks = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    check_length(subtasks.map(|(_, state)| state))?;
    let wire = Metadata {
        job_id: metadata.job_id.to_bytes(),
        job_name: Bytes(metadata.job_name.as_bytes()),
        checkpoint: metadata.checkpoint.get(),
        attempt: metadata.attempt.get(),
        kind: match metadata.kind {
            SnapshotKind::Checkpoint => 1,
            SnapshotKind::Savepoint => 2,
            SnapshotKind::Final => 3,
        },
        created_at_ms: metadata.created_at_ms,
        operators: metadata.operators.iter().map(operator).collect(),
    };
    let bytes = frame(FrameKind::Metadata, &wire)?;
    debug_assert_eq!(MetadataView::open(&bytes).err(), None, "what is written can be read");
    Ok(bytes)
}

/// Lays out the payload behind room for the header, then fills in the header.
pub(crate) fn frame(
    kind: FrameKind,
    payload: &impl for<'a> Serialize<HighSerializer<Vec<u8>, ArenaHandle<'a>, Failure>>,
) -> Result<Vec<u8>, MetadataError> {
    let written = to_bytes_in::<_, Failure>(payload, vec![0; HEADER_LENGTH]);
    let mut bytes = written.expect("writing to memory does not fail");
    let length = bytes.len() as u64;
    if length > MAX_LENGTH {
        return Err(MetadataError::TooLong { length, limit: MAX_LENGTH });
    }
    seal_in_place(kind, &mut bytes);
    Ok(bytes)
}

/// Refuses what is too long before anything is allocated for it.
pub(crate) fn check_length<'a>(
    states: impl Iterator<Item = &'a SubtaskState>,
) -> Result<(), MetadataError> {
    // What a list of lengths or of shared files costs besides the state that it describes.
    let lengths = |lengths: &[u32]| 4 * lengths.len() as u64;
    let inline = |handle: &StateHandle| handle.file().map_or(handle.length(), |_| 0);
    let length = states.fold(HEADER_LENGTH as u64, |sum, state| {
        let keyed = state.keyed.iter().map(|k| inline(&k.manifest) + 41 * k.shared.len() as u64);
        let lists = state.lists.iter().map(|l| inline(&l.items) + lengths(&l.item_lengths));
        let channels =
            state.channels.iter().map(|c| inline(&c.records) + lengths(&c.record_lengths));
        sum + keyed.chain(lists).chain(channels).sum::<u64>()
    });
    if length > MAX_LENGTH {
        return Err(MetadataError::TooLong { length, limit: MAX_LENGTH });
    }
    Ok(())
}

fn operator(operator: &OperatorState) -> Operator<'_> {
    Operator {
        uid: Bytes(operator.uid.as_str().as_bytes()),
        parallelism: operator.parallelism.get(),
        max_parallelism: operator.max_parallelism.get(),
        registered: operator.registered.iter().map(registered).collect(),
        subtasks: operator.subtasks.iter().map(|(index, state)| subtask(*index, state)).collect(),
    }
}

pub(crate) fn registered(registered: &RegisteredState) -> Registered<'_> {
    Registered {
        name: Bytes(registered.name.as_bytes()),
        kind: match registered.kind {
            StateKind::Value => 1,
            StateKind::List => 2,
            StateKind::Map => 3,
            StateKind::Reducing => 4,
            StateKind::Aggregating => 5,
            StateKind::Timer => 6,
            StateKind::OperatorList => 7,
            _ => unreachable!("{} has a tag", registered.kind),
        },
        fingerprint: registered.fingerprint,
        schema_version: registered.schema_version,
        types: Bytes(registered.types.as_bytes()),
    }
}

pub(crate) fn subtask(index: u16, state: &SubtaskState) -> Subtask<'_> {
    Subtask {
        index,
        progress: if state.finished { 2 } else { 1 },
        keyed: state.keyed.iter().map(keyed).collect(),
        lists: state.lists.iter().map(list).collect(),
        channels: state.channels.iter().map(channel).collect(),
    }
}

fn keyed(keyed: &KeyedStateHandle) -> Keyed<'_> {
    Keyed {
        backend: match keyed.backend {
            BackendKind::Canonical => 1,
            BackendKind::Fs => 2,
            BackendKind::RocksDb => 3,
            _ => unreachable!("{} has a tag", keyed.backend),
        },
        first_key_group: keyed.key_groups.first().get(),
        last_key_group: keyed.key_groups.last().get(),
        manifest: handle(&keyed.manifest),
        shared: keyed.shared.iter().map(shared).collect(),
    }
}

fn shared(shared: &SharedFile) -> Shared<'_> {
    Shared { name: Bytes(shared.name.as_bytes()), file: file(&shared.file) }
}

fn list(list: &ListStateHandle) -> List<'_> {
    List {
        name: Bytes(list.name.as_bytes()),
        distribution: match list.distribution {
            Distribution::Split => 1,
            Distribution::Union => 2,
            Distribution::Broadcast => 3,
            _ => unreachable!("{} has a tag", list.distribution),
        },
        item_lengths: list.item_lengths.clone(),
        items: handle(&list.items),
    }
}

fn channel(channel: &ChannelStateHandle) -> Channel<'_> {
    Channel {
        kind: match channel.kind {
            ChannelKind::Input => 1,
            ChannelKind::Output => 2,
            _ => unreachable!("{:?} has a tag", channel.kind),
        },
        gate: channel.gate,
        index: channel.channel,
        record_lengths: channel.record_lengths.clone(),
        records: handle(&channel.records),
    }
}

fn handle(handle: &StateHandle) -> Handle<'_> {
    match handle {
        StateHandle::Inline(bytes) => Handle {
            place: 1,
            content: Bytes(bytes),
            length: bytes.len() as u64,
            digest: handle.digest().to_bytes(),
        },
        StateHandle::File(handle) => file(handle),
        _ => unreachable!("{handle:?} has a tag"),
    }
}

fn file(file: &tidegate_types::FileHandle) -> Handle<'_> {
    Handle {
        place: match file.reference {
            FileReference::InCheckpoint(_) => 2,
            FileReference::InJob(_) => 3,
            FileReference::Absolute(_) => 4,
            _ => unreachable!("{:?} has a tag", file.reference),
        },
        content: Bytes(file.reference.as_str().as_bytes()),
        length: file.length,
        digest: file.digest.to_bytes(),
    }
}
