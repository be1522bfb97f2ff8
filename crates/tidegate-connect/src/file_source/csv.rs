//! Comma-separated values with a header.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::scanner::LineScanner;
use super::{BUFFER_SIZE, FileFormat, FileSplit, Limits, LineParser};
use crate::ConnectError;

/// Every line but the first of a file is a record of fields.
#[derive(Debug)]
pub struct CsvFormat {
    delimiter: u8,
    // The header of each file, read once for all of its splits.
    headers: Mutex<HashMap<PathBuf, Arc<CsvHeader>>>,
}

/// The names of a file's columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvHeader {
    names: Vec<Box<str>>,
}

impl CsvHeader {
    /// The names, in order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|name| &**name)
    }

    /// Which column has this name, from 0; the first of several.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|known| **known == *name)
    }
}

/// One line of a CSV file.
#[derive(Clone)]
pub struct CsvRecord {
    // The fields' text, unquoted, `gap` bytes apart from each other, and where each ends.
    text: String,
    ends: Vec<u32>,
    gap: u32,
    header: Arc<CsvHeader>,
}

impl CsvRecord {
    /// The field of the column with this name; `None` when there is no such column.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.field(self.header.index_of(name)?)
    }

    /// The field of the column at this index, from 0.
    #[must_use]
    pub fn field(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = if index == 0 { 0 } else { self.ends[index - 1] + self.gap };
        Some(&self.text[start as usize..end as usize])
    }

    /// The fields, in order.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len()).filter_map(|index| self.field(index))
    }

    /// The file's header.
    #[must_use]
    pub fn header(&self) -> &CsvHeader {
        &self.header
    }
}

impl fmt::Debug for CsvRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.header.names().zip(self.fields())).finish()
    }
}

impl CsvFormat {
    pub(super) fn new(delimiter: u8) -> Self {
        assert!(
            delimiter.is_ascii() && !b"\"\r\n".contains(&delimiter),
            "{:?} cannot separate the fields of a CSV file",
            char::from(delimiter)
        );
        Self { delimiter, headers: Mutex::default() }
    }

    fn header(&self, file: &Path, line_limit: usize) -> Result<Arc<CsvHeader>, ConnectError> {
        // Held while the file is read, so that no other split reads it too.
        let mut headers = self.headers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(header) = headers.get(file) {
            return Ok(Arc::clone(header));
        }
        let header = Arc::new(read_header(file, self.delimiter, line_limit)?);
        headers.insert(file.to_owned(), Arc::clone(&header));
        Ok(header)
    }
}

impl FileFormat for CsvFormat {
    type Record = CsvRecord;

    fn parser(
        &self,
        file: &Path,
        line_limit: usize,
    ) -> Result<LineParser<CsvRecord>, ConnectError> {
        let header = self.header(file, line_limit)?;
        let mut fields = FieldParser::new(self.delimiter);
        let path = file.to_owned();
        Ok(Box::new(move |line, offset| {
            if offset == 0 || line.is_empty() {
                return Ok(None);
            }
            let expected = header.names.len();
            let Some((text, ends, gap)) = fields.parse(line, expected) else {
                return Err(ConnectError::CsvOpenQuote { path: path.clone(), offset });
            };
            if ends.len() != expected {
                let (path, found) = (path.clone(), ends.len());
                return Err(ConnectError::CsvFieldCount { path, offset, expected, found });
            }
            Ok(Some(CsvRecord { text, ends, gap, header: Arc::clone(&header) }))
        }))
    }
}

fn read_header(file: &Path, delimiter: u8, line: usize) -> Result<CsvHeader, ConnectError> {
    let length = std::fs::metadata(file)
        .map_err(|error| ConnectError::io(crate::FileOperation::Open, file, error))?
        .len();
    let Some(whole) = FileSplit::cut(file, length, u64::MAX).next() else {
        return Ok(CsvHeader { names: Vec::new() });
    };
    let mut scanner = LineScanner::open(&whole, 0, Limits { line, buffer: BUFFER_SIZE })?;
    let line = scanner.next_line()?.unwrap_or_default();
    // The byte order mark, with which some programs begin their files, is no part of a name.
    let line = line.strip_prefix("\u{feff}".as_bytes()).unwrap_or(line);
    let Some((text, ends, gap)) = FieldParser::new(delimiter).parse(line, 0) else {
        return Err(ConnectError::CsvOpenQuote { path: file.to_owned(), offset: 0 });
    };
    let header = Arc::new(CsvHeader { names: Vec::new() });
    let record = CsvRecord { text, ends, gap, header };
    Ok(CsvHeader { names: record.fields().map(Into::into).collect() })
}

struct FieldParser {
    delimiter: u8,
    // Made when a quote is first seen: its tables take longer to build than many a range to read.
    quoted: Option<Reader>,
    // The line with its line break, for `quoted`.
    input: Vec<u8>,
}

impl FieldParser {
    fn new(delimiter: u8) -> Self {
        Self { delimiter, quoted: None, input: Vec::new() }
    }

    /// The text, ends and gap of the fields; `None` when a quote is left open.
    fn parse(&mut self, line: &[u8], expected: usize) -> Option<(String, Vec<u32>, u32)> {
        let text = String::from_utf8_lossy(line);
        let mut ends = Vec::with_capacity(expected);
        if memchr::memchr(b'"', line).is_none() {
            ends.extend(memchr::memchr_iter(self.delimiter, text.as_bytes()).map(narrow));
            ends.push(narrow(text.len()));
            return Some((text.into_owned(), ends, 1));
        }
        self.input.clear();
        self.input.extend_from_slice(text.as_bytes());
        self.input.push(b'\n');
        let mut output = vec![0; self.input.len()];
        let mut found = vec![0; self.input.len() + 1];
        let quoted = self.quoted.get_or_insert_with(|| {
            let mut builder = ReaderBuilder::new();
            builder.delimiter(self.delimiter).terminator(Terminator::Any(b'\n')).build()
        });
        quoted.reset();
        let (result, _, written, count) = quoted.read_record(&self.input, &mut output, &mut found);
        // Within quotes the line break is data like any other, and no record ends.
        if result != ReadRecordResult::Record {
            return None;
        }
        output.truncate(written);
        ends.extend(found[..count].iter().copied().map(narrow));
        let text = String::from_utf8(output).expect("text without some of its ASCII is still text");
        Some((text, ends, 0))
    }
}

fn narrow(offset: usize) -> u32 {
    // Lossy decoding makes three bytes of one at most, and a line has 2^30 at most.
    u32::try_from(offset).expect("the text of a line is below 4 GiB")
}
