//! The frame around every payload: a header of 64 bytes, then the payload, then nothing.
//!
//! ```text
//! offset  bytes  field                                  checked
//!      0      8  magic "TIDEGATE"                       first
//!      8      2  format version, 1                      after the header's checksum
//!     10      2  frame kind, never 0
//!     12      4  flags, 0
//!     16      8  length of the payload
//!     24     16  digest of the payload (XXH3-128)       last
//!     40     16  reserved, 0
//!     56      8  checksum of bytes 0..56 (XXH3-64)      second
//! ```
//!
//! Integers are little-endian. The header of every future version keeps magic, version and
//! checksum where they are, so that "newer" can be told from "damaged".

use std::fmt;

use tidegate_types::Digest;
use xxhash_rust::xxh3::xxh3_64;

use crate::MetadataError;

/// The length of the header in bytes.
pub const HEADER_LENGTH: usize = 64;

/// The format version that this release writes and reads.
pub const VERSION: u16 = 1;

const MAGIC: [u8; 8] = *b"TIDEGATE";

/// What a frame holds. The numbers are on disk; 0 is never given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u16)]
pub enum FrameKind {
    /// The metadata of a checkpoint.
    Metadata = 1,
    /// The states of one task's operators, on their way to the coordinator.
    Acknowledgement = 2,
    /// What is in front of keyed state in the canonical form.
    KeyedState = 3,
    /// What is behind it: where each part lies.
    KeyedStateIndex = 4,
}

impl fmt::Display for FrameKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Metadata => "metadata",
            Self::Acknowledgement => "acknowledgement",
            Self::KeyedState => "keyed state",
            Self::KeyedStateIndex => "keyed state index",
        })
    }
}

/// The payload behind its header.
#[must_use]
pub fn seal(kind: FrameKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_LENGTH + payload.len());
    bytes.resize(HEADER_LENGTH, 0);
    bytes.extend_from_slice(payload);
    seal_in_place(kind, &mut bytes);
    bytes
}

/// Fills in the header of a frame whose payload begins at [`HEADER_LENGTH`], so that large
/// payloads need not be copied.
///
/// # Panics
///
/// When there are fewer than [`HEADER_LENGTH`] bytes.
pub fn seal_in_place(kind: FrameKind, bytes: &mut [u8]) {
    let (header, payload) = bytes.split_at_mut(HEADER_LENGTH);
    header.fill(0);
    header[0..8].copy_from_slice(&MAGIC);
    header[8..10].copy_from_slice(&VERSION.to_le_bytes());
    header[10..12].copy_from_slice(&(kind as u16).to_le_bytes());
    header[16..24].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    header[24..40].copy_from_slice(&Digest::of(payload).to_bytes());
    let checksum = xxh3_64(&header[..56]);
    header[56..64].copy_from_slice(&checksum.to_le_bytes());
}

/// The payload of a frame of this kind, after everything in the header was verified.
pub fn open(kind: FrameKind, bytes: &[u8]) -> Result<&[u8], MetadataError> {
    let too_short = MetadataError::TooShort { expected: HEADER_LENGTH, found: bytes.len() };
    let (header, payload) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or(too_short)?;
    let expected = payload_length(kind, header)?.saturating_add(HEADER_LENGTH as u64);
    if expected != bytes.len() as u64 {
        return Err(MetadataError::Length { expected, found: bytes.len() as u64 });
    }
    let (expected, found) = (Digest::from_bytes(field(header, 24)), Digest::of(payload));
    if found != expected {
        return Err(MetadataError::PayloadDigest { expected, found });
    }
    Ok(payload)
}

/// How many bytes follow the header of a frame of this kind, after the header was verified. For
/// frames with something behind them, which are read piece by piece.
pub fn payload_length(kind: FrameKind, header: &[u8; HEADER_LENGTH]) -> Result<u64, MetadataError> {
    let found: [u8; 8] = field(header, 0);
    if found != MAGIC {
        return Err(MetadataError::Magic { found });
    }
    let (expected, found) = (xxh3_64(&header[..56]), u64::from_le_bytes(field(header, 56)));
    if found != expected {
        return Err(MetadataError::HeaderChecksum { expected, found });
    }
    let found = u16::from_le_bytes(field(header, 8));
    if found != VERSION {
        return Err(MetadataError::Version { found, supported: VERSION });
    }
    let found = u16::from_le_bytes(field(header, 10));
    if found != kind as u16 {
        return Err(MetadataError::Kind { expected: kind, found });
    }
    for (offset, end) in [(12, 16), (40, 56)] {
        if header[offset..end].iter().any(|byte| *byte != 0) {
            return Err(MetadataError::Reserved { offset });
        }
    }
    Ok(u64::from_le_bytes(field(header, 16)))
}

fn field<const N: usize>(header: &[u8; HEADER_LENGTH], offset: usize) -> [u8; N] {
    header[offset..offset + N].try_into().expect("the header has every field")
}

#[cfg(test)]
mod tests {
    use super::*;

    // The header's checksum hides what would be found behind it: make it right again.
    fn resealed(mut frame: Vec<u8>) -> Vec<u8> {
        let checksum = xxh3_64(&frame[..56]);
        frame[56..64].copy_from_slice(&checksum.to_le_bytes());
        frame
    }

    #[test]
    fn a_frame_gives_back_its_payload() {
        for payload in [&b""[..], b"x", &[7; 1000]] {
            let frame = seal(FrameKind::KeyedState, payload);
            assert_eq!(frame.len(), 64 + payload.len());
            assert_eq!(open(FrameKind::KeyedState, &frame), Ok(payload));
        }
    }

    #[test]
    fn every_bit_flip_and_every_cut_is_refused() {
        let frame = seal(FrameKind::Metadata, b"a payload");
        for bit in 0..frame.len() * 8 {
            let mut damaged = frame.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(open(FrameKind::Metadata, &damaged).is_err(), "bit {bit}");
        }
        for cut in 0..frame.len() {
            assert!(open(FrameKind::Metadata, &frame[..cut]).is_err(), "cut at {cut}");
        }
        let longer = [&frame[..], b"x"].concat();
        let error = open(FrameKind::Metadata, &longer).unwrap_err();
        assert_eq!(error, MetadataError::Length { expected: 73, found: 74 });
    }

    #[test]
    fn each_field_has_its_own_error() {
        let frame = seal(FrameKind::Metadata, b"a payload");
        let with = |offset: usize, byte: u8| {
            let mut changed = frame.clone();
            changed[offset] = byte;
            open(FrameKind::Metadata, &resealed(changed)).unwrap_err()
        };
        assert_eq!(with(8, 2), MetadataError::Version { found: 2, supported: 1 });
        assert_eq!(with(10, 3), MetadataError::Kind { expected: FrameKind::Metadata, found: 3 });
        assert_eq!(with(12, 1), MetadataError::Reserved { offset: 12 });
        assert_eq!(with(55, 1), MetadataError::Reserved { offset: 40 });
        assert_eq!(
            with(23, 0xFF),
            MetadataError::Length { expected: (0xFF << 56) + 73, found: 73 }
        );
        assert!(matches!(with(24, 0), MetadataError::PayloadDigest { .. }));
        assert!(matches!(with(0, 0), MetadataError::Magic { .. }));
    }
}
