//! Header and footer: the first and the last 64 bytes.
//!
//! ```text
//! header                                           footer
//!  0   8  magic "TIDEGATE"                          0   8  length of the file
//!  8   2  version, 1                                8   8  length of the body
//! 10   2  frame kind, 16                           16   8  offset of the directory
//! 12   4  flags, 0                                 24   8  length of the directory
//! 16   8  checkpoint                               32   8  checksum of the directory (XXH3-64)
//! 24   8  attempt                                  40   8  checksum of the header
//! 32   2  maximum parallelism                      48   8  magic "SEGMENT!"
//! 34   2  first key group                          56   8  checksum of bytes 0..56 (XXH3-64)
//! 36   2  last key group
//! 38  18  reserved, 0
//! 56   8  checksum of bytes 0..56 (XXH3-64)
//! ```
//!
//! Integers are little-endian. Magic, version, kind and checksum of the header lie where those of
//! the frames of `tidegate-meta` lie, whose kinds have smaller numbers.

use tidegate_types::{AttemptId, CheckpointId, KeyGroup, KeyGroupRange, MaxParallelism};
use xxhash_rust::xxh3::xxh3_64;

use crate::Origin;
use crate::content::Damage;
use crate::layout::{CHUNK, FRAME, VERSION};

const MAGIC: [u8; 8] = *b"TIDEGATE";
const END_MAGIC: [u8; 8] = *b"SEGMENT!";
/// Above all kinds of `tidegate-meta`, which count from 1.
const KIND: u16 = 16;

/// The last 64 bytes, but for what is the same in all segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Footer {
    pub(crate) length: u64,
    pub(crate) body: u64,
    pub(crate) directory: u64,
    pub(crate) directory_length: u64,
    pub(crate) directory_checksum: u64,
    pub(crate) header_checksum: u64,
}

/// The first 64 bytes of a segment.
pub(crate) fn header(origin: &Origin) -> [u8; FRAME] {
    let mut bytes = [0; FRAME];
    bytes[0..8].copy_from_slice(&MAGIC);
    bytes[8..10].copy_from_slice(&VERSION.to_le_bytes());
    bytes[10..12].copy_from_slice(&KIND.to_le_bytes());
    bytes[16..24].copy_from_slice(&origin.checkpoint.get().to_le_bytes());
    bytes[24..32].copy_from_slice(&origin.attempt.get().to_le_bytes());
    bytes[32..34].copy_from_slice(&origin.max_parallelism.get().to_le_bytes());
    bytes[34..36].copy_from_slice(&origin.key_groups.first().get().to_le_bytes());
    bytes[36..38].copy_from_slice(&origin.key_groups.last().get().to_le_bytes());
    seal(&mut bytes);
    bytes
}

/// The checksum that a header or footer carries.
pub(crate) fn checksum(bytes: &[u8; FRAME]) -> u64 {
    u64::from_le_bytes(field(bytes, 56))
}

/// The origin in a header, after everything in it was verified.
pub(crate) fn open_header(bytes: &[u8; FRAME]) -> Result<Origin, Damage> {
    let found: [u8; 8] = field(bytes, 0);
    if found != MAGIC {
        return Err(Damage::Magic { offset: 0, found });
    }
    verify_seal(bytes, 0)?;
    let number = |at| u16::from_le_bytes(field(bytes, at));
    let malformed = |offset, expected, found| Err(Damage::Malformed { offset, expected, found });
    if number(8) != VERSION {
        return Err(Damage::Version { found: number(8) });
    }
    if number(10) != KIND {
        return malformed(10, "frame kind 16, a segment", number(10).into());
    }
    for (offset, end) in [(12, 16), (38, 56)] {
        if let Some(byte) = bytes[offset..end].iter().find(|byte| **byte != 0) {
            return malformed(offset, "reserved bytes that are 0", (*byte).into());
        }
    }
    let checkpoint = u64::from_le_bytes(field(bytes, 16));
    let Some(checkpoint) = CheckpointId::new(checkpoint) else {
        return malformed(16, "the id of a checkpoint", checkpoint);
    };
    let Some(max_parallelism) = MaxParallelism::new(number(32)) else {
        return malformed(32, "a maximum parallelism", number(32).into());
    };
    let key_groups = KeyGroupRange::new(KeyGroup::new(number(34)), KeyGroup::new(number(36)));
    let key_groups = key_groups.filter(|range| range.last().get() < max_parallelism.get());
    let Some(key_groups) = key_groups else {
        return malformed(34, "key groups below the maximum parallelism", number(36).into());
    };
    let attempt = AttemptId::new(u64::from_le_bytes(field(bytes, 24)));
    Ok(Origin { checkpoint, attempt, max_parallelism, key_groups })
}

impl Footer {
    pub(crate) fn seal(&self) -> [u8; FRAME] {
        let mut bytes = [0; FRAME];
        let numbers = [
            self.length,
            self.body,
            self.directory,
            self.directory_length,
            self.directory_checksum,
            self.header_checksum,
        ];
        for (index, number) in numbers.into_iter().enumerate() {
            bytes[8 * index..8 * index + 8].copy_from_slice(&number.to_le_bytes());
        }
        bytes[48..56].copy_from_slice(&END_MAGIC);
        seal(&mut bytes);
        bytes
    }

    /// The footer at `offset` of a file, after everything in it was verified.
    pub(crate) fn open(
        bytes: &[u8; FRAME],
        offset: usize,
        header: &[u8; FRAME],
    ) -> Result<Self, Damage> {
        let found: [u8; 8] = field(bytes, 48);
        if found != END_MAGIC {
            return Err(Damage::Magic { offset: offset + 48, found });
        }
        verify_seal(bytes, offset)?;
        let number = |index: usize| u64::from_le_bytes(field(bytes, 8 * index));
        let footer = Self {
            length: number(0),
            body: number(1),
            directory: number(2),
            directory_length: number(3),
            directory_checksum: number(4),
            header_checksum: number(5),
        };
        let length = (offset + FRAME) as u64;
        if footer.length != length {
            return Err(Damage::Length { expected: footer.length, found: length });
        }
        let (expected, found) = (footer.header_checksum, checksum(header));
        if expected != found {
            return Err(Damage::Checksum { offset: 0, expected, found });
        }
        let table = footer.body.div_ceil(CHUNK as u64).saturating_mul(8);
        let is_gapless = footer.body >= FRAME as u64
            && footer.body.checked_add(table) == Some(footer.directory)
            && footer.directory.checked_add(footer.directory_length) == Some(offset as u64);
        if !is_gapless {
            let expected = "body, checksum table, directory and footer without a gap";
            return Err(Damage::Malformed { offset: offset + 8, expected, found: footer.body });
        }
        Ok(footer)
    }
}

fn seal(bytes: &mut [u8; FRAME]) {
    let checksum = xxh3_64(&bytes[..56]);
    bytes[56..].copy_from_slice(&checksum.to_le_bytes());
}

fn verify_seal(bytes: &[u8; FRAME], offset: usize) -> Result<(), Damage> {
    let (expected, found) = (checksum(bytes), xxh3_64(&bytes[..56]));
    if expected == found { Ok(()) } else { Err(Damage::Checksum { offset, expected, found }) }
}

fn field<const N: usize>(bytes: &[u8; FRAME], offset: usize) -> [u8; N] {
    bytes[offset..offset + N].try_into().expect("header and footer have every field")
}
