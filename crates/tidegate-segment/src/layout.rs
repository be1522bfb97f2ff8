//! Numbers of the format that writer and reader share. `docs/format-segment.md` is normative.

use tidegate_types::{KeyHash, MaxParallelism, StateKind};

/// The length of the header and of the footer.
pub(crate) const FRAME: usize = 64;
/// The format version that this release writes and reads.
pub(crate) const VERSION: u16 = 1;
/// Bytes under one checksum.
pub(crate) const CHUNK: usize = 1 << CHUNK_BITS;
pub(crate) const CHUNK_BITS: u32 = 14;
/// Checksums in one page of the table of checksums; each page has a checksum in the directory.
pub(crate) const PAGE_ENTRIES: usize = CHUNK / 8;
/// The length of a long run's record in the index.
pub(crate) const RUN: usize = 48;
/// A map of more entries than this, or of more bytes than the next, has an index of its own.
pub(crate) const SHORT_RUN_ENTRIES: usize = 16;
pub(crate) const SHORT_RUN_BYTES: usize = 64 * 1024;
/// The length of a record in the sparse index of timers, and how many timers it stands for.
pub(crate) const SPARSE: usize = 16;
pub(crate) const SPARSE_INTERVAL: u64 = 32;

/// How entries of a state are laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    Value,
    Map,
    Timers,
}

impl Layout {
    /// `None` for operator state, which no segment has.
    pub(crate) fn of(kind: StateKind) -> Option<Self> {
        match kind {
            StateKind::Value | StateKind::Reducing | StateKind::Aggregating => Some(Self::Value),
            // A list is a map of chunks: an append writes what was appended and no more.
            StateKind::Map | StateKind::List => Some(Self::Map),
            StateKind::Timer => Some(Self::Timers),
            _ => None,
        }
    }
}

/// The kind's number on disk; 0 is never given.
pub(crate) fn tag_of_kind(kind: StateKind) -> Option<u8> {
    match kind {
        StateKind::Value => Some(1),
        StateKind::List => Some(2),
        StateKind::Map => Some(3),
        StateKind::Reducing => Some(4),
        StateKind::Aggregating => Some(5),
        StateKind::Timer => Some(6),
        _ => None,
    }
}

/// The kind with this number.
pub(crate) fn kind_of_tag(tag: u8) -> Option<StateKind> {
    let kinds = [
        StateKind::Value,
        StateKind::List,
        StateKind::Map,
        StateKind::Reducing,
        StateKind::Aggregating,
        StateKind::Timer,
    ];
    kinds.into_iter().find(|kind| tag_of_kind(*kind) == Some(tag))
}

/// The key group of a hash, and the hash's place within the key group as a fraction of 2^64.
#[inline]
pub(crate) fn place(max: MaxParallelism, hash: KeyHash) -> (u16, u64) {
    let product = u128::from(hash.get()) * u128::from(max.get());
    // Below the maximum parallelism, which is below 2^16; the fraction is the low half.
    let group = u16::try_from(product >> 64).unwrap_or(u16::MAX);
    (group, low_half(product))
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is asked for")]
fn low_half(product: u128) -> u64 {
    product as u64
}
