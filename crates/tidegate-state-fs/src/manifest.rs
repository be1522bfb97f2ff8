//! The manifest: which segments make up the state of a range of key groups, oldest first.
//!
//! `docs/format-fs-manifest.md` is normative:
//!
//! ```text
//! u32 version, 1    u32 number of parts    u64 epoch
//! part: u32 index in the handle's shared files, u16 first key group, u16 last key group
//! ```

use tidegate_types::{KeyGroup, KeyGroupRange};

use crate::FsStateError;

const VERSION: u32 = 1;
const HEADER: usize = 16;
const PART: usize = 8;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// Above the number of every chunk of a list in the segments.
    pub(crate) epoch: u64,
    /// The index of the file, and what counts of it; oldest first.
    pub(crate) parts: Vec<(u32, KeyGroupRange)>,
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER + PART * self.parts.len());
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let count = u32::try_from(self.parts.len()).expect("fewer than 2^32 segments");
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.epoch.to_le_bytes());
        for (file, range) in &self.parts {
            bytes.extend_from_slice(&file.to_le_bytes());
            bytes.extend_from_slice(&range.first().get().to_le_bytes());
            bytes.extend_from_slice(&range.last().get().to_le_bytes());
        }
        bytes
    }

    /// Reads a manifest of a handle with so many shared files.
    pub(crate) fn decode(bytes: &[u8], files: usize) -> Result<Self, FsStateError> {
        let malformed =
            |offset, expected, found| FsStateError::Manifest { offset, expected, found };
        let length = bytes.len() as u64;
        let (header, rest) = bytes.split_first_chunk::<HEADER>().ok_or(malformed(
            0,
            "a header of 16 bytes",
            length,
        ))?;
        let u32_at = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|byte| header[at + byte]));
        if u32_at(0) != VERSION {
            return Err(malformed(0, "manifest version 1", u32_at(0).into()));
        }
        let epoch = u64::from(u32_at(8)) | u64::from(u32_at(12)) << 32;
        // It is counted on from here, and must not run over.
        if epoch >> 63 != 0 {
            return Err(malformed(8, "an epoch below 2^63", epoch));
        }
        let (records, tail) = rest.as_chunks::<PART>();
        if records.len() as u64 != u64::from(u32_at(4)) || !tail.is_empty() {
            return Err(malformed(4, "the number of parts that follow", u32_at(4).into()));
        }
        let mut parts = Vec::with_capacity(records.len());
        for (index, [a, b, c, d, first, first_high, last, last_high]) in
            records.iter().copied().enumerate()
        {
            let offset = HEADER + PART * index;
            let file = u32::from_le_bytes([a, b, c, d]);
            if file as usize >= files {
                return Err(malformed(offset, "the index of a shared file", file.into()));
            }
            let first = KeyGroup::new(u16::from_le_bytes([first, first_high]));
            let last = KeyGroup::new(u16::from_le_bytes([last, last_high]));
            let range = KeyGroupRange::new(first, last);
            let range =
                range.ok_or(malformed(offset + 4, "ascending key groups", first.get().into()))?;
            parts.push((file, range));
        }
        Ok(Self { epoch, parts })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(first: u16, last: u16) -> KeyGroupRange {
        KeyGroupRange::new(KeyGroup::new(first), KeyGroup::new(last)).unwrap()
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let manifest = Manifest { epoch: 7, parts: vec![(0, range(0, 63)), (2, range(1, 300))] };
        let bytes = manifest.encode();
        let expected: [u8; 32] = [
            1, 0, 0, 0, 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, // header
            0, 0, 0, 0, 0, 0, 63, 0, 2, 0, 0, 0, 1, 0, 44, 1, // parts
        ];
        assert_eq!(bytes, expected);
        assert_eq!(Manifest::decode(&bytes, 3).unwrap(), manifest);
    }

    #[test]
    fn damage_is_refused_or_changes_the_meaning() {
        let manifest = Manifest { epoch: 1 << 40, parts: vec![(1, range(2, 9)), (0, range(0, 1))] };
        let sound = manifest.encode();
        for cut in 0..sound.len() {
            assert!(Manifest::decode(&sound[..cut], 2).is_err(), "cut at {cut}");
        }
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let decoded = Manifest::decode(&bytes, 2);
            assert!(decoded.is_err() || decoded.is_ok_and(|other| other != manifest), "bit {bit}");
        }
        assert!(Manifest::decode(&sound, 1).is_err(), "a file that is not there");
        let endless = Manifest { epoch: u64::MAX, ..manifest };
        assert!(Manifest::decode(&endless.encode(), 2).is_err(), "no epoch can follow");
    }
}
