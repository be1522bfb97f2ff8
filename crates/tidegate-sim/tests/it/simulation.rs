//! The simulation keeps the contract of a storage, and is a function of its seed.

use std::num::NonZeroU32;
use std::sync::Arc;

use tidegate_coordinator::ExternalizedCheckpointCleanup;
use tidegate_sim::{Fault, Life, RunConfig, SimRun, SimStorage};
use tidegate_store::{CheckpointStorage, PublishOutcome, StorageError, StoragePath, conformance};

#[test]
fn without_faults_it_is_a_storage_like_any_other() {
    let seed = std::cell::Cell::new(0);
    conformance::run(&|| {
        seed.set(seed.get() + 1);
        Arc::new(SimStorage::new(seed.get()))
    });
}

fn trace(seed: u64) -> (Vec<String>, Vec<StoragePath>) {
    let retained = NonZeroU32::new(2).unwrap();
    let config = RunConfig {
        retained,
        max_concurrent: retained,
        tolerable_failures: 0,
        cleanup: ExternalizedCheckpointCleanup::RetainOnCancellation,
    };
    let mut run = SimRun::new(config, seed);
    let mut storage = SimStorage::new(seed);
    for (round, fault) in Fault::ALL.into_iter().cycle().take(18).enumerate() {
        storage.plan(storage.operations() + 20 + 7 * round as u64, fault);
        if run.live(&storage, 6, None) == Life::Crashed {
            storage = storage.restart();
        }
    }
    (storage.trace(), storage.files())
}

#[test]
fn the_same_seed_makes_the_same_history() {
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    let histories: std::collections::HashSet<_> = (0..20).map(|seed| trace(seed).0).collect();
    assert!(histories.len() > 1, "the seed decides nothing");
}

#[test]
fn each_fault_does_what_it_says() {
    let path = StoragePath::new("file").unwrap();
    for fault in Fault::ALL {
        let storage = SimStorage::new(1);
        storage.plan(0, fault);
        let failed = storage.publish(&path, b"x").unwrap_err();
        let is_there = !storage.files().is_empty();
        match fault {
            Fault::CrashBefore | Fault::Fail | Fault::FailInDoubt => assert!(!is_there),
            Fault::CrashAfter | Fault::HappenAndFail => assert!(is_there),
            Fault::CrashWithin => {}
        }
        let is_sure = failed.determinacy() == tidegate_store::Determinacy::Determinate;
        assert_eq!(is_sure, fault == Fault::Fail, "{fault:?}: {failed}");
        assert_eq!(storage.has_crashed(), fault.is_crash());
        let again = storage.publish(&path, b"x");
        assert_eq!(again.is_err(), fault.is_crash(), "a dead process does nothing");
        let found = storage.restart();
        let was_there = is_there || again.is_ok();
        let outcome = found.publish(&path, b"x").unwrap();
        assert_eq!(outcome == PublishOutcome::AlreadyExists, was_there, "{fault:?}");
    }
}

#[test]
fn only_deleted_data_can_come_back() {
    let path = |text: &str| StoragePath::new(text).unwrap();
    let (mut came_back, mut stayed_away) = (0, 0);
    for seed in 0..50 {
        let storage = SimStorage::new(seed);
        for file in ["chk-1/_metadata", "chk-1/data", "shared/data"] {
            assert_eq!(storage.publish(&path(file), b"x").unwrap(), PublishOutcome::Published);
        }
        storage.delete(&path("shared/data")).unwrap();
        storage.delete_directory(&path("chk-1")).unwrap();
        assert!(storage.files().is_empty());
        let found = storage.restart();
        let missing = found.open(&path("chk-1/_metadata"));
        assert!(matches!(missing, Err(StorageError::Missing { .. })));
        came_back += found.files().len();
        stayed_away += 2 - found.files().len();
    }
    assert!(came_back > 10 && stayed_away > 10, "{came_back} came back, {stayed_away} did not");
}
