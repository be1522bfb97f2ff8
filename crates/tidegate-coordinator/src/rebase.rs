//! A checkpoint as it looks from another directory: every reference made absolute.

use std::sync::Arc;

use tidegate_meta::CheckpointMetadata;
use tidegate_types::{FileHandle, FileReference, StateHandle, SubtaskState};

use crate::{LocatedCheckpoint, RestoreError};

/// The checkpoint's metadata, with references that mean the same wherever they are read: what a
/// job that claims a checkpoint of another directory may put into its own checkpoints.
///
/// # Errors
///
/// [`RestoreError::Unreferable`] when a file has no URI that a reference can hold.
pub fn rebased(located: &LocatedCheckpoint) -> Result<Arc<CheckpointMetadata>, RestoreError> {
    let mut metadata = CheckpointMetadata::clone(&located.metadata);
    for operator in &mut metadata.operators {
        for (_, state) in &mut operator.subtasks {
            for file in files(state) {
                file.reference = absolute(located, &file.reference)?;
            }
        }
    }
    Ok(Arc::new(metadata))
}

fn absolute(
    located: &LocatedCheckpoint,
    reference: &FileReference,
) -> Result<FileReference, RestoreError> {
    if matches!(reference, FileReference::Absolute(_)) {
        return Ok(reference.clone());
    }
    let unreferable = || RestoreError::Unreferable { file: reference.to_string().into() };
    let (storage, path) = located.resolver().resolve(reference).map_err(|_| unreferable())?;
    FileReference::absolute(&format!("{}/{path}", storage.uri())).map_err(|_| unreferable())
}

fn files(state: &mut SubtaskState) -> impl Iterator<Item = &mut FileHandle> {
    let keyed = state.keyed.iter_mut().flat_map(|keyed| {
        let shared = keyed.shared.iter_mut().map(|shared| &mut shared.file);
        file(&mut keyed.manifest).into_iter().chain(shared)
    });
    let lists = state.lists.iter_mut().filter_map(|list| file(&mut list.items));
    let channels = state.channels.iter_mut().filter_map(|channel| file(&mut channel.records));
    keyed.chain(lists).chain(channels)
}

fn file(handle: &mut StateHandle) -> Option<&mut FileHandle> {
    match handle {
        StateHandle::File(file) => Some(file),
        _ => None,
    }
}
