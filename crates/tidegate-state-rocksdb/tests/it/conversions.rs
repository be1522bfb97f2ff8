//! State goes between the memory, fs and RocksDB backends by savepoints, in all nine combinations.

use std::sync::Arc;

use tidegate_state::{MemoryStateBackend, StateBackend};
use tidegate_state_fs::FsStateBackend;
use tidegate_types::SnapshotKind;

use crate::world::{World, path};

const KEYS: std::ops::Range<u64> = 0..400;

fn backends(world: &World) -> Vec<Box<dyn StateBackend>> {
    let fs = FsStateBackend::in_checkpoint_directory();
    let fs = fs.with_working_directory(Arc::clone(&world.storage), path("job/taskowned"));
    vec![
        Box::new(MemoryStateBackend::new()),
        Box::new(fs),
        Box::new(world.backend(World::config())),
    ]
}

#[test]
fn every_backend_reads_what_every_backend_writes() {
    let mut world = World::new();
    for from in backends(&world) {
        let mut states = world.open(&*from, (0, 1), &[], true).unwrap();
        (0..3).for_each(|round| states.write(KEYS, round));
        let expected = states.dump(KEYS);
        let taken = [world.snapshot(&mut states, SnapshotKind::Savepoint)];
        let timers = states.timers();
        for to in backends(&world) {
            let direction = format!("{} to {}", from.name(), to.name());
            let mut one = world.open(&*to, (0, 1), &taken, false).unwrap();
            assert_eq!(one.dump(KEYS), expected, "{direction}");
            // As savepoints of the same state they are even the same bytes.
            let again = world.snapshot(&mut one, SnapshotKind::Savepoint);
            let digest = |taken: &crate::world::Taken| taken.1.keyed[0].manifest.digest();
            assert_eq!(digest(&again), digest(&taken[0]), "{direction}");
            assert_eq!(one.timers(), timers, "{direction}");
            // And rescaled on the way.
            let two = [0, 1].map(|index| world.open(&*to, (index, 2), &taken, false).unwrap());
            let both = two.iter().flat_map(|states| states.dump(KEYS)).collect();
            assert_eq!(expected, both, "{direction}, to two subtasks");
        }
    }
}
