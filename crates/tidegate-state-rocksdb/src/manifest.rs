//! The manifest: which files make up the database of a range of key groups, under which names.
//!
//! `docs/format-rocksdb-manifest.md` is normative:
//!
//! ```text
//! u32 version, 1    u32 number of files    u64 checkpoint    i64 time
//! u16 length, version of RocksDB
//! file: u8 kind, u16 length, name; kind 1: u32 index in the handle's shared files
//!                                  kind 2: u32 length, content
//! ```

use tidegate_types::CheckpointId;

use crate::RocksDbStateError;

const VERSION: u32 = 1;
const SHARED: u8 = 1;
const INLINE: u8 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    /// The checkpoint that it was made for.
    pub(crate) checkpoint: CheckpointId,
    /// What has expired by this time is not part of it, in milliseconds since the Unix epoch.
    pub(crate) now_ms: i64,
    /// The version of RocksDB that wrote the files.
    pub(crate) written_by: Box<str>,
    /// The files of the database, by the name that each has there.
    pub(crate) files: Vec<(Box<str>, Content)>,
}

/// Where the content of a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// The index in the handle's shared files.
    Shared(u32),
    /// Here.
    Inline(Vec<u8>),
}

impl Manifest {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        let count = u32::try_from(self.files.len()).expect("fewer than 2^32 files");
        bytes.extend_from_slice(&count.to_le_bytes());
        bytes.extend_from_slice(&self.checkpoint.get().to_le_bytes());
        bytes.extend_from_slice(&self.now_ms.to_le_bytes());
        text(&mut bytes, &self.written_by);
        for (name, content) in &self.files {
            match content {
                Content::Shared(index) => {
                    bytes.push(SHARED);
                    text(&mut bytes, name);
                    bytes.extend_from_slice(&index.to_le_bytes());
                }
                Content::Inline(content) => {
                    bytes.push(INLINE);
                    text(&mut bytes, name);
                    let length = u32::try_from(content.len()).expect("small enough to be inlined");
                    bytes.extend_from_slice(&length.to_le_bytes());
                    bytes.extend_from_slice(content);
                }
            }
        }
        bytes
    }

    /// Reads a manifest of a handle with so many shared files.
    pub(crate) fn decode(bytes: &[u8], shared: usize) -> Result<Self, RocksDbStateError> {
        let mut reader = Reader { bytes, offset: 0 };
        let version = reader.u32()?;
        if version != VERSION {
            return Err(malformed(0, "manifest version 1", version.into()));
        }
        let count = reader.u32()?;
        let number = reader.u64()?;
        let checkpoint = CheckpointId::new(number);
        let checkpoint = checkpoint.ok_or(malformed(8, "the number of a checkpoint", number))?;
        let now_ms = reader.array().map(i64::from_le_bytes)?;
        let written_by = reader.text()?;
        let mut files = Vec::new();
        for _ in 0..count {
            let at = reader.offset;
            let [kind] = reader.array::<1>()?;
            let name = reader.text()?;
            if !is_file_name(&name) {
                return Err(malformed(at + 3, "the name of a database's file", name.len() as u64));
            }
            let content = match kind {
                SHARED => {
                    let (at, index) = (reader.offset, reader.u32()?);
                    if index as usize >= shared {
                        return Err(malformed(at, "the index of a shared file", index.into()));
                    }
                    Content::Shared(index)
                }
                INLINE => {
                    let length = reader.u32()? as usize;
                    Content::Inline(reader.take(length)?.to_vec())
                }
                other => return Err(malformed(at, "kind 1 or 2 of a file", other.into())),
            };
            files.push((name, content));
        }
        match bytes.len() - reader.offset {
            0 => Ok(Self { checkpoint, now_ms, written_by, files }),
            more => Err(malformed(reader.offset, "the end", more as u64)),
        }
    }
}

/// The names that RocksDB gives to what a checkpoint needs; none of them leaves its directory.
pub(crate) fn is_file_name(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    name == "CURRENT"
        || name.strip_suffix(".sst").is_some_and(is_number)
        || name.strip_prefix("MANIFEST-").is_some_and(is_number)
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("a short name");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(text.as_bytes());
}

fn malformed(offset: usize, expected: &'static str, found: u64) -> RocksDbStateError {
    RocksDbStateError::Manifest { offset, expected, found }
}

struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], RocksDbStateError> {
        let left = self.bytes.len() - self.offset;
        let taken = self.bytes[self.offset..].get(..length);
        let taken =
            taken.ok_or(malformed(self.offset, "more bytes than there are", left as u64))?;
        self.offset += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RocksDbStateError> {
        Ok(self.take(N)?.try_into().expect("as many as were asked for"))
    }

    fn u32(&mut self) -> Result<u32, RocksDbStateError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, RocksDbStateError> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<Box<str>, RocksDbStateError> {
        let at = self.offset;
        let length = self.array().map(u16::from_le_bytes)?;
        let text = std::str::from_utf8(self.take(length.into())?);
        text.map(Into::into).map_err(|_| malformed(at, "a text in UTF-8", length.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        Manifest {
            checkpoint: CheckpointId::FIRST.next(),
            now_ms: -2,
            written_by: "11.12".into(),
            files: vec![
                ("000012.sst".into(), Content::Shared(1)),
                ("CURRENT".into(), Content::Inline(b"MANIFEST-000004\n".to_vec())),
                ("MANIFEST-000004".into(), Content::Inline(vec![0; 3])),
            ],
        }
    }

    #[test]
    fn the_bytes_are_those_of_the_format() {
        let golden = include_bytes!("../testdata/v1/manifest.bin");
        assert_eq!(sample().encode(), golden);
        assert_eq!(Manifest::decode(golden, 2).unwrap(), sample());
    }

    #[test]
    fn damage_is_refused_or_changes_the_meaning() {
        let sound = sample().encode();
        for cut in 0..sound.len() {
            assert!(Manifest::decode(&sound[..cut], 2).is_err(), "cut at {cut}");
        }
        for bit in 0..sound.len() * 8 {
            let mut bytes = sound.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let decoded = Manifest::decode(&bytes, 2);
            assert!(decoded.is_err() || decoded.is_ok_and(|other| other != sample()), "bit {bit}");
        }
        assert!(Manifest::decode(&sound, 1).is_err(), "a file that is not there");
    }

    #[test]
    fn no_name_leaves_its_directory() {
        for name in ["../1.sst", "/1.sst", ".sst", "a.sst", "MANIFEST-", "MANIFEST-1/x", "LOCK", ""]
        {
            assert!(!is_file_name(name), "{name:?}");
        }
    }
}
