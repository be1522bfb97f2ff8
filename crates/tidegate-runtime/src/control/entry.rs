//! A running job as others see it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tidegate_types::{AttemptId, JobId};

/// What a job says of itself when it starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobRegistration {
    /// The job.
    pub job_id: JobId,
    /// Its name.
    pub job_name: String,
    /// The job's directory of checkpoints, as a URI.
    pub checkpoint_directory: String,
    /// The attempt with which it starts.
    pub attempt: AttemptId,
    /// When it started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
}

impl JobRegistration {
    /// A job that starts now.
    pub fn current(
        job_id: JobId,
        job_name: &str,
        checkpoint_directory: String,
        attempt: AttemptId,
    ) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        Self {
            job_id,
            job_name: job_name.to_owned(),
            checkpoint_directory,
            attempt,
            started_at_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A running job, as its file in the run-time directory tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobEntry {
    /// The job's id, 32 hexadecimal digits.
    pub job_id: String,
    /// The job's name.
    pub job_name: String,
    /// The process it runs in.
    pub process_id: u32,
    /// When that process started, in the kernel's clock ticks: tells it from a later one with the
    /// same id.
    pub process_start_time: u64,
    /// When the job started: milliseconds since the Unix epoch.
    pub started_at_ms: u64,
    /// The job's directory of checkpoints, as a URI.
    #[serde(default)]
    pub checkpoint_directory: String,
    /// The attempt with which it started.
    #[serde(default)]
    pub attempt: u64,
    /// The job's file in the run-time directory; not part of its content.
    #[serde(skip)]
    pub path: PathBuf,
}

impl JobEntry {
    /// The socket at which the job answers.
    pub fn socket(&self) -> PathBuf {
        self.path.with_extension("sock")
    }

    pub(super) fn of_this_process(job: JobRegistration, directory: &Path) -> Self {
        let process_id = std::process::id();
        let job_id = job.job_id.to_string();
        let path = directory.join(format!("{job_id}-{process_id}.json"));
        Self {
            job_id,
            job_name: job.job_name,
            process_id,
            process_start_time: crate::process::stat(process_id).map_or(0, |s| s.start_time),
            started_at_ms: job.started_at_ms,
            checkpoint_directory: job.checkpoint_directory,
            attempt: job.attempt.get(),
            path,
        }
    }
}
