//! Writing keyed state in the canonical form, as a stream.
//!
//! Invariants: blocks ascend by key group and state and follow each other without a gap; what is
//! not yet written is less than a chunk and one entry.

use std::io;

use tidegate_meta::frame::{FrameKind, seal};
use tidegate_store::StorageError;
use tidegate_types::{KeyGroup, KeyGroupRange, RegisteredState};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::layout::{Block, CHUNK_HEADER, CHUNK_LENGTH, STATES_MAX, tag_of_kind};
use crate::backend::{Entry, FrozenTable};
use crate::{CancelToken, StateError};

/// Writes the canonical form of keyed state to anything that takes bytes.
///
/// ```
/// use tidegate_state::{CancelToken, CanonicalWriter, Entry, FrozenTable, StateError};
/// use tidegate_types::*;
///
/// /// A table of one entry, as a backend has it at the instant of a snapshot.
/// struct Table(KeyHash);
///
/// impl FrozenTable for Table {
///     fn entries(
///         &self,
///         group: KeyGroup,
///         visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
///     ) -> Result<(), StateError> {
///         if MaxParallelism::DEFAULT.key_group_of(self.0) != group {
///             return Ok(());
///         }
///         visit(Entry { hash: self.0, key: b"ebb", count: 1, items: &[1, 0, 0, 0, 7] })
///     }
/// }
///
/// let key_groups = KeyGroupRange::of_subtask(
///     MaxParallelism::DEFAULT,
///     Subtask::new(0, Parallelism::ONE),
/// );
/// let state = RegisteredState {
///     name: "level".into(),
///     kind: StateKind::Value,
///     fingerprint: 1,
///     schema_version: 0,
///     types: "String -> u8".into(),
/// };
/// let mut writer = CanonicalWriter::new(Vec::new(), key_groups, &[state])?;
/// let table = Table(KeyHash::of_bytes(b"ebb"));
/// for group in key_groups.iter() {
///     writer.write(group, 0, &table, &CancelToken::new())?;
/// }
/// let bytes = writer.finish()?;
/// # assert!(!bytes.is_empty());
/// # Ok::<(), StateError>(())
/// ```
pub struct CanonicalWriter<W> {
    out: W,
    offset: u64,
    key_groups: KeyGroupRange,
    states: usize,
    last: Option<(KeyGroup, u16)>,
    chunk: Vec<u8>,
    index: Vec<u8>,
}

/// The chunks of a block so far.
struct OpenBlock {
    entries_in_chunk: u32,
    entries: u64,
    length: u64,
    chunk_headers: Xxh3,
}

impl<W: io::Write> CanonicalWriter<W> {
    /// Begins with the head. A state's number from now on is its place in `states`.
    ///
    /// # Panics
    ///
    /// With more than 65,536 states.
    pub fn new(
        out: W,
        key_groups: KeyGroupRange,
        states: &[RegisteredState],
    ) -> Result<Self, StateError> {
        let count = u32::try_from(states.len()).ok().filter(|count| *count <= STATES_MAX);
        let mut head = Vec::new();
        head.extend_from_slice(&key_groups.first().get().to_le_bytes());
        head.extend_from_slice(&key_groups.last().get().to_le_bytes());
        head.extend_from_slice(&count.expect("at most 65,536 states").to_le_bytes());
        for state in states {
            head.push(tag_of_kind(state.kind));
            head.extend_from_slice(&state.fingerprint.to_le_bytes());
            head.extend_from_slice(&state.schema_version.to_le_bytes());
            with_length(&mut head, state.name.as_bytes());
            with_length(&mut head, state.types.as_bytes());
        }
        let mut writer = Self {
            out,
            offset: 0,
            key_groups,
            states: states.len(),
            last: None,
            chunk: vec![0; CHUNK_HEADER],
            index: Vec::new(),
        };
        writer.put(&seal(FrameKind::KeyedState, &head))?;
        Ok(writer)
    }

    /// Writes the entries of one state in one key group; returns their length in bytes. Parts come
    /// in ascending order of key group, then state. One without entries may be left out.
    ///
    /// # Panics
    ///
    /// When the part is out of order, or not of these key groups and states.
    pub fn write(
        &mut self,
        group: KeyGroup,
        state: usize,
        table: &dyn FrozenTable,
        cancel: &CancelToken,
    ) -> Result<u64, StateError> {
        let number = u16::try_from(state).expect("at most 65,536 states");
        let place = (group, number);
        assert!(self.key_groups.contains(group) && state < self.states, "{place:?} is not ours");
        assert!(self.last < Some(place), "{place:?} comes after {:?}", self.last);
        self.last = Some(place);
        cancel.check()?;
        let offset = self.offset;
        let mut block =
            OpenBlock { entries_in_chunk: 0, entries: 0, length: 0, chunk_headers: Xxh3::new() };
        table.entries(group, &mut |entry| {
            push_entry(&mut self.chunk, entry);
            block.entries_in_chunk += 1;
            if self.chunk.len() >= CHUNK_HEADER + CHUNK_LENGTH {
                cancel.check()?;
                self.close_chunk(&mut block)?;
            }
            Ok(())
        })?;
        self.close_chunk(&mut block)?;
        if block.entries > 0 {
            let (length, entries) = (self.offset - offset, block.entries);
            let checksum = block.chunk_headers.digest();
            Block { group, state: number, offset, length, entries, checksum }
                .encode(&mut self.index);
        }
        Ok(block.length)
    }

    /// Ends with index and trailer.
    pub fn finish(mut self) -> Result<W, StateError> {
        let offset = self.offset.to_le_bytes();
        let index = seal(FrameKind::KeyedStateIndex, &self.index);
        self.put(&index)?;
        self.put(&offset)?;
        self.put(&xxh3_64(&offset).to_le_bytes())?;
        Ok(self.out)
    }

    /// Where it all goes.
    pub(crate) fn out_mut(&mut self) -> &mut W {
        &mut self.out
    }

    fn close_chunk(&mut self, block: &mut OpenBlock) -> Result<(), StateError> {
        if block.entries_in_chunk == 0 {
            return Ok(());
        }
        let (header, body) = self.chunk.split_at_mut(CHUNK_HEADER);
        let length = u32::try_from(body.len()).expect("one entry is shorter than 4 GiB");
        header[..4].copy_from_slice(&block.entries_in_chunk.to_le_bytes());
        header[4..8].copy_from_slice(&length.to_le_bytes());
        header[8..].copy_from_slice(&xxh3_64(body).to_le_bytes());
        block.chunk_headers.update(header);
        block.entries += u64::from(block.entries_in_chunk);
        block.length += u64::from(length);
        block.entries_in_chunk = 0;
        self.out.write_all(&self.chunk).map_err(failed)?;
        self.offset += self.chunk.len() as u64;
        self.chunk.truncate(CHUNK_HEADER);
        // A giant of an entry shall not cost its memory until the end.
        self.chunk.shrink_to(2 * CHUNK_LENGTH);
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), StateError> {
        self.out.write_all(bytes).map_err(failed)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }
}

impl<W> std::fmt::Debug for CanonicalWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CanonicalWriter")
            .field("key_groups", &self.key_groups)
            .field("offset", &self.offset)
            .finish_non_exhaustive()
    }
}

// A store's writer says itself which file it is.
fn failed(error: io::Error) -> StateError {
    StorageError::from_write("keyed state", error).into()
}

fn push_entry(chunk: &mut Vec<u8>, entry: Entry<'_>) {
    with_length(chunk, entry.key);
    chunk.extend_from_slice(&entry.count.to_le_bytes());
    with_length(chunk, entry.items);
}

/// # Panics
///
/// When there are 2^32 bytes or more.
fn with_length(out: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("what is under one key is shorter than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(bytes);
}
