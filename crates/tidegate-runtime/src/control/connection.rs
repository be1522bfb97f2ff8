//! One line there and one line back, with bounds on length and time.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// The longest line, in bytes, its end included.
pub(super) const LINE_LENGTH_MAX: usize = 64 << 10;

/// A stream whose every line must be through by a deadline, however slowly the other side goes.
pub(super) struct Connection {
    stream: UnixStream,
    deadline: Instant,
}

impl Connection {
    pub(super) fn new(stream: UnixStream, within: Duration) -> Self {
        Self { stream, deadline: Instant::now() + within }
    }

    /// The next line, without its end.
    pub(super) fn read_line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        let mut piece = [0; 4096];
        loop {
            self.stream.set_read_timeout(Some(self.remaining()?))?;
            let length = match self.stream.read(&mut piece) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(named(error)),
            };
            line.extend_from_slice(&piece[..length]);
            let end = line.iter().position(|byte| *byte == b'\n');
            if end.unwrap_or(line.len()) >= LINE_LENGTH_MAX {
                return Err(io::Error::new(ErrorKind::InvalidData, "the line is too long"));
            }
            if let Some(end) = end {
                line.truncate(end);
                return String::from_utf8(line)
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
            }
        }
    }

    /// Writes a line and its end.
    pub(super) fn write_line(&mut self, mut line: String) -> io::Result<()> {
        line.push('\n');
        self.stream.set_write_timeout(Some(self.remaining()?))?;
        self.stream.write_all(line.as_bytes()).map_err(named)
    }

    fn remaining(&self) -> io::Result<Duration> {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        if remaining.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(remaining) }
    }
}

// A socket's timeout is told as "resource temporarily unavailable", which helps nobody.
fn named(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock { ErrorKind::TimedOut.into() } else { error }
}
