//! What goes wrong with input and output.

use std::fmt;
use std::io;
use std::path::PathBuf;

use tidegate_types::JobId;

/// A source or sink that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The operating system refused; also for a full disk.
    #[error("cannot {operation} {}", path.display())]
    Io {
        /// What was tried.
        operation: FileOperation,
        /// On what.
        path: PathBuf,
        /// The error below.
        source: io::Error,
    },
    /// The input of a source does not exist.
    #[error("the input {} does not exist: give a file or a directory of files", path.display())]
    InputMissing {
        /// The path that was given.
        path: PathBuf,
    },
    /// An input file is no longer what it was when it was cut into splits.
    #[error(
        "{} was changed while it was being read: {expected} bytes were expected, {found} are there; \
         put the file back as it was, or start the job anew", path.display()
    )]
    InputChanged {
        /// The file.
        path: PathBuf,
        /// Its length when it was split, in bytes.
        expected: u64,
        /// How much of it is there now, in bytes; 0 when it is gone.
        found: u64,
    },
    /// No line begins where the position of a checkpoint says one does.
    #[error(
        "no line begins at byte {offset} of {}: the file was changed since the checkpoint; put it \
         back as it was, or start the job anew", path.display()
    )]
    PositionLost {
        /// The file.
        path: PathBuf,
        /// The position, in bytes from its beginning.
        offset: u64,
    },
    /// A line is longer than the source accepts.
    #[error("the line at byte {offset} of {} is longer than {limit} bytes", path.display())]
    LineTooLong {
        /// The file.
        path: PathBuf,
        /// Where the line begins, in bytes.
        offset: u64,
        /// The longest line accepted, in bytes.
        limit: usize,
    },
    /// A line of a CSV file has not as many fields as the header.
    #[error(
        "the line at byte {offset} of {} has {found} fields, its header {expected}", path.display()
    )]
    CsvFieldCount {
        /// The file.
        path: PathBuf,
        /// Where the line begins, in bytes.
        offset: u64,
        /// How many the header has.
        expected: usize,
        /// How many the line has.
        found: usize,
    },
    /// A quoted field is not closed on its line.
    #[error(
        "a quoted field of the line at byte {offset} of {} does not end on that line: fields with \
         line breaks are not supported, for such a file cannot be split", path.display()
    )]
    CsvOpenQuote {
        /// The file.
        path: PathBuf,
        /// Where the line begins, in bytes.
        offset: u64,
    },
    /// Bytes from a checkpoint that are no split or no committable.
    #[error("the checkpoint's {what} is damaged or of another version")]
    Malformed {
        /// What it should have been.
        what: &'static str,
    },
    /// The output directory holds output that is not this job's.
    #[error(
        "{} holds output of {}: resume that job with `tidegate run -s`, or choose an empty directory",
        directory.display(), Origin(*owner)
    )]
    ForeignOutput {
        /// The directory.
        directory: PathBuf,
        /// Whose output it is; `None` when no job's name is there.
        owner: Option<JobId>,
    },
    /// Another living process, or another sink of this one, writes to the output directory.
    #[error(
        "{} is in use by {}: wait for it or stop it, or choose another directory",
        directory.display(), User(*owner)
    )]
    OutputInUse {
        /// The directory.
        directory: PathBuf,
        /// Which job uses it, if its name could be read.
        owner: Option<JobId>,
    },
    /// Prepared output is gone, and was not committed either.
    #[error(
        "prepared output is lost: neither {} nor the committed {} exists", pending.display(),
        committed.display()
    )]
    OutputLost {
        /// The prepared file.
        pending: PathBuf,
        /// The file it should have become.
        committed: PathBuf,
    },
    /// A prepared or committed file has not the content that its checkpoint says, or another file
    /// stands where it should go.
    #[error(
        "{} is not what the checkpoint says ({expected} bytes, {found} found): something else wrote \
         to the output directory", path.display()
    )]
    OutputChanged {
        /// The file.
        path: PathBuf,
        /// Its length by the checkpoint, in bytes.
        expected: u64,
        /// The length found; equal to `expected` when only the content differs.
        found: u64,
    },
}

impl ConnectError {
    pub(crate) fn io(
        operation: FileOperation,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> Self {
        Self::Io { operation, path: path.into(), source }
    }
}

/// What was tried, as the verb of an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FileOperation {
    /// Listing a directory.
    List,
    /// Opening a file.
    Open,
    /// Reading a file.
    Read,
    /// Making a file or directory.
    Create,
    /// Writing to a file.
    Write,
    /// Making bytes or names durable.
    Sync,
    /// Giving a file another name.
    Rename,
    /// Removing a file.
    Remove,
    /// Locking a file.
    Lock,
}

impl fmt::Display for FileOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::List => "list",
            Self::Open => "open",
            Self::Read => "read",
            Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Rename => "rename",
            Self::Remove => "remove",
            Self::Lock => "lock",
        })
    }
}

struct Origin(Option<JobId>);

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(job) => write!(f, "job {job}"),
            None => f.write_str("unknown origin"),
        }
    }
}

struct User(Option<JobId>);

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(job) => write!(f, "a running process of job {job}"),
            None => f.write_str("another running process"),
        }
    }
}
