//! What went wrong at the client or the cluster, by what is to be done about it.
//!
//! A failure is of one line: what Hadoop sends may be a whole stack trace. The client names the
//! same thing in several ways ("not found" has four faces); here it has one.

use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use hdfs_native::HdfsError;
use tidegate_store::{Determinacy, Operation, StorageError};

/// What is to be done about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no such file, or it was deleted while it was written.
    Missing,
    /// There is such a file or directory already.
    Exists,
    /// A directory that is to be deleted is not empty.
    NotEmpty,
    /// A file is where a directory should be, or the other way round.
    WrongSort,
    /// No permission, or no credentials.
    Denied,
    /// A quota, or the cluster's space.
    Full,
    /// Not done, and may be tried again: nobody answers, or not yet.
    Unavailable,
    /// The answer was lost or did not come in time: it may have been done, now or later.
    Unanswered,
    /// Bytes did not get through to or from the DataNodes; the file is to be written or read anew.
    Transfer,
    /// Anything else, which trying again does not help.
    Refused,
}

/// A call that failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    text: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { kind, text: text.into() }
    }

    /// Nothing came back within this time.
    pub(crate) fn timed_out(after: Duration) -> Self {
        Self::new(Kind::Unanswered, format!("no answer within {after:?}"))
    }

    /// Whether trying again may help.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.kind, Kind::Unavailable | Kind::Unanswered | Kind::Transfer)
    }

    /// The error of a storage, with the file's whole URI.
    pub(crate) fn at(
        self,
        operation: Operation,
        uri: impl Into<Box<str>>,
        determinacy: Determinacy,
    ) -> StorageError {
        let kind = match self.kind {
            Kind::Missing => ErrorKind::NotFound,
            Kind::Exists => ErrorKind::AlreadyExists,
            Kind::NotEmpty => ErrorKind::DirectoryNotEmpty,
            Kind::WrongSort => ErrorKind::NotADirectory,
            Kind::Denied => ErrorKind::PermissionDenied,
            Kind::Full => ErrorKind::QuotaExceeded,
            Kind::Unanswered => ErrorKind::TimedOut,
            Kind::Unavailable | Kind::Transfer | Kind::Refused => ErrorKind::Other,
        };
        StorageError::from_io(operation, uri, determinacy, io::Error::new(kind, self.text))
    }

    /// As [`at`](Self::at), of what did not happen.
    pub(crate) fn certainly(self, operation: Operation, uri: impl Into<Box<str>>) -> StorageError {
        self.at(operation, uri, Determinacy::Determinate)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<HdfsError> for Failure {
    fn from(error: HdfsError) -> Self {
        let kind = match &error {
            HdfsError::IOError(error) => of_connection(error.kind()),
            HdfsError::FileNotFound(_) => Kind::Missing,
            HdfsError::AlreadyExists(_) => Kind::Exists,
            HdfsError::IsADirectoryError(_) => Kind::WrongSort,
            HdfsError::RPCError(class, message) => of_exception(class, message),
            // The connection is closed with it; the call may have been carried out.
            HdfsError::FatalRPCError(class, message) => match of_exception(class, message) {
                Kind::Refused => Kind::Unanswered,
                kind => kind,
            },
            HdfsError::DataTransferError(_)
            | HdfsError::ChecksumError
            | HdfsError::BlocksNotFound(_)
            | HdfsError::OperationFailed(_) => Kind::Transfer,
            HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism => {
                Kind::Denied
            }
            _ => Kind::Refused,
        };
        Self { kind, text: first_line(&error.to_string()) }
    }
}

// Those of a connection that was never made. Of any other the other side may have got all.
fn of_connection(kind: ErrorKind) -> Kind {
    match kind {
        ErrorKind::ConnectionRefused
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NotConnected
        | ErrorKind::AddrNotAvailable => Kind::Unavailable,
        _ => Kind::Unanswered,
    }
}

fn of_exception(class: &str, message: &str) -> Kind {
    match class.rsplit('.').next().unwrap_or(class) {
        "FileNotFoundException" if message.contains("is not a file") => Kind::WrongSort,
        // A file that is being written and was deleted has no lease any more.
        "FileNotFoundException" | "LeaseExpiredException" => Kind::Missing,
        "FileAlreadyExistsException" | "AlreadyBeingCreatedException" => Kind::Exists,
        "PathIsNotEmptyDirectoryException" => Kind::NotEmpty,
        "ParentNotDirectoryException" | "PathIsNotDirectoryException" => Kind::WrongSort,
        "AccessControlException" | "AuthorizationException" | "InvalidToken" => Kind::Denied,
        "DSQuotaExceededException"
        | "NSQuotaExceededException"
        | "QuotaByStorageTypeExceededException" => Kind::Full,
        // After a start, while a standby takes over, and when the server is too busy.
        "SafeModeException"
        | "StandbyException"
        | "RetriableException"
        | "RecoveryInProgressException"
        | "NotReplicatedYetException" => Kind::Unavailable,
        "IOException"
            if message.contains("could only be") && !message.contains("are 0 datanode") =>
        {
            Kind::Full
        }
        "IOException" if message.contains("could only be") => Kind::Unavailable,
        _ => Kind::Refused,
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(error: HdfsError) -> Kind {
        Failure::from(error).kind
    }

    fn thrown(class: &str, message: &str) -> Kind {
        kind(HdfsError::RPCError(class.into(), message.into()))
    }

    #[test]
    fn not_found_has_one_face() {
        assert_eq!(kind(HdfsError::FileNotFound("/x".into())), Kind::Missing);
        assert_eq!(
            thrown("java.io.FileNotFoundException", "File does not exist: /x"),
            Kind::Missing
        );
        let lease = "org.apache.hadoop.hdfs.server.namenode.LeaseExpiredException";
        assert_eq!(thrown(lease, "No lease on /x: File does not exist."), Kind::Missing);
        assert_eq!(
            thrown("java.io.FileNotFoundException", "Path is not a file: /x"),
            Kind::WrongSort
        );
    }

    #[test]
    fn a_lost_answer_is_told_from_a_call_that_was_never_made() {
        let io = |kind| HdfsError::IOError(io::Error::from(kind));
        assert_eq!(kind(io(ErrorKind::ConnectionRefused)), Kind::Unavailable);
        for lost in [ErrorKind::ConnectionReset, ErrorKind::TimedOut, ErrorKind::UnexpectedEof] {
            assert_eq!(kind(io(lost)), Kind::Unanswered);
        }
    }

    #[test]
    fn a_stack_trace_is_cut_to_what_it_says() {
        let trace = "cannot\n\tat org.apache.Some.method(Some.java:1)";
        let failure = Failure::from(HdfsError::RPCError("java.lang.Error".into(), trace.into()));
        let error = failure.certainly(Operation::Read, "hdfs://x/y");
        let shown =
            format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(
            shown.contains("java.lang.Error cannot") && !shown.contains("Some.java"),
            "{shown}"
        );
    }

    #[test]
    fn quotas_and_space_are_named() {
        let quota = "org.apache.hadoop.hdfs.protocol.DSQuotaExceededException";
        let error = Failure::from(HdfsError::RPCError(quota.into(), "too much".into()));
        let error = error.certainly(Operation::Write, "hdfs://x/y");
        assert!(matches!(error, StorageError::Full { .. }), "{error:?}");
        let none = |running: u8| {
            format!(
                "File /x could only be replicated to 0 nodes. There are {running} datanode(s) running"
            )
        };
        assert_eq!(thrown("java.io.IOException", &none(2)), Kind::Full);
        assert_eq!(thrown("java.io.IOException", &none(0)), Kind::Unavailable);
    }
}
