//! Any bytes as a file of lines and of CSV records: cut into ranges of any size and interrupted
//! anywhere, it gives the records of one reading from the beginning to the end.
//!
//! The first three bytes choose the size of the ranges, the delimiter, and where to interrupt.
#![no_main]

use std::path::Path;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_connect::{ConnectError, CsvRecord, FileFormat, FileSource, Poll, SplitSource};
use tidegate_fuzz::{Choices, Scratch};

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("input"));

/// Short enough that an input can have a line that is too long.
const LINE_LIMIT: usize = 200;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let split_size = 1 + choices.below(64) as u64;
    let delimiter = [b',', b';', b'\t', b'a'][choices.below(4)];
    let budget = 1 + choices.below(4);
    let content = choices.rest();
    let path = SCRATCH.with(content);

    let lines = |size: u64| FileSource::lines(path).with_split_size(size);
    let naive: Vec<String> = String::from_utf8_lossy(content).lines().map(str::to_owned).collect();
    let whole = read(&lines(u64::MAX), usize::MAX);
    assert_eq!(whole.records, naive);
    assert!(whole.error.is_none());
    assert_eq!(read(&lines(split_size), budget).records, naive);
    limited(path, split_size, &naive);

    let csv = |size: u64| FileSource::csv(path).with_delimiter(delimiter).with_split_size(size);
    let fields = |read: Read<CsvRecord>| -> (Vec<Vec<String>>, Option<String>) {
        let fields = |record: &CsvRecord| record.fields().map(str::to_owned).collect();
        (read.records.iter().map(fields).collect(), read.error)
    };
    let whole = fields(read(&csv(u64::MAX), usize::MAX));
    assert_eq!(fields(read(&csv(split_size), budget)), whole);
});

/// Up to the first line that is too long, the records are the same.
fn limited(path: &Path, split_size: u64, naive: &[String]) {
    let source = FileSource::lines(path).with_split_size(split_size).with_line_limit(LINE_LIMIT);
    let read = read(&source, 1);
    assert_eq!(read.records, naive[..read.records.len()]);
    match read.error {
        // What is not UTF-8 takes more bytes when it is replaced.
        Some(_) => assert!(naive[read.records.len()].len() > LINE_LIMIT),
        None => assert_eq!(read.records.len(), naive.len()),
    }
}

struct Read<R> {
    records: Vec<R>,
    /// The first error: what follows is not read.
    error: Option<String>,
}

/// Reads all ranges, and after every `budget` records goes on with the position as it is kept.
fn read<F: FileFormat>(source: &FileSource<F>, budget: usize) -> Read<F::Record> {
    let mut records = Vec::new();
    let result = read_all(source, budget, &mut records);
    Read { records, error: result.err().map(|error| error.to_string()) }
}

fn read_all<F: FileFormat>(
    source: &FileSource<F>,
    budget: usize,
    records: &mut Vec<F::Record>,
) -> Result<(), ConnectError> {
    for mut split in source.splits()? {
        loop {
            let mut reader = source.open(&split)?;
            let before = records.len();
            let poll = reader.poll(budget, &mut |record| records.push(record))?;
            assert!(records.len() - before <= budget, "more than was asked for");
            let kept = FileSource::<F>::encode_split(&reader.position());
            let position = FileSource::<F>::decode_split(&kept)?;
            assert!(position.position() >= split.position(), "back");
            let is_stuck = position == split && records.len() == before;
            split = position;
            if poll == Poll::Finished {
                break;
            }
            assert!(!is_stuck, "no progress at {split:?}");
        }
    }
    Ok(())
}
