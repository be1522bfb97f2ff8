//! Random events on the coordinator against the model of the world of its own tests: tasks,
//! storage, and all that goes wrong, here with choices that the fuzzer makes.
//!
//! What must hold is told in `crates/tidegate-coordinator/tests/it/model.rs`.
#![no_main]

#[expect(dead_code, reason = "other tests of the crate use the rest")]
#[path = "../../crates/tidegate-coordinator/tests/it/common.rs"]
mod common;
mod model;

use libfuzzer_sys::fuzz_target;
use tidegate_coordinator::JobStatus;

use model::rng::Rng;
use model::world::World;

const STEPS_MAX: usize = 2000;

fuzz_target!(|bytes: &[u8]| {
    let mut rng = Rng::of(bytes);
    let mut world = World::new(&mut rng);
    let mut steps = 0;
    while !rng.is_over() && steps < STEPS_MAX {
        world.step(&mut rng);
        steps += 1;
    }
    world.without_faults();
    let statuses =
        [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed, JobStatus::Suspended];
    world.end(statuses[rng.below(4)], &mut rng);
});
