//! How a command fails: what is told, and the exit code.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

use tidegate_runtime::ExitStatus;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    status: ExitStatus,
    error: anyhow::Error,
}

impl Failure {
    pub(crate) fn new(status: ExitStatus, error: impl Into<anyhow::Error>) -> Self {
        Self { status, error: error.into() }
    }

    /// The command line or the configuration is not usable.
    pub(crate) fn usage(error: impl Into<anyhow::Error>) -> Self {
        Self::new(ExitStatus::Usage, error)
    }

    /// Tells it on standard error.
    pub(crate) fn report(&self) -> ExitCode {
        let is_closed_pipe = |cause: &(dyn std::error::Error + 'static)| {
            cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == ErrorKind::BrokenPipe)
        };
        // The reader has seen enough (`tidegate list | head -1`): nobody has to be told.
        if !self.error.chain().any(is_closed_pipe) {
            // If standard error is gone as well, there is only the exit code.
            let _ = writeln!(io::stderr(), "tidegate: {:#}", self.error);
        }
        self.status.into()
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::new(ExitStatus::Failed, error)
    }
}
