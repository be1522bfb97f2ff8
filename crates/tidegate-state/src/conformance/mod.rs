//! What every state backend must do, as a suite that a backend's tests run.
//!
//! ```
//! use tidegate_state::{MemoryStateBackend, conformance};
//! conformance::run(&MemoryStateBackend::new());
//! ```

mod cases;
mod harness;
mod model;
mod savepoints;

use crate::StateBackend;

/// Runs the whole suite.
///
/// # Panics
///
/// When the backend fails a case; the message says which.
pub fn run(backend: &dyn StateBackend) {
    cases::every_kind_of_state_comes_back(backend);
    cases::a_snapshot_is_of_its_instant(backend);
    cases::timers_come_back(backend);
    cases::state_that_nobody_registers_is_carried_over(backend);
    cases::other_types_are_refused(backend);
    cases::a_cancelled_snapshot_is_an_error(backend);
    cases::names_are_unique(backend);
    savepoints::a_savepoint_goes_to_and_from_the_memory_backend(backend);
    savepoints::values_of_an_earlier_version_are_migrated(backend);
    savepoints::only_the_declared_version_and_type_are_migrated(backend);
    for seed in 0..8 {
        model::agrees_with_a_plain_map(backend, seed);
    }
}
