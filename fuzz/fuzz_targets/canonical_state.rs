//! Any bytes as keyed state in the canonical form, given to the memory backend: an error, or state
//! that can be used, written, and restored from what was written, to the same bytes again.
//!
//! Each input is tried as it is, with right checksums, and with its blocks in their places, too.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tidegate_fuzz::{Operator, Places, context, repaired, run};
use tidegate_state::{
    MemoryStateBackend, RestoredKeyedState, SnapshotResult, StateError, StateSource,
};
use tidegate_store::MemoryStorage;
use tidegate_types::{
    BackendKind, CheckpointId, KeyedStateHandle, RegisteredState, SnapshotKind, StateHandle,
    StateKey,
};

static OF_NUMBERS: LazyLock<Vec<RegisteredState>> = LazyLock::new(Operator::<u8>::registered);
static OF_TEXTS: LazyLock<Vec<RegisteredState>> = LazyLock::new(Operator::<String>::registered);

fuzz_target!(|bytes: &[u8]| {
    restore::<u8>(bytes, &OF_NUMBERS);
    for places in [Places::AsTheyAre, Places::InOrder] {
        if let Some(forged) = repaired(bytes, places) {
            restore::<u8>(&forged, &OF_NUMBERS);
            restore::<String>(&forged, &OF_TEXTS);
        }
    }
});

fn restore<K: StateKey + Default>(bytes: &[u8], registered: &[RegisteredState]) {
    let first = match snapshot::<K>(bytes, registered, SnapshotKind::Checkpoint) {
        Ok(first) => first,
        Err(error) => return drop(error.to_string()),
    };
    let written = content(&first);
    for kind in [SnapshotKind::Checkpoint, SnapshotKind::Savepoint] {
        let second = snapshot::<K>(written, &first.registered, kind);
        let second = second.expect("what was written can be restored");
        assert_eq!(second.registered, first.registered);
        // A savepoint's bytes are the same; if there are many of them, they are in a file.
        if let StateHandle::Inline(again) = &second.keyed[0].manifest {
            assert!(**again == *written, "what was restored is not what was written");
        }
    }
}

fn content(result: &SnapshotResult) -> &[u8] {
    let StateHandle::Inline(written) = &result.keyed[0].manifest else { panic!("not inline") };
    written
}

/// Restores, registers, looks at everything, and writes it.
fn snapshot<K: StateKey + Default>(
    bytes: &[u8],
    registered: &[RegisteredState],
    kind: SnapshotKind,
) -> Result<SnapshotResult, StateError> {
    let handle = KeyedStateHandle {
        backend: BackendKind::Canonical,
        key_groups: context().key_groups,
        manifest: StateHandle::Inline(bytes.into()),
        shared: Vec::new(),
    };
    let restored = RestoredKeyedState {
        handle,
        manifest: StateSource::from(std::sync::Arc::from(bytes)),
        registered: registered.to_vec(),
        shared: Vec::new(),
        may_be_shared: false,
    };
    let mut operator = Operator::<K>::open(&MemoryStateBackend::new(), vec![restored])?;
    operator.look_at(K::default())?;
    let job = operator.keyed.snapshot(CheckpointId::FIRST, kind)?;
    operator.pop_timers()?;
    run(job, &MemoryStorage::new())
}
