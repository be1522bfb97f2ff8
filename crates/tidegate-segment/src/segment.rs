//! Reading a segment.

use std::path::Path;

use tidegate_types::{KeyGroup, KeyGroupRange, KeyHash, RegisteredState};

use crate::{KeyedEntry, Lookup, Origin, SegmentError, Statistics, TimerEntry};

/// The number of a state within one segment: the position at which it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateNumber(pub(crate) u32);

/// An immutable file of keyed state, shared by any number of threads.
#[derive(Debug)]
pub struct Segment {}

/// Entries of one state in one key group, or of one key, in order.
#[derive(Debug)]
pub struct Entries<'a> {
    segment: &'a Segment,
}

/// Timers of one key group, in order.
#[derive(Debug)]
pub struct Timers<'a> {
    segment: &'a Segment,
}

impl Segment {
    /// Maps a finished segment. The work does not depend on the number of entries: header,
    /// footer and directory are verified, chunks of entries when they are first touched.
    pub fn open(path: &Path) -> Result<Self, SegmentError> {
        let _ = path;
        unimplemented!()
    }

    /// Reads a segment into memory instead of mapping it: for files that others may modify while
    /// they are open, and for file systems without mmap.
    pub fn open_copied(path: &Path) -> Result<Self, SegmentError> {
        let _ = path;
        unimplemented!()
    }

    /// The segment with these bytes; `path` is for messages.
    pub fn from_bytes(path: &Path, bytes: Vec<u8>) -> Result<Self, SegmentError> {
        let _ = (path, bytes);
        unimplemented!()
    }

    /// The path under which it was opened.
    pub fn path(&self) -> &Path {
        unimplemented!()
    }

    /// The file's length in bytes.
    pub fn length(&self) -> u64 {
        unimplemented!()
    }

    /// Who made it, of which keys.
    pub fn origin(&self) -> &Origin {
        unimplemented!()
    }

    /// The states in it.
    pub fn states(&self) -> impl Iterator<Item = (StateNumber, &RegisteredState)> {
        std::iter::empty()
    }

    /// The number of a state, if the segment has it.
    pub fn state(&self, name: &str) -> Option<StateNumber> {
        let _ = name;
        unimplemented!()
    }

    /// How much it has of a state in some key groups.
    pub fn statistics(&self, state: StateNumber, key_groups: KeyGroupRange) -> Statistics {
        let _ = (state, key_groups);
        unimplemented!()
    }

    /// The key groups in which a state has anything, ascending.
    pub fn key_groups(&self, state: StateNumber) -> impl Iterator<Item = KeyGroup> + '_ {
        let _ = state;
        std::iter::empty()
    }

    /// What it says of a key, in a state that is no map. Two cache misses when it is there, mostly
    /// one when it is not. The value lies in the mapping, at any alignment.
    pub fn get(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let _ = (state, hash, key);
        unimplemented!()
    }

    /// What it says of an entry of a key's map. A map deleted as a whole has tombstones for all
    /// entries that were not put afterwards.
    pub fn get_entry(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
        map_key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let _ = (state, hash, key, map_key);
        unimplemented!()
    }

    /// All entries of one key: of a map, `Delete` first if it was deleted, then its entries.
    pub fn entries_of_key(
        &self,
        state: StateNumber,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Entries<'_>, SegmentError> {
        let _ = (state, hash, key);
        unimplemented!()
    }

    /// All entries of a key group, in order. None when it is outside of the segment's.
    pub fn entries(&self, state: StateNumber, group: KeyGroup) -> Entries<'_> {
        let _ = (state, group);
        Entries { segment: self }
    }

    /// Whether there is a timer of this key at this time.
    pub fn timer(
        &self,
        state: StateNumber,
        time_ms: i64,
        hash: KeyHash,
        key: &[u8],
    ) -> Result<Lookup<'_>, SegmentError> {
        let _ = (state, time_ms, hash, key);
        unimplemented!()
    }

    /// The timers of a key group from `from_ms` on, in order.
    pub fn timers(&self, state: StateNumber, group: KeyGroup, from_ms: i64) -> Timers<'_> {
        let _ = (state, group, from_ms);
        Timers { segment: self }
    }

    /// Reads everything that it has of some key groups: checksums, structure, order.
    pub fn verify(&self, key_groups: KeyGroupRange) -> Result<(), SegmentError> {
        let _ = key_groups;
        unimplemented!()
    }

    /// Whether all that was read of the file so far really was in the file.
    ///
    /// Fails with [`SegmentError::Lost`] after somebody truncated the file while it was mapped.
    /// Costs one system call; to be asked before what was read is made durable elsewhere.
    pub fn check_intact(&self) -> Result<(), SegmentError> {
        unimplemented!()
    }
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<KeyedEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = self.segment;
        unimplemented!()
    }
}

impl<'a> Iterator for Timers<'a> {
    type Item = Result<TimerEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = self.segment;
        unimplemented!()
    }
}
