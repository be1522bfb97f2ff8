//! Merging sorted streams of entries: the newest wins.
//!
//! Invariants: what comes out ascends, if what goes in does; of each place it has the newest
//! change; one entry of each stream is held at a time, whatever their lengths.

use std::cmp::Ordering;

use crate::{Change, KeyedEntry, SegmentError, TimerEntry};

/// What becomes of tombstones in a merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Tombstones {
    /// Older segments than the merged ones exist: tombstones go on hiding what they have.
    Keep,
    /// The oldest segment is among the merged ones: tombstones have done their work.
    Drop,
}

/// Streams with the first entry of each.
#[derive(Debug)]
struct Heads<I, E> {
    streams: Vec<I>,
    heads: Vec<Option<E>>,
}

impl<E, I: Iterator<Item = Result<E, SegmentError>>> Heads<I, E> {
    fn new(newest_first: impl IntoIterator<Item = I>) -> Self {
        Self { streams: newest_first.into_iter().collect(), heads: Vec::new() }
    }

    /// Reads the first entries, once.
    fn fill(&mut self) -> Result<(), SegmentError> {
        while self.heads.len() < self.streams.len() {
            let head = self.streams[self.heads.len()].next().transpose()?;
            self.heads.push(head);
        }
        Ok(())
    }

    /// Takes the first entry of a stream.
    fn advance(&mut self, stream: usize) -> Result<(), SegmentError> {
        self.heads[stream] = self.streams[stream].next().transpose()?;
        Ok(())
    }

    fn stop(&mut self) {
        self.streams.clear();
        self.heads.clear();
    }
}

/// Merges streams of keyed entries, the newest first, into one that has the newest of everything.
///
/// Each stream is sorted by [`KeyedEntry::cmp_place`]; so is the result. A stream may come from a
/// segment ([`Segment::entries`](crate::Segment::entries),
/// [`Segment::entries_of_key`](crate::Segment::entries_of_key)) or from anywhere, such as an
/// overlay. Ends after the first error.
#[derive(Debug)]
pub struct MergedEntries<'a, I> {
    heads: Heads<I, KeyedEntry<'a>>,
    tombstones: Tombstones,
    current: Option<Current<'a>>,
}

/// The key whose changes are being merged.
#[derive(Clone, Copy, Debug)]
struct Current<'a> {
    entry: KeyedEntry<'a>,
    /// Streams from this one on are older than a put or deletion of the whole key.
    hidden_from: usize,
    /// There is such a deletion: it hides entries of the map as well as a tombstone does.
    is_deleted: bool,
}

impl<'a, I: Iterator<Item = Result<KeyedEntry<'a>, SegmentError>>> MergedEntries<'a, I> {
    /// Merges the streams, newest first.
    pub fn new(newest_first: impl IntoIterator<Item = I>, tombstones: Tombstones) -> Self {
        Self { heads: Heads::new(newest_first), tombstones, current: None }
    }

    fn advance(&mut self) -> Result<Option<KeyedEntry<'a>>, SegmentError> {
        self.heads.fill()?;
        loop {
            let Some(current) = self.current else {
                match self.next_key() {
                    None => return Ok(None),
                    Some(stream) => {
                        if let Some(entry) = self.enter_key(stream)? {
                            return Ok(Some(entry));
                        }
                    }
                }
                continue;
            };
            match self.next_of_map(&current)? {
                Some(entry) if !entry.change.is_tombstone() => return Ok(Some(entry)),
                Some(entry) if self.tombstones == Tombstones::Keep && !current.is_deleted => {
                    return Ok(Some(entry));
                }
                Some(_) => {}
                None => self.leave_key(&current)?,
            }
        }
    }

    /// A stream that begins with the least key.
    fn next_key(&self) -> Option<usize> {
        let mut least: Option<(usize, &KeyedEntry<'_>)> = None;
        for (stream, head) in self.heads.heads.iter().enumerate() {
            let Some(head) = head else { continue };
            if least.is_none_or(|(_, least)| head.cmp_key(least) == Ordering::Less) {
                least = Some((stream, head));
            }
        }
        least.map(|(stream, _)| stream)
    }

    /// Goes to the key that a stream begins with; the change of the key as a whole, if any.
    fn enter_key(&mut self, stream: usize) -> Result<Option<KeyedEntry<'a>>, SegmentError> {
        let entry = self.heads.heads[stream].expect("the stream begins with the least key");
        let count = self.heads.heads.len();
        let mut current = Current { entry, hidden_from: count, is_deleted: false };
        let mut whole = None;
        for stream in stream..count {
            let Some(head) = self.heads.heads[stream] else { continue };
            if head.cmp_key(&entry).is_eq() && head.change.map_key().is_none() {
                current.hidden_from = stream + 1;
                current.is_deleted = head.change == Change::Delete;
                whole = Some(head);
                self.heads.advance(stream)?;
                break;
            }
        }
        self.current = Some(current);
        let drops = self.tombstones == Tombstones::Drop;
        Ok(whole.filter(|whole| !(drops && whole.change.is_tombstone())))
    }

    /// The newest change of the least map key that the current key has.
    fn next_of_map(
        &mut self,
        current: &Current<'a>,
    ) -> Result<Option<KeyedEntry<'a>>, SegmentError> {
        let mut least: Option<KeyedEntry<'a>> = None;
        for head in self.heads.heads[..current.hidden_from].iter().flatten() {
            let is_less = |least: &KeyedEntry<'_>| head.change.map_key() < least.change.map_key();
            if head.cmp_key(&current.entry).is_eq() && least.as_ref().is_none_or(is_less) {
                least = Some(*head);
            }
        }
        let Some(least) = least else { return Ok(None) };
        for stream in 0..current.hidden_from {
            let head = &self.heads.heads[stream];
            if head.is_some_and(|head| head.cmp_place(&least).is_eq()) {
                self.heads.advance(stream)?;
            }
        }
        Ok(Some(least))
    }

    /// Passes over what is hidden of the current key.
    fn leave_key(&mut self, current: &Current<'a>) -> Result<(), SegmentError> {
        for stream in current.hidden_from..self.heads.heads.len() {
            while self.heads.heads[stream].is_some_and(|head| head.cmp_key(&current.entry).is_eq())
            {
                self.heads.advance(stream)?;
            }
        }
        self.current = None;
        Ok(())
    }
}

impl<'a, I> Iterator for MergedEntries<'a, I>
where
    I: Iterator<Item = Result<KeyedEntry<'a>, SegmentError>>,
{
    type Item = Result<KeyedEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let entry = self.advance();
        if entry.is_err() {
            self.heads.stop();
            self.current = None;
        }
        entry.transpose()
    }
}

/// Merges streams of timers of one key group, the newest first, likewise.
#[derive(Debug)]
pub struct MergedTimers<'a, I> {
    heads: Heads<I, TimerEntry<'a>>,
    tombstones: Tombstones,
}

impl<'a, I: Iterator<Item = Result<TimerEntry<'a>, SegmentError>>> MergedTimers<'a, I> {
    /// Merges the streams, newest first.
    pub fn new(newest_first: impl IntoIterator<Item = I>, tombstones: Tombstones) -> Self {
        Self { heads: Heads::new(newest_first), tombstones }
    }

    fn advance(&mut self) -> Result<Option<TimerEntry<'a>>, SegmentError> {
        self.heads.fill()?;
        loop {
            let mut least: Option<TimerEntry<'a>> = None;
            for head in self.heads.heads.iter().flatten() {
                if least.is_none_or(|least| head.cmp_place(&least) == Ordering::Less) {
                    least = Some(*head);
                }
            }
            let Some(least) = least else { return Ok(None) };
            for stream in 0..self.heads.heads.len() {
                let head = &self.heads.heads[stream];
                if head.is_some_and(|head| head.cmp_place(&least).is_eq()) {
                    self.heads.advance(stream)?;
                }
            }
            if self.tombstones == Tombstones::Keep || !least.is_tombstone {
                return Ok(Some(least));
            }
        }
    }
}

impl<'a, I> Iterator for MergedTimers<'a, I>
where
    I: Iterator<Item = Result<TimerEntry<'a>, SegmentError>>,
{
    type Item = Result<TimerEntry<'a>, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        let timer = self.advance();
        if timer.is_err() {
            self.heads.stop();
        }
        timer.transpose()
    }
}
