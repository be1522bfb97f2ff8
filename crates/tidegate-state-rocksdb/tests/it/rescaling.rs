//! Checkpoints are restored with other parallelisms, and new ones refer to the files of old ones.

use std::collections::BTreeSet;

use tidegate_types::SnapshotKind;

use crate::world::{States, Taken, World, shared_names};

const KEYS: std::ops::Range<u64> = 0..2_000;

fn all(states: &[States]) -> BTreeSet<String> {
    states.iter().flat_map(|states| states.dump(KEYS)).collect()
}

#[test]
fn nothing_is_lost_or_doubled_at_any_parallelism() {
    let mut world = World::new();
    let backend = world.backend(World::config());
    let judge = tidegate_state::MemoryStateBackend::with_max_state_size(u64::MAX);
    let judged = world.open(&judge, (0, 1), &[], true).unwrap();
    let mut taken: Vec<Taken> = Vec::new();
    for (round, parallelism) in [1, 2, 3, 1, 4, 3, 2, 2, 16, 1].into_iter().enumerate() {
        let round = u32::try_from(round).unwrap();
        let subtasks = 0..parallelism;
        let open = |index| world.open(&backend, (index, parallelism), &taken, true).unwrap();
        let mut states: Vec<States> = subtasks.map(open).collect();
        assert_eq!(all(&states), all(std::slice::from_ref(&judged)), "to {parallelism}");
        let changed = u64::from(round) * 150..u64::from(round) * 150 + 700;
        states.iter().for_each(|states| states.write(changed.clone(), round));
        judged.write(changed, round);
        taken.clear();
        for states in &mut states {
            taken.push(world.snapshot(states, SnapshotKind::Checkpoint));
        }
    }
    let last = [world.open(&backend, (0, 1), &taken, true).unwrap()];
    assert_eq!(all(&last), all(std::slice::from_ref(&judged)));
    assert_eq!(last[0].timers(), judged.timers());
}

#[test]
fn unchanged_files_are_referred_to_again() {
    let mut world = World::new();
    let backend = world.backend(World::config());
    let mut states = world.open(&backend, (0, 1), &[], true).unwrap();
    states.write(KEYS, 0);
    let first = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    states.write(0..10, 1);
    let second = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    let (before, after) = (shared_names(&first), shared_names(&second));
    assert!(before.is_subset(&after) && before.len() < after.len(), "{before:?} {after:?}");
    drop(states);
    // Restored, the same, and with two subtasks: nothing is written that is there already.
    let mut states = world.open(&backend, (0, 1), std::slice::from_ref(&second), true).unwrap();
    let third = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    assert_eq!(shared_names(&third), after);
    let mut other = world.open(&backend, (0, 2), std::slice::from_ref(&second), true).unwrap();
    let half = shared_names(&world.snapshot(&mut other, SnapshotKind::Checkpoint));
    assert!(after.intersection(&half).count() > 0, "half of the state is in the same files");
    // Of a checkpoint that belongs to somebody else, nothing.
    let mut foreign = world.open(&backend, (0, 1), std::slice::from_ref(&second), false).unwrap();
    let own = shared_names(&world.snapshot(&mut foreign, SnapshotKind::Checkpoint));
    assert!(own.is_disjoint(&after), "{own:?}");
}

#[test]
fn small_files_go_into_the_metadata() {
    let mut world = World::new();
    let backend = world.backend(tidegate_state_rocksdb::RocksDbStateConfig::default());
    let mut states = world.open(&backend, (0, 1), &[], true).unwrap();
    states.write(0..20, 0);
    let taken = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    assert!(taken.1.keyed[0].shared.is_empty() && world.names("shared").is_empty());
    let restored = world.open(&backend, (0, 1), &[taken], true).unwrap();
    assert_eq!(restored.dump(KEYS), states.dump(KEYS));
}
