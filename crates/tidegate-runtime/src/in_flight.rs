//! Records in flight: between their types and their form in a checkpoint, and back.
//!
//! `docs/format-channel-state.md` is the law of the form. Watermarks are not in it: like those that
//! tasks have seen, they come anew from the sources.

use std::io::Write as _;

use tidegate_align::InputGate;
use tidegate_coordinator::{InFlightHead, InFlightSelection, SubtaskRestore, registered_in_flight};
use tidegate_state::{SnapshotTarget, StateValue};
use tidegate_store::StorageError;
use tidegate_types::{
    ChannelKind, ChannelStateHandle, FileHandle, FileReference, OperatorUid, RegisteredState,
    StateHandle, StateKey,
};

use crate::error::TaskError;
use crate::exchange::BATCH_RECORDS;
use crate::record::{Batch, Keyed, Record};
use crate::task::TaskContext;

/// Channel state of one subtask up to this size lies in the metadata, above it in a file.
const MOST_INLINE: usize = 64 << 10;

/// How the records of an edge are written and read.
pub(crate) struct Codec<T> {
    encode: fn(&Record<T>, &mut Vec<u8>),
    decode: fn(&[u8]) -> Option<Record<T>>,
    registered: fn() -> RegisteredState,
}

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

impl<T: StateValue> Codec<T> {
    /// Of records without a key.
    pub(crate) fn plain() -> Self {
        Self {
            encode: |record, out| {
                InFlightHead { timestamp_ms: record.timestamp, key: None }.encode(out);
                record.value.encode_value(out);
            },
            decode: |mut bytes| {
                let head = InFlightHead::decode(&mut bytes).filter(|head| head.key.is_none())?;
                Some(Record { value: T::decode_value(bytes)?, timestamp: head.timestamp_ms })
            },
            registered: || registered_in_flight(&T::type_name(), T::archived_size(), false),
        }
    }
}

impl<K: StateKey, T: StateValue> Codec<Keyed<K, T>> {
    /// Of records on their way to the owner of their key.
    pub(crate) fn keyed() -> Self {
        Self {
            encode: |record, out| {
                let Keyed { key, hash, value } = &record.value;
                InFlightHead { timestamp_ms: record.timestamp, key: Some(*hash) }.encode(out);
                key.encode_key(out);
                value.encode_value(out);
            },
            decode: |mut bytes| {
                let head = InFlightHead::decode(&mut bytes)?;
                let hash = head.key?;
                let key = K::decode_key(&mut bytes).ok()?;
                let value = Keyed { key, hash, value: T::decode_value(bytes)? };
                Some(Record { value, timestamp: head.timestamp_ms })
            },
            registered: || {
                let types = format!("{} -> {}", K::type_name(), T::type_name());
                registered_in_flight(&types, T::archived_size(), true)
            },
        }
    }
}

/// What a barrier has overtaken, channel by channel.
pub(crate) struct Captured<T> {
    pub(crate) channels: Vec<(usize, Vec<Batch<T>>)>,
    pub(crate) codec: Codec<T>,
    /// No files: what the state backend writes is to be self-contained.
    pub(crate) inline: bool,
}

/// Channel state in the checkpoint.
pub(crate) struct WrittenChannels {
    pub(crate) handles: Vec<ChannelStateHandle>,
    pub(crate) registered: Vec<RegisteredState>,
    pub(crate) length: u64,
}

/// Writes channel state; of the record types no more is known.
pub(crate) type ChannelJob =
    Box<dyn FnOnce(&SnapshotTarget<'_>, &str) -> Result<WrittenChannels, TaskError> + Send>;

impl<T: Send + 'static> Captured<T> {
    /// The job that writes it. `name` is a file name that is this subtask's alone.
    pub(crate) fn into_job(self) -> ChannelJob {
        Box::new(move |target, name| self.write(target, name))
    }

    fn write(self, target: &SnapshotTarget<'_>, name: &str) -> Result<WrittenChannels, TaskError> {
        let encoded = self.channels.iter().map(|(channel, batches)| {
            let (bytes, lengths) = encode(self.codec, batches);
            (*channel, bytes, lengths)
        });
        let encoded: Vec<_> = encoded.filter(|(_, bytes, _)| !bytes.is_empty()).collect();
        let length = encoded.iter().map(|(_, bytes, _)| bytes.len()).sum::<usize>();
        let mut handles = Vec::with_capacity(encoded.len());
        for (channel, bytes, record_lengths) in encoded {
            let records = if self.inline || length <= MOST_INLINE {
                StateHandle::Inline(bytes.into())
            } else {
                StateHandle::File(write_file(target, &format!("{name}-{channel}"), &bytes)?)
            };
            let channel = u16::try_from(channel).expect("a channel for each of 2^15 subtasks");
            let kind = ChannelKind::Input;
            handles.push(ChannelStateHandle { kind, gate: 0, channel, record_lengths, records });
        }
        let registered = (!handles.is_empty()).then(self.codec.registered);
        let registered = registered.into_iter().collect();
        Ok(WrittenChannels { handles, registered, length: length as u64 })
    }
}

fn encode<T>(codec: Codec<T>, batches: &[Batch<T>]) -> (Vec<u8>, Vec<u32>) {
    let (mut bytes, mut lengths) = (Vec::new(), Vec::new());
    for batch in batches {
        let Batch::Records(records) = batch else { continue };
        for record in records {
            let start = bytes.len();
            (codec.encode)(record, &mut bytes);
            let length = u32::try_from(bytes.len() - start).expect("a record is below 4 GiB");
            lengths.push(length);
        }
    }
    (bytes, lengths)
}

fn write_file(
    target: &SnapshotTarget<'_>,
    name: &str,
    bytes: &[u8],
) -> Result<FileHandle, TaskError> {
    let mut writer = target.storage.create(&target.exclusive.join(name)?)?;
    writer.write_all(bytes).map_err(|error| StorageError::from_write(name, error))?;
    let finished = writer.finish()?;
    let reference = FileReference::in_checkpoint(name).expect("a plain name");
    Ok(FileHandle { reference, length: finished.length, digest: finished.digest })
}

/// Hands the gate what was in flight towards this subtask in the restored checkpoint.
pub(crate) fn restore<T: Clone>(
    gate: &mut InputGate<Batch<T>>,
    channels: usize,
    codec: Codec<T>,
    context: &TaskContext,
) -> Result<(), TaskError> {
    let Some(restore) = &context.shared.restore else { return Ok(()) };
    for operator in &context.operators {
        let state = restore.plan.for_subtask(operator, context.subtask);
        check(&state, codec, operator)?;
        for handle in &state.channels {
            let bytes = match &handle.records {
                StateHandle::Inline(bytes) => bytes.to_vec(),
                other => {
                    let file = other.file().expect("inline or a file");
                    let state = operator.as_str().into();
                    let fault = |fault| TaskError::RestoredFile { state, fault };
                    restore.resolver.read(file, file.length).map_err(fault)?
                }
            };
            let mut records = decode(codec, handle, &bytes, state.in_flight)
                .ok_or_else(|| TaskError::InFlightRecord { operator: operator.clone() })?
                .into_iter();
            // The channel only labels them, should they be captured again.
            let channel = usize::from(handle.channel) % channels.max(1);
            while records.len() > 0 {
                let batch = records.by_ref().take(BATCH_RECORDS).collect();
                gate.restore(channel, Batch::Records(batch));
            }
        }
    }
    Ok(())
}

/// Records of another type than the edge's must not be taken for its own.
fn check<T>(
    state: &SubtaskRestore,
    codec: Codec<T>,
    operator: &OperatorUid,
) -> Result<(), TaskError> {
    let job = (codec.registered)();
    let mut known = state.registered.iter().filter(|known| known.name == job.name);
    match known.find(|known| known.fingerprint != job.fingerprint || known.kind != job.kind) {
        Some(known) if !state.channels.is_empty() => Err(TaskError::InFlightType {
            operator: operator.clone(),
            checkpoint: known.types.as_ref().into(),
            job: job.types.as_ref().into(),
        }),
        _ => Ok(()),
    }
}

fn decode<T>(
    codec: Codec<T>,
    handle: &ChannelStateHandle,
    mut bytes: &[u8],
    selection: InFlightSelection,
) -> Option<Vec<Record<T>>> {
    let mut records = Vec::new();
    for length in &handle.record_lengths {
        let (record, rest) = bytes.split_at_checked(usize::try_from(*length).ok()?)?;
        bytes = rest;
        if selection.takes(record) {
            records.push((codec.decode)(record)?);
        }
    }
    bytes.is_empty().then_some(records)
}
