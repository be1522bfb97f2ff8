//! Faults at every operation of trigger → publish → subsume → delete, each in turn.
//!
//! What must hold: what the next process finds is whole, nothing is missing that a complete
//! checkpoint refers to; it goes on from the newest checkpoint that was made durable, at least from
//! the newest one that anybody was told of; and after its next complete checkpoint nothing is left
//! but what that and the other retained ones refer to.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_coordinator::{
    ExternalizedCheckpointCleanup as Cleanup, JobStatus, next_checkpoint_id, survey, verify,
};
use tidegate_sim::{Fault, Life, Random, RunConfig, SimRun, SimStorage};
use tidegate_store::{CheckpointStorage, StoragePath, StorageRegistry};
use tidegate_types::{CheckpointId, FileReference};

const CHECKPOINTS: u32 = 7;
/// Nothing is under way any more, and all that is retained is kept.
const AND_SETTLES: Option<JobStatus> = Some(JobStatus::Suspended);

fn config(retained: u32, max_concurrent: u32, tolerable_failures: u32) -> RunConfig {
    RunConfig {
        retained: NonZeroU32::new(retained).unwrap(),
        max_concurrent: NonZeroU32::new(max_concurrent).unwrap(),
        tolerable_failures,
        cleanup: Cleanup::RetainOnCancellation,
    }
}

/// Looks at a copy, so that no operation of the run is counted.
fn complete_and_used(run: &SimRun, storage: &SimStorage) -> (Vec<u64>, BTreeSet<StoragePath>) {
    let copy: Arc<dyn CheckpointStorage> = Arc::new(storage.copy());
    let paths = run.paths();
    let found = survey(&StorageRegistry::local(), &copy, paths, Some(CheckpointId::FIRST)).unwrap();
    assert!(found.unreadable.is_empty(), "{:?}", found.unreadable);
    let mut used = BTreeSet::new();
    let mut complete = Vec::new();
    for located in &found.own {
        let id = located.metadata.checkpoint;
        verify(located).unwrap_or_else(|error| panic!("{error}\n{}", storage.trace().join("\n")));
        complete.push(id.get());
        used.insert(paths.metadata(id));
        let states = located.metadata.operators.iter().flat_map(|operator| &operator.subtasks);
        for file in states.flat_map(|(_, state)| state.files()) {
            used.insert(match &file.reference {
                FileReference::InCheckpoint(name) => paths.checkpoint(id).join(name).unwrap(),
                other => paths.job_directory().join(other.as_str()).unwrap(),
            });
        }
    }
    (complete, used)
}

/// What a process that starts now finds.
fn check_found(run: &SimRun, storage: &SimStorage) {
    let (complete, _) = complete_and_used(run, storage);
    let newest = complete.last().copied();
    let told = run.told().map(CheckpointId::get);
    assert!(newest >= told, "{newest:?} is found, {told:?} was complete: {:#?}", storage.trace());
    let copy = storage.copy();
    let next = next_checkpoint_id(&copy, run.paths()).unwrap().get();
    assert!(Some(next) > newest);
}

fn check_tidy(run: &SimRun, storage: &SimStorage, retained: usize) {
    let (complete, used) = complete_and_used(run, storage);
    assert!((1..=retained).contains(&complete.len()), "{complete:?} are kept");
    let files: BTreeSet<_> = storage.files().into_iter().collect();
    let orphans: Vec<_> = files.difference(&used).collect();
    assert!(orphans.is_empty(), "left over: {orphans:?}\n{}", storage.trace().join("\n"));
}

/// Runs with one fault, and again without; `false` when the fault came too late to happen.
fn trial(config: &RunConfig, at: u64, fault: Fault, seed: u64) -> bool {
    let mut run = SimRun::new(config.clone(), seed);
    let retained = config.retained.get() as usize;
    let mut storage = SimStorage::new(seed);
    storage.plan(at, fault);
    let life = run.live(&storage, CHECKPOINTS, None);
    let has_happened = storage.operations() > at;
    assert_eq!(life == Life::Crashed, has_happened && fault.is_crash());
    if life == Life::Over && has_happened {
        // What could not be deleted at first is by now, or was noticed by its writer.
        check_found(&run, &storage);
    }
    storage = storage.restart();
    check_found(&run, &storage);
    assert_eq!(run.live(&storage, 1, AND_SETTLES), Life::Over);
    check_tidy(&run, &storage, retained);
    assert_eq!(run.live(&storage.restart(), 3, None), Life::Over);
    has_happened
}

#[test]
fn a_fault_at_every_operation_in_turn() {
    let mut trials = 0_u32;
    for config in [config(1, 1, 9), config(2, 1, 0), config(1, 2, 1), config(3, 3, 0)] {
        for fault in Fault::ALL {
            let mut at = 0;
            while trial(&config, at, fault, at) {
                at += 1;
                trials += 1;
            }
            assert!(at > 100, "{at} operations are not a whole life");
        }
    }
    println!("{trials} faults");
}

#[test]
fn the_end_of_a_job_with_a_fault_at_every_operation() {
    for (cleanup, status, left) in [
        (Cleanup::NoExternalizedCheckpoints, JobStatus::Canceled, 0),
        (Cleanup::DeleteOnCancellation, JobStatus::Canceled, 0),
        (Cleanup::NoExternalizedCheckpoints, JobStatus::Suspended, 1),
        (Cleanup::RetainOnCancellation, JobStatus::Failed, 2),
    ] {
        let config = RunConfig { cleanup, ..config(2, 1, 9) };
        let operations = |run: &mut SimRun, end| {
            let storage = SimStorage::new(0);
            assert_eq!(run.live(&storage, 4, end), Life::Over);
            storage.operations()
        };
        let first = operations(&mut SimRun::new(config.clone(), 0), None);
        let last = operations(&mut SimRun::new(config.clone(), 0), Some(status));
        for (at, fault) in (first..=last).flat_map(|at| Fault::ALL.map(|fault| (at, fault))) {
            let mut run = SimRun::new(config.clone(), 0);
            let storage = SimStorage::new(at);
            storage.plan(at, fault);
            let life = run.live(&storage, 4, Some(status));
            let (complete, _) = complete_and_used(&run, &storage.restart());
            if life == Life::Over && at == last {
                assert_eq!((complete.len(), life), (left, Life::Over), "{status:?} {cleanup:?}");
                if left == 0 {
                    assert!(storage.files().is_empty(), "{:?}", storage.files());
                }
            }
            // Whatever is left, the next run is not disturbed by it, and ends as it should.
            let found = storage.restart();
            assert_eq!(run.live(&found, 3, Some(status)), Life::Over);
            let (complete, used) = complete_and_used(&run, &found);
            assert_eq!(complete.len(), left, "{status:?} {cleanup:?} {fault:?} at {at}");
            assert_eq!(found.files().len(), used.len(), "{:?}", found.files());
        }
    }
}

/// Crash after crash, also while recovering from one.
#[test]
fn several_faults_one_after_the_other() {
    for seed in 0..1_500 {
        let mut random = Random::new(seed);
        let mut number = |bound| 1 + u32::try_from(random.below(bound)).unwrap();
        let config = config(number(3), number(3), number(3) - 1);
        let mut run = SimRun::new(config.clone(), seed);
        let mut storage = SimStorage::new(seed);
        for _ in 0..4 {
            let fault = Fault::ALL[usize::try_from(random.below(6)).unwrap()];
            storage.plan(storage.operations() + random.below(120), fault);
            run.live(&storage, 2, None);
            storage = storage.restart();
            check_found(&run, &storage);
        }
        assert_eq!(run.live(&storage, 1, AND_SETTLES), Life::Over, "seed {seed}");
        check_tidy(&run, &storage, config.retained.get() as usize);
    }
}
