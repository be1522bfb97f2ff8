//! Finds the lines of a file from an offset on, with bounded memory.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::PathBuf;

use super::{FileSplit, Limits};
use crate::{ConnectError, FileOperation};

/// Reads a file up to the length it had when it was split.
pub(super) struct LineScanner {
    file: File,
    path: PathBuf,
    // What is read and not yet handed out: buffer[head..tail], which begins at `offset` of the file.
    buffer: Vec<u8>,
    head: usize,
    tail: usize,
    offset: u64,
    length: u64,
    limit: usize,
}

impl LineScanner {
    /// From `offset` on, which need not be where a line begins.
    pub(super) fn open(
        split: &FileSplit,
        offset: u64,
        limits: Limits,
    ) -> Result<Self, ConnectError> {
        let (path, length) = (split.path().to_owned(), split.file_length());
        let changed =
            |found| ConnectError::InputChanged { path: path.clone(), expected: length, found };
        let failed = |operation, error| ConnectError::io(operation, &path, error);
        let mut file = File::open(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => changed(0),
            _ => failed(FileOperation::Open, error),
        })?;
        let found = file.metadata().map_err(|e| failed(FileOperation::Open, e))?.len();
        if found < length {
            return Err(changed(found));
        }
        file.seek(SeekFrom::Start(offset)).map_err(|e| failed(FileOperation::Read, e))?;
        // No more than there is to be read: many files are small, and many ranges nearly at their end.
        let left = usize::try_from(length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let buffer = vec![0; limits.buffer.min(left).max(1)];
        Ok(Self { file, path, buffer, head: 0, tail: 0, offset, length, limit: limits.line })
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next line, without its line break; `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<&[u8]>, ConnectError> {
        let mut searched = 0;
        let (line, taken) = loop {
            let unread = &self.buffer[self.head..self.tail];
            if let Some(found) = memchr::memchr(b'\n', &unread[searched..]) {
                let line = &unread[..searched + found];
                break (line.strip_suffix(b"\r").unwrap_or(line).len(), line.len() + 1);
            }
            searched = unread.len();
            // A line break may be two bytes.
            if searched > self.limit.saturating_add(1) {
                return Err(self.too_long());
            }
            if !self.fill()? {
                break (searched, searched);
            }
        };
        if line > self.limit {
            return Err(self.too_long());
        }
        if taken == 0 {
            return Ok(None);
        }
        let begin = self.head;
        self.consume(taken);
        Ok(Some(&self.buffer[begin..begin + line]))
    }

    /// Passes over everything up to the next line break, and that too. The line may have any length.
    pub(super) fn skip_line(&mut self) -> Result<(), ConnectError> {
        loop {
            let unread = &self.buffer[self.head..self.tail];
            if let Some(found) = memchr::memchr(b'\n', unread) {
                self.consume(found + 1);
                return Ok(());
            }
            self.consume(self.tail - self.head);
            if !self.fill()? {
                return Ok(());
            }
        }
    }

    /// Passes over one byte, which is to be a line break; tells whether it was.
    pub(super) fn skip_line_break(&mut self) -> Result<bool, ConnectError> {
        if self.head == self.tail && !self.fill()? {
            return Ok(false);
        }
        let is_break = self.buffer[self.head] == b'\n';
        self.consume(1);
        Ok(is_break)
    }

    fn consume(&mut self, bytes: usize) {
        self.head += bytes;
        self.offset += bytes as u64;
    }

    /// Reads more; `false` at the end of the file.
    fn fill(&mut self) -> Result<bool, ConnectError> {
        let read_to = self.offset + (self.tail - self.head) as u64;
        let left = self.length - read_to;
        if left == 0 {
            return Ok(false);
        }
        if self.head > 0 {
            self.buffer.copy_within(self.head..self.tail, 0);
            self.tail -= self.head;
            self.head = 0;
        }
        if self.tail == self.buffer.len() {
            // Bounded: it grows only while the line in it is within the limit.
            let longest = self.limit.saturating_add(2).max(self.buffer.len() + 1);
            self.buffer.resize(longest.min(self.buffer.len() * 2), 0);
        }
        let room = self.buffer.len() - self.tail;
        let wanted = usize::try_from(left).map_or(room, |left| left.min(room));
        let read = loop {
            match self.file.read(&mut self.buffer[self.tail..self.tail + wanted]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => break read,
            }
        };
        let read =
            read.map_err(|error| ConnectError::io(FileOperation::Read, &self.path, error))?;
        if read == 0 {
            let (path, expected) = (self.path.clone(), self.length);
            return Err(ConnectError::InputChanged { path, expected, found: read_to });
        }
        self.tail += read;
        Ok(true)
    }

    fn too_long(&self) -> ConnectError {
        let (path, offset, limit) = (self.path.clone(), self.offset, self.limit);
        ConnectError::LineTooLong { path, offset, limit }
    }
}
