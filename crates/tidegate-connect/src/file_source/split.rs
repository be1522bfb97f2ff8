//! A range of a file, with the position in it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const VERSION: u8 = 1;

/// What is left to be read of a range of a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileSplit {
    // Invariant: start < end <= length, start <= position <= length. The position may lie behind the
    // end, by the line that began before it. It is `start` or where a line begins.
    path: Arc<Path>,
    start: u64,
    end: u64,
    position: u64,
    length: u64,
}

impl FileSplit {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The first byte of the range.
    #[must_use]
    pub const fn start(&self) -> u64 {
        self.start
    }

    /// The byte behind the range.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Where to go on; from `end` on, nothing is left.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.position
    }

    /// The file's length when it was split, in bytes.
    #[must_use]
    pub const fn file_length(&self) -> u64 {
        self.length
    }

    pub(super) fn cut(path: &Path, length: u64, size: u64) -> impl Iterator<Item = Self> {
        let path: Arc<Path> = path.into();
        let cuts = length.div_ceil(size);
        (0..cuts).map(move |cut| {
            let start = cut * size;
            let end = length.min(start.saturating_add(size));
            Self { path: Arc::clone(&path), start, end, position: start, length }
        })
    }

    pub(super) fn at(&self, position: u64) -> Self {
        Self { position, ..self.clone() }
    }

    /// The version, the four numbers in little-endian order, the path's bytes.
    pub(super) fn encode(&self) -> Vec<u8> {
        let path = self.path.as_os_str().as_bytes();
        let mut bytes = Vec::with_capacity(33 + path.len());
        bytes.push(VERSION);
        for number in [self.start, self.end, self.position, self.length] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(path);
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, mut rest) = bytes.split_first()?;
        let mut number = || {
            let (number, behind) = rest.split_first_chunk()?;
            rest = behind;
            Some(u64::from_le_bytes(*number))
        };
        let (start, end, position, length) = (number()?, number()?, number()?, number()?);
        let fits = start < end && end <= length && start <= position && position <= length;
        let path = PathBuf::from(OsStr::from_bytes(rest));
        if version != VERSION || !fits || !path.is_absolute() || rest.contains(&0) {
            return None;
        }
        Some(Self { path: path.into(), start, end, position, length })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_reads_back_and_nothing_shorter_does() {
        let path = Path::new(OsStr::from_bytes(b"/data/\xff.txt"));
        for split in FileSplit::cut(path, 100, 33) {
            let split = split.at(split.start() + 1);
            let bytes = split.encode();
            assert_eq!(FileSplit::decode(&bytes), Some(split));
            for end in 0..=33 {
                assert_eq!(FileSplit::decode(&bytes[..end]), None, "{end} bytes");
            }
        }
    }

    #[test]
    fn numbers_that_contradict_each_other_are_no_split() {
        for numbers in [[5, 5, 5, 9], [0, 10, 0, 9], [3, 5, 2, 9], [3, 5, 10, 9]] {
            let mut bytes = vec![VERSION];
            numbers.iter().for_each(|n: &u64| bytes.extend(n.to_le_bytes()));
            bytes.extend(b"/x");
            assert_eq!(FileSplit::decode(&bytes), None, "{numbers:?}");
        }
    }

    #[test]
    fn cuts_cover_the_file_without_overlap() {
        for (length, size) in (0..40).flat_map(|l| (1..45).map(move |s| (l, s))) {
            let mut next = 0;
            for split in FileSplit::cut(Path::new("/x"), length, size) {
                assert_eq!((split.start, split.position), (next, next));
                assert!(split.end > split.start && split.end - split.start <= size);
                next = split.end;
            }
            assert_eq!(next, length, "size {size}");
        }
        assert_eq!(FileSplit::cut(Path::new("/x"), 7, u64::MAX).count(), 1);
    }
}
