//! What goes wrong between a job and those who want to reach it.

use std::io;
use std::path::PathBuf;

/// What goes wrong between a job and those who want to reach it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ControlError {
    /// The run-time directory cannot be made or looked at.
    #[error(
        "the directory of running jobs {} cannot be used; set TIDEGATE_RUNTIME_DIR to one of \
         your own", path.display()
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The run-time directory is not ours alone, so that others could put files there.
    #[error(
        "the directory of running jobs {} {problem}; remove it, or set TIDEGATE_RUNTIME_DIR to \
         one of your own", path.display()
    )]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The path of the socket is longer than the system allows.
    #[error(
        "{} is too long for a socket (at most 107 bytes): set TIDEGATE_RUNTIME_DIR to a shorter \
         directory", path.display()
    )]
    PathTooLong {
        /// The path.
        path: PathBuf,
    },
    /// The same job is registered by this process already.
    #[error("job {job} runs in this process already")]
    AlreadyRegistered {
        /// The job.
        job: String,
    },
    /// The files of a job cannot be written or its socket cannot be made.
    #[error("{} cannot be made", path.display())]
    Register {
        /// The file or socket.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The job cannot be reached or does not answer in time.
    #[error(
        "job {job} (process {process_id}) does not answer; if it hangs, end its process: its \
         completed checkpoints stay"
    )]
    Unreachable {
        /// The job.
        job: String,
        /// Its process.
        process_id: u32,
        /// The system's reason.
        source: io::Error,
    },
    /// The job answers something that this program does not understand.
    #[error("job {job} answers what this program does not understand: {answer:?}")]
    NotUnderstood {
        /// The job.
        job: String,
        /// The answer, cut to its first 200 characters.
        answer: Box<str>,
    },
}
