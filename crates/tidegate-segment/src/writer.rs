//! Writing a segment as one stream.

use std::io::Write;
use std::sync::Arc;

use tidegate_types::RegisteredState;

use crate::{KeyedEntry, Origin, SegmentError, Statistics, TimerEntry};

/// What was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentSummary {
    /// The length of the file in bytes.
    pub length: u64,
    /// What each state has, in the order in which they were begun.
    pub states: Vec<(Arc<str>, Statistics)>,
}

/// Writes a segment in one pass, state by state, each sorted by
/// [`KeyedEntry::cmp_place`] (timers: by key group, then [`TimerEntry::cmp_place`]).
pub struct SegmentWriter<W> {
    out: W,
}

impl<W: Write> SegmentWriter<W> {
    /// Writes the header.
    ///
    /// Do not wrap `out` in a buffer: writes are of 1 MiB, except the last.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Write`], of this and of all other methods, when `out` fails.
    pub fn new(out: W, origin: Origin) -> Result<Self, SegmentError> {
        let _ = origin;
        Ok(Self { out })
    }

    /// Ends the previous state and begins the next one. What follows are its entries, by
    /// [`write_timer`](Self::write_timer) if it is of [`StateKind::Timer`](tidegate_types::StateKind),
    /// otherwise by [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// When a state of this name was begun before, or the state is operator state.
    pub fn begin_state(&mut self, state: &RegisteredState) -> Result<(), SegmentError> {
        let _ = state;
        unimplemented!()
    }

    /// Adds an entry of the state begun last.
    ///
    /// # Errors
    ///
    /// [`SegmentError::TooLong`] when a key or value has 4 GiB or more, or the key group 1 TiB.
    ///
    /// # Panics
    ///
    /// When the entry is not behind the previous one, is of a key group outside the origin's, or
    /// its change is none of the state's kind.
    pub fn write(&mut self, entry: &KeyedEntry<'_>) -> Result<(), SegmentError> {
        let _ = entry;
        unimplemented!()
    }

    /// Adds a timer of the state begun last. Errors and panics as in [`write`](Self::write).
    pub fn write_timer(&mut self, timer: &TimerEntry<'_>) -> Result<(), SegmentError> {
        let _ = timer;
        unimplemented!()
    }

    /// Bytes written so far, those still buffered included.
    pub fn length(&self) -> u64 {
        unimplemented!()
    }

    /// Writes directory and footer, and gives back `out` to be made durable.
    pub fn finish(self) -> Result<(W, SegmentSummary), SegmentError> {
        let _ = self.out;
        unimplemented!()
    }
}
