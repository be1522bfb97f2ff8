//! Brings the output directory to the state of a checkpoint.

use std::collections::HashSet;
use std::io::ErrorKind;

use tidegate_types::CheckpointId;

use super::committable::{Check, Committable, Committed};
use super::disk::Disk;
use super::names::{self, OutputName};
use crate::{ConnectError, FileOperation, Recovery};

/// Stopped anywhere and run again, it ends in the same state: each part asks what is left to be done.
pub(super) fn recover(
    disk: &Disk,
    restored_from: Option<CheckpointId>,
    committables: &[Vec<u8>],
) -> Result<Recovery, ConnectError> {
    let restored: Vec<Committable> =
        committables.iter().map(|bytes| Committable::decode(bytes)).collect::<Result<_, _>>()?;
    let mut recovery = Recovery::default();
    for committable in &restored {
        if committable.commit(disk, Check::Content)? == Committed::Now {
            recovery.committed += 1;
        }
    }
    // Only now may what is pending be removed: nothing of it is in the checkpoint.
    disk.sync_directory()?;
    if let Some(checkpoint) = restored_from {
        let kept: HashSet<OutputName> = restored.iter().map(|restored| restored.name).collect();
        recovery.taken_back = take_back(disk, checkpoint, &kept)?;
    }
    recovery.removed = remove_leftovers(disk)?;
    Ok(recovery)
}

/// Removes all that is neither committed nor, at this point, in any checkpoint.
pub(super) fn remove_leftovers(disk: &Disk) -> Result<usize, ConnectError> {
    let mut removed = 0;
    for name in disk.list()?.iter().filter(|name| names::is_uncommitted(name)) {
        if disk.remove(&disk.locate(name))? {
            removed += 1;
        }
    }
    Ok(removed)
}

// A job that goes on from an older checkpoint than its last one writes again what it wrote since.
// The names say which files that is. They are hidden and kept: whether they may be deleted is for
// their owner to say.
fn take_back(
    disk: &Disk,
    restored_from: CheckpointId,
    kept: &HashSet<OutputName>,
) -> Result<Vec<String>, ConnectError> {
    let mut taken_back = Vec::new();
    for file in disk.list()? {
        let Some(name) = OutputName::parse_committed(&file) else { continue };
        if name.checkpoint <= restored_from || kept.contains(&name) {
            continue;
        }
        let mut number = 1;
        loop {
            let hidden = disk.locate(&names::taken_back(name, number));
            match disk.rename(&disk.locate(&file), &hidden) {
                Ok(()) => break,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(ConnectError::io(FileOperation::Rename, hidden, error)),
            }
        }
        taken_back.push(file);
    }
    if !taken_back.is_empty() {
        disk.sync_directory()?;
    }
    Ok(taken_back)
}
