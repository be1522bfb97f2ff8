//! The control endpoint: how `tidegate list`, `cancel`, `savepoint` and `stop` find and reach
//! running jobs.
//!
//! Every running job has two files in the run-time directory, named `<job id>-<process id>`: a
//! `.json` that says which job it is ([`JobEntry`]) and a `.sock` at which it answers
//! ([`ControlServer`]). The directory is the user's own: `$TIDEGATE_RUNTIME_DIR`, else
//! `$XDG_RUNTIME_DIR/tidegate`, else `/tmp/tidegate-<uid>`. On the socket a client writes one line
//! of JSON and gets one back.

mod client;
mod connection;
mod directory;
mod entry;
mod error;
mod protocol;
mod server;

pub use client::{is_running, list_jobs, request, take_abandoned, wait_until_ended};
pub use directory::{RUNTIME_DIRECTORY_VARIABLE, runtime_directory};
pub use entry::{JobEntry, JobRegistration, ProcessIdentity};
pub use error::ControlError;
pub use protocol::{
    ControlRequest, ControlResponse, JobState, JobStatusReport, SavepointReport, SavepointState,
};
pub use server::{ControlHandler, ControlServer};

#[cfg(test)]
mod tests;
