//! Where records come from and go to: sources that know their position, sinks that commit.
//!
//! A [`SplitSource`] cuts its input into splits; a reader of a split says after every record where
//! to go on, so that a checkpoint can hold the position. A [`TwoPhaseSink`] prepares its output with
//! a checkpoint and commits it once that checkpoint is complete, so that every record is in the
//! committed output exactly once, whatever fails in between. [`FileSource`], [`Generator`] and
//! [`FileSink`] are such sources and sinks.
//!
//! **It is not** a runtime: it starts no thread, reads no clock, and knows neither checkpoint
//! storage nor state backends. Any loop that keeps positions and committables can drive it.
//!
//! ```
//! use tidegate_connect::{FileSource, SplitReader, SplitSource};
//!
//! let directory = tempfile::tempdir()?;
//! std::fs::write(directory.path().join("a.txt"), "one\ntwo\nthree\n")?;
//!
//! let source = FileSource::lines(directory.path());
//! let mut reader = source.open(&source.splits()?[0])?;
//! let mut lines = Vec::new();
//! reader.poll(2, &mut |line| lines.push(line))?;
//! assert_eq!(lines, ["one", "two"]);
//!
//! // The position is a split again: what remains to be read.
//! let position = FileSource::lines(directory.path()).open(&reader.position())?.poll(9, &mut |line| {
//!     assert_eq!(line, "three");
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod error;
mod file_sink;
mod file_source;
mod generator;
mod rate;
mod sink;
mod source;

pub use error::{ConnectError, FileOperation};
pub use file_sink::{FileSink, FileSinkWriter};
pub use file_source::{
    CsvFormat, CsvHeader, CsvRecord, FileFormat, FileSource, FileSplit, LineFormat, LineParser,
};
pub use generator::{Generator, GeneratorSplit};
pub use rate::RateLimiter;
pub use sink::{Recovery, SealedOutput, SinkContext, SinkFactory, SinkOwnership, TwoPhaseSink};
pub use source::{BoxedReader, Poll, SplitReader, SplitSource};
