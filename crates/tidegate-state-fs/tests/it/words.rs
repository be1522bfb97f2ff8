//! Counting words, as a job does: snapshots are written while the task goes on.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_state::{
    CancelToken, KeyedContext, KeyedState, RestoredFile, RestoredKeyedState, SnapshotResult,
    SnapshotTarget, StateSource, ValueState, ValueStateDescriptor,
};
use tidegate_state_fs::FsStateBackend;
use tidegate_store::CheckpointStorage;
use tidegate_types::*;

use crate::disk::{Disk, path};
use crate::world::context;

fn open(
    backend: &FsStateBackend,
    disk: &Arc<Disk>,
    result: Option<&SnapshotResult>,
) -> (KeyedState<String>, ValueState<u64>) {
    let restored = result.map(|result| {
        let handle = result.keyed[0].clone();
        let StateHandle::Inline(manifest) = &handle.manifest else { panic!("not inline") };
        let manifest = StateSource::from(Arc::clone(manifest));
        let storage: Arc<dyn CheckpointStorage> = disk.clone();
        let found = |shared: &SharedFile| RestoredFile {
            storage: Arc::clone(&storage),
            path: path("job").join(shared.file.reference.as_str()).unwrap(),
        };
        let shared = handle.shared.iter().map(found).collect();
        let registered = result.registered.clone();
        RestoredKeyedState { handle, manifest, registered, shared, may_be_shared: false }
    });
    let subtask = Subtask::new(0, Parallelism::new(2).unwrap());
    let max_parallelism = MaxParallelism::DEFAULT;
    let key_groups = KeyGroupRange::of_subtask(max_parallelism, subtask);
    let context = KeyedContext { max_parallelism, key_groups, ..context(subtask, 1) };
    let mut state = KeyedState::open(backend, &context, restored.into_iter().collect()).unwrap();
    let value = state.value(ValueStateDescriptor::new("count")).unwrap();
    (state, value)
}

#[test]
fn no_count_is_lost_while_snapshots_are_written() {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let disk = Disk::new(directory.path());
    let storage: Arc<dyn CheckpointStorage> = disk.clone();
    let backend = FsStateBackend::in_checkpoint_directory()
        .with_working_directory(storage, path("job/taskowned"));
    let (mut state, mut value) = open(&backend, &disk, None);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let mut chance = 0x1234_5678_9ABC_DEF1_u64;
    let mut next = CheckpointId::FIRST;
    for round in 0..600 {
        let id = next;
        next = id.next();
        let job = state.snapshot(id, SnapshotKind::Checkpoint).unwrap();
        let frozen = counts.clone();
        let disk = &disk;
        let result = std::thread::scope(|scope| {
            let written = scope.spawn(move || {
                let target = SnapshotTarget {
                    checkpoint: id,
                    attempt: AttemptId::new(1),
                    storage: &**disk,
                    exclusive: &path(&format!("job/chk-{id}")),
                    shared: &path("job/shared"),
                };
                job.run(&target, &CancelToken::new()).unwrap()
            });
            for _ in 0..60 {
                chance ^= chance >> 12;
                chance ^= chance << 25;
                chance ^= chance >> 27;
                let number = chance.wrapping_mul(0x2545_F491_4F6C_DD1D);
                let common = ["the", "tide", "gate", "und", "über", "straße", "naïve", "x1"];
                let word = match number >> 62 {
                    0 => format!("word{}", (number >> 40) % 2000),
                    _ => common[usize::try_from((number >> 40) % 8).unwrap()].to_owned(),
                };
                let hash = word.key_hash();
                if hash.get() >> 63 == 1 {
                    continue;
                }
                state.set_current_key(word.clone(), hash);
                let count = counts.entry(word).or_default();
                assert_eq!(value.get().unwrap().unwrap_or(0), *count, "round {round}");
                *count += 1;
                value.put(*count).unwrap();
                state.maintain().unwrap();
            }
            written.join().unwrap()
        });
        if round % 3 != 0 {
            state.notify_complete(id);
        }
        if round % 40 == 39 {
            (state, value) = open(&backend, disk, Some(&result));
            for (word, count) in &frozen {
                state.set_current_key(word.clone(), word.key_hash());
                assert_eq!(value.get().unwrap(), Some(*count), "restored in round {round}");
            }
            counts = frozen;
        }
    }
}
