//! The stream of bytes: collected, checksummed by chunks, handed on in large writes.
//!
//! Invariant: `buffer` begins at a multiple of [`CHUNK`] of the file, as long as chunks count.

use std::io::Write;

use xxhash_rust::xxh3::xxh3_64;

use crate::SegmentError;
use crate::layout::CHUNK;

/// Bytes handed on at once: a multiple of the chunk, large enough that the cost of a call vanishes.
const WRITE: usize = 1 << 20;

pub(super) struct Output<W> {
    out: W,
    buffer: Vec<u8>,
    written: u64,
    checksums: Vec<u64>,
}

impl<W: Write> Output<W> {
    pub(super) fn new(out: W) -> Self {
        let buffer = Vec::with_capacity(WRITE + CHUNK);
        Self { out, buffer, written: 0, checksums: Vec::new() }
    }

    /// Bytes so far.
    #[inline]
    pub(super) fn position(&self) -> u64 {
        self.written + self.buffer.len() as u64
    }

    #[inline]
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<(), SegmentError> {
        if self.buffer.len() + bytes.len() <= WRITE {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        self.append_slowly(bytes)
    }

    fn append_slowly(&mut self, mut bytes: &[u8]) -> Result<(), SegmentError> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(WRITE - self.buffer.len()));
            self.buffer.extend_from_slice(now);
            bytes = later;
            if self.buffer.len() == WRITE {
                self.write_out()?;
            }
        }
        Ok(())
    }

    /// Zeros up to a multiple of a line, which is at most 64.
    pub(super) fn align(&mut self, line: usize) -> Result<(), SegmentError> {
        // The buffer begins at a multiple of it.
        let length = self.buffer.len().next_multiple_of(line) - self.buffer.len();
        self.append(&[0; 64][..length])
    }

    /// Ends the part that chunks' checksums cover and gives them.
    pub(super) fn end_chunks(&mut self) -> Result<Vec<u64>, SegmentError> {
        self.write_out()?;
        Ok(std::mem::take(&mut self.checksums))
    }

    /// Hands on what is left.
    pub(super) fn finish(mut self) -> Result<W, SegmentError> {
        self.write_out()?;
        Ok(self.out)
    }

    fn write_out(&mut self) -> Result<(), SegmentError> {
        self.checksums.extend(self.buffer.chunks(CHUNK).map(xxh3_64));
        self.out.write_all(&self.buffer).map_err(|source| SegmentError::Write { source })?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}
