//! What becomes of the retained checkpoints of a job that has ended: one table.

use crate::ExternalizedCheckpointCleanup as Cleanup;

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobStatus {
    /// All input is processed and all output committed.
    Finished,
    /// Somebody wanted it to stop.
    Canceled,
    /// It failed, and may not be restarted any more.
    Failed,
    /// The machine wants the process gone; the job is meant to go on elsewhere.
    Suspended,
}

/// What becomes of the checkpoints (never of savepoints, which belong to the user).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fate {
    /// All are deleted.
    Delete,
    /// All are kept.
    Keep,
    /// The newest is kept, since the job goes on from it; the older ones are deleted.
    KeepNewest,
}

/// The fate of the checkpoints of a job that ended as `status`.
///
/// | | `NoExternalizedCheckpoints` | `DeleteOnCancellation` | `RetainOnCancellation` |
/// |---|---|---|---|
/// | `Finished` | delete | delete | delete |
/// | `Canceled` | delete | delete | keep |
/// | `Failed` | delete | keep | keep |
/// | `Suspended` | keep the newest | keep | keep |
#[must_use]
pub const fn fate(cleanup: Cleanup, status: JobStatus) -> Fate {
    match (status, cleanup) {
        (JobStatus::Finished, _)
        | (
            JobStatus::Canceled,
            Cleanup::NoExternalizedCheckpoints | Cleanup::DeleteOnCancellation,
        )
        | (JobStatus::Failed, Cleanup::NoExternalizedCheckpoints) => Fate::Delete,
        (JobStatus::Suspended, Cleanup::NoExternalizedCheckpoints) => Fate::KeepNewest,
        (JobStatus::Canceled, Cleanup::RetainOnCancellation)
        | (
            JobStatus::Failed | JobStatus::Suspended,
            Cleanup::DeleteOnCancellation | Cleanup::RetainOnCancellation,
        ) => Fate::Keep,
    }
}

// The table as people read it, so that a slip in the patterns above shows.
#[test]
fn every_cell_of_the_table() {
    use Cleanup::{
        DeleteOnCancellation as Del, NoExternalizedCheckpoints as No, RetainOnCancellation as Ret,
    };
    use Fate::{Delete, Keep, KeepNewest};
    let table = [
        (JobStatus::Finished, [(No, Delete), (Del, Delete), (Ret, Delete)]),
        (JobStatus::Canceled, [(No, Delete), (Del, Delete), (Ret, Keep)]),
        (JobStatus::Failed, [(No, Delete), (Del, Keep), (Ret, Keep)]),
        (JobStatus::Suspended, [(No, KeepNewest), (Del, Keep), (Ret, Keep)]),
    ];
    for (status, row) in table {
        for (cleanup, expected) in row {
            assert_eq!(fate(cleanup, status), expected, "{status:?} under {cleanup:?}");
        }
    }
}
