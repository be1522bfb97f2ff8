//! Whether a checkpoint is whole: every file that it refers to is there and is the one written.

use std::collections::HashSet;

use tidegate_types::{BackendKind, FileHandle, SubtaskState};

use crate::{FileProblem, LocatedCheckpoint, RestoreError};

/// Reads every file that the checkpoint refers to; names all that are missing or damaged at once.
pub fn verify(located: &LocatedCheckpoint) -> Result<(), RestoreError> {
    verify_with(located, &mut |_| {})
}

/// How far a verification has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes of files that were read.
    pub verified: u64,
    /// Bytes of all files together.
    pub total: u64,
}

/// Like [`verify`], telling after each file how far it has come.
pub fn verify_with(
    located: &LocatedCheckpoint,
    tell: &mut dyn FnMut(VerifyProgress),
) -> Result<(), RestoreError> {
    verdict(located, problems(located, Depth::Everything, tell))
}

/// Like [`verify`], in an amount of work that does not grow with the state: of files that carry
/// checksums of their parts and are verified as they are read (the fs backend's segments), it
/// asks only whether they are there and have their length.
pub fn verify_present(located: &LocatedCheckpoint) -> Result<(), RestoreError> {
    verify_present_with(located, &mut |_| {})
}

/// Like [`verify_present`], telling after each file how far it has come.
pub fn verify_present_with(
    located: &LocatedCheckpoint,
    tell: &mut dyn FnMut(VerifyProgress),
) -> Result<(), RestoreError> {
    if located.is_verified() {
        return Ok(());
    }
    verdict(located, problems(located, Depth::Presence, tell))
}

fn verdict(located: &LocatedCheckpoint, problems: Vec<FileProblem>) -> Result<(), RestoreError> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Files { path: located.uri().into(), problems })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Depth {
    /// Every byte.
    Everything,
    /// Every byte of files that are not verified as they are read.
    Presence,
}

fn problems(
    located: &LocatedCheckpoint,
    depth: Depth,
    tell: &mut dyn FnMut(VerifyProgress),
) -> Vec<FileProblem> {
    let (resolver, metadata) = (&located.resolver(), &*located.metadata);
    let states = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    let all: HashSet<_> = states.flat_map(|(_, state)| state.files()).collect();
    let total = all.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
    let mut progress = VerifyProgress { verified: 0, total };
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for operator in &metadata.operators {
        for (subtask, state) in &operator.subtasks {
            let own: HashSet<_> = match depth {
                Depth::Everything => HashSet::new(),
                Depth::Presence => verified_as_read(state).collect(),
            };
            for file in state.files().filter(|file| seen.insert(*file)) {
                let checked = match own.contains(file) {
                    true => resolver.open_checked(file).map(drop),
                    false => resolver.check(file),
                };
                if let Err(fault) = checked {
                    problems.push(FileProblem {
                        reference: file.reference.clone(),
                        operator: operator.uid.clone(),
                        subtask: *subtask,
                        fault,
                    });
                }
                progress.verified = progress.verified.saturating_add(file.length);
                tell(progress);
            }
        }
    }
    problems
}

fn verified_as_read(state: &SubtaskState) -> impl Iterator<Item = &FileHandle> {
    let native = state.keyed.iter().filter(|keyed| keyed.backend == BackendKind::Fs);
    native.flat_map(|keyed| keyed.shared.iter().map(|shared| &shared.file))
}
