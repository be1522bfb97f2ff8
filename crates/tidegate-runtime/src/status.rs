//! What the control endpoint tells of the job: written by the driver, read by the control thread.

use std::time::Instant;

use parking_lot::Mutex;
use tidegate_types::CheckpointId;

use crate::control::{JobState, JobStatusReport};

/// The job's state for others to read.
pub(crate) struct StatusBoard {
    started: Instant,
    report: Mutex<JobStatusReport>,
}

impl StatusBoard {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, report: Mutex::new(JobStatusReport::default()) }
    }

    pub(crate) fn state(&self, state: JobState) {
        self.report.lock().state = state;
    }

    pub(crate) fn restarted(&self, restarts: u32) {
        self.report.lock().restarts = restarts;
    }

    pub(crate) fn checkpoint_completed(&self, checkpoint: CheckpointId, path: String) {
        let mut report = self.report.lock();
        report.completed_checkpoints += 1;
        report.latest_checkpoint = Some(checkpoint.get());
        report.latest_checkpoint_path = Some(path);
    }

    pub(crate) fn checkpoint_failed(&self) {
        self.report.lock().failed_checkpoints += 1;
    }

    /// The state now.
    pub(crate) fn read(&self) -> JobStatusReport {
        let mut report = self.report.lock().clone();
        report.uptime_ms = u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX);
        report
    }
}
