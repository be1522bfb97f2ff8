//! The model of the coordinator's tests, with another source of randomness.

#[path = "../../../crates/tidegate-coordinator/tests/it/model/disk.rs"]
mod disk;
pub(crate) mod rng;
#[path = "../../../crates/tidegate-coordinator/tests/it/model/tasks.rs"]
mod tasks;
#[expect(dead_code, reason = "the tests count what has completed")]
#[path = "../../../crates/tidegate-coordinator/tests/it/model/world.rs"]
pub(crate) mod world;

use tidegate_coordinator::ExternalizedCheckpointCleanup as Cleanup;

pub(crate) const CLEANUPS: [Cleanup; 3] = [
    Cleanup::NoExternalizedCheckpoints,
    Cleanup::DeleteOnCancellation,
    Cleanup::RetainOnCancellation,
];
