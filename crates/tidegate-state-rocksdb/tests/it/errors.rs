//! What is missing, damaged or foreign is named.

use std::sync::Arc;

use tidegate_state::{CancelToken, MemoryStateBackend, SnapshotTarget, StateError};
use tidegate_state_fs::FsStateBackend;
use tidegate_state_rocksdb::RocksDbStateConfig;
use tidegate_types::{AttemptId, SnapshotKind, StateHandle};

use crate::world::{Taken, World, path, shared_names};

fn checkpoint(world: &mut World) -> Taken {
    let backend = world.backend(World::config());
    let mut states = world.open(&backend, (0, 1), &[], true).unwrap();
    states.write(0..500, 0);
    world.snapshot(&mut states, SnapshotKind::Checkpoint)
}

fn refusal(world: &World, config: RocksDbStateConfig, taken: Taken) -> String {
    let refused = world.open(&world.backend(config), (0, 1), &[taken], true);
    let text = refused.err().expect("it is refused").to_string();
    assert!(world.names("taskowned").is_empty(), "nothing is left of the attempt");
    text
}

#[test]
fn a_missing_table_is_named_with_the_checkpoint_that_needs_it() {
    let mut world = World::new();
    let taken = checkpoint(&mut world);
    let name = shared_names(&taken).into_iter().next().unwrap();
    std::fs::remove_file(world.place("shared").join(&name)).unwrap();
    let text = refusal(&world, World::config(), taken);
    assert!(text.contains("checkpoint 1 needs") && text.contains(&name), "{text}");
}

#[test]
fn a_truncated_table_is_named() {
    let mut world = World::new();
    let taken = checkpoint(&mut world);
    let name = shared_names(&taken).into_iter().next().unwrap();
    let file = std::fs::File::options().write(true).open(world.place("shared").join(&name));
    file.unwrap().set_len(100).unwrap();
    let text = refusal(&world, World::config(), taken);
    assert!(text.contains("checkpoint 1 needs") && text.contains(&name), "{text}");
}

#[test]
fn a_changed_byte_is_noticed() {
    let mut world = World::new();
    let taken = checkpoint(&mut world);
    for name in shared_names(&taken) {
        let path = world.place("shared").join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 3;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
    // Linked, it is found when the block is read, or before.
    let opened = world.open(&world.backend(World::config()), (0, 1), &[taken], true);
    let Ok(states) = opened else { return };
    let failed = (0..500_u64).any(|key| {
        use tidegate_types::StateKey as _;
        states.keyed.set_current_key(key, key.key_hash());
        matches!(states.value.get(), Err(StateError::Files { .. }))
    });
    assert!(failed, "no damaged block was noticed");
}

#[test]
fn a_newer_rocksdb_is_named_when_its_files_are_not_understood() {
    let mut world = World::new();
    let mut taken = checkpoint(&mut world);
    let StateHandle::Inline(manifest) = &taken.1.keyed[0].manifest else { panic!("inline") };
    let mut bytes = manifest.to_vec();
    let at = bytes.windows(5).position(|text| text == b"11.12").unwrap();
    bytes[at..at + 5].copy_from_slice(b"99.99");
    // The name of the manifest in CURRENT, as something that is not there.
    let current = bytes.windows(9).rposition(|text| text == b"MANIFEST-");
    let number = current.unwrap() + 9;
    let found = bytes.windows(9).position(|text| text == b"MANIFEST-").unwrap() + 9;
    assert_ne!(found, number);
    bytes[found] = b'x';
    taken.1.keyed[0].manifest = StateHandle::Inline(bytes.into());
    let text = refusal(&world, World::config(), taken);
    assert!(text.contains("99.99") && text.contains("11.12"), "{text}");
}

#[test]
fn state_of_another_backend_is_refused() {
    let mut world = World::new();
    let fs = FsStateBackend::in_checkpoint_directory();
    let fs = fs.with_working_directory(Arc::clone(&world.storage), path("job/taskowned"));
    let mut states = world.open(&fs, (0, 1), &[], true).unwrap();
    states.write(0..10, 0);
    let of_fs = world.snapshot(&mut states, SnapshotKind::Checkpoint);
    drop(states);
    let text = refusal(&world, World::config(), of_fs);
    assert!(text.contains("fs") && text.contains("rocksdb"), "{text}");
    let of_rocksdb = checkpoint(&mut world);
    let refused = world.open(&MemoryStateBackend::new(), (0, 1), &[of_rocksdb], true);
    assert!(matches!(refused, Err(StateError::ForeignBackend { .. })));
}

#[test]
fn a_snapshot_that_cannot_be_made_is_declined() {
    let world = World::new();
    let mut states = world.open(&world.backend(World::config()), (0, 1), &[], true).unwrap();
    states.write(0..10, 0);
    std::fs::remove_dir_all(world.place("taskowned")).unwrap();
    let job = states.keyed.snapshot(world.next, SnapshotKind::Checkpoint).unwrap();
    let exclusive = path("job/chk-1");
    let target = SnapshotTarget {
        checkpoint: world.next,
        attempt: AttemptId::new(1),
        storage: &*world.storage,
        exclusive: &exclusive,
        shared: &path("job/shared"),
    };
    let text = job.run(&target, &CancelToken::new()).unwrap_err().to_string();
    assert!(text.contains("snapshot the database") && text.contains("taskowned"), "{text}");
    assert!(world.names("shared").is_empty());
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let mut world = World::new();
    let taken = checkpoint(&mut world);
    let file = world.directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let config =
        RocksDbStateConfig { local_directory: Some(file.join("below")), ..World::config() };
    let text = refusal(&world, config, taken);
    assert!(text.contains("file/below"), "{text}");
}
