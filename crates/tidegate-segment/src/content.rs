//! The bytes of a segment, verified chunk by chunk when they are first touched.
//!
//! Invariants:
//! - no byte of the body leaves this module before its chunk's checksum was found right;
//! - a set bit means "verified", and is never cleared: the bytes do not change;
//! - every slice is within the body, whatever offsets a damaged file asks for.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::xxh3_64;

use crate::Mapping;
use crate::layout::{CHUNK, CHUNK_BITS, PAGE_ENTRIES};

/// What is wrong with a file, without its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Damage {
    Magic { offset: usize, found: [u8; 8] },
    Version { found: u16 },
    Length { expected: u64, found: u64 },
    Checksum { offset: usize, expected: u64, found: u64 },
    Malformed { offset: usize, expected: &'static str, found: u64 },
    Lost,
}

/// Where the bytes are.
pub(crate) enum Bytes {
    Mapped(Mapping),
    Owned(Vec<u8>),
}

impl Bytes {
    #[inline]
    pub(crate) fn all(&self) -> &[u8] {
        match self {
            Self::Mapped(mapping) => mapping,
            Self::Owned(bytes) => bytes,
        }
    }
}

/// A file's bytes with what was verified of them.
pub(crate) struct Content {
    bytes: Bytes,
    /// Where the body ends and the checksum table begins.
    body: usize,
    /// Checksums of the table's pages.
    pages: Vec<u64>,
    verified_pages: Bits,
    verified_chunks: Bits,
}

impl Content {
    /// Requires: body and checksum table are within the bytes.
    pub(crate) fn new(bytes: Bytes, body: usize, pages: Vec<u64>) -> Self {
        let chunks = body.div_ceil(CHUNK);
        let verified_pages = Bits::new(chunks.div_ceil(PAGE_ENTRIES));
        Self { bytes, body, pages, verified_pages, verified_chunks: Bits::new(chunks) }
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The length of the body.
    pub(crate) fn body(&self) -> usize {
        self.body
    }

    /// Whether pages of the mapping were lost, so that anything read of it may be zeros.
    #[inline]
    pub(crate) fn check_lost(&self) -> Result<(), Damage> {
        match &self.bytes {
            Bytes::Mapped(mapping) if mapping.is_lost() => Err(Damage::Lost),
            _ => Ok(()),
        }
    }

    /// Verified bytes of the body.
    #[inline]
    pub(crate) fn slice(&self, start: usize, length: usize) -> Result<&[u8], Damage> {
        let end = start.checked_add(length).filter(|end| *end <= self.body);
        let Some(end) = end else {
            let expected = "bytes within the body";
            return Err(Damage::Malformed { offset: start, expected, found: length as u64 });
        };
        if length > 0 {
            let (first, last) = (start >> CHUNK_BITS, (end - 1) >> CHUNK_BITS);
            if first != last || !self.verified_chunks.has(first) {
                self.verify(first, last)?;
            }
        }
        Ok(&self.bytes.all()[start..end])
    }

    /// Verified bytes of the body from `start` on, up to `end` or to the end of the chunk: not
    /// empty if `start` is before `end`.
    #[inline]
    pub(crate) fn window(&self, start: usize, end: usize) -> Result<&[u8], Damage> {
        let length = end.saturating_sub(start).min(CHUNK - start % CHUNK);
        self.slice(start, length)
    }

    /// Two neighbouring words of the body.
    #[inline]
    pub(crate) fn words(&self, start: usize) -> Result<[u64; 2], Damage> {
        let bytes = self.slice(start, 16)?;
        let word = |at: usize| {
            u64::from_le_bytes(bytes[at..at + 8].try_into().expect("16 bytes were taken"))
        };
        Ok([word(0), word(8)])
    }

    #[cold]
    #[inline(never)]
    fn verify(&self, first: usize, last: usize) -> Result<(), Damage> {
        for chunk in first..=last {
            if self.verified_chunks.has(chunk) {
                continue;
            }
            let expected = self.checksum(chunk)?;
            let offset = chunk << CHUNK_BITS;
            let end = self.body.min(offset + CHUNK);
            let found = xxh3_64(&self.bytes.all()[offset..end]);
            self.check_lost()?;
            if expected != found {
                return Err(Damage::Checksum { offset, expected, found });
            }
            self.verified_chunks.set(chunk);
        }
        Ok(())
    }

    /// The checksum that a chunk should have.
    fn checksum(&self, chunk: usize) -> Result<u64, Damage> {
        let table = &self.bytes.all()[self.body..];
        let page = chunk / PAGE_ENTRIES;
        if !self.verified_pages.has(page) {
            let chunks = self.body.div_ceil(CHUNK);
            let start = 8 * page * PAGE_ENTRIES;
            let end = 8 * chunks.min((page + 1) * PAGE_ENTRIES);
            let found = xxh3_64(&table[start..end]);
            self.check_lost()?;
            let expected = self.pages[page];
            if expected != found {
                return Err(Damage::Checksum { offset: self.body + start, expected, found });
            }
            self.verified_pages.set(page);
        }
        let bytes = table[8 * chunk..8 * chunk + 8].try_into();
        Ok(u64::from_le_bytes(bytes.expect("8 bytes were taken")))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Content").field("body", &self.body).finish_non_exhaustive()
    }
}

/// Bits that threads set and never clear. Two that verify the same chunk at once both find the
/// same, so that no lock is needed.
struct Bits(Box<[AtomicU64]>);

impl Bits {
    fn new(count: usize) -> Self {
        Self((0..count.div_ceil(64)).map(|_| AtomicU64::new(0)).collect())
    }

    #[inline]
    fn has(&self, bit: usize) -> bool {
        self.0[bit / 64].load(Ordering::Acquire) >> (bit % 64) & 1 == 1
    }

    fn set(&self, bit: usize) {
        self.0[bit / 64].fetch_or(1 << (bit % 64), Ordering::Release);
    }
}
