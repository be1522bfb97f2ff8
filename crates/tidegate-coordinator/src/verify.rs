//! Whether a checkpoint is whole: every file that it refers to is there and is the one written.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

use tidegate_types::{FileHandle, OperatorUid};

use crate::{FileFault, FileProblem, FileResolver, LocatedCheckpoint, RestoreError};

/// How many files of remote stores are read at a time.
const AT_A_TIME: usize = 4;

/// Reads every file that the checkpoint refers to; names all that are missing or damaged at once.
/// Files of remote stores are then in the cache of the checkpoint's registry, if it has one.
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

/// A file, and whose state it holds.
struct Referred<'a> {
    file: &'a FileHandle,
    operator: &'a OperatorUid,
    subtask: u16,
}

fn problems(located: &LocatedCheckpoint, tell: &mut dyn FnMut(VerifyProgress)) -> Vec<FileProblem> {
    let resolver = located.resolver();
    let mut seen = HashSet::new();
    let mut files = Vec::new();
    for operator in &located.metadata.operators {
        for (subtask, state) in &operator.subtasks {
            let new = state.files().filter(|file| seen.insert(*file));
            let (operator, subtask) = (&operator.uid, *subtask);
            files.extend(new.map(|file| Referred { file, operator, subtask }));
        }
    }
    let total = files.iter().fold(0_u64, |sum, one| sum.saturating_add(one.file.length));
    let mut progress = VerifyProgress { verified: 0, total };
    let mut faults = Vec::new();
    check_all(&resolver, &files, |index, checked| {
        faults.extend(checked.err().map(|fault| (index, fault)));
        progress.verified = progress.verified.saturating_add(files[index].file.length);
        tell(progress);
    });
    faults.sort_by_key(|(index, _)| *index);
    let problem = |(index, fault): (usize, FileFault)| {
        let Referred { file, operator, subtask } = &files[index];
        let (reference, operator) = (file.reference.clone(), (*operator).clone());
        FileProblem { reference, operator, subtask: *subtask, fault }
    };
    faults.into_iter().map(problem).collect()
}

/// Checks the files, several at a time if they come over a network, and tells of each.
fn check_all(
    resolver: &FileResolver,
    files: &[Referred<'_>],
    mut tell: impl FnMut(usize, Result<(), FileFault>),
) {
    // Without a cache one by one, in order: that is what a simulation repeats.
    if !files.iter().any(|one| resolver.is_cached(one.file)) {
        let checked = files.iter().map(|one| resolver.check(one.file));
        return checked.enumerate().for_each(|(index, checked)| tell(index, checked));
    }
    let next = AtomicUsize::new(0);
    let (sender, results) = channel();
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME.min(files.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while let Some(index) = Some(next.fetch_add(1, Ordering::Relaxed))
                    && let Some(one) = files.get(index)
                {
                    let told = sender.send((index, resolver.check(one.file)));
                    told.expect("results are taken until all are there");
                }
            });
        }
        drop(sender);
        results.iter().for_each(|(index, checked)| tell(index, checked));
    });
}
