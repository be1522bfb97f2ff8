//! Reading keyed state in the canonical form: bytes from outside, checked before they are used.
//!
//! Invariants of an open reader: every block lies between head and index, and blocks follow each
//! other without gap or overlap, ascending by key group and state, none of them empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidegate_meta::MetadataError;
use tidegate_meta::frame::{self, FrameKind, HEADER_LENGTH};
use tidegate_store::StorageError;
use tidegate_types::{
    KeyGroup, KeyGroupRange, KeyHash, MaxParallelism, OperatorUid, RegisteredState,
};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::cursor::{Cursor, malformed};
use super::layout::{
    BLOCK_LENGTH, Block, CHUNK_HEADER, HEAD_LENGTH_MAX, STATES_MAX, TRAILER, kind_of_tag,
};
use crate::backend::{Entry, KeyedContext, StateTable};
use crate::{StateError, StateSource};

/// Keyed state in the canonical form. Opening it reads what is in front and behind; entries are
/// read when they are asked for, a chunk at a time. Cheap to clone.
#[derive(Clone, Debug)]
pub struct CanonicalReader(Arc<Open>);

#[derive(Debug)]
struct Open {
    operator: OperatorUid,
    max_parallelism: MaxParallelism,
    source: StateSource,
    key_groups: KeyGroupRange,
    states: Vec<RegisteredState>,
    blocks: Vec<Block>,
}

impl CanonicalReader {
    /// Verifies head, index and trailer. `expected` are the key groups that the metadata names.
    pub fn open(
        context: &KeyedContext,
        expected: KeyGroupRange,
        source: StateSource,
    ) -> Result<Self, StateError> {
        let opening = Opening { operator: &context.operator, expected, source: &source };
        let (head, blocks_start) = opening.frame(FrameKind::KeyedState, 0, HEAD_LENGTH_MAX)?;
        let (key_groups, states) = opening.head(&head)?;
        let (index_at, index_end) = opening.index_place(blocks_start)?;
        let most = HEADER_LENGTH + BLOCK_LENGTH * key_groups.count() * states.len();
        let (index, end) = opening.frame(FrameKind::KeyedStateIndex, index_at, most as u64)?;
        if end != index_end {
            return Err(malformed(&context.operator, end, "the trailer", index_end));
        }
        let blocks = opening.blocks(&index, states.len(), blocks_start..index_at)?;
        Ok(Self(Arc::new(Open {
            operator: context.operator.clone(),
            max_parallelism: context.max_parallelism,
            source,
            key_groups,
            states,
            blocks,
        })))
    }

    /// The key groups whose entries it holds.
    #[must_use]
    pub fn key_groups(&self) -> KeyGroupRange {
        self.0.key_groups
    }

    /// The states, in the order of their numbers.
    #[must_use]
    pub fn states(&self) -> &[RegisteredState] {
        &self.0.states
    }

    /// The number of the state with this name.
    #[must_use]
    pub fn state(&self, name: &str) -> Option<usize> {
        self.0.states.iter().position(|state| &*state.name == name)
    }

    /// How many entries a state has in a key group, without reading them.
    #[must_use]
    pub fn count(&self, group: KeyGroup, state: usize) -> u64 {
        self.block(group, state).map_or(0, |block| block.entries)
    }

    /// Shows the entries of one state in one key group, in their order, each chunk verified before
    /// it is looked into. When it fails, entries may have been shown that are not all of them.
    pub fn read(
        &self,
        group: KeyGroup,
        state: usize,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Some(block) = self.block(group, state) else { return Ok(()) };
        let Open { operator, source, .. } = &*self.0;
        let (mut offset, end) = (block.offset, block.offset + block.length);
        let (mut entries, mut headers) = (0_u64, Xxh3::new());
        let (mut last, mut buffer) = (None, Vec::new());
        while offset < end {
            let header = self.bytes(offset, CHUNK_HEADER, &mut buffer)?;
            headers.update(header);
            let mut cursor = Cursor::new(operator, header, offset);
            let (count, length) = (cursor.u32("entries")?, cursor.u32("length of a chunk")?);
            let checksum = cursor.u64("checksum of a chunk")?;
            offset += CHUNK_HEADER as u64;
            // Within the block, so bounded by what the file has before it is allocated.
            if count == 0 || u64::from(length) > end.saturating_sub(offset) {
                return Err(malformed(operator, offset, "a chunk within its block", length.into()));
            }
            let body = source.read(offset, length as usize, &mut buffer)?;
            let found = xxh3_64(body);
            if found != checksum {
                return Err(malformed(operator, offset, "bytes of the chunk's checksum", found));
            }
            let chunk = Chunk { group, count, cursor: Cursor::new(operator, body, offset) };
            self.show(chunk, &mut last, visit)?;
            offset += u64::from(length);
            entries += u64::from(count);
        }
        let found = headers.digest();
        if (found, entries) != (block.checksum, block.entries) {
            return Err(malformed(operator, block.offset, "the chunks of the index", found));
        }
        Ok(())
    }

    /// Fills a table with what a state of this name has in the key groups of both. Nothing happens
    /// if there is no such state.
    pub fn load(
        &self,
        name: &str,
        key_groups: KeyGroupRange,
        table: &mut dyn StateTable,
    ) -> Result<(), StateError> {
        let Some(state) = self.state(name) else { return Ok(()) };
        let groups = self.0.key_groups.intersection(key_groups);
        for group in groups.into_iter().flat_map(KeyGroupRange::iter) {
            self.read(group, state, &mut |entry| table.load(group, entry))?;
        }
        Ok(())
    }

    fn block(&self, group: KeyGroup, state: usize) -> Option<&Block> {
        let place = (group, u16::try_from(state).ok()?);
        let blocks = &self.0.blocks;
        blocks.binary_search_by_key(&place, Block::place).ok().map(|index| &blocks[index])
    }

    fn bytes<'a>(
        &'a self,
        offset: u64,
        length: usize,
        buffer: &'a mut Vec<u8>,
    ) -> Result<&'a [u8], StateError> {
        Ok(self.0.source.read(offset, length, buffer)?)
    }

    /// `last` is the last key of the chunk before, and then of this one.
    fn show(
        &self,
        chunk: Chunk<'_>,
        last: &mut Option<(KeyHash, Vec<u8>)>,
        visit: &mut dyn FnMut(Entry<'_>) -> Result<(), StateError>,
    ) -> Result<(), StateError> {
        let Chunk { group, count: entries, mut cursor } = chunk;
        let mut before = last.as_ref().map(|(hash, key)| (*hash, &key[..]));
        for _ in 0..entries {
            let key = cursor.bytes("key")?;
            let count = cursor.u32("number of items")?;
            let items = cursor.bytes("items")?;
            let hash = KeyHash::of_bytes(key);
            let place = self.0.max_parallelism.key_group_of(hash);
            if place != group {
                return Err(cursor.malformed("keys of the block's key group", place.get().into()));
            }
            if before >= Some((hash, key)) {
                return Err(cursor.malformed("keys that ascend, each once", hash.get()));
            }
            before = Some((hash, key));
            visit(Entry { hash, key, count, items })?;
        }
        if cursor.is_empty() {
            *last = before.map(|(hash, key)| (hash, key.to_vec()));
            return Ok(());
        }
        Err(cursor.malformed("the end of the chunk", entries.into()))
    }
}

/// A chunk whose checksum is right.
struct Chunk<'a> {
    group: KeyGroup,
    /// How many entries it is said to have.
    count: u32,
    cursor: Cursor<'a>,
}

/// Keyed state that is being opened.
struct Opening<'a> {
    operator: &'a OperatorUid,
    expected: KeyGroupRange,
    source: &'a StateSource,
}

impl Opening<'_> {
    /// The payload of a frame at this offset, of at most `limit` bytes, and where the frame ends.
    fn frame(
        &self,
        kind: FrameKind,
        offset: u64,
        limit: u64,
    ) -> Result<(Vec<u8>, u64), StateError> {
        let mut buffer = Vec::new();
        let header = self.source.read(offset, HEADER_LENGTH, &mut buffer);
        let header = header.map_err(|error| self.too_short(error))?;
        let header = header.first_chunk().expect("as long as was asked for");
        let payload = frame::payload_length(kind, header).map_err(|source| self.damaged(source))?;
        let length = payload.saturating_add(HEADER_LENGTH as u64);
        if length > limit {
            return Err(malformed(self.operator, offset, "a frame of bounded length", length));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let bytes = self.source.read(offset, length, &mut buffer);
        let bytes = bytes.map_err(|error| self.too_short(error))?;
        let payload = frame::open(kind, bytes).map_err(|source| self.damaged(source))?;
        Ok((payload.to_vec(), offset + length as u64))
    }

    fn head(&self, head: &[u8]) -> Result<(KeyGroupRange, Vec<RegisteredState>), StateError> {
        let mut cursor = Cursor::new(self.operator, head, HEADER_LENGTH as u64);
        let first = KeyGroup::new(cursor.u16("first key group")?);
        let last = KeyGroup::new(cursor.u16("last key group")?);
        let range = KeyGroupRange::new(first, last).filter(|range| *range == self.expected);
        let key_groups = range.ok_or_else(|| {
            cursor.malformed("the key groups of the metadata", u64::from(last.get()))
        })?;
        let count = cursor.u32("number of states")?;
        if count > STATES_MAX {
            return Err(cursor.malformed("at most 65,536 states", count.into()));
        }
        let mut states: Vec<RegisteredState> = Vec::new();
        let mut names = BTreeSet::new();
        for _ in 0..count {
            let tag = cursor.u8("kind of a state")?;
            let kind = kind_of_tag(tag);
            let kind = kind.ok_or_else(|| cursor.malformed("kind of a state", tag.into()))?;
            let fingerprint = cursor.u64("fingerprint of a state")?;
            let schema_version = cursor.u32("schema version of a state")?;
            let name = cursor.text("name of a state")?;
            if !names.insert(name) {
                return Err(cursor.malformed("names that occur once", states.len() as u64));
            }
            let name = Arc::from(name);
            let types = Arc::from(cursor.text("types of a state")?);
            states.push(RegisteredState { name, kind, fingerprint, schema_version, types });
        }
        if cursor.is_empty() {
            return Ok((key_groups, states));
        }
        Err(cursor.malformed("the end of the head", count.into()))
    }

    /// Where the index begins and ends, by the trailer.
    fn index_place(&self, blocks_start: u64) -> Result<(u64, u64), StateError> {
        let length = self.source.length();
        let end = length.checked_sub(TRAILER as u64).filter(|end| *end >= blocks_start);
        let end =
            end.ok_or_else(|| malformed(self.operator, length, "a trailer of 16 bytes", length))?;
        let mut buffer = Vec::new();
        let trailer = self.source.read(end, TRAILER, &mut buffer)?;
        let mut cursor = Cursor::new(self.operator, trailer, end);
        let (offset, checksum) = (cursor.u64("offset of the index")?, cursor.u64("checksum")?);
        if xxh3_64(&trailer[..8]) != checksum || offset < blocks_start || offset > end {
            return Err(malformed(self.operator, end, "an undamaged trailer", offset));
        }
        Ok((offset, end))
    }

    fn blocks(
        &self,
        index: &[u8],
        states: usize,
        within: std::ops::Range<u64>,
    ) -> Result<Vec<Block>, StateError> {
        let mut cursor = Cursor::new(self.operator, index, within.end + HEADER_LENGTH as u64);
        let mut blocks: Vec<Block> = Vec::with_capacity(index.len() / BLOCK_LENGTH);
        let mut offset = within.start;
        while !cursor.is_empty() {
            let block = Block {
                group: KeyGroup::new(cursor.u16("key group of a block")?),
                state: cursor.u16("state of a block")?,
                offset: cursor.u64("offset of a block")?,
                length: cursor.u64("length of a block")?,
                entries: cursor.u64("entries of a block")?,
                checksum: cursor.u64("checksum of a block")?,
            };
            let ascends = blocks.last().is_none_or(|last| last.place() < block.place());
            let is_known = self.expected.contains(block.group) && usize::from(block.state) < states;
            let is_empty = block.length == 0 || block.entries == 0;
            if !(ascends && is_known && block.offset == offset) || is_empty {
                return Err(cursor.malformed("the next block", block.offset));
            }
            offset = offset.saturating_add(block.length);
            blocks.push(block);
        }
        if offset == within.end {
            return Ok(blocks);
        }
        Err(cursor.malformed("blocks up to the index", offset))
    }

    fn damaged(&self, source: MetadataError) -> StateError {
        StateError::Frame { operator: self.operator.clone(), key_groups: self.expected, source }
    }

    fn too_short(&self, error: StorageError) -> StateError {
        match error {
            StorageError::OutOfBounds { wanted, length, .. } => {
                malformed(self.operator, length, "more bytes", wanted)
            }
            other => other.into(),
        }
    }
}
