//! Lines and CSV records of files, read in ranges of bytes.
//!
//! The rule that makes ranges independent: **a range owns the lines that begin inside it.** It reads
//! its last line to the end, even beyond its own, and skips the line that it begins in the middle of.

mod csv;
mod discover;
mod lines;
mod reader;
mod scanner;
mod split;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use self::csv::{CsvFormat, CsvHeader, CsvRecord};
pub use self::lines::LineFormat;
use self::reader::FileReader;
pub use self::split::FileSplit;
use crate::{BoxedReader, ConnectError, SplitSource};

// Enough for a system call to cost nothing beside the bytes, and to stay in the second-level cache.
const BUFFER_SIZE: usize = 256 * 1024;
// The fields of a CSV record are counted in 32 bits.
const LARGEST_LINE_LIMIT: usize = 1 << 30;

/// All regular files of a directory whose names do not begin with a dot, by name, or one file.
///
/// Input must not change while a job reads it, nor between a checkpoint and the resume from it. A file
/// that grows is read up to the length it had at first; one that shrinks or vanishes is an error.
#[derive(Debug)]
pub struct FileSource<F = LineFormat> {
    path: PathBuf,
    format: F,
    split_size: u64,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
struct Limits {
    line: usize,
    buffer: usize,
}

/// What the lines of a file mean.
pub trait FileFormat: Send + Sync + 'static {
    /// What a line becomes.
    type Record: Send + 'static;

    /// A parser of this file's lines, for one reader of it. No line is longer than `line_limit`.
    fn parser(
        &self,
        file: &Path,
        line_limit: usize,
    ) -> Result<LineParser<Self::Record>, ConnectError>;
}

/// Turns a line, without its line break, and the offset of its first byte in the file into a record;
/// `None` for a line that is none, such as a header.
pub type LineParser<R> = Box<dyn FnMut(&[u8], u64) -> Result<Option<R>, ConnectError>>;

impl FileSource<LineFormat> {
    /// Every line is a record, without its line break (`\n` or `\r\n`). What is not UTF-8 is replaced
    /// by U+FFFD.
    pub fn lines(path: impl AsRef<Path>) -> Self {
        Self::new(path, LineFormat)
    }
}

impl FileSource<CsvFormat> {
    /// Every line but the first of each file, its header, is a record; empty lines are not. Fields are
    /// separated by commas, and may be quoted as RFC 4180 has it, without line breaks.
    pub fn csv(path: impl AsRef<Path>) -> Self {
        Self::new(path, CsvFormat::new(b','))
    }

    /// Another separator than the comma.
    ///
    /// # Panics
    ///
    /// When it is not ASCII, or is a quote or line break.
    #[must_use]
    pub fn with_delimiter(mut self, delimiter: u8) -> Self {
        self.format = CsvFormat::new(delimiter);
        self
    }
}

impl<F> FileSource<F> {
    /// Files of any format whose records are lines.
    pub fn new(path: impl AsRef<Path>, format: F) -> Self {
        const MIB: usize = 1 << 20;
        let path = path.as_ref();
        // So that a position still fits when the job is resumed from another directory.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let limits = Limits { line: 16 * MIB, buffer: BUFFER_SIZE };
        Self { path, format, split_size: 16 * MIB as u64, limits }
    }

    /// The length of the ranges that files are cut into, in bytes: 16 MiB unless said otherwise.
    #[must_use]
    pub fn with_split_size(mut self, bytes: u64) -> Self {
        self.split_size = bytes.max(1);
        self
    }

    /// The longest line, in bytes without its line break: 16 MiB unless said otherwise, 1 GiB at most.
    /// A longer one is [`ConnectError::LineTooLong`]. A reader needs that much memory at worst.
    #[must_use]
    pub fn with_line_limit(mut self, bytes: usize) -> Self {
        self.limits.line = bytes.min(LARGEST_LINE_LIMIT);
        self
    }
}

impl<F: FileFormat> SplitSource for FileSource<F> {
    type Record = F::Record;
    type Split = FileSplit;

    fn splits(&self) -> Result<Vec<FileSplit>, ConnectError> {
        let mut splits = Vec::new();
        for (path, length) in discover::files(&self.path)? {
            splits.extend(FileSplit::cut(&path, length, self.split_size));
        }
        Ok(splits)
    }

    fn open(&self, split: &FileSplit) -> Result<BoxedReader<Self>, ConnectError> {
        Ok(Box::new(FileReader::open(split, &self.format, self.limits)?))
    }

    fn encode_split(split: &FileSplit) -> Vec<u8> {
        split.encode()
    }

    fn decode_split(bytes: &[u8]) -> Result<FileSplit, ConnectError> {
        FileSplit::decode(bytes).ok_or(ConnectError::Malformed { what: "position in a file" })
    }
}
