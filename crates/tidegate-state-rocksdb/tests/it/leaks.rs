//! No file stays behind: not of a thousand checkpoints, not of those that were aborted.

use std::collections::{BTreeSet, VecDeque};

use tidegate_state::{CancelToken, SnapshotTarget};
use tidegate_types::{AttemptId, SnapshotKind};

use crate::world::{Taken, World, path, shared_names};

fn in_use(retained: &VecDeque<Taken>) -> BTreeSet<String> {
    retained.iter().flat_map(shared_names).collect()
}

#[test]
fn after_a_thousand_checkpoints_the_directories_have_what_is_referred_to() {
    let mut world = World::new();
    let backend = world.backend(World::config());
    let mut states = world.open(&backend, (0, 1), &[], true).unwrap();
    let mut retained: VecDeque<Taken> = VecDeque::new();
    for round in 0..1_000_u32 {
        let start = u64::from(round) % 100;
        states.write(start..start + 3, round % 1_000);
        let taken = world.snapshot(&mut states, SnapshotKind::Checkpoint);
        let before = in_use(&retained);
        retained.push_back(taken);
        if retained.len() > 3 {
            retained.pop_front();
        }
        // As the coordinator does: what no retained checkpoint uses any more is deleted.
        for name in before.difference(&in_use(&retained)) {
            world.storage.delete(&path(&format!("job/shared/{name}"))).unwrap();
        }
        assert_eq!(world.names("shared"), in_use(&retained), "round {round}");
        assert_eq!(world.names("taskowned").len(), 1, "the database and nothing else");
    }
    let newest = retained.pop_back().unwrap();
    let restored = world.open(&backend, (0, 1), &[newest], true).unwrap();
    assert_eq!(restored.dump(0..200), states.dump(0..200));
    drop((restored, states));
    assert!(world.names("taskowned").is_empty(), "databases go with the task");
}

#[test]
fn a_snapshot_that_is_cancelled_or_dropped_leaves_nothing() {
    let mut world = World::new();
    let backend = world.backend(World::config());
    let mut states = world.open(&backend, (0, 1), &[], true).unwrap();
    states.write(0..100, 0);
    let kept = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        for run in [true, false] {
            states.write(0..100, 1);
            let checkpoint = world.next;
            world.next = checkpoint.next();
            let job = states.keyed.snapshot(checkpoint, kind).unwrap();
            assert_eq!(world.names("taskowned").len(), 2, "the database and the snapshot");
            let cancel = CancelToken::new();
            cancel.cancel();
            let exclusive = path(&format!("job/chk-{checkpoint}"));
            let target = SnapshotTarget {
                checkpoint,
                attempt: AttemptId::new(1),
                storage: &*world.storage,
                exclusive: &exclusive,
                shared: &path("job/shared"),
            };
            if run {
                job.run(&target, &cancel).unwrap_err();
            } else {
                drop(job);
            }
            states.keyed.notify_aborted(checkpoint);
            assert_eq!(world.names("shared"), shared_names(&kept), "{kind:?}");
            assert_eq!(world.names("taskowned").len(), 1, "{kind:?}");
        }
    }
}
