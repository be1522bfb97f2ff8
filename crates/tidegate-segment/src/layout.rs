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
/// The length of a bucket's word.
pub(crate) const BUCKET: usize = 8;
/// Low bits of a bucket's word that are an offset; the others are its filter.
pub(crate) const OFFSET_BITS: u32 = 40;
pub(crate) const OFFSET_MASK: u64 = (1 << OFFSET_BITS) - 1;
/// The length of a long run's record in the index.
pub(crate) const RUN: usize = 40;
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

/// `floor(fraction * count / 2^64)`: one of `count` buckets, ascending with the fraction.
#[inline]
pub(crate) fn scale(fraction: u64, count: u32) -> u32 {
    let scaled = (u128::from(fraction) * u128::from(count)) >> 64;
    u32::try_from(scaled).unwrap_or(u32::MAX)
}

/// The filter bits of a hash, at most 3 of the 24 highest. The hash's low bytes choose them: its
/// high ones have chosen the bucket.
#[inline]
pub(crate) fn filter(hash: KeyHash) -> u64 {
    let bytes = hash.get().to_le_bytes();
    let bit = |byte: u8| 1_u64 << (OFFSET_BITS + ((u32::from(byte) * 24) >> 8));
    bit(bytes[0]) | bit(bytes[1]) | bit(bytes[2])
}

/// How a table of slots over a long run is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slots {
    pub(crate) count: u32,
    /// 4 or 8 bytes.
    pub(crate) width: u8,
    /// Low bits that are the offset of an entry in the run; the others are its tag.
    pub(crate) offset_bits: u8,
}

impl Slots {
    /// For so many entries in a run of so many bytes: at most three of four slots are taken.
    pub(crate) fn new(entries: usize, run_length: u64) -> Self {
        let count = u32::try_from(entries + entries / 3 + 1).unwrap_or(u32::MAX);
        let offset_bits = u8::try_from(u64::BITS - run_length.leading_zeros()).unwrap_or(64);
        Self { count, width: if offset_bits <= 28 { 4 } else { 8 }, offset_bits }
    }

    /// The slot where a map key's probing begins.
    #[inline]
    pub(crate) fn first(self, map_hash: u64) -> u32 {
        scale(map_hash, self.count)
    }

    /// A taken slot. Never all ones, as no offset is.
    #[inline]
    pub(crate) fn taken(self, map_hash: u64, offset: u64) -> u64 {
        ((map_hash << self.offset_bits) & self.free()) | offset
    }

    /// A free slot: all ones.
    #[inline]
    pub(crate) fn free(self) -> u64 {
        u64::MAX >> (64 - 8 * u32::from(self.width))
    }

    #[inline]
    pub(crate) fn offset_mask(self) -> u64 {
        (1 << self.offset_bits) - 1
    }
}
