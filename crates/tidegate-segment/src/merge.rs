//! Merging sorted streams of entries: the newest wins.

use crate::{KeyedEntry, SegmentError, TimerEntry};

/// What becomes of tombstones in a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tombstones {
    /// Older segments than the merged ones exist: tombstones go on hiding what they have.
    Keep,
    /// The oldest segment is among the merged ones: tombstones have done their work.
    Drop,
}

/// Merges streams of keyed entries, the newest first, into one that has the newest of everything.
///
/// Each stream is sorted by [`KeyedEntry::cmp_place`]; so is the result. A stream may come from a
/// segment ([`Segment::entries`](crate::Segment::entries),
/// [`Segment::entries_of_key`](crate::Segment::entries_of_key)) or from anywhere, such as an overlay.
#[derive(Debug)]
pub struct MergedEntries<I> {
    streams: Vec<I>,
}

impl<'a, I: Iterator<Item = Result<KeyedEntry<'a>, SegmentError>>> MergedEntries<I> {
    /// Merges the streams, newest first.
    pub fn new(newest_first: impl IntoIterator<Item = I>, tombstones: Tombstones) -> Self {
        let _ = tombstones;
        Self { streams: newest_first.into_iter().collect() }
    }
}

impl<'a, I: Iterator<Item = Result<KeyedEntry<'a>, SegmentError>>> Iterator for MergedEntries<I> {
    type Item = Result<KeyedEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = &self.streams;
        unimplemented!()
    }
}

/// Merges streams of timers of one key group, the newest first, likewise.
#[derive(Debug)]
pub struct MergedTimers<I> {
    streams: Vec<I>,
}

impl<'a, I: Iterator<Item = Result<TimerEntry<'a>, SegmentError>>> MergedTimers<I> {
    /// Merges the streams, newest first.
    pub fn new(newest_first: impl IntoIterator<Item = I>, tombstones: Tombstones) -> Self {
        let _ = tombstones;
        Self { streams: newest_first.into_iter().collect() }
    }
}

impl<'a, I: Iterator<Item = Result<TimerEntry<'a>, SegmentError>>> Iterator for MergedTimers<I> {
    type Item = Result<TimerEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let _ = &self.streams;
        unimplemented!()
    }
}
