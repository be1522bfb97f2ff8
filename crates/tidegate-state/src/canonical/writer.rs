//! Writing keyed state in the canonical form.

use tidegate_meta::frame::{FrameKind, HEADER_LENGTH, seal_in_place};
use tidegate_types::{KeyGroup, KeyGroupRange, StateKind};
use xxhash_rust::xxh3::xxh3_64;

use crate::backend::{Entry, FrozenTable};
use crate::{CancelToken, StateError};

/// A state to write: its name, kind, and frozen entries.
pub(crate) struct NamedTable<'a> {
    pub(crate) name: &'a str,
    pub(crate) kind: StateKind,
    pub(crate) table: &'a dyn FrozenTable,
}

/// The kind's number on disk; 0 is never given.
pub(crate) fn tag_of_kind(kind: StateKind) -> u8 {
    match kind {
        StateKind::Value => 1,
        StateKind::List => 2,
        StateKind::Map => 3,
        StateKind::Reducing => 4,
        StateKind::Aggregating => 5,
        StateKind::Timer => 6,
        StateKind::OperatorList => 7,
        _ => unreachable!("{kind} has a tag"),
    }
}

/// A frame with all states of a range of key groups, and the size of each state in it.
///
/// The frame is whole unless a size is above `cap`. Such a state is measured to its end but not
/// kept, so that refusing it does not take the memory that accepting it would.
pub(crate) fn encode(
    range: KeyGroupRange,
    states: &[NamedTable<'_>],
    cap: u64,
    cancel: &CancelToken,
) -> Result<(Vec<u8>, Vec<u64>), StateError> {
    let mut sizes = vec![0; states.len()];
    let mut bytes = vec![0; HEADER_LENGTH];
    bytes.extend_from_slice(&range.first().get().to_le_bytes());
    bytes.extend_from_slice(&range.last().get().to_le_bytes());
    length(&mut bytes, states.len());
    for state in states {
        bytes.push(tag_of_kind(state.kind));
        length(&mut bytes, state.name.len());
        bytes.extend_from_slice(state.name.as_bytes());
    }
    let directory = bytes.len();
    bytes.resize(directory + 24 * range.count(), 0);
    for (index, group) in range.iter().enumerate() {
        cancel.check()?;
        let start = bytes.len();
        section(&mut bytes, group, states, (&mut sizes, cap));
        let at = directory + 24 * index;
        let checksum = xxh3_64(&bytes[start..]);
        let length = (bytes.len() - start) as u64;
        let offset = (start - HEADER_LENGTH) as u64;
        for (field, value) in [offset, length, checksum].into_iter().enumerate() {
            bytes[at + 8 * field..at + 8 * field + 8].copy_from_slice(&value.to_le_bytes());
        }
    }
    seal_in_place(FrameKind::KeyedState, &mut bytes);
    Ok((bytes, sizes))
}

fn section(
    bytes: &mut Vec<u8>,
    group: KeyGroup,
    states: &[NamedTable<'_>],
    (sizes, cap): (&mut [u64], u64),
) {
    for (state, size) in states.iter().zip(sizes) {
        let start = bytes.len();
        bytes.extend_from_slice(&[0; 4]);
        let mut count = 0_u32;
        state.table.entries(group, &mut |entry| {
            count = count.checked_add(1).expect("fewer than 2^32 keys in a key group");
            write_entry(bytes, entry);
        });
        bytes[start..start + 4].copy_from_slice(&count.to_le_bytes());
        *size += (bytes.len() - start - 4) as u64;
        if *size > cap {
            bytes.truncate(start + 4);
        }
    }
}

fn write_entry(bytes: &mut Vec<u8>, entry: Entry<'_>) {
    length(bytes, entry.key.len());
    bytes.extend_from_slice(entry.key);
    bytes.extend_from_slice(&entry.count.to_le_bytes());
    length(bytes, entry.items.len());
    bytes.extend_from_slice(entry.items);
}

/// # Panics
///
/// When it is 2^32 or more.
fn length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("what is under one key is shorter than 4 GiB");
    bytes.extend_from_slice(&length.to_le_bytes());
}
