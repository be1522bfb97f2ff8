//! Random events against a model of the world: tasks, storage, and all that goes wrong.
//!
//! What must hold after every step: no checkpoint completes twice; a complete `_metadata` on disk
//! refers to files that are there; each checkpoint ends once; at the end nothing is left but what
//! the retention rules keep; when faults stop, checkpoints complete again.
//!
//! `TIDEGATE_SEED=n` runs one seed.

mod disk;
mod rng;
mod tasks;
mod world;

use tidegate_coordinator::{ExternalizedCheckpointCleanup as Cleanup, JobStatus};

use rng::Rng;
use world::World;

/// Of all worlds together.
const STEPS: u32 = 1_000_000;
/// Of one world.
const STEPS_OF_WORLD: u32 = 2_500;

#[test]
fn random_events_keep_the_promises() {
    let one: Option<u64> =
        std::env::var("TIDEGATE_SEED").ok().map(|seed| seed.parse().expect("a number"));
    let (mut steps, mut completed) = (0, 0);
    for seed in one.unwrap_or(1).. {
        let guard = SeedGuard(seed);
        let world = run(seed, &mut steps);
        completed += world.completed();
        std::mem::forget(guard);
        if one.is_some() || steps >= STEPS {
            break;
        }
    }
    println!("{steps} steps, {completed} complete checkpoints");
    // The model would prove little if hardly anything came to completion in it.
    assert!(one.is_some() || completed > 5_000, "{completed} complete checkpoints");
}

fn run(seed: u64, steps: &mut u32) -> World {
    let mut rng = Rng::new(seed);
    let mut world = World::new(&mut rng);
    for _ in 0..STEPS_OF_WORLD {
        *steps += 1;
        world.step(&mut rng);
        if world.is_over() && rng.chance(20) {
            break;
        }
    }
    world.without_faults();
    let statuses =
        [JobStatus::Finished, JobStatus::Canceled, JobStatus::Failed, JobStatus::Suspended];
    world.end(statuses[rng.below(4)], &mut rng);
    world
}

struct SeedGuard(u64);

impl Drop for SeedGuard {
    fn drop(&mut self) {
        eprintln!("repeat it with TIDEGATE_SEED={}", self.0);
    }
}

pub(crate) const CLEANUPS: [Cleanup; 3] = [
    Cleanup::NoExternalizedCheckpoints,
    Cleanup::DeleteOnCancellation,
    Cleanup::RetainOnCancellation,
];
