//! What every state backend must do, as a suite that a backend's tests run.
//!
//! ```
//! use std::sync::Arc;
//! use tidegate_state::{MemoryStateBackend, conformance};
//! use tidegate_store::MemoryStorage;
//! # use tidegate_store::CheckpointStorage;
//! let storage: Arc<dyn CheckpointStorage> = Arc::new(MemoryStorage::new());
//! conformance::run(&MemoryStateBackend::new(), &storage);
//! ```

mod aborts;
mod cases;
mod expiry;
mod harness;
mod model;
mod savepoints;

use std::sync::Arc;

use tidegate_store::CheckpointStorage;

use self::harness::Harness;
use crate::StateBackend;

/// Runs the whole suite, with snapshots in `storage`.
///
/// # Panics
///
/// When the backend fails a case; the message says which.
pub fn run(backend: &dyn StateBackend, storage: &Arc<dyn CheckpointStorage>) {
    let cases: [fn(&Harness<'_>); 18] = [
        cases::every_kind_of_state_comes_back,
        cases::a_snapshot_is_of_its_instant,
        cases::timers_come_back,
        cases::state_that_nobody_registers_is_carried_over,
        cases::other_types_are_refused,
        cases::a_cancelled_snapshot_is_an_error,
        cases::names_are_unique,
        cases::maps_and_lists_survive_many_snapshots,
        cases::every_key_is_shown_once,
        aborts::an_aborted_checkpoint_loses_nothing,
        aborts::a_declined_checkpoint_loses_nothing,
        aborts::a_savepoint_is_read_like_a_checkpoint,
        savepoints::a_savepoint_goes_to_and_from_the_memory_backend,
        savepoints::values_of_an_earlier_version_are_migrated,
        savepoints::only_the_declared_version_and_type_are_migrated,
        expiry::values_expire,
        expiry::reading_may_keep_values_alive,
        expiry::lists_and_maps_expire_by_entry,
    ];
    for case in cases {
        case(&Harness::new(backend, storage));
    }
    for seed in 0..8 {
        model::agrees_with_a_plain_map(&Harness::new(backend, storage), seed);
    }
}
