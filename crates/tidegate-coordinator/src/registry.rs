//! The registry of files that several checkpoints may use.
//!
//! It keeps no counts: a count leaks when a crash swallows a release and frees too early when a
//! retry repeats one. It keeps, for each file, the checkpoint that made it and the newest one that
//! used it. A file is free when every checkpoint up to its newest user is gone. The registry says
//! which files are free; it deletes nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use tidegate_types::{CheckpointId, FileHandle, FileReference};

/// Which checkpoints use which shared file.
#[derive(Clone, Debug, Default)]
pub struct SharedStateRegistry {
    files: HashMap<FileReference, Registered>,
}

// Invariant: created_by <= last_used_by.
#[derive(Clone, Debug)]
struct Registered {
    file: FileHandle,
    created_by: CheckpointId,
    last_used_by: CheckpointId,
    // Somebody else's: of a checkpoint that was restored and not claimed, or of a savepoint.
    foreign: bool,
}

impl SharedStateRegistry {
    /// Of no file.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A checkpoint, complete or not yet, uses the file.
    pub fn register(&mut self, user: CheckpointId, file: &FileHandle) {
        match self.files.entry(file.reference.clone()) {
            Entry::Occupied(mut known) => {
                let known = known.get_mut();
                known.last_used_by = known.last_used_by.max(user);
                known.created_by = known.created_by.min(user);
            }
            Entry::Vacant(unknown) => {
                let file = file.clone();
                let (created_by, last_used_by) = (user, user);
                unknown.insert(Registered { file, created_by, last_used_by, foreign: false });
            }
        }
    }

    /// The file belongs to somebody else from now on: it is never released.
    pub fn disown(&mut self, user: CheckpointId, file: &FileHandle) {
        self.register(user, file);
        if let Some(known) = self.files.get_mut(&file.reference) {
            known.foreign = true;
        }
    }

    /// Whether a checkpoint has registered the file and nothing has released it.
    #[must_use]
    pub fn contains(&self, file: &FileReference) -> bool {
        self.files.contains_key(file)
    }

    /// How many files are registered.
    #[must_use]
    pub fn len(&self) -> usize {
        self.files.len()
    }

    /// Whether no file is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// Takes out the files that only checkpoints below `oldest` used, all of which are gone. In the
    /// order of their references.
    pub fn release_below(&mut self, oldest: CheckpointId) -> Vec<FileHandle> {
        self.release(|file| file.last_used_by < oldest)
    }

    /// Takes out the files that an aborted checkpoint made and no other one uses.
    pub fn release_created_by(&mut self, aborted: CheckpointId) -> Vec<FileHandle> {
        self.release(|file| file.created_by == aborted && file.last_used_by == aborted)
    }

    /// Takes out the files that are not among `used`: the exact form of
    /// [`release_below`](Self::release_below), for the end, when nothing is left to come that frees
    /// a file whose newest user was aborted.
    pub fn release_except(&mut self, used: &HashSet<&FileReference>) -> Vec<FileHandle> {
        self.release(|known| !used.contains(&known.file.reference))
    }

    fn release(&mut self, is_free: impl Fn(&Registered) -> bool) -> Vec<FileHandle> {
        let free = self.files.extract_if(|_, known| !known.foreign && is_free(known));
        let mut free: Vec<_> = free.map(|(_, known)| known.file).collect();
        free.sort_unstable();
        free
    }
}

#[cfg(test)]
mod tests {
    use tidegate_types::Digest;

    use super::*;

    fn id(number: u64) -> CheckpointId {
        CheckpointId::new(number).unwrap()
    }

    fn file(name: &str) -> FileHandle {
        let reference = FileReference::in_job(name).unwrap();
        FileHandle { reference, length: 0, digest: Digest::of(b"") }
    }

    #[test]
    fn a_file_is_free_when_its_newest_user_is_gone() {
        let mut registry = SharedStateRegistry::new();
        registry.register(id(1), &file("a"));
        registry.register(id(1), &file("b"));
        registry.register(id(2), &file("b"));
        assert_eq!(registry.release_below(id(2)), [file("a")]);
        assert_eq!(registry.release_below(id(2)), [], "released once only");
        assert_eq!(registry.release_below(id(3)), [file("b")]);
        assert!(registry.is_empty());
    }

    #[test]
    fn an_aborted_checkpoint_frees_only_what_is_its_own() {
        let mut registry = SharedStateRegistry::new();
        registry.register(id(1), &file("old"));
        registry.register(id(2), &file("old"));
        registry.register(id(2), &file("new"));
        registry.register(id(2), &file("used again"));
        registry.register(id(3), &file("used again"));
        assert_eq!(registry.release_created_by(id(2)), [file("new")]);
        assert_eq!(registry.len(), 2);
    }

    #[test]
    fn files_of_somebody_else_are_never_free() {
        let mut registry = SharedStateRegistry::new();
        registry.disown(id(1), &file("theirs"));
        registry.register(id(2), &file("theirs"));
        assert_eq!(registry.release_below(id(9)), []);
        assert_eq!(registry.release_created_by(id(1)), []);
        assert_eq!(registry.release_except(&HashSet::new()), []);
        assert!(registry.contains(&file("theirs").reference));
    }
}
