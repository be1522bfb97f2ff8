//! Identifiers: of checkpoints, jobs, attempts, operators and tasks.
//!
//! None of them dereferences to its number: an id is compared and printed, never computed with.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// A text that is not a valid identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidId {
    /// A job id is 32 lower-case hexadecimal digits.
    #[error("a job id has 32 hexadecimal digits, found {found:?}")]
    Job {
        /// The text that was given.
        found: Box<str>,
    },
    /// An operator uid is 1 to 255 bytes without control characters.
    #[error("an operator uid has 1 to 255 bytes and no control characters, found {found:?}")]
    Operator {
        /// The text that was given, cut to its first 255 bytes.
        found: Box<str>,
    },
}

/// The number of a checkpoint within its job: 1 for the first, never given twice, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId(u64);

impl CheckpointId {
    /// The id of a job's first checkpoint.
    pub const FIRST: Self = Self(1);

    /// The id with this number; `None` for 0, which no checkpoint has.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 { None } else { Some(Self(number)) }
    }

    /// The number, 1 or more.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The id that follows this one.
    ///
    /// # Panics
    ///
    /// After 2^64 - 1 checkpoints.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("fewer than 2^64 checkpoints"))
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a job: 128 bits, kept over every restart, resume and rescale of the job.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

impl JobId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The 16 bytes, in the order in which they are printed.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

impl FromStr for JobId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let invalid = || InvalidId::Job { found: text.chars().take(64).collect() };
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        u128::from_str_radix(text, 16).map(|bits| Self(bits.to_be_bytes())).map_err(|_| invalid())
    }
}

/// Which incarnation of a job wrote something: raised whenever the job's tasks start anew, so that
/// nothing an earlier incarnation still writes can be taken for ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AttemptId(u64);

impl AttemptId {
    /// The attempt with this number.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The attempt that follows this one.
    ///
    /// # Panics
    ///
    /// After 2^64 - 1 attempts.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.checked_add(1).expect("fewer than 2^64 attempts"))
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name under which an operator's state is found again: chosen by the job's author, unique in
/// the job, kept for as long as the state shall be. 1 to 255 bytes without control characters.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperatorUid(Arc<str>);

impl OperatorUid {
    /// The uid with this text.
    pub fn new(uid: &str) -> Result<Self, InvalidId> {
        if uid.is_empty() || uid.len() > 255 || uid.chars().any(char::is_control) {
            return Err(InvalidId::Operator { found: uid.chars().take(255).collect() });
        }
        Ok(Self(uid.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperatorUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for OperatorUid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OperatorUid({:?})", &*self.0)
    }
}

/// A task of the running job: a chain of operators, by its position in the job graph. It names
/// nothing on disk, where only [`OperatorUid`]s survive a change of the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u32);

impl TaskId {
    /// The task at this position.
    #[must_use]
    pub const fn new(position: u32) -> Self {
        Self(position)
    }

    /// The position, from 0.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "task {}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn job_id_reads_what_it_prints_and_nothing_else() {
        let id = JobId::from_bytes(*b"0123456789abcdef");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "12", "+0123456789abcdef0123456789abcde", &"g".repeat(32)] {
            assert!(text.parse::<JobId>().is_err(), "{text:?} is no job id");
        }
    }

    #[test]
    fn operator_uid_has_bounds() {
        assert!(OperatorUid::new("count words").is_ok());
        for text in ["", "a\nb", &"x".repeat(256)] {
            assert!(OperatorUid::new(text).is_err(), "{text:?} is no uid");
        }
    }

    #[test]
    fn no_checkpoint_is_number_zero() {
        assert_eq!(CheckpointId::new(0), None);
        assert_eq!(CheckpointId::FIRST.next(), CheckpointId::new(2).unwrap());
    }
}
