//! The numbers and sizes of the canonical form, shared by its writer and its reader.

use tidegate_types::{KeyGroup, StateKind};

/// A chunk is closed when its entries have this many bytes.
pub(super) const CHUNK_LENGTH: usize = 64 << 10;
/// In front of a chunk: u32 entries, u32 length, u64 checksum.
pub(super) const CHUNK_HEADER: usize = 16;
/// At the very end: u64 offset of the index, u64 checksum.
pub(super) const TRAILER: usize = 16;
/// The longest head, in bytes with its frame: room for thousands of states.
pub(super) const HEAD_LENGTH_MAX: u64 = 16 << 20;
/// As many states as their numbers can tell apart.
pub(super) const STATES_MAX: u32 = 1 << 16;
/// A block's line in the index, in bytes.
pub(super) const BLOCK_LENGTH: usize = 36;

/// The kind's number on disk; 0 is never given.
pub(super) fn tag_of_kind(kind: StateKind) -> u8 {
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

/// The kind with this number.
pub(super) fn kind_of_tag(tag: u8) -> Option<StateKind> {
    Some(match tag {
        1 => StateKind::Value,
        2 => StateKind::List,
        3 => StateKind::Map,
        4 => StateKind::Reducing,
        5 => StateKind::Aggregating,
        6 => StateKind::Timer,
        7 => StateKind::OperatorList,
        _ => return None,
    })
}

/// Where the entries of one state in one key group lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) group: KeyGroup,
    /// The state's number: its place in the head.
    pub(super) state: u16,
    /// From the very beginning, in bytes.
    pub(super) offset: u64,
    pub(super) length: u64,
    pub(super) entries: u64,
    /// XXH3-64 of the headers of its chunks, which hold the checksums of what follows them.
    pub(super) checksum: u64,
}

impl Block {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.group.get().to_le_bytes());
        out.extend_from_slice(&self.state.to_le_bytes());
        for field in [self.offset, self.length, self.entries, self.checksum] {
            out.extend_from_slice(&field.to_le_bytes());
        }
    }

    /// In the order of blocks in the file.
    pub(super) fn place(&self) -> (KeyGroup, u16) {
        (self.group, self.state)
    }
}
