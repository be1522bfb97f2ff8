//! Entries of keyed sections and of timers, as they are written, read and merged.
//!
//! Invariants: all bytes are borrowed, nothing is copied; the order of entries is that of
//! [`KeyedEntry::cmp_place`] and [`TimerEntry::cmp_place`], and a segment is sorted by it.

use std::cmp::Ordering;

use tidegate_types::{KeyGroup, KeyHash, MaxParallelism};

/// What happened to a key, or to one entry of its map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change<'a> {
    /// The key has this value. Not in sections of map state.
    Put(&'a [u8]),
    /// The key is gone. In map state: all entries of the key in older segments are gone; entries
    /// of the same segment follow and count.
    Delete,
    /// The key's map has this entry. Only in sections of map state.
    PutEntry {
        /// The canonical bytes of the map's key.
        map_key: &'a [u8],
        /// The entry's value.
        value: &'a [u8],
    },
    /// The key's map has no such entry any more. Only in sections of map state.
    DeleteEntry {
        /// The canonical bytes of the map's key.
        map_key: &'a [u8],
    },
}

impl<'a> Change<'a> {
    /// The key within the map, for the changes that have one.
    #[must_use]
    pub fn map_key(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Put(_) | Self::Delete => None,
            Self::PutEntry { map_key, .. } | Self::DeleteEntry { map_key } => Some(map_key),
        }
    }

    /// The value, for the changes that have one.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Put(value) | Self::PutEntry { value, .. } => Some(value),
            Self::Delete | Self::DeleteEntry { .. } => None,
        }
    }

    /// Whether it hides something of older segments without putting anything in its place.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.value().is_none()
    }
}

/// One change of keyed state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyedEntry<'a> {
    /// The hash of `key`: always [`KeyHash::of_bytes`] of it, so that it need not be stored.
    pub hash: KeyHash,
    /// The canonical bytes of the key.
    pub key: &'a [u8],
    /// What happened.
    pub change: Change<'a>,
}

impl KeyedEntry<'_> {
    /// The order of a segment: hash (and therefore key group), key, then `Put` or `Delete`, then
    /// the entries of the key's map by their map keys. Bytes compare lexicographically.
    #[must_use]
    pub fn cmp_place(&self, other: &Self) -> Ordering {
        self.cmp_key(other).then_with(|| self.change.map_key().cmp(&other.change.map_key()))
    }

    /// The order of hash and key alone.
    #[must_use]
    pub fn cmp_key(&self, other: &Self) -> Ordering {
        self.hash.cmp(&other.hash).then_with(|| self.key.cmp(other.key))
    }
}

/// One change of an operator's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerEntry<'a> {
    /// The time in milliseconds.
    pub time_ms: i64,
    /// The hash of `key`, as in [`KeyedEntry`].
    pub hash: KeyHash,
    /// The canonical bytes of the key.
    pub key: &'a [u8],
    /// Whether the timer was deleted, or fired: it hides the one of older segments.
    pub is_tombstone: bool,
}

impl TimerEntry<'_> {
    /// The key group of the timer's key.
    #[must_use]
    pub fn key_group(&self, max: MaxParallelism) -> KeyGroup {
        max.key_group_of(self.hash)
    }

    /// The order within a key group: time, then key.
    #[must_use]
    pub fn cmp_place(&self, other: &Self) -> Ordering {
        self.time_ms.cmp(&other.time_ms).then_with(|| self.key.cmp(other.key))
    }
}

/// What a segment says of a key, of an entry of its map, or of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lookup<'a> {
    /// It has this value. Timers have no bytes.
    Found(&'a [u8]),
    /// It is gone: do not look into older segments.
    Tombstone,
    /// Nothing: look into the next older segment.
    Absent,
}

impl<'a> Lookup<'a> {
    /// The value, when there is one.
    #[must_use]
    pub fn found(self) -> Option<&'a [u8]> {
        match self {
            Self::Found(value) => Some(value),
            Self::Tombstone | Self::Absent => None,
        }
    }
}
