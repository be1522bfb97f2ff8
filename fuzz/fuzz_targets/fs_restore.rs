//! Any bytes as a manifest of the fs backend and as the segment that it names, twice: an error, or
//! state that can be looked at, and whose savepoint, if one can be written, can be read.
//!
//! The first byte says whether the segment's checksums are made right, and the second how long the
//! manifest is; the manifest's header is made right where there is one.
#![no_main]

use std::cell::RefCell;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{Choices, Operator, Scratch, context, reseal_segment, run};
use tidegate_state::{CanonicalReader, RestoredFile, RestoredKeyedState, StateError, StateSource};
use tidegate_state_fs::FsStateBackend;
use tidegate_store::{CheckpointStorage, FsStorage, MemoryStorage, StoragePath};
use tidegate_types::{
    BackendKind, CheckpointId, Digest, FileHandle, FileReference, KeyedStateHandle,
    RegisteredState, SharedFile, SnapshotKind, StateHandle,
};

static REGISTERED: LazyLock<Vec<RegisteredState>> = LazyLock::new(Operator::<u8>::registered);

thread_local! {
    static FILE: RefCell<Option<(Scratch, Arc<dyn CheckpointStorage>)>> = const { RefCell::new(None) };
}

const MANIFEST_HEADER: usize = 16;
const PART: usize = 8;

fuzz_target!(|bytes: &[u8]| {
    let mut choices = Choices::new(bytes);
    let (forged, parts) = (choices.byte().is_multiple_of(2), choices.below(5));
    let rest = choices.rest();
    let (manifest, segment) = rest.split_at(rest.len().min(MANIFEST_HEADER + PART * parts));
    let mut manifest = manifest.to_vec();
    let mut segment = segment.to_vec();
    if forged {
        reseal_segment(&mut segment);
        if let Some(header) = manifest.first_chunk_mut::<8>() {
            let parts = u32::try_from(parts).expect("few");
            *header = (u64::from(parts) << 32 | 1).to_le_bytes();
        }
    }
    FILE.with_borrow_mut(|file| {
        let (scratch, storage) = file.get_or_insert_with(|| {
            let scratch = Scratch::new("segment");
            let storage = FsStorage::open(scratch.directory()).expect("it is there");
            (scratch, Arc::new(storage))
        });
        let _path = scratch.with(&segment);
        if let Err(error) = restore(&manifest, &segment, storage) {
            drop(error.to_string());
        }
    });
});

fn restore(
    manifest: &[u8],
    segment: &[u8],
    storage: &Arc<dyn CheckpointStorage>,
) -> Result<(), StateError> {
    let path = StoragePath::new("segment").expect("a valid path");
    let shared = |name: &str| {
        let reference = FileReference::InJob(name.into());
        let (length, digest) = (segment.len() as u64, Digest::of(segment));
        SharedFile { name: name.into(), file: FileHandle { reference, length, digest } }
    };
    let restored = RestoredKeyedState {
        handle: KeyedStateHandle {
            backend: BackendKind::Fs,
            key_groups: context().key_groups,
            manifest: StateHandle::Inline(manifest.into()),
            shared: ["shared/a", "shared/b"].map(shared).into(),
        },
        manifest: StateSource::from(Arc::from(manifest)),
        registered: REGISTERED.clone(),
        shared: vec![RestoredFile { storage: Arc::clone(storage), path }; 2],
        may_be_shared: false,
    };
    let backend = FsStateBackend::in_checkpoint_directory();
    let mut operator = Operator::<u8>::open(&backend, vec![restored])?;
    for key in [0, 1, 2, 0xFF] {
        drop(operator.look_at(key));
    }
    let job = operator.keyed.snapshot(CheckpointId::FIRST, SnapshotKind::Savepoint)?;
    drop(operator.pop_timers());
    let result = run(job, &MemoryStorage::new())?;
    let StateHandle::Inline(savepoint) = &result.keyed[0].manifest else { return Ok(()) };
    read(StateSource::from(Arc::clone(savepoint)))
        .expect("a savepoint that is written can be read");
    Ok(())
}

/// Reads all that is there; whether the values are any is another question.
fn read(savepoint: StateSource) -> Result<(), StateError> {
    let reader = CanonicalReader::open(&context(), context().key_groups, savepoint)?;
    for group in reader.key_groups().iter() {
        for state in 0..reader.states().len() {
            reader.read(group, state, &mut |_| Ok(()))?;
        }
    }
    Ok(())
}
