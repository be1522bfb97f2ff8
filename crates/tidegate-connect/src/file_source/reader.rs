//! Reads the lines that begin in a range.

use super::scanner::LineScanner;
use super::{FileFormat, FileSplit, Limits, LineParser};
use crate::{ConnectError, Poll, SplitReader};

pub(super) struct FileReader<R> {
    split: FileSplit,
    // Behind the last line handed out. Not the scanner's offset, which may be ahead after an error.
    position: u64,
    // None when nothing is left, so that an input file is not missed that is not needed.
    rest: Option<(LineScanner, LineParser<R>)>,
}

impl<R> FileReader<R> {
    pub(super) fn open<F: FileFormat<Record = R>>(
        split: &FileSplit,
        format: &F,
        limits: Limits,
    ) -> Result<Self, ConnectError> {
        let position = split.position();
        let rest = if position < split.end() {
            let scanner = scanner_at(split, position, limits)?;
            Some((scanner, format.parser(split.path(), limits.line)?))
        } else {
            None
        };
        Ok(Self { split: split.clone(), position, rest })
    }
}

impl<R> SplitReader for FileReader<R> {
    type Record = R;
    type Split = FileSplit;

    fn poll(&mut self, budget: usize, out: &mut dyn FnMut(R)) -> Result<Poll, ConnectError> {
        let Some((scanner, parser)) = &mut self.rest else { return Ok(Poll::Finished) };
        for _ in 0..budget {
            let offset = scanner.offset();
            if offset >= self.split.end() {
                break;
            }
            let Some(line) = scanner.next_line()? else { break };
            let record = parser(line, offset)?;
            self.position = scanner.offset();
            if let Some(record) = record {
                out(record);
            }
        }
        Ok(if scanner.offset() >= self.split.end() { Poll::Finished } else { Poll::More })
    }

    fn position(&self) -> FileSplit {
        self.split.at(self.position)
    }
}

// At the first line that begins at `position` or behind it.
fn scanner_at(
    split: &FileSplit,
    position: u64,
    limits: Limits,
) -> Result<LineScanner, ConnectError> {
    let Some(before) = position.checked_sub(1) else {
        return LineScanner::open(split, 0, limits);
    };
    // A line begins at the position exactly if the byte before it ends one.
    let mut scanner = LineScanner::open(split, before, limits)?;
    if !scanner.skip_line_break()? {
        if position > split.start() {
            let path = split.path().to_owned();
            return Err(ConnectError::PositionLost { path, offset: position });
        }
        scanner.skip_line()?;
    }
    Ok(scanner)
}
