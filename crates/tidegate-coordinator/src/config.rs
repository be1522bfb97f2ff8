//! How often checkpoints are taken, and how many of them stay.

use std::num::NonZeroU32;
use std::time::Duration;

/// The settings of a [`Coordinator`](crate::Coordinator).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorConfig {
    /// Between the starts of two periodic checkpoints; `None` takes none but those asked for, and
    /// the final one. At least a millisecond; less is taken for one.
    pub interval: Option<Duration>,
    /// Between the end of one checkpoint and the start of the next periodic one. When it is not
    /// zero, periodic checkpoints never overlap, whatever `max_concurrent` says.
    pub min_pause: Duration,
    /// After this long a checkpoint that lacks acknowledgements is given up.
    pub timeout: Duration,
    /// How many checkpoints may be under way at a time.
    pub max_concurrent: NonZeroU32,
    /// How many checkpoints in a row may fail before the job does.
    pub tolerable_failures: u32,
    /// How many completed checkpoints are kept.
    pub retained: NonZeroU32,
    /// What becomes of them when the job ends.
    pub cleanup: ExternalizedCheckpointCleanup,
}

impl Default for CoordinatorConfig {
    /// No periodic checkpoints; one at a time, 10 minutes each, no failure tolerated, one kept.
    fn default() -> Self {
        Self {
            interval: None,
            min_pause: Duration::ZERO,
            timeout: Duration::from_secs(600),
            max_concurrent: NonZeroU32::MIN,
            tolerable_failures: 0,
            retained: NonZeroU32::MIN,
            cleanup: ExternalizedCheckpointCleanup::default(),
        }
    }
}

/// What becomes of the retained checkpoints when the job ends; [`fate`](crate::fate) has the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ExternalizedCheckpointCleanup {
    /// Checkpoints are for the job's own recovery only and go with it.
    #[default]
    NoExternalizedCheckpoints,
    /// They outlive a failed job, not one that was cancelled.
    DeleteOnCancellation,
    /// They outlive a failed and a cancelled job.
    RetainOnCancellation,
}

impl ExternalizedCheckpointCleanup {
    /// Whether a checkpoint can outlive its job, so that it needs a directory that does too.
    #[must_use]
    pub const fn is_externalized(self) -> bool {
        !matches!(self, Self::NoExternalizedCheckpoints)
    }
}
