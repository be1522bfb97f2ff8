//! What goes wrong in a store, and whether it may have happened all the same.

use std::fmt;
use std::io::{self, ErrorKind};

use tidegate_types::Digest;

use crate::OwnerInfo;

/// A storage operation that failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The text is no path within a storage.
    #[error(
        "{found:?} is no path in a storage: names joined by '/' are accepted, none of them empty, \
         beginning with a dot, or with a backslash, colon or control character"
    )]
    InvalidPath {
        /// The text, cut to its first 1,024 characters.
        found: Box<str>,
    },
    /// The URI names no storage.
    #[error("{uri:?} names no storage that is available here: use {available}")]
    InvalidUri {
        /// The URI that was given.
        uri: Box<str>,
        /// What is accepted, for people to read.
        available: &'static str,
    },
    /// No store of this program has the URI's scheme.
    #[error("{uri}: {advice}")]
    UnknownScheme {
        /// The URI that was given.
        uri: Box<str>,
        /// What is lacking, and what to do.
        advice: Box<str>,
    },
    /// A URI carries a password, which would be written into checkpoints and logs with it.
    #[error(
        "a {scheme}:// URI holds a password: put credentials into the configuration or the \
         environment"
    )]
    PasswordInUri {
        /// Its scheme.
        scheme: Box<str>,
    },
    /// There is no such file.
    #[error("{path} does not exist")]
    Missing {
        /// Where it was looked for.
        path: Box<str>,
    },
    /// There is such a file already, and files are never overwritten.
    #[error("{path} exists already and is never overwritten")]
    AlreadyExists {
        /// The existing file.
        path: Box<str>,
    },
    /// The operating system or the store's server refused.
    #[error("no permission to {operation} {path}")]
    Permission {
        /// What was tried.
        operation: Operation,
        /// On what.
        path: Box<str>,
        /// Whether it may have happened.
        determinacy: Determinacy,
        /// The error below.
        source: io::Error,
    },
    /// No space, or no quota, is left.
    #[error("no space is left to {operation} {path}: free some, or choose another directory")]
    Full {
        /// What was tried.
        operation: Operation,
        /// The file that did not fit.
        path: Box<str>,
        /// Whether it may have happened.
        determinacy: Determinacy,
        /// The error below.
        source: io::Error,
    },
    /// A read past the end of a file: it is shorter than what refers to it says.
    #[error("{path} has {length} bytes, {wanted} from offset {offset} on were wanted")]
    OutOfBounds {
        /// The file.
        path: Box<str>,
        /// From where, in bytes.
        offset: u64,
        /// How many bytes.
        wanted: u64,
        /// The file's length in bytes.
        length: u64,
    },
    /// A file is longer than the caller is ready to hold in memory.
    #[error("{path} has {length} bytes, at most {limit} are accepted here")]
    TooLong {
        /// The file.
        path: Box<str>,
        /// Its length in bytes.
        length: u64,
        /// What was accepted, in bytes.
        limit: u64,
    },
    /// A file is not as long as what refers to it says.
    #[error("{path} has {found} bytes, {expected} were written")]
    OtherLength {
        /// The file.
        path: Box<str>,
        /// As it was written, in bytes.
        expected: u64,
        /// As it is, in bytes.
        found: u64,
    },
    /// A file does not have the content that what refers to it says.
    #[error("{path} is damaged: its digest is {found}, {expected} was written")]
    OtherContent {
        /// The file.
        path: Box<str>,
        /// Of what was written.
        expected: Digest,
        /// Of what is there.
        found: Digest,
    },
    /// Another living process, or another job of this one, owns the directory.
    #[error(
        "{directory} is in use by {owner}: stop that one first, or take the directory over if it \
         cannot be stopped (`tidegate run --take-over`)"
    )]
    Owned {
        /// The directory.
        directory: Box<str>,
        /// Who owns it.
        owner: Box<OwnerInfo>,
    },
    /// The directory was owned and is no longer: somebody took it over, or removed the owner's mark.
    #[error("{directory} is no longer owned by this job: stop writing to it")]
    OwnershipLost {
        /// The directory.
        directory: Box<str>,
    },
    /// Any other failure of the operating system or the store's server.
    #[error("cannot {operation} {path}")]
    Io {
        /// What was tried.
        operation: Operation,
        /// On what.
        path: Box<str>,
        /// Whether it may have happened.
        determinacy: Determinacy,
        /// The error below.
        source: io::Error,
    },
}

impl StorageError {
    /// The named form of an I/O error: missing, exists, permission, full, or [`StorageError::Io`].
    #[must_use]
    pub fn from_io(
        operation: Operation,
        path: impl Into<Box<str>>,
        determinacy: Determinacy,
        source: io::Error,
    ) -> Self {
        let path = path.into();
        match source.kind() {
            ErrorKind::NotFound => Self::Missing { path },
            ErrorKind::AlreadyExists => Self::AlreadyExists { path },
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Self::Permission { operation, path, determinacy, source }
            }
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::Full { operation, path, determinacy, source }
            }
            _ => Self::Io { operation, path, determinacy, source },
        }
    }

    /// What made a write to a [`StateWriter`](crate::StateWriter) fail; `path` is used only for an
    /// error that came from elsewhere.
    #[must_use]
    pub fn from_write(path: impl Into<Box<str>>, error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(storage) => storage,
            Err(other) => Self::from_io(Operation::Write, path, Determinacy::Determinate, other),
        }
    }

    /// Whether the operation definitely did not happen, or may have.
    #[must_use]
    pub fn determinacy(&self) -> Determinacy {
        match self {
            Self::Permission { determinacy, .. }
            | Self::Full { determinacy, .. }
            | Self::Io { determinacy, .. } => *determinacy,
            _ => Determinacy::Determinate,
        }
    }

    /// For a [`StateWriter`](crate::StateWriter), whose `write` gives an [`io::Error`];
    /// [`from_write`](Self::from_write) is the way back.
    #[must_use]
    pub fn into_io(self) -> io::Error {
        let kind = match &self {
            Self::Permission { source, .. }
            | Self::Full { source, .. }
            | Self::Io { source, .. } => source.kind(),
            _ => ErrorKind::Other,
        };
        io::Error::new(kind, self)
    }
}

/// Whether a failed operation may have happened all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Determinacy {
    /// It definitely did not happen.
    Determinate,
    /// It may have happened, and may or may not survive the loss of power.
    Indeterminate,
}

/// What was tried, as the verb of an error's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Starting a file or making a directory.
    Create,
    /// Adding bytes to a file.
    Write,
    /// Making bytes or names durable.
    Sync,
    /// Giving a finished file its name.
    Publish,
    /// Opening or reading a file.
    Read,
    /// Listing a directory.
    List,
    /// Deleting a file or directory.
    Delete,
    /// Taking ownership of a directory.
    Own,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Create => "create",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Publish => "publish",
            Self::Read => "read",
            Self::List => "list",
            Self::Delete => "delete",
            Self::Own => "take ownership of",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_through_the_writer_too() {
        let full = StorageError::from_io(
            Operation::Write,
            "/x/y",
            Determinacy::Determinate,
            io::Error::from(ErrorKind::StorageFull),
        );
        let through_write = full.into_io();
        assert_eq!(through_write.kind(), ErrorKind::StorageFull);
        let named = StorageError::from_write("unused", through_write);
        assert!(
            matches!(&named, StorageError::Full { path, .. } if &**path == "/x/y"),
            "{named:?}"
        );
        assert_eq!(named.determinacy(), Determinacy::Determinate);
    }

    #[test]
    fn an_indeterminate_failure_stays_so() {
        for kind in [ErrorKind::PermissionDenied, ErrorKind::StorageFull, ErrorKind::TimedOut] {
            let error = StorageError::from_io(
                Operation::Sync,
                "/x",
                Determinacy::Indeterminate,
                io::Error::from(kind),
            );
            assert_eq!(error.determinacy(), Determinacy::Indeterminate, "{error:?}");
        }
    }
}
