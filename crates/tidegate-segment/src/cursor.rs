//! A place in the data of a key group, and the records there.
//!
//! Invariants: `at <= end`; what is read lies in `at..end` and is verified; each record moves the
//! cursor on, so that every walk ends.

use crate::content::{Content, Damage};
use crate::layout::CHUNK;
use crate::record::{DELETE, Head, MAX_HEAD, PUT, varint};

/// Reads records one behind the other. Offsets are of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cursor<'a> {
    content: &'a Content,
    at: usize,
    end: usize,
    /// Verified bytes around `at`, so that most reads need no look at the chunks.
    window: &'a [u8],
    window_start: usize,
}

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn new(content: &'a Content, at: usize, end: usize) -> Self {
        Self { content, at, end, window: &[], window_start: at }
    }

    #[inline]
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    #[inline]
    pub(crate) fn is_at_end(&self) -> bool {
        self.at >= self.end
    }

    /// What is wrong here.
    #[cold]
    pub(crate) fn malformed(&self, expected: &'static str, found: u64) -> Damage {
        Damage::Malformed { offset: self.at, expected, found }
    }

    /// The head of the record here, and moves on to its key.
    #[inline]
    pub(crate) fn head(&mut self) -> Result<Head, Damage> {
        let left = self.end - self.at;
        let bytes = self.peek(left.min(MAX_HEAD))?;
        let head = Head::read(bytes);
        let first = u64::from(bytes.first().copied().unwrap_or(0));
        let head = head.ok_or_else(|| self.malformed("the head of a record", first))?;
        self.at += head.length;
        Ok(head)
    }

    /// The kind and the key's length of the timer here, and moves on to its time.
    #[inline]
    pub(crate) fn timer_head(&mut self) -> Result<(u8, u64), Damage> {
        let left = self.end - self.at;
        let bytes = self.peek(left.min(MAX_HEAD))?;
        let first = u64::from(bytes.first().copied().unwrap_or(0));
        let malformed = |cursor: &Self| cursor.malformed("the head of a timer", first);
        let (control, length) = varint(bytes).ok_or_else(|| malformed(self))?;
        let kind = u8::try_from(control & 3).ok();
        let kind = kind.filter(|kind| matches!(*kind, PUT | DELETE));
        let kind = kind.ok_or_else(|| malformed(self))?;
        self.at += length;
        Ok((kind, control >> 2))
    }

    /// The bytes here, and moves on behind them.
    #[inline]
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let bytes = self.peek(length)?;
        self.at += length;
        Ok(bytes)
    }

    /// As [`take`](Self::take), for a length from a record's head.
    #[inline]
    pub(crate) fn take_number(&mut self, length: u64) -> Result<&'a [u8], Damage> {
        let length = usize::try_from(length);
        self.take(length.unwrap_or(usize::MAX))
    }

    /// Moves on without looking.
    #[inline]
    pub(crate) fn skip(&mut self, length: u64) -> Result<(), Damage> {
        let left = self.end - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                self.at += length;
                Ok(())
            }
            _ => Err(self.malformed("a record within its bucket", length)),
        }
    }

    #[inline]
    fn peek(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let start = self.at - self.window_start;
        if let Some(bytes) = self.window.get(start..).and_then(|rest| rest.get(..length)) {
            return Ok(bytes);
        }
        self.widen(length)
    }

    /// Makes the window go from here to the end of the chunk, or of what is asked for.
    fn widen(&mut self, length: usize) -> Result<&'a [u8], Damage> {
        let left = self.end - self.at;
        if length > left {
            return Err(self.malformed("a record within its bucket", length as u64));
        }
        let chunk = CHUNK - self.at % CHUNK;
        self.window = self.content.slice(self.at, length.max(chunk).min(left))?;
        self.window_start = self.at;
        Ok(&self.window[..length])
    }
}
