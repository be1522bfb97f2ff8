//! Whether a checkpoint is whole: every file that it refers to is there and is the one written.

use std::collections::HashSet;

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
    if located.is_verified() {
        return Ok(());
    }
    verdict(located, problems(located, tell))
}

fn verdict(located: &LocatedCheckpoint, problems: Vec<FileProblem>) -> Result<(), RestoreError> {
    if problems.is_empty() {
        return Ok(());
    }
    Err(RestoreError::Files { path: located.uri().into(), problems })
}

fn problems(located: &LocatedCheckpoint, tell: &mut dyn FnMut(VerifyProgress)) -> Vec<FileProblem> {
    let (resolver, metadata) = (&located.resolver(), &*located.metadata);
    let states = metadata.operators.iter().flat_map(|operator| &operator.subtasks);
    let all: HashSet<_> = states.flat_map(|(_, state)| state.files()).collect();
    let total = all.iter().fold(0_u64, |sum, file| sum.saturating_add(file.length));
    let mut progress = VerifyProgress { verified: 0, total };
    let mut seen = HashSet::new();
    let mut problems = Vec::new();
    for operator in &metadata.operators {
        for (subtask, state) in &operator.subtasks {
            for file in state.files().filter(|file| seen.insert(*file)) {
                if let Err(fault) = resolver.check(file) {
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
