//! From the handles of a checkpoint to mapped segments: a constant amount of work for each file.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use tidegate_state::{CanonicalReader, RestoredFile, RestoredKeyedState, StateError};
use tidegate_store::{FinishedFile, StorageError};
use tidegate_types::{BackendKind, CheckpointId, FileHandle, FileReference, RegisteredState};

use crate::canonical;
use crate::error::FsStateError;
use crate::manifest::Manifest;
use crate::place::Place;
use crate::stored::{Location, Part, Stored};

/// How much is downloaded at a time, in bytes.
const PIECE: usize = 1 << 20;
/// The longest manifest, in bytes: 2^17 parts.
const LONGEST_MANIFEST: u64 = 1 << 20;

/// What was restored.
pub(crate) struct Restored {
    /// Oldest first.
    pub(crate) parts: Vec<Part>,
    pub(crate) epoch: u64,
    pub(crate) registered: BTreeMap<Arc<str>, RegisteredState>,
}

pub(crate) fn restore(
    place: &Place,
    restored: Vec<RestoredKeyedState>,
) -> Result<Restored, StateError> {
    let mut result = Restored { parts: Vec::new(), epoch: 0, registered: BTreeMap::new() };
    let mut canonical = Vec::new();
    let mut mapped: BTreeMap<FileReference, Arc<Stored>> = BTreeMap::new();
    for state in restored {
        let states = state.registered.iter();
        result.registered.extend(states.map(|s| (Arc::clone(&s.name), s.clone())));
        match state.handle.backend {
            BackendKind::Fs => native(place, &state, &mut mapped, &mut result)?,
            BackendKind::Canonical => {
                let key_groups = state.handle.key_groups;
                canonical.push(CanonicalReader::open(&place.context, key_groups, state.manifest)?);
            }
            found => {
                let operator = place.context.operator.clone();
                return Err(StateError::ForeignBackend { operator, found, backend: "fs" });
            }
        }
    }
    if !canonical.is_empty() {
        result.parts.push(canonical::import(place, CheckpointId::FIRST, &canonical)?);
    }
    Ok(result)
}

fn native(
    place: &Place,
    state: &RestoredKeyedState,
    mapped: &mut BTreeMap<FileReference, Arc<Stored>>,
    result: &mut Restored,
) -> Result<(), StateError> {
    let RestoredKeyedState { handle, manifest, shared, may_be_shared, .. } = state;
    let bytes = manifest.read_all(LONGEST_MANIFEST)?;
    let files = handle.shared.len().min(shared.len());
    let manifest = Manifest::decode(&bytes, files).map_err(|error| place.failed(error))?;
    result.epoch = result.epoch.max(manifest.epoch);
    for (file, range) in manifest.parts {
        let wanted = range.intersection(handle.key_groups);
        let wanted = wanted.and_then(|range| range.intersection(place.context.key_groups));
        // Nothing of this file is ours: it is not even opened.
        let Some(key_groups) = wanted else { continue };
        let file = file as usize;
        let handle = &handle.shared[file].file;
        let stored = match mapped.get(&handle.reference) {
            Some(stored) => Arc::clone(stored),
            None => {
                let stored = Arc::new(open(place, handle, &shared[file], *may_be_shared)?);
                mapped.insert(handle.reference.clone(), Arc::clone(&stored));
                stored
            }
        };
        result.parts.push(Part { stored, key_groups });
    }
    Ok(())
}

/// Maps a file of a checkpoint where it lies, or a copy if that is no place for mapping.
fn open(
    place: &Place,
    handle: &FileHandle,
    found: &RestoredFile,
    may_be_shared: bool,
) -> Result<Stored, StateError> {
    let location = Location { storage: Arc::clone(&found.storage), path: found.path.clone() };
    let stored = if location.storage.local_path(&location.path).is_some() {
        let segment = place.map(&location)?;
        Stored::of_checkpoint(segment, handle, location, may_be_shared)
    } else {
        let local = place.new_location()?;
        let wanted = FinishedFile { length: handle.length, digest: handle.digest };
        let file = copy(place, &location, &local, wanted)?;
        let segment = place.map(&local).inspect_err(|_| drop(local.delete()))?;
        let stored = Stored::working(segment, file, local, place.temporary.clone());
        if file.digest != handle.digest {
            let path = location.path.as_str().into();
            return Err(place.failed(FsStateError::OtherContent { path }));
        }
        if may_be_shared {
            stored.confirm(CheckpointId::FIRST, handle.clone());
        }
        stored
    };
    let (expected, found) = (handle.length, stored.segment.length());
    if expected == found {
        return Ok(stored);
    }
    let path = stored.location.path.as_str().into();
    Err(place.failed(FsStateError::OtherFile { path, expected, found }))
}

/// Makes a local file of one of a store: a second name of the cache's copy, if there is a cache.
fn copy(
    place: &Place,
    from: &Location,
    to: &Location,
    wanted: FinishedFile,
) -> Result<FinishedFile, StorageError> {
    match (&place.cache, to.storage.local_path(&to.path)) {
        (Some(cache), Some(target)) => {
            cache.link(&*from.storage, &from.path, wanted, &target)?;
            Ok(wanted)
        }
        _ => download(from, to, wanted.length),
    }
}

fn download(from: &Location, to: &Location, length: u64) -> Result<FinishedFile, StorageError> {
    let reader = from.storage.open(&from.path)?;
    let mut writer = to.storage.create(&to.path)?;
    let mut buffer = vec![0; usize::try_from(length).unwrap_or(PIECE).min(PIECE)];
    let mut offset = 0;
    while offset < length {
        let left = usize::try_from(length - offset).unwrap_or(PIECE).min(PIECE);
        let piece = &mut buffer[..left];
        reader.read_at(offset, piece)?;
        let written = writer.write_all(piece);
        written.map_err(|error| StorageError::from_write(to.path.as_str(), error))?;
        offset += piece.len() as u64;
    }
    writer.finish()
}
