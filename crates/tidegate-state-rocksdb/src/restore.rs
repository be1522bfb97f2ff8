//! From the handles of a checkpoint to an open database.
//!
//! The files of one handle are linked (or fetched) and opened as they are. After rescaling, the handle
//! with the most key groups of this subtask is taken as the database, and what others have is added: as
//! whole files where RocksDB takes them, else copied into new files, row by row of the subtask's key
//! groups. What is of no use here is then removed by ranges. Canonical state is written row by row.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidegate_state::{CanonicalReader, RestoredKeyedState, StateError, group_prefix, import_rows};
use tidegate_types::{BackendKind, CheckpointId, KeyGroupRange, RegisteredState};

use crate::database::{Access, Database, ROCKSDB_VERSION, is_not_understood};
use crate::error::RocksDbStateError;
use crate::fetch::fetch;
use crate::known::{Known, Named};
use crate::manifest::Manifest;
use crate::place::{Place, WorkingDirectory};

/// The longest manifest, in bytes.
const LONGEST_MANIFEST: u64 = 16 << 20;
/// Above every row.
const END: [u8; 3] = [u8::MAX; 3];

/// What was restored.
pub(crate) struct Restored {
    pub(crate) database: Database,
    pub(crate) directory: WorkingDirectory,
    pub(crate) registered: BTreeMap<Arc<str>, RegisteredState>,
    /// Names that new checkpoints may use.
    pub(crate) named: Named,
    /// What had expired by this time was not part of the checkpoint.
    pub(crate) expired_by_ms: i64,
}

/// The name of the column family of a state.
pub(crate) fn family_of(state: &str) -> String {
    // So that no state is called like RocksDB's own.
    format!("state {state}")
}

/// A handle of this backend, and what of it is this subtask's.
struct Native {
    state: RestoredKeyedState,
    manifest: Manifest,
    wanted: KeyGroupRange,
}

pub(crate) fn restore(
    place: &Arc<Place>,
    known: &Known,
    restored: Vec<RestoredKeyedState>,
) -> Result<Restored, StateError> {
    let mut registered = BTreeMap::new();
    let (mut natives, mut canonical) = (Vec::new(), Vec::new());
    for state in restored {
        let states = state.registered.iter();
        registered.extend(states.map(|s| (Arc::clone(&s.name), s.clone())));
        match state.handle.backend {
            BackendKind::RocksDb => natives.extend(native(place, state)?),
            BackendKind::Canonical => {
                let key_groups = state.handle.key_groups;
                canonical.push(CanonicalReader::open(&place.context, key_groups, state.manifest)?);
            }
            found => {
                let operator = place.context.operator.clone();
                return Err(StateError::ForeignBackend { operator, found, backend: "rocksdb" });
            }
        }
    }
    // The one with the most key groups first: it becomes the database.
    natives.sort_by_key(|native| std::cmp::Reverse(native.wanted.count()));
    let expired_by_ms = natives.iter().map(|native| native.manifest.now_ms).min();
    let expired_by_ms = expired_by_ms.unwrap_or(i64::MIN);
    let mut named = Named::new();
    let mut natives = natives.into_iter();
    let (database, directory) = match natives.next() {
        None => {
            let directory = place.create()?;
            let database = Database::open(directory.path(), &place.tuning, Access::ReadWrite);
            (database.map_err(|error| place.failed(error))?, directory)
        }
        Some(largest) => {
            let opened = open(place, known, &largest, Access::ReadWrite, &mut named)?;
            clip(&opened.0, largest.wanted, place.context.key_groups)?;
            opened
        }
    };
    for other in natives {
        add(place, known, &database, &other, &mut named)?;
    }
    import(place, &database, &canonical)?;
    Ok(Restored { database, directory, registered, named, expired_by_ms })
}

fn native(place: &Place, state: RestoredKeyedState) -> Result<Option<Native>, StateError> {
    let wanted = state.handle.key_groups.intersection(place.context.key_groups);
    let Some(wanted) = wanted else { return Ok(None) };
    let bytes = state.manifest.read_all(LONGEST_MANIFEST)?;
    let shared = state.handle.shared.len().min(state.shared.len());
    let manifest = Manifest::decode(&bytes, shared).map_err(|error| place.failed(error))?;
    Ok(Some(Native { state, manifest, wanted }))
}

fn open(
    place: &Arc<Place>,
    known: &Known,
    native: &Native,
    access: Access,
    named: &mut Named,
) -> Result<(Database, WorkingDirectory), StateError> {
    let directory = place.create()?;
    fetch(place, known, &native.state, &native.manifest, directory.path())?;
    if native.state.may_be_shared {
        let handles = native.state.handle.shared.iter().map(|shared| &shared.file);
        named.extend(handles.map(|file| ((file.length, file.digest), file.clone())));
    }
    let database = Database::open(directory.path(), &place.tuning, access);
    let database = database.map_err(|error| {
        place.failed(refused(error, native.manifest.checkpoint, &native.manifest.written_by))
    })?;
    Ok((database, directory))
}

/// All files were there and whole: if another version wrote them, that is why they are not understood.
fn refused(
    error: RocksDbStateError,
    checkpoint: CheckpointId,
    written_by: &str,
) -> RocksDbStateError {
    if written_by == ROCKSDB_VERSION || !is_not_understood(&error) {
        return error;
    }
    let written_by = written_by.into();
    let source = Box::new(error);
    RocksDbStateError::OtherVersion { checkpoint, written_by, own: ROCKSDB_VERSION, source }
}

/// The ends of the rows of a range of key groups.
fn rows_of(range: KeyGroupRange) -> ([u8; 2], [u8; 2]) {
    // The last key group is 32,767, so that there always is a next one.
    (group_prefix(range.first()), (range.last().get() + 1).to_be_bytes())
}

/// Leaves the rows of `wanted` alone. Only what is outside of the subtask's range is sure to be there:
/// but if the database ever had more than its handle says, that goes, too.
fn clip(database: &Database, wanted: KeyGroupRange, own: KeyGroupRange) -> Result<(), StateError> {
    for range in [own, wanted] {
        let (first, end) = rows_of(range);
        for family in database.families() {
            database.delete_range(&family, &[], &first)?;
            database.delete_range(&family, &end, &END)?;
        }
    }
    Ok(())
}

/// Adds what another handle has of the subtask's key groups.
fn add(
    place: &Arc<Place>,
    known: &Known,
    database: &Database,
    native: &Native,
    named: &mut Named,
) -> Result<(), StateError> {
    let (other, directory) = open(place, known, native, Access::ReadOnly, named)?;
    let is_all_wanted = native.wanted == native.state.handle.key_groups;
    let (from, to) = rows_of(native.wanted);
    for family in other.families() {
        database.create_family(&family).map_err(|error| place.failed(error))?;
        if is_all_wanted && database.take_files(&other, &family)? {
            continue;
        }
        database.copy_range(&other, &family, (&from, &to), directory.path())?;
    }
    Ok(())
}

fn import(
    place: &Place,
    database: &Database,
    readers: &[CanonicalReader],
) -> Result<(), StateError> {
    let mut states: Vec<&RegisteredState> = Vec::new();
    for state in readers.iter().flat_map(CanonicalReader::states) {
        if !states.iter().any(|known| known.name == state.name) {
            states.push(state);
        }
    }
    for state in states {
        let family = family_of(&state.name);
        database.create_family(&family).map_err(|error| place.failed(error))?;
        import_rows(&place.context, state, readers, &mut |key, value| {
            database.put(&family, key, value)
        })?;
    }
    Ok(())
}
